"""Breaking ties: items whose codes another item has too take the next best codes that are free.

The paper measures collisions "after uniform sampling", of which it says no more; this is our
reading of what breaking ties can do. It costs a property: the codes of an item no longer follow
from its text alone. Training items choose first and among themselves, so that no held-out item
moves them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recscale import seeds
from recscale.item_ids.quantiser import ROWS_AT_ONCE, Quantiser

CANDIDATES = 5  # codes an item may choose among: the width of Table 9's beam


def break_ties(
    quantiser: Quantiser,
    vectors: NDArray[np.floating],
    codes: NDArray[np.uint16],
    item_ids: NDArray[np.int64],
    train: NDArray[np.bool_],
    seed: int,
) -> NDArray[np.uint16]:
    """The codes (items, width) with as many ties broken as there are free candidates.

    Of the items with the same codes one keeps them, a training item if there is one; the others
    choose in an order that seed and item number fix. Who finds no free candidate keeps its codes.
    """
    broken = codes.copy()
    chance = seeds.uniform(seeds.derive(seed, "item ids", "ties"), item_ids)
    taken = np.zeros(0, np.uint64)
    for part in (train, ~train):
        rows = np.flatnonzero(part)
        rows = rows[np.argsort(chance[rows], kind="stable")]
        keys = _keys(codes[rows])
        distinct, first = np.unique(keys, return_index=True)
        keeps = np.zeros(len(rows), dtype=bool)
        keeps[first[~np.isin(distinct, taken)]] = True
        taken = np.union1d(taken, distinct)
        chosen: set[int] = set()
        waiting = rows[~keeps]
        for start in range(0, len(waiting), ROWS_AT_ONCE):
            block = waiting[start : start + ROWS_AT_ONCE]
            # In the order of the file, which may be memory-mapped; then in that of choosing.
            place = np.argsort(block)
            candidates = np.empty((len(block), CANDIDATES, codes.shape[1]), np.uint16)
            candidates[place] = quantiser.candidates(vectors[block[place]], CANDIDATES)
            keys = _keys(candidates.reshape(-1, codes.shape[1])).reshape(len(block), CANDIDATES)
            free = ~np.isin(keys, taken)
            for n, row in enumerate(block):
                for choice in np.flatnonzero(free[n]):
                    if int(keys[n, choice]) not in chosen:
                        chosen.add(int(keys[n, choice]))
                        broken[row] = candidates[n, choice]
                        break
        taken = np.union1d(taken, np.array(sorted(chosen), np.uint64))
    return broken


def _keys(codes: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """A 64-bit key a row: equal codes have equal keys, and where others do, a choice is lost."""
    return seeds.hash_keys(0, *codes.T)
