"""The golden test passes equal results, and names the worst cell of others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale.errors import UserError
from recscale.reference import compare
from recscale.reference.cells import differences
from recscale.reference.tolerances import KINDS, Kind, kind_of

CURVES = "pretraining/size1-full/curves.parquet"
RANKS = "ranking/own-real/tstr-STAMP-ranks.parquet"


def with_cell(row, column, value):
    def change(frame):
        frame[column] = frame[column].astype(object if isinstance(value, str) else float)
        frame.loc[row, column] = value
        return frame

    return change


def result(reference, fresh):
    return compare.compare(reference, fresh.results, fresh.artefacts)


def test_the_same_results_under_another_name_are_equal(reference, fresh):
    comparison = result(reference, fresh)
    # Pictures are not compared.
    assert comparison.equal == len(reference.entries) - 1
    assert comparison.columns.empty
    assert comparison.absent == []


def test_a_loss_beyond_tolerance_is_named_with_its_row(reference, fresh, tmp_path, call, capsys):
    fresh.rewrite(CURVES, with_cell(3, "loss", 2.5))
    folders = ["--results", fresh.results, "--artefacts", fresh.artefacts]
    out = tmp_path / "golden.csv"
    with pytest.raises(UserError, match=f"the worst loss of {CURVES}"):
        call(compare.main, "--reference", reference.folder, *folders, "--out", out)
    assert f"{CURVES} [run=size1-full domain=uih_ood step=10] loss: 2.0" in capsys.readouterr().out
    written = pd.read_csv(out)
    assert written["times"].tolist() == [
        pytest.approx(0.5 / (kind_of(CURVES, "tidy").relative * 2))
    ]


def test_a_loss_within_tolerance_passes_and_is_shown(reference, fresh):
    relative = kind_of(CURVES, "tidy").relative
    fresh.rewrite(CURVES, with_cell(3, "loss", 2.0 * (1 + 0.5 * relative)))
    comparison = result(reference, fresh)
    assert comparison.beyond.empty
    assert comparison.columns["times"].tolist() == [pytest.approx(0.5)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_beyond_any_tolerance(reference, fresh, value):
    fresh.rewrite(CURVES, with_cell(0, "loss", value))
    assert result(reference, fresh).beyond["times"].tolist() == [np.inf]


def test_single_ranks_may_move_but_not_their_share(reference, fresh):
    fresh.rewrite(RANKS, lambda frame: frame.assign(rank=frame["rank"].to_numpy()[::-1]))
    assert result(reference, fresh).columns.empty
    fresh.rewrite(RANKS, lambda frame: frame.assign(rank=frame["rank"] + 50))
    beyond = result(reference, fresh).beyond
    assert beyond["column"].tolist() == ["rank"]
    assert beyond["row"].tolist() == ["arm=tstr model=STAMP seed=0"]


def test_lists_and_json_are_compared_by_their_parts(reference, fresh):
    fresh.rewrite("item_ids/quality/sae.parquet", lambda f: f.assign(purity=[[0.2, 0.5]] * len(f)))
    fresh.rewrite("data/card.json", lambda card: {**card, "kept": {"users": [7, 9]}})
    beyond = result(reference, fresh).beyond.set_index("file")
    assert beyond.loc["item_ids/quality/sae.parquet", "column"] == "purity 1"
    assert beyond.loc["data/card.json", "row"] == "key=kept.users.1"


def test_a_changed_verdict_counts_where_the_tidy_files_are_equal(reference, fresh):
    path = "claims/verdicts_controls.csv"
    fresh.rewrite(path, with_cell(1, "verdict", "contradicted"))
    beyond = result(reference, fresh).beyond
    assert beyond[["file", "row", "here"]].values.tolist() == [[path, "id=b", "contradicted"]]
    # Otherwise it is shown: verdicts have rules of their own.
    fresh.rewrite(CURVES, with_cell(3, "loss", 2.0001))
    comparison = result(reference, fresh)
    assert comparison.beyond.empty
    assert comparison.columns.set_index("file").loc[path, "here"] == "contradicted"


def test_other_rows_or_columns_are_named(reference, fresh):
    fresh.rewrite(CURVES, lambda frame: frame.iloc[:3])
    fresh.rewrite("tables/table4.csv", lambda frame: frame.assign(beta=1).drop(columns="alpha"))
    found = result(reference, fresh).columns.set_index("file")
    rows = found.loc[CURVES]
    assert (rows["column"], rows["reference"], rows["here"]) == ("number of rows", "4", "3")
    columns = found.loc["tables/table4.csv"]
    assert (columns["reference"], columns["here"]) == ("alpha", "beta")


def test_what_was_not_made_here_is_counted_and_nothing_at_all_is_an_error(reference, fresh):
    fresh.tidy[0].unlink()
    assert result(reference, fresh).absent == [CURVES]
    for file in [*fresh.tidy[1:], *fresh.made]:
        file.unlink()
    with pytest.raises(UserError, match="has no file of"):
        result(reference, fresh)


def test_the_worst_ten_are_printed_worst_first(reference, fresh):
    fresh.rewrite(CURVES, with_cell(0, "loss", 9.0))
    fresh.rewrite(CURVES, with_cell(2, "loss_per_item", 41.0))
    comparison = result(reference, fresh)
    assert comparison.columns["column"].tolist() == ["loss", "loss_per_item"]
    lines = compare.report(comparison, reference).splitlines()
    assert "5 of 6 files are equal, 1 differ, 0 are not here" in lines[0]
    assert "2 columns of judged files differ, 2 beyond tolerance" in lines[1]
    assert [line.split("] ")[1].split(":")[0] for line in lines[2:]] == ["loss", "loss_per_item"]


def test_every_kind_is_reached_by_a_pattern_of_its_own():
    names = [kind.pattern.replace("*", "x") for kind in KINDS]
    assert [kind_of(name, "tidy") for name in names] == list(KINDS)


@given(
    value=st.floats(0.01, 1e6),
    share=st.floats(-3, 3).filter(lambda share: abs(abs(share) - 1) > 0.01),
    relative=st.floats(1e-6, 0.5),
)
def test_a_cell_is_beyond_when_it_is_further_off_than_its_tolerance(
    tmp_path_factory, value, share, relative
):
    folder = tmp_path_factory.mktemp("pair")
    kind = Kind("*", relative=relative)
    for name, number in (("a.csv", value), ("b.csv", value * (1 + share * relative))):
        pd.DataFrame({"key": ["x"], "number": [number]}).to_csv(folder / name, index=False)
    found = differences(folder / "a.csv", folder / "b.csv", kind)
    assert (found["times"] > 1).any() == (abs(share) > 1)
