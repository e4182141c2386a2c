"""One domain's table to packed windows of token ids, and a manifest of what went in (section 6.1).

Training sentences may take one of several wordings; held-out sentences are always the paper's, so
that losses compare across such choices.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from recscale import files, seeds
from recscale.contracts import ALL_HELD_OUT, REAL_HISTORIES, TRAINING_DOMAINS, UIH_CONTROLS
from recscale.curriculum import packing, sentences, token_shards
from recscale.curriculum.token_pieces import ItemCodes, Pieces, read_tokenizer
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("curriculum.windows")

# Shuffled together; of at most 100 items each, they stay below the 2^31 that one Arrow array holds.
HISTORIES_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Settings:
    """How to pack: window length, packing (cut or whole), how many wordings of a template training
    may use, and limits (null: none) on sentences and on tokens."""

    seed: int
    length: int
    packing: str
    wordings: int
    sentences: int | None
    tokens: int | None


@dataclass(frozen=True)
class Documents:
    """A domain's documents, how many there are, and how many were left out for their codes."""

    batches: Iterator[Pieces]
    available: int
    left_out: int


def documents_of(
    domain: str,
    part: str,
    source: list[Path],
    item_ids: Path,
    tokenizer: Tokenizer,
    vocabulary: dict[str, Any],
    settings: Settings,
    shards: Sequence[Path] = (),
) -> Documents:
    """The documents of a domain and part (base, train or held_out).

    `shards` hold the tokens of general text, where other jobs made them.

    Raises:
        UserError: a file is missing or broken, or an item has no semantic id.
    """
    wordings = settings.wordings if part == "train" else 1
    how = sentences.Sentences(tokenizer, vocabulary, settings.seed, wordings)
    if domain == "general":
        parts = files.read_arrow(source[0], "documents", ["part"])["part"]
        count = parts.to_pandas().eq(part).sum()
        texts = (
            token_shards.read(shards)
            if shards
            else sentences.text_documents(source[0], part, how, settings.seed)
        )
        return Documents(texts, int(count), 0)
    codes = ItemCodes(files.read_table(item_ids, "item_ids"))

    def rows(count: int) -> Iterator[Any]:
        return sentences.shuffled(count, settings.seed, settings.sentences, domain)

    if domain == "item_text" or domain.startswith("cf"):
        is_item = domain == "item_text"
        split = part if is_item or domain == "cf" else domain.removeprefix("cf_")
        columns = ["item_id"] if is_item else ["item_a", "item_b"]
        table = files.read_table(source, "items" if is_item else "rules")
        chosen = sentences.new_to_training(table, columns, codes, split)
        left_out = int((table["split"] == split).sum()) - len(chosen)
        make = sentences.item_documents if is_item else sentences.rule_documents
        return Documents(make(chosen, codes, how, rows(len(chosen))), len(chosen), left_out)
    is_real = domain in ("uih_real", REAL_HISTORIES)
    columns = ["sequence" if is_real else "walk", "items"]

    for path in source:
        files.require_columns(path, columns)

    def made() -> Iterator[Pieces]:
        left = settings.sentences
        for number, walks in enumerate(histories(source, columns)):
            seed = seeds.derive(settings.seed, "histories", number)
            order = sentences.shuffled(walks.num_rows, seed, left, domain)
            yield from sentences.walk_documents(walks, codes, how, order)
            left = None if left is None else max(0, left - walks.num_rows)

    return Documents(made(), sum(pq.read_metadata(path).num_rows for path in source), 0)


def histories(
    source: list[Path], columns: list[str], at_once: int = HISTORIES_AT_ONCE
) -> Iterator[pa.Table]:
    """Walks or real histories, so many at once whatever the shards, in the columns walk and items.

    Raises:
        UserError: a shard is missing or broken.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for path in source:
        for batch in files.read_batches(path, columns, sentences.ROWS_AT_ONCE):
            while rows + batch.num_rows >= at_once:
                held.append(batch[: at_once - rows])
                batch, rows = batch[at_once - rows :], 0
                yield pa.Table.from_batches(held).rename_columns(["walk", "items"])
                held = []
            held.append(batch)
            rows += batch.num_rows
    if rows:
        yield pa.Table.from_batches(held).rename_columns(["walk", "items"])


def main() -> None:
    """Command line: one domain's source table to its windows and their manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    domains = list(dict.fromkeys([*TRAINING_DOMAINS, *UIH_CONTROLS, *ALL_HELD_OUT]))
    parser.add_argument("--domain", choices=domains, required=True)
    parser.add_argument("--part", choices=["base", "train", "held_out"], required=True)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="walks: shards")
    parser.add_argument("--token-shards", type=Path, nargs="*", default=[], help="of general text")
    parser.add_argument("--item-ids", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--windows", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=None, help="of the tokenizer")
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    if arguments.threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    described = files.read_json(arguments.tokenizer / "manifest.json")
    tokenizer = read_tokenizer(arguments.tokenizer)
    domain, part = arguments.domain, arguments.part
    documents = documents_of(
        domain,
        part,
        arguments.source,
        arguments.item_ids,
        tokenizer,
        described,
        settings,
        arguments.token_shards,
    )
    began = time.monotonic()
    with files.atomic(arguments.windows) as temporary:
        counts = packing.pack(
            documents.batches,
            temporary,
            settings.length,
            described["end_of_text"],
            described["vocabulary"],
            settings.packing,
            settings.tokens,
        )
        if not counts["windows"]:
            raise UserError(
                f"the domain {domain} ({part}) fills no window of {settings.length} tokens: "
                f"{documents.available} documents",
                "shorten curriculum.windows.length, or give the domain more data",
            )
    speed = counts["tokens"] / max(time.monotonic() - began, 1e-9)
    log.info("%s (%s): %s, %.2f M tokens a second", domain, part, counts, speed / 1e6)
    files.write_json(
        {
            "domain": domain,
            "part": part,
            "length": settings.length,
            "packing": settings.packing,
            "vocabulary": described["vocabulary"],
            "tokenizer": described["sha256"],
            "documents_available": documents.available,
            "documents_with_codes_of_training": documents.left_out,
            **counts,
        },
        arguments.manifest,
    )


if __name__ == "__main__":
    run_command(main)
