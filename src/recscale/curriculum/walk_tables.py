"""What the walk kernels read: alias records and, for the second order, the set of edges.

Walking is bound by memory latency, so all a step needs of an edge stands in one record, and a
record never crosses a cache line. Nothing here is larger than linear in the number of edges.

* `nodes` (nodes,): first edge << 24 | out-degree.
* `records` (edges * width,): for the first order 4 words of 32 bits an edge: alias threshold, own
  target, alias target, and the cost of either (own in the low half). For the second order 8 words:
  these and, of either target v, the probability of the way back v -> t as a share of 2^32, and its
  place in v's row (0 and 0 where there is no way back).
* `edge_set`: a hash set of all edges in buckets of one cache line.

The cost of an edge is -log2 of its confidence in units of 1/2048, rounded and at most 65535. Path
confidences are sums of costs: whole numbers, equal on every machine, each step within 0.02 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from recscale.curriculum.graph import ItemGraph
from recscale.curriculum.walk_random import mix
from recscale.errors import UserError

COST_UNITS = 2048.0
MOST_COST = 65535.0
DEGREE_BITS = np.uint64(24)
DEGREE_MASK = np.uint64((1 << 24) - 1)
BUCKET = 8  # keys of 8 bytes in a cache line
_FULL = 4294967295.0  # an alias threshold that every draw but one falls below


@dataclass(frozen=True)
class WalkTables:
    """The tables of one graph for walks of one order (see the module's docstring)."""

    order: int
    nodes: NDArray[np.uint64]
    records: NDArray[np.uint32]
    edge_set: NDArray[np.uint64]


def prepare(graph: ItemGraph, order: int) -> WalkTables:
    """The tables for walks of the given order.

    Raises:
        UserError: a node has more neighbours, or the graph more nodes, than a record can count.
    """
    degrees = np.diff(graph.indptr)
    if degrees.max(initial=0) > int(DEGREE_MASK) or graph.nodes >= 2**32 - 1:
        raise UserError(
            f"the item graph has {graph.nodes} nodes of up to {degrees.max()} neighbours; walks "
            f"hold 2^32 - 2 nodes and {int(DEGREE_MASK)} neighbours",
            "raise curriculum.rules.min_support",
        )
    first = graph.indptr[:-1].astype(np.uint64)
    nodes = (first << DEGREE_BITS) | degrees.astype(np.uint64)
    width = 4 if order == 1 else 8
    records = _aligned_words((len(graph.indices) + 1) * width)
    costs = costs_of(graph.confidence)
    _fill_alias(graph.indptr, graph.indices, graph.confidence, costs, records, width)
    edge_set = np.zeros(BUCKET, dtype=np.uint64)
    if order == 2:
        totals = np.add.reduceat(
            np.append(graph.confidence, 0.0), np.minimum(graph.indptr[:-1], len(graph.indices))
        )
        _fill_way_back(graph.indptr, graph.indices, graph.confidence, totals, records)
        edge_set = _edge_set(graph)
    return WalkTables(order, nodes, records, edge_set)


def costs_of(confidence: NDArray[np.float64]) -> NDArray[np.uint32]:
    """-log2 of confidences in units of 1/2048, rounded, at most 65535."""
    costs = np.minimum(np.rint(-np.log2(confidence) * COST_UNITS), MOST_COST)
    return costs.astype(np.uint32)


def cost_limit(threshold: float | None) -> int:
    """The largest sum of costs whose path confidence is not below `threshold`."""
    return 2**31 - 1 if not threshold else math.floor(-math.log2(threshold) * COST_UNITS)


def path_confidence(costs: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The path confidences of sums of costs."""
    return np.exp2(-costs.astype(np.float64) / COST_UNITS)


def _aligned_words(count: int) -> NDArray[np.uint32]:
    """Zeros that begin at a cache line, so that no record crosses one."""
    raw = np.zeros(count + 16, dtype=np.uint32)
    skip = (-raw.ctypes.data % 64) // 4
    return raw[skip : skip + count]


@numba.njit(nogil=True, cache=True)
def _fill_alias(
    indptr: NDArray,
    indices: NDArray,
    weights: NDArray,
    costs: NDArray,
    records: NDArray,
    width: int,
) -> None:
    """Walker's alias method in Vose's form, row by row, linear in the degree."""
    most = 0
    for v in range(len(indptr) - 1):
        most = max(most, indptr[v + 1] - indptr[v])
    share = np.empty(most, np.float64)
    alias = np.empty(most, np.int64)
    waiting = np.empty(most, np.int64)  # light slots from the left, heavy ones from the right
    for v in range(len(indptr) - 1):
        first = indptr[v]
        degree = indptr[v + 1] - first
        total = 0.0
        for i in range(degree):
            total += weights[first + i]
        light, heavy = 0, degree
        for i in range(degree):
            share[i] = weights[first + i] * degree / total
            alias[i] = i
            if share[i] < 1.0:
                waiting[light] = i
                light += 1
            else:
                heavy -= 1
                waiting[heavy] = i
        while light > 0 and heavy < degree:
            small, large = waiting[light - 1], waiting[heavy]
            light -= 1
            alias[small] = large
            share[large] -= 1.0 - share[small]
            if share[large] < 1.0:
                heavy += 1
                waiting[light] = large
                light += 1
        for i in range(heavy, degree):
            share[waiting[i]] = 1.0
        for i in range(light):
            share[waiting[i]] = 1.0  # left over by rounding alone
        for i in range(degree):
            other = alias[i]
            threshold = min(share[i] * 4294967296.0, _FULL)
            if threshold == _FULL:
                other = i
            at = (first + i) * width
            records[at] = np.uint32(threshold)
            records[at + 1] = np.uint32(indices[first + i])
            records[at + 2] = np.uint32(indices[first + other])
            records[at + 3] = costs[first + i] | (costs[first + other] << np.uint32(16))


@numba.njit(nogil=True, cache=True)
def _place(indices: NDArray, first: int, last: int, x: int) -> int:
    """The place of x in the sorted row [first, last), or -1."""
    low, high = first, last
    while low < high:
        middle = (low + high) >> 1
        if indices[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low - first if low < last and indices[low] == x else -1


@numba.njit(nogil=True, cache=True)
def _fill_way_back(
    indptr: NDArray, indices: NDArray, weights: NDArray, totals: NDArray, records: NDArray
) -> None:
    """Words 4 to 7 of the second order's records, for the own and the alias target."""
    for t in range(len(indptr) - 1):
        for edge in range(indptr[t], indptr[t + 1]):
            for which in range(2):
                v = records[8 * edge + 1 + which]
                place = _place(indices, indptr[v], indptr[v + 1], t)
                if place >= 0:
                    share = weights[indptr[v] + place] / totals[v]
                    records[8 * edge + 4 + which] = np.uint32(min(share * 4294967296.0, _FULL))
                    records[8 * edge + 6 + which] = np.uint32(place)


@numba.njit(inline="always")
def edge_key(t: np.uint64, x: np.uint64) -> np.uint64:
    """The key of the edge t -> x; 0 is a free place, for no node has the number 2^32 - 1."""
    return ((t << np.uint64(32)) | x) + np.uint64(1)


@numba.njit(inline="always")
def bucket_of(key: np.uint64, mask: np.uint64) -> np.uint64:
    """The place of the first key of a key's bucket; `mask` is the number of buckets - 1."""
    return (mix(key) & mask) * np.uint64(BUCKET)


@numba.njit(inline="always")
def in_edge_set(edge_set: NDArray, mask: np.uint64, key: np.uint64, at: np.uint64) -> int:
    """1 if the key is in the set, else 0; `at` is its `bucket_of`.

    All eight keys of a bucket are compared without a branch; only a full bucket (they fill in
    order, so its last key is taken) sends the search on to the next.
    """
    while True:
        found = 0
        for i in range(BUCKET):
            found |= edge_set[at + np.uint64(i)] == key
        if found | (edge_set[at + np.uint64(BUCKET - 1)] == np.uint64(0)):
            return found
        at = (at + np.uint64(BUCKET)) & (mask * np.uint64(BUCKET) + np.uint64(BUCKET - 1))


@numba.njit(nogil=True, cache=True)
def _insert_edges(indptr: NDArray, indices: NDArray, edge_set: NDArray, mask: np.uint64) -> None:
    size = np.uint64(len(edge_set))
    for t in range(len(indptr) - 1):
        for edge in range(indptr[t], indptr[t + 1]):
            key = edge_key(np.uint64(t), np.uint64(indices[edge]))
            at = bucket_of(key, mask)
            while edge_set[at] != np.uint64(0):
                at += np.uint64(1)
                if at == size:
                    at = np.uint64(0)
            edge_set[at] = key


def _edge_set(graph: ItemGraph) -> NDArray[np.uint64]:
    """All edges, hashed into buckets of one cache line that are at most half full on average."""
    buckets = 1 << max(0, math.ceil(math.log2(max(1, 2 * len(graph.indices) / BUCKET))))
    raw = np.zeros(buckets * BUCKET + BUCKET, dtype=np.uint64)
    skip = (-raw.ctypes.data % 64) // 8
    edge_set = raw[skip : skip + buckets * BUCKET]
    _insert_edges(graph.indptr, graph.indices, edge_set, np.uint64(buckets - 1))
    return edge_set
