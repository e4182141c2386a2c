"""Command: the plan of a size, which is all that `recscale.pretraining.ladder` needs to train it.

A machine with a GPU may have neither the workflow nor the log. With the windows, this package and
torch, a plan trains a size's base model and its runs there, one after the other in one process.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recscale.errors import UserError, run_command
from recscale.files import read_json, write_json
from recscale.pretraining.base import BasePaths, BaseSettings
from recscale.pretraining.cpt import CptSettings, Paths
from recscale.settings import build

# Files that a training writes, or that a training of the plan before it has written.
WRITTEN = ("checkpoints", "folder", "curves", "training", "manifest", "base", "trunk")


@dataclass(frozen=True)
class Run:
    """A run: the method of its item ids, the run it starts from, whether it is a control, and the
    settings in which it differs from others."""

    ids: str
    trunk: str | None
    control: bool
    settings: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A size's base model and its runs, in the order in which they can be trained.

    common: settings that all share; base: those of the base model alone. Paths are templates in
    which {run}, {ids} and {trunk} stand for a run's; what is written (`WRITTEN`) lies below the
    folder of results.
    """

    size: str
    results: str
    common: dict[str, Any]
    base: dict[str, Any]
    base_paths: dict[str, str | None]
    runs: dict[str, Run]
    run_paths: dict[str, str]


def read_plan(path: Path) -> Plan:
    """Read a plan, and check the settings of all its trainings.

    Raises:
        UserError: the file is missing, or a key is missing, unknown or of another type.
    """
    return checked(build(Plan, read_json(path), str(path)), str(path))


def checked(plan: Plan, where: str) -> Plan:
    """The plan, if its settings are those of the commands; raises UserError otherwise."""
    base_settings(plan)
    known: list[str] = []
    for name, run in plan.runs.items():
        run_settings(plan, name)
        if run.trunk is not None and run.trunk not in known:
            raise UserError(
                f"{where}: runs.{name} starts from {run.trunk}, which is no run before it",
                "plan the trunk of each branch before it",
            )
        known.append(name)
    return plan


def base_settings(plan: Plan) -> BaseSettings:
    """Settings of the base model's training."""
    return build(BaseSettings, plan.common | plan.base, "base")


def run_settings(plan: Plan, run: str) -> CptSettings:
    """Settings of a run."""
    return build(CptSettings, plan.common | plan.runs[run].settings, f"runs.{run}")


def base_paths(plan: Plan, results: Path) -> BasePaths:
    """The paths of the base model's training."""
    return BasePaths(**{n: _resolved(n, path, results) for n, path in plan.base_paths.items()})


def run_paths(plan: Plan, run: str, results: Path) -> Paths:
    """The paths of a run."""
    described = plan.runs[run]
    values = {"run": run, "ids": described.ids, "trunk": described.trunk}
    paths = {name: text.format(**values) for name, text in plan.run_paths.items()}
    found = {name: _resolved(name, path, results) for name, path in paths.items()}
    if described.trunk is None:
        found["trunk"] = None
    return Paths(**found)


def _resolved(name: str, path: str | None, results: Path) -> Any:
    if path is None:
        return None
    return results / path if name in WRITTEN else Path(path)


def main() -> None:
    """Command line: check a plan and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="file to write")
    parser.add_argument("--settings", required=True, help="JSON of Plan")
    options = parser.parse_args()
    values = json.loads(options.settings)
    checked(build(Plan, values, "settings"), "settings")
    write_json(values, options.plan)


if __name__ == "__main__":
    run_command(main)
