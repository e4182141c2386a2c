"""The walks have node2vec's exact transition probabilities, and the lengths of Table 8."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recscale.curriculum import graph as graphs
from recscale.curriculum import walk_tables
from walk_graphs import (
    chi_square_p,
    count_steps,
    first_order_probabilities,
    node2vec_probabilities,
    random_graph,
    rules_of,
    walk,
)

# One item is enough: no attempt is thrown away, so that the chances of a step are the model's own.
ANY_LENGTH = {"min_items": 1, "stop_probability": 0.1}


@pytest.mark.parametrize("seed", range(3))
def test_first_order_steps_over_six_decades_of_weight_self_loops_and_dangling_nodes(seed):
    built = random_graph(decades=6, dangling=4, seed=seed)
    made = walk(built, walks=100_000, **ANY_LENGTH)
    steps = count_steps(made, built.nodes, 1)
    assert chi_square_p(steps, first_order_probabilities(built)) > 1e-4
    assert np.trace(steps) > 0


@pytest.mark.parametrize(
    ("p", "q"), [(0.5, 2.0), (1.0, 1.0), (2.0, 0.5), (4.0, 0.25), (4.0, 4.0), (0.1, 0.2), (0.2, 4)]
)
def test_second_order_steps_have_node2vecs_exact_probabilities(p, q):
    built = random_graph(nodes=15, decades=6, dangling=2)
    made = walk(built, order=2, p=p, q=q, walks=150_000, **ANY_LENGTH)
    steps = count_steps(made, built.nodes, 2)
    assert chi_square_p(steps, node2vec_probabilities(built, p, q)) > 1e-4
    first = [path[:2] for path in made.paths() if len(path) > 1]
    counts = np.zeros((built.nodes, built.nodes), dtype=int)
    np.add.at(counts, tuple(np.array(first).T), 1)
    assert chi_square_p(counts, first_order_probabilities(built)) > 1e-4


def test_the_test_sees_a_wrong_model():
    """Negative controls: walks of other parameters, and the distance read against the edges."""
    built = random_graph(nodes=15)
    wrong = walk(built, order=2, walks=150_000, **ANY_LENGTH)
    right = walk(built, order=2, p=0.5, q=2.0, walks=150_000, **ANY_LENGTH)
    exact = node2vec_probabilities(built, 0.5, 2.0)
    assert chi_square_p(count_steps(wrong, 15, 2), exact) < 1e-9
    edges = zip(built.indices.tolist(), built.sources().tolist(), built.confidence, strict=True)
    reversed_edges = graphs.build(rules_of(list(edges)))
    backward = node2vec_probabilities(built, 0.5, 2.0)
    for t in range(15):
        there = np.zeros(15, dtype=bool)
        there[reversed_edges.indices[slice(*reversed_edges.indptr[t : t + 2])]] = True
        bias = np.where(there, 1.0, 0.5)
        bias[t] = 2.0
        for v in np.flatnonzero(backward[t].sum(axis=1)):
            row = first_order_probabilities(built)[v] * bias
            backward[t, v] = row / row.sum()
    assert chi_square_p(count_steps(right, 15, 2), backward) < 1e-9


def test_starts_are_uniform_over_nodes_with_neighbours():
    built = random_graph(nodes=30, dangling=10)
    made = walk(built, walks=50_000, **ANY_LENGTH)
    starts = np.bincount([path[0] for path in made.paths()], minlength=built.nodes)
    assert not starts[np.diff(built.indptr) == 0].any()
    assert stats.chisquare(starts[np.diff(built.indptr) > 0]).pvalue > 1e-4


def test_first_order_walks_agree_with_igraph():
    """The same two-sample table of steps, and the same lengths, from the other engine."""
    built = random_graph(nodes=10, dangling=2)
    ours = walk(built, walks=20_000, threshold=1e-3)
    theirs = walk(built, walks=2000, threshold=1e-3, engine="igraph")
    a, b = (count_steps(made, built.nodes, 1) for made in (ours, theirs))
    for node in range(built.nodes):
        cells = a[node] + b[node] >= 10
        if cells.sum() > 1:
            table = [a[node][cells], b[node][cells]]
            assert stats.chi2_contingency(table).pvalue > 1e-5
    assert stats.ks_2samp(ours.lengths, theirs.lengths).pvalue > 1e-4


@pytest.mark.parametrize("engine", ["numba", "igraph"])
@pytest.mark.parametrize("alpha", [0.1, 0.15, 0.2])
def test_the_mean_length_without_a_threshold_is_four_and_one_over_alpha(engine, alpha):
    made = walk(
        random_graph(),
        stop_probability=alpha,
        engine=engine,
        walks=50_000 if engine == "numba" else 2000,
    )
    error = (1 - alpha) ** 0.5 / alpha / len(made.lengths) ** 0.5
    assert abs(made.lengths.mean() - (4 + 1 / alpha)) < 5 * error
    assert made.lengths.min() == 5


def test_a_stop_probability_of_one_gives_the_shortest_walks_and_a_small_one_the_longest():
    assert set(walk(random_graph(), stop_probability=1.0).lengths) == {5}
    assert set(walk(random_graph(), stop_probability=1e-12, max_items=7).lengths) == {7}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("engine", ["numba", "igraph"])
def test_a_walk_stops_before_the_threshold_and_its_confidence_is_the_product(order, engine):
    if (order, engine) == (2, "igraph"):
        pytest.skip("igraph walks in the first order only")
    built = random_graph(decades=3)
    made = walk(built, order=order, engine=engine, threshold=1e-4, walks=500)
    ends = made.step_ends()
    logs = np.zeros(len(made.nodes))
    edges = built.edge_numbers(made.nodes[ends - 1], made.nodes[ends])
    assert (built.indices[edges] == made.nodes[ends]).all()
    logs[ends] = np.log(built.confidence[edges])
    exact = np.add.reduceat(logs, np.concatenate([[0], np.cumsum(made.lengths)[:-1]]))
    # Costs are rounded to half of 1/2048 bit a step: within 0.02 % each.
    assert (np.abs(np.log(made.confidences) - exact) <= 1.75e-4 * (made.lengths - 1)).all()
    assert (made.confidences >= 1e-4).all()
    assert made.lengths.min() >= 5


def test_dropped_walks_are_shorter_than_stopped_ones_and_none_was_cut():
    built = random_graph(decades=3)
    stopped = walk(built, threshold=1e-5, walks=20_000)
    dropped = walk(built, threshold=1e-5, at_threshold="drop", walks=20_000)
    whole = walk(built, walks=20_000)
    assert dropped.attempts > stopped.attempts > 20_000
    assert stopped.lengths.mean() < whole.lengths.mean()
    # A walk that is not cut has the length it was drawn with; the threshold takes long ones.
    assert dropped.lengths.mean() < stopped.lengths.mean()
    assert dropped.confidences.min() >= 1e-5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12), st.integers(0, 2**32))
def test_alias_records_hold_the_shares_of_a_row(weights, seed):
    """Each slot gives its share of the row to itself and the rest to its alias; sums are exact."""
    targets = np.random.default_rng(seed).choice(50, size=len(weights), replace=False)
    rules = rules_of([(0, int(t) + 1, w) for t, w in zip(targets, weights, strict=True)])
    built = graphs.build(rules)
    tables = walk_tables.prepare(built, 1)
    records = tables.records[: 4 * len(weights)].reshape(-1, 4).astype(np.float64)
    shares = np.zeros(built.nodes)
    np.add.at(shares, records[:, 1].astype(int), records[:, 0] / 2**32 / len(weights))
    np.add.at(shares, records[:, 2].astype(int), (1 - records[:, 0] / 2**32) / len(weights))
    exact = np.zeros(built.nodes)
    exact[built.indices] = built.confidence / built.confidence.sum()
    assert np.allclose(shares, exact, atol=1e-8)


def test_the_edge_set_holds_the_edges_and_nothing_else():
    built = random_graph(nodes=60)
    edge_set = walk_tables.prepare(built, 2).edge_set
    edges = zip(built.sources().tolist(), built.indices.tolist(), strict=True)
    keys = {(t << 32 | x) + 1 for t, x in edges}
    assert set(edge_set[edge_set > 0].tolist()) == keys
    mask = np.uint64(len(edge_set) // walk_tables.BUCKET - 1)
    for t in range(60):
        for x in range(60):
            key = np.uint64(walk_tables.edge_key(np.uint64(t), np.uint64(x)))
            at = np.uint64(walk_tables.bucket_of(key, mask))
            assert bool(walk_tables.in_edge_set(edge_set, mask, key, at)) == (int(key) in keys)
