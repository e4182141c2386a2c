"""Claims about the losses that runs end with (Section 7.3, Appendix B.2, Figures 8 and 12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recscale.claims.contrasts import Contrast, Side, judge, seeds_short
from recscale.claims.intervals import corrected
from recscale.claims.rules import Claim
from recscale.claims.runs import (
    SIZES,
    Array,
    after_burn_in,
    curve,
    final_losses,
    per_seed,
    repetitions,
)
from recscale.claims.verdict import (
    Evidence,
    NotMeasured,
    Outcome,
    Verdict,
    decides,
    given,
    listed,
)
from recscale.contracts import HELD_OUT_DOMAINS, REAL_HISTORIES

MOST_REPEATS = 40  # of real histories, in the rule of raw_logs_sub_scale


@decides
def chinchilla_general(claim: Claim, evidence: Evidence) -> Outcome:
    """On general text the largest model ends below every other."""
    losses = _of_sizes(evidence, "general", SIZES)
    contrasts = [_difference(losses, "size4", size, "below") for size in SIZES[:3]]
    best = min(losses, key=lambda size: losses[size].mean())
    return judge(contrasts, claim.limits["seeds"], ours=f"{best} lowest")


@decides
def cf_saturates(claim: Claim, evidence: Evidence) -> Outcome:
    """On CF the second largest model beats the third, and the largest does not beat it."""
    losses = _of_sizes(evidence, "cf", SIZES[1:])
    contrasts = [
        _difference(losses, "size2", "size3", "above"),
        _difference(losses, "size3", "size4", "below", claim.limits["margin"]),
    ]
    best = min(losses, key=lambda size: losses[size].mean())
    ours = f"{np.exp(losses[best].mean()):.2f} at {best}"
    return judge(contrasts, claim.limits["seeds"], ours=ours)


@decides
def uih_inverse_scaling(claim: Claim, evidence: Evidence) -> Outcome:
    """On UIH OOD the largest model ends above the smallest."""
    losses = _of_sizes(evidence, "uih_ood", ("size1", "size4"))
    ours = " vs ".join(f"{np.exp(losses[size].mean()):.2f}" for size in losses)
    return judge([_difference(losses, "size4", "size1", "above")], claim.limits["seeds"], ours=ours)


@decides
def sae_beats_rq(claim: Claim, evidence: Evidence) -> Outcome:
    """SAE ids have the lower loss per token at every evaluation, and per item at the end."""
    runs, seeds = ("size3-rq_kmeans", "size3-full"), claim.limits["seeds"]
    found = repetitions(given(evidence.curves, "curves"), runs, "curves")
    below = {}
    for domain in HELD_OUT_DOMAINS:
        differences = [_per_evaluation(evidence, pair, domain) for pair in found.values()]
        mean = pd.concat(differences, axis=1, join="inner").mean(axis=1)
        below[domain] = (mean > 0).to_numpy()
    per_item = _final_per_item(evidence, runs, HELD_OUT_DOMAINS)
    contrasts = [
        Contrast(f"{domain} per item, RQ-kmeans - SAE", losses[:, 0] - losses[:, 1], "above")
        for domain, losses in per_item.items()
    ]
    points = sum(map(len, below.values()))
    lower = sum(int(part.sum()) for part in below.values())
    better = sum(contrast.values.mean() > 0 for contrast in contrasts)
    first = f"SAE lower per token in {lower} of {points} evaluations"
    measured = listed([first, *(contrast.text() for contrast in contrasts)])
    ours = f"{first}; per item in {better} of {len(contrasts)} domains"
    short = seeds_short(contrasts, seeds)
    if short:
        return Outcome(Verdict.INCONCLUSIVE, measured, short, ours)
    confidence = corrected(len(contrasts))
    failed = [contrast.name for contrast in contrasts if contrast.fails(confidence)]
    if failed:
        reason = f"against the claim: {', '.join(failed)}"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    open_ = [contrast.name for contrast in contrasts if not contrast.holds()]
    not_always = [domain for domain, part in below.items() if not part.all()]
    if not open_ and not not_always:
        return Outcome(Verdict.REPRODUCED, measured, f"{len(found)} seeds", ours)
    reasons = [f"undecided: {', '.join(open_)}"] if open_ else []
    if not_always:
        reasons.append(f"not at every evaluation per token: {', '.join(not_always)}")
    return Outcome(Verdict.INCONCLUSIVE, measured, listed(reasons), ours)


@decides
def raw_logs_sub_scale(claim: Claim, evidence: Evidence) -> Outcome:
    """Trained on walks, the largest model gains more over the smallest than on real histories."""
    runs = ("size1-full", "size4-full", "size1-real", "size4-real")
    between = [f"{size}-{kind}" for kind in ("full", "real") for size in SIZES[1:3]]
    repetitions(given(evidence.curves, "curves"), [*runs, *between], "curves")
    domains = (REAL_HISTORIES, "uih_ood", "uih_full_graph")
    contrasts = []
    per_item = _final_per_item(evidence, runs, domains)
    if REAL_HISTORIES not in per_item:
        raise NotMeasured(f"no losses of {', '.join(runs)} on real histories yet", runs)
    for domain, losses in per_item.items():
        walks, real = losses[:, 0] - losses[:, 1], losses[:, 2] - losses[:, 3]
        name = f"gain on {domain} of walks ({walks.mean():.3f}) - of real ({real.mean():.3f})"
        contrasts.append(Contrast(name, walks - real, "above"))
    repeats = max(
        float(curve(evidence, f"{size}-real", "uih")["repeats"].iloc[-1]) for size in SIZES
    )
    ours = f"{contrasts[0].number()} nats per item"
    measured = listed(contrast.text() for contrast in contrasts)
    if repeats > MOST_REPEATS:
        reason = f"the real histories are repeated {repeats:.3g} times, above {MOST_REPEATS}"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    outcome = judge(contrasts[:1], claim.limits["seeds"], ours=ours)
    return Outcome(outcome.verdict, measured, outcome.reason, ours)


def _of_sizes(evidence: Evidence, domain: str, sizes: Sequence[str]) -> dict[str, Array]:
    """The last held-out losses of the full runs by size, nats per token, one per seed."""
    losses = final_losses(evidence, [f"{size}-full" for size in sizes], domain)
    return {size: losses[:, place] for place, size in enumerate(sizes)}


def _difference(
    losses: dict[str, Array], first: str, second: str, side: Side, threshold: float = 0.0
) -> Contrast:
    """Loss of one size minus another's, nats per token, paired by seed."""
    shown = f"loss of {first} ({losses[first].mean():.3f}) - {second} ({losses[second].mean():.3f})"
    return Contrast(shown, losses[first] - losses[second], side, threshold)


