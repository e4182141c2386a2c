"""Fit the scaling law to every held-out domain of a run (Tables 4 and 6).

Command: `python -m recscale.scaling.fit --curves curves.parquet --out fits.csv --residuals
residuals.parquet --settings JSON`. With `--short` a curve may have fewer than three evaluations
after the burn-in, as a branch of a longer run has; it gets the status too_few_points.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files, settings
from recscale.contracts import CONTRACTS, HELD_OUT_DOMAINS, REAL_HISTORIES
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.scaling.checks import check_curves
from recscale.scaling.onset import find_onset
from recscale.scaling.power_law import MIN_POINTS, Status
from recscale.scaling.projection import Array
from recscale.scaling.two_solvers import Fit, fit_curve

POOLS = {
    "cf": ("cf_both_seen", "cf_one_unseen", "cf_both_unseen"),
    "uih": ("uih_ood", "uih_full_graph"),
}
FEWEST_POINTS = 3  # as many as parameters; from here to MIN_POINTS a status says that it is few
ONSET = ("onset_tokens", "onset_repeats")
COLUMNS = (
    *("run", "size", "seed", "domain", "recipe", "l_inf", "a", "alpha", "d0"),
    *("l_inf_low", "l_inf_high", "alpha_low", "alpha_high", "status", "n_points"),
    *("first_tokens", "last_tokens", "rmse", "durbin_watson", "condition_number", "correlation"),
    *("last_loss", "burn_in", "huber_l_inf", "huber_a", "huber_alpha"),
    *("solver_difference", "huber_difference"),
    *(f"{name}{end}" for name in ONSET for end in ("", "_low", "_high")),
    "onset_censored",
)

CURVE_COLUMNS = [
    *("run", "size", "seed", "domain", "tokens", "repeats", "token_class", "loss", "n_tokens"),
]

log = logger("scaling.fit")


@dataclass(frozen=True)
class Settings:
    """Config values of the fits.

    Attributes:
        burn_in: share of a run's D whose evaluations are left out, in [0, 1).
        pool: how the paper's CF and UIH columns pool their held-out sets: token_weighted (each
            token counts the same) or equal (each set counts the same).
    """

    burn_in: float
    pool: str

    def __post_init__(self) -> None:
        if not 0 <= self.burn_in < 1:
            raise UserError(
                f"scaling.burn_in is {self.burn_in}", "it is a share of D, from 0 to below 1"
            )
        if self.pool not in ("token_weighted", "equal"):
            raise UserError(f"scaling.pool is {self.pool!r}", "it is token_weighted or equal")

    @property
    def recipe(self) -> str:
        """How a row was fitted, in words that tell two recipes apart."""
        return f"variable projection, burn-in {self.burn_in:g}, {self.pool}"


@dataclass(frozen=True)
class DomainCurve:
    """The curve of one domain of one run, pooled domains included, step 0 left out.

    Attributes:
        keys: run, size, seed and domain.
        tokens, repeats, loss: of its evaluations, in the order of tokens, shape `(n,)`.
        used: which of them come after the burn-in, shape `(n,)`.
    """

    keys: dict[str, object]
    tokens: Array
    repeats: Array
    loss: Array
    used: np.ndarray

    @property
    def late_tokens(self) -> Array:
        """Tokens at the evaluations after the burn-in."""
        return self.tokens[self.used]

    @property
    def late_loss(self) -> Array:
        """Losses at the evaluations after the burn-in."""
        return self.loss[self.used]


def domain_curves(curves: pd.DataFrame, pool: str) -> pd.DataFrame:
    """The curve of each held-out domain and of the two pooled columns.

    Args:
        curves: rows under the contract `curves`.
        pool: `token_weighted` or `equal`.

    Returns:
        run, size, seed, domain, tokens, repeats, loss, n_tokens over all tokens (token class
        `all`), sorted by run, domain, tokens. A pooled domain exists at the tokens where all of its
        held-out sets do.
    """
    keys = ["run", "size", "seed", "domain", "tokens"]
    whole = curves.loc[curves["token_class"] == "all", [*keys, "repeats", "loss", "n_tokens"]]
    parts = [whole]
    for name, domains in POOLS.items():
        members = whole[whole["domain"].isin(domains)]
        weight = members["n_tokens"] if pool == "token_weighted" else 1
        members = members.assign(weighted=members["loss"] * weight, weight=weight)
        grouped = members.groupby(["run", "size", "seed", "tokens"], as_index=False)
        pooled = grouped.agg(
            repeats=("repeats", "first"),
            weighted=("weighted", "sum"),
            weight=("weight", "sum"),
            n_tokens=("n_tokens", "sum"),
            sets=("domain", "nunique"),
        )
        pooled = pooled[pooled["sets"] == len(domains)]
        pooled = pooled.assign(domain=name, loss=pooled["weighted"] / pooled["weight"])
        parts.append(pooled[whole.columns])
    return pd.concat(parts).sort_values(["run", "domain", "tokens"], ignore_index=True)


def curves_of_runs(curves: pd.DataFrame, chosen: Settings, where: str) -> list[DomainCurve]:
    """The curves to fit: for each run the seven held-out domains, then cf and uih.

    Real histories stand at the end where a run was evaluated on them. A run without a domain has an
    empty curve of it.

    Raises:
        UserError: as `check_curves`.
    """
    check_curves(curves, where)
    found = []
    by_domain = domain_curves(curves, chosen.pool)
    for (run, size, seed), of_run in by_domain.groupby(["run", "size", "seed"], sort=True):
        budget = of_run["tokens"].max()
        extra = [REAL_HISTORIES] if REAL_HISTORIES in set(of_run["domain"]) else []
        for domain in (*HELD_OUT_DOMAINS, *POOLS, *extra):
            curve = of_run[(of_run["domain"] == domain) & (of_run["tokens"] > 0)]
            tokens, repeats, loss = (
                curve[c].to_numpy(float) for c in ("tokens", "repeats", "loss")
            )
            keys = {"run": run, "size": size, "seed": seed, "domain": domain}
            used = tokens >= chosen.burn_in * budget
            found.append(DomainCurve(keys, tokens, repeats, loss, used))
    return found


def require_points(curves: Sequence[DomainCurve], where: str) -> None:
    """Refuse a curve with fewer evaluations after the burn-in than the law has parameters.

    A domain that a run was never evaluated on is allowed.

    Raises:
        UserError: names the file, run and domain; or the file and run, where no domain was
            evaluated after step 0.
    """
    for curve in curves:
        n = int(curve.used.sum())
        if len(curve.tokens) and n < FEWEST_POINTS:
            raise UserError(
                f"{where} has {n} evaluation(s) after the burn-in in run {curve.keys['run']}, "
                f"domain {curve.keys['domain']}; a law with {FEWEST_POINTS} parameters needs as "
                "many",
                "finish the run, raise pretraining.evaluations or lower scaling.burn_in",
            )
    if not any(len(curve.tokens) for curve in curves):
        raise UserError(
            f"{where} has no evaluation of run {curves[0].keys['run']} after step 0",
            "finish the run",
        )


def fit_runs(curves: pd.DataFrame, chosen: Settings, where: str) -> pd.DataFrame:
    """One row of `COLUMNS` per run and curve of `curves_of_runs`.

    A run without a domain gets a row of status too_few_points and no points.

    Raises:
        UserError: as `curves_of_runs`.
    """
    return fits_and_residuals(curves, chosen, where)[0]


def fits_and_residuals(
    curves: pd.DataFrame, chosen: Settings, where: str, short: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of `fit_runs`, and every evaluation beside its fitted loss (contract `residuals`).

    Raises:
        UserError: as `curves_of_runs`, and as `require_points` unless curves may be `short`.
    """
    rows, residuals = [], []
    found = curves_of_runs(curves, chosen, where)
    if not short:
        require_points(found, where)
    for curve in found:
        named = f"{where}: run {curve.keys['run']}, domain {curve.keys['domain']}"
        fit = fit_curve(curve.late_tokens, curve.late_loss, named)
        if fit.law.status is Status.TOO_FEW_POINTS:
            n = fit.law.n_points
            log.warning("%s: %d evaluations after the burn-in, fewer than %d", named, n, MIN_POINTS)
        last = float(curve.loss[-1]) if len(curve.loss) else None
        row = {**curve.keys, "recipe": chosen.recipe, "burn_in": chosen.burn_in, "last_loss": last}
        rows.append({**row, **_columns(fit), **_onset(curve)})
        residuals.append(_residuals(curve, fit))
    names = [c.name for c in CONTRACTS["residuals"].columns]
    table = pd.concat(residuals, ignore_index=True)[names]
    return pd.DataFrame(rows, columns=list(COLUMNS)), table.astype({"tokens": "int64"})


