"""Semantic ids of all items, by a method fitted on training items (section 4.2.1, Appendix B).

Items are encoded in the order of their table, batch by batch; only the codes stay in memory, two
bytes each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from recscale import files
from recscale.contracts import CONTRACTS
from recscale.errors import UserError, run_command
from recscale.item_ids import catalogue, methods
from recscale.item_ids.codes import collision_rate, n_collisions
from recscale.item_ids.quantiser import ROWS_AT_ONCE
from recscale.item_ids.ties import break_ties
from recscale.logs import logger
from recscale.settings import parse

log = logger("item_ids.encode")


@dataclass(frozen=True)
class Settings:
    """`item_ids.tie_breaking` (none or next_best), and the seed."""

    seed: int
    tie_breaking: str


def main() -> None:
    """Command line: a fitted quantiser and embeddings to semantic ids, and a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=list(methods.KINDS), required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--item-ids", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    if settings.tie_breaking not in ("none", "next_best"):
        raise UserError(
            f"item_ids.tie_breaking is {settings.tie_breaking!r}", "use none or next_best"
        )
    items = catalogue.read(arguments.items)
    vectors = methods.read_vectors(arguments.embeddings, items)
    quantiser = methods.read(arguments.method, arguments.model)
    if quantiser.dimensions != vectors.shape[1]:
        raise UserError(
            f"{arguments.model} is fitted on vectors of {quantiser.dimensions} dimensions, "
            f"{arguments.embeddings} has {vectors.shape[1]}",
            "fit the method again on these embeddings",
        )
    codes = quantiser.encode(vectors)
    before = collision_rate(codes)
    if settings.tie_breaking == "next_best":
        codes = break_ties(quantiser, vectors, codes, items.item_ids, items.train, settings.seed)
    shared = n_collisions(codes)
    schema = CONTRACTS["item_ids"].arrow_schema()

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(codes), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            part = codes[rows]
            offsets = pa.array(range(0, part.size + 1, quantiser.width), pa.int32())
            lists = pa.ListArray.from_arrays(
                offsets, pa.array(part.ravel()), type=schema.field("codes").type
            )
            columns = [pa.array(items.item_ids[rows]), lists, pa.array(shared[rows])]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    files.write_record_batches(batches(), arguments.item_ids, "item_ids")
    after = collision_rate(codes)
    log.info("%.1f %% of items share their codes, %.1f %% before ties", 100 * after, 100 * before)
    card = {
        "method": arguments.method,
        "items": len(codes),
        "codes_an_item": quantiser.width,
        "rec_tokens": quantiser.rec_tokens,
        "tie_breaking": settings.tie_breaking,
        "shared_before_ties": before,
        "shared": after,
    }
    files.write_json(card, arguments.card)


if __name__ == "__main__":
    run_command(main)
