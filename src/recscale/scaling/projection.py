"""Variable projection (Golub and Pereyra, 1973) for L(D) = L_inf + A (D/D0)^-alpha.

At a fixed alpha the law is linear, and ordinary least squares gives L_inf and A. What remains is a
function of alpha alone, which is searched on a grid and refined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from statsmodels.regression.linear_model import OLS

Array = NDArray[np.float64]

# From a straight line in ln D to a curve that is flat after its first point.
ALPHA_GRID: Array = np.geomspace(1e-3, 10.0, 81)


@dataclass(frozen=True)
class Solution:
    """Parameters and their sum of squares (nats squared)."""

    alpha: float
    l_inf: float
    a: float
    sum_of_squares: float


class Curve:
    """One curve, and its least sum of squares as a function of one parameter.

    Args:
        u: ln(D / D0), increasing, shape `(n,)`.
        loss: nats per token, shape `(n,)`.
    """

    def __init__(self, u: Array, loss: Array) -> None:
        self.u = u
        self.loss = loss
        self.powers = np.exp(-np.outer(ALPHA_GRID, u))
        self.solved: dict[tuple[float, float], Solution] = {}

    def solve(self, alpha: float, ceiling: float) -> Solution:
        """Best L_inf in [0, ceiling] and A >= 0 at a fixed alpha, computed once."""
        key = (float(alpha), ceiling)
        if key not in self.solved:
            self.solved[key] = self._solve(*key)
        return self.solved[key]

    def _solve(self, alpha: float, ceiling: float) -> Solution:
        """The linear problem at a fixed alpha.

        The regressor is ((D/D0)^-alpha - 1) / alpha, which stays apart from the constant as alpha
        goes to 0 and becomes -ln(D/D0) there. The problem is convex, so where the free solution
        breaks a bound the best one lies on a bound: L_inf = 0, L_inf = ceiling, or A = 0, whose
        L_inf is the mean.
        """
        regressor = np.expm1(-alpha * self.u) / alpha
        fitted = OLS(self.loss, np.column_stack([np.ones_like(regressor), regressor])).fit()
        a = float(fitted.params[1]) / alpha
        l_inf = float(fitted.params[0]) - a
        if a >= 0 and 0 <= l_inf <= ceiling:
            return Solution(alpha, l_inf, a, float(fitted.ssr))
        return Solution(alpha, *_at_bound(np.exp(-alpha * self.u), self.loss, ceiling))

    def minimise(self, ceiling: float) -> Solution:
        """Search alpha: the grid with its edges, then the best grid point's surroundings."""
        solutions = [self.solve(alpha, ceiling) for alpha in ALPHA_GRID]
        i = int(np.argmin([s.sum_of_squares for s in solutions]))
        low, high = np.log(ALPHA_GRID[[max(i - 1, 0), min(i + 1, len(ALPHA_GRID) - 1)]])
        found = minimize_scalar(
            lambda x: self.solve(np.exp(x), ceiling).sum_of_squares,
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-10},
        )
        refined = self.solve(float(np.exp(found.x)), ceiling)
        return min(refined, solutions[i], key=lambda s: s.sum_of_squares)

    def profile_alpha(self, alpha: float) -> float:
        """Least sum of squares at a fixed alpha, over A >= 0 and L_inf >= 0."""
        return self.solve(alpha, np.inf).sum_of_squares

    def profile_l_inf(self, l_inf: float) -> float:
        """Least sum of squares at a fixed L_inf, over A >= 0 and alpha."""
        return self.at_floor(l_inf)[2]

    def at_floor(self, l_inf: float) -> tuple[float, float, float]:
        """alpha, A and the sum of squares of the best law with this L_inf."""
        above = self.loss - l_inf
        on_grid = _through_origin(self.powers, above)[1]
        i = int(np.argmin(on_grid))
        low, high = np.log(ALPHA_GRID[[max(i - 1, 0), min(i + 1, len(ALPHA_GRID) - 1)]])
        found = minimize_scalar(
            lambda x: float(_through_origin(np.exp(-np.exp(x) * self.u)[None, :], above)[1][0]),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-8},
        )
        alpha = float(np.exp(found.x)) if found.fun <= on_grid[i] else float(ALPHA_GRID[i])
        slope, squares = _through_origin(np.exp(-alpha * self.u)[None, :], above)
        return alpha, float(slope[0]), float(squares[0])


def affine_bounded(regressor: Array, loss: Array, ceiling: float) -> tuple[float, float, float]:
    """Least squares of `loss` on a constant in [0, ceiling] and a slope of 0 or more.

    Returns the constant, the slope and the sum of squares.
    """
    fitted = OLS(loss, np.column_stack([np.ones_like(regressor), regressor])).fit()
    constant, slope = map(float, fitted.params)
    if slope >= 0 and 0 <= constant <= ceiling:
        return constant, slope, float(fitted.ssr)
    return _at_bound(regressor, loss, ceiling)


def _at_bound(regressor: Array, loss: Array, ceiling: float) -> tuple[float, float, float]:
    """The better of the two bounds of the constant, where the free solution breaks one.

    A slope of 0 comes with a constant that is the mean, or the ceiling below it.
    """
    candidates = []
    for bound in (0.0, min(ceiling, float(np.mean(loss)))):
        slope, squares = _through_origin(regressor[None, :], loss - bound)
        candidates.append((bound, float(slope[0]), float(squares[0])))
    return min(candidates, key=lambda found: found[2])


def _through_origin(powers: Array, above: Array) -> tuple[Array, Array]:
    """Least squares of `above` (n,) on each row of `powers` (m, n), with slopes of 0 or more.

    Returns slopes and sums of squares, each of shape `(m,)`.
    """
    slope = np.maximum(powers @ above / np.einsum("ij,ij->i", powers, powers), 0.0)
    residuals = above - slope[:, None] * powers
    return slope, np.einsum("ij,ij->i", residuals, residuals)
