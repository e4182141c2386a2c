"""Snakemake's own conda deployment, on a stand-in for the command; see conda_stand_in.py."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repository_copy import ROOT, copy_of_repository, snakemake

from .conda_stand_in import uv_command
from .local_channel import make_channel

Snakemake = Callable[..., subprocess.CompletedProcess[str]]

# What `source activate PREFIX` does to a job's shell.
ACTIVATE = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'


def why_not(folder: Path) -> str | None:
    """Why the package index cannot be asked; None: it can.

    A pin that it answers it does not have is no reason: environments then fail as they should.
    """
    pin = re.search(r"^tqdm==.*$", (ROOT / "envs/lock.txt").read_text(), flags=re.M)
    assert pin
    asked = ("install", "--dry-run", "--no-deps", "--no-cache", "--target", str(folder), pin[0])
    command, environment = uv_command(*asked)
    environment |= {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "20"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    failed = re.search(r"Failed to (?:fetch|read|connect).*|error sending request.*", done.stderr)
    return f"the package index does not answer: {failed[0]}" if failed else None


@pytest.fixture(scope="session")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Snakemake:
    """Snakemake with a `conda` command; all that it runs shares one folder of environments."""
    folder = tmp_path_factory.mktemp("conda")
    reason = why_not(folder / "none")
    if reason:
        pytest.skip(reason)
    root, channels = folder / "root", folder / "channels"
    (root / "bin").mkdir(parents=True)
    (root / "bin/activate").write_text(ACTIVATE)
    command = root / "bin/conda"
    script = Path(__file__).with_name("conda_stand_in.py")
    command.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", str(script)])} "$@"\n')
    command.chmod(0o755)
    make_channel(channels / "conda-forge")
    changed = {
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "CONDA_ROOT": str(root),
        "CHANNELS": f"{channels.as_uri()}/",
    }

    def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        flags = ("--sdm", "conda", "--conda-prefix", str(folder / "environments"))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in changed.items():
                patch.setenv(name, value)
            patch.delenv("PYTHONPATH", raising=False)
            return snakemake(copy, *arguments, *flags)

    return run


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, in which the rung smoke runs."""
    return copy_of_repository(tmp_path_factory.mktemp("environments") / "copy")
