"""Baselines without training: item popularity and item-kNN (the comparison's floor).

Both are made of an arm's own examples, as many as its models train on.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.model.general_recommender.itemknn import ComputeSimilarity
from scipy import sparse

from recscale.errors import UserError
from recscale.ranking.examples import RealRows, TrainingExamples
from recscale.ranking.models import BASELINES
from recscale.ranking.rank_metrics import Ranks, rank_in_blocks, rows_at_once

NEIGHBOURS = 100  # RecBole's default
EXAMPLES_AT_ONCE = 65_536


def _columns(examples: TrainingExamples, items: int) -> tuple[NDArray, sparse.csr_matrix]:
    """Counts of the targets, shape `(items,)`, and the items of each example, `(examples, items)`.

    An example's items are its history and its target.
    """
    counts = np.zeros(items, np.int64)
    parts = []
    for start in range(0, len(examples), EXAMPLES_AT_ONCE):
        rows = np.arange(start, min(start + EXAMPLES_AT_ONCE, len(examples)))
        taken = examples.take(rows)
        counts += np.bincount(taken.targets, minlength=items + 1)[1:]
        seen = np.concatenate([taken.histories, taken.targets[:, None]], axis=1)
        row, column = np.nonzero(seen)
        ones = np.ones(len(row), dtype=np.float32)
        part = sparse.csr_matrix((ones, (row, seen[row, column] - 1)), shape=(len(rows), items))
        part.data[:] = 1.0
        parts.append(part)
    return counts, sparse.vstack(parts, format="csr")


def ranks(name: str, examples: TrainingExamples, rows: RealRows, n_items: int) -> Ranks:
    """The rank of each row's target by a baseline made of an arm's examples.

    Popularity scores an item by how often it is a target; ItemKNN by the sum of its cosine
    similarities, over examples, to the items of the user's shown history (RecBole's, 100
    neighbours, no shrinkage).

    Raises:
        UserError: there is no such baseline.
    """
    counts, matrix = _columns(examples, n_items)
    if name == "Popularity":
        score = torch.from_numpy(counts.astype(np.float32))

        def scores(of: RealRows, block: NDArray[np.int64]) -> torch.Tensor:
            return score.expand(len(block), -1)

    elif name == "ItemKNN":
        similar = ComputeSimilarity(matrix, topk=min(NEIGHBOURS, n_items - 1), method="item")
        _, weights = similar.compute_similarity()
        weights = weights.tocsr()

        def scores(of: RealRows, block: NDArray[np.int64]) -> torch.Tensor:
            shown = of.examples.histories[block]
            row, column = np.nonzero(shown)
            ones = np.ones(len(row), dtype=np.float32)
            seen = sparse.csr_matrix((ones, (row, shown[row, column] - 1)), (len(block), n_items))
            return torch.from_numpy((seen @ weights).toarray())

    else:
        raise UserError(f"--model is {name!r}", f"baselines are {', '.join(BASELINES)}")
    return rank_in_blocks(scores, rows, rows_at_once(n_items))
