"""Fit of the joint law L(N, D) = E + A (N/N0)^-alpha + B (D/D0)^-beta (section 7.3).

Fitted to the losses that runs end with, N0 and D0 being the geometric means of theirs. Two solvers
must agree on least squares of relative residuals; Huber's loss in log space stands beside.
Intervals are profiles of the sum of squares (Bates and Watts, 1988), which may be open, and
percentiles of a bootstrap over points.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as fisher

from recscale import seeds
from recscale.errors import UserError
from recscale.scaling import many_starts
from recscale.scaling.surface import COARSE, HIGHEST, LOWEST, Array, Solution, Surface

CONFIDENCE = 0.95
PARAMETERS = ("e", "a", "alpha", "b", "beta")
MIN_POINTS = 8  # five parameters, and three left to measure the noise with
MIN_LEVELS = 3  # of N and of D: two leave an exponent free
WIDEST_E = 0.5  # an interval wider than this share of E does not identify it
AGREEMENT = 1e-6  # nats, between the two solvers' root mean squared residuals
ROUNDING = 1e-8  # relative residuals below this are the computer's
REPLICATES = 200


class Status(StrEnum):
    """What became of a fit; only `CONVERGED` parameters may carry a claim."""

    CONVERGED = "converged"
    AT_BOUND = "at_bound"
    NOT_IDENTIFIED = "not_identified"
    TOO_FEW_POINTS = "too_few_points"
    NON_FINITE = "non_finite"
    SOLVERS_DISAGREE = "solvers_disagree"


@dataclass(frozen=True)
class JointLaw:
    """A fitted L(N, D) = e + a (N / n0)^-alpha + b (D / d0)^-beta.

    Losses in nats per token, N in parameters, D in tokens. e, a and b are what is left at infinite
    N and D, and what finite N and D cost at n0 and d0. `low` and `high` hold profile intervals of
    e, alpha and beta by name, None at an end that the data do not bound; `bootstrap` holds
    percentiles of all five, and `replicates` the parameters behind them. `huber` is the solution of
    the other objective. Parameters are None where nothing was fitted; `reason` says why a status is
    not `converged`. `n`, `d` and `loss` are the points.
    """

    status: Status
    reason: str
    n: tuple[float, ...]
    d: tuple[float, ...]
    loss: tuple[float, ...]
    n0: float | None = None
    d0: float | None = None
    e: float | None = None
    a: float | None = None
    alpha: float | None = None
    b: float | None = None
    beta: float | None = None
    low: dict[str, float | None] | None = None
    high: dict[str, float | None] | None = None
    bootstrap: dict[str, tuple[float, float]] | None = None
    huber: dict[str, float] | None = None
    sum_of_squares: float | None = None
    disagreement: float | None = None
    replicates: tuple[tuple[float, ...], ...] = ()

    @property
    def fitted(self) -> bool:
        """Whether there are parameters."""
        return self.e is not None

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared relative residual, about that of the log loss."""
        return None if self.sum_of_squares is None else (self.sum_of_squares / len(self.n)) ** 0.5

    def predict(self, n: Any, d: Any) -> Array:
        """The law's loss in nats; raises ValueError where nothing was fitted."""
        if not self.fitted:
            raise ValueError(f"nothing was fitted: {self.status}")
        return loss_at([getattr(self, name) for name in PARAMETERS], self.n0, self.d0, n, d)


def loss_at(parameters: Any, n0: Any, d0: Any, n: Any, d: Any) -> Array:
    """The law with parameters in the order of `PARAMETERS`."""
    e, a, alpha, b, beta = parameters
    return e + a * (np.asarray(n) / n0) ** -alpha + b * (np.asarray(d) / d0) ** -beta


