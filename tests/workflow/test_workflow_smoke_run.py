"""The rung `smoke`, end to end through Snakemake itself, and what makes it run again."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from repository_copy import copy_of_repository, snakemake

TABLES = (
    *(f"table{number}" for number in range(2, 10)),
    *("generation", "item_id_methods", "next_item_recall", "ranking_strata"),
)
FIGURES = tuple(f"fig{number}" for number in range(1, 13) if number != 8)


def rules_to_run(output: str) -> set[str]:
    """The rules of a dry run's table of jobs; empty if there is nothing to do."""
    if "Job stats:" not in output:
        assert "Nothing to be done" in output, output
        return set()
    lines = output.split("Job stats:")[1].split("\n\n")[0].splitlines()
    rows = (re.fullmatch(r"(\w+)\s+\d+", line.strip()) for line in lines)
    return {row[1] for row in rows if row} - {"total"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A copy of the repository with the whole rung built in it."""
    folder = copy_of_repository(tmp_path_factory.mktemp("smoke") / "first")
    done = snakemake(folder, "--profile", "smoke", "all")
    assert done.returncode == 0, done.stdout
    return folder


def test_every_artefact_is_there(built):
    paper = built / "paper/smoke"
    for name in TABLES:
        assert all((paper / f"tables/{name}.{kind}").stat().st_size for kind in ("csv", "tex"))
    for name in FIGURES:
        for kind in ("svg", "pdf", "csv", "tex"):
            assert (paper / f"figures/{name}.{kind}").stat().st_size
    assert (paper / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert (built / "results/smoke/claims/verdicts.csv").read_text().count("\n") >= 35


def test_a_second_run_has_nothing_to_do(built):
    assert not rules_to_run(snakemake(built, "--profile", "smoke", "-n", "all").stdout)


def test_touched_sources_rerun_nothing(built):
    before = {file: file.stat() for file in (built / "src").rglob("*.py")}
    try:
        for file in before:
            os.utime(file)
        assert not rules_to_run(snakemake(built, "--profile", "smoke", "-n", "all").stdout)
    finally:
        for file, stat in before.items():
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_an_edit_of_the_walks_reruns_them_and_what_follows_and_nothing_else(built):
    file = built / "src/recscale/curriculum/walks.py"
    text = file.read_text()
    before = file.stat()
    file.write_text(text + "\n# edited\n")
    try:
        rerun = rules_to_run(snakemake(built, "--profile", "smoke", "-n", "all").stdout)
    finally:
        file.write_text(text)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert {"walks", "walk_sweep", "training_windows", "cpt", "fit", "table4", "fig1"} <= rerun
    untouched = {"data", "embeddings", "fit_item_ids", "encode_item_ids", "association_rules"}
    untouched |= {"item_id_quality", "graph", "tokenizer"}
    assert not rerun & (untouched | {"general_text"})


def test_an_edit_is_seen_even_if_snakemakes_records_are_lost(built):
    records, kept = built / ".snakemake", built / ".snakemake.kept"
    file = built / "src/recscale/curriculum/walks.py"
    text = file.read_text()
    before = file.stat()
    records.rename(kept)
    try:
        file.write_text(text + "\n# edited\n")
        rerun = rules_to_run(snakemake(built, "--profile", "smoke", "-n", "all").stdout)
    finally:
        file.write_text(text)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        if records.exists():
            records.rename(built / ".snakemake.dry")
        kept.rename(records)
    assert {"walks", "walk_sweep"} <= rerun
    assert not rerun & {"data", "embeddings", "fit_item_ids", "association_rules", "graph"}


def test_a_lost_table_is_one_job_and_seconds(built):
    for kind in ("csv", "tex"):
        (built / f"paper/smoke/tables/table4.{kind}").unlink()
    planned = rules_to_run(snakemake(built, "--profile", "smoke", "-n", "table4").stdout)
    assert planned == {"table4"}
    done = snakemake(built, "--profile", "smoke", "table4")
    assert done.returncode == 0, done.stdout
    assert "1 of 1 steps" in done.stdout


def test_a_config_change_reruns_the_stage_that_reads_it(built, tmp_path):
    config = (built / "config/smoke.yaml").read_text()
    changed = re.sub(r"burn_in: [0-9.]+", "burn_in: 0.11", config)
    assert changed != config
    (built / "config/smoke.yaml").write_text(changed)
    try:
        rerun = rules_to_run(snakemake(built, "--profile", "smoke", "-n", "all").stdout)
    finally:
        (built / "config/smoke.yaml").write_text(config)
    assert "fit" in rerun
    assert not rerun & {"cpt", "base_model", "walks", "data", "train_ranking"}


def test_the_report_holds_every_artefact(built):
    report = built / "report.html"
    done = snakemake(built, "--profile", "smoke", "--report", str(report), "all")
    assert done.returncode == 0, done.stdout
    text = report.read_text()
    for name in (*TABLES, *FIGURES, "claims", "paper"):
        assert f'"artefact": "{name}"' in text or f'"artefact":"{name}"' in text, name


def test_a_truncated_intermediate_file_is_named_and_its_output_not_left_behind(built):
    rules = built / "results/smoke/rules/rules.parquet"
    content, before = rules.read_bytes(), rules.stat()
    sweep = built / "results/smoke/graph"
    kept = {path: path.read_bytes() for path in sweep.iterdir()}
    times = {path: path.stat() for path in sweep.iterdir()}
    try:
        rules.write_bytes(content[: len(content) // 2])
        target = "results/smoke/graph/train.npz"
        done = snakemake(built, "--profile", "smoke", "--force", target)
        assert done.returncode != 0
        assert "recscale: error: results/smoke/rules/rules.parquet is truncated" in done.stdout
        assert "Traceback" not in done.stdout
        assert not (built / target).exists()
    finally:
        rules.write_bytes(content)
        os.utime(rules, ns=(before.st_atime_ns, before.st_mtime_ns))
        for path, data in kept.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            os.utime(path, ns=(times[path].st_atime_ns, times[path].st_mtime_ns))


def test_two_runs_from_scratch_give_the_same_bytes(built, tmp_path):
    second = copy_of_repository(tmp_path / "second")
    start = time.monotonic()
    done = snakemake(second, "--profile", "smoke", "all")
    assert done.returncode == 0, done.stdout
    print(json.dumps({"smoke_seconds": round(time.monotonic() - start, 1)}))
    compared = 0
    for pattern in (
        "data/*.parquet",
        "item_ids/*.*",
        "item_ids/quality/*",
        "rules/*.parquet",
        "rules/pairs/*",
        "graph/*.npz",
        "walks/*.csv",
        "walks/*/*",
        "tokenizer/*/*",
        "windows/*/*/*",
        "real_histories/*",
        "ranking/*/*.parquet",
        "pretraining/*/curves.parquet",
        "pretraining/*/model/model.safetensors",
        "pretraining/*/generation.parquet",
        "pretraining/*/case_studies.parquet",
        "pretraining/*/next_items.parquet",
        "scaling/*.csv",
        "claims/*.csv",
    ):
        paths = sorted((built / "results/smoke").glob(pattern))
        assert paths, pattern
        for path in paths:
            other = second / path.relative_to(built)
            assert path.read_bytes() == other.read_bytes(), path.relative_to(built)
            compared += 1
    assert compared > 40
    for kind, names in (("tables", TABLES), ("figures", FIGURES)):
        for name in names:
            path = f"paper/smoke/{kind}/{name}.csv"
            assert (built / path).read_bytes() == (second / path).read_bytes(), path
    paper = "paper/smoke/paper.pdf"
    assert (built / paper).read_bytes() == (second / paper).read_bytes()
