"""What are repeated UIH tokens worth? The data-constrained law (section 7.2, Table 6, Figure 5).

After Muennighoff et al. 2023 (arXiv 2305.16264), D tokens of a set of U unique ones count as

    D_eff = U + U R* (1 - exp(-R / R*)), R = D / U - 1 repetitions beyond the first pass,

and the held-out loss is L = E + B (D_eff / D0)^-beta: as R* grows repeated tokens count in full, as
it shrinks they count for nothing. The law falls with D whatever R*, so it cannot describe a loss
that rises again: such a run is named, and enters up to its lowest loss at most.

It is fitted twice: to what runs of one length ended with, as Muennighoff et al. do, without runs
that rise again; and to whole curves after the burn-in, up to where they rise. Points inside a run
also differ in how long the rest was trained and in the learning rate, which the law does not know;
nor does it know the shares of the other domains. Where it leaves much more of the loss unexplained
than the curves' own noise, the status says so. The interval is a jackknife over runs, not points,
since the points of a run lie on one curve.

Command: `python -m recscale.scaling.repetition --curves ... --out repetition.json --settings JSON`.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import t as student

from recscale import files, settings
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.scaling.checks import check_curves
from recscale.scaling.repetition_points import KINDS, points_of
from recscale.scaling.surface import Array, zoom
from recscale.tables.run_curves import over_all_tokens, paper_columns, read_curves

DOMAINS = ("uih_ood", "uih_full_graph", "uih")
FEWEST_RUNS = {"ends": 6, "curves": 3}  # four parameters, of which the points of a curve tell some
MIN_POINTS = 6
MOST_MISFIT = 3.0  # times the curves' own noise; beyond, the law does not describe the runs
WORTH = np.geomspace(0.05, 2000.0, 41)  # R*, from nothing to as good as new
EXPONENTS = np.geomspace(0.01, 5.0, 31)
EDGE = 1.02  # within this factor of the grid's end is at the end
CONFIDENCE = 0.95

log = logger("scaling.repetition")


class Status(StrEnum):
    """What became of a fit; only R* of `CONVERGED` may carry a claim."""

    CONVERGED = "converged"
    NOT_IDENTIFIED = "not_identified"
    POOR_FIT = "poor_fit"
    TOO_FEW_POINTS = "too_few_points"


@dataclass(frozen=True)
class Settings:
    """Config values, as those of the fits."""

    burn_in: float
    pool: str

    def __post_init__(self) -> None:
        if not 0 <= self.burn_in < 1:
            raise UserError(f"burn_in is {self.burn_in}", "it is a share of D, from 0 to below 1")


@dataclass(frozen=True)
class Repetition:
    """A fitted law of one held-out domain, to one of `KINDS` of points.

    worth: R*, in repetitions, with its interval; an end that is None lies beyond the grid, where
    repeats count for nothing or in full. e and b in nats per token, d0 in
    tokens. squares are sums of squared relative residuals: of the law, with R* at infinity (repeats
    in full) and with R* at 0 (repeats for nothing). noise is the curves' own, a share of the loss.
    runs maps each run to its points; cut maps a run that rises again to the repeats at its lowest
    loss, behind which its points were left out. points have run, seen, unique (tokens), loss.
    """

    domain: str
    kind: str
    status: Status
    reason: str
    runs: dict[str, int]
    cut: dict[str, float]
    worth: float | None = None
    worth_low: float | None = None
    worth_high: float | None = None
    e: float | None = None
    b: float | None = None
    beta: float | None = None
    d0: float | None = None
    squares: float | None = None
    squares_in_full: float | None = None
    squares_for_nothing: float | None = None
    noise: float | None = None
    points: tuple[dict[str, Any], ...] = ()

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared relative residual."""
        points = sum(self.runs.values())
        return None if self.squares is None else float((self.squares / points) ** 0.5)


