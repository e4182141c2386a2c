"""Stretches of real histories in the place of walks: what raw logs teach, at equal tokens.

The paper holds that raw logs keep models from scaling (section 1), and trains on none. Here a walk
is replaced by as many successive events of one real user, so that template, lengths and tokens are
equal and only the order of the items differs. A stretch begins at any event of the period alike,
whatever its user or item, so active users and popular items weigh as much as in the log. Events of
held-out items are left out before stretches are cut.

Stretch i is a function of the seed, its length, i and the events. A log of a billion events is read
twice, batch by batch, and never held.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.contracts import CONTRACTS
from recscale.errors import UserError, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("curriculum.real_histories")

EVENTS_AT_ONCE = 1_000_000
STRETCHES_AT_ONCE = 65_536


@dataclass(frozen=True)
class Settings:
    """The end of the training period, and how many stretches to cut."""

    seed: int
    train_until: str
    sequences: int


@dataclass(frozen=True)
class Period:
    """The events of training items before `until` (part train) or from it on (held_out)."""

    events: Path
    items: pa.Array
    until: date
    part: str

    def batches(self, columns: list[str], at_once: int) -> Iterator[pa.RecordBatch]:
        """Columns of the events, in the order of users, then time."""
        read = list(dict.fromkeys([*columns, "time", "item_id"]))
        until = pa.scalar(self.until).cast(pa.timestamp("us"))
        when = pc.less if self.part == "train" else pc.greater_equal
        for batch in files.read_batches(self.events, read, at_once):
            of_training = pc.is_in(batch["item_id"], value_set=self.items)
            yield batch.filter(pc.and_(when(batch["time"], until), of_training)).select(columns)

    def users(self, at_once: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The users (users,) in the order of their events, and how many each has (users,).

        Raises:
            UserError: there is no such event, or the users are not in order.
        """
        found, counts = [], []
        for batch in self.batches(["user_id"], at_once):
            users = batch["user_id"].to_numpy()
            first = np.flatnonzero(np.diff(users, prepend=users[:1] - 1))
            found.append(users[first])
            counts.append(np.diff(first, append=len(users)))
        ids = np.concatenate([np.empty(0, dtype=np.int64), *found])
        if not len(ids):
            side = "before" if self.part == "train" else "from"
            raise UserError(
                f"{self.events} holds no event of a training item {side} {self.until}",
                "choose data.train_until inside the period of the log",
            )
        # A user whose events lie in several batches was found in each.
        first = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1))
        if (np.diff(ids[first]) <= 0).any():
            raise UserError(
                f"{self.events} is not ordered by user",
                "delete it and run the target `data` again, which rebuilds it",
            )
        return ids[first], np.add.reduceat(np.concatenate(counts), first)


@dataclass(frozen=True)
class Stretches:
    """Stretches (stretches,) in the order of their first events.

    `numbers` are those of the sequences, `begins` places among the events of the period, `lengths`
    in events, `users` rows of the period's users.
    """

    numbers: NDArray[np.int64]
    begins: NDArray[np.int64]
    lengths: NDArray[np.int64]
    users: NDArray[np.int64]


def walk_lengths(walks: list[Path], sequences: int) -> NDArray[np.int64]:
    """The length of each sequence (sequences,): those of the walks, again and again.

    Raises:
        UserError: a shard is missing or broken, or there are no walks.
    """
    found = [
        pc.list_value_length(batch["items"]).to_numpy().astype(np.int64)
        for path in walks
        for batch in files.read_batches(path, ["items"], EVENTS_AT_ONCE)
    ]
    lengths = np.concatenate([np.empty(0, dtype=np.int64), *found])
    if not len(lengths):
        raise UserError(f"{walks[0]} holds no walks", "delete it and run the same target again")
    return np.resize(lengths, sequences)


def draw(counts: NDArray[np.int64], lengths: NDArray[np.int64], seed: int) -> Stretches:
    """Where stretches of these lengths begin, all places that a user's events allow being alike.

    That is what drawing any event of the log, and again if the user's events end too soon, comes
    to. A sequence longer than the events of every user is left out.

    Args:
        counts: events of each user (users,).
        lengths: events of each sequence (sequences,).
        seed: of the draws.
    """
    chance = seeds.uniform(seed, np.arange(len(lengths)))
    begins = np.full(len(lengths), -1)
    users = np.zeros(len(lengths), dtype=np.int64)
    first_events = np.cumsum(counts) - counts
    for length in np.unique(lengths):
        places = np.maximum(counts - length + 1, 0)
        ends = np.cumsum(places)
        rows = np.flatnonzero(lengths == length)
        if not ends[-1]:
            continue
        chosen = (chance[rows] * ends[-1]).astype(np.int64)
        user = np.searchsorted(ends, chosen, side="right")
        begins[rows] = first_events[user] + chosen - (ends[user] - places[user])
        users[rows] = user
    order = np.argsort(begins, kind="stable")
    order = order[begins[order] >= 0]
    return Stretches(order, begins[order], lengths[order], users[order])


