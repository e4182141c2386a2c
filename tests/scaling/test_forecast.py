"""End points collected from runs, the compute frontier, forecasts and whether they come true."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import joint_inputs
from recscale import files
from recscale.errors import UserError
from recscale.scaling import backtest, collect, compute, forecast, frontier, joint_fit
from recscale.scaling.joint_fit import Status
from recscale.scaling.joint_law import fit_points, read_laws
from recscale.scaling.surface import Surface

COUNTING = "non_embedding_parameters"
CHOSEN = compute.Settings(dict(joint_inputs.SHAPES), joint_inputs.LENGTH)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple:
    """A folder with the files of sixteen runs, and their names."""
    folder = tmp_path_factory.mktemp("runs")
    joint_inputs.tokenizer(folder)
    return folder, joint_inputs.ladder_of_runs(folder)


@pytest.fixture(scope="module")
def laws(tmp_path_factory):
    """Laws of two domains with noise, as `read_laws` gives them."""
    points = pd.concat([joint_inputs.points(0.002, 1), joint_inputs.points(0.002, 2, "uih_ood")])
    path = tmp_path_factory.mktemp("laws") / "laws.json"
    files.write_json(fit_points(points, (COUNTING, "parameters"), 60, 0), path)
    return read_laws(path)


def collected(runs, call, tmp_path, **changes):
    """The command's table of end points."""
    folder, names = runs
    out = tmp_path / "points.csv"
    arguments = [
        *("--curves", *(folder / run / "curves.parquet" for run in names)),
        *("--manifests", *(folder / run / "manifest.json" for run in names)),
        *("--tokenizer", folder / "tokenizer.json", "--mixture", "full", "--out", out),
        *("--settings", json.dumps(joint_inputs.SETTINGS)),
    ]
    call(collect.main, *(changes.get(str(a), a) for a in arguments))
    return pd.read_csv(out)


def test_end_points_are_the_last_losses_of_runs_and_what_they_cost(runs, call, tmp_path) -> None:
    table = collected(runs, call, tmp_path)
    assert len(table) == 16 * 9
    assert list(dict.fromkeys(table["domain"]))[:2] == ["general", "item_text"]
    assert set(table["mixture"]) == {"full"}
    row = table[(table["run"] == "size3-wsd_0.25") & (table["domain"] == "uih_ood")].iloc[0]
    assert (row["tokens"], row[COUNTING]) == (375_000, 90_288)
    assert row["loss"] == pytest.approx(joint_inputs.loss("uih_ood", 90_288, 375_000))
    shape = joint_inputs.SHAPES["size3"]
    assert row["flops_per_token"] == compute.flops_per_token(shape, 1600, 128)
    pooled = table[(table["run"] == "size3-wsd_0.25") & (table["domain"] == "uih")].iloc[0]
    full = joint_inputs.loss("uih_full_graph", 90_288, 375_000)
    assert pooled["loss"] == pytest.approx((row["loss"] + full) / 2)


def test_a_run_that_did_not_end_is_no_end_point(runs, tmp_path) -> None:
    folder, _ = runs
    curves = files.read_table(folder / "size1-wsd" / "curves.parquet", "curves")
    manifest = collect.read_ends([folder / "size1-wsd" / "manifest.json"])
    short = curves[curves["tokens"] < curves["tokens"].max()]
    with pytest.raises(UserError, match="run size1-wsd ends at .* of 1500000 tokens"):
        collect.collect(short, manifest, CHOSEN, 1538, "equal", "full")
    with pytest.raises(UserError, match="--manifests lack run size1-wsd"):
        collect.collect(curves, {}, CHOSEN, 1538, "equal", "full")
    path = folder / "size1-wsd" / "manifest.json"
    with pytest.raises(UserError, match="is of run size1-wsd, which came before"):
        collect.read_ends([path, path])


@settings(max_examples=30, deadline=None)
@given(
    alpha=st.floats(0.05, 2),
    beta=st.floats(0.05, 2),
    a=st.floats(0.01, 10),
    b=st.floats(0.01, 10),
    flops=st.floats(1e10, 1e16),
)
def test_the_closed_form_is_the_lowest_loss_of_a_budget(alpha, beta, a, b, flops) -> None:
    n0, d0 = 5e4, 6e5
    best = float(frontier.optimal_size([0.5, a, alpha, b, beta], n0, d0, flops))

    def loss(log_n: float) -> float:
        n = np.exp(log_n)
        return float(joint_fit.loss_at([0.5, a, alpha, b, beta], n0, d0, n, flops / 6 / n))

    there = loss(np.log(best))
    assert there <= loss(np.log(best) + 0.01) and there <= loss(np.log(best) - 0.01)
    found = minimize_scalar(loss, bounds=(np.log(best) - 20, np.log(best) + 20), method="bounded")
    assert there <= found.fun * (1 + 1e-9)
    # Four times the compute multiplies the best size by 4 to the exponent.
    more = float(frontier.optimal_size([0.5, a, alpha, b, beta], n0, d0, 4 * flops))
    assert more / best == pytest.approx(4 ** (beta / (alpha + beta)))


