"""What a finished run gives again, and when it is trained instead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recscale.budget.seen import given_again
from recscale.files import sha256, write_text
from recscale.pretraining import cpt, finished

from .tiny_curriculum import Curriculum, cpt_options, cpt_settings, run_module

OUTPUTS = ("curves", "training", "manifest")
ALL_IMPORTED = """
import sys, recscale.pretraining.cpt
print(*(m.__file__ for name, m in sys.modules.items() if name.startswith("recscale")))
"""
SETTINGS = {"schedule": "wsd", "branches": [0.5]}  # another run starts from a checkpoint of it


class Trains(Exception):
    """Raised in place of training."""


def trains(*arguments: object) -> None:
    raise Trains


@pytest.fixture
def lost(
    trained: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], list[str]]:
    """A run that was finished and whose outputs were deleted; its options and its hashes.

    It reads files of its own, whose fingerprints are always the same: those of the paper's sizes
    read the ends of a file only.
    """
    monkeypatch.setattr(cpt, "fingerprint", lambda path: path.name)
    folder = tmp_path / "pretraining/lost"
    out = {name: folder / name for name in ("checkpoints", "folder", *OUTPUTS)}
    options = cpt_options(trained, "lost", settings=cpt_settings(**SETTINGS), **out)
    for name in ("windows", "held_out", "tokenizer"):
        options[name] = shutil.copytree(options[name], tmp_path / name)
    run_module(monkeypatch, cpt, options)
    hashes = [sha256(options[name]) for name in OUTPUTS]
    for name in OUTPUTS:
        options[name].unlink()
    monkeypatch.setattr(cpt, "train", trains)
    return options, hashes


def checkpoints(options: dict[str, Any]) -> list[Path]:
    """The checkpoints there are."""
    return list(options["checkpoints"].glob("*/step-*"))


def test_a_finished_run_is_not_trained_again(
    lost: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the tokens per second of its training table are others."""
    options, hashes = lost
    before = checkpoints(options)
    assert len(before) == 1
    run_module(monkeypatch, cpt, options)
    assert [sha256(options[name]) for name in OUTPUTS] == hashes
    assert checkpoints(options) == before
    # The seconds of its job are not taken for a training's.
    assert given_again(options["checkpoints"].parents[2]) == {"cpt-lost"}


def rewritten(path: Path) -> None:
    """Change a byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


CHANGES = ("settings", "code", "package", "windows", "held-out", "tokenizer", "model", "table")


@pytest.mark.parametrize("change", [*CHANGES, "branch"])
def test_a_change_of_anything_trains_from_the_beginning(
    change: str, lost: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = lost
    if change == "settings":
        options["settings"] = cpt_settings(**SETTINGS, learning_rate=0.002)
    elif change == "code":
        extra = options["checkpoints"].with_name("extra.py")
        write_text("", extra)
        sources = finished.sources()
        monkeypatch.setattr(finished, "sources", lambda: [*sources, extra])
    elif change == "package":
        monkeypatch.setattr(finished, "version", lambda name: f"{name} of another version")
    elif change == "windows":
        rewritten(options["windows"] / "cf.npy")
    elif change == "held-out":
        rewritten(options["held_out"] / "general.npy")
    elif change == "tokenizer":
        path = options["tokenizer"] / "manifest.json"
        values = json.loads(path.read_text())
        write_text(json.dumps(values | {"number_ids": values["number_ids"][1:]}), path)
    elif change == "model":
        rewritten(options["folder"] / "model.safetensors")
    elif change == "table":
        (kept,) = (options["checkpoints"] / "finished").glob("*/curves.parquet")
        rewritten(kept)
    else:
        # No part of what a run is; but it must have kept the checkpoint.
        options["settings"] = cpt_settings(**SETTINGS | {"branches": [0.7]})
    with pytest.raises(Trains):
        run_module(monkeypatch, cpt, options)
    # Of a run with other settings they are of use when those are restored.
    assert bool(checkpoints(options)) == (change == "settings")
    assert bool(list(options["checkpoints"].glob("finished/*"))) == (change == "settings")


def test_restored_settings_have_their_results_again(
    lost: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, hashes = lost
    with pytest.raises(Trains):
        run_module(monkeypatch, cpt, options | {"settings": cpt_settings(learning_rate=0.002)})
    run_module(monkeypatch, cpt, options)
    assert [sha256(options[name]) for name in OUTPUTS] == hashes


def test_a_disk_that_is_full_at_the_end_costs_no_checkpoint(
    trained: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = {name: tmp_path / name for name in ("checkpoints", "folder", *OUTPUTS)}
    options = cpt_options(trained, "full", **out)
    with monkeypatch.context() as patch:
        patch.setattr(finished.shutil, "copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            run_module(monkeypatch, cpt, options)
    before = checkpoints(options)
    assert before
    found = []
    monkeypatch.setattr(cpt, "train", lambda *arguments: found.append(arguments[7].latest()))
    with pytest.raises(AttributeError):  # of what has not been trained
        run_module(monkeypatch, cpt, options)
    assert found == [max(before)]


def full(source: Path, target: Path) -> None:
    raise OSError(28, "No space left on device", str(target))


def test_checkpoints_are_removed_once_and_not_those_of_the_new_training(
    lost: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = lost
    rewritten(options["windows"] / "cf.npy")
    found: list[list[str]] = []

    def stopped(*arguments: Any) -> None:
        folder = arguments[7].folder
        found.append([path.name for path in folder.glob("*")])
        (folder / f"step-{len(found)}").mkdir(parents=True)
        raise Trains

    monkeypatch.setattr(cpt, "train", stopped)
    for _ in range(2):
        with pytest.raises(Trains):
            run_module(monkeypatch, cpt, options)
    assert found == [[], ["step-1"]]


def test_the_sources_are_those_of_training_and_what_it_stands_on() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", ALL_IMPORTED],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {Path(line) for line in shown.stdout.split()}
    assert {path.name for path in imported} >= {"cpt.py", "files.py", "columns.py"}
    assert imported <= set(finished.sources())
    assert not any("figures" in path.parts for path in finished.sources())
