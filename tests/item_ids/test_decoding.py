"""Semantic ids back to items: exact, by prefix and nearest, against a look at every item."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recscale import files
from recscale.errors import UserError
from recscale.item_ids import nearest
from recscale.item_ids.codes import item_id_table
from recscale.item_ids.decoding import CodeIndex, codes_text
from recscale.item_ids.text import item_texts


@st.composite
def tables(draw):
    """Codes that often collide, and distinct item ids in no order."""
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 4)))
    codes = draw(arrays.arrays(np.uint16, shape, elements=st.sampled_from([0, 1, 2, 7, 65535])))
    ids = draw(st.lists(st.integers(0, 2**60), min_size=shape[0], max_size=shape[0], unique=True))
    return codes, np.array(ids, dtype=np.int64)


QUERY = st.lists(st.sampled_from([0, 1, 2, 3, 7, 65535]), min_size=4, max_size=4)


def similarity(row, query) -> tuple[int, int]:
    equal = [int(a) == int(b) for a, b in zip(row, query, strict=True)]
    return sum(equal), ([*equal, False]).index(False)


@given(tables(), QUERY, st.integers(1, 40))
def test_the_nearest_are_those_of_a_look_at_every_item(table, query, count):
    codes, ids = table
    query = query[: codes.shape[1]]
    scored = sorted(
        (-equal, -prefix, int(item))
        for (equal, prefix), item in zip((similarity(c, query) for c in codes), ids, strict=True)
    )[:count]
    index = CodeIndex(codes, ids)
    found = index.nearest(query, count)
    answer = zip(found.equal_positions, found.common_prefix, found.item_ids, strict=True)
    assert [(-e, -p, i) for e, p, i in answer] == scored
    assert (index.item_ids[found.rows] == found.item_ids).all()


@given(tables())
def test_codes_lead_to_their_items_and_items_to_their_codes(table):
    codes, ids = table
    index = CodeIndex(codes, ids)
    for row, item in zip(codes, ids, strict=True):
        assert (index.codes_of(item) == row).all()
        same = index.exact(row)
        assert same.tolist() == sorted(ids[(codes == row).all(axis=1)])
        assert all((index.codes_of(other) == row).all() for other in same)


@given(tables(), QUERY)
def test_prefixes_are_ranges_of_the_sorted_codes(table, query):
    codes, ids = table
    index = CodeIndex(codes, ids)
    ordered = sorted((*map(int, row), int(item)) for row, item in zip(codes, ids, strict=True))
    width = codes.shape[1]
    assert index.item_ids.tolist() == [row[-1] for row in ordered]
    for depth in range(width + 1):
        prefix = query[:depth]
        rows = [n for n, row in enumerate(ordered) if list(row[:depth]) == prefix]
        low, high = index.prefix_range(prefix)
        assert list(range(low, high)) == rows
        following = {ordered[n][depth] for n in rows} if depth < width else set()
        assert index.next_codes(prefix).tolist() == sorted(following)


def test_next_codes_of_more_rows_than_codes():
    codes = np.array([[3, n % 5, n // 5 % 2] for n in range(100)])
    index = CodeIndex(codes, np.arange(100))
    assert index.next_codes([]).tolist() == [3]
    assert index.next_codes([3]).tolist() == [0, 1, 2, 3, 4]
    assert index.next_codes([3, 4]).tolist() == [0, 1]
    assert index.next_codes([3, 4, 1]).tolist() == [] == index.next_codes([4]).tolist()


def test_the_nearest_of_many_items_with_the_same_codes_have_the_smallest_ids():
    ids = np.random.default_rng(0).permutation(5000)
    found = CodeIndex(np.ones((5000, 3), dtype=np.uint16), ids).nearest([1, 1, 2], 4)
    assert found.item_ids.tolist() == [0, 1, 2, 3]
    assert set(found.equal_positions) == set(found.common_prefix) == {2}
    none = CodeIndex(np.ones((5000, 3), dtype=np.uint16), ids).nearest([2, 2, 2], 4)
    assert none.item_ids.tolist() == [0, 1, 2, 3] and not none.equal_positions.any()


@pytest.mark.parametrize(
    ("codes", "ids", "says"),
    [
        (np.empty((0, 3)), [], "0 items"),
        (np.ones((2, 3), int), [1], "1 items and 2 rows"),
        (np.ones(2, int), [1, 2], r"shape \(2,\)"),
        (np.ones((2, 0), int), [1, 2], r"shape \(2, 0\)"),
        (np.array([[1], [70_000]]), [1, 2], "from 1 to 70000"),
        (np.ones((3, 1), int), [4, 5, 4], "item 4 has two"),
    ],
)
def test_a_table_that_is_none_is_named(codes, ids, says):
    with pytest.raises(UserError, match=says):
        CodeIndex(codes, np.array(ids))


def test_a_query_that_does_not_fit_is_named():
    index = CodeIndex(np.array([[1, 2], [1, 3]]), np.array([10, 11]))
    with pytest.raises(UserError, match="a query has 1 codes, the items have 2"):
        index.nearest([1])
    with pytest.raises(UserError, match="a query has 3 codes"):
        index.prefix_range([1, 2, 3])
    with pytest.raises(UserError, match="no REC numbers"):
        index.exact([1, -2])
    with pytest.raises(UserError, match="nearest items is 0"):
        index.nearest([1, 2], 0)
    with pytest.raises(UserError, match="item 12 has no semantic id"):
        index.codes_of(12)


def test_a_file_of_ids_of_unequal_width_is_named(tmp_path):
    frame = pd.DataFrame({"item_id": [1, 2], "codes": [[1, 2], [3]], "n_collisions": 0})
    files.write_table(frame, tmp_path / "ids.parquet", "item_ids")
    with pytest.raises(UserError, match=r"ids.parquet holds items of 2, 1 codes"):
        CodeIndex.read(tmp_path / "ids.parquet")
    files.write_table(frame[:0], tmp_path / "none.parquet", "item_ids")
    with pytest.raises(UserError, match=r"none.parquet has no rows"):
        CodeIndex.read(tmp_path / "none.parquet")


# The command.

ITEMS = 60


def catalogue() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(3)
    items = pd.DataFrame(
        {
            "item_id": 5 * rng.permutation(ITEMS),
            "title": [f"oat {n}" for n in range(ITEMS)],
            "brand": None,
            "c0": rng.choice(["grocery", "produce"], ITEMS),
            "c1": rng.choice(["snacks", "fruit"], ITEMS),
            "c2": np.where(rng.random(ITEMS) < 0.5, "other", None),
            "size": None,
            "color": None,
            "split": np.where(np.arange(ITEMS) % 4 == 0, "held_out", "train"),
        }
    )
    items.loc[:9, ["c0", "c1", "c2"]] = None
    return items, rng.integers(0, 3, (ITEMS, 4))


def run(call, folder, items, codes, queries=20, ids=None):
    folder.mkdir(exist_ok=True)
    files.write_table(items, folder / "items.parquet", "items")
    table = item_id_table(items["item_id"].to_numpy() if ids is None else ids, codes)
    shuffled = table.sample(frac=1, random_state=1)
    files.write_table(shuffled, folder / "sae.parquet", "item_ids")
    call(
        *(nearest.main, "--items", folder / "items.parquet", "--item-ids", folder / "sae.parquet"),
        *("--nearest", folder / "nearest.csv"),
        *("--settings", json.dumps({"seed": 1, "queries": queries})),
    )
    return pd.read_csv(folder / "nearest.csv")


def test_rows_are_a_query_and_its_ten_nearest_others(tmp_path, call):
    items, codes = catalogue()
    table = run(call, tmp_path, items, codes)
    assert list(table.columns) == [
        *("query", "position", "item_id", "codes", "text", "equal_positions", "common_prefix"),
        *("width", "same_leaf_category", "random_same_leaf"),
    ]
    assert len(table) == 20 * 11 and set(table["width"]) == {4}
    by_id = items.set_index("item_id").assign(codes=list(codes), text=item_texts(items))
    leaf = by_id[["c0", "c1", "c2"]].fillna("").agg("/".join, axis=1)
    for _, rows in table.groupby("query"):
        query, others = rows["item_id"].iloc[0], rows["item_id"].iloc[1:]
        assert by_id.loc[query, "split"] == "train"
        expected = sorted(
            (*(-s for s in similarity(row, by_id.loc[query, "codes"])), item)
            for item, row in by_id["codes"].items()
            if item != query
        )[:10]
        found = zip(-rows["equal_positions"], -rows["common_prefix"], rows["item_id"], strict=True)
        assert list(found)[1:] == expected
        assert rows["equal_positions"].iloc[0] == rows["common_prefix"].iloc[0] == 4
        for item, same in zip(others, rows["same_leaf_category"].iloc[1:], strict=True):
            if leaf[query] == "//" or leaf[item] == "//":
                assert pd.isna(same)
            else:
                assert str(same) == str(leaf[query] == leaf[item])
        chance = rows["random_same_leaf"].unique()
        assert len(chance) == 1 and (np.isnan(chance[0]) == (leaf[query] == "//"))
    example = table[table["query"] == 0]
    assert example["codes"].tolist() == [
        codes_text(by_id.loc[i, "codes"]) for i in example["item_id"]
    ]
    assert example["text"].tolist() == [by_id.loc[i, "text"] for i in example["item_id"]]
    assert table.loc[table["query"] > 0, ["codes", "text"]].isna().all(axis=None)


def test_neither_the_order_of_rows_nor_other_items_change_what_is_drawn(tmp_path, call):
    items, codes = catalogue()
    run(call, tmp_path / "a", items, codes)
    run(call, tmp_path / "b", items[::-1], codes[::-1])
    first, second = ((tmp_path / folder / "nearest.csv").read_bytes() for folder in ("a", "b"))
    assert first == second
    drawn = nearest.draw_queries(items, nearest.Settings(seed=1, queries=1000))
    assert sorted(drawn) == sorted(items.loc[items["split"] == "train", "item_id"])
    fewer = nearest.draw_queries(items.drop(index=[1, 2]), nearest.Settings(seed=1, queries=1000))
    gone = set(items.loc[[1, 2], "item_id"])
    assert fewer.tolist() == [item for item in drawn if item not in gone]


def test_a_leaf_is_its_path():
    levels = [("a", "x", "other"), ("a", "y", "other"), ("a", "x", None), ("a", None, None)]
    items = pd.DataFrame([*levels, levels[0], (None, None, None)], columns=["c0", "c1", "c2"])
    leaves = nearest.leaf_categories(items)
    assert len(set(leaves[:4])) == 4 and leaves[4] == leaves[0]
    assert leaves[5] == nearest.NO_CATEGORY


def test_items_without_categories_leave_the_categories_unknown(tmp_path, call):
    items, codes = catalogue()
    table = run(call, tmp_path, items.assign(c0=None, c1=None, c2=None), codes)
    assert table[["same_leaf_category", "random_same_leaf"]].isna().all(axis=None)


def test_a_search_that_cannot_be_made_is_named(tmp_path, call):
    items, codes = catalogue()
    with pytest.raises(UserError, match="not of the same"):
        run(call, tmp_path, items, codes, ids=items["item_id"].to_numpy() + 1)
    with pytest.raises(UserError, match="not of the same"):
        run(call, tmp_path, items[1:2], codes[1:2])
    with pytest.raises(UserError, match="queries is 0"):
        run(call, tmp_path, items, codes, queries=0)
    with pytest.raises(UserError, match="no training item"):
        run(call, tmp_path, items.assign(split="held_out"), codes)
    assert not (tmp_path / "nearest.csv").exists()
