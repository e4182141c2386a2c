"""Association rules inside sessions (section 4.2.2), and the edge split of section 6.1.

A pair of items counts once for each training session that holds both. The rule A -> B has support
|A and B|, confidence |A and B| / |A| and lift confidence / P(B), over the training sessions.

The paper mines rules from histories "and existing item-to-item data", of which it says no more. If
given, such rules are added where none was mined, under the same limits; where both know a rule the
mined one counts, for its sessions are those of the training period.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.contracts import CONTRACTS
from recscale.database import connect, duckdb_errors, whole_numbers
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("curriculum.rules")

RULE_COLUMNS = ("item_a", "item_b", "support", "users", "confidence", "lift")


@dataclass(frozen=True)
class Settings:
    """The `curriculum.rules` block of the config as far as it concerns rules, and the seed."""

    seed: int
    min_support: int
    min_users: int
    min_lift: float
    held_out_edges: float
    existing: str | None
    memory_limit: str


def mine(
    connection: duckdb.DuckDBPyConnection, session_items: Path, pairs: list[Path], min_lift: float
) -> dict[str, int]:
    """Create the table `rules` from pair counts, and count on the way."""
    connection.execute(
        """
        CREATE TABLE counts AS
        SELECT item_id, count(DISTINCT session_id) AS sessions
        FROM read_parquet($items) GROUP BY item_id
        """,
        {"items": str(session_items)},
    )
    connection.execute(
        """
        CREATE TABLE rules AS
        WITH pairs AS (FROM read_parquet($pairs)),
        total AS (SELECT count(DISTINCT session_id) AS sessions FROM read_parquet($items)),
        directed AS (
            SELECT item_a, item_b, support, users FROM pairs
            UNION ALL SELECT item_b, item_a, support, users FROM pairs
        )
        SELECT item_a, item_b, support, users, support / a.sessions AS confidence,
               support / a.sessions * total.sessions / b.sessions AS lift
        FROM directed, total
        JOIN counts a ON item_a = a.item_id JOIN counts b ON item_b = b.item_id
        WHERE support / a.sessions * total.sessions / b.sessions > $lift
        """,
        {"pairs": [str(p) for p in pairs], "items": str(session_items), "lift": min_lift},
    )
    counted, kept = whole_numbers(
        connection,
        "SELECT (SELECT count(*) FROM read_parquet($pairs)), (SELECT count(*) FROM rules)",
        {"pairs": [str(p) for p in pairs]},
    )
    return {
        "pairs": counted,
        "dropped_lift_not_above_limit": 2 * counted - kept,
        "mined_rules": kept,
    }


def add_existing(
    connection: duckdb.DuckDBPyConnection, existing: Path, settings: Settings
) -> dict[str, int]:
    """Add rules of existing item-to-item data to the table `rules`, and count.

    Raises:
        UserError: the file lacks a column, holds a rule twice, or a value no rule can have.
    """
    present = files.parquet_schema(existing).names
    missing = [c for c in RULE_COLUMNS if c not in present]
    if missing:
        raise UserError(
            f"curriculum.rules.existing: {existing} lacks the column(s) {', '.join(missing)}",
            f"it needs {', '.join(RULE_COLUMNS)}",
        )
    connection.execute(
        f"CREATE TABLE existing AS SELECT {', '.join(RULE_COLUMNS)} FROM read_parquet($file)",
        {"file": str(existing)},
    )
    read, distinct, broken = whole_numbers(
        connection,
        """
        SELECT count(*), count(DISTINCT (item_a, item_b)),
               count(*) FILTER (
                   confidence IS NULL OR isnan(confidence) OR confidence <= 0 OR confidence > 1
                   OR lift IS NULL OR isnan(lift) OR lift < 0 OR isinf(lift)
                   OR support IS NULL OR support < 1 OR users IS NULL OR users < 1
                   OR item_a IS NULL OR item_b IS NULL OR item_a = item_b
               )
        FROM existing
        """,
    )
    if broken or read != distinct:
        raise UserError(
            f"curriculum.rules.existing: of {read} rules in {existing}, {broken} have a confidence "
            f"outside (0, 1] or another value no rule can have, and {read - distinct} are repeated",
            "mend the file: one row a rule, numbers finite, two different items",
        )
    conditions = {
        "existing_dropped_unknown_item": """
            item_a NOT IN (SELECT item_id FROM items) OR item_b NOT IN (SELECT item_id FROM items)
        """,
        "existing_dropped_below_limits": f"""
            support < {settings.min_support} OR users < {settings.min_users}
            OR lift <= {settings.min_lift}
        """,
        "existing_dropped_mined_too": """
            (item_a, item_b) IN (SELECT (item_a, item_b) FROM rules)
        """,
    }
    counts = {"existing_read": read}
    for name, condition in conditions.items():
        (counts[name],) = whole_numbers(connection, f"DELETE FROM existing WHERE {condition}")
    connection.execute("INSERT INTO rules FROM existing")
    counts["existing_added"] = read - sum(counts[name] for name in conditions)
    return counts


def edge_splits(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    training_items: NDArray[np.int64],
    settings: Settings,
) -> NDArray[np.object_]:
    """The split of each rule a -> b: train, both_seen, one_unseen or both_unseen.

    Rules that touch a held-out item are never trained on. Of the pairs between training items a
    share is held out; A -> B and B -> A always go together, for one gives the other away.
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    draw = seeds.uniform(seeds.derive(settings.seed, "edge split"), low, high)
    seen = np.isin(a, training_items).astype(int) + np.isin(b, training_items)
    names = np.array(["both_unseen", "one_unseen", "train"], dtype=object)[seen]
    names[(seen == 2) & (draw < settings.held_out_edges)] = "both_seen"
    return names