def effective_tokens(seen: Any, unique: Any, worth: Any) -> Array:
    """D_eff of `seen` tokens of sets of `unique` ones; `worth` is R*, in repetitions."""
    seen, unique = np.asarray(seen, dtype=float), np.asarray(unique, dtype=float)
    repeats = np.maximum(seen / unique - 1, 0)
    return np.minimum(seen, unique) + unique * worth * -np.expm1(-repeats / worth)


def fit_repetition(rows: pd.DataFrame, domain: str, kind: str, chosen: Settings) -> Repetition:
    """Fit the law by variable projection, R* and beta on a grid and refined, E and B >= 0 inside.

    Args:
        rows: as `points_of` takes them.
        domain: held-out domain of the rows, kept in the result.
        kind: one of `KINDS`.
        chosen: burn-in.
    """
    points, cut, spread = points_of(rows, chosen.burn_in, kind)
    runs = {str(run): int(count) for run, count in points["run"].value_counts(sort=False).items()}
    if len(runs) < FEWEST_RUNS[kind] or len(points) < MIN_POINTS:
        reason = f"{len(runs)} run(s) with {len(points)} points; {FEWEST_RUNS[kind]} runs and "
        reason += f"{MIN_POINTS} points are needed"
        return Repetition(domain, kind, Status.TOO_FEW_POINTS, reason, runs, cut)
    seen, unique, loss = (points[c].to_numpy(float) for c in ("seen", "unique", "loss"))
    if (seen <= unique).all():
        reason = "no run sees a token twice"
        return Repetition(domain, kind, Status.NOT_IDENTIFIED, reason, runs, cut)
    curve = _Curve(seen, unique, loss)
    worth, beta, squares = curve.minimise()
    e, b = curve.parameters(worth, beta)
    low, high = _jackknife(points, curve, worth)
    open_low, open_high = low <= WORTH[0] * EDGE, high >= WORTH[-1] / EDGE
    reasons = []
    rmse = (squares / len(loss)) ** 0.5
    poor = rmse > MOST_MISFIT * spread
    if poor:
        reasons.append(
            f"the law misses the runs by {rmse:.1%} of their loss, {rmse / spread:.0f} times their "
            "noise: they differ in more than repeats"
        )
    if open_low:
        reasons.append("the interval of R* is open below: repeats may count for nothing")
    if open_high:
        reasons.append("the interval of R* is open above: repeats may count in full")
    status = Status.NOT_IDENTIFIED if open_low or open_high else Status.CONVERGED
    return Repetition(
        domain,
        kind,
        Status.POOR_FIT if poor else status,
        "; ".join(reasons),
        runs,
        cut,
        worth=worth,
        worth_low=None if open_low else low,
        worth_high=None if open_high else high,
        e=e,
        b=b,
        beta=beta,
        d0=curve.d0,
        squares=squares,
        squares_in_full=float(curve.squares(WORTH[-1:], EXPONENTS).min()),
        squares_for_nothing=float(curve.squares(WORTH[:1], EXPONENTS).min()),
        noise=spread,
        points=tuple(
            {str(name): value for name, value in row.items()} for row in points.to_dict("records")
        ),
    )


