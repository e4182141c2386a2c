"""Anybody's log: two Parquet tables, `items.parquet` and `events.parquet`, in one folder.

items.parquet holds item_id (whole number) and title, and may hold brand, c0, c1, c2 (top to leaf
category), size and color. events.parquet holds user_id, session_id, item_id (whole numbers) and
time (a timestamp; one with a time zone is read in UTC), and may hold event_type.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from recscale import files
from recscale.errors import UserError, first_line

REQUIRED = {
    "items.parquet": ("item_id", "title"),
    "events.parquet": ("user_id", "session_id", "time", "item_id"),
}
IDS = ("user_id", "session_id", "item_id")
OPTIONAL = ("brand", "c0", "c1", "c2", "size", "color")


def load(
    connection: duckdb.DuckDBPyConnection, folder: Path | None, bad_shards: str
) -> dict[str, int]:
    """Create the DuckDB tables `raw_items` and `raw_events` and count what was left out.

    Raises:
        UserError: no folder is configured, a table or a column is missing, a value is not of its
            type, an item is listed twice, or a session has several users.
    """
    if folder is None:
        raise UserError(
            "data.folder is not set", "name the folder of your items.parquet and events.parquet"
        )
    present = {}
    for name, columns in REQUIRED.items():
        present[name] = set(files.parquet_schema(folder / name).names)
        missing = [c for c in columns if c not in present[name]]
        if missing:
            raise UserError(
                f"{folder / name} lacks the column(s) {', '.join(missing)}",
                f"it needs {', '.join(columns)}",
            )
    attributes = ", ".join(
        f"{c}::VARCHAR AS {c}" if c in present["items.parquet"] else f"NULL::VARCHAR AS {c}"
        for c in OPTIONAL
    )
    kind = "event_type::VARCHAR" if "event_type" in present["events.parquet"] else "'event'"
    items, events = (str(folder / name) for name in REQUIRED)
    fractions = " OR ".join(f"{c}::DOUBLE <> floor({c}::DOUBLE)" for c in IDS)
    try:
        _refuse(
            connection,
            f"SELECT item_id FROM read_parquet('{events}') WHERE {fractions}",
            f"{events} has {{}} row(s) with an id that is no whole number, first of item_id {{}}",
            "number users, sessions and items",
        )
        connection.execute(
            f"""
            CREATE TABLE raw_items AS
            SELECT item_id::BIGINT AS item_id, title::VARCHAR AS title, {attributes}
            FROM read_parquet($items) WHERE item_id IS NOT NULL AND title IS NOT NULL
            """,
            {"items": items},
        )
        connection.execute(
            f"""
            CREATE TABLE raw_events AS
            SELECT DISTINCT user_id::BIGINT AS user_id, session_id::BIGINT AS session_id,
                   make_timestamp(epoch_us(time)) AS time, item_id::BIGINT AS item_id,
                   {kind} AS event_type
            FROM read_parquet($events)
            WHERE user_id IS NOT NULL AND session_id IS NOT NULL AND time IS NOT NULL
                  AND item_id IN (SELECT item_id FROM raw_items)
            """,
            {"events": events},
        )
    except (duckdb.ConversionException, duckdb.BinderException) as error:
        raise UserError(
            f"a value in {folder} is not of its column's type ({first_line(error)})",
            "ids are whole numbers, time is a timestamp",
        ) from None
    _refuse(
        connection,
        "SELECT item_id FROM raw_items GROUP BY item_id HAVING count(*) > 1",
        f"{items} lists {{}} item(s) twice, first item_id {{}}",
        "keep one row per item",
    )
    _refuse(
        connection,
        "SELECT session_id FROM raw_events GROUP BY session_id HAVING count(DISTINCT user_id) > 1",
        f"{events} has {{}} session(s) of several users, first session_id {{}}",
        "number sessions so that each belongs to one user",
    )
    row = connection.execute(
        """
        SELECT count(*),
               count(*) FILTER (user_id IS NULL OR session_id IS NULL OR time IS NULL),
               count(*) FILTER (
                   user_id IS NOT NULL AND session_id IS NOT NULL AND time IS NOT NULL
                   AND (item_id IS NULL OR item_id NOT IN (SELECT item_id FROM raw_items))
               ),
               (SELECT count(*) FROM raw_events)
        FROM read_parquet($events)
        """,
        {"events": events},
    ).fetchone()
    assert row is not None
    read, without_key, without_item, used = map(int, row)
    return {
        "rows_read": read,
        "dropped_without_user_session_or_time": without_key,
        "dropped_item_not_listed": without_item,
        "dropped_duplicate_rows": read - without_key - without_item - used,
        "rows_used": used,
    }


def _refuse(connection: duckdb.DuckDBPyConnection, query: str, message: str, way_out: str) -> None:
    """Raise a UserError if the query finds rows; the message takes their number and the first."""
    found = connection.execute(query + " ORDER BY 1").fetchall()
    if found:
        raise UserError(message.format(len(found), found[0][0]), way_out)
