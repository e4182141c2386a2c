"""A small log with planted structure: users who like one of four groups of items each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files

USERS, ITEMS, GROUPS = 240, 48, 4
UNTIL = "2024-03-01"
SEED = 3
RULES = {
    "min_support": 4,
    "min_users": 2,
    "min_lift": 1.0,
    "max_session_items": 50,
    "max_minutes": None,
    "partitions": 2,
    "held_out_edges": 0.1,
    "memory_limit": "1GB",
}
WALK = {
    "seed": 0,
    "engine": "numba",
    "order": 1,
    "p": 1.0,
    "q": 1.0,
    "stop_probability": 0.3,
    "threshold": None,
    "at_threshold": "stop",
    "min_items": 3,
    "max_items": 20,
    "walks": 400,
}
AUDIT = {"seed": SEED, "train_until": UNTIL, "users": None, "walks": 400, "replicates": 60}


def events(users: int = USERS, later: bool = True) -> pd.DataFrame:
    """Four sessions of three or four items a user, of the group they like; and one after UNTIL."""
    random = np.random.default_rng(1)
    rows = []
    session = 0
    for user in range(users):
        liked = np.arange(user % GROUPS, ITEMS, GROUPS)
        days = [*range(4), *([70] if later else [])]
        for day in days:
            session += 1
            weights = 1.0 / (1 + np.arange(len(liked)))
            size = int(random.integers(3, 5))
            chosen = random.choice(liked, size, replace=False, p=weights / weights.sum())
            for minute, item in enumerate(chosen):
                time = pd.Timestamp("2024-01-01") + pd.Timedelta(days=day, minutes=minute)
                rows.append((user, session, time, int(item), "purchase"))
    names = ["user_id", "session_id", "time", "item_id", "event_type"]
    return pd.DataFrame(rows, columns=names)


def items() -> pd.DataFrame:
    """Items of a category a group, every twelfth held out; one in three has no size."""
    number = np.arange(ITEMS)
    return pd.DataFrame(
        {
            "item_id": number,
            "title": [f"thing {i}" for i in number],
            "brand": "brand",
            "c0": [f"group {i % GROUPS}" for i in number],
            "c1": None,
            "c2": None,
            "size": [None if i % 3 == 0 else "small" for i in number],
            "color": None,
            "split": np.where(number % 12 == 11, "held_out", "train"),
        }
    )


def histories(log: pd.DataFrame) -> pd.DataFrame:
    """Contract `histories` of the log's users."""
    rows = []
    for user, of in log.groupby("user_id"):
        before = of[of["time"] < UNTIL]
        after = of.loc[of["time"] >= UNTIL, "item_id"].tolist()
        rows.append(
            (user, before["item_id"].tolist(), before["session_id"].tolist(), after[0], after[1])
        )
    names = ["user_id", "items", "sessions", "valid_item", "test_item"]
    return pd.DataFrame(rows, columns=names)


def write(folder: Path, walks: list[list[int]], users: int = USERS) -> dict[str, Path]:
    """Write the log, its items and histories, some walks and rules; returns paths by name."""
    log = events(users)
    rules = pd.DataFrame(
        {
            "item_a": [0, 4, 8],
            "item_b": [4, 0, 11],
            "support": 9,
            "users": [7, 7, 2],
            "confidence": 0.5,
            "lift": 2.0,
            "split": ["train", "train", "one_unseen"],
        }
    )
    table = pd.DataFrame(
        {"walk": range(len(walks)), "items": walks, "path_confidence": np.full(len(walks), 0.5)}
    )
    weeks = pd.DataFrame(
        {
            "item_id": np.arange(0, ITEMS, 2),
            "week": 1,
            "week_start": pd.Timestamp("2024-01-01"),
            "stores": 3,
            "stores_displayed": 2,
            "stores_mailed": np.arange(0, ITEMS, 2) % 4,
        }
    )
    # The record spans two weeks, the second without a promotion of an item that is ever bought.
    later = weeks.iloc[[0]].assign(week=2, week_start=pd.Timestamp("2024-01-08"))
    written = {
        "events": log,
        "items": items(),
        "histories": histories(log),
        "rules": rules,
        "walks": table,
        "exposure": pd.concat([weeks, later], ignore_index=True),
    }
    paths = {}
    for name, frame in written.items():
        paths[name] = folder / f"{name}.parquet"
        files.write_table(frame, paths[name], name)
    return paths


def grouped_walks(count: int = 400, group: int | None = None) -> list[list[int]]:
    """Walks of items of one group each, of the training items."""
    random = np.random.default_rng(2)
    train = np.flatnonzero(np.arange(ITEMS) % 12 != 11)
    found = []
    for number in range(count):
        of = number % GROUPS if group is None else group
        among = train[train % GROUPS == of]
        weights = 1.0 / (1 + np.arange(len(among)))
        size = int(random.integers(3, 7))
        found.append(random.choice(among, size, p=weights / weights.sum()).tolist())
    return found


def flags(**values: object) -> list[str]:
    """Command-line flags of paths and the settings as JSON."""
    found = []
    for name, value in values.items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        found += [f"--{name.replace('_', '-')}", text]
    return found
