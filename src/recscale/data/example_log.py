"""An example of anybody's log: two small Parquet tables with some structure in them.

    python -m recscale.data.example_log --folder data/example_log

It shows the two tables that `data.source: parquet` reads (config/README.md), and lets you try the
whole workflow on a log that is neither of the built-in ones: `config/example_log.yaml` runs on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files, seeds
from recscale.errors import run_command

ITEMS, USERS, SESSIONS = 1200, 700, 9000
KINDS = ("lamp", "chair", "rug", "vase", "clock", "shelf")
ROOMS = ("kitchen", "bedroom", "office", "hall")
FIRST_DAY = pd.Timestamp(2024, 1, 1)
DAYS = 84


def build() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Items and events: in a session a user looks at things for one room, popular ones first."""
    generator = seeds.generator(0, "example log")
    item = np.arange(ITEMS)
    kind, room = item % len(KINDS), (item // len(KINDS)) % len(ROOMS)
    items = pd.DataFrame(
        {
            "item_id": item,
            "title": [f"{KINDS[k]} number {n}" for n, k in zip(item, kind, strict=True)],
            "brand": [None if n % 5 == 0 else f"Maker {n % 17}" for n in item],
            "c0": [ROOMS[r] for r in room],
            "c1": [KINDS[k] for k in kind],
        }
    )
    user = generator.integers(0, USERS, SESSIONS)
    started = generator.integers(0, DAYS * 86_400, SESSIONS)
    length = 2 + generator.geometric(0.22, SESSIONS)
    session = np.repeat(np.arange(SESSIONS), length)
    wanted = np.repeat((user + generator.integers(0, 2, SESSIONS)) % len(ROOMS), length)
    # The k-th listing of a room has a share that falls with k.
    per_room = ITEMS // len(ROOMS)
    share = np.cumsum(1 / np.arange(3, per_room + 3))
    rank = np.searchsorted(share / share[-1], generator.random(len(session)))
    of_room = np.argsort(room, kind="stable").reshape(len(ROOMS), per_room)
    place = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    seconds = np.repeat(started, length) + 40 * place
    events = pd.DataFrame(
        {
            "user_id": user[session],
            "session_id": session,
            "time": FIRST_DAY + pd.to_timedelta(seconds, unit="s"),
            "item_id": of_room[wanted, rank],
            "event_type": "view",
        }
    )
    return items, events


def main() -> None:
    """Command line: write items.parquet and events.parquet into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    for frame, name in zip(build(), ("items.parquet", "events.parquet"), strict=True):
        with files.atomic(arguments.folder / name) as temporary:
            frame.to_parquet(temporary, index=False)


if __name__ == "__main__":
    run_command(main)
