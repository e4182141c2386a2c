"""Verdicts on losses per item: SAE against RQ-kmeans ids, walks against real histories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recscale.claims.ledger import decide
from recscale.claims.verdict import Verdict
from recscale.contracts import REAL_HISTORIES

SIZES = ("size1", "size2", "size3", "size4")


def at(level):
    return lambda domain, share: level + 0.5 * np.exp(-5 * share)


@pytest.fixture
def methods(make_evidence):
    """Both methods' runs with a level per token and losses per item."""

    def make(per_token=0.1, per_item=lambda domain: 1.0, **more):
        return make_evidence(
            {
                "size3-full": {"loss": at(1.0), "per_item": lambda domain: 10.0},
                "size3-rq_kmeans": {
                    "loss": at(1.0 + per_token),
                    "per_item": lambda domain: 10.0 + per_item(domain),
                },
            },
            **more,
        )

    return make


def test_sae_is_lower_everywhere(claims, methods):
    outcome = decide(claims["sae_beats_rq"], methods())
    assert outcome.verdict is Verdict.REPRODUCED, outcome
    assert "per item in 6 of 6 domains" in outcome.ours


def test_sae_that_is_higher_per_item_in_one_domain_contradicts(claims, methods):
    worse = methods(per_item=lambda domain: -1.0 if domain == "uih_ood" else 1.0)
    outcome = decide(claims["sae_beats_rq"], worse)
    assert outcome.verdict is Verdict.CONTRADICTED and "uih_ood" in outcome.reason


def test_sae_that_is_lower_per_item_alone_leaves_it_open(claims, methods):
    outcome = decide(claims["sae_beats_rq"], methods(per_token=-0.1))
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "not at every evaluation per token: general" in outcome.reason


def test_the_burn_in_does_not_count(claims, methods):
    evidence = methods()
    curves = evidence.curves
    early = curves["run"].str.startswith("size3-rq") & (curves["step"] < 0.06 * 2000)
    curves.loc[early & (curves["token_class"] == "all"), "loss"] -= 1.0
    assert decide(claims["sae_beats_rq"], evidence).verdict is Verdict.REPRODUCED


def test_general_text_counts_per_token_and_real_histories_do_not(claims, methods):
    for domain, expected in (
        ("general", Verdict.INCONCLUSIVE),
        (REAL_HISTORIES, Verdict.REPRODUCED),
    ):
        evidence = methods()
        curves = evidence.curves
        rows = curves["run"].str.startswith("size3-rq") & (curves["domain"] == domain)
        curves.loc[rows & (curves["token_class"] == "all"), "loss"] -= 1.0
        assert decide(claims["sae_beats_rq"], evidence).verdict is expected, domain


@pytest.fixture
def arms(make_evidence):
    """Four sizes on walks and on real histories, with losses per item by domain."""

    def make(walks_gain, real_gain, unique=200_000, seeds=3, on=REAL_HISTORIES):
        runs = {}
        for place, size in enumerate(SIZES):
            for kind, gain in (("full", walks_gain), ("real", real_gain)):

                def per_item(domain, gain=gain, place=place):
                    return 30 - gain * place / 3 * (domain == on)

                runs[f"{size}-{kind}"] = {"loss": at(1.0), "per_item": per_item, "unique": unique}
        return make_evidence(runs, seeds=seeds)

    return make


def with_scatter(evidence):
    """Losses per item that differ a little between runs."""
    rng = np.random.default_rng(0)
    shift = {run: 0.01 * rng.normal() for run in evidence.curves["run"].unique()}
    evidence.curves["loss_per_item"] += evidence.curves["run"].map(shift)
    return evidence


def test_walks_that_gain_more_from_size(claims, arms):
    claim = claims["raw_logs_sub_scale"]
    assert decide(claim, with_scatter(arms(3.0, 1.0))).verdict is Verdict.REPRODUCED
    assert decide(claim, with_scatter(arms(1.0, 3.0))).verdict is Verdict.CONTRADICTED
    assert decide(claim, with_scatter(arms(2.0, 2.0))).verdict is Verdict.INCONCLUSIVE
    one = decide(claim, arms(3.0, 1.0, seeds=1))
    assert one.verdict is Verdict.INCONCLUSIVE and "1 of the 3 seeds" in one.reason


def test_a_gain_on_walks_alone_does_not_count(claims, arms):
    outcome = decide(claims["raw_logs_sub_scale"], with_scatter(arms(3.0, 1.0, on="uih_ood")))
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "gain on uih_ood of walks (2.99" in outcome.measured


def test_real_histories_repeated_more_than_40_times_are_too_few(claims, arms):
    # 0.11 of 2M tokens.
    claim = claims["raw_logs_sub_scale"]
    assert decide(claim, arms(3.0, 1.0, unique=5400)).verdict is Verdict.NOT_MEASURABLE
    assert decide(claim, arms(3.0, 1.0, unique=5600)).verdict is not Verdict.NOT_MEASURABLE


def test_a_size_that_was_not_trained_on_real_histories(claims, arms):
    evidence = arms(3.0, 1.0)
    curves = evidence.curves
    gone = curves[~curves["run"].str.startswith("size2-real")]
    outcome = decide(claims["raw_logs_sub_scale"], type(evidence)("planted", curves=gone))
    assert outcome.verdict is Verdict.NOT_MEASURED and "size2-real" in outcome.reason


def test_runs_without_losses_per_item_are_not_measured(claims, methods):
    curves = methods().curves
    plain = curves[curves["token_class"] == "all"]
    evidence = type(methods())("planted", curves=pd.DataFrame(plain), fits=methods().fits)
    outcome = decide(claims["sae_beats_rq"], evidence)
    assert outcome.verdict is Verdict.NOT_MEASURED and "losses per item" in outcome.reason
