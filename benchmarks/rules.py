"""Counting pairs of items inside sessions: our DuckDB plan against other engines.

    python benchmarks/rules.py                                   # 5M events, all engines
    python benchmarks/rules.py --events 5 20 --linear 10 20 40 80

Events are simulated: sessions of 1 + a geometric number of items (mean about 6), popular items by a
power law, ten sessions a user. All engines count, for every unordered pair, the sessions that hold
both, and keep pairs of 2 sessions and more; ours also counts distinct users, as the method needs.
Each run is a process of its own, for its seconds and its highest memory; numba's compilation is
not counted. The engines' counts must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402

ENGINES = ("ours", "polars", "scipy", "numba")
MIN_SUPPORT = 2
PARTITIONS = {5: 2, 10: 4, 20: 8, 40: 16, 80: 32}  # about 2.5M events each


def simulate(millions: int, path: Path) -> None:
    """Write about so many events as session items (contract of that name), sorted by session."""
    import pyarrow as pa

    from recscale import files
    from recscale.contracts import CONTRACTS

    generator = np.random.default_rng(millions)
    schema = CONTRACTS["session_items"].arrow_schema()
    items = 100_000 * max(1, millions // 5)
    share = np.cumsum(1.0 / np.arange(10, items + 10) ** 0.9)

    def batches():
        first = 0
        for _ in range(millions):
            lengths = generator.geometric(1 / 6, 170_000)
            sessions = np.repeat(np.arange(first, first + len(lengths)), lengths)
            first += len(lengths)
            drawn = np.searchsorted(share / share[-1], generator.random(len(sessions)))
            sessions, drawn = np.unique(np.stack([sessions, drawn]), axis=1)
            columns = [sessions, sessions // 10, drawn, np.zeros(len(drawn), "datetime64[us]")]
            yield pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=schema)

    files.write_record_batches(batches(), path, "session_items")


def ours(path: Path, partitions: int, memory_limit: str) -> tuple[int, int]:
    """Pairs and the sum of their supports, by the library's own command."""
    import pyarrow.compute as pc

    from recscale.curriculum import pair_counts
    from recscale.database import connect

    settings = pair_counts.Settings(MIN_SUPPORT, 1, None, partitions, memory_limit)
    pairs = total = 0
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as spill,
        connect(Path(spill), memory_limit, 2) as connection,
    ):
        for batch in pair_counts.count_pairs(connection, path, settings):
            pairs += batch.num_rows
            total += pc.sum(batch.column("support")).as_py() or 0
    return pairs, total


def polars_plan(path: Path) -> tuple[int, int]:
    """A streaming self-join."""
    import polars as pl

    lines = pl.scan_parquet(path).select("session_id", "item_id")
    found = (
        lines.join(lines, on="session_id", suffix="_b")
        .filter(pl.col("item_id") < pl.col("item_id_b"))
        .group_by("item_id", "item_id_b")
        .agg(pl.len().alias("support"))
        .filter(pl.col("support") >= MIN_SUPPORT)
        .select(pl.len(), pl.col("support").cast(pl.Int64).sum())
        .collect(engine="streaming")
    )
    return int(found.row(0)[0]), int(found.row(0)[1] or 0)


