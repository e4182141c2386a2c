"""The documents of each domain, in the order in which they are packed (section 6.1).

Rows are drawn in an order that the seed fixes, and come in batches. Tables of items, rules and
walks are held as numbers and shuffled as a whole. General text does not fit into memory at the
paper's size: there the row groups of its file are shuffled, and the documents inside each.

The model reads codes, not items: where a held-out item shares its codes with a training item, or a
held-out rule with a training rule, its sentence would be one of training in all but a number. Such
items and rules are left out of the held-out domains and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recscale import files, seeds
from recscale.curriculum import templates
from recscale.curriculum.token_pieces import (
    ItemCodes,
    Pieces,
    assemble,
    item_blocks,
    join,
    number_text,
    printed_digits,
    text_before_item,
    tokenise,
)
from recscale.errors import UserError
from recscale.item_ids.text import item_texts
from recscale.logs import progress

ROWS_AT_ONCE = 65_536
TEXTS_AT_ONCE = 4096


class Sentences:
    """What all domains of sentences share: the template's pieces and the choice of a wording."""

    def __init__(
        self, tokenizer: Tokenizer, vocabulary: dict[str, Any], seed: int, wordings: int
    ) -> None:
        if not 1 <= wordings <= templates.WORDINGS:
            raise UserError(
                f"curriculum.text.wordings is {wordings}", f"use 1 to {templates.WORDINGS}"
            )
        self.tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._seed = seeds.derive(seed, "wording")
        self._wordings = wordings
        self.end = Pieces.of([[vocabulary["end_of_text"]]])

    def pieces(self, texts: Sequence[str]) -> Pieces:
        """Pieces of the templates, one for each wording."""
        return tokenise(self.tokenizer, list(texts[: self._wordings]))

    def blocks(self, codes: ItemCodes) -> Pieces:
        """The tokens of every item."""
        return item_blocks(codes.codes, self._vocabulary)

    def wording(self, *keys: NDArray[np.integer]) -> NDArray[np.int64]:
        """The wording of each row, by a hash of the seed and of what the row is about."""
        draw = seeds.uniform(self._seed, *keys)
        return (draw * self._wordings).astype(np.int64)

    def numbers(
        self, values: NDArray[np.float64], decimals: int
    ) -> tuple[Pieces, NDArray[np.int64]]:
        """The distinct numbers as pieces, printed with so many decimals, and which each row has."""
        distinct, index = np.unique(printed_digits(values, decimals), return_inverse=True)
        texts = [number_text(digits, decimals) for digits in distinct.tolist()]
        return tokenise(self.tokenizer, texts), index.reshape(-1)


def shuffled(rows: int, seed: int, limit: int | None, what: str) -> Iterator[NDArray[np.int64]]:
    """The numbers of `limit` random rows (None: all), in random order, in batches."""
    order = seeds.generator(seed, "windows").permutation(rows)[:limit]
    starts = range(0, len(order), ROWS_AT_ONCE)
    for start in progress(starts, desc=what, unit=" batches"):
        yield order[start : start + ROWS_AT_ONCE]


def new_to_training(
    table: pd.DataFrame, columns: list[str], codes: ItemCodes, split: str
) -> pd.DataFrame:
    """The rows of a split; of a held-out one, those whose codes no training row has.

    `columns` name the items whose codes make a row: one for items, two for rules.
    """
    chosen = table[table["split"] == split]
    if split == "train":
        return chosen
    groups = codes.groups()
    size = groups.max(initial=0) + 1

    def keys(rows: pd.DataFrame) -> NDArray[np.int64]:
        key = np.zeros(len(rows), dtype=np.int64)
        for column in columns:
            key = key * size + groups[codes.places(rows[column].to_numpy())]
        return key

    train = table[table["split"] == "train"]
    return chosen[~np.isin(keys(chosen), keys(train))]


def item_documents(
    items: pd.DataFrame, codes: ItemCodes, how: Sentences, batches: Iterator[NDArray[np.int64]]
) -> Iterator[Pieces]:
    """One item-text sentence for each row of the batches."""
    before = how.pieces([text_before_item(text) for text, _, _ in templates.ITEM_TEXT])
    blocks = how.blocks(codes)
    for rows in batches:
        chosen = items.iloc[rows]
        numbers = chosen["item_id"].to_numpy()
        wording = how.wording(numbers)
        texts = item_texts(chosen)
        after = [
            templates.ITEM_TEXT[w][1] + text + templates.ITEM_TEXT[w][2]
            for w, text in zip(wording.tolist(), texts, strict=True)
        ]
        each = np.arange(len(rows))
        described = tokenise(how.tokenizer, after)
        yield assemble(
            [
                (before, wording),
                (blocks, codes.places(numbers)),
                (described, each),
                (how.end, np.zeros_like(each)),
            ]
        )


