"""The onset of a rise: its place, its interval, and when it is censored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recscale.scaling.onset import find_onset


def rising(tokens: np.ndarray, start: float, slope: float = 0.15) -> tuple[np.ndarray, float]:
    """Losses that fall by a power law and rise from `start` on, and where they are lowest."""

    def law(d: np.ndarray) -> np.ndarray:
        return 0.66 + 0.8 * (d / 1e9) ** -0.564 + slope * np.maximum(0, np.log(d / start))

    fine = np.geomspace(tokens[0], tokens[-1], 20_000)
    return law(tokens), float(fine[np.argmin(law(fine))])


@pytest.mark.parametrize("start", [10e9, 20e9, 60e9])
def test_without_noise_the_interval_is_the_evaluations_about_the_lowest(tokens, start):
    loss, truth = rising(tokens, start, slope=0.4)
    onset = find_onset(tokens, loss)
    assert onset.lowest == np.argmin(loss)
    assert onset.lowest - 2 <= onset.low < onset.lowest < onset.high <= onset.lowest + 2
    assert not onset.censored
    seen, low, high = onset.at(tokens)
    assert low < truth < high and seen == tokens[onset.lowest]
    assert onset.at(tokens * 2) == (2 * seen, 2 * low, 2 * high)


@pytest.mark.parametrize(("n", "noise"), [(10, 0.002), (14, 0.004), (30, 0.004)])
def test_the_interval_holds_the_truth_as_often_as_it_says(n, noise):
    tokens = np.geomspace(4e9, 163.84e9, n)
    loss, truth = rising(tokens, 20e9)
    rng = np.random.default_rng(0)
    held, lengths = [], []
    for _ in range(200):
        onset = find_onset(tokens, loss + noise * rng.normal(size=n))
        _, low, high = onset.at(tokens)
        held.append((low or 0) <= truth <= (high or np.inf))
        lengths.append((n if onset.high is None else onset.high) - (onset.low or 0))
    assert np.mean(held) >= 0.95
    assert np.mean(lengths) < n / 2  # an interval that holds everything says nothing


def test_a_curve_that_falls_to_its_end_is_right_censored(tokens, planted):
    for noise in (0.0, 0.002):
        onset = find_onset(tokens, planted(tokens, noise=noise))
        assert onset.censored and onset.high is None
    assert find_onset(tokens, planted(tokens)).lowest == 13
    assert find_onset(tokens, planted(tokens)).low == 12


def test_a_rise_within_the_noise_is_censored(tokens, planted):
    loss = planted(tokens, noise=0.003, seed=2)
    loss[-1] = loss[:-1].min() + 0.001
    onset = find_onset(tokens, loss)
    assert onset.lowest < 13 and onset.censored


def test_a_curve_that_only_rises_is_open_to_the_left(tokens):
    onset = find_onset(tokens, 1 + 0.05 * np.log(tokens / tokens[0]))
    assert (onset.lowest, onset.low, onset.high) == (0, None, 1)
    assert onset.at(tokens)[1] is None


def test_a_flat_noisy_curve_says_nothing(tokens):
    onset = find_onset(tokens, 0.7 + 0.002 * np.random.default_rng(3).normal(size=14))
    assert (onset.low, onset.high) == (None, None)


def test_too_few_evaluations_have_no_onset(tokens, planted):
    assert find_onset(tokens[:5], planted(tokens[:5])) is None
    assert find_onset(tokens[:0], tokens[:0]) is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(6, 30), factor=st.floats(0.01, 100))
def test_the_interval_reaches_the_lowest_and_its_neighbours_in_any_units(seed, n, factor):
    tokens = np.geomspace(1, 40, n)
    loss = 2 + np.random.default_rng(seed).normal(size=n).cumsum() / n
    onset = find_onset(tokens, loss)
    lowest = int(np.argmin(loss))
    assert onset.lowest == lowest
    assert onset.low is None or onset.low <= lowest - 1
    assert onset.high is None or onset.high >= lowest + 1
    assert find_onset(tokens * factor, loss * factor) == onset
