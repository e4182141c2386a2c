"""Claims that audits of the data measure: fidelity, privacy, bias (Sections 4.3.1, 5.1, 5.3)."""

from __future__ import annotations

import re

import pandas as pd
from scipy.stats import norm

from recscale.audits.table import CORRECTED, LOG, WALKS
from recscale.claims.intervals import CONFIDENCE, Interval, corrected
from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, NotMeasured, Outcome, Verdict, decides, listed

FEWEST = 100  # histories in a half, or users kept out, in the rules of fidelity and privacy
BIASES = ("position", "popularity")
RATIOS = {"popularity": "popularity_js_ratio", "length": "length_js_ratio"}


@decides
def fidelity(claim: Claim, evidence: Evidence) -> Outcome:
    """Walks are hardly farther from real histories than these are from each other."""
    audit = _audit(evidence, "fidelity")
    intervals = {name: _interval(audit, measure, WALKS) for name, measure in RATIOS.items()}
    measured = listed(f"{name} {interval}" for name, interval in intervals.items())
    ours = ", ".join(f"{name} {found.estimate:.3g} times" for name, found in intervals.items())
    half = int(_row(audit, "half_users", LOG)["value"])
    if half < FEWEST:
        reason = f"a half of the real users has {half} histories"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    limit = claim.limits["ratio"]
    above = [name for name, measure in RATIOS.items() if _strict(audit, measure).above(limit)]
    if above:
        reason = f"farther than {limit} times a half: {', '.join(above)}"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    undecided = [name for name, found in intervals.items() if not found.below(limit)]
    if undecided:
        reason = f"undecided: {', '.join(undecided)}"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    return Outcome(Verdict.REPRODUCED, measured, f"both below {limit} times a half", ours)


@decides
def privacy(claim: Claim, evidence: Evidence) -> Outcome:
    """Rules stand on several users, and walks tell nothing of who was in training."""
    limits, audit = claim.limits, _audit(evidence, "privacy")
    users = int(_row(audit, "fewest_users")["value"])
    copied = f"copied_{limits['run']}_difference"
    difference = _interval(audit, copied, WALKS)
    auc = _interval(audit, "membership_auc", WALKS)
    plain = _interval(audit, "membership_auc_plain", WALKS)
    measured = listed(
        [
            f"fewest users behind a rule {users}",
            f"walks that copy {limits['run']} items, training - kept out {difference}",
            f"membership AUC {auc}",
            f"without calibration {plain}",
        ]
    )
    ours = f"{users} users or more, AUC {auc}"
    kept_out = int(_row(audit, "kept_out_users", LOG)["value"])
    if kept_out < FEWEST:
        reason = f"{kept_out} users were kept out"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    against = []
    if _strict(audit, "membership_auc").above(limits["auc"]):
        against.append(f"the AUC lies above {limits['auc']}")
        if plain.below(limits["auc"]):
            against.append("without calibration it lies below: the stronger attack decides")
    if _strict(audit, copied).above(0):
        against.append("walks copy users of training more than others")
    if against:
        return Outcome(Verdict.CONTRADICTED, measured, listed(against), ours)
    failed = []
    if users < limits["users"]:
        failed.append(f"a rule has fewer than {limits['users']} users")
    if difference.above(0):
        failed.append("walks copy users of training more than others, before the correction")
    if not auc.below(limits["auc"]):
        failed.append(f"the AUC is not shown to be below {limits['auc']}")
    if failed:
        return Outcome(Verdict.INCONCLUSIVE, measured, listed(failed), ours)
    return Outcome(Verdict.REPRODUCED, measured, f"{kept_out} users kept out", ours)


@decides
def walks_remove_bias(claim: Claim, evidence: Evidence) -> Outcome:
    """In marketplaces whose truth is known walks keep little of the log's bias."""
    limits, audit = claim.limits, _audit(evidence, "bias")
    groups = {bias: _strongest(audit, bias) for bias in BIASES}
    if not any(groups.values()):
        reason = "a real log alone does not know the truth"
        return Outcome(Verdict.NOT_MEASURABLE, "", reason)
    intervals = {bias: _interval(audit, "bias_kept", group) for bias, group in groups.items()}
    measured = listed(f"{groups[bias]} kept {found}" for bias, found in intervals.items())
    ours = ", ".join(f"{bias} {found.estimate:.2g} kept" for bias, found in intervals.items())
    seeds = min(int(_row(audit, "bias_kept", group)["n"]) for group in groups.values())
    if seeds < limits["seeds"]:
        reason = f"{seeds} of the {limits['seeds']} seeds it needs"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    kept = [
        bias
        for bias, group in groups.items()
        if _strict(audit, "bias_kept", group).above(limits["left"])
    ]
    if kept:
        reason = f"walks keep more than {limits['left']} of it: {', '.join(kept)}"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    undecided = [bias for bias, found in intervals.items() if not found.below(limits["left"])]
    if undecided:
        reason = f"undecided: {', '.join(undecided)}"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    return Outcome(Verdict.REPRODUCED, measured, f"{seeds} seeds", ours)


def _audit(evidence: Evidence, name: str) -> pd.DataFrame:
    """The rows of one audit; raises NotMeasured where it was not made."""
    audits = evidence.audits
    if audits is None or name not in set(audits["audit"]):
        raise NotMeasured(f"no audit of {name} yet")
    return audits[audits["audit"] == name]


def _strongest(audit: pd.DataFrame, bias: str) -> str | None:
    """The group of the marketplaces in which a bias is strongest; None without marketplaces."""
    found = {
        float(match[1]): match[0]
        for group in audit.loc[audit["measure"] == "bias_kept", "group"]
        if (match := re.fullmatch(rf"world:{bias}=([\d.]+)", group))
    }
    return found[max(found)] if found else None


def _row(audit: pd.DataFrame, measure: str, group: str | None = None) -> pd.Series:
    """The one row of a measure on a group, or on whichever group it has."""
    rows = audit[audit["measure"] == measure]
    if group is not None:
        rows = rows[rows["group"] == group]
    if len(rows) != 1:
        on = f" on {group}" if group else ""
        raise NotMeasured(f"{len(rows)} values of {measure}{on} in the audit, not one")
    return rows.iloc[0]


def _interval(audit: pd.DataFrame, measure: str, group: str | None) -> Interval:
    row = _row(audit, measure, group)
    return Interval(float(row["value"]), float(row["low"]), float(row["high"]))


def _strict(audit: pd.DataFrame, measure: str, group: str | None = WALKS) -> Interval:
    """The interval corrected for two comparisons.

    Where the audit has none, the 95 % interval is widened on either side as a normal one would be.
    """
    if (audit["measure"] == f"{measure}{CORRECTED}").any():
        return _interval(audit, f"{measure}{CORRECTED}", group)
    found = _interval(audit, measure, group)
    wider = float(norm.ppf((1 + corrected(2)) / 2) / norm.ppf((1 + CONFIDENCE) / 2))
    low = found.estimate - wider * (found.estimate - found.low)
    return Interval(found.estimate, low, found.estimate + wider * (found.high - found.estimate))
