"""Which events of a log are used: those of listed items, and of what the config keeps.

In this order: event types; items that are listed with a text; items with at least
`min_item_events`; users with at least `min_user_events` of what is left; a sample of `users`. Every
step counts the rows it drops. The paper works with 65.7M of MerRec's 83M items and 2.6M of its 5.6M
users and does not say why; the counts of items and users with at least so many events are part of
the data card, so that a reader can look for the rule that gives the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from recscale import seeds
from recscale.database import whole_numbers

AT_LEAST = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Selection:
    """What to keep of a log; the defaults keep all."""

    event_types: tuple[str, ...] | None = None
    min_item_events: int = 1
    min_user_events: int = 1
    users: int | None = None


def select(
    connection: duckdb.DuckDBPyConnection, selection: Selection, seed: int
) -> dict[str, int]:
    """Delete from `raw_events` what is not used; returns the rows dropped by reason."""
    dropped = {}
    if selection.event_types is not None:
        (dropped["dropped_event_type"],) = whole_numbers(
            connection,
            "DELETE FROM raw_events WHERE NOT list_contains($types, event_type)",
            {"types": list(selection.event_types)},
        )
    (dropped["dropped_item_without_text"],) = whole_numbers(
        connection, "DELETE FROM raw_events WHERE item_id NOT IN (SELECT item_id FROM raw_items)"
    )
    for of, least in (("item", selection.min_item_events), ("user", selection.min_user_events)):
        if least > 1:
            (dropped[f"dropped_{of}_with_few_events"],) = whole_numbers(
                connection,
                f"""
                DELETE FROM raw_events WHERE {of}_id IN (
                    SELECT {of}_id FROM raw_events GROUP BY {of}_id HAVING count(*) < {least}
                )
                """,
            )
    dropped["dropped_user_not_selected"] = select_users(connection, seed, selection.users)
    return dropped


def select_users(connection: duckdb.DuckDBPyConnection, seed: int, users: int | None) -> int:
    """Keep the `users` users with the smallest hashes, all if None; returns the events dropped."""
    if users is None:
        return 0
    found = connection.execute("SELECT DISTINCT user_id FROM raw_events").fetchdf()
    found["hash"] = seeds.hash_keys(seeds.derive(seed, "users"), found["user_id"].to_numpy())
    kept = found.nsmallest(users, "hash")[["user_id"]]
    connection.register("kept_users", kept)
    (dropped,) = whole_numbers(
        connection,
        "DELETE FROM raw_events WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    )
    return dropped


def with_at_least(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    """How many items and users of `raw_events` have at least 1, 2, 3, 5 and 10 events."""
    counts = ", ".join(f"count(*) FILTER (n >= {least})" for least in AT_LEAST)
    found = {}
    for of in ("item", "user"):
        query = f"SELECT {counts} FROM (SELECT count(*) n FROM raw_events GROUP BY {of}_id)"
        numbers = whole_numbers(connection, query)
        found[f"{of}s_with_at_least_events"] = dict(zip(map(str, AT_LEAST), numbers, strict=True))
    return found
