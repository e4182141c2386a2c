"""Claims about repeated UIH data (Section 7.2, Table 6, Figures 5 and 7)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from recscale.claims.contrasts import Contrast, judge
from recscale.claims.rules import Claim
from recscale.claims.runs import SIZES, curve, per_seed, repetitions, rises
from recscale.claims.verdict import Evidence, Outcome, Verdict, decides, given, listed
from recscale.errors import UserError

FEWEST_WINDOWS = 100  # of the reduced set, in the rules of its claims
PAPER_TOKENS_BILLION = 163.84  # D of the paper (section 7.3)
RATIOS = ("size3-uih_15", "size3-uih_5", "size3-uih_2")  # the highest first
LARGEST = tuple(f"{size}-uih_15" for size in SIZES)


@dataclass(frozen=True)
class _Onset:
    """The evaluation with the lowest loss, and those beside it."""

    at: float
    low: float
    high: float  # infinite where the lowest loss is the last one

    def meets(self, low: float, high: float) -> bool:
        return self.low <= high and self.high >= low

    def __str__(self) -> str:
        end = "end" if math.isinf(self.high) else f"{self.high:.3g}"
        return f"{self.at:.3g} [{self.low:.3g}, {end}]"


@decides
def repetition_overfits(claim: Claim, evidence: Evidence) -> Outcome:
    """The UIH loss at 5 and 15 % rises again, from about the paper's number of repeats on."""
    few, *many = ("size3-uih_0.5", "size3-uih_5", "size3-uih_15")
    repetitions(given(evidence.curves, "curves"), (few, *many), "curves")
    limits = claim.limits
    onsets = {run: _onset(evidence, run, "repeats") for run in many}
    rising = {run: rises(evidence, run) for run in (few, *many)}
    reached = {run: float(curve(evidence, run, "uih")["repeats"].iloc[-1]) for run in many}
    measured = listed(
        [
            f"{run}: lowest at {onsets[run]} repeats of {reached[run]:.3g}, "
            + ("rises" if rising[run] else "no rise")
            for run in many
        ]
        + [f"{few}: {'rises' if rising[few] else 'no rise'}"]
    )
    ours = ", ".join(f"{onsets[run].at:.3g}" if rising[run] else "no rise" for run in many)
    windows = _too_few_windows(evidence, many[0])
    if windows:
        return Outcome(Verdict.NOT_MEASURABLE, measured, windows, ours)
    against = [
        f"{run} reaches {reached[run]:.3g} repeats without a rise"
        for run in many
        if not rising[run] and reached[run] > limits["high"]
    ]
    against += [
        f"the onset of {run} lies outside {limits['low']} to {limits['high']}"
        for run in many
        if rising[run] and not onsets[run].meets(limits["low"], limits["high"])
    ]
    if against:
        return Outcome(Verdict.CONTRADICTED, measured, listed(against), ours)
    if rising[few]:
        return Outcome(Verdict.INCONCLUSIVE, measured, f"{few} rises as well", ours)
    flat = [run for run in many if not rising[run]]
    if flat:
        reason = f"{', '.join(flat)} ends before {limits['high']} repeats without a rise"
        return Outcome(Verdict.INCONCLUSIVE, measured, reason, ours)
    return Outcome(Verdict.REPRODUCED, measured, "both rise again, from there on", ours)


@decides
def repetition_onset_size_free(claim: Claim, evidence: Evidence) -> Outcome:
    """At 15 % the largest and the smallest model turn after about as many repeats."""
    factor, seeds = claim.limits["factor"], claim.limits["seeds"]
    repeats = per_seed(
        evidence.curves, LARGEST, "curves", lambda run: _onset(evidence, run, "repeats").at
    )
    found = repetitions(given(evidence.curves, "curves"), LARGEST, "curves")
    flat = [run for runs in found.values() for run in runs if not rises(evidence, run)]
    beside = [f"{run} {_onset(evidence, run, 'repeats')}" for run in _small_ratio(evidence)]
    ours = ", ".join(f"{value:.3g}" for value in repeats.mean(axis=0)) + " repeats"
    contrast = Contrast(
        f"ln repeats at the lowest loss, size4 - size1 ({ours})",
        np.log(repeats[:, -1] / repeats[:, 0]),
        "within",
        math.log(factor),
    )
    steps = [_widest_step(evidence, run) for run in found[min(found)]]
    measured = listed([contrast.text(), *beside])
    if max(steps) > factor:
        reason = f"neighbouring evaluations are a factor {max(steps):.2f} apart"
        return Outcome(Verdict.NOT_MEASURABLE, measured, reason, ours)
    remarks = [f"no rise: {', '.join(flat)}"] if flat else []
    outcome = judge([contrast], seeds, remarks, ours)
    return Outcome(outcome.verdict, measured, outcome.reason, ours)


