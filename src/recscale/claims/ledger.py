"""The ledger: every claim of the paper with its number, ours and a verdict.

Command: `python -m recscale.claims.ledger --claims paper/claims.yaml --published
paper/published/claims.csv --experiments config/experiments.yaml --window-length 512 --ranks
A.parquet ... --fits F.csv ... --curves C.parquet ... --rung mini --out verdicts.csv`. The options
say which tables there are; those that are not given leave their claims "not measured yet".
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale.audits.table import COLUMNS as AUDIT_COLUMNS

# Each of these modules registers its deciding functions when it is imported.
from recscale.claims import (  # noqa: F401
    answers,
    audited,
    controls,
    item_ids,
    losses,
    mixtures,
    ranking_utility,
    repetition,
    scaling_laws,
    training_loss,
    walk_settings,
)
from recscale.claims.controls import NO_EXPERIMENTS, Experiments
from recscale.claims.rules import Claim, load_claims
from recscale.claims.verdict import REGISTRY, Evidence, NotMeasured, Outcome, Verdict, listed
from recscale.errors import UserError, run_command
from recscale.files import read_csv, read_table, write_csv
from recscale.logs import logger
from recscale.scaling.fit import COLUMNS as FIT_COLUMNS
from recscale.scaling.fit import check_curves

COLUMNS = (
    "id",
    "where",
    "claim",
    "published",
    "ours",
    "measured",
    "verdict",
    "reason",
    "reference",
    "artefact",
    "rung",
)
SWEEP_COLUMNS = (
    "config",
    "order",
    "p",
    "q",
    "alpha",
    "threshold",
    "walks",
    "length",
    "items",
    "gini",
    "tokens",
    "token_gini",
    "geometric_lift",
)

TABLES = (
    *("ranks", "fits", "curves", "training", "sweep", "quality"),
    *("generation", "audits"),
)

log = logger("claims.ledger")


def write_ledger(
    claims: Iterable[Claim],
    evidence: Evidence,
    experiments: Experiments = NO_EXPERIMENTS,
    reference: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row of `COLUMNS` per claim, in their order.

    Args:
        claims: what is to be decided.
        evidence: from which tables.
        experiments: which runs there could be.
        reference: another ledger, whose verdict is shown where ours lacks something.
    """
    elsewhere = {} if reference is None else reference.set_index("id").to_dict("index")
    rows = []
    for claim in claims:
        outcome = decide(claim, evidence, experiments)
        open_ = outcome.verdict not in (Verdict.REPRODUCED, Verdict.CONTRADICTED)
        rows.append(
            {
                "id": claim.id,
                "where": claim.where,
                "claim": claim.claim,
                "published": claim.published,
                "ours": outcome.ours,
                "measured": outcome.measured,
                "verdict": str(outcome.verdict),
                "reason": outcome.reason,
                "reference": _shown(elsewhere[claim.id]) if open_ and claim.id in elsewhere else "",
                "artefact": claim.artefact,
                "rung": evidence.rung,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def decide(claim: Claim, evidence: Evidence, experiments: Experiments = NO_EXPERIMENTS) -> Outcome:
    """The verdict on one claim; where it cannot be had, the target that will measure it.

    Raises:
        UserError: no function decides the claim.
    """
    if claim.id not in REGISTRY:
        raise UserError(
            f"nothing decides the claim {claim.id!r}",
            "write its function in recscale.claims and register it with @decides",
        )
    lacking = controls.lacking(claim, evidence, experiments)
    try:
        outcome = REGISTRY[claim.id](claim, evidence)
    except NotMeasured as missing:
        is_control = bool(experiments.controls & set(missing.runs))
        by_target = claim.artefact != "claims" and not is_control
        makes = [f"the target {claim.artefact} makes it"] if by_target else []
        reasons = [str(missing), *makes, *([lacking] if is_control and lacking else [])]
        return Outcome(Verdict.NOT_MEASURED, "", listed(reasons))
    if outcome.verdict is Verdict.INCONCLUSIVE and lacking:
        return replace(outcome, reason=listed([outcome.reason, lacking]))
    return outcome


def _shown(row: dict[Any, Any]) -> str:
    """A verdict of another ledger in one cell."""
    number = f", {row['ours']}" if row["ours"] else ""
    return f"{row['verdict']} (rung {row['rung']}){number}"


def _read_all(
    paths: Sequence[Path], contract: str, keys: Sequence[str] = ()
) -> pd.DataFrame | None:
    return _together([read_table(path, contract) for path in paths], keys, contract)


def _together(
    tables: Sequence[pd.DataFrame], keys: Sequence[str], name: str
) -> pd.DataFrame | None:
    """One table, in which no row's `keys` may come twice."""
    if not tables:
        return None
    whole = pd.concat(tables, ignore_index=True)
    if keys and whole.duplicated(list(keys)).any():
        row = whole[whole.duplicated(list(keys))].iloc[0]
        shown = ", ".join(f"{key} {row[key]}" for key in keys)
        raise UserError(f"--{name} has {shown} twice", "give each run once")
    return whole


def _read_csvs(
    paths: Sequence[Path], columns: Sequence[str], keys: Sequence[str], name: str, **options: Any
) -> pd.DataFrame | None:
    tables = []
    for path in paths:
        table = read_csv(path, **options)
        missing = [column for column in columns if column not in table]
        if missing:
            raise UserError(
                f"{path} lacks the column(s) {', '.join(missing)}", "delete it and rerun its target"
            )
        tables.append(table)
    return _together(tables, keys, name)


def _check_training(training: pd.DataFrame) -> None:
    """Refuse a training loss that is no number.

    Raises:
        UserError: names the run and the step.
    """
    bad = training[~np.isfinite(training["loss"].to_numpy(float))]
    if len(bad):
        row = bad.iloc[0]
        raise UserError(
            f"--training has the loss {row['loss']} in run {row['run']} at step {row['step']}",
            "the run diverged: lower its learning rate, or rerun it",
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", required=True, type=Path, help="paper/claims.yaml")
    parser.add_argument("--published", required=True, type=Path, help="claims.csv of the paper")
    parser.add_argument("--experiments", required=True, type=Path, help="runs there could be")
    parser.add_argument("--window-length", required=True, type=int, help="tokens of a window")
    for name in TABLES:
        parser.add_argument(f"--{name}", nargs="*", default=[], type=Path)
    parser.add_argument("--reference", type=Path, help="verdicts.csv to show where ours is open")
    parser.add_argument("--rung", required=True, help="printed in every row")
    parser.add_argument("--out", required=True, type=Path, help="verdicts.csv")
    arguments = parser.parse_args()
    claims = load_claims(arguments.claims, arguments.published)
    experiments = controls.read_experiments(arguments.experiments)
    curves = _read_all(arguments.curves, "curves", ("run", "domain", "step", "token_class"))
    if curves is not None:
        check_curves(curves, "--curves")
    training = _read_all(arguments.training, "training", ("run", "step"))
    if training is not None:
        _check_training(training)
    audits = _read_csvs(arguments.audits, AUDIT_COLUMNS, ("audit", "measure", "group"), "audits")
    evidence = Evidence(
        rung=arguments.rung,
        ranks=_read_all(arguments.ranks, "ranks"),
        fits=_read_csvs(arguments.fits, FIT_COLUMNS, ("run", "domain"), "fits"),
        curves=curves,
        training=training,
        sweep=_read_csvs(arguments.sweep, SWEEP_COLUMNS, ("config",), "sweep"),
        quality=_read_all(arguments.quality, "item_id_quality", ("setting", "training")),
        generation=_read_all(arguments.generation, "generation"),
        audits=audits,
        window_length=arguments.window_length,
    )
    reference = None
    if arguments.reference is not None:
        reference = _read_csvs(
            [arguments.reference], COLUMNS, ("id",), "reference", keep_default_na=False
        )
    ledger = write_ledger(claims, evidence, experiments, reference)
    write_csv(ledger, arguments.out)
    log.info("%s: %s", arguments.out, ledger["verdict"].value_counts().to_dict())


if __name__ == "__main__":
    run_command(main)
