"""Hits and diversity of answers, in cases small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recscale.item_ids.trie import Trie
from recscale.pretraining.answers import (
    NO_CATEGORY,
    common_prefix,
    diversity,
    hits,
    set_overlap,
    top_categories,
)

CODES = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 4], [5, 6, 7]])
TRIE = Trie.build(CODES, np.array([10, 11, 12, 13]))


def test_overlap_ignores_order_and_prefix_does_not() -> None:
    first = np.array([[1, 2, 3], [3, 2, 1], [-1, -1, -1]])
    assert set_overlap(first, np.array([1, 2, 3])).tolist() == [1, 1, 0]
    assert set_overlap(first, np.array([9, 3, 3])).tolist() == [2 / 3, 2 / 3, 0]
    assert common_prefix(first, np.array([1, 2, 3])).tolist() == [3, 0, 0]
    assert common_prefix(first, np.array([1, 9, 3])).tolist() == [1, 0, 0]


def test_hits_of_the_first_answer_and_of_the_beam() -> None:
    target = np.array([[1, 2, 3], [1, 2, 3], [5, 6, 7]])
    answers = np.array(
        [
            [[1, 2, 3], [5, 6, 7]],
            [[3, 2, 1], [1, 2, 3]],
            [[-1, -1, -1], [5, 6, 9]],
        ]
    )
    found = hits(answers, target, np.array([2, 2, 1]))
    assert found["exact"].tolist() == [1, 0, 0]
    assert found["exact_item"].tolist() == [0.5, 0, 0]
    assert found["exact_in_beam"].tolist() == [1, 1, 0]
    assert found["prefix"].tolist() == [3, 0, 0]
    assert found["prefix_in_beam"].tolist() == [3, 3, 2]
    assert found["set"].tolist() == [1, 1, 0]
    assert found["set_in_beam"].tolist() == pytest.approx([1, 1, 2 / 3])


def test_diversity_of_a_beam_and_likeness_to_the_history() -> None:
    answers = np.array([[[1, 2, 3], [1, 2, 4], [8, 8, 8]], [[-1] * 3, [5, 6, 7], [1, 2, 3]]])
    leaves = TRIE.find(answers)
    assert leaves.tolist() == [[0, 1, -1], [-1, 2, 0]]
    category = np.array([70, 71, 70, 80])  # items 10 to 13, in the trie's order
    frame = diversity(answers, leaves, [np.array([13, 12]), np.array([13])], TRIE, category)
    first, second = frame.iloc[0], frame.iloc[1]
    assert first["invalid"] == pytest.approx(1 / 3)
    assert (first["distinct_items"], first["distinct_categories"]) == (2, 1)
    assert first["code_distance"] == pytest.approx(1 - (2 / 3 + 0 + 0) / 3)
    # Nearest items shown: 12 shares two of three codes with the first answer, all with the second.
    assert first["overlap_with_history"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert first["category_in_history"] == 1
    assert (first["first_item"], first["first_category"]) == (10, 70)
    assert second["distinct_categories"] == 2
    assert second["category_in_history"] == 0.5
    assert second[["first_item", "first_category"]].isna().all()


def test_answers_and_chance_keep_to_the_top_categories_of_the_history() -> None:
    top = np.array([7, 7, 8, 9])  # items 10 to 13, in the trie's order
    leaves = np.array([[0, 1, -1, 2], [2, -1, -1, -1], [-1, -1, -1, -1]])
    histories = [np.array([10, 12]), np.array([11]), np.array([13])]
    found = top_categories(leaves, histories, TRIE, top)
    # Leaves 0, 1 and 2 stand for items 10, 12 and 13.
    assert found["top_category_in_history"].tolist()[:2] == [2 / 3, 0]
    assert np.isnan(found["top_category_in_history"][2])
    assert found["top_category_by_chance"].tolist() == [3 / 4, 2 / 4, 1 / 4]
    none = top_categories(leaves, histories, TRIE, np.full(4, NO_CATEGORY))
    assert all(np.isnan(values).all() for values in none.values())


def test_a_log_without_categories_and_a_single_answer_have_no_value() -> None:
    answers = np.array([[[5, 6, 7]]])
    none = np.full(4, NO_CATEGORY)
    frame = diversity(answers, TRIE.find(answers), [np.array([10])], TRIE, none)
    missing = ["distinct_categories", "code_distance", "category_in_history", "first_category"]
    assert frame[missing].isna().all(axis=None)
    assert frame["first_item"].tolist() == [13]
