"""The items of each training session, which association rules are counted in (section 4.2.2).

A session counts an item once, however often and in whatever order it occurs: that is how position
leaves the data. Sessions with very many items (robots, wholesalers) are left out whole and counted:
a session of n items holds n (n - 1) / 2 pairs.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from recscale import files
from recscale.database import batches, connect, duckdb_errors, whole_numbers
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("curriculum.session_items")


@dataclass(frozen=True)
class Settings:
    """The end of the training period and, of the `curriculum.rules` block, what makes a session.

    With `max_minutes` an item keeps all its times in the session, without it only its first.
    """

    train_until: str
    max_session_items: int
    max_minutes: float | None
    memory_limit: str


def collect(
    connection: duckdb.DuckDBPyConnection, events: Path, settings: Settings
) -> dict[str, int]:
    """Create the table `session_items` (contract of that name), and count what was left out.

    Raises:
        UserError: no session is left.
    """
    until = {"events": str(events), "until": date.fromisoformat(settings.train_until)}
    connection.execute(
        """
        CREATE TABLE large AS
        SELECT session_id, count(DISTINCT item_id) AS items, count(*) AS events
        FROM read_parquet($events) WHERE time < $until
        GROUP BY session_id HAVING items > $most
        """,
        {**until, "most": settings.max_session_items},
    )
    time = "time" if settings.max_minutes is not None else "min(time) AS time"
    connection.execute(
        f"""
        CREATE TABLE session_items AS
        SELECT session_id, any_value(user_id) AS user_id, item_id, {time}
        FROM read_parquet($events)
        WHERE time < $until AND session_id NOT IN (SELECT session_id FROM large)
        GROUP BY session_id, item_id {", time" if settings.max_minutes is not None else ""}
        """,
        until,
    )
    read, later, large, large_events, most, sessions, rows = whole_numbers(
        connection,
        """
        SELECT (SELECT count(*) FROM read_parquet($events)),
               (SELECT count(*) FROM read_parquet($events) WHERE time >= $until),
               (SELECT count(*) FROM large), (SELECT coalesce(sum(events), 0) FROM large),
               (SELECT coalesce(max(items), 0) FROM large),
               (SELECT count(DISTINCT session_id) FROM session_items),
               (SELECT count(*) FROM session_items)
        """,
        until,
    )
    if not sessions:
        raise UserError(
            f"{events} holds no session before {settings.train_until} with at most "
            f"{settings.max_session_items} items ({large} have more)",
            "mend data.train_until, or raise curriculum.rules.max_session_items",
        )
    return {
        "events_read": read,
        "dropped_after_training_period": later,
        "dropped_in_too_large_sessions": large_events,
        "dropped_repeated_in_session": read - later - large_events - rows,
        "session_items": rows,
        "sessions": sessions,
        "sessions_too_large": large,
        "largest_session_items": most,
        "most_pairs_a_session": settings.max_session_items * (settings.max_session_items - 1) // 2,
    }


def main() -> None:
    """Command line: events to the items of training sessions, and a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--session-items", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    files.parquet_schema(arguments.events)
    arguments.session_items.parent.mkdir(parents=True, exist_ok=True)
    with (
        duckdb_errors(arguments.events),
        tempfile.TemporaryDirectory(dir=arguments.session_items.parent) as spill,
        connect(Path(spill), settings.memory_limit) as connection,
    ):
        counts = collect(connection, arguments.events, settings)
        log.info("%s", counts)
        ordered = connection.sql(
            "SELECT session_id, user_id, item_id, time FROM session_items "
            "ORDER BY session_id, item_id, time"
        )
        files.write_record_batches(
            batches(ordered, "session_items"), arguments.session_items, "session_items"
        )
    files.write_json(counts, arguments.card)


if __name__ == "__main__":
    run_command(main)
