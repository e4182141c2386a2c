"""The item graph (section 4.3.1): items are nodes, rules are directed edges weighted by confidence.

Three graphs are built: `train` (training rules), `held_out` (the rules of the held-out splits, on
which UIH OOD walks) and `full` (both, on which UIH full graph walks).
"""

from __future__ import annotations

import argparse
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import igraph
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files
from recscale.errors import UserError, run_command
from recscale.logs import logger

log = logger("curriculum.graph")

GRAPHS = {
    "train": ("train",),
    "held_out": ("both_seen", "one_unseen", "both_unseen"),
    "full": ("train", "both_seen", "one_unseen", "both_unseen"),
}


@dataclass(frozen=True)
class ItemGraph:
    """A directed graph in compressed sparse rows; the neighbours of a node are sorted.

    indptr (nodes + 1,), indices (edges,), confidence (edges,) in (0, 1], lift (edges,), and
    item_ids (nodes,), the item each node stands for.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    confidence: NDArray[np.float64]
    lift: NDArray[np.float64]
    item_ids: NDArray[np.int64]

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.item_ids)

    def sources(self) -> NDArray[np.int32]:
        """The source node of every edge, in edge order."""
        return np.repeat(np.arange(self.nodes, dtype=np.int32), np.diff(self.indptr))

    @cached_property
    def _edge_keys(self) -> NDArray[np.int64]:
        return self.sources().astype(np.int64) * self.nodes + self.indices

    def edge_numbers(self, a: NDArray[np.integer], b: NDArray[np.integer]) -> NDArray[np.int64]:
        """The number of each edge a -> b, which must exist."""
        return np.searchsorted(self._edge_keys, a.astype(np.int64) * self.nodes + b)

    def igraph(self) -> igraph.Graph:
        """The same graph for igraph, with the edge attribute `weight` (the confidence)."""
        edges = np.column_stack([self.sources(), self.indices])
        graph = igraph.Graph(n=self.nodes, edges=edges, directed=True)
        graph.es["weight"] = self.confidence
        return graph


def build(rules: pd.DataFrame) -> ItemGraph:
    """The graph of the given rules, whose nodes are the items they name.

    Raises:
        UserError: there is no rule, or a confidence is zero or not finite.
    """
    if rules.empty:
        raise UserError("the item graph has no rule", "lower curriculum.rules.min_support")
    weights = rules["confidence"].to_numpy()
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise UserError("a rule's confidence is zero or not finite", "rebuild rules.parquet")
    item_ids = np.union1d(rules["item_a"], rules["item_b"])
    a = np.searchsorted(item_ids, rules["item_a"])
    b = np.searchsorted(item_ids, rules["item_b"])
    order = np.lexsort((b, a))
    indptr = np.zeros(len(item_ids) + 1, dtype=np.int64)
    np.cumsum(np.bincount(a, minlength=len(item_ids)), out=indptr[1:])
    return ItemGraph(
        indptr,
        b[order].astype(np.int32),
        weights[order].astype(np.float64),
        rules["lift"].to_numpy()[order].astype(np.float64),
        item_ids.astype(np.int64),
    )


def write(graph: ItemGraph, path: Path) -> None:
    """Write a graph as .npz."""
    arrays = {name: getattr(graph, name) for name in ItemGraph.__dataclass_fields__}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read(path: Path) -> ItemGraph:
    """Read a graph; raises UserError naming a missing or truncated file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return ItemGraph(**{name: arrays[name] for name in ItemGraph.__dataclass_fields__})
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is missing or no graph ({error})", "delete it and run the target again"
        ) from None


def card(graph: ItemGraph, items: pd.DataFrame) -> dict[str, float | int]:
    """What igraph says of a graph: size, weak components, degrees; and which items it covers.

    items are those of contract `items`, of which an isolated one, without a rule, is no node.
    """
    found = graph.igraph()
    components = found.connected_components(mode="weak").sizes()
    degrees = np.array(found.outdegree())
    inside = items["item_id"].isin(graph.item_ids)
    train = items["split"] == "train"
    return {
        "training_items_covered": int((inside & train).sum()),
        "training_items_isolated": int((~inside & train).sum()),
        "held_out_items_covered": int((inside & ~train).sum()),
        "held_out_items_isolated": int((~inside & ~train).sum()),
        "nodes": found.vcount(),
        "edges": found.ecount(),
        "components": len(components),
        "largest_component_share": max(components) / found.vcount(),
        "out_degree_mean": float(degrees.mean()),
        "out_degree_median": float(np.median(degrees)),
        "out_degree_90th_percentile": float(np.quantile(degrees, 0.9)),
        "out_degree_max": int(degrees.max()),
        "in_degree_max": int(max(found.indegree())),
        "dangling_nodes": int((degrees == 0).sum()),
    }


def main() -> None:
    """Command line: rules to the three graphs, with a card of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    for name in GRAPHS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    arguments = parser.parse_args()
    rules = files.read_table(arguments.rules, "rules")
    items = files.read_table(arguments.items, "items", ["item_id", "split"])
    cards = {}
    for name, splits in GRAPHS.items():
        graph = build(rules[rules["split"].isin(splits)])
        cards[name] = card(graph, items)
        log.info("%s: %s", name, cards[name])
        write(graph, getattr(arguments, name))
    files.write_json(cards, arguments.card)


if __name__ == "__main__":
    run_command(main)
