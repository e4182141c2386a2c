"""Wall time of a graph of jobs on so many GPUs and CPU cores, and its critical path."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from recscale.errors import UserError


@dataclass(frozen=True)
class Task:
    """Equal jobs: how many, the seconds, GPUs and threads of each, and the tasks they wait for."""

    jobs: int
    seconds: float
    gpus: int
    threads: int
    needs: tuple[str, ...]


def order(tasks: Mapping[str, Task]) -> list[str]:
    """The tasks, each after those it needs.

    Raises:
        UserError: a task needs one that is not there, or needs itself in the end.
    """
    done: dict[str, bool] = {}
    found: list[str] = []

    def visit(name: str, by: str) -> None:
        if name not in tasks:
            raise UserError(f"{by} needs {name}, which is no job", "pass all jobs of the graph")
        if name in done:
            if not done[name]:
                raise UserError(f"{name} needs itself", "pass a graph without circles")
            return
        done[name] = False
        for need in tasks[name].needs:
            visit(need, name)
        done[name] = True
        found.append(name)

    for name in tasks:
        visit(name, name)
    return found


def critical_path(tasks: Mapping[str, Task]) -> tuple[float, list[str]]:
    """Seconds with any number of machines, and the tasks that take them, first to last."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for name in order(tasks):
        last = max(tasks[name].needs, key=lambda need: ends[need], default=None)
        before[name] = last
        ends[name] = tasks[name].seconds + (ends[last] if last else 0.0)
    if not ends:
        return 0.0, []
    step: str | None = max(ends, key=lambda name: ends[name])
    seconds, path = ends[step or ""], []
    while step is not None:
        path.append(step)
        step = before[step]
    return seconds, path[::-1]


def makespan(tasks: Mapping[str, Task], gpus: int, cores: int) -> float:
    """Seconds until all jobs are done, each started when its resources are free.

    Jobs on the longest path to the end go first. It is what a greedy scheduler reaches, which is
    at most twice the best there is. A job that asks for more cores than there are gets those there
    are.

    Raises:
        UserError: a job asks for more GPUs than there are.
    """
    names = order(tasks)
    tail = {name: tasks[name].seconds for name in names}
    followers: dict[str, list[str]] = {name: [] for name in names}
    for name in reversed(names):
        for need in set(tasks[name].needs):
            tail[need] = max(tail[need], tasks[need].seconds + tail[name])
            followers[need].append(name)
        if tasks[name].gpus > gpus:
            raise UserError(
                f"{name} needs {tasks[name].gpus} GPUs of {gpus}",
                "plan more GPUs, or fewer processes in pretraining.processes",
            )
    waiting = {name: len(set(tasks[name].needs)) for name in names}
    left = {name: tasks[name].jobs for name in names}
    to_start = dict(left)
    ready = [(-tail[name], name) for name in names if not waiting[name]]
    heapq.heapify(ready)
    running: list[tuple[float, str, int, int]] = []
    now, free_gpus, free_cores = 0.0, gpus, cores
    while ready or running:
        held = []
        while ready:
            priority, name = heapq.heappop(ready)
            task = tasks[name]
            threads = min(task.threads, cores)
            while to_start[name] and task.gpus <= free_gpus and threads <= free_cores:
                free_gpus, free_cores = free_gpus - task.gpus, free_cores - threads
                to_start[name] -= 1
                heapq.heappush(running, (now + task.seconds, name, task.gpus, threads))
            if to_start[name]:
                held.append((priority, name))
        for entry in held:
            heapq.heappush(ready, entry)
        now, name, task_gpus, task_threads = heapq.heappop(running)
        free_gpus, free_cores = free_gpus + task_gpus, free_cores + task_threads
        left[name] -= 1
        if not left[name]:
            for follower in followers[name]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heapq.heappush(ready, (-tail[follower], follower))
    return now


def behind(tasks: Mapping[str, Task], *targets: str) -> set[str]:
    """The targets and all that they need."""
    found: set[str] = set()
    waiting = list(targets)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(tasks[name].needs)
    return found
