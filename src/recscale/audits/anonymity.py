"""What it costs that no rule may have fewer than k users behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recscale.audits.histories import Items
from recscale.audits.table import Row, point, share
from recscale.ranking.sequences import Integers, Sequences

THRESHOLDS = (1, 2, 5, 10)
LAST_ITEMS = 20
CUTOFF = 100  # K of recall@K
USERS_AT_ONCE = 500


@dataclass(frozen=True)
class NextItems:
    """Test users: their histories, and their next items' numbers (users,), -1 for another item."""

    histories: Sequences
    targets: Integers


def audit(rules: pd.DataFrame, next_items: NextItems, items: Items) -> list[Row]:
    """Coverage and recall for each threshold.

    Measures: anonymity_rules and anonymity_items (how many are left), anonymity_next_item (test
    users whose next item a rule leads to from an item of their history), anonymity_recall
    (recall@100 of the next item, items being ordered by the sum of the confidences of the rules
    that lead to them from the user's last items). Groups: `1 user`, `2 users`, ...

    Args:
        rules: training rules (contract `rules`), whatever their users.
        next_items: of users with a test item.
        items: the training items.
    """
    users = len(next_items.targets)
    rows = []
    for threshold in THRESHOLDS:
        kept = rules[rules["users"] >= threshold]
        edges = matrix(kept, items)
        reached = _reached(edges, next_items)
        found = _found(edges, next_items)
        group = f"{threshold} user{'s' if threshold > 1 else ''}"
        covered = len(np.union1d(kept["item_a"], kept["item_b"]))
        rows += [
            Row("anonymity_rules", group, point(len(kept)), len(rules)),
            Row("anonymity_items", group, point(covered), len(items)),
            Row("anonymity_next_item", group, share(int(reached.sum()), users), users),
            Row("anonymity_recall", group, share(int(found.sum()), users), users),
        ]
    return rows


def matrix(rules: pd.DataFrame, items: Items) -> sparse.csr_matrix:
    """The rules' confidences, shape `(items, items)`, from the antecedent to the consequent."""
    a, b = (items.numbers(rules[name].to_numpy()) for name in ("item_a", "item_b"))
    return sparse.csr_matrix((rules["confidence"].to_numpy(), (a, b)), shape=(len(items),) * 2)


def _reached(edges: sparse.csr_matrix, next_items: NextItems) -> NDArray[np.bool_]:
    """Whether a rule leads from an item of the history to the next item (users,)."""
    histories, targets = next_items.histories, next_items.targets
    user = np.repeat(np.arange(len(targets)), histories.lengths)
    coordinates = edges.tocoo()
    known = np.sort(coordinates.row.astype(np.int64) * edges.shape[1] + coordinates.col)
    wanted = histories.values * edges.shape[1] + targets[user]
    hit = np.isin(wanted, known) & (targets[user] >= 0)
    return np.bincount(user, weights=hit, minlength=len(targets)) > 0


def _found(edges: sparse.csr_matrix, next_items: NextItems) -> NDArray[np.bool_]:
    """Whether the next item is among the first CUTOFF (users,); ties count against it."""
    histories, targets = next_items.histories, next_items.targets
    found = np.zeros(len(targets), dtype=bool)
    for low in range(0, len(targets), USERS_AT_ONCE):
        block = np.arange(low, min(low + USERS_AT_ONCE, len(targets)))
        length = histories.lengths[block]
        last = np.minimum(length, LAST_ITEMS)
        ends = np.cumsum(last)
        inside = np.arange(ends[-1]) - np.repeat(ends - last, last)
        values = histories.values[np.repeat(histories.offsets[block + 1] - last, last) + inside]
        user = np.repeat(np.arange(len(block)), last)
        shown = sparse.csr_matrix(
            (np.ones(len(values)), (user, values)), shape=(len(block), edges.shape[0])
        )
        scores = (shown @ edges).tocsr()
        for row, target in enumerate(targets[block]):
            of_row = slice(scores.indptr[row], scores.indptr[row + 1])
            mine = scores.data[of_row][scores.indices[of_row] == target]
            found[low + row] = len(mine) > 0 and (scores.data[of_row] >= mine[0]).sum() <= CUTOFF
    return found
