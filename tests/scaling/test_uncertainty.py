"""Intervals over seeds and within a run: their coverage, and what they refuse."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from recscale.errors import UserError
from recscale.files import read_table, write_table
from recscale.scaling import uncertainty
from recscale.scaling.power_law import PowerLaw, Status, fit_power_law
from recscale.scaling.uncertainty import block_bootstrap, clustered, over_runs, refit

TRUTH = {"alpha": 0.564, "l_inf": 0.66}


def autocorrelated(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """AR(1) errors of standard deviation 1."""
    errors = rng.normal(size=n)
    for i in range(1, n):
        errors[i] = rho * errors[i - 1] + np.sqrt(1 - rho**2) * errors[i]
    return errors


def test_seeds_hold_the_truth_under_autocorrelated_noise_and_one_run_does_not(tokens, planted):
    # Nominal coverage is 0.95; 50 trials give it to 0.031 (one standard error).
    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {}
    for _ in range(50):
        curves = [
            (tokens, planted(tokens) + 0.002 * autocorrelated(rng, 14, 0.8)) for _ in range(5)
        ]
        laws = [fit_power_law(*curve) for curve in curves]
        found = {"seeds": over_runs(laws), "cluster": clustered(curves, laws)}
        found["block"] = block_bootstrap(*curves[0], rng, 199)
        for method, intervals in found.items():
            for name, truth in TRUTH.items():
                held.setdefault(method, []).append(intervals[name].covers(truth))
    assert np.mean(held["seeds"]) >= 0.87 and np.mean(held["cluster"]) >= 0.87
    assert np.mean(held["block"]) < 0.8


def test_the_block_bootstrap_of_many_evaluations_holds_the_truth_under_white_noise(planted):
    tokens = np.geomspace(4e9, 163.84e9, 60)
    held = []
    for seed in range(60):
        loss = planted(tokens, noise=0.002, seed=seed)
        found = block_bootstrap(tokens, loss, np.random.default_rng(seed), 199)
        held.append(found["alpha"].covers(0.564))
    assert 0.85 <= np.mean(held) < 1


def test_students_interval_by_hand():
    laws = [PowerLaw(Status.CONVERGED, 14, alpha=a, l_inf=0.6) for a in (0.4, 0.5, 0.6)]
    found = over_runs(laws)
    half = student.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    alpha = found["alpha"]
    assert (alpha.low, alpha.estimate, alpha.high) == pytest.approx((0.5 - half, 0.5, 0.5 + half))
    assert found["l_inf"].low == pytest.approx(found["l_inf"].high)


def test_a_law_on_its_bound_leaves_the_interval_open(tokens):
    """A loss that falls faster than any law with a floor: least squares ends at L_inf = 0."""
    curves = []
    for seed in range(3):
        noise = 1e-3 * np.random.default_rng(seed).normal(size=14)
        curves.append((tokens, 3 - 0.3 * np.log(tokens / 4e9) ** 1.3 / 2 + noise))
    laws = [fit_power_law(*curve) for curve in curves]
    assert [law.l_inf for law in laws] == [0, 0, 0]
    for found in (over_runs(laws)["l_inf"], *clustered(curves, laws).values()):
        assert found.estimate is not None and found.low is None and found.high is None
    assert clustered(curves, laws)["l_inf"].estimate == 0
    assert over_runs(laws)["alpha"].low < over_runs(laws)["alpha"].high
    # One seed off the bound is spread that may be told.
    other = fit_power_law(tokens, 0.6 + 0.3 * (tokens / 1e10) ** -0.5)
    assert over_runs([*laws, other])["l_inf"].low < 0 < over_runs([*laws, other])["l_inf"].high


def test_one_run_or_a_run_without_a_law_gives_no_interval(tokens, planted):
    law = fit_power_law(tokens, planted(tokens, noise=0.001))
    rises = planted(tokens) + 0.1 * np.maximum(0, np.log(tokens / 20e9))
    assert fit_power_law(tokens, rises).status is Status.NOT_MONOTONE
    for laws in ([law], [law, law, fit_power_law(tokens, rises)]):
        assert over_runs(laws)["alpha"].estimate is None
        assert not over_runs(laws)["alpha"].covers(0.564)
    good = (tokens, planted(tokens, noise=0.001))
    for curves in ([good], [good, (tokens, rises)]):
        laws = [fit_power_law(*curve) for curve in curves]
        assert clustered(curves, laws)["alpha"].estimate is None
    assert block_bootstrap(tokens, rises, np.random.default_rng(0))["l_inf"].estimate is None


def test_clusters_of_equal_evaluations_come_to_students_interval(tokens, planted):
    curves = [(tokens, planted(tokens, noise=1e-4, seed=s)) for s in range(5)]
    laws = [fit_power_law(*curve) for curve in curves]
    ours, theirs = clustered(curves, laws), over_runs(laws)
    for name in TRUTH:
        assert ours[name].estimate == pytest.approx(theirs[name].estimate, rel=1e-3)
        widths = [i.high - i.low for i in (ours[name], theirs[name])]
        assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_many_curves_are_refitted_as_one_by_one(tokens, planted):
    losses = np.array([planted(tokens, noise=0.004, seed=s) for s in range(20)])
    alpha, l_inf = refit(np.log(tokens) - np.mean(np.log(tokens)), losses)
    laws = [fit_power_law(tokens, loss) for loss in losses]
    assert alpha == pytest.approx([law.alpha for law in laws], abs=1e-3)
    assert l_inf == pytest.approx([law.l_inf for law in laws], abs=1e-3)


def test_refitted_curves_keep_their_bounds(tokens):
    u = np.log(tokens) - np.mean(np.log(tokens))
    bent, flat = 2.0 - 0.2 * np.log(tokens / 1e9), np.full(14, 0.7)
    alpha, l_inf = refit(u, np.array([bent, flat, 1 + 0.1 * u]))
    assert l_inf[0] == 0 and l_inf[1:] == pytest.approx([0.7, 1.0])
    assert np.isfinite(alpha).all()


def of_seeds(curves: pd.DataFrame, folder, seeds: int) -> list[str]:
    """Files of the curves of a run and its repetitions, each with errors of its own."""
    paths = []
    for seed in range(seeds):
        errors = 0.002 * np.random.default_rng(seed).normal(size=len(curves))
        run = "size1-full" + (f"-seed{seed}" if seed else "")
        table = curves.assign(run=run, seed=seed, loss=curves["loss"] + errors)
        paths.append(f"{folder}/{seed}.parquet")
        write_table(table.astype({"loss_per_item": float}), paths[-1], "curves")
    return paths


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run the command on some curves and read what it writes."""

    def run(paths: list[str], out: str = "u.parquet") -> pd.DataFrame:
        settings = json.dumps({"burn_in": 0.06, "pool": "token_weighted", "seed": 7})
        flags = ["--curves", *paths, "--out", f"{tmp_path}/{out}", "--settings", settings]
        monkeypatch.setattr(sys, "argv", ["uncertainty", *flags])
        uncertainty.main()
        return read_table(tmp_path / out, "uncertainty")

    return run


