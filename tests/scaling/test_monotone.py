"""Rising again, told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from recscale.scaling.monotone import noise, noise_scales, rises_again, rises_on_the_way

TOKENS = {n: np.geomspace(4.0, 164.0, n) for n in (7, 14, 40)}


def share_of_rising(base: np.ndarray, scale: float, trials: int, test=rises_again) -> float:
    """How many noisy copies of a curve are called rising."""
    rng = np.random.default_rng(1)
    n = len(base)
    found = [test(TOKENS[n], base + scale * rng.normal(size=n)) for _ in range(trials)]
    return float(np.mean(found))


@pytest.mark.parametrize("n", [7, 14, 40])
def test_a_flat_noisy_curve_is_seldom_called_rising(n):
    # The level is 0.05; 400 trials give 0.05 to 0.011 (one standard error).
    assert share_of_rising(np.ones(n), 0.002, 400) < 0.05
    assert share_of_rising(np.ones(n), 0.002, 400, rises_on_the_way) < 0.05


@pytest.mark.parametrize("n", [7, 14, 40])
def test_a_falling_curve_is_not_called_rising(n):
    for test in (rises_again, rises_on_the_way):
        assert share_of_rising(0.66 + 0.8 * TOKENS[n] ** -0.564, 0.002, 200, test) == 0


@pytest.mark.parametrize("n", [7, 14, 40])
def test_a_rise_of_ten_times_the_noise_is_seen(n):
    rise = 0.1 * np.maximum(0, np.log(TOKENS[n] / 40))
    assert share_of_rising(0.66 + 0.8 * TOKENS[n] ** -0.564 + rise, 0.002, 100) > 0.95


@pytest.mark.parametrize("start", [6.0, 20.0, 60.0, 100.0])
@pytest.mark.parametrize("n", [8, 10, 14, 40])
def test_a_sharp_turn_is_not_taken_for_noise(n, start):
    tokens = np.geomspace(4.0, 164.0, n)
    law = 0.66 + 0.8 * tokens**-0.564 + 0.3 * np.maximum(0, np.log(tokens / start))
    for seed in range(20):
        assert rises_again(tokens, law + 0.001 * np.random.default_rng(seed).normal(size=n))
    assert rises_again(tokens, law)


def test_a_rise_that_ends_in_a_fall_is_seen_on_the_way_only():
    # A decaying learning rate pulls an overfitted run's loss below its earlier minimum.
    tokens = TOKENS[40]
    hump = 0.1 * np.exp(-((np.log(tokens / 40) / 0.4) ** 2))
    base = 0.66 + 0.8 * tokens**-0.564 + hump - 0.2 * np.maximum(0, np.log(tokens / 60))
    assert share_of_rising(base, 0.002, 100, rises_on_the_way) == 1
    assert share_of_rising(base, 0.002, 100) == 0


def test_a_curve_that_only_rises_is_rising_and_a_constant_one_is_not():
    assert rises_again(TOKENS[14], 1 + 0.05 * np.log(TOKENS[14]))
    assert not rises_again(TOKENS[14], np.full(14, 0.7))


def test_noise_is_what_three_kinds_of_curves_leave_over():
    rng = np.random.default_rng(0)
    law = 0.66 + 0.8 * TOKENS[40] ** -0.5
    scales = [noise_scales(TOKENS[40], law + 0.003 * rng.normal(size=40)) for _ in range(200)]
    found = np.sqrt(np.mean(np.square([[s for s, _ in three] for three in scales]), axis=0))
    assert found == pytest.approx([0.003] * 3, rel=0.06)
    freedom = [f for _, f in scales[0]]
    assert freedom[:2] == [35, 35] and 5 < freedom[2] < 36


def test_noise_of_other_curves_than_a_kind_follows_is_too_large_never_too_small():
    turn = 0.66 + 0.8 * TOKENS[14] ** -0.564 + 0.3 * np.maximum(0, np.log(TOKENS[14] / 20))
    polynomial, bent, _ = (s for s, _ in noise_scales(TOKENS[14], turn))
    assert polynomial > 4 * bent == 4 * noise(TOKENS[14], turn)
    hump = np.exp(-((np.log(TOKENS[40] / 40) / 0.4) ** 2))
    polynomial, bent, neighbours = (s for s, _ in noise_scales(TOKENS[40], hump))
    assert min(polynomial, bent) > 5 * neighbours
