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


class _Phase:
    """A stretch of a run with constant shares.

    Attributes:
        order: number of the domain at each position of one period.
        before: windows of each domain before each position, shape `(period + 1, domains)`.
    """

    def __init__(self, shares: list[float]) -> None:
        units = [round(share * _SHARE_UNITS) for share in shares]
        units = [max(1, u) if share > 0 else 0 for u, share in zip(units, shares, strict=True)]
        units[units.index(max(units))] += _SHARE_UNITS - sum(units)
        used = [domain for domain, unit in enumerate(units) if unit]
        common = math.gcd(*units)
        parts = [units[domain] // common for domain in used]
        self.order = np.array(used)[domain_order(parts, sum(parts))]
        chosen = self.order[:, None] == np.arange(len(units))
        self.before = np.concatenate([np.zeros((1, len(units)), int), chosen.cumsum(0)])

    def counts(self, positions: int) -> NDArray[np.int64]:
        """Windows of each domain in the first `positions`."""
        periods, rest = divmod(positions, len(self.order))
        return periods * self.before[-1] + self.before[rest]


def curriculum_phases(shares: Mapping[str, float], windows: int) -> list[tuple[int, list[float]]]:
    """The windows and the shares of each phase of a run in the curriculum's order.

    Item text, CF and UIH come one after the other, as the paper's layers would be taught one by
    one; general text keeps its share throughout. Over the run every domain has its share.

    Args:
        shares: of each domain, in the order of `TRAINING_DOMAINS`; they sum to one.
        windows: of the whole run.
    """
    general = shares.get("general", 0.0)
    taught = [name for name in shares if name != "general"]
    total = sum(shares[name] for name in taught)
    phases, done, reached = [], 0.0, 0
    for name in taught:
        done += shares[name] / total
        until = round(done * windows)
        parts = [{"general": general, name: 1 - general}.get(other, 0.0) for other in shares]
        phases.append((until - reached, parts))
        reached = until
    return phases


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
        curriculum_steps: int | None = None,
    ) -> None:
        """Take the share and the windows of each domain.

        Args:
            domains: share and windows, of one length; the shares sum to one.
            batch_windows: windows of a step.
            seed: of the permutations.
            rows: ids must be below this, the rows of the model's embedding.
            curriculum_steps: steps of a run in the curriculum's order; None: mixed throughout.
        """
        self.names = list(domains)
        self.windows = [windows for _, windows in domains.values()]
        self.batch_windows = batch_windows
        self.length = int(self.windows[0].shape[1])
        self._seed, self._rows = seed, rows
        shares = {name: share for name, (share, _) in domains.items()}
        if curriculum_steps is None:
            phases: list[tuple[float, list[float]]] = [(math.inf, list(shares.values()))]
        else:
            phases = [*curriculum_phases(shares, curriculum_steps * batch_windows)]
        self._phases = [(length, _Phase(parts)) for length, parts in phases if length]
        self._permutation = lru_cache(maxsize=2 * len(shares))(self._draw_permutation)

    def _draw_permutation(self, domain: int, number: int) -> NDArray[np.int64]:
        name = self.names[domain]
        generator = seeds.generator(self._seed, "permutation", name, number)
        return generator.permutation(len(self.windows[domain]))

    def _before(self, position: int) -> tuple[NDArray[np.int64], _Phase, int]:
        """Windows of each domain before a position, its phase and its place there."""
        seen = np.zeros(len(self.names), dtype=np.int64)
        for number, (length, phase) in enumerate(self._phases, start=1):
            # The last phase has no end: the count after the last step lies at its end.
            if position < length or number == len(self._phases):
                return seen + phase.counts(position), phase, position
            seen += phase.counts(int(length))
            position -= int(length)
        raise AssertionError("a sampler has at least one phase")

    def counts(self, step: int) -> dict[str, int]:
        """Windows seen of each domain after `step` steps."""
        seen, _, _ = self._before(step * self.batch_windows)
        return dict(zip(self.names, seen.tolist(), strict=True))

    def indices(self, step: int) -> list[tuple[str, int]]:
        """Domain and index of each window of step `step` (from 0), in the order of the batch."""
        found = []
        start = step * self.batch_windows
        for position in range(start, start + self.batch_windows):
            counts, phase, place_in_phase = self._before(position)
            domain = int(phase.order[place_in_phase % len(phase.order)])
            number, place = divmod(int(counts[domain]), len(self.windows[domain]))
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
