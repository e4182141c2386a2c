"""Verdicts on which domains a mixture needs (Figures 3 and 4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recscale.claims.ledger import decide
from recscale.claims.runs import loss_at
from recscale.claims.verdict import Verdict

FULL, CF_UIH, ITEM_UIH, UIH = "size3-full", "size3-cf_uih", "size3-item_uih", "size3-uih"


def falling(**ends):
    """A loss by domain that falls to the given level, or to 1."""

    def loss(domain, share):
        end = next((v for name, v in ends.items() if domain.startswith(name)), 1.0)
        return end + 0.5 * np.exp(-5 * share)

    return loss


def flat(level):
    return lambda domain, share: np.full(len(share), level) + 0.4 * (share == 0)


def verdict(claims, name, evidence):
    outcome = decide(claims[name], evidence)
    return outcome.verdict, outcome


@pytest.fixture
def four(make_evidence):
    """The four mixtures with UIH losses and parameters of one's choice."""

    def make(ends=(0.70, 0.66, 0.80, 0.95), l_inf=(0.76, 0.66, 0.8, 0.95), **more):
        uih = (0.11, 0.13, 0.275, 0.5)
        runs = {
            run: {"loss": falling(uih=end), "uih": share}
            for run, end, share in zip((FULL, CF_UIH, ITEM_UIH, UIH), ends, uih, strict=True)
        }
        alphas = more.pop("alphas", (0.5, 0.4, 0.3, 0.2))
        parameters = dict(zip(runs, zip(l_inf, alphas, strict=True), strict=True))
        return make_evidence(runs, parameters=parameters, **more)

    return make


def test_cf_lowers_the_uih_loss(claims, four):
    found, outcome = verdict(claims, "cf_helps_uih", four())
    assert found is Verdict.REPRODUCED, outcome
    assert outcome.ours.endswith("(31%)")


def test_cf_that_lowers_l_inf_alone_is_explained_by_repetition(claims, four):
    # UIH only is ahead at equal UIH tokens.
    equal = four(ends=(0.7, 0.8, 0.8, 0.5), l_inf=(0.7, 0.66, 0.8, 0.95))
    assert verdict(claims, "cf_helps_uih", equal)[0] is Verdict.CONTRADICTED
    # L_inf falls, and the losses at equal tokens are alike: run the same curve under both names.
    same = four()
    curves = same.curves
    copy = curves[curves["run"].str.startswith(CF_UIH)]
    renamed = copy.assign(run=copy["run"].str.replace(CF_UIH, UIH))
    shifted = renamed.assign(loss=renamed["loss"] + np.where(renamed["seed"] == 1, 0.003, -0.002))
    others = curves[~curves["run"].str.startswith(UIH)]
    alike = replace(same, curves=pd.concat([others, shifted], ignore_index=True))
    found, outcome = verdict(claims, "cf_helps_uih", alike)
    assert found is Verdict.INCONCLUSIVE
    assert "undecided: UIH loss at equal UIH tokens" in outcome.reason


def test_an_l_inf_that_is_not_identified_reproduces_nothing_but_a_loss_may_contradict(claims, four):
    status = {(UIH, "uih"): "not_monotone"}
    found, outcome = verdict(claims, "cf_helps_uih", four(status=status))
    assert found is Verdict.INCONCLUSIVE
    assert "size3-uih not_monotone" in outcome.reason
    worse = four(ends=(0.7, 0.8, 0.8, 0.5), status=status)
    assert verdict(claims, "cf_helps_uih", worse)[0] is Verdict.CONTRADICTED


def test_item_text_costs_uih(claims, four):
    assert verdict(claims, "item_text_costs_uih", four())[0] is Verdict.REPRODUCED
    less = four(l_inf=(0.60, 0.66, 0.8, 0.95))
    assert verdict(claims, "item_text_costs_uih", less)[0] is Verdict.CONTRADICTED
    # The same L_inf decides nothing where it is not identified.
    loose = four(l_inf=(0.60, 0.66, 0.8, 0.95), status={(FULL, "uih"): "at_bound"})
    assert verdict(claims, "item_text_costs_uih", loose)[0] is Verdict.INCONCLUSIVE


def test_the_full_mixture_has_the_largest_alpha(claims, four):
    name = "full_mixture_largest_alpha"
    assert verdict(claims, name, four())[0] is Verdict.REPRODUCED
    lower = four(alphas=(0.3, 0.4, 0.3, 0.2))
    found, outcome = verdict(claims, name, lower)
    assert found is Verdict.CONTRADICTED and "size3-cf_uih" in outcome.reason
    # A pair that is identified contradicts, whatever another run's fit is.
    rising = four(alphas=(0.3, 0.4, 0.3, 0.2), status={(UIH, "uih"): "not_monotone"})
    assert verdict(claims, name, rising)[0] is Verdict.CONTRADICTED
    loose = four(alphas=(0.3, 0.4, 0.2, 0.2), status={(CF_UIH, "uih"): "not_identified"})
    assert verdict(claims, name, loose)[0] is Verdict.INCONCLUSIVE


