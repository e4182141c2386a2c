"""The line after each finished job: its counts, its estimate, and where it is silent."""

from __future__ import annotations

import importlib.util
import json
import logging

import pytest

from repository_copy import ROOT, snakemake

spec = importlib.util.spec_from_file_location("progress", ROOT / "workflow/scripts/progress.py")
progress = importlib.util.module_from_spec(spec)
spec.loader.exec_module(progress)

TINY = """
from pathlib import Path
NAME = RUNG = "tiny"
ROOT = Path(workflow.basedir)
include: "workflow/rules/progress.smk"
rule all:
    input: "second.txt"
rule first:
    output: "first.txt"
    benchmark: "benchmarks/first.tsv"
    shell: "sleep 1; echo 1 > {output}"
rule second:
    input: "first.txt"
    output: "second.txt"
    benchmark: "benchmarks/second.tsv"
    shell: "cat {input} > {output}"
"""


def plan(seconds, *labels, cores=1):
    """Jobs of one core each, numbered from 1, on some cores."""
    jobs = {n: (label.split("-")[0], label) for n, label in enumerate(labels, 1)}
    return progress.Plan(jobs, {n: {"_cores": 1} for n in jobs}, {"_cores": cores}, seconds)


def test_what_is_left_is_what_was_measured():
    jobs = plan({"fit-a": 60.0, "fit-b": 30.0, "draw": 10.0}, "fit-a", "fit-b", "draw")
    assert jobs.seconds_left({}, {}) == pytest.approx(100)
    assert jobs.seconds_left({1: 60.0}, {}) == pytest.approx(40)
    assert jobs.seconds_left({1: 60.0, 2: 30.0, 3: 10.0}, {}) == 0


def test_a_slower_machine_takes_longer():
    jobs = plan({"fit-a": 600.0, "fit-b": 600.0}, "fit-a", "fit-b")
    slow = jobs.seconds_left({1: 1200.0}, {})
    assert 1.8 * 600 < slow < 2 * 600  # nearly twice: the measurement keeps some weight


def test_cores_share_the_work_down_to_the_longest_job():
    seconds = {"fit-a": 60.0, "fit-b": 60.0, "fit-c": 60.0, "fit-d": 60.0}
    assert plan(seconds, *seconds, cores=2).seconds_left({}, {}) == pytest.approx(120)
    assert plan(seconds, *seconds, cores=16).seconds_left({}, {}) == pytest.approx(60)


def test_what_a_running_job_has_done_is_not_left():
    jobs = plan({"fit-a": 60.0, "fit-b": 60.0}, "fit-a", "fit-b")
    assert jobs.seconds_left({}, {1: 45.0}) == pytest.approx(75)
    assert jobs.seconds_left({}, {1: 500.0}) == pytest.approx(60)


def test_a_job_that_was_not_measured_takes_its_rules_mean():
    jobs = plan({"fit-a": 60.0, "fit-b": 20.0}, "fit-c")
    assert jobs.seconds_left({}, {}) == pytest.approx(40)
    assert plan({"fit-a": 60.0}, "fit-a", "draw").seconds_left({}, {}) is None


def test_the_line():
    assert progress.line("mini", 63, 163, 660.0, ["cpt", "fit", "cpt"]) == (
        "mini: 63 of 163 jobs done, about 11 min left; running: cpt (2), fit (1)"
    )
    assert progress.line("mini", 1, 3, None, []) == "mini: 1 of 3 jobs done"
    assert progress.line("mini", 1, 3, 31.0, []) == "mini: 1 of 3 jobs done, about 30 s left"
    assert progress.line("mini", 3, 3, 0.0, []) == "mini: 3 of 3 jobs done"


def test_events_of_another_form_make_it_silent():
    said = []
    handler = progress.Progress("mini", lambda: None, said.append)
    handler.handle(logging.makeLogRecord({"event": "job_finished"}))  # lacks its number
    handler.handle(logging.makeLogRecord({"event": "progress", "done": 2, "total": 2}))
    assert said == []


def test_a_plan_that_cannot_be_made_makes_it_silent():
    def fail():
        raise AttributeError("no dag")

    said = []
    handler = progress.Progress("mini", fail, said.append)
    handler.handle(logging.makeLogRecord({"event": "job_started"}))
    handler.handle(logging.makeLogRecord({"event": "progress", "done": 2, "total": 2}))
    assert said == []


def test_a_failed_job_runs_no_longer():
    said = []
    handler = progress.Progress("mini", lambda: None, said.append)
    for job in (1, 2):
        handler.handle(logging.makeLogRecord({"event": "job_info", "jobid": job, "rule_name": "f"}))
    handler.handle(logging.makeLogRecord({"event": "job_error", "jobid": 1}))
    handler.handle(logging.makeLogRecord({"event": "job_finished", "job_id": 2}))
    handler.handle(logging.makeLogRecord({"event": "progress", "done": 2, "total": 2}))
    assert said == ["mini: 2 of 2 jobs done"]


def test_measured_seconds_are_read_or_none(tmp_path):
    path = tmp_path / "minutes.json"
    assert progress.measured_seconds(path) == {}
    path.write_text(json.dumps({"job_seconds": {"fit-a": 2.5}}))
    assert progress.measured_seconds(path) == {"fit-a": 2.5}
    for broken in ("{", "[]", '{"job_seconds": 3}', '{"job_minutes": {}}'):
        path.write_text(broken)
        assert progress.measured_seconds(path) == {}


def test_snakemake_says_what_is_left_and_a_dry_run_does_not(tmp_path):
    (tmp_path / "Snakefile").write_text(TINY)
    for part in ("rules/progress.smk", "scripts/progress.py"):
        copy = tmp_path / "workflow" / part
        copy.parent.mkdir(parents=True)
        copy.write_text((ROOT / "workflow" / part).read_text())
    measured = tmp_path / "results/reference/tiny/minutes.json"
    measured.parent.mkdir(parents=True)
    measured.write_text(json.dumps({"job_seconds": {"first": 1.0, "second": 600.0}}))
    dry = snakemake(tmp_path, "-n", "-c1")
    assert dry.returncode == 0 and "jobs done" not in dry.stdout
    done = snakemake(tmp_path, "-c1")
    assert done.returncode == 0, done.stdout
    said = [line for line in done.stdout.splitlines() if line.startswith("tiny: ")]
    assert said[-1] == "tiny: 3 of 3 jobs done"
    if len(said) > 1:  # jobs that end at once share one line
        assert said[0].startswith("tiny: 1 of 3 jobs done, about ") or "2 of 3" in said[0]
    assert "Traceback" not in done.stdout
