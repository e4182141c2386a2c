"""The claim about beam search (Section 8, Figures 10 and 11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale.claims.intervals import (
    CONFIDENCE,
    Interval,
    bootstrap_means,
    corrected,
    percentile,
)
from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, NotMeasured, Outcome, Verdict, decides, given, listed
from recscale.seeds import generator

RUN = "size4-full"
REAL, RANDOM = "uih_full_graph", "random"  # random histories are as long as those
RESAMPLES = 2000
CATEGORIES = ("top_category_in_history", "top_category_by_chance")


@dataclass(frozen=True)
class _Difference:
    name: str
    estimate: float
    resamples: NDArray[np.float64]

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        return percentile(self.estimate, self.resamples, confidence)


@decides
def beam_search_diverse(claim: Claim, evidence: Evidence) -> Outcome:
    """Answers keep to the history's top categories; to random histories they differ more.

    Which ids the model writes by itself is seen in a search among all tokens; the two differences
    are of the search among items, whose answers all have a category.
    """
    whole = given(evidence.generation, "answers to histories")
    whole = whole[(whole["run"] == RUN) & (whole["source"] == "model") & (whole["beams"] > 1)]
    if whole.empty:
        raise NotMeasured(f"no answers of {RUN} yet", [RUN])
    missing = [column for column in CATEGORIES if column not in whole]
    if missing:
        raise NotMeasured(f"answers without {', '.join(missing)}")
    items = whole[whole["search"] == "constrained"]
    real, random = (items[items["histories"] == kind] for kind in (REAL, RANDOM))
    gains = {kind: _gain(rows) for kind, rows in ((REAL, real), (RANDOM, random))}
    relevance = _difference("share in the history's top categories - by chance", gains[REAL])
    distances = [rows["code_distance"].dropna().to_numpy(float) for rows in (random, real)]
    diversity = _difference("distance inside a beam, random - real", *distances)
    inside = float(distances[1].mean())
    decodable = 1 - float(whole.loc[whole["search"] == "unconstrained", "invalid"].mean())
    measured = listed(
        [f"{difference.name} {difference.interval()}" for difference in (relevance, diversity)]
        + [
            f"the first after random histories {gains[RANDOM].mean():.3g}",
            f"distance inside a beam after real histories {inside:.3g}",
            f"{decodable:.0%} of ids written freely belong to an item",
        ]
    )
    ours = f"relevance {relevance.interval()}, diversity {diversity.interval()}"
    limits = claim.limits
    if decodable < limits["decodable"]:
        reason = f"{decodable:.0%} of the generated ids belong to an item"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    fewest = min(len(real), len(random))
    if fewest < limits["histories"]:
        reason = f"{fewest} of the {limits['histories']} histories it needs"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    both = (relevance, diversity)
    failed = [d.name for d in both if d.interval(corrected(len(both))).below(0)]
    if failed:
        reason = f"against the claim: {', '.join(failed)}"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    undecided = [d.name for d in both if not d.interval().above(0)]
    if undecided or not inside > 0:
        reason = f"undecided: {', '.join(undecided)}" if undecided else "a beam has one answer"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    return Outcome(Verdict.REPRODUCED, measured, f"{fewest} histories", ours)


def _gain(rows: pd.DataFrame) -> NDArray[np.float64]:
    """By history: share of answers in its top categories minus the same of items by chance."""
    found, chance = CATEGORIES
    gains = (rows[found] - rows[chance]).dropna()
    if gains.empty:
        raise NotMeasured("no top categories in this log")
    return gains.to_numpy(float)


def _difference(
    name: str, first: NDArray[np.float64], second: NDArray[np.float64] | None = None
) -> _Difference:
    """The mean of `first`, less that of `second`, with resamples of the histories of each."""
    draws = generator(0, "claims", name).spawn(2)
    resamples = bootstrap_means(first, RESAMPLES, draws[0])
    estimate = float(first.mean())
    if second is not None:
        resamples = resamples - bootstrap_means(second, RESAMPLES, draws[1])
        estimate -= float(second.mean())
    return _Difference(name, estimate, resamples)
