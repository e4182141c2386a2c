"""The figure of true preference from planted trials: numbers, readings, files and errors."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale import files
from recscale.errors import UserError
from recscale.figures import style, true_preference

SEEDS = 4
# What TSTR and TRTR lose of 0.5, their adjusted recall without a bias, at full strength.
LOSS = {"position_bias": (0.0, 0.3), "popularity_bias": (0.3, 0.1), "exposure_bias": (0.2, 0.2)}


def trial(dial: str, strength: float, seeds: int = SEEDS, model: str = "GRU4Rec") -> pd.DataFrame:
    """Rows of one trial: seeds differ by what both arms share, and a little by arm."""
    rows = []
    for seed in range(seeds):
        for k in (10, 100):
            random = k * (0.002 + 0.001 * strength)  # a bias leaves fewer items
            best = 3 * random
            lost = LOSS.get(dial, (0.0, 0.0))
            adjusted = {
                "tstr": 0.5 - lost[0] * strength + 0.05 * seed + 0.01 * (seed % 2),
                "trtr": 0.5 - lost[1] * strength + 0.05 * seed,
                **{"popularity": 0.1, "random": 0.0, "best": 1.0},
            }
            if dial == "exposure_bias":  # too noisy to tell
                adjusted["tstr"] += 0.3 * (-1) ** seed
            for arm, value in adjusted.items():
                trained = arm in ("tstr", "trtr")
                rows.append(
                    {
                        **{"dial": dial, "strength": strength, "arm": arm, "seed": seed, "k": k},
                        "model": model if trained else arm,
                        "true_recall": random + value * (best - random),
                        "logged_recall": 0.25 if arm == "trtr" else 0.2,
                        **{"n_test": 700, "items": round(500 / (1 + strength / 2))},
                        "examples": 4000 if trained else 0,
                    }
                )
    return pd.DataFrame(rows)


def trials(**options: int) -> list[pd.DataFrame]:
    found = [trial("none", 0.0, **options)]
    return found + [trial(dial, strength, **options) for dial in LOSS for strength in (0.5, 1.0)]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("trials")
    found = []
    for table in trials():
        name = f"{table['dial'].iloc[0]}-{table['strength'].iloc[0]}.parquet"
        files.write_table(table, folder / name, "world_trials")
        found.append(folder / name)
    return found


def run(call, paths: list[Path], prefix: Path) -> None:
    call(
        *(true_preference.main, "--rung", "mini", "--out-prefix", prefix),
        *("--trials", *paths),
    )


def test_adjusted_recall_and_its_change_are_measured() -> None:
    table = true_preference.measure(pd.concat(trials()))
    assert len(table) == 3 * 3 * 2  # dials, strengths, cutoffs
    rows = table.set_index(["dial", "k", "strength"])
    start, end = rows.loc[("position_bias", 10, 0.0)], rows.loc[("position_bias", 10, 1.0)]
    assert start["tstr"] == pytest.approx(0.5 + 0.05 * 1.5 + 0.005)
    assert start["trtr"] == pytest.approx(0.5 + 0.05 * 1.5)
    assert start["trtr_low"] < start["trtr"] < start["trtr_high"]
    assert start["difference"] == pytest.approx(0.005)
    assert np.isnan(start["change"]) and start["reading"] == ""
    # All of the seeds' spread is shared by the strengths, so the change has none.
    assert [end[f"change{e}"] for e in ("", "_low", "_high")] == pytest.approx([0.3] * 3)
    assert end["reading"] == "grows"
    assert end["trtr_recall"] == pytest.approx(0.03 + (0.2 + 0.075) * 0.06)
    assert end["popularity"] == pytest.approx(0.1)
    assert (end["trtr_logged"], end["seeds"], end["n_test"]) == (0.25, SEEDS, 700)
    # A smaller vocabulary raises recall and leaves what is adjusted as it was.
    assert rows.loc[("position_bias", 10, 1.0), "tstr"] == pytest.approx(start["tstr"])
    assert rows.loc[("position_bias", 10, 1.0), "tstr_recall"] > start["tstr_recall"]
    assert rows.loc[("popularity_bias", 10, 1.0), "reading"] == "shrinks"
    assert rows.loc[("exposure_bias", 10, 1.0), "reading"] == "unclear"


def test_the_sentence_has_the_largest_strength_of_every_dial() -> None:
    table = true_preference.measure(pd.concat(trials()))
    said = true_preference.sentence(table)
    assert "GRU4Rec: position bias +0.300 [0.300, 0.300], grows; popularity bias -0.200" in said
    assert re.search(r"exposure bias [+-]0\.\d+ \[-[\d.]+, [\d.]+\], unclear\.$", said)


def test_a_single_seed_has_no_interval() -> None:
    table = true_preference.measure(pd.concat(trials(seeds=1)))
    assert table["tstr_low"].isna().all()
    assert set(table["reading"]) == {"", "one seed"}
    assert "position bias +0.300 [--, --], one seed" in true_preference.sentence(table)


def test_equal_inputs_give_equal_files(paths, tmp_path, call) -> None:
    for name in ("a", "b"):
        run(call, paths, tmp_path / name / "true_preference")
    for ending in ("csv", "pdf", "svg", "tex"):
        one, other = (tmp_path / name / f"true_preference.{ending}" for name in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 4
    pdf = (tmp_path / "a/true_preference.pdf").read_bytes()
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf).group(1)) / 72
    assert width <= style.DOUBLE_COLUMN + 0.01
    tex = (tmp_path / "a/true_preference.tex").read_text()
    assert tex.count("{") == tex.count("}") and tex.count(r"\begin{") == tex.count(r"\end{")
    assert "rung mini; 4 seeds" in tex and "333 to 500 items" in tex
    table = pd.read_csv(tmp_path / "a/true_preference.csv")
    assert set(table["rung"]) == {"mini"} and len(table) == 18


def test_several_models_and_other_cutoffs_are_drawn(paths, tmp_path, call) -> None:
    other = [trial("none", 0.0, model="SASRec"), trial("noise", 1.0, model="SASRec")]
    both = [trial("none", 0.0), trial("noise", 1.0)]
    frame = pd.concat([*both, *(t[t["model"] == "SASRec"] for t in other)])
    frame = frame.assign(k=frame["k"].map({10: 20, 100: 50}))
    path = tmp_path / "both.parquet"
    files.write_table(frame, path, "world_trials")
    run(call, [path], tmp_path / "figure")
    table = pd.read_csv(tmp_path / "figure.csv")
    assert table.groupby("model").size().to_dict() == {"GRU4Rec": 4, "SASRec": 4}
    assert "True recall@50" in (tmp_path / "figure.tex").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[t["dial"] != "none"], "hold no trial of the dial none"),
        (lambda t: t[t["dial"] == "none"], "hold no dial but none; known dials: position_bias"),
        (lambda t: t[t["arm"] != "best"], "lack best of GRU4Rec, position_bias at 0"),
        (lambda t: t[(t["arm"] != "trtr") | (t["dial"] == "none")], "lack trtr of GRU4Rec, pos"),
        (lambda t: t[(t["seed"] < 2) | (t["dial"] == "none")], "has other seeds than"),
        (lambda t: pd.concat([t, t[t["dial"] == "none"]]), "at 0, recall@10 twice"),
    ],
)
def test_trials_that_do_not_fit_are_named(change, said) -> None:
    with pytest.raises(UserError, match=said):
        true_preference.measure(change(pd.concat(trials())))
