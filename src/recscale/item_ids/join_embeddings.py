"""Shards of embeddings to one array, with the bytes that one job would have written.

Command: `python -m recscale.item_ids.join_embeddings --shards 0.npy 1.npy ... --cards 0.json 1.json
... --embeddings embeddings.npy --card embeddings.json`, shards in their order.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from recscale import files
from recscale.errors import UserError, run_command
from recscale.logs import logger

ROWS_AT_ONCE = 65_536
SUMMED = ("items", "items_without_known_words")  # of the cards; the rest is equal in all of them

log = logger("item_ids.join_embeddings")


def joined_card(cards: list[Path]) -> dict[str, Any]:
    """The card of all shards together.

    Raises:
        UserError: two shards were made with different settings.
    """
    found = [files.read_json(path) for path in cards]
    for card, path in zip(found, cards, strict=True):
        unlike = [key for key in card if key not in SUMMED and card[key] != found[0].get(key)]
        if unlike:
            raise UserError(
                f"{path} has {unlike[0]} {card[unlike[0]]}, {cards[0]} has "
                f"{found[0].get(unlike[0])}",
                "delete the shards and rerun their target",
            )
    return {**found[0], **{key: sum(card[key] for card in found) for key in SUMMED}}


def join(shards: list[Path], cards: list[Path], embeddings: Path, card: Path) -> None:
    """Write all shards as one array of shape (items, dimensions), float16, and its card.

    Raises:
        UserError: a shard is missing, broken, of other dimensions, or not what its card says.
    """
    arrays = [files.read_array(path, memory_map=True) for path in shards]
    described = joined_card(cards)
    for array, path, of_shard in zip(arrays, shards, cards, strict=True):
        shape = (files.read_json(of_shard)["items"], described["dimensions"])
        if array.shape != shape:
            raise UserError(
                f"{path} has the shape {array.shape}, its card says {shape}",
                "delete it and rerun its target",
            )
    rows = sum(len(array) for array in arrays)
    with files.atomic(embeddings) as temporary:
        whole = np.lib.format.open_memmap(
            temporary, "w+", arrays[0].dtype, (rows, described["dimensions"]), version=(1, 0)
        )
        place = 0
        for array in arrays:
            for start in range(0, len(array), ROWS_AT_ONCE):
                block = array[start : start + ROWS_AT_ONCE]
                whole[place : place + len(block)] = block
                place += len(block)
        whole.flush()
        files.write_json(described, card)  # first: whoever finds the array finds its card
    log.info("%d shards, %d items", len(arrays), rows)


def main() -> None:
    """Command line: shards to an array and a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True)
    parser.add_argument("--cards", type=Path, nargs="+", required=True, help="one a shard")
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    arguments = parser.parse_args()
    if len(arguments.shards) != len(arguments.cards):
        raise UserError(
            f"{len(arguments.shards)} --shards and {len(arguments.cards)} --cards",
            "give one card for each shard",
        )
    join(arguments.shards, arguments.cards, arguments.embeddings, arguments.card)


if __name__ == "__main__":
    run_command(main)
