"""Exposure on a real log: what is bought given that stores displayed or mailed it (Table 1).

The Complete Journey says which items stood on a special display, or in the mailer, in how many
stores of a week. A week counts as one with a display if any store had one. Purchases are compared
inside an item, so that popular items, which are promoted more, do not make the difference; what
comes with a promotion, as its price, cannot be taken out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recscale import files
from recscale.audits.distances import ratio_of_sums
from recscale.audits.histories import Items, training_events
from recscale.audits.table import LOG, WALKS, Row, around, point
from recscale.claims.intervals import Interval
from recscale.errors import UserError
from recscale.ranking.sequences import Integers, Sequences

KINDS = {"display": "stores_displayed", "mailer": "stores_mailed"}
ALL_ITEMS = "all items"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Weeks:
    """The whole weeks of the training period: purchases and promotions (items, weeks)."""

    purchases: Array
    promoted: dict[str, NDArray[np.bool_]]

    def share(self) -> Array:
        """The share of weeks in which an item was displayed or mailed (items,)."""
        return np.logical_or(*self.promoted.values()).mean(axis=1)


def read(exposure: Path, events: Path, train_until: str, users: Integers, items: Items) -> Weeks:
    """Count events and promotions by item and week.

    Raises:
        UserError: the record of exposure has no whole week before `train_until`.
    """
    record = files.read_table(exposure, "exposure")
    starts = np.unique(record["week_start"].to_numpy().astype("datetime64[us]"))
    until = np.datetime64(date.fromisoformat(train_until), "us")
    week = np.timedelta64(7, "D")
    starts = starts[starts + week <= until]
    if not len(starts):
        raise UserError(f"{exposure} has no week before {train_until}", "move data.train_until")
    shape = (len(items), len(starts))
    promoted = {}
    number = items.numbers(record["item_id"].to_numpy())
    of_week = _week(record["week_start"].to_numpy().astype("datetime64[us]"), starts)
    for kind, column in KINDS.items():
        chosen = (number >= 0) & (of_week >= 0) & (record[column].to_numpy() > 0)
        promoted[kind] = np.zeros(shape, dtype=bool)
        promoted[kind][number[chosen], of_week[chosen]] = True
    purchases = np.zeros(shape)
    for batch in training_events(events, train_until, users):
        number = items.numbers(batch["item_id"].to_numpy())
        of_week = _week(batch["time"].to_numpy(), starts)
        kept = (number >= 0) & (of_week >= 0)
        np.add.at(purchases, (number[kept], of_week[kept]), 1)
    return Weeks(purchases, promoted)


def _week(times: NDArray[np.datetime64], starts: NDArray[np.datetime64]) -> Integers:
    """The number of each time's week, -1 for a time in none."""
    found = np.searchsorted(starts, times, side="right") - 1
    return np.where(times < starts[-1] + np.timedelta64(7, "D"), found, -1)


def rate_ratio(
    purchases: Array, promoted: NDArray[np.bool_], draws: int, random: np.random.Generator
) -> tuple[Interval, int]:
    """Purchases a week with a promotion over purchases a week without, inside items.

    The ratio of Mantel and Haenszel (1959), over items that have weeks of both kinds, with a
    bootstrap over these; and how many there are.
    """
    weeks = promoted.shape[1]
    with_it = promoted.sum(axis=1).astype(float)
    both = (with_it > 0) & (with_it < weeks) & (purchases.sum(axis=1) > 0)
    bought = np.where(promoted, purchases, 0).sum(axis=1)[both]
    other, with_it = purchases.sum(axis=1)[both] - bought, with_it[both]
    above = bought * (weeks - with_it) / weeks
    below = other * with_it / weeks
    if not below.sum():
        return point(float("nan")), len(above)
    ratio, drawn = ratio_of_sums(above, below, draws, random)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(ratio, float(low), float(high)), len(above)


def audit(
    weeks: Weeks, samples: dict[str, Sequences], draws: int, random: np.random.Generator
) -> list[Row]:
    """purchases_given_display and _mailer, and what the promotions of items do to their share.

    promoted_weeks is the mean over occurrences, in the log and in walks, of the share of weeks in
    which the item was promoted; over all items it is what a sequence without a preference for
    promoted items would have. promoted_weeks_kept: the walks' excess over that over the log's.
    """
    rows = []
    for kind, promoted in weeks.promoted.items():
        found, items = rate_ratio(weeks.purchases, promoted, draws, random)
        rows.append(Row(f"purchases_given_{kind}", LOG, found, items))
    promotion = weeks.share()
    usual = float(promotion.mean())
    rows.append(Row("promoted_weeks", ALL_ITEMS, point(usual), len(promotion)))
    means = {}
    for group in (LOG, WALKS):
        sequences = samples[group]
        row = np.repeat(np.arange(len(sequences)), sequences.lengths)
        total = np.bincount(row, weights=promotion[sequences.values], minlength=len(sequences))
        means[group] = ratio_of_sums(total, sequences.lengths, draws, random)
        rows.append(Row("promoted_weeks", group, around(*means[group]), len(sequences)))
    (log, drawn_log), (walks, drawn_walks) = means[LOG], means[WALKS]
    kept = (drawn_walks - usual) / (drawn_log - usual)
    estimate = (walks - usual) / (log - usual)
    rows.append(Row("promoted_weeks_kept", WALKS, around(estimate, kept), len(samples[WALKS])))
    return rows
