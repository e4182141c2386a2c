"""Recall measured on what users truly prefer, which only a simulated marketplace knows.

A user's true next item is drawn with probability softmax(true preference) over the items that both
arms can rank and the user has no event with. Nothing has to be drawn: the expected recall@K of a
list is the sum of the true probabilities of its K items (true recall@K). Whether a listing is on
sale that day does not matter to it: availability is exposure, not preference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from recscale.data.world_catalogue import DIMENSIONS, true_preference
from recscale.ranking.examples import RealRows
from recscale.ranking.rank_metrics import rows_at_once
from recscale.ranking.sequences import Integers

# What scores the items 1 to n for a block of the rows' users: shape (block, items).
Scores = Callable[[RealRows, Integers], torch.Tensor]


@dataclass(frozen=True)
class Truth:
    """What the world knows of test users and items, in the order of the rows and of the vocabulary.

    users (users, DIMENSIONS) and items (items, DIMENSIONS) are vectors; appeal is (items,).
    """

    users: NDArray[np.float64]
    items: NDArray[np.float64]
    appeal: NDArray[np.float64]

    @classmethod
    def read(cls, folder: Path, users: Integers, items: Integers) -> Truth:
        """From the folder `truth/` of a world, for these user_ids and item_ids."""
        user_table = pq.read_table(folder / "users.parquet")
        item_table = pq.read_table(folder / "items.parquet")
        # Both tables are in the order of their ids.
        user_rows = np.searchsorted(user_table["user_id"].to_numpy(), users)
        item_rows = np.searchsorted(item_table["item_id"].to_numpy(), items)
        vectors = [
            table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, DIMENSIONS)
            for table in (user_table, item_table)
        ]
        appeal = item_table["appeal"].to_numpy()[item_rows]
        return cls(vectors[0][user_rows], vectors[1][item_rows], appeal)

    def scores(self, rows: RealRows, block: Integers) -> torch.Tensor:
        """True preference of the users `block` for every item, shape `(block, items)`."""
        found = true_preference(self.users[block, None], self.items[None], self.appeal[None])
        return torch.from_numpy(found)

    def probabilities(self, rows: RealRows, block: Integers) -> torch.Tensor:
        """The chance that an item is the true next one, shape `(block, items)`; rows sum to 1."""
        return torch.softmax(hide_history(self.scores(rows, block), rows, block), dim=1)


def hide_history(scores: torch.Tensor, rows: RealRows, block: Integers) -> torch.Tensor:
    """A copy of `scores` with minus infinity at the items of each user's history."""
    bought = rows.all_items.take(block)
    hidden = scores.clone()
    row = torch.from_numpy(np.repeat(np.arange(len(block)), bought.lengths))
    hidden[row, torch.from_numpy(bought.values - 1)] = -torch.inf
    return hidden


def expected_recall(
    scores: torch.Tensor, probabilities: torch.Tensor, cutoffs: Sequence[int]
) -> torch.Tensor:
    """The probability that the next item is among the K of the highest scores, for each K.

    Items of equal score come in random order, so that a constant score is a random order.

    Args:
        scores: shape `(users, items)`; no cutoff exceeds the items.
        probabilities: of being the next item, same shape.
        cutoffs: the K.

    Returns:
        Shape `(users, cutoffs)`.
    """
    highest = scores.topk(max(cutoffs), dim=1).values
    found = []
    for k in cutoffs:
        last = highest[:, k - 1 : k]
        above, tied = scores > last, scores == last
        # The share of the tied that the list still takes.
        places = (k - above.sum(1)).to(probabilities.dtype) / tied.sum(1)
        found.append((probabilities * above).sum(1) + places * (probabilities * tied).sum(1))
    return torch.stack(found, dim=1)


def recalls(scores: Scores, truth: Truth, rows: RealRows, cutoffs: Sequence[int]) -> pd.DataFrame:
    """Recall@K over the users of `rows`, one row per cutoff: columns k, true_recall, logged_recall.

    Lists for the true next item leave out the history, where it cannot be. Those for the next item
    of the log, which may repeat, do not, as in Figure 1.
    """
    users, at_once = len(rows.users), rows_at_once(len(truth.items))
    total = torch.zeros((2, len(cutoffs)), dtype=torch.float64)
    for start in range(0, users, at_once):
        block = np.arange(start, min(start + at_once, users))
        found = scores(rows, block)
        target = torch.from_numpy(rows.examples.targets[block, None].astype(np.int64) - 1)
        logged = torch.zeros(found.shape, dtype=torch.float64).scatter_(1, target, 1.0)
        true = truth.probabilities(rows, block)
        total[0] += expected_recall(hide_history(found, rows, block), true, cutoffs).sum(0)
        total[1] += expected_recall(found, logged, cutoffs).sum(0)
    true_recall, logged_recall = (total / users).numpy().clip(0, 1)  # sums may round beyond 1
    return pd.DataFrame(
        {"k": list(cutoffs), "true_recall": true_recall, "logged_recall": logged_recall}
    )


def same_for_all(scores: NDArray) -> Scores:
    """Scores of the items, shape `(items,)`, for whatever user."""
    row = torch.from_numpy(scores.astype(np.float64))

    def of_block(rows: RealRows, block: Integers) -> torch.Tensor:
        return row.expand(len(block), -1)

    return of_block
