"""The plan as a page of Markdown, readable in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from recscale.budget.schedule import behind, critical_path, makespan
from recscale.budget.sizes import disk
from recscale.budget.stages import downloads
from recscale.budget.subsets import Offer, at_one_size, gpu_hours, offers, purchases
from recscale.budget.training import of_run, share_of_peak

if TYPE_CHECKING:
    from recscale.budget.plan import Plan


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table in columns; the first is text, the others are set right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        first = row[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *others]) + " |"

    rule = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), "|" + "|".join(rule) + "|", *map(line, cells[1:])])


def time(seconds: float) -> str:
    """Seconds, minutes, hours or days, with three digits."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def number(value: float) -> str:
    """A number with commas, or three digits of a small one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def gigabytes(size: float) -> str:
    """Bytes in units of 1e9."""
    return number(size / 1e9) if size >= 1e7 else f"{size / 1e9:.2g}"


def page(plan: Plan) -> str:
    """All sections of the plan."""
    request = plan.request
    title = f"# Plan of {request.name} (rung {request.rung})"
    parts = [title, _assumed(plan), _totals(plan), _trainings(plan), _rules(plan), _disk(plan)]
    parts += [_path(plan)]
    if request.card is not None:
        parts += [_purchases(plan)]
    return "\n\n".join(parts) + "\n"


def _assumed(plan: Plan) -> str:
    request, card = plan.request, plan.request.card
    if card is None:
        return (
            f"On {request.machine.cores} CPU cores. Nothing here was measured on this rung; "
            "what each number rests on stands in config/hardware.yaml."
        )
    shares = {
        size: share_of_peak(request, int(request.shape(size).hidden or 0))
        for size in request.config["pretraining"]["sizes"]
    }
    reached = ", ".join(f"{share:g} ({size})" for size, share in shares.items())
    return (
        f"On {request.machine.gpus} {request.machine.gpu}, {card.flops / 1e12:g} TFLOP/s dense "
        f"bf16 each, of which a training is assumed to reach {reached}; {card.price:g} dollars a "
        "GPU-hour. GPU-hours are inverse to the share. Nothing here was measured on this rung; "
        "what each number rests on stands in config/hardware.yaml."
    )


def _totals(plan: Plan) -> str:
    request, rows = plan.request, []
    for target, nodes in request.targets.items():
        names = behind(plan.tasks, *nodes)
        tasks = {name: plan.tasks[name] for name in names}
        trained = [one for name, one in plan.trainings.items() if name in names]
        hours = gpu_hours(tasks, names)
        row = [target, number(sum(t.jobs for t in tasks.values()))]
        row += [f"{sum(one.flops for one in trained):.3g}"]
        row += [f"{sum(one.flops_6nd for one in trained):.3g}", number(hours)]
        row += [number(hours * request.card.price if request.card else 0.0)]
        counts = [request.machine.gpus, *_other_counts(plan)]
        for gpus in counts:
            cores = request.machine.cores
            if request.machine.gpus:
                cores = max(1, cores * gpus // request.machine.gpus)
            row.append(time(makespan(tasks, gpus, cores)))
        row.append(time(critical_path(tasks)[0]))
        rows.append(row)
    counts = [request.machine.gpus, *_other_counts(plan)]
    wall = [f"wall, {n} GPUs" if n else "wall" for n in counts]
    header = ["target", "jobs", "FLOPs", "6ND", "GPU-hours", "dollars", *wall, "wall, no limit"]
    return "## In total\n\n" + table(header, rows)


def _other_counts(plan: Plan) -> list[int]:
    own = plan.request.machine.gpus
    most = max((task.gpus for task in plan.tasks.values()), default=0)
    counts = plan.request.hardware.gpu_counts if own > 1 else ()
    return [count for count in counts if count != own and count >= most]


def _trainings(plan: Plan) -> str:
    request, card, rows = plan.request, plan.request.card, []
    block = request.config["pretraining"]
    for size in block["sizes"]:
        names = [run for run, one in request.runs.items() if one["size"] == size]
        names = [n for n in names if f"cpt {n}" in plan.tasks and request.runs[n]["horizon"] == 1]
        if not names:
            continue
        one = of_run(request, names[0])
        row = [size, f"{one.parameters:,}", f"{one.tokens:.4g}", f"{one.flops:.3g}"]
        row += [f"{one.flops_6nd:.3g}", number(one.gpu_hours), str(one.gpus), time(one.seconds)]
        if card is not None and one.gpu_bytes is not None:
            verdict = "" if one.gpu_bytes <= 1e9 * card.memory_gb else " (too much)"
            row += [f"{gigabytes(one.gpu_bytes)} of {card.memory_gb:g}{verdict}"]
        else:
            row += ["-"]
        row += [gigabytes(one.state_bytes), gigabytes(one.model_bytes)]
        rows.append(row)
    header = ["a run of", "parameters", "tokens", "FLOPs", "6ND", "GPU-hours", "GPUs", "wall"]
    header += ["GB a GPU", "GB checkpoints", "GB model"]
    text = "## Trainings, on the full tokens and with their evaluations\n\n" + table(header, rows)
    late = _late(plan)
    return text + ("\n\n" + late if late else "")


def _late(plan: Plan) -> str:
    late: dict[tuple[str, float], list[dict[Any, Any]]] = {}
    for row in plan.node_table().to_dict("records"):
        if row["allocations"] == row["allocations"] and (row["allocations"] or 0) > 1:
            late.setdefault((row["rule"], row["limit_minutes"]), []).append(dict(row))
    lines = []
    for (rule, limit), rows in late.items():
        worst = max(rows, key=lambda row: row["job_seconds"])
        lines.append(
            f"{sum(row['jobs'] for row in rows)} jobs of {rule} outlast their limit of "
            f"{time(60 * limit)}: {worst['node']} takes {time(worst['job_seconds'])}, that is "
            f"{worst['allocations']:.0f} allocations. Trainings of models go on from their "
            "checkpoints; raise runtime or retries in the profile, or pretraining.processes."
        )
    return "\n".join(lines)


def _rules(plan: Plan) -> str:
    frame = plan.node_table()
    frame["seconds"] = frame["jobs"] * frame["job_seconds"]
    groups = frame.groupby("rule", sort=False)
    found = pd.DataFrame(
        {
            "jobs": groups["jobs"].sum(),
            "longest": groups["job_seconds"].max(),
            "seconds": groups["seconds"].sum(),
            "gpu_hours": groups["gpu_hours"].sum(),
            "scaled_by": groups["scaled_by"].first(),
        }
    ).sort_values("seconds", ascending=False)
    shown = found[found["scaled_by"] != "start only"]
    rest = found[found["scaled_by"] == "start only"]
    rows = [
        [str(row["rule"]), *_spent(row), str(row["scaled_by"])]
        for row in shown.reset_index().to_dict("records")
    ]
    sums = rest[["jobs", "seconds", "gpu_hours"]].sum().to_dict()
    longest = rest["longest"].max() if len(rest) else 0.0
    rows.append(["all others", *_spent({**sums, "longest": longest}), "not scaled"])
    header = ["rule", "jobs", "longest job", "all jobs", "GPU-hours", "scaled by"]
    return "## Time by rule\n\n" + table(header, rows)


def _spent(row: Mapping[Any, Any]) -> list[str]:
    times = [time(row["longest"]), time(row["seconds"])]
    return [f"{row['jobs']:.0f}", *times, number(row["gpu_hours"])]


def _disk(plan: Plan) -> str:
    from recscale.budget.plan import made

    columns = {
        target: disk(plan.request, **made(plan.request, behind(plan.tasks, *nodes)))
        for target, nodes in plan.request.targets.items()
    }
    kinds = list(next(iter(columns.values())))
    rows = [[kind, *(gigabytes(column[kind]) for column in columns.values())] for kind in kinds]
    rows.append(["together", *(gigabytes(sum(column.values())) for column in columns.values())])
    fetched = downloads(plan.request)
    said = ", ".join(f"{rule} {size:.4g}" for rule, size in fetched.items())
    text = "## Disk, GB\n\n" + table(["kind", *columns], rows)
    return text + f"\n\nDownloads, GB: {said or 'none; the log is in a wheel'}."


def _path(plan: Plan) -> str:
    names = behind(plan.tasks, *plan.request.targets["all"])
    seconds, path = critical_path({name: plan.tasks[name] for name in names})
    steps = " -> ".join(
        f"{name} ({time(plan.tasks[name].seconds)})"
        for name in path
        if plan.tasks[name].seconds >= 0.01 * seconds
    )
    return (
        f"## Critical path of all: {time(seconds)}\n\n{steps}\n\n"
        f"({len(path)} jobs; those below a hundredth of it are left out.)"
    )


def _purchases(plan: Plan) -> str:
    request, card = plan.request, plan.request.card
    assert card is not None
    sizes = list(request.config["pretraining"]["sizes"])
    rows = []
    for one in purchases(plan.tasks, request.artefacts):
        other = at_one_size(request, one.runs) if one.runs else None
        used = sorted({request.runs[run]["size"] for run in one.runs})
        row = [one.artefact, str(len(one.runs)), " ".join(used) or "-", number(one.alone)]
        row += [number(one.added), number(one.total), number(one.total * card.price)]
        row += [number(other[size]) if other else "-" for size in sizes]
        rows.append(row)
    header = ["artefact", "runs", "sizes", "alone", "added", "so far", "dollars so far"]
    header += [f"all {size}" for size in sizes]
    said = [_said(one, card.price) for one in offers(request, plan.tasks)]
    return "\n\n".join(
        [
            "## What a smaller budget buys, GPU-hours",
            "Artefacts in the order in which a growing budget pays for them; the last columns say "
            "what the runs of one would cost at another size.",
            table(header, rows),
            *said,
        ]
    )


def _said(offer: Offer, price: float) -> str:
    at_size = "; ".join(f"{', '.join(names)} at {size}" for size, names in offer.smaller.items())
    text = f"{number(offer.hours)} GPU-hours ({number(offer.hours * price)} dollars) buy "
    text += ", ".join(offer.whole) or "nothing as the paper has it"
    return text + (f"; with the rest of them one of: {at_size}." if at_size else ".")
