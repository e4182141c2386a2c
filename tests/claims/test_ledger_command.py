"""The command: a row per claim from the files of a rung."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from recscale.claims.ledger import COLUMNS, main
from recscale.errors import UserError
from recscale.files import write_csv, write_table

PAPER = Path(__file__).parents[2] / "paper"
ARMS = "ranking_tstr_beats_trtr"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command with some tables and read its output."""

    def ledger(*options):
        out = tmp_path / "verdicts.csv"
        fixed = ["--claims", PAPER / "claims.yaml", "--rung", "planted", "--out", out]
        fixed += ["--published", PAPER / "published" / "claims.csv", "--window-length", 512]
        fixed += ["--experiments", PAPER.parent / "config" / "experiments.yaml"]
        monkeypatch.setattr(sys, "argv", ["ledger", *map(str, [*fixed, *options])])
        main()
        return pd.read_csv(out, dtype=str, keep_default_na=False).set_index("id")

    return ledger


def test_nothing_given_nothing_measured(run):
    ledger = run()
    assert [ledger.index.name, *ledger.columns] == list(COLUMNS)
    assert len(ledger) == 34
    assert (ledger["verdict"] == "not measured yet").all()
    assert "fig4" in ledger.loc["cf_helps_uih", "reason"]
    assert "fig1" in ledger.loc["ranking_sasrec_gain", "reason"]


def test_the_files_of_a_rung_give_verdicts(
    run, tmp_path, make_ranks, make_training, table8, lawful
):
    curves, fits = lawful
    ranks = make_ranks()
    for arm in ("tstr", "trtr"):
        write_table(ranks[ranks["arm"] == arm], tmp_path / f"{arm}.parquet", "ranks")
    write_table(curves, tmp_path / "curves.parquet", "curves")
    write_table(make_training(), tmp_path / "training.parquet", "training")
    write_csv(fits, tmp_path / "fits.csv")
    write_csv(table8, tmp_path / "sweep.csv")
    options = ["--ranks", tmp_path / "tstr.parquet", tmp_path / "trtr.parquet"]
    options += ["--curves", tmp_path / "curves.parquet"]
    options += ["--training", tmp_path / "training.parquet", "--sweep", tmp_path / "sweep.csv"]
    ledger = run(*options, "--fits", tmp_path / "fits.csv")
    reproduced = set(ledger.index[ledger["verdict"] == "reproduced"])
    assert reproduced == {
        "ranking_tstr_beats_trtr",
        "ranking_sasrec_gain",
        "power_law_every_domain",
        "training_loss_monotone",
        "walk_choice",
    }
    assert ledger.loc["general_saturated", "verdict"] == "not measurable here"
    assert ledger.loc["chinchilla_general", "verdict"] == "inconclusive"
    assert (ledger["rung"] == "planted").all()
    assert "all_controls trains size1-full-seed1" in ledger.loc["chinchilla_general", "reason"]
    first = (tmp_path / "verdicts.csv").read_bytes()
    run(*options, "--fits", tmp_path / "fits.csv")
    assert (tmp_path / "verdicts.csv").read_bytes() == first

    write_csv(fits[fits["run"] != "size3-full"], tmp_path / "fewer.csv")
    fewer = run(*options, "--fits", tmp_path / "fewer.csv")
    assert fewer.loc["power_law_every_domain", "verdict"] == "not measured yet"
    assert "size3-full" in fewer.loc["power_law_every_domain", "reason"]


def test_a_table_without_a_column_stops_by_name(run, tmp_path, table8):
    write_csv(table8.drop(columns="gini"), tmp_path / "sweep.csv")
    with pytest.raises(UserError, match=r"sweep.csv lacks the column\(s\) gini"):
        run("--sweep", tmp_path / "sweep.csv")


def test_fits_given_twice_stop_by_name(run, tmp_path, make_fits):
    write_csv(make_fits({"cf": [(0.3, 0.3)] * 4}), tmp_path / "fits.csv")
    with pytest.raises(UserError, match="--fits has run size1-full, domain cf twice"):
        run("--fits", tmp_path / "fits.csv", tmp_path / "fits.csv")


def test_a_missing_table_stops_by_name(run, tmp_path):
    with pytest.raises(UserError, match=r"ranks\.parquet is missing"):
        run("--ranks", tmp_path / "ranks.parquet")


def test_a_loss_that_is_no_number_stops_by_name(run, tmp_path, lawful, make_training):
    curves, _ = lawful
    place = curves.index[(curves["run"] == "size2-full") & (curves["domain"] == "cf_both_seen")][5]
    curves.assign(loss=curves["loss"].mask(curves.index == place)).to_parquet(
        tmp_path / "curves.parquet"
    )
    with pytest.raises(UserError, match="the loss nan in run size2-full, domain cf_both_seen, at"):
        run("--curves", tmp_path / "curves.parquet")
    training = make_training()
    training.loc[7, "loss"] = float("nan")
    training.to_parquet(tmp_path / "training.parquet")
    with pytest.raises(UserError, match="the loss nan in run size1-full at step 80"):
        run("--training", tmp_path / "training.parquet")


def test_swapped_arms_of_figure_1_flip_its_verdict(run, tmp_path, make_ranks):
    ranks = make_ranks()
    write_table(ranks, tmp_path / "ranks.parquet", "ranks")
    assert run("--ranks", tmp_path / "ranks.parquet").loc[ARMS, "verdict"] == "reproduced"
    swapped = ranks.assign(arm=ranks["arm"].map({"tstr": "trtr", "trtr": "tstr"}))
    write_table(swapped, tmp_path / "ranks.parquet", "ranks")
    assert run("--ranks", tmp_path / "ranks.parquet").loc[ARMS, "verdict"] == "contradicted"


def test_an_audit_given_twice_stops_by_name(run, tmp_path):
    row = {"audit": "privacy", "measure": "kept_out_users", "group": "real log", "value": 5}
    write_csv(pd.DataFrame([row | {"low": "", "high": "", "n": 9}]), tmp_path / "privacy.csv")
    with pytest.raises(UserError, match="--audits has audit privacy, measure kept_out_users"):
        run("--audits", tmp_path / "privacy.csv", tmp_path / "privacy.csv")


def test_a_reference_is_shown(run, tmp_path):
    run()
    (tmp_path / "verdicts.csv").rename(tmp_path / "reference.csv")
    shown = run("--reference", tmp_path / "reference.csv")
    assert shown.loc["privacy", "reference"] == "not measured yet (rung planted)"
