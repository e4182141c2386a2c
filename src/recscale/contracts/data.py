"""What the data stage writes: items, events, histories, exposure."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.columns import ID, IDS, TEXT
from recscale.contracts.names import SPLITS_OF_ITEMS
from recscale.schema import Column, Contract

CONTRACTS: dict[str, Contract] = {
    "items": Contract(
        "an item",
        (
            Column("item_id", ID, "number of the item", minimum=0),
            Column("title", TEXT, "what the item is"),
            Column("brand", TEXT, "brand, if the log has one", nullable=True),
            Column("c0", TEXT, "top category", nullable=True),
            Column("c1", TEXT, "middle category", nullable=True),
            Column("c2", TEXT, "leaf category", nullable=True),
            Column("size", TEXT, "size", nullable=True),
            Column("color", TEXT, "colour", nullable=True),
            Column("split", TEXT, "item split", allowed=SPLITS_OF_ITEMS),
        ),
        unique=("item_id",),
    ),
    "events": Contract(
        "an event, ordered by user then time",
        (
            Column("user_id", ID, "number of the user"),
            Column("session_id", ID, "number of the session (a basket, a visit)"),
            Column("time", pa.timestamp("us"), "when, as logged"),
            Column("item_id", ID, "the item", minimum=0),
            Column("event_type", TEXT, "purchase, item_view, ..."),
        ),
    ),
    "histories": Contract(
        "a user's real sequence",
        (
            Column("user_id", ID, "number of the user"),
            Column("items", IDS, "the training part: items in the order of time"),
            Column("sessions", IDS, "the session of each of these items"),
            Column("valid_item", ID, "first item of the validation period", minimum=0),
            Column("test_item", ID, "first item of the test period", minimum=0),
        ),
        unique=("user_id",),
    ),
    "exposure": Contract(
        "what the stores showed of an item in a week",
        (
            Column("item_id", ID, "the item", minimum=0),
            Column("week", ID, "week of the year, from 1", minimum=1),
            Column("week_start", pa.timestamp("us"), "its first day"),
            Column("stores", pa.int64(), "stores with a record of the item", minimum=1),
            Column("stores_displayed", pa.int64(), "of them, with a special display", minimum=0),
            Column("stores_mailed", pa.int64(), "of them, with a place in the mailer", minimum=0),
        ),
    ),
}
