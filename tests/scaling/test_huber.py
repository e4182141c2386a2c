"""The Huber solver: its objective, its minimum, and its agreement with variable projection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize

from recscale.scaling import huber, two_solvers
from recscale.scaling.huber import DELTA, Minimum, Objective, from_many_starts, polished
from recscale.scaling.power_law import Status, fit_power_law
from recscale.scaling.two_solvers import AGREEMENT, fit_curve


def centred(tokens: np.ndarray) -> np.ndarray:
    """ln(D/D0)."""
    return np.log(tokens) - np.mean(np.log(tokens))


def objective(parameters: tuple[float, ...], u: np.ndarray, loss: np.ndarray) -> float:
    """Hoffmann et al.'s objective as they print it, one evaluation after the other."""
    l_inf, a, alpha = parameters
    total = 0.0
    for place, seen in zip(u, loss, strict=True):
        residual = abs(np.log(np.exp(np.log(a) - alpha * place) + l_inf) - np.log(seen))
        quadratic = residual <= DELTA
        total += residual**2 / 2 if quadratic else DELTA * (residual - DELTA / 2)
    return total


def test_the_objective_is_the_sum_of_huber_losses(tokens, planted):
    u, loss = centred(tokens), planted(tokens, noise=0.003)
    found = from_many_starts(u, loss, Objective.HUBER)
    parameters = found.l_inf, found.a, found.alpha
    assert found.objective == pytest.approx(objective(parameters, u, loss), rel=1e-12)


@pytest.mark.parametrize("kind", Objective)
def test_a_curve_without_noise_gives_its_parameters_back(tokens, planted, kind):
    u = centred(tokens)
    found = from_many_starts(u, planted(tokens), kind)
    assert found.alpha == pytest.approx(0.564, rel=1e-5)
    assert found.l_inf == pytest.approx(0.66, rel=1e-5)
    assert found.predict(u) == pytest.approx(planted(tokens), abs=1e-8)


def test_no_direct_search_finds_less(tokens, planted):
    u, loss = centred(tokens), planted(tokens, noise=0.003, seed=4)
    found = from_many_starts(u, loss, Objective.HUBER)
    options = {"xatol": 1e-12, "fatol": 1e-18, "maxiter": 4000, "maxfev": 4000}
    for start in ((0.6, 0.2, 0.5), (0.3, 0.5, 0.2), (found.l_inf, found.a, found.alpha)):
        other = minimize(
            lambda p: objective(tuple(np.abs(p)), u, loss),
            start,
            method="Nelder-Mead",
            options=options,
        )
        assert other.fun >= found.objective * (1 - 1e-9)


@pytest.mark.parametrize("kind", Objective)
def test_the_slopes_given_to_the_optimiser_are_right(tokens, planted, kind, monkeypatch):
    u, loss = centred(tokens), planted(tokens, noise=0.003)
    seen = []
    monkeypatch.setattr(
        huber, "minimize", lambda f, *_, **__: seen.append(f) or minimize(f, *_, **__)
    )
    from_many_starts(u, loss, kind)
    for theta in ([-1.4, -0.5, 0.5], [-0.5, -1.0, 0.2], [-3.0, -0.4, 1.5]):
        value, slopes = seen[0](np.array(theta))
        error = check_grad(lambda t: seen[0](t)[0], lambda t: seen[0](t)[1], np.array(theta))
        assert error < 1e-4 * max(1.0, float(np.linalg.norm(slopes))), value


def test_outliers_move_it_less_than_least_squares(tokens, planted):
    loss = planted(tokens, noise=0.0005)
    loss[5] += 0.05
    found = fit_curve(tokens, loss)
    assert abs(found.huber.alpha - 0.564) < 0.3 * abs(found.law.alpha - 0.564)


def test_bounds_hold_and_are_reached(tokens):
    # No floor fits this curve: it bends down in the log-log plot.
    bent = 2.0 - 0.2 * np.log(tokens / 1e9)
    for kind in Objective:
        assert from_many_starts(centred(tokens), bent, kind).l_inf == 0
    flat = 0.66 + 0.0005 * np.cos(np.arange(14))
    found = from_many_starts(centred(tokens), flat, Objective.SQUARES)
    assert found.a >= 0 and found.l_inf <= flat.min()


@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("noise", [0.0, 5e-4, 3e-3])
def test_curves_that_fall_well_beyond_their_noise_have_one_minimum(planted, alpha, noise):
    for n in (7, 14, 40):
        tokens = np.geomspace(4e9, 163.84e9, n)
        found = fit_curve(tokens, planted(tokens, alpha=alpha, noise=noise, seed=n))
        assert found.law.status is not Status.SOLVERS_DISAGREE
        assert found.solver_difference < 1e-7


@settings(max_examples=20, deadline=None)
@given(
    alpha=st.floats(0.02, 2.0),
    l_inf=st.floats(0.0, 3.0),
    a=st.floats(0.05, 4.0),
    noise=st.sampled_from([0.0, 5e-4, 5e-3, 3e-2]),
    n=st.integers(6, 40),
    seed=st.integers(0, 1000),
)
def test_both_solvers_agree_on_any_curve(alpha, l_inf, a, noise, n, seed):
    tokens = np.geomspace(4e9, 163.84e9, n)
    errors = noise * np.random.default_rng(seed).normal(size=n)
    loss = np.maximum(l_inf + a * (tokens / 1e9) ** -alpha + errors, 0.01)
    found = fit_curve(tokens, loss)
    if found.law.alpha is None:
        return
    assert found.solver_difference <= AGREEMENT
    # Flat noisy curves may have several minima of the Huber objective; the status then says so.
    if found.law.status is Status.SOLVERS_DISAGREE:
        assert found.huber_difference > AGREEMENT


def test_solvers_that_disagree_are_a_status(tokens, planted, monkeypatch):
    loss = planted(tokens, noise=0.001)
    good = fit_curve(tokens, loss)
    assert good.law.status is Status.CONVERGED

    def early(u: np.ndarray, loss: np.ndarray, kind: Objective, thorough: bool = False) -> Minimum:
        """An optimiser that stops before it has converged."""
        found = from_many_starts(u, loss, kind)
        return Minimum(found.l_inf, found.a + 2e-6, found.alpha, found.objective)

    monkeypatch.setattr(two_solvers.huber, "from_many_starts", early)
    assert fit_curve(tokens, loss).law.status is Status.SOLVERS_DISAGREE

    def stuck(u: np.ndarray, loss: np.ndarray, kind: Objective, thorough: bool = False) -> Minimum:
        """An optimiser that finds the least squares, and a poor minimum of the other objective."""
        found = from_many_starts(u, loss, kind)
        worse = found.objective * (1 + 1e-5 * (kind is Objective.HUBER))
        return Minimum(found.l_inf, found.a, found.alpha, worse)

    monkeypatch.setattr(two_solvers.huber, "from_many_starts", stuck)
    assert fit_curve(tokens, loss).law.status is Status.SOLVERS_DISAGREE


def test_polishing_never_ends_above_its_start(tokens, planted):
    u, loss = centred(tokens), planted(tokens, noise=0.003)
    law = fit_power_law(tokens, loss)
    start = law.l_inf, law.a, law.alpha
    assert polished(start, u, loss, Objective.HUBER).objective <= objective(start, u, loss)
