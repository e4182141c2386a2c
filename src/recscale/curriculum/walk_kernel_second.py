"""Second-order walks (node2vec; Grover and Leskovec, 2016): the inner loop of section 4.3.1.

From t over v, the next node x has the probability of the edge v -> x times 1/p if x = t, 1 if
there is an edge t -> x, 1/q otherwise: the distance d(t, x) of node2vec is read along the
direction of edges. Drawn by rejection (KnightKing; Yang et al., 2019): propose x by the weight of
v -> x, accept with its bias over the largest. Two things keep trials few and look-ups rare:

* a way back that is likelier than all else (1/p above 1 and 1/q) is taken out of the bound and
  drawn on its own, with the probability that v's record gives;
* a proposal whose acceptance does not depend on the edge t -> x needs no look-up.

As in the first order, a thread keeps many walks in flight and asks for memory ahead; a round is one
trial of each walk: node, record, look-up of those who need one, move.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from recscale.curriculum.walk_kernel import LOW_WORD, ONE, WALKERS, is_kept
from recscale.curriculum.walk_random import (
    FIRST_STEP_DRAW,
    LENGTH_DRAW,
    START_DRAW,
    attempt_key,
    below,
    draw,
    geometric_length,
    prefetch,
    unit,
)
from recscale.curriculum.walk_tables import (
    BUCKET,
    DEGREE_BITS,
    DEGREE_MASK,
    bucket_of,
    edge_key,
    in_edge_set,
)

_NOWHERE = np.uint64(0xFFFFFFFF)  # the node before a walk's first
_SHARE = 2.0**-32
_RECORD = ~np.uint64(7)


@numba.njit(inline="always")
def choose(mask: np.uint64, yes: np.uint64, no: np.uint64) -> np.uint64:
    """`yes` if all bits of the mask are set, `no` if none is: a choice without a branch."""
    return no ^ ((no ^ yes) & mask)


@numba.njit(inline="always")
def mask_if(condition: bool) -> np.uint64:
    """All bits set if the condition holds, else none."""
    return np.uint64(0) - np.uint64(condition)


@numba.njit(nogil=True, cache=True)
def second_order(
    nodes: NDArray,
    records: NDArray,
    edge_set: NDArray,
    p: float,
    q: float,
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
    counts: NDArray,
) -> int:
    """As `walk_kernel.first_order`, for node2vec's p and q.

    counts (2,) int64 grows by the trials and by the look-ups made.
    """
    walks, width = paths.shape
    longest = width - 1
    flat = paths.reshape(-1)
    per_log = 1.0 / math.log(1.0 - stop_probability) if stop_probability < 1.0 else 0.0
    mask = np.uint64(len(edge_set) // BUCKET - 1)
    # Acceptance is a bias over `bound`, the largest bias of a proposal other than the way back.
    bound = max(1.0, 1.0 / q)
    back = min(1.0, 1.0 / p / bound)
    excess = max(0.0, 1.0 / p - bound) / bound * _SHARE
    sure = min(1.0, 1.0 / q) / bound  # accepted with an edge t -> x or without
    wanted = np.int64(1.0 / bound > 1.0 / q / bound)  # which of the two is accepted above `sure`

    node = np.zeros(WALKERS, np.uint64)
    before = np.zeros(WALKERS, np.uint64)
    way_back = np.zeros(WALKERS, np.uint64)  # its probability
    back_place = np.zeros(WALKERS, np.uint64)  # its place in the row of `node`
    accept_below = np.zeros(WALKERS, np.float64)  # 1 for a first step, then `sure`
    key = np.zeros(WALKERS, np.uint64)
    number = np.zeros(WALKERS, np.uint64)
    place = np.zeros(WALKERS, np.uint64)
    end = np.zeros(WALKERS, np.uint64)
    cost = np.zeros(WALKERS, np.uint64)
    row = np.full(WALKERS, -1, np.int64)
    attempt = np.zeros(WALKERS, np.int64)

    degree = np.zeros(WALKERS, np.uint64)
    edge = np.zeros(WALKERS, np.uint64)
    low = np.zeros(WALKERS, np.uint32)
    chance = np.zeros(WALKERS, np.float64)
    target = np.zeros(WALKERS, np.uint64)
    accepted = np.zeros(WALKERS, np.bool_)
    asked = np.zeros(WALKERS, np.int64)
    bucket = np.zeros(WALKERS, np.uint64)
    over = np.zeros(WALKERS, np.int64)
    finished = np.arange(WALKERS)
    limit = np.int64(cost_limit)
    made = trials = looked_up = next_row = 0
    active = n_finished = min(WALKERS, walks)
    while active > 0:
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
            before[k] = _NOWHERE
            way_back[k] = 0
            accept_below[k] = 1.0
            number[k] = FIRST_STEP_DRAW
            place[k] = row[k] * width
            end[k] = place[k] + np.uint64(length)
            flat[place[k]] = node[k]
            place[k] += ONE
            cost[k] = 0
            prefetch(nodes, node[k])
        if next_row == walks and n_finished:
            left = 0
            for k in range(active):
                if row[k] >= 0:
                    row[left], key[left], number[left] = row[k], key[k], number[k]
                    place[left], end[left], cost[left] = place[k], end[k], cost[k]
                    attempt[left], node[left], before[left] = attempt[k], node[k], before[k]
                    way_back[left], back_place[left] = way_back[k], back_place[k]
                    accept_below[left] = accept_below[k]
                    left += 1
            active = left
        trials += active
        # From the node to the proposed edge's record.
        for k in range(active):
            packed = nodes[node[k]]
            degree[k] = packed & DEGREE_MASK
            bits = draw(key[k], number[k])
            chance[k] = unit(draw(key[k], number[k] + ONE)) * (1.0 + excess * way_back[k])
            number[k] += np.uint64(2)
            place_in_row = below(bits, degree[k])
            returns = chance[k] >= 1.0
            place_in_row = choose(mask_if(returns), np.uint64(back_place[k]), place_in_row)
            low[k] = np.uint32(bits & LOW_WORD)
            edge[k] = (packed >> DEGREE_BITS) + place_in_row
            prefetch(records, edge[k] << np.uint64(3))
        # From the record to the proposed node; whether the edge t -> x must be looked up.
        n_asked = 0
        for k in range(active):
            at = edge[k] << np.uint64(3)
            returns = chance[k] >= 1.0
            alias = np.uint64((low[k] >= records[at]) & (not returns))
            x = np.uint64(records[at + ONE + alias])
            edge[k] = at + alias
            target[k] = x
            goes_back = x == before[k]
            accept = accept_below[k]
            sure_of_it = chance[k] < (back if goes_back else accept)
            accepted[k] = returns | sure_of_it
            asked[n_asked] = k
            n_asked += int((not (returns | sure_of_it | goes_back)) & (degree[k] != 0))
        looked_up += n_asked
        for i in range(n_asked):
            k = asked[i]
            bucket[k] = bucket_of(edge_key(before[k], target[k]), mask)
            prefetch(edge_set, bucket[k])
        for i in range(n_asked):
            k = asked[i]
            found = in_edge_set(edge_set, mask, edge_key(before[k], target[k]), bucket[k])
            accepted[k] = found == wanted
        # The move. All is read before it is known whether it is needed, so that nothing branches.
        n_finished = 0
        for k in range(active):
            at = edge[k]  # the record, + 1 for its alias
            half = np.uint32((at & ONE) << np.uint64(4))
            step = (records[(at & _RECORD) + np.uint64(3)] >> half) & np.uint32(0xFFFF)
            next_way_back, next_place = records[at + np.uint64(4)], records[at + np.uint64(6)]
            here, x, total = node[k], target[k], cost[k] + step
            tries = (degree[k] != 0) & (place[k] < end[k]) & accepted[k]
            crossed = tries & (np.int64(total) > limit)
            moves = tries & (not crossed)
            flat[place[k]] = x
            every = mask_if(moves)
            before[k] = choose(every, here, before[k])
            node[k] = choose(every, x, here)
            cost[k] = choose(every, total, cost[k])
            way_back[k] = choose(every, next_way_back, way_back[k])
            back_place[k] = choose(every, next_place, back_place[k])
            accept_below[k] = sure  # a first step is always accepted
            place[k] += np.uint64(moves)
            over[k] = crossed
            prefetch(nodes, node[k])
            finished[n_finished] = k
            n_finished += np.int64(crossed | (degree[k] == 0) | (place[k] >= end[k]))
    counts[0] += trials
    counts[1] += looked_up
    return made
