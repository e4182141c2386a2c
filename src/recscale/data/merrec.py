"""MerRec (Li et al., 2025), the paper's log: a C2C marketplace, six monthly folders of shards.

Shards are read one after the other, and of each only the columns that the pipeline needs. The
simulated marketplace (`recscale.data.world`) writes the same schema and is read by the same code.

What the release is known for is handled and counted: brand, size and colour are missing for many
listings; ids may be floating-point numbers (a missing one is NaN); rows are repeated and not in the
order of time; the last day is cut short; a listing may change its title, of which the first counts,
for later ones may come after the training period.

The release counts 83M items and 5.6M users, the paper 65.7M and 2.6M (section 6.1). It does not say
what it left out, so nothing is left out here unless the config says so (`recscale.data.selection`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recscale import files
from recscale.data.merrec_schema import SCHEMA
from recscale.database import duckdb_errors, whole_numbers
from recscale.errors import UserError
from recscale.logs import logger, progress

log = logger("data.merrec")

Counts = dict[str, int]

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
IDS = ("user_id", "item_id")
_FITS: dict[str, Callable[[pa.DataType], bool]] = {
    "user_id": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t),
    "item_id": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t),
    "stime": pa.types.is_timestamp,
    "session_id": lambda t: pa.types.is_string(t) or pa.types.is_integer(t),
}


def load(connection: duckdb.DuckDBPyConnection, folder: Path | None, bad_shards: str) -> Counts:
    """Create the DuckDB tables `raw_items` and `raw_events` from the shards under `folder`.

    Sessions keep the log's text; their numbers repeat between users, so a session is known by user
    and text. Repeated rows stay in `raw_events`.

    Args:
        bad_shards: stop, or quarantine: leave a shard that cannot be read out and count it.

    Raises:
        UserError: no folder is configured, it holds no shard, or a shard is broken.
    """
    if folder is None:
        raise UserError(
            "data.folder is not set",
            "download mercari-us/merrec from Hugging Face and name its folder in the config",
        )
    # truth/ of a simulated world is no shard.
    shards = sorted(p for p in folder.rglob("*.parquet") if p.parent.name != "truth")
    if not shards:
        raise UserError(
            f"{folder} holds no Parquet shard",
            "download mercari-us/merrec from Hugging Face into it",
        )
    connection.execute(
        """
        CREATE TABLE raw_events (
            user_id BIGINT, session_id VARCHAR, time TIMESTAMP, item_id BIGINT, event_type VARCHAR
        );
        CREATE TABLE listings (item_id BIGINT, titles VARCHAR[], first STRUCT(
            time TIMESTAMP, title VARCHAR, brand VARCHAR, c0 VARCHAR, c1 VARCHAR, c2 VARCHAR,
            size VARCHAR, color VARCHAR
        ))
        """
    )
    counts = {"shards_read": 0, "shards_quarantined": 0, "rows_quarantined": 0}
    counts |= {"rows_read": 0, "rows_out_of_order": 0}
    counts |= {"rows_without_brand": 0, "rows_without_size": 0, "rows_without_color": 0}
    for shard in progress(shards, desc="shards", unit=" shards"):
        try:
            found = _read(connection, shard)
        except UserError as error:
            if bad_shards != "quarantine":
                raise
            counts["shards_quarantined"] += 1
            counts["rows_quarantined"] += _rows_by_footer(shard)
            log.warning("left out: %s", error)
            continue
        counts["shards_read"] += 1
        for name, count in found.items():
            counts[name] += count
    if not counts["shards_read"]:
        raise UserError(
            f"none of the {len(shards)} shards under {folder} can be read",
            "fetch them again; the log says what is wrong with each",
        )
    connection.execute(
        """
        CREATE TABLE raw_items AS
        SELECT item_id, first.title, first.brand, first.c0, first.c1, first.c2, first.size,
               first.color
        FROM (SELECT item_id, min(first) AS first FROM listings GROUP BY item_id)
        """
    )
    (counts["listings_with_several_titles"],) = whole_numbers(
        connection,
        """
        SELECT count(*) FROM (
            SELECT item_id FROM listings GROUP BY item_id
            HAVING len(list_distinct(flatten(list(titles)))) > 1
        )
        """,
    )
    connection.execute("DROP TABLE listings")
    (kept,) = whole_numbers(connection, "SELECT count(*) FROM raw_events")
    counts["dropped_without_user_item_or_time"] = counts["rows_read"] - kept
    last, usual = whole_numbers(
        connection,
        """
        SELECT coalesce(arg_max(rows, day), 0), coalesce(median(rows), 0)::BIGINT
        FROM (SELECT time::DATE AS day, count(*) AS rows FROM raw_events GROUP BY day)
        """,
    )
    counts["rows_on_last_day"], counts["rows_on_median_day"] = last, usual
    return counts


def _rows_by_footer(shard: Path) -> int:
    """The rows a broken shard says it has; 0 if not even that can be read."""
    try:
        return int(pq.read_metadata(shard).num_rows)
    except (pa.ArrowException, OSError):
        return 0


def _read(connection: duckdb.DuckDBPyConnection, shard: Path) -> Counts:
    """Add one shard's rows to the tables, all or none, and count; UserError if it is broken."""
    schema = files.parquet_schema(shard)
    missing = [c for c in COLUMNS if c not in schema.names]
    if missing:
        raise UserError(
            f"{shard} lacks the column(s) {', '.join(missing)}",
            "use the shards of mercari-us/merrec as released",
        )
    for name, fits in _FITS.items():
        found = schema.field(name).type
        if not fits(found):
            raise UserError(
                f"{shard}: the column {name} is of type {found}, not {SCHEMA.field(name).type}",
                "use the shards of mercari-us/merrec as released",
            )
    source = f"read_parquet('{str(shard).replace(chr(39), chr(39) * 2)}')"
    # A missing floating-point id is NaN, which no cast but this one takes.
    number = {
        name: f"{'TRY_CAST' if pa.types.is_floating(schema.field(name).type) else 'CAST'}"
        f"({name} AS BIGINT)"
        for name in IDS
    }
    fractions = " OR ".join(f"{name}::DOUBLE <> floor({name}::DOUBLE)" for name in IDS)
    with duckdb_errors(shard):
        connection.execute("BEGIN")
        try:
            connection.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE shard AS
                SELECT {", ".join(f"{number[name]} AS {name}" for name in IDS)},
                       session_id::VARCHAR AS session_id, make_timestamp(epoch_us(stime)) AS stime,
                       event_id, name, brand_name, c0_name, c1_name, c2_name, size_name, color,
                       {fractions} AS is_fraction
                FROM {source}
                """
            )
            rows, broken, out_of_order, *without = whole_numbers(
                connection,
                """
                SELECT count(*), count(*) FILTER (is_fraction),
                       count(*) FILTER (user_id = last_user AND stime < last_time),
                       count(*) FILTER (brand_name IS NULL), count(*) FILTER (size_name IS NULL),
                       count(*) FILTER (color IS NULL)
                FROM (
                    SELECT *, lag(user_id) OVER w AS last_user, lag(stime) OVER w AS last_time
                    FROM shard WINDOW w AS (ORDER BY rowid)
                )
                """,
            )
            if broken:
                raise UserError(
                    f"{shard} has {broken} of {rows} row(s) with an id that is no whole number",
                    "use the shards of mercari-us/merrec as released",
                )
            connection.execute(
                """
                INSERT INTO raw_events
                SELECT user_id, session_id, stime, item_id, coalesce(event_id, 'event') FROM shard
                WHERE user_id IS NOT NULL AND item_id IS NOT NULL AND stime IS NOT NULL;
                INSERT INTO listings
                SELECT item_id, list(DISTINCT name), min({
                    time: stime, title: name, brand: brand_name, c0: c0_name, c1: c1_name,
                    c2: c2_name, size: size_name, color: color
                })
                FROM shard
                WHERE item_id IS NOT NULL AND name IS NOT NULL AND stime IS NOT NULL
                GROUP BY item_id
                """
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    names = ("rows_without_brand", "rows_without_size", "rows_without_color")
    return {
        "rows_read": rows,
        "rows_out_of_order": out_of_order,
        **dict(zip(names, without, strict=True)),
    }
