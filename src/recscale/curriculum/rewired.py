"""A control for the walks: a graph with every item's degrees and no other structure (section 5.2).

Pairs of rules A -> B, C -> D become A -> D, C -> B, so often that nothing but the degrees is left
(Maslov and Sneppen, 2002; igraph's `rewire`). A rule's confidence stays with its antecedent, so
that walks still prefer popular items as before. What models learn from walks on this graph is
popularity.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, replace
from pathlib import Path

import igraph
import numpy as np

from recscale import seeds
from recscale.curriculum import graph
from recscale.curriculum.graph import ItemGraph
from recscale.errors import run_command
from recscale.logs import logger
from recscale.settings import parse

log = logger("curriculum.rewired")

SWAPS_AN_EDGE = 30  # after that no fewer edges are as before, in the graphs of mini


@dataclass(frozen=True)
class Settings:
    """The seed."""

    seed: int


def rewire(original: ItemGraph, seed: int) -> ItemGraph:
    """The graph with the in- and out-degrees of `original` and other edges, no edge twice."""
    found = original.igraph()
    igraph.set_random_number_generator(random.Random(seeds.derive(seed, "rewired graph")))
    try:
        found.rewire(SWAPS_AN_EDGE * found.ecount())
    finally:
        igraph.set_random_number_generator(random)
    edges = np.array(found.get_edgelist(), dtype=np.int64)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    targets = edges[order, 1].astype(original.indices.dtype)
    # Which of an item's confidences goes to which of its new neighbours is left to chance.
    chance = seeds.generator(seed, "rewired confidences").random(len(targets))
    place = np.lexsort((chance, original.sources()))
    return replace(
        original,
        indices=targets,
        confidence=original.confidence[place],
        lift=original.lift[place],
    )


def main() -> None:
    """Command line: a graph to its rewired control."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--rewired", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    original = graph.read(arguments.graph)
    made = rewire(original, settings.seed)
    kept = np.isin(
        made.sources() * np.int64(made.nodes) + made.indices,
        original.sources() * np.int64(original.nodes) + original.indices,
    )
    log.info("%d edges, %.1f %% of them as before", len(made.indices), 100 * kept.mean())
    graph.write(made, arguments.rewired)


if __name__ == "__main__":
    run_command(main)
