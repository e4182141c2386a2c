"""A simulated C2C marketplace that writes MerRec's schema, with the truth beside it.

    python -m recscale.data.world --folder world --settings '{"seed": 1, "users": 3000, ...}'

Shards are as MerRec's: a folder a month, named by its first day; a user's month lies in one shard.
The log has MerRec's oddities: repeated rows, rows out of order, a truncated last day, listings that
change their title, missing brands, sizes and colours. `truth/` holds the vectors of users and
listings (`world_catalogue.true_preference` takes them), every slate that was shown, and the
settings: what no real log can tell. The same settings give the same events, whatever the number of
shards.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.data.merrec_schema import EVENT_TYPES, SCHEMA
from recscale.data.world_catalogue import LIFE, Catalogue, Users, catalogue, population
from recscale.data.world_events import SLATE, Dials, Events, events_of_users, is_logged, simulate
from recscale.errors import UserError, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("data.world")

FIRST_DAY = np.datetime64("2023-05-01T00:00:00", "us")
DUPLICATES = 0.0008
EVENTS_AT_ONCE = 200_000


@dataclass(frozen=True)
class Settings:
    """The `data.world` block of the config, and the seed."""

    seed: int
    users: int
    items: int
    events: int
    months: int
    shards: int
    position_bias: float
    popularity_bias: float
    exposure_bias: float
    noise: float

    def check(self) -> None:
        """Raise UserError, naming the key, for a world that cannot be."""
        for name in ("position_bias", "popularity_bias", "exposure_bias", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(
                    f"data.world.{name} is {getattr(self, name)}", "use a number from 0 to 1"
                )
        least = {"users": 1, "items": 100, "months": 1, "shards": 1, "events": self.users}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise UserError(
                    f"data.world.{name} is {getattr(self, name)}", f"use {value} or more"
                )
        if self.months > 6:
            raise UserError(f"data.world.months is {self.months}", "MerRec has 6; use 1 to 6")

    def dials(self) -> Dials:
        """The four dials."""
        names = [field.name for field in dataclasses.fields(Dials)]
        return Dials(**{name: getattr(self, name) for name in names})


def month_starts(months: int) -> NDArray[np.datetime64]:
    """The first days of so many months, and of the one after them."""
    return (np.datetime64("2023-05") + np.arange(months + 1)).astype("datetime64[us]")


def blocks(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of users with about EVENTS_AT_ONCE events each."""
    ends = np.cumsum(counts)
    cuts = np.searchsorted(ends, np.arange(EVENTS_AT_ONCE, ends[-1], EVENTS_AT_ONCE), "left") + 1
    edges = np.unique(np.concatenate([[0], cuts, [len(counts)]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def rows_of(events: Events, users: Users, items: Catalogue, seed: int) -> pa.Table:
    """Events as rows of MerRec's schema, ordered by user and roughly by time, some repeated."""
    draw = seeds.uniform(seeds.derive(seed, "world order"), events.user, events.number)
    repeated = draw < DUPLICATES
    order = np.lexsort((events.time + np.where(draw > 0.98, 90.0, 0.0), events.user))
    order = np.repeat(order, 1 + repeated[order])
    user, time, item = events.user[order], events.time[order], events.item[order]
    month = (FIRST_DAY + (time * 1e6).astype("timedelta64[us]")).astype("datetime64[M]").astype(int)
    sequence = month - FIRST_DAY.astype("datetime64[M]").astype(int) + 1
    first = np.concatenate([[True], (user[1:] != user[:-1]) | (month[1:] != month[:-1])])
    place = np.flatnonzero(first)
    lengths = np.diff(np.append(place, len(user)))
    listing = items.columns.take(pa.array(item))
    titles = listing["name"].combine_chunks().to_pylist()
    late = time > items.birth[item] + LIFE / 2
    changed = items.renamed.take(pa.array(item[late])).to_pylist()
    for row, text in zip(np.flatnonzero(late).tolist(), changed, strict=True):
        titles[row] = text
    columns = {
        "user_id": pa.array(users.user_id[user]),
        "sequence_id": pa.array(sequence).cast(pa.string()),
        "session_id": pa.array(events.session[order] + 1).cast(pa.string()),
        "stime": pa.array(FIRST_DAY + (time * 1e6).astype("timedelta64[us]")),
        "sequence_length": pa.array(np.repeat(lengths, lengths)),
        "event_id": pa.array(EVENT_TYPES).take(pa.array(events.type[order])),
        "item_id": pa.array(items.item_id[item]),
        "name": pa.array(titles, pa.string()),
    }
    arrays = [
        columns[name] if name in columns else listing[name].combine_chunks()
        for name in SCHEMA.names
    ]
    typed = [array.cast(field.type) for array, field in zip(arrays, SCHEMA, strict=True)]
    return pa.Table.from_arrays(typed, schema=SCHEMA)


def write_truth(folder: Path, users: Users, items: Catalogue, settings: Settings) -> None:
    """users.parquet, items.parquet and settings.json of the truth."""
    user_table = pa.table({"user_id": users.user_id, "vector": list(users.vector)})
    item_table = pa.table(
        {
            "item_id": items.item_id,
            "vector": list(items.vector),
            "appeal": items.appeal,
            "birth": FIRST_DAY + (items.birth * 1e6).astype("timedelta64[us]"),
        }
    )
    for name, table in (("users", user_table), ("items", item_table)):
        with files.atomic(folder / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd")
    files.write_json(dataclasses.asdict(settings), folder / "settings.json")


def slate_batch(events: Events, users: Users, items: Catalogue) -> pa.RecordBatch:
    """One row an event: who, when, what was shown in which order, and which place was chosen."""
    shown = pa.ListArray.from_arrays(
        pa.array(np.arange(0, events.slate.size + 1, SLATE, dtype=np.int32)),
        pa.array(items.item_id[events.slate.ravel()]),
    )
    return pa.record_batch(
        {
            "user_id": pa.array(users.user_id[events.user]),
            "time": pa.array(FIRST_DAY + (events.time * 1e6).astype("timedelta64[us]")),
            "shown": shown,
            "position": pa.array(events.position),
        }
    )


def build(settings: Settings, folder: Path) -> dict[str, int]:
    """Simulate and write the shards and the truth into `folder`; returns rows by shard.

    Raises:
        UserError: the settings make no world.
    """
    settings.check()
    starts = month_starts(settings.months)
    seconds = float((starts[-1] - FIRST_DAY) / np.timedelta64(1, "s"))
    items = catalogue(settings.seed, settings.items, seconds)
    users = population(settings.seed, settings.users, items)
    counts = events_of_users(settings.seed, settings.users, settings.events)
    hashes = seeds.hash_keys(seeds.derive(settings.seed, "world shards"), users.user_id)
    shard_of = (hashes % np.uint64(settings.shards)).astype(int)
    parts: dict[str, list[pa.Table]] = {}
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    write_truth(folder / "truth", users, items, settings)
    writer = None
    with files.atomic(folder / "truth/slates.parquet") as temporary:
        for low, high in progress(blocks(counts), desc="world", unit=" blocks"):
            how = (settings.dials(), seconds)
            events = simulate(settings.seed, counts[low:high], low, users, items, *how)
            batch = slate_batch(events, users, items)
            writer = writer or pq.ParquetWriter(temporary, batch.schema, compression="zstd")
            writer.write_batch(batch)
            logged = np.flatnonzero(is_logged(events, settings.seed, seconds))
            kept = Events(*(getattr(events, f.name)[logged] for f in dataclasses.fields(Events)))
            rows = rows_of(kept, users, items, settings.seed)
            month = np.searchsorted(starts, rows["stime"].to_numpy(), side="right") - 1
            shard = shard_of[(rows["user_id"].to_numpy() - 1_000_000) // 3]
            for m in range(settings.months):
                for s in range(settings.shards):
                    chosen = np.flatnonzero((month == m) & (shard == s))
                    name = f"{starts[m].astype(object):%Y%m%d}/{s:012d}.parquet"
                    parts.setdefault(name, []).append(rows.take(pa.array(chosen)))
        if writer is not None:
            writer.close()
    found = {}
    for name, tables in parts.items():
        table = pa.concat_tables(tables)
        with files.atomic(folder / name) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        found[name] = table.num_rows
    return found


def main() -> None:
    """Command line: settings to a folder of shards, the truth, and a manifest written last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    settings.check()
    folder: Path = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)  # shards of other settings must not stay
    rows = build(settings, folder)
    log.info("%d rows in %d shards", sum(rows.values()), len(rows))
    manifest = {
        name: {"rows": count, "sha256": files.sha256(folder / name)} for name, count in rows.items()
    }
    files.write_json(manifest, folder / "manifest.json")


if __name__ == "__main__":
    run_command(main)
