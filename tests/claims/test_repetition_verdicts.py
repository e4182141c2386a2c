"""Verdicts on repeated UIH data (Table 6, Figures 5 and 7) and on its training loss (Figure 6b)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recscale.claims.ledger import decide
from recscale.claims.verdict import Evidence, Verdict

UNIQUE = 60_000  # tokens of the reduced set: 117 windows of 512
SIZES = ("size1", "size2", "size3", "size4")


def turning(at, climb=0.2):
    """A UIH loss that is lowest after a share `at` of D; other domains fall."""

    def loss(domain, share):
        seen = np.maximum(share, 1e-3)
        fall = 1.0 - 0.3 * np.log(seen)
        if not domain.startswith("uih"):
            return fall
        turned = np.abs(np.log(seen / at))
        return 1 + np.where(seen < at, 0.3 * turned, climb * turned)

    return loss


def reduced(ratio, at, climb=0.2, unique=UNIQUE):
    return {"loss": turning(at, climb), "uih": ratio / 100, "unique": unique}


def at_repeats(ratio, repeats, unique=UNIQUE):
    """The share of the budget of 2M tokens at which a ratio has repeated the set so often."""
    return repeats * unique / (ratio / 100 * 2_000_000)


@pytest.fixture
def ratios(make_evidence):
    """Runs at several ratios that turn after so many repeats; above 100 % of D: never."""

    def make(five=2.0, fifteen=2.0, half=9.0, unique=UNIQUE, **more):
        runs = {
            f"size3-uih_{ratio:g}": reduced(ratio, at_repeats(ratio, repeats, unique), 0.2, unique)
            for ratio, repeats in ((0.5, half), (5, five), (15, fifteen))
        }
        return make_evidence(runs, seeds=1, **more)

    return make


@pytest.fixture
def limits(claims):
    """The claim about repeats with limits that fit a budget of a few repeats."""
    claim = claims["repetition_overfits"]
    return replace(claim, limits={"low": 1, "high": 4})


def test_both_ratios_rise_from_there_on(limits, ratios):
    # 5 % ends at 1.7 repeats, 15 % at 5.
    evidence = ratios(five=1.2, fifteen=1.5)
    outcome = decide(limits, evidence)
    assert outcome.verdict is Verdict.REPRODUCED, outcome


def test_an_onset_elsewhere_contradicts(limits, ratios):
    outcome = decide(limits, ratios(five=1.2, fifteen=0.3))
    assert outcome.verdict is Verdict.CONTRADICTED
    assert outcome.reason == "the onset of size3-uih_15 lies outside 1 to 4"


def test_many_repeats_without_a_rise_contradict_and_few_do_not(limits, ratios):
    outcome = decide(limits, ratios(five=1.2, fifteen=9.0))
    assert outcome.verdict is Verdict.CONTRADICTED
    assert "reaches 5 repeats without a rise" in outcome.reason
    few = decide(limits, ratios(five=9.0, fifteen=1.5))
    assert few.verdict is Verdict.INCONCLUSIVE
    assert few.reason == "size3-uih_5 ends before 4 repeats without a rise"


def test_a_rise_at_half_a_per_cent_leaves_it_open(limits, ratios):
    outcome = decide(limits, ratios(five=1.2, fifteen=1.5, half=0.05))
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert outcome.reason == "size3-uih_0.5 rises as well"


def test_a_set_of_99_windows_is_too_small(limits, ratios, claims):
    outcome = decide(limits, ratios(five=1.2, fifteen=1.5, unique=99 * 512))
    assert outcome.verdict is Verdict.NOT_MEASURABLE and "99 windows" in outcome.reason
    enough = decide(limits, ratios(five=1.2, fifteen=1.5, unique=100 * 512))
    assert enough.verdict is not Verdict.NOT_MEASURABLE


def onset_tokens(make_evidence, fifteen, five, two):
    runs = {
        "size3-uih_15": reduced(15, fifteen),
        "size3-uih_5": reduced(5, five),
        "size3-uih_2": reduced(2, two),
    }
    return make_evidence(runs, seeds=1)


def test_onsets_stand_at_the_papers_shares(claims, make_evidence):
    name = claims["repetition_onset_tokens"]
    good = decide(name, onset_tokens(make_evidence, 0.12, 0.5, 2.0))
    assert good.verdict is Verdict.REPRODUCED, good
    late = decide(name, onset_tokens(make_evidence, 0.6, 0.5, 2.0))
    assert late.verdict is Verdict.CONTRADICTED
    assert "size3-uih_15 lies outside a factor 2.0" in late.reason
    flat = decide(name, onset_tokens(make_evidence, 0.12, 2.0, 2.0))
    assert flat.verdict is Verdict.INCONCLUSIVE and flat.reason == "no rise: size3-uih_5"


def test_another_published_onset_is_another_comparison(claims, make_evidence):
    evidence = onset_tokens(make_evidence, 0.12, 0.5, 2.0)
    claim = claims["repetition_onset_tokens"]
    before = decide(claim, evidence)
    after = decide(replace(claim, published="80B, 80B, 160B"), evidence)
    assert (before.verdict, after.verdict) == (Verdict.REPRODUCED, Verdict.CONTRADICTED)
    assert before.ours == after.ours


def sizes(make_evidence, onsets, climbs=(0.2,) * 4, **more):
    runs = {
        f"{size}-uih_15": reduced(15, at, climb)
        for size, at, climb in zip(SIZES, onsets, climbs, strict=True)
    }
    return make_evidence(runs, **more)


def test_the_onset_does_not_depend_on_the_size(claims, make_evidence):
    claim = claims["repetition_onset_size_free"]
    same = decide(claim, sizes(make_evidence, (0.2,) * 4))
    assert same.verdict is Verdict.REPRODUCED, same
    apart = decide(claim, sizes(make_evidence, (0.1, 0.15, 0.2, 0.4)))
    assert apart.verdict is Verdict.CONTRADICTED
    flat = decide(claim, sizes(make_evidence, (0.2, 0.2, 0.2, 2.0)))
    assert flat.verdict is Verdict.INCONCLUSIVE and "no rise: size4-uih_15" in flat.reason
    one = decide(claim, sizes(make_evidence, (0.2,) * 4, seeds=1))
    assert one.verdict is Verdict.INCONCLUSIVE and "1 of the 3 seeds" in one.reason


def test_few_evaluations_cannot_tell_the_onset(claims, make_evidence):
    runs = {f"{size}-uih_15": {**reduced(15, 0.2), "evaluations": 8} for size in SIZES}
    outcome = decide(claims["repetition_onset_size_free"], make_evidence(runs))
    assert outcome.verdict is Verdict.NOT_MEASURABLE and "factor 1.7" in outcome.reason


def test_overfitting_grows_with_the_size(claims, make_evidence):
    claim = claims["overfitting_grows_with_size"]
    grows = (0.05, 0.1, 0.15, 0.2)
    found = decide(claim, sizes(make_evidence, (0.2,) * 4, grows))
    assert found.verdict is Verdict.REPRODUCED, found
    shrinks = decide(claim, sizes(make_evidence, (0.2,) * 4, grows[::-1]))
    assert shrinks.verdict is Verdict.CONTRADICTED
    none = decide(claim, sizes(make_evidence, (2.0,) * 4))
    assert none.verdict is Verdict.NOT_MEASURABLE


def training(levels, seeds=3):
    """Training losses whose last 5 % are at the given levels, and before that anywhere."""
    tables = []
    for run, level in levels.items():
        for seed in range(seeds):
            step = np.arange(1, 201)
            loss = np.where(step > 190, level + 0.001 * np.cos(step), 9 - 0.01 * step)
            loss = loss + 0.0005 * seed + 0.0003 * (len(run) % 3) * seed
            named = run + (f"-seed{seed}" if seed else "")
            tables.append(pd.DataFrame({"run": named, "step": step, "tokens": step, "loss": loss}))
    return pd.concat(tables, ignore_index=True)


PRINTED = {
    "size3-uih_0.5": 2.5,
    "size3-uih_1": 2.4,
    "size3-full": 2.4,
    "size3-uih_15": 2.4,
    "size3-uih_2": 2.3,
    "size3-uih_5": 2.2,
}


def test_the_printed_order_of_training_losses(claims):
    claim = claims["reduced_uih_training_loss_order"]

    def verdict(**levels):
        changed = {f"size3-{name}": level for name, level in levels.items()}
        return decide(claim, Evidence("planted", training=training({**PRINTED, **changed})))

    assert verdict().verdict is Verdict.REPRODUCED, verdict()
    assert verdict(**{"uih_5": 2.35}).verdict is Verdict.CONTRADICTED
    level = verdict(**{"uih_1": 2.43})
    assert level.verdict is Verdict.CONTRADICTED and "uih_1 ~ size3-full" in level.reason
    assert verdict(**{"uih_1": 2.42}).verdict is Verdict.INCONCLUSIVE


def test_the_order_needs_every_run_and_three_seeds(claims):
    claim = claims["reduced_uih_training_loss_order"]
    one = decide(claim, Evidence("planted", training=training(PRINTED, seeds=1)))
    assert one.verdict is Verdict.INCONCLUSIVE
    rows = training(PRINTED)
    gone = decide(claim, Evidence("planted", training=rows[rows["run"] != "size3-uih_2"]))
    assert gone.verdict is Verdict.NOT_MEASURED and "size3-uih_2" in gone.reason
