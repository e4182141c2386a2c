"""The claims about semantic ids (Appendix B.1, Table 9)."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale.claims.intervals import corrected, over_seeds
from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, NotMeasured, Outcome, Verdict, decides, given, listed


def _by_training(quality: pd.DataFrame, setting: str) -> pd.Series:
    """The share of items that share codes, by training."""
    rows = quality[quality["setting"] == setting]
    return rows.set_index("training")["shared"].sort_index()


def _paired(a: pd.Series, b: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of the trainings that both have."""
    both = a.index.intersection(b.index)
    return a[both].to_numpy(dtype=float), b[both].to_numpy(dtype=float)


@decides
def rq_kmeans_beats_rq_vae(claim: Claim, evidence: Evidence) -> Outcome:
    """The collision rate of RQ-VAE, with its cures, over that of RQ-kmeans at the same codes."""
    quality = given(evidence.quality, "measures of semantic ids")
    cured = quality[(quality["method"] == "rq_vae") & (quality["cures"] == True)]  # noqa: E712
    if cured.empty:
        raise NotMeasured("no RQ-VAE yet")
    vae = cured.iloc[0]
    same = quality[
        (quality["method"] == "rq_kmeans")
        & (quality["width"] == vae["width"])
        & (quality["rec_tokens"] == vae["rec_tokens"])
    ]
    if same.empty:
        raise NotMeasured("no RQ-kmeans with the codes of RQ-VAE yet")
    kmeans, rq_vae = _paired(
        _by_training(quality, same["setting"].iloc[0]), _by_training(quality, vae["setting"])
    )
    rates = f"RQ-kmeans {100 * kmeans.mean():.1f} %, RQ-VAE {100 * rq_vae.mean():.1f} %"
    ours = f"{100 * kmeans.mean():.2f} % vs {100 * rq_vae.mean():.2f} %"
    if max(kmeans.mean(), rq_vae.mean()) < claim.limits["rate"]:
        return Outcome(Verdict.NOT_MEASURABLE, rates, "both hardly collide", ours)
    if len(kmeans) < claim.limits["seeds"]:
        reason = f"{len(kmeans)} of {claim.limits['seeds']} trainings"
        return Outcome(Verdict.INCONCLUSIVE, rates, reason, ours)
    if not (kmeans > 0).all():
        reason = "a training of RQ-kmeans has no collision"
        return Outcome(Verdict.INCONCLUSIVE, rates, reason, ours)
    ratio = over_seeds(rq_vae / kmeans)
    measured = f"{ratio}; {rates}"
    if ratio.above(claim.limits["ratio"]):
        reason = f"RQ-VAE collides more than {claim.limits['ratio']} times as much"
        return Outcome(Verdict.REPRODUCED, measured, reason, ours)
    if ratio.below(claim.limits["ratio"]):
        reason = f"RQ-VAE collides less than {claim.limits['ratio']} times as much"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    return Outcome(Verdict.INCONCLUSIVE, measured, "the interval holds the limit", ours)


@decides
def rq_collisions_fall_with_depth(claim: Claim, evidence: Evidence) -> Outcome:
    """Collisions of RQ-kmeans along Table 9's settings, each less the next."""
    quality = given(evidence.quality, "measures of semantic ids")
    kmeans = quality[quality["method"] == "rq_kmeans"]
    settings = list(dict.fromkeys(kmeans["setting"]))
    if len(settings) < 2:
        raise NotMeasured("no five settings of RQ-kmeans yet")
    rates = {setting: _by_training(kmeans, setting) for setting in settings}
    measured = listed(
        f"{setting.split('-')[-1]} {100 * rate.mean():.1f} %" for setting, rate in rates.items()
    )
    ends = rates[settings[0]].mean(), rates[settings[-1]].mean()
    ours = f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"
    pairs = list(itertools.pairwise(settings))
    if any(max(rates[a].mean(), rates[b].mean()) < claim.limits["rate"] for a, b in pairs):
        reason = "two neighbouring settings hardly collide"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    differences = [np.subtract(*_paired(rates[a], rates[b])) for a, b in pairs]
    fewest = min(map(len, differences))
    if fewest < claim.limits["seeds"]:
        reason = f"{fewest} of {claim.limits['seeds']} trainings"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    strict = corrected(len(pairs))
    rising = [
        f"from {a.split('-')[-1]} to {b.split('-')[-1]} collisions rise"
        for (a, b), difference in zip(pairs, differences, strict=True)
        if over_seeds(difference, strict).below(0)
    ]
    if rising:
        return Outcome(Verdict.CONTRADICTED, measured, listed(rising), ours)
    if all(over_seeds(difference).above(0) for difference in differences):
        return Outcome(Verdict.REPRODUCED, measured, "each setting collides less", ours)
    return Outcome(Verdict.INCONCLUSIVE, measured, "an interval of a difference holds 0", ours)
