"""What The Complete Journey's households were shown: shelf displays and mailers (section 3, bias).

The retailer recorded, per store and week, which products stood on a special display and which were
in the weekly mailer: a real record of exposure, which a purchase log alone does not hold. Weeks are
numbered from the first of the year; a week's first day is the Monday at whose dawn the log's weeks
change (week 1 begins on Sunday, 1 January 2017).
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb

from recscale import files
from recscale.data.complete_journey import check_release, describe_products, folder_of_package
from recscale.database import batches, connect, duckdb_errors, whole_numbers
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("data.exposure")


@dataclass(frozen=True)
class Settings:
    """The source and folder of the `data` block of the config, and DuckDB's memory limit."""

    source: str
    folder: str | None
    memory_limit: str


def collect(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, int]:
    """Create the table `exposure` (contract of that name) and count the rows left out."""
    describe_products(connection, folder)
    promotions = {"promotions": str(folder / "promotions.parquet")}
    connection.execute(
        """
        CREATE TABLE exposure AS
        SELECT item_id, week,
               greatest(
                   TIMESTAMP '2017-01-01',
                   TIMESTAMP '2016-12-26' + to_days((7 * (week - 1))::INTEGER)
               ) AS week_start,
               count(DISTINCT store_id) AS stores,
               count(DISTINCT store_id) FILTER (display_location <> '0') AS stores_displayed,
               count(DISTINCT store_id) FILTER (mailer_location <> '0') AS stores_mailed
        FROM read_parquet($promotions) JOIN described USING (product_id)
        GROUP BY item_id, week
        """,
        promotions,
    )
    read, used, rows = whole_numbers(
        connection,
        """
        SELECT count(*), count(*) FILTER (product_id IN (SELECT product_id FROM described)),
               (SELECT count(*) FROM exposure)
        FROM read_parquet($promotions)
        """,
        promotions,
    )
    return {"rows_read": read, "dropped_not_an_item": read - used, "rows_used": used, "rows": rows}


def main() -> None:
    """Command line: the log's promotions to the exposure table and a card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exposure", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    if settings.source != "complete_journey":
        raise UserError(
            f"data.source {settings.source} records no exposure",
            "use complete_journey; a simulated world keeps its slates in truth/slates.parquet",
        )
    folder = Path(settings.folder) if settings.folder else folder_of_package()
    check_release(folder, ("products.parquet", "promotions.parquet"))
    arguments.exposure.parent.mkdir(parents=True, exist_ok=True)
    with (
        duckdb_errors(folder),
        tempfile.TemporaryDirectory(dir=arguments.exposure.parent) as spill,
        connect(Path(spill), settings.memory_limit) as connection,
    ):
        counts = collect(connection, folder)
        log.info("%s", counts)
        ordered = connection.sql("FROM exposure ORDER BY item_id, week")
        files.write_record_batches(batches(ordered, "exposure"), arguments.exposure, "exposure")
    files.write_json(counts, arguments.card)


if __name__ == "__main__":
    run_command(main)
