"""What all walk engines share: how to walk, and what walks are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A walk that no attempt of so many brings to `min_items` stops the run.
ATTEMPTS = 1000


@dataclass(frozen=True)
class Settings:
    """How to walk (the `curriculum.walks` block of the config) and how many walks to make."""

    seed: int
    engine: str
    order: int
    p: float
    q: float
    stop_probability: float
    threshold: float | None
    at_threshold: str
    min_items: int
    max_items: int
    walks: int


@dataclass(frozen=True)
class Walks:
    """Walks, one after the other.

    nodes (sum of lengths,) are node numbers, lengths (walks,) in items, confidences (walks,) the
    product of the edges' confidences; attempts is how many were made to get them.
    """

    nodes: NDArray[np.uint32]
    lengths: NDArray[np.int32]
    confidences: NDArray[np.float64]
    attempts: int

    def step_ends(self) -> NDArray[np.int64]:
        """Places in `nodes` that a step leads to: all but each walk's first."""
        first = np.zeros(len(self.nodes), dtype=bool)
        first[np.concatenate([[0], np.cumsum(self.lengths)[:-1]])] = True
        return np.flatnonzero(~first)

    def paths(self) -> list[NDArray[np.uint32]]:
        """The nodes of each walk."""
        return np.split(self.nodes, np.cumsum(self.lengths)[:-1])
