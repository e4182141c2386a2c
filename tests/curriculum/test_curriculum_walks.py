"""The item graph, the walks on it, and Table 8's measures."""

from __future__ import annotations

import dataclasses
import itertools
import json

import igraph
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale import files
from recscale.curriculum import graph as graphs
from recscale.curriculum import sweep, walks
from recscale.curriculum.walk_settings import Walks
from recscale.errors import UserError
from walk_graphs import SETTINGS, random_graph, rules_of, walk

SWEEP = sweep.Settings(
    seed=1, engine="igraph", at_threshold="drop", min_items=5, max_items=50, walks=10
)


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
    items = pd.DataFrame({"item_id": range(-1, built.nodes), "split": "train"})
    items.loc[items["item_id"] > 30, "split"] = "held_out"
    card = graphs.card(built, items)
    assert card["out_degree_mean"] == pytest.approx(len(built.indices) / built.nodes)
    assert card["training_items_covered"] == 31
    assert card["training_items_isolated"] == 1  # an item that no rule names
    assert card["held_out_items_covered"] == built.nodes - 31
    assert card["dangling_nodes"] == 0


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


@pytest.mark.parametrize("order", [1, 2])
def test_walks_do_not_depend_on_threads_or_shards(order, tmp_path, call):
    """The files of 1 and of 2 threads are equal; those of 7 shards joined hold the same rows."""
    graphs.write(random_graph(dangling=3), tmp_path / "train.npz")
    how = dataclasses.replace(
        SETTINGS, order=order, p=0.5, q=2.0, walks=70_001, threshold=1e-4, max_items=20
    )

    def made(name, *options):
        arguments = ["--graph", tmp_path / "train.npz", "--stream", "train", "--walks"]
        told = json.dumps(dataclasses.asdict(how))
        call(walks.main, *arguments, tmp_path / name, "--settings", told, *options)
        return tmp_path / name

    one, two = made("1.parquet"), made("2.parquet", "--threads", 2)
    assert one.read_bytes() == two.read_bytes()
    shards = [made(f"s{i}.parquet", "--shard", i, "--shards", 7) for i in range(7)]
    whole = files.read_arrow(one, "walks").combine_chunks()
    joined = files.read_arrow(shards, "walks").combine_chunks()
    assert joined.equals(whole)
    assert whole["walk"].to_pylist() == list(range(70_001))
    with pytest.raises(UserError, match="count shards from 0"):
        made("none.parquet", "--shard", 7, "--shards", 7)


def test_streams_seeds_and_orders_give_other_walks():
    built = random_graph()
    base = walk(built)
    for other in (walk(built, "ranking"), walk(built, seed=12), walk(built, order=2, q=2.0)):
        assert len(base.nodes) != len(other.nodes) or (base.nodes != other.nodes).any()


def test_more_walks_begin_with_the_fewer():
    built = random_graph()
    few, many = walk(built, walks=100), walk(built, walks=200)
    assert (many.nodes[: len(few.nodes)] == few.nodes).all()


def test_self_loops_and_dangling_nodes_are_walked():
    built = graphs.build(rules_of([(0, 0, 0.5), (0, 1, 0.5), (2, 0, 1.0)]))
    paths = walk(built, min_items=1, walks=20_000).paths()
    assert {path[0] for path in paths} == {0, 2}  # 1 has no neighbour to start towards
    assert any(len(path) > 2 for path in paths)
    assert all(1 not in path[:-1] for path in paths)


@pytest.mark.parametrize("engine", ["numba", "igraph"])
def test_a_graph_without_long_walks_is_named(engine):
    built = graphs.build(rules_of([(0, 1, 1.0)]))
    wrong = "3 of 3 walks on the graph test did not reach 5 items in 1000 attempts"
    with pytest.raises(UserError, match=wrong):
        walk(built, walks=3, engine=engine)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": 3}, "walks.order is 3; use 1 or 2"),
        ({"engine": "c"}, "walks.engine is 'c'; use numba or igraph"),
        ({"at_threshold": "cut"}, "walks.at_threshold is 'cut'; use stop or drop"),
        ({"engine": "igraph", "order": 2}, "use the engine numba"),
    ],
)
def test_settings_that_mean_nothing_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        walk(random_graph(), **changes)


def test_the_walk_table_names_items_and_refuses_what_breaks_its_contract(tmp_path):
    built = graphs.build(rules_of([(70, 50, 0.5), (50, 70, 0.5)]))
    batch = walks.walk_batch(built, walk(built, walks=3), 4)
    files.write_record_batches([batch], tmp_path / "w.parquet", "walks")
    table = files.read_table(tmp_path / "w.parquet", "walks")
    assert table["walk"].tolist() == [4, 5, 6]
    for items in table["items"]:
        assert len(items) >= 5
        assert all({a, b} == {50, 70} for a, b in itertools.pairwise(items))
    beyond = batch.set_column(2, batch.schema.field(2), pa.array([0.5, 1.5, 0.5]))
    with pytest.raises(UserError, match="path_confidence goes beyond 1"):
        files.write_record_batches([beyond], tmp_path / "x.parquet", "walks")
    assert not (tmp_path / "x.parquet").exists()


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_difference(counts):
    values = np.array(counts)
    differences = np.abs(values[:, None] - values[None, :]).mean()
    assert sweep.gini(values) == pytest.approx(differences / 2 / values.mean(), abs=1e-12)


def test_table_8s_measures_by_hand():
    built = graphs.build(rules_of([(1, 2, 0.5), (2, 1, 0.5), (2, 3, 0.5)]).assign(lift=[8, 2, 1]))
    nodes = np.array([0, 1, 0, 0, 1, 2], dtype=np.uint32)
    made = Walks(nodes, np.array([3, 3], dtype=np.int32), np.array([0.25, 0.25]), 2)
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
    chosen = sweep.configuration(row, SWEEP)
    assert (chosen.order, chosen.p, chosen.q, chosen.engine) == (2, 0.5, 2.0, "numba")
    first = pd.Series({"config": "1st_order_a015_threshNone", "alpha": 0.15, "threshold": np.nan})
    chosen = sweep.configuration(first, SWEEP)
    assert (chosen.order, chosen.threshold, chosen.engine) == (1, None, "igraph")
    assert chosen.at_threshold == "drop"
