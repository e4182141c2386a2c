"""Ranks of the next item, in blocks of users (Figure 1); `measures` makes recall and NDCG of them.

Items with the same score as the target rank before it: a model that scores all items alike gets no
credit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recscale.ranking.examples import RealRows

_SCORES_AT_ONCE = 1 << 22  # users in a block x items: bounds its memory
_USERS_AT_ONCE = 1024


@dataclass(frozen=True)
class Ranks:
    """Ranks of the targets from 1, shape `(users,)`: among all items, and without bought ones."""

    unmasked: NDArray[np.int64]
    masked: NDArray[np.int64]

    @classmethod
    def join(cls, parts: list[Ranks]) -> Ranks:
        """The ranks of consecutive blocks of users."""
        return cls(
            np.concatenate([p.unmasked for p in parts]), np.concatenate([p.masked for p in parts])
        )


def rank_targets(
    scores: torch.Tensor, targets: torch.Tensor, history_rows: torch.Tensor, history: torch.Tensor
) -> Ranks:
    """Rank each row's target.

    Args:
        scores: shape `(users, items)`; a score that is not a number counts as a tie.
        targets: column of each user's target, shape `(users,)`.
        history_rows: row of each item of the users' histories, shape `(bought,)`.
        history: column of each item of the users' histories, shape `(bought,)`.

    Returns:
        `unmasked`: 1 + the other items that score no less than the target. `masked`: the same
        without the items of the user's history; a target in the history is kept.
    """
    score = scores.gather(1, targets[:, None])
    before = ~(scores < score)
    unmasked = before.sum(1)
    before[history_rows, history] = False
    before.scatter_(1, targets[:, None], True)
    return Ranks(unmasked.cpu().numpy(), before.sum(1).cpu().numpy())


def rows_at_once(n_items: int) -> int:
    """Users to score together, so that a block of scores fits in the same memory for any items."""
    return max(1, min(_USERS_AT_ONCE, _SCORES_AT_ONCE // (n_items + 1)))


def rank_in_blocks(
    scores: Callable[[RealRows, NDArray[np.int64]], torch.Tensor], rows: RealRows, at_once: int
) -> Ranks:
    """The rank of each row's target; `scores(rows, block)` gives those of items 1 to n."""
    parts = []
    for start in range(0, len(rows.users), at_once):
        block = np.arange(start, min(start + at_once, len(rows.users)))
        bought = rows.all_items.take(block)
        parts.append(
            rank_targets(
                scores(rows, block),
                torch.from_numpy(rows.examples.targets[block] - 1),
                torch.from_numpy(np.repeat(np.arange(len(block)), bought.lengths)),
                torch.from_numpy(bought.values - 1),
            )
        )
    return Ranks.join(parts)
