"""L(N, D) = E + A N^-alpha + B D^-beta by a general solver from many starts.

Two objectives: least squares of the relative residuals, which checks `surface` on its own ground,
and the sum of Huber's loss of the residuals in log space with delta 1e-3 (Hoffmann et al. 2022,
appendix D.2). It is a sum, because a mean of losses this small stops solvers early.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import least_squares

from recscale.scaling.surface import HIGHEST, LOWEST, Array, Solution

HUBER = 1e-3
OBJECTIVES = ("squares", "huber")
EXPONENTS = (0.05, 0.3, 1.2)
FLOORS = (0.0, 0.8)  # E of a start, as a share of the smallest loss
FIRST_LOOK, LAST_LOOK = 30, 2000  # evaluations of all starts, and of the best of them
GO_ON = 3  # starts that are followed to their end


def minimise(u: Array, v: Array, loss: Array, objective: str) -> tuple[Solution, float]:
    """The best solution of all starts.

    Args:
        u, v: ln(N / N0) and ln(D / D0), shape `(n,)`.
        loss: nats per token, positive, shape `(n,)`.
        objective: one of `OBJECTIVES`.

    Returns:
        The solution, with its sum of squared relative residuals, and the objective there.
    """
    relative = objective == "squares"

    def law(x: Array) -> tuple[Array, Array, Array]:
        p, q = np.exp(-x[3] * u), np.exp(-x[4] * v)
        return x[0] + x[1] * p + x[2] * q, p, q

    def residuals(x: Array) -> Array:
        value = law(x)[0]
        return (value - loss) / loss if relative else np.log(value / loss)

    def jacobian(x: Array) -> Array:
        value, p, q = law(x)
        columns = np.stack([np.ones_like(p), p, q, -x[1] * u * p, -x[2] * v * q], axis=1)
        return columns / (loss if relative else value)[:, None]

    def follow(start: Array, evaluations: int):  # type: ignore[no-untyped-def]
        return least_squares(
            residuals,
            start,
            jac=jacobian,
            bounds=([1e-12, 0, 0, LOWEST, LOWEST], [np.inf, np.inf, np.inf, HIGHEST, HIGHEST]),
            loss="linear" if relative else "huber",
            f_scale=1.0 if relative else HUBER,
            x_scale=np.maximum(start, 1e-2),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=evaluations,
        )

    looks = [follow(start, FIRST_LOOK) for start in _starts(u, v, loss)]
    looks.sort(key=lambda found: found.cost)
    best = min(
        (follow(found.x, LAST_LOOK) for found in looks[:GO_ON]), key=lambda found: found.cost
    )
    e, a, b, alpha, beta = (float(x) for x in best.x)
    squares = float(np.sum(((law(best.x)[0] - loss) / loss) ** 2))
    return Solution(e, a, alpha, b, beta, squares), 2 * float(best.cost)


def _starts(u: Array, v: Array, loss: Array) -> list[Array]:
    """Starts inside the bounds: E at a share of the smallest loss, the rest halved."""
    starts = []
    for floor, alpha, beta in product(FLOORS, EXPONENTS, EXPONENTS):
        e = floor * float(np.min(loss)) + 1e-6
        rest = max(float(np.mean(loss)) - e, 1e-6) / 2
        starts.append(np.array([e, rest, rest, alpha, beta]))
    return starts
