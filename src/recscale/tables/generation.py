"""What models answer to held-out walks and to random histories (section 8, Figures 9 to 11).

The paper shows three examples; here stand hits, answers that are no item and diversity over a
sample, with 95 % intervals over histories. Random histories are paired with walks of their length,
so that the paper's claim that answers to them are more diverse can be tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot, nan, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_tables,
)
from recscale.claims.intervals import CONFIDENCE, Interval
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, size_label

KEYS = ["run", "size", "seed", "histories", "source", "search", "beams"]
MEASURES = [
    *("exact", "exact_item", "exact_in_beam", "set", "set_in_beam", "invalid", "distinct_items"),
    *("distinct_categories", "code_distance", "overlap_with_history", "category_in_history"),
]
PREFIXES = ("prefix", "prefix_in_beam")
FIRST = {"different_items": "first_item", "different_categories": "first_category"}
PAIRED = ("distinct_items", "distinct_categories", "code_distance", "overlap_with_history")
WALKS, RANDOM, CHANGE = "uih_full_graph", "random", "random - uih_full_graph"
SHOWN = {WALKS: "walks", RANDOM: "random items", CHANGE: "difference"}
DIVERSITY = ("code_distance", "distinct_categories", "different_items", "overlap_with_history")
MOST_FREQUENT = "Most frequent ids"
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def mean(values: NDArray[np.float64]) -> Interval:
    """The mean with its normal interval; Wilson's for values of 0 and 1 only.

    Wilson's is not empty where all values are alike. Fewer than two other values have no interval.
    """
    n, middle = len(values), float(values.mean())
    if np.isin(values, (0.0, 1.0)).all():
        centre = (middle + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * sqrt(middle * (1 - middle) / n + _Z**2 / (4 * n**2))
        return Interval(middle, min(middle, centre - half), max(middle, centre + half))
    half = _Z * float(values.std(ddof=1)) / sqrt(n) if n > 1 else nan
    return Interval(middle, middle - half, middle + half)


def different(values: pd.Series) -> Interval:
    """The chance that the values of two different rows differ, with its jackknife interval."""
    n = len(values)
    if n < 3:
        return Interval(nan, nan, nan)
    counts = values.map(values.value_counts()).to_numpy(dtype=float)
    alike = float((counts - 1).sum())  # ordered pairs of rows with equal values
    without = 1 - (alike - 2 * (counts - 1)) / ((n - 1) * (n - 2))
    half = _Z * sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    estimate = 1 - alike / (n * (n - 1))
    return Interval(estimate, estimate - half, estimate + half)


def measured(rows: pd.DataFrame) -> Iterator[tuple[str, int, Interval]]:
    """Name, histories with a value, and value of every measure of one search on one set."""
    for name in MEASURES:
        values = rows[name].dropna().to_numpy(dtype=float)
        if len(values):
            yield name, len(values), mean(values)
    for name in PREFIXES:
        values = rows[name].dropna().to_numpy(dtype=float)
        for depth in range(1, int(rows["width"].iloc[0]) + 1) if len(values) else ():
            yield f"{name}_{depth}", len(values), mean((values >= depth).astype(float))
    for name, column in FIRST.items():
        known = rows[column].dropna()
        if len(known) > 2:
            yield name, len(known), different(known)


def build(table: pd.DataFrame) -> pd.DataFrame:
    """One row per run, set of histories, search and measure.

    Returns:
        Columns run, size, seed, histories, source, search, beams, measure, n (histories with a
        value), value, low, high (95 % over histories). prefix_d is the share of histories whose
        likeliest answer has the first d codes of the next item, prefix_in_beam_d of those where an
        answer does; different_items the chance that the likeliest answers to two histories
        differ. Rows of the set `random - uih_full_graph` are differences of random histories and
        walks of the same length.

    Raises:
        UserError: a search occurs twice, or random histories are not paired with walks.
    """
    if table.duplicated([*KEYS, "history"]).any():
        raise UserError("--generation hold a search twice", "pass each run once")
    rows: list[dict[str, Any]] = []

    def add(key: Any, measure: str, n: int, found: Interval) -> None:
        labels = dict(zip(KEYS, key, strict=True))
        value = {"value": found.estimate, "low": found.low, "high": found.high}
        rows.append({**labels, "measure": measure, "n": n, **value})

    groups = {key: of_key for key, of_key in table.groupby(KEYS, sort=True)}
    for key, of_key in groups.items():
        for measure, n, found in measured(of_key):
            add(key, measure, n, found)
    place = KEYS.index("histories")
    for key, of_random in groups.items():
        if key[place] != RANDOM:
            continue
        of_walks = groups.get((*key[:place], WALKS, *key[place + 1 :]))
        if of_walks is None or set(of_walks["history"]) != set(of_random["history"]):
            raise UserError(
                f"--generation hold random histories of {key[0]} without walks of their length",
                "evaluate the run again",
            )
        first, second = (part.set_index("history").sort_index() for part in (of_random, of_walks))
        change = (*key[:place], CHANGE, *key[place + 1 :])
        for name in PAIRED:
            values = (first[name] - second[name]).dropna().to_numpy(dtype=float)
            if len(values) > 1:
                half = _Z * float(values.std(ddof=1)) / sqrt(len(values))
                middle = float(values.mean())
                add(change, name, len(values), Interval(middle, middle - half, middle + half))
        for name, column in FIRST.items():
            known = [part[column].dropna() for part in (first, second)]
            both = [different(values) for values in known]
            middle = both[0].estimate - both[1].estimate
            half = hypot(*(found.high - found.estimate for found in both))
            n = min(map(len, known))
            if n > 2:
                add(change, name, n, Interval(middle, middle - half, middle + half))
    return pd.DataFrame(rows)


def _cell(table: pd.DataFrame, digits: int, **where: object) -> str:
    """A value with its interval, LaTeX; a dash where there is none."""
    keep = np.ones(len(table), dtype=bool)
    for name, value in where.items():
        keep &= (table[name] == value).to_numpy()
    if not keep.any():
        return latex.DASH
    row = table[keep].iloc[0]
    value = latex.fixed(row["value"], digits)
    return f"{value} {latex.interval(row['low'], row['high'], digits)}"


def names_of(table: pd.DataFrame, rung: str) -> dict[str, str]:
    """What to call each run: by its size, or by its own name if sizes repeat."""
    runs = table.drop_duplicates("run")
    if runs["size"].duplicated().any():
        return {run: run for run in runs["run"]}
    return {row.run: size_label(row.size, rung) for row in each_row(runs[["run", "size"]])}


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """Two tables: hits and answers that are no item, and diversity."""
    names = names_of(table, artefact.rung)
    beams = int(table["beams"].max())
    groups = []
    for histories in table["histories"].unique():
        if histories in (RANDOM, CHANGE):
            continue
        of_set = table[table["histories"] == histories]
        lines: list[str] = []
        for source, search, run in _order(names):
            part = of_set[
                (of_set["source"] == source) & (of_set["search"] == search) & (of_set["run"] == run)
            ]
            who = MOST_FREQUENT if source == "popularity" else latex.escape(names[run])
            lines.append(
                latex.row(
                    [
                        DOMAIN_NAMES[histories] if not lines else "",
                        who,
                        "items" if search == "constrained" else "tokens",
                        _cell(part, 3, measure="exact", beams=1),
                        _cell(part, 3, measure="exact_in_beam", beams=beams),
                        _cell(part, 3, measure="prefix_1", beams=1),
                        _cell(part, 3, measure="set", beams=1),
                        _cell(part, 3, measure="invalid", beams=beams),
                    ]
                )
            )
        groups.append(lines)
    header = ["Histories", "Answered by", "Among", "Exact", f"Exact in {beams}"]
    header += ["First code", "Codes in common", "No item"]
    body = latex.tabular("lllrrrrr", [latex.row(header)], groups)
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    histories = int(table["n"].max())
    hit_caption = (
        f"Answers to {histories} held-out walks of each set ({latex.escape(artefact.tag)}). Exact: "
        f"all codes of the next item, by greedy search, and among the {beams} answers of a beam; "
        "first code and codes in common: of the greedy answer; no item: answers of the beam that "
        "are no item. Brackets: 95\\,\\% intervals over histories."
    )
    return latex.table(tag, label, hit_caption, body, wide=True) + _diversity(
        table, artefact, names, beams
    )


def _order(names: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Source, search and run of the lines of a set; popularity does not depend on the run."""
    yield "popularity", "constrained", next(iter(names))
    for run in names:
        yield "model", "constrained", run
        yield "model", "unconstrained", run


