"""Measures of semantic ids against counts by hand and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recscale.item_ids import quality
from recscale.item_ids.catalogue import Catalogue
from recscale.item_ids.rq_kmeans import ResidualQuantiser


@st.composite
def tables(draw, width: int = 3):
    """Codes that often collide, and as many numbers from -1 to 2."""
    rows = draw(st.integers(1, 25))
    codes = draw(arrays.arrays(np.uint16, (rows, width), elements=st.sampled_from([0, 1, 65535])))
    return codes, draw(arrays.arrays(np.int64, rows, elements=st.integers(-1, 2)))


@given(tables())
def test_collisions_are_counted_in_both_senses_of_the_word(table):
    rows = [tuple(row) for row in table[0].tolist()]
    shared, surplus = quality.collisions(table[0])
    assert shared == pytest.approx(np.mean([rows.count(row) > 1 for row in rows]))
    assert surplus == pytest.approx(1 - len(set(rows)) / len(rows))


def test_items_of_the_same_text_need_not_count_as_collisions():
    codes = np.array([[0, 1], [0, 1], [0, 2], [0, 2], [3, 3]])
    items = Catalogue(
        np.arange(5),
        np.ones(5, bool),
        text=np.array([7, 7, 8, 9, 5]),
        leaf=np.zeros(5, int),
        top=np.zeros(5, int),
    )
    assert quality.collisions(codes) == pytest.approx((0.8, 0.4))
    assert quality.collisions(codes[items.first_of_text]) == pytest.approx((0.5, 0.25))


@pytest.mark.parametrize(("items", "space"), [(50, 40), (30, 1000), (200, 8)])
def test_the_rates_of_random_codes_are_those_of_a_simulation(items, space):
    rng = np.random.default_rng(0)
    drawn = [quality.collisions(rng.integers(0, space, (items, 1))) for _ in range(1500)]
    mean, error = np.mean(drawn, axis=0), np.std(drawn, axis=0) / np.sqrt(len(drawn))
    expected = quality.uniform_rate(items, space), quality.uniform_surplus(items, space)
    assert (np.abs(mean - expected) < 4 * error + 1e-9).all()


def test_the_rates_of_random_codes_hold_for_as_many_codes_as_the_papers():
    # A birthday problem: n items meet n - 1 others, each with chance 1 / K.
    items, space = 6_000_000, 256.0**6
    assert quality.uniform_rate(items, space) == pytest.approx((items - 1) / space, rel=1e-6)
    assert quality.uniform_surplus(items, space) == pytest.approx(
        (items - 1) / space / 2, rel=1e-6, abs=1e-15
    )
    assert quality.uniform_rate(10, 1) == 1.0


@given(tables())
def test_held_out_items_like_training_items_are_counted(table):
    codes, numbers = table
    train = numbers > 0
    rows = [tuple(row) for row in codes.tolist()]
    known = {row for row, is_train in zip(rows, train, strict=True) if is_train}
    expected = [row in known for row, is_train in zip(rows, train, strict=True) if not is_train]
    found = quality.held_out_like_training(codes, train)
    assert found == pytest.approx(np.mean(expected)) if expected else np.isnan(found)


@given(tables())
def test_purity_and_group_sizes_of_prefixes_equal_a_count_by_hand(table):
    codes, leaf = table
    purity, grouped = quality.prefix_purity(codes, leaf)
    known = np.flatnonzero(leaf >= 0)
    for depth in range(3):
        same, alone = [], 0
        for row in known:
            prefix = codes[row, : depth + 1]
            others = [n for n in known if n != row and (codes[n, : depth + 1] == prefix).all()]
            if others:
                same.append(np.mean(leaf[others] == leaf[row]))
            else:
                alone += 1
        expected = np.mean(same) if same else np.nan
        assert purity[depth] == pytest.approx(expected, nan_ok=True)
        assert grouped[depth] == pytest.approx(1 - alone / len(known) if len(known) else 0)


def test_the_use_of_codes_is_their_share_and_perplexity():
    even = np.arange(12).reshape(4, 3)
    assert quality.code_use(even, 12) == pytest.approx((1, 1))
    assert quality.code_use(even, 24) == pytest.approx((0.5, 0.5))
    share = np.array([0.75, 0.25])
    perplexity = np.exp(-(share * np.log(share)).sum())
    assert quality.code_use(np.array([[0, 0], [0, 5]]), 10) == pytest.approx((0.2, perplexity / 10))


def test_unexplained_variance_is_one_for_the_mean_and_none_for_the_vectors():
    vectors = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float16)
    data = vectors.astype(np.float32)
    whole = ResidualQuantiser(data[None], beam=1)
    assert quality.unexplained_variance(whole, vectors) == pytest.approx(0, abs=1e-9)
    mean = ResidualQuantiser(data.mean(0)[None, None], beam=1)
    assert quality.unexplained_variance(mean, vectors) == pytest.approx(1, rel=1e-5)


def clusters(groups: int = 20, members: int = 11):
    """Unit vectors in tight clusters of a query and its ten nearest, and two digits a cluster."""
    rng = np.random.default_rng(1)
    number = rng.permutation(np.repeat(np.arange(groups), members))
    vectors = rng.normal(size=(groups, 16))[number] + 0.01 * rng.normal(size=(len(number), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16), np.stack([number // 5, number % 5], axis=1).astype(np.uint16)


def test_neighbours_overlap_where_codes_follow_the_vectors_and_not_where_they_are_random():
    vectors, codes = clusters()
    queries = np.random.default_rng(2).permutation(len(codes))[:100]
    assert quality.neighbour_overlap(vectors, codes, queries) == 1.0
    random = np.random.default_rng(3).permutation(codes)
    assert quality.neighbour_overlap(vectors, random, queries) < 0.15
    few = quality.neighbour_overlap(vectors[:5], codes[:5], np.arange(5))
    assert few == 1.0  # four others are the nearest four, whatever the codes are


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_the_overlap_equals_a_look_at_every_item_whatever_the_blocks_are(monkeypatch, at_once):
    vectors, codes = clusters(groups=12, members=6)
    data, queries = vectors.astype(np.float32), np.arange(0, 72, 3)
    hits = []
    for query in queries:
        others = np.delete(np.arange(72), query)
        cosine = others[np.argsort(-(data[others] @ data[query]), kind="stable")][:10]
        equal = codes[others] == codes[query]
        by_codes = others[np.lexsort((others, ~equal[:, 0], -equal.sum(1)))][:10]
        hits.append(len(set(cosine) & set(by_codes)) / 10)
    monkeypatch.setattr(quality, "QUERIES_AT_ONCE", at_once)
    assert quality.neighbour_overlap(vectors, codes, queries) == pytest.approx(np.mean(hits))
