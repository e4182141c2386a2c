"""The control graph that keeps degrees only."""

from __future__ import annotations

import numpy as np

import walk_graphs
from recscale.curriculum import graph, rewired


def test_degrees_and_each_items_confidences_stay_and_edges_change(tmp_path, call):
    original = walk_graphs.random_graph(nodes=40)
    graph.write(original, tmp_path / "graph.npz")
    flags = ("--graph", tmp_path / "graph.npz", "--rewired", tmp_path / "rewired.npz")
    call(rewired.main, *flags, "--settings", '{"seed": 3}')
    made = graph.read(tmp_path / "rewired.npz")
    assert (made.indptr == original.indptr).all()
    degrees = [np.bincount(g.indices, minlength=40) for g in (original, made)]
    assert (degrees[0] == degrees[1]).all()
    for node in range(40):
        row = slice(original.indptr[node], original.indptr[node + 1])
        assert sorted(made.confidence[row]) == sorted(original.confidence[row])
        assert (np.diff(made.indices[row]) > 0).all()  # sorted, and none twice
    assert (made.indices != original.indices).mean() > 0.3
    again = rewired.rewire(original, 3)
    assert (again.indices == made.indices).all() and (again.confidence == made.confidence).all()
    assert (rewired.rewire(original, 4).indices != made.indices).any()
