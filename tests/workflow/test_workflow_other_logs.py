"""Tables 3 and 8 from a simulated world and from anybody's log, through Snakemake itself."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from recscale import files
from repository_copy import copy_of_repository, snakemake


@pytest.mark.parametrize("name", ["world", "example_log"])
def test_tables_3_and_8_are_made_of_other_logs(tmp_path, monkeypatch, name):
    folder = copy_of_repository(tmp_path / "copy")
    if name == "example_log":
        from recscale.data import example_log

        where = folder / "data/example_log"
        monkeypatch.setattr(sys, "argv", ["example_log", "--folder", str(where)])
        example_log.main()
    options = ["--cores", "2", "--configfile", f"config/{name}.yaml", "--"]
    done = snakemake(folder, *options, "table8", "table3")
    assert done.returncode == 0, done.stdout
    card = files.read_json(folder / f"results/{name}/data/card.json")
    dropped = sum(count for key, count in card.items() if key.startswith("dropped_"))
    assert card["rows_read"] == card["rows_used"] + dropped
    sweep = pd.read_csv(folder / f"paper/{name}/tables/table8.csv")
    assert len(sweep) == 14 and sweep["gini"].notna().all()
    held_out = pd.read_csv(folder / f"paper/{name}/tables/table3.csv")
    assert len(held_out) >= 7
    assert not (folder / f"results/{name}/pretraining").exists()  # nothing else ran
