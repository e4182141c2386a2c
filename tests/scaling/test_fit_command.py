"""The command: one row per run and domain, pooled columns, error lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recscale
from recscale.contracts import HELD_OUT_DOMAINS, check
from recscale.errors import UserError
from recscale.files import write_table
from recscale.scaling.fit import (
    COLUMNS,
    Settings,
    domain_curves,
    fit_runs,
    fits_and_residuals,
    main,
)

CHOSEN = Settings(burn_in=0.06, pool="token_weighted")


def arguments(folder, out):
    """The command line of a rule."""
    chosen = json.dumps({"burn_in": 0.06, "pool": "token_weighted"})
    paths = ["--curves", f"{folder}/curves.parquet", "--out", f"{folder}/{out}"]
    residuals = f"{folder}/{out}".replace(".csv", "-residuals.parquet")
    return [*paths, "--residuals", residuals, "--settings", chosen]


def test_the_command_writes_the_same_bytes_twice_and_imports_no_torch(
    tmp_path, curves, monkeypatch
):
    write_table(curves, tmp_path / "curves.parquet", "curves")
    done = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-m", "recscale.scaling.fit"),
            *arguments(tmp_path, "fits.csv"),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(recscale.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert "| torch" not in done.stderr
    monkeypatch.setattr(sys, "argv", ["fit", *arguments(tmp_path, "again.csv")])
    main()
    for name in ("{}.csv", "{}-residuals.parquet"):
        first, second = (tmp_path / name.format(out) for out in ("fits", "again"))
        assert first.read_bytes() == second.read_bytes()
    fits = pd.read_csv(tmp_path / "fits.csv")
    assert tuple(fits.columns) == COLUMNS
    assert fits["domain"].tolist() == [*HELD_OUT_DOMAINS, "cf", "uih"]
    expected = fit_runs(curves, CHOSEN, "curves")
    assert fits["alpha"].tolist() == expected["alpha"].tolist()


def test_a_row_holds_the_law_of_its_domain(curves):
    fits = fit_runs(curves, CHOSEN, "curves").set_index("domain")
    assert (fits["status"] == "converged").all()
    for i, domain in enumerate(HELD_OUT_DOMAINS):
        row = fits.loc[domain]
        assert row["l_inf_low"] <= 0.5 + 0.1 * i <= row["l_inf_high"]
        assert row["alpha_low"] < 0.6 and row["alpha_high"] > 0.5
    assert (fits["n_points"] == 10).all()
    assert (fits["first_tokens"] >= 0.06 * 1_600_000).all()
    assert (fits["last_tokens"] == 1_600_000).all()
    last = curves[(curves["domain"] == "uih_ood") & (curves["token_class"] == "all")]
    assert fits.loc["uih_ood", "last_loss"] == last["loss"].iloc[-1]


def test_residuals_are_kept_raw(curves):
    fits, residuals = fits_and_residuals(curves, CHOSEN, "curves")
    assert len(residuals) == 9 * 14  # step 0 has no place in a law
    check(residuals, "residuals", "residuals")
    for domain, rows in residuals.groupby("domain"):
        fit = fits.set_index("domain").loc[domain]
        assert rows["used"].sum() == fit["n_points"] == 10
        law = fit["l_inf"] + fit["a"] * (rows["tokens"] / fit["d0"]) ** -fit["alpha"]
        assert rows["residual"].to_numpy() == pytest.approx(rows["loss"] - law, abs=1e-12)
        used = rows.loc[rows["used"], "residual"]
        assert np.sqrt(np.mean(used**2)) == pytest.approx(fit["rmse"], rel=1e-9)
        robust = (
            fit["huber_l_inf"]
            + fit["huber_a"] * (rows["tokens"] / fit["d0"]) ** -fit["huber_alpha"]
        )
        assert rows["huber_fitted"].to_numpy() == pytest.approx(robust, abs=1e-12)


def test_both_solvers_and_the_burn_in_stand_in_every_row(curves):
    fits = fit_runs(curves, CHOSEN, "curves")
    assert (fits["burn_in"] == 0.06).all()
    assert (fits["solver_difference"] < 1e-6).all() and (fits["huber_difference"] < 1e-6).all()
    assert (abs(fits["huber_alpha"] - fits["alpha"]) < 0.1).all()


def test_a_rising_domain_gets_an_onset_in_place_of_an_alpha(curves):
    rises = curves["domain"].str.startswith("uih") & (curves["tokens"] > 400_000)
    rise = 0.2 * np.log(curves["tokens"].where(rises, 400_000) / 400_000)
    fits, residuals = fits_and_residuals(
        curves.assign(loss=curves["loss"] + rise), CHOSEN, "curves"
    )
    fits = fits.set_index("domain")
    for domain in ("uih_ood", "uih_full_graph", "uih"):
        row = fits.loc[domain]
        assert row["status"] == "not_monotone"
        assert row[["alpha", "l_inf", "alpha_low", "rmse", "huber_alpha"]].isna().all()
        assert row["onset_tokens_low"] <= row["onset_tokens"] <= row["onset_tokens_high"]
        assert 200_000 < row["onset_tokens_low"] < row["onset_tokens_high"] < 1_000_000
        # The planted repeats are step / 10, the tokens 1,000 a step.
        assert row["onset_repeats"] == row["onset_tokens"] / 10_000
        assert row["onset_repeats_high"] == row["onset_tokens_high"] / 10_000
        assert not row["onset_censored"]
    assert residuals.loc[residuals["domain"] == "uih", "fitted"].isna().all()
    falls = fits.loc["general"]
    assert falls["onset_censored"] and pd.isna(falls["onset_tokens_high"])
    assert falls["status"] == "converged"


def test_domains_may_be_evaluated_at_different_steps(curves):
    # Between 10 and 30 repeats the UIH domains are evaluated more often than the others.
    uih = curves["domain"].str.startswith("uih")
    more = curves[uih & (curves["step"] == 1600)].assign(
        step=1500, tokens=1_500_000, domain_tokens=150_000, repeats=150.0
    )
    table = pd.concat([curves, more]).sort_values("tokens", kind="stable")
    fits = fit_runs(table, CHOSEN, "curves").set_index("domain")
    points = {d: fits.loc[d, "n_points"] for d in ("uih_ood", "uih", "general", "cf")}
    assert points == {"uih_ood": 11, "uih": 11, "general": 10, "cf": 10}


def test_real_histories_are_fitted_where_they_were_evaluated(curves):
    real = curves[curves["domain"] == "uih_ood"].assign(domain="real_histories")
    fits = fit_runs(pd.concat([curves, real]), CHOSEN, "curves")
    assert fits["domain"].tolist() == [*HELD_OUT_DOMAINS, "cf", "uih", "real_histories"]
    by_domain = fits.set_index("domain")
    assert by_domain.loc["real_histories", "alpha"] == by_domain.loc["uih_ood", "alpha"]
    assert by_domain.loc["uih", "alpha"] == fit_runs(curves, CHOSEN, "c")["alpha"].iloc[8]


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(7)), factor=st.sampled_from([0.5, 2.0, 1024.0]))
def test_neither_the_order_of_domains_nor_the_unit_of_tokens_matters(order, factor):
    steps = np.geomspace(40, 1600, 9).round().astype(int)
    tables = [
        pd.DataFrame(
            {
                **{"run": "size1-full", "size": "size1", "seed": 0, "domain": domain},
                **{"step": steps, "tokens": steps * 1024, "repeats": steps / 10},
                **{"token_class": "all", "n_tokens": 10 * (i + 1)},
                "loss": 0.5 + 0.1 * i + (steps / 100) ** -0.5 + 0.001 * np.cos(7 * i + steps),
            }
        )
        for i, domain in enumerate(HELD_OUT_DOMAINS)
    ]
    first = fit_runs(pd.concat(tables), Settings(0.0, "equal"), "curves")
    moved = pd.concat([tables[i] for i in order])
    moved["tokens"] = (moved["tokens"] * factor).astype("int64")
    second = fit_runs(moved, Settings(0.0, "equal"), "curves")
    assert second["status"].tolist() == first["status"].tolist()
    for name in ("alpha", "l_inf", "alpha_low", "alpha_high", "onset_repeats"):
        assert second[name].to_numpy(float) == pytest.approx(
            first[name].to_numpy(float), rel=1e-6, nan_ok=True
        )
    assert second["d0"].tolist() == pytest.approx((first["d0"] * factor).tolist())


def test_pooling_weights_by_tokens_or_equally(curves):
    at = curves[(curves["token_class"] == "all") & (curves["tokens"] == 1_600_000)]
    loss = at.set_index("domain")["loss"]
    pooled = domain_curves(curves, "token_weighted")
    pooled = pooled[pooled["tokens"] == 1_600_000].set_index("domain")
    cf = (3 * loss["cf_both_seen"] + 4 * loss["cf_one_unseen"] + 5 * loss["cf_both_unseen"]) / 12
    assert pooled.loc["cf", "loss"] == pytest.approx(cf, rel=1e-14)
    assert pooled.loc["cf", "n_tokens"] == 12_000
    assert pooled.loc["uih", "loss"] == pytest.approx(
        (6 * loss["uih_ood"] + 7 * loss["uih_full_graph"]) / 13, rel=1e-14
    )
    equal = domain_curves(curves, "equal")
    equal = equal[equal["tokens"] == 1_600_000].set_index("domain")
    assert equal.loc["uih", "loss"] == pytest.approx(
        (loss["uih_ood"] + loss["uih_full_graph"]) / 2, rel=1e-14
    )


def test_burn_in_is_a_share_of_the_runs_tokens(curves):
    general = curves[curves["domain"] == "general"]
    none = fit_runs(general, Settings(0.0, "token_weighted"), "curves").iloc[0]
    assert none["n_points"] == 14  # step 0 has no place on a logarithmic axis
    half = fit_runs(general, Settings(0.5, "token_weighted"), "curves").iloc[0]
    assert half["n_points"] == 3
    assert half["status"] == "too_few_points"
    assert half["alpha"] is None


def test_a_branch_may_be_shorter_than_the_law_has_parameters(tmp_path, curves, monkeypatch):
    write_table(curves[curves["step"] > 1000], tmp_path / "curves.parquet", "curves")
    command = arguments(tmp_path, "fits.csv")
    monkeypatch.setattr(sys, "argv", ["fit", *command])
    with pytest.raises(UserError, match="has 2 evaluation"):
        main()
    assert not (tmp_path / "fits.csv").exists()
    monkeypatch.setattr(sys, "argv", ["fit", *command, "--short"])
    main()
    fits = pd.read_csv(tmp_path / "fits.csv")
    assert set(fits["status"]) == {"too_few_points"} and set(fits["n_points"]) == {2}


def test_a_domain_without_rows_is_said_and_not_pooled(curves):
    fits = fit_runs(curves[curves["domain"] != "cf_both_unseen"], CHOSEN, "curves")
    missing = fits[fits["domain"].isin(["cf_both_unseen", "cf"])]
    assert (missing["status"] == "too_few_points").all()
    assert (missing["n_points"] == 0).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "curves.parquet is missing"),
        (b"PAR1", "curves.parquet is truncated or not Parquet"),
        ("no loss", r"curves.parquet lacks the column\(s\) loss"),
    ],
)
def test_a_bad_file_stops_by_name(tmp_path, curves, content, message, monkeypatch):
    path = tmp_path / "curves.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        curves.drop(columns="loss").to_parquet(path)
    monkeypatch.setattr(sys, "argv", ["fit", *arguments(tmp_path, "fits.csv")])
    with pytest.raises(UserError, match=message):
        main()
    assert not (tmp_path / "fits.csv").exists()


@pytest.mark.parametrize(
    ("burn_in", "pool", "message"),
    [(1.0, "equal", "burn_in is 1.0"), (0.1, "median", "pool is 'median'")],
)
def test_settings_out_of_range_are_refused(burn_in, pool, message):
    with pytest.raises(UserError, match=message):
        Settings(burn_in, pool)
