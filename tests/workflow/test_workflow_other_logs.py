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


def test_the_method_of_semantic_ids_is_one_value_of_the_config(tmp_path, monkeypatch):
    from recscale.data import example_log

    folder = copy_of_repository(tmp_path / "copy")
    monkeypatch.setattr(sys, "argv", ["log", "--folder", str(folder / "data/example_log")])
    example_log.main()
    options = ["--cores", "2", "--configfile", "config/example_log.yaml"]
    done = snakemake(folder, *options, "--config", "item_ids={method: rq_kmeans}", "--", "table3")
    assert done.returncode == 0, done.stdout
    results = folder / "results/example_log"
    assert not (results / "item_ids/sae.parquet").exists()
    card = files.read_json(results / "item_ids/rq_kmeans.json")
    assert (card["codes_an_item"], card["rec_tokens"]) == (6, 24)
    tokenizer = files.read_json(results / "tokenizer/rq_kmeans/manifest.json")
    assert tokenizer["rec_count"] == card["rec_tokens"]
