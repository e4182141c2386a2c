"""MerRec (Li et al., 2025), the paper's log: a C2C marketplace, six monthly folders of shards.

Reads an already downloaded folder, projecting only the columns the pipeline needs. The release
counts 83M items and 5.6M users; the paper works with 65.7M and 2.6M (section 6.1) and does not say
which filter gives them, so none is applied here.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from recscale import files
from recscale.errors import UserError

COLUMNS = (
    "user_id",
    "session_id",
    "stime",
    "event_id",
    "item_id",
    "name",
    "brand_name",
    "c0_name",
    "c1_name",
    "c2_name",
    "size_name",
    "color",
)


def load(connection: duckdb.DuckDBPyConnection, folder: Path | None) -> dict[str, int]:
    """Create the DuckDB tables `raw_items` and `raw_events` from the shards under `folder`.

    A listing that had several titles keeps its first: later ones may come after the training
    period. Session numbers of different users may be equal in the log; they are renumbered so that
    a session belongs to one user.

    Raises:
        UserError: no folder is configured, it holds no shard, or a shard lacks a column.
    """
    if folder is None:
        raise UserError(
            "data.folder is not set",
            "download mercari-us/merrec from Hugging Face and name its folder in the config",
        )
    shards = sorted(folder.rglob("*.parquet"))
    if not shards:
        raise UserError(
            f"{folder} holds no Parquet shard",
            "download mercari-us/merrec from Hugging Face into it",
        )
    for shard in shards:
        missing = set(COLUMNS) - set(files.parquet_schema(shard).names)
        if missing:
            raise UserError(
                f"{shard} lacks the column(s) {', '.join(sorted(missing))}",
                "use the shards of mercari-us/merrec as released",
            )
    connection.execute(
        f"CREATE VIEW shards AS SELECT {', '.join(COLUMNS)} FROM read_parquet($shards)".replace(
            "$shards", "[" + ", ".join("'" + str(s).replace("'", "''") + "'" for s in shards) + "]"
        )
    )
    connection.execute(
        """
        CREATE TABLE raw_events AS
        SELECT DISTINCT user_id::BIGINT AS user_id,
               dense_rank() OVER (ORDER BY user_id::BIGINT, session_id) - 1 AS session_id,
               make_timestamp(epoch_us(stime)) AS time, item_id::BIGINT AS item_id,
               event_id AS event_type
        FROM shards WHERE user_id IS NOT NULL AND item_id IS NOT NULL AND stime IS NOT NULL
        """
    )
    connection.execute(
        """
        CREATE TABLE raw_items AS
        SELECT item_id, first.title, first.brand, first.c0, first.c1, first.c2, first.size,
               first.color
        FROM (
            SELECT item_id::BIGINT AS item_id,
                   min({
                       time: stime, title: name, brand: brand_name, c0: c0_name, c1: c1_name,
                       c2: c2_name, size: size_name, color: color
                   }) AS first
            FROM shards WHERE item_id IS NOT NULL AND name IS NOT NULL AND stime IS NOT NULL
            GROUP BY item_id
        )
        """
    )
    dropped = connection.execute(
        "DELETE FROM raw_events WHERE item_id NOT IN (SELECT item_id FROM raw_items)"
    ).fetchone()
    row = connection.execute(
        """
        SELECT count(*), count(*) FILTER (user_id IS NULL OR item_id IS NULL OR stime IS NULL),
               (SELECT count(*) FROM raw_events) FROM shards
        """
    ).fetchone()
    assert row is not None and dropped is not None
    read, without_key, used = map(int, row)
    untitled = int(dropped[0])
    return {
        "rows_read": read,
        "dropped_without_user_item_or_time": without_key,
        "dropped_item_without_title": untitled,
        "dropped_duplicate_rows": read - without_key - untitled - used,
        "rows_used": used,
    }
