"""Finished artefacts of one rung, for the tests of the report."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import joint_inputs
import tidy_inputs
from recscale import files
from recscale.contracts import ANSWERED, SEARCHES
from recscale.figures import (
    fig1,
    fig2,
    fig3,
    fig4,
    fig5,
    fig6,
    fig7,
    fig8,
    fig9,
    fig10,
    fig11,
    fig12,
)
from recscale.paper import compile as paper
from recscale.paper.inputs import CONTROL_TABLES, TABLES
from recscale.tables import (
    generation,
    item_id_methods,
    next_item_recall,
    ranking_arms,
    table2,
    table3,
    table4,
    table5,
    table6,
    table7,
    table8,
    table9,
)
from tidy_inputs import PUBLISHED, SIZES, figure_arguments

from . import report_inputs

HISTORIES, WIDTH = 40, 4
SETTINGS = yaml.safe_load((tidy_inputs.ROOT / "config" / "mini.yaml").read_text())


def answers(folder: Path, size: str) -> Path:
    """What a run answers: exact on a tenth of the walks for each size; the most frequent ids never.

    Codes of answers to random histories differ more than those of answers to walks.
    """
    number = np.arange(HISTORIES)
    hit = (number < 4 * (SIZES.index(size) + 1)).astype(float)
    parts = []
    asked = [("model", search) for search in SEARCHES] + [("popularity", SEARCHES[0])]
    for histories in ANSWERED:
        for source, search in asked:
            for beams in (1, 5):
                of_model, is_random = source == "model", histories == "random"
                found = np.full(HISTORIES, np.nan) if is_random else hit * of_model
                frame = pd.DataFrame({"history": number, "width": WIDTH, "history_items": 6})
                same = ("exact", "exact_item", "exact_in_beam", "set", "set_in_beam")
                frame = frame.assign(**dict.fromkeys(same, found))
                frame = frame.assign(prefix=found * WIDTH, prefix_in_beam=found * WIDTH)
                frame["invalid"] = 0.25 * (search == "unconstrained")
                frame["distinct_items"] = 1.0 * beams
                frame["distinct_categories"] = min(beams, 3.0)
                frame["code_distance"] = np.nan if beams == 1 else 0.5 + 0.25 * is_random
                frame["overlap_with_history"] = 0.5 - 0.25 * is_random
                frame = frame.assign(category_in_history=0.5, log_probability=-2.0)
                frame = frame.assign(top_category_in_history=0.6, top_category_by_chance=0.2)
                frame["first_item"] = pd.Series(number if of_model else 0, dtype="Int64")
                frame["first_category"] = pd.Series([7] * HISTORIES, dtype="Int64")
                frame["target"] = pd.Series([None if is_random else 3] * HISTORIES, dtype="Int64")
                labels = {"histories": histories, "source": source, "search": search}
                parts.append(frame.assign(**labels, beams=beams))
    path = folder / size / "generation.parquet"
    whole = pd.concat(parts, ignore_index=True).assign(run=f"{size}-full", size=size, seed=0)
    files.write_table(whole, path, "generation")
    return path


def case_studies(folder: Path) -> Path:
    """Three cases; among all tokens the first answer is no item."""
    rows = []
    for figure, responses in {"fig9": 1, "fig10": 3, "fig11": 5}.items():
        lines = [("prompt", place) for place in range(3)]
        lines += [(search, place) for search in SEARCHES for place in range(responses)]
        lines += [("truth", 0)] * (figure != "fig11")
        for role, position in lines:
            is_item = role != "unconstrained" or position > 0
            codes = " ".join(f"REC{n + (role == 'constrained')}" for n in range(8))
            rows.append(
                {
                    **{"figure": figure, "role": role, "position": position},
                    "codes": f"<RECTOKEN> {codes} </RECTOKEN>" if role == "prompt" else codes,
                    "text": f"oats {position}, in Grocery > Cereal" if is_item else None,
                    "items": int(is_item),
                    "log_probability": -1.5 if role in SEARCHES else None,
                }
            )
    frame = pd.DataFrame(rows).assign(run="size3-full", size="size3", history_items=3)
    frame["chosen_from"] = np.where(frame["figure"] == "fig11", 0, 300)
    path = folder / "case_studies.parquet"
    files.write_table(frame.astype({"log_probability": float}), path, "case_studies")
    return path


def next_items(folder: Path, size: str) -> Path:
    """Where a run puts the next item of a part of the users of `tidy_inputs.ranks`."""
    place = np.arange(100)
    frame = pd.DataFrame({"user_id": place * 3, "test_item": place % 50})
    labels = {"run": f"{size}-full", "size": size, "seed": 0, "history_items": 6, "beams": 100}
    path = folder / size / "next_items.parquet"
    ranked = frame.assign(rank=place + 1 - 5 * SIZES.index(size), log_probability=-3.0)
    ranked["rank"] = ranked["rank"].clip(lower=1)
    files.write_table(ranked.assign(**labels, items=3000), path, "next_items")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report's inputs: artefacts/, both ledgers, card.json and manifests."""
    folder = tmp_path_factory.mktemp("finished")
    windows = tidy_inputs.training_windows(folder)
    held_out = tidy_inputs.held_out_windows(folder)
    tidy_inputs.runs_of_figures(folder)
    fits = [folder / size / "fits.csv" for size in SIZES]
    curves = [folder / size / "curves.parquet" for size in SIZES]
    ranks = [tidy_inputs.ranks(folder, model) for model in ("GRU4Rec", "SASRec")]
    baselines = [tidy_inputs.ranks(folder, model) for model in ("Popularity", "ItemKNN")]
    tidy_inputs.data_card(folder)
    quality = tidy_inputs.quality_file(folder)
    law = ["--published", PUBLISHED / "table4_scaling_laws.csv"]
    claims = ["--published", PUBLISHED / "claims.csv"]
    commands: dict[str, tuple[Callable[[], None], list[object]]] = {
        "table2": (
            table2.main,
            [
                *("--windows", *windows, "--run-manifest", folder / "size3-full.json"),
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
        "generation": (
            generation.main,
            ["--generation", *(answers(folder, size) for size in SIZES)],
        ),
        "next_item_recall": (
            next_item_recall.main,
            [
                *("--next-items", *(next_items(folder, size) for size in SIZES)),
                *("--ranks", *ranks, *baselines, "--cutoffs", 10, 100),
                *("--seed", 1, "--replicates", 50),
            ],
        ),
        "fig1": (fig1.main, ["--ranks", *ranks, *claims, "--seed", 1]),
        "fig2": (fig2.main, ["--curves", *curves, "--fits", *fits, *law, "--burn-in", 0.06]),
    }
    cases = case_studies(folder)
    for target, main in {"fig9": fig9.main, "fig10": fig10.main, "fig11": fig11.main}.items():
        commands[target] = main, ["--cases", cases]
    full = {size: f"{size}-full" for size in SIZES}
    ladder = folder / "ladder"
    vocabulary = ladder / "vocabulary.json"
    files.write_json({"vocabulary": joint_inputs.VOCABULARY}, vocabulary)
    commands["fig8"] = (
        fig8.main,
        [
            *("--curves", *(joint_inputs.curves(ladder, run, size) for size, run in full.items())),
            "--manifests",
            *(joint_inputs.manifest(ladder, run, size) for size, run in full.items()),
            *("--tokenizer", vocabulary, "--settings", json.dumps(joint_inputs.SETTINGS)),
        ],
    )
    of_runs = {
        "fig3": fig3.main,
        "fig4": fig4.main,
        "fig5": fig5.main,
        "fig6": fig6.main,
        "fig7": fig7.main,
        "fig12": fig12.main,
        "table5": table5.main,
        "table6": table6.main,
    }
    for target, main in of_runs.items():
        whole = tidy_inputs.table_arguments if target in TABLES else figure_arguments
        commands[target] = main, whole(target, folder, Path())[:-4]  # without rung and prefix
    commands |= report_inputs.ledgers(folder) | report_inputs.audits(folder)
    commands |= report_inputs.controls(folder, commands["fig8"][1])
    for target, (main, flags) in commands.items():
        kind = "tables" if target in (*TABLES, *CONTROL_TABLES) else "figures"
        prefix = folder / "artefacts" / kind / target
        report_inputs.run(main, *flags, "--rung", "mini", "--out-prefix", prefix)
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
            "published": PUBLISHED,
            "settings": json.dumps(SETTINGS),
            "out": out,
            **changes,
        }
        arguments = [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        manifests = [str(folder / f"{size}-full.json") for size in SIZES]
        monkeypatch.setattr(sys, "argv", ["command", *arguments, "--manifests", *manifests])
        paper.main()
        return out

    return compile_folder
