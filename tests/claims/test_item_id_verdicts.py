"""Verdicts on semantic ids."""

from __future__ import annotations

import pytest

import tidy_inputs
from recscale.claims.ledger import decide
from recscale.claims.verdict import Evidence, Verdict


def verdict(claims, identifier, quality):
    """The verdict on one claim from planted measures."""
    return decide(claims[identifier], Evidence("planted", quality=quality)).verdict


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({}, Verdict.REPRODUCED),
        # The arms swapped.
        ({"rq_kmeans_6x16": 0.50, "rq_vae_6x16_cured": 0.05}, Verdict.CONTRADICTED),
        ({"rq_vae_6x16_cured": 0.05}, Verdict.CONTRADICTED),
        ({"rq_kmeans_6x16": 0.0001, "rq_vae_6x16_cured": 0.0002}, Verdict.NOT_MEASURABLE),
        # RQ-VAE without cures is not what the claim is about.
        ({"rq_vae_6x16_plain": 0.01}, Verdict.REPRODUCED),
    ],
)
def test_rq_kmeans_against_rq_vae(claims, rates, expected):
    assert verdict(claims, "rq_kmeans_beats_rq_vae", tidy_inputs.quality(**rates)) is expected


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({}, Verdict.REPRODUCED),
        ({"rq_kmeans_8x8": 0.30}, Verdict.CONTRADICTED),
        ({"rq_kmeans_8x8": 0.05}, Verdict.INCONCLUSIVE),
        ({"rq_kmeans_6x16": 0.0005, "rq_kmeans_8x8": 0.0001}, Verdict.NOT_MEASURABLE),
    ],
)
def test_collisions_along_table_9(claims, rates, expected):
    assert (
        verdict(claims, "rq_collisions_fall_with_depth", tidy_inputs.quality(**rates)) is expected
    )


@pytest.mark.parametrize("identifier", ["rq_kmeans_beats_rq_vae", "rq_collisions_fall_with_depth"])
def test_too_few_trainings_decide_nothing_and_no_training_is_not_measured(claims, identifier):
    assert verdict(claims, identifier, tidy_inputs.quality(trainings=2)) is Verdict.INCONCLUSIVE
    assert verdict(claims, identifier, None) is Verdict.NOT_MEASURED
    only_sae = tidy_inputs.quality().query("method == 'sae'")
    assert verdict(claims, identifier, only_sae) is Verdict.NOT_MEASURED
