"""What the ranking stage writes: recall, ranks of single users, trials in simulated worlds."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.columns import ID, TEXT, TRAINING_OF_ARM, share
from recscale.contracts.names import ORDERS, STRATA
from recscale.schema import Column, Contract

CONTRACTS: dict[str, Contract] = {
    "ranking": Contract(
        "a model's recall at one cutoff",
        (
            *TRAINING_OF_ARM,
            Column("learning_rate", pa.float64(), "chosen by the sweep; 0: none", minimum=0),
            Column("examples", pa.int64(), "training examples", minimum=1),
            Column("items", pa.int64(), "items ranked", minimum=1),
            Column("k", pa.int64(), "cutoff", minimum=1),
            share("recall", "recall@k over the test users"),
            share("ndcg", "NDCG@k over the test users"),
            share("recall_masked", "recall@k with history items hidden"),
            share("recall_unfiltered", "recall@k if items outside the vocabulary count as missed"),
            Column("n_test", pa.int64(), "test users", minimum=1),
            Column("n_left_out", pa.int64(), "users whose test item is outside", minimum=0),
            share("target_in_history", "targets already bought"),
        ),
    ),
    "ranks": Contract(
        "the rank of one test user's next item",
        (
            *TRAINING_OF_ARM,
            Column("user_id", ID, "test user"),
            Column("test_item", ID, "the target"),
            Column("stratum", TEXT, "of the target's popularity", allowed=STRATA),
            Column("in_history", pa.bool_(), "the target was already bought"),
            Column("rank", pa.int64(), "1 is best; ties count against the model", minimum=1),
            Column("rank_masked", pa.int64(), "the same with history items hidden", minimum=1),
        ),
    ),
    "world_trials": Contract(
        "true and logged recall of one order of the items, in one simulated world",
        (
            Column("dial", TEXT, "the bias that is on; none: the reference"),
            share("strength", "of the dial"),
            Column("arm", TEXT, "what orders the items", allowed=ORDERS),
            Column("model", TEXT, "GRU4Rec, ...; the arm where nothing is trained"),
            Column("seed", pa.int64(), "of the world and the training", minimum=0),
            Column("k", pa.int64(), "cutoff", minimum=1),
            share("true_recall", "chance that the true next item is among the first k"),
            share("logged_recall", "recall@k of the next item of the log"),
            Column("n_test", pa.int64(), "test users", minimum=1),
            Column("items", pa.int64(), "items that are ordered", minimum=1),
            Column("examples", pa.int64(), "training examples of either arm", minimum=0),
        ),
        unique=("dial", "strength", "arm", "model", "seed", "k"),
    ),
}
