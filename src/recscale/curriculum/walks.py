"""Synthetic user interaction histories (UIH): random walks on the item graph (section 4.3.1).

Lengths follow the paper's sweep (Table 8): a walk never stops by chance before `min_items`, so that
without a threshold its mean length is (min_items - 1) + 1 / stop_probability; walks that end
earlier, at a dangling node or the confidence threshold, are dropped.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.curriculum.graph import ItemGraph, read
from recscale.curriculum.walk_kernel import walk_range
from recscale.errors import UserError, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("curriculum.walks")

ATTEMPTS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Settings:
    """How to walk (the `curriculum.walks` block of the config) and how many walks to keep."""

    seed: int
    order: int
    p: float
    q: float
    stop_probability: float
    threshold: float | None
    min_items: int
    max_items: int
    walks: int


@dataclass(frozen=True)
class Walks:
    """Walks as node numbers: paths (walks, max_items) padded with -1, lengths, confidences."""

    number: NDArray[np.int64]
    paths: NDArray[np.int32]
    lengths: NDArray[np.int32]
    confidences: NDArray[np.float64]


def attempt(
    graph: ItemGraph, settings: Settings, stream: str, first: int, count: int, threads: int = 1
) -> Walks:
    """Make the walks numbered first .. first + count - 1, short ones included.

    `stream` names the set of walks, so that two sets on one graph differ. The result does not
    depend on `threads`, nor on how a range of numbers is cut into calls.
    """
    cumulative = graph.cumulative
    starts = np.flatnonzero(np.diff(graph.indptr)).astype(np.int32)
    paths = np.full((count, settings.max_items), -1, dtype=np.int32)
    lengths = np.zeros(count, dtype=np.int32)
    confidences = np.zeros(count, dtype=np.float64)

    def part(low: int, high: int) -> None:
        walk_range(
            graph.indptr,
            graph.indices,
            graph.confidence,
            cumulative,
            starts,
            np.uint64(seeds.derive(settings.seed, "walks", stream)),
            first + low,
            settings.order,
            settings.p,
            settings.q,
            settings.stop_probability,
            settings.threshold or 0.0,
            settings.min_items,
            paths[low:high],
            lengths[low:high],
            confidences[low:high],
        )

    edges = np.linspace(0, count, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, edges[:-1], edges[1:]))
    return Walks(np.arange(first, first + count), paths, lengths, confidences)


def generate(graph: ItemGraph, settings: Settings, stream: str, threads: int = 1) -> Walks:
    """The first `settings.walks` walks of at least `min_items` items.

    Raises:
        UserError: an unknown order, or a graph on which fewer than one attempt in a thousand gives
            a walk of `min_items`.
    """
    if settings.order not in (1, 2):
        raise UserError(f"curriculum.walks.order is {settings.order}", "use 1 or 2")
    kept: list[Walks] = []
    found = tried = 0
    with progress(total=settings.walks, desc=f"walks on {stream}", unit=" walks") as bar:
        while found < settings.walks:
            made = attempt(graph, settings, stream, tried, ATTEMPTS_AT_ONCE, threads)
            tried += ATTEMPTS_AT_ONCE
            long_enough = np.flatnonzero(made.lengths >= settings.min_items)
            long_enough = long_enough[: settings.walks - found]
            kept.append(
                Walks(
                    made.number[long_enough],
                    made.paths[long_enough],
                    made.lengths[long_enough],
                    made.confidences[long_enough],
                )
            )
            found += len(long_enough)
            bar.update(len(long_enough))
            if found < tried / 1000 and found < settings.walks:
                raise UserError(
                    f"only {found} of {tried} walks on the graph {stream} reached "
                    f"{settings.min_items} items",
                    "lower curriculum.walks.threshold or min_items, or mine more rules "
                    "(curriculum.rules.min_support)",
                )
    return Walks(
        *(np.concatenate([getattr(k, name) for k in kept]) for name in Walks.__dataclass_fields__)
    )


def walk_table(graph: ItemGraph, walks: Walks) -> pd.DataFrame:
    """The table of contract `walks`, with items in place of nodes."""
    inside = np.arange(walks.paths.shape[1]) < walks.lengths[:, None]
    flat = graph.item_ids[walks.paths[inside]]
    return pd.DataFrame(
        {
            "walk": walks.number,
            "items": np.split(flat, np.cumsum(walks.lengths)[:-1]),
            "path_confidence": walks.confidences,
        }
    )


def main() -> None:
    """Command line: a graph to walks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--stream", required=True, help="name of the set of walks")
    parser.add_argument("--walks", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    graph = read(arguments.graph)
    walks = generate(graph, settings, arguments.stream, arguments.threads)
    log.info(
        "%d walks, mean length %.2f, of %d attempts",
        len(walks.number),
        walks.lengths.mean(),
        walks.number[-1] + 1,
    )
    files.write_table(walk_table(graph, walks), arguments.walks, "walks")


if __name__ == "__main__":
    run_command(main)
