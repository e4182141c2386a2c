"""The claim about the walks' settings (Appendix A, Table 8)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, NotMeasured, Outcome, Verdict, decides, given, listed
from recscale.labels import short_number


@decides
def walk_choice(claim: Claim, evidence: Evidence) -> Outcome:
    """The paper's configuration has the lowest Gini at near the highest lift and coverage."""
    sweep = given(evidence.sweep, "walk sweep")
    limits = claim.limits
    is_chosen = (
        (sweep["order"] == 1)
        & np.isclose(sweep["alpha"], 0.15)
        & np.isclose(sweep["threshold"].astype(float).fillna(0), 1e-9, rtol=1e-6, atol=0)
    )
    if not is_chosen.any():
        raise NotMeasured("no row of the sweep has order 1, alpha 0.15 and threshold 1e-9 yet")
    chosen, others = sweep[is_chosen].iloc[0], sweep[~is_chosen]
    measured = listed(
        [
            f"Gini {chosen['gini']:.3f} (lowest {sweep['gini'].min():.3f})",
            f"lift {chosen['geometric_lift']:.4g} (highest {sweep['geometric_lift'].max():.4g})",
            f"items {chosen['items']:.0f} (most {sweep['items'].max():.0f})",
            f"{len(sweep)} of {limits['configurations']} configurations",
        ]
    )
    ours = (
        f"{chosen['gini']:.3f} / {chosen['geometric_lift']:.2f} / {short_number(chosen['items'])}"
    )
    better = others[_dominates(others, chosen, limits["noise"])]
    if len(better):
        reason = f"dominated by {', '.join(better['config'].astype(str))}"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    if chosen["gini"] - sweep["gini"].min() > limits["gini"]:
        lowest = sweep["config"].iloc[int(np.argmin(sweep["gini"]))]
        reason = f"the Gini of {lowest} is clearly lower"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    missing = limits["configurations"] - len(sweep)
    if missing > 0:
        reason = f"{missing} configurations not walked"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    failed = [
        name
        for name, bad in (
            ("Gini", chosen["gini"] > others["gini"].min()),
            (
                "lift",
                chosen["geometric_lift"] < (1 - limits["lift"]) * sweep["geometric_lift"].max(),
            ),
            ("items", chosen["items"] < (1 - limits["items"]) * sweep["items"].max()),
        )
        if bad
    ]
    if failed:
        reason = f"not near the best in {', '.join(failed)}"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    reason = "lowest Gini, near the best in lift and items"
    return Outcome(Verdict.REPRODUCED, measured, reason, ours)


def _dominates(others: pd.DataFrame, chosen: pd.Series, noise: float) -> pd.Series:
    """Which rows are nowhere worse and clearly better in Gini or lift."""
    nowhere_worse = (
        (others["items"] >= chosen["items"])
        & (others["gini"] <= chosen["gini"])
        & (others["geometric_lift"] >= chosen["geometric_lift"])
    )
    clearly_better = (others["gini"] < (1 - noise) * chosen["gini"]) | (
        others["geometric_lift"] > (1 + noise) * chosen["geometric_lift"]
    )
    return nowhere_worse & clearly_better
