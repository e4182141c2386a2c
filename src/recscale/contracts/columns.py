"""Columns and types that several contracts have in common."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.names import ALL_HELD_OUT, POOLED_DOMAINS, RANKING_ARMS
from recscale.schema import Column

ID = pa.int64()
TEXT = pa.string()
IDS = pa.list_(pa.int64())
SHARES = pa.list_(pa.float64())


def share(name: str, meaning: str, nullable: bool = False) -> Column:
    """A column of shares, from 0 to 1."""
    return Column(name, pa.float64(), meaning, nullable, minimum=0, maximum=1)


TRAINING_OF_ARM = (
    Column("arm", TEXT, "training data", allowed=RANKING_ARMS),
    Column("budget", TEXT, "examples of either arm", allowed=("matched", "own")),
    Column("validation", TEXT, "who stops a training", allowed=("real", "walks")),
    Column("model", TEXT, "GRU4Rec, ..., Popularity, ItemKNN"),
    Column("seed", pa.int64(), "seed of the training"),
)

FITTED_CURVE = (
    Column("run", TEXT, "name of the run"),
    Column("size", TEXT, "role of the model size: size1 .. size4"),
    Column("seed", pa.int64(), "seed of the run"),
    Column("domain", TEXT, "held-out domain, or pooled", allowed=(*ALL_HELD_OUT, *POOLED_DOMAINS)),
)
