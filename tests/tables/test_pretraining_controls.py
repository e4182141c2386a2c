"""Contrasts between runs: paired over seeds, corrected, at equal tokens, over sizes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

import tidy_inputs
from recscale.contracts import ALL_HELD_OUT
from recscale.errors import UserError
from recscale.tables import pretraining_controls as controls
from recscale.tables.run_curves import read_curves
from tidy_inputs import ABOVE_FULL, ROOT, SIZES

KINDS = ("cf_uih", "uih", "uih_matched", "uih_fresh", "cf", "rewired", "ordered", "rq_kmeans")


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Every run of the contrasts with three seeds, and noise of its own on each run."""
    folder = tmp_path_factory.mktemp("controls")
    paths = [tidy_inputs.curves(folder, "size3", "no_general")]
    for seed in range(3):
        paths += [tidy_inputs.curves(folder, "size3", kind, seed) for kind in KINDS]
        paths += [tidy_inputs.curves(folder, s, k, seed) for s in SIZES for k in ("full", "real")]
    table = read_curves(paths, domains=ALL_HELD_OUT)
    names = sorted(set(table["run"]))
    noise = dict(zip(names, np.random.default_rng(0).normal(0, 1e-3, len(names)), strict=True))
    table["loss"] += table["run"].map(noise)
    table["loss_per_item"] += 8 * table["run"].map(noise)
    return table


@pytest.fixture(scope="module")
def table(curves) -> pd.DataFrame:
    return controls.build(curves)


def rows_of(table: pd.DataFrame, first: str, at: str = "final") -> pd.DataFrame:
    return table[(table["first"] == first) & (table["at"] == at)]


def test_a_difference_is_that_of_a_paired_t_test(curves, table) -> None:
    found = rows_of(table, "uih").set_index(["measure", "domain"]).loc[("loss", "uih_ood")]
    last = curves[
        (curves["domain"] == "uih_ood")
        & (curves["token_class"] == "all")
        & (curves["step"] == curves["step"].max())
    ].set_index("run")["loss"]
    seeds = ("", "-seed1", "-seed2")
    first = [last[f"size3-uih{seed}"] for seed in seeds]
    second = [last[f"size3-cf_uih{seed}"] for seed in seeds]
    expected = ttest_rel(first, second).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["difference"] == pytest.approx(np.mean(first) - np.mean(second))
    assert found["difference"] == pytest.approx(ABOVE_FULL["uih"] - ABOVE_FULL["cf_uih"], abs=0.01)
    strict = ttest_rel(first, second).confidence_interval(1 - 0.05 / 3)
    assert (found["corrected_low"], found["corrected_high"]) == pytest.approx(
        (strict.low, strict.high)
    )
    assert (found["comparisons"], found["seeds"], found["reading"]) == (3, 3, "above")


def test_what_the_paper_does_not_claim_needs_the_corrected_interval(table) -> None:
    assert controls.reading(0.1, 0.9, (-0.1, 1.1), "above", 3) == "above"
    assert controls.reading(0.1, 0.9, (-0.1, 1.1), None, 3) == "undecided"
    assert controls.reading(0.1, 0.9, (-0.1, 1.1), "below", 3) == "undecided"
    assert controls.reading(-0.9, -0.1, (-1.1, -0.05), "above", 3) == "below"
    assert controls.reading(0.1, 0.9, (0.1, 0.9), "above", 2) == "too few seeds"
    assert set(rows_of(table, "cf")["reading"]) <= {"above", "below", "undecided"}


def test_measures_follow_the_domains(table) -> None:
    real = rows_of(table, "real")
    assert set(real["domain"]) == set(ALL_HELD_OUT)
    assert set(real.loc[real["domain"] == "general", "measure"]) == {"loss"}
    per_item = real[(real["measure"] == "loss_per_item") & (real["size"] == "size1")]
    all_tokens = real[(real["measure"] == "loss") & (real["size"] == "size1")]
    both = per_item.set_index("domain")["difference"] / all_tokens.set_index("domain")["difference"]
    np.testing.assert_allclose(both.dropna(), 8, rtol=1e-6)
    rq = rows_of(table, "rq_kmeans")
    assert set(rq["measure"]) == {"loss_per_item"} and set(rq["reading"]) == {"below"}


def test_real_histories_have_a_slope_over_the_sizes(curves, table) -> None:
    real = rows_of(table, "real")
    one = real[(real["measure"] == "loss") & (real["domain"] == "real_histories")]
    assert list(one["size"]) == [*SIZES, "slope"]
    differences = one.set_index("size")["difference"]
    line = np.polyfit(range(4), differences[list(SIZES)], 1)
    assert differences["slope"] == pytest.approx(line[0], rel=1e-6)
    assert one.set_index("size").loc["size1", "comparisons"] == 8 * 4
    assert one.set_index("size").loc["slope", "comparisons"] == 8
    larger = curves.copy()
    places = larger["size"].map({size: i for i, size in enumerate(SIZES)})
    larger["loss"] += np.where(larger["run"].str.contains("-real"), 0.1 * places, 0)
    steeper = rows_of(controls.build(larger), "real")
    steeper = steeper[(steeper["measure"] == "loss") & (steeper["size"] == "slope")]
    grown = (
        steeper.set_index("domain")["difference"]
        - (
            real[(real["measure"] == "loss") & (real["size"] == "slope")].set_index("domain")[
                "difference"
            ]
        )
    )
    np.testing.assert_allclose(grown, 0.1, rtol=1e-6)
    assert set(steeper["reading"]) == {"above"}


