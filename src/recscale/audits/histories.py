"""What the audits compare: real histories of the training period, walks, and stretches of either.

Items are numbered by their place among the training items; other items are left out, since the
curriculum is kept from them on purpose. Where a log has more users than an audit takes, users are
chosen by hash and with all their events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from recscale import files, seeds
from recscale.contracts import CONTRACTS
from recscale.curriculum import real_histories
from recscale.errors import UserError
from recscale.item_ids import catalogue
from recscale.ranking.sequences import Integers, Sequences, Vocabulary, batches

EVENTS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Items:
    """The training items in increasing order of item_id: item_ids and leaf categories (items,).

    Leaves are numbered from 0; -1: the log has none for the item.
    """

    item_ids: Integers
    leaf: Integers

    @classmethod
    def read(cls, path: Path) -> Items:
        """From a table under the contract `items`.

        Raises:
            UserError: the table is missing or broken, or has no training item.
        """
        found = catalogue.read(path)
        order = np.flatnonzero(found.train)
        order = order[np.argsort(found.item_ids[order])]
        if not len(order):
            raise UserError(f"{path} holds no training item", "move data.train_until")
        leaf = np.full(len(order), -1)
        known = found.leaf[order] >= 0
        leaf[known] = np.unique(found.leaf[order][known], return_inverse=True)[1]
        return cls(found.item_ids[order], leaf)

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def leaves(self) -> int:
        """How many leaf categories there are."""
        return int(self.leaf.max()) + 1

    def numbers(self, item_ids: Integers) -> Integers:
        """The items' numbers from 0, -1 for what is no training item."""
        return Vocabulary(self.item_ids).encode(item_ids) - 1

    def encode(self, sequences: Sequences) -> Sequences:
        """Sequences in numbers, without what is no training item and what becomes empty."""
        numbers = self.numbers(sequences.values)
        kept = Sequences(numbers, sequences.offsets).keep_items(numbers >= 0)
        return kept.take(np.flatnonzero(kept.lengths))


@dataclass(frozen=True)
class Histories:
    """Real histories: users (users,), their items in the order of time, and where sessions begin.

    `new_session` (events,) is true at an item whose session is not that of the item before.
    """

    users: Integers
    items: Sequences
    new_session: NDArray[np.bool_]

    def sessions(self) -> Sequences:
        """The items of each session, session by session."""
        starts = np.flatnonzero(self.new_session)
        lengths = np.diff(starts, append=len(self.new_session))
        return Sequences.from_lengths(self.items.values, lengths)

    def take(self, rows: Integers) -> Sequences:
        """The items of some users."""
        return self.items.take(rows)


def training_events(
    events: Path, train_until: str, users: Integers | None = None
) -> Iterator[pa.RecordBatch]:
    """The events (contract `events`) before `train_until`, of some users (None: of all)."""
    until = pa.scalar(date.fromisoformat(train_until)).cast(pa.timestamp("us"))
    chosen = None if users is None else pa.array(users)
    columns = CONTRACTS["events"].arrow_schema().names
    for batch in files.read_batches(events, columns, EVENTS_AT_ONCE):
        kept = pc.less(batch["time"], until)
        if chosen is not None:
            kept = pc.and_(kept, pc.is_in(batch["user_id"], value_set=chosen))
        yield batch.filter(kept)


def choose_users(events: Path, train_until: str, most: int | None, seed: int) -> Integers:
    """The users with events before `train_until`, in increasing order: all, or `most` by hash.

    Raises:
        UserError: there are none.
    """
    found = [
        np.unique(batch["user_id"].to_numpy()) for batch in training_events(events, train_until)
    ]
    users = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))
    if not len(users):
        raise UserError(
            f"{events} holds no event before {train_until}",
            "choose data.train_until inside the period of the log",
        )
    if most is None or most >= len(users):
        return users
    order = np.argsort(seeds.hash_keys(seeds.derive(seed, "audited users"), users))
    return np.sort(users[order[:most]])