def _diversity(table: pd.DataFrame, artefact: Artefact, names: dict[str, str], beams: int) -> str:
    kept = table[(table["search"] == "constrained") & (table["beams"] == beams)]
    answering = [("popularity", next(iter(names)), MOST_FREQUENT)]
    answering += [("model", run, latex.escape(name)) for run, name in names.items()]
    groups = []
    for source, run, name in answering:
        lines: list[str] = []
        for histories, shown in SHOWN.items():
            part = kept[
                (kept["source"] == source) & (kept["run"] == run) & (kept["histories"] == histories)
            ]
            cells = [_cell(part, 3, measure=measure) for measure in DIVERSITY]
            lines.append(latex.row([name if not lines else "", shown, *cells]))
        groups.append(lines)
    header = [
        "Answered by",
        "History",
        "Code distance",
        "Categories",
        "Two histories differ",
        "Like history",
    ]
    body = latex.tabular("llrrrr", [latex.row(header)], groups)
    caption = (
        f"Diversity of the {beams} answers of a beam among real items, after held-out walks and "
        f"after as many random items ({latex.escape(artefact.tag)}). Code distance: share of codes "
        "that two answers do not have in common; categories: distinct leaf categories among the "
        "answers; two histories differ: chance that the likeliest answers to two histories are not "
        "the same; like history: share of codes that an answer has in common with the nearest item "
        "shown. Most frequent ids: the same answers to all. "
        "Brackets: 95\\,\\% intervals over histories, of the difference over pairs of histories "
        "of one length."
    )
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, f"{artefact.target}-diversity", caption, body, wide=True)


def main() -> None:
    """Command line of the table."""
    parser = command_line(__doc__)
    parser.add_argument("--generation", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("generation", arguments)
    table = build(read_tables(arguments.generation, "generation"))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
