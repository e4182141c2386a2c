"""Means over trainings that differ in their seed, with their intervals."""

from __future__ import annotations

import math

import pandas as pd

from recscale.claims.intervals import over_seeds


def mean_interval(values: pd.Series) -> tuple[float, float, float]:
    """The mean of one value a training with the ends of its 95 % t interval, nan with one only."""
    if len(values) < 2:
        return float(values.mean()), math.nan, math.nan
    found = over_seeds(values.to_numpy(dtype=float))
    return found.estimate, found.low, found.high
