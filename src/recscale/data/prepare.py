"""From a log to items, events and real histories, with the time and item splits of section 6.1.

Time comes first: whatever trains (rules, walks, ids, text, tokenizer) sees events before
`train_until` only. Items come second: a share of them is held out and reaches no training data.
The third split, of edges, is made where the edges are (`recscale.curriculum.rules`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from recscale import files, seeds
from recscale.data import complete_journey, merrec, parquet
from recscale.data.ordered_events import OrderedEvents
from recscale.data.selection import Selection, select, with_at_least
from recscale.database import connect, duckdb_errors
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("data.prepare")

Loader = Callable[[duckdb.DuckDBPyConnection, Path | None, str], dict[str, int]]
SOURCES: dict[str, Loader] = {
    "complete_journey": complete_journey.load,
    "merrec": merrec.load,
    "world": merrec.load,
    "parquet": parquet.load,
}


@dataclass(frozen=True)
class Settings:
    """The `data` block of the config, and the seed."""

    seed: int
    source: str
    folder: str | None
    users: int | None
    event_types: tuple[str, ...] | None
    min_item_events: int
    min_user_events: int
    bad_shards: str
    memory_limit: str
    train_until: str
    valid_until: str
    held_out_items: float


def split_items(
    connection: duckdb.DuckDBPyConnection, seed: int, train_until: str, share: float
) -> pd.DataFrame:
    """Items with events, and their split.

    An item is `train` if it was seen before `train_until` and its hash does not fall into the
    held-out share; everything else is `held_out`. So the held-out items are the share of those
    seen in training and all that came later.
    """
    items = connection.execute(
        """
        SELECT i.*, e.first < $until AS seen FROM raw_items i
        JOIN (SELECT item_id, min(time) AS first FROM raw_events GROUP BY item_id) e
        USING (item_id) ORDER BY item_id
        """,
        {"until": date.fromisoformat(train_until)},
    ).fetchdf()
    draw = seeds.uniform(seeds.derive(seed, "item split"), items["item_id"].to_numpy())
    train = items.pop("seen").to_numpy() & (draw >= share)
    items["split"] = pd.Series(train).map({True: "train", False: "held_out"})
    return items


def prepare(settings: Settings, items: Path, events: Path, real: Path, card: Path) -> None:
    """Read the log, split it and write items, events, histories and a data card.

    Raises:
        UserError: the source is unknown or unreadable, or a period of the split is empty.
    """
    if settings.source not in SOURCES:
        raise UserError(
            f"data.source is {settings.source!r}", f"known sources: {', '.join(SOURCES)}"
        )
    if settings.bad_shards not in ("stop", "quarantine"):
        raise UserError(f"data.bad_shards is {settings.bad_shards!r}", "use stop or quarantine")
    if not settings.train_until < settings.valid_until:
        raise UserError("data.train_until is not before data.valid_until", "mend the config")
    card.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=card.parent) as spill,
        connect(Path(spill), settings.memory_limit) as connection,
        duckdb_errors(settings.folder or settings.source),
    ):
        _prepare(connection, settings, items, events, real, card)


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    items: Path,
    events: Path,
    real: Path,
    card: Path,
) -> None:
    folder = Path(settings.folder) if settings.folder else None
    counts: dict[str, Any] = dict(SOURCES[settings.source](connection, folder, settings.bad_shards))
    log.info("rows: %s", counts)
    selection = Selection(
        settings.event_types, settings.min_item_events, settings.min_user_events, settings.users
    )
    everything = with_at_least(connection)
    counts |= select(connection, selection, settings.seed)
    item_table = split_items(
        connection, settings.seed, settings.train_until, settings.held_out_items
    )
    ordered = OrderedEvents(connection, settings.seed, settings.train_until, settings.valid_until)
    with files.atomic(events) as temporary:
        files.write_record_batches(ordered.batches(), temporary, "events")
        if not ordered.rows or ordered.histories.empty:
            raise UserError(
                f"no user has events before {settings.train_until}, before "
                f"{settings.valid_until} and after it ({ordered.rows} events are used of "
                f"{counts['rows_read']})",
                "choose data.train_until and data.valid_until inside the period of the log",
            )
    files.write_table(item_table, items, "items")
    files.write_table(ordered.histories, real, "histories")
    counts.pop("dropped_duplicate_rows", None)  # a source's own are counted with all others
    dropped = sum(n for name, n in counts.items() if name.startswith("dropped_"))
    repeated = counts["rows_read"] - dropped - ordered.rows
    summary = {
        "source": settings.source,
        **counts,
        "dropped_duplicate_rows": repeated,
        "rows_used": ordered.rows,
        "events": ordered.rows,
        "users": ordered.users,
        "sessions": ordered.sessions,
        "items": len(item_table),
        "training_items": int((item_table["split"] == "train").sum()),
        "histories": len(ordered.histories),
        **everything,
    }
    log.info("kept: %s", summary)
    files.write_json(summary, card)


def main() -> None:
    """Command line of the data stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    prepare(
        parse(Settings, arguments.settings),
        arguments.items,
        arguments.events,
        arguments.histories,
        arguments.card,
    )


if __name__ == "__main__":
    run_command(main)
