"""True recall with known answers, and a trial of a small world from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recscale.contracts import check
from recscale.data.world_catalogue import catalogue, population, true_preference
from recscale.errors import UserError
from recscale.files import read_table
from recscale.ranking import world_trial
from recscale.ranking.examples import RealRows, real_rows
from recscale.ranking.sequences import Sequences
from recscale.ranking.true_preference import Truth, expected_recall, recalls, same_for_all
from recscale.ranking.world_log import DIALS, dials, periods
from recscale.settings import parse

CUTOFFS = (1, 3, 10)


def planted(users: int, items: int, seed: int) -> tuple[Truth, RealRows]:
    """Users and listings of a world, and histories of three items before a random target."""
    listings = catalogue(seed, items, 30 * 86_400.0)
    found = Truth(population(seed, users, listings).vector, listings.vector, listings.appeal)
    random = np.random.default_rng(seed)
    chosen = np.array([random.choice(items, 4, replace=False) + 1 for _ in range(users)])
    histories = Sequences.from_lengths(chosen[:, :3].ravel(), np.full(users, 3))
    return found, real_rows(np.arange(users), histories, chosen[:, 3], 5)


def test_perfect_scores_reach_the_sum_of_the_highest_probabilities_and_no_others_do_better():
    truth, rows = planted(40, 200, 3)
    block = np.arange(40)
    probabilities = truth.probabilities(rows, block)
    highest = probabilities.sort(dim=1, descending=True).values
    wanted = torch.stack([highest[:, :k].sum(1) for k in CUTOFFS], dim=1)
    best = recalls(truth.scores, truth, rows, CUTOFFS)["true_recall"].to_numpy()
    np.testing.assert_allclose(best, wanted.mean(0).numpy(), rtol=1e-12)
    random = np.random.default_rng(5)
    for _ in range(20):
        noisy = truth.scores(rows, block) + torch.from_numpy(random.normal(size=(40, 200)))
        other = recalls(lambda _, b, s=noisy: s[b], truth, rows, CUTOFFS)["true_recall"].to_numpy()
        assert (other < best).all()


def test_a_random_order_finds_k_of_the_open_items():
    truth, rows = planted(40, 200, 3)
    found = recalls(same_for_all(np.zeros(200)), truth, rows, CUTOFFS)
    np.testing.assert_allclose(found["true_recall"], np.array(CUTOFFS) / 197, rtol=1e-12)
    np.testing.assert_allclose(found["logged_recall"], np.array(CUTOFFS) / 200, rtol=1e-12)


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_expected_recall_is_the_mean_over_orders_of_ties(items, seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, items).astype(float)
    probabilities = random.dirichlet(np.ones(items))
    k = int(random.integers(1, items + 1))
    one_user = (torch.from_numpy(values[None]) for values in (scores, probabilities))
    found = expected_recall(*one_user, [k])
    # By linearity: an item of score s is in the list with the share of places left for its ties.
    expected = 0.0
    for score, probability in zip(scores, probabilities, strict=True):
        left = k - (scores > score).sum()
        expected += probability * np.clip(left / (scores == score).sum(), 0, 1)
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_the_true_next_item_is_never_in_the_history():
    truth, rows = planted(20, 100, 1)
    block = np.arange(5, 15)
    found = truth.probabilities(rows, block)
    for row, user in enumerate(block):
        assert (found[row, rows.all_items[user] - 1] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1.0)
    preferred = true_preference(truth.users[7], truth.items, truth.appeal)
    unbought = np.setdiff1d(np.arange(100), rows.all_items[7] - 1)
    one, other = unbought[:2]
    ratio = float(found[2, one] / found[2, other])
    assert ratio == pytest.approx(np.exp(preferred[one] - preferred[other]))


def test_the_log_of_a_certain_next_item_counts_items_of_the_history():
    truth, rows = planted(30, 100, 2)
    certain = torch.zeros(30, 100)
    certain.scatter_(1, torch.from_numpy(rows.examples.targets[:, None] - 1), 1.0)
    found = recalls(lambda _, block: certain[block], truth, rows, (1, 4))
    assert found["logged_recall"].tolist() == [1.0, 1.0]
    bought = torch.zeros(30, 100)
    places = torch.from_numpy(rows.all_items.values - 1)
    bought[torch.arange(30).repeat_interleave(3), places] = 2.0
    found = recalls(lambda _, block: (certain + bought)[block], truth, rows, (3, 4))
    assert found["logged_recall"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("dial", "strength", "said"),
    [
        ("position", 0.5, "--dial is 'position'; use one of none, position_bias"),
        ("noise", 1.5, "--strength is 1.5; use a number above 0 up to 1"),
        ("noise", 0.0, "--strength is 0; .* 0 is the dial none"),
        ("noise", float("nan"), "--strength is nan"),
        ("none", 0.5, "--strength is 0.5 of no dial; use 0"),
    ],
)
def test_a_wrong_dial_or_strength_is_named(settings, call, tmp_path, dial, strength, said):
    told = json.dumps(world_settings(settings))
    flags = ["--folder", tmp_path / "work", "--trial", tmp_path / "t.parquet", "--settings", told]
    with pytest.raises(UserError, match=said):
        call(world_trial.main, "--dial", dial, "--strength", strength, *flags)
    assert not list(tmp_path.iterdir())


def test_one_dial_is_on_and_the_periods_follow_the_months():
    assert dials("noise", 0.5) == {**dict.fromkeys(DIALS, 0.0), "noise": 0.5}
    assert set(dials("none", 0).values()) == {0.0}
    assert periods(2) == ("2023-06-15", "2023-06-23")
    assert periods(1) == ("2023-05-24", "2023-05-28")


def world_settings(ranking: dict) -> dict:
    """Settings of a trial of seconds; `ranking` has those of the stage's tests."""
    return {
        "seed": 4,
        "world": {"users": 400, "items": 120, "events": 20_000, "months": 2},
        "held_out_items": 0.07,
        "rules": {
            "min_support": 2,
            "min_users": 2,
            "min_lift": 1.0,
            "max_session_items": 200,
            "max_minutes": None,
            "partitions": 1,
            "held_out_edges": 0.1,
            "memory_limit": "1GB",
        },
        "walks": {
            "seed": 4,
            "engine": "numba",
            "order": 1,
            "p": 1.0,
            "q": 1.0,
            "stop_probability": 0.15,
            "threshold": 1e-9,
            "at_threshold": "stop",
            "min_items": 5,
            "max_items": 100,
            "walks": 400,
        },
        "models": ["GRU4Rec"],
        "ranking": {
            **ranking,
            "seeds": 1,
            "examples": 1500,
            "history_length": 10,
            "epochs": 6,
            "learning_rates": [0.02],
            "cutoffs": [10, 1000],
        },
    }


