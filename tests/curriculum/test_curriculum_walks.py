"""The item graph, the walks on it, and Table 8's measures."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import igraph
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recscale import files
from recscale.curriculum import graph as graphs
from recscale.curriculum import sweep, walks
from recscale.errors import UserError

SETTINGS = walks.Settings(
    seed=11,
    order=1,
    p=1.0,
    q=1.0,
    stop_probability=0.15,
    threshold=None,
    min_items=5,
    max_items=200,
    walks=2000,
)


def rules_of(edges: list[tuple[int, int, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(edges, columns=["item_a", "item_b", "confidence"])
    return frame.assign(lift=2.0)


def random_graph(nodes: int = 40, seed: int = 0, decades: int = 2) -> graphs.ItemGraph:
    """A directed graph where every node has neighbours; weights over so many decades."""
    rng = np.random.default_rng(seed)
    edges = {}
    for a in range(nodes):
        for b in rng.choice(nodes, size=rng.integers(2, 9), replace=False):
            edges[a, int(b)] = float(10 ** rng.uniform(-decades, 0))
    return graphs.build(rules_of([(a, b, w) for (a, b), w in edges.items()]))


def transitions(found: walks.Walks) -> Counter:
    """How often each (node, next node) occurs."""
    steps = Counter()
    for path, length in zip(found.paths, found.lengths, strict=True):
        steps.update(itertools.pairwise(path[:length]))
    return steps


def chi_square_p(observed: Counter, expected: dict) -> float:
    """The p-value of observed counts against expected ones, cells below 5 pooled."""
    assert set(observed) <= set(expected)
    large = [k for k, v in expected.items() if v >= 5]
    rest = [k for k in expected if expected[k] < 5]
    o = [observed[k] for k in large] + [sum(observed[k] for k in rest)]
    e = [expected[k] for k in large] + [sum(expected[k] for k in rest)]
    pairs = [(a, b) for a, b in zip(o, e, strict=True) if b > 0]
    statistic = sum((a - b) ** 2 / b for a, b in pairs)
    return float(stats.chi2.sf(statistic, len(pairs) - 1))


def test_a_graph_holds_its_rules_and_its_neighbours_are_sorted():
    built = graphs.build(rules_of([(30, 10, 0.5), (10, 30, 0.25), (10, 20, 0.1)]))
    assert built.item_ids.tolist() == [10, 20, 30]
    assert built.indptr.tolist() == [0, 2, 2, 3]
    assert built.indices.tolist() == [1, 2, 0]
    assert built.confidence.tolist() == [0.1, 0.25, 0.5]
    assert built.edge_numbers(np.array([2, 0]), np.array([0, 2])).tolist() == [2, 1]


def test_igraph_sees_the_same_graph():
    built = random_graph()
    seen = built.igraph()
    assert isinstance(seen, igraph.Graph)
    assert seen.vcount() == built.nodes
    assert np.allclose(sorted(seen.es["weight"]), sorted(built.confidence))
    assert graphs.card(built)["out_degree_mean"] == pytest.approx(len(built.indices) / built.nodes)


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_a_weight_that_is_zero_or_nan_is_refused(bad):
    with pytest.raises(UserError, match="confidence is zero or not finite"):
        graphs.build(rules_of([(1, 2, bad)]))


def test_a_truncated_graph_is_named(tmp_path):
    path = tmp_path / "train.npz"
    graphs.write(random_graph(), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="train.npz is missing or no graph"):
        graphs.read(path)


def test_first_order_transitions_have_their_exact_probabilities():
    built = random_graph(decades=6)
    found = walks.generate(built, dataclasses.replace(SETTINGS, walks=30_000), "test")
    observed = transitions(found)
    left = Counter()
    for (a, _), count in observed.items():
        left[a] += count
    expected = {}
    for a in range(built.nodes):
        row = slice(built.indptr[a], built.indptr[a + 1])
        share = built.confidence[row] / built.confidence[row].sum()
        expected |= {(a, b): left[a] * s for b, s in zip(built.indices[row], share, strict=True)}
    assert chi_square_p(observed, expected) > 1e-4


@pytest.mark.parametrize(("p", "q"), [(0.5, 2.0), (4.0, 0.25)])
def test_second_order_transitions_have_node2vecs_exact_probabilities(p, q):
    built = random_graph(nodes=8)
    settings = dataclasses.replace(SETTINGS, order=2, p=p, q=q, walks=30_000)
    found = walks.generate(built, settings, "test")
    observed: Counter = Counter()
    left: Counter = Counter()
    for path, length in zip(found.paths, found.lengths, strict=True):
        for t, v, x in zip(path, path[1 : length - 1], path[2:length], strict=False):
            observed[t, v, x] += 1
            left[t, v] += 1
    neighbours = {
        a: set(built.indices[built.indptr[a] : built.indptr[a + 1]]) for a in range(built.nodes)
    }
    expected = {}
    for (t, v), count in left.items():
        row = slice(built.indptr[v], built.indptr[v + 1])
        bias = [
            1 / p if x == t else 1.0 if x in neighbours[t] else 1 / q for x in built.indices[row]
        ]
        weight = built.confidence[row] * bias
        share = weight / weight.sum()
        expected |= {(t, v, x): count * s for x, s in zip(built.indices[row], share, strict=True)}
    assert chi_square_p(observed, expected) > 1e-4


def test_first_order_walks_agree_with_igraph():
    """The same two-sample table of transitions as igraph's weighted random walk."""
    built = random_graph(nodes=10)
    found = walks.generate(built, dataclasses.replace(SETTINGS, walks=3000), "test")
    ours = transitions(found)
    path = built.igraph().random_walk(0, steps=sum(ours.values()), weights="weight")
    theirs = Counter(itertools.pairwise(path))
    for node in range(built.nodes):
        cells = [b for b in range(built.nodes) if ours[node, b] + theirs[node, b] >= 10]
        if len(cells) > 1:
            table = [[counts[node, b] for b in cells] for counts in (ours, theirs)]
            assert stats.chi2_contingency(table).pvalue > 1e-5


