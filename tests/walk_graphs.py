"""Small item graphs, walk settings, and exact node2vec probabilities for the tests of walks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from recscale.curriculum import graph as graphs
from recscale.curriculum import walks
from recscale.curriculum.walk_settings import Settings, Walks

SETTINGS = Settings(
    seed=11,
    engine="numba",
    order=1,
    p=1.0,
    q=1.0,
    stop_probability=0.15,
    threshold=None,
    at_threshold="stop",
    min_items=5,
    max_items=200,
    walks=2000,
)


def rules_of(edges: list[tuple[int, int, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(edges, columns=["item_a", "item_b", "confidence"])
    return frame.assign(lift=2.0)


def random_graph(
    nodes: int = 40, seed: int = 0, decades: int = 2, dangling: int = 0
) -> graphs.ItemGraph:
    """A directed graph with weights over so many decades and self-loops at every fifth node.

    All nodes have neighbours but `dangling` further ones, which other nodes lead to.
    """
    rng = np.random.default_rng(seed)
    edges = {}
    for a in range(nodes):
        targets = set(rng.choice(nodes + dangling, size=rng.integers(2, 9), replace=False).tolist())
        targets |= {a} if a % 5 == 0 else set()
        for b in sorted(targets):
            edges[a, b] = float(10 ** rng.uniform(-decades, 0))
    for b in range(nodes, nodes + dangling):
        edges[b - nodes, b] = 0.5
    return graphs.build(rules_of([(a, b, w) for (a, b), w in edges.items()]))


def walk(graph: graphs.ItemGraph, stream: str = "test", threads: int = 1, **changes) -> Walks:
    """Walks by the default settings with some changed."""
    settings = dataclasses.replace(SETTINGS, **changes)
    return walks.together(walks.generate(graph, settings, stream, threads))


def weights(graph: graphs.ItemGraph) -> np.ndarray:
    """The weight of every edge as a matrix (nodes, nodes)."""
    matrix = np.zeros((graph.nodes, graph.nodes))
    matrix[graph.sources(), graph.indices] = graph.confidence
    return matrix


def first_order_probabilities(graph: graphs.ItemGraph) -> np.ndarray:
    """P(v -> x), shape (nodes, nodes)."""
    matrix = weights(graph)
    totals = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)


def node2vec_probabilities(graph: graphs.ItemGraph, p: float, q: float) -> np.ndarray:
    """P(x | t, v), shape (nodes, nodes, nodes) in the order t, v, x; d(t, x) along t -> x."""
    matrix = weights(graph)
    found = np.zeros((graph.nodes,) * 3)
    for t in range(graph.nodes):
        bias = np.where(matrix[t] > 0, 1.0, 1.0 / q)
        bias[t] = 1.0 / p
        for v in np.flatnonzero(matrix[t]):
            row = matrix[v] * bias
            found[t, v] = row / row.sum() if row.sum() else 0.0
    return found


def count_steps(made: Walks, nodes: int, order: int) -> np.ndarray:
    """How often each (v, x), or each (t, v, x), was walked."""
    ends = made.step_ends()
    x, v = made.nodes[ends].astype(int), made.nodes[ends - 1].astype(int)
    if order == 1:
        return np.bincount(v * nodes + x, minlength=nodes**2).reshape(nodes, nodes)
    long_enough = np.isin(ends - 1, ends)
    t = made.nodes[ends[long_enough] - 2].astype(int)
    places = (t * nodes + v[long_enough]) * nodes + x[long_enough]
    return np.bincount(places, minlength=nodes**3).reshape(nodes, nodes, nodes)


def chi_square_p(observed: np.ndarray, probabilities: np.ndarray) -> float:
    """The p-value of counts against probabilities, row by row of the last axis.

    Cells with fewer than 5 expected are pooled within their row. A step of probability 0 gives 0.
    """
    observed = observed.reshape(-1, observed.shape[-1])
    probabilities = probabilities.reshape(observed.shape)
    if observed[probabilities == 0].any():
        return 0.0
    statistic, freedom = 0.0, 0
    for counts, shares in zip(observed, probabilities, strict=True):
        expected = counts.sum() * shares
        large = expected >= 5
        o = np.append(counts[large], counts[~large].sum())
        e = np.append(expected[large], expected[~large].sum())
        o, e = o[e > 1], e[e > 1]
        if len(e) > 1:
            statistic += float(((o - e) ** 2 / e).sum())
            freedom += len(e) - 1
    return float(stats.chi2.sf(statistic, freedom))
