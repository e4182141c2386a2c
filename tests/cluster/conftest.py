"""A Slurm of this machine's own, and the workflow on it; see local_slurm.py."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from repository_copy import copy_of_repository, snakemake

from .drill import TARGET
from .drill import on_two_nodes as run_on_two_nodes
from .local_slurm import LocalSlurm, why_not
from .login_node import AT_ONCE, FLAGS, SITE_OF_THE_PAPER, workflow

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSlurm]:
    """Slurm on loopback, stopped at the end."""
    reason = why_not(tmp_path_factory.mktemp("devices"))
    if reason:
        pytest.skip(reason)
    # What a shell starts in its background ignores SIGINT, and so would what the tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cluster = LocalSlurm(tmp_path_factory.mktemp("slurm") / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def whole_paper(
    slurm: LocalSlurm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A copy of the repository in which Slurm is making all artefacts; it takes the longest."""
    folder = copy_of_repository(tmp_path_factory.mktemp("paper") / "whole")
    (folder / "config/site.yaml").write_text(SITE_OF_THE_PAPER)
    process = workflow(slurm, folder, "all", flags=(*FLAGS, *AT_ONCE))
    yield folder, process
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def whole_paper_begun(request: pytest.FixtureRequest) -> None:
    """Begin with it, where its tests are among those asked for."""
    if any(item.get_closest_marker("whole_paper") for item in request.session.items):
        request.getfixturevalue("whole_paper")


@pytest.fixture(scope="session")
def undisturbed(whole_paper_begun: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the run was made by the profile smoke."""
    folder = copy_of_repository(tmp_path_factory.mktemp("drill") / "undisturbed")
    shutil.copy(HERE / "watched_training.py", folder / "src/sitecustomize.py")
    (folder / "drill").mkdir()
    done = snakemake(folder, "--profile", "smoke", "--", TARGET)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="session")
def on_two_nodes(slurm: LocalSlurm, undisturbed: Path) -> Iterator[Future[Path]]:
    """The folder of a run on two nodes, which goes on beside other tests."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run_on_two_nodes, slurm, undisturbed)
