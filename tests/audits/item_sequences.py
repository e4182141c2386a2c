"""Sequences of items from lists."""

from __future__ import annotations

import numpy as np

from recscale.ranking.sequences import Sequences


def sequences(rows: list[list[int]]) -> Sequences:
    """A sequence of item numbers from each list."""
    return Sequences.from_lengths(
        np.array([i for row in rows for i in row], dtype=np.int64),
        np.array([len(row) for row in rows], dtype=np.int64),
    )
