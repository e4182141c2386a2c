"""Recall of control arms and of parts of the users."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tidy_inputs
from recscale import files
from recscale.errors import UserError
from recscale.tables import ranking_arms


@pytest.fixture
def ranks(tmp_path) -> pd.DataFrame:
    """Two arms and a control of one model; targets differ in stratum, some are outside."""
    table = files.read_table(tidy_inputs.ranks(tmp_path, "SASRec", seeds=3), "ranks")
    users = table["user_id"] // 3
    strata = np.array(["head", "middle", "tail", "outside"])[users % 4]
    table = table.assign(stratum=strata, in_history=users % 5 == 0)
    table.loc[table["stratum"] == "outside", ["rank", "rank_masked"]] = 3001
    worst = table[table["arm"] == "trtr"].assign(arm="trtr_shuffled")
    worst["rank"] = worst["rank"] + 1500
    return pd.concat([table, worst], ignore_index=True)


def test_parts_are_counted_and_ratios_are_to_trtr(ranks):
    table = ranking_arms.build(ranks, [100, 1000], 500, 1)
    table = table.set_index(["arm", "users", "k"]).sort_index()
    assert table.loc[("tstr", "all", 100), "n_users"] == 300
    assert table.loc[("tstr", "unfiltered", 100), "n_users"] == 400
    assert table.loc[("tstr", "tail", 100), "n_users"] == 100
    of_arm = ranks[(ranks["arm"] == "tstr") & (ranks["stratum"] == "tail")]
    expected = (of_arm["rank"] <= 100).mean()
    assert table.loc[("tstr", "tail", 100), "recall"] == pytest.approx(expected)
    share = table.loc[("tstr", "unfiltered", 100), "recall"]
    assert share == pytest.approx(0.75 * table.loc[("tstr", "all", 100), "recall"])
    assert table.loc[("tstr", "all", 1000), "ratio_low"] > 1
    assert table.loc[("trtr_shuffled", "all", 1000), "ratio_high"] < 1
    assert table.loc["trtr", "ratio"].isna().all()
    assert (table["ndcg"] <= table["recall"]).all()


def test_the_command_writes_both_targets(ranks, tmp_path, call):
    files.write_table(ranks, tmp_path / "ranks.parquet", "ranks")
    for target in ("ranking_strata", "ranking_controls"):
        flags = ("--target", target, "--ranks", tmp_path / "ranks.parquet", "--seed", 1)
        more = ("--cutoffs", 10, 100, "--replicates", 50, "--rung", "mini")
        call(ranking_arms.main, *flags, *more, "--out-prefix", tmp_path / target)
        assert len(files.read_csv(tmp_path / f"{target}.csv")) == 3 * 7 * 2
        assert "TRTR, sessions shuffled" in (tmp_path / f"{target}.tex").read_text()


def test_arms_of_other_users_are_refused(ranks):
    fewer = ranks[(ranks["arm"] != "tstr") | (ranks["user_id"] > 10)]
    with pytest.raises(UserError, match="tstr and trtr of SASRec were tested on different users"):
        ranking_arms.build(fewer, [10], 10, 1)
