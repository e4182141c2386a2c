"""Intervals over seeds and over test users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

CONFIDENCE = 0.95
MOST_DRAWS = 1_000_000  # users drawn at once, which bounds the memory


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval."""

    estimate: float
    low: float
    high: float

    def above(self, value: float) -> bool:
        """Whether all of the interval lies above `value`."""
        return self.low > value

    def below(self, value: float) -> bool:
        """Whether all of the interval lies below `value`."""
        return self.high < value

    def __str__(self) -> str:
        return f"{self.estimate:.3g} [{self.low:.3g}, {self.high:.3g}]"


def corrected(comparisons: int) -> float:
    """The confidence of each of several intervals that together err in 5 % at most (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / comparisons


def over_seeds(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of the mean of `values`, one per seed, shape `(2 or more,)`."""
    n = len(values)
    mean = float(np.mean(values))
    half = float(student.ppf((1 + confidence) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class RatioOfShares:
    """The ratio of two shares of hits with its bootstrap resamples, shape `(resamples,)`."""

    ratio: float
    resamples: NDArray[np.float64]

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The percentile interval."""
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        # The nearest order statistics outwards: an infinite ratio must not be interpolated.
        low = np.quantile(self.resamples, tails[0], method="lower")
        high = np.quantile(self.resamples, tails[1], method="higher")
        return Interval(self.ratio, float(low), float(high))


def bootstrap_ratio(
    first: NDArray[Any],
    second: NDArray[Any],
    resamples: int,
    generator: np.random.Generator,
) -> RatioOfShares:
    """Paired bootstrap of mean(first) / mean(second) over users and seeds.

    A resample draws as many users as there are and one seed fewer, which makes the variance between
    so few seeds unbiased (Rao and Wu, 1988).

    Args:
        first: hits of one arm (0 or 1), shape `(seeds, users)`.
        second: hits of the other for the same seeds and users, same shape.
        resamples: how many times users and seeds are drawn anew, with replacement.
        generator: where the draws come from.
    """
    seeds, users = first.shape
    # Sums of whole numbers in doubles are exact, so the order of summing (threads) does not matter.
    arms = first.astype(np.float64).T, second.astype(np.float64).T
    for_users, for_seeds = generator.spawn(2)
    at_once = max(1, MOST_DRAWS // users)
    ratios: list[float] = []
    while len(ratios) < resamples:
        n = min(at_once, resamples - len(ratios))
        user_counts = _counts(for_users.integers(0, users, (n, users)), users)
        seed_counts = _counts(for_seeds.integers(0, seeds, (n, max(1, seeds - 1))), seeds)
        hits = [np.sum((user_counts @ arm) * seed_counts, axis=1) for arm in arms]
        ratios += [_ratio(a, b) for a, b in zip(*hits, strict=True)]
    return RatioOfShares(_ratio(float(first.sum()), float(second.sum())), np.array(ratios))


def _counts(draws: NDArray[np.int64], among: int) -> NDArray[np.float64]:
    """How often each of `among` things was drawn, by row of `draws`; shape `(rows, among)`."""
    rows = len(draws)
    flat = draws + among * np.arange(rows)[:, None]
    counts = np.bincount(flat.ravel(), minlength=rows * among)
    return counts.reshape(rows, among).astype(np.float64)


def _ratio(numerator: float, denominator: float) -> float:
    """The quotient; no hits in either arm say nothing, which is a ratio of 1."""
    if denominator == 0:
        return 1.0 if numerator == 0 else np.inf
    return float(numerator / denominator)


def bootstrap_means(
    values: NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Means of `values` drawn anew with replacement, shape `(resamples,)`."""
    n = len(values)
    at_once = max(1, MOST_DRAWS // n)
    parts = [
        values[generator.integers(0, n, (min(at_once, resamples - start), n))].mean(axis=1)
        for start in range(0, resamples, at_once)
    ]
    return np.concatenate(parts)


def percentile(
    estimate: float, resamples: NDArray[np.float64], confidence: float = CONFIDENCE
) -> Interval:
    """The percentile interval of a bootstrap."""
    low, high = np.quantile(resamples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))
