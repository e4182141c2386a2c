"""How good semantic ids are: collisions, use of the codes, and what of the text they keep.

The paper prints one number, "collision %" (Table 9). It can mean the share of items whose codes
another item has, or one minus distinct codes over items; both are here. Items of identical text
collide by nature, so both are also taken over distinct texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recscale import seeds
from recscale.item_ids.codes import n_collisions
from recscale.item_ids.decoding import CodeIndex
from recscale.item_ids.quantiser import ROWS_AT_ONCE, Quantiser

SAMPLE_ITEMS = 100_000  # items among which neighbours and prefixes are compared
QUERIES = 1_000  # of them, whose neighbours are compared
QUERIES_AT_ONCE = 64  # bounds the memory of their similarities
NEIGHBOURS = 10


def collisions(codes: NDArray[np.integer]) -> tuple[float, float]:
    """Of codes (items, width): the share of items whose codes another item has, and the share of
    items that is left over when each distinct code keeps one."""
    shared = n_collisions(codes)
    # An item in a group of n stands for 1 / n distinct codes.
    distinct = float((1.0 / (shared + 1)).sum())
    return float((shared > 0).mean()), 1.0 - round(distinct) / len(codes)


def uniform_rate(items: float, code_space: float) -> float:
    """The share of `items` that share codes if every item had one of `code_space` codes at random.

    No method can be expected to do better without looking at the other items' codes.
    """
    return float(-np.expm1((items - 1) * np.log1p(-1.0 / code_space))) if code_space > 1 else 1.0


def uniform_surplus(items: float, code_space: float) -> float:
    """As `uniform_rate`, for one minus distinct codes over items."""
    return float(1 + code_space * np.expm1(items * np.log1p(-1.0 / code_space)) / items)


def held_out_like_training(codes: NDArray[np.uint16], train: NDArray[np.bool_]) -> float:
    """The share of held-out items that have the codes of a training item; nan without any."""
    keys = seeds.hash_keys(0, *codes.T)
    if train.all():
        return float("nan")
    return float(np.isin(keys[~train], keys[train]).mean())


def code_use(codes: NDArray[np.uint16], rec_tokens: int) -> tuple[float, float]:
    """The share of REC numbers that any item has, and the perplexity of their use, as a share of
    `rec_tokens`: 1 if all are used equally often."""
    counts = np.bincount(codes.ravel(), minlength=rec_tokens)
    share = counts[counts > 0] / counts.sum()
    perplexity = float(np.exp(-(share * np.log(share)).sum()))
    return float((counts > 0).mean()), perplexity / rec_tokens


def unexplained_variance(quantiser: Quantiser, vectors: NDArray[np.floating]) -> float:
    """Squared error of the reconstruction over the variance, of vectors (2 or more, dimensions)."""
    data = np.asarray(vectors, dtype=np.float32)
    error = 0.0
    for start in range(0, len(data), ROWS_AT_ONCE):
        part = data[start : start + ROWS_AT_ONCE]
        error += np.square(quantiser.reconstruct(part) - part).sum(dtype=np.float64)
    return float(error / np.square(data - data.mean(0)).sum(dtype=np.float64))


def neighbour_overlap(
    vectors: NDArray[np.floating], codes: NDArray[np.uint16], queries: NDArray[np.int64]
) -> float:
    """Of the ten nearest items by cosine, the share among the ten nearest by equal codes.

    Args:
        vectors: (items, dimensions), unit length. codes: (items, width). queries: rows.
    """
    index = CodeIndex(codes, np.arange(len(codes)))
    data = np.asarray(vectors, dtype=np.float32)
    count = min(NEIGHBOURS, len(codes) - 1)
    hits = 0
    for block in np.array_split(queries, -(-len(queries) // QUERIES_AT_ONCE)):
        similar = data[block] @ data.T
        similar[np.arange(len(block)), block] = -np.inf
        nearest = np.argpartition(-similar, count - 1, axis=1)[:, :count]
        for query, expected in zip(block, nearest, strict=True):
            found = index.nearest(codes[query], count + 1).item_ids
            hits += len(np.intersect1d(expected, found[found != query][:count]))
    return hits / (count * len(queries))


def prefix_purity(
    codes: NDArray[np.uint16], leaf: NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    """How much the first d codes say of an item's leaf category, for d = 1 .. width.

    Of items with known categories (leaf >= 0). Purity: of the other items with the same first d
    codes, the share in the same category, averaged over the items that have such others; nan if
    none has. Grouped: the share of items that have such others.
    """
    known = leaf >= 0
    codes, leaf = codes[known], leaf[known]
    if not len(leaf):
        return [float("nan")] * codes.shape[1], [0.0] * codes.shape[1]
    _, category = np.unique(leaf, return_inverse=True)
    group = np.zeros(len(codes), dtype=np.int64)
    purity, grouped = [], []
    for depth in range(codes.shape[1]):
        _, group = np.unique(group * 65_536 + codes[:, depth], return_inverse=True)
        size = np.bincount(group)[group] - 1
        _, cell = np.unique(group * (category.max() + 1) + category, return_inverse=True)
        same = np.bincount(cell)[cell] - 1
        others = size > 0
        purity.append(float((same[others] / size[others]).mean()) if others.any() else np.nan)
        grouped.append(float(others.mean()))
    return purity, grouped
