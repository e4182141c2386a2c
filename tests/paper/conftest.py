"""Finished artefacts of one rung, for the tests of the report."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tidy_inputs
from recscale.figures import fig1, fig2, fig6a
from recscale.paper import compile as paper
from recscale.tables import (
    item_id_methods,
    ranking_arms,
    table2,
    table3,
    table4,
    table7,
    table8,
    table9,
)
from tidy_inputs import PUBLISHED, SIZES


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the inputs of the report: artefacts/, verdicts.csv, card.json, manifests."""
    folder = tmp_path_factory.mktemp("finished")
    windows = tidy_inputs.training_windows(folder)
    held_out = tidy_inputs.held_out_windows(folder)
    fits = [tidy_inputs.fits(folder, size) for size in SIZES]
    manifests = [tidy_inputs.run_manifest(folder, size) for size in SIZES]
    curves = [tidy_inputs.curves(folder, size) for size in SIZES]
    training = [tidy_inputs.training(folder, size) for size in SIZES]
    ranks = [tidy_inputs.ranks(folder, model) for model in ("GRU4Rec", "SASRec")]
    baselines = [tidy_inputs.ranks(folder, model) for model in ("Popularity", "ItemKNN")]
    tidy_inputs.verdicts(folder)
    tidy_inputs.data_card(folder)
    quality = tidy_inputs.quality_file(folder)
    law = ["--published", PUBLISHED / "table4_scaling_laws.csv"]
    claims = ["--published", PUBLISHED / "claims.csv"]
    commands: dict[str, tuple[Callable[[], None], list[object]]] = {
        "table2": (
            table2.main,
            [
                *("--windows", *windows, "--run-manifest", manifests[2]),
                *("--published", PUBLISHED / "table2_training_data.csv"),
            ],
        ),
        "table3": (
            table3.main,
            ["--windows", *held_out, "--published", PUBLISHED / "table3_holdout_data.csv"],
        ),
        "table4": (table4.main, ["--fits", *fits, *law]),
        "table8": (
            table8.main,
            [
                *("--sweep", tidy_inputs.sweep(folder)),
                *("--published", PUBLISHED / "table8_walk_sweep.csv"),
            ],
        ),
        "table7": (table7.main, ["--nearest", tidy_inputs.nearest(folder)]),
        "table9": (
            table9.main,
            ["--quality", quality, "--published", PUBLISHED / "table9_rq_sweep.csv"],
        ),
        "ranking_strata": (
            ranking_arms.main,
            [
                *("--target", "ranking_strata", "--ranks", *ranks, *baselines),
                *("--cutoffs", 10, 100),
                *("--seed", 1, "--replicates", 50),
            ],
        ),
        "item_id_methods": (item_id_methods.main, ["--quality", quality]),
        "fig1": (fig1.main, ["--ranks", *ranks, *claims, "--seed", 1]),
        "fig2": (fig2.main, ["--curves", *curves, "--fits", *fits, *law, "--burn-in", 0.06]),
        "fig6a": (fig6a.main, ["--training", *training, "--manifests", *manifests, *claims]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for target, (main, flags) in commands.items():
            kind = "tables" if target in paper.TABLES else "figures"
            prefix = folder / "artefacts" / kind / target
            arguments = [*flags, "--rung", "mini", "--out-prefix", prefix]
            patch.setattr(sys, "argv", ["command", *map(str, arguments)])
            main()
    return folder


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Compile the report of a folder of inputs; flags may be replaced by keyword."""

    def compile_folder(folder: Path, out: Path, **changes: object) -> Path:
        flags: dict[str, object] = {
            "main": tidy_inputs.ROOT / "paper" / "main.typ",
            "rung": "mini",
            "name": "mini",
            "artefacts": folder / "artefacts",
            "verdicts": folder / "verdicts.csv",
            "card": folder / "card.json",
            "out": out,
            **changes,
        }
        arguments = [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        manifests = [str(folder / f"{size}-full.json") for size in SIZES]
        monkeypatch.setattr(sys, "argv", ["command", *arguments, "--manifests", *manifests])
        paper.main()
        return out

    return compile_folder
