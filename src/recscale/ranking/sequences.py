"""Sequences of items end to end, read batch by batch, and the vocabulary both arms share.

At the paper's size walks and histories do not fit into memory. They are read twice, once for the
items and once to be filtered and numbered, and what is kept lies in memory-mapped files; reading,
drawing and training then need memory for a batch, not for the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recscale import files

Integers = NDArray[np.integer]
Source: TypeAlias = "pa.Table | Sequence[Path]"
ROWS_AT_ONCE = 65_536


def batches(source: Source, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a table in memory, or of files, batch by batch.

    Raises:
        UserError: a file is missing or truncated, or lacks a column.
    """
    if isinstance(source, pa.Table):
        yield from source.select(columns).to_batches(ROWS_AT_ONCE)
        return
    for path in source:
        yield from files.read_batches(path, columns, ROWS_AT_ONCE)


@dataclass(frozen=True)
class Sequences:
    """Sequences of items end to end: sequence i is `values[offsets[i] : offsets[i + 1]]`."""

    values: Integers
    offsets: Integers

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray | pa.Array) -> Sequences:
        """From a list column without nulls."""
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
        values = pc.list_flatten(column).to_numpy(zero_copy_only=False)
        return cls.from_lengths(values.astype(np.int64), lengths)

    @classmethod
    def from_lengths(cls, values: Integers, lengths: Integers) -> Sequences:
        """From the items end to end and the length of each sequence."""
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @classmethod
    def from_parts(cls, parts: Iterator[Sequences], folder: Path | None, name: str) -> Sequences:
        """Parts one after the other: in memory, or memory-mapped in `folder` under `name`."""
        if folder is None:
            found = list(parts)
            values = [p.values for p in found] or [np.zeros(0, np.int64)]
            lengths = [p.lengths for p in found] or [np.zeros(0, np.int64)]
            return cls.from_lengths(np.concatenate(values), np.concatenate(lengths))
        folder.mkdir(parents=True, exist_ok=True)
        names = [folder / f"{name}.{kind}" for kind in ("values", "offsets")]
        with open(names[0], "wb") as values_file, open(names[1], "wb") as offsets_file:
            np.zeros(1, np.int64).tofile(offsets_file)
            total = 0
            for part in parts:
                part.values.astype(np.uint32).tofile(values_file)
                (part.offsets[1:] + total).astype(np.int64).tofile(offsets_file)
                total += int(part.offsets[-1])
        if not total:
            return cls(np.zeros(0, np.uint32), np.fromfile(names[1], np.int64))
        return cls(np.memmap(names[0], np.uint32, "r"), np.memmap(names[1], np.int64, "r"))

    @property
    def lengths(self) -> Integers:
        """Items in each sequence, shape `(sequences,)`."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> Integers:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def keep_items(self, kept: NDArray[np.bool_]) -> Sequences:
        """The sequences without the items where `kept` (shape of `values`) is false."""
        before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return Sequences(self.values[kept], before[self.offsets])

    def append(self, items: Integers) -> Sequences:
        """Each sequence with its item of `items` (shape `(sequences,)`) at the end; 0 adds none."""
        some = items != 0
        values = np.insert(self.values, self.offsets[1:][some], items[some])
        return Sequences.from_lengths(values, self.lengths + some)

    def take(self, rows: Integers) -> Sequences:
        """The sequences `rows`, in that order."""
        lengths = self.offsets[np.asarray(rows) + 1] - self.offsets[rows]
        result = Sequences.from_lengths(np.empty(0, dtype=np.int64), lengths)
        starts = np.repeat(self.offsets[rows] - result.offsets[:-1], lengths)
        return Sequences(self.values[starts + np.arange(lengths.sum())], result.offsets)

    def counts(self, items: int) -> Integers:
        """How often each of the numbers 1 to `items` occurs, shape `(items,)`."""
        return np.bincount(self.values, minlength=items + 1)[1:]


def item_counts(source: Source, column: str) -> tuple[Integers, Integers]:
    """The distinct items of a list column in increasing order, and how often each occurs."""
    items, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for batch in batches(source, [column]):
        values = pc.list_flatten(batch.column(column)).to_numpy(zero_copy_only=False)
        found, number = np.unique(values, return_counts=True)
        together = np.concatenate([items, found.astype(np.int64)])
        items, place = np.unique(together, return_inverse=True)
        weights = np.concatenate([counts, number]).astype(np.float64)
        counts = np.bincount(place, weights=weights, minlength=len(items)).astype(np.int64)
    return items, counts


@dataclass(frozen=True)
class Vocabulary:
    """The items both arms can rank, in increasing order of item_id."""

    items: Integers

    @classmethod
    def common(cls, walks: Source, histories: Source, least: int = 1) -> Vocabulary:
        """Items that occur `least` times or more in the walks, and as often in the training part of
        the real histories."""
        synthetic, in_walks = item_counts(walks, "items")
        real, in_histories = item_counts(histories, "items")
        return cls(np.intersect1d(synthetic[in_walks >= least], real[in_histories >= least]))

    def __len__(self) -> int:
        return len(self.items)

    def encode(self, items: Integers) -> Integers:
        """Numbers 1 to n of `items`, 0 for those outside the vocabulary."""
        if not len(self):
            return np.zeros(len(items), dtype=np.int64)
        place = np.minimum(np.searchsorted(self.items, items), len(self) - 1)
        return np.where(self.items[place] == items, place + 1, 0).astype(np.int64)

    def filter(self, sequences: Sequences) -> Sequences:
        """The sequences in numbers, without the items outside the vocabulary."""
        numbers = self.encode(sequences.values)
        return Sequences(numbers, sequences.offsets).keep_items(numbers != 0)
