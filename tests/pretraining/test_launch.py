"""Trainings in several processes: how they are started, stopped, and what status they end with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recscale.errors import INTERRUPTED, UserError
from recscale.files import read_json, read_table
from recscale.pretraining import cpt, launch

from .tiny_curriculum import (
    LENGTH,
    Curriculum,
    arguments_of,
    cpt_options,
    cpt_settings,
    run_module,
)

# A stand-in for a training: says that it is there, waits to be stopped, and takes a while to save.
WORKER = """
import os, pathlib, signal, sys, time
folder, wait, save, status = pathlib.Path(sys.argv[1]), *map(float, sys.argv[2:5])
rank, asked = os.environ["RANK"], []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
(folder / f"ready-{rank}").write_text(os.environ["WORLD_SIZE"] + os.environ["LOCAL_RANK"])
end = time.monotonic() + wait
while not asked and time.monotonic() < end:
    time.sleep(0.02)
if asked:
    time.sleep(save)
    (folder / f"saved-{rank}").touch()
    sys.exit(75)
sys.exit(int(status) if rank == "1" else 0)
"""


def start(
    command: Sequence[object], nodes: int = 1, processes: int = 2, **environment: str
) -> subprocess.Popen[str]:
    """The launcher as a process of its own."""
    options = ["--nodes", nodes, "--processes", processes, "--", *command]
    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "recscale.pretraining.launch", *map(str, options)],
        env=os.environ | variables | {"ACCELERATE_USE_CPU": "true"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str], count: int = 1) -> None:
    """Wait until so many files of a pattern are there."""
    end = time.monotonic() + 120
    while len(list(folder.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, f"no {pattern} in {folder}"
        time.sleep(0.02)


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return script


def test_processes_know_their_place_and_an_end_is_an_end(worker: Path, tmp_path: Path) -> None:
    process = start([worker, tmp_path, 0, 0, 0])
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert [(tmp_path / f"ready-{rank}").read_text() for rank in "01"] == ["20", "21"]


@pytest.mark.parametrize("status", [2, 3])
def test_a_failure_ends_all_processes_with_its_status(
    status: int, worker: Path, tmp_path: Path
) -> None:
    """2 is a wrong input, which the process has named; any other is a bug."""
    (tmp_path / "temporary").mkdir()
    process = start([worker, tmp_path, 1, 0, status], TMPDIR=str(tmp_path / "temporary"))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == (2 if status == 2 else 1)
    assert ("ended with" in said) == (status == 3)
    assert not list((tmp_path / "temporary").iterdir())


def test_sigterm_reaches_every_process_which_may_take_its_time(
    worker: Path, tmp_path: Path
) -> None:
    process = start([worker, tmp_path, 60, 3, 0])
    wait_for("ready-*", tmp_path, process, 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-0", "saved-1"}


def test_a_stopped_training_in_two_processes_goes_on_in_one(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPT under the launcher: SIGTERM, exit status 75, and the losses of an undisturbed run."""
    long = cpt_settings(tokens=400 * 4 * LENGTH, checkpoint_every=50)
    stopped, undisturbed = (
        cpt_options(trained, name, settings=long) for name in ("stopped", "undisturbed")
    )
    process = start(["-m", "recscale.pretraining.cpt", *arguments_of(stopped)])
    wait_for("*/step-*", stopped["checkpoints"], process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED, said
    assert "run it again to go on" in said and not stopped["manifest"].exists()
    steps = [int(path.name[5:]) for path in stopped["checkpoints"].glob("*/step-*")]
    assert 0 < max(steps) < 400
    assert max(steps) % 50  # a checkpoint of the signal, not of the interval
    for options in (stopped, undisturbed):
        run_module(monkeypatch, cpt, options)
    assert read_json(stopped["manifest"])["processes"] == 1
    losses = [read_table(o["curves"], "curves")["loss"] for o in (stopped, undisturbed)]
    assert (losses[0] - losses[1]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("codes", "asked", "status"),
    [
        ([INTERRUPTED, INTERRUPTED], False, INTERRUPTED),
        ([INTERRUPTED, -signal.SIGTERM], True, INTERRUPTED),
        ([-signal.SIGTERM], True, INTERRUPTED),
        ([-signal.SIGTERM], False, 1),
        ([-signal.SIGKILL], True, 1),
        ([INTERRUPTED, 1], True, 1),
        ([1, 2], False, 2),
        ([3], False, 1),
    ],
)
def test_the_status_is_the_trainings(codes: list[int], asked: bool, status: int) -> None:
    assert launch.status_of(codes, asked) == status


@pytest.fixture
def slurm_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables srun sets on the second node, and a scontrol that knows the hosts."""
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames gpu[03-04]" ] && echo gpu03; echo gpu04\n'
    )
    (tmp_path / "bin/srun").write_text("#!/bin/sh\n")
    for path in scontrol.parent.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}")
    names = ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_NODEID", "SLURMD_NODENAME")
    return dict(zip(names, ("70123", "gpu[03-04]", "1", "gpu04"), strict=True))


def test_nodes_meet_at_the_first_host_of_the_job(slurm_job: dict[str, str]) -> None:
    config = launch.configuration(2, 16, slurm_job)
    assert (config.min_nodes, config.max_nodes, config.nproc_per_node) == (2, 2, 8)
    assert config.rdzv_endpoint == f"gpu03:{launch.port_of_job('70123')}"
    assert (config.run_id, config.local_addr) == ("70123", "gpu04")
    assert config.rdzv_configs["is_host"] is False
    first = launch.configuration(2, 16, slurm_job | {"SLURM_NODEID": "0"})
    assert first.rdzv_configs["is_host"] is True
    alone = launch.configuration(1, 8, {})
    assert alone.nproc_per_node == 8 and alone.rdzv_endpoint == "localhost:0"
    assert "SIGTERM" not in config.signals_to_handle + alone.signals_to_handle


def test_jobs_that_share_a_node_meet_at_different_ports() -> None:
    ports = {launch.port_of_job(str(job)) for job in range(7_000, 9_000)}
    assert len(ports) == 2_000 and min(ports) > 1024 and max(ports) < 32768


def test_srun_starts_the_launcher_once_on_each_node(
    slurm_job: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", slurm_job["SLURM_JOB_ID"])
    command = launch.srun_command(2, 16, ["-m", "recscale.pretraining.cpt", "--run-name", "x"])
    text = " ".join(command)
    assert text.startswith("srun --nodes 2 --ntasks 2 --ntasks-per-node 1 ")
    # An option whose value is optional takes it after = only.
    assert " --kill-on-bad-exit=0 " in text
    assert text.endswith(
        "recscale.pretraining.launch --in-step --nodes 2 --processes 16 -- "
        "-m recscale.pretraining.cpt --run-name x"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--nodes", 2, "--processes", 2], "--nodes is 2, and this is no Slurm job"),
        (["--nodes", 2, "--processes", 3], "--processes is 3, --nodes is 2; give every node"),
        (["--nodes", 0, "--processes", 2], "--processes is 2, --nodes is 0; give every node"),
    ],
)
def test_what_cannot_be_started_is_named(
    options: list[Any], said: str, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match=said):
        call(launch.main, *options, "--", "-m", "recscale.pretraining.cpt")
