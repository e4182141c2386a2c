"""Claims about which domains a mixture needs (Sections 4.2.1, 6.1 and 7.1, Figures 3 and 4).

A text of a rule that names fitted parameters and losses is taken piece by piece: a loss may
contradict where a parameter is not identified, a parameter that is not identified may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recscale.claims.contrasts import Contrast, judge
from recscale.claims.rules import Claim
from recscale.claims.runs import (
    Array,
    after_burn_in,
    at_equal_tokens,
    curve,
    final_losses,
    fitted,
    mean,
    not_identified,
    per_seed,
)
from recscale.claims.verdict import Evidence, Outcome, Verdict, decides, listed
from recscale.errors import UserError
from recscale.scaling.power_law import Status

FEWEST_TOKENS = 1000  # of a held-out domain, in the rule of item_text_helps_unseen


@decides
def cf_helps_uih(claim: Claim, evidence: Evidence) -> Outcome:
    """With CF in the mixture UIH has a lower L_inf, and a lower loss at equal UIH tokens."""
    l_inf, loose = fitted(evidence, ("size3-uih", "size3-cf_uih"), "uih", "l_inf")
    losses = at_equal_tokens(evidence, "size3-uih", "size3-cf_uih", "uih")
    at_equal = _loss_difference("UIH only", "CF + UIH", losses)
    contrasts = [_l_inf_difference("UIH only", "CF + UIH", l_inf, not loose), at_equal]
    remarks = not_identified("l_inf", "uih", loose)
    return judge(contrasts, claim.limits["seeds"], remarks, _versus(l_inf), against=[at_equal])


@decides
def item_text_costs_uih(claim: Claim, evidence: Evidence) -> Outcome:
    """With item text in the mixture UIH has a higher L_inf and loss at equal UIH tokens."""
    l_inf, loose = fitted(evidence, ("size3-full", "size3-cf_uih"), "uih", "l_inf")
    losses = at_equal_tokens(evidence, "size3-full", "size3-cf_uih", "uih")
    contrasts = [
        _l_inf_difference("with item text", "without", l_inf, not loose),
        _loss_difference("with item text", "without", losses),
    ]
    remarks = not_identified("l_inf", "uih", loose)
    return judge(contrasts, claim.limits["seeds"], remarks, _versus(l_inf), against=contrasts)


@decides
def uih_does_not_help_cf(claim: Claim, evidence: Evidence) -> Outcome:
    """On UIH alone the CF loss falls by a small share of its fall on the full mixture."""
    falls = per_seed(
        evidence.curves,
        ("size3-uih", "size3-full"),
        "curves",
        lambda run: _fall(evidence, run, "cf"),
    )
    shown = f"fall of the CF loss {mean(falls[:, 0])} on UIH alone, {mean(falls[:, 1])} on all"
    if (falls[:, 1] <= 0).any():
        reason = "the loss of size3-full itself does not fall on cf"
        return Outcome(Verdict.NOT_MEASURABLE, shown, reason, shown)
    share = Contrast(f"{shown}, share", falls[:, 0] / falls[:, 1], "below", claim.limits["share"])
    return judge([share], claim.limits["seeds"], ours=f"share {share.number()} of the fall")


@decides
def cf_needed_for_cf(claim: Claim, evidence: Evidence) -> Outcome:
    """Without CF data the CF loss ends well above that of the full mixture."""
    return _without(claim, evidence, "cf", ("size3-uih", "size3-item_uih"))


@decides
def item_text_needed(claim: Claim, evidence: Evidence) -> Outcome:
    """Without item text the item-text loss ends well above that of the full mixture."""
    return _without(claim, evidence, "item_text", ("size3-uih", "size3-cf_uih"))


@decides
def full_mixture_largest_alpha(claim: Claim, evidence: Evidence) -> Outcome:
    """On UIH the full mixture's alpha is above that of the three others."""
    others = ("size3-cf_uih", "size3-item_uih", "size3-uih")
    alphas, loose = fitted(evidence, ("size3-full", *others), "uih", "alpha")
    without = {run.split("-seed")[0] for run in loose}
    contrasts = [
        Contrast(
            f"alpha of size3-full - {other}",
            alphas[:, 0] - alphas[:, place],
            "above",
            counts=not without & {"size3-full", other},
        )
        for place, other in enumerate(others, start=1)
    ]
    ours = ", ".join(mean(alphas[:, place]) for place in range(len(others) + 1))
    remarks = not_identified("alpha", "uih", loose)
    return judge(contrasts, claim.limits["seeds"], remarks, ours, against=contrasts)


