"""Ranks, ties, masks and recall with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recscale.ranking.measures import recall
from recscale.ranking.rank_metrics import rank_targets


def one_row(scores: list[float], target: int, history: tuple[int, ...] = ()) -> tuple[int, int]:
    """(unmasked, masked) rank of one user's target."""
    ranks = rank_targets(
        torch.tensor([scores]),
        torch.tensor([target]),
        torch.zeros(len(history), dtype=torch.int64),
        torch.tensor(history, dtype=torch.int64),
    )
    return int(ranks.unmasked[0]), int(ranks.masked[0])


@pytest.mark.parametrize(
    ("scores", "target", "history", "expected"),
    [
        ([3.0, 2.0, 1.0], 0, (), (1, 1)),
        ([3.0, 2.0, 1.0], 2, (), (3, 3)),
        ([3.0, 2.0, 1.0], 2, (0,), (3, 2)),  # an item bought before is hidden
        ([3.0, 2.0, 1.0], 2, (0, 1, 0), (3, 1)),  # bought twice, hidden once
        ([3.0, 2.0, 1.0], 1, (0, 1), (2, 1)),  # the target stays though it was bought
        ([1.0, 1.0, 1.0], 1, (), (3, 3)),  # ties count against the model
        ([2.0, 1.0, 1.0], 1, (2,), (3, 2)),
        ([float("nan")] * 3, 0, (), (3, 3)),  # no credit for a model that broke
        ([1.0, float("nan"), 0.0], 0, (), (2, 2)),
    ],
)
def test_known_ranks(scores, target, history, expected):
    assert one_row(scores, target, history) == expected


@given(st.integers(1, 30), st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_ranks_agree_with_sorting(users, items, seed):
    random = np.random.default_rng(seed)
    scores = random.permuted(np.tile(np.arange(items, dtype=np.float32), (users, 1)), axis=1)
    targets = random.integers(items, size=users)
    bought = random.random((users, items)) < 0.3
    rows, columns = np.nonzero(bought)
    ranks = rank_targets(*map(torch.from_numpy, (scores, targets, rows, columns)))
    for user in range(users):
        order = list(np.argsort(-scores[user]))
        assert ranks.unmasked[user] == 1 + order.index(targets[user])
        open_items = [i for i in order if i == targets[user] or not bought[user, i]]
        assert ranks.masked[user] == 1 + open_items.index(targets[user])


def test_recall_is_the_share_of_ranks_up_to_k():
    ranks = np.array([1, 3, 10, 11])
    assert [recall(ranks, k) for k in (1, 2, 3, 10, 11)] == [0.25, 0.25, 0.5, 0.75, 1.0]
