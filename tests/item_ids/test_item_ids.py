"""Item text, what is known of a catalogue, and collisions of codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recscale import files
from recscale.errors import UserError
from recscale.item_ids import catalogue, codes
from recscale.item_ids.text import item_texts

from .catalogue import catalogue as small_catalogue


def test_an_items_text_is_the_papers():
    row = {"item_id": 0, "title": "[redacted] purse", "brand": "[redacted]", "c0": "Women"}
    row |= {"c1": "Women's handbags", "c2": "Shoulder Bags", "size": None, "color": "black"}
    frame = pd.DataFrame([row, row | {"brand": None, "c2": None, "size": "S (4-6)", "color": None}])
    assert item_texts(frame) == [
        "[redacted] purse, by [redacted] in Women > Women's handbags > Shoulder Bags. Color: black",
        "[redacted] purse, in Women > Women's handbags. Size: S (4-6)",
    ]


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 2))
)
def test_collisions_equal_a_count_by_hand(found):
    expected = [sum((other == row).all() for other in found) - 1 for row in found]
    assert codes.n_collisions(found).tolist() == expected
    assert codes.collision_rate(found) == np.mean([e > 0 for e in expected])


def test_a_catalogue_knows_equal_texts_and_equal_leaf_categories(tmp_path, monkeypatch):
    frame = small_catalogue(8)
    frame.loc[5] = frame.loc[2]
    frame["item_id"] = np.arange(8) * 10
    paths = [("a", "x", "other"), ("a", "y", "other"), ("a", "x", None), (None, None, None)]
    frame[["c0", "c1", "c2"]] = [*paths, *paths]
    frame.loc[5, ["c0", "c1", "c2"]] = paths[2]
    files.write_table(frame, tmp_path / "items.parquet", "items")
    items = catalogue.read(tmp_path / "items.parquet")
    assert items.item_ids.tolist() == frame["item_id"].tolist()
    assert items.train.tolist() == (frame["split"] == "train").tolist()
    texts = item_texts(frame)
    assert ((items.text[:, None] == items.text) == np.equal.outer(texts, texts)).all()
    assert items.first_of_text.tolist() == [n != 5 for n in range(8)]
    whole = [p + q for p, q in zip(frame["c1"].fillna(""), frame["c2"].fillna(""), strict=True)]
    assert ((items.leaf[:, None] == items.leaf) == np.equal.outer(whole, whole)).all()
    assert (items.leaf == -1).tolist() == frame["c0"].isna().tolist()
    assert (items.top == -1).tolist() == frame["c0"].isna().tolist()
    assert len(set(items.top.tolist())) == 1 + frame["c0"].nunique()
    monkeypatch.setattr(catalogue, "ROWS_AT_ONCE", 3)  # the hashes are those of every batch
    again = catalogue.read(tmp_path / "items.parquet")
    assert (again.text == items.text).all() and (again.leaf == items.leaf).all()


def test_a_catalogue_without_items_or_columns_is_one_line(tmp_path):
    path = tmp_path / "items.parquet"
    files.write_table(small_catalogue(8)[:0], path, "items")
    with pytest.raises(UserError, match=r"items.parquet has no items"):
        catalogue.read(path)
    small_catalogue(8).drop(columns=["c1", "size"]).to_parquet(path)
    with pytest.raises(UserError, match=r"items.parquet lacks the column\(s\) c1, size"):
        catalogue.read(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="truncated"):
        catalogue.read(path)
