"""Membership inference: can one tell from walks whose histories their rules were mined from?

The attacker has walks and a user's history, and asks how likely the walks make the history: the
mean log probability of each item after the one before it, under counts of successive items in the
walks that are smoothed towards popularity. Likely histories are those of users who follow the
crowd, members or not; so an attacker who also has histories of other people (of the same market,
in neither group) subtracts the same under these, which calibrates the test by how difficult a user
is (Watson et al., 2022).

Of the two attacks the stronger one decides the claim of section 5.3. That choice was made after
both areas had been seen on The Complete Journey, so the weaker one is always reported beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recscale.audits.distances import MOST_NUMBERS
from recscale.audits.histories import within
from recscale.ranking.sequences import Integers, Sequences

SMOOTHING = 10.0  # occurrences by popularity, added to those after an item


@dataclass(frozen=True)
class Successors:
    """How often items follow one another.

    pairs (distinct,) in order, a * items + b, with counts (distinct,); after (items,): how often
    an item has one after it; popularity (items,): shares, none of them 0.
    """

    items: int
    pairs: Integers
    counts: Integers
    after: Integers
    popularity: NDArray[np.float64]

    @classmethod
    def of(cls, sequences: Sequences, items: int) -> Successors:
        """As counted in some sequences."""
        place, _ = within(sequences)
        first, second = sequences.values[place], sequences.values[place + 1]
        pairs, counts = np.unique(first * items + second, return_counts=True)
        occurrences = np.bincount(sequences.values, minlength=items) + 1
        after = np.bincount(first, minlength=items)
        return cls(items, pairs, counts, after, occurrences / occurrences.sum())

    def log_probability(self, first: Integers, second: Integers) -> NDArray[np.float64]:
        """Of `second` after `first`, natural logarithm, shape of both."""
        wanted = first * self.items + second
        seen = np.zeros(len(wanted))
        if len(self.pairs):
            place = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
            seen = np.where(self.pairs[place] == wanted, self.counts[place], 0)
        expected = SMOOTHING * self.popularity[second]
        return np.log((seen + expected) / (self.after[first] + SMOOTHING))


def likelihood(histories: Sequences, model: Successors) -> NDArray[np.float64]:
    """Mean log probability of the items of each history after its first (histories,).

    Not a number for a history of one item.
    """
    place, row = within(histories)
    found = model.log_probability(histories.values[place], histories.values[place + 1])
    pairs = np.bincount(row, minlength=len(histories))
    total = np.bincount(row, weights=found, minlength=len(histories))
    return np.divide(total, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


@dataclass(frozen=True)
class Round:
    """One halving: scores (users,) and sides (users,), 1 a member, 0 kept out, -1 neither."""

    scores: NDArray[np.float64]
    sides: NDArray[np.int64]


def areas(found: Round, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area under the curve when users count `weights` (users, draws), shape `(draws,)`.

    That is the chance that a member scores higher than one kept out, ties being halves: 0.5 tells
    nothing. Scores that are no number are left out.
    """
    used = np.flatnonzero((found.sides >= 0) & ~np.isnan(found.scores))
    order = used[np.argsort(found.scores[used], kind="stable")]
    scores, inside = found.scores[order], found.sides[order] == 1
    first = np.flatnonzero(np.diff(scores, prepend=-np.inf))  # of each run of equal scores
    members, others = (
        np.add.reduceat(weights[order] * side[:, None], first, axis=0) for side in (inside, ~inside)
    )
    below = np.cumsum(others, axis=0) - others / 2
    return (members * below).sum(axis=0) / (members.sum(axis=0) * others.sum(axis=0))


def mean_area(
    rounds: Sequence[Round], draws: int, random: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """The mean area of several halvings, and of users drawn anew, in all of them, `(draws,)`."""
    users = len(rounds[0].scores)
    whole = np.mean([areas(found, np.ones((users, 1)))[0] for found in rounds])
    drawn = []
    at_once = max(1, MOST_NUMBERS // users)
    for done in range(0, draws, at_once):
        n = min(at_once, draws - done)
        chosen = random.integers(0, users, (n, users)) + users * np.arange(n)[:, None]
        weights = np.bincount(chosen.ravel(), minlength=n * users).reshape(n, users).T
        drawn.append(np.mean([areas(found, weights.astype(float)) for found in rounds], axis=0))
    return float(whole), np.concatenate(drawn)
