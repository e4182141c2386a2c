"""Training examples and test rows of the TSTR/TRTR comparison (section 5.2, Figure 1).

Both arms share one vocabulary, one validation set and one test set; only the training examples
differ. An example is a prefix of a history (its last items) with the item that follows. Items are
numbered 1 to n by their place in the vocabulary in both arms; 0 is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recscale.errors import UserError
from recscale.seeds import generator

Integers = NDArray[np.int64]
ARMS = ("tstr", "trtr")


@dataclass(frozen=True)
class Sequences:
    """Sequences of items end to end: sequence i is `values[offsets[i] : offsets[i + 1]]`."""

    values: Integers
    offsets: Integers

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray) -> Sequences:
        """From a list column without nulls."""
        lengths = pc.list_value_length(column).to_numpy().astype(np.int64)
        return cls.from_lengths(pc.list_flatten(column).to_numpy().astype(np.int64), lengths)

    @classmethod
    def from_lengths(cls, values: Integers, lengths: Integers) -> Sequences:
        """From the items end to end and the length of each sequence."""
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

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
        lengths = self.lengths[rows]
        result = Sequences.from_lengths(np.empty(0, dtype=np.int64), lengths)
        starts = np.repeat(self.offsets[rows] - result.offsets[:-1], lengths)
        return Sequences(self.values[starts + np.arange(lengths.sum())], result.offsets)


@dataclass(frozen=True)
class Vocabulary:
    """The items both arms can rank, in increasing order of item_id."""

    items: Integers

    @classmethod
    def common(cls, walks: Sequences, histories: Sequences) -> Vocabulary:
        """Items that occur in the walks and in the training part of the real histories."""
        return cls(np.intersect1d(walks.values, histories.values))

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
    """Examples that the sequences hold: every item but the first of a sequence is a target."""
    return int(np.maximum(sequences.lengths - 1, 0).sum())


def sample_prefixes(
    sequences: Sequences, size: int, history_length: int, random: np.random.Generator
) -> Examples:
    """`size` different examples, drawn uniformly, in the order of the sequences."""
    counts = np.maximum(sequences.lengths - 1, 0)
    ends = np.cumsum(counts)
    drawn = np.sort(random.choice(int(counts.sum()), size, replace=False, shuffle=False))
    rows = np.searchsorted(ends, drawn, side="right")
    targets = sequences.offsets[rows] + 1 + drawn - (ends[rows] - counts[rows])
    return last_items(sequences, targets, rows, history_length)


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


@dataclass(frozen=True)
class Comparison:
    """All that the two arms share, and the filtered sequences each of them trains on."""

    vocabulary: Vocabulary
    sequences: dict[str, Sequences]
    validation: RealRows
    test: RealRows
    history_length: int

    def available(self, arm: str) -> int:
        """Examples the arm's sequences hold."""
        return count_prefixes(self.sequences[arm])

    def training_examples(self, arm: str, size: int, seed: int) -> Examples:
        """`size` examples of the arm, drawn with a seed of the arm's own."""
        random = generator(seed, "ranking", "examples", arm)
        return sample_prefixes(self.sequences[arm], size, self.history_length, random)


def compare(histories: pa.Table, walks: pa.Table, history_length: int) -> Comparison:
    """Build the comparison from tables under the contracts `histories` and `walks`.

    Real histories and walks are filtered to the vocabulary (the note under Figure 1). Validation
    ranks valid_item after items; the test ranks test_item after items and valid_item. Users are in
    increasing order of user_id.

    Raises:
        UserError: no history, no walk, no common item, or nobody to validate or test on.
    """
    if not histories.num_rows:
        raise UserError(
            "--histories holds no user", "check the data stage: users need all three periods"
        )
    if not walks.num_rows:
        raise UserError("--walks holds no walk", "raise curriculum.walks.ranking or loosen rules")
    histories = histories.sort_by("user_id")
    users = histories["user_id"].to_numpy()
    real = Sequences.from_arrow(histories["items"])
    synthetic = Sequences.from_arrow(walks["items"])
    vocabulary = Vocabulary.common(synthetic, real)
    valid_items = vocabulary.encode(histories["valid_item"].to_numpy())
    test_items = vocabulary.encode(histories["test_item"].to_numpy())
    filtered = vocabulary.filter(real)
    validation = real_rows(users, filtered, valid_items, history_length)
    test = real_rows(users, filtered.append(valid_items), test_items, history_length)
    for rows, column in ((validation, "valid_item"), (test, "test_item")):
        if not len(rows.users):
            raise UserError(
                f"no {column} of --histories is among the {len(vocabulary)} items that --walks "
                "and --histories have in common",
                "make more walks (curriculum.walks.ranking) or lower curriculum.rules.min_support",
            )
    arms = {"tstr": vocabulary.filter(synthetic), "trtr": filtered}
    return Comparison(vocabulary, arms, validation, test, history_length)