def test_equal_uih_tokens_are_the_most_that_both_reached(curves, table) -> None:
    """Half of D against 13 % of it: the longer run is read where the other ends."""
    found = rows_of(table, "uih_fresh", "equal_uih_tokens").set_index(["measure", "domain"])
    loss = curves[
        (curves["run"] == "size3-uih_fresh")
        & (curves["domain"] == "uih_ood")
        & (curves["token_class"] == "all")
    ]
    reached = 0.13 * tidy_inputs.TOTAL
    below = loss[loss["domain_tokens"] <= reached].iloc[-1]
    above = loss[loss["domain_tokens"] > reached].iloc[0]
    part = np.log(reached / below["domain_tokens"]) / np.log(
        above["domain_tokens"] / below["domain_tokens"]
    )
    expected = below["loss"] + part * (above["loss"] - below["loss"])
    assert controls.at_tokens(loss, reached, "loss") == pytest.approx(expected)
    assert found.loc[("loss", "uih_ood"), "first_loss"] == pytest.approx(expected, abs=0.02)
    final = rows_of(table, "uih").set_index(["measure", "domain"])
    equal = rows_of(table, "uih", "equal_uih_tokens").set_index(["measure", "domain"])
    assert (equal["first_loss"] > final["first_loss"]).all()
    assert equal["second_loss"].to_dict() == pytest.approx(final["second_loss"].to_dict())


def test_few_seeds_and_missing_runs_are_said_and_not_hidden(curves, table) -> None:
    forgetting = rows_of(table, "no_general").iloc[0]
    assert (forgetting["seeds"], forgetting["reading"]) == (1, "too few seeds")
    assert pd.isna(forgetting["low"]) and not pd.isna(forgetting["difference"])
    without = curves[~curves["run"].str.contains("rewired")]
    gone = rows_of(controls.build(without), "rewired")
    assert set(gone["reading"]) == {"not run"} and gone["difference"].isna().all()
    one_seed_fewer = curves[curves["run"] != "size3-uih-seed2"]
    assert set(rows_of(controls.build(one_seed_fewer), "uih")["seeds"]) == {2}
    with pytest.raises(UserError, match="both runs of no contrast"):
        controls.build(curves[curves["run"] == "size3-cf"])


def test_runs_that_share_a_seed_are_refused(curves) -> None:
    same = curves.assign(seed=0)
    with pytest.raises(UserError, match="several runs of size., .* and seed 0"):
        controls.build(same)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.floats(-1, 1), st.floats(-1, 1))
def test_a_slope_ignores_level_and_adds_a_trend(values, level, trend) -> None:
    seeds = pd.Series([0.0, 0.1, -0.2])
    differences = [seeds * value for value in values]
    moved = [d + level + trend * place for place, d in enumerate(differences)]
    np.testing.assert_allclose(
        controls.slopes(moved), controls.slopes(differences) + trend, atol=1e-9
    )


def test_the_config_names_the_runs_of_every_contrast() -> None:
    experiments = yaml.safe_load((ROOT / "config" / "experiments.yaml").read_text())
    listed = experiments["figures"]["pretraining_controls"]
    assert len(listed) == len(set(listed))
    seeds = ("", "-seed1", "-seed2")
    wanted = {
        f"{size}-{kind}{seed}"
        for contrast in controls.CONTRASTS
        for size in contrast.sizes
        for kind in (contrast.first, contrast.second)
        for seed in seeds
    }
    assert set(listed) == wanted & set(experiments["runs"])
    assert {run.split("-")[1] for run in wanted} == {run.split("-")[1] for run in listed}


def test_the_command_writes_a_float_for_each_contrast_and_size(tmp_path: Path, call) -> None:
    paths = [
        tidy_inputs.curves(tmp_path, "size3", kind, seed)
        for kind in ("uih", "cf_uih")
        for seed in range(3)
    ]
    out = tmp_path / "out" / "pretraining_controls"
    call(controls.main, "--curves", *paths, "--rung", "mini", "--out-prefix", out)
    found = pd.read_csv(out.with_suffix(".csv"))
    assert set(found.loc[found["seeds"] > 0, "first"]) == {"uih"}
    tex = out.with_suffix(".tex").read_text()
    assert tex.count(r"\begin{table*}") == found.groupby(["contrast", "size"]).ngroups
    assert tex.count("{") == tex.count("}") and "Real Histories & all tokens & 3 &" in tex
