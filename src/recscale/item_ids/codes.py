"""Semantic ids as a table: codes, and how many items share them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def n_collisions(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """For each row of codes (items, codes an item): how many other rows are equal to it."""
    _, group, size = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return (size[group.ravel()] - 1).astype(np.int64)


def collision_rate(codes: NDArray[np.integer]) -> float:
    """Share of items whose codes another item has too."""
    return float((n_collisions(codes) > 0).mean())


def item_id_table(item_ids: NDArray[np.integer], codes: NDArray[np.integer]) -> pd.DataFrame:
    """The table of contract `item_ids`; `codes` (items, codes an item) holds REC numbers."""
    return pd.DataFrame(
        {
            "item_id": np.asarray(item_ids, dtype=np.int64),
            "codes": list(codes.astype(np.uint16)),
            "n_collisions": n_collisions(codes),
        }
    )
