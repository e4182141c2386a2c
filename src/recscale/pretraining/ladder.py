"""Command: train a size's base model and its runs after a plan, in one process (see `plan`).

What is finished is left as it is, what was interrupted goes on. Beside the results stands where
they come from: the plan's hash, the commit, package versions, the device and the time.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from recscale.errors import UserError, run_command
from recscale.files import read_json, sha256, write_json
from recscale.logs import logger
from recscale.pretraining.base import run_base
from recscale.pretraining.cpt import identity_of, run_cpt
from recscale.pretraining.parallel import precision_in_use, start
from recscale.pretraining.plan import (
    Plan,
    base_paths,
    base_settings,
    read_plan,
    run_paths,
    run_settings,
)

PACKAGES = ("torch", "transformers", "accelerate", "numpy", "pandas", "pyarrow")

log = logger("pretraining.ladder")


def device_name(accelerator: Accelerator) -> str:
    """What the accelerator computes on, by name."""
    if accelerator.device.type == "cuda":
        return torch.cuda.get_device_name(accelerator.device)
    return f"{platform.machine()} CPU"


def commit() -> str | None:
    """The commit of the code, if it lies in a git checkout."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def is_finished(manifest: Path, identity: str) -> bool:
    """Whether a run of this identity has written its manifest, which it does last."""
    return manifest.is_file() and read_json(manifest).get("identity") == identity


def climb(plan: Plan, runs: list[str], results: Path, accelerator: Accelerator) -> dict[str, float]:
    """Train the base model and some runs of a plan.

    Returns:
        Seconds of each training; those that were finished before are left out.

    Raises:
        UserError: as `run_base` and `run_cpt`.
        Interrupted: the process was asked to stop, and saved a checkpoint.
    """
    seconds = {}
    base = base_paths(plan, results)
    if not base.manifest.is_file():
        began = time.monotonic()
        run_base(plan.size, base_settings(plan), base, accelerator)
        seconds["base"] = time.monotonic() - began
    for run in runs:
        settings = run_settings(plan, run)
        paths = run_paths(plan, run, results)
        identity = identity_of(run, settings, paths, precision_in_use(accelerator))
        if is_finished(paths.manifest, identity.run):
            log.info("%s is finished", run)
            continue
        began = time.monotonic()
        run_cpt(run, settings, paths, accelerator)
        seconds[run] = time.monotonic() - began
    return seconds


def chosen_runs(plan: Plan, named: list[str] | None, controls: bool) -> list[str]:
    """The runs to train: those named, or the paper's, with the controls if asked for.

    Raises:
        UserError: the plan lacks a run that is named.
    """
    if named:
        unknown = [run for run in named if run not in plan.runs]
        if unknown:
            raise UserError(f"--runs names {unknown[0]}", f"known: {', '.join(plan.runs)}")
        return [run for run in plan.runs if run in named]
    return [name for name, run in plan.runs.items() if controls or not run.control]


def provenance(
    plan: Path, accelerator: Accelerator, seconds: dict[str, float], before: dict[str, Any]
) -> dict[str, Any]:
    """Where the results come from; `before` is that of an earlier call, whose seconds stay."""
    return {
        "plan": sha256(plan),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": device_name(accelerator),
        "processes": accelerator.num_processes,
        "precision": precision_in_use(accelerator),
        "seconds": {**before.get("seconds", {}), **{k: round(v, 1) for k, v in seconds.items()}},
    }


def main() -> None:
    """Train a size after its plan; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="from recscale.pretraining.plan")
    parser.add_argument("--results", type=Path, help="folder to write to; default: the plan's")
    parser.add_argument("--runs", nargs="+", help="only these runs, and the base model")
    parser.add_argument("--controls", action="store_true", help="the controls as well")
    options = parser.parse_args()
    plan = read_plan(options.plan)
    results = options.results or Path(plan.results)
    runs = chosen_runs(plan, options.runs, options.controls)
    accelerator = start(base_settings(plan))
    seconds = climb(plan, runs, results, accelerator)
    if accelerator.is_main_process:
        path = results / f"pretraining/provenance-{plan.size}.json"
        before = read_json(path) if path.is_file() else {}
        write_json(provenance(options.plan, accelerator, seconds, before), path)
    accelerator.end_training()


if __name__ == "__main__":
    run_command(main)
