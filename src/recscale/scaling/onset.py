"""Where a held-out loss turns from falling to rising (Section 7.2, Table 6, Figures 5 and 7).

The paper reads the onset of overfitting off its curves ("about 16 repeats"). Here it is the
evaluation with the lowest loss, with an interval. All that is assumed of the curve is that it falls
until the onset and rises from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import f as fisher

from recscale.scaling.monotone import Array, noise_scales

CONFIDENCE = 0.95
MIN_POINTS = 6  # fewer cannot tell noise from a turn


@dataclass(frozen=True)
class Onset:
    """The evaluations at the lowest loss and at the ends of its interval, as places in the curve.

    An end that is None is open: the loss may be lowest before the first evaluation or after the
    last one (right-censored), where nothing was evaluated.
    """

    lowest: int
    low: int | None
    high: int | None

    @property
    def censored(self) -> bool:
        """Whether no rise was seen: the loss may be lowest after the last evaluation."""
        return self.high is None

    def at(self, values: Array) -> tuple[float, float | None, float | None]:
        """`values` (tokens or repeats, one for each evaluation) at the onset and its ends."""
        low = None if self.low is None else float(values[self.low])
        high = None if self.high is None else float(values[self.high])
        return float(values[self.lowest]), low, high


def find_onset(tokens: Array, loss: Array) -> Onset | None:
    """The onset of one curve; None where it has fewer than `MIN_POINTS` evaluations.

    Every gap between neighbouring evaluations could hold the onset. For each, the losses before it
    are fitted by the best falling sequence and the losses after it by the best rising one. The
    interval spans the gaps whose sum of squares lies above the least by no more than noise explains
    (as in a profile likelihood), and at least the evaluations beside the lowest loss.

    Args:
        tokens: tokens seen, increasing, shape `(n,)`.
        loss: held-out loss in nats per token, shape `(n,)`.
    """
    n = len(loss)
    if n < MIN_POINTS:
        return None
    squares = np.array([_falls_then_rises(loss, gap) for gap in range(n + 1)])
    scales = noise_scales(tokens, loss)
    limit = squares.min() + min(s**2 * fisher.ppf(CONFIDENCE, 1, freedom) for s, freedom in scales)
    gaps = np.flatnonzero(squares <= limit)
    lowest = int(np.argmin(loss))
    first, last = min(int(gaps[0]), lowest), max(int(gaps[-1]), lowest + 1)
    return Onset(lowest, None if first == 0 else first - 1, None if last == n else last)


def _falls_then_rises(loss: Array, gap: int) -> float:
    """Least sum of squares of a sequence that falls in loss[:gap] and rises in loss[gap:]."""
    total = 0.0
    for part, increasing in ((loss[:gap], False), (loss[gap:], True)):
        if len(part):
            total += float(np.sum((isotonic_regression(part, increasing=increasing).x - part) ** 2))
    return total
