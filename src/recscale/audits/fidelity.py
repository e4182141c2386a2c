"""Fidelity (section 5.1): how closely walks mirror real histories, with real users as yardstick.

The paper compares item popularity and length and prints neither. Here real histories are the
training items of each user's training period, in the order of time; walks are those of the ranking
stage, from the same graph as the UIH domain. Each distance also stands between random halves of the
real users: what two samples of one thing differ by. Measures, in fidelity.csv:

* popularity_js, popularity_tv: Jensen-Shannon distance (base 2) and total variation of the item
  distributions;
* length_js, length_ks: of lengths, in classes that double (1, 2 to 3, 4 to 7, ...), so that a
  length that one user alone has does not count as a difference; and of the lengths themselves;
* category_js, category_tv: of leaf categories; category_pairs_js: of pairs of leaf categories of
  successive items;
* transitions_seen: of successive items, the share that also follow one another in the history of
  a user of the other half (of walks, too, against one half of the users);
* popularity_js_ratio and length_js_ratio: the distance of walks over the mean of the halves, and
  the same _corrected for two comparisons;
* popularity_p, length_p, category_p, category_pairs_p: p-values of permutation tests of whether
  walks and stretches of real histories, or two halves of the users, are alike. A stretch is as
  long as a walk, so that length does not enter the other three; a user gives one, because one
  user's stretches are not independent. Lengths are those of whole histories;
* half_users: users in a half.

Groups: walks, shuffled walks (their items dealt out anew), real-against-real.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recscale import files, seeds
from recscale.audits import distances
from recscale.audits.distances import (
    jensen_shannon,
    kolmogorov_smirnov,
    permutation_test,
    total_variation,
)
from recscale.audits.histories import (
    Histories,
    Items,
    choose_users,
    counts,
    read_histories,
    read_walks,
    shuffled,
    stretches,
    within,
)
from recscale.audits.table import (
    LOG,
    REAL_AGAINST_REAL,
    SHUFFLED,
    WALKS,
    Row,
    around,
    frame,
    point,
    with_corrected,
)
from recscale.claims.intervals import Interval
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.ranking.sequences import Integers, Sequences
from recscale.settings import parse

log = logger("audits.fidelity")

MEASURES = {
    "popularity_js": ("popularity", jensen_shannon),
    "popularity_tv": ("popularity", total_variation),
    "length_js": ("length_class", jensen_shannon),
    "length_ks": ("length", kolmogorov_smirnov),
    "category_js": ("category", jensen_shannon),
    "category_tv": ("category", total_variation),
    "category_pairs_js": ("category_pairs", jensen_shannon),
}
TESTED = {
    "popularity_p": ("popularity", jensen_shannon),
    "length_p": ("length", kolmogorov_smirnov),
    "category_p": ("category", jensen_shannon),
    "category_pairs_p": ("category_pairs", jensen_shannon),
}
CLAIMED = ("popularity_js", "length_js")  # those whose ratio the claim is about
PLOTTED = 120  # points of a curve of popularity, at most


@dataclass(frozen=True)
class Settings:
    """The `audits` block of the config as far as fidelity is concerned, and the seed."""

    seed: int
    train_until: str
    users: int | None
    walks: int | None
    replicates: int


def cells_of(name: str, sequences: Sequences, items: Items) -> tuple[Integers, Integers]:
    """Row and cell of everything that a characteristic counts; cells may be sparse numbers."""
    row = np.repeat(np.arange(len(sequences)), sequences.lengths)
    if name == "popularity":
        return row, sequences.values
    if name == "length":
        return np.arange(len(sequences)), sequences.lengths
    if name == "length_class":
        return np.arange(len(sequences)), np.floor(np.log2(sequences.lengths)).astype(np.int64)
    leaf = items.leaf[sequences.values]
    if name == "category":
        return row[leaf >= 0], leaf[leaf >= 0]
    place, of = within(sequences)
    known = (leaf[place] >= 0) & (leaf[place + 1] >= 0)
    return of[known], (leaf[place] * items.leaves + leaf[place + 1])[known]


def matrices(name: str, samples: list[Sequences], items: Items) -> list[sparse.csr_matrix] | None:
    """Counts of a characteristic in each sample, over the cells that any has, in their order.

    None where a sample has none: categories that the log does not know.
    """
    found = [cells_of(name, sample, items) for sample in samples]
    if not all(len(cells) for _, cells in found):
        return None
    _, column = np.unique(np.concatenate([cells for _, cells in found]), return_inverse=True)
    cells, ends = int(column.max()) + 1, np.cumsum([len(cells) for _, cells in found])
    return [
        counts(rows, part, (len(sample), cells))
        for (rows, _), part, sample in zip(found, np.split(column, ends[:-1]), samples, strict=True)
    ]


def compare(
    real: Sequences, walks: Sequences, items: Items, replicates: int, seed: int
) -> list[Row]:
    """The distances of walks from real histories and between halves of these, and the ratios."""
    rows = []
    for measure, (name, distance) in MEASURES.items():
        found = matrices(name, [real, walks], items)
        if found is None:
            continue
        of_real, of_walks = found
        random = seeds.generator(seed, "fidelity", measure)
        value = distances.between(distance, of_walks, of_real)
        drawn = distances.bootstrap(distance, of_walks, of_real, replicates, random)
        split = distances.halves(distance, of_real, replicates, random)
        rows.append(Row(measure, WALKS, around(value, drawn), len(walks)))
        middle = float(split.mean())
        low, high = np.quantile(split, [0.025, 0.975])
        rows.append(
            Row(measure, REAL_AGAINST_REAL, Interval(middle, float(low), float(high)), len(real))
        )
        if measure in CLAIMED:
            # A half is drawn from the users once and not drawn again inside: that would add noise
            # to a yardstick that is noise alone.
            ratios = (drawn - drawn.mean() + value) / split
            rows += with_corrected(
                f"{measure}_ratio",
                WALKS,
                partial(around, value / middle, ratios),
                len(walks),
            )
    return rows


def transitions_seen(
    sequences: Sequences, reference: Sequences, items: int, draws: int, random: np.random.Generator
) -> Interval:
    """The share of successive items that follow one another in the reference too.

    The interval is a bootstrap over sequences.
    """
    known = np.unique(_pairs(reference, items)[0])
    pairs, row = _pairs(sequences, items)
    hit = np.isin(pairs, known)
    n = len(sequences)
    hits, pairs_of = (np.bincount(row, weights=w, minlength=n) for w in (hit, np.ones(len(hit))))
    return around(*distances.ratio_of_sums(hits, pairs_of, draws, random))


def _pairs(sequences: Sequences, items: int) -> tuple[Integers, Integers]:
    """Each pair of successive items as one number, and its sequence."""
    place, row = within(sequences)
    return sequences.values[place] * items + sequences.values[place + 1], row


def two_sample_tests(
    real: Sequences, walks: Sequences, items: Items, replicates: int, seed: int
) -> list[Row]:
    """The permutation tests, of walks and of real users against half of the users."""
    order = seeds.generator(seed, "fidelity", "halves").permutation(len(real))
    first, second = (real.take(np.sort(part)) for part in np.array_split(order, 2))
    size = min(len(first), len(second), len(walks))
    some_walks = walks.take(np.arange(size))
    pieces = [
        stretches(half, walks.lengths, seeds.derive(seed, "fidelity", number))
        for number, half in enumerate((first, second))
    ]
    rows = []
    for measure, (name, distance) in TESTED.items():
        whole = name == "length"
        first_part, second_part = (first, second) if whole else pieces
        for group, other in ((WALKS, some_walks), (REAL_AGAINST_REAL, second_part)):
            found = matrices(name, [first_part, other], items)
            if found is None:
                continue
            random = seeds.generator(seed, "fidelity", measure, group)
            p = permutation_test(distance, found[0], found[1], replicates, random)
            rows.append(Row(measure, group, point(p), min(len(first_part), len(other))))
    return rows


def audit(histories: Histories, walks: Sequences, items: Items, settings: Settings) -> list[Row]:
    """All rows of the audit."""
    real = histories.items
    rows = [Row("half_users", LOG, point(len(real) // 2), len(real))]
    rows += compare(real, walks, items, settings.replicates, settings.seed)
    order = seeds.generator(settings.seed, "fidelity", "halves").permutation(len(real))
    half, reference = (real.take(np.sort(part)) for part in np.array_split(order, 2))
    for group, sequences in (
        (WALKS, walks),
        (SHUFFLED, shuffled(walks, settings.seed)),
        (REAL_AGAINST_REAL, half),
    ):
        random = seeds.generator(settings.seed, "transitions", group)
        found = transitions_seen(sequences, reference, len(items), settings.replicates, random)
        rows.append(Row("transitions_seen", group, found, len(sequences)))
    return rows + two_sample_tests(real, walks, items, settings.replicates, settings.seed)


def distributions(real: Sequences, walks: Sequences, items: Items) -> pd.DataFrame:
    """What the figure draws: columns characteristic, group, x, value.

    popularity: x is the rank of an item among those of the group, value its share of the group's
    occurrences, at ranks that are even on a logarithmic axis; popularity_by_real: x is the item's
    rank among real histories instead, value the share of items up to it; length: x is the first
    length of a class, value the share of the group's sequences in it.
    """
    parts = []
    occurrences = {}
    for group, sequences in ((LOG, real), (WALKS, walks)):
        occurrences[group] = np.bincount(sequences.values, minlength=len(items))
        ranked = np.sort(occurrences[group])[::-1]
        ranked = ranked[ranked > 0]
        ranks = _even_ranks(len(ranked))
        parts.append(_curve("popularity", group, ranks, ranked[ranks - 1] / ranked.sum()))
        classes = np.bincount(np.floor(np.log2(sequences.lengths)).astype(np.int64))
        first = 2 ** np.arange(len(classes))
        parts.append(_curve("length", group, first, classes / classes.sum()))
    by_real = np.argsort(-occurrences[LOG], kind="stable")
    ranks = _even_ranks(len(items))
    for group, found in occurrences.items():
        cumulated = np.cumsum(found[by_real]) / found.sum()
        parts.append(_curve("popularity_by_real", group, ranks, cumulated[ranks - 1]))
    return pd.concat(parts, ignore_index=True)


def _even_ranks(most: int) -> Integers:
    return np.unique(np.rint(np.geomspace(1, most, PLOTTED)).astype(np.int64))


def _curve(characteristic: str, group: str, x: Integers, value: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"characteristic": characteristic, "group": group, "x": x, "value": value})


def main() -> None:
    """Command line: the log and its walks to the audit, and to the curves of the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--walks", type=Path, nargs="+", required=True)
    parser.add_argument("--fidelity", type=Path, required=True, help="output: the measures")
    parser.add_argument("--distributions", type=Path, required=True, help="output: for the figure")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    items = Items.read(arguments.items)
    users = choose_users(arguments.events, settings.train_until, settings.users, settings.seed)
    histories = read_histories(arguments.events, settings.train_until, items, users)
    if len(histories.users) < 2:
        raise UserError(f"{arguments.events} holds one user alone", "audit a log of more users")
    walks = read_walks(arguments.walks, items, settings.walks)
    table = frame("fidelity", audit(histories, walks, items, settings))
    files.write_csv(table, arguments.fidelity)
    files.write_csv(distributions(histories.items, walks, items), arguments.distributions)
    log.info("%d users, %d walks", len(histories.users), len(walks))


if __name__ == "__main__":
    run_command(main)
