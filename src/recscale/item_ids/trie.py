"""The codes of items as a prefix trie in arrays: what may follow a prefix, for many at once.

Beam search that is constrained to real items (section 8) asks at every step which codes follow the
prefixes of all its beams. A node is a prefix that items have; the nodes of a depth are numbered in
lexicographic order, so that the children of a node are neighbours in the next depth and two whole
numbers tell where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from recscale import files
from recscale.errors import UserError

_CODES = 1 << 16  # codes are below


@dataclass(frozen=True)
class Trie:
    """A trie of the codes of some items.

    Memory: 10 bytes a node, and 8 bytes and two for each code an item. `build` and `read` make it.

    Args:
        item_ids: shape `(items,)`, in lexicographic order of the codes, then of the item's number.
        codes: of these items, shape `(items, width)`.
        last: `width` arrays; entry n of `last[d]` is the last code of node n of depth d + 1.
        children: `width + 1` arrays; the children of node n of depth d are the nodes
            `children[d][n]` to `children[d][n + 1] - 1` of depth d + 1. Depth 0 is the empty
            prefix; the children of a whole id, a leaf, are its rows in `item_ids`.
    """

    item_ids: NDArray[np.int64]
    codes: NDArray[np.uint16]
    last: tuple[NDArray[np.uint16], ...]
    children: tuple[NDArray[np.int64], ...]

    @classmethod
    def build(cls, codes: NDArray[np.integer], item_ids: NDArray[np.integer]) -> Trie:
        """The trie of codes `(items, width)` and the numbers `(items,)` of their items.

        Raises:
            UserError: there are no items or no codes, or their numbers differ.
        """
        if codes.ndim != 2 or not codes.size or len(codes) != len(item_ids):
            raise UserError(
                f"semantic ids have the shape {codes.shape} for {len(item_ids)} items",
                "every item needs its codes; build the semantic ids again",
            )
        order = np.lexsort((item_ids, *codes.T[::-1]))
        rows = codes[order].astype(np.uint16)
        is_new = np.zeros(len(rows), dtype=bool)
        is_new[0] = True
        starts = np.zeros(1, dtype=np.int64)  # rows where the nodes of a depth begin
        last, children = [], []
        for depth in range(rows.shape[1]):
            is_new[1:] |= rows[1:, depth] != rows[:-1, depth]
            above, starts = starts, np.flatnonzero(is_new)
            children.append(np.append(np.searchsorted(starts, above), len(starts)))
            last.append(rows[starts, depth])
        children.append(np.append(starts, len(rows)))
        numbers = np.asarray(item_ids, dtype=np.int64)[order]
        return cls(numbers, rows, tuple(last), tuple(children))

    @classmethod
    def read(cls, path: str | Path) -> Trie:
        """The trie of all items of a file of contract `item_ids`.

        Raises:
            UserError: the file is missing, broken or empty, or items differ in the number of codes.
        """
        table = files.read_arrow(path, "item_ids", ["item_id", "codes"]).combine_chunks()
        widths = pc.unique(pc.list_value_length(table["codes"])).to_pylist()
        if len(widths) != 1 or not widths[0]:
            raise UserError(
                f"{path} holds items of {', '.join(map(str, widths)) or 'no'} codes",
                "every item needs the same number of codes; build the semantic ids again",
            )
        codes = pc.list_flatten(table["codes"]).to_numpy().reshape(len(table), widths[0])
        return cls.build(codes, table["item_id"].to_numpy())

    def restricted_to(self, item_ids: NDArray[np.integer]) -> Trie:
        """The trie of some of the items.

        Raises:
            UserError: one of them has no semantic id, or there are none.
        """
        rows = self.rows_of(np.unique(item_ids))
        return Trie.build(self.codes[rows], self.item_ids[rows])

    @property
    def width(self) -> int:
        """Codes an item."""
        return len(self.last)

    @property
    def leaves(self) -> int:
        """Distinct ids."""
        return len(self.last[-1])

    @property
    def sharers(self) -> NDArray[np.int64]:
        """How many items have the codes of each leaf, shape `(leaves,)`."""
        return np.diff(self.children[-1])

    def items_of(self, leaf: int) -> NDArray[np.int64]:
        """The items that have the codes of a leaf, in order of their numbers."""
        return self.item_ids[self.children[-1][leaf] : self.children[-1][leaf + 1]]

    def first_items(self, leaves: NDArray[np.integer]) -> NDArray[np.int64]:
        """The item with the lowest number of each leaf, in the shape of `leaves`."""
        return self.item_ids[self.children[-1][leaves]]

    def codes_of_leaves(self, leaves: NDArray[np.integer]) -> NDArray[np.int64]:
        """The codes of leaves, in the shape of `leaves` with the codes as the last dimension."""
        return self.codes[self.children[-1][leaves]].astype(np.int64)

    def find(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """The leaf with each of the codes `(..., width)`, -1 where no item has them."""
        node = np.zeros(codes.shape[:-1], dtype=np.int64)
        known = np.ones(codes.shape[:-1], dtype=bool)
        for depth, keys in enumerate(self._keys):
            code = codes[..., depth]
            known &= (code >= 0) & (code < _CODES)
            key = np.where(known, node * _CODES + code, 0)
            node = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            known &= keys[node] == key
        return np.where(known, node, -1)

    def rows_of(self, item_ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """The rows of items in `item_ids`, in the shape asked for.

        Raises:
            UserError: an item has no semantic id.
        """
        place = np.searchsorted(self.item_ids, item_ids, sorter=self._by_id)
        rows = self._by_id[np.minimum(place, len(self._by_id) - 1)]
        unknown = np.asarray(item_ids)[self.item_ids[rows] != item_ids]
        if unknown.size:
            raise UserError(
                f"item {unknown[0]} has no semantic id ({len(np.unique(unknown))} items have none)",
                "build the semantic ids again from the same items",
            )
        return rows

    @cached_property
    def _by_id(self) -> NDArray[np.int64]:
        return np.argsort(self.item_ids, kind="stable")

    @cached_property
    def _keys(self) -> tuple[NDArray[np.int64], ...]:
        """For every depth, parent and last code of each node in one number, ascending."""
        return tuple(
            np.repeat(np.arange(len(first) - 1), np.diff(first)) * _CODES + last
            for first, last in zip(self.children, self.last, strict=False)
        )
