"""The fit of one curve: recovery, intervals, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from statsmodels.regression.linear_model import WLS

from recscale.errors import UserError
from recscale.scaling.power_law import Status, fit_power_law
from recscale.scaling.projection import Curve


@pytest.mark.parametrize("alpha", [0.126, 0.3, 0.564, 1.2])
def test_a_curve_without_noise_gives_its_parameters_back(tokens, planted, alpha):
    law = fit_power_law(tokens, planted(tokens, alpha=alpha))
    assert law.status is Status.CONVERGED
    assert law.alpha == pytest.approx(alpha, rel=1e-5)
    assert law.l_inf == pytest.approx(0.66, rel=1e-5)
    assert law.d0 == pytest.approx(np.sqrt(4e9 * 163.84e9))
    assert law.a == pytest.approx(0.8 * (law.d0 / 1e9) ** -alpha, rel=1e-4)
    assert (law.n_points, law.first_tokens, law.last_tokens) == (14, tokens[0], tokens[-1])


def test_the_minimum_is_that_of_a_general_least_squares_solver(tokens, planted):
    loss = planted(tokens, noise=0.002)
    law = fit_power_law(tokens, loss)
    parameters, _ = curve_fit(
        lambda d, l_inf, a, alpha: l_inf + a * d**-alpha, tokens / law.d0, loss, p0=[0.6, 0.1, 0.5]
    )
    assert [law.l_inf, law.a, law.alpha] == pytest.approx(parameters, rel=1e-4)
    assert law.sum_of_squares == pytest.approx(np.sum((law.predict(tokens) - loss) ** 2))
    assert law.rmse == pytest.approx(np.sqrt(law.sum_of_squares / 14))


def test_intervals_cover_the_truth_as_often_as_they_say(tokens, planted):
    # Nominal coverage is 0.95; 300 fits give it to 0.0126 (one standard error), so 0.91 is 3 away.
    alpha_covered, l_inf_covered = [], []
    for seed in range(300):
        law = fit_power_law(tokens, planted(tokens, noise=0.002, seed=seed))
        alpha_covered.append(law.alpha_low <= 0.564 <= law.alpha_high)
        l_inf_covered.append(law.l_inf_low <= 0.66 <= law.l_inf_high)
    assert 0.91 <= np.mean(alpha_covered) < 0.99
    assert 0.91 <= np.mean(l_inf_covered) < 0.99


def test_an_interval_ends_where_the_profile_reaches_the_critical_value(tokens, planted):
    loss = planted(tokens, noise=0.002, seed=3)
    law = fit_power_law(tokens, loss)
    # 4.844 is the 95 % point of F with 1 and 11 degrees of freedom.
    limit = law.sum_of_squares * (1 + 4.844336 / 11)
    for alpha in (law.alpha_low, law.alpha_high):
        x = (tokens / law.d0) ** -alpha
        design = np.column_stack([np.ones(14), x])
        residuals = loss - design @ np.linalg.lstsq(design, loss, rcond=None)[0]
        assert residuals @ residuals == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("noise", [5e-4, 2e-3])
def test_the_small_alpha_of_general_text_is_not_identified_over_the_papers_range(planted, noise):
    tokens = np.linspace(4e9, 163.84e9, 40)
    statuses = [
        fit_power_law(tokens, planted(tokens, 0.82, 1.5, 0.026, noise, seed)).status
        for seed in range(20)
    ]
    assert statuses.count(Status.NOT_IDENTIFIED) >= 19


@settings(max_examples=40, deadline=None)
@given(alpha=st.floats(1e-3, 10.0), seed=st.integers(0, 1000))
def test_the_inner_problem_is_statsmodels_weighted_least_squares(alpha, seed):
    u = np.linspace(-1.8, 1.8, 14)
    loss = 0.66 + 0.3 * np.exp(-0.5 * u) + 0.01 * np.random.default_rng(seed).normal(size=14)
    found = Curve(u, loss).solve(alpha, np.inf)
    power = np.exp(-alpha * u)
    free = WLS(loss, np.column_stack([np.ones(14), power]), weights=np.ones(14)).fit()
    assert found.a >= 0 and found.l_inf >= 0
    assert found.sum_of_squares >= free.ssr * (1 - 1e-6)
    if min(free.params) > 1e-6:
        assert found.sum_of_squares == pytest.approx(free.ssr, rel=1e-6)
        fitted = found.l_inf + found.a * power
        assert fitted == pytest.approx(free.fittedvalues, abs=1e-7)


def test_a_flat_curve_has_open_intervals(tokens):
    law = fit_power_law(tokens, 0.66 + 0.001 * np.random.default_rng(0).normal(size=14))
    assert law.status is Status.NOT_IDENTIFIED
    assert law.alpha_low is None or law.alpha_high is None


def test_a_curve_that_rises_again_gets_no_alpha(planted):
    tokens = np.geomspace(4e9, 163.84e9, 40)
    rise = 0.1 * np.maximum(0, np.log(tokens / 20e9))
    for seed in range(10):
        law = fit_power_law(tokens, planted(tokens, noise=0.002, seed=seed) + rise)
        assert law.status is Status.NOT_MONOTONE
        assert (law.alpha, law.l_inf, law.a, law.rmse) == (None, None, None, None)
        with pytest.raises(ValueError, match="not_monotone"):
            law.predict(tokens)


def test_l_inf_stays_within_its_bounds_and_the_bound_is_reported(tokens, planted):
    # A curve that bends down in the log-log plot would need a negative floor.
    falling = fit_power_law(tokens, 2.0 - 0.2 * np.log(tokens / 1e9))
    assert falling.l_inf == 0
    assert falling.l_inf_low is None
    assert falling.status is Status.NOT_IDENTIFIED
    # A saturated noisy curve would put the floor above its smallest loss.
    saturated = planted(tokens, alpha=4.0, a=50.0, noise=0.002, seed=1)
    law = fit_power_law(tokens, saturated)
    assert law.status is Status.AT_BOUND
    assert law.l_inf == saturated.min()
    assert law.l_inf_low < 0.66 < law.l_inf_high


def test_a_is_never_negative(tokens):
    law = fit_power_law(tokens, 0.66 + 0.0005 * np.arange(14) * (-1) ** np.arange(14))
    assert law.a is None or law.a >= 0


@settings(max_examples=12, deadline=None)
@given(
    factor=st.floats(1e-6, 1e6),
    stretch=st.floats(1e-3, 1e3),
    alpha=st.floats(0.2, 1.0),
    seed=st.integers(0, 1000),
)
def test_units_of_tokens_and_of_loss_do_not_matter(factor, stretch, alpha, seed):
    tokens = np.geomspace(4.0, 160.0, 14)
    noise = 0.001 * np.random.default_rng(seed).normal(size=14)
    loss = 0.66 + 0.8 * tokens**-alpha + noise
    one = fit_power_law(tokens, loss)
    two = fit_power_law(tokens * factor, loss * stretch)
    assert two.status is one.status
    assert two.alpha == pytest.approx(one.alpha, rel=1e-5)
    assert two.alpha_low == pytest.approx(one.alpha_low, rel=1e-5)
    assert two.l_inf == pytest.approx(one.l_inf * stretch, rel=1e-5)
    assert two.l_inf_high == pytest.approx(one.l_inf_high * stretch, rel=1e-5)
    assert two.d0 == pytest.approx(one.d0 * factor)
    assert two.condition_number == pytest.approx(one.condition_number, rel=1e-4)
    assert two.correlation == pytest.approx(one.correlation, rel=1e-4)


def test_diagnostics_agree_with_the_linearised_model(tokens, planted):
    loss = planted(tokens, noise=0.002)
    law = fit_power_law(tokens, loss)
    _, covariance = curve_fit(
        lambda d, l_inf, a, alpha: l_inf + a * d**-alpha,
        tokens / law.d0,
        loss,
        p0=[law.l_inf, law.a, law.alpha],
    )
    expected = covariance[0, 2] / np.sqrt(covariance[0, 0] * covariance[2, 2])
    assert law.correlation == pytest.approx(expected, abs=1e-3)
    residuals = loss - law.predict(tokens)
    watson = np.sum(np.diff(residuals) ** 2) / np.sum(residuals**2)
    assert law.durbin_watson == pytest.approx(watson, rel=1e-6)
    assert 1 < law.condition_number < 1000


def test_too_few_points_and_missing_losses_are_statuses(tokens, planted):
    loss = planted(tokens)
    assert fit_power_law(tokens[:5], loss[:5]).status is Status.TOO_FEW_POINTS
    assert fit_power_law(tokens[:0], loss[:0]).n_points == 0
    loss[3] = np.nan
    law = fit_power_law(tokens, loss)
    assert (law.status, law.alpha) == (Status.NON_FINITE, None)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d, x: (np.r_[np.nan, d[1:]], x), "not positive numbers"),
        (lambda d, x: (d[[0, 0]], x[:2]), "run r has two losses at 4000000000 tokens"),
        (lambda d, x: (d[::-1], x), "run r has unsorted tokens"),
        (lambda d, x: (np.r_[d[0], d[:-1]], x), "run r has two losses at 4000000000 tokens"),
        (lambda d, x: (np.r_[0, d[1:]], x), "not positive numbers"),
        (lambda d, x: (d, np.r_[x[:-1], 0.0]), "run r has the loss 0.0 at 163840000000 tokens"),
        (lambda d, x: (d, x[:-1]), "one loss for each"),
    ],
)
def test_a_broken_curve_is_refused_by_name(tokens, planted, spoil, message):
    with pytest.raises(UserError, match=message):
        fit_power_law(*spoil(tokens, planted(tokens)), where="run r")
