"""Fit the scaling law to every held-out domain of a run (Tables 4 and 6).

Command: `python -m recscale.scaling.fit --curves curves.parquet --out fits.csv --settings JSON`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files, settings
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.scaling.power_law import PowerLaw, fit_power_law

POOLS = {
    "cf": ("cf_both_seen", "cf_one_unseen", "cf_both_unseen"),
    "uih": ("uih_ood", "uih_full_graph"),
}
COLUMNS = (
    "run",
    "size",
    "seed",
    "domain",
    "recipe",
    "l_inf",
    "a",
    "alpha",
    "d0",
    "l_inf_low",
    "l_inf_high",
    "alpha_low",
    "alpha_high",
    "status",
    "n_points",
    "first_tokens",
    "last_tokens",
    "rmse",
    "durbin_watson",
    "condition_number",
    "correlation",
    "last_loss",
)

_NEEDED = ["run", "size", "seed", "domain", "tokens", "token_class", "loss", "n_tokens"]

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


def domain_curves(curves: pd.DataFrame, pool: str) -> pd.DataFrame:
    """The curve of each of the seven held-out domains and of the two pooled columns.

    Args:
        curves: rows under the contract `curves`.
        pool: `token_weighted` or `equal`.

    Returns:
        run, size, seed, domain, tokens, loss, n_tokens over all tokens (token class `all`), sorted
        by run, domain, tokens. A pooled domain exists at the tokens where all of its held-out sets
        do.
    """
    keys = ["run", "size", "seed", "domain", "tokens"]
    whole = curves.loc[curves["token_class"] == "all", [*keys, "loss", "n_tokens"]]
    parts = [whole]
    for name, domains in POOLS.items():
        members = whole[whole["domain"].isin(domains)]
        weight = members["n_tokens"] if pool == "token_weighted" else 1
        members = members.assign(weighted=members["loss"] * weight, weight=weight)
        grouped = members.groupby(["run", "size", "seed", "tokens"], as_index=False)
        pooled = grouped.agg(
            weighted=("weighted", "sum"),
            weight=("weight", "sum"),
            n_tokens=("n_tokens", "sum"),
            sets=("domain", "nunique"),
        )
        pooled = pooled[pooled["sets"] == len(domains)]
        pooled = pooled.assign(domain=name, loss=pooled["weighted"] / pooled["weight"])
        parts.append(pooled[whole.columns])
    return pd.concat(parts).sort_values(["run", "domain", "tokens"], ignore_index=True)


def fit_runs(curves: pd.DataFrame, chosen: Settings, where: str) -> pd.DataFrame:
    """One row of `COLUMNS` per run and domain: the seven held-out domains, then cf and uih.

    A run without a domain gets a row of status too_few_points and no points.

    Raises:
        UserError: a loss is missing or not positive, or an evaluation appears twice.
    """
    _check(curves, where)
    rows = []
    by_domain = domain_curves(curves, chosen.pool)
    for (run, size, seed), of_run in by_domain.groupby(["run", "size", "seed"], sort=True):
        budget = of_run["tokens"].max()
        for domain in (*HELD_OUT_DOMAINS, *POOLS):
            curve = of_run[of_run["domain"] == domain]
            late = curve[(curve["tokens"] > 0) & (curve["tokens"] >= chosen.burn_in * budget)]
            law = fit_power_law(
                late["tokens"].to_numpy(float),
                late["loss"].to_numpy(float),
                f"{where}: run {run}, domain {domain}",
            )
            if law.n_points == 0:
                log.warning("run %s has no evaluation of %s after the burn-in", run, domain)
            last = float(curve["loss"].iloc[-1]) if len(curve) else None
            row = {"run": run, "size": size, "seed": seed, "domain": domain}
            row |= {"recipe": chosen.recipe, "last_loss": last, **_columns(law)}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _columns(law: PowerLaw) -> dict[str, object]:
    names = [c for c in COLUMNS if hasattr(law, c)]
    return {name: getattr(law, name) for name in names} | {"status": str(law.status)}


def _check(curves: pd.DataFrame, where: str) -> None:
    if curves.empty:
        raise UserError(f"{where} has no rows", "rerun the pre-training run that writes it")
    loss = curves["loss"].to_numpy(float)
    bad = np.flatnonzero(~np.isfinite(loss) | (loss <= 0))
    bad = bad[curves["token_class"].to_numpy()[bad] == "all"]
    if len(bad):
        row = curves.iloc[bad[0]]
        raise UserError(
            f"{where} has the loss {row['loss']} in run {row['run']}, domain {row['domain']}, "
            f"at {row['tokens']} tokens",
            "the run diverged or its evaluation is broken: lower its learning rate or rerun it",
        )
    repeated = curves.duplicated(["run", "domain", "tokens", "token_class"])
    if repeated.any():
        row = curves[repeated].iloc[0]
        raise UserError(
            f"{where} has run {row['run']}, domain {row['domain']} twice at {row['tokens']} tokens",
            "delete it and rerun the run that writes it",
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", required=True, type=Path, help="curves.parquet of a run")
    parser.add_argument("--out", required=True, type=Path, help="fits.csv")
    parser.add_argument("--settings", required=True, help="JSON: burn_in, pool")
    arguments = parser.parse_args()
    chosen = settings.parse(Settings, arguments.settings)
    curves = files.read_table(arguments.curves, "curves", _NEEDED)
    fits = fit_runs(curves, chosen, str(arguments.curves))
    files.write_csv(fits, arguments.out)
    log.info("%s: %s", arguments.out, fits["status"].value_counts().to_dict())


if __name__ == "__main__":
    run_command(main)