def read_histories(
    events: Path, train_until: str, items: Items, users: Integers | None = None
) -> Histories:
    """The histories of the training period; users without a training item are left out.

    Raises:
        UserError: the events are missing, broken or not in the order of users, or none is left.
    """
    columns: list[list[NDArray]] = [[], [], []]
    for batch in training_events(events, train_until, users):
        numbers = items.numbers(batch["item_id"].to_numpy())
        kept = numbers >= 0
        for column, values in zip(
            columns,
            (batch["user_id"].to_numpy(), batch["session_id"].to_numpy(), numbers),
            strict=True,
        ):
            column.append(values[kept])
    empty = np.zeros(0, dtype=np.int64)
    user, session, item = (np.concatenate([empty, *column]) for column in columns)
    first = np.diff(user, prepend=user[:1] - 1)
    if not len(user) or (first < 0).any():
        raise UserError(
            f"{events} holds no event of a training item in the order of users",
            "delete it and run the target data again",
        )
    starts = np.flatnonzero(first)
    new = (np.diff(session, prepend=session[:1] - 1) != 0) | (first != 0)
    lengths = np.diff(starts, append=len(user))
    return Histories(user[starts], Sequences.from_lengths(item, lengths), new)


def read_walks(paths: Sequence[Path], items: Items, most: int | None) -> Sequences:
    """The first `most` walks (None: all) in item numbers.

    Raises:
        UserError: a shard is missing or broken, or there is no walk.
    """
    parts, found = [], 0
    for batch in batches(list(paths), ["items"]):
        rows = batch.num_rows if most is None else min(batch.num_rows, most - found)
        parts.append(items.encode(Sequences.from_arrow(batch.column("items").slice(0, rows))))
        found += rows
        if found == most:
            break
    if not found:
        raise UserError(f"{paths[0]} holds no walk", "delete it and run the same target again")
    return Sequences.from_parts(iter(parts), None, "walks")


def stretches(histories: Sequences, lengths: Integers, seed: int) -> Sequences:
    """One stretch of successive items of each history, as long as a walk, for a fair comparison.

    Args:
        histories: of users.
        lengths: of walks; a history takes one at random, or all its items where it has fewer.
    """
    rows = np.arange(len(histories))
    chance = seeds.uniform(seeds.derive(seed, "length of stretch"), rows)
    wanted = lengths[(chance * len(lengths)).astype(np.int64)]
    length = np.minimum(wanted, histories.lengths)
    place = seeds.uniform(seeds.derive(seed, "place of stretch"), rows)
    begin = histories.offsets[:-1] + (place * (histories.lengths - length + 1)).astype(np.int64)
    found = Sequences.from_lengths(np.empty(0, dtype=np.int64), length)
    inside = np.arange(length.sum()) - np.repeat(found.offsets[:-1], length)
    return Sequences(histories.values[np.repeat(begin, length) + inside], found.offsets)


def stretches_like(histories: Sequences, lengths: Integers, seed: int) -> Sequences:
    """Stretches of real histories as many and as long as walks, drawn as those of the control.

    A stretch begins at any event alike, so that active users give more of them
    (`recscale.curriculum.real_histories`); walks longer than every history have none.

    Raises:
        UserError: no history is as long as the shortest walk.
    """
    found = real_histories.draw(histories.lengths.astype(np.int64), lengths.astype(np.int64), seed)
    if not len(found.begins):
        raise UserError(
            f"no history has the {lengths.min()} items of the shortest walk",
            "lower curriculum.walks.min_items, or audit more users (audits.users)",
        )
    made = Sequences.from_lengths(np.empty(0, dtype=np.int64), found.lengths)
    inside = np.arange(made.offsets[-1]) - np.repeat(made.offsets[:-1], found.lengths)
    return Sequences(
        histories.values[np.repeat(found.begins, found.lengths) + inside], made.offsets
    )


def shuffled(sequences: Sequences, seed: int) -> Sequences:
    """As long sequences of the same items, dealt out anew: popularity without structure."""
    order = seeds.generator(seed, "audits", "shuffled").permutation(len(sequences.values))
    return Sequences(sequences.values[order], sequences.offsets)


def within(sequences: Sequences) -> tuple[Integers, Integers]:
    """Places (pairs,) of successive items of one sequence: the first's, and the sequence's row."""
    row = np.repeat(np.arange(len(sequences)), sequences.lengths)
    place = np.flatnonzero(row[1:] == row[:-1]) if len(row) else np.zeros(0, dtype=np.int64)
    return place, row[place] if len(place) else place


def counts(rows: Integers, cells: Integers, shape: tuple[int, int]) -> sparse.csr_matrix:
    """How often each cell occurs in each row, shape `shape`."""
    ones = np.ones(len(rows))
    return sparse.csr_matrix((ones, (rows, cells)), shape=shape)


def item_counts(sequences: Sequences, items: int) -> sparse.csr_matrix:
    """How often each item occurs in each sequence, shape `(sequences, items)`."""
    row = np.repeat(np.arange(len(sequences)), sequences.lengths)
    return counts(row, sequences.values, (len(sequences), items))
