"""What a user types first: rungs, dry runs, and the lines that bad config gets."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from repository_copy import ROOT, job_counts, snakemake

RUNGS = ("smoke", "mini", "h200", "b200")


def artefact_rules() -> str:
    """The rules of tables, figures, verdicts and the paper."""
    files = ("audits", "generation", "joint_law", "tables", "figures", "claims", "paper")
    return "\n".join((ROOT / f"workflow/rules/{name}.smk").read_text() for name in files)


def experiments() -> dict:
    return yaml.safe_load((ROOT / "config/experiments.yaml").read_text())


def config(rung: str) -> dict:
    return yaml.safe_load((ROOT / f"config/{rung}.yaml").read_text())


@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_dry_runs(repository, rung):
    done = snakemake(repository, "--profile", rung, "-n", "all")
    assert done.returncode == 0, done.stdout
    counts = job_counts(done.stdout)
    runs = experiments()["runs"].values()
    assert counts["cpt"] == sum(not run.get("control", False) for run in runs) == 19
    # Answers and next items of the four sizes; the case studies are of one run.
    found = [counts[rule] for rule in ("answers", "next_items", "case_studies")]
    assert found == [4, 4, 1]
    # Two arms: every model with two budgets, and two baselines.
    assert counts["train_ranking"] == 2 * (2 * len(config(rung)["ranking"]["models"]) + 2)
    assert f"results/{rung}/" in done.stdout
    others = [f"results/{other}/" for other in RUNGS if other != rung]
    assert not any(other in done.stdout for other in others)


def test_the_plain_command_builds_the_default_rung(repository):
    plain = snakemake(repository, "-n", "--cores", "2")
    assert plain.returncode == 0, plain.stdout
    profiled = job_counts(snakemake(repository, "--profile", "mini", "-n", "all").stdout)
    counts = job_counts(plain.stdout)
    # `default` stands in for `all`.
    assert (counts.pop("default"), profiled.pop("all")) == (1, 1)
    assert counts == profiled
    assert "results/mini/" in plain.stdout


def test_controls_are_a_target_of_their_own(repository):
    counts = job_counts(snakemake(repository, "--profile", "mini", "-n", "all_controls").stdout)
    runs = experiments()["runs"]
    assert counts["cpt"] == len(runs)
    assert counts["fit"] == len(runs)  # the claims read the laws of all
    for target in (
        *("ranking_controls", "true_preference", "pretraining_controls", "fig4_controls"),
        *("paper", "generation", "next_item_recall", "joint_law", "fig8_frontier"),
        *("forecast_seen", "repetition"),
    ):
        assert counts[target] == 1, target
    # Three control arms, and two arms that walks stop, of two models each.
    assert counts["train_ranking"] == 2 * (2 * 4 + 2) + 2 * (3 + 2)


def test_a_run_shared_by_artefacts_is_trained_once(repository):
    done = snakemake(repository, "--profile", "mini", "-n", "fig2", "table4", "fig6", "table2")
    # Four sizes on the full mixture, and five UIH ratios.
    assert job_counts(done.stdout)["cpt"] == 4 + 5


def test_an_artefact_needs_nothing_of_another(repository):
    counts = job_counts(snakemake(repository, "--profile", "mini", "-n", "fig1").stdout)
    assert not {"cpt", "base_model", "tokenizer", "sae"} & set(counts)
    counts = job_counts(snakemake(repository, "--profile", "mini", "-n", "table8").stdout)
    assert not {"cpt", "train_ranking", "tokenizer"} & set(counts)
    counts = job_counts(snakemake(repository, "--profile", "mini", "-n", "fig9").stdout)
    assert (counts["cpt"], counts["case_studies"]) == (1, 1)
    assert not {"answers", "next_items", "train_ranking"} & set(counts)
    counts = job_counts(snakemake(repository, "--profile", "mini", "-n", "next_item_recall").stdout)
    # Two models and two baselines on two arms, with one budget.
    assert (counts["cpt"], counts["next_items"], counts["train_ranking"]) == (4, 4, 8)
    assert "fit" not in counts


def test_the_plans_for_a_machine_without_the_workflow_train_nothing(repository):
    done = snakemake(repository, "--profile", "h200", "-n", "training_plans")
    counts = job_counts(done.stdout)
    assert counts["training_plan"] == 4
    assert not {"cpt", "base_model", "train_ranking"} & set(counts)
    assert "results/h200/pretraining/plans/size1.json" in done.stdout


def test_profiles_lie_where_the_command_finds_them():
    for rung in RUNGS:
        assert os.readlink(ROOT / rung) == f"workflow/profiles/{rung}"
        profile = yaml.safe_load((ROOT / rung / "config.yaml").read_text())
        assert profile["configfile"] == [f"config/{rung}.yaml"]
        assert "keep-incomplete" not in profile
    found = {path.name for path in (ROOT / "workflow/profiles").iterdir()}
    assert found - {"README.md"} == {*RUNGS, "reviewer"}


@pytest.mark.parametrize("rung", RUNGS)
def test_a_config_file_is_named_after_its_rung_and_commented_line_by_line(rung):
    assert config(rung)["name"] == config(rung)["rung"] == rung
    for line in (ROOT / f"config/{rung}.yaml").read_text().splitlines():
        value = re.match(r"\s*\w+: +[^ #{]", line)
        assert not value or "#" in line, line


def test_the_papers_rung_has_the_papers_numbers():
    paper = config("b200")
    training = paper["pretraining"]
    assert training["cpt"] == {"tokens": 163_840_000_000, "learning_rate": 1e-4}
    assert training["batch_windows"] == 512
    assert paper["curriculum"]["windows"]["length"] == 512
    assert training["warm_up_steps"] == 100
    assert training["cpt"]["tokens"] == 625_000 * 512 * 512
    checkpoints = [size["checkpoint"] for size in training["sizes"].values()]
    assert checkpoints == [f"Qwen/Qwen3-{n}-Base" for n in ("0.6B", "1.7B", "4B", "8B")]
    walks = paper["curriculum"]["walks"]
    chosen = (walks["order"], walks["stop_probability"], walks["threshold"], walks["min_items"])
    assert chosen == (1, 0.15, 1e-9, 5)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("data", "sorce"), "x", "config: data: Additional properties are not allowed ('sorce'"),
        (("seed",), "seven", "config: seed: 'seven' is not of type 'integer'"),
        (("rung",), "huge", "config: rung: 'huge' is not one of"),
        (("curriculum", "walks", "stop_probability"), 2, "curriculum.walks.stop_probability: 2"),
        (("pretraining", "sizes", "size1", "hiden"), 1, "pretraining.sizes.size1: Additional"),
    ],
)
def test_a_wrong_key_is_named_in_one_line(repository, tmp_path, path, value, named):
    values = config("smoke")
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(values))
    done = snakemake(repository, "--configfile", str(file), "-n", "all")
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if named in line]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout


def test_a_missing_key_is_named(repository, tmp_path):
    values = config("smoke")
    del values["scaling"]["burn_in"]
    file = tmp_path / "missing.yaml"
    file.write_text(yaml.safe_dump(values))
    done = snakemake(repository, "--configfile", str(file), "-n", "all")
    assert done.returncode != 0
    assert "config: scaling: 'burn_in' is a required property" in done.stdout


def test_a_rung_that_does_not_exist_is_named(repository):
    done = snakemake(repository, "--profile", "h100", "-n", "all")
    assert done.returncode != 0
    assert "h100" in done.stdout


@pytest.mark.parametrize(
    "module",
    ["data.prepare", "curriculum.walks", "curriculum.sweep", "scaling.fit", "tables.table4"],
)
def test_the_code_of_a_rule_is_what_its_command_imports(repository, module):
    """The files that `code()` finds from the text are those that Python then loads."""
    probe = (
        f"import sys, recscale.{module}\n"
        "print(*sorted(m.__file__ for n, m in sys.modules.items() if n.startswith('recscale')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    loaded = {str(Path(file).resolve().relative_to(ROOT)) for file in loaded}
    target = {
        "data.prepare": "results/smoke/data/card.json",
        "curriculum.walks": "results/smoke/walks/train/0.parquet",
        "curriculum.sweep": "results/smoke/walks/sweep.csv",
        "scaling.fit": "results/smoke/scaling/size1-full.csv",
        "tables.table4": "paper/smoke/tables/table4.csv",
    }[module]
    done = snakemake(repository, "--profile", "smoke", "-n", target)
    blocks = re.findall(r"input: (.*)\n    output: (.*)", done.stdout)
    inputs = next(i for i, o in blocks if target in o.split(", "))
    assert {f for f in inputs.split(", ") if f.startswith("src/")} == loaded


def test_every_rule_says_what_it_does_and_every_artefact_has_a_caption():
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        text = path.read_text()
        assert text.startswith('"""'), path.name
        for rule in re.findall(r"^rule \w+:\n(.*)", text, flags=re.M):
            assert rule.strip().startswith('"""'), (path.name, rule)
    captions = re.findall(
        r'(?:shown\(\w+\("\w+"\), |caption="../report/)"?([a-z0-9_]+)',
        artefact_rules(),
    )
    assert len(captions) >= 9
    for name in captions:
        assert (ROOT / f"workflow/report/{name}.rst").is_file(), name


