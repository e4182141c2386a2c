"""What goes wrong on a cluster: each time the results are an undisturbed run's, byte for byte.

One CPT run of the rung smoke through the profile b200. What it reads is built once, without Slurm,
and so is the undisturbed run. Most of a drill is waiting: all are held at once, and beside the
tests of the other modules.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .drill import DELAY, EVERY, PATIENCE, RESULTS, Drill
from .local_slurm import LocalSlurm
from .login_node import said


def cancelled(drill: Drill) -> int:
    """Somebody cancels the job: Slurm says SIGTERM, and Snakemake submits it again."""
    drill.start()
    drill.until_step(2 * EVERY + 5)
    drill.slurm.run("scancel", drill.job())
    drill.end()
    assert "SLURM status is: 'CANCELLED'" in said(drill.folder)
    return 0


def timed_out(drill: Drill) -> int:
    """The time limit ends the job: the profile has asked for SIGTERM before it."""
    drill.slow(6 * DELAY)  # Slurm looks at time limits every 30 seconds
    drill.start()
    drill.until_step(EVERY + 5)
    job = drill.job()
    drill.slurm.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    drill.end()
    assert drill.state(job).startswith(("FAILED", "TIMEOUT"))
    return 0


def out_of_memory(drill: Drill) -> int:
    """The kernel kills the training, which cannot save anything: an interval at most is lost."""
    (drill.folder / "drill/killed").write_text(str(3 * EVERY - 2))
    drill.start()
    drill.end()
    assert not (drill.folder / "drill/killed").exists()
    return 1


def disk_full(drill: Drill) -> int:
    """No space for a checkpoint: the job says so, and there is more space at the second start."""
    checkpoints = drill.folder / RESULTS / "checkpoints"
    checkpoints.mkdir(parents=True)
    size = smoke_checkpoint(drill.undisturbed)
    tmpfs = ["mount", "-t", "tmpfs", "-o", f"size={size * 3 // 2}", "tmpfs", str(checkpoints)]
    mounted = subprocess.run(tmpfs, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be made small here: {mounted.stderr.strip()}")
    try:
        drill.start("--retries", "0")
        drill.end(status=1)
        assert "no space left on " in said(drill.folder).lower()
        subprocess.run(["mount", "-o", f"remount,size={size * 20}", str(checkpoints)], check=True)
        drill.start()
        drill.end()
    finally:
        subprocess.run(["umount", str(checkpoints)], check=True)
    return 1


def smoke_checkpoint(undisturbed: Path) -> int:
    """Bytes of a checkpoint: weights and two moments."""
    return 3 * (undisturbed / RESULTS / "model/model.safetensors").stat().st_size


def interrupted(drill: Drill) -> int:
    """Ctrl-C: the workflow cancels its job before it ends, and goes on when it is started again."""
    drill.start()
    drill.until_step(EVERY + 5)
    job = drill.job()
    drill.hold()
    assert drill.process is not None
    drill.process.send_signal(signal.SIGINT)
    assert drill.process.wait(timeout=PATIENCE) != 0
    drill.release()
    drill.until_state(job, "CANCELLED")
    assert not (drill.folder / RESULTS / "curves.parquet").exists()
    drill.start()
    drill.end()
    return 1


def workflow_killed(drill: Drill) -> int:
    """The login node goes down: the job goes on, and no other is started beside it."""
    job = drill.kill_the_workflow(hold=True)  # it must outlast the start that finds it
    drill.start()
    drill.end(status=1)
    assert "submitted from this folder (rule_cpt" in said(drill.folder)
    assert f"scancel {job}" in said(drill.folder)
    drill.slurm.run("scancel", job)
    drill.release()
    drill.until_state(job, "CANCELLED", "FAILED")
    drill.start()
    drill.end()
    return 0


def workflow_killed_for_longer(drill: Drill) -> int:
    """The job ends while no workflow is there: its results are found, and it is not run again."""
    job = drill.kill_the_workflow()
    drill.until_state(job, "COMPLETED")
    drill.start()
    drill.end()
    assert said(drill.folder).rstrip().endswith("(all requested files are present and up to date).")
    return 0


def node_drained_and_lost(drill: Drill) -> int:
    """Draining disturbs nothing; a node that is down has Slurm put its job back into the queue."""
    drill.start()
    drill.until_step(EVERY + 5)
    job = drill.job()
    node = drill.slurm.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    drill.slurm.run("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=drill")
    drill.until_step(2 * EVERY + 5)
    assert drill.state(job) == "RUNNING 0"
    drill.slurm.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=drill")
    drill.end()
    assert drill.state(job) == "COMPLETED 1"
    return 1


def preempted(drill: Drill) -> int:
    """Slurm takes the job's node for another: SIGTERM, and the job is put back into the queue."""
    drill.start()
    drill.until_step(EVERY + 5)
    job = drill.job()
    drill.slurm.run("scontrol", "requeue", job)
    drill.end()
    assert drill.state(job) == "COMPLETED 1"
    return 1


# Each with the partition it disturbs.
AT_ONCE = {
    cancelled: "gpu",
    timed_out: "gpu",
    out_of_memory: "gpu",
    disk_full: "gpu",
    interrupted: "gpu",
    preempted: "gpu",
    workflow_killed: "gpu",
    workflow_killed_for_longer: "gpu",
    node_drained_and_lost: "unsafe",
}


@pytest.fixture(scope="module")
def drills(
    on_two_nodes: object, slurm: LocalSlurm, undisturbed: Path
) -> dict[str, Callable[[], None]]:
    """The drills that disturb one job or node alone, all at once, for most of each is waiting."""

    def hold(disturb: Callable[[Drill], int], partition: str) -> None:
        drill = Drill(slurm, undisturbed, disturb.__name__, partition)
        try:
            drill.check(disturb(drill))
        finally:
            drill.give_up()

    with ThreadPoolExecutor(len(AT_ONCE)) as pool:
        held = {
            disturb.__name__: pool.submit(hold, disturb, partition)
            for disturb, partition in AT_ONCE.items()
        }
    return {name: outcome.result for name, outcome in held.items()}


@pytest.mark.parametrize("name", [disturb.__name__ for disturb in AT_ONCE])
def test_a_disturbed_run_ends_as_an_undisturbed_one(
    name: str, drills: dict[str, Callable[[], None]]
) -> None:
    drills[name]()


def test_a_controller_that_is_away_for_a_while_is_waited_for(
    drills: object, slurm: LocalSlurm, undisturbed: Path
) -> None:
    """It is away for the jobs of other tests as well."""
    drill = Drill(slurm, undisturbed, "controller")
    try:
        drill.start()
        drill.until_step(EVERY + 5)
        slurm.stop_controller()
        drill.until_step(3 * EVERY)
        slurm.start_controller()
        drill.end()
    finally:
        drill.give_up()
    drill.check(0)
