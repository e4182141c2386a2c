"""Successive items that one user's history alone has, and sequences that repeat them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recscale import seeds
from recscale.audits.distances import ratio_of_sums
from recscale.audits.table import share
from recscale.claims.intervals import Interval
from recscale.ranking.sequences import Integers, Sequences

SHARED = -1


def grams(sequences: Sequences, k: int) -> tuple[NDArray[np.uint64], Integers]:
    """A hash of each k successive items of a sequence (grams,), and the sequence's row (grams,)."""
    row = np.repeat(np.arange(len(sequences)), sequences.lengths)
    begins = max(0, len(row) - k + 1)
    place = np.flatnonzero(row[:begins] == row[k - 1 :]) if begins else np.zeros(0, dtype=np.int64)
    columns = [sequences.values[place + i].astype(np.int64) for i in range(k)]
    return seeds.hash_keys(0, *columns), row[place]


@dataclass(frozen=True)
class Holders:
    """The k successive items that occur in histories, and who has them.

    `hashes` (distinct,) are in order; `holder` (distinct,) is the row of the only history with
    these items, SHARED where several have them.
    """

    hashes: NDArray[np.uint64]
    holder: Integers

    @classmethod
    def of(cls, histories: Sequences, k: int) -> Holders:
        """From one history a user."""
        found, row = grams(histories, k)
        order = np.argsort(found, kind="stable")  # so that rows stay in order inside a hash
        found, row = found[order], row[order]
        new = np.ones(len(found), dtype=bool)
        new[1:] = found[1:] != found[:-1]
        first = np.flatnonzero(new)
        last = np.append(first[1:], len(found)) - 1
        alone = row[first] == row[last] if len(first) else np.zeros(0, dtype=bool)
        return cls(found[first], np.where(alone, row[first], SHARED))

    def copies(self, sequences: Sequences, k: int) -> tuple[Integers, Integers]:
        """Each copy of what one user alone has, once: the copying sequence, the user's row."""
        found, row = grams(sequences, k)
        if not len(self.hashes) or not len(found):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.hashes, found), len(self.hashes) - 1)
        holder = np.where(self.hashes[place] == found, self.holder[place], SHARED)
        both = np.stack([row, holder], axis=1)[holder != SHARED]
        both = np.unique(both, axis=0)
        return both[:, 0], both[:, 1]


def per_user(sequence: Integers, user: Integers, users: int) -> NDArray[np.float64]:
    """How many sequences copy each user alone (users,); one that copies several counts in parts."""
    _, place, of = np.unique(sequence, return_inverse=True, return_counts=True)
    return np.bincount(user, weights=1 / of[place], minlength=users).astype(float)


@dataclass(frozen=True)
class Difference:
    """The share of sequences that copy a member, less that of as many users kept out.

    `drawn` (draws,) are those of users drawn anew on either side; `sequences` is how many there
    are.
    """

    estimate: float
    drawn: NDArray[np.float64]
    sequences: int

    @classmethod
    def of(
        cls,
        members: NDArray[np.float64],
        kept_out: NDArray[np.float64],
        sequences: int,
        draws: int,
        random: np.random.Generator,
    ) -> Difference:
        """From how many sequences copy each member (members,) and each user kept out."""
        scale = len(members) / sequences
        sides = [
            ratio_of_sums(counts, np.ones(len(counts)), draws, random)
            for counts in (members, kept_out)
        ]
        (inside, drawn_inside), (outside, drawn_outside) = sides
        return cls(scale * (inside - outside), scale * (drawn_inside - drawn_outside), sequences)

    def interval(self, confidence: float) -> Interval:
        """The percentiles; where nothing is copied, what a share of none may still be."""
        if not self.estimate and not self.drawn.any():
            most = share(0, self.sequences, confidence).high
            return Interval(0.0, -most, most)
        low, high = np.quantile(self.drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(self.estimate, max(-1.0, float(low)), min(1.0, float(high)))
