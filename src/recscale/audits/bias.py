"""The bias audit (Table 1): what each of the paper's five biases is in the log and in the walks.

On the real log, as far as it can tell, in bias.csv (real stretches are as many and as long as
walks, cut from real histories at random, so that only the items differ):

* incompleteness: empty_cells, of the matrix of users (or of sequences) by training items;
  items_absent, training items that do not occur; attributes_missing, of the attributes that the
  log has at all, the mean share that the items of the occurrences lack;
* noise: unshared_pairs, successive items of a session or of a walk that no second user has in one
  session. An idiosyncratic pair is not always noise, but noise is seldom shared;
* position: a log without ranks tells nothing of it;
* popularity: top_1_percent_share, of the occurrences, and gini, over all training items;
* exposure: see `recscale.audits.exposure`, where the log has a record of it.

In simulated marketplaces, where the truth is known: see `recscale.audits.marketplace`, whose rows
are appended.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recscale import files, seeds
from recscale.artefact import read_columns
from recscale.audits import distances, exposure
from recscale.audits.histories import (
    Histories,
    Items,
    choose_users,
    item_counts,
    read_histories,
    read_walks,
    stretches_like,
    within,
)
from recscale.audits.table import COLUMNS, LOG, STRETCHES, WALKS, Row, around, frame, point, share
from recscale.errors import run_command
from recscale.logs import logger
from recscale.ranking.sequences import Sequences
from recscale.settings import parse

log = logger("audits.bias")

ATTRIBUTES = ["brand", "c0", "c1", "c2", "size", "color"]
ITEMS_AT_ONCE = 65_536
PAIRS = 20_000  # of successive items, looked up among the sessions
PAIRS_AT_ONCE = 500


@dataclass(frozen=True)
class Settings:
    """The `audits` block of the config as far as biases of the log are concerned, and the seed."""

    seed: int
    train_until: str
    users: int | None
    walks: int | None
    replicates: int


def attributes_missing(items: Path, numbers: Items) -> NDArray[np.float64]:
    """The share of attributes that each training item lacks (items,), of those the log has."""
    missing = np.zeros((len(numbers), len(ATTRIBUTES)), dtype=bool)
    for batch in files.read_batches(items, ["item_id", *ATTRIBUTES], ITEMS_AT_ONCE):
        number = numbers.numbers(batch["item_id"].to_numpy())
        for column, name in enumerate(ATTRIBUTES):
            absent = batch[name].is_null().to_numpy(zero_copy_only=False)
            missing[number[number >= 0], column] = absent[number >= 0]
    had = ~missing.all(axis=0)
    return missing[:, had].mean(axis=1)


def top_share(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the 1 % of cells that have most, of counts (cells, draws)."""
    top = max(1, round(len(counts) / 100))
    highest = np.partition(counts, len(counts) - top, axis=0)[-top:]
    return highest.sum(axis=0) / counts.sum(axis=0)


