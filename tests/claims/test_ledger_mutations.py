"""What a broken or changed input does to the ledger: it never makes a claim hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recscale.claims import controls, ledger
from recscale.claims.ledger import decide, write_ledger
from recscale.claims.verdict import Evidence, Verdict
from recscale.errors import UserError

RUNS = ("size3-full", "size3-cf_uih", "size3-item_uih", "size3-uih")


@pytest.fixture
def experiments():
    """The four mixtures with two more seeds each, and a control."""
    seeds = [f"{run}-seed{seed}" for run in RUNS for seed in (1, 2)]
    extra = ["size3-no_general", *seeds]
    return controls.Experiments(frozenset([*RUNS, *extra]), frozenset(extra))


@pytest.fixture
def evidence(make_evidence):
    def make(seeds=3):
        lowest = {  # of UIH, CF and item text; a mixture without a domain does not learn it
            "size3-full": (0.70, 0.4, 1.0),
            "size3-cf_uih": (0.66, 0.4, 2.0),
            "size3-item_uih": (0.80, 1.3, 1.0),
            "size3-uih": (0.95, 1.3, 2.0),
        }

        def loss(ends):
            def of_domain(domain, share):
                end = dict(zip(("uih", "cf", "item"), ends, strict=True))
                level = next((v for k, v in end.items() if domain.startswith(k)), 1.0)
                return level + 0.5 * np.exp(-5 * share)

            return of_domain

        parameters = {run: (ends[0], 0.4) for run, ends in lowest.items()}
        parameters["size3-full"] = (0.70, 0.5)
        return make_evidence(
            {run: {"loss": loss(ends)} for run, ends in lowest.items()}, seeds, parameters
        )

    return make


def test_no_run_can_be_deleted_and_leave_its_claims_reproduced(claims, evidence):
    whole = evidence()
    needing = [c for c in claims.values() if c.needs and set(c.needs) <= set(RUNS)]
    reproduced = [c for c in needing if decide(c, whole).verdict is Verdict.REPRODUCED]
    assert len(reproduced) >= 5
    for claim in reproduced:
        for run in claim.needs:
            tables = {
                name: getattr(whole, name)[getattr(whole, name)["run"] != run]
                for name in ("curves", "fits")
            }
            outcome = decide(claim, dataclasses.replace(whole, **tables))
            assert outcome.verdict is Verdict.NOT_MEASURED, (claim.id, run)
            assert run in outcome.reason


def test_no_seed_can_be_deleted_and_leave_its_claims_reproduced(claims, evidence):
    whole = evidence()
    for name in ("cf_helps_uih", "full_mixture_largest_alpha"):
        claim = claims[name]
        assert decide(claim, whole).verdict is Verdict.REPRODUCED
        for run in claim.needs:
            lost = f"{run}-seed2"
            tables = {
                key: getattr(whole, key)[getattr(whole, key)["run"] != lost]
                for key in ("curves", "fits")
            }
            outcome = decide(claim, dataclasses.replace(whole, **tables))
            assert outcome.verdict is Verdict.INCONCLUSIVE
            assert "2 of the 3 seeds it needs" in outcome.reason


def test_a_verdict_that_lacks_seeds_names_the_target_that_trains_them(
    claims, evidence, experiments
):
    outcome = decide(claims["cf_helps_uih"], evidence(1), experiments)
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "1 of the 3 seeds it needs" in outcome.reason
    assert "the target all_controls trains size3-uih-seed1, size3-uih-seed2" in outcome.reason
    whole = decide(claims["cf_helps_uih"], evidence(3), experiments)
    assert "all_controls" not in whole.reason


def test_a_verdict_that_lacks_a_control_names_the_target_that_trains_it(
    claims, evidence, experiments
):
    outcome = decide(claims["general_text_prevents_forgetting"], evidence(3), experiments)
    assert outcome.verdict is Verdict.NOT_MEASURED
    assert outcome.reason.startswith("no curves of size3-no_general yet")
    assert "the target all_controls trains size3-no_general" in outcome.reason
    assert "no target trains 3 seeds of size3-no_general" in outcome.reason


def test_the_committed_experiments_know_their_controls():
    path = ledger.Path(__file__).parents[2] / "config" / "experiments.yaml"
    known = controls.read_experiments(path)
    assert "size3-uih-seed1" in known.controls and "size3-uih" in known.runs - known.controls
    assert len(known.runs - known.controls) == 19


def test_a_broken_list_of_experiments_stops_by_name(tmp_path):
    with pytest.raises(UserError, match=r"runs\.yaml is missing"):
        controls.read_experiments(tmp_path / "runs.yaml")
    (tmp_path / "runs.yaml").write_text("mixtures: {}")
    with pytest.raises(UserError, match=r"runs\.yaml has no runs"):
        controls.read_experiments(tmp_path / "runs.yaml")


def test_an_edited_published_number_changes_its_comparison_and_nothing_else(claims, make_ranks):
    evidence = Evidence("planted", ranks=make_ranks(0.5, 0.3))
    before = write_ledger(claims.values(), evidence).set_index("id")
    edited = dict(claims)
    gain = claims["ranking_sasrec_gain"]
    edited[gain.id] = dataclasses.replace(gain, published="1.10")
    after = write_ledger(edited.values(), evidence).set_index("id")
    changed = (before != after).any(axis=1)
    assert list(changed.index[changed]) == [gain.id]
    columns = (before != after).any()
    assert set(columns.index[columns]) == {"published", "verdict", "reason"}
    assert before.loc[gain.id, "verdict"] == "inconclusive"
    assert after.loc[gain.id, "verdict"] == "reproduced"


def test_a_published_number_that_no_rule_reads_changes_no_verdict(claims, make_ranks):
    evidence = Evidence("planted", ranks=make_ranks())
    before = write_ledger(claims.values(), evidence).set_index("id")
    read = {"ranking_sasrec_gain", "repetition_onset_tokens"}
    edited = [
        claim if claim.id in read else dataclasses.replace(claim, published="another")
        for claim in claims.values()
    ]
    after = write_ledger(edited, evidence).set_index("id")
    columns = (before != after).any()
    assert set(columns.index[columns]) == {"published"}


def test_a_reference_shows_where_ours_is_open_and_nowhere_else(claims, make_ranks):
    evidence = Evidence("planted", ranks=make_ranks())
    ours = write_ledger(claims.values(), evidence)
    other = ours.assign(verdict="contradicted", ours="0.5", rung="mini")
    shown = write_ledger(claims.values(), evidence, reference=other).set_index("id")
    assert shown.loc["ranking_sasrec_gain", "verdict"] == "reproduced"
    assert shown.loc["ranking_sasrec_gain", "reference"] == ""
    assert shown.loc["privacy", "reference"] == "contradicted (rung mini), 0.5"
    assert (ours["reference"] == "").all()
