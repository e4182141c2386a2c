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


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command with some tables and read its output."""

    def ledger(*options):
        out = tmp_path / "verdicts.csv"
        fixed = ["--claims", PAPER / "claims.yaml", "--rung", "planted", "--out", out]
        fixed += ["--published", PAPER / "published" / "claims.csv"]
        monkeypatch.setattr(sys, "argv", ["ledger", *map(str, [*fixed, *options])])
        main()
        return pd.read_csv(out, keep_default_na=False).set_index("id")

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
