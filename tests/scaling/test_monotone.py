"""Rising again, told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from recscale.scaling.monotone import noise, rises_again

TOKENS = {n: np.geomspace(4.0, 164.0, n) for n in (7, 14, 40)}


def share_of_rising(base: np.ndarray, scale: float, trials: int) -> float:
    """How many noisy copies of a curve are called rising."""
    rng = np.random.default_rng(1)
    n = len(base)
    found = [rises_again(TOKENS[n], base + scale * rng.normal(size=n)) for _ in range(trials)]
    return float(np.mean(found))


@pytest.mark.parametrize("n", [7, 14, 40])
def test_a_flat_noisy_curve_is_seldom_called_rising(n):
    # The level is 0.05; 400 trials give 0.05 to 0.011 (one standard error).
    assert share_of_rising(np.ones(n), 0.002, 400) < 0.05


@pytest.mark.parametrize("n", [7, 14, 40])
def test_a_falling_curve_is_not_called_rising(n):
    assert share_of_rising(0.66 + 0.8 * TOKENS[n] ** -0.564, 0.002, 200) == 0


@pytest.mark.parametrize("n", [7, 14, 40])
def test_a_rise_of_ten_times_the_noise_is_seen(n):
    rise = 0.1 * np.maximum(0, np.log(TOKENS[n] / 40))
    assert share_of_rising(0.66 + 0.8 * TOKENS[n] ** -0.564 + rise, 0.002, 100) > 0.95


def test_a_curve_that_only_rises_is_rising_and_a_constant_one_is_not():
    assert rises_again(TOKENS[14], 1 + 0.05 * np.log(TOKENS[14]))
    assert not rises_again(TOKENS[14], np.full(14, 0.7))


def test_noise_is_the_residual_of_the_smooth_curve():
    rng = np.random.default_rng(0)
    found = [
        noise(TOKENS[40], 0.66 + 0.8 * TOKENS[40] ** -0.5 + 0.003 * rng.normal(size=40))
        for _ in range(200)
    ]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.003, rel=0.05)
