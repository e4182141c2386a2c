"""Figure 8 and the figures of the joint law, of forecasts and of repetition."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import joint_inputs
import tidy_inputs
from recscale import files
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.figures import fig8, forecast_seen, joint_law, repetition, style
from recscale.scaling.backtest import backtest
from recscale.scaling.joint_law import fit_points
from recscale.scaling.repetition import main as fit_repetition

COUNTING = "non_embedding_parameters"
RUNG = ("--rung", "mini", "--out-prefix")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the four full runs, end points of sixteen others, and laws of them."""
    folder = tmp_path_factory.mktemp("made")
    joint_inputs.full_runs(folder)
    joint_inputs.tokenizer(folder)
    parts = [joint_inputs.points(0.003, i, domain) for i, domain in enumerate(HELD_OUT_DOMAINS)]
    points = pd.concat(parts)
    # Item text falls too slowly for its floor to be known.
    slow = points["domain"] == "item_text"
    points.loc[slow, "loss"] = 2.5 - 0.02 * np.log(points.loc[slow, "tokens"])
    points.loc[slow, "loss"] -= 0.05 * np.log(points.loc[slow, COUNTING])
    files.write_csv(points, folder / "points.csv")
    files.write_json(fit_points(points, (COUNTING, "parameters"), 20, 0), folder / "laws.json")
    return folder


def fig8_arguments(folder, prefix):
    """The command line of Figure 8."""
    runs = [folder / f"{size}-full" for size in joint_inputs.SHAPES]
    return [
        *("--curves", *(run / "curves.parquet" for run in runs)),
        *("--manifests", *(run / "manifest.json" for run in runs)),
        *("--tokenizer", folder / "tokenizer.json"),
        *("--settings", json.dumps(joint_inputs.SETTINGS), *RUNG, prefix),
    ]


def arguments_of(target, folder, prefix):
    """The command line of one of the other figures."""
    source = {"joint_law": ("--laws", "laws.json"), "forecast_seen": ("--points", "points.csv")}
    source["repetition"] = ("--laws", "repetition.json")
    flag, name = source[target]
    return [flag, folder / name, *RUNG, prefix]


def check_files(folder, target):
    """What every figure writes; returns its LaTeX."""
    for ending in ("csv", "pdf", "svg", "tex"):
        assert (folder / f"{target}.{ending}").is_file()
    pdf = (folder / f"{target}.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"CreationDate" not in pdf
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf).group(1)) / 72
    assert width <= style.DOUBLE_COLUMN + 0.01
    tex = (folder / f"{target}.tex").read_text()
    assert rf"{{{target}.pdf}}" in tex and rf"\label{{fig:{target}}}" in tex
    assert tex.count("{") == tex.count("}") and "rung mini" in tex
    assert "nan" not in tex
    return tex


def test_fig8_counts_compute_both_ways(made, tmp_path, call) -> None:
    call(fig8.main, *fig8_arguments(made, tmp_path / "fig8"))
    tex = check_files(tmp_path, "fig8")
    table = pd.read_csv(tmp_path / "fig8.csv")
    assert len(table) == 4 * 7 * 9
    np.testing.assert_allclose(table["flops_6nd"], 6 * table[COUNTING] * table["tokens"])
    np.testing.assert_allclose(table["flops_6nd_all"], 6 * table["parameters"] * table["tokens"])
    assert (table["flops"] >= table["flops_6nd"]).all()
    last = table[(table["run"] == "size3-full") & (table["domain"] == "general")].iloc[-1]
    per_token = joint_inputs.points().query("size == 'size3'")["flops_per_token"].iloc[0]
    assert last["flops"] == per_token * joint_inputs.TOTAL
    assert last["tokens_per_parameter"] == joint_inputs.TOTAL / last["parameters"]
    assert fig8.NOT_IDENTIFIED in tex
    call(fig8.main, *fig8_arguments(made, tmp_path / "again"))
    for ending in ("pdf", "svg", "csv"):
        one, two = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("fig8", "again"))
        assert one == two


