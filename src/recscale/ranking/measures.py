"""Recall and NDCG from ranks, without torch: trainings, tables and figures count alike (Figure 1).

One item follows each test history, so that recall@K is the share of users whose item ranks among
the first K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def recall(ranks: NDArray[np.int64], k: int) -> float:
    """Recall@k: the share of ranks up to `k`."""
    return float((ranks <= k).mean())


def ndcg(ranks: NDArray[np.int64], k: int) -> float:
    """NDCG@k with one relevant item: the mean of 1 / log2(1 + rank) where the rank is up to `k`."""
    return float(np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0).mean())