def test_bad_settings_are_refused_before_a_world_is_made(settings):
    good = world_settings(settings)
    for change, said in (
        ({"models": []}, "models is empty"),
        ({"models": ["BERT4Rec"]}, "BERT4Rec"),
        ({"ranking": {**good["ranking"], "patience": 0}}, "patience is 0"),
    ):
        with pytest.raises(UserError, match=said):
            parse(world_trial.Settings, json.dumps({**good, **change})).check()


def test_walks_of_a_log_that_follows_preference_teach_it(settings, call, tmp_path):
    flags = ["--dial", "none", "--strength", 0, "--folder", tmp_path / "work"]
    told = json.dumps(world_settings(settings))
    call(world_trial.main, *flags, "--trial", tmp_path / "t.parquet", "--settings", told)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    found = check(read_table(tmp_path / "t.parquet", "world_trials"), "world_trials", "trial")
    assert found["arm"].tolist() == ["popularity", "random", "best", "tstr", "trtr"]
    assert set(found["k"]) == {10}  # there are fewer than 1000 items
    recall = found.set_index("arm")["true_recall"]
    assert recall["tstr"] > 1.2 * recall["random"]
    assert recall["trtr"] > 1.2 * recall["random"]
    assert recall["best"] > recall.drop("best").max()
    items = int(found["items"].iloc[0])
    assert 10 / items < recall["random"] < 20 / items  # histories hide some items
    examples = found.set_index("arm")["examples"]
    assert examples["tstr"] == examples["trtr"] > 0 == examples["popularity"]