def test_fig8_marks_what_no_run_reached_with_less(made, tmp_path, call) -> None:
    call(fig8.main, *fig8_arguments(made, tmp_path / "fig8"))
    table = pd.read_csv(tmp_path / "fig8.csv")
    assert not table.loc[table["tokens"] == 0, "lowest"].any()
    trained = table[table["tokens"] > 0]
    for row in trained[trained["domain"] == "uih_ood"].itertuples():
        cheaper = trained[(trained["domain"] == "uih_ood") & (trained["flops"] <= row.flops)]
        assert row.lowest == (row.loss <= cheaper["loss"].min())


def test_fig8_draws_a_frontier_only_where_a_law_is_identified(made, tmp_path, call) -> None:
    flags = ["--laws", made / "laws.json", "--target", "fig8_frontier"]
    call(fig8.main, *flags, *fig8_arguments(made, tmp_path / "fig8_frontier"))
    tex = check_files(tmp_path, "fig8_frontier")
    found = re.search(r"identified for ([^.]*)\.", tex).group(1)
    assert "General" in found and "Item-Text" not in found
    assert fig8.sentence({}, given=True).endswith("no frontier in any domain.")
    content = fig8.read_laws(made / "laws.json")
    optimal = fig8.frontiers(pd.DataFrame(), content)
    assert set(optimal) == {
        domain
        for (domain, counting), law in content["laws"].items()
        if counting == COUNTING and law.status == "converged"
    }
    with pytest.raises(UserError, match="--laws have no FLOPs"):
        fig8.frontiers(pd.DataFrame(), content | {"sizes": {}})


def test_fig8_refuses_runs_that_do_not_belong(made, tmp_path, call) -> None:
    arguments = fig8_arguments(made, tmp_path / "fig8")
    other = made / "size2-full" / "manifest.json"
    without = [a for a in arguments if a != other]
    with pytest.raises(UserError, match="--manifests lack run size2-full"):
        call(fig8.main, *without)
    twice = made / "size1-full" / "manifest.json"
    with pytest.raises(UserError, match="is of run size1-full, which came before"):
        call(fig8.main, *(twice if a == other else a for a in arguments))
    joint_inputs.curves(tmp_path, "size1-full-seed1", "size1")
    joint_inputs.manifest(tmp_path, "size1-full-seed1", "size1")
    more = ["--manifests", tmp_path / "size1-full-seed1" / "manifest.json"]
    more += arguments[6:10]
    curves = ["--curves", tmp_path / "size1-full-seed1" / "curves.parquet", *arguments[1:5]]
    with pytest.raises(UserError, match="several runs of size1"):
        call(fig8.main, *curves, *more, *arguments[10:])
    bad = json.dumps({"sizes": {}, "length": 128})
    spoilt = [bad if a == json.dumps(joint_inputs.SETTINGS) else a for a in arguments]
    with pytest.raises(UserError, match="no shape of size1"):
        call(fig8.main, *spoilt)
    assert not list(tmp_path.glob("fig8.*"))


def test_joint_law_prints_intervals_and_why_a_law_is_unknown(made, tmp_path, call) -> None:
    call(joint_law.main, *arguments_of("joint_law", made, tmp_path / "joint_law"))
    tex = check_files(tmp_path, "joint_law")
    table = pd.read_csv(tmp_path / "joint_law.csv").set_index(["domain", "counting"])
    assert len(table) == 7 * 2
    row = table.loc["general", COUNTING]
    assert row["status"] == "converged"
    e, _, alpha, _, beta = joint_inputs.truth("general")
    assert row["e_low"] <= e <= row["e_high"]
    assert row["exponent"] == pytest.approx(row["beta"] / (row["alpha"] + row["beta"]))
    assert row["exponent_low"] <= beta / (alpha + beta) <= row["exponent_high"]
    shown = f"{row['e']:.3f} [{row['e_low']:.3f}, {row['e_high']:.3f}]"
    assert f"General & outside embedding & {shown} &" in tex
    unknown = table.loc["item_text", COUNTING]
    assert unknown["status"] == "not_identified" and isinstance(unknown["reason"], str)
    assert "Item-Text" not in re.search(r"identified for ([^.]*)\.", tex).group(1)


