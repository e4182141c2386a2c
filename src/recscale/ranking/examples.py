"""Training examples and test rows of the TSTR/TRTR comparison (section 5.2, Figure 1).

Both arms share one vocabulary, one validation set and one test set; only the training examples
differ. An example is a prefix of a history (its last items) with the item that follows. Items are
numbered 1 to n by their place in the vocabulary in both arms; 0 is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recscale.ranking.sequences import Integers, Sequences
from recscale.seeds import generator


@dataclass(frozen=True)
class Examples:
    """Prefixes and their next items.

    `histories` has shape `(examples, history_length)`, oldest item first, padded with 0 on the
    right; `lengths` and `targets` have shape `(examples,)`.
    """

    histories: Integers
    lengths: Integers
    targets: Integers

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Integers) -> Examples:
        """The examples `rows`, in that order."""
        return Examples(self.histories[rows], self.lengths[rows], self.targets[rows])


@dataclass(frozen=True)
class Prefixes:
    """Examples of sequences, made when they are asked for: only `drawn` numbers are in memory.

    Every item but the first of a sequence is a target; targets are numbered through all sequences.
    drawn (examples,): numbers in increasing order; None: all.
    """

    sequences: Sequences
    history_length: int
    drawn: Integers | None

    @classmethod
    def sample(
        cls, sequences: Sequences, size: int, history_length: int, random: np.random.Generator
    ) -> Prefixes:
        """`size` different examples, drawn uniformly."""
        available = count_prefixes(sequences)
        if size >= available:
            return cls(sequences, history_length, None)
        drawn = np.sort(random.choice(available, size, replace=False, shuffle=False))
        return cls(sequences, history_length, drawn)

    def __len__(self) -> int:
        return count_prefixes(self.sequences) if self.drawn is None else len(self.drawn)

    def take(self, rows: Integers) -> Examples:
        """The examples `rows`, in that order."""
        numbers = np.asarray(rows) if self.drawn is None else self.drawn[rows]
        # Without empty sequences, sequence i has targets offsets[i] - i to offsets[i + 1] - i - 2.
        offsets = self.sequences.offsets
        low = np.zeros(len(numbers), dtype=np.int64)
        high = np.full(len(numbers), len(self.sequences), dtype=np.int64)
        while (active := high - low > 1).any():
            middle = (low + high) // 2
            before = offsets[middle] - middle <= numbers
            low = np.where(active & before, middle, low)
            high = np.where(active & ~before, middle, high)
        return last_items(self.sequences, numbers + low + 1, low, self.history_length)


@dataclass(frozen=True)
class Joined:
    """The examples of several parts, one after the other."""

    parts: tuple[Prefixes, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def take(self, rows: Integers) -> Examples:
        """The examples `rows`, in that order."""
        rows = np.asarray(rows)
        ends = np.cumsum([len(part) for part in self.parts])
        which = np.searchsorted(ends, rows, side="right")
        found = []
        for number, part in enumerate(self.parts):
            first = ends[number] - len(part)
            found.append(part.take(rows[which == number] - first))
        order = np.argsort(np.argsort(which, kind="stable"), kind="stable")
        columns = ((e.histories, e.lengths, e.targets) for e in found)
        histories, lengths, targets = (np.concatenate(c)[order] for c in zip(*columns, strict=True))
        return Examples(histories, lengths, targets)


TrainingExamples = Examples | Prefixes | Joined


@dataclass(frozen=True)
class RealRows:
    """Real users with a next item to rank: a validation or test set, row by row.

    `all_items` are the users' whole filtered histories, of which `examples` shows the last.
    """

    users: Integers
    examples: Examples
    all_items: Sequences

    def target_in_history(self) -> NDArray[np.bool_]:
        """Whether each target is in the user's whole filtered history, shape `(users,)`."""
        found = self.all_items.values == np.repeat(self.examples.targets, self.all_items.lengths)
        before = np.concatenate([[0], np.cumsum(found)])[self.all_items.offsets]
        return np.diff(before) > 0


def last_items(sequences: Sequences, ends: Integers, rows: Integers, length: int) -> Examples:
    """Examples whose targets stand at `ends` (indices into the values) of the sequences `rows`."""
    starts = np.maximum(sequences.offsets[rows], ends - length)
    place = starts[:, None] + np.arange(length)
    inside = place < ends[:, None]
    histories = np.where(inside, sequences.values[np.where(inside, place, 0)], 0)
    return Examples(histories, ends - starts, sequences.values[ends])


def count_prefixes(sequences: Sequences) -> int:
    """Examples that the sequences hold, none of which is empty."""
    return int(sequences.offsets[-1]) - len(sequences)


def real_rows(
    users: Integers, histories: Sequences, targets: Integers, history_length: int
) -> RealRows:
    """The users with a target in the vocabulary (not 0) and a filtered history that is not empty.

    Args:
        users: shape `(users,)`.
        histories: filtered histories in numbers.
        targets: next items in numbers, shape `(users,)`.
        history_length: last items of a history that an example shows.
    """
    rows = np.flatnonzero((targets != 0) & (histories.lengths > 0))
    kept = histories.take(rows)
    ended = kept.append(targets[rows])
    examples = last_items(ended, ended.offsets[1:] - 1, np.arange(len(rows)), history_length)
    return RealRows(users[rows], examples, kept)


def draw(sequences: Sequences, name: str, size: int, history_length: int, seed: int) -> Prefixes:
    """`size` examples of sequences, drawn with a seed of their name."""
    random = generator(seed, "ranking", "examples", name)
    return Prefixes.sample(sequences, size, history_length, random)
