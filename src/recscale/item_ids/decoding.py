"""From semantic ids back to items: exact, nearest and by prefix (Appendix B, Table 7).

The table of codes is held once, its rows in lexicographic order of the codes and its columns
contiguous. Items that begin with the same codes are then neighbouring rows, which binary search
finds. The nearest items come from a scan of all columns: it reads two bytes an item and position
at the speed of memory. Lists of the items that have a code were no faster where codes are skewed,
and need twice the memory of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from recscale import files
from recscale.errors import UserError

MOST_POSITIONS = 255  # equal positions are counted in bytes
LARGEST_CODE = int(np.iinfo(np.uint16).max)


def codes_text(codes: NDArray[np.integer]) -> str:
    """Codes as the paper prints them: `REC5824 REC2334 ...`."""
    return " ".join(f"REC{code}" for code in codes)


@dataclass(frozen=True)
class Neighbours:
    """Items near a query, nearest first; every array has the shape `(found,)`.

    Args:
        item_ids: numbers of the items.
        rows: their rows in the index.
        equal_positions: at how many positions their codes equal the query's.
        common_prefix: how many of their first codes do.
    """

    item_ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    equal_positions: NDArray[np.int64]
    common_prefix: NDArray[np.int64]


class CodeIndex:
    """Items by their codes.

    A row of the index is an item; rows are in lexicographic order of the codes, and in order of
    item id where codes are the same. Memory: 2 bytes an item and position and 20 bytes an item,
    36 MB for a million items of 8 codes. A search for the nearest needs two bytes an item more.

    Args:
        codes: REC numbers, shape `(items, width)`, each below 65,536.
        item_ids: the items' numbers, shape `(items,)`, in any order.

    Raises:
        UserError: there are no items, the width is 0 or unknown, or an item occurs twice.
    """

    def __init__(self, codes: NDArray[np.integer], item_ids: NDArray[np.integer]) -> None:
        if len(codes) == 0 or len(codes) != len(item_ids):
            raise UserError(
                f"a table of semantic ids has {len(item_ids)} items and {len(codes)} rows of codes",
                "build the semantic ids again",
            )
        if codes.ndim != 2 or not 1 <= codes.shape[1] <= MOST_POSITIONS:
            raise UserError(
                f"a table of semantic ids has the shape {codes.shape}",
                f"it needs items and, for each, 1 to {MOST_POSITIONS} codes",
            )
        if codes.min() < 0 or codes.max() > LARGEST_CODE:
            raise UserError(
                f"semantic ids hold REC numbers from {codes.min()} to {codes.max()}",
                f"use numbers from 0 to {LARGEST_CODE}",
            )
        self.width: int = codes.shape[1]
        order = np.argsort(item_ids, kind="stable")
        for position in reversed(range(self.width)):
            # Stable sorts from the last position to the first give the lexicographic order.
            order = order[np.argsort(codes[order, position].astype(np.uint16), kind="stable")]
        self._columns = np.ascontiguousarray(codes[order].T.astype(np.uint16))
        self.item_ids: NDArray[np.int64] = np.asarray(item_ids, dtype=np.int64)[order]
        self._by_id = np.argsort(self.item_ids)
        ascending = self.item_ids[self._by_id]
        twice = np.flatnonzero(ascending[1:] == ascending[:-1])
        if len(twice):
            raise UserError(
                f"item {ascending[twice[0]]} has two semantic ids", "build the semantic ids again"
            )
        self._rank_of_id = np.empty(len(self), dtype=np.int32)
        self._rank_of_id[self._by_id] = np.arange(len(self), dtype=np.int32)

    @classmethod
    def read(cls, path: str | Path) -> CodeIndex:
        """The index of a file of contract `item_ids`.

        Raises:
            UserError: the file is missing or broken, has no rows, or items differ in the number
                of codes.
        """
        table = files.read_arrow(path, "item_ids", ["item_id", "codes"]).combine_chunks()
        if len(table) == 0:
            raise UserError(f"{path} has no rows", "look at the log of the target that wrote it")
        lengths = pc.unique(pc.list_value_length(table["codes"])).to_pylist()
        if len(lengths) != 1 or not lengths[0]:
            raise UserError(
                f"{path} holds items of {', '.join(map(str, lengths))} codes",
                "every item needs the same number of codes; build the semantic ids again",
            )
        codes = pc.list_flatten(table["codes"]).to_numpy().reshape(len(table), lengths[0])
        return cls(codes, table["item_id"].to_numpy())

    def __len__(self) -> int:
        return len(self.item_ids)

    def codes_of(self, item_id: int) -> NDArray[np.uint16]:
        """The codes of an item, shape `(width,)`; raises UserError if the index lacks it."""
        rank = int(np.searchsorted(self.item_ids, item_id, sorter=self._by_id))
        if rank == len(self) or self.item_ids[self._by_id[rank]] != item_id:
            raise UserError(f"item {item_id} has no semantic id", "use an item of the table")
        return self._columns[:, self._by_id[rank]].copy()

    def exact(self, codes: ArrayLike) -> NDArray[np.int64]:
        """The items that have just these codes, in order of item id.

        Raises:
            UserError: there are not `width` codes, or one is no REC number.
        """
        low, high = self.prefix_range(self._whole(codes))
        return self.item_ids[low:high]

    def prefix_range(self, prefix: ArrayLike) -> tuple[int, int]:
        """The rows `low` to `high - 1` of the index whose codes begin with `prefix`.

        `low` equals `high` where no item does; the empty prefix gives all rows.

        Raises:
            UserError: the prefix is longer than the ids, or one of its codes is no REC number.
        """
        return self._ranges(self._rec_numbers(prefix))[-1]

    def next_codes(self, prefix: ArrayLike) -> NDArray[np.uint16]:
        """The codes that follow `prefix` in the table: distinct, ascending, shape `(codes,)`.

        None follow a prefix that no item has, or a whole id.

        Raises:
            UserError: as `prefix_range`.
        """
        numbers = self._rec_numbers(prefix)
        low, high = self._ranges(numbers)[-1]
        if low == high or len(numbers) == self.width:
            return np.empty(0, dtype=np.uint16)
        column = self._columns[len(numbers), low:high]
        last = int(column[-1])
        if len(column) <= last:
            return column[np.concatenate([[True], column[1:] != column[:-1]])]
        # More rows than codes there can be: look for each code rather than at each row.
        every = np.arange(last + 1, dtype=np.uint16)
        begins = np.searchsorted(column, every, "left")
        return every[np.searchsorted(column, every, "right") > begins]

    def nearest(self, codes: ArrayLike, count: int = 10) -> Neighbours:
        """The `count` items nearest to `codes`, or all if there are fewer.

        First come items with more equal positions, among them those with the longer common prefix,
        and then those with the smaller item id. The answer is exact.

        Raises:
            UserError: there are not `width` codes, one is no REC number, or `count` is below 1.
        """
        numbers = self._whole(codes)
        if count < 1:
            raise UserError(f"the number of nearest items is {count}", "ask for at least one")
        count = min(count, len(self))
        equal = np.zeros(len(self), dtype=np.uint8)
        for column, code in zip(self._columns, numbers, strict=True):
            equal += column == code
        level = self.width
        while np.count_nonzero(equal >= level) < count:
            level -= 1
        rows = np.flatnonzero(equal >= max(level, 1))
        if level == 0:  # too few items share a code: the smallest ids of the others fill up
            others = self._by_id[: count + len(rows)]
            rows = np.concatenate([rows, others[equal[others] == 0]])
        prefix = np.zeros(len(rows), dtype=np.int64)
        for low, high in self._ranges(numbers)[1:]:
            prefix += (low <= rows) & (rows < high)
        score = equal[rows] * np.int64(self.width + 1) + prefix
        key = self._rank_of_id[rows] - score * len(self)  # no two items have the same
        if len(rows) > count:
            few = np.argpartition(key, count - 1)[:count]
            rows, prefix, key = rows[few], prefix[few], key[few]
        order = np.argsort(key)
        rows = rows[order]
        return Neighbours(self.item_ids[rows], rows, equal[rows].astype(np.int64), prefix[order])

    def _ranges(self, numbers: NDArray[np.uint16]) -> list[tuple[int, int]]:
        """The range of rows of each prefix of `numbers`, from the empty one to the whole."""
        low, high = 0, len(self)
        ranges = [(low, high)]
        for column, code in zip(self._columns, numbers, strict=False):
            # `code` is of the column's type: of another, numpy would convert the whole column.
            rows = column[low:high]
            high = low + int(np.searchsorted(rows, code, "right"))
            low += int(np.searchsorted(rows, code, "left"))
            ranges.append((low, high))
        return ranges

    def _whole(self, codes: ArrayLike) -> NDArray[np.uint16]:
        numbers = self._rec_numbers(codes)
        if len(numbers) != self.width:
            raise UserError(
                f"a query has {len(numbers)} codes, the items have {self.width}",
                "use codes of the same semantic ids",
            )
        return numbers

    def _rec_numbers(self, codes: ArrayLike) -> NDArray[np.uint16]:
        numbers = np.asarray(codes)
        if numbers.size == 0:
            return np.empty(0, dtype=np.uint16)
        whole = numbers.ndim == 1 and np.issubdtype(numbers.dtype, np.integer)
        if not whole or numbers.min() < 0 or numbers.max() > LARGEST_CODE:
            raise UserError(
                f"{codes!r} are no REC numbers", f"use whole numbers from 0 to {LARGEST_CODE}"
            )
        if len(numbers) > self.width:
            raise UserError(
                f"a query has {len(numbers)} codes, the items have {self.width}",
                "use codes of the same semantic ids",
            )
        return numbers.astype(np.uint16)