def gini(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gini coefficient of counts (cells, draws), cells without any included."""
    n = len(counts)
    rank = np.arange(1, n + 1) @ np.sort(counts, axis=0)
    return 2 * rank / (n * counts.sum(axis=0)) - (n + 1) / n


def of_items(
    samples: dict[str, Sequences],
    items: Items,
    lacking: NDArray[np.float64],
    replicates: int,
    seed: int,
) -> list[Row]:
    """Incompleteness and popularity of each sample."""
    rows = []
    for group, sequences in samples.items():
        random = seeds.generator(seed, "bias", group)
        sample = item_counts(sequences, len(items))
        n = len(sequences)
        row = np.repeat(np.arange(n), sequences.lengths)
        absent = 1 - len(np.unique(sequences.values)) / len(items)
        rows.append(Row("items_absent", group, point(absent), len(items)))
        linear = {
            # A row of the matrix has an entry for each distinct item.
            "empty_cells": (1 - np.diff(sample.indptr) / len(items), np.ones(n)),
            "attributes_missing": (
                np.bincount(row, weights=lacking[sequences.values], minlength=n),
                sequences.lengths,
            ),
        }
        for name, (above, below) in linear.items():
            found = around(*distances.ratio_of_sums(above, below, replicates, random))
            rows.append(Row(name, group, found, n))
        for name, measure in (("top_1_percent_share", top_share), ("gini", gini)):
            whole = float(measure(distances.totals(sample))[0])
            drawn = distances.redrawn(measure, sample, replicates, random)
            rows.append(Row(name, group, around(whole, drawn), n))
    return rows


def unshared(
    histories: Histories, sequences: Sequences, items: int, seed: int, inside: NDArray | None = None
) -> tuple[int, int]:
    """Of PAIRS successive items, how many no second user has in one session; and of how many.

    Args:
        histories: of the users who may have them.
        sequences: those whose successive items are looked up.
        items: how many there are.
        seed: chooses the pairs.
        inside: places (all items,) that begin no pair, where a session ends.
    """
    place, _ = within(sequences)
    if inside is not None:
        place = place[~inside[place + 1]]
    if not len(place):
        return 0, 0
    place = seeds.generator(seed, "bias", "pairs").choice(place, min(PAIRS, len(place)), False)
    session = np.cumsum(histories.new_session) - 1
    user = np.repeat(np.arange(len(histories.users)), histories.items.lengths)
    user_of = user[np.flatnonzero(histories.new_session)]
    holds = sparse.csr_matrix(
        (np.ones(len(session), dtype=bool), (histories.items.values, session)),
        shape=(items, len(user_of)),
    )
    alone = 0
    for low in range(0, len(place), PAIRS_AT_ONCE):
        at = place[low : low + PAIRS_AT_ONCE]
        both = holds[sequences.values[at]].multiply(holds[sequences.values[at + 1]]).tocoo()
        users = np.unique(both.row.astype(np.int64) * len(histories.users) + user_of[both.col])
        alone += int((np.bincount(users // len(histories.users), minlength=len(at)) < 2).sum())
    return alone, len(place)


def audit(
    histories: Histories, walks: Sequences, items: Items, lacking: NDArray, settings: Settings
) -> list[Row]:
    """All rows that need no record of exposure."""
    seed = settings.seed
    cut = stretches_like(histories.items, walks.lengths, seeds.derive(seed, "bias"))
    samples = {LOG: histories.items, STRETCHES: cut, WALKS: walks}
    rows = of_items(samples, items, lacking, settings.replicates, seed)
    for group, ends in ((LOG, histories.new_session), (WALKS, None)):
        alone, of = unshared(histories, samples[group], len(items), seed, ends)
        rows.append(Row("unshared_pairs", group, share(alone, of), of))
    return rows


def main() -> None:
    """Command line: the log, its walks and what marketplaces told to the audit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--walks", type=Path, nargs="+", required=True)
    parser.add_argument("--exposure", type=Path, help="contract exposure, if the log has it")
    parser.add_argument("--marketplaces", type=Path, required=True, help="rows to append")
    parser.add_argument("--bias", type=Path, required=True, help="output: the measures")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    simulated = read_columns(arguments.marketplaces, COLUMNS)
    items = Items.read(arguments.items)
    users = choose_users(arguments.events, settings.train_until, settings.users, settings.seed)
    histories = read_histories(arguments.events, settings.train_until, items, users)
    walks = read_walks(arguments.walks, items, settings.walks)
    lacking = attributes_missing(arguments.items, items)
    rows = audit(histories, walks, items, lacking, settings)
    if arguments.exposure is not None:
        weeks = exposure.read(
            arguments.exposure, arguments.events, settings.train_until, users, items
        )
        random = seeds.generator(settings.seed, "bias", "exposure")
        samples = {LOG: histories.items, WALKS: walks}
        rows += exposure.audit(weeks, samples, settings.replicates, random)
    table = pd.concat([frame("bias", rows), simulated], ignore_index=True)
    files.write_csv(table, arguments.bias)
    log.info("%d users, %d walks", len(histories.users), len(walks))


if __name__ == "__main__":
    run_command(main)
