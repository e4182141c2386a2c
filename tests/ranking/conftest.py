"""A planted data set, item i followed by item i + 1, and builders of the stage's input tables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recscale.contracts import CONTRACTS
from recscale.files import write_table
from recscale.ranking.compatibility import quiet_corner

SOURCE = Path(__file__).parents[2] / "src"
N_ITEMS = 30


@pytest.fixture
def histories_table() -> Callable[..., pa.Table]:
    """Build a `histories` table from rows (user_id, items, valid_item, test_item); every item is a
    session of its own."""

    def build(*rows: tuple[int, list[int], int, int]) -> pa.Table:
        names = ("user_id", "items", "valid_item", "test_item")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        columns["sessions"] = [list(range(len(row[1]))) for row in rows]
        return pa.table(columns, schema=CONTRACTS["histories"].arrow_schema())

    return build


@pytest.fixture
def walks_table() -> Callable[..., pa.Table]:
    """Build a `walks` table from lists of items."""

    def build(*walks: list[int]) -> pa.Table:
        columns = {"walk": range(len(walks)), "items": walks, "path_confidence": [1.0] * len(walks)}
        return pa.table(columns, schema=CONTRACTS["walks"].arrow_schema())

    return build


def cycle_run(start: int, length: int) -> list[int]:
    """A stretch of the cycle 100, 101, ..., 129, 100, ..."""
    return [100 + (start + i) % N_ITEMS for i in range(length)]


@pytest.fixture
def cycle(tmp_path: Path) -> dict[str, Path]:
    """The stage's inputs on disk: 60 users and 80 walks along the cycle."""
    random = np.random.default_rng(5)
    paths = {name: tmp_path / f"{name}.parquet" for name in ("items", "histories", "walks")}
    items = pd.DataFrame({"item_id": range(100, 100 + N_ITEMS), "title": "item", "split": "train"})
    items = items.assign(brand=None, c0=None, c1=None, c2=None, size=None, color=None)
    write_table(items, paths["items"], "items")
    users = range(60)
    stretches = [cycle_run(random.integers(N_ITEMS), random.integers(6, 11)) for _ in users]
    histories = pd.DataFrame(
        {
            "user_id": users,
            "items": [s[:-2] for s in stretches],
            "sessions": [list(range(len(s) - 2)) for s in stretches],
            "valid_item": [s[-2] for s in stretches],
            "test_item": [s[-1] for s in stretches],
        }
    )
    write_table(histories, paths["histories"], "histories")
    walks = [cycle_run(random.integers(N_ITEMS), random.integers(5, 10)) for _ in range(80)]
    frame = pd.DataFrame({"walk": range(80), "items": walks, "path_confidence": 0.5})
    write_table(frame, paths["walks"], "walks")
    return paths


@pytest.fixture
def settings() -> dict:
    """The command's settings for a training of a second."""
    return {
        "seed": 7,
        "seeds": 2,
        "examples": 150,
        "own_examples": 100,
        "min_item_count": 1,
        "history_length": 6,
        "epochs": 3,
        "patience": 2,
        "learning_rates": [0.01, 0.03],
        "batch_size": 32,
        "hidden": 16,
        "cutoffs": [1, 10, 1000],
        "threads": 1,
    }


@pytest.fixture
def corner(tmp_path: Path) -> Iterator[Path]:
    """Stand where RecBole may write."""
    with quiet_corner(tmp_path / "work") as folder:
        yield folder


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run the command as a workflow rule does, in a process of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "recscale.ranking.train", *arguments],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run
