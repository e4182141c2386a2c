"""The scaling law L(D) = L_inf + A D^-alpha of Section 6.2, Tables 4 and 6, fitted to one curve.

Tokens are divided by their geometric mean D0, which takes most of the correlation out of A and
alpha. Intervals come from the profile of the sum of squares (Bates and Watts, 1988) and may be open
at either end: over a short range of D a small alpha cannot be told from a straight line in ln D,
and then L_inf cannot be told either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as fisher
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.stattools import durbin_watson

from recscale.errors import UserError
from recscale.scaling.monotone import rises
from recscale.scaling.projection import ALPHA_GRID, Array, Curve, Solution

CONFIDENCE = 0.95
MIN_POINTS = 6  # three parameters, and as many left to measure the noise with
WIDEST_L_INF = 0.5  # an interval wider than this share of L_inf does not identify it
L_INF_POINTS = 21  # where the profile of L_inf is first looked at, from 0 to the largest loss
ROUNDING = 1e-8  # residuals below this share of the loss are the computer's, not the curve's


class Status(StrEnum):
    """What became of a fit; only `CONVERGED` parameters may carry a claim."""

    CONVERGED = "converged"
    AT_BOUND = "at_bound"
    NOT_IDENTIFIED = "not_identified"
    NOT_MONOTONE = "not_monotone"
    TOO_FEW_POINTS = "too_few_points"
    NON_FINITE = "non_finite"
    SOLVERS_DISAGREE = "solvers_disagree"


@dataclass(frozen=True)
class PowerLaw:
    """A fitted L(D) = l_inf + a (D / d0)^-alpha.

    Losses are in nats per token, d0 and the first and last D in tokens. An end of an interval that
    is None is open: the data do not bound the parameter on that side. `at_bound` means that the
    smallest observed loss held l_inf down. Parameters are None where the status is `not_monotone`,
    `too_few_points` or `non_finite`.
    """

    status: Status
    n_points: int
    first_tokens: float | None = None
    last_tokens: float | None = None
    d0: float | None = None
    l_inf: float | None = None
    a: float | None = None
    alpha: float | None = None
    l_inf_low: float | None = None
    l_inf_high: float | None = None
    alpha_low: float | None = None
    alpha_high: float | None = None
    sum_of_squares: float | None = None
    durbin_watson: float | None = None
    condition_number: float | None = None
    correlation: float | None = None

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared residual, in nats per token."""
        return None if self.sum_of_squares is None else (self.sum_of_squares / self.n_points) ** 0.5

    def predict(self, tokens: Array) -> Array:
        """The law's loss at `tokens`; raises ValueError where nothing was fitted."""
        if self.l_inf is None or self.a is None or self.alpha is None or self.d0 is None:
            raise ValueError(f"nothing was fitted: {self.status}")
        return self.l_inf + self.a * (np.asarray(tokens) / self.d0) ** -self.alpha


def fit_power_law(tokens: Array, loss: Array, where: str = "curve") -> PowerLaw:
    """Fit the law to one curve by least squares with A >= 0 and 0 <= L_inf <= min L.

    Args:
        tokens: D, tokens seen, strictly increasing and positive, shape `(n,)`.
        loss: held-out loss in nats per token, positive, shape `(n,)`.
        where: names the curve in errors.

    Raises:
        UserError: tokens are unsorted, repeated or not positive, a loss is not positive, or the two
            differ in length.
    """
    tokens, loss = np.asarray(tokens, dtype=float), np.asarray(loss, dtype=float)
    _check(tokens, loss, where)
    n = len(loss)
    if n == 0:
        return PowerLaw(Status.TOO_FEW_POINTS, 0)
    first, last = float(tokens[0]), float(tokens[-1])
    if not np.all(np.isfinite(loss)):
        return PowerLaw(Status.NON_FINITE, n, first, last)
    if n < MIN_POINTS:
        return PowerLaw(Status.TOO_FEW_POINTS, n, first, last)
    if rises(tokens, loss):
        return PowerLaw(Status.NOT_MONOTONE, n, first, last)

    d0 = float(np.exp(np.mean(np.log(tokens))))
    curve = Curve(np.log(tokens / d0), loss)
    free = curve.minimise(np.inf)
    best = free if free.l_inf <= loss.min() else curve.minimise(float(loss.min()))
    limit = free.sum_of_squares * (1 + fisher.ppf(CONFIDENCE, 1, n - 3) / (n - 3))
    limit = max(limit, n * (ROUNDING * loss.max()) ** 2)
    alpha_low, alpha_high = _interval(curve.profile_alpha, ALPHA_GRID, free.alpha, limit)
    l_inf_low, l_inf_high = _interval(
        curve.profile_l_inf, np.linspace(0, loss.max(), L_INF_POINTS), free.l_inf, limit
    )
    diagnostics = _diagnostics(curve, best)
    identified = (
        None not in (alpha_low, alpha_high)
        and l_inf_low is not None
        and l_inf_high is not None
        and l_inf_high - l_inf_low <= WIDEST_L_INF * best.l_inf
    )
    if not identified:
        status = Status.NOT_IDENTIFIED
    elif best is not free:
        status = Status.AT_BOUND
    else:
        status = Status.CONVERGED
    return PowerLaw(
        status=status,
        n_points=n,
        first_tokens=first,
        last_tokens=last,
        d0=d0,
        l_inf=best.l_inf,
        a=best.a,
        alpha=best.alpha,
        l_inf_low=l_inf_low,
        l_inf_high=l_inf_high,
        alpha_low=alpha_low,
        alpha_high=alpha_high,
        sum_of_squares=best.sum_of_squares,
        **diagnostics,
    )