def _columns(fit: Fit) -> dict[str, object]:
    law, robust = fit.law, fit.huber
    return {
        **{name: getattr(law, name) for name in COLUMNS if hasattr(law, name)},
        "status": str(law.status),
        "huber_l_inf": robust.l_inf if robust else None,
        "huber_a": robust.a if robust else None,
        "huber_alpha": robust.alpha if robust else None,
        "solver_difference": fit.solver_difference,
        "huber_difference": fit.huber_difference,
    }


def _onset(curve: DomainCurve) -> dict[str, object]:
    """The onset's columns: of every curve, as one that does not rise has a censored one."""
    names = [f"{name}{end}" for name in ONSET for end in ("", "_low", "_high")]
    onset = find_onset(curve.late_tokens, curve.late_loss)
    if onset is None:
        return {**dict.fromkeys(names), "onset_censored": None}
    ends = [*onset.at(curve.late_tokens), *onset.at(curve.repeats[curve.used])]
    return {**dict(zip(names, ends, strict=True)), "onset_censored": onset.censored}


def _residuals(curve: DomainCurve, fit: Fit) -> pd.DataFrame:
    nothing = np.full(len(curve.tokens), np.nan)
    fitted, robust = nothing, nothing
    if fit.huber is not None and fit.law.d0 is not None:
        fitted = fit.law.predict(curve.tokens)
        robust = fit.huber.predict(np.log(curve.tokens / fit.law.d0))
    return pd.DataFrame(
        {
            **curve.keys,
            "tokens": curve.tokens,
            "repeats": curve.repeats,
            "loss": curve.loss,
            "used": curve.used,
            "fitted": fitted,
            "residual": curve.loss - fitted,
            "huber_fitted": robust,
        }
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", required=True, type=Path, help="curves.parquet of a run")
    parser.add_argument("--out", required=True, type=Path, help="fits.csv")
    parser.add_argument("--residuals", type=Path, help="residuals.parquet; left out: not written")
    parser.add_argument("--settings", required=True, help="JSON: burn_in, pool")
    parser.add_argument(
        "--short", action="store_true", help="let a curve be shorter than three evaluations"
    )
    arguments = parser.parse_args()
    chosen = settings.parse(Settings, arguments.settings)
    curves = files.read_table(arguments.curves, "curves", CURVE_COLUMNS)
    fits, residuals = fits_and_residuals(curves, chosen, str(arguments.curves), arguments.short)
    if arguments.residuals is not None:
        files.write_table(residuals, arguments.residuals, "residuals")
    files.write_csv(fits, arguments.out)
    log.info("%s: %s", arguments.out, fits["status"].value_counts().to_dict())


if __name__ == "__main__":
    run_command(main)
