"""Several numbers per seed that together decide a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recscale.claims.intervals import CONFIDENCE, Interval, corrected, over_seeds
from recscale.claims.verdict import Outcome, Verdict, listed

Side = Literal["above", "below", "within"]


@dataclass(frozen=True)
class Contrast:
    """One number per seed, and the side of a threshold that the claim puts it on.

    Attributes:
        name: what the number is.
        values: one per seed, shape `(seeds,)`.
        side: where the claim puts all of the interval; all of it on the other side contradicts.
        threshold: what the sides are sides of; within: of -threshold and threshold.
        counts: whether the numbers may carry a verdict, as parameters may that are identified.
    """

    name: str
    values: NDArray[np.float64]
    side: Side
    threshold: float = 0.0
    counts: bool = True

    def text(self) -> str:
        """The mean with its interval, or without one where there is one seed."""
        return f"{self.name} {self.number()}"

    def number(self) -> str:
        """The same without the name; none where a parameter has no value."""
        known = self.values[np.isfinite(self.values)]
        if len(known) >= 2:
            return str(over_seeds(known))
        return f"{known[0]:.3g}" if len(known) else "none"

    def holds(self, confidence: float = CONFIDENCE) -> bool:
        """Whether the interval lies on the claim's side."""
        return self._lies(over_seeds(self.values, confidence), claimed=True)

    def fails(self, confidence: float) -> bool:
        """Whether the interval lies on the other side."""
        return self._lies(over_seeds(self.values, confidence), claimed=False)

    def _lies(self, interval: Interval, claimed: bool) -> bool:
        low, high = interval.below(self.threshold), interval.above(self.threshold)
        if self.side == "within":
            outside = high or interval.below(-self.threshold)
            return low and interval.above(-self.threshold) if claimed else outside
        return high if (self.side == "above") == claimed else low


def seeds_short(contrasts: Sequence[Contrast], seeds: int) -> str:
    """What to say where a contrast has fewer values than `seeds`; nothing where none has."""
    fewest = min(len(contrast.values) for contrast in contrasts)
    return f"{fewest} of the {seeds} seeds it needs" if fewest < seeds else ""


def judge(
    contrasts: Sequence[Contrast],
    seeds: int,
    remarks: Sequence[str] = (),
    ours: str = "",
    against: Sequence[Contrast] | None = None,
) -> Outcome:
    """Reproduced when all contrasts hold, contradicted when one fails, else inconclusive.

    Fewer than `seeds` values are inconclusive, and so is anything that `remarks` say against the
    numbers. A contrast fails at a confidence that is corrected for how many could.

    Args:
        contrasts: what has to hold.
        seeds: how many values each needs.
        remarks: what stands against the numbers, such as a parameter that is not identified.
        ours: the number to set beside the paper's; left out: the contrasts' own.
        against: those that contradict when they fail, if they count, whatever the remarks say;
            left out: all of them, where there is no remark.
    """
    measured = listed(contrast.text() for contrast in contrasts)
    ours = ours or listed(contrast.number() for contrast in contrasts)
    short = seeds_short(contrasts, seeds)
    if short or (remarks and against is None):
        reasons = [short, *remarks] if short else remarks
        return Outcome(Verdict.INCONCLUSIVE, measured, listed(reasons), ours)
    decisive = contrasts if against is None else against
    confidence = corrected(len(decisive))
    failed = [c.name for c in decisive if c.counts and c.fails(confidence)]
    if failed:
        reason = f"against the claim: {', '.join(failed)}"
        return Outcome(Verdict.CONTRADICTED, measured, reason, ours)
    undecided = [c.name for c in contrasts if not c.holds()]
    if remarks or undecided:
        reasons = [*remarks, f"undecided: {', '.join(undecided)}"] if undecided else remarks
        return Outcome(Verdict.INCONCLUSIVE, measured, listed(reasons), ours)
    fewest = min(len(contrast.values) for contrast in contrasts)
    return Outcome(Verdict.REPRODUCED, measured, f"{fewest} seeds", ours)