def test_the_command_writes_an_interval_of_each_kind(curves, tmp_path, command):
    paths = of_seeds(curves, tmp_path, 3)
    table = command(paths)
    assert len(table) == 9 * 3 * 2
    assert set(table["kind"]) == {"full"}
    runs = table.groupby("method")["runs"].unique().str[0]
    assert runs.to_dict() == {"seeds": 3, "cluster": 3, "block_bootstrap": 1}
    assert (table["low"] < table["estimate"]).all() and (table["estimate"] < table["high"]).all()
    command(paths[::-1], "again.parquet")
    first, second = (tmp_path / name for name in ("u.parquet", "again.parquet"))
    assert first.read_bytes() == second.read_bytes()


def test_one_seed_has_no_interval_over_seeds(curves, tmp_path, command):
    table = command(of_seeds(curves, tmp_path, 1))
    assert set(table["method"]) == {"block_bootstrap"}


def test_a_run_given_twice_is_refused(curves, tmp_path, command):
    with pytest.raises(UserError, match="--curves hold run size1-full twice"):
        command(of_seeds(curves, tmp_path, 1) * 2)


def test_settings_out_of_range_are_refused(curves, tmp_path):
    with pytest.raises(UserError, match="burn_in is 1.5"):
        _ = uncertainty.Settings(1.5, "equal", 0).of_fits