def test_the_readmes_table_names_what_there_is_and_its_minutes_were_measured():
    """Each row: target, module, and the minutes of the committed measurement."""
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| .+ \| `(\w+)` \| `([\w.]+)` \| ([0-9.]+) \|$", readme, flags=re.M)
    record = json.loads((ROOT / "results/reference/mini/minutes.json").read_text())
    measured, elapsed = record["job_minutes"], record["elapsed_minutes"]
    rules = artefact_rules()
    assert {target for target, *_ in rows} == set(measured) - {"all"}
    for target, module, minutes in rows:
        assert f"rule {target}:" in rules
        assert f"recscale.{module} " in rules
        assert (ROOT / "src/recscale" / (module.replace(".", "/") + ".py")).is_file()
        assert float(minutes) == measured[target]
    assert f"took {measured['all']} job minutes" in readme
    assert f"two CPU cores, {elapsed['all']} minutes" in readme
    assert f"ended in {elapsed['all']} minutes on two cores" in readme
    assert f"with `all_controls` in {elapsed['all_controls']}." in readme


STAGES = ("data", "item_ids", "curriculum", "ranking", "pretraining", "scaling", "paper")


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_holds_what_its_stage_imports(stage):
    """Every package that a stage's modules and the shared helpers import is pinned."""
    source = ROOT / "src/recscale"
    folders = {"scaling": ("scaling", "claims"), "paper": ("paper", "tables", "figures")}
    modules = [*source.glob("*.py")]
    for folder in folders.get(stage, (stage,)):
        modules += (source / folder).glob("*.py")
    if stage not in ("data", "curriculum"):
        modules.remove(source / "database.py")
    text = "\n".join(module.read_text() for module in modules)
    imported = set(re.findall(r"^ *(?:from|import) (\w+)", text, flags=re.M))
    imported -= {*sys.stdlib_module_names, "recscale", "recbole"}
    owners = importlib.metadata.packages_distributions()
    pins = yaml.safe_load((ROOT / f"envs/{stage}.yaml").read_text())["dependencies"][-1]["pip"]
    pinned = {re.sub("[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins}
    for name in imported & set(owners):
        assert re.sub("[-_.]+", "-", owners[name][0]).lower() in pinned, name