class _Curve:
    """The points, and the least sum of squares over E and B at fixed R* and beta."""

    def __init__(self, seen: Array, unique: Array, loss: Array, d0: float = 0.0) -> None:
        self.seen, self.unique, self.loss = seen, unique, loss
        self.weight = 1 / loss**2
        self.d0 = d0 or float(np.exp(np.mean(np.log(seen))))

    def squares(self, worths: Array, betas: Array) -> Array:
        """Sums of squares, shape `(len(worths), len(betas))`."""
        return np.array([self._solve(worth, betas)[2] for worth in worths])

    def minimise(self) -> tuple[float, float, float]:
        """The best R* and beta, and the sum of squares there: a grid, zooms and a polish."""
        worth, beta, squares = zoom(self.squares, WORTH, EXPONENTS, 6)
        ends = [(np.log(grid[0]), np.log(grid[-1])) for grid in (WORTH, EXPONENTS)]
        found = minimize(
            lambda x: float(self._solve(np.exp(x[0]), np.exp(x[1:]))[2][0]),
            np.log([worth, beta]),
            method="Nelder-Mead",
            bounds=ends,
            options={"xatol": 1e-6, "fatol": 1e-14 * max(squares, 1e-12), "maxiter": 400},
        )
        if found.fun <= squares:
            worth, beta, squares = *(float(x) for x in np.exp(found.x)), float(found.fun)
        return worth, beta, squares

    def parameters(self, worth: float, beta: float) -> tuple[float, float]:
        """E and B at one R* and beta."""
        e, b, _ = self._solve(worth, np.array([beta]))
        return float(e[0]), float(b[0])

    def _solve(self, worth: float, betas: Array) -> tuple[Array, Array, Array]:
        w, y = self.weight, self.loss
        logs = np.log(effective_tokens(self.seen, self.unique, worth) / self.d0)
        x = np.exp(-np.outer(betas, logs))
        total, y_mean = np.sum(w), np.sum(w * y) / np.sum(w)
        x_mean = x @ w / total
        xc = x - x_mean[:, None]
        spread = xc**2 @ w
        # Where all points count as equally many tokens there is no slope.
        slope = np.maximum(xc @ (w * (y - y_mean)), 0) / np.where(spread > 0, spread, np.inf)
        e = y_mean - slope * x_mean
        through = (x @ (w * y)) / (x**2 @ w)
        slope = np.where(e < 0, through, slope)
        e = np.where(e < 0, 0.0, e)
        residuals = y - e[:, None] - slope[:, None] * x
        return e, slope, residuals**2 @ w


def _jackknife(points: pd.DataFrame, curve: _Curve, worth: float) -> tuple[float, float]:
    """The interval of R*, from the fits without each of the runs, in logarithms.

    Student's t at one less than the runs: with so few of them a bootstrap over runs is too narrow.
    """
    codes, names = pd.factorize(points["run"])
    without = []
    for place in range(len(names)):
        kept = codes != place
        others = _Curve(curve.seen[kept], curve.unique[kept], curve.loss[kept], curve.d0)
        without.append(np.log(others.minimise()[0]))
    runs = len(without)
    error = np.sqrt((runs - 1) / runs * np.sum((np.array(without) - np.mean(without)) ** 2))
    reach = student.ppf((1 + CONFIDENCE) / 2, runs - 1) * error
    return float(worth * np.exp(-reach)), float(worth * np.exp(reach))


def fit_runs(curves: pd.DataFrame, chosen: Settings) -> list[Repetition]:
    """The law of each UIH held-out set, and of both pooled, to either kind of points.

    Args:
        curves: rows of the curves contract, of one size.

    Raises:
        UserError: the runs are of several sizes.
    """
    sizes = sorted(set(curves["size"]))
    if len(sizes) > 1:
        raise UserError(f"--curves are of {', '.join(sizes)}", "pass runs of one size")
    whole, pooled = over_all_tokens(curves), paper_columns(curves, chosen.pool)
    found = []
    for domain in DOMAINS:
        table = pooled if domain == "uih" else whole
        rows = table[table["domain"] == domain]
        found += [fit_repetition(rows, domain, kind, chosen) for kind in KINDS]
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="runs of one size")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", required=True, help="JSON: burn_in, pool")
    arguments = parser.parse_args()
    chosen = settings.parse(Settings, arguments.settings)
    for path in arguments.curves:
        check_curves(files.read_table(path, "curves"), str(path))
    found = fit_runs(read_curves(arguments.curves), chosen)
    files.write_json([asdict(one) | {"rmse": one.rmse} for one in found], arguments.out)
    for one in found:
        log.info("%s, %s: R* %s, %s %s", one.domain, one.kind, one.worth, one.status, one.reason)


if __name__ == "__main__":
    run_command(main)
