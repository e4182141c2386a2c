"""What passes between stages: one contract per file, with its columns, types and limits.

`recscale.files.write_table` refuses a table that breaks its contract, so a stage can rely on what
it reads. Types are Arrow's; losses are in nats, times are UTC-less timestamps as logged, counts are
whole numbers. A contract is checked with pandera.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from recscale.schema import Column, Contract, check_frame, check_record_batch

SPLITS_OF_ITEMS = ("train", "held_out")
SPLITS_OF_RULES = ("train", "both_seen", "one_unseen", "both_unseen")
TRAINING_DOMAINS = ("general", "item_text", "cf", "uih")
# Not in the paper: what controls train on in the place of `uih`.
UIH_CONTROLS = ("uih_fresh", "uih_real", "uih_rewired")
HELD_OUT_DOMAINS = (
    "general",
    "item_text",
    "cf_both_seen",
    "cf_one_unseen",
    "cf_both_unseen",
    "uih_ood",
    "uih_full_graph",
)
# Not in the paper: what real users did after the training period, to set beside walks.
REAL_HISTORIES = "real_histories"
ALL_HELD_OUT = (*HELD_OUT_DOMAINS, REAL_HISTORIES)
ORDERS = ("tstr", "trtr", "popularity", "random", "best")
ANSWERED = ("uih_full_graph", "uih_ood", "random")
ANSWERING = ("model", "popularity")
SEARCHES = ("constrained", "unconstrained")
CASES = ("fig9", "fig10", "fig11")
RANKING_ARMS = ("tstr", "trtr", "trtr_shuffled", "tstr_rewired", "both")
STRATA = ("head", "middle", "tail", "outside")
TOKEN_CLASSES = ("all", "id", "number", "template")
# Held-out domains as Tables 4 and 6 print them: three sets of CF and two of UIH, pooled.
POOLED_DOMAINS = ("cf", "uih")
LAWS = ("power_law", "constant", "log_linear", "pure_power_law", "exponential", "broken_power_law")
UNCERTAINTIES = ("seeds", "cluster", "block_bootstrap")


def check(frame: pd.DataFrame, contract: str, where: str) -> pd.DataFrame:
    """As `schema.check_frame`, for the contract of that name."""
    return check_frame(frame, CONTRACTS[contract], contract, where)


def check_batch(batch: pa.RecordBatch, contract: str, where: str) -> None:
    """As `schema.check_record_batch`, for the contract of that name."""
    check_record_batch(batch, CONTRACTS[contract], contract, where)


_ID = pa.int64()
_TEXT = pa.string()
_IDS = pa.list_(pa.int64())
_SHARES = pa.list_(pa.float64())


def _share(name: str, meaning: str, nullable: bool = False) -> Column:
    """A column of shares, from 0 to 1."""
    return Column(name, pa.float64(), meaning, nullable, minimum=0, maximum=1)


_TRAINING_OF_ARM = (
    Column("arm", _TEXT, "training data", allowed=RANKING_ARMS),
    Column("budget", _TEXT, "examples of either arm", allowed=("matched", "own")),
    Column("validation", _TEXT, "who stops a training", allowed=("real", "walks")),
    Column("model", _TEXT, "GRU4Rec, ..., Popularity, ItemKNN"),
    Column("seed", pa.int64(), "seed of the training"),
)

_FITTED_CURVE = (
    Column("run", _TEXT, "name of the run"),
    Column("size", _TEXT, "role of the model size: size1 .. size4"),
    Column("seed", pa.int64(), "seed of the run"),
    Column("domain", _TEXT, "held-out domain, or pooled", allowed=(*ALL_HELD_OUT, *POOLED_DOMAINS)),
)

CONTRACTS: dict[str, Contract] = {
    "items": Contract(
        "an item",
        (
            Column("item_id", _ID, "number of the item", minimum=0),
            Column("title", _TEXT, "what the item is"),
            Column("brand", _TEXT, "brand, if the log has one", nullable=True),
            Column("c0", _TEXT, "top category", nullable=True),
            Column("c1", _TEXT, "middle category", nullable=True),
            Column("c2", _TEXT, "leaf category", nullable=True),
            Column("size", _TEXT, "size", nullable=True),
            Column("color", _TEXT, "colour", nullable=True),
            Column("split", _TEXT, "item split", allowed=SPLITS_OF_ITEMS),
        ),
        unique=("item_id",),
    ),
    "events": Contract(
        "an event, ordered by user then time",
        (
            Column("user_id", _ID, "number of the user"),
            Column("session_id", _ID, "number of the session (a basket, a visit)"),
            Column("time", pa.timestamp("us"), "when, as logged"),
            Column("item_id", _ID, "the item", minimum=0),
            Column("event_type", _TEXT, "purchase, item_view, ..."),
        ),
    ),
    "histories": Contract(
        "a user's real sequence",
        (
            Column("user_id", _ID, "number of the user"),
            Column("items", _IDS, "the training part: items in the order of time"),
            Column("sessions", _IDS, "the session of each of these items"),
            Column("valid_item", _ID, "first item of the validation period", minimum=0),
            Column("test_item", _ID, "first item of the test period", minimum=0),
        ),
        unique=("user_id",),
    ),
    "exposure": Contract(
        "what the stores showed of an item in a week",
        (
            Column("item_id", _ID, "the item", minimum=0),
            Column("week", _ID, "week of the year, from 1", minimum=1),
            Column("week_start", pa.timestamp("us"), "its first day"),
            Column("stores", pa.int64(), "stores with a record of the item", minimum=1),
            Column("stores_displayed", pa.int64(), "of them, with a special display", minimum=0),
            Column("stores_mailed", pa.int64(), "of them, with a place in the mailer", minimum=0),
        ),
    ),
    "item_ids": Contract(
        "an item's semantic id",
        (
            Column("item_id", _ID, "number of the item", minimum=0),
            Column("codes", pa.list_(pa.uint16()), "REC numbers, in the order they are written"),
            Column("n_collisions", pa.int64(), "other items with the same codes", minimum=0),
        ),
        unique=("item_id",),
    ),
    "item_id_quality": Contract(
        "one training of one setting of a method of semantic ids",
        (
            Column("setting", _TEXT, "name of the setting"),
            Column("method", _TEXT, "sae, sae_general, rq_kmeans or rq_vae"),
            Column("training", pa.int64(), "trainings differ in their seed only", minimum=0),
            Column("cures", pa.bool_(), "rq_vae: with the cures for collapse", nullable=True),
            Column("width", pa.int64(), "codes an item", minimum=1),
            Column("rec_tokens", pa.int64(), "REC numbers", minimum=1),
            Column("items", pa.int64(), "items encoded", minimum=1),
            Column("distinct_texts", pa.int64(), "distinct texts among them", minimum=1),
            _share("shared", "items whose codes another item has"),
            _share("surplus", "1 - distinct codes / items"),
            _share("shared_distinct_texts", "shared, of one item for each text"),
            _share("surplus_distinct_texts", "surplus, of one item for each text"),
            _share("shared_ties_broken", "shared, after breaking ties"),
            _share("surplus_ties_broken", "surplus, after breaking ties"),
            _share("shared_uniform", "shared, if codes were drawn at random"),
            _share("held_out_like_training", "held-out items with a training item's codes", True),
            _share("code_use", "REC numbers that any item has"),
            _share("code_perplexity", "perplexity of their use / REC numbers"),
            Column("unexplained_variance", pa.float64(), "of held-out items' vectors", minimum=0),
            _share("neighbour_overlap", "ten nearest by cosine that are so by codes"),
            Column("purity", _SHARES, "by depth: others of a prefix in the same leaf category"),
            Column("grouped", _SHARES, "by depth: items that share their prefix"),
        ),
        unique=("setting", "training"),
    ),
    "session_items": Contract(
        "an item of a training session",
        (
            Column("session_id", _ID, "number of the session"),
            Column("user_id", _ID, "the session's user"),
            Column("item_id", _ID, "the item", minimum=0),
            Column("time", pa.timestamp("us"), "its first event, or each, with a time window"),
        ),
    ),
    "pairs": Contract(
        "two items that meet in training sessions, item_a < item_b",
        (
            Column("item_a", _ID, "the lower item", minimum=0),
            Column("item_b", _ID, "the higher item", minimum=0),
            Column("support", pa.int64(), "training sessions that hold both", minimum=1),
            Column("users", pa.int64(), "distinct users behind the support", minimum=1),
        ),
    ),
    "rules": Contract(
        "a directed association rule A -> B",
        (
            Column("item_a", _ID, "antecedent", minimum=0),
            Column("item_b", _ID, "consequent", minimum=0),
            Column("support", pa.int64(), "training sessions that hold both", minimum=1),
            Column("users", pa.int64(), "distinct users behind the support", minimum=1),
            Column("confidence", pa.float64(), "P(B | A)", minimum=0, maximum=1),
            Column("lift", pa.float64(), "P(B | A) / P(B)", minimum=0),
            Column("split", _TEXT, "edge split", allowed=SPLITS_OF_RULES),
        ),
    ),
    "real_sequences": Contract(
        "a stretch of a user's real history, in the place of a walk",
        (
            Column("sequence", pa.int64(), "number of the sequence", minimum=0),
            Column("user_id", _ID, "number of the user"),
            Column("items", _IDS, "successive items of the user, in the order of time"),
        ),
    ),
    "walks": Contract(
        "a synthetic history",
        (
            Column("walk", pa.int64(), "number of the walk", minimum=0),
            Column("items", _IDS, "the items visited"),
            Column("path_confidence", pa.float64(), "product of confidences", minimum=0, maximum=1),
        ),
    ),
    "documents": Contract(
        "a document of general text",
        (
            Column("text", _TEXT, "the document"),
            Column("part", _TEXT, "who may read it", allowed=("base", "train", "held_out")),
        ),
        unique=("text",),
    ),
    "curves": Contract(
        "a held-out loss at one step of one run",
        (
            Column("run", _TEXT, "name of the run in config/experiments.yaml"),
            Column("size", _TEXT, "role of the model size: size1 .. size4"),
            Column("seed", pa.int64(), "seed of the run"),
            Column("domain", _TEXT, "held-out domain", allowed=ALL_HELD_OUT),
            Column("step", pa.int64(), "optimiser steps taken", minimum=0),
            Column("tokens", pa.int64(), "tokens seen in all domains", minimum=0),
            Column("domain_tokens", pa.int64(), "tokens seen in the matching domain", minimum=0),
            Column("repeats", pa.float64(), "domain_tokens / unique tokens", minimum=0),
            Column("token_class", _TEXT, "which tokens", allowed=TOKEN_CLASSES),
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
            Column("run", _TEXT, "name of the run"),
            Column("step", pa.int64(), "optimiser steps taken", minimum=1),
            Column("tokens", pa.int64(), "tokens seen", minimum=1),
            Column("loss", pa.float64(), "mean training loss since the last row, nats/token"),
            Column("learning_rate", pa.float64(), "of the step", minimum=0),
            Column("gradient_norm", pa.float64(), "before clipping", minimum=0),
            Column("tokens_per_second", pa.float64(), "wall-clock throughput", minimum=0),
        ),
    ),
    "residuals": Contract(
        "an evaluation beside the law fitted to its curve",
        (
            *_FITTED_CURVE,
            Column("tokens", pa.int64(), "tokens seen in all domains", minimum=1),
            Column("repeats", pa.float64(), "of the matching training domain", minimum=0),
            Column("loss", pa.float64(), "mean loss, nats/token", minimum=0),
            Column("used", pa.bool_(), "fitted; otherwise left out as burn-in"),
            Column("fitted", pa.float64(), "by least squares; none: no law", nullable=True),
            Column("residual", pa.float64(), "loss - fitted", nullable=True),
            Column("huber_fitted", pa.float64(), "by the Huber loss of ln L", nullable=True),
        ),
        unique=("run", "domain", "tokens"),
    ),
    "rivals": Contract(
        "a law fitted to one curve, to be compared with the others",
        (
            *_FITTED_CURVE,
            Column("law", _TEXT, "which", allowed=LAWS),
            Column("parameters", pa.int64(), "of the law, without the noise's", minimum=1),
            Column("status", _TEXT, "of the fit of the power law with a floor"),
            Column("n_points", pa.int64(), "evaluations after the burn-in", minimum=0),
            Column("rmse", pa.float64(), "nats/token; none: too few points", nullable=True),
            Column("aicc", pa.float64(), "none: too few points", nullable=True),
            Column("delta_aicc", pa.float64(), "above the curve's least AICc", nullable=True),
            Column("n_first", pa.int64(), "evaluations in the first half of the tokens", minimum=0),
            Column("n_rest", pa.int64(), "evaluations after it", minimum=0),
            Column(
                "extrapolation_rmse",
                pa.float64(),
                "of the rest, predicted from the first half, nats/token",
                nullable=True,
            ),
            Column("extrapolation_bias", pa.float64(), "mean of predicted - seen", nullable=True),
        ),
        unique=("run", "domain", "law"),
    ),
    "uncertainty": Contract(
        "an interval of a fitted parameter over seeds, or inside one run",
        (
            Column("size", _TEXT, "role of the model size: size1 .. size4"),
            Column("kind", _TEXT, "of the runs: their names without size and seed"),
            Column("domain", _TEXT, "held-out domain", allowed=(*ALL_HELD_OUT, *POOLED_DOMAINS)),
            Column("parameter", _TEXT, "which", allowed=("alpha", "l_inf")),
            Column("method", _TEXT, "where the interval is from", allowed=UNCERTAINTIES),
            Column("runs", pa.int64(), "runs behind it", minimum=1),
            Column("converged", pa.int64(), "of them, with an identified fit", minimum=0),
            Column("estimate", pa.float64(), "none: a run has no law", nullable=True),
            Column("low", pa.float64(), "95 %; none: open", nullable=True),
            Column("high", pa.float64(), "95 %; none: open", nullable=True),
        ),
        unique=("size", "kind", "domain", "parameter", "method"),
    ),
    "ranking": Contract(
        "a model's recall at one cutoff",
        (
            *_TRAINING_OF_ARM,
            Column("learning_rate", pa.float64(), "chosen by the sweep; 0: none", minimum=0),
            Column("examples", pa.int64(), "training examples", minimum=1),
            Column("items", pa.int64(), "items ranked", minimum=1),
            Column("k", pa.int64(), "cutoff", minimum=1),
            _share("recall", "recall@k over the test users"),
            _share("ndcg", "NDCG@k over the test users"),
            _share("recall_masked", "recall@k with history items hidden"),
            _share("recall_unfiltered", "recall@k if items outside the vocabulary count as missed"),
            Column("n_test", pa.int64(), "test users", minimum=1),
            Column("n_left_out", pa.int64(), "users whose test item is outside", minimum=0),
            _share("target_in_history", "targets already bought"),
        ),
    ),
    "ranks": Contract(
        "the rank of one test user's next item",
        (
            *_TRAINING_OF_ARM,
            Column("user_id", _ID, "test user"),
            Column("test_item", _ID, "the target"),
            Column("stratum", _TEXT, "of the target's popularity", allowed=STRATA),
            Column("in_history", pa.bool_(), "the target was already bought"),
            Column("rank", pa.int64(), "1 is best; ties count against the model", minimum=1),
            Column("rank_masked", pa.int64(), "the same with history items hidden", minimum=1),
        ),
    ),
    "generation": Contract(
        "the answers of one search to one history that asks for its next item",
        (
            Column("run", _TEXT, "name of the run"),
            Column("size", _TEXT, "role of the model size: size1 .. size4"),
            Column("seed", pa.int64(), "seed of the run"),
            Column("histories", _TEXT, "set of walks, or random items", allowed=ANSWERED),
            Column("source", _TEXT, "who answers", allowed=ANSWERING),
            Column("search", _TEXT, "among items, or among all tokens", allowed=SEARCHES),
            Column("beams", pa.int64(), "width of the beam; 1: greedy", minimum=1),
            Column("history", pa.int64(), "number of the history in its set", minimum=0),
            Column("history_items", pa.int64(), "items shown", minimum=1),
            Column("width", pa.int64(), "codes an item", minimum=1),
            Column("target", _ID, "the true next item; none after random items", nullable=True),
            _share("exact", "the likeliest answer has the target's codes", True),
            _share("exact_item", "the same / items that share these codes", True),
            _share("exact_in_beam", "an answer has the target's codes", True),
            Column("prefix", pa.float64(), "first codes equal, likeliest answer", True, minimum=0),
            Column("prefix_in_beam", pa.float64(), "the same, best answer", True, minimum=0),
            _share("set", "target's codes that the likeliest answer has", True),
            _share("set_in_beam", "the same, best answer", True),
            _share("invalid", "answers that are no item"),
            Column("distinct_items", pa.float64(), "distinct ids among the answers", minimum=0),
            Column(
                "distinct_categories",
                pa.float64(),
                "distinct leaf categories among the answers",
                nullable=True,
                minimum=0,
            ),
            _share("code_distance", "of two answers: 1 - share of codes in common", True),
            _share("overlap_with_history", "codes an answer shares with an item shown, at most"),
            _share("category_in_history", "answers in the leaf category of an item shown", True),
            Column("first_item", _ID, "the likeliest answer; none if no item", nullable=True),
            Column("first_category", _ID, "number of its leaf category", nullable=True),
            Column("log_probability", pa.float64(), "of it, nats", nullable=True),
        ),
        unique=("run", "histories", "source", "search", "beams", "history"),
    ),
    "case_studies": Contract(
        "a line of a case study: an item of the prompt, an answer, or the true next item",
        (
            Column("run", _TEXT, "name of the run"),
            Column("size", _TEXT, "role of the model size: size1 .. size4"),
            Column("figure", _TEXT, "which", allowed=CASES),
            Column("role", _TEXT, "what", allowed=("prompt", "truth", *SEARCHES)),
            Column("position", pa.int64(), "place in the prompt or in the beam", minimum=0),
            Column("codes", _TEXT, "as the model reads or writes it"),
            Column("text", _TEXT, "text of the item; none if no item has the codes", nullable=True),
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
            Column("run", _TEXT, "name of the run"),
            Column("size", _TEXT, "role of the model size: size1 .. size4"),
            Column("seed", pa.int64(), "seed of the run"),
            Column("user_id", _ID, "test user"),
            Column("test_item", _ID, "the target"),
            Column("history_items", pa.int64(), "items shown", minimum=1),
            Column("beams", pa.int64(), "width of the beam", minimum=1),
            Column("items", pa.int64(), "items that can be answered", minimum=1),
            Column("rank", pa.int64(), "1 is best; the last where not found", minimum=1),
            Column("log_probability", pa.float64(), "nats; none: not found", nullable=True),
        ),
        unique=("run", "user_id"),
    ),
    "world_trials": Contract(
        "true and logged recall of one order of the items, in one simulated world",
        (
            Column("dial", _TEXT, "the bias that is on; none: the reference"),
            _share("strength", "of the dial"),
            Column("arm", _TEXT, "what orders the items", allowed=ORDERS),
            Column("model", _TEXT, "GRU4Rec, ...; the arm where nothing is trained"),
            Column("seed", pa.int64(), "of the world and the training", minimum=0),
            Column("k", pa.int64(), "cutoff", minimum=1),
            _share("true_recall", "chance that the true next item is among the first k"),
            _share("logged_recall", "recall@k of the next item of the log"),
            Column("n_test", pa.int64(), "test users", minimum=1),
            Column("items", pa.int64(), "items that are ordered", minimum=1),
            Column("examples", pa.int64(), "training examples of either arm", minimum=0),
        ),
        unique=("dial", "strength", "arm", "model", "seed", "k"),
    ),
}
