"""Simpler and other laws that a power law with a floor must beat before it is believed.

A smooth falling curve is fitted well by almost any law with three parameters, so the fit alone is
no evidence. Each rival is fitted by least squares to the same evaluations; AICc weighs the fit
against the number of parameters, and the laws fitted to the first half of the tokens predict the
rest.

Command: `python -m recscale.scaling.rivals --curves curves.parquet --out rivals.parquet
--settings JSON`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares, minimize_scalar
from statsmodels.regression.linear_model import OLS

from recscale import files, settings
from recscale.contracts import LAWS
from recscale.errors import run_command
from recscale.logs import logger
from recscale.scaling.fit import (
    CURVE_COLUMNS,
    DomainCurve,
    Settings,
    curves_of_runs,
    require_points,
)
from recscale.scaling.power_law import ROUNDING, fit_power_law
from recscale.scaling.projection import Array, Curve, affine_bounded

BEND = 0.25  # of the broken law, in ln D: the slope changes over about a factor of e
FIRST_SHARE = 0.5  # of the tokens, from which the rest is predicted

log = logger("scaling.rivals")


@dataclass(frozen=True)
class Fitted:
    """A law after its fit: what it predicts at D / D0, and its least sum of squares."""

    predict: Callable[[Array], Array]
    sum_of_squares: float


def fit_law(law: str, x: Array, loss: Array) -> Fitted:
    """Fit one of `LAWS` by least squares.

    Args:
        law: `power_law` L_inf + A x^-alpha; `constant` c; `log_linear` c - b ln x, which is the
            power law's limit as alpha goes to 0; `pure_power_law` A x^-alpha; `exponential`
            L_inf + A exp(-k x); or `broken_power_law` A x^-a1 (1 + (x / x1)^(1/f))^(-f (a2 - a1))
            with f = `BEND` and no floor (Caballero et al., 2023), whose later slope a2 may be
            smaller, like a floor's, or larger.
        x: D / D0, increasing, shape `(n,)`.
        loss: nats per token, shape `(n,)`.
    """
    return _FITS[law][1](x, loss)


def parameters_of(law: str) -> int:
    """How many parameters a law has."""
    return _FITS[law][0]


def _power_law(x: Array, loss: Array) -> Fitted:
    found = Curve(np.log(x), loss).minimise(float(loss.min()))
    return Fitted(lambda at: found.l_inf + found.a * at**-found.alpha, found.sum_of_squares)


def _constant(x: Array, loss: Array) -> Fitted:
    mean = float(np.mean(loss))
    return Fitted(lambda at: np.full(len(at), mean), constant(loss))


def _log_linear(x: Array, loss: Array) -> Fitted:
    line = OLS(loss, np.column_stack([np.ones(len(x)), np.log(x)])).fit()
    level, slope = map(float, line.params)
    return Fitted(lambda at: level + slope * np.log(at), float(line.ssr))


def _pure_power_law(x: Array, loss: Array) -> Fitted:
    alpha, slope, squares = Curve(np.log(x), loss).at_floor(0.0)
    return Fitted(lambda at: slope * at**-alpha, squares)


def _exponential(x: Array, loss: Array) -> Fitted:
    rates = np.geomspace(0.01 / x[-1], 10 / x[0], 81)

    def squares(log_rate: float) -> float:
        return affine_bounded(np.exp(-np.exp(log_rate) * x), loss, float(loss.min()))[2]

    grid = [squares(rate) for rate in np.log(rates)]
    i = int(np.argmin(grid))
    low, high = np.log(rates[[max(i - 1, 0), min(i + 1, len(rates) - 1)]])
    options = {"xatol": 1e-10}
    found = minimize_scalar(squares, bounds=(low, high), method="bounded", options=options)
    rate = float(np.exp(found.x)) if found.fun <= grid[i] else float(rates[i])
    l_inf, a, least = affine_bounded(np.exp(-rate * x), loss, float(loss.min()))
    return Fitted(lambda at: l_inf + a * np.exp(-rate * at), least)


def _broken_power_law(x: Array, loss: Array) -> Fitted:
    u = np.log(x)

    def log_law(theta: Array, at: Array) -> Array:
        level, slope, change, knot = theta
        return level - slope * at - change * BEND * np.logaddexp(0, (at - knot) / BEND)

    best: tuple[float, Array] = (np.inf, np.zeros(4))
    starts = []
    for knot in np.linspace(u[0], u[-1], 9)[1:-1]:
        design = np.column_stack([np.ones_like(u), -u, -BEND * np.logaddexp(0, (u - knot) / BEND)])
        linear, *_ = np.linalg.lstsq(design, np.log(loss), rcond=None)
        theta = np.append(linear, knot)
        starts.append((float(np.sum((np.exp(log_law(theta, u)) - loss) ** 2)), theta))
    for _, start in sorted(starts, key=lambda pair: pair[0])[:3]:
        done = least_squares(
            lambda theta: np.exp(log_law(theta, u)) - loss,
            start,
            bounds=([-np.inf, -np.inf, -np.inf, u[0]], [np.inf, np.inf, np.inf, u[-1]]),
            x_scale="jac",
        )
        best = min(best, (2 * float(done.cost), done.x), key=lambda pair: pair[0])
    squares, theta = best
    return Fitted(lambda at: np.exp(log_law(theta, np.log(at))), squares)


_FITS: dict[str, tuple[int, Callable[[Array, Array], Fitted]]] = {
    "power_law": (3, _power_law),
    "constant": (1, _constant),
    "log_linear": (2, _log_linear),
    "pure_power_law": (2, _pure_power_law),
    "exponential": (3, _exponential),
    "broken_power_law": (4, _broken_power_law),
}


def constant(loss: Array) -> float:
    """Least sum of squares of L(D) = c."""
    return float(np.sum((loss - np.mean(loss)) ** 2))


def pure_power_law(tokens: Array, loss: Array) -> float:
    """Least sum of squares of L(D) = A D^-alpha, with A >= 0 and alpha > 0."""
    u = np.log(tokens)
    return Curve(u - u.mean(), loss).profile_l_inf(0.0)


def aicc(sum_of_squares: float, n: int, parameters: int) -> float:
    """Akaike's criterion with Hurvich and Tsai's (1989) correction for small samples.

    Args:
        sum_of_squares: least sum of squares of the law.
        n: number of points, more than `parameters` + 2.
        parameters: of the law; the noise's standard deviation is counted on top.
    """
    k = parameters + 1
    return float(n * np.log(sum_of_squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def compare(curve: DomainCurve, where: str = "curve") -> pd.DataFrame:
    """One row per law (contract `rivals`).

    A law has no AICc where there are no more than two evaluations beyond its parameters, and
    predicts nothing from a first half without one evaluation more than parameters.
    """
    tokens, loss = curve.late_tokens, curve.late_loss
    status = str(fit_power_law(tokens, loss, where).status)
    n = len(loss)
    first = tokens <= FIRST_SHARE * tokens[-1] if n else np.zeros(0, dtype=bool)
    rows = []
    for law in LAWS:
        row: dict[str, object] = {
            **curve.keys,
            **{"law": law, "parameters": parameters_of(law), "status": status, "n_points": n},
            **{"n_first": int(first.sum()), "n_rest": int((~first).sum())},
            **dict.fromkeys(("rmse", "aicc", "extrapolation_rmse", "extrapolation_bias"), np.nan),
        }
        if n > parameters_of(law) + 2:
            x = tokens / np.exp(np.mean(np.log(tokens)))
            squares = fit_law(law, x, loss).sum_of_squares
            row["rmse"] = np.sqrt(squares / n)
            floor = n * (ROUNDING * loss.max()) ** 2
            row["aicc"] = aicc(max(squares, floor), n, parameters_of(law))
        if first.sum() > parameters_of(law) and not first.all():
            x = tokens / np.exp(np.mean(np.log(tokens[first])))
            errors = fit_law(law, x[first], loss[first]).predict(x[~first]) - loss[~first]
            row["extrapolation_rmse"] = np.sqrt(np.mean(errors**2))
            row["extrapolation_bias"] = np.mean(errors)
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(delta_aicc=table["aicc"] - table["aicc"].min())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", required=True, type=Path, help="curves.parquet of a run")
    parser.add_argument("--out", required=True, type=Path, help="rivals.parquet")
    parser.add_argument("--settings", required=True, help="JSON: burn_in, pool")
    arguments = parser.parse_args()
    chosen = settings.parse(Settings, arguments.settings)
    curves = files.read_table(arguments.curves, "curves", CURVE_COLUMNS)
    where = str(arguments.curves)
    found = curves_of_runs(curves, chosen, where)
    require_points(found, where)
    tables = [compare(curve, where) for curve in found]
    table = pd.concat(tables, ignore_index=True)
    files.write_table(table, arguments.out, "rivals")
    best = table.loc[table["delta_aicc"] == 0, "law"].value_counts()
    log.info("%s: least AICc %s", arguments.out, best.to_dict())


if __name__ == "__main__":
    run_command(main)
