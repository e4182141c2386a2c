"""What the methods of semantic ids need to know of the items, without their texts in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files
from recscale.errors import UserError
from recscale.item_ids.text import item_texts

ROWS_AT_ONCE = 65_536
COLUMNS = ["item_id", "title", "brand", "c0", "c1", "c2", "size", "color", "split"]


@dataclass(frozen=True)
class Catalogue:
    """The items in the order of their table: (items,) each.

    item_ids; train, whether an item is one of training; text, equal where the items' texts are;
    leaf and top, equal where their leaf or their top categories are, -1 where the log has none.
    """

    item_ids: NDArray[np.int64]
    train: NDArray[np.bool_]
    text: NDArray[np.int64]
    leaf: NDArray[np.int64]
    top: NDArray[np.int64]

    @property
    def first_of_text(self) -> NDArray[np.bool_]:
        """Which items are the first with their text."""
        first = np.zeros(len(self.text), dtype=bool)
        first[np.unique(self.text, return_index=True)[1]] = True
        return first


def read(path: Path) -> Catalogue:
    """Read an items table batch by batch; texts and categories are kept as 64-bit hashes only.

    Raises:
        UserError: the table is missing, truncated, empty or lacks a column.
    """
    columns: list[list[NDArray]] = [[], [], [], [], []]
    for batch in files.read_batches(path, COLUMNS, ROWS_AT_ONCE):
        frame = batch.to_pandas()
        levels = frame[["c0", "c1", "c2"]]
        names = levels.astype(object).fillna("")
        # A leaf is told by its whole path: an `Other` of two categories is two leaves.
        leaf = names["c0"] + "\n" + names["c1"] + "\n" + names["c2"]
        found = (
            frame["item_id"].to_numpy(),
            (frame["split"] == "train").to_numpy(),
            _hash(np.array(item_texts(frame), dtype=object)),
            np.where(levels.isna().all(axis=1), -1, _hash(leaf.to_numpy(dtype=object))),
            np.where(levels["c0"].isna(), -1, _hash(names["c0"].to_numpy(dtype=object))),
        )
        for column, part in zip(columns, found, strict=True):
            column.append(part)
    if not columns[0]:
        raise UserError(f"{path} has no items", "look at the log of the target data")
    return Catalogue(*(np.concatenate(column) for column in columns))


def _hash(values: NDArray) -> NDArray[np.int64]:
    hashes = pd.util.hash_array(values, categorize=False)
    return (hashes >> np.uint64(1)).astype(np.int64)  # never -1
