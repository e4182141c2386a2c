"""The command: its outputs under the contracts, and one line for each error a user can cause."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pandas as pd
import pytest

from recscale.contracts import check
from recscale.errors import UserError
from recscale.files import read_table, write_table
from recscale.ranking.comparison import compare
from recscale.ranking.compatibility import quiet_corner
from recscale.ranking.settings import Settings, measurable, validation_cutoff
from recscale.ranking.train import budgets, main, strata
from recscale.settings import build


@pytest.fixture
def arguments(cycle, settings, tmp_path):
    """Build the command line, with changes to options and settings."""

    def build(changes: dict | None = None, **options: str) -> list[str]:
        given = {
            "arm": "trtr",
            "model": "GRU4Rec",
            **{name: str(path) for name, path in cycle.items()},
            "ranking": "out/ranking.parquet",
            "ranks": "out/ranks.parquet",
            "work-folder": "work",
            "settings": json.dumps({**settings, **(changes or {})}),
            **options,
        }
        return [part for name, value in given.items() for part in (f"--{name}", value)]

    return build


def test_the_command_writes_what_the_contracts_say(command, arguments, tmp_path):
    done = command(*arguments())
    assert done.returncode == 0, done.stderr
    ranking = check(pd.read_parquet(tmp_path / "out/ranking.parquet"), "ranking", "ranking")
    ranks = check(pd.read_parquet(tmp_path / "out/ranks.parquet"), "ranks", "ranks")
    assert ranking.groupby("seed").k.apply(list).to_dict() == {0: [1, 10], 1: [1, 10]}
    assert set(ranking.arm) == {"trtr"}
    assert set(ranking.budget) == {"matched"}
    assert set(ranking.learning_rate) <= {0.01, 0.03}
    assert (ranking.n_test == 60).all()
    assert (ranking.target_in_history == 0).all()  # no stretch goes round the cycle
    assert (ranking.n_left_out == 0).all() and (ranking.recall_unfiltered == ranking.recall).all()
    assert (ranking.examples == 150).all() and (ranking["items"] == 30).all()
    assert set(ranking.validation) == {"real"} and not set(ranks.stratum) - {
        "head",
        "middle",
        "tail",
    }
    for row in ranking.itertuples():
        found = ranks[ranks.seed == row.seed]["rank"]
        assert row.recall == (found <= row.k).mean()
    histories = read_table(tmp_path / "histories.parquet", "histories")
    for _, group in ranks.groupby("seed"):
        assert group.user_id.tolist() == histories.user_id.tolist()
        assert group.test_item.tolist() == histories.test_item.tolist()
    assert (ranks.rank_masked <= ranks["rank"]).all()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"items.parquet", "histories.parquet", "walks.parquet", "out"}
    assert "recall@1000 is left out: the vocabulary has 30 items" in done.stderr
    assert "best epoch" in done.stderr
    assert "fewer examples than" not in done.stderr


def test_a_refusal_is_one_line_and_leaves_nothing(command, arguments, tmp_path):
    done = command(*arguments(model="BERT4Rec"))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "recscale: error: ranking.models names 'BERT4Rec', which is not a known model; "
        "known: GRU4Rec, NARM, SASRec, STAMP"
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({"hidden": 15}, {"model": "SASRec"}, r"ranking.hidden is 15; SASRec needs a multiple"),
        ({"patience": 0}, {}, r"ranking.patience is 0; it must be positive"),
        ({"learning_rates": []}, {}, r"ranking.learning_rates is \[\]; it must be positive"),
        ({"cutoffs": [100]}, {}, r"ranking.cutoffs are \[100\], and the vocabulary has 30"),
        ({"seed": "x"}, {}, r"settings.seed is 'x'"),
        ({"dropout": 0.1}, {}, r"unknown key 'dropout'"),
        ({}, {"walks": "no.parquet"}, r"no.parquet is missing"),
    ],
)
def test_bad_settings_and_files(arguments, monkeypatch, changes, options, said):
    monkeypatch.setattr(sys, "argv", ["train", *arguments(changes, **options)])
    with pytest.raises(UserError, match=said):
        main()


def test_files_of_different_data_are_refused(arguments, cycle, monkeypatch):
    items = read_table(cycle["items"], "items")
    write_table(items[items.item_id != 104], cycle["items"], "items")
    monkeypatch.setattr(sys, "argv", ["train", *arguments()])
    with pytest.raises(UserError, match="hold 1 items that --items lacks, such as 104"):
        main()


def test_budgets(histories_table, walks_table, caplog, monkeypatch, settings):
    histories = histories_table((1, [1, 2, 3, 1, 2], 3, 1), (2, [1, 2], 3, 2))  # 4 + 1 examples
    found = compare(histories, walks_table([1, 2, 3], [3, 1, 2]), 5)  # 2 + 2 examples
    monkeypatch.setattr(logging.getLogger("recscale"), "propagate", True)

    def sizes_of(budget: str, **changes: int) -> dict[str, int]:
        return budgets(found, budget, build(Settings, {**settings, **changes}, "settings"))

    assert sizes_of("matched", examples=3) == {"tstr": 3, "trtr": 3}
    assert "fewer" not in caplog.text
    assert sizes_of("matched", examples=100) == {"tstr": 4, "trtr": 4}
    assert "fewer examples than 100" in caplog.text
    assert sizes_of("own", own_examples=100) == {"tstr": 4, "trtr": 5}
    assert sizes_of("own", own_examples=3) == {"tstr": 2, "trtr": 3}
    sizes = {len(found.training_examples(arm, 4, 1)) for arm in ("tstr", "trtr")}
    assert sizes == {4}


def test_strata_are_thirds_of_the_events(histories_table, walks_table):
    bought = [1] * 6 + [2] * 3 + [3] * 3 + [4, 5, 6, 7, 8, 9]
    found = compare(histories_table((1, bought, 1, 1)), walks_table(list(range(1, 10))), 3)
    assert strata(found).tolist() == ["head", "middle", "middle", *["tail"] * 6]


def test_an_arm_without_examples_is_refused(histories_table, walks_table, settings):
    histories = histories_table((1, [1], 1, 1), (2, [2], 2, 2))
    found = compare(histories, walks_table([1, 2]), 5)
    with pytest.raises(UserError, match="the trtr arm has no training example"):
        budgets(found, "matched", build(Settings, settings, "settings"))


def test_cutoffs_follow_the_vocabulary():
    assert measurable((1000, 10, 100, 10), 100) == [10, 100]
    assert [validation_cutoff(n) for n in (5000, 101, 100, 30, 3)] == [100, 100, 10, 3, 1]


def test_the_corner_is_restored_and_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "--learning_rate=9"])
    (tmp_path / "work").mkdir()
    (tmp_path / "work/kept").touch()
    with pytest.raises(RuntimeError), quiet_corner("work") as corner:
        assert sys.argv == ["train"]
        np.save("something.npy", np.arange(3))
        assert (corner / "something.npy").exists()
        raise RuntimeError
    assert sys.argv == ["train", "--learning_rate=9"]
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["kept"]  # not ours
    with quiet_corner("other"):
        pass
    assert not (tmp_path / "other").exists()
