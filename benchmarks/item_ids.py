"""Items encoded a second by each method of semantic ids, and milliseconds of a nearest-item search.

    python benchmarks/item_ids.py [--items 200000 --dimensions 256]

Encoding is set against the plain matrix product of the same size, items x dimensions times
dimensions x latents, or layers * codes: no method can look at all its latents or centroids with
less. The product reads the same memory-mapped array, in blocks whose results stay in cache, and
keeps none. One thread each; fitting and encoding are processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402

METHODS = ("sae", "rq_kmeans", "rq_vae")
LATENTS, ACTIVE = 8192, 8
LAYERS, CODES, BEAM = 6, 256, 5
PARTS = 9  # encoded and multiplied in turn, so that both see the same machine
PART = 8192
IN_CACHE = 256  # rows: 8 MB of results with 8192 latents
QUERIES = 300


def write_vectors(path: Path, items: int, dimensions: int) -> None:
    """Unit vectors, each a sum of 8 of 4096 directions and noise, in half precision."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4096, dimensions)).astype(np.float32)
    array = np.lib.format.open_memmap(path, "w+", np.float16, (items, dimensions))
    for start in range(0, items, 10_000):
        rows = min(10_000, items - start)
        vectors = 0.5 * rng.normal(size=(rows, dimensions)).astype(np.float32)
        for _ in range(8):
            weights = rng.uniform(0.3, 1.5, (rows, 1)).astype(np.float32)
            vectors += weights * directions[rng.integers(0, 4096, rows)]
        array[start : start + rows] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    array.flush()


