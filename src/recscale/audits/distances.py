"""Measures of samples of sequences and distances between two, with bootstrap and permutations.

A sample is a matrix of counts, one row a sequence (a user's history, a walk, a stretch) and one
column a cell (an item, a category, a length): sequences, not their items, are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
Distance = Callable[[Array, Array], Array]
MOST_NUMBERS = 8_000_000  # held at once: cells x draws


def shares(counts: Array) -> Array:
    """Counts (cells, draws) over their sums, draw by draw."""
    return counts / counts.sum(axis=0)


def jensen_shannon(first: Array, second: Array) -> Array:
    """The Jensen-Shannon distance, base 2, of each column of shares: 0 alike, 1 nothing in common.

    Args:
        first: shares, shape `(cells, draws)`.
        second: the same, or of one draw.
    """
    middle = (first + second) / 2
    total = np.zeros(middle.shape[1])
    for one in (first, second):
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = one * np.log2(one / middle)
        total = total + np.nansum(terms, axis=0)
    return np.sqrt(np.clip(total / 2, 0, 1))


def total_variation(first: Array, second: Array) -> Array:
    """Half the sum of differences: the share that would have to move."""
    return np.abs(first - second).sum(axis=0) / 2


def kolmogorov_smirnov(first: Array, second: Array) -> Array:
    """The largest difference of the cumulated shares, the cells being in order."""
    return np.abs(np.cumsum(first - second, axis=0)).max(axis=0)


def bootstrap(
    distance: Distance,
    first: sparse.csr_matrix,
    second: sparse.csr_matrix,
    draws: int,
    random: np.random.Generator,
) -> Array:
    """The distances of two samples whose rows are drawn anew `draws` times, shape `(draws,)`."""
    found = []
    for n in _blocks(draws, first, second):
        found.append(distance(*(shares(_redraw(m, n, random)) for m in (first, second))))
    return np.concatenate(found)


def redrawn(
    measure: Callable[[Array], Array],
    sample: sparse.csr_matrix,
    draws: int,
    random: np.random.Generator,
) -> Array:
    """A measure of counts (cells, draws) when rows are drawn anew, shape `(draws,)`."""
    blocks = _blocks(draws, sample)
    return np.concatenate([measure(_redraw(sample, n, random)) for n in blocks])


def ratio_of_sums(
    above: NDArray[Any], below: NDArray[Any], draws: int, random: np.random.Generator
) -> tuple[float, Array]:
    """sum(above) / sum(below) of values of rows (rows,), and of rows drawn anew (draws,)."""
    rows, found = len(above), []
    at_once = max(1, MOST_NUMBERS // rows)
    for done in range(0, draws, at_once):
        drawn = random.integers(0, rows, (min(at_once, draws - done), rows))
        found.append(above[drawn].sum(axis=1) / below[drawn].sum(axis=1))
    return float(above.sum() / below.sum()), np.concatenate(found)


def _redraw(sample: sparse.csr_matrix, draws: int, random: np.random.Generator) -> Array:
    """Counts (cells, draws) of as many rows, drawn with replacement."""
    rows = sample.shape[0]
    drawn = random.integers(0, rows, (draws, rows)) + rows * np.arange(draws)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=draws * rows).reshape(draws, rows)
    return sample.T @ weights.T.astype(float)


def _blocks(draws: int, *matrices: sparse.csr_matrix) -> Iterator[int]:
    """How many draws to make at once, until all are made."""
    at_once = max(1, MOST_NUMBERS // max(max(matrix.shape) for matrix in matrices))
    for done in range(0, draws, at_once):
        yield min(at_once, draws - done)


def totals(sample: sparse.csr_matrix) -> Array:
    """How often each cell occurs, shape `(cells, 1)`."""
    return np.asarray(sample.sum(axis=0), dtype=float).reshape(-1, 1)


def between(distance: Distance, first: sparse.csr_matrix, second: sparse.csr_matrix) -> float:
    """The distance of two samples."""
    return float(distance(shares(totals(first)), shares(totals(second)))[0])


def halves(
    distance: Distance, sample: sparse.csr_matrix, draws: int, random: np.random.Generator
) -> Array:
    """The distance between two random halves of the rows, `draws` times, shape `(draws,)`."""
    rows = sample.shape[0]
    everything = totals(sample)
    found = []
    for n in _blocks(draws, sample):
        chosen = (random.permuted(np.tile(np.arange(rows), (n, 1)), axis=1) < rows // 2).T
        half = sample.T @ chosen.astype(float)
        found.append(distance(shares(half), shares(everything - half)))
    return np.concatenate(found)


def permutation_test(
    distance: Distance,
    first: sparse.csr_matrix,
    second: sparse.csr_matrix,
    draws: int,
    random: np.random.Generator,
) -> float:
    """How often rows dealt out anew are as far apart as the two samples: a p-value.

    Exact (Phipson and Smyth, 2010): the samples themselves count as one of the deals, so that it
    is never below 1 / (draws + 1).
    """
    both = sparse.vstack([first, second]).tocsr()
    rows = both.shape[0]
    everything = totals(both)
    observed = between(distance, first, second)
    as_far = 0
    for n in _blocks(draws, both):
        deal = random.permuted(np.tile(np.arange(rows), (n, 1)), axis=1) < first.shape[0]
        part = both.T @ deal.T.astype(float)
        # Sums in another order differ in their last digits; equal deals must count.
        apart = distance(shares(part), shares(everything - part))
        as_far += int((apart >= observed - 1e-12).sum())
    return (1 + as_far) / (draws + 1)
