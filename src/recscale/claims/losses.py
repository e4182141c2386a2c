"""Claims about the losses that runs end with (Section 7.3, Figure 8)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from recscale.claims.contrasts import Contrast, Side, judge
from recscale.claims.full_runs import SIZES, by_seed_and_size, of_full_mixture, require
from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, Outcome, decides, given
from recscale.scaling.fit import domain_curves


@decides
def chinchilla_general(claim: Claim, evidence: Evidence) -> Outcome:
    """On general text the largest model ends below every other."""
    losses = _final_losses(evidence, "general", SIZES)
    contrasts = [_difference(losses, "size4", size, "below") for size in SIZES[:3]]
    return judge(contrasts, claim.limits["seeds"])


@decides
def cf_saturates(claim: Claim, evidence: Evidence) -> Outcome:
    """On CF the second largest model beats the third, and the largest does not beat it."""
    losses = _final_losses(evidence, "cf", SIZES[1:])
    contrasts = [
        _difference(losses, "size2", "size3", "above"),
        _difference(losses, "size3", "size4", "below", claim.limits["margin"]),
    ]
    return judge(contrasts, claim.limits["seeds"])


@decides
def uih_inverse_scaling(claim: Claim, evidence: Evidence) -> Outcome:
    """On UIH OOD the largest model ends above the smallest."""
    losses = _final_losses(evidence, "uih_ood", ("size1", "size4"))
    contrasts = [_difference(losses, "size4", "size1", "above")]
    return judge(contrasts, claim.limits["seeds"])


def _final_losses(evidence: Evidence, domain: str, sizes: Sequence[str]) -> pd.DataFrame:
    """The last held-out loss of the full runs, nats per token, by seed (row) and size (column)."""
    curves = given(evidence.curves, "curves")
    require(curves, [f"{size}-full" for size in sizes], "curves")
    rows = domain_curves(of_full_mixture(curves), "token_weighted")
    rows = rows[rows["domain"] == domain].sort_values("tokens").groupby("run").tail(1)
    return by_seed_and_size(rows, "loss", tuple(sizes))


def _difference(
    losses: pd.DataFrame, first: str, second: str, side: Side, threshold: float = 0.0
) -> Contrast:
    """Loss of one size minus another's, nats per token, paired by seed."""
    shown = f"loss of {first} ({losses[first].mean():.3f}) - {second} ({losses[second].mean():.3f})"
    return Contrast(shown, (losses[first] - losses[second]).to_numpy(), side, threshold)
