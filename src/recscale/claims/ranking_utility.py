"""Claims about training on synthetic and testing on real (Section 5.2, Figure 1, abstract)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from recscale.claims.intervals import CONFIDENCE, RatioOfShares, bootstrap_ratio, corrected
from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, NotMeasured, Outcome, Verdict, decides, given, listed
from recscale.errors import UserError
from recscale.seeds import generator

ARMS = ("tstr", "trtr")
DECIDING_BUDGET = "matched"
DECIDING_VALIDATION = "real"


@dataclass(frozen=True)
class _Cell:
    model: str
    cutoff: int
    seeds: int
    ratio: RatioOfShares

    def text(self) -> str:
        return f"{self.model} @{self.cutoff} {self.ratio.interval()}"


@decides
def ranking_tstr_beats_trtr(claim: Claim, evidence: Evidence) -> Outcome:
    """Every ratio TSTR / TRTR of recall lies above 1."""
    ranks = _matched(evidence)
    cutoffs, hidden = _measurable(ranks, claim.limits["cutoffs"], claim.limits["chance"])
    if not cutoffs:
        return Outcome(Verdict.NOT_MEASURABLE, "", hidden)
    models = [m for m in claim.limits["models"] if m in set(ranks["model"])]
    cells = [_cell(ranks, model, k, claim) for model in models for k in cutoffs]
    if not cells:
        raise NotMeasured("no ranks of the paper's models yet")
    measured = listed(cell.text() for cell in cells)
    notes = [hidden] if hidden else []
    fewest = min(cell.seeds for cell in cells)
    if fewest < claim.limits["seeds"]:
        notes.insert(0, f"{fewest} of the {claim.limits['seeds']} seeds it needs")
        return Outcome(Verdict.INCONCLUSIVE, measured, listed(notes))
    confidence = corrected(len(cells))
    below = [cell for cell in cells if cell.ratio.interval(confidence).below(1)]
    above = [cell for cell in cells if cell.ratio.interval().above(1)]
    ours = f"{len(above)} of {len(cells)} above 1, {len(below)} below"
    notes.insert(0, f"{len(above)} of {len(cells)} ratios above 1, {len(below)} below")
    if below:
        return Outcome(Verdict.CONTRADICTED, measured, listed(notes), ours)
    missing = [m for m in claim.limits["models"] if m not in models]
    if missing:
        notes.append(f"not trained: {', '.join(missing)}")
    if len(above) == len(cells) and not missing:
        return Outcome(Verdict.REPRODUCED, measured, listed(notes), ours)
    return Outcome(Verdict.INCONCLUSIVE, measured, listed(notes), ours)


@decides
def ranking_sasrec_gain(claim: Claim, evidence: Evidence) -> Outcome:
    """SASRec's recall@100 gains at least half of the published 130 %."""
    ranks = _matched(evidence)
    cutoff, model = claim.limits["cutoff"], claim.limits["model"]
    if model not in set(ranks["model"]):
        raise NotMeasured(f"no ranks of {model} yet")
    cutoffs, hidden = _measurable(ranks, [cutoff], claim.limits["chance"])
    if not cutoffs:
        return Outcome(Verdict.NOT_MEASURABLE, "", hidden)
    threshold = 1 + claim.limits["share_of_gain"] * (float(claim.published) - 1)
    cell = _cell(ranks, model, cutoff, claim)
    interval = cell.ratio.interval(CONFIDENCE)
    if cell.seeds < claim.limits["seeds"]:
        reason = f"{cell.seeds} of the {claim.limits['seeds']} seeds it needs"
        return Outcome(Verdict.INCONCLUSIVE, cell.text(), reason, str(interval))
    if interval.above(threshold):
        verdict, side = Verdict.REPRODUCED, "above"
    elif interval.below(threshold):
        verdict, side = Verdict.CONTRADICTED, "below"
    else:
        verdict, side = Verdict.INCONCLUSIVE, "around"
    reason = f"interval {side} the threshold {threshold:.3g}"
    return Outcome(verdict, cell.text(), reason, str(interval))


def _matched(evidence: Evidence) -> pd.DataFrame:
    ranks = given(evidence.ranks, "ranks")
    ranks = ranks[
        (ranks["budget"] == DECIDING_BUDGET)
        & (ranks["validation"] == DECIDING_VALIDATION)
        & (ranks["stratum"] != "outside")
    ]
    if not set(ARMS) <= set(ranks["arm"]):
        raise NotMeasured("no ranks of both arms with the matched budget yet")
    return ranks


def _measurable(
    ranks: pd.DataFrame, cutoffs: Sequence[int], chance: float
) -> tuple[list[int], str]:
    """The cutoffs at which a random order finds less than `chance`, and what is said of the rest.

    The number of ranked items is at least the largest rank that any model gave a target.
    """
    items = int(ranks["rank"].max())
    kept = [k for k in cutoffs if k / items < chance]
    hidden = [k for k in cutoffs if k not in kept]
    if not hidden:
        return kept, ""
    shown = ", ".join(f"@{k} ({k / items:.0%} at random)" for k in hidden)
    return kept, f"not measurable among about {items} items: {shown}"


def _cell(ranks: pd.DataFrame, model: str, cutoff: int, claim: Claim) -> _Cell:
    """The ratio of one model at one cutoff over the seeds that both arms have."""
    of_model = ranks[ranks["model"] == model]
    tables = []
    for arm in ARMS:
        rows = of_model[of_model["arm"] == arm]
        if rows.duplicated(["seed", "user_id"]).any():
            raise UserError(
                f"the ranks of {model}, arm {arm}, hold a test user twice",
                "give each ranks file once",
            )
        table = rows.pivot(index="seed", columns="user_id", values="rank")
        if table.isna().to_numpy().any():
            raise UserError(
                f"the seeds of {model}, arm {arm}, have different test users",
                "rerun the arms of one target together",
            )
        tables.append(table)
    first, second = tables
    if not first.columns.equals(second.columns):
        raise UserError(
            f"the arms of {model} have different test users",
            "rerun the arms of one target together",
        )
    seeds = first.index.intersection(second.index)
    if len(seeds) == 0:
        raise NotMeasured(f"no seed of {model} in both arms yet")
    hits = [table.loc[seeds].to_numpy() <= cutoff for table in tables]
    drawn = generator(0, "claims", model, cutoff)
    ratio = bootstrap_ratio(hits[0], hits[1], claim.limits["resamples"], drawn)
    return _Cell(model, cutoff, len(seeds), ratio)