def fit_joint_law(
    n: Any, d: Any, loss: Any, replicates: int = REPLICATES, seed: int = 0, inside: int = 0
) -> JointLaw:
    """Fit the law to end points of runs.

    Args:
        n, d: parameters and tokens of each run, positive, shape `(points,)`.
        loss: what it ended with, nats per token, positive.
        replicates: of the bootstrap over points; 0 for none.
        seed: of the bootstrap.
        inside: how many points were left out because they lie inside a run; only for the reason.

    Raises:
        UserError: the three differ in length, or N, D or a loss is not positive.
    """
    n, d, loss = (np.asarray(values, dtype=float) for values in (n, d, loss))
    _check(n, d, loss)
    points: dict[str, Any] = {"n": tuple(n), "d": tuple(d), "loss": tuple(loss)}
    if not (np.isfinite(n).all() and np.isfinite(d).all() and np.isfinite(loss).all()):
        return JointLaw(Status.NON_FINITE, "a point is not a finite number", **points)
    flat = _levels(n, d, inside)
    if flat:
        return JointLaw(Status.NOT_IDENTIFIED, flat, **points)
    if len(loss) < MIN_POINTS:
        reason = f"{len(loss)} points for five parameters; {MIN_POINTS} are needed"
        return JointLaw(Status.TOO_FEW_POINTS, reason, **points)

    n0, d0 = (float(np.exp(np.mean(np.log(values)))) for values in (n, d))
    u, v = np.log(n / n0), np.log(d / d0)
    surface = Surface(u, v, loss)
    best = surface.minimise()
    other, _ = many_starts.minimise(u, v, loss, "squares")
    disagreement = abs(_rms(best, loss) - _rms(other, loss))
    huber, _ = many_starts.minimise(u, v, loss, "huber")
    low, high = _intervals(surface, best, len(loss))
    status, reason = _verdict(best, low, high, disagreement)
    rows = _bootstrap(u, v, loss, replicates, seed)
    spans = np.percentile(rows, [2.5, 97.5], axis=0).T if len(rows) else np.empty((0, 2))
    return JointLaw(
        status,
        reason,
        **points,
        n0=n0,
        d0=d0,
        **{name: getattr(best, name) for name in PARAMETERS},
        low=low,
        high=high,
        bootstrap={p: (float(x), float(y)) for p, (x, y) in zip(PARAMETERS, spans, strict=False)},
        huber={name: getattr(huber, name) for name in PARAMETERS},
        sum_of_squares=best.sum_of_squares,
        disagreement=disagreement,
        replicates=tuple(tuple(float(x) for x in row) for row in rows),
    )


def sum_of_squares_limit(law_squares: float, points: int) -> float:
    """The sum of squares up to which parameters are inside their joint law's interval."""
    left = points - len(PARAMETERS)
    widened = law_squares * (1 + fisher.ppf(CONFIDENCE, 1, left) / left)
    return float(max(widened, points * ROUNDING**2))


def _levels(n: Array, d: Array, inside: int) -> str:
    """Why N and D do not span a surface; empty if they do."""
    tail = f"; {inside} points inside a run are no end points of shorter runs" if inside else ""
    for values, name, unknown in ((n, "N", "A and alpha"), (d, "D", "B and beta")):
        levels = len(np.unique(values))
        if 0 < levels < MIN_LEVELS:
            said = f"{len(values)} end point(s) have {levels} value(s) of {name}"
            return f"{said}, so {unknown} cannot be told from E{tail}"
    return ""


def _rms(solution: Solution, loss: Array) -> float:
    """Root mean squared residual in nats, about."""
    return float(np.mean(loss) * (solution.sum_of_squares / len(loss)) ** 0.5)