@decides
def item_text_helps_unseen(claim: Claim, evidence: Evidence) -> Outcome:
    """On CF with unseen items the run without item text ends above at equal CF tokens."""
    contrasts, shown = [], []
    for domain in ("cf_one_unseen", "cf_both_unseen"):
        losses = at_equal_tokens(evidence, "size3-cf_uih", "size3-full", domain)
        name = f"{domain} without item text ({mean(losses[:, 0])}) - with ({mean(losses[:, 1])})"
        contrasts.append(Contrast(name, losses[:, 0] - losses[:, 1], "above"))
        shown.append(f"{domain} {contrasts[-1].number()}")
        tokens = int(curve(evidence, "size3-full", domain)["n_tokens"].min())
        if tokens < FEWEST_TOKENS:
            reason = f"{domain} has {tokens} held-out tokens"
            measured = listed(contrast.text() for contrast in contrasts)
            return Outcome(Verdict.NOT_MEASURABLE, measured, reason, listed(shown))
    return judge(contrasts, claim.limits["seeds"], ours=listed(shown))


@decides
def general_text_prevents_forgetting(claim: Claim, evidence: Evidence) -> Outcome:
    """The general loss rises during CPT without general text, and does not with half of it."""
    margin = claim.limits["margin"]
    changes = {
        run: per_seed(
            evidence.curves, (run,), "curves", lambda name: _change(evidence, name, "general")
        )[:, 0]
        for run in ("size3-full", "size3-no_general")
    }
    contrasts = [
        Contrast("without general text", changes["size3-no_general"], "above", margin),
        Contrast("with half general text", changes["size3-full"], "below", margin),
    ]
    ours = listed(f"{contrast.name} {contrast.number()}" for contrast in contrasts)
    return judge(contrasts, claim.limits["seeds"], ours=ours)


def _without(claim: Claim, evidence: Evidence, domain: str, runs: Sequence[str]) -> Outcome:
    """Last losses on a domain of runs without it, over that of the full mixture."""
    losses = final_losses(evidence, (*runs, "size3-full"), domain)
    contrasts = [
        Contrast(
            f"{run} ({mean(losses[:, place])}) / size3-full ({mean(losses[:, -1])})",
            losses[:, place] / losses[:, -1],
            "above",
            claim.limits["ratio"],
        )
        for place, run in enumerate(runs)
    ]
    ours = listed(
        f"{mean(losses[:, place])} vs {mean(losses[:, -1])}" for place in range(len(runs))
    )
    outcome = judge(contrasts, claim.limits["seeds"], ours=f"last losses {ours}")
    identified = _identified_l_inf(evidence, (*runs, "size3-full"), domain)
    return replace(outcome, measured=listed([outcome.measured, *identified]))


def _identified_l_inf(evidence: Evidence, runs: Sequence[str], domain: str) -> list[str]:
    """L_inf of those of `runs` where it is identified, as text."""
    fits = evidence.fits
    if fits is None:
        return []
    here = fits[(fits["domain"] == domain) & (fits["status"] == Status.CONVERGED)]
    values = here.set_index("run")["l_inf"]
    return [f"L_inf of {run} {values[run]:.3f}" for run in runs if run in values.index]


def _l_inf_difference(first: str, second: str, l_inf: Array, identified: bool) -> Contrast:
    name = f"L_inf of UIH, {first} ({mean(l_inf[:, 0])}) - {second} ({mean(l_inf[:, 1])})"
    return Contrast(name, l_inf[:, 0] - l_inf[:, 1], "above", counts=identified)


def _loss_difference(first: str, second: str, losses: Array) -> Contrast:
    shown = f"{first} ({mean(losses[:, 0])}) - {second} ({mean(losses[:, 1])})"
    name = f"UIH loss at equal UIH tokens, {shown}"
    return Contrast(name, losses[:, 0] - losses[:, 1], "above")


def _versus(l_inf: Array) -> str:
    """Two asymptotes as the paper prints them, with the relative gain."""
    first, second = (l_inf[:, place][np.isfinite(l_inf[:, place])] for place in (0, 1))
    if not len(first) or not len(second):
        return f"{mean(l_inf[:, 0])} vs {mean(l_inf[:, 1])}"
    gain = 1 - second.mean() / first.mean()
    return f"{first.mean():.3f} vs {second.mean():.3f} ({gain:.0%})"


def _fall(evidence: Evidence, run: str, domain: str) -> float:
    """How far a loss falls from the end of the burn-in to the last evaluation, nats per token."""
    loss = after_burn_in(evidence, curve(evidence, run, domain))["loss"]
    return float(loss.iloc[0] - loss.iloc[-1])


def _change(evidence: Evidence, run: str, domain: str) -> float:
    """The last loss minus the loss at step 0, nats per token.

    Raises:
        UserError: the curve has no step 0.
    """
    rows = curve(evidence, run, domain)
    if rows["step"].iloc[0] != 0:
        raise UserError(f"the curve of {run} on {domain} lacks step 0", "rerun the training")
    return float(rows["loss"].iloc[-1] - rows["loss"].iloc[0])
