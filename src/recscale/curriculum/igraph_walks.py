"""First-order walks by igraph: the reference that the walk kernel is compared with.

igraph draws the steps, with its own random numbers; the length, the start, the threshold and new
attempts are those of `walks`. One call a walk costs time in proportion to the edges of the whole
graph, so this engine is for small graphs.
"""

from __future__ import annotations

import random

import igraph
import numpy as np

from recscale import seeds
from recscale.curriculum.graph import ItemGraph
from recscale.curriculum.walk_settings import ATTEMPTS, Settings, Walks
from recscale.curriculum.walk_tables import cost_limit, costs_of, path_confidence
from recscale.errors import UserError


class IgraphEngine:
    """igraph's `random_walk` on one graph.

    Raises:
        UserError: the order is not 1: igraph has no node2vec walks.
    """

    def __init__(self, graph: ItemGraph, settings: Settings, stream: str) -> None:
        if settings.order != 1:
            raise UserError(
                f"curriculum.walks.order is {settings.order} with engine igraph",
                "igraph walks in the first order only; use the engine numba",
            )
        self._graph = graph
        self._igraph = graph.igraph()
        self._costs = costs_of(graph.confidence)
        self._starts = np.flatnonzero(np.diff(graph.indptr))
        self._settings = settings
        self._seed = seeds.derive(settings.seed, "igraph walks", stream)

    def make(self, first: int, count: int) -> Walks:
        """As `recscale.curriculum.walks.Engine.make`."""
        made = [self._walk(number) for number in range(first, first + count)]
        nodes, costs, attempts = zip(*made, strict=True)
        return Walks(
            np.concatenate(nodes).astype(np.uint32),
            np.array([len(n) for n in nodes], dtype=np.int32),
            path_confidence(np.array(costs, dtype=np.uint32)),
            sum(attempts),
        )

    def _walk(self, number: int) -> tuple[np.ndarray, int, int]:
        """Nodes, cost and attempts of one walk; no nodes if no attempt was kept."""
        settings = self._settings
        generator = random.Random(seeds.derive(self._seed, number))
        igraph.set_random_number_generator(generator)
        try:
            for attempt in range(ATTEMPTS):
                length = settings.min_items
                while length < settings.max_items and (
                    generator.random() >= settings.stop_probability
                ):
                    length += 1
                start = self._starts[generator.randrange(len(self._starts))]
                path = np.array(
                    self._igraph.random_walk(
                        int(start), length - 1, weights="weight", stuck="return"
                    )
                )
                edges = self._graph.edge_numbers(path[:-1], path[1:])
                costs = np.concatenate([[0], np.cumsum(self._costs[edges], dtype=np.int64)])
                inside = int((costs <= cost_limit(settings.threshold)).sum())
                dropped = inside < len(path) and settings.at_threshold == "drop"
                if inside >= settings.min_items and not dropped:
                    return path[:inside], int(costs[inside - 1]), attempt + 1
        finally:
            igraph.set_random_number_generator(random)
        return path[:0], 0, ATTEMPTS
