"""Intervals of alpha and L_inf from runs and seeds, not from points (Table 4).

The evaluations of one run share its batches, its schedule and its held-out text: their errors are
autocorrelated, and intervals that take them for independent are too narrow. Runs that differ in
their seed alone are independent. `seeds` is Student's t interval over the seeds' own fits;
`cluster` fits one law to all of them and lets errors correlate within a run; `block_bootstrap`
redraws blocks of neighbouring residuals within the first run, for want of a second, and stays too
narrow where errors correlate beyond a block.

Command: `python -m recscale.scaling.uncertainty --curves A.parquet B.parquet ... --out
uncertainty.parquet --settings JSON`, with curves of one or more seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.regression.linear_model import OLS

from recscale import files, seeds, settings
from recscale.claims.intervals import over_seeds
from recscale.errors import UserError, run_command
from recscale.labels import parse_run
from recscale.logs import logger
from recscale.scaling import fit
from recscale.scaling.fit import CURVE_COLUMNS, DomainCurve, curves_of_runs, require_points
from recscale.scaling.power_law import CONFIDENCE, PowerLaw, Status, fit_power_law
from recscale.scaling.projection import ALPHA_GRID, Array, Curve

BOTH = ("alpha", "l_inf")
RESAMPLES = 999
FINE_GRID: Array = np.geomspace(ALPHA_GRID[0], ALPHA_GRID[-1], 481)

log = logger("scaling.uncertainty")


@dataclass(frozen=True)
class Settings:
    """Config values: those of the fits, and the seed that the bootstrap's draws derive from."""

    burn_in: float
    pool: str
    seed: int

    @property
    def of_fits(self) -> fit.Settings:
        """The settings of the fits, checked."""
        return fit.Settings(self.burn_in, self.pool)


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval; None where a run has no law, or an end is open."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None

    def covers(self, truth: float) -> bool:
        """Whether the interval holds `truth`; one without an estimate holds nothing."""
        if self.estimate is None:
            return False
        return (self.low is None or self.low <= truth) and (self.high is None or truth <= self.high)


def over_runs(laws: Sequence[PowerLaw]) -> dict[str, Interval]:
    """Student's t intervals of alpha and L_inf over the fits of two or more seeds.

    A fit that is not identified has its say with the value it found: leaving it out would keep the
    seeds that agree. A run without a law (it rises, or has too few points) leaves no interval. Fits
    that all end at L_inf = 0 agree because of the bound: L_inf's interval is open.
    """
    found = {}
    for name in BOTH:
        values = [getattr(law, name) for law in laws]
        if len(values) < 2 or None in values:
            found[name] = Interval()
            continue
        if name == "l_inf" and not any(values):
            found[name] = Interval(0.0)
            continue
        interval = over_seeds(np.array(values, dtype=float), CONFIDENCE)
        found[name] = Interval(interval.estimate, interval.low, interval.high)
    return found


