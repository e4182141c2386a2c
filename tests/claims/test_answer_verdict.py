"""The verdict on beam search."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recscale.claims.ledger import decide
from recscale.claims.verdict import Evidence, Verdict


def answers(relevance=0.3, diversity=0.2, invalid=0.1, histories=150, real_distance=0.4):
    """Answers of the largest model; shares scatter about their means from history to history."""
    rng = np.random.default_rng(0)
    parts = []
    for kind, more in (("uih_full_graph", 0.0), ("random", diversity)):
        for search in ("constrained", "unconstrained"):
            for beams in (1, 10):
                chance = 0.2
                part = pd.DataFrame(
                    {
                        "run": "size4-full",
                        "source": "model",
                        "search": search,
                        "beams": beams,
                        "histories": kind,
                        "history": np.arange(histories),
                        "invalid": invalid * (search == "unconstrained"),
                        "code_distance": real_distance + more + 0.1 * rng.normal(size=histories),
                        "top_category_in_history": chance
                        + relevance
                        + 0.2 * rng.normal(size=histories),
                        "top_category_by_chance": chance,
                    }
                )
                parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def verdict(claims):
    return lambda table: decide(
        claims["beam_search_diverse"], Evidence("planted", generation=table)
    )


def test_relevant_and_more_diverse_after_random_histories(verdict):
    assert verdict(answers()).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize("changed", [{"relevance": -0.2}, {"diversity": -0.1}])
def test_the_opposite_of_either_contradicts(verdict, changed):
    assert verdict(answers(**changed)).verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"relevance": 0.0}, "undecided: share in the history's top categories"),
        ({"diversity": 0.0}, "undecided: distance inside a beam"),
        ({"histories": 99}, "99 of the 100 histories"),
    ],
)
def test_what_is_not_told_is_inconclusive(verdict, changed, reason):
    outcome = verdict(answers(**changed))
    assert outcome.verdict is Verdict.INCONCLUSIVE and reason in outcome.reason


def test_a_model_that_writes_no_ids_is_too_small(verdict):
    assert verdict(answers(invalid=0.51)).verdict is Verdict.NOT_MEASURABLE
    assert verdict(answers(invalid=0.49)).verdict is Verdict.REPRODUCED


def test_one_answer_a_beam_is_not_diverse(verdict):
    table = answers()
    real = table["histories"] == "uih_full_graph"
    assert verdict(table.assign(code_distance=table["code_distance"].mask(real, 0.0))).verdict is (
        Verdict.INCONCLUSIVE
    )


def test_what_is_not_there_is_not_measured(verdict):
    assert verdict(None).verdict is Verdict.NOT_MEASURED
    other = verdict(answers().assign(run="size1-full"))
    assert other.verdict is Verdict.NOT_MEASURED and "size4-full" in other.reason
    plain = verdict(answers().drop(columns="top_category_by_chance"))
    assert plain.verdict is Verdict.NOT_MEASURED and "top_category_by_chance" in plain.reason
