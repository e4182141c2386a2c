"""One curve fitted by two solvers that must agree: variable projection, and many starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recscale.scaling import huber
from recscale.scaling.huber import Minimum, Objective
from recscale.scaling.power_law import ROUNDING, PowerLaw, Status, fit_power_law
from recscale.scaling.projection import ALPHA_GRID, Array, Curve

AGREEMENT = 1e-6  # nats of the fitted loss, and share of the Huber objective
STRIDE = 2  # of the grid of alphas, whose projections the second descents start from
KEPT = 8  # of these, the best are followed


@dataclass(frozen=True)
class Fit:
    """What the two solvers make of one curve.

    Attributes:
        law: the power law by variable projection, with the status of the whole.
        huber: the law with the least sum of Huber losses of ln L; None where there is no law.
        solver_difference: largest difference of the two solvers' fitted losses on the same sum of
            squares, nats per token.
        huber_difference: how much the Huber objective that many starts reach differs from the one
            reached from the law of variable projection, as a share of it.
    """

    law: PowerLaw
    huber: Minimum | None = None
    solver_difference: float | None = None
    huber_difference: float | None = None


def fit_curve(tokens: Array, loss: Array, where: str = "curve") -> Fit:
    """Fit one curve with both solvers.

    On the sum of squares, the many starts of `huber` must find the curve that variable projection
    finds. On the Huber objective, which is not linear in any parameter and may have several minima,
    descents from the best laws that variable projection finds at fixed alphas must reach what the
    many starts reach, if need be with twelve times as many starts. Otherwise the status is
    `solvers_disagree`.

    Raises:
        UserError: as `fit_power_law`.
    """
    law = fit_power_law(tokens, loss, where)
    if law.l_inf is None or law.a is None or law.alpha is None or law.d0 is None:
        return Fit(law)
    u = np.log(np.asarray(tokens, dtype=float) / law.d0)
    same = huber.from_many_starts(u, loss, Objective.SQUARES)
    difference = float(np.max(np.abs(same.predict(u) - law.predict(tokens))))
    robust = huber.from_many_starts(u, loss, Objective.HUBER)
    other = _from_projection(u, loss)
    relative = _apart(robust, other, len(u))
    if relative > AGREEMENT:
        robust = huber.from_many_starts(u, loss, Objective.HUBER, thorough=True)
        relative = _apart(robust, other, len(u))
    if difference > AGREEMENT or relative > AGREEMENT:
        law = replace(law, status=Status.SOLVERS_DISAGREE)
    best = min(robust, other, key=lambda found: found.objective)
    return Fit(law, best, difference, relative)


def _apart(first: Minimum, second: Minimum, points: int) -> float:
    """By which share of it two objectives differ."""
    larger = max(first.objective, second.objective)
    # Sums of rounding errors have no digits to compare.
    if larger <= points * ROUNDING**2:
        return 0.0
    return abs(first.objective - second.objective) / larger


def _from_projection(u: Array, loss: Array) -> Minimum:
    """The least Huber objective reached from the projections at a grid of alphas."""
    curve = Curve(u, loss)
    found = [curve.solve(alpha, float(loss.min())) for alpha in ALPHA_GRID[::STRIDE]]
    laws = [Minimum(s.l_inf, s.a, s.alpha, s.sum_of_squares) for s in found]
    laws.sort(key=lambda law: huber.objective_of(law, u, loss, Objective.HUBER))
    starts = [(law.l_inf, law.a, law.alpha) for law in laws[:KEPT]]
    return huber.from_starts(starts, u, loss, Objective.HUBER)