def _interval(
    profile: Callable[[float], float], grid: Array, best: float, limit: float
) -> tuple[float | None, float | None]:
    """The outermost points where `profile` reaches `limit`; None where it never does in the
    grid."""

    def end(points: Array) -> float | None:
        inside = best
        accepted = [x for x in points if profile(x) <= limit]
        if len(accepted) > 0:
            inside = accepted[-1]
        outside = [x for x in points if abs(x - best) > abs(inside - best)]
        if not outside:
            return None
        if profile(inside) >= limit:
            return float(inside)
        return float(brentq(lambda x: profile(x) - limit, inside, outside[0], rtol=1e-10))

    return end(grid[grid < best][::-1]), end(grid[grid > best])


def _diagnostics(curve: Curve, best: Solution) -> dict[str, float | None]:
    """Durbin-Watson, condition number and correlation(L_inf, alpha) at the solution.

    The residuals plus the linearised law are regressed on its Jacobian, whose columns are first
    scaled to length 1, so that the condition number does not depend on units (Belsley, 1991).
    """
    power = np.exp(-best.alpha * curve.u)
    residuals = curve.loss - best.l_inf - best.a * power
    watson = float(durbin_watson(residuals)) if np.any(residuals) else None
    jacobian = np.column_stack([np.ones_like(power), power, -best.a * power * curve.u])
    lengths = np.linalg.norm(jacobian, axis=0)
    if best.a == 0 or np.linalg.matrix_rank(jacobian / lengths) < 3:
        return {"durbin_watson": watson, "condition_number": None, "correlation": None}
    theta = np.array([best.l_inf, best.a, best.alpha]) * lengths
    scaled = jacobian / lengths
    linear = OLS(residuals + scaled @ theta, scaled).fit()
    covariance = np.asarray(linear.normalized_cov_params)
    correlation = covariance[0, 2] / np.sqrt(covariance[0, 0] * covariance[2, 2])
    return {
        "durbin_watson": watson,
        "condition_number": float(linear.condition_number),
        "correlation": float(correlation),
    }


def _check(tokens: Array, loss: Array, where: str) -> None:
    if tokens.ndim != 1 or tokens.shape != loss.shape:
        raise UserError(
            f"{where} has {tokens.shape} tokens and {loss.shape} losses",
            "give one loss for each number of tokens",
        )
    if len(tokens) == 0:
        return
    if not np.all(np.isfinite(tokens)) or np.min(tokens) <= 0:
        raise UserError(
            f"{where} has tokens that are not positive numbers", "leave out step 0 and the burn-in"
        )
    steps = np.diff(tokens)
    if np.any(steps == 0):
        at = int(np.argmin(np.abs(steps)))
        raise UserError(
            f"{where} has two losses at {tokens[at]:.0f} tokens", "keep one evaluation for each"
        )
    if np.any(steps < 0):
        raise UserError(f"{where} has unsorted tokens", "sort the curve by tokens")
    bad = np.flatnonzero(loss <= 0)
    if len(bad):
        raise UserError(
            f"{where} has the loss {loss[bad[0]]} at {tokens[bad[0]]:.0f} tokens",
            "a loss in nats per token is positive: check the evaluation that wrote it",
        )
