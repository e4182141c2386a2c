"""Verdicts on Figure 1."""

from __future__ import annotations

import pytest

from recscale.claims.ledger import decide
from recscale.claims.verdict import Evidence, Verdict
from recscale.errors import UserError

BOTH = ("ranking_tstr_beats_trtr", "ranking_sasrec_gain")


def verdict(claims, identifier, ranks):
    """The outcome of one claim from ranks alone."""
    return decide(claims[identifier], Evidence("planted", ranks=ranks))


@pytest.mark.parametrize("identifier", BOTH)
def test_swapping_the_arms_flips_the_verdict(claims, make_ranks, identifier):
    ranks = make_ranks()
    assert verdict(claims, identifier, ranks).verdict is Verdict.REPRODUCED
    swapped = ranks.assign(arm=ranks["arm"].map({"tstr": "trtr", "trtr": "tstr"}))
    assert verdict(claims, identifier, swapped).verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize("identifier", BOTH)
def test_two_seeds_are_inconclusive(claims, make_ranks, identifier):
    outcome = verdict(claims, identifier, make_ranks(seeds=2))
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "2 of the 3 seeds" in outcome.reason
    assert "SASRec @100 2." in outcome.measured


def test_equal_arms_are_inconclusive(claims, make_ranks):
    outcome = verdict(claims, "ranking_tstr_beats_trtr", make_ranks(0.3, 0.3))
    assert outcome.verdict is Verdict.INCONCLUSIVE


def test_one_model_below_1_contradicts_all_above(claims, make_ranks):
    ranks = make_ranks()
    stamp = ranks["model"] == "STAMP"
    swapped = ranks["arm"].map({"tstr": "trtr", "trtr": "tstr"})
    outcome = verdict(
        claims, "ranking_tstr_beats_trtr", ranks.assign(arm=swapped.where(stamp, ranks["arm"]))
    )
    assert outcome.verdict is Verdict.CONTRADICTED
    assert "9 of 12 ratios above 1, 3 below" in outcome.reason


def test_a_model_that_was_not_trained_leaves_it_open(claims, make_ranks):
    ranks = make_ranks(models=("GRU4Rec", "SASRec"))
    outcome = verdict(claims, "ranking_tstr_beats_trtr", ranks)
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "NARM, STAMP" in outcome.reason
    no_sasrec = verdict(claims, "ranking_sasrec_gain", make_ranks(models=("GRU4Rec",)))
    assert no_sasrec.verdict is Verdict.NOT_MEASURED


def test_a_gain_of_a_quarter_is_less_than_half_of_130_per_cent(claims, make_ranks):
    outcome = verdict(claims, "ranking_sasrec_gain", make_ranks(0.5, 0.4))
    assert outcome.verdict is Verdict.CONTRADICTED
    assert "below the threshold 1.65" in outcome.reason
    near = verdict(claims, "ranking_sasrec_gain", make_ranks(0.5, 0.303))
    assert near.verdict is Verdict.INCONCLUSIVE


def test_recall_at_1000_among_few_items_is_not_measurable(claims, make_ranks):
    few = verdict(claims, "ranking_tstr_beats_trtr", make_ranks(items=5600))
    assert few.verdict is Verdict.REPRODUCED
    assert "@1000 (18% at random)" in few.reason
    assert "@1000" not in few.measured and "@100 " in few.measured
    none = verdict(claims, "ranking_tstr_beats_trtr", make_ranks(items=150))
    assert none.verdict is Verdict.NOT_MEASURABLE
    sasrec = verdict(claims, "ranking_sasrec_gain", make_ranks(items=1500))
    assert sasrec.verdict is Verdict.NOT_MEASURABLE


def test_other_budgets_do_not_decide(claims, make_ranks):
    ranks = make_ranks().assign(budget="as_in_paper")
    outcome = verdict(claims, "ranking_tstr_beats_trtr", ranks)
    assert outcome.verdict is Verdict.NOT_MEASURED
    assert "matched" in outcome.reason


def test_arms_with_different_test_users_are_an_error(claims, make_ranks):
    ranks = make_ranks()
    lost = (ranks["arm"] == "trtr") & (ranks["user_id"] == 3)
    with pytest.raises(UserError, match="different test users"):
        verdict(claims, "ranking_sasrec_gain", ranks[~lost])
    in_one_seed = lost & (ranks["seed"] == 0)
    with pytest.raises(UserError, match="have different test users"):
        verdict(claims, "ranking_sasrec_gain", ranks[~in_one_seed])


def test_ranks_given_twice_are_an_error(claims, make_ranks):
    ranks = make_ranks()
    doubled = ranks.loc[ranks.index.repeat(2)]
    with pytest.raises(UserError, match="hold a test user twice"):
        verdict(claims, "ranking_sasrec_gain", doubled)
