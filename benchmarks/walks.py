"""Walks: our kernels against other engines and against the machine's limit.

    python benchmarks/walks.py                                  # 200K nodes / 3M edges
    python benchmarks/walks.py --graph 200000 3000000 --graph 2000000 30000000

One run compares, on the same directed power-law graph with weights: our first and second order
(p = 0.5, q = 2), the engines of benchmarks/walk_peers.py where they are installed
(`pip install --no-deps -r benchmarks/peers.txt`), and a replay: the same reads of nodes, records
and edge set, with nothing depending on what was read and nothing drawn. An engine counts as
correct if its steps on a small graph pass a chi-square test against the exact probabilities.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "benchmarks")]
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numba  # noqa: E402
import numpy as np  # noqa: E402

import walk_graphs  # noqa: E402
from recscale.curriculum import walk_tables  # noqa: E402
from recscale.curriculum.graph import ItemGraph  # noqa: E402
from recscale.curriculum.walk_kernel import first_order  # noqa: E402
from recscale.curriculum.walk_kernel_second import second_order  # noqa: E402
from recscale.curriculum.walk_settings import Walks  # noqa: E402
from walk_peers import PEERS, THREADS  # noqa: E402

P, Q = 0.5, 2.0
ITEMS = 11  # ten steps
BLOCK = 8192


def power_law(nodes: int, edges: int, seed: int = 1) -> ItemGraph:
    """A directed graph with heavy-tailed degrees in and out, and log-normal weights."""
    generator = np.random.default_rng(seed)
    out = generator.pareto(1.5, nodes) + 1
    degrees = np.clip((out / out.sum() * edges * 1.06).astype(int), 1, nodes // 4)
    popularity = np.cumsum(generator.pareto(1.2, nodes) + 1)
    sources = np.repeat(np.arange(nodes), degrees)
    targets = np.searchsorted(popularity / popularity[-1], generator.random(len(sources)))
    keys = np.unique(sources * nodes + targets)
    indptr = np.zeros(nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(keys // nodes, minlength=nodes), out=indptr[1:])
    weights = np.minimum(np.exp(generator.normal(-3, 1.5, len(keys))), 1.0)
    lifts = np.ones(len(keys))
    return ItemGraph(
        indptr, (keys % nodes).astype(np.int32), weights, lifts, np.arange(nodes, dtype=np.int64)
    )


def in_threads(work, total: int) -> float:
    """Seconds of `work(low, high, thread)` over halves of range(total)."""
    edges = np.linspace(0, total, THREADS + 1).astype(int)
    with ThreadPoolExecutor(THREADS) as pool:
        began = time.perf_counter()
        list(pool.map(work, edges[:-1], edges[1:], range(THREADS)))
        return time.perf_counter() - began


class Ours:
    """Our kernel of one order on one graph: walks of exactly ten steps where the graph allows."""

    def __init__(self, graph: ItemGraph, order: int, walks: int, items: int = ITEMS) -> None:
        self.graph, self.order, self.walks = graph, order, walks
        began = time.perf_counter()
        self.tables = walk_tables.prepare(graph, order)
        self.preparing = time.perf_counter() - began
        self.paths = np.zeros((walks, items + 1), dtype=np.uint32)
        self.lengths = np.zeros(walks, dtype=np.int32)
        self.costs = np.zeros(walks, dtype=np.uint32)
        self.counts = np.zeros((THREADS, 2), dtype=np.int64)
        self._part(0, 10, 0)

    def _part(self, low: int, high: int, thread: int) -> None:
        tables = self.tables
        for first in range(low, high, BLOCK):
            rows = slice(first, min(first + BLOCK, high))
            how = (np.uint64(7), first, 1e-12, 2**31 - 1, 1, False, 1)
            out = (self.paths[rows], self.lengths[rows], self.costs[rows])
            if self.order == 1:
                first_order(tables.nodes, tables.records, *how, *out)
            else:
                arrays = (tables.nodes, tables.records, tables.edge_set)
                second_order(*arrays, P, Q, *how, *out, self.counts[thread])

    def seconds(self) -> float:
        """Seconds to make all walks."""
        self.counts[:] = 0
        return in_threads(self._part, self.walks)

    @property
    def steps(self) -> int:
        """Steps of the walks made."""
        return int(self.lengths.sum()) - self.walks

    def replay(self) -> float:
        """Seconds to read again what the walks read: their nodes; records of the same rows, one
        for each trial; and places of the edge set, one for each look-up."""
        generator = np.random.default_rng(0)
        inside = np.arange(self.paths.shape[1] - 2) < (self.lengths - 1)[:, None]
        nodes = self.paths[:, :-2][inside]
        trials, look_ups = self.counts.sum(axis=0) / self.steps if self.order == 2 else (1.0, 0.0)
        extra = generator.random(len(nodes)) < trials % 1
        nodes = np.repeat(nodes, int(trials) + extra)
        degrees = np.diff(self.graph.indptr)[nodes]
        edges = self.graph.indptr[nodes] + (generator.random(len(nodes)) * degrees).astype(int)
        words = (edges * (4 if self.order == 1 else 8)).astype(np.uint64)
        places = generator.integers(0, len(self.tables.edge_set), int(look_ups * self.steps))
        places = places.astype(np.uint64)

        def part(low: int, high: int, _: int) -> None:
            share = slice(*(len(places) * end // len(nodes) for end in (low, high)))
            read_again(self.tables, nodes[low:high], words[low:high], places[share])

        part(0, 10, 0)
        return statistics.median(in_threads(part, len(nodes)) for _ in range(5))


@numba.njit(nogil=True)
def _read(nodes, records, edge_set, which, words, places):
    total = np.uint64(0)
    for i in range(len(which)):
        at = words[i]
        total += nodes[which[i]] + records[at] + records[at + np.uint64(1)]
        total += records[at + np.uint64(3)]
    for i in range(len(places)):
        total += edge_set[places[i]]
    return total


def read_again(tables: walk_tables.WalkTables, which, words, places) -> int:
    """The replay's inner loop."""
    return _read(tables.nodes, tables.records, tables.edge_set, which, words, places)


