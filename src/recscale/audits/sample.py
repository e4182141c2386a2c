"""The users whose log the privacy audit looks at, rules mined from them and walks on these."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files
from recscale.audits.histories import Histories, Items, read_histories, training_events
from recscale.audits.mining import mine
from recscale.curriculum import graph, walk_settings, walks
from recscale.ranking.sequences import Integers, Sequences
from recscale.ranking.world_log import Rules


@dataclass(frozen=True)
class Settings:
    """The `audits` block of the config as far as privacy is concerned, and how rules are mined.

    `walk` is how to walk and how many walks to make of either graph; its seed is not used.
    """

    seed: int
    train_until: str
    users: int | None
    replicates: int
    rules: Rules
    walk: walk_settings.Settings


@dataclass(frozen=True)
class Sample:
    """The audited users' histories, and a folder with their events in `all.parquet`."""

    histories: Histories
    items: Items
    item_table: Path
    folder: Path


def take_sample(
    events: Path, item_table: Path, users: Integers, settings: Settings, folder: Path
) -> Sample:
    """Write and read the events of the audited users."""
    some = training_events(events, settings.train_until, users)
    files.write_record_batches(some, folder / "all.parquet", "events")
    items = Items.read(item_table)
    histories = read_histories(folder / "all.parquet", settings.train_until, items)
    return Sample(histories, items, item_table, folder)


def mined(sample: Sample, events: Path, settings: Settings, min_users: int) -> pd.DataFrame:
    """Training rules of some of the audited users' events."""
    with tempfile.TemporaryDirectory(dir=sample.folder) as folder:
        found = mine(
            events,
            sample.item_table,
            settings.train_until,
            settings.seed,
            replace(settings.rules, min_users=min_users),
            Path(folder),
        )
    return found[found["split"] == "train"]


def walked(item_graph: graph.ItemGraph, stream: str, settings: Settings, items: Items) -> Sequences:
    """Walks on a graph, in item numbers."""
    how = replace(settings.walk, seed=settings.seed)
    made = walks.together(walks.generate(item_graph, how, f"audit of {stream}"))
    numbers = items.numbers(item_graph.item_ids)
    return Sequences.from_lengths(numbers[made.nodes], made.lengths.astype(np.int64))
