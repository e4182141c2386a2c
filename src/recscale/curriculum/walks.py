"""Synthetic user interaction histories (UIH): random walks on the item graph (section 4.3.1).

Lengths follow the paper's sweep (Table 8): a walk never stops by chance before `min_items`, so that
without a threshold its mean length is (min_items - 1) + 1 / stop_probability. An attempt that ends
earlier, at a dangling node or the confidence threshold, is made anew from another start. The
thresholded lengths of Table 8 fit two readings equally well, so both are an option: at the
threshold a walk stops, or it is dropped.

Walk i of a stream is a function of the seed, the stream and i. Shards are ranges of i, so the
shards of a stream are the stream, however many there are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.contracts import CONTRACTS
from recscale.curriculum import igraph_walks, walk_tables
from recscale.curriculum.graph import ItemGraph, read
from recscale.curriculum.walk_kernel import first_order
from recscale.curriculum.walk_kernel_second import second_order
from recscale.curriculum.walk_settings import ATTEMPTS, Settings, Walks
from recscale.errors import UserError, run_command
from recscale.logs import logger, progress
from recscale.settings import parse
from recscale.shards import check_shard

log = logger("curriculum.walks")

WALKS_AT_ONCE = 65_536  # a block: its buffer is small, and its threads' parts are long enough


class Engine(Protocol):
    """Something that makes the walks of one graph and one stream."""

    def make(self, first: int, count: int) -> Walks:
        """The walks numbered first .. first + count - 1; length 0 where no attempt was kept."""


class NumbaEngine:
    """The walk kernels, on the tables of one graph."""

    def __init__(self, graph: ItemGraph, settings: Settings, stream: str, threads: int = 1) -> None:
        self._tables = walk_tables.prepare(graph, settings.order)
        self._settings = settings
        self._seed = np.uint64(seeds.derive(settings.seed, "walks", stream))
        self._threads = threads

    def make(self, first: int, count: int) -> Walks:
        """As `Engine.make`; the result does not depend on the number of threads."""
        paths = np.empty((count, self._settings.max_items + 1), dtype=np.uint32)
        lengths = np.empty(count, dtype=np.int32)
        costs = np.empty(count, dtype=np.uint32)

        def part(low: int, high: int) -> int:
            return self._walk(first + low, paths[low:high], lengths[low:high], costs[low:high])

        edges = np.linspace(0, count, self._threads + 1).astype(int)
        with ThreadPoolExecutor(self._threads) as pool:
            attempts = sum(pool.map(part, edges[:-1], edges[1:]))
        nodes = np.empty(int(lengths.sum()), dtype=np.uint32)
        _join(paths, lengths, nodes)
        return Walks(nodes, lengths, walk_tables.path_confidence(costs), attempts)

    def _walk(self, first: int, paths: NDArray, lengths: NDArray, costs: NDArray) -> int:
        settings, tables = self._settings, self._tables
        how = (
            self._seed,
            first,
            settings.stop_probability,
            walk_tables.cost_limit(settings.threshold),
            settings.min_items,
            settings.at_threshold == "drop",
            ATTEMPTS,
            paths,
            lengths,
            costs,
        )
        if settings.order == 1:
            return first_order(tables.nodes, tables.records, *how)
        counts = np.zeros(2, dtype=np.int64)
        return second_order(
            tables.nodes,
            tables.records,
            tables.edge_set,
            settings.p,
            settings.q,
            *how,
            counts,
        )


@numba.njit(nogil=True, cache=True)
def _join(paths: NDArray, lengths: NDArray, nodes: NDArray) -> None:
    """Write the walks of `paths` one after the other into `nodes`."""
    place = 0
    for row in range(len(lengths)):
        for k in range(lengths[row]):
            nodes[place + k] = paths[row, k]
        place += lengths[row]


def engine(graph: ItemGraph, settings: Settings, stream: str, threads: int = 1) -> Engine:
    """The configured engine.

    Raises:
        UserError: an unknown engine, order or treatment of the threshold.
    """
    if settings.order not in (1, 2):
        raise UserError(f"curriculum.walks.order is {settings.order}", "use 1 or 2")
    if settings.at_threshold not in ("stop", "drop"):
        raise UserError(
            f"curriculum.walks.at_threshold is {settings.at_threshold!r}", "use stop or drop"
        )
    if settings.engine == "numba":
        return NumbaEngine(graph, settings, stream, threads)
    if settings.engine == "igraph":
        return igraph_walks.IgraphEngine(graph, settings, stream)
    raise UserError(f"curriculum.walks.engine is {settings.engine!r}", "use numba or igraph")


def generate(
    graph: ItemGraph,
    settings: Settings,
    stream: str,
    threads: int = 1,
    first: int = 0,
    last: int | None = None,
) -> Iterator[Walks]:
    """The walks numbered first .. last - 1 (all of `settings.walks` by default), block by block.

    Raises:
        UserError: a walk did not reach `min_items` in `ATTEMPTS` attempts.
    """
    walker = engine(graph, settings, stream, threads)
    last = settings.walks if last is None else last
    with progress(total=last - first, desc=f"walks on {stream}", unit=" walks") as bar:
        for low in range(first, last, WALKS_AT_ONCE):
            made = walker.make(low, min(WALKS_AT_ONCE, last - low))
            failed = int((made.lengths == 0).sum())
            if failed:
                raise UserError(
                    f"{failed} of {len(made.lengths)} walks on the graph {stream} did not reach "
                    f"{settings.min_items} items in {ATTEMPTS} attempts",
                    "lower curriculum.walks.threshold or min_items, or mine more rules "
                    "(curriculum.rules.min_support)",
                )
            bar.update(len(made.lengths))
            yield made


def together(blocks: Iterator[Walks]) -> Walks:
    """All walks of the blocks as one."""
    found = list(blocks)
    return Walks(
        np.concatenate([b.nodes for b in found]),
        np.concatenate([b.lengths for b in found]),
        np.concatenate([b.confidences for b in found]),
        sum(b.attempts for b in found),
    )


def walk_batch(graph: ItemGraph, walks: Walks, first: int) -> pa.RecordBatch:
    """Rows of contract `walks`, numbered from `first`, with items in place of nodes."""
    offsets = np.concatenate([[0], np.cumsum(walks.lengths)]).astype(np.int32)
    schema = CONTRACTS["walks"].arrow_schema()
    items = pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.array(graph.item_ids[walks.nodes]),
        type=schema.field("items").type,
    )
    numbers = pa.array(np.arange(first, first + len(walks.lengths)))
    return pa.record_batch([numbers, items, pa.array(walks.confidences)], schema=schema)


def shard_range(walks: int, shard: int, shards: int) -> tuple[int, int]:
    """The numbers [first, last) of the walks of one of `shards` shards.

    Raises:
        UserError: there is no such shard.
    """
    check_shard(shard, shards)
    return walks * shard // shards, walks * (shard + 1) // shards


def main() -> None:
    """Command line: a graph to the walks of one shard of a stream."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--stream", required=True, help="name of the set of walks")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--walks", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    graph = read(arguments.graph)
    first, last = shard_range(settings.walks, arguments.shard, arguments.shards)
    items = attempts = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal items, attempts
        number = first
        for made in generate(graph, settings, arguments.stream, arguments.threads, first, last):
            items += len(made.nodes)
            attempts += made.attempts
            yield walk_batch(graph, made, number)
            number += len(made.lengths)

    files.write_record_batches(batches(), arguments.walks, "walks")
    log.info(
        "%d walks, mean length %.2f, of %d attempts",
        last - first,
        items / max(1, last - first),
        attempts,
    )


if __name__ == "__main__":
    run_command(main)
