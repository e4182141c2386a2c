"""`snakemake --profile b200 all` with the sizes of smoke: every artefact, made by jobs of Slurm."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from recscale.files import sha256
from repository_copy import job_counts, snakemake

from .drill import RESULTS
from .local_slurm import LocalSlurm
from .login_node import AT_ONCE, FLAGS, said

PATIENCE = 900  # seconds

pytestmark = pytest.mark.whole_paper


@pytest.fixture(scope="module")
def made(whole_paper: tuple[Path, subprocess.Popen[str]]) -> Path:
    """The folder in which all artefacts are made."""
    folder, process = whole_paper
    assert process.wait(timeout=PATIENCE) == 0, said(folder)
    return folder


def again(folder: Path, *arguments: str) -> str:
    """What the same command says in a dry run."""
    return snakemake(folder, "--profile", "b200", *FLAGS, *AT_ONCE, "-n", *arguments).stdout


def records(slurm: LocalSlurm, folder: Path) -> list[dict[str, str]]:
    """What Slurm knows of the jobs of a folder."""
    lines = slurm.run("scontrol", "show", "job", "--oneliner").splitlines()
    fields = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
    return [found for found in fields if found["WorkDir"] == str(folder)]


def test_every_artefact_is_made_and_every_job_is_one_of_slurm(
    made: Path, slurm: LocalSlurm
) -> None:
    counts = job_counts(said(made))
    done = [found for found in records(slurm, made) if found["JobState"] == "COMPLETED"]
    rules = Counter(found["Comment"].split("_wildcards_")[0] for found in done)
    assert rules == {f"rule_{name}": counts[name] for name in counts.keys() - {"all", "total"}}
    assert (made / "paper/smoke/paper.pdf").read_bytes().startswith(b"%PDF")
    assert "Nothing to be done" in again(made, "all")


def test_jobs_have_what_the_profile_asks_for(made: Path, slurm: LocalSlurm) -> None:
    jobs = records(slurm, made)
    trainings = [found for found in jobs if found["Comment"].startswith("rule_cpt")]
    asked = {
        (found["Partition"], found["TresPerNode"], found["MinMemoryNode"], found["TimeLimit"])
        for found in trainings
    }
    assert asked == {("paper_gpu", "gres:gpu:2", "500G", "6-00:00:00")}
    assert {found["Requeue"] for found in jobs} == {"1"}
    others = [found for found in jobs if "TresPerNode" not in found]
    assert {found["Partition"] for found in others} == {"paper_cpu"}
    assert len(others) > len(trainings) > 0


def test_results_are_those_of_the_profile_smoke(made: Path, undisturbed: Path) -> None:
    """The two machines are one; what differs is the scheduler."""
    for name in ("curves.parquet", "model/model.safetensors"):
        assert sha256(made / RESULTS / name) == sha256(undisturbed / RESULTS / name)


def test_one_table_again_is_one_job(made: Path) -> None:
    (made / "paper/smoke/tables/table4.csv").unlink()
    counts = job_counts(again(made, "table4"))
    assert counts.pop("total") == sum(counts.values())
    assert set(counts) == {"table4"}
