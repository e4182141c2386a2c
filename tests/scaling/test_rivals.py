"""The rivals of the power law."""

from __future__ import annotations

import numpy as np
import pytest

from recscale.scaling import rivals


def test_a_constant_is_fitted_by_its_mean():
    assert rivals.constant(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)


def test_the_pure_power_law_fits_itself_and_not_a_curve_with_a_floor(tokens):
    assert rivals.pure_power_law(tokens, tokens**-0.3) < 1e-15
    with_floor = 0.66 + (tokens / 4e9) ** -0.6
    best = min(
        np.sum((with_floor - (x := tokens**-alpha) * (x @ with_floor) / (x @ x)) ** 2)
        for alpha in np.linspace(0.001, 1, 4000)
    )
    assert rivals.pure_power_law(tokens, with_floor) == pytest.approx(best, rel=1e-4)


def test_aicc_by_hand():
    # n ln(S / n) + 2k + 2k(k+1)/(n-k-1) with n = 10, k = 3 (two parameters and the noise), S = 10
    # e.
    assert rivals.aicc(10 * np.e, 10, 2) == pytest.approx(10 + 6 + 24 / 6)
