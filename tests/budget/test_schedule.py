"""Exact small graphs, and bounds that every schedule keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale.budget.schedule import Task, behind, critical_path, makespan, order
from recscale.errors import UserError


def test_a_chain_takes_the_sum_and_is_its_own_critical_path():
    tasks = {"a": Task(1, 3, 0, 1, ()), "b": Task(1, 4, 0, 1, ("a",)), "c": Task(1, 1, 0, 1, ())}
    assert critical_path(tasks) == (7, ["a", "b"])
    assert makespan(tasks, 0, 2) == 7
    assert makespan(tasks, 0, 1) == 8


def test_jobs_share_cards():
    tasks = {"train": Task(4, 10, 8, 1, ())}
    assert makespan(tasks, 32, 64) == 10
    assert makespan(tasks, 16, 64) == 20
    assert makespan(tasks, 15, 64) == 40


def test_the_longest_path_goes_first():
    tasks = {
        "short": Task(1, 5, 1, 1, ()),
        "first": Task(1, 5, 1, 1, ()),
        "then": Task(1, 9, 0, 1, ("first",)),
    }
    assert makespan(tasks, 1, 8) == 14


def test_a_job_that_does_not_fit_is_named():
    with pytest.raises(UserError, match="train needs 8 GPUs of 4"):
        makespan({"train": Task(1, 1, 8, 1, ())}, 4, 1)


def test_a_circle_and_a_missing_job_are_named():
    with pytest.raises(UserError, match="needs itself"):
        order({"a": Task(1, 1, 0, 1, ("b",)), "b": Task(1, 1, 0, 1, ("a",))})
    with pytest.raises(UserError, match="a needs b, which is no job"):
        order({"a": Task(1, 1, 0, 1, ("b",))})


def test_what_lies_behind_a_target():
    tasks = {"a": Task(1, 1, 0, 1, ()), "b": Task(1, 1, 0, 1, ("a",)), "c": Task(1, 1, 0, 1, ())}
    assert behind(tasks, "b") == {"a", "b"}


@st.composite
def graphs(draw):
    tasks: dict[str, Task] = {}
    for number in range(draw(st.integers(1, 8))):
        needs = draw(st.sets(st.sampled_from(sorted(tasks)))) if tasks else set()
        task = (st.integers(1, 3), st.integers(1, 9), st.integers(0, 2), st.integers(1, 2))
        tasks[f"t{number}"] = Task(*(draw(one) for one in task), tuple(sorted(needs)))
    return tasks


@given(graphs())
def test_wall_time_lies_between_its_bounds(tasks):
    gpus, cores = 2, 3
    took = makespan(tasks, gpus, cores)
    longest, _ = critical_path(tasks)
    work = sum(t.jobs * t.seconds for t in tasks.values())
    cards = sum(t.jobs * t.seconds * t.gpus for t in tasks.values())
    threads = sum(t.jobs * t.seconds * t.threads for t in tasks.values())
    assert max(longest, cards / gpus, threads / cores) - 1e-9 <= took <= work + 1e-9
    assert makespan(tasks, 1000, 1000) == longest
