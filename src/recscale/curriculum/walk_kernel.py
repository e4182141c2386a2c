"""First-order walks: the inner loop of section 4.3.1.

A step waits for memory twice, for its node and for the record of its edge, and does next to
nothing in between. So a thread keeps `WALKERS` walks in flight and asks for each walk's next cache
line one round before it needs it. All decisions of a round are arithmetic, not branches: a
mispredicted branch costs as much as the step itself.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from recscale.curriculum.walk_random import (
    FIRST_STEP_DRAW,
    LENGTH_DRAW,
    START_DRAW,
    attempt_key,
    below,
    draw,
    geometric_length,
    prefetch,
)
from recscale.curriculum.walk_tables import DEGREE_BITS, DEGREE_MASK

WALKERS = 64  # enough to hide memory's latency; their state stays in the first-level cache
LOW_WORD = np.uint64(0xFFFFFFFF)
ONE = np.uint64(1)


@numba.njit(inline="always")
def is_kept(reached: int, degree: int, shortest: int, crossed: int, drop: bool) -> bool:
    """Whether a finished attempt is a walk.

    It must be long enough, not be one that the threshold cut if those are dropped, and begin at a
    node with neighbours: starts are uniform over those, by rejection, which costs no look-up.
    """
    return reached >= shortest and not (drop and crossed) and not (reached == 1 and degree == 0)


@numba.njit(nogil=True, cache=True)
def first_order(
    nodes: NDArray,
    records: NDArray,
    seed: np.uint64,
    first_walk: int,
    stop_probability: float,
    cost_limit: int,
    shortest: int,
    drop: bool,
    attempts: int,
    paths: NDArray,
    lengths: NDArray,
    costs: NDArray,
) -> int:
    """Make the walks numbered first_walk .. first_walk + len(lengths) - 1.

    A walk that ends before `shortest` items (at a node without neighbours, or at the threshold) is
    attempted anew, from another start; after `attempts` its length is 0. With `drop`, so is a walk
    that the threshold would cut.

    Args:
        nodes, records: see `walk_tables.WalkTables`.
        cost_limit: largest sum of edge costs of a walk.
        paths: (walks, longest + 1) uint32, filled up to each walk's length; the last column is
            never part of a walk.
        lengths: (walks,) int32, filled. costs: (walks,) uint32, filled.

    Returns:
        Attempts made.
    """
    walks, width = paths.shape
    longest = width - 1
    flat = paths.reshape(-1)
    per_log = 1.0 / math.log(1.0 - stop_probability) if stop_probability < 1.0 else 0.0
    node = np.zeros(WALKERS, np.uint64)
    key = np.zeros(WALKERS, np.uint64)
    number = np.zeros(WALKERS, np.uint64)  # of the next draw
    place = np.zeros(WALKERS, np.uint64)  # of the next item in `flat`
    end = np.zeros(WALKERS, np.uint64)  # `place` at which the walk is as long as it was drawn
    cost = np.zeros(WALKERS, np.uint32)
    row = np.full(WALKERS, -1, np.int64)
    attempt = np.zeros(WALKERS, np.int64)
    edge = np.zeros(WALKERS, np.uint64)
    low = np.zeros(WALKERS, np.uint32)
    degree = np.zeros(WALKERS, np.uint64)
    finished = np.arange(WALKERS)
    over = np.zeros(WALKERS, np.int64)  # whether the threshold ended the walk
    limit = np.int64(cost_limit)
    made = next_row = 0
    active = n_finished = min(WALKERS, walks)
    while active > 0:
        # Walkers that ended take their next attempt, or the next walk.
        for i in range(n_finished):
            k = finished[i]
            if row[k] >= 0:
                reached = np.int64(place[k]) - row[k] * width
                kept = is_kept(reached, degree[k], shortest, over[k], drop)
                attempt[k] += 1
                if kept or attempt[k] >= attempts:
                    lengths[row[k]] = reached if kept else 0
                    costs[row[k]] = cost[k]
                    row[k] = -1
            if row[k] < 0:
                if next_row == walks:
                    continue
                row[k] = next_row
                attempt[k] = 0
                next_row += 1
            made += 1
            key[k] = attempt_key(seed, np.uint64(first_walk + row[k]), np.uint64(attempt[k]))
            length = geometric_length(draw(key[k], LENGTH_DRAW), per_log, shortest, longest)
            node[k] = below(draw(key[k], START_DRAW), np.uint64(len(nodes)))
            number[k] = FIRST_STEP_DRAW
            place[k] = row[k] * width
            end[k] = place[k] + np.uint64(length)
            flat[place[k]] = node[k]
            place[k] += ONE
            cost[k] = 0
            prefetch(nodes, node[k])
        if next_row == walks and n_finished:
            active = _close_up(active, row, key, number, place, end, cost, attempt, node)
        # From the node to the edge's record ...
        for k in range(active):
            packed = nodes[node[k]]
            bits = draw(key[k], number[k])
            degree[k] = packed & DEGREE_MASK
            edge[k] = (packed >> DEGREE_BITS) + below(bits, degree[k])
            low[k] = np.uint32(bits & LOW_WORD)
            prefetch(records, edge[k] << np.uint64(2))
        # ... and from the record to the next node.
        n_finished = 0
        for k in range(active):
            at = edge[k] << np.uint64(2)
            alias = np.uint64(low[k] >= records[at])
            target = records[at + ONE + alias]
            step = (records[at + np.uint64(3)] >> np.uint32(alias << np.uint64(4))) & np.uint32(
                0xFFFF
            )
            total = cost[k] + step
            wanted = (degree[k] != 0) & (place[k] < end[k])
            crossed = wanted & (np.int64(total) > limit)
            moves = np.uint64(wanted & (not crossed))
            over[k] = crossed
            if moves:
                node[k] = target
                cost[k] = total
                flat[place[k]] = target
            place[k] += moves
            number[k] += ONE
            prefetch(nodes, node[k])
            finished[n_finished] = k
            n_finished += np.int64((not moves) | (place[k] >= end[k]))
    return made


@numba.njit(nogil=True, cache=True)
def _close_up(
    active: int,
    row: NDArray,
    key: NDArray,
    number: NDArray,
    place: NDArray,
    end: NDArray,
    cost: NDArray,
    attempt: NDArray,
    node: NDArray,
) -> int:
    """Move the walkers that still walk to the front; returns how many there are."""
    left = 0
    for k in range(active):
        if row[k] >= 0:
            row[left], key[left], number[left] = row[k], key[k], number[k]
            place[left], end[left], cost[left] = place[k], end[k], cost[k]
            attempt[left], node[left] = attempt[k], node[k]
            left += 1
    return left
