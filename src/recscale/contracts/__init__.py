"""What passes between stages: one contract per file, with its columns, types and limits.

`recscale.files.write_table` refuses a table that breaks its contract, so a stage can rely on what
it reads. Types are Arrow's; losses are in nats, times are UTC-less timestamps as logged, counts are
whole numbers. A contract is checked with pandera.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from recscale.contracts import curriculum, data, item_ids, pretraining, ranking, scaling
from recscale.contracts.names import (
    ALL_HELD_OUT,
    ANSWERED,
    ANSWERING,
    CASES,
    HELD_OUT_DOMAINS,
    LAWS,
    ORDERS,
    POOLED_DOMAINS,
    RANKING_ARMS,
    REAL_HISTORIES,
    SEARCHES,
    SPLITS_OF_ITEMS,
    SPLITS_OF_RULES,
    STRATA,
    TOKEN_CLASSES,
    TRAINING_DOMAINS,
    UIH_CONTROLS,
    UNCERTAINTIES,
)
from recscale.schema import Contract, check_frame, check_record_batch

__all__ = [
    "ALL_HELD_OUT",
    "ANSWERED",
    "ANSWERING",
    "CASES",
    "CONTRACTS",
    "HELD_OUT_DOMAINS",
    "LAWS",
    "ORDERS",
    "POOLED_DOMAINS",
    "RANKING_ARMS",
    "REAL_HISTORIES",
    "SEARCHES",
    "SPLITS_OF_ITEMS",
    "SPLITS_OF_RULES",
    "STRATA",
    "TOKEN_CLASSES",
    "TRAINING_DOMAINS",
    "UIH_CONTROLS",
    "UNCERTAINTIES",
    "check",
    "check_batch",
]

CONTRACTS: dict[str, Contract] = {
    **data.CONTRACTS,
    **item_ids.CONTRACTS,
    **curriculum.CONTRACTS,
    **ranking.CONTRACTS,
    **pretraining.CONTRACTS,
    **scaling.CONTRACTS,
}


def check(frame: pd.DataFrame, contract: str, where: str) -> pd.DataFrame:
    """As `schema.check_frame`, for the contract of that name."""
    return check_frame(frame, CONTRACTS[contract], contract, where)


def check_batch(batch: pa.RecordBatch, contract: str, where: str) -> None:
    """As `schema.check_record_batch`, for the contract of that name."""
    check_record_batch(batch, CONTRACTS[contract], contract, where)
