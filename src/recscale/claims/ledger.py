"""The ledger: every claim of the paper with its number, ours and a verdict.

Command: `python -m recscale.claims.ledger --claims paper/claims.yaml --published
paper/published/claims.csv --ranks A.parquet ... --fits F.csv ... --curves C.parquet ...
--training T.parquet ... --sweep sweep.csv --quality Q.parquet ... --rung mini --out verdicts.csv`.
Tables that are not given leave their claims "not measured yet".
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

# Each of these modules registers its deciding functions when it is imported.
from recscale.claims import (  # noqa: F401
    item_ids,
    losses,
    ranking_utility,
    scaling_laws,
    training_loss,
    walk_settings,
)
from recscale.claims.rules import Claim, load_claims
from recscale.claims.verdict import REGISTRY, Evidence, NotMeasured, Outcome, Verdict
from recscale.errors import UserError, run_command
from recscale.files import read_csv, read_table, write_csv
from recscale.logs import logger
from recscale.scaling.fit import COLUMNS as FIT_COLUMNS

COLUMNS = (
    "id",
    "where",
    "claim",
    "published",
    "measured",
    "verdict",
    "reason",
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

log = logger("claims.ledger")


def write_ledger(claims: Iterable[Claim], evidence: Evidence) -> pd.DataFrame:
    """One row of `COLUMNS` per claim, in their order."""
    rows = []
    for claim in claims:
        outcome = decide(claim, evidence)
        rows.append(
            {
                "id": claim.id,
                "where": claim.where,
                "claim": claim.claim,
                "published": claim.published,
                "measured": outcome.measured,
                "verdict": str(outcome.verdict),
                "reason": outcome.reason,
                "artefact": claim.artefact,
                "rung": evidence.rung,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def decide(claim: Claim, evidence: Evidence) -> Outcome:
    """The verdict on one claim; where it cannot be had, the target that will measure it."""
    if claim.id not in REGISTRY:
        return Outcome(Verdict.NOT_MEASURED, "", f"{claim.artefact} needs {', '.join(claim.needs)}")
    try:
        return REGISTRY[claim.id](claim, evidence)
    except NotMeasured as missing:
        return Outcome(Verdict.NOT_MEASURED, "", f"{missing}: the target {claim.artefact} makes it")


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
    paths: Sequence[Path], columns: Sequence[str], keys: Sequence[str], name: str
) -> pd.DataFrame | None:
    tables = []
    for path in paths:
        table = read_csv(path)
        missing = [column for column in columns if column not in table]
        if missing:
            raise UserError(
                f"{path} lacks the column(s) {', '.join(missing)}", "delete it and rerun its target"
            )
        tables.append(table)
    return _together(tables, keys, name)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", required=True, type=Path, help="paper/claims.yaml")
    parser.add_argument("--published", required=True, type=Path, help="claims.csv of the paper")
    for name in ("ranks", "fits", "curves", "training", "sweep", "quality"):
        parser.add_argument(f"--{name}", nargs="*", default=[], type=Path)
    parser.add_argument("--rung", required=True, help="printed in every row")
    parser.add_argument("--out", required=True, type=Path, help="verdicts.csv")
    arguments = parser.parse_args()
    claims = load_claims(arguments.claims, arguments.published)
    evidence = Evidence(
        rung=arguments.rung,
        ranks=_read_all(arguments.ranks, "ranks"),
        fits=_read_csvs(arguments.fits, FIT_COLUMNS, ("run", "domain"), "fits"),
        curves=_read_all(arguments.curves, "curves", ("run", "domain", "step", "token_class")),
        training=_read_all(arguments.training, "training", ("run", "step")),
        sweep=_read_csvs(arguments.sweep, SWEEP_COLUMNS, ("config",), "sweep"),
        quality=_read_all(arguments.quality, "item_id_quality", ("setting", "training")),
    )
    ledger = write_ledger(claims, evidence)
    write_csv(ledger, arguments.out)
    log.info("%s: %s", arguments.out, ledger["verdict"].value_counts().to_dict())


if __name__ == "__main__":
    run_command(main)