def _intervals(
    surface: Surface, best: Solution, points: int
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    limit = sum_of_squares_limit(best.sum_of_squares, points)
    floors = np.linspace(0, float(surface.loss.min()), 13)
    low: dict[str, float | None] = {}
    high: dict[str, float | None] = {}
    for name, profile, grid in (
        ("e", surface.profile_value, floors),
        ("alpha", surface.profile_alpha, COARSE),
        ("beta", surface.profile_beta, COARSE),
    ):
        low[name], high[name] = ends(profile, grid, getattr(best, name), limit)
    return low, high


def ends(profile: Any, grid: Array, best: float, limit: float) -> tuple[float | None, float | None]:
    """Where a profile leaves `limit` on either side of `best`; None where it does not in the grid.

    Profiles of this law may have a second valley, so the outermost crossing counts.
    """

    def end(points: Array) -> float | None:
        if len(points) == 0:
            return None
        values = [profile(float(x)) for x in points]
        accepted = [i for i, value in enumerate(values) if value <= limit]
        if accepted and accepted[-1] == len(points) - 1:
            return None
        inside = float(points[accepted[-1]]) if accepted else best
        outside = float(points[accepted[-1] + 1]) if accepted else float(points[0])
        if profile(inside) >= limit:
            return inside
        return float(brentq(lambda x: profile(x) - limit, inside, outside, rtol=1e-6))

    return end(grid[grid < best][::-1]), end(grid[grid > best])


def _verdict(
    best: Solution, low: dict[str, float | None], high: dict[str, float | None], disagreement: float
) -> tuple[Status, str]:
    if disagreement > AGREEMENT:
        return Status.SOLVERS_DISAGREE, f"the solvers' residuals differ by {disagreement:.1g} nats"
    faces = [f"{name.upper()} is 0" for name in ("e", "a", "b") if getattr(best, name) == 0]
    edges = (LOWEST * 1.001, HIGHEST / 1.001)
    faces += [
        f"{name} is at the edge of its grid"
        for name in ("alpha", "beta")
        if not edges[0] < getattr(best, name) < edges[1]
    ]
    reasons = []
    for name in low:
        if name == "e" and low["e"] is None and best.e == 0:
            continue  # said below, as a width
        open_ends = [side for side, end in (("below", low), ("above", high)) if end[name] is None]
        if open_ends:
            label = "E" if name == "e" else name
            reasons.append(f"the interval of {label} is open {' and '.join(open_ends)}")
    width = (high["e"] or 0.0) - (low["e"] or 0.0)
    if high["e"] is not None and width > WIDEST_E * best.e:
        reasons.append("the interval of E is wider than half of E")
    if reasons:
        return Status.NOT_IDENTIFIED, "; ".join([*reasons, *faces])
    return (Status.AT_BOUND, "; ".join(faces)) if faces else (Status.CONVERGED, "")


def _bootstrap(u: Array, v: Array, loss: Array, replicates: int, seed: int) -> Array:
    """Parameters of fits to points drawn with replacement, one row of `PARAMETERS` each.

    Draws that do not span a surface are drawn again.
    """
    random = seeds.generator(seed, "joint_law", "bootstrap")
    rows: list[list[float]] = []
    while len(rows) < replicates:
        counts = np.bincount(random.integers(0, len(loss), len(loss)), minlength=len(loss))
        kept = counts > 0
        spans = min(len(np.unique(u[kept])), len(np.unique(v[kept]))) >= MIN_LEVELS
        if not spans or kept.sum() <= len(PARAMETERS):
            continue
        drawn = Surface(u[kept], v[kept], loss[kept], counts[kept].astype(float))
        found = drawn.minimise(COARSE, 4, polish=False)
        rows.append([getattr(found, name) for name in PARAMETERS])
    return np.array(rows).reshape(-1, len(PARAMETERS))


def _check(n: Array, d: Array, loss: Array) -> None:
    if not n.shape == d.shape == loss.shape or n.ndim != 1:
        raise UserError(
            f"there are {n.shape} sizes, {d.shape} token counts and {loss.shape} losses",
            "give all three for each point",
        )
    for values, name in ((n, "N"), (d, "D"), (loss, "loss")):
        bad = np.flatnonzero(values <= 0)
        if len(bad):
            raise UserError(
                f"point {bad[0] + 1} has the {name} {values[bad[0]]:g}",
                "the law needs positive numbers",
            )
