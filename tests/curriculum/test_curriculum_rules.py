"""Association rules against a count by hand, whatever the partitions, and the split of edges."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recscale import files
from recscale.curriculum import pair_counts, rules, session_items
from recscale.errors import UserError

DEFAULTS = {
    "seed": 1,
    "train_until": "2023-06-01",
    "min_support": 2,
    "min_users": 2,
    "min_lift": 0.0,
    "max_session_items": 5,
    "max_minutes": None,
    "held_out_edges": 0.3,
    "partitions": 4,
    "existing": None,
    "memory_limit": "1GB",
}


def write_events(rows: list[tuple[int, int, int, int]], path) -> None:
    """Events as (session, user, minute since May 2023, item)."""
    start = pd.Timestamp(2023, 5, 1)
    frame = pd.DataFrame(
        [(u, s, start + pd.Timedelta(minutes=m), i, "purchase") for s, u, m, i in rows],
        columns=["user_id", "session_id", "time", "item_id", "event_type"],
    )
    files.write_table(frame, path, "events")


def write_items(path, items: int, held_out: tuple[int, ...] = ()) -> None:
    columns = dict.fromkeys(["brand", "c0", "c1", "c2", "size", "color"])
    frame = pd.DataFrame({"item_id": range(items), "title": "x", **columns, "split": "train"})
    frame.loc[frame["item_id"].isin(held_out), "split"] = "held_out"
    files.write_table(frame, path, "items")


@pytest.fixture
def mine(tmp_path, call):
    """Run the three commands on events.parquet and items.parquet; returns rules and cards."""

    def run(parts: int = 1, **changes) -> tuple[pd.DataFrame, dict, dict]:
        values = DEFAULTS | changes

        def told(module):
            names = module.Settings.__dataclass_fields__
            return ["--settings", json.dumps({name: values[name] for name in names})]

        at = {name: tmp_path / f"{name}.parquet" for name in ("events", "items", "lines", "rules")}
        card = tmp_path / "lines.json"
        options = ["--events", at["events"], "--session-items", at["lines"], "--card", card]
        call(session_items.main, *options, *told(session_items))
        pairs = [tmp_path / f"pairs-{part}.parquet" for part in range(parts)]
        for part, path in enumerate(pairs):
            options = ["--session-items", at["lines"], "--pairs", path]
            options += ["--part", part, "--parts", parts]
            call(pair_counts.main, *options, *told(pair_counts))
        options = ["--session-items", at["lines"], "--pairs", *pairs, "--items", at["items"]]
        options += ["--rules", at["rules"], "--card", tmp_path / "rules.json"]
        call(rules.main, *options, *told(rules))
        cards = (files.read_json(card), files.read_json(tmp_path / "rules.json"))
        return files.read_table(at["rules"], "rules"), *cards

    return run


def by_hand(rows, minutes: float | None, most: int, least: dict) -> dict:
    """(a, b) -> support, users, confidence, lift, by counting every session."""
    events, user_of = defaultdict(set), {}
    for session, user, minute, item in rows:
        if minute < 31 * 24 * 60:
            events[session].add((item, minute))
            user_of[session] = user
    kept = {s: e for s, e in events.items() if len({item for item, _ in e}) <= most}
    counts = Counter(item for e in kept.values() for item in {i for i, _ in e})
    found = {}
    for a, b in itertools.permutations(sorted(counts), 2):
        together = [
            session
            for session, e in kept.items()
            if any(
                i == a and j == b and (minutes is None or abs(m - n) <= minutes)
                for (i, m), (j, n) in itertools.product(e, e)
            )
        ]
        users = {user_of[session] for session in together}
        if len(together) < least["min_support"] or len(users) < least["min_users"]:
            continue
        confidence = len(together) / counts[a]
        lift = confidence * len(kept) / counts[b]
        if lift > least["min_lift"]:
            found[a, b] = (len(together), len(users), confidence, lift)
    return found


event = st.tuples(st.integers(0, 12), st.integers(0, 60), st.integers(0, 6))
many_events = st.lists(event, min_size=1, max_size=70)


@given(
    many_events,
    st.sampled_from([None, 0, 5, 20]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([(1, 1), (1, 16), (2, 3), (7, 1)]),
    st.sampled_from([(1, 1), (2, 2)]),
)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rules_equal_a_count_by_hand(tmp_path, mine, events, minutes, lift, parts, least):
    # Sessions 9 to 12 come after the training period; a session's user is its number by 3.
    rows = [(s, s % 3, m + (s // 9) * 32 * 24 * 60, item) for s, m, item in events]
    rows += [(s, s % 3, 0, item) for s in (20, 21, 22) for item in (7, 8)]
    write_events(rows, tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 9)
    limits = {"min_support": least[0], "min_users": least[1], "min_lift": lift}
    limits |= {"held_out_edges": 0.0}
    expected = by_hand(rows, minutes, 5, limits)
    if not expected:
        return
    changes = {**limits, "max_minutes": minutes, "partitions": parts[1]}
    mined, lines, card = mine(parts=parts[0], **changes)
    found = {(r.item_a, r.item_b): r[3:7] for r in mined.itertuples()}
    assert found.keys() == expected.keys()
    for pair, values in expected.items():
        assert found[pair] == pytest.approx(values, rel=1e-12)
    assert len(mined) == card["mined_rules"]
    dropped = sum(n for name, n in lines.items() if name.startswith("dropped"))
    assert lines["events_read"] == len(rows) == dropped + lines["session_items"]


def test_the_bytes_do_not_depend_on_parts_and_partitions(tmp_path, mine):
    rng = np.random.default_rng(0)
    rows = [(s, s % 40, int(m), int(i)) for s in range(300) for m, i in rng.integers(0, 30, (5, 2))]
    write_events(rows, tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 30, held_out=(3, 4))
    bytes_of = set()
    for parts, partitions in ((1, 1), (1, 16), (2, 5), (7, 7)):
        mine(parts=parts, partitions=partitions)
        bytes_of.add((tmp_path / "rules.parquet").read_bytes())
    assert len(bytes_of) == 1
    table = files.read_table(tmp_path / "rules.parquet", "rules")
    assert set(table["split"]) == {"train", "both_seen", "one_unseen", "both_unseen"}


def test_a_session_of_ten_thousand_items_is_left_out_and_counted(tmp_path, mine):
    small = [(s, s, 0, item) for s in range(3) for item in (1, 2)]
    write_events(
        [*small, *((9, 9, 0, item) for item in range(10_000))], tmp_path / "events.parquet"
    )
    write_items(tmp_path / "items.parquet", 10_000)
    mined, lines, _ = mine(held_out_edges=0.0)
    assert set(zip(mined["item_a"], mined["item_b"], strict=True)) == {(1, 2), (2, 1)}
    assert lines["sessions_too_large"] == 1
    assert lines["dropped_in_too_large_sessions"] == lines["largest_session_items"] == 10_000
    assert lines["most_pairs_a_session"] == 10


def existing_rules(**changes) -> pd.DataFrame:
    """Mined already (1 -> 2), new (2 -> 3, 3 -> 2), of an unknown item, and of too few users."""
    pairs = [(1, 2), (2, 3), (3, 2), (2, 77), (1, 3)]
    frame = pd.DataFrame(pairs, columns=["item_a", "item_b"])
    frame = frame.assign(support=9, users=[9, 9, 9, 9, 1], confidence=0.5, lift=3.0)
    return frame.assign(**changes)


def test_existing_rules_are_added_where_none_was_mined(tmp_path, mine):
    write_events([(s, s, 0, i) for s in range(4) for i in (1, 2)], tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 4)
    existing_rules().to_parquet(tmp_path / "existing.parquet")
    mined, _, card = mine(existing=str(tmp_path / "existing.parquet"), held_out_edges=0.0)
    by_pair = {(r.item_a, r.item_b): r.support for r in mined.itertuples()}
    assert by_pair == {(1, 2): 4, (2, 1): 4, (2, 3): 9, (3, 2): 9}
    assert card["existing_read"] == 5
    assert card["existing_added"] == 2
    for reason in ("unknown_item", "below_limits", "mined_too"):
        assert card[f"existing_dropped_{reason}"] == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (existing_rules().drop(columns="lift"), r"lacks the column\(s\) lift; it needs item_a"),
        (
            existing_rules(confidence=[0.5, 0.0, 0.5, np.nan, 0.5]),
            "of 5 rules in .*, 2 have a conf",
        ),
        (existing_rules(item_a=1, item_b=2), "and 4 are repeated; mend the file"),
    ],
)
def test_existing_rules_that_make_no_sense_are_named(tmp_path, mine, table, message):
    write_events([(s, s, 0, i) for s in range(4) for i in (1, 2)], tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 4)
    table.to_parquet(tmp_path / "existing.parquet")
    with pytest.raises(UserError, match=message):
        mine(existing=str(tmp_path / "existing.parquet"))


def test_edges_are_split_in_pairs_and_by_the_items_seen():
    settings = rules.Settings(1, 2, 2, 0.0, 0.3, None, "1GB")
    a, b = np.array([(a, b) for a in range(60) for b in range(60) if a != b]).T
    names = rules.edge_splits(a, b, np.arange(50), settings)
    split = dict(zip(zip(a.tolist(), b.tolist(), strict=True), names, strict=True))
    for (x, y), name in split.items():
        assert split[y, x] == name
        unseen = (x >= 50) + (y >= 50)
        expected = {0: {"train", "both_seen"}, 1: {"one_unseen"}, 2: {"both_unseen"}}[unseen]
        assert name in expected
    seen = [name for (x, y), name in split.items() if x < y < 50]
    share = seen.count("both_seen") / len(seen)
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / len(seen)) ** 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_support": 99}, "no training rule is left of 0 rules with support >= 99 and 2 users"),
        ({"train_until": "2020-01-01"}, "holds no session before 2020-01-01"),
        ({"memory_limit": "1MB"}, "raise the memory limit in the config"),
    ],
)
def test_what_leaves_no_rule_is_named(tmp_path, mine, change, message):
    write_events([(s, s, 0, i) for s in range(4) for i in (1, 2)], tmp_path / "events.parquet")
    write_items(tmp_path / "items.parquet", 4)
    with pytest.raises(UserError, match=message):
        mine(**change)
    assert not (tmp_path / "rules.parquet").exists()
    assert not list(tmp_path.glob("tmp*"))  # what was spilt is gone
