"""What a finished run gives again, and when it is trained instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recscale.files import sha256, write_text
from recscale.pretraining import cpt, finished

from .tiny_curriculum import Curriculum, cpt_options, cpt_settings, run_module

OUTPUTS = ("curves", "training", "manifest")


class Trains(Exception):
    """Raised in place of training."""


def trains(*arguments: object) -> None:
    raise Trains


@pytest.fixture
def lost(
    trained: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], list[str]]:
    """A run that was finished and whose outputs were deleted; its options and its hashes."""
    out = {k: tmp_path / k for k in ("checkpoints", "folder", *OUTPUTS)}
    options = cpt_options(trained, "lost", **out)
    run_module(monkeypatch, cpt, options)
    hashes = [sha256(options[name]) for name in OUTPUTS]
    for name in OUTPUTS:
        options[name].unlink()
    monkeypatch.setattr(cpt, "train", trains)
    return options, hashes


def test_a_finished_run_is_not_trained_again(
    lost: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the tokens per second of its training table are others."""
    options, hashes = lost
    run_module(monkeypatch, cpt, options)
    assert [sha256(options[name]) for name in OUTPUTS] == hashes
    (kept,) = (options["checkpoints"] / "finished").iterdir()
    assert len(list(kept.iterdir())) == len(OUTPUTS)


@pytest.mark.parametrize("change", ["settings", "code", "package", "model", "table", "branch"])
def test_a_change_of_anything_trains(
    change: str, lost: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = lost
    if change == "settings":
        options["settings"] = cpt_settings(learning_rate=0.002)
    elif change == "code":
        extra = options["checkpoints"].with_name("extra.py")
        write_text("", extra)
        sources = finished.sources()
        monkeypatch.setattr(finished, "sources", lambda: [*sources, extra])
    elif change == "package":
        monkeypatch.setattr(finished, "version", lambda name: f"{name} of another version")
    elif change == "model":
        model = options["folder"] / "model.safetensors"
        model.write_bytes(model.read_bytes()[:-1])
    elif change == "table":
        (kept,) = (options["checkpoints"] / "finished").glob("*/curves.parquet")
        kept.unlink()
    else:
        # No part of what a run is; but it must have kept the checkpoint.
        options["settings"] = cpt_settings(branches=[0.5])
    with pytest.raises(Trains):
        run_module(monkeypatch, cpt, options)


def test_the_sources_are_those_of_training_and_what_it_stands_on() -> None:
    names = {str(path).rpartition("recscale/")[2] for path in finished.sources()}
    assert {"files.py", "contracts/columns.py", "pretraining/cpt.py"} <= names
    assert not any(name.startswith("figures/") for name in names)
