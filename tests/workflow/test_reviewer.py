"""Reviewers: every artefact from committed tidy files, without a measurement."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from recscale.reference.cells import differences
from recscale.reference.manifest import read_reference, verify
from recscale.reference.tolerances import OF_EQUAL_FILES
from repository_copy import ROOT, copy_of_repository, job_counts, snakemake

COMMITTED = ROOT / "results/reference/mini"
READING = {"scaling.yaml", "paper.yaml"}
MEASURING = {"data", "embeddings", "walks", "tokenizer", "train_ranking", "base_model", "cpt"}


def environments() -> dict[str, str]:
    """The environment that each rule's text names; targets name none."""
    found = {}
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for block in re.split(r"^ *(?=rule \w+:)", path.read_text(), flags=re.M)[1:]:
            name = re.match(r"rule (\w+):", block)[1]
            environment = re.search(r'^ *conda:\n *"\.\./\.\./envs/(.+)"', block, flags=re.M)
            if environment:
                found[name] = environment[1]
    return found


def tidy_files(repository: Path) -> list[str]:
    """What the target reference collects to restore, below the folder of results."""
    printed = snakemake(repository, "--profile", "mini", "-n", "reference").stdout
    inputs = re.search(r"^rule reference:\n    input: (.*)$", printed, flags=re.M)
    assert inputs, printed
    files = [f for f in inputs[1].split(", ") if f.startswith("results/mini/")]
    return [f.removeprefix("results/mini/") for f in files if "/claims/" not in f]


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory) -> Path:
    """A copy of the repository with a reference of empty files: enough for dry runs."""
    copy = copy_of_repository(tmp_path_factory.mktemp("reviewer") / "copy")
    entry = {"kind": "tidy", "bytes": 0, "sha256": ""}
    files = {path: entry for path in tidy_files(copy)}
    folder = copy / "results/reference/mini"
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    manifest = {"name": "mini", "rung": "mini", "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return copy


@pytest.mark.parametrize("target", ["all", "all_controls"])
def test_no_rule_that_measures_is_in_the_reviewers_dag(reviewed, target):
    done = snakemake(reviewed, "--profile", "reviewer", "-n", target)
    assert done.returncode == 0, done.stdout
    counts = job_counts(done.stdout)
    assert counts["restore_reference"] == counts["paper"] == 1
    assert not MEASURING & set(counts)
    in_environments = environments()
    assert set(in_environments) >= MEASURING
    others = {rule for rule in counts if in_environments.get(rule, "paper.yaml") not in READING}
    assert not others


def test_a_reviewer_gets_every_artefact_that_the_rung_makes(reviewed):
    """What is left of the rung's own jobs are those that only read."""
    rung = job_counts(snakemake(reviewed, "--profile", "mini", "-n", "all").stdout)
    counts = job_counts(snakemake(reviewed, "--profile", "reviewer", "-n", "all").stdout)
    in_environments = environments()
    reading = {r: n for r, n in rung.items() if in_environments.get(r, "paper.yaml") in READING}
    for found in (counts, reading):
        found.pop("total")
    assert counts == {**reading, "restore_reference": 1}


def test_a_table_needs_the_restoring_its_fits_and_nothing_else(reviewed):
    counts = job_counts(snakemake(reviewed, "--profile", "reviewer", "-n", "table4").stdout)
    assert counts == {"restore_reference": 1, "fit": 4, "table4": 1, "total": 6}


def test_a_tidy_file_that_the_reference_lacks_is_an_error_and_no_training(reviewed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(reviewed, copy, symlinks=True)
    manifest = copy / "results/reference/mini/manifest.json"
    value = json.loads(manifest.read_text())
    del value["files"]["pretraining/size3-full/curves.parquet"]
    manifest.write_text(json.dumps(value))
    done = snakemake(copy, "--profile", "reviewer", "-n", "table4")
    assert done.returncode != 0
    assert "MissingInputException in rule fit" in done.stdout
    assert "results/reviewer/pretraining/size3-full/curves.parquet" in done.stdout
    assert "cpt" not in job_counts(done.stdout)
    # In the manifest but gone.
    (copy / "results/reference/mini/walks/sweep.csv").unlink()
    done = snakemake(copy, "--profile", "reviewer", "-n", "table4")
    assert "results/reference/mini/walks/sweep.csv is missing; restore it" in done.stdout
    manifest.unlink()
    done = snakemake(copy, "--profile", "reviewer", "-n", "table4")
    assert "config: reference: results/reference/mini/manifest.json is missing" in done.stdout


def test_a_rule_that_measures_cannot_be_asked_for(reviewed):
    done = snakemake(reviewed, "--profile", "reviewer", "-n", "data")
    assert "No rule to produce data" in done.stdout


def test_the_ledger_shows_the_references_verdicts_where_these_are_committed(reviewed, tmp_path):
    shown = "--reference results/reference/mini/claims/verdicts_controls.csv"
    command = ("--profile", "reviewer", "-n", "-p", "claims", "claims_controls")
    assert "--reference results/reference/mini/claims" not in snakemake(reviewed, *command).stdout
    copy = tmp_path / "copy"
    shutil.copytree(reviewed, copy, symlinks=True)
    (copy / "results/reference/mini/claims").mkdir()
    (copy / "results/reference/mini/claims/verdicts_controls.csv").touch()
    # Not where the controls are: that ledger is what the reference is collected from.
    assert snakemake(copy, *command).stdout.count(shown) == 1


def test_the_profile_lays_its_config_over_minis():
    profile = yaml.safe_load((ROOT / "workflow/profiles/reviewer/config.yaml").read_text())
    assert profile["configfile"] == ["config/mini.yaml", "config/reviewer.yaml"]
    assert os.readlink(ROOT / "reviewer") == "workflow/profiles/reviewer"
    laid_over = yaml.safe_load((ROOT / "config/reviewer.yaml").read_text())
    assert laid_over == {"name": "reviewer", "reference": "results/reference/mini"}
    for path in (ROOT / "config").glob("*.yaml"):
        config = yaml.safe_load(path.read_text())
        if "rung" in config:
            assert config["reference"] is None, path.name


def pins(name: str) -> dict[str, str]:
    """The pinned packages of a requirements file, by their normal names."""
    lines = (ROOT / "envs" / name).read_text().splitlines()
    found = [line for line in lines if line and not line.startswith("#")]
    return {re.sub("[-_.]+", "-", pin.split("==")[0]).lower(): pin for pin in found}


def test_the_reviewers_environment_is_a_small_part_of_the_lock():
    reviewer, lock = pins("reviewer.txt"), pins("lock.txt")
    assert set(reviewer.values()) <= set(lock.values())
    assert not any(name.startswith("torch") for name in reviewer)
    heavy = {"transformers", "duckdb", "faiss-cpu", "igraph", "numba", "scikit-learn", "accelerate"}
    assert heavy <= set(lock)
    assert not heavy & set(reviewer)
    needed = {"snakemake", "jsonschema", "pyyaml"}
    for environment in READING:
        stage = yaml.safe_load((ROOT / "envs" / environment).read_text())
        needed |= {
            re.sub("[-_.]+", "-", p.split("==")[0]).lower()
            for p in stage["dependencies"][-1]["pip"]
        }
    assert needed <= set(reviewer)


def test_the_committed_reference_holds_what_the_workflow_reads(reviewed):
    reference = read_reference(COMMITTED)
    assert (reference.name, reference.rung) == ("mini", "mini")
    assert reference.of_kind("tidy") == sorted(tidy_files(reviewed))
    verify(reference)


def test_a_table_from_the_committed_reference_is_the_committed_table(tmp_path):
    copy = copy_of_repository(tmp_path / "copy")
    shutil.copytree(COMMITTED, copy / "results/reference/mini")
    done = snakemake(copy, "--profile", "reviewer", "--cores", "2", "table4")
    assert done.returncode == 0, done.stdout
    made = copy / "paper/reviewer/tables/table4.csv"
    assert differences(COMMITTED / "tables/table4.csv", made, OF_EQUAL_FILES).empty
    assert not (copy / "results/reviewer/pretraining/size1-full/model").exists()