def _per_evaluation(evidence: Evidence, pair: Sequence[str], domain: str) -> pd.Series:
    """Loss of one run minus another's at each evaluation after the burn-in, by step."""
    sides = [after_burn_in(evidence, curve(evidence, run, domain)) for run in pair]
    first, second = (side.set_index("step")["loss"] for side in sides)
    return (first - second).dropna()


def _final_per_item(
    evidence: Evidence, runs: Sequence[str], domains: Sequence[str]
) -> dict[str, Array]:
    """Last losses per item by domain, shape `(seeds, runs)`, nats; domains without items have none.

    Raises:
        NotMeasured: no domain has losses per item.
    """
    curves = given(evidence.curves, "curves")
    of_items = curves[(curves["token_class"] == "id") & curves["loss_per_item"].notna()]
    last = of_items.sort_values("step").groupby(["run", "domain"])["loss_per_item"].last()
    missing = [
        run
        for of_seed in repetitions(curves, runs, "curves").values()
        for run in of_seed
        if run not in last.index.get_level_values("run")
    ]
    if missing:
        raise NotMeasured(f"no losses per item of {', '.join(missing)} yet", missing)
    found = {}
    for domain in domains:
        if domain in last.index.get_level_values("domain"):
            of_domain = last.xs(domain, level="domain")
            found[domain] = per_seed(curves, runs, "curves", of_domain.__getitem__)
    return found