def clustered(
    curves: Sequence[tuple[Array, Array]], laws: Sequence[PowerLaw]
) -> dict[str, Interval]:
    """Intervals of one law for all runs, from the covariance clustered by run.

    At the least-squares solution the residuals plus the linearised law are regressed on its
    Jacobian; the sandwich covariance of that regression lets errors of a run correlate in any way
    (Liang and Zeger, 1986). With so few clusters, Student's t has runs - 1 degrees of freedom. On a
    bound of L_inf or of the searched alpha that linear law is not least-squares' own, and both
    intervals are open.

    Args:
        curves: tokens and loss of each run, each of shape `(n,)`; two runs or more.
        laws: their own fits; a run without a law leaves no interval.
    """
    nothing = dict.fromkeys(BOTH, Interval())
    if len(curves) < 2 or any(law.alpha is None for law in laws):
        return nothing
    tokens, loss = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    runs = np.repeat(np.arange(len(curves)), [len(t) for t, _ in curves])
    u = np.log(tokens) - np.mean(np.log(tokens))
    best = Curve(u, loss).minimise(float(loss.min()))
    if not (0 < best.l_inf < loss.min() and ALPHA_GRID[0] < best.alpha < ALPHA_GRID[-1]):
        return {"alpha": Interval(best.alpha), "l_inf": Interval(best.l_inf)}
    power = np.exp(-best.alpha * u)
    jacobian = np.column_stack([np.ones_like(u), power, -best.a * power * u])
    lengths = np.linalg.norm(jacobian, axis=0)
    if best.a == 0 or np.linalg.matrix_rank(jacobian / lengths) < 3:
        return nothing
    scaled = jacobian / lengths
    theta = np.array([best.l_inf, best.a, best.alpha]) * lengths
    response = loss - best.l_inf - best.a * power + scaled @ theta
    linear = OLS(response, scaled).fit(cov_type="cluster", cov_kwds={"groups": runs}, use_t=True)
    ends = np.asarray(linear.conf_int(1 - CONFIDENCE)) / lengths[:, None]
    return {
        "alpha": Interval(best.alpha, *map(float, ends[2])),
        "l_inf": Interval(best.l_inf, *map(float, ends[0])),
    }


