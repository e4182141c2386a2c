"""How good and how diverse answers to histories are (section 8): one row of measures a history."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale.item_ids.trie import Trie

NO_CATEGORY = -1


def set_overlap(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float64]:
    """The share of `second`'s codes that `first` has too, in whatever order.

    Leading dimensions are broadcast, the last are the codes; a code of -1 is in no id.
    """
    equal = (first[..., :, None] == second[..., None, :]) & (first[..., :, None] >= 0)
    return equal.any(-2).mean(-1)


def common_prefix(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many codes are equal before the first that is not; leading dimensions are broadcast."""
    return (first == second).cumprod(-1).sum(-1)


def hits(
    codes: NDArray[np.int64], target_codes: NDArray[np.int64], sharers: NDArray[np.int64]
) -> dict[str, NDArray]:
    """How near answers come to the true next item.

    Args:
        codes: of the answers, likeliest first, shape `(histories, answers, width)`; -1 throughout
            where an answer is no id.
        target_codes: of the next items, shape `(histories, width)`.
        sharers: items that have the codes of each next item, itself included, `(histories,)`.

    Returns:
        Columns of the contract `generation`. `exact_item` counts an exact hit as 1 / sharers: which
        of them is meant the codes do not say.
    """
    target = target_codes[:, None]
    prefix = common_prefix(codes, target)
    overlap = set_overlap(codes, target)
    equal = prefix == codes.shape[-1]
    return {
        "exact": equal[:, 0].astype(float),
        "exact_item": equal[:, 0] / sharers,
        "exact_in_beam": equal.any(1).astype(float),
        "prefix": prefix[:, 0].astype(float),
        "prefix_in_beam": prefix.max(1).astype(float),
        "set": overlap[:, 0],
        "set_in_beam": overlap.max(1),
    }


def top_categories(
    leaves: NDArray[np.int64],
    histories: Sequence[NDArray[np.integer]],
    trie: Trie,
    top: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """How far answers keep to the history's top categories, beside items drawn at random.

    Args:
        leaves: as in `diversity`.
        histories: the items that were shown.
        trie: all items.
        top: top category of each row of the trie, `NO_CATEGORY` where the log has none.

    Returns:
        Columns of the contract `generation`, `(histories,)`: top_category_in_history, the share of
        real answers in the top category of an item shown; and top_category_by_chance, the share of
        all items that are. What has no value is NaN.
    """
    first = trie.children[-1]
    known = top[top != NO_CATEGORY]
    found = np.full((2, len(histories)), np.nan)
    for row, (leaf, items) in enumerate(zip(leaves, histories, strict=True)):
        of_history = np.unique(top[trie.rows_of(np.asarray(items))])
        answered = top[first[leaf[leaf >= 0]]]
        for place, group in enumerate((answered[answered != NO_CATEGORY], known)):
            if len(group):
                found[place, row] = np.isin(group, of_history).mean()
    return {"top_category_in_history": found[0], "top_category_by_chance": found[1]}


def diversity(
    codes: NDArray[np.int64],
    leaves: NDArray[np.int64],
    histories: Sequence[NDArray[np.integer]],
    trie: Trie,
    category: NDArray[np.int64],
) -> pd.DataFrame:
    """How answers differ from each other, and how they are like the history they continue.

    Args:
        codes: as in `hits`.
        leaves: of the trie, shape `(histories, answers)`; -1 where no item has the codes.
        histories: the items that were shown.
        trie: all items.
        category: leaf category of each row of the trie, `NO_CATEGORY` where the log has none.

    Returns:
        One row per history, columns of the contract `generation`: invalid (share of answers that
        are no item), distinct_items and distinct_categories (within the beam), code_distance (mean
        over pairs of answers of one minus their set overlap), overlap_with_history (mean over
        answers of their greatest set overlap with an item shown), category_in_history (share of
        real answers in the leaf category of an item shown), first_item and first_category (of the
        likeliest answer). What has no value is NaN or missing. Where items share codes, the first
        stands for them.
    """
    real = leaves >= 0
    categories = np.where(real, category[trie.children[-1][np.maximum(leaves, 0)]], NO_CATEGORY)
    has_categories = bool((category != NO_CATEGORY).any())
    rows = []
    for answer, leaf, group, items in zip(codes, leaves, categories, histories, strict=True):
        shown = trie.rows_of(np.asarray(items))
        count = len(answer)
        pairs = set_overlap(answer[:, None], answer[None])
        known = group[group != NO_CATEGORY]
        others = pairs.sum() - np.trace(pairs)
        to_history = set_overlap(answer[:, None], trie.codes[shown].astype(np.int64)[None])
        rows.append(
            {
                "invalid": float((leaf < 0).mean()),
                "distinct_items": float(len(np.unique(leaf[leaf >= 0]))),
                "distinct_categories": float(len(np.unique(known))) if has_categories else np.nan,
                "code_distance": 1 - others / (count * (count - 1)) if count > 1 else np.nan,
                "overlap_with_history": float(to_history.max(1).mean()),
                "category_in_history": (
                    float(np.isin(known, category[shown]).mean()) if len(known) else np.nan
                ),
                "first_item": int(trie.first_items(leaf[:1])[0]) if leaf[0] >= 0 else None,
                "first_category": int(group[0]) if group[0] != NO_CATEGORY else None,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.astype({"first_item": "Int64", "first_category": "Int64"})
