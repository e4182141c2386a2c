"""Claims about the fitted laws of the four sizes (Section 6.2, Table 4)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from recscale.claims.contrasts import Contrast, judge
from recscale.claims.rules import Claim
from recscale.claims.runs import FULL, SIZES, Array, fitted, mean, not_identified, of_first_seed
from recscale.claims.verdict import Evidence, Outcome, Verdict, decides, given, listed
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.scaling import rivals
from recscale.scaling.power_law import Status

_HIERARCHY = ("uih", "cf", "item_text", "general")


@decides
def power_law_every_domain(claim: Claim, evidence: Evidence) -> Outcome:
    """All 28 curves follow the law, better than a constant and than a pure power law."""
    fits = of_first_seed(given(evidence.fits, "fits"), "fits")
    fits = fits[fits["domain"].isin(HELD_OUT_DOMAINS)]
    curves = of_first_seed(given(evidence.curves, "curves"), "curves")
    limits = claim.limits
    relative = fits["rmse"] / fits["last_loss"]
    rising = fits["status"] == Status.NOT_MONOTONE
    poor = relative > limits["poor_rmse"]
    gains = np.array([_gain_over_rivals(row, curves) for _, row in fits.iterrows()])
    good = (
        (fits["status"] == Status.CONVERGED)
        & (relative <= limits["relative_rmse"])
        & (gains >= limits["delta_aicc"])
    )
    counts = fits["status"].value_counts()
    ours = f"{good.sum()} of {limits['curves']} curves"
    measured = listed([ours, *(f"{n} {status}" for status, n in sorted(counts.items()))])
    for broken, what in ((rising, "rises again"), (poor, "is far from the law")):
        sizes = fits[broken].groupby("domain")["size"].nunique()
        often = sorted(sizes.index[sizes >= limits["rising_sizes"]])
        if often:
            names = ", ".join(often)
            reason = f"the loss {what} at {limits['rising_sizes']} sizes or more: {names}"
            return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    if good.sum() == len(fits) == limits["curves"]:
        return Outcome(Verdict.REPRODUCED, measured, "every curve passes", ours)
    failed = sorted(fits.loc[~good, "domain"].unique())
    reason = f"not every curve passes: {', '.join(failed)}"
    return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)


def _gain_over_rivals(fit: pd.Series, curves: pd.DataFrame) -> float:
    """How far the law's AICc lies below the better rival's, at the fitted points."""
    if pd.isna(fit["rmse"]):
        return -np.inf
    rows = curves[
        (curves["run"] == fit["run"])
        & (curves["domain"] == fit["domain"])
        & (curves["token_class"] == "all")
        & curves["tokens"].between(fit["first_tokens"], fit["last_tokens"])
    ].sort_values("tokens")
    tokens, loss = rows["tokens"].to_numpy(float), rows["loss"].to_numpy(float)
    n = len(rows)
    if n != fit["n_points"]:
        raise UserError(
            f"the fit of run {fit['run']}, domain {fit['domain']} has {fit['n_points']} points, "
            f"its curve {n}",
            "rerun the fits, so that they belong to the curves",
        )
    law = rivals.aicc(float(fit["rmse"]) ** 2 * n, n, 3)
    constant = rivals.aicc(rivals.constant(loss), n, 1)
    pure = rivals.aicc(rivals.pure_power_law(tokens, loss), n, 2)
    return min(constant, pure) - law


@decides
def alpha_hierarchy(claim: Claim, evidence: Evidence) -> Outcome:
    """UIH, CF, item text, general: alpha falls in this order at every size."""
    fits = of_first_seed(given(evidence.fits, "fits"), "fits")
    table = fits.set_index(["size", "domain"])
    pairs, shown, means = [], [], []
    for faster, slower in pairwise(_HIERARCHY):
        fast = table.xs(faster, level="domain").loc[list(SIZES)]
        slow = table.xs(slower, level="domain").loc[list(SIZES)]
        # Comparisons with an open end (a missing value) are false.
        in_order = int((fast["alpha_low"] > slow["alpha_high"]).sum())
        reverse = int((fast["alpha_high"] < slow["alpha_low"]).sum())
        pairs.append((faster, slower, in_order, reverse))
        shown.append(f"{faster} > {slower} at {in_order} sizes, < at {reverse}")
    for domain in _HIERARCHY:
        alphas = table.xs(domain, level="domain").loc[list(SIZES), "alpha"]
        shown.append(f"{domain} {_numbers(alphas)}")
        means.append(mean(alphas.to_numpy(float)))
    ours = ", ".join(means)
    enough = claim.limits["sizes"]
    reversed_pairs = [f"{a} and {b}" for a, b, _, reverse in pairs if reverse >= enough]
    if reversed_pairs:
        reason = f"the opposite order: {', '.join(reversed_pairs)}"
        return Outcome(Verdict.CONTRADICTED, listed(shown), reason, ours)
    if all(in_order >= enough and reverse == 0 for _, _, in_order, reverse in pairs):
        reason = "every neighbouring pair is apart"
        return Outcome(Verdict.REPRODUCED, listed(shown), reason, ours)
    unsettled = [f"{a} and {b}" for a, b, n, reverse in pairs if n < enough or reverse > 0]
    reason = f"not told apart: {', '.join(unsettled)}"
    return Outcome(Verdict.INCONCLUSIVE, listed(shown), reason, ours)


@decides
def alpha_grows_with_size(claim: Claim, evidence: Evidence) -> Outcome:
    """The slope of alpha on the place of the size is positive for CF and for UIH."""
    places = np.arange(len(SIZES)) - np.mean(np.arange(len(SIZES)))
    contrasts, remarks, ours = [], [], []
    for domain in ("cf", "uih"):
        alphas, shown, remark = _parameter(evidence, domain, "alpha")
        slopes = alphas @ places / (places @ places)
        name = f"slope of alpha on {domain} ({shown})"
        contrasts.append(Contrast(name, slopes, "above"))
        remarks += remark
        ours.append(f"{domain.upper()} {shown}")
    return judge(contrasts, claim.limits["seeds"], remarks, ", ".join(ours))


@decides
def l_inf_flat_in_size(claim: Claim, evidence: Evidence) -> Outcome:
    """The relative spread of L_inf over the sizes is small for CF and for UIH."""
    contrasts, remarks, ours = [], [], []
    for domain in ("cf", "uih"):
        l_inf, shown, remark = _parameter(evidence, domain, "l_inf")
        spread = (l_inf.max(axis=1) - l_inf.min(axis=1)) / l_inf.mean(axis=1)
        name = f"spread of L_inf on {domain} ({shown})"
        contrasts.append(Contrast(name, spread, "below", claim.limits["spread"]))
        remarks += remark
        ours.append(f"{domain.upper()} {shown}")
    return judge(contrasts, claim.limits["seeds"], remarks, ", ".join(ours))


@decides
def general_alpha_largest_small(claim: Claim, evidence: Evidence) -> Outcome:
    """On general text the smallest model's alpha is above every other's."""
    alphas, shown, remarks = _parameter(evidence, "general", "alpha")
    contrasts = [
        Contrast(f"alpha of size1 - {size}", alphas[:, 0] - alphas[:, place], "above")
        for place, size in enumerate(SIZES[1:], start=1)
    ]
    outcome = judge(contrasts, claim.limits["seeds"], remarks, shown)
    return replace(outcome, measured=listed([f"general {shown}", outcome.measured]))


@decides
def general_saturated(claim: Claim, evidence: Evidence) -> Outcome:
    """On general text alpha is small, and the loss hardly falls."""
    fits = of_first_seed(given(evidence.fits, "fits"), "fits")
    fits = fits[fits["domain"] == "general"].set_index("size").loc[list(SIZES)]
    curves = of_first_seed(given(evidence.curves, "curves"), "curves")
    curves = curves[(curves["domain"] == "general") & (curves["token_class"] == "all")]
    loss = curves.sort_values("tokens").groupby("size")["loss"].agg(["first", "last"])
    falls = 1 - loss["last"] / loss["first"]
    ours = f"alpha {_numbers(fits['alpha'])}"
    measured = listed([ours, f"fall of the loss {_numbers(100 * falls.loc[list(SIZES)])} %"])
    limits = claim.limits
    if evidence.rung not in limits["rungs"]:
        reason = "base models trained here do not know the domain as a released checkpoint does"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    if (fits["alpha_high"] < limits["alpha"]).all() and (falls < limits["fall"]).all():
        reason = "small alpha and small fall at every size"
        return Outcome(Verdict.REPRODUCED, measured, reason, ours)
    if (fits["alpha_low"] > limits["alpha"]).all() or (falls > limits["fall"]).all():
        return Outcome(Verdict.CONTRADICTED, measured, "still learning at every size", ours)
    reason = "the sizes differ, or an interval is open"
    return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)


def _parameter(evidence: Evidence, domain: str, column: str) -> tuple[Array, str, list[str]]:
    """A fitted parameter of the full runs per seed and size.

    Returns:
        The values, shape `(seeds, 4)`, for the seeds that have all four sizes; their means as text;
        and a remark if one of them is not identified.
    """
    values, loose = fitted(evidence, FULL, domain, column)
    shown = " ".join(mean(values[:, place], ".3g") for place in range(len(SIZES)))
    return values, shown, not_identified(column, domain, loose)


def _numbers(values: pd.Series) -> str:
    return " ".join("none" if pd.isna(v) else f"{v:.3g}" for v in values)
