"""Tokens per second from tables to packed windows, against the tokenizers library called bare.

    python benchmarks/windows.py                      # a small BPE, trained here
    python benchmarks/windows.py --tokenizer FOLDER   # e.g. results/<name>/tokenizer/sae

"bare" is `encode_batch_fast` on the same sentences, already there as Python strings, without
building, shuffling, packing or writing them. Ours does all that, from the table to the file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402

DOMAINS = ("cf", "uih", "item_text", "general")
ITEMS = 20_000
LENGTH = 512


def tables(folder: Path, rows: int) -> None:
    """Write items, codes, rules, walks and documents with so many rows, seeded."""
    from recscale import files
    from recscale.contracts import CONTRACTS

    generator = np.random.default_rng(0)
    ids = pd.DataFrame({"item_id": range(ITEMS), "n_collisions": 0})
    ids["codes"] = list(generator.integers(0, 8192, (ITEMS, 8)).astype(np.uint16))
    files.write_table(ids, folder / "ids.parquet", "item_ids")
    words = np.array(["lotus", "yoga", "seed", "bead", "oat", "drink", "large", "blue", "shirt"])
    titles = [" ".join(words[row]) for row in generator.integers(0, len(words), (ITEMS, 6))]
    items = pd.DataFrame({"item_id": range(ITEMS), "title": titles, "brand": "Handmade"})
    items = items.assign(c0="Women", c1="Jewelry", c2=None, size="11 oz", color=None, split="train")
    files.write_table(items, folder / "item_text.parquet", "items")
    pairs = np.unique(generator.integers(0, ITEMS, (rows, 2)), axis=0)
    rules = pd.DataFrame(pairs, columns=["item_a", "item_b"])
    confidence = generator.integers(1, 500, len(rules)) / generator.integers(500, 9000, len(rules))
    rules = rules.assign(support=5, users=5, confidence=confidence, split="train")
    rules["lift"] = np.exp(generator.normal(4, 2, len(rules)))
    files.write_table(rules, folder / "cf.parquet", "rules")
    lengths = 5 + generator.geometric(0.25, rows // 2)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    schema = CONTRACTS["walks"].arrow_schema()
    lists = pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.array(generator.integers(0, ITEMS, lengths.sum())),
        type=schema.field("items").type,
    )
    columns = [pa.array(np.arange(len(lengths))), lists, pa.array(np.full(len(lengths), 0.5))]
    walks = pa.record_batch(columns, schema=schema)
    files.write_record_batches([walks], folder / "uih.parquet", "walks")
    prose = [
        " ".join(words[row]) + "." for row in generator.integers(0, len(words), (rows // 20, 99))
    ]
    texts = pd.DataFrame(
        {"text": [f"{n}. {text}" for n, text in enumerate(prose)], "part": "train"}
    )
    files.write_table(texts, folder / "general.parquet", "documents")


def strings(domain: str, folder: Path) -> list[str]:
    """The sentences of a domain as Python strings."""
    from recscale import files
    from recscale.curriculum import templates
    from recscale.item_ids.text import item_texts

    path = folder / f"{domain}.parquet"
    if domain == "general":
        return files.read_table(path, "documents")["text"].tolist()
    codes = np.stack(files.read_table(folder / "ids.parquet", "item_ids")["codes"].tolist())
    if domain == "item_text":
        items = files.read_table(path, "items")
        return [templates.item_text(codes[n], t) for n, t in enumerate(item_texts(items))]
    if domain == "cf":
        rules = files.read_table(path, "rules")
        columns = (rules[c] for c in ("item_a", "item_b", "confidence", "lift"))
        return [
            templates.collaborative(codes[a], codes[b], confidence, lift)
            for a, b, confidence, lift in zip(*columns, strict=True)
        ]
    return [templates.history(codes[row]) for row in files.read_table(path, "walks")["items"]]


def one_run(domain: str, folder: Path, tokenizer_folder: Path) -> None:
    """The child process: seconds and tokens of the bare library and of ours."""
    from recscale import files
    from recscale.curriculum import packing, token_pieces, windows

    tokenizer = token_pieces.read_tokenizer(tokenizer_folder)
    vocabulary = files.read_json(tokenizer_folder / "manifest.json")
    texts = strings(domain, folder)
    began = time.perf_counter()
    bare = 0
    for start in range(0, len(texts), 4096):
        batch = tokenizer.encode_batch_fast(texts[start : start + 4096], add_special_tokens=False)
        bare += sum(len(document) for document in batch)
    bare_seconds = time.perf_counter() - began
    settings = windows.Settings(1, LENGTH, "cut", 1, None, None)
    ours_seconds = []
    for _ in range(2):  # the first compiles
        began = time.perf_counter()
        documents = windows.documents_of(
            domain,
            "train",
            [folder / f"{domain}.parquet"],
            folder / "ids.parquet",
            tokenizer,
            vocabulary,
            settings,
        )
        counts = packing.pack(
            documents.batches,
            folder / "out.npy",
            LENGTH,
            vocabulary["end_of_text"],
            vocabulary["vocabulary"],
            "cut",
            None,
        )
        ours_seconds.append(time.perf_counter() - began)
    whole = counts["tokens"] + counts["tokens_left_out"]
    if whole != bare + documents.available:  # ours has an end of text after each document
        sys.exit(f"{domain}: ours made {whole} tokens of {bare} and {documents.available} ends")
    print(json.dumps({"bare": bare / bare_seconds, "ours": whole / ours_seconds[-1]}))


def main() -> None:
    """Measure every domain with one and two threads and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=200_000, help="rules; other tables in proportion"
    )
    parser.add_argument("--tokenizer", type=Path, default=None)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return one_run(arguments.child[0], *map(Path, arguments.child[1:]))
    found: dict[str, object] = {"cpu": platform.machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables(folder, arguments.rows)
        tokenizer = arguments.tokenizer
        if tokenizer is None:
            from small_tokenizer import small_tokenizer

            tokenizer = small_tokenizer(folder / "tokenizer")
        print(f"{'domain':12}{'threads':>8}{'bare M/s':>10}{'ours M/s':>10}{'ours/bare':>11}")
        for threads in (1, 2):
            for domain in DOMAINS:
                limits = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
                done = subprocess.run(
                    [sys.executable, __file__, "--child", domain, str(folder), str(tokenizer)],
                    capture_output=True,
                    text=True,
                    env={**os.environ, **limits},
                )
                if done.returncode:
                    sys.exit(done.stderr)
                run = json.loads(done.stdout.splitlines()[-1])
                ratio = run["ours"] / run["bare"]
                bare, ours = run["bare"] / 1e6, run["ours"] / 1e6
                print(f"{domain:12}{threads:8}{bare:10.2f}{ours:10.2f}{ratio:11.2f}")
                found[f"{domain}_vs_tokenizers_{threads}_threads"] = round(ratio, 2)
    print(json.dumps(found))
    return None


if __name__ == "__main__":
    main()
