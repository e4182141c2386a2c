"""Intervals over seeds and over test users."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recscale.claims import intervals
from recscale.claims.contrasts import Contrast, judge
from recscale.claims.intervals import bootstrap_ratio, corrected, over_seeds
from recscale.claims.verdict import Verdict


def test_the_t_interval_is_scipys():
    values = np.array([0.1, 0.3, 0.2, 0.5])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    interval = over_seeds(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.above(low - 0.01) and not interval.above(low + 0.01)
    assert interval.below(high + 0.01) and not interval.below(high - 0.01)


def test_bonferroni():
    assert corrected(1) == pytest.approx(0.95)
    assert corrected(5) == pytest.approx(0.99)


def hits_of_an_arm(rng, recall, seeds=3, users=120):
    """Hits that mostly depend on the user, and a little on the seed."""
    of_user = rng.random((1, users))
    score = np.where(rng.random((seeds, users)) < 0.8, of_user, rng.random((seeds, users)))
    return score < recall * np.exp(0.1 * rng.normal(size=(seeds, 1)))


def test_the_bootstrap_of_a_ratio_covers_it_as_often_as_it_says():
    # 300 trials give 0.95 to 0.013 (one standard error).
    covered = []
    for trial in range(300):
        rng = np.random.default_rng(trial)
        arms = hits_of_an_arm(rng, 0.45), hits_of_an_arm(rng, 0.3)
        interval = bootstrap_ratio(*arms, 200, rng).interval()
        covered.append(interval.low <= 1.5 <= interval.high)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_resamples_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    arms = hits_of_an_arm(rng, 0.45), hits_of_an_arm(rng, 0.3)
    whole = bootstrap_ratio(*arms, 500, np.random.default_rng(1)).resamples
    monkeypatch.setattr(intervals, "MOST_DRAWS", 1000)
    parts = bootstrap_ratio(*arms, 500, np.random.default_rng(1)).resamples
    assert np.array_equal(parts, whole)


def test_users_are_drawn_together_in_both_arms():
    # The second arm hits exactly where the first does, so no resample can tell them apart.
    hits = np.random.default_rng(0).random((3, 50)) < 0.4
    interval = bootstrap_ratio(hits, hits, 100, np.random.default_rng(1)).interval()
    assert (interval.low, interval.estimate, interval.high) == (1, 1, 1)


def test_no_hits_say_nothing_and_hits_in_one_arm_are_an_infinite_ratio():
    none, some = np.zeros((2, 30), bool), np.ones((2, 30), bool)
    rng = np.random.default_rng(0)
    assert bootstrap_ratio(none, none, 20, rng).interval().estimate == 1
    assert bootstrap_ratio(some, none, 20, rng).interval().low == np.inf


def test_judging_contrasts():
    up, down = np.array([1.0, 1.1, 0.9]), np.array([-1.0, -1.1, -0.9])
    wide = np.array([-1.0, 3.0, 0.5])
    assert judge([Contrast("a", up, "above")], 3).verdict is Verdict.REPRODUCED
    assert judge([Contrast("a", up, "below")], 3).verdict is Verdict.CONTRADICTED
    assert judge([Contrast("a", wide, "above")], 3).verdict is Verdict.INCONCLUSIVE
    both = [Contrast("a", up, "above"), Contrast("b", down, "above")]
    assert judge(both, 3).verdict is Verdict.CONTRADICTED
    assert "b" in judge(both, 3).reason
    few = judge([Contrast("a", up[:2], "above")], 3)
    assert few.verdict is Verdict.INCONCLUSIVE and few.reason == "2 of the 3 seeds it needs"
    doubted = judge([Contrast("a", up, "above")], 3, ["alpha not identified"])
    assert doubted.verdict is Verdict.INCONCLUSIVE