def as_walks(paths: np.ndarray, lengths: np.ndarray) -> Walks:
    """Walks in the library's form."""
    inside = np.arange(paths.shape[1]) < lengths[:, None]
    return Walks(paths[inside], lengths.astype(np.int32), np.ones(len(lengths)), len(lengths))


def is_correct(order: int, make) -> bool:
    """Whether steps on a small directed graph have the exact probabilities (p above 1e-6)."""
    graph = walk_graphs.random_graph(nodes=15)
    made = as_walks(*make(graph))
    if order == 1:
        exact = walk_graphs.first_order_probabilities(graph)
    else:
        exact = walk_graphs.node2vec_probabilities(graph, P, Q)
    return walk_graphs.chi_square_p(walk_graphs.count_steps(made, 15, order), exact) > 1e-6


def small_walks(graph: ItemGraph, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Our walks on the small graph of the correctness test."""
    ours = Ours(graph, order, 100_000)
    ours.seconds()
    return ours.paths, ours.lengths


def compare(graph: ItemGraph, peers: list[str], repeats: int) -> dict[str, float]:
    """Print the table of one graph; returns the ratios."""
    print(f"\n{graph.nodes:,} nodes, {len(graph.indices):,} directed weighted edges, 10 steps")
    print(f"{'engine':28}{'order':>6}{'M steps/s':>11}{'correct':>9}{'ours/it':>9}")
    ratios = {}
    for order, name in ((1, "first_order"), (2, "second_order")):
        ours = Ours(graph, order, min(graph.nodes * repeats, 2_000_000))
        seconds = statistics.median(ours.seconds() for _ in range(7))
        rate = ours.steps / 1e6 / seconds
        limit = ours.steps / 1e6 / ours.replay()
        right = is_correct(order, lambda g, o=order: small_walks(g, o))
        print(f"{'ours':28}{order:6}{rate:11.2f}{'yes' if right else 'NO':>9}{1:9.2f}")
        print(f"{'replay of our reads':28}{order:6}{limit:11.2f}{'':>9}{rate / limit:9.2f}")
        if order == 2:
            trials, look_ups = ours.counts.sum(axis=0) / ours.steps
            print(f"{'':34}{trials:.2f} trials and {look_ups:.2f} look-ups a step")
        print(f"{'':34}tables made in {ours.preparing:.1f} s")
        del ours
        best = 0.0
        for peer in peers:
            try:
                paths, lengths, seconds = PEERS[peer](graph, order, P, Q, ITEMS, repeats)
                steps = int(lengths.sum()) - len(lengths)
                del paths
                correct = is_correct(
                    order, lambda g, peer=peer, o=order: PEERS[peer](g, o, P, Q, ITEMS, 7000)[:2]
                )
            except NotImplementedError as error:
                print(f"{peer:28}{order:6}   {error}")
                continue
            except Exception as error:
                why = (str(error).splitlines() or [""])[0][:60]
                print(f"{peer:28}{order:6}   not measured: {type(error).__name__}: {why}")
                continue
            speed = steps / 1e6 / seconds
            said = "yes" if correct else "no"
            print(f"{peer:28}{order:6}{speed:11.4g}{said:>9}{rate / speed:9.3g}")
            best = max(best, speed if correct else 0.0)
        best_name = "weighted_peer" if order == 1 else "peer"
        limit_name = "replay_limit" if order == 1 else "limit"
        if best:
            ratios[f"{name}_vs_best_{best_name}"] = round(rate / best, 2)
        ratios[f"{name}_vs_{limit_name}"] = round(rate / limit, 3)
        ratios[f"{name}_million_steps_per_second"] = round(rate, 1)
    return ratios


def linear(graph: ItemGraph) -> float:
    """Nanoseconds a step of 40 steps over those of 10 steps: 1 if the cost is linear in steps."""
    costs = []
    for items in (ITEMS, 4 * (ITEMS - 1) + 1):
        ours = Ours(graph, 2, 200_000, items)
        seconds = statistics.median(ours.seconds() for _ in range(5))
        costs.append(seconds / ours.steps)
    return costs[1] / costs[0]


def main() -> None:
    """Compare on every graph asked for and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", type=int, nargs=2, action="append", metavar=("NODES", "EDGES"), default=[]
    )
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--repeats", type=int, default=5, help="walks from every node")
    arguments = parser.parse_args()
    found: dict[str, object] = {"cpu": platform.processor() or platform.machine(), "threads": 2}
    graphs = {}
    for nodes, edges in arguments.graph or [(200_000, 3_000_000)]:
        graph = power_law(nodes, edges)
        graphs[f"{nodes}/{edges}"] = compare(graph, arguments.peers, arguments.repeats)
        graphs[f"{nodes}/{edges}"]["second_order_cost_40_over_10_steps"] = round(linear(graph), 2)
    found |= next(iter(graphs.values()))
    found["graphs"] = graphs
    print(json.dumps(found))


if __name__ == "__main__":
    main()
