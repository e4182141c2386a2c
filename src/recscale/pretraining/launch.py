"""Command: start a training in several processes, on one node or on all nodes of a Slurm job.

    python -m recscale.pretraining.launch --nodes N --processes P -- -m recscale.pretraining.cpt ...

On one node it is torchrun. On several, srun starts this command once on each, and torchrun's agents
find each other at the first host of the job, on a port of the job's number. SIGTERM is passed on to
the training, which saves its work however long that takes, and the exit status is the training's:
torchrun itself would kill it after 30 seconds and make 1 of every status.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import psutil
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from recscale.errors import INTERRUPTED, Interrupted, UserError, run_command
from recscale.logs import logger

log = logger("pretraining.launch")

FIRST_PORT, PORTS = 15000, 15000  # below the ports that systems give to outgoing connections
PATIENCE = 60  # seconds that srun gives the other nodes when one has ended
JOIN_TIMEOUT = 1800  # seconds: nodes of a large job may start minutes apart


def port_of_job(job: str) -> int:
    """The port of a Slurm job's rendezvous: jobs that share a node have different ones."""
    return FIRST_PORT + int(job) % PORTS


def first_host(nodes: str) -> str:
    """The first host of a list in Slurm's short form, e.g. gpu[03-06]."""
    shown = subprocess.run(
        ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True
    )
    return shown.stdout.split()[0]


def srun_command(nodes: int, processes: int, command: Sequence[str]) -> list[str]:
    """The command that starts this one on every node of the Slurm job it runs in.

    Raises:
        UserError: this is no Slurm job, or it has no srun.
    """
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise UserError(
            f"--nodes is {nodes}, and this is no Slurm job",
            "submit it through a profile for Slurm, or start the training on one node",
        )
    # Without --cpu-bind each node's processes would share the one core of their srun task.
    options = ["--nodes", nodes, "--ntasks", nodes, "--ntasks-per-node", 1, "--cpu-bind", "none"]
    options += ["--kill-on-bad-exit=0", "--wait", PATIENCE]
    here = [sys.executable, "-m", "recscale.pretraining.launch", "--in-step"]
    sizes = ["--nodes", nodes, "--processes", processes, "--"]
    return list(map(str, ["srun", *options, *here, *sizes, *command]))


def configuration(nodes: int, processes: int, environment: dict[str, str]) -> LaunchConfig:
    """Torchrun's configuration on one node: with a rendezvous of its own, or with the job's."""
    common: dict[str, Any] = {
        "min_nodes": nodes,
        "max_nodes": nodes,
        "nproc_per_node": processes // nodes,
        "rdzv_backend": "c10d",
        "max_restarts": 0,
        "monitor_interval": 0.5,
        "signals_to_handle": "SIGINT",
        "logs_specs": DefaultLogsSpecs(log_dir=os.devnull),  # else it leaves a folder in TMPDIR
    }
    if nodes == 1:
        return LaunchConfig(rdzv_endpoint="localhost:0", run_id=str(os.getpid()), **common)
    job = environment["SLURM_JOB_ID"]
    return LaunchConfig(
        rdzv_endpoint=f"{first_host(environment['SLURM_JOB_NODELIST'])}:{port_of_job(job)}",
        run_id=job,
        rdzv_configs={
            "is_host": environment["SLURM_NODEID"] == "0",
            "join_timeout": JOIN_TIMEOUT,
            "read_timeout": JOIN_TIMEOUT,
        },
        local_addr=environment["SLURMD_NODENAME"],
        **common,
    )


class PassedOn:
    """While entered, SIGTERM goes to the processes of the training, and is noted."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> PassedOn:
        self._before = signal.signal(signal.SIGTERM, self._pass_on)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        training = psutil.Process().children()
        for process in training:
            process.send_signal(number)
        if not training:
            raise Interrupted("the training had not begun")


def status_of(codes: Sequence[int], asked: bool) -> int:
    """The exit status of a training from those of its processes that failed.

    One that SIGTERM ends before it can save anything has lost nothing. Where one process fails,
    others do as well for lack of it: a process that said what is wrong has the word.
    """
    stopped = {INTERRUPTED, -signal.SIGTERM} if asked else {INTERRUPTED}
    if set(codes) <= stopped:
        return INTERRUPTED
    return 2 if 2 in codes else 1


def run_on_this_node(config: LaunchConfig, command: Sequence[str]) -> None:
    """Run the training's processes of this node to their end; exit with a status if they fail."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with PassedOn() as passed_on:
        try:
            elastic_launch(config, sys.executable)(*command)
        except ChildFailedError as error:
            codes = [failure.exitcode for failure in error.failures.values()]
            status = status_of(codes, passed_on.asked)
            if status == 1:
                log.error("processes of the training ended with %s", sorted(codes))
            sys.exit(status)


def main() -> None:
    """Start a training; see the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", required=True, type=int, help="nodes of the training")
    parser.add_argument("--processes", required=True, type=int, help="processes, on all nodes")
    parser.add_argument("--in-step", action="store_true", help="srun started this, on each node")
    parser.add_argument("command", nargs="+", help="what Python runs, after --")
    options = parser.parse_args()
    nodes, processes = options.nodes, options.processes
    if nodes < 1 or processes < nodes or processes % nodes:
        raise UserError(
            f"--processes is {processes}, --nodes is {nodes}",
            "give every node as many processes, at least one",
        )
    if nodes > 1 and not options.in_step:
        command = srun_command(nodes, processes, options.command)
        os.execvp(command[0], command)
    run_on_this_node(configuration(nodes, processes, dict(os.environ)), options.command)


if __name__ == "__main__":
    run_command(main)