def rule_documents(
    rules: pd.DataFrame, codes: ItemCodes, how: Sentences, batches: Iterator[NDArray[np.int64]]
) -> Iterator[Pieces]:
    """One CF sentence for each row of the batches."""
    text = [how.pieces([wording[part] for wording in templates.COLLABORATIVE]) for part in range(6)]
    text[0] = how.pieces([text_before_item(w[0]) for w in templates.COLLABORATIVE])
    text[2] = how.pieces([text_before_item(w[2]) for w in templates.COLLABORATIVE])
    blocks = how.blocks(codes)
    columns = {c: rules[c].to_numpy() for c in ("item_a", "item_b", "confidence", "lift")}
    places = [codes.places(columns[c]).astype(np.int32) for c in ("item_a", "item_b")]
    for rows in batches:
        a, b, confidence, lift = (values[rows] for values in columns.values())
        percent = how.numbers(100 * confidence, 1)
        share, times = how.numbers(confidence, 3), how.numbers(lift, 2)
        wording = how.wording(a, b)
        yield assemble(
            [
                (text[0], wording),
                (blocks, places[0][rows]),
                (text[1], wording),
                percent,
                (text[2], wording),
                (blocks, places[1][rows]),
                (text[3], wording),
                share,
                (text[4], wording),
                times,
                (text[5], wording),
                (how.end, np.zeros_like(wording)),
            ]
        )


def walk_documents(
    walks: pa.Table, codes: ItemCodes, how: Sentences, batches: Iterator[NDArray[np.int64]]
) -> Iterator[Pieces]:
    """One UIH sentence for each row of the batches."""
    lists = walks["items"].combine_chunks()
    starts = lists.offsets.to_numpy().astype(np.int64)
    places = codes.places(lists.values.to_numpy()).astype(np.int32)
    numbers = walks["walk"].to_numpy()
    before = how.pieces([text_before_item(text) for text in templates.HISTORY])
    blocks = how.blocks(codes)
    # An item and the comma after it; the last of a walk is the item alone.
    comma = tokenise(how.tokenizer, [text_before_item(templates.BETWEEN_ITEMS)])
    rows_of_blocks = np.arange(len(blocks.offsets) - 1)
    divided = assemble([(blocks, rows_of_blocks), (comma, np.zeros_like(rows_of_blocks))])
    for rows in batches:
        lengths = starts[rows + 1] - starts[rows]
        ends = np.cumsum(lengths)
        # Places of all items of the walks but each one's last, in the order of the rows.
        inside = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        flat = places[np.repeat(starts[rows], lengths) + inside]
        is_last = inside == np.repeat(lengths, lengths) - 1
        heads = np.concatenate([[0], np.cumsum(lengths - 1)])
        wording = how.wording(numbers[rows])
        yield assemble(
            [
                (before, wording),
                (join(divided, flat[~is_last], heads), np.arange(len(rows))),
                (blocks, flat[is_last]),
                (how.end, np.zeros_like(wording)),
            ]
        )


def text_documents(
    path: Path, part: str, how: Sentences, seed: int, shard: int = 0, shards: int = 1
) -> Iterator[Pieces]:
    """The documents of general text of one part (base, train, held_out), row group by row group.

    A shard is a stretch of the row groups, in the order in which they are drawn: one after the
    other, shards hold what one process makes.
    """
    files.read_arrow(path, "documents", ["part"])
    file = pq.ParquetFile(path)
    generator = seeds.generator(seed, "windows")
    order = generator.permutation(file.num_row_groups)
    first, last = (len(order) * end // shards for end in (shard, shard + 1))
    for group in order[:first]:  # the draws of earlier shards are made, and their texts not read
        parts = file.read_row_group(int(group), columns=["part"])["part"]
        generator.permutation(pa.compute.sum(pa.compute.equal(parts, part)).as_py() or 0)
    for group in progress(order[first:last], desc="general text", unit=" row groups"):
        table = file.read_row_group(int(group), columns=["text", "part"])
        texts = table.filter(pa.compute.equal(table["part"], part))["text"]
        rows = generator.permutation(len(texts))
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            batch = texts.take(pa.array(rows[start : start + TEXTS_AT_ONCE])).to_pylist()
            each = np.arange(len(batch))
            found = tokenise(how.tokenizer, batch)
            yield assemble([(found, each), (how.end, np.zeros_like(each))])
