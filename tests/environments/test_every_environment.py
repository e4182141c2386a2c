"""Each stage's environment, made from its file by Snakemake's conda deployment, runs its stage.

Minutes: the channel is local, the pins are installed from the package index.
"""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repository_copy import ROOT, job_counts

from .commands_of_rules import commands_of_environments, environments, imports
from .conftest import Snakemake
from .pins import OF_CUDA, normal, of_stage

Found = Callable[[str], dict[str, Any]]
STAGES = environments()
STARTS = '''
"""One job for each environment: it starts every command that the workflow runs there."""


rule all:
    input:
        expand("found/{stage}.json", stage=config["stages"]),


rule starts:
    input:
        wanted="wanted/{stage}.json",
    output:
        "found/{stage}.json",
    conda:
        config["repository"] + "/envs/{stage}.yaml"
    shell:
        "PYTHONPATH={config[repository]}/src"
        " python {config[script]} {input.wanted} {output}"
'''
# A job of every environment: data, item ids, curriculum, a base model and a CPT run, a fit, a
# recommender, a table.
SMOKE = (
    "results/smoke/scaling/size1-full.csv",
    "results/smoke/ranking/matched-real/tstr-SASRec.parquet",
    "table8",
)


def start_everywhere(folder: Path, repository: Path, stages: list[str]) -> Path:
    """Write a workflow that starts the commands of some stages in their environments."""
    (folder / "wanted").mkdir(parents=True)
    (folder / "Snakefile").write_text(STARTS)
    commands = commands_of_environments()
    for stage in stages:
        statements = sorted(set().union(*map(imports, commands[stage])))
        wanted = {"commands": sorted(commands[stage]), "imports": statements}
        (folder / f"wanted/{stage}.json").write_text(json.dumps(wanted))
    script = Path(__file__).with_name("starts.py")
    values = {"stages": stages, "repository": str(repository), "script": str(script)}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def started(conda: Snakemake, copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Every environment, made and tried: what is found in that of a stage."""
    folder = start_everywhere(tmp_path_factory.mktemp("starts"), copy, STAGES)
    done = conda(folder, "--cores", "1", "--keep-going", "--configfile", "config.json")

    def found(stage: str) -> dict[str, Any]:
        file = folder / f"found/{stage}.json"
        assert file.exists(), done.stdout
        value: dict[str, Any] = json.loads(file.read_text())
        return value

    return found


def test_every_rule_that_runs_a_command_has_an_environment() -> None:
    commands = commands_of_environments()
    # The plan is made in Snakemake's own environment, before there is any other.
    assert commands.pop(None) == {"recscale.budget.plan", "recscale.budget.seen"}
    assert sorted(map(str, commands)) == STAGES
    assert all(commands.values())
    assert "recscale.pretraining.launch" in commands["pretraining"]
    assert sum(map(len, commands.values())) > 80


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_alone_imports_and_starts_all_that_its_stage_runs(
    started: Found, copy: Path, stage: str
) -> None:
    found = started(stage)
    assert set(found["started"]) == commands_of_environments()[stage]
    # Nothing of another environment: its own packages, the interpreter's library and src/.
    assert Path(found["prefix"]).parent.name == "environments"
    library = Path(sysconfig.get_path("stdlib"))
    zipped = library.with_name(f"python{sysconfig.get_config_var('py_version_nodot')}.zip")
    for place in map(Path, found["path"]):
        allowed = (found["prefix"], copy / "src", library, zipped)
        assert any(place.is_relative_to(path) for path in allowed), place


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_holds_its_pins_and_nothing_else(started: Found, stage: str) -> None:
    found = started(stage)["distributions"]
    held = {normal(name): version.split("+")[0] for name, version in found.items()}
    held.pop("pip")
    assert {k: v for k, v in held.items() if not OF_CUDA.match(k)} == of_stage(stage)


def test_each_environment_runs_jobs_of_its_stage(conda: Snakemake, copy: Path) -> None:
    done = conda(copy, "--profile", "smoke", *SMOKE)
    assert done.returncode == 0, done.stdout
    assert set(job_counts(done.stdout)) >= {"data", "encode_item_ids", "walks", "cpt", "fit"}
    activated = re.findall(r"^Activating conda environment: \S*?(\w+)$", done.stdout, flags=re.M)
    assert len(set(activated)) == len(STAGES)
    assert all((copy / target).stat().st_size for target in SMOKE[:2])
    assert (copy / "paper/smoke/tables/table8.csv").stat().st_size


def test_an_environment_that_lacks_a_package_fails_by_its_name(
    conda: Snakemake, copy: Path, tmp_path: Path
) -> None:
    whole = ROOT / "envs/scaling.yaml"
    lines = whole.read_text().splitlines(keepends=True)
    lacking = [line for line in lines if "- statsmodels==" not in line]
    assert len(lacking) == len(lines) - 1
    repository = tmp_path / "repository"
    (repository / "envs").mkdir(parents=True)
    (repository / "src").symlink_to(copy / "src")
    (repository / "envs/scaling.yaml").write_text("".join(lacking))
    folder = start_everywhere(tmp_path / "starts", repository, ["scaling"])
    done = conda(folder, "--cores", "1", "--configfile", "config.json")
    assert done.returncode != 0
    assert "ModuleNotFoundError: No module named 'statsmodels'" in done.stdout
    assert not (folder / "found/scaling.json").exists()
