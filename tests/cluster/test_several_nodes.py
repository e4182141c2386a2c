"""A run on two nodes: srun, torchrun's rendezvous from Slurm's variables, and the site file."""

from __future__ import annotations

import re
from concurrent.futures import Future
from pathlib import Path

import pytest

from recscale.files import read_json, read_table
from repository_copy import snakemake

from .drill import RESULTS, TARGET, TWO_NODES
from .login_node import FLAGS

ONE_NODE = "partition: gpu\ngpus_per_node: 1\nnodes: {size1: 1, size2: 1, size3: 1, size4: 1}\n"


@pytest.fixture(scope="module")
def two_nodes(on_two_nodes: Future[Path]) -> Path:
    """The folder of the run that was made on two nodes."""
    return on_two_nodes.result()


def test_a_run_on_two_nodes_is_the_run_of_one_process(two_nodes: Path, undisturbed: Path) -> None:
    assert read_json(two_nodes / RESULTS / "manifest.json")["processes"] == 2
    losses = [
        read_table(folder / RESULTS / "curves.parquet", "curves")["loss"]
        for folder in (two_nodes, undisturbed)
    ]
    assert (losses[0] - losses[1]).abs().max() < 1e-5


def test_a_cancelled_run_on_two_nodes_loses_nothing(two_nodes: Path) -> None:
    """Both processes save at the same step, and both go on from it."""
    steps = [int(line) for line in (two_nodes / "drill/steps").read_text().split()]
    assert sorted(steps) == sorted(2 * list(range(max(steps) + 1)))
    assert "goes on from step" in (two_nodes / "logs/cpt/smoke-size1-full.log").read_text()


def test_a_change_of_the_site_reruns_nothing(two_nodes: Path) -> None:
    for site in (ONE_NODE, TWO_NODES, ONE_NODE.replace("gpu\n", "other\nmax_minutes: 60\n", 1)):
        (two_nodes / "config/site.yaml").write_text(site)
        done = snakemake(two_nodes, "--profile", "b200", *FLAGS, "-n", "--", TARGET)
        assert "Nothing to be done" in done.stdout, done.stdout
    forced = ("-n", "--force", "--", TARGET)
    done = snakemake(two_nodes, "--profile", "b200", *FLAGS, *forced)
    assert re.search(r"resources: .*slurm_partition='?other", done.stdout), done.stdout
