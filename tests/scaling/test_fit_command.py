"""The command: one row per run and domain, pooled columns, error lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import recscale
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.files import write_table
from recscale.scaling.fit import COLUMNS, Settings, domain_curves, fit_runs, main

CHOSEN = Settings(burn_in=0.06, pool="token_weighted")


def arguments(folder, out):
    """The command line of a rule."""
    settings = json.dumps({"burn_in": 0.06, "pool": "token_weighted"})
    paths = ["--curves", f"{folder}/curves.parquet", "--out", f"{folder}/{out}"]
    return [*paths, "--settings", settings]


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
    assert (tmp_path / "fits.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
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


def test_a_domain_without_rows_is_said_and_not_pooled(curves):
    fits = fit_runs(curves[curves["domain"] != "cf_both_unseen"], CHOSEN, "curves")
    missing = fits[fits["domain"].isin(["cf_both_unseen", "cf"])]
    assert (missing["status"] == "too_few_points").all()
    assert (missing["n_points"] == 0).all()


def spoiled(curves, **values):
    """The curves with one row of token class `all` changed."""
    row = curves.index[(curves["token_class"] == "all") & (curves["domain"] == "uih_ood")][5]
    return curves.assign(**{k: curves[k].where(curves.index != row, v) for k, v in values.items()})


@pytest.mark.parametrize("loss", [float("nan"), 0.0, -1.0, float("inf")])
def test_a_bad_loss_stops_with_run_and_domain(curves, loss):
    with pytest.raises(UserError, match=r"curves\.parquet has the loss .* size1-full, .* uih_ood"):
        fit_runs(spoiled(curves, loss=loss), CHOSEN, "curves.parquet")


def test_an_evaluation_given_twice_stops_with_run_and_domain(curves):
    with pytest.raises(UserError, match="domain general twice at 0 tokens"):
        fit_runs(pd.concat([curves, curves.iloc[:1]]), CHOSEN, "curves")


def test_unsorted_rows_are_sorted(curves):
    general = curves[curves["domain"] == "general"]
    shuffled = general.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(fit_runs(shuffled, CHOSEN, "c"), fit_runs(general, CHOSEN, "c"))


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