def test_a_frontier_has_intervals_and_says_what_lies_inside(laws) -> None:
    law = laws["laws"]["general", COUNTING]
    assert frontier.is_identified(law)
    budgets = np.geomspace(1e10, 1e12, 5)
    table = frontier.frontier(law, budgets)
    np.testing.assert_allclose(6 * table["n"] * table["d"], budgets)
    for name in ("n", "d", "loss"):
        assert (table[f"{name}_low"] <= table[name] * 1.02).all()
        assert (table[f"{name}_high"] >= table[name] * 0.98).all()
    assert not table["inside"].iloc[0] and table["inside"].any()
    low, high = frontier.exponent_interval(law)
    _, _, alpha, _, beta = joint_inputs.truth("general")
    assert low <= beta / (alpha + beta) <= high


def test_exact_flops_move_the_frontier_where_the_head_costs(laws) -> None:
    law = laws["laws"]["general", COUNTING]
    ladder = frontier.ladder_of(laws["sizes"], COUNTING)
    known = laws["sizes"]["size2"]
    assert ladder.flops(known[COUNTING]) == pytest.approx(known["flops_per_token"])
    doubled = ladder.flops(2 * ladder.parameters[-1])
    assert doubled == pytest.approx(2 * ladder.flops_per_token[-1])
    table = frontier.frontier(law, np.array([8e11]), ladder)
    n = table["n"].iloc[0]
    for other in (0.8 * n, 1.25 * n):
        assert frontier.iso_flop(law, 8e11, np.array([other]), ladder)[0] >= table["loss"].iloc[0]
    # A token costs more than 6N, and relatively less so at larger sizes, which shifts the optimum.
    assert n > frontier.frontier(law, np.array([8e11]))["n"].iloc[0] * 0.3
    assert frontier.ladder_of({"size1": {"parameters": 1.0}}, "parameters") is None


def test_a_forecast_of_a_run_that_was_fitted_is_about_its_loss(laws) -> None:
    found, warnings = forecast.forecast(laws, COUNTING, 90_288, 750_000, "full")
    assert [one.domain for one in found] == ["general", "uih_ood"] and not warnings
    for one in found:
        seen = joint_inputs.loss(one.domain, 90_288, 750_000)
        assert one.run_low < one.low < one.loss < one.high < one.run_high
        assert one.run_low < seen < one.run_high


def test_forecasts_hold_as_often_as_they_say() -> None:
    # Between and at the points: the interval of the expected loss, nominally 95 %.
    held, widths = [], []
    n, d = 40_000.0, 900_000.0
    for seed in range(40):
        points = joint_inputs.points(0.003, seed)
        surface = fit_light(points)
        found = forecast.expected_loss(surface, "general", n, d)
        held.append(found.low <= joint_inputs.loss("general", n, d) <= found.high)
        widths.append(found.high - found.low)
    assert 35 <= sum(held) <= 40
    assert 0 < np.median(widths) < 0.02


def fit_light(points: pd.DataFrame) -> joint_fit.JointLaw:
    """A law without the parts that a forecast does not need."""
    n, d, loss = (points[c].to_numpy(float) for c in (COUNTING, "tokens", "loss"))
    n0, d0 = (float(np.exp(np.mean(np.log(x)))) for x in (n, d))
    best = Surface(np.log(n / n0), np.log(d / d0), loss).minimise()
    parameters = {name: getattr(best, name) for name in joint_fit.PARAMETERS}
    return joint_fit.JointLaw(
        Status.CONVERGED, "", tuple(n), tuple(d), tuple(loss), n0, d0,
        **parameters, sum_of_squares=best.sum_of_squares,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n", "tokens", "mixture", "message"),
    [
        (90_288, 5e7, "full", r"5e\+07 tokens \(fitted on 1.875e\+05 to 1.5e\+06\)"),
        (90_288, 1e5, "full", r"1e\+05 tokens"),
        (5e6, 1e6, "full", r"5e\+06 parameters \(fitted on 1.516e\+04 to 1.973e\+05\)"),
        (90_288, 1e6, "uih", "the laws are of the mixture full, not uih"),
        (90_288, 1e6, None, "of the mixture full, not None"),
    ],
)
def test_a_forecast_beyond_the_range_is_refused_unless_asked_for(
    laws, n, tokens, mixture, message
) -> None:
    with pytest.raises(UserError, match=message + ".*--beyond-range"):
        forecast.forecast(laws, COUNTING, n, tokens, mixture)
    found, warnings = forecast.forecast(laws, COUNTING, n, tokens, mixture, beyond_range=True)
    assert len(found) == 2 and len(warnings) == 1