def block_bootstrap(
    tokens: Array, loss: Array, generator: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """Percentile intervals from moving blocks of the residuals of one run (Künsch, 1989).

    Blocks are the cube root of n evaluations long, two at least; residuals are scaled up for the
    three parameters. The interval reaches the estimate, which may lie on a bound. An end at an end
    of the searched range of alpha, or at L_inf = 0, is open.
    """
    law = fit_power_law(tokens, loss)
    if law.alpha is None or law.l_inf is None or law.d0 is None:
        return dict.fromkeys(BOTH, Interval())
    n = len(loss)
    fitted = law.predict(tokens)
    residuals = (loss - fitted) * np.sqrt(n / (n - 3))
    length = max(2, round(n ** (1 / 3)))
    blocks = -(-n // length)
    starts = generator.integers(0, n - length + 1, (resamples, blocks))
    places = (starts[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :n]
    drawn = (residuals - residuals.mean())[places]
    alpha, l_inf = refit(np.log(tokens / law.d0), fitted + drawn)
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    found = {}
    for name, values, (least, most) in (
        ("alpha", alpha, (FINE_GRID[0], FINE_GRID[-1])),
        ("l_inf", l_inf, (0.0, np.inf)),
    ):
        estimate = float(getattr(law, name))
        low, high = map(float, np.percentile(values, tails))
        low, high = min(low, estimate), max(high, estimate)
        ends = (None if low <= least else low, None if high >= most else high)
        found[name] = Interval(estimate, *ends)
    return found


def refit(u: Array, losses: Array) -> tuple[Array, Array]:
    """alpha and L_inf of many curves at once, to the precision of a bootstrap.

    The grid of alpha is fine, and a parabola through the best three points places the minimum.
    A >= 0 and L_inf >= 0 hold; L_inf may pass the smallest loss.

    Args:
        u: ln(D/D0), shape `(n,)`.
        losses: nats per token, shape `(curves, n)`.

    Returns:
        alpha and L_inf, each of shape `(curves,)`.
    """
    squares = _squares(np.exp(-np.outer(FINE_GRID, u)), losses)
    best = np.clip(np.argmin(squares, axis=0), 1, len(FINE_GRID) - 2)
    columns = np.arange(len(losses))
    before, at, after = (squares[best + step, columns] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature > 0, 0.5 * (before - after) / curvature, 0.0)
    step = np.log(FINE_GRID[1] / FINE_GRID[0])
    alpha = FINE_GRID[best] * np.exp(np.clip(shift, -1, 1) * step)
    power = np.exp(-alpha[:, None] * u)
    from_mean = power - power.mean(axis=1, keepdims=True)
    slope = np.sum(from_mean * losses, axis=1) / np.sum(from_mean**2, axis=1)
    l_inf = losses.mean(axis=1) - np.maximum(slope, 0) * power.mean(axis=1)
    return alpha, np.maximum(l_inf, 0)


def _squares(powers: Array, losses: Array) -> Array:
    """Least sums of squares, shape `(alphas, curves)`, with A >= 0 and L_inf >= 0."""
    mean, from_mean = losses.mean(axis=1), powers - powers.mean(axis=1, keepdims=True)
    products, lengths = from_mean @ losses.T, np.sum(from_mean**2, axis=1)[:, None]
    slope = products / lengths
    about_mean = np.sum((losses - mean[:, None]) ** 2, axis=1)
    free = about_mean - np.where(slope > 0, slope * products, 0.0)
    through_origin = np.sum(losses**2, axis=1) - (powers @ losses.T) ** 2 / np.sum(
        powers**2, axis=1, keepdims=True
    )
    below = mean - np.maximum(slope, 0) * powers.mean(axis=1)[:, None] < 0
    return np.asarray(np.where(below, through_origin, free))


def intervals(curves: Sequence[DomainCurve], seed: int, where: str) -> pd.DataFrame:
    """Rows under the contract `uncertainty`, of each size, kind of run and domain.

    `seeds` and `cluster` appear where there are two runs or more.
    """
    groups: dict[tuple[str, str, str], list[DomainCurve]] = {}
    for curve in sorted(curves, key=lambda c: parse_run(str(c.keys["run"])).seed):
        name = parse_run(str(curve.keys["run"]))
        groups.setdefault((name.size, name.kind, str(curve.keys["domain"])), []).append(curve)
    rows = []
    for (size, kind, domain), members in groups.items():
        data = [(c.late_tokens, c.late_loss) for c in members]
        laws = [
            fit_power_law(*pair, f"{where}: run {c.keys['run']}, domain {domain}")
            for pair, c in zip(data, members, strict=True)
        ]
        found: dict[str, tuple[int, dict[str, Interval]]] = {}
        if len(members) > 1:
            found["seeds"] = len(members), over_runs(laws)
            found["cluster"] = len(members), clustered(data, laws)
        draws = seeds.generator(seed, "block_bootstrap", size, kind, domain)
        found["block_bootstrap"] = 1, block_bootstrap(*data[0], draws)
        for method, (runs, by_parameter) in found.items():
            converged = sum(law.status is Status.CONVERGED for law in laws[:runs])
            for parameter, interval in by_parameter.items():
                rows.append(
                    {
                        **{"size": size, "kind": kind, "domain": domain, "parameter": parameter},
                        **{"method": method, "runs": runs, "converged": converged},
                        **{"estimate": interval.estimate, "low": interval.low},
                        "high": interval.high,
                    }
                )
    columns = {name: float for name in ("estimate", "low", "high")}
    return pd.DataFrame(rows).astype(columns)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", required=True, nargs="+", type=Path, help="one file per run")
    parser.add_argument("--out", required=True, type=Path, help="uncertainty.parquet")
    parser.add_argument("--settings", required=True, help="JSON: burn_in, pool, seed")
    arguments = parser.parse_args()
    chosen = settings.parse(Settings, arguments.settings)
    curves: list[DomainCurve] = []
    for path in arguments.curves:
        table = files.read_table(path, "curves", CURVE_COLUMNS)
        found = curves_of_runs(table, chosen.of_fits, str(path))
        require_points(found, str(path))
        curves += found
    names = [(curve.keys["run"], curve.keys["domain"]) for curve in curves]
    if len(set(names)) < len(names):
        run = next(run for run, domain in names if names.count((run, domain)) > 1)
        raise UserError(f"--curves hold run {run} twice", "pass the curves of each run once")
    where = ", ".join(map(str, arguments.curves))
    table = intervals(curves, chosen.seed, where)
    files.write_table(table, arguments.out, "uncertainty")
    log.info("%s: %d intervals of %d runs", arguments.out, len(table), len(arguments.curves))


if __name__ == "__main__":
    run_command(main)
