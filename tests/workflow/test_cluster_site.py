"""What a cluster's user decides: config/site.yaml, and what must be installed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from yte import process_yaml

from repository_copy import ROOT, copy_of_repository, job_counts, snakemake

NODES = "nodes: {{size1: {0}, size2: {0}, size3: {0}, size4: {0}}}\n"
# A run's nodes, GPUs on each, and the site file that says so.
SITES = {
    (1, 8): "gpus_per_node: 8\n" + NODES.format(1),
    (4, 8): "gpus_per_node: 8\n" + NODES.format(4),
    (8, 4): "gpus_per_node: 4\n" + NODES.format(8),
}
RUN = "results/b200/pretraining/size4-full/curves.parquet"


def profile() -> dict[str, Any]:
    """The profile as Snakemake reads it, with the site file of the current folder."""
    text = (ROOT / "workflow/profiles/b200/config.yaml").read_text()
    return process_yaml(text, require_use_yte=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_repository(tmp_path_factory.mktemp("site") / "copy")


@pytest.fixture
def site(cluster: Path) -> Iterator[Path]:
    """Where the site file is, which a test may write."""
    path = cluster / "config/site.yaml"
    yield path
    path.unlink(missing_ok=True)


def jobs(folder: Path, *arguments: str) -> str:
    done = snakemake(folder, "--profile", "b200", "-n", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


def resources(text: str, rule: str) -> dict[str, str]:
    """The resources of the first job of a rule in a dry run."""
    line = text.partition(f"rule {rule}:")[2].partition("resources: ")[2].partition("\n")[0]
    return dict(re.findall(r"(\w+)=(.*?)(?:, (?=\w+=)|$)", line))


def test_the_example_is_a_site_file_that_changes_nothing_but_resources(
    cluster: Path, site: Path
) -> None:
    without = jobs(cluster, "all")
    shutil.copy(ROOT / "config/site.example.yaml", site)
    with_site = jobs(cluster, "all")
    changing = re.compile(r"^    (?:resources|threads|jobid|reason): .*\n", re.M)
    # Jobs that wait for nothing come in any order.
    described = [
        sorted(re.findall(r"^rule \w+:\n(?:    .*\n)+", changing.sub("", text), re.M))
        for text in (with_site, without)
    ]
    assert described[0] == described[1] and len(described[0]) == job_counts(without)["total"]
    assert resources(with_site, "cpt")["slurm_partition"] == "gpu"
    assert resources(with_site, "cpt")["slurm_account"] == "my_project"
    assert resources(with_site, "table4")["slurm_partition"] == "cpu"
    assert "slurm_partition" not in resources(without, "cpt")


@pytest.mark.parametrize(("nodes", "gpus"), SITES)
def test_nodes_and_gpus_of_a_run_are_the_sites(
    cluster: Path, site: Path, nodes: int, gpus: int
) -> None:
    """32 GPUs are four nodes of eight, or eight of four."""
    site.write_text(SITES[nodes, gpus])
    found = resources(jobs(cluster, "--", RUN), "cpt")
    processes = nodes * gpus
    assert found["gres"] == f"gpu:{gpus}"
    assert f"--nodes {nodes} --processes {processes} --" in found["start"]
    assert found.get("nodes", "1") == found.get("tasks", "1") == str(nodes)
    assert ("mpi" in found) == (nodes > 1)


def test_time_and_memory_end_at_the_sites_limits(cluster: Path, site: Path) -> None:
    site.write_text("max_minutes: 1440\nmax_memory_mb: 200000\n")
    found = resources(jobs(cluster, "--", RUN), "cpt")
    assert (found["runtime"], found["mem_mb"]) == ("1440", "200000")


@pytest.mark.parametrize(
    ("text", "retries"),
    [
        ("gpus_per_node: 8\n", 2 + 3),  # 13 days in jobs of 6
        ("gpus_per_node: 4\n", 2 + 5),  # 26 days
        ("gpus_per_node: 8\nmax_minutes: 1440\n", 2 + 14),
        ("gpus_per_node: 8\nmax_minutes: 260\n", 2 + 78),
    ],
)
def test_the_longest_training_ends_within_the_retries(
    text: str, retries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/site.yaml").write_text(text)
    assert profile()["retries"] == retries


def test_a_site_with_accounts_of_ended_jobs_is_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert profile()["slurm-status-command"] == "squeue"
    (tmp_path / "config").mkdir()
    (tmp_path / "config/site.yaml").write_text("accounting: true\n")
    assert profile()["slurm-status-command"] == "sacct"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("partitions: gpu\n", "'partitions' was unexpected"),
        ("nodes: {size1: 0, size2: 1, size3: 1, size4: 1}\n", "nodes.size1: 0 is less than"),
        ("gpus_per_node: [8\n", "config/site.yaml: it is not YAML in line"),
        ("gpus_per_node: 0\n", "gpus_per_node: 0 is less than"),
        ("max_minutes: '60'\n", "max_minutes: '60' is not of type"),
        ("gpus_per_node: 5\n", "a run of size1 has 5 processes of 64 windows at once"),
        ("gpus_per_node: 1\n", "pretraining.sharding.size3 shares its model among several"),
    ],
)
def test_what_is_wrong_with_a_site_file_is_named(
    cluster: Path, site: Path, text: str, named: str
) -> None:
    site.write_text(text)
    done = snakemake(cluster, "--profile", "b200", "-n", "--", RUN)
    lines = [line for line in done.stdout.splitlines() if "config/site.yaml" in line]
    assert done.returncode == 1 and len(lines) == 1 and named in lines[0], done.stdout
    assert "Traceback" not in done.stdout


def test_every_rule_that_the_profile_names_exists(cluster: Path) -> None:
    profile = yaml.safe_load((ROOT / "workflow/profiles/b200/config.yaml").read_text())
    rules = snakemake(cluster, "--profile", "b200", "--list-rules").stdout.split()
    assert profile["set-resources"].keys() | profile["set-threads"].keys() <= set(rules)


CLIENTS = ("sacct", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")


@pytest.fixture
def without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of a PATH without Slurm and conda."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for found in Path("/usr/bin").iterdir():
        if found.name not in ("conda", *CLIENTS):
            (folder / found.name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_what_is_not_installed_is_named_before_anything_runs(
    cluster: Path, without_slurm: Path
) -> None:
    assert "cpt" in jobs(cluster, "all")  # a dry run needs neither
    assert "GPU-hours" in snakemake(cluster, "--profile", "b200", "plan").stdout  # nor does this
    shutil.rmtree(cluster / "logs")
    done = snakemake(cluster, "--profile", "b200", "all")
    assert done.returncode == 1 and "there is no conda on the PATH; install" in done.stdout
    done = snakemake(cluster, "--profile", "b200", "--sdm", "env-modules", "--", "all")
    assert done.returncode == 1 and "there is no squeue on the PATH; run it where" in done.stdout
    assert not (cluster / "results/b200/data").exists()
    assert not list(Path(os.fspath(cluster)).glob("logs/*"))


def client(folder: Path, name: str, script: str) -> None:
    """Put a client of Slurm on the PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_slurm_that_cannot_be_followed_is_named_before_anything_runs(
    cluster: Path, without_slurm: Path
) -> None:
    def start() -> str:
        done = snakemake(cluster, "--profile", "b200", "--sdm", "env-modules", "--", "all")
        assert done.returncode == 1 and not (cluster / "results/b200/data").exists()
        return done.stdout

    client(without_slurm, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    client(without_slurm, "scontrol", "echo 'MinJobAge               = 60 sec'")
    assert "its queue (Unable to contact slurm" in start()
    client(without_slurm, "squeue", f"echo '17|rule_cpt_wildcards_size1-full|{cluster}'")
    assert "(rule_cpt_wildcards_size1-full, for one)" in start()
    # The job that the workflow is started in, and one of another folder, are no hindrance.
    client(without_slurm, "squeue", f"echo '17|(null)|{cluster}'; echo '18|rule_cpt|/'")
    assert "Slurm forgets jobs 60 s after their end" in start()
    # A Slurm that never forgets is no reason to stop; to this one no job can be submitted.
    client(without_slurm, "scontrol", "echo 'MinJobAge               = 0 sec'")
    client(without_slurm, "sbatch", "exit 1")
    said = start()
    assert "Slurm forgets" not in said and "At least one job did not complete" in said