def test_the_mean_length_without_a_threshold_is_four_and_one_over_alpha():
    for alpha in (0.1, 0.15, 0.2):
        settings = dataclasses.replace(SETTINGS, stop_probability=alpha, walks=20_000)
        lengths = walks.generate(random_graph(), settings, "test").lengths
        error = (1 - alpha) ** 0.5 / alpha / len(lengths) ** 0.5
        assert abs(lengths.mean() - (4 + 1 / alpha)) < 5 * error
        assert lengths.min() == 5


def test_a_walk_never_falls_below_the_threshold_and_its_confidence_is_the_product():
    built = random_graph()
    settings = dataclasses.replace(SETTINGS, threshold=1e-4)
    found = walks.generate(built, settings, "test")
    for path, length, confidence in zip(found.paths, found.lengths, found.confidences, strict=True):
        edges = built.edge_numbers(path[: length - 1], path[1:length])
        assert confidence == pytest.approx(built.confidence[edges].prod(), rel=1e-12)
        assert confidence >= 1e-4
        assert length >= 5


def test_walks_do_not_depend_on_threads_or_shards():
    built = random_graph()
    whole = walks.attempt(built, SETTINGS, "test", 0, 1000)
    threaded = walks.attempt(built, SETTINGS, "test", 0, 1000, threads=2)
    edges = np.linspace(0, 1000, 8).astype(int)
    shards = [
        walks.attempt(built, SETTINGS, "test", low, high - low)
        for low, high in itertools.pairwise(edges)
    ]
    for name in ("number", "paths", "lengths", "confidences"):
        value = getattr(whole, name)
        assert (value == getattr(threaded, name)).all()
        assert (value == np.concatenate([getattr(s, name) for s in shards])).all()


