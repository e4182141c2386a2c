"""A law of one curve that knows its learning rates: L = L_inf + A (S1/S0)^-alpha - C S2.

Section 6.2 fits evaluations inside one cosine run, whose last losses fall because the learning rate
does. After Tissue et al. 2024 (arXiv 2408.11029), S1 is the sum of the learning rates up to an
evaluation, and S2 the annealing area: each fall of the rate counts at every later step, less by a
factor `decay` at each (0.999 there, for runs of some 10^4 steps; a parameter here). Falls are
counted from the largest rate on, so a warm-up anneals nothing. Rates between logged steps are
interpolated linearly, and before the first one they rise from zero: no formula of a schedule is
needed.

With a constant rate S2 = 0 and S1 is proportional to tokens, so the law is the plain power law. The
plain law and this one share the solver: at a fixed alpha both are linear, with L_inf, A and C of 0
or more, and alpha is searched on the grid of `projection` and refined. It works on the whole grid
at once, so that thousands of fits take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import f as fisher

from recscale.errors import UserError
from recscale.scaling.power_law import CONFIDENCE, ROUNDING, WIDEST_L_INF
from recscale.scaling.projection import ALPHA_GRID, Array

DECAY = 0.999  # of the annealing momentum, a step
ZOOMS = 4  # each narrows the search of alpha by a factor of 20
FINE = 41


@dataclass(frozen=True)
class Annealed:
    """A fitted law at S1 = S0; without S2 a plain power law of whatever stood for S1.

    l_inf and a in nats per token, c in nats per token and unit of learning rate. Ends of 95 %
    profile intervals are nan where the data do not bound the parameter. `at_bound` means that the
    smallest observed loss held l_inf down.
    """

    l_inf: float
    a: float
    c: float
    alpha: float
    l_inf_low: float
    l_inf_high: float
    alpha_low: float
    alpha_high: float
    sum_of_squares: float
    at_bound: bool

    @property
    def identified(self) -> bool:
        """As in Table 4: at no bound, intervals closed, that of L_inf within half its value."""
        if self.at_bound:
            return False
        width = self.l_inf_high - self.l_inf_low
        closed = np.isfinite([width, self.alpha_low, self.alpha_high]).all()
        return bool(closed and width <= WIDEST_L_INF * self.l_inf)


def learning_rates(training: pd.DataFrame, steps: int, where: str) -> Array:
    """The rate of steps 1 .. `steps`, shape `(steps,)`.

    Args:
        training: columns step and learning_rate of one run, as logged.
        steps: the last one wanted.
        where: names the file in errors.

    Raises:
        UserError: the log is empty, unsorted, or ends before `steps`.
    """
    logged = training["step"].to_numpy(float)
    rates = training["learning_rate"].to_numpy(float)
    if len(logged) == 0 or np.any(np.diff(logged) <= 0):
        raise UserError(f"{where} has no steps in order", "rerun the run that writes it")
    if logged[-1] < steps:
        raise UserError(
            f"{where} ends at step {logged[-1]:.0f}, its curve at {steps}",
            "pass curves and training of the same run",
        )
    return np.interp(np.arange(1, steps + 1), np.append(0, logged), np.append(0, rates))


def areas(rates: Array, steps: Array, decay: float = DECAY) -> tuple[Array, Array]:
    """S1 and S2 after `steps` optimiser steps, in units of the learning rate.

    Args:
        rates: of steps 1, 2, ..., shape `(m,)`.
        steps: at evaluations, from 1 to m, shape `(n,)`.
        decay: what is left of a fall after one more step, in [0, 1).
    """
    if not 0 <= decay < 1:
        raise UserError(f"decay is {decay}", "it is a factor a step, from 0 to below 1")
    falls = -np.diff(rates, prepend=rates[0])
    falls[: int(np.argmax(rates)) + 1] = 0
    momentum = np.zeros_like(rates)
    for place in range(1, len(rates)):
        momentum[place] = decay * momentum[place - 1] + falls[place]
    at = np.asarray(steps, dtype=int) - 1
    return np.cumsum(rates)[at], np.cumsum(momentum)[at]


def fit(x: Array, loss: Array, s2: Array | None = None) -> Annealed:
    """Least squares with L_inf, A, C >= 0.

    Args:
        x: S1, or tokens for the plain law; positive and increasing, shape `(n,)`.
        loss: nats per token, shape `(n,)`.
        s2: shape `(n,)`; left out, or constant: the plain law, with L_inf <= min L as in Table 4.
    """
    u = np.log(x) - np.mean(np.log(x))
    z = None if s2 is None or np.ptp(s2) <= 1e-12 * np.abs(s2).max(initial=1e-300) else -s2
    free = _minimise(u, loss, z, np.inf)
    ceiling = float(loss.min()) if z is None else np.inf
    best = free if free[1] <= ceiling else _minimise(u, loss, z, ceiling)
    parameters = 3 if z is None else 4
    freedom = len(loss) - parameters
    limit = free[4] * (1 + fisher.ppf(CONFIDENCE, 1, freedom) / freedom) if freedom > 0 else np.inf
    limit = max(limit, len(loss) * (ROUNDING * loss.max()) ** 2)
    alpha, l_inf, a, c, squares = best
    ends = _intervals(u, loss, z, free[0], limit)
    return Annealed(l_inf, a, c, alpha, *ends, squares, at_bound=best is not free)


def _minimise(
    u: Array, loss: Array, z: Array | None, ceiling: float
) -> tuple[float, float, float, float, float]:
    """alpha, L_inf, A, C and the sum of squares at the least one."""
    grid = ALPHA_GRID
    for _ in range(ZOOMS + 1):
        l_inf, a, c, squares, _ = profile(u, loss, z, grid, ceiling)
        i = int(np.argmin(squares))
        best = float(grid[i]), float(l_inf[i]), float(a[i]), float(c[i]), float(squares[i])
        grid = np.geomspace(grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)], FINE)
    return best


def _intervals(
    u: Array, loss: Array, z: Array | None, alpha: float, limit: float
) -> tuple[float, float, float, float]:
    """Ends of L_inf and of alpha: all values whose least sum of squares is within `limit`.

    At a fixed alpha the sum of squares is a parabola of L_inf, so its interval is the union of one
    for each alpha. Where C is held at 0 the parabola is that of the law without C.
    """
    alphas = ALPHA_GRID
    accepted = alphas[profile(u, loss, z, alphas, np.inf)[3] <= limit]
    within_low = min(alpha, *accepted) if len(accepted) else alpha
    within_high = max(alpha, *accepted) if len(accepted) else alpha
    lower, higher = alphas[alphas < within_low][::-1], alphas[alphas > within_high]
    low = _end(u, loss, z, within_low, lower, limit)
    high = _end(u, loss, z, within_high, higher, limit)
    first = ALPHA_GRID[0] if np.isnan(low) else low
    last = ALPHA_GRID[-1] if np.isnan(high) else high
    l_inf, _, _, squares, factor = profile(u, loss, z, np.geomspace(first, last, 101), np.inf)
    reach = np.sqrt(np.maximum(limit - squares, 0) * factor)
    lowest, highest = float(np.min(l_inf - reach)), float(np.max(l_inf + reach))
    return (
        lowest if lowest > 0 else np.nan,
        highest if highest < loss.max() else np.nan,
        *(low, high),
    )


def _end(
    u: Array, loss: Array, z: Array | None, within: float, beyond: Array, limit: float
) -> float:
    """Where the profile crosses `limit` between `within` and the next of `beyond`; nan if there is
    none."""
    if not len(beyond):
        return np.nan
    points = np.geomspace(within, beyond[0], FINE)
    for _ in range(4):
        outside = profile(u, loss, z, points, np.inf)[3] > limit
        i = int(np.argmax(outside)) if outside.any() else len(points) - 1
        points = np.geomspace(points[max(i - 1, 0)], points[i], FINE)
    return float(points[-1])


def profile(
    u: Array, loss: Array, z: Array | None, alphas: Array, ceiling: float
) -> tuple[Array, Array, Array, Array, Array]:
    """L_inf, A, C, the least sum of squares, and the variance factor of L_inf, at each alpha.

    The problem is convex, so the best of the solutions on all sets of active bounds that break no
    other bound is the solution. The regressor ((S1/S0)^-alpha - 1) / alpha stays apart from the
    constant as alpha goes to 0.
    """
    power = np.exp(-np.outer(alphas, u))
    shape = len(alphas)
    zero, never = np.zeros(shape), np.full(shape, np.inf)
    best = [zero, zero, zero, never, zero]

    def consider(l_inf: Array, a: Array, c: Array, factor: Array) -> None:
        fitted = l_inf[:, None] + a[:, None] * power
        if z is not None:
            fitted = fitted + c[:, None] * z
        squares = np.sum((loss - fitted) ** 2, axis=1)
        allowed = (l_inf >= 0) & (l_inf <= ceiling) & (a >= 0) & (c >= 0) & (squares < best[3])
        for place, new in enumerate((l_inf, a, c, squares, factor)):
            best[place] = np.where(allowed, new, best[place])

    regressor = np.expm1(-np.outer(alphas, u)) / alphas[:, None]
    for with_z in (None,) if z is None else (None, z):
        level, slope, c, factor = _affine(regressor, with_z, loss, alphas)
        consider(level - slope / alphas, slope / alphas, c, factor)
        for bound in (0.0, ceiling) if np.isfinite(ceiling) else (0.0,):
            a, c = _two(power, with_z, loss - bound)
            consider(np.full(shape, bound), a, c, zero)
        mean = np.ones((shape, len(u)))
        a, c = _two(mean, with_z, loss)
        consider(np.minimum(a, ceiling), zero, c, np.full(shape, 1 / len(u)))
    l_inf, a, c, squares, factor = best
    return l_inf, a, c, squares, factor


def _affine(x: Array, z: Array | None, y: Array, alphas: Array) -> tuple[Array, ...]:
    """Regress y on a constant, each row of x, and z: the level, slopes, and the factor by which the
    variance of y becomes that of level - slope / alpha."""
    xc, yc = x - x.mean(axis=1, keepdims=True), y - y.mean()
    zc = None if z is None else z - z.mean()
    slope, c = _two(xc, zc, yc)
    # Level - slope / alpha is a mean of y plus multiples of the two slopes.
    along = x.mean(axis=1) + 1 / alphas
    level = y.mean() - slope * x.mean(axis=1)
    if z is None or zc is None:
        spread = np.einsum("ij,ij->i", xc, xc)
        return level, slope, c, 1 / len(y) + along**2 / spread
    level = level - c * z.mean()
    xx, zz, xz = np.einsum("ij,ij->i", xc, xc), zc @ zc, xc @ zc
    numerator = along**2 * zz - 2 * along * z.mean() * xz + z.mean() ** 2 * xx
    return level, slope, c, 1 / len(y) + numerator / np.maximum(xx * zz - xz**2, 1e-300)


def _two(x: Array, z: Array | None, y: Array) -> tuple[Array, Array]:
    """Slopes of y on each row of x and on z, without a constant (Frisch and Waugh)."""
    if z is None:
        return x @ y / np.einsum("ij,ij->i", x, x), np.zeros(len(x))
    share = x @ z / (z @ z)
    rest = x - share[:, None] * z
    size = np.maximum(np.einsum("ij,ij->i", rest, rest), 1e-300)
    slope = rest @ y / size
    return slope, (z @ y) / (z @ z) - slope * share