def anonymous_mb() -> float:
    """Memory of this process without pages of mapped files, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


class PeakMemory:
    """The highest memory of a block beyond that at its start, looked at every millisecond."""

    def __enter__(self) -> PeakMemory:
        self.began = self.peak = anonymous_mb()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.ended.wait(0.001):
            self.peak = max(self.peak, anonymous_mb())

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    @property
    def growth(self) -> float:
        """In MB."""
        return self.peak - self.began


def fit(method: str, path: Path, model: Path, fit_items: int, epochs: int) -> dict[str, object]:
    """The child process that fits a method and writes it."""
    from recscale import files
    from recscale.item_ids import methods, quantiser, rq_kmeans, rq_vae, sae

    settings = methods.Settings(
        seed=1,
        fit_items=None,
        sae=sae.Settings(LATENTS, ACTIVE, epochs, 1024, 0.001),
        rq=rq_kmeans.Settings(LAYERS, CODES, BEAM),
        rq_vae=rq_vae.Settings(256, 64, epochs, 1024, 0.001, cures=True),
    )
    vectors = files.read_array(path, memory_map=True)[:fit_items].astype(np.float32)
    began = time.perf_counter()
    fitted = methods.fit(method, vectors, settings, training=0)
    seconds = time.perf_counter() - began
    quantiser.write(fitted, model)
    return {"fit": seconds}


def encode(method: str, path: Path, model: Path) -> dict[str, object]:
    """The child process that encodes: items a second, and their ratio to the product."""
    import torch

    from recscale import files
    from recscale.item_ids import methods

    torch.set_num_threads(1)
    vectors = files.read_array(path, memory_map=True)
    fitted = methods.read(method, model)
    matrix = torch.randn(fitted.rec_tokens, vectors.shape[1])

    def multiply(part: np.ndarray) -> None:
        for start in range(0, len(part), IN_CACHE):
            block = np.asarray(part[start : start + IN_CACHE], np.float32)
            torch.from_numpy(block) @ matrix.T

    fitted.encode(vectors[:1])  # compiles
    seconds: list[list[float]] = []
    for n in range(PARTS):
        start = n * PART % max(len(vectors) - PART, 1)
        part, times = vectors[start : start + PART], []
        for work in (fitted.encode, multiply):
            began = time.perf_counter()
            work(part)
            times.append((time.perf_counter() - began) / len(part))
        seconds.append(times)
    ours, product = np.median(seconds, axis=0)
    return {"rate": 1 / ours, "ratio": product / ours}


def memory(method: str, path: Path, model: Path, items: int) -> dict[str, object]:
    """The child process that encodes so many items: its growth beyond their codes, in MB."""
    from recscale import files
    from recscale.item_ids import methods

    vectors = files.read_array(path, memory_map=True)[:items]
    fitted = methods.read(method, model)
    fitted.encode(vectors[:1])  # compiles
    with PeakMemory() as highest:
        codes = fitted.encode(vectors)
    return {"mb": highest.growth - codes.nbytes / 1e6}


def search(items: int) -> dict[str, object]:
    """The child process of the index: seconds to make it, milliseconds of a search, and of numpy's
    comparison with the table of codes."""
    from recscale.item_ids.decoding import CodeIndex

    rng = np.random.default_rng(0)
    codes = (LATENTS * rng.random((items, ACTIVE)) ** 3).astype(np.uint16)  # some are frequent
    began = time.perf_counter()
    index = CodeIndex(codes, rng.permutation(items))
    found: dict[str, object] = {"index": time.perf_counter() - began}
    ours, plain = [], []
    for n, query in enumerate(codes[rng.integers(0, items, QUERIES)]):
        began = time.perf_counter()
        index.nearest(query, 10)
        ours.append(time.perf_counter() - began)
        if n % 10 == 0:
            began = time.perf_counter()
            np.argpartition(-(codes == query).sum(1), 10)[:10]
            plain.append(time.perf_counter() - began)
    found["median"], found["p95"] = (1e3 * np.quantile(ours, q) for q in (0.5, 0.95))
    return found | {"plain": 1e3 * np.median(plain)}


def child(*options: object) -> dict:
    """Run a part of this script with one thread in a process of its own."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    done = subprocess.run(
        [sys.executable, __file__, "--child", *map(str, options)],
        capture_output=True,
        text=True,
        env={**os.environ, **{f"{name}_NUM_THREADS": "1" for name in names}},
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure every method and the index, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--fit-items", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3, help="of sae and rq_vae")
    parser.add_argument("--index-items", type=int, default=1_000_000)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, *rest = arguments.child
        if name == "search":
            run = search(int(rest[0]))
        else:
            part = {"fit": fit, "encode": encode, "memory": memory}[name]
            run = part(rest[0], Path(rest[1]), Path(rest[2]), *map(int, rest[3:]))
        print(json.dumps(run))
        return
    few, many = arguments.items // 4, arguments.items
    found: dict[str, object] = {"cpu": platform.machine(), "threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.npy"
        write_vectors(path, arguments.items, arguments.dimensions)
        print(
            f"{'method':12}{'items/s':>10}{'encode/product':>16}{'fit s':>8}"
            f"{f'MB at {few}':>14}{f'MB at {many}':>14}"
        )
        for method in METHODS:
            model = Path(folder) / f"{method}.npz"
            run = child("fit", method, path, model, arguments.fit_items, arguments.epochs)
            run |= child("encode", method, path, model)
            run["mb"] = [child("memory", method, path, model, n)["mb"] for n in (few, many)]
            print(
                f"{method:12}{run['rate']:10,.0f}{run['ratio']:16.2f}{run['fit']:8.1f}"
                f"{run['mb'][0]:14.1f}{run['mb'][1]:14.1f}"
            )
            found[f"{method}_items_a_second"] = round(run["rate"])
            found[f"{method}_vs_product"] = round(run["ratio"], 2)
            found[f"{method}_fit_seconds"] = round(run["fit"], 1)
            found[f"{method}_mb"] = [round(mb, 1) for mb in run["mb"]]
    run = child("search", arguments.index_items)
    print(
        f"nearest 10 of {arguments.index_items:,}: median {run['median']:.2f} ms, "
        f"p95 {run['p95']:.2f} ms; numpy's comparison {run['plain']:.1f} ms; "
        f"index made in {run['index']:.2f} s"
    )
    for name in ("median", "p95"):
        found[f"nearest_ms_{name}"] = round(run[name], 2)
    found["nearest_vs_numpy"] = round(run["plain"] / run["median"], 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
