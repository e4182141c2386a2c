"""Which windows make the batch of a step, and what has been seen of each domain.

A batch is a pure function of the seed and the step: a run that resumes, or is divided among other
processes, sees the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recscale import seeds
from recscale.contracts import TRAINING_DOMAINS
from recscale.errors import UserError

_SHARE_UNITS = 1_000_000  # shares are rounded to this part, which makes the order periodic


def domain_order(shares: list[int], positions: int) -> NDArray[np.int64]:
    """A sequence in which the domains' shares hold at every point to within one window.

    Tijdeman (1980), "The chairman assignment problem": with k domains, the count of each in the
    first j positions differs from `share * j` by at most 1 - 1 / (2 k - 2).

    Args:
        shares: positive whole numbers, in parts of their sum.
        positions: length of the sequence.

    Returns:
        The index of the domain at each position.
    """
    order = np.zeros(positions, dtype=np.int64)
    if len(shares) == 1:
        return order
    total, slack = sum(shares), 2 * len(shares) - 2
    counts = [0] * len(shares)
    for position in range(positions):
        # A domain may be chosen once it is owed 1 / slack of a window; the next is the one whose
        # debt would be the first to exceed 1 - 1 / slack.
        chosen, first = -1, math.inf
        for domain, (share, count) in enumerate(zip(shares, counts, strict=True)):
            owed = slack * (share * (position + 1) - total * count)
            deadline = ((slack - 1) * total - owed) / share
            if owed >= total and deadline < first:
                chosen, first = domain, deadline
        counts[chosen] += 1
        order[position] = chosen
    return order


class MixtureSampler:
    """Which windows make the batch of a step.

    Domains follow `domain_order`, so that the tokens seen of each match its share at every step.
    Inside a domain, each pass over its windows is a fresh permutation.
    """

    def __init__(
        self,
        domains: Mapping[str, tuple[float, NDArray[np.integer]]],
        batch_windows: int,
        seed: int,
        rows: int,
    ) -> None:
        """Take the share and the windows of each domain.

        Args:
            domains: share and windows, of one length; the shares sum to one.
            batch_windows: windows of a step.
            seed: of the permutations.
            rows: ids must be below this, the rows of the model's embedding.
        """
        self.names = list(domains)
        self.windows = [windows for _, windows in domains.values()]
        self.batch_windows = batch_windows
        self.length = int(self.windows[0].shape[1])
        self._seed, self._rows = seed, rows
        units = [max(1, round(share * _SHARE_UNITS)) for share, _ in domains.values()]
        units[units.index(max(units))] += _SHARE_UNITS - sum(units)
        common = math.gcd(*units)
        units = [u // common for u in units]
        order = domain_order(units, sum(units))
        # Windows of each domain before each position of the period, shape (period + 1, domains).
        chosen = order[:, None] == np.arange(len(units))
        self._before = np.concatenate([np.zeros((1, len(units)), int), chosen.cumsum(0)])
        self._order = order
        self._permutation = lru_cache(maxsize=2 * len(units))(self._draw_permutation)

    def _draw_permutation(self, domain: int, number: int) -> NDArray[np.int64]:
        name = self.names[domain]
        generator = seeds.generator(self._seed, "permutation", name, number)
        return generator.permutation(len(self.windows[domain]))

    def counts(self, step: int) -> dict[str, int]:
        """Windows seen of each domain after `step` steps."""
        periods, rest = divmod(step * self.batch_windows, len(self._order))
        seen = periods * self._before[-1] + self._before[rest]
        return dict(zip(self.names, seen.tolist(), strict=True))

    def indices(self, step: int) -> list[tuple[str, int]]:
        """Domain and index of each window of step `step` (from 0), in the order of the batch."""
        found = []
        start = step * self.batch_windows
        for position in range(start, start + self.batch_windows):
            periods, rest = divmod(position, len(self._order))
            domain = int(self._order[rest])
            seen = int(periods * self._before[-1, domain] + self._before[rest, domain])
            number, place = divmod(seen, len(self.windows[domain]))
            found.append((self.names[domain], int(self._permutation(domain, number)[place])))
        return found

    def batch(self, step: int, part: int = 0, parts: int = 1) -> NDArray[np.int64]:
        """Token ids of step `step`: the `part`-th of `parts` equal parts of the global batch.

        Raises:
            UserError: an id has no row in the model's embedding.
        """
        size = self.batch_windows // parts
        of = dict(zip(self.names, self.windows, strict=True))
        chosen = self.indices(step)[part * size : (part + 1) * size]
        ids = np.stack([of[domain][index] for domain, index in chosen]).astype(np.int64)
        if ids.max() >= self._rows:
            raise UserError(
                f"the training windows ({', '.join(of)}) hold the id {ids.max()}, the model has "
                f"{self._rows} rows",
                "delete the windows and run their target again",
            )
        return ids


@dataclass(frozen=True)
class Seen:
    """A training domain's ledger: tokens of the set in use, and tokens seen of it."""

    unique_tokens: int
    seen_tokens: int

    @property
    def repeats(self) -> float:
        """How often each token of the set was seen, on average (Tables 2, 6)."""
        return self.seen_tokens / self.unique_tokens if self.unique_tokens else 0.0


def ledger(sampler: MixtureSampler, step: int) -> dict[str, Seen]:
    """The ledger of each training domain after `step` steps; zeros for one not in the mixture."""
    counts = sampler.counts(step)
    unique = {n: w.size for n, w in zip(sampler.names, sampler.windows, strict=True)}
    return {
        domain: Seen(unique.get(domain, 0), counts.get(domain, 0) * sampler.length)
        for domain in TRAINING_DOMAINS
    }