def cut(
    period: Period, users: NDArray[np.int64], found: Stretches, at_once: int
) -> Iterator[pa.RecordBatch]:
    """Rows of contract `real_sequences`; users (users,) are the period's."""
    longest = int(found.lengths.max())
    held = np.empty(0, dtype=np.int64)  # items of events from `place` on
    place = done = 0
    for batch in period.batches(["item_id"], at_once):
        held = np.concatenate([held, batch["item_id"].to_numpy()])
        # A stretch that begins later may need events that were not read yet.
        ready = int(np.searchsorted(found.begins, place + len(held) - longest, side="right"))
        for low in range(done, ready, STRETCHES_AT_ONCE):
            rows = slice(low, min(low + STRETCHES_AT_ONCE, ready))
            yield _rows(users, found, rows, held, place)
        done = max(done, ready)
        passed = max(0, len(held) - longest)
        held, place = held[passed:], place + passed
    for low in range(done, len(found.begins), STRETCHES_AT_ONCE):
        yield _rows(users, found, slice(low, low + STRETCHES_AT_ONCE), held, place)


def _rows(
    users: NDArray, found: Stretches, rows: slice, held: NDArray, place: int
) -> pa.RecordBatch:
    """Some of the stretches; `held` are the items of the events from `place` on."""
    begins, lengths = found.begins[rows] - place, found.lengths[rows]
    ends = np.cumsum(lengths)
    inside = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    schema = CONTRACTS["real_sequences"].arrow_schema()
    items = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], ends]).astype(np.int32)),
        pa.array(held[np.repeat(begins, lengths) + inside]),
        type=schema.field("items").type,
    )
    columns = [pa.array(found.numbers[rows]), pa.array(users[found.users[rows]]), items]
    return pa.record_batch(columns, schema=schema)


def sample(
    period: Period, lengths: NDArray[np.int64], seed: int, at_once: int = EVENTS_AT_ONCE
) -> Iterator[pa.RecordBatch]:
    """Rows of contract `real_sequences`: a stretch of the period for each length.

    Raises:
        UserError: the events are missing, broken or not in order, or no user has enough of them.
    """
    users, counts = period.users(at_once)
    found = draw(counts, lengths, seeds.derive(seed, "real histories", period.part))
    if not len(found.begins):
        raise UserError(
            f"no user of {period.events} has the {lengths.min()} events ({period.part}) of a "
            f"sequence; the most is {counts.max()}",
            "lower curriculum.walks.min_items, or move data.train_until",
        )
    if len(found.begins) < len(lengths):
        log.warning(
            "%d of %d sequences are left out: they are longer than the %d events of any user",
            len(lengths) - len(found.begins),
            len(lengths),
            counts.max(),
        )
    log.info(
        "%d stretches, mean length %.2f, of %d events of %d users",
        len(found.begins),
        found.lengths.mean(),
        counts.sum(),
        len(users),
    )
    batches = cut(period, users, found, at_once)
    yield from progress(batches, desc=f"real histories ({period.part})", unit=" batches")


def main() -> None:
    """Command line: events, and the walks whose place is taken, to stretches of real histories."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--walks", type=Path, nargs="+", required=True, help="shards, for lengths")
    parser.add_argument("--part", choices=["train", "held_out"], required=True)
    parser.add_argument("--sequences", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    items = files.read_table(arguments.items, "items", ["item_id", "split"])
    period = Period(
        arguments.events,
        pa.array(items.loc[items["split"] == "train", "item_id"].to_numpy()),
        date.fromisoformat(settings.train_until),
        arguments.part,
    )
    lengths = walk_lengths(arguments.walks, settings.sequences)
    stretches = sample(period, lengths, settings.seed)
    files.write_record_batches(stretches, arguments.sequences, "real_sequences")


if __name__ == "__main__":
    run_command(main)
