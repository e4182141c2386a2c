"""Runs and their repetitions with other seeds, and the numbers that claims read from them.

A run that differs from a run of the paper in its seed alone is named after it, as size3-uih-seed1.
Two runs of one seed saw the same windows of the domains they share, so claims about a difference
pair them by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale.claims.verdict import Evidence, NotMeasured, given
from recscale.errors import UserError
from recscale.labels import parse_run
from recscale.scaling.power_law import Status

Array = NDArray[np.float64]
SIZES = ("size1", "size2", "size3", "size4")
FULL = tuple(f"{size}-full" for size in SIZES)


def repetitions(table: pd.DataFrame, runs: Sequence[str], what: str) -> dict[int, tuple[str, ...]]:
    """The names of `runs` under each seed with which all of them were trained.

    Args:
        table: any table with a column run.
        runs: names without a seed.
        what: names the table.

    Raises:
        NotMeasured: one of `runs` itself is not in the table.
    """
    names = {parse_run(run): run for run in table["run"].unique()}
    wanted = [parse_run(run) for run in runs]
    missing = [run for run, name in zip(runs, wanted, strict=True) if name not in names]
    if missing:
        raise NotMeasured(f"no {what} of {', '.join(missing)} yet", missing)
    found = {}
    for seed in sorted({name.seed for name in names}):
        of_seed = [names.get(replace(name, seed=seed)) for name in wanted]
        if None not in of_seed:
            found[seed] = tuple(str(run) for run in of_seed)
    return found


def per_seed(
    table: pd.DataFrame | None, runs: Sequence[str], what: str, value: Callable[[str], float]
) -> Array:
    """`value` of each of `runs` under each seed that they share, shape `(seeds, runs)`.

    Raises:
        NotMeasured: as `repetitions`, or there is no table.
    """
    found = repetitions(given(table, what), runs, what)
    return np.array([[value(run) for run in of_seed] for of_seed in found.values()], dtype=float)


def of_first_seed(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The rows of the four runs of Figure 2; raises NotMeasured when one is missing."""
    repetitions(table, FULL, what)
    return table[table["run"].isin(FULL)]


def curve(evidence: Evidence, run: str, domain: str) -> pd.DataFrame:
    """One curve of `Evidence.by_domain`; raises NotMeasured where a run lacks the domain."""
    if (run, domain) not in evidence.by_domain:
        raise NotMeasured(f"no curve of {domain} of {run} yet", [run])
    return evidence.by_domain[run, domain]


def final_loss(evidence: Evidence, run: str, domain: str) -> float:
    """The held-out loss at the last evaluation, nats per token."""
    return float(curve(evidence, run, domain)["loss"].iloc[-1])


def final_losses(evidence: Evidence, runs: Sequence[str], domain: str) -> Array:
    """The last losses of `runs` by seed, shape `(seeds, runs)`, nats per token."""
    return per_seed(evidence.curves, runs, "curves", lambda run: final_loss(evidence, run, domain))


def loss_at(rows: pd.DataFrame, tokens: float) -> float:
    """The loss at so many tokens of its domain, linear in ln tokens between evaluations.

    It is nan before the first evaluation that has seen the domain.
    """
    seen = rows[rows["domain_tokens"] > 0]
    x = np.log(seen["domain_tokens"].to_numpy(float))
    return float(np.interp(np.log(tokens), x, seen["loss"].to_numpy(float), left=np.nan))


def at_equal_tokens(evidence: Evidence, first: str, second: str, domain: str) -> Array:
    """Losses of two runs at the most tokens of the domain that both saw, shape `(seeds, 2)`."""
    found = repetitions(given(evidence.curves, "curves"), (first, second), "curves")
    losses = []
    for pair in found.values():
        rows = [curve(evidence, run, domain) for run in pair]
        reached = min(float(side["domain_tokens"].max()) for side in rows)
        losses.append([loss_at(side, reached) for side in rows])
    return np.array(losses, dtype=float)


def fit_of(evidence: Evidence, run: str, domain: str) -> pd.Series:
    """The row of fits.csv; raises NotMeasured where it is missing."""
    fits = given(evidence.fits, "fits")
    rows = fits[(fits["run"] == run) & (fits["domain"] == domain)]
    if rows.empty:
        raise NotMeasured(f"no fit of {domain} of {run} yet", [run])
    return rows.iloc[0]


def fitted(
    evidence: Evidence, runs: Sequence[str], domain: str, parameter: str
) -> tuple[Array, dict[str, str]]:
    """A fitted parameter of `runs` by seed, shape `(seeds, runs)`, and what is not identified.

    Returns:
        Values, nan where a curve has no law; and the status of each run whose fit did not converge.
    """
    found = repetitions(given(evidence.fits, "fits"), runs, "fits")
    rows = [[fit_of(evidence, run, domain) for run in of_seed] for of_seed in found.values()]
    values = np.array([[row[parameter] for row in of_seed] for of_seed in rows], dtype=float)
    loose = {
        str(row["run"]): str(row["status"])
        for of_seed in rows
        for row in of_seed
        if row["status"] != Status.CONVERGED
    }
    return values, loose


def not_identified(parameter: str, domain: str, loose: dict[str, str]) -> list[str]:
    """What stands against a parameter of which `loose` runs have none; nothing if all have one."""
    if not loose:
        return []
    shown = ", ".join(f"{run} {status}" for run, status in loose.items())
    return [f"{parameter} of {domain} not identified: {shown}"]


def burn_in(evidence: Evidence) -> float:
    """The share of a run's tokens that the fits leave out.

    Raises:
        UserError: the fits have several.
    """
    found = given(evidence.fits, "fits")["burn_in"].unique()
    if len(found) > 1:
        raise UserError(
            f"--fits have several burn-ins: {', '.join(map(str, found))}", "rerun the fits"
        )
    return float(found[0])


def after_burn_in(evidence: Evidence, rows: pd.DataFrame) -> pd.DataFrame:
    """The evaluations of a curve that the fits use; step 0 is none of them."""
    tokens = rows["tokens"]
    return rows[(tokens > 0) & (tokens >= burn_in(evidence) * tokens.max())]


def rises(evidence: Evidence, run: str, domain: str = "uih") -> bool:
    """Whether the loss of a run rises again by more than noise, as the fits say."""
    return bool(fit_of(evidence, run, domain)["status"] == Status.NOT_MONOTONE)


def mean(values: Array, form: str = ".3f") -> str:
    """The mean over seeds as text; a dash where there is none."""
    known = values[np.isfinite(values)]
    return format(known.mean(), form) if len(known) else "–"
