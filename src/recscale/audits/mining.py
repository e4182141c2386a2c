"""Rules and a graph from any part of a log, by the functions of the curriculum stage."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from recscale import files
from recscale.contracts import CONTRACTS
from recscale.curriculum import pair_counts, session_items
from recscale.curriculum import rules as association
from recscale.database import batches, connect, duckdb_errors
from recscale.ranking.world_log import Rules


def mine(
    events: Path, items: Path, train_until: str, seed: int, settings: Rules, folder: Path
) -> pd.DataFrame:
    """The association rules of the events before `train_until`, contract `rules`.

    Args:
        events: contract `events`.
        items: contract `items`, for the splits of items.
        train_until: end of the training period.
        seed: of the edge split; that of the rung gives the rung's split.
        settings: limits and memory.
        folder: an empty folder for temporary files, which stay in it.

    Raises:
        UserError: there is no session before `train_until`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines, pairs = folder / "session_items.parquet", folder / "pairs.parquet"
    of_sessions = session_items.Settings(
        train_until, settings.max_session_items, settings.max_minutes, settings.memory_limit
    )
    of_pairs = pair_counts.Settings(
        settings.min_support,
        settings.min_users,
        settings.max_minutes,
        settings.partitions,
        settings.memory_limit,
    )
    of_rules = association.Settings(
        seed,
        settings.min_support,
        settings.min_users,
        settings.min_lift,
        settings.held_out_edges,
        None,
        settings.memory_limit,
    )
    table = files.read_table(items, "items", ["item_id", "split"])
    training_items = table.loc[table["split"] == "train", "item_id"].to_numpy()
    with duckdb_errors(events):
        with _connect(folder / "sessions", settings) as connection:
            session_items.collect(connection, events, of_sessions)
            columns = ", ".join(CONTRACTS["session_items"].arrow_schema().names)
            found = connection.sql(f"SELECT {columns} FROM session_items")
            files.write_record_batches(batches(found, "session_items"), lines, "session_items")
        with _connect(folder / "pairs", settings) as connection:
            counted = pair_counts.count_pairs(connection, lines, of_pairs)
            files.write_record_batches(counted, pairs, "pairs")
        with _connect(folder / "rules", settings) as connection:
            association.mine(connection, lines, [pairs], settings.min_lift)
            split = association.split_batches(connection, training_items, of_rules, {})
            files.write_record_batches(split, folder / "rules.parquet", "rules")
    return files.read_table(folder / "rules.parquet", "rules")


def _connect(folder: Path, settings: Rules) -> duckdb.DuckDBPyConnection:
    folder.mkdir()
    return connect(folder, settings.memory_limit)
