"""The third approach of Hoffmann et al. (2022) for one curve, a second solver beside the first.

The law is log-sum-exp(ln A - alpha u, ln L_inf) with u = ln(D/D0), and the sum of Huber losses of
its residuals in ln L is minimised from many starts. The sum, not the mean: a mean of numbers of the
size of delta squared ends an optimiser before it has converged (Besiroglu et al., 2024).

The same solver minimises the plain sum of squares that variable projection minimises, so that each
can be held against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import least_squares, minimize

from recscale.scaling.projection import ALPHA_GRID, Array

DELTA = 1e-3  # of the Huber loss, in ln L
START_ALPHAS = np.geomspace(0.01, 8.0, 12)  # for each, the best of the floors is followed
MORE_ALPHAS = np.geomspace(0.01, 8.0, 24)
START_FLOORS = np.array([0.01, 0.3, 0.6, 0.8, 0.9, 0.99])  # L_inf as a share of the smallest loss
TIGHT = 1e-15
SPAN = 40.0  # of ln A and ln L_inf about the largest loss


class Objective(StrEnum):
    """What is minimised, a sum over evaluations."""

    SQUARES = "squares"  # of L in nats
    HUBER = "huber"  # of ln L


@dataclass(frozen=True)
class Minimum:
    """Parameters of the law, A at D0, and the objective's sum."""

    l_inf: float
    a: float
    alpha: float
    objective: float

    def predict(self, u: Array) -> Array:
        """The loss at u = ln(D/D0)."""
        return self.l_inf + self.a * np.exp(-self.alpha * u)


def from_many_starts(
    u: Array, loss: Array, objective: Objective, thorough: bool = False
) -> Minimum:
    """Minimise over A > 0, 0 < L_inf <= min L and the range of alpha that is searched elsewhere.

    Args:
        u: ln(D/D0), increasing, shape `(n,)`.
        loss: nats per token, positive, shape `(n,)`.
        objective: which of the two.
        thorough: follow every floor at twice as many alphas: 144 starts, where 12 are the rule.
    """
    l_inf = START_FLOORS * loss.min()
    starts = []
    for alpha in MORE_ALPHAS if thorough else START_ALPHAS:
        power = np.exp(-alpha * u)
        a = (loss.mean() - l_inf) / power.mean()
        fitted = l_inf[:, None] + a[:, None] * power
        best = int(np.argmin(_sums(_residuals(fitted, loss, objective), objective)))
        for i in range(len(l_inf)) if thorough else (best,):
            starts.append((float(l_inf[i]), float(a[i]), float(alpha)))
    return from_starts(starts, u, loss, objective)


def from_starts(
    starts: Sequence[tuple[float, float, float]], u: Array, loss: Array, objective: Objective
) -> Minimum:
    """The least minimum that descents from `starts` (L_inf, A, alpha) reach."""
    found = [_descend(start, u, loss, objective) for start in starts]
    log_a, log_l_inf, alpha = min(found, key=lambda pair: pair[1])[0]
    return polished((np.exp(log_l_inf), np.exp(log_a), alpha), u, loss, objective)


def polished(
    start: tuple[float, float, float], u: Array, loss: Array, objective: Objective
) -> Minimum:
    """The minimum nearest to `start` (L_inf, A, alpha), to the last digits.

    Gauss-Newton steps in L_inf, A and alpha themselves: unlike their logarithms they reach the
    bounds L_inf = 0 and A = 0.
    """
    lower = np.array([0.0, 0.0, ALPHA_GRID[0]])
    upper = np.array([loss.min(), np.inf, ALPHA_GRID[-1]])

    def residuals(theta: Array) -> Array:
        return _residuals(_law(theta, u), loss, objective)

    def jacobian(theta: Array) -> Array:
        _, a, alpha = theta
        power = np.exp(-alpha * u)
        slopes = np.column_stack([np.ones_like(u), power, -a * power * u])
        if objective is Objective.SQUARES:
            return slopes
        return slopes / _law(theta, u)[:, None]

    best = np.clip(start, lower, upper)
    value = float(_sums(residuals(best), objective))
    for _ in range(20):
        done = least_squares(
            residuals,
            best,
            jacobian,
            bounds=(lower, upper),
            method="dogbox",
            x_scale="jac",
            loss="linear" if objective is Objective.SQUARES else "huber",
            f_scale=1.0 if objective is Objective.SQUARES else DELTA,
            ftol=TIGHT,
            xtol=TIGHT,
            gtol=TIGHT,
            max_nfev=500,
        )
        reached = float(_sums(residuals(done.x), objective))
        improved = value - reached
        if reached < value:
            best, value = done.x, reached
        if improved <= 1e-12 * value:
            break
    return Minimum(float(best[0]), float(best[1]), float(best[2]), value)


def _descend(
    start: tuple[float, float, float], u: Array, loss: Array, objective: Objective
) -> tuple[Array, float]:
    """L-BFGS in (ln A, ln L_inf, alpha), with the objective scaled to the order of 1."""
    scale = DELTA**2 if objective is Objective.HUBER else float(np.var(loss)) or 1.0

    def value_and_slope(theta: Array) -> tuple[float, Array]:
        log_a, log_l_inf, alpha = theta
        terms = np.stack([log_a - alpha * u, np.full_like(u, log_l_inf)])
        log_law = np.logaddexp(terms[0], terms[1])
        shares = np.exp(terms - log_law)
        slopes = np.stack([shares[0], shares[1], -u * shares[0]])
        if objective is Objective.HUBER:
            residuals = log_law - np.log(loss)
            pull = np.clip(residuals, -DELTA, DELTA)
        else:
            fitted = np.exp(log_law)
            residuals = fitted - loss
            pull = 2 * residuals
            slopes = slopes * fitted
        value = float(_sums(residuals, objective))
        return value / scale, slopes @ pull / scale

    top, least = float(np.log(loss.max())), np.exp(-SPAN) * loss.max()
    l_inf, a, alpha = start
    done = minimize(
        value_and_slope,
        np.array([np.log(max(a, least)), np.log(max(l_inf, least)), alpha]),
        jac=True,
        method="L-BFGS-B",
        bounds=[
            (top - SPAN, top + SPAN),
            (top - SPAN, float(np.log(loss.min()))),
            (ALPHA_GRID[0], ALPHA_GRID[-1]),
        ],
        options={"maxiter": 1000, "ftol": TIGHT, "gtol": 1e-10},
    )
    return done.x, float(done.fun)


def objective_of(law: Minimum, u: Array, loss: Array, objective: Objective) -> float:
    """The objective's sum at a law, whatever sum the law carries."""
    return float(_sums(_residuals(law.predict(u), loss, objective), objective))


def _law(theta: Array, u: Array) -> Array:
    l_inf, a, alpha = theta
    return l_inf + a * np.exp(-alpha * u)


def _residuals(fitted: Array, loss: Array, objective: Objective) -> Array:
    if objective is Objective.SQUARES:
        return fitted - loss
    return np.log(np.maximum(fitted, np.finfo(float).tiny)) - np.log(loss)


def _sums(residuals: Array, objective: Objective) -> Array:
    """The objective's sum over the last axis."""
    if objective is Objective.SQUARES:
        return np.sum(residuals**2, axis=-1)
    size = np.abs(residuals)
    inside = np.minimum(size, DELTA)
    return np.sum(inside * (size - inside / 2), axis=-1)
