"""Plans, and training several runs of a size in one process."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from recscale.errors import UserError
from recscale.files import read_json, read_table, sha256, write_json
from recscale.pretraining import base, cpt, ladder, plan

from .tiny_curriculum import (
    Curriculum,
    base_options,
    cpt_options,
    cpt_settings,
    run_module,
    settings,
)


def plan_of(curriculum: Curriculum, **changes: Any) -> dict[str, Any]:
    """A plan of three runs, one of which starts from another."""
    common, whole = settings(), cpt_settings()
    own = {k: v for k, v in whole.items() if k not in common}
    wsd = {"schedule": "wsd", "evaluations": 3}
    templates = {
        "base": "base/size1.json",
        "windows": str(curriculum.train),
        "held_out": str(curriculum.held_out),
        "item_ids": str(curriculum.root / "item_{ids}.parquet"),
        "tokenizer": str(curriculum.tokenizer),
        "trunk": "{trunk}/manifest.json",
    }
    names = ("checkpoints", "folder", "curves", "training", "manifest")
    endings = ("", "", ".parquet", ".parquet", ".json")
    templates |= {n: f"{{run}}/{n}{end}" for n, end in zip(names, endings, strict=True)}
    values = {
        "size": "size1",
        "results": str(curriculum.root / "planned"),
        "common": common,
        "base": {},
        "base_paths": {
            "windows": str(curriculum.train / "base.npy"),
            "held_out": str(curriculum.held_out / "general.npy"),
            "tokenizer": str(curriculum.tokenizer),
            "checkpoints": "base/checkpoints",
            "folder": "base/size1",
            "manifest": "base/size1.json",
            "training": "base/size1.parquet",
        },
        "runs": {
            "one": {"ids": "ids", "trunk": None, "control": False, "settings": own},
            "wsd": {
                "ids": "ids",
                "trunk": None,
                "control": True,
                "settings": own | wsd | {"branches": [0.5]},
            },
            "wsd_0.5": {
                "ids": "ids",
                "trunk": "wsd",
                "control": True,
                "settings": own | wsd | {"horizon": 0.5},
            },
        },
        "run_paths": templates,
    }
    return values | changes


def climb(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["ladder", *arguments])
    ladder.main()


def test_a_plan_is_written_and_climbed(
    curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = curriculum.root / "plan.json"
    text = json.dumps(plan_of(curriculum))
    monkeypatch.setattr("sys.argv", ["plan", "--plan", str(path), "--settings", text])
    plan.main()
    out = curriculum.root / "elsewhere"
    climb(monkeypatch, "--plan", str(path), "--results", str(out))
    assert (out / "one/manifest.json").is_file() and not (out / "wsd").exists()
    before = (out / "one/curves.parquet").stat().st_mtime_ns
    climb(monkeypatch, "--plan", str(path), "--results", str(out), "--controls")
    assert (out / "one/curves.parquet").stat().st_mtime_ns == before  # finished is finished
    assert read_table(out / "wsd_0.5/curves.parquet", "curves")["step"].min() > 16
    found = read_json(out / "pretraining/provenance-size1.json")
    assert found["seconds"].keys() == {"base", "one", "wsd", "wsd_0.5"}
    assert found["plan"] == sha256(path) and found["packages"]["torch"]
    # The same run as a command of its own.
    run_module(monkeypatch, base, base_options(curriculum))
    options = cpt_options(curriculum, "one")
    run_module(monkeypatch, cpt, options)
    assert sha256(options["curves"]) == sha256(out / "one/curves.parquet")


def test_named_runs_are_climbed_alone(
    curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plan.checked(plan.build(plan.Plan, plan_of(curriculum), "p"), "p")
    assert ladder.chosen_runs(found, None, False) == ["one"]
    assert ladder.chosen_runs(found, None, True) == ["one", "wsd", "wsd_0.5"]
    assert ladder.chosen_runs(found, ["wsd"], False) == ["wsd"]
    with pytest.raises(UserError, match="--runs names two; known: one, wsd"):
        ladder.chosen_runs(found, ["two"], False)
    assert asdict(plan.run_settings(found, "wsd_0.5"))["horizon"] == 0.5
    assert plan.run_paths(found, "one", Path("r")).trunk is None
    assert plan.run_paths(found, "wsd_0.5", Path("r")).trunk == Path("r/wsd/manifest.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["runs"]["wsd_0.5"].update(trunk="two"), "starts from two, which is no run"),
        (lambda p: p["runs"]["one"]["settings"].pop("uih"), "runs.one lacks the key 'uih'"),
        (lambda p: p["common"].update(tokens="many"), "base.tokens is 'many'"),
        (lambda p: p.pop("size"), "lacks the key 'size'"),
    ],
)
def test_a_plan_that_cannot_be_climbed(
    change: Any, message: str, shared_curriculum: Curriculum, tmp_path: Path
) -> None:
    values = plan_of(shared_curriculum)
    change(values)
    write_json(values, tmp_path / "plan.json")
    with pytest.raises(UserError, match=message):
        plan.read_plan(tmp_path / "plan.json")
