"""Association rules against a count by hand, and the split of edges."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recscale import files
from recscale.curriculum import rules
from recscale.errors import UserError

SETTINGS = rules.Settings(
    seed=1,
    train_until="2023-06-01",
    min_support=2,
    min_users=2,
    min_lift=0.0,
    max_session_items=5,
    held_out_edges=0.3,
    memory_limit="1GB",
)


def write_events(sessions: list[tuple[int, int, list[int]]], path) -> None:
    """Sessions as (user, day of May 2023, items)."""
    rows = [
        (user, number, pd.Timestamp(2023, 5, 1) + pd.Timedelta(days=day), item, "purchase")
        for number, (user, day, items) in enumerate(sessions)
        for item in items
    ]
    columns = ["user_id", "session_id", "time", "item_id", "event_type"]
    files.write_table(pd.DataFrame(rows, columns=columns), path, "events")


def by_hand(sessions: list[tuple[int, int, list[int]]], settings: rules.Settings) -> dict:
    kept = [(u, set(i)) for u, day, i in sessions if day < 31]
    kept = [(u, i) for u, i in kept if len(i) <= settings.max_session_items]
    item_counts = Counter(item for _, items in kept for item in items)
    found = {}
    for a, b in itertools.permutations(sorted(item_counts), 2):
        holders = [u for u, items in kept if a in items and b in items]
        if len(holders) < settings.min_support or len(set(holders)) < settings.min_users:
            continue
        confidence = len(holders) / item_counts[a]
        lift = confidence * len(kept) / item_counts[b]
        if lift > settings.min_lift:
            found[a, b] = (len(holders), len(set(holders)), confidence, lift)
    return found


session = st.tuples(
    st.integers(0, 3), st.integers(0, 40), st.lists(st.integers(0, 6), min_size=1, max_size=7)
)


@given(st.lists(session, min_size=1, max_size=25), st.sampled_from([0.0, 1.0]))
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rules_equal_a_count_by_hand(tmp_path, sessions, min_lift):
    settings = dataclasses.replace(SETTINGS, min_lift=min_lift)
    sessions.append((0, 0, [0]))
    write_events(sessions, tmp_path / "events.parquet")
    mined = rules.mine(tmp_path / "events.parquet", settings, tmp_path / "spill")
    expected = by_hand(sessions, settings)
    found = {(r.item_a, r.item_b): r[3:] for r in mined.itertuples()}
    assert found.keys() == expected.keys()
    for pair, values in expected.items():
        assert found[pair] == pytest.approx(values, rel=1e-12)


def test_a_session_after_the_training_period_counts_for_nothing(tmp_path):
    early = [(u, 0, [1, 2]) for u in range(3)]
    write_events(early, tmp_path / "a.parquet")
    write_events([*early, (9, 35, [1, 2, 3])], tmp_path / "b.parquet")
    first = rules.mine(tmp_path / "a.parquet", SETTINGS, tmp_path)
    assert first.equals(rules.mine(tmp_path / "b.parquet", SETTINGS, tmp_path))


def test_edges_are_split_in_pairs_and_by_the_items_seen():
    items = pd.DataFrame({"item_id": np.arange(60), "split": "train"})
    items.loc[items["item_id"] >= 50, "split"] = "held_out"
    pairs = [(a, b) for a in range(60) for b in range(60) if a != b]
    table = pd.DataFrame(pairs, columns=["item_a", "item_b"])
    split = dict(zip(pairs, rules.split_edges(table, items, SETTINGS), strict=True))
    for (a, b), name in split.items():
        assert split[b, a] == name
        unseen = (a >= 50) + (b >= 50)
        expected = {0: {"train", "both_seen"}, 1: {"one_unseen"}, 2: {"both_unseen"}}[unseen]
        assert name in expected
    seen = [name for (a, b), name in split.items() if a < b < 50]
    share = seen.count("both_seen") / len(seen)
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / len(seen)) ** 0.5


def command(tmp_path, monkeypatch, **change):
    settings = dataclasses.asdict(dataclasses.replace(SETTINGS, **change))
    paths = [
        "--events",
        str(tmp_path / "events.parquet"),
        "--items",
        str(tmp_path / "items.parquet"),
    ]
    paths += ["--rules", str(tmp_path / "rules.parquet"), "--settings", json.dumps(settings)]
    monkeypatch.setattr("sys.argv", ["rules", *paths])
    rules.main()


def write_items(path, items: int) -> None:
    columns = dict.fromkeys(["brand", "c0", "c1", "c2", "size", "color"])
    frame = pd.DataFrame({"item_id": range(items), "title": "x", **columns, "split": "train"})
    files.write_table(frame, path, "items")


def test_the_command_writes_rules_that_keep_their_contract(tmp_path, monkeypatch):
    write_events([(u, u, [0, 1, 2]) for u in range(4)], tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 3)
    command(tmp_path, monkeypatch, held_out_edges=0.0)
    found = files.read_table(tmp_path / "rules.parquet", "rules")
    assert len(found) == 6
    assert set(found["split"]) == {"train"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "events.parquet",
        "items.parquet",
        "rules.parquet",
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"min_support": 50}, "no training rule is left of 0 rules with support >= 50"),
        ({"train_until": "2020-01-01"}, "holds no session before 2020-01-01"),
    ],
)
def test_no_rules_is_one_line_and_no_file(tmp_path, monkeypatch, change, named):
    write_events([(u, u, [0, 1, 2]) for u in range(4)], tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 3)
    with pytest.raises(UserError, match=named):
        command(tmp_path, monkeypatch, **change)
    assert not (tmp_path / "rules.parquet").exists()
