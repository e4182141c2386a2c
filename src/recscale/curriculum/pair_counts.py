"""In how many training sessions two items meet, and how many users are behind it (section 4.2.2).

Pairs are counted partition by partition, by the hash of their lower item: a pair lies in one
partition only, so nothing is merged afterwards, memory holds one partition's pairs, and a cluster
can count several parts (each some of the partitions) side by side. The counts do not depend on how
many partitions or parts there are.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from recscale import files
from recscale.contracts import CONTRACTS
from recscale.database import connect, duckdb_errors
from recscale.errors import UserError, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("curriculum.pair_counts")


@dataclass(frozen=True)
class Settings:
    """The `curriculum.rules` block of the config, as far as it concerns counting pairs."""

    min_support: int
    min_users: int
    max_minutes: float | None
    partitions: int
    memory_limit: str


def pairs_query(max_minutes: float | None) -> str:
    """The query that counts the pairs of one partition of the table `lines`.

    A pair is one number, made of the places of its two items, which groups twice as fast as two
    item numbers. Users are counted for the pairs with enough support only: most pairs meet once.
    With a time window a pair counts once in a session, if any two of its events are close enough.
    """
    columns = "(a.place::BIGINT << 32) | b.place AS pair, a.user_id"
    condition = "a.session_id = b.session_id AND a.place < b.place"
    if max_minutes is not None:
        columns = f"DISTINCT {columns}, a.session_id"
        condition += " AND abs(epoch(a.time) - epoch(b.time)) <= $seconds"
    return f"""
        WITH meetings AS (
            SELECT {columns}
            FROM (SELECT * FROM lines WHERE partition = $partition) a
            JOIN lines b ON {condition}
        ),
        frequent AS (
            SELECT pair, count(*) AS support FROM meetings GROUP BY pair HAVING support >= $support
        )
        SELECT pair, any_value(support) AS support, count(DISTINCT user_id) AS users
        FROM meetings JOIN frequent USING (pair)
        GROUP BY pair HAVING users >= $users ORDER BY pair
    """


def count_pairs(
    connection: duckdb.DuckDBPyConnection,
    session_items: Path,
    settings: Settings,
    part: int = 0,
    parts: int = 1,
) -> Iterator[pa.RecordBatch]:
    """The pairs (contract `pairs`) of one of `parts` parts, partition by partition.

    Raises:
        UserError: there is no such part.
    """
    if not 0 <= part < parts:
        raise UserError(f"--part is {part} of --parts {parts}", "count parts from 0")
    # Every part has the same number of partitions, so that parts are equally long.
    partitions = parts * max(1, -(-settings.partitions // parts))
    file = {"file": str(session_items)}
    # Places keep the order of the item numbers, so that the lower place is the lower item.
    connection.execute(
        """
        CREATE TABLE items AS
        SELECT item_id, (row_number() OVER (ORDER BY item_id) - 1)::INTEGER AS place,
               (hash(item_id) % $partitions::UBIGINT)::INTEGER AS partition
        FROM (SELECT DISTINCT item_id FROM read_parquet($file))
        """,
        {**file, "partitions": partitions},
    )
    connection.execute(
        """
        CREATE TABLE lines AS
        SELECT session_id, user_id, place, partition, time
        FROM read_parquet($file) JOIN items USING (item_id)
        """,
        file,
    )
    ids = connection.execute("SELECT item_id FROM items ORDER BY place").fetchnumpy()["item_id"]
    query = pairs_query(settings.max_minutes)
    values: dict[str, float] = {"support": settings.min_support, "users": settings.min_users}
    if settings.max_minutes is not None:
        values["seconds"] = 60 * settings.max_minutes
    schema = CONTRACTS["pairs"].arrow_schema()
    for partition in progress(range(part, partitions, parts), desc="pairs", unit=" partitions"):
        found = connection.sql(query, params={**values, "partition": partition})
        for batch in found.to_arrow_reader(1_000_000):
            pair = batch.column("pair").to_numpy(zero_copy_only=False)
            items = [pa.array(ids[pair >> 32]), pa.array(ids[pair & 0xFFFFFFFF])]
            yield pa.RecordBatch.from_arrays([*items, *batch.columns[1:]], schema=schema)


def main() -> None:
    """Command line: the items of training sessions to the pairs of one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session-items", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    files.parquet_schema(arguments.session_items)
    arguments.pairs.parent.mkdir(parents=True, exist_ok=True)
    with (
        duckdb_errors(arguments.session_items),
        tempfile.TemporaryDirectory(dir=arguments.pairs.parent) as spill,
        connect(Path(spill), settings.memory_limit, arguments.threads) as connection,
    ):
        counted = count_pairs(
            connection, arguments.session_items, settings, arguments.part, arguments.parts
        )
        files.write_record_batches(counted, arguments.pairs, "pairs")


if __name__ == "__main__":
    run_command(main)
