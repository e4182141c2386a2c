"""Which runs a verdict lacks, and which target trains them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence
from recscale.errors import UserError

TARGET = "all_controls"
SHOWN = 4  # names of runs in a sentence


@dataclass(frozen=True)
class Experiments:
    """The runs of config/experiments.yaml.

    Attributes:
        runs: their names.
        controls: those that only `TARGET` trains.
    """

    runs: frozenset[str] = frozenset()
    controls: frozenset[str] = frozenset()


NO_EXPERIMENTS = Experiments()


def read_experiments(path: Path) -> Experiments:
    """Read config/experiments.yaml.

    Raises:
        UserError: the file is missing, or has no runs.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing", "restore it from version control")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    runs = content.get("runs") if isinstance(content, dict) else None
    if not isinstance(runs, dict):
        raise UserError(f"{path} has no runs", "restore it from version control")
    controls = [name for name, run in runs.items() if run.get("control", False)]
    return Experiments(frozenset(runs), frozenset(controls))


def runs_given(evidence: Evidence) -> set[str]:
    """The runs of which some table was given."""
    tables = (evidence.curves, evidence.training, evidence.fits)
    return {run for table in tables if table is not None for run in table["run"].unique()}


def lacking(claim: Claim, evidence: Evidence, experiments: Experiments) -> str:
    """What to say of the runs that would decide a claim and are not there.

    These are controls that a claim needs, and repetitions with other seeds where it is about a
    difference between runs.
    """
    needed = [run for run in claim.needs if run in experiments.runs]
    if not needed:
        return ""
    seeds = claim.limits.get("seeds", 1)
    wanted = {run: [run, *(f"{run}-seed{seed}" for seed in range(1, seeds))] for run in needed}
    given = runs_given(evidence)
    missing = [
        name
        for names in wanted.values()
        for name in names
        if name in experiments.controls and name not in given
    ]
    never = [
        run for run, names in wanted.items() if any(name not in experiments.runs for name in names)
    ]
    said = [f"the target {TARGET} trains {_some(missing)}"] if missing else []
    if never:
        said.append(f"no target trains {seeds} seeds of {_some(never)}")
    return "; ".join(said)


def _some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
