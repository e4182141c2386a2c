"""What the item_ids stage writes: semantic ids and their quality."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.columns import ID, SHARES, TEXT, share
from recscale.schema import Column, Contract

CONTRACTS: dict[str, Contract] = {
    "item_ids": Contract(
        "an item's semantic id",
        (
            Column("item_id", ID, "number of the item", minimum=0),
            Column("codes", pa.list_(pa.uint16()), "REC numbers, in the order they are written"),
            Column("n_collisions", pa.int64(), "other items with the same codes", minimum=0),
        ),
        unique=("item_id",),
    ),
    "item_id_quality": Contract(
        "one training of one setting of a method of semantic ids",
        (
            Column("setting", TEXT, "name of the setting"),
            Column("method", TEXT, "sae, sae_general, rq_kmeans or rq_vae"),
            Column("training", pa.int64(), "trainings differ in their seed only", minimum=0),
            Column("cures", pa.bool_(), "rq_vae: with the cures for collapse", nullable=True),
            Column("width", pa.int64(), "codes an item", minimum=1),
            Column("rec_tokens", pa.int64(), "REC numbers", minimum=1),
            Column("items", pa.int64(), "items encoded", minimum=1),
            Column("distinct_texts", pa.int64(), "distinct texts among them", minimum=1),
            share("shared", "items whose codes another item has"),
            share("surplus", "1 - distinct codes / items"),
            share("shared_distinct_texts", "shared, of one item for each text"),
            share("surplus_distinct_texts", "surplus, of one item for each text"),
            share("shared_ties_broken", "shared, after breaking ties"),
            share("surplus_ties_broken", "surplus, after breaking ties"),
            share("shared_uniform", "shared, if codes were drawn at random"),
            share("held_out_like_training", "held-out items with a training item's codes", True),
            share("code_use", "REC numbers that any item has"),
            share("code_perplexity", "perplexity of their use / REC numbers"),
            Column("unexplained_variance", pa.float64(), "of held-out items' vectors", minimum=0),
            share("neighbour_overlap", "ten nearest by cosine that are so by codes"),
            Column("purity", SHARES, "by depth: others of a prefix in the same leaf category"),
            Column("grouped", SHARES, "by depth: items that share their prefix"),
        ),
        unique=("setting", "training"),
    ),
}
