"""The log of a simulated marketplace with one bias, read, mined and walked on for the two arms.

Nothing of the pipeline is done anew here: the stages' own functions and commands are called, on
temporary files.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recscale import files
from recscale.curriculum import graph, pair_counts, rules, session_items, walk_settings, walks
from recscale.data import prepare, world
from recscale.data.world_events import Dials
from recscale.errors import UserError
from recscale.ranking.comparison import Comparison, compare
from recscale.ranking.sequences import Integers
from recscale.ranking.settings import Settings as RankingSettings
from recscale.ranking.true_preference import Truth
from recscale.settings import build

NO_DIAL = "none"  # the reference: a log that follows true preference
DIALS = tuple(field.name for field in dataclasses.fields(Dials))
# Parts of the world's days that end with the training and with the validation period.
TRAINING, VALIDATION = 3 / 4, 7 / 8


@dataclass(frozen=True)
class World:
    """Size of the simulated marketplace: as in the `data.world` block of the config."""

    users: int
    items: int
    events: int
    months: int


@dataclass(frozen=True)
class Rules:
    """The `curriculum.rules` block of the config without `jobs` and `existing`."""

    min_support: int
    min_users: int
    min_lift: float
    max_session_items: int
    max_minutes: float | None
    partitions: int
    held_out_edges: float
    memory_limit: str


@dataclass(frozen=True)
class LogSettings:
    """How a log is made and what is made of it; `walks` are the settings of its command."""

    world: World
    held_out_items: float
    rules: Rules
    walks: walk_settings.Settings


@dataclass(frozen=True)
class Simulated:
    """One world's comparison of the arms, its truth, and how often items occur in training.

    `events` counts an item's events of the training period, all users, shape `(items,)` in the
    order of the vocabulary.
    """

    comparison: Comparison
    truth: Truth
    events: Integers


def dials(dial: str, strength: float) -> dict[str, float]:
    """The world's dials with one of them at `strength`.

    Raises:
        UserError: there is no such dial, or its strength is outside (0, 1]; `none` has strength 0.
    """
    if dial not in (NO_DIAL, *DIALS):
        raise UserError(f"--dial is {dial!r}", f"use one of {', '.join((NO_DIAL, *DIALS))}")
    if dial == NO_DIAL and strength != 0:
        raise UserError(f"--strength is {strength:g} of no dial", "use 0")
    if dial != NO_DIAL and not 0 < strength <= 1:
        raise UserError(
            f"--strength is {strength:g}", "use a number above 0 up to 1; 0 is the dial none"
        )
    return {name: strength if name == dial else 0.0 for name in DIALS}


def periods(months: int) -> tuple[str, str]:
    """The days that training and validation end before, in a world of so many months."""
    first, last = world.month_starts(months)[[0, -1]].astype("datetime64[D]")
    days = int((last - first).astype(int))
    return str(first + int(days * TRAINING)), str(first + int(days * VALIDATION))


def _call(main: Callable[[], None], settings: dict[str, Any], **paths: Path) -> None:
    """Run the main of another stage's command in this process."""
    before = sys.argv
    flags = [part for name, path in paths.items() for part in (f"--{name.replace('_', '-')}", path)]
    sys.argv = [before[0], *map(str, flags), "--settings", json.dumps(settings)]
    try:
        main()
    finally:
        sys.argv = before


def _mine(folder: Path, seed: int, train_until: str, settings: Rules) -> graph.ItemGraph:
    """The graph of training rules of the log prepared in `folder`."""

    def of(cls: type, **more: Any) -> dict[str, Any]:
        names = [field.name for field in dataclasses.fields(cls)]
        return {key: v for key, v in dataclasses.asdict(settings).items() if key in names} | more

    def file(name: str) -> Path:
        return folder / f"{name}.parquet"

    _call(
        session_items.main,
        of(session_items.Settings, train_until=train_until),
        events=file("events"),
        session_items=file("session_items"),
        card=folder / "session_items.json",
    )
    _call(
        pair_counts.main,
        of(pair_counts.Settings),
        session_items=file("session_items"),
        pairs=file("pairs"),
    )
    _call(
        rules.main,
        of(rules.Settings, seed=seed, existing=None),
        session_items=file("session_items"),
        pairs=file("pairs"),
        items=file("items"),
        rules=file("rules"),
        card=folder / "rules.json",
    )
    found = files.read_table(file("rules"), "rules")
    return graph.build(found[found["split"].isin(graph.GRAPHS["train"])])


def _walk(item_graph: graph.ItemGraph, settings: walk_settings.Settings) -> pa.Table:
    """The walks of TSTR, contract `walks`."""
    made = walks.together(walks.generate(item_graph, settings, "ranking"))
    return pa.Table.from_batches([walks.walk_batch(item_graph, made, 0)])


@dataclass(frozen=True)
class WorldLog:
    """A world's log as the data stage splits it: its tables, and the end of its training period."""

    items: Path
    events: Path
    histories: Path
    train_until: str


def write_log(
    size: World,
    memory_limit: str,
    held_out_items: float,
    dial: str,
    strength: float,
    seed: int,
    folder: Path,
) -> WorldLog:
    """Make a world and prepare its log.

    Args:
        size: of the world.
        memory_limit: DuckDB's.
        held_out_items: share of the items that training may not show.
        dial: the only dial that is on, or `none`; strength: of the dial.
        seed: of all that is random.
        folder: an empty folder; the world itself lies in `world` there.

    Raises:
        UserError: as `dials` and the data stage.
    """
    train_until, valid_until = periods(size.months)
    values = dataclasses.asdict(size) | dials(dial, strength)
    world.build(
        build(world.Settings, {"seed": seed, "shards": 1, **values}, where="world"),
        folder / "world",
    )
    data = prepare.Settings(
        seed=seed,
        source="world",
        folder=str(folder / "world"),
        users=None,
        event_types=None,
        min_item_events=1,
        min_user_events=1,
        bad_shards="stop",
        memory_limit=memory_limit,
        train_until=train_until,
        valid_until=valid_until,
        held_out_items=held_out_items,
    )
    items, events, histories = (
        folder / f"{name}.parquet" for name in ("items", "events", "histories")
    )
    prepare.prepare(data, items, events, histories, folder / "card.json")
    return WorldLog(items, events, histories, train_until)


def simulate(
    settings: LogSettings, ranking: RankingSettings, dial: str, strength: float, folder: Path
) -> Simulated:
    """Make a world, and from its log what the two arms train and test on.

    Args:
        settings: how.
        ranking: settings of the arms, whose seed all that is random derives from.
        dial: the only dial that is on, or `none`; strength: of the dial.
        folder: an empty folder.

    Raises:
        UserError: as `dials` and the stages that make it.
    """
    seed = ranking.seed
    log = write_log(
        settings.world,
        settings.rules.memory_limit,
        settings.held_out_items,
        dial,
        strength,
        seed,
        folder,
    )
    item_graph = _mine(folder, seed, log.train_until, settings.rules)
    synthetic = _walk(item_graph, dataclasses.replace(settings.walks, seed=seed))
    comparison = compare(
        [log.histories], synthetic, ranking.history_length, least=ranking.min_item_count, seed=seed
    )
    vocabulary = comparison.vocabulary
    truth = Truth.read(folder / "world/truth", comparison.test.users, vocabulary.items)
    log_rows = files.read_table(log.events, "events", ["time", "item_id"])
    training = log_rows.loc[log_rows["time"] < log.train_until, "item_id"].to_numpy()
    counts = np.bincount(vocabulary.encode(training), minlength=len(vocabulary) + 1)[1:]
    return Simulated(comparison, truth, counts)
