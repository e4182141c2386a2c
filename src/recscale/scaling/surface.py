"""Variable projection (Golub and Pereyra, 1973) for L(N, D) = E + A N^-alpha + B D^-beta.

At fixed exponents the law is linear in E, A and B, none of which may be negative. The best of them
is found in closed form for a whole grid of exponents at once: where the free solution is negative,
the best one lies on a face, and there are few faces. What remains is a function of two exponents,
searched on a dense grid and refined.

Residuals are relative, (law - loss) / loss, which to first order are those of the logarithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]

LOWEST, HIGHEST = 0.01, 5.0  # exponents, from a straight line in the logarithm to a step
DENSE = np.geomspace(LOWEST, HIGHEST, 49)
COARSE = np.geomspace(LOWEST, HIGHEST, 25)


@dataclass(frozen=True)
class Solution:
    """Parameters and their sum of squared relative residuals; N and D are those of `Surface`."""

    e: float
    a: float
    alpha: float
    b: float
    beta: float
    sum_of_squares: float


class Surface:
    """Points of one domain, and the least sum of squares as a function of the exponents.

    Args:
        u, v: ln(N / N0) and ln(D / D0), shape `(n,)`.
        loss: nats per token, positive, shape `(n,)`.
        counts: how often each point counts, shape `(n,)`; once if not given.
    """

    def __init__(self, u: Array, v: Array, loss: Array, counts: Array | None = None) -> None:
        self.u, self.v, self.loss = u, v, loss
        self.weight = (np.ones_like(loss) if counts is None else counts) / loss**2

    def free(self, alphas: Array, betas: Array) -> Array:
        """Least sums of squares of each pair of exponents, `(len(alphas), len(betas))`."""
        return np.maximum(np.min(self._free(alphas, betas)[0], axis=0), 0.0)

    def parameters(self, alpha: float, beta: float) -> tuple[float, float, float]:
        """The best E, A and B of one pair of exponents."""
        squares, faces = self._free(np.array([alpha]), np.array([beta]))
        e, a, b = (float(x[0, 0]) for x in faces[int(np.argmin(squares[:, 0, 0]))])
        return e, a, b

    def _free(self, alphas: Array, betas: Array) -> tuple[Array, list[tuple[Array, Array, Array]]]:
        """Sums of squares on each face, infinite where it is no solution, and E, A, B there.

        The regressors are (N^-alpha - 1) / alpha and its like in D, which stay apart from the
        constant as an exponent goes to 0.
        """
        w, y = self.weight, self.loss
        x, z = _straight(alphas, self.u), _straight(betas, self.v)
        total = np.sum(w)
        y_mean = np.sum(w * y) / total
        x_mean, z_mean = (x @ w / total)[:, None], (z @ w / total)[:, None]
        xc, zc, yc = x - x_mean, z - z_mean, y - y_mean
        xx, zz = (xc**2 @ w)[:, None], (zc**2 @ w)[None, :]
        xy, zy = (xc @ (w * yc))[:, None], (zc @ (w * yc))[None, :]
        xz, yy = (xc * w) @ zc.T, np.sum(w * yc**2)
        al, be, z_mean = alphas[:, None], betas[None, :], z_mean.T
        none = np.zeros((len(alphas), len(betas)))

        def with_e(slope_x: Array, slope_z: Array) -> tuple[Array, Array, Array]:
            a, b = slope_x / al, slope_z / be
            return y_mean - slope_x * x_mean - slope_z * z_mean - a - b, a, b

        faces = [with_e(*_pair(xx, zz, xz, xy, zy)), with_e(xy / xx + none, none)]
        faces += [with_e(none, zy / zz + none), with_e(none, none)]
        # Without E.
        p, q = np.exp(-np.outer(alphas, self.u)), np.exp(-np.outer(betas, self.v))
        pp, qq, pq = (p**2 @ w)[:, None], (q**2 @ w)[None, :], (p * w) @ q.T
        py, qy = (p @ (w * y))[:, None], (q @ (w * y))[None, :]
        faces.append((none, *_pair(pp, qq, pq, py, qy)))
        faces += [(none, py / pp + none, none), (none, none, qy / qq + none)]
        squares = np.empty((len(faces), *none.shape))
        for i, (e, a, b) in enumerate(faces):
            # The same expression for all, so that faces compare to the last digit.
            sx, sz = a * al, b * be
            off = y_mean - (e + a + b) - sx * x_mean - sz * z_mean
            squares[i] = yy - 2 * (sx * xy + sz * zy) + sx**2 * xx + sz**2 * zz + 2 * sx * sz * xz
            squares[i] += total * off**2
            squares[i][~((e >= 0) & (a >= 0) & (b >= 0))] = np.inf
        return squares, faces

    def through(self, value: float, u: float, v: float, alphas: Array, betas: Array) -> Array:
        """As `free`, of the laws that have this loss at ln(N / N0) = u and ln(D / D0) = v.

        Both infinite, the value is E itself. What is left are A and B in a triangle, E >= 0 being
        its third side, so the best pair is free inside or lies on a side.
        """
        w, t = self.weight, self.loss - value
        p_at, q_at = np.exp(-alphas * u)[:, None], np.exp(-betas * v)[None, :]
        x = np.exp(-np.outer(alphas, self.u)) - p_at
        z = np.exp(-np.outer(betas, self.v)) - q_at.T
        xx, zz, xz = (x**2 @ w)[:, None], (z**2 @ w)[None, :], (x * w) @ z.T
        xt, zt = (x @ (w * t))[:, None], (z @ (w * t))[None, :]
        none = np.zeros((len(alphas), len(betas)))
        pairs = [_pair(xx, zz, xz, xt, zt)]
        with np.errstate(divide="ignore", invalid="ignore"):
            most_a, most_b = value / p_at + none, value / q_at + none
            pairs.append((np.clip(xt / xx + none, 0, most_a), none))
            pairs.append((none, np.clip(zt / zz + none, 0, most_b)))
            # A from 0 to most_a while B goes from most_b to 0: the part that A takes.
            long = most_a**2 * xx - 2 * most_a * most_b * xz + most_b**2 * zz
            part = (most_a * (xt - most_b * xz) - most_b * (zt - most_b * zz)) / long
            part = np.clip(part, 0, 1)
            pairs.append((part * most_a, (1 - part) * most_b))
        squares = np.empty((len(pairs), *none.shape))
        for i, (a, b) in enumerate(pairs):
            with np.errstate(invalid="ignore"):  # the third side lies at infinity for E itself
                inside = (a >= 0) & (b >= 0) & (a * p_at + b * q_at <= value * (1 + 1e-12))
                found = -2 * (a * xt + b * zt) + a**2 * xx + b**2 * zz + 2 * a * b * xz
            squares[i] = np.where(inside & np.isfinite(found), found, np.inf)
        return np.maximum(np.sum(w * t**2) + np.min(squares, axis=0), 0.0)

    def minimise(self, grid: Array = DENSE, zooms: int = 8, polish: bool = True) -> Solution:
        """The best exponents: the grid with its edges, finer grids about the best, a polish."""
        alpha, beta, squares = zoom(self.free, grid, grid, zooms)
        if polish:
            found = minimize(
                lambda x: float(self.free(np.exp(x[:1]), np.exp(x[1:]))[0, 0]),
                np.log([alpha, beta]),
                method="Nelder-Mead",
                bounds=[(np.log(LOWEST), np.log(HIGHEST))] * 2,
                options={"xatol": 1e-9, "fatol": 1e-14 * max(squares, 1e-12), "maxiter": 400},
            )
            if found.fun <= squares:
                alpha, beta = (float(x) for x in np.exp(found.x))
        e, a, b = self.parameters(alpha, beta)
        return Solution(e, a, alpha, b, beta, self.sum_of_squares(e, a, alpha, b, beta))

    def sum_of_squares(self, e: float, a: float, alpha: float, b: float, beta: float) -> float:
        """Sum of squared relative residuals of given parameters."""
        law = e + a * np.exp(-alpha * self.u) + b * np.exp(-beta * self.v)
        return float(np.sum(self.weight * (law - self.loss) ** 2))

    def profile_alpha(self, alpha: float) -> float:
        """Least sum of squares at a fixed alpha."""
        return zoom(self.free, np.array([alpha]), DENSE, 6)[2]

    def profile_beta(self, beta: float) -> float:
        """Least sum of squares at a fixed beta."""
        return zoom(self.free, DENSE, np.array([beta]), 6)[2]

    def profile_value(self, value: float, u: float = np.inf, v: float = np.inf) -> float:
        """Least sum of squares of the laws with this loss at (u, v); of this E by default."""
        return zoom(partial(self.through, value, u, v), COARSE, COARSE, 7)[2]


def zoom(
    squares: Callable[[Array, Array], Array], alphas: Array, betas: Array, zooms: int
) -> tuple[float, float, float]:
    """The lowest point of a function of two positive numbers, inside a grid spaced evenly in logs.

    Each zoom looks at nine points over two old steps to either side, so the centre can move along
    a valley that is narrower than the grid. An axis of a single number stays as it is.

    Returns:
        Both numbers, and the function there.
    """
    found = squares(alphas, betas)
    i, j = np.unravel_index(int(np.argmin(found)), found.shape)
    best = float(alphas[i]), float(betas[j]), float(found[i, j])
    steps = [float(np.log(axis[1] / axis[0])) if len(axis) > 1 else 0.0 for axis in (alphas, betas)]
    places = np.linspace(-2, 2, 9)
    for _ in range(zooms):
        axes = [
            np.clip(centre * np.exp(step * places), axis[0], axis[-1]) if step else axis
            for axis, centre, step in zip((alphas, betas), best[:2], steps, strict=True)
        ]
        found = squares(*axes)
        i, j = np.unravel_index(int(np.argmin(found)), found.shape)
        if found[i, j] <= best[2]:
            best = float(axes[0][i]), float(axes[1][j]), float(found[i, j])
        steps = [step / 2 for step in steps]
    return best


def _straight(exponents: Array, logs: Array) -> Array:
    """(x^-k - 1) / k for each exponent k (rows) and ln x (columns)."""
    return np.expm1(-np.outer(exponents, logs)) / exponents[:, None]


def _pair(xx: Array, zz: Array, xz: Array, xy: Array, zy: Array) -> tuple[Array, Array]:
    """Least squares on two regressors from their products."""
    determinant = xx * zz - xz**2
    with np.errstate(divide="ignore", invalid="ignore"):
        first = (zz * xy - xz * zy) / determinant
        second = (xx * zy - xz * xy) / determinant
    return first, second