def test_streams_and_seeds_give_other_walks():
    built = random_graph()
    base = walks.generate(built, SETTINGS, "train").paths
    assert (base != walks.generate(built, SETTINGS, "ranking").paths).any()
    other = dataclasses.replace(SETTINGS, seed=12)
    assert (base != walks.generate(built, other, "train").paths).any()


def test_self_loops_and_dangling_nodes_are_walked():
    built = graphs.build(rules_of([(0, 0, 0.5), (0, 1, 0.5), (2, 0, 1.0)]))
    found = walks.attempt(built, SETTINGS, "test", 0, 20_000)
    assert set(np.unique(found.paths[:, 0])) == {0, 2}  # 1 has no neighbour to start towards
    last = found.paths[np.arange(20_000), found.lengths - 1]
    assert (last[found.lengths < 5] == 1).all()
    loops = transitions(found)
    stay, leave = loops[0, 0], loops[0, 1]
    assert stats.binomtest(stay, stay + leave, 0.5).pvalue > 1e-4


def test_a_graph_without_long_walks_is_named():
    built = graphs.build(rules_of([(0, 1, 1.0)]))
    with pytest.raises(UserError, match="only 0 of 65536 walks on the graph test reached 5 items"):
        walks.generate(built, SETTINGS, "test")


def test_the_walk_table_names_items(tmp_path):
    built = graphs.build(rules_of([(70, 50, 0.5), (50, 70, 0.5)]))
    found = walks.generate(built, dataclasses.replace(SETTINGS, walks=3), "test")
    files.write_table(walks.walk_table(built, found), tmp_path / "w.parquet", "walks")
    table = files.read_table(tmp_path / "w.parquet", "walks")
    for items in table["items"]:
        assert len(items) >= 5
        assert all({a, b} == {50, 70} for a, b in itertools.pairwise(items))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_difference(counts):
    values = np.array(counts)
    differences = np.abs(values[:, None] - values[None, :]).mean()
    assert sweep.gini(values) == pytest.approx(differences / 2 / values.mean(), abs=1e-12)


def test_table_8s_measures_by_hand():
    built = graphs.build(rules_of([(1, 2, 0.5), (2, 1, 0.5), (2, 3, 0.5)]).assign(lift=[8, 2, 1]))
    paths = np.array([[0, 1, 0, -1], [0, 1, 2, -1]], dtype=np.int32)
    made = walks.Walks(np.arange(2), paths, np.array([3, 3]), np.array([0.25, 0.25]))
    codes = np.array([[0, 1], [0, 2], [3, 1]])
    measured = sweep.measure(built, made, codes)
    # Items 1, 2, 3 are visited 3, 2 and 1 times; the tokens 0 to 3 are written 5, 4, 2, 1 times.
    assert measured["items"] == 3
    assert measured["gini"] == pytest.approx(sweep.gini(np.array([3, 2, 1])))
    assert measured["tokens"] == 4
    assert measured["token_gini"] == pytest.approx(sweep.gini(np.array([5, 4, 2, 1])))
    assert measured["length"] == 3
    assert measured["geometric_lift"] == pytest.approx((8 * 2 * 8 * 1) ** 0.25)


def test_the_sweep_reads_the_papers_configurations():
    row = pd.Series({"config": "bfs_p05q2_a10_thresh1e-09", "alpha": 0.1, "threshold": 1e-9})
    chosen = sweep.configuration(row, sweep.Settings(seed=1, min_items=5, max_items=50, walks=10))
    assert (chosen.order, chosen.p, chosen.q) == (2, 0.5, 2.0)
    first = pd.Series({"config": "1st_order_a015_threshNone", "alpha": 0.15, "threshold": np.nan})
    chosen = sweep.configuration(first, sweep.Settings(seed=1, min_items=5, max_items=50, walks=10))
    assert (chosen.order, chosen.threshold) == (1, None)
