"""Copies and thresholds where the answer is known, and the audit of a small log."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recscale import files
from recscale.audits import anonymity, members, privacy
from recscale.audits.copying import Difference, Holders, per_user
from recscale.audits.histories import Items
from recscale.audits.sample import Settings, take_sample
from recscale.errors import UserError

from . import audited_log
from .item_sequences import sequences


def contains(row: list[int], part: list[int]) -> bool:
    return any(row[i : i + len(part)] == part for i in range(len(row) - len(part) + 1))


ROWS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=5)


@hypothesis_settings(deadline=None)
@given(ROWS, ROWS, st.integers(1, 4))
def test_copies_are_those_of_an_exhaustive_search(histories, walks, k):
    walk, user = Holders.of(sequences(histories), k).copies(sequences(walks), k)
    expected = set()
    for number, row in enumerate(walks):
        for begin in range(len(row) - k + 1):
            part = row[begin : begin + k]
            holders = [u for u, history in enumerate(histories) if contains(history, part)]
            if len(holders) == 1:
                expected.add((number, holders[0]))
    assert set(zip(walk.tolist(), user.tolist(), strict=True)) == expected
    assert len(walk) == len(expected)
    counted = per_user(walk, user, len(histories))
    assert counted.sum() == pytest.approx(len({number for number, _ in expected}))


def test_the_difference_is_of_as_many_users_and_honest_about_nothing():
    random = np.random.default_rng(1)
    found = Difference.of(np.full(10, 2.0), np.full(40, 1.0), 100, 50, random)
    assert found.estimate == pytest.approx(10 * (2.0 - 1.0) / 100)
    assert found.interval(0.95).low == pytest.approx(found.estimate)
    none = Difference.of(np.zeros(10), np.zeros(10), 100, 50, random).interval(0.95)
    assert none.low < 0 < none.high < 0.05


def test_thresholds_cost_rules_items_and_what_they_lead_to():
    items = Items(np.arange(6), np.zeros(6, dtype=np.int64))
    rules = pd.DataFrame(
        {
            "item_a": [0, 1, 2],
            "item_b": [1, 2, 3],
            "users": [1, 4, 12],
            "confidence": [0.9, 0.5, 0.2],
        }
    )
    next_items = anonymity.NextItems(sequences([[0], [1], [5, 2], [3]]), np.array([1, 2, 3, -1]))
    found = {(r.measure, r.group): r for r in anonymity.audit(rules, next_items, items)}
    for group, left, covered, reached in (
        ("1 user", 3, 4, 3),
        ("2 users", 2, 3, 2),
        ("5 users", 1, 2, 1),
        ("10 users", 1, 2, 1),
    ):
        assert found["anonymity_rules", group].found.estimate == left
        assert found["anonymity_items", group].found.estimate == covered
        for measure in ("anonymity_next_item", "anonymity_recall"):
            assert found[measure, group].found.estimate == pytest.approx(reached / 4)


def test_what_is_beyond_the_cutoff_is_not_found(monkeypatch):
    monkeypatch.setattr(anonymity, "CUTOFF", 1)
    items = Items(np.arange(3), np.zeros(3, dtype=np.int64))
    rules = pd.DataFrame(
        {"item_a": [0, 0], "item_b": [1, 2], "users": [5, 5], "confidence": [0.9, 0.5]}
    )
    next_items = anonymity.NextItems(sequences([[0], [0]]), np.array([1, 2]))
    found = {(r.measure, r.group): r for r in anonymity.audit(rules, next_items, items)}
    assert found["anonymity_next_item", "1 user"].found.estimate == 1
    assert found["anonymity_recall", "1 user"].found.estimate == 0.5


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("privacy")
    return folder, audited_log.write(folder, audited_log.grouped_walks())


def run(call, folder, paths, **changes):
    told = {k: v for k, v in audited_log.AUDIT.items() if k != "walks"}
    told |= {"rules": audited_log.RULES, "walk": audited_log.WALK} | changes
    names = ("events", "items", "histories", "rules", "walks")
    given_paths = {name: paths[name] for name in names}
    call(
        privacy.main,
        *audited_log.flags(**given_paths, privacy=folder / "privacy.csv", settings=told),
    )
    return files.read_csv(folder / "privacy.csv")


def test_the_audit_of_a_small_log(audited, call):
    folder, paths = audited
    found = run(call, folder, paths)
    values = found.set_index(["measure", "group"])["value"]
    assert values["fewest_users", "training rules"] == 7  # the held-out rule has two
    inside = members.halve(np.arange(audited_log.USERS), 0, audited_log.SEED)
    assert values["kept_out_users", "real log"] == (~inside).sum()
    # Stretches of members' histories copy members, and nobody else.
    assert values["copied_3_kept_out", "real stretches"] == 0
    assert values["copied_3_members", "real stretches"] > 0.5
    assert values["membership_auc", "real stretches"] > values["membership_auc", "walks"]
    assert values["membership_auc", "real stretches"] > 0.6
    rows = found[found["low"].notna()]
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()
    again = run(call, folder, paths)
    pd.testing.assert_frame_equal(found, again)
    assert sorted(p.name for p in folder.glob("*")) == sorted(
        [*(p.name for p in paths.values()), "privacy.csv"]
    )


def test_too_strict_limits_say_nothing_of_membership(audited, call):
    folder, paths = audited
    rules = audited_log.RULES | {"min_support": 60, "min_users": 60}
    found = run(call, folder, paths, rules=rules)
    assert not found["measure"].str.startswith("membership").any()
    assert (found["measure"] == "copied_3").any()


def test_rules_without_training_rules_are_refused(audited, tmp_path, call):
    _, paths = audited
    rules = files.read_table(paths["rules"], "rules").assign(split="both_seen")
    files.write_table(rules, tmp_path / "rules.parquet", "rules")
    with pytest.raises(UserError, match="rules.parquet holds no training rule"):
        run(call, tmp_path, paths | {"rules": tmp_path / "rules.parquet"})


def test_next_items_are_of_audited_users_alone(audited):
    folder, paths = audited
    settings = Settings(3, audited_log.UNTIL, None, 10, None, None)
    some = np.arange(0, audited_log.USERS, 5)
    target = folder / "some"
    target.mkdir()
    sample = take_sample(paths["events"], paths["items"], some, settings, target)
    found = privacy.next_items(sample, paths["histories"], 3)
    assert len(found.targets) == len(some)
    table = files.read_table(paths["histories"], "histories").set_index("user_id")
    expected = sample.items.numbers(table.loc[some, "test_item"].to_numpy())
    np.testing.assert_array_equal(found.targets, expected)
    assert dataclasses.is_dataclass(sample)