def test_one_seed_is_inconclusive_and_a_missing_run_not_measured(claims, four):
    for name in ("cf_helps_uih", "item_text_costs_uih", "full_mixture_largest_alpha"):
        found, outcome = verdict(claims, name, four(seeds=1))
        assert found is Verdict.INCONCLUSIVE
        assert outcome.reason.startswith("1 of the 3 seeds it needs")
        evidence = four()
        without = [t[~t["run"].str.fullmatch(CF_UIH)] for t in (evidence.curves, evidence.fits)]
        gone = replace(evidence, curves=without[0], fits=without[1])
        found, outcome = verdict(claims, name, gone)
        assert found is Verdict.NOT_MEASURED and CF_UIH in outcome.reason


@pytest.mark.parametrize(
    ("name", "domain", "others"),
    [
        ("cf_needed_for_cf", "cf", (UIH, ITEM_UIH)),
        ("item_text_needed", "item_text", (UIH, CF_UIH)),
    ],
)
def test_a_domain_is_needed(claims, make_evidence, name, domain, others):
    def evidence(first, second):
        runs = {FULL: {"loss": falling()}}
        for run, end in zip(others, (first, second), strict=True):
            runs[run] = {"loss": falling(**{domain: end})}
        return make_evidence(runs)

    found, outcome = verdict(claims, name, evidence(1.5, 1.4))
    assert found is Verdict.REPRODUCED
    assert "L_inf of size3-full 0.5" in outcome.measured
    assert verdict(claims, name, evidence(1.5, 1.1))[0] is Verdict.CONTRADICTED
    assert verdict(claims, name, evidence(1.5, 1.2))[0] is Verdict.INCONCLUSIVE


def test_uih_alone_does_not_teach_cf(claims, make_evidence):
    name = "uih_does_not_help_cf"
    learns, learns_not = {"loss": falling()}, {"loss": flat(2.0)}
    found, outcome = verdict(claims, name, make_evidence({FULL: learns, UIH: learns_not}))
    assert found is Verdict.REPRODUCED, outcome
    both = make_evidence({FULL: learns, UIH: learns})
    assert verdict(claims, name, both)[0] is Verdict.CONTRADICTED
    rising = {"loss": lambda domain, share: 1 + share}
    neither = make_evidence({FULL: rising, UIH: learns_not})
    assert verdict(claims, name, neither)[0] is Verdict.NOT_MEASURABLE


def test_the_fall_starts_at_the_end_of_the_burn_in(claims, make_evidence):
    # Before it, the loss on UIH alone falls as far as that of the full mixture ever does.
    early = {"loss": lambda domain, share: 1.0 + 0.5 * (share < 0.05)}
    evidence = make_evidence({FULL: {"loss": falling()}, UIH: early})
    assert verdict(claims, "uih_does_not_help_cf", evidence)[0] is Verdict.REPRODUCED


def test_item_text_helps_on_unseen_items(claims, make_evidence):
    name = "item_text_helps_unseen"

    def evidence(one, both, **how):
        without = falling(cf_one_unseen=one, cf_both_unseen=both)
        return make_evidence({FULL: {"loss": falling(), **how}, CF_UIH: {"loss": without, **how}})

    assert verdict(claims, name, evidence(1.1, 1.2))[0] is Verdict.REPRODUCED
    assert verdict(claims, name, evidence(1.1, 0.9))[0] is Verdict.CONTRADICTED
    assert verdict(claims, name, evidence(1.1, 1.0))[0] is Verdict.INCONCLUSIVE
    found, outcome = verdict(claims, name, evidence(1.1, 1.2, n_tokens=999))
    assert found is Verdict.NOT_MEASURABLE and "999" in outcome.reason


def test_losses_are_compared_at_equal_tokens_of_the_domain(claims, make_evidence):
    # One curve of CF loss over CF tokens; the run without item text sees more of them.
    by_tokens = {run: cf for run, cf in ((FULL, 0.30), (CF_UIH, 0.37))}
    runs = {
        run: {"loss": lambda d, share, cf=cf: 3 - 0.3 * np.log(1 + 1e4 * cf * share), "cf": cf}
        for run, cf in by_tokens.items()
    }
    outcome = decide(claims["item_text_helps_unseen"], make_evidence(runs))
    assert outcome.verdict is Verdict.INCONCLUSIVE
    last = {run: runs[run]["loss"](None, np.ones(1))[0] for run in runs}
    assert last[FULL] - last[CF_UIH] > 0.05  # at the end they are apart


def test_a_loss_between_evaluations_is_linear_in_ln_tokens():
    rows = pd.DataFrame({"domain_tokens": [0, 100, 10_000], "loss": [9.0, 3.0, 1.0]})
    assert loss_at(rows, 1000) == pytest.approx(2.0)
    assert np.isnan(loss_at(rows, 50))


def test_half_general_text_prevents_forgetting(claims, make_evidence):
    name = "general_text_prevents_forgetting"
    keeps = {"loss": lambda domain, share: 2.0 - 0.05 * share}
    forgets = {"loss": lambda domain, share: 2.0 + 0.5 * share}

    def evidence(full, without, seeds=3):
        return make_evidence({FULL: full, "size3-no_general": without}, seeds=seeds)

    assert verdict(claims, name, evidence(keeps, forgets))[0] is Verdict.REPRODUCED
    assert verdict(claims, name, evidence(keeps, keeps))[0] is Verdict.CONTRADICTED
    assert verdict(claims, name, evidence(forgets, forgets))[0] is Verdict.CONTRADICTED
    one = evidence(keeps, forgets, {FULL: 3, "size3-no_general": 1})
    found, outcome = verdict(claims, name, one)
    assert found is Verdict.INCONCLUSIVE and "1 of the 3 seeds" in outcome.reason
