"""Distances against scipy's, bootstrap and permutations where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from recscale.audits import distances
from recscale.audits.table import around, ratio_of_means, share
from recscale.claims.intervals import over_seeds

WHOLE = arrays(np.int64, (6, 2), elements=st.integers(0, 9))


def one_hot(values: np.ndarray, cells: int) -> sparse.csr_matrix:
    """A sample whose rows have one cell each."""
    shape = (len(values), cells)
    return sparse.csr_matrix((np.ones(len(values)), (np.arange(len(values)), values)), shape=shape)


@hypothesis_settings(deadline=None)
@given(WHOLE)
def test_distances_are_those_of_scipy_symmetric_and_at_most_one(counts):
    if not counts.sum(axis=0).all():
        return
    first, second = (distances.shares(counts[:, [i]].astype(float)) for i in (0, 1))
    js = distances.jensen_shannon(first, second)[0]
    assert js == pytest.approx(jensenshannon(first[:, 0], second[:, 0], 2), abs=1e-7)
    for distance in (
        distances.jensen_shannon,
        distances.total_variation,
        distances.kolmogorov_smirnov,
    ):
        there, back = distance(first, second)[0], distance(second, first)[0]
        assert there == pytest.approx(back, abs=1e-12)
        assert 0 <= there <= 1 + 1e-12
        assert distance(first, first)[0] == pytest.approx(0, abs=1e-7)
    # Whatever the order of the cells, half the differences is the most that any sum of them is.
    variation = distances.total_variation(first, second)[0]
    assert distances.kolmogorov_smirnov(first, second)[0] <= variation + 1e-12


def test_kolmogorov_smirnov_is_that_of_the_values():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 30, 80), random.integers(5, 40, 60)
    found = distances.between(distances.kolmogorov_smirnov, one_hot(first, 50), one_hot(second, 50))
    assert found == pytest.approx(ks_2samp(first, second).statistic)


def test_nothing_in_common_is_one_and_blocks_do_not_matter(monkeypatch):
    first, second = one_hot(np.arange(4), 8), one_hot(np.arange(4, 8), 8)
    draws = 25
    drawn = distances.bootstrap(
        distances.jensen_shannon, first, second, draws, np.random.default_rng(1)
    )
    np.testing.assert_allclose(drawn, np.ones(draws))
    monkeypatch.setattr(distances, "MOST_NUMBERS", 8)
    assert len(distances.halves(distances.total_variation, first, 7, np.random.default_rng(1))) == 7
    assert len(distances.redrawn(lambda c: c[0], first, 7, np.random.default_rng(1))) == 7


def test_halves_split_every_row_once():
    sample = sparse.csr_matrix(np.diag([1.0, 1, 1, 1]))
    found = distances.halves(distances.total_variation, sample, 30, np.random.default_rng(2))
    np.testing.assert_allclose(found, 1.0)  # four rows of their own cell: no half shares any
    sizes = distances.halves(
        lambda one, _: (one > 0).sum(axis=0).astype(float), sample, 30, np.random.default_rng(2)
    )
    np.testing.assert_array_equal(sizes, 2)
    same = sparse.csr_matrix(np.ones((6, 3)))
    found = distances.halves(distances.jensen_shannon, same, 5, np.random.default_rng(2))
    np.testing.assert_allclose(found, 0.0, atol=1e-7)


def test_the_permutation_test_holds_its_level_and_finds_a_difference():
    random = np.random.default_rng(3)
    p = [
        distances.permutation_test(
            distances.total_variation,
            one_hot(random.integers(0, 5, 40), 5),
            one_hot(random.integers(0, 5, 40), 5),
            39,
            random,
        )
        for _ in range(200)
    ]
    # Of 200 tests of what is alike, 10 are expected at 5 %; 24 or more have chance 1e-4.
    assert np.mean(np.array(p) <= 0.05) < 0.12
    different = one_hot(random.integers(0, 3, 40), 5), one_hot(random.integers(2, 5, 40), 5)
    assert distances.permutation_test(
        distances.total_variation, *different, 99, random
    ) == pytest.approx(0.01)


def test_a_bootstrap_covers_the_mean_it_should():
    random = np.random.default_rng(4)
    values = random.normal(3, 1, 500)
    estimate, drawn = distances.ratio_of_sums(values, np.ones(500), 800, random)
    found, expected = around(estimate, drawn), over_seeds(values)
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.02)


def test_an_interval_is_moved_to_its_estimate():
    found = around(1.0, np.linspace(4.0, 6.0, 1001))
    assert found.low == pytest.approx(0.05)
    assert found.high == pytest.approx(1.95)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 30), st.integers(1, 30))
def test_wilsons_interval_holds_the_share_and_stays_open(hits, more):
    found = share(hits, hits + more)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.high > found.low
    if hits == 0:
        assert found.low == pytest.approx(0, abs=1e-12)
        z2 = 1.959964**2
        assert found.high == pytest.approx(z2 / (more + z2), rel=1e-5)


def test_fieller_is_the_t_interval_of_what_it_tests():
    random = np.random.default_rng(5)
    below = random.normal(2.0, 0.1, 6)
    above = 0.5 * below + random.normal(0, 0.05, 6)
    found = ratio_of_means(above, below)
    # At either end the t interval of above - ratio x below has an end at 0.
    assert over_seeds(above - found.low * below).low == pytest.approx(0, abs=1e-9)
    assert over_seeds(above - found.high * below).high == pytest.approx(0, abs=1e-9)
    assert found.low < found.estimate < found.high


def test_a_ratio_to_what_may_be_zero_has_no_ends():
    found = ratio_of_means(np.array([1.0, 2, 3]), np.array([-1.0, 1, 2]))
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert np.isnan(ratio_of_means(np.array([1.0]), np.array([2.0])).low)
