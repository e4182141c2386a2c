"""What each arm trains on: the two of Figure 1, and controls that could refute its reading.

* `tstr` and `trtr`: walks, and real histories;
* `trtr_shuffled`: real histories with the order inside each session drawn anew. If TRTR loses
  nothing, order inside sessions told it nothing;
* `tstr_rewired`: walks on a graph with every item's degrees but no other structure. If TSTR loses
  nothing, it learnt popularity only;
* `both`: the examples of `tstr` and of `trtr` together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recscale.contracts import RANKING_ARMS
from recscale.errors import UserError
from recscale.ranking.comparison import Comparison, filtered, without_empty
from recscale.ranking.examples import Joined, Prefixes, count_prefixes, draw
from recscale.ranking.sequences import Sequences, Source, Vocabulary, batches
from recscale.seeds import generator


def shuffle_sessions(sequences: Sequences, sessions: Sequences, seed: int) -> Sequences:
    """The sequences with the items of each session in a random order.

    sessions has the session of every item, in the shape of `sequences`; the sessions of a sequence
    keep their places.
    """
    random = generator(seed, "ranking", "shuffled sessions").random(len(sequences.values))
    new = np.ones(len(sequences.values), dtype=bool)
    new[1:] = sessions.values[1:] != sessions.values[:-1]
    new[sequences.offsets[:-1]] = True
    order = np.lexsort((random, np.cumsum(new)))
    return Sequences(sequences.values[order], sequences.offsets)


def shuffled_histories(histories: Source, vocabulary: Vocabulary, seed: int) -> Sequences:
    """Real histories, filtered, with the order inside sessions drawn anew.

    Raises:
        UserError: the histories have no sessions.
    """
    parts, session_parts = [], []
    for batch in batches(histories, ["items", "sessions"]):
        items = Sequences.from_arrow(batch.column("items"))
        kept = vocabulary.encode(items.values)
        parts.append(Sequences(kept, items.offsets).keep_items(kept != 0))
        sessions = Sequences.from_arrow(batch.column("sessions"))
        if len(sessions.values) != len(items.values):
            raise UserError("--histories name no session for some items", "rebuild the target data")
        session_parts.append(sessions.keep_items(kept != 0))
    sequences = Sequences.from_parts(iter(parts), None, "real")
    sessions = Sequences.from_parts(iter(session_parts), None, "sessions")
    return without_empty(shuffle_sessions(sequences, sessions, seed))


def examples_of(
    arm: str,
    comparison: Comparison,
    size: Callable[[str], int],
    histories: Source,
    rewired_walks: Source,
    seed: int,
) -> Prefixes | Joined:
    """The training examples of an arm.

    Args:
        size: examples of the arm of Figure 1 that this one stands beside; a control takes as many,
            `both` those of either.

    Raises:
        UserError: the arm has too few examples.
    """
    if arm == "both":
        parts = (comparison.training_examples(a, size(a), seed) for a in ("tstr", "trtr"))
        return Joined(tuple(parts))
    if arm in ("tstr", "trtr"):
        return comparison.training_examples(arm, size(arm), seed)
    if arm == "trtr_shuffled":
        sequences = shuffled_histories(histories, comparison.vocabulary, seed)
    elif arm == "tstr_rewired":
        sequences = filtered(rewired_walks, comparison.vocabulary, None, arm)
    else:
        raise UserError(f"--arm is {arm!r}", f"use one of {', '.join(RANKING_ARMS)}")
    beside = arm.split("_")[0]
    wanted, available = size(beside), count_prefixes(sequences)
    if available < wanted:
        raise UserError(
            f"the {arm} arm has {available} training examples of {wanted}",
            "make more walks (curriculum.walks.ranking), or lower ranking.examples",
        )
    return draw(sequences, arm, wanted, comparison.history_length, seed)