def split_batches(
    connection: duckdb.DuckDBPyConnection,
    training_items: NDArray[np.int64],
    settings: Settings,
    counts: dict[str, int],
) -> Iterator[pa.RecordBatch]:
    """The table `rules` ordered by items, with each rule's split; counts[split] grows."""
    columns = ", ".join(RULE_COLUMNS)
    ordered = connection.sql(f"SELECT {columns} FROM rules ORDER BY item_a, item_b")
    for batch in ordered.to_arrow_reader(1_000_000):
        a, b = (batch.column(c).to_numpy(zero_copy_only=False) for c in ("item_a", "item_b"))
        splits = edge_splits(a, b, training_items, settings)
        for name, found in zip(*np.unique(splits.astype(str), return_counts=True), strict=True):
            counts[f"rules_{name}"] = counts.get(f"rules_{name}", 0) + int(found)
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, pa.array(splits, pa.string())],
            schema=CONTRACTS["rules"].arrow_schema(),
        )


def main() -> None:
    """Command line: pair counts to rules with their splits, and a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session-items", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, nargs="+", required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    for path in (arguments.session_items, *arguments.pairs):
        files.parquet_schema(path)
    items = files.read_table(arguments.items, "items", ["item_id", "split"])
    training_items = items.loc[items["split"] == "train", "item_id"].to_numpy()
    arguments.rules.parent.mkdir(parents=True, exist_ok=True)
    with (
        duckdb_errors(settings.existing or arguments.session_items),
        tempfile.TemporaryDirectory(dir=arguments.rules.parent) as spill,
        connect(Path(spill), settings.memory_limit) as connection,
    ):
        counts = mine(connection, arguments.session_items, arguments.pairs, settings.min_lift)
        if settings.existing is not None:
            connection.register("items", items)
            counts |= add_existing(connection, Path(settings.existing), settings)
        batches = split_batches(connection, training_items, settings, counts)
        with files.atomic(arguments.rules) as temporary:
            files.write_record_batches(batches, temporary, "rules")
            log.info("%s", counts)
            if "rules_train" not in counts:
                found = sum(n for name, n in counts.items() if name.startswith("rules_"))
                raise UserError(
                    f"no training rule is left of {found} rules with support >= "
                    f"{settings.min_support} and {settings.min_users} users",
                    "lower curriculum.rules.min_support or min_users",
                )
    files.write_json(counts, arguments.card)


if __name__ == "__main__":
    run_command(main)
