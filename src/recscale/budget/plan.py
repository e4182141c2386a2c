"""Command: what a rung costs, before anything is downloaded or run.

Prints the plan as a page and writes it beside plan.csv, a row for each node of the graph of jobs.
Needs neither data nor torch. Trainings are FLOPs over a stated share of a card's peak (section 6.1,
7.3); other jobs, measured rates (config/hardware.yaml).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recscale import files
from recscale.budget.report import page
from recscale.budget.request import Request, read_request
from recscale.budget.schedule import Task, behind
from recscale.budget.stages import resources_of, work_of
from recscale.budget.training import Training, of_base, of_run
from recscale.errors import run_command


@dataclass(frozen=True)
class Plan:
    """All that is planned: tasks by node, what each node's time is scaled by, and trainings."""

    request: Request
    tasks: dict[str, Task]
    scaled_by: dict[str, str]
    trainings: dict[str, Training]

    def node_table(self) -> pd.DataFrame:
        """A row for each node: jobs, seconds and GPUs of each, FLOPs, memory, time limit."""
        rows = []
        every = behind(self.tasks, *self.request.targets["all"])
        for name, task in self.tasks.items():
            node, training = self.request.nodes[name], self.trainings.get(name)
            minutes = resources_of(self.request, node)["minutes"]
            rows.append(
                {
                    "node": name,
                    "rule": node.rule,
                    "in_all": name in every,
                    "jobs": task.jobs,
                    "job_seconds": task.seconds,
                    "threads": task.threads,
                    "gpus": task.gpus,
                    "gpu_hours": task.jobs * task.seconds * task.gpus / 3600,
                    "scaled_by": self.scaled_by[name],
                    "limit_minutes": minutes,
                    "allocations": math.ceil(task.seconds / 60 / minutes) if minutes else None,
                    "tokens": training.tokens if training else None,
                    "flops": training.flops if training else None,
                    "flops_6nd": training.flops_6nd if training else None,
                    "gpu_bytes": training.gpu_bytes if training else None,
                }
            )
        return pd.DataFrame(rows)


def plan_of(request: Request) -> Plan:
    """The plan of a rung; raises UserError as its parts do."""
    tasks, scaled_by, trainings = {}, {}, {}
    for name, node in request.nodes.items():
        work = work_of(request, node)
        threads = resources_of(request, node)["threads"]
        gpus = work.gpus
        asked = request.resources.get(node.rule)
        if asked and request.card is not None and node.rule not in ("cpt", "base_model"):
            gpus = max(gpus, asked.gpus)
        tasks[name] = Task(node.jobs, work.seconds, gpus, threads, node.needs)
        scaled_by[name] = work.per
        if node.rule == "cpt":
            trainings[name] = of_run(request, node.wildcards["run"])
        elif node.rule == "base_model":
            trainings[name] = of_base(request, node.wildcards["size"])
    return Plan(request, tasks, scaled_by, trainings)


def made(request: Request, names: set[str]) -> Mapping[str, set]:
    """What sizes on disk depend on: runs, training windows and sets of walks among some nodes."""
    nodes = [request.nodes[name] for name in names]
    return {
        "runs": {n.wildcards["run"] for n in nodes if n.rule == "cpt"},
        "windows": {
            (n.wildcards["ids"], n.wildcards["domain"])
            for n in nodes
            if n.rule == "training_windows"
        },
        "streams": {n.wildcards["stream"] for n in nodes if n.rule == "walks"},
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True, help="a row for each node")
    parser.add_argument("--page", type=Path, required=True, help="the plan as Markdown")
    parser.add_argument("--request", type=Path, required=True, help="JSON, see budget.request")
    arguments = parser.parse_args()
    plan = plan_of(read_request(arguments.request))
    files.write_csv(plan.node_table(), arguments.csv)
    files.write_text(page(plan), arguments.page)


if __name__ == "__main__":
    run_command(main)
