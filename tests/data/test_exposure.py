"""What The Complete Journey's stores showed, and the example of anybody's log."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from recscale import files
from recscale.data import example_log, exposure
from recscale.errors import UserError


def test_displays_and_mailers_are_read_and_every_row_is_counted(tmp_path, call):
    told = {"source": "complete_journey", "folder": None, "memory_limit": "2GB"}
    paths = ["--exposure", tmp_path / "e.parquet", "--card", tmp_path / "e.json"]
    call(exposure.main, *paths, "--settings", json.dumps(told))
    card = files.read_json(tmp_path / "e.json")
    assert card["rows_read"] == 20_940_529
    assert card["rows_read"] == card["rows_used"] + card["dropped_not_an_item"]
    table = files.read_table(tmp_path / "e.parquet", "exposure")
    assert len(table) == card["rows"]
    assert not table.duplicated(["item_id", "week"]).any()
    assert (table["stores_displayed"] <= table["stores"]).all()
    assert (table["stores_mailed"] <= table["stores"]).all()
    # Every row of the record is on display or in the mailer.
    assert (table["stores_displayed"] + table["stores_mailed"] > 0).all()
    first = table.groupby("week")["week_start"].first()
    assert first[1] == pd.Timestamp("2017-01-01")
    assert first[2] == pd.Timestamp("2017-01-02")
    with pytest.raises(UserError, match="data.source merrec records no exposure"):
        call(exposure.main, *paths, "--settings", json.dumps(told | {"source": "merrec"}))


def test_the_example_log_is_two_tables_with_sessions_of_one_user(tmp_path, call):
    call(example_log.main, "--folder", tmp_path)
    items = pd.read_parquet(tmp_path / "items.parquet")
    events = pd.read_parquet(tmp_path / "events.parquet")
    assert set(events["item_id"]) <= set(items["item_id"])
    assert (events.groupby("session_id")["user_id"].nunique() == 1).all()
    assert events["time"].max() - events["time"].min() > pd.Timedelta(days=80)
