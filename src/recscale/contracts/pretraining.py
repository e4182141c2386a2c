"""What the pretraining stage writes: held-out curves, training logs, answers of final models."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.columns import ID, TEXT, share
from recscale.contracts.names import (
    ALL_HELD_OUT,
    ANSWERED,
    ANSWERING,
    CASES,
    SEARCHES,
    TOKEN_CLASSES,
)
from recscale.schema import Column, Contract

CONTRACTS: dict[str, Contract] = {
    "curves": Contract(
        "a held-out loss at one step of one run",
        (
            Column("run", TEXT, "name of the run in config/experiments.yaml"),
            Column("size", TEXT, "role of the model size: size1 .. size4"),
            Column("seed", pa.int64(), "seed of the run"),
            Column("domain", TEXT, "held-out domain", allowed=ALL_HELD_OUT),
            Column("step", pa.int64(), "optimiser steps taken", minimum=0),
            Column("tokens", pa.int64(), "tokens seen in all domains", minimum=0),
            Column("domain_tokens", pa.int64(), "tokens seen in the matching domain", minimum=0),
            Column("repeats", pa.float64(), "domain_tokens / unique tokens", minimum=0),
            Column("token_class", TEXT, "which tokens", allowed=TOKEN_CLASSES),
            Column("loss", pa.float64(), "mean loss, nats/token", minimum=0),
            Column("n_tokens", pa.int64(), "tokens behind the mean", minimum=1),
            Column(
                "loss_per_item",
                pa.float64(),
                "nats/item: id-token loss of an item + ln(items that share its code)",
                nullable=True,
            ),
        ),
        unique=("run", "domain", "step", "token_class"),
    ),
    "training": Contract(
        "a logged training step",
        (
            Column("run", TEXT, "name of the run"),
            Column("step", pa.int64(), "optimiser steps taken", minimum=1),
            Column("tokens", pa.int64(), "tokens seen", minimum=1),
            Column("loss", pa.float64(), "mean training loss since the last row, nats/token"),
            Column("learning_rate", pa.float64(), "of the step", minimum=0),
            Column("gradient_norm", pa.float64(), "before clipping", minimum=0),
            Column("tokens_per_second", pa.float64(), "wall-clock throughput", minimum=0),
        ),
    ),
    "generation": Contract(
        "the answers of one search to one history that asks for its next item",
        (
            Column("run", TEXT, "name of the run"),
            Column("size", TEXT, "role of the model size: size1 .. size4"),
            Column("seed", pa.int64(), "seed of the run"),
            Column("histories", TEXT, "set of walks, or random items", allowed=ANSWERED),
            Column("source", TEXT, "who answers", allowed=ANSWERING),
            Column("search", TEXT, "among items, or among all tokens", allowed=SEARCHES),
            Column("beams", pa.int64(), "width of the beam; 1: greedy", minimum=1),
            Column("history", pa.int64(), "number of the history in its set", minimum=0),
            Column("history_items", pa.int64(), "items shown", minimum=1),
            Column("width", pa.int64(), "codes an item", minimum=1),
            Column("target", ID, "the true next item; none after random items", nullable=True),
            share("exact", "the likeliest answer has the target's codes", True),
            share("exact_item", "the same / items that share these codes", True),
            share("exact_in_beam", "an answer has the target's codes", True),
            Column("prefix", pa.float64(), "first codes equal, likeliest answer", True, minimum=0),
            Column("prefix_in_beam", pa.float64(), "the same, best answer", True, minimum=0),
            share("set", "target's codes that the likeliest answer has", True),
            share("set_in_beam", "the same, best answer", True),
            share("invalid", "answers that are no item"),
            Column("distinct_items", pa.float64(), "distinct ids among the answers", minimum=0),
            Column(
                "distinct_categories",
                pa.float64(),
                "distinct leaf categories among the answers",
                nullable=True,
                minimum=0,
            ),
            share("code_distance", "of two answers: 1 - share of codes in common", True),
            share("overlap_with_history", "codes an answer shares with an item shown, at most"),
            share("category_in_history", "answers in the leaf category of an item shown", True),
            share("top_category_in_history", "answers in the top category of an item shown", True),
            share("top_category_by_chance", "the same share of items drawn at random", True),
            Column("first_item", ID, "the likeliest answer; none if no item", nullable=True),
            Column("first_category", ID, "number of its leaf category", nullable=True),
            Column("log_probability", pa.float64(), "of it, nats", nullable=True),
        ),
        unique=("run", "histories", "source", "search", "beams", "history"),
    ),
    "case_studies": Contract(
        "a line of a case study: an item of the prompt, an answer, or the true next item",
        (
            Column("run", TEXT, "name of the run"),
            Column("size", TEXT, "role of the model size: size1 .. size4"),
            Column("figure", TEXT, "which", allowed=CASES),
            Column("role", TEXT, "what", allowed=("prompt", "truth", *SEARCHES)),
            Column("position", pa.int64(), "place in the prompt or in the beam", minimum=0),
            Column("codes", TEXT, "as the model reads or writes it"),
            Column("text", TEXT, "text of the item; none if no item has the codes", nullable=True),
            Column("items", pa.int64(), "items that have these codes", minimum=0),
            Column("log_probability", pa.float64(), "of an answer, nats", nullable=True),
            Column("history_items", pa.int64(), "items of the history, shown or not", minimum=1),
            Column("chosen_from", pa.int64(), "walks drawn from; 0: random items", minimum=0),
        ),
        unique=("run", "figure", "role", "position"),
    ),
    "next_items": Contract(
        "where beam search puts the next item of one test user of Figure 1",
        (
            Column("run", TEXT, "name of the run"),
            Column("size", TEXT, "role of the model size: size1 .. size4"),
            Column("seed", pa.int64(), "seed of the run"),
            Column("user_id", ID, "test user"),
            Column("test_item", ID, "the target"),
            Column("history_items", pa.int64(), "items shown", minimum=1),
            Column("beams", pa.int64(), "width of the beam", minimum=1),
            Column("items", pa.int64(), "items that can be answered", minimum=1),
            Column("rank", pa.int64(), "1 is best; the last where not found", minimum=1),
            Column("log_probability", pa.float64(), "nats; none: not found", nullable=True),
        ),
        unique=("run", "user_id"),
    ),
}
