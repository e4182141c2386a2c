"""Table 7 from known neighbours: its rows, its shares and intervals, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale.errors import UserError
from recscale.tables import table7

QUERIES = 5
NEIGHBOURS = 10


def neighbours() -> pd.DataFrame:
    """Five queries of eight codes; one neighbour of query q is in its leaf for each q."""
    frame = pd.DataFrame(
        [
            {
                "query": q,
                "position": p,
                "item_id": 100 * q + p,
                "codes": f"REC{p} REC8" if q == 0 else None,
                "text": f"{p} & co_{p}, in bags" if q == 0 else None,
                "equal_positions": 8 if p < 2 else 4 + (q % 2),
                "common_prefix": 8 if p < 2 else 2,
                "width": 8,
                "same_leaf_category": bool(p <= q),
                "random_same_leaf": 0.1 * q,
            }
            for q in range(QUERIES)
            for p in range(NEIGHBOURS + 1)
        ]
    )
    return frame


def make(call, nearest: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, str]:
    nearest.to_csv(folder / "nearest.csv", index=False)
    arguments = ["--nearest", folder / "nearest.csv", "--rung", "mini", "--name", "my_log"]
    call(table7.main, *arguments, "--out-prefix", folder / "t")
    return pd.read_csv(folder / "t.csv"), (folder / "t.tex").read_text()


def test_rows_of_the_example_and_shares_over_all_queries(tmp_path, call):
    table, tex = make(call, neighbours(), tmp_path)
    assert list(table.columns) == [
        *("rung", "name", "position", "codes", "text", "similarity", "common_prefix"),
        *("same_leaf_category", "queries"),
        *("mean_similarity_at_10", "mean_similarity_at_10_low", "mean_similarity_at_10_high"),
        *("share_same_leaf", "share_same_leaf_low", "share_same_leaf_high"),
        *("random_same_leaf", "random_same_leaf_low", "random_same_leaf_high"),
    ]
    assert table["position"].tolist() == list(range(11))
    assert table["similarity"].tolist() == [1, 1, *[0.5] * 9]
    assert table["same_leaf_category"].tolist() == [True, *[False] * 10]
    of_query = np.array([(8 + 9 * (4 + q % 2)) / 80 for q in range(5)])
    half = 1.959963984540054 * of_query.std(ddof=1) / np.sqrt(5)
    first = table.iloc[0]
    assert first["queries"] == 5
    assert first["mean_similarity_at_10"] == pytest.approx(of_query.mean())
    assert first["mean_similarity_at_10_low"] == pytest.approx(of_query.mean() - half)
    assert first["mean_similarity_at_10_high"] == pytest.approx(of_query.mean() + half)
    assert first["share_same_leaf"] == pytest.approx(0.2)
    assert first["random_same_leaf"] == pytest.approx(0.2)
    assert (table.iloc[:, 8:] == table.iloc[0, 8:]).all(axis=None)
    assert tex.startswith("% table7, rung mini, run my_log;")
    assert tex.count("{") == tex.count("}")
    assert r"REC0 REC8 & 0 \& co\_0, in bags & -- \\" in tex
    assert r"REC2 REC8 & 2 \& co\_2, in bags & 50.0 \\" in tex
    assert "first of 5 training items drawn by the seed; it was not picked." in tex
    assert r"20.0\,\% [6.1, 33.9] of the neighbours" in tex


def test_equal_inputs_give_equal_bytes(tmp_path, call):
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make(call, neighbours(), tmp_path / folder)
        written.append([(tmp_path / folder / f"t.{e}").read_bytes() for e in ("csv", "tex")])
    assert written[0] == written[1]


def test_unknown_categories_count_neither_for_nor_against(tmp_path, call):
    nearest = neighbours().astype({"same_leaf_category": object})
    nearest.loc[nearest["query"] == 4, ["same_leaf_category", "random_same_leaf"]] = None
    # Of query 3 the neighbours 1 to 3 are in its leaf, and 4 to 8 are now unknown: 3 of 5.
    unknown = (nearest["query"] == 3) & nearest["position"].between(4, 8)
    nearest.loc[unknown, "same_leaf_category"] = None
    table, _ = make(call, nearest, tmp_path)
    assert table["share_same_leaf"][0] == pytest.approx((0 + 0.1 + 0.2 + 3 / 5) / 4)
    assert table["random_same_leaf"][0] == pytest.approx(0.15)
    assert table["queries"][0] == 5


def test_a_log_without_categories_says_so(tmp_path, call):
    nearest = neighbours().assign(same_leaf_category=None, random_same_leaf=None)
    table, tex = make(call, nearest[nearest["query"] == 0], tmp_path)
    assert table[["share_same_leaf", "mean_similarity_at_10_low"]].isna().all(axis=None)
    assert "The leaf category of no query and its neighbours is known." in tex
    assert r"mean similarity is 55.0\,\% [--, --]" in tex


def test_a_title_that_looks_like_nothing_is_a_title(tmp_path, call):
    nearest = neighbours()
    nearest["text"] = nearest["text"].where(nearest["text"].isna(), "NA")
    assert "REC1 REC8 & NA & 100.0" in make(call, nearest, tmp_path)[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="width"), "nearest.csv lacks the column"),
        (lambda f: f[:0], "has no rows"),
        (lambda f: f[f["query"] > 0], "lacks rows of query 0"),
        (lambda f: f.drop(index=3), "lacks rows of query 0"),
        (lambda f: f.assign(text=None), "lacks codes or text of query 0"),
        (lambda f: pd.concat([f, f[20:21]]), "a position of a query twice"),
        (lambda f: f.assign(equal_positions=f["equal_positions"] + 1), "out of range in line 2"),
        (lambda f: f.assign(common_prefix=[*[0] * 9, "x", *[0] * 45]), "out of range in line 11"),
        (lambda f: f.assign(same_leaf_category="perhaps"), "out of range in line 2"),
        (lambda f: f.assign(random_same_leaf=1.5), "out of range in line 2"),
    ],
)
def test_what_is_no_result_of_a_search_is_refused(change, says, tmp_path, call):
    with pytest.raises(UserError, match=says):
        make(call, change(neighbours()), tmp_path)
    assert not list(tmp_path.glob("t.*"))
