"""A line of progress after each job: how many are done, how long the rest takes, what runs.

Snakemake logs through the standard library, and its records say which jobs start and end (see
snakemake_interface_logger_plugins). A handler that listens to them needs no plug-in. Should a later
Snakemake log otherwise, there is no line, and nothing else changes.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean

# Weight, in seconds, of the assumption that this machine is as fast as the one that was measured.
PRIOR_SECONDS = 30
# Jobs end in bursts; one line says it for all within this time.
QUIET_SECONDS = 0.5
# Without a measurement for this share of the rest there is no estimate.
UNKNOWN_SHARE = 0.1


class Plan:
    """The jobs to run, by their number, and how long they took when they were measured.

    Args:
        jobs: number to a pair of rule and benchmark file's name without ending, None without one.
        uses: number to the resources that a job takes, by name.
        limits: how much there is of each resource.
        seconds: measured, by the benchmark file's name without ending.
    """

    def __init__(self, jobs, uses, limits, seconds):
        self.jobs = jobs
        self.uses = uses
        self.limits = limits
        of_rule = defaultdict(list)
        for label, value in seconds.items():
            of_rule[label.split("-")[0]].append(value)
        self.seconds = {}
        for number, (rule, label) in jobs.items():
            if label is None:
                self.seconds[number] = 0.0
            elif label in seconds:
                self.seconds[number] = seconds[label]
            elif rule in of_rule:
                self.seconds[number] = mean(of_rule[rule])

    def seconds_left(self, finished, running):
        """Seconds until all is done; None if too little was measured.

        The rest is limited by its longest job, and by each resource that its jobs share.

        Args:
            finished: number to the seconds that each finished job took.
            running: number to the seconds for which each has been running.
        """
        rest = [number for number in self.jobs if number not in finished]
        if sum(number not in self.seconds for number in rest) > UNKNOWN_SHARE * len(rest):
            return None
        known = [number for number in finished if self.seconds.get(number)]
        measured = sum(self.seconds[number] for number in known)
        took = sum(finished[number] for number in known)
        speed = (took + PRIOR_SECONDS) / (measured + PRIOR_SECONDS)
        left = {
            number: max(0.0, self.seconds.get(number, 0.0) * speed - running.get(number, 0.0))
            for number in rest
        }
        shared = [
            sum(seconds * self.uses[number].get(name, 0) for number, seconds in left.items())
            / limit
            for name, limit in self.limits.items()
        ]
        return max([*left.values(), *shared], default=0.0)


def line(name, done, total, left, running):
    """The line: jobs done, time left if known, and the running jobs' rules."""
    text = f"{name}: {done} of {total} jobs done"
    if left is not None and done < total:
        minutes = left / 60
        text += ", about " + (
            f"{minutes:.0f} min left"
            if minutes >= 1.5
            else f"{max(10, round(left, -1)):.0f} s left"
        )
    if running:
        rules = Counter(running)
        text += "; running: " + ", ".join(f"{rule} ({rules[rule]})" for rule in sorted(rules))
    return text


class Progress(logging.Handler):
    """Writes the line to Snakemake's own log after jobs have ended.

    Args:
        name: what the config calls the run.
        plan: makes the plan, once the first jobs start.
        say: writes a line.
        clock: seconds, from anywhere.
    """

    def __init__(self, name, plan, say, clock=time.monotonic):
        super().__init__(logging.INFO)
        self.name_of_run = name
        self.make_plan = plan
        self.say = say
        self.clock = clock
        self.plan = None
        self.running = {}
        self.finished = {}
        self.counts = None
        self.timer = None
        self.broken = False

    def emit(self, record):
        """Take note of a job's start or end; never raises."""
        if self.broken:
            return
        try:
            listener = getattr(self, f"on_{getattr(record, 'event', None)}", None)
            if listener is not None:
                listener(record)
        except Exception:
            self.broken = True

    def on_job_started(self, record):
        """Jobs were chosen to run: the plan is complete."""
        if self.plan is None:
            self.plan = self.make_plan()

    def on_job_info(self, record):
        """A job starts."""
        self.running[record.jobid] = (record.rule_name, self.clock())

    def on_job_error(self, record):
        """A job failed; it may start again."""
        self.running.pop(record.jobid, None)

    def on_job_finished(self, record):
        """A job ended well."""
        _, started = self.running.pop(record.job_id, (None, self.clock()))
        self.finished[record.job_id] = self.clock() - started

    def on_progress(self, record):
        """The counts after a job; what starts next is logged in a moment, then the line."""
        self.counts = (record.done, record.total)
        if record.done == record.total:
            if self.timer is not None:
                self.timer.cancel()
            self.write()
        elif self.timer is None:
            self.timer = threading.Timer(QUIET_SECONDS, self.write)
            self.timer.daemon = True
            self.timer.start()

    def write(self):
        """Write the line."""
        try:
            with self.lock:
                self.timer = None
                now = self.clock()
                since = {number: now - start for number, (_, start) in self.running.items()}
                left = self.plan.seconds_left(self.finished, since) if self.plan else None
                rules = [rule for rule, _ in self.running.values()]
                text = line(self.name_of_run, *self.counts, left, rules)
            self.say(text)
        except Exception:
            self.broken = True


def measured_seconds(record):
    """Seconds of jobs in a record of benchmarks/artefact_minutes.py; none where it holds none."""
    try:
        return dict(json.loads(Path(record).read_text(encoding="utf-8"))["job_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def plan_of(workflow, seconds):
    """The plan of a Snakemake workflow whose jobs start."""
    jobs, uses = {}, {}
    for job in workflow.dag.needrun_jobs():
        label = Path(job.benchmark).stem if job.benchmark else None
        jobs[job.jobid] = (job.rule.name, label)
        uses[job.jobid] = {k: v for k, v in job.resources.items() if isinstance(v, int)}
    limits = {name: resource.value for name, resource in workflow.global_resources.items()}
    limits = {name: value for name, value in limits.items() if isinstance(value, int) and value}
    if "_nodes" in limits:
        limits.pop("_cores", None)
    return Plan(jobs, uses, limits, seconds)


def announce(workflow, name, record):
    """Write lines of progress from now on; does nothing in the processes of single jobs.

    Args:
        workflow: Snakemake's.
        name: what the config calls the run.
        record: file of measured seconds.
    """
    try:
        from snakemake.logging import logger

        if not workflow.is_main_process:
            return
        logger.addHandler(
            Progress(name, lambda: plan_of(workflow, measured_seconds(record)), logger.info)
        )
    except Exception:
        return
