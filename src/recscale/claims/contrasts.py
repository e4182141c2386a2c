"""Several numbers per seed that together decide a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recscale.claims.intervals import CONFIDENCE, corrected, over_seeds
from recscale.claims.verdict import Outcome, Verdict, listed

Side = Literal["above", "below"]


@dataclass(frozen=True)
class Contrast:
    """One number per seed, and the side of a threshold that the claim puts it on.

    Attributes:
        name: what the number is.
        values: one per seed, shape `(seeds,)`.
        side: where the claim puts all of the interval; all of it on the other side contradicts.
        threshold: what the sides are sides of.
    """

    name: str
    values: NDArray[np.float64]
    side: Side
    threshold: float = 0.0

    def text(self) -> str:
        """The mean with its interval, or without one where there is one seed."""
        if len(self.values) >= 2:
            return f"{self.name} {over_seeds(self.values)}"
        return f"{self.name} {self.values[0]:.3g}" if len(self.values) else f"{self.name} none"

    def holds(self, confidence: float = CONFIDENCE) -> bool:
        """Whether the interval lies on the claim's side."""
        interval = over_seeds(self.values, confidence)
        if self.side == "above":
            return interval.above(self.threshold)
        return interval.below(self.threshold)

    def fails(self, confidence: float) -> bool:
        """Whether the interval lies on the other side."""
        interval = over_seeds(self.values, confidence)
        if self.side == "above":
            return interval.below(self.threshold)
        return interval.above(self.threshold)


def judge(contrasts: Sequence[Contrast], seeds: int, remarks: Sequence[str] = ()) -> Outcome:
    """Reproduced when all contrasts hold, contradicted when one fails, else inconclusive.

    A contrast fails at a confidence that is corrected for their number. Fewer than `seeds` values
    are inconclusive, and so is anything that `remarks` say against the numbers.
    """
    measured = listed(contrast.text() for contrast in contrasts)
    fewest = min(len(contrast.values) for contrast in contrasts)
    against = list(remarks)
    if fewest < seeds:
        against.insert(0, f"{fewest} of the {seeds} seeds it needs")
    if against:
        return Outcome(Verdict.INCONCLUSIVE, measured, listed(against))
    confidence = corrected(len(contrasts))
    failed = [c.name for c in contrasts if c.fails(confidence)]
    if failed:
        return Outcome(Verdict.CONTRADICTED, measured, f"against the claim: {', '.join(failed)}")
    open_ = [c.name for c in contrasts if not c.holds()]
    if open_:
        return Outcome(Verdict.INCONCLUSIVE, measured, f"undecided: {', '.join(open_)}")
    return Outcome(Verdict.REPRODUCED, measured, f"{fewest} seeds")
