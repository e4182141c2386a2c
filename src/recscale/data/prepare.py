"""From a log to items, events and real histories, with the time and item splits of section 6.1.

Time comes first: whatever trains (rules, walks, ids, text, tokenizer) sees events before
`train_until` only. Items come second: a share of them is held out and reaches no training data.
The third split, of edges, is made where the edges are (`recscale.curriculum.rules`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

from recscale import files, seeds
from recscale.data import complete_journey, merrec, parquet
from recscale.database import duckdb_errors
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("data.prepare")

Loader = Callable[[duckdb.DuckDBPyConnection, Path | None], dict[str, int]]
SOURCES: dict[str, Loader] = {
    "complete_journey": complete_journey.load,
    "merrec": merrec.load,
    "parquet": parquet.load,
}


@dataclass(frozen=True)
class Settings:
    """The `data` block of the config, and the seed."""

    seed: int
    source: str
    folder: str | None
    users: int | None
    train_until: str
    valid_until: str
    held_out_items: float


def select_users(connection: duckdb.DuckDBPyConnection, seed: int, users: int | None) -> int:
    """Keep the `users` users with the smallest hashes, all if None; returns the events dropped."""
    if users is None:
        return 0
    found = connection.execute("SELECT DISTINCT user_id FROM raw_events").fetchdf()
    found["hash"] = seeds.hash_keys(seeds.derive(seed, "users"), found["user_id"].to_numpy())
    kept = found.nsmallest(users, "hash")[["user_id"]]
    connection.register("kept_users", kept)
    dropped = connection.execute(
        "DELETE FROM raw_events WHERE user_id NOT IN (SELECT user_id FROM kept_users)"
    ).fetchone()
    assert dropped is not None
    return int(dropped[0])


def split_items(
    connection: duckdb.DuckDBPyConnection, seed: int, train_until: str, share: float
) -> pd.DataFrame:
    """Items with events, and their split.

    An item is `train` if it was seen before `train_until` and its hash does not fall into the
    held-out share; everything else is `held_out`. So the held-out items are the share of those
    seen in training and all that came later.
    """
    items = connection.execute(
        """
        SELECT i.*, e.first < $until AS seen FROM raw_items i
        JOIN (SELECT item_id, min(time) AS first FROM raw_events GROUP BY item_id) e
        USING (item_id) ORDER BY item_id
        """,
        {"until": date.fromisoformat(train_until)},
    ).fetchdf()
    draw = seeds.uniform(seeds.derive(seed, "item split"), items["item_id"].to_numpy())
    train = items.pop("seen").to_numpy() & (draw >= share)
    items["split"] = pd.Series(train).map({True: "train", False: "held_out"})
    return items


def histories(
    connection: duckdb.DuckDBPyConnection, train_until: str, valid_until: str
) -> pd.DataFrame:
    """Users with a training part, a validation item and a test item (time split, section 5.2).

    The validation item is the user's first of [train_until, valid_until), the test item the first
    from valid_until on. `events` must be the ordered table, with its position in `position`.
    """
    return connection.execute(
        """
        SELECT user_id,
               list(item_id ORDER BY position) FILTER (time < $train) AS items,
               arg_min(item_id, position) FILTER (time >= $train AND time < $valid) AS valid_item,
               arg_min(item_id, position) FILTER (time >= $valid) AS test_item
        FROM events GROUP BY user_id
        HAVING items IS NOT NULL AND valid_item IS NOT NULL AND test_item IS NOT NULL
        ORDER BY user_id
        """,
        {"train": date.fromisoformat(train_until), "valid": date.fromisoformat(valid_until)},
    ).fetchdf()


def order_events(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Create `events`, ordered by user and time, with the row's place in `position`.

    Logs list the items of one basket in the order of their product numbers; a model could learn
    that order and call it preference. Events of one session and time get a seeded random order.
    """
    connection.execute(
        """
        CREATE TABLE events AS
        SELECT row_number() OVER (
                   ORDER BY user_id, time, session_id,
                            md5(concat_ws('/', $seed::VARCHAR, session_id, item_id, event_type))
               ) AS position, *
        FROM raw_events
        """,
        {"seed": str(seeds.derive(seed, "order in session"))},
    )


def prepare(settings: Settings, items: Path, events: Path, real: Path, card: Path) -> None:
    """Read the log, split it and write items, events, histories and a data card.

    Raises:
        UserError: the source is unknown or unreadable, or a period of the split is empty.
    """
    if settings.source not in SOURCES:
        raise UserError(
            f"data.source is {settings.source!r}", f"known sources: {', '.join(SOURCES)}"
        )
    if not settings.train_until < settings.valid_until:
        raise UserError("data.train_until is not before data.valid_until", "mend the config")
    card.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=card.parent) as spill,
        duckdb.connect(config={"temp_directory": spill}) as connection,
        duckdb_errors(settings.folder or settings.source),
    ):
        _prepare(connection, settings, items, events, real, card)


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    items: Path,
    events: Path,
    real: Path,
    card: Path,
) -> None:
    folder = Path(settings.folder) if settings.folder else None
    counts = SOURCES[settings.source](connection, folder)
    log.info("rows: %s", counts)
    counts["dropped_user_not_selected"] = select_users(connection, settings.seed, settings.users)
    counts["rows_used"] -= counts["dropped_user_not_selected"]
    order_events(connection, settings.seed)
    item_table = split_items(
        connection, settings.seed, settings.train_until, settings.held_out_items
    )
    history_table = histories(connection, settings.train_until, settings.valid_until)
    if history_table.empty:
        raise UserError(
            f"no user has events before {settings.train_until}, before {settings.valid_until} and "
            "after it",
            "choose data.train_until and data.valid_until inside the period of the log",
        )
    files.write_table(item_table, items, "items")
    columns = "user_id, session_id, time, item_id, event_type"
    ordered = connection.sql(f"SELECT {columns} FROM events ORDER BY position")
    files.write_batches(ordered.to_arrow_reader(1_000_000), events, "events")
    files.write_table(history_table, real, "histories")
    counted = connection.execute(
        "SELECT count(*), count(DISTINCT user_id), count(DISTINCT session_id) FROM events"
    ).fetchone()
    assert counted is not None
    summary = {
        "source": settings.source,
        **counts,
        "events": int(counted[0]),
        "users": int(counted[1]),
        "sessions": int(counted[2]),
        "items": len(item_table),
        "training_items": int((item_table["split"] == "train").sum()),
        "histories": len(history_table),
    }
    log.info("kept: %s", summary)
    files.write_json(summary, card)


def main() -> None:
    """Command line of the data stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    prepare(
        parse(Settings, arguments.settings),
        arguments.items,
        arguments.events,
        arguments.histories,
        arguments.card,
    )


if __name__ == "__main__":
    run_command(main)
