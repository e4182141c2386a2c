"""Events in their order, and the real histories, range of users by range of users.

A log of a billion events is not sorted as a whole: users are cut into ranges of about
EVENTS_AT_ONCE events, and each range is freed of repeated rows, numbered, ordered and written. The
result does not depend on where the ranges are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from recscale import seeds
from recscale.contracts import CONTRACTS
from recscale.logs import progress

EVENTS_AT_ONCE = 20_000_000


class OrderedEvents:
    """The events of `raw_events`, distinct and ordered by user and time.

    Sessions whose numbers are text repeat between users and are numbered anew. After `batches` is
    used up, `histories`, `rows`, `users`, `sessions` and `out_of_order` describe what it gave.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        seed: int,
        train_until: str,
        valid_until: str,
        at_once: int = EVENTS_AT_ONCE,
    ) -> None:
        self._connection = connection
        self._seed = str(seeds.derive(seed, "order in session"))
        self._days = {
            "train": date.fromisoformat(train_until),
            "valid": date.fromisoformat(valid_until),
        }
        self._at_once = at_once
        self._histories: list[pd.DataFrame] = []
        self.rows = self.users = self.sessions = 0

    @property
    def histories(self) -> pd.DataFrame:
        """Users with a training part, a validation item and a test item (time split, section 5.2).

        The validation item is the user's first of [train_until, valid_until), the test item the
        first from valid_until on.
        """
        return pd.concat(self._histories, ignore_index=True)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows of contract `events`."""
        (kind,) = self._connection.execute(
            "SELECT data_type FROM duckdb_columns() "
            "WHERE table_name = 'raw_events' AND column_name = 'session_id'"
        ).fetchall()[0]
        schema = CONTRACTS["events"].arrow_schema()
        for low, high in progress(self._ranges(), desc="users", unit=" ranges"):
            self._order(low, high, renumber=kind == "VARCHAR")
            ordered = self._connection.sql(
                "SELECT user_id, session_id, time, item_id, event_type "
                "FROM ordered ORDER BY position"
            )
            for batch in ordered.to_arrow_reader(1_000_000):
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
            self._count()

    def _ranges(self) -> list[tuple[int, int]]:
        """First and last user of each range."""
        counts = self._connection.execute(
            "SELECT user_id, count(*) AS events FROM raw_events GROUP BY user_id ORDER BY user_id"
        ).fetchnumpy()
        if not len(counts["user_id"]):
            return []
        part = (np.cumsum(counts["events"]) - counts["events"]) // self._at_once
        first = np.flatnonzero(np.diff(part, prepend=-1))
        last = np.append(first[1:], len(part)) - 1
        users = counts["user_id"]
        return list(zip(users[first].tolist(), users[last].tolist(), strict=True))

    def _order(self, low: int, high: int, renumber: bool) -> None:
        """Create `ordered`, with the row's place in `position`.

        Logs list the items of one basket in the order of their product numbers; a model could
        learn that order and call it preference. Events of one session and time get a seeded random
        order.
        """
        session = (
            f"{self.sessions} + dense_rank() OVER (ORDER BY user_id, session_id) - 1"
            if renumber
            else "session_id"
        )
        self._connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE ordered AS
            SELECT row_number() OVER (
                       ORDER BY user_id, time, session_id,
                                md5(concat_ws('/', $seed::VARCHAR, session_id, item_id, event_type))
                   ) AS position, *
            FROM (
                SELECT user_id, {session} AS session_id, time, item_id, event_type
                FROM (
                    SELECT DISTINCT user_id, session_id, time, item_id, event_type
                    FROM raw_events WHERE user_id BETWEEN $low AND $high
                )
            )
            """,
            {"seed": self._seed, "low": low, "high": high},
        )

    def _count(self) -> None:
        """Add the range's rows to the totals and its users to the histories."""
        counted = self._connection.execute(
            "SELECT count(*), count(DISTINCT user_id), count(DISTINCT session_id) FROM ordered"
        ).fetchall()[0]
        self.rows, self.users, self.sessions = (
            total + int(n)
            for total, n in zip((self.rows, self.users, self.sessions), counted, strict=True)
        )
        found = self._connection.execute(
            """
            SELECT user_id,
                   list(item_id ORDER BY position) FILTER (time < $train) AS items,
                   list(session_id ORDER BY position) FILTER (time < $train) AS sessions,
                   arg_min(item_id, position)
                       FILTER (time >= $train AND time < $valid) AS valid_item,
                   arg_min(item_id, position) FILTER (time >= $valid) AS test_item
            FROM ordered GROUP BY user_id
            HAVING items IS NOT NULL AND valid_item IS NOT NULL AND test_item IS NOT NULL
            ORDER BY user_id
            """,
            self._days,
        ).fetchdf()
        self._histories.append(found)
