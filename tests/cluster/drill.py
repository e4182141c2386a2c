"""A CPT run of the rung smoke through the profile b200, to be disturbed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import yaml

from recscale.files import read_table, sha256
from repository_copy import ROOT

from .local_slurm import LocalSlurm
from .login_node import SITE, said, workflow

RUN = "size1-full"
RESULTS = Path("results/smoke/pretraining") / RUN
TARGET = str(RESULTS / "curves.parquet")
PATIENCE = 400  # seconds for anything to happen
TWO_NODES = "partition: gpu\ngpus_per_node: 1\nnodes: {size1: 2, size2: 1, size3: 1, size4: 1}\n"
DELAY = 0.1  # seconds that a step takes longer


def smoke() -> dict:
    return yaml.safe_load((ROOT / "config/smoke.yaml").read_text())["pretraining"]


EVERY = smoke()["checkpoint_every"]


class Drill:
    """A copy of the undisturbed run's folder, in which the run is still to be made."""

    def __init__(
        self, slurm: LocalSlurm, undisturbed: Path, name: str, partition: str = "gpu"
    ) -> None:
        self.slurm, self.undisturbed = slurm, undisturbed
        self.folder = undisturbed.with_name(name)
        shutil.copytree(undisturbed, self.folder, symlinks=True)
        shutil.rmtree(self.folder / RESULTS)
        site = SITE.replace("gpu", partition, 1)
        (self.folder / "config/site.yaml").write_text(site)
        (self.folder / "drill/steps").write_text("")
        self.slow(DELAY)
        self.process: subprocess.Popen[str] | None = None

    def slow(self, seconds: float) -> None:
        """Make the steps of the next process longer."""
        (self.folder / "drill/delay").write_text(str(seconds))

    def hold(self) -> None:
        """Have the training take no step until it is released."""
        (self.folder / "drill/held").touch()

    def release(self) -> None:
        """End that."""
        (self.folder / "drill/held").unlink()

    def start(self, *flags: str) -> None:
        """Start the workflow."""
        self.process = workflow(self.slurm, self.folder, *flags, "--", TARGET)

    def until_state(self, job: str, *states: str) -> None:
        """Wait until a job has one of some states, whether or not the workflow is running."""
        end = time.monotonic() + PATIENCE
        while not self.state(job).startswith(states):
            assert time.monotonic() < end, self.state(job)
            time.sleep(0.2)

    def until(self, happened: Callable[[], bool], what: str) -> None:
        """Wait for something while the workflow is running."""
        end = time.monotonic() + PATIENCE
        while not happened():
            assert self.process is not None and self.process.poll() is None, said(self.folder)
            assert time.monotonic() < end, f"{what}: {said(self.folder)}"
            time.sleep(0.1)

    def steps(self) -> list[int]:
        """The steps taken so far, by all processes."""
        return [int(line) for line in (self.folder / "drill/steps").read_text().split()]

    def until_step(self, number: int) -> None:
        """Wait until so many steps were taken."""
        self.until(lambda: len(self.steps()) >= number, f"step {number}")

    def job(self) -> str:
        """The number of the Slurm job that trains."""
        ((number, _),) = self.slurm.jobs(self.folder)
        return number

    def kill_the_workflow(self, hold: bool = False) -> str:
        """Start the workflow, and kill it while its job trains; returns the job's number.

        Args:
            hold: have the job take no step from then on.
        """
        self.start()
        self.until_step(EVERY + 5)
        job = self.job()
        if hold:
            self.hold()
        self.give_up()
        workflow(self.slurm, self.folder, "--unlock", "--", TARGET).wait(timeout=PATIENCE)
        return job

    def give_up(self) -> None:
        """Kill the workflow, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def state(self, job: str) -> str:
        """The state of a job, and its restarts by Slurm."""
        shown = self.slurm.run("scontrol", "show", "job", job)
        fields = dict(pair.split("=", 1) for pair in shown.split() if "=" in pair)
        return f"{fields['JobState']} {fields['Restarts']}"

    def end(self, status: int = 0) -> None:
        """Wait until the workflow ends."""
        assert self.process is not None
        assert self.process.wait(timeout=PATIENCE) == status, said(self.folder)

    def check(self, disturbances: int) -> None:
        """Compare with the undisturbed run, and count the steps that were taken again."""
        for name in ("curves.parquet", "model/model.safetensors"):
            paths = [folder / RESULTS / name for folder in (self.folder, self.undisturbed)]
            assert sha256(paths[0]) == sha256(paths[1]), name
        logs = [
            read_table(folder / RESULTS / "training.parquet", "training")
            for folder in (self.folder, self.undisturbed)
        ]
        pd.testing.assert_frame_equal(*(log.drop(columns="tokens_per_second") for log in logs))
        taken = Counter(self.steps())
        calm = [int(n) for n in (self.undisturbed / "drill/steps").read_text().split()]
        assert set(taken) == set(calm)
        assert 0 <= sum(taken.values()) - len(calm) <= disturbances * EVERY


def on_two_nodes(slurm: LocalSlurm, undisturbed: Path) -> Path:
    """Make the run on two nodes, cancelled once; returns the folder it is made in."""
    drill = Drill(slurm, undisturbed, "two_nodes")
    (drill.folder / "config/site.yaml").write_text(TWO_NODES)
    # A rung that trains in several processes: the site says how many GPUs, and so processes.
    config = drill.folder / "config/smoke.yaml"
    config.write_text(config.read_text().replace("processes: {size1: 1,", "processes: {size1: 2,"))
    try:
        drill.start()
        drill.until_step(60)  # of two processes together
        ((job, nodes),) = slurm.jobs(drill.folder)
        assert nodes == "127.0.0.[1-2]"
        slurm.run("scancel", job)
        drill.end()
    finally:
        drill.give_up()
    return drill.folder