def read_lines(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sessions and items as numbers from 0."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["session_id", "item_id"])
    return table["session_id"].to_numpy(), table["item_id"].to_numpy().astype(np.int32)


def scipy_plan(path: Path) -> tuple[int, int]:
    """The upper triangle of X'X, X the sessions by items."""
    from scipy import sparse

    sessions, items = read_lines(path)
    ones = np.ones(len(items), dtype=np.int32)
    matrix = sparse.csr_matrix((ones, (sessions, items)))
    product = sparse.triu(matrix.T @ matrix, k=1, format="coo")
    kept = product.data[product.data >= MIN_SUPPORT]
    return len(kept), int(kept.sum())


def numba_plan(path: Path, timed: list[float]) -> tuple[int, int]:
    """Row by row of X'X with a dense counter, upper triangle only."""
    import numba

    @numba.njit(nogil=True)
    def count(by_item, item_starts, items, session_starts, least):
        n_items = len(item_starts) - 1
        counter = np.zeros(n_items, np.int32)
        touched = np.empty(n_items, np.int32)
        pairs = total = 0
        for a in range(n_items):
            n_touched = 0
            for k in range(item_starts[a], item_starts[a + 1]):
                session = by_item[k]
                last = session_starts[session + 1] - 1
                while last >= session_starts[session] and items[last] > a:
                    b = items[last]
                    if counter[b] == 0:
                        touched[n_touched] = b
                        n_touched += 1
                    counter[b] += 1
                    last -= 1
            for k in range(n_touched):
                if counter[touched[k]] >= least:
                    pairs += 1
                    total += counter[touched[k]]
                counter[touched[k]] = 0
        return pairs, total

    def run(sessions, items):
        session_starts = np.zeros(sessions.max() + 2, np.int64)
        np.cumsum(np.bincount(sessions), out=session_starts[1:])
        order = np.argsort(items, kind="stable")
        item_starts = np.zeros(items.max() + 2, np.int64)
        np.cumsum(np.bincount(items), out=item_starts[1:])
        return count(
            sessions[order].astype(np.int32), item_starts, items, session_starts, MIN_SUPPORT
        )

    run(np.array([0, 0, 1]), np.array([0, 1, 1], dtype=np.int32))
    timed.append(time.perf_counter())
    return run(*read_lines(path))


def one_run(engine: str, path: Path, partitions: int, memory_limit: str) -> None:
    """The child process: count, and print what it found, its seconds and its highest memory."""
    began = [time.perf_counter()]
    if engine == "ours":
        pairs, total = ours(path, partitions, memory_limit)
    elif engine == "polars":
        pairs, total = polars_plan(path)
    elif engine == "scipy":
        pairs, total = scipy_plan(path)
    else:
        pairs, total = numba_plan(path, began)
    seconds = time.perf_counter() - began[-1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"pairs": pairs, "total": total, "seconds": seconds, "gb": memory}))


def measure(engine: str, path: Path, millions: int, memory_limit: str) -> dict | None:
    """Run one engine in a process of its own; None if it is not installed or fails."""
    options = ["--child", engine, str(path), str(PARTITIONS[millions]), memory_limit]
    limits = {**os.environ, "POLARS_MAX_THREADS": "2", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, __file__, *options], capture_output=True, text=True, env=limits
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["killed"])[-1]
        print(f"{engine:10}{millions:5} M   not measured: {why[:90]}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Compare engines, then the growth of ours, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="*", choices=list(PARTITIONS), default=[5])
    parser.add_argument("--linear", type=int, nargs="*", choices=list(PARTITIONS), default=[])
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--memory-limit", default="2000MB", help="of DuckDB, in our plan")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        engine, path, partitions, memory_limit = arguments.child
        return one_run(engine, Path(path), int(partitions), memory_limit)
    found: dict[str, object] = {"cpu": platform.machine(), "threads": 2}
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'engine':10}{'events':>7}{'pairs':>12}{'seconds':>9}{'GB':>7}{'time/ours':>11}")
        growth = {}
        for millions in sorted({*arguments.events, *arguments.linear}):
            path = Path(folder) / f"{millions}.parquet"
            simulate(millions, path)
            base, counts = None, set()
            engines = arguments.engines if millions in arguments.events else ["ours"]
            for engine in engines:
                run = measure(engine, path, millions, arguments.memory_limit)
                if run is None:
                    continue
                base = base or run
                counts.add((run["pairs"], run["total"]))
                ratio = run["seconds"] / base["seconds"]
                print(
                    f"{engine:10}{millions:5} M{run['pairs']:12,}{run['seconds']:9.2f}"
                    f"{run['gb']:7.2f}{ratio:11.2f}"
                )
                if millions in arguments.events:
                    found[f"{engine}_{millions}m"] = [round(run["seconds"], 2), round(run["gb"], 2)]
                if engine == "ours":
                    growth[millions] = run
            if len(counts) > 1:
                sys.exit(f"the engines disagree at {millions} M events: {counts}")
            path.unlink()
        if arguments.linear:
            first, last = min(arguments.linear), max(arguments.linear)
            costs = {m: growth[m]["seconds"] / m for m in (first, last)}
            found[f"cost_an_event_{last}m_over_{first}m"] = round(costs[last] / costs[first], 2)
            found[f"gb_{last}m"] = round(growth[last]["gb"], 2)
    print(json.dumps(found))
    return None


if __name__ == "__main__":
    main()
