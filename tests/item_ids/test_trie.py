"""The prefix trie against the index of codes and against sets of prefixes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recscale.errors import UserError
from recscale.files import write_table
from recscale.item_ids.decoding import CodeIndex
from recscale.item_ids.trie import Trie

shapes = st.tuples(st.integers(1, 40), st.integers(1, 4))
some_codes = shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 3)))


def numbers_of(codes: np.ndarray) -> np.ndarray:
    """Item numbers in no order."""
    return np.random.default_rng(len(codes)).permutation(len(codes)) * 7 + 3


def prefixes(trie: Trie, depth: int) -> list[tuple[int, ...]]:
    """The prefix of every node of a depth, by descending the arrays."""
    found: list[tuple[int, ...]] = [()]
    for level in range(depth):
        found = [
            (*prefix, int(trie.last[level][child]))
            for node, prefix in enumerate(found)
            for child in range(trie.children[level][node], trie.children[level][node + 1])
        ]
    return found


@settings(max_examples=60, deadline=None)
@given(some_codes)
def test_nodes_are_the_prefixes_that_items_have(codes) -> None:
    items = numbers_of(codes)
    trie, index = Trie.build(codes, items), CodeIndex(codes, items)
    assert trie.width == codes.shape[1]
    for depth in range(trie.width + 1):
        found = prefixes(trie, depth)
        assert found == sorted({tuple(row[:depth]) for row in codes.tolist()})
        if depth < trie.width:
            for node, prefix in enumerate(found):
                low, high = trie.children[depth][node : node + 2]
                np.testing.assert_array_equal(trie.last[depth][low:high], index.next_codes(prefix))
    for leaf, whole in enumerate(prefixes(trie, trie.width)):
        np.testing.assert_array_equal(trie.items_of(leaf), index.exact(whole))
        assert trie.sharers[leaf] == len(index.exact(whole))
        assert trie.codes_of_leaves(np.array([leaf]))[0].tolist() == list(whole)


@settings(max_examples=60, deadline=None)
@given(some_codes, arrays(np.int64, (2, 9, 4), elements=st.integers(-1, 4)))
def test_codes_find_their_leaf_and_others_none(codes, asked) -> None:
    trie = Trie.build(codes, numbers_of(codes))
    asked = asked[..., : trie.width]
    leaves = prefixes(trie, trie.width)
    expected = [
        [leaves.index(tuple(row)) if tuple(row) in leaves else -1 for row in part]
        for part in asked.tolist()
    ]
    assert trie.find(asked).tolist() == expected
    assert (trie.find(codes) >= 0).all()
    assert trie.find(np.full((1, trie.width), 65_536)).tolist() == [-1]


@settings(max_examples=40, deadline=None)
@given(some_codes, st.data())
def test_a_part_of_the_items_has_a_trie_of_its_own(codes, data) -> None:
    items = numbers_of(codes)
    kept = data.draw(arrays(bool, len(items)).filter(np.any))
    part = Trie.build(codes, items).restricted_to(items[kept])
    alone = Trie.build(codes[kept], items[kept])
    np.testing.assert_array_equal(part.item_ids, alone.item_ids)
    for one, other in zip(
        (*part.last, *part.children), (*alone.last, *alone.children), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_rows_of_items_keep_the_shape_asked_for() -> None:
    trie = Trie.build(np.array([[2, 1], [0, 1], [0, 0]]), np.array([10, 30, 20]))
    assert trie.item_ids[trie.rows_of(np.array([[10, 20], [30, 10]]))].tolist() == [
        [10, 20],
        [30, 10],
    ]
    assert trie.first_items(np.array([0, 2])).tolist() == [20, 10]


def test_bad_input_is_named(tmp_path) -> None:
    trie = Trie.build(np.array([[2, 1]]), np.array([10]))
    with pytest.raises(UserError, match="item 11 has no semantic id"):
        trie.rows_of(np.array([10, 11]))
    with pytest.raises(UserError, match=r"shape \(0, 2\) for 0 items"):
        Trie.build(np.zeros((0, 2), dtype=int), np.zeros(0, dtype=int))
    frame = pd.DataFrame({"item_id": [1, 2], "codes": [[1, 2], [1]], "n_collisions": 0})
    write_table(frame, tmp_path / "ids.parquet", "item_ids")
    with pytest.raises(UserError, match=r"ids\.parquet holds items of 2, 1 codes"):
        Trie.read(tmp_path / "ids.parquet")
    write_table(frame[:0], tmp_path / "none.parquet", "item_ids")
    with pytest.raises(UserError, match="holds items of no codes"):
        Trie.read(tmp_path / "none.parquet")
