"""The rows that all audits write, and the intervals in them.

Columns: audit (bias, fidelity or privacy), measure, group (what it is taken on), value, low and
high (a 95 % interval; empty: none, or open), n (how many of what the interval is over: users,
walks, worlds). A measure that ends in `_corrected` is another one with an interval corrected for
two comparisons (97.5 %).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from recscale.claims.intervals import CONFIDENCE, Interval, corrected

COLUMNS = ("audit", "measure", "group", "value", "low", "high", "n")

LOG = "real log"
WALKS = "walks"
REWIRED = "rewired walks"
SHUFFLED = "shuffled walks"
STRETCHES = "real stretches"
REAL_AGAINST_REAL = "real-against-real"
CORRECTED = "_corrected"
TWO = corrected(2)


@dataclass(frozen=True)
class Row:
    """A measure on a group, with the interval it has."""

    measure: str
    group: str
    found: Interval
    n: int


def point(value: float) -> Interval:
    """A value without an interval."""
    return Interval(float(value), float("nan"), float("nan"))


def with_corrected(
    measure: str, group: str, interval: Callable[[float], Interval], n: int
) -> list[Row]:
    """A measure, and the same corrected for two; `interval` gives the interval of a confidence."""
    return [
        Row(measure, group, interval(CONFIDENCE), n),
        Row(measure + CORRECTED, group, interval(TWO), n),
    ]


def frame(audit: str, rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table of `COLUMNS`."""
    found = [
        (audit, r.measure, r.group, r.found.estimate, r.found.low, r.found.high, r.n) for r in rows
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def share(hits: int, of: int, confidence: float = CONFIDENCE) -> Interval:
    """A share with Wilson's interval, which stays open where nothing, or everything, was hit."""
    if not of:
        return point(float("nan"))
    p, z2 = hits / of, float(norm.ppf((1 + confidence) / 2)) ** 2
    centre = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = np.sqrt(z2 * (p * (1 - p) / of + z2 / (4 * of * of))) / (1 + z2 / of)
    # Rounding must not move an end past the share.
    return Interval(
        p, min(p, max(0.0, float(centre - half))), max(p, min(1.0, float(centre + half)))
    )


def around(
    estimate: float, resamples: NDArray[np.float64], confidence: float = CONFIDENCE
) -> Interval:
    """The bootstrap's percentiles, moved so that their mean is the estimate.

    Drawing again adds noise, and noise only ever adds to a distance: unmoved, the interval of a
    distance could lie beside it.
    """
    tails = np.quantile(resamples - resamples.mean(), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(estimate), float(estimate + tails[0]), float(estimate + tails[1]))


def ratio_of_means(
    above: NDArray[np.float64], below: NDArray[np.float64], confidence: float = CONFIDENCE
) -> Interval:
    """Fieller's interval (1954) of mean(above) / mean(below), of pairs, shape `(pairs,)`.

    Its ends are not a number where the mean below may be 0: the ratio is then not bounded.
    """
    n, x, y = len(above), float(np.mean(below)), float(np.mean(above))
    estimate = y / x if x else float("nan")
    if n < 2:
        return point(estimate)
    (yy, xy), (_, xx) = np.cov(above, below) * float(student.ppf((1 + confidence) / 2, n - 1)) ** 2
    yy, xy, xx = yy / n, xy / n, xx / n
    square = x * x - xx
    if square <= 0:
        return point(estimate)
    middle = (x * y - xy) / square
    half = np.sqrt(max(0.0, middle * middle - (y * y - yy) / square))
    return Interval(estimate, float(middle - half), float(middle + half))
