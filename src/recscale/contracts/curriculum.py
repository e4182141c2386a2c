"""What the curriculum stage writes: from sessions to walks, and documents of general text."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.columns import ID, IDS, TEXT
from recscale.contracts.names import SPLITS_OF_RULES
from recscale.schema import Column, Contract

CONTRACTS: dict[str, Contract] = {
    "session_items": Contract(
        "an item of a training session",
        (
            Column("session_id", ID, "number of the session"),
            Column("user_id", ID, "the session's user"),
            Column("item_id", ID, "the item", minimum=0),
            Column("time", pa.timestamp("us"), "its first event, or each, with a time window"),
        ),
    ),
    "pairs": Contract(
        "two items that meet in training sessions, item_a < item_b",
        (
            Column("item_a", ID, "the lower item", minimum=0),
            Column("item_b", ID, "the higher item", minimum=0),
            Column("support", pa.int64(), "training sessions that hold both", minimum=1),
            Column("users", pa.int64(), "distinct users behind the support", minimum=1),
        ),
    ),
    "rules": Contract(
        "a directed association rule A -> B",
        (
            Column("item_a", ID, "antecedent", minimum=0),
            Column("item_b", ID, "consequent", minimum=0),
            Column("support", pa.int64(), "training sessions that hold both", minimum=1),
            Column("users", pa.int64(), "distinct users behind the support", minimum=1),
            Column("confidence", pa.float64(), "P(B | A)", minimum=0, maximum=1),
            Column("lift", pa.float64(), "P(B | A) / P(B)", minimum=0),
            Column("split", TEXT, "edge split", allowed=SPLITS_OF_RULES),
        ),
    ),
    "walks": Contract(
        "a synthetic history",
        (
            Column("walk", pa.int64(), "number of the walk", minimum=0),
            Column("items", IDS, "the items visited"),
            Column("path_confidence", pa.float64(), "product of confidences", minimum=0, maximum=1),
        ),
    ),
    "real_sequences": Contract(
        "a stretch of a user's real history, in the place of a walk",
        (
            Column("sequence", pa.int64(), "number of the sequence", minimum=0),
            Column("user_id", ID, "number of the user"),
            Column("items", IDS, "successive items of the user, in the order of time"),
        ),
    ),
    "documents": Contract(
        "a document of general text",
        (
            Column("text", TEXT, "the document"),
            Column("part", TEXT, "who may read it", allowed=("base", "train", "held_out")),
        ),
        unique=("text",),
    ),
}
