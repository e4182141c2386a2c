"""What a smaller budget buys: the artefacts that so many GPU-hours pay for, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recscale.budget.request import Request
from recscale.budget.schedule import Task, behind
from recscale.budget.training import of_run


@dataclass(frozen=True)
class Bought:
    """An artefact in the order of purchase.

    runs: CPT runs behind it; alone: GPU-hours if nothing else is built; added: those that what was
    bought before has not paid for; total: with all before it.
    """

    artefact: str
    runs: tuple[str, ...]
    alone: float
    added: float
    total: float


@dataclass(frozen=True)
class Offer:
    """What a budget buys: the artefacts it pays for as the paper has them, and, of the others with
    runs of one size, those that what is left pays for at a smaller size, by the largest such."""

    hours: float
    whole: tuple[str, ...]
    smaller: dict[str, tuple[str, ...]]


def gpu_hours(tasks: Mapping[str, Task], names: set[str]) -> float:
    """GPU-hours of some tasks."""
    return sum(tasks[n].jobs * tasks[n].seconds * tasks[n].gpus for n in names) / 3600


def purchases(tasks: Mapping[str, Task], artefacts: Sequence[str]) -> list[Bought]:
    """The artefacts, each time the one that adds the fewest GPU-hours next.

    The order is greedy, so a set of artefacts that share a run may be had for less than its place
    in the list says.
    """
    needs = {name: behind(tasks, name) for name in artefacts}
    have: set[str] = set()
    found: list[Bought] = []
    left = list(artefacts)
    while left:
        added = {name: gpu_hours(tasks, needs[name] - have) for name in left}
        chosen = min(left, key=lambda name: (added[name], left.index(name)))
        have |= needs[chosen]
        runs = tuple(sorted(n.removeprefix("cpt ") for n in needs[chosen] if n.startswith("cpt ")))
        alone = gpu_hours(tasks, needs[chosen])
        found.append(Bought(chosen, runs, alone, added[chosen], gpu_hours(tasks, have)))
        left.remove(chosen)
    return found


def at_one_size(request: Request, runs: Sequence[str]) -> dict[str, float] | None:
    """GPU-hours of some runs if all had another size, for each size; None where sizes differ."""
    if len({request.runs[run]["size"] for run in runs}) != 1:
        return None
    return {
        size: sum(of_run(request, run, size).gpu_hours for run in runs)
        for size in request.config["pretraining"]["sizes"]
    }


def offers(
    request: Request, tasks: Mapping[str, Task], shares: Sequence[float] = (0.02, 0.1, 0.25, 0.5)
) -> list[Offer]:
    """What shares of the GPU-hours of the target `all` buy."""
    inside = behind(tasks, *request.targets["all"])
    everything = gpu_hours(tasks, inside)
    bought = purchases(tasks, [name for name in request.artefacts if name in inside])
    found = []
    for share in shares:
        hours = share * everything
        whole = [one for one in bought if one.total <= hours]
        left = hours - (whole[-1].total if whole else 0.0)
        smaller: dict[str, tuple[str, ...]] = {}
        for one in bought[len(whole) :]:
            costs = at_one_size(request, one.runs) if one.runs else None
            own = request.runs[one.runs[0]]["size"] if one.runs else ""
            fitting = [size for size, cost in (costs or {}).items() if cost <= left and size < own]
            if fitting:
                smaller[fitting[-1]] = (*smaller.get(fitting[-1], ()), one.artefact)
        found.append(Offer(hours, tuple(one.artefact for one in whole), smaller))
    return found