@decides
def repetition_onset_tokens(claim: Claim, evidence: Evidence) -> Outcome:
    """Overfitting starts after the paper's share of D, the earlier the higher the ratio."""
    repetitions(given(evidence.curves, "curves"), RATIOS, "curves")
    factor = claim.limits["factor"]
    paper = dict(zip(RATIOS, _published_shares(claim), strict=True))
    onsets = {run: _onset(evidence, run, "tokens") for run in RATIOS}
    rising = {run: rises(evidence, run) for run in RATIOS}
    measured = listed(
        f"{run} {onsets[run]} of D (paper {paper[run]:.3g}), "
        + ("rises" if rising[run] else "no rise")
        for run in RATIOS
    )
    ours = ", ".join(f"{onsets[run].at:.2f}" for run in RATIOS) + " of D"
    windows = _too_few_windows(evidence, RATIOS[0])
    if windows:
        return Outcome(Verdict.NOT_MEASURABLE, measured, windows, ours)
    outside = [
        f"{run} lies outside a factor {factor} of the paper's"
        for run in RATIOS
        if not onsets[run].meets(paper[run] / factor, factor * paper[run])
    ]
    pairs = [(a, b) for place, a in enumerate(RATIOS) for b in RATIOS[place + 1 :]]
    reversed_ = [f"{a} turns later than {b}" for a, b in pairs if onsets[a].low > onsets[b].high]
    if outside or reversed_:
        return Outcome(Verdict.CONTRADICTED, measured, listed(outside + reversed_), ours)
    flat = [run for run in RATIOS[:2] if not rising[run]]
    if flat:
        return Outcome(Verdict.INCONCLUSIVE, measured, f"no rise: {', '.join(flat)}", ours)
    if not all(onsets[a].at < onsets[b].at for a, b in pairs):
        return Outcome(Verdict.INCONCLUSIVE, measured, "the order is not told", ours)
    return Outcome(Verdict.REPRODUCED, measured, "in the paper's order, within the factor", ours)


@decides
def overfitting_grows_with_size(claim: Claim, evidence: Evidence) -> Outcome:
    """At 15 % the rise from the lowest to the last loss grows with the size."""
    climbs = per_seed(evidence.curves, LARGEST, "curves", lambda run: _climb(evidence, run))
    found = repetitions(given(evidence.curves, "curves"), LARGEST, "curves")
    places = np.arange(len(SIZES)) - (len(SIZES) - 1) / 2
    shown = ", ".join(f"{value:.3f}" for value in climbs.mean(axis=0))
    slope = Contrast(f"slope of the rise ({shown})", climbs @ places / (places @ places), "above")
    ours = f"rises {shown} nats"
    if not any(rises(evidence, run) for runs in found.values() for run in runs):
        reason = "no size rises again at 15 %"
        return Outcome(Verdict.NOT_MEASURABLE, slope.text(), reason, ours)
    return judge([slope], claim.limits["seeds"], ours=ours)


def _onset(evidence: Evidence, run: str, unit: str) -> _Onset:
    """Where the UIH loss is lowest: in repeats of the set, or in tokens as a share of D."""
    rows = curve(evidence, run, "uih")
    values = rows[unit].to_numpy(float)
    if unit == "tokens":
        values = values / values[-1]
    place = int(np.argmin(rows["loss"].to_numpy(float)))
    after = float(values[place + 1]) if place + 1 < len(values) else math.inf
    return _Onset(float(values[place]), float(values[max(place - 1, 0)]), after)


def _climb(evidence: Evidence, run: str) -> float:
    """The last UIH loss minus the lowest, nats per token."""
    loss = curve(evidence, run, "uih")["loss"]
    return float(loss.iloc[-1] - loss.min())


def _widest_step(evidence: Evidence, run: str) -> float:
    """The largest factor between the tokens of neighbouring evaluations, step 0 left out."""
    tokens = curve(evidence, run, "uih")["tokens"].to_numpy(float)
    tokens = tokens[tokens > 0]
    return float((tokens[1:] / tokens[:-1]).max())


def _small_ratio(evidence: Evidence) -> list[str]:
    """The runs at 2 % that are there."""
    runs = (f"{size}-uih_2" for size in SIZES)
    return [run for run in runs if (run, "uih") in evidence.by_domain]


def _too_few_windows(evidence: Evidence, run: str) -> str:
    """What to say where the reduced set has too few windows; nothing where it has enough.

    Raises:
        UserError: the run never saw the set, or the length of a window was not given.
    """
    if evidence.window_length is None:
        raise UserError("the length of a window is not given", "pass --window-length")
    last = curve(evidence, run, "uih").iloc[-1]
    if not last["repeats"] > 0:
        raise UserError(f"run {run} has no UIH tokens", "rerun its training")
    windows = last["domain_tokens"] / last["repeats"] / evidence.window_length
    if round(windows) >= FEWEST_WINDOWS:
        return ""
    return f"the reduced set has {windows:.0f} windows, fewer than {FEWEST_WINDOWS}"


def _published_shares(claim: Claim) -> list[float]:
    """The paper's onsets at 15, 5 and 2 % as shares of its D.

    Raises:
        UserError: the published text has no three numbers of tokens in billions.
    """
    found = re.findall(r"(\d+(?:\.\d+)?)B", claim.published)
    if len(found) != len(RATIOS):
        raise UserError(
            f"claim {claim.id} has the published text {claim.published!r}",
            "write three numbers of tokens, as in 20B, 80B, 160B",
        )
    return [float(number) / PAPER_TOKENS_BILLION for number in found]