def test_uncertainty_grows_beyond_the_range(laws) -> None:
    near, _ = forecast.forecast(laws, COUNTING, 90_288, 1.5e6, "full")
    far, _ = forecast.forecast(laws, COUNTING, 90_288, 1.5e9, "full", beyond_range=True)
    for one, other in zip(near, far, strict=True):
        assert other.high - other.low > 2 * (one.high - one.low)


def test_the_command_answers_in_one_line_and_prints_what_it_costs(
    laws, tmp_path, call, capsys
) -> None:
    path = tmp_path / "laws.json"
    points = joint_inputs.points(0.002, 1)
    files.write_json(fit_points(points, (COUNTING,), 0, 0), path)
    asked = ["--fits", path, "--size", "size3", "--tokens", "1e6", "--mixture", "full"]
    call(forecast.main, *asked, "--peak", "1e15", "--utilisation", "0.5", "--out", tmp_path / "f")
    printed = capsys.readouterr().out
    assert "N = 90288 (non_embedding_parameters), D = 1e+06 tokens, full" in printed
    row = next(line for line in printed.splitlines() if line.startswith("General"))
    assert row.endswith("converged")
    written = json.loads((tmp_path / "f").read_text())
    exact = points.loc[points["size"] == "size3", "flops_per_token"].iloc[0] * 1e6
    assert written["cost"]["exact"]["flops"] == pytest.approx(exact)
    assert written["cost"]["6ND"]["flops"] == 6 * 90_288 * 1e6
    assert written["cost"]["6ND"]["gpu_hours"] == 6 * 90_288 * 1e6 / (1e15 * 0.5 * 3600)
    assert "1e+15 FLOP/s x 0.5 used" in printed
    assert f"{written['expected'][0]['loss']:.4f}" in row


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size", "size9", "--tokens", "1e6"], "know no non_embedding_.* of size9; .*size1"),
        (["--tokens", "1e6"], "either --size or --parameters"),
        (["--size", "size3", "--parameters", "9", "--tokens", "1e6"], "either --size or"),
        (["--parameters", "nan", "--tokens", "1e6"], "--parameters is nan"),
        (["--size", "size3", "--tokens", "0"], "--tokens is 0"),
        (["--size", "size3", "--tokens", "1e6", "--utilisation", "40"], "--utilisation is 40"),
        (["--size", "size3", "--tokens", "1e6", "--peak", "0"], "--peak is 0"),
        (["--size", "size3", "--tokens", "1e6", "--counting", "x"], "know no x of size3"),
        (["--parameters", "5e4", "--tokens", "1e6", "--counting", "x"], "over x; they hold non"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(tmp_path, call, flags, message) -> None:
    path = tmp_path / "laws.json"
    files.write_json(fit_points(joint_inputs.points(0.002), (COUNTING,), 0, 0), path)
    with pytest.raises(UserError, match=message):
        call(forecast.main, "--fits", path, "--mixture", "full", *flags)


def test_laws_that_were_not_fitted_give_no_forecast(tmp_path) -> None:
    path = tmp_path / "laws.json"
    ends = joint_inputs.points()
    longest = ends[ends["tokens"] == ends["tokens"].max()]
    files.write_json(fit_points(longest, (COUNTING,), 0, 0), path)
    with pytest.raises(UserError, match="no fitted law .general: not_identified, 4 end point.*wsd"):
        forecast.forecast(read_laws(path), COUNTING, 90_288, 1.5e6, "full")


def test_runs_held_out_are_forecast_from_the_others() -> None:
    points = joint_inputs.points(0.0)
    table = backtest.backtest(points, COUNTING)
    longest = table[table["held_out"] == "tokens"]
    largest = table[table["held_out"] == "size"]
    assert list(longest["size"]) == ["size1", "size2", "size3", "size4"]
    assert set(longest["tokens"]) == {1_500_000}
    assert set(largest["size"]) == {"size4"} and largest["tokens"].nunique() == 4
    # Without noise the law is exact, and the nearest run is not.
    np.testing.assert_allclose(table["expected"], table["seen"], rtol=1e-4)
    for row in longest.itertuples():
        assert row.nearest == joint_inputs.loss("general", row.parameters, 750_000)
    for row in largest.itertuples():
        assert row.nearest == joint_inputs.loss("general", 90_288, row.tokens)


def test_a_changed_longest_run_is_seen_as_a_miss_and_changes_no_forecast() -> None:
    points = joint_inputs.points(0.002, 3)
    longest = points["tokens"] == points["tokens"].max()
    spoilt = points.assign(loss=points["loss"].where(~longest, points["loss"] * 1.2))
    one, two = (
        backtest.backtest(p, COUNTING).query("held_out == 'tokens'") for p in (points, spoilt)
    )
    assert one["expected"].tolist() == two["expected"].tolist()
    assert one["inside"].all() and not two["inside"].any()
    with pytest.raises(UserError, match="no column size"):
        backtest.backtest(points.drop(columns="size"), COUNTING)
