"""The columns of MerRec's shards (Li et al., 2025), as released on Hugging Face."""

from __future__ import annotations

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("sequence_id", pa.string()),  # a user's sequence, counted from 1
        ("session_id", pa.string()),  # counted per user, so equal for different users
        ("stime", pa.timestamp("us")),
        ("sequence_length", pa.int64()),
        ("event_id", pa.string()),
        ("item_id", pa.int64()),
        ("product_id", pa.string()),
        ("name", pa.string()),
        ("price", pa.float64()),
        ("c0_id", pa.int64()),
        ("c1_id", pa.int64()),
        ("c2_id", pa.int64()),
        ("c0_name", pa.string()),
        ("c1_name", pa.string()),
        ("c2_name", pa.string()),
        ("brand_id", pa.int64()),
        ("brand_name", pa.string()),
        ("item_condition_id", pa.int64()),
        ("item_condition_name", pa.string()),
        ("size_id", pa.int64()),
        ("size_name", pa.string()),
        ("color", pa.string()),
        ("shipper_id", pa.int64()),
        ("shipper_name", pa.string()),
    ]
)
EVENT_TYPES = (
    "item_view",
    "item_like",
    "item_add_to_cart_tap",
    "offer_make",
    "buy_start",
    "buy_comp",
)
