"""The values that columns may have: splits, domains, arms, kinds of tokens and answers."""

from __future__ import annotations

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
