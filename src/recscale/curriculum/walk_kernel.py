"""Random walks of first and second order on a weighted directed graph, compiled by numba.

Random numbers are counter-based: the k-th number of walk w is a hash of (seed, w, k). A walk is
therefore the same whichever thread or shard makes it, and in whatever order.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(inline="always")
def _mix(value: np.uint64) -> np.uint64:
    """SplitMix64's finaliser, as in `recscale.seeds.mix`."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(inline="always")
def _uniform(key: np.uint64, draw: np.uint64) -> float:
    """The draw-th number in [0, 1) of the walk whose key is given."""
    return float(_mix(key + draw * _GOLDEN) >> np.uint64(11)) * 2.0**-53


@numba.njit(inline="always")
def _has_edge(indptr: NDArray, indices: NDArray, a: int, b: int) -> bool:
    low, high = indptr[a], indptr[a + 1]
    while low < high:
        middle = (low + high) // 2
        if indices[middle] < b:
            low = middle + 1
        else:
            high = middle
    return low < indptr[a + 1] and indices[low] == b


@numba.njit(inline="always")
def _edge_by_weight(cumulative: NDArray, first: int, last: int, u: float) -> int:
    """The edge of [first, last) on which u falls, by weight (inverse of the distribution)."""
    target = u * cumulative[last - 1]
    low, high = first, last - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


@numba.njit(nogil=True, cache=True)
def walk_range(
    indptr: NDArray,
    indices: NDArray,
    weights: NDArray,
    cumulative: NDArray,
    starts: NDArray,
    seed: np.uint64,
    first_walk: int,
    order: int,
    p: float,
    q: float,
    stop_probability: float,
    threshold: float,
    min_items: int,
    paths: NDArray,
    lengths: NDArray,
    confidences: NDArray,
) -> None:
    """Fill `paths` (walks, max_items), `lengths` and `confidences` with the walks from first_walk.

    `cumulative` holds the running sum of `weights` inside each row of the graph, `starts` the nodes
    a walk may begin at. A walk ends at a node without neighbours, before the step that would take
    its confidence (the product of its edges' weights) below `threshold`, at `paths.shape[1]` items,
    or by chance with `stop_probability` once it has `min_items`.

    The second order draws by rejection (KnightKing, Yang et al., 2019): propose an edge by weight,
    accept with node2vec's bias over its largest value. The distance d(t, x) of Grover and Leskovec
    (2016) is read along the direction of edges: it is 1 if there is an edge t -> x.
    """
    bound = max(1.0 / p, 1.0, 1.0 / q)
    for row in range(paths.shape[0]):
        key = _mix(seed ^ _mix(np.uint64(first_walk + row) * _GOLDEN + _GOLDEN))
        draw = np.uint64(0)
        node = starts[int(_uniform(key, draw) * len(starts))]
        previous = -1
        confidence = 1.0
        length = 1
        paths[row, 0] = node
        while length < paths.shape[1]:
            if length >= min_items:
                draw += np.uint64(1)
                if _uniform(key, draw) < stop_probability:
                    break
            first, last = indptr[node], indptr[node + 1]
            if first == last:
                break
            while True:
                draw += np.uint64(1)
                edge = _edge_by_weight(cumulative, first, last, _uniform(key, draw))
                if order == 1 or previous < 0:
                    break
                if indices[edge] == previous:
                    bias = 1.0 / p
                elif _has_edge(indptr, indices, previous, indices[edge]):
                    bias = 1.0
                else:
                    bias = 1.0 / q
                draw += np.uint64(1)
                if _uniform(key, draw) * bound < bias:
                    break
            if confidence * weights[edge] < threshold:
                break
            confidence *= weights[edge]
            previous = node
            node = indices[edge]
            paths[row, length] = node
            length += 1
        lengths[row] = length
        confidences[row] = confidence
