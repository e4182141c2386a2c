"""Association rules inside sessions (section 4.2.2), and the edge split of section 6.1.

A pair of items counts once for each training session that holds both. The rule A -> B has support
|A and B|, confidence |A and B| / |A| and lift confidence / P(B), over the training sessions. Order
inside a session plays no role, which is how position leaves the data.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from recscale import files, seeds
from recscale.database import duckdb_errors
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("curriculum.rules")


@dataclass(frozen=True)
class Settings:
    """The `curriculum.rules` block of the config, the end of the training period and the seed."""

    seed: int
    train_until: str
    min_support: int
    min_users: int
    min_lift: float
    max_session_items: int
    held_out_edges: float
    memory_limit: str


def mine(events: Path, settings: Settings, spill: Path) -> pd.DataFrame:
    """All directed rules of the training sessions that pass the filters, ordered by items.

    Args:
        events: Parquet of contract `events`.
        settings: filters; sessions of more than `max_session_items` items are left out whole.
        spill: folder for what does not fit into `memory_limit`.

    Raises:
        UserError: no session is left, no rule passes, or the memory limit is too small.
    """
    with (
        duckdb_errors(events),
        duckdb.connect(
            config={"memory_limit": settings.memory_limit, "temp_directory": str(spill)}
        ) as connection,
    ):
        return _mine(connection, events, settings)


def _mine(connection: duckdb.DuckDBPyConnection, events: Path, settings: Settings) -> pd.DataFrame:
    connection.execute(
        """
        CREATE TABLE sessions AS
        SELECT session_id, any_value(user_id) AS user_id, list(DISTINCT item_id) AS items
        FROM read_parquet($events) WHERE time < $until GROUP BY session_id
        """,
        {"events": str(events), "until": date.fromisoformat(settings.train_until)},
    )
    large = connection.execute(
        "DELETE FROM sessions WHERE len(items) > $most", {"most": settings.max_session_items}
    ).fetchone()
    total = connection.execute("SELECT count(*) FROM sessions").fetchone()
    assert large is not None and total is not None
    log.info("%d training sessions, %d left out as too large", total[0], large[0])
    if not total[0]:
        raise UserError(
            f"{events} holds no session before {settings.train_until}", "mend data.train_until"
        )
    return connection.execute(
        """
        WITH lines AS (SELECT session_id, user_id, unnest(items) AS item FROM sessions),
        counts AS (SELECT item, count(*) AS sessions FROM lines GROUP BY item),
        pairs AS (
            SELECT a.item AS low, b.item AS high, count(*) AS support,
                   count(DISTINCT a.user_id) AS users
            FROM lines a JOIN lines b ON a.session_id = b.session_id AND a.item < b.item
            GROUP BY low, high HAVING support >= $support AND users >= $users
        ),
        directed AS (
            SELECT low AS item_a, high AS item_b, support, users FROM pairs
            UNION ALL SELECT high, low, support, users FROM pairs
        )
        SELECT item_a, item_b, support, users, support / a.sessions AS confidence,
               support / a.sessions * $total / b.sessions AS lift
        FROM directed JOIN counts a ON item_a = a.item JOIN counts b ON item_b = b.item
        WHERE support / a.sessions * $total / b.sessions > $lift
        ORDER BY item_a, item_b
        """,
        {
            "support": settings.min_support,
            "users": settings.min_users,
            "lift": settings.min_lift,
            "total": total[0],
        },
    ).fetchdf()


def split_edges(rules: pd.DataFrame, items: pd.DataFrame, settings: Settings) -> pd.Series:
    """The split of each rule: train, both_seen, one_unseen or both_unseen.

    Rules that touch a held-out item are never trained on. Of the pairs between training items a
    share is held out; A -> B and B -> A always go together, for one gives the other away.
    """
    train = items.loc[items["split"] == "train", "item_id"]
    seen_a = rules["item_a"].isin(train).to_numpy()
    seen_b = rules["item_b"].isin(train).to_numpy()
    a, b = rules["item_a"].to_numpy(), rules["item_b"].to_numpy()
    low, high = np.minimum(a, b), np.maximum(a, b)
    draw = seeds.uniform(seeds.derive(settings.seed, "edge split"), low, high)
    seen = seen_a.astype(int) + seen_b
    names = np.array(["both_unseen", "one_unseen", "train"], dtype=object)[seen]
    names[(seen == 2) & (draw < settings.held_out_edges)] = "both_seen"
    return pd.Series(names, index=rules.index)


def main() -> None:
    """Command line: events and items to rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    files.parquet_schema(arguments.events)
    items = files.read_table(arguments.items, "items", ["item_id", "split"])
    arguments.rules.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.rules.parent) as spill:
        rules = mine(arguments.events, settings, Path(spill))
    rules["split"] = split_edges(rules, items, settings)
    counts = rules["split"].value_counts().to_dict()
    log.info("%d rules: %s", len(rules), counts)
    if "train" not in counts:
        raise UserError(
            f"no training rule is left of {len(rules)} rules with support >= "
            f"{settings.min_support} and {settings.min_users} users",
            "lower curriculum.rules.min_support or min_users",
        )
    files.write_table(rules, arguments.rules, "rules")


if __name__ == "__main__":
    run_command(main)
