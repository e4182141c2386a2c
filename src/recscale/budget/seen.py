"""Command: what was planned against what was then used, rule by rule.

Seconds are those of Snakemake's benchmark files, summed over the jobs that have one, and of the
plan for the same jobs. Nothing in the plan was fitted to them: a job's start is smoke's, rates are
of benchmarks that run apart from the workflow (config/hardware.yaml). Trainings are also compared
in FLOP/s, and kinds of files in bytes.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files
from recscale.budget.plan import Plan, made, plan_of
from recscale.budget.report import gigabytes, table, time
from recscale.budget.request import read_request
from recscale.budget.schedule import behind
from recscale.budget.sizes import disk
from recscale.errors import UserError, run_command

COLUMNS = ("rule", "jobs", "planned", "used", "ratio", "unit")
# Folders and files below the results that a kind of file lies in.
PLACES = {
    "log and histories": ("data",),
    "item vectors and ids": ("item_ids",),
    "rules and graphs": ("rules", "graph"),
    "walks": ("walks",),
    "general text": ("general",),
    "windows": ("windows",),
}


def measured(folder: Path) -> dict[str, float]:
    """Seconds of each job with a benchmark file, by the file's name without its ending.

    Raises:
        UserError: a file has no seconds.
    """
    found = {}
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        try:
            found[path.stem] = float(rows[0]["s"])
        except (IndexError, KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} is no benchmark file", "delete it and run the job again"
            ) from None
    return found


def given_again(results: Path) -> set[str]:
    """Names of benchmark files that hold the seconds of a copy, not of a training.

    See recscale.pretraining.finished.
    """
    marks = results.glob("pretraining/*/checkpoints/finished/*/given_again")
    return {f"cpt-{mark.parents[3].name}" for mark in marks}


def node_of(stem: str, plan: Plan) -> str | None:
    """The node of a benchmark file: RULE, RULE-WILDCARDS, or that with a shard's number."""
    rule, _, rest = stem.partition("-")
    for name, node in plan.request.nodes.items():
        if node.rule != rule:
            continue
        wild = "-".join(node.wildcards.values())
        if rest == wild:
            return name
        shard = rest.removeprefix(f"{wild}-" if wild else "")
        if node.jobs >= 1 and shard.isdigit() and rest.startswith(wild):
            return name
    return None


def compare(plan: Plan, seconds: dict[str, float]) -> pd.DataFrame:
    """A row for each rule with a measured job: seconds planned and used, and their ratio.

    Trainings have another, in FLOP/s.
    """
    planned: dict[str, float] = defaultdict(float)
    used: dict[str, float] = defaultdict(float)
    jobs: dict[str, int] = defaultdict(int)
    flops: dict[str, float] = defaultdict(float)
    for stem, took in seconds.items():
        name = node_of(stem, plan)
        if name is None:
            continue
        rule = plan.request.nodes[name].rule
        training = plan.trainings.get(name)
        keys = [rule]
        if training is not None and training.tokens:
            keys.append(f"{rule} {training.size}")
            flops[keys[1]] += training.flops
        for key in keys:
            planned[key] += plan.tasks[name].seconds
            used[key] += took
            jobs[key] += 1
    rows = []
    for key in sorted(planned):
        ratio = planned[key] / used[key] if used[key] else np.nan
        rows.append((key, jobs[key], planned[key], used[key], ratio, "seconds"))
        if flops[key]:
            rate = (flops[key] / planned[key], flops[key] / used[key])
            rows.append((key, jobs[key], *rate, rate[0] / rate[1], "FLOP/s"))
    return _frame(rows)


def compare_disk(plan: Plan, results: Path) -> pd.DataFrame:
    """A row for each kind of file that is there: bytes planned and used."""
    names = behind(plan.tasks, *plan.request.targets["all_controls"])
    planned = disk(plan.request, **made(plan.request, names))
    rows = []
    for kind, folders in PLACES.items():
        there = [f for place in folders for f in (results / place).rglob("*") if f.is_file()]
        used = float(sum(file.stat().st_size for file in there))
        if used:
            rows.append((kind, len(there), planned[kind], used, planned[kind] / used, "bytes"))
    return _frame(rows)


def _frame(rows: list[tuple[str, int, float, float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {name: float for name in ("planned", "used", "ratio")}
    )


def page(plan: Plan, frame: pd.DataFrame) -> str:
    """The comparison as Markdown."""
    request = plan.request
    title = f"# Planned and used, {request.name} (rung {request.rung})\n\n"
    timed = frame[frame["unit"] == "seconds"]
    if timed.empty:
        return title + "Not measured: no job of this rung has a benchmark file.\n"
    rules = timed[~timed["rule"].str.contains(" ")]
    planned, used = rules["planned"].sum(), rules["used"].sum()
    off = np.exp(np.abs(np.log(rules["ratio"].replace(0, np.nan).dropna())).median())
    text = (
        f"{int(rules['jobs'].sum())} of {sum(t.jobs for t in plan.tasks.values())} jobs were "
        f"measured. Planned {time(planned)} of job time, used {time(used)}: "
        f"{100 * (planned / used - 1):+.0f} %. Half the rules are within a factor of {off:.2g}. "
        "The plan was made of smoke's starts and of benchmarks that run apart from the workflow; "
        "nothing was fitted to these jobs. The time of a training on a CPU is the line through two "
        "of those benchmarks, which have the shapes of mini's size1 and size4. Rankers are planned "
        "with all their epochs; early stopping makes them shorter.\n\n"
    )
    timed = timed.sort_values("used", ascending=False, kind="stable")
    text += _table(timed, ["rule", "jobs"], time)
    rates = frame[frame["unit"] == "FLOP/s"]
    if len(rates):
        text += "\n\nTrainings, FLOP/s over the whole job:\n\n"
        text += _table(rates, ["training", "jobs"], "{:.3g}".format)
    sizes = frame[frame["unit"] == "bytes"]
    if len(sizes):
        text += "\n\nDisk, GB:\n\n" + _table(sizes, ["kind", "files"], gigabytes)
    return title + text + "\n"


def _table(frame: pd.DataFrame, named: list[str], shown: Callable[[float], str]) -> str:
    rows = [
        [
            str(row["rule"]),
            str(row["jobs"]),
            shown(row["planned"]),
            shown(row["used"]),
            f"{100 * (row['ratio'] - 1):+.0f} %",
        ]
        for row in frame.to_dict("records")
    ]
    return table([*named, "planned", "used", "error"], rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--request", type=Path, required=True, help="JSON, see budget.request")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of *.tsv")
    parser.add_argument("--results", type=Path, required=True, help="folder of the results")
    parser.add_argument("--csv", type=Path, required=True, help="planned and used")
    parser.add_argument("--page", type=Path, required=True, help="the same as Markdown")
    arguments = parser.parse_args()
    plan = plan_of(read_request(arguments.request))
    seconds = measured(arguments.benchmarks)
    for name in given_again(arguments.results) & seconds.keys():
        del seconds[name]
    frame = pd.concat([compare(plan, seconds), compare_disk(plan, arguments.results)])
    files.write_csv(frame, arguments.csv)
    files.write_text(page(plan, frame), arguments.page)


if __name__ == "__main__":
    run_command(main)