def test_joint_law_wants_laws_with_costs(made, tmp_path, call) -> None:
    content = json.loads((made / "laws.json").read_text())
    path = tmp_path / "laws.json"
    for broken in (content | {"sizes": {}}, content | {"laws": []}):
        files.write_json(broken, path)
        with pytest.raises(UserError, match="laws.json has no laws over non_embedding_parameters"):
            call(joint_law.main, "--laws", path, *RUNG, tmp_path / "joint_law")
    assert not list(tmp_path.glob("joint_law.*"))


def test_forecast_seen_counts_what_came_true(made, tmp_path, call) -> None:
    call(forecast_seen.main, *arguments_of("forecast_seen", made, tmp_path / "forecast_seen"))
    tex = check_files(tmp_path, "forecast_seen")
    table = pd.read_csv(tmp_path / "forecast_seen.csv")
    assert table.groupby("held_out")["domain"].nunique().to_dict() == {"tokens": 7, "size": 7}
    longest = table[(table["held_out"] == "tokens") & table["expected"].notna()]
    told = re.search(r"Longest runs held out: (\d+) of (\d+) losses", tex)
    assert [int(n) for n in told.groups()] == [longest["inside"].sum(), len(longest)]
    summary = forecast_seen.summary(table).set_index("held_out")
    assert summary.loc["tokens", "error"] < summary.loc["tokens", "error_nearest"]


def test_forecast_seen_says_where_no_law_could_be_fitted(made, tmp_path, call) -> None:
    points = pd.read_csv(made / "points.csv")
    two = points[points["tokens"] >= 750_000]
    files.write_csv(two, tmp_path / "points.csv")
    prefix = tmp_path / "forecast_seen"
    call(forecast_seen.main, "--points", tmp_path / "points.csv", *RUNG, prefix)
    table = pd.read_csv(tmp_path / "forecast_seen.csv")
    assert set(table["status"]) == {"not_identified"} and table["expected"].isna().all()
    tex = (tmp_path / "forecast_seen.tex").read_text()
    assert "Longest runs held out: no law could be fitted." in tex
    assert backtest(two, COUNTING)["nearest"].notna().all()
    with pytest.raises(UserError, match=r"points.csv lacks the column\(s\) parameters"):
        files.write_csv(two.drop(columns="parameters"), tmp_path / "points.csv")
        call(forecast_seen.main, "--points", tmp_path / "points.csv", *RUNG, prefix)


def repetition_arguments(folder):
    """The command line of the laws of the made-up runs of Table 6, of which two rise again."""
    kinds = ["full", "uih", "cf_uih", "item_uih", "uih_fresh", *tidy_inputs.RATIOS]
    for kind in kinds:
        tidy_inputs.curves(folder, "size3", kind)
    paths = tidy_inputs.run_files(folder, kinds, "curves.parquet")
    chosen = json.dumps({"burn_in": 0.06, "pool": "equal"})
    return ["--curves", *paths, "--out", folder / "repetition.json", "--settings", chosen]


def test_repetition_draws_what_counts_of_what_was_seen(tmp_path, call) -> None:
    call(fit_repetition, *repetition_arguments(tmp_path))
    call(repetition.main, *arguments_of("repetition", tmp_path, tmp_path / "repetition"))
    tex = check_files(tmp_path, "repetition")
    table = pd.read_csv(tmp_path / "repetition.csv")
    ends = table[(table["kind"] == "ends") & (table["domain"] == "uih_ood")].set_index("run")
    kinds = ("full", "uih", "cf_uih", "item_uih", "uih_fresh", "uih_0.5", "uih_1", "uih_2")
    assert set(ends.index) == {f"size3-{kind}" for kind in kinds}
    assert (table["effective"] <= table["seen"] * (1 + 1e-9)).all()
    assert (table["effective"] >= np.minimum(table["seen"], table["unique"]) * (1 - 1e-9)).all()
    np.testing.assert_allclose(table["repeats"], table["seen"] / table["unique"])
    assert r"UIH OOD & last losses & 8 & 2 &" in tex
    with pytest.raises(UserError, match="holds no laws of repetition"):
        files.write_json({"laws": []}, tmp_path / "other.json")
        call(repetition.main, "--laws", tmp_path / "other.json", *RUNG, tmp_path / "r")
