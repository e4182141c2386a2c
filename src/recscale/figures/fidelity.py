"""Fidelity (section 5.1): popularity and length of walks and of real histories, and distances.

The paper says that it compared these distributions and prints no figure; this is one. Distances
stand beside those between random halves of the real users, since no sample is nearer to its source
than that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_columns
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.labels import short_number

COLUMNS = ("audit", "measure", "group", "value", "low", "high", "n")
CURVES = ("characteristic", "group", "x", "value")
REAL, WALKS, HALVES, SHUFFLED = "real log", "walks", "real-against-real", "shuffled walks"
LOOKS: dict[str, dict[str, Any]] = {
    REAL: {"color": style.ARM_COLOURS["trtr"], "linestyle": style.ARM_LINES["trtr"]},
    WALKS: {"color": style.ARM_COLOURS["tstr"], "linestyle": style.ARM_LINES["tstr"]},
}
MARKERS = {WALKS: style.ARM_MARKERS["tstr"], REAL: style.ARM_MARKERS["trtr"]}
NAMES = {REAL: "real histories", WALKS: "synthetic walks"}
# Distances between 0 and 1, in the order they are drawn.
DISTANCES = {
    "popularity_js": "popularity, JS",
    "popularity_tv": "popularity, TV",
    "length_js": "length, JS",
    "length_ks": "length, KS",
    "category_js": "categories, JS",
    "category_tv": "categories, TV",
    "category_pairs_js": "category pairs, JS",
}
TESTS = {
    "popularity_p": "popularity_js",
    "length_p": "length_ks",
    "category_p": "category_js",
    "category_pairs_p": "category_pairs_js",
}
RATIOS = ("popularity_js", "length_js")


def measure(audit: pd.DataFrame) -> pd.DataFrame:
    """One row per distance and one for transitions_seen.

    Returns:
        Columns measure, label; walks and halves (the distance of walks from real histories, and
        between halves of the users) with _low and _high; ratio with _low and _high where it is
        claimed; walks_p and halves_p of permutation tests where there is one; shuffled with _low
        and _high, of transitions_seen; n_walks, n_users.

    Raises:
        UserError: a measure is there twice, or a distance lacks one of its groups.
    """
    if audit.duplicated(["measure", "group"]).any():
        raise UserError("--fidelity holds a measure of one group twice", "run its target again")
    values = {(row.measure, row.group): row for row in each_row(audit)}
    tests = {distance: test for test, distance in TESTS.items()}
    rows = []
    for name, label in {**DISTANCES, "transitions_seen": "transitions seen"}.items():
        there = [(name, group) in values for group in (WALKS, HALVES)]
        if not any(there):
            continue
        if not all(there):
            raise UserError(f"--fidelity lacks {name} of walks or halves", "run its target again")
        row: dict[str, Any] = {"measure": name, "label": label}
        for column, key in (
            ("walks", (name, WALKS)),
            ("halves", (name, HALVES)),
            ("shuffled", (name, SHUFFLED)),
            ("ratio", (f"{name}_ratio", WALKS)),
        ):
            found = values.get(key)
            for attribute, end in (("value", ""), ("low", "_low"), ("high", "_high")):
                row[column + end] = np.nan if found is None else getattr(found, attribute)
        for column, group in (("walks_p", WALKS), ("halves_p", HALVES)):
            found = values.get((tests.get(name, ""), group))
            row[column] = np.nan if found is None else found.value
        row["n_walks"], row["n_users"] = (values[name, group].n for group in (WALKS, HALVES))
        rows.append(row)
    if not rows:
        raise UserError("--fidelity holds no distance", "run its target again")
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, curves: pd.DataFrame, artefact: Artefact) -> None:
    """Draw four panels: popularity by rank, coverage of real popularity, length, distances."""
    style.theme()
    figure, grid = plt.subplots(2, 2, figsize=(style.DOUBLE_COLUMN, 4.6), layout="constrained")
    (ranks, covered), (lengths, distances) = grid
    _lines(ranks, curves, "popularity")
    ranks.set(xscale="log", yscale="log", xlabel="rank of the item in its own data")
    ranks.set_ylabel("share of occurrences")
    ranks.set_title("Item popularity")
    _lines(covered, curves, "popularity_by_real")
    covered.set(xscale="log", ylim=(0, 1.02), xlabel="rank of the item among real histories")
    covered.set_ylabel("share of occurrences up to it")
    covered.set_title("Coverage of the log's popular items")
    for axes in (ranks, covered):
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    _lengths(lengths, curves[curves["characteristic"] == "length"])
    _distances(distances, table[table["measure"].isin(DISTANCES)])
    handles = [
        plt.Line2D([], [], marker=MARKERS[group], label=NAMES[group], **LOOKS[group])
        for group in (WALKS, REAL)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    style.save(figure, artefact)


def _lines(axes: Axes, curves: pd.DataFrame, characteristic: str) -> None:
    for group, look in LOOKS.items():
        rows = curves[(curves["characteristic"] == characteristic) & (curves["group"] == group)]
        axes.plot(
            rows["x"], rows["value"], marker=MARKERS[group], markevery=0.12, markersize=3, **look
        )


def _lengths(axes: Axes, curves: pd.DataFrame) -> None:
    classes = np.sort(curves["x"].unique())
    width = 0.42
    for group, aside, hatch in ((WALKS, -width / 2, ""), (REAL, width / 2, "////")):
        rows = curves[curves["group"] == group]
        place = np.searchsorted(classes, rows["x"])
        axes.bar(
            place + aside,
            rows["value"],
            width,
            color=LOOKS[group]["color"] if not hatch else "white",
            edgecolor=LOOKS[group]["color"],
            hatch=hatch,
            linewidth=0.6,
        )
    axes.set_xticks(range(len(classes)), [f"{first:g}+" for first in classes], rotation=45)
    axes.set(
        xlabel="items of a history (classes that double)",
        ylabel="share of histories",
        title="Length",
    )


def _distances(axes: Axes, table: pd.DataFrame) -> None:
    places = np.arange(len(table))[::-1]
    for column, group, aside in (("walks", WALKS, 0.14), ("halves", REAL, -0.14)):
        values = table[column].to_numpy()
        ends = np.abs(table[[f"{column}_low", f"{column}_high"]].to_numpy().T - values)
        axes.errorbar(
            values,
            places + aside,
            xerr=np.nan_to_num(ends),
            color=LOOKS[group]["color"],
            marker=MARKERS[group],
            linestyle="none",
            capsize=1.5,
            elinewidth=0.8,
        )
    axes.set_yticks(places, table["label"])
    axes.set(xlim=(0, 1), xlabel="distance (squares: half of the real users to half)")
    axes.set_title("Distances")
    axes.grid(axis="y", linewidth=0.3, color="0.85")


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure, and a table of its values and tests."""
    seen = table[table["measure"] == "transitions_seen"]
    said = ""
    for row in each_row(seen):
        said = (
            f" Of the walks' transitions {100 * row.walks:.1f} percent also follow one another in "
            f"the history of a user of one half of the users, of walks dealt out anew "
            f"{100 * row.shuffled:.1f}, of the other half of the users {100 * row.halves:.1f}."
        )
    first = next(each_row(table))
    caption = (
        f"Synthetic walks against real histories ({latex.escape(artefact.tag)}; {first.n_walks:,} "
        f"walks, {first.n_users:,} users). JS: Jensen-Shannon distance, TV: total variation, KS: "
        "Kolmogorov-Smirnov; squares: between random halves of the users. Bars: 95 percent."
        f"{said}"
    )
    lines = []
    for row in each_row(table):
        cells = [latex.escape(row.label)]
        for name, digits in (("walks", 3), ("halves", 3), ("ratio", 2)):
            value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
            ends = "" if np.isnan(low) else f" {latex.interval(low, high, digits)}"
            cells.append(latex.fixed(value, digits) + ends)
        cells += [latex.fixed(row.walks_p, 3), latex.fixed(row.halves_p, 3)]
        lines.append(latex.row(cells))
    header = [latex.row(["", "Walks", "Halves", "Ratio", "p, walks", "p, halves"])]
    values = (
        f"The distances of Figure~\\ref{{fig:{artefact.target}}}. Ratio: of walks over halves. p: "
        "permutation tests of whether walks, or one half of the users, and the other half are "
        "alike, on stretches of equal length (lengths: on whole histories)."
    )
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("lrrrrr", header, [lines])
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of the figure."""
    parser = command_line(__doc__)
    parser.add_argument("--fidelity", type=Path, required=True, help="fidelity.csv of the audits")
    parser.add_argument("--distributions", type=Path, required=True, help="the curves")
    arguments = parser.parse_args()
    artefact = from_arguments("fidelity", arguments)
    table = measure(read_columns(arguments.fidelity, COLUMNS))
    curves = read_columns(arguments.distributions, CURVES)
    draw(table, curves, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
