"""Bytes on disk by kind of file, and bytes to download.

Tables are rows times the width of their contract's types, compressed; arrays and windows have a
fixed width. What is made of the log is an upper bound where the log decides it.
"""

from __future__ import annotations

import pyarrow as pa

from recscale.budget.request import Request
from recscale.budget.stages import WALK_ITEMS, downloads, log_rows, tokens_of, walks_of
from recscale.budget.training import of_base, of_run
from recscale.contracts import CONTRACTS

TEXT = 24  # bytes of a text column (ours)
COMPRESSED = 0.25  # of the width (ours): smoke's tables have 0.04 to 0.38 of it, and small ids
CODES = 8
BYTES_PER_TOKEN = 4.3  # of general text
TEXT_COMPRESSED = 0.4  # (ours) zstd on prose and code
WIDE = 1 << 16  # vocabularies above it take four bytes a token


def row_bytes(contract: str, items: float = WALK_ITEMS) -> float:
    """Bytes of a row of a contract in memory; lists have so many items."""
    total = 0.0
    for column in CONTRACTS[contract].columns:
        kind = column.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            total += items * kind.value_type.bit_width / 8 + 4
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            total += TEXT + 4
        else:
            total += kind.bit_width / 8
    return total


def disk(
    request: Request, runs: set[str], windows: set[tuple[str, str]], streams: set[str]
) -> dict[str, float]:
    """Bytes by kind of file, when all is done.

    Args:
        request: of the plan.
        runs: CPT runs that are trained.
        windows: training windows that are made, as method and domain.
        streams: sets of walks that are made.
    """
    config, log = request.config, request.log
    dimensions = config["item_ids"]["embedding"]["dimensions"] or 1024

    def table(contract: str, rows: float, items: float = WALK_ITEMS) -> float:
        return COMPRESSED * rows * row_bytes(contract, items)

    general = tokens_of(request, "general") + tokens_of(request, "base")
    rows = log_rows(request)
    trained = [of_run(request, run) for run in sorted(runs)]
    sizes = {request.runs[run]["size"] for run in runs}
    states = sorted((one.state_bytes for one in trained), reverse=True)
    at_once = len(trained)
    card = request.card
    if card is not None and trained:
        at_once = max(1, request.machine.gpus // max(one.gpus for one in trained))
    elif card is None:
        at_once = request.machine.cores
    return {
        "downloads": 1e9 * sum(downloads(request).values()),
        "log and histories": table("events", rows) + table("items", log.items),
        "item vectors and ids": 2.0 * dimensions * log.items
        + 2.0 * dimensions * config["item_ids"]["general_passages"]
        + 2 * table("item_ids", log.items, CODES),
        "rules and graphs": table("session_items", rows)
        + table("pairs", log.rules / 2)
        + table("rules", log.rules)
        + 12.0 * log.rules * 3,
        "walks": sum(table("walks", walks_of(request, stream)) for stream in streams),
        "general text": TEXT_COMPRESSED * BYTES_PER_TOKEN * general,
        "windows": sum(
            (4.0 if request.rows(method) > WIDE else 2.0) * tokens_of(request, domain)
            for method, domain in windows
        ),
        "checkpoints while training": float(sum(states[:at_once])),
        "base and final models": float(
            sum(one.model_bytes for one in trained)
            + sum(of_base(request, size).model_bytes for size in sizes)
        ),
    }
