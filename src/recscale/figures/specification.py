"""Supplementary figure: headline claims under every recipe (sections 6.2, 7.1 and 7.2).

One specification curve for each quantity (Simonsohn, Simmons and Nelson 2020): above, estimates in
the order of their size with the intervals that the fits give, and the claim's threshold; below, the
choices behind each. A choice without a mark is the usual one: the whole curve, all evaluations,
least squares, the plain law, tokens as seen. Intervals are those inside one seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_columns
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.latex import fixed

CHOICES = ("burn_in", "range", "spacing", "objective", "law", "tokens", "pool")
NEEDED = (
    *("claim", "quantity", *CHOICES, "estimate", "low", "high", "sign", "threshold", "upper"),
    *("identified", "status", "verdict", "on_side", "default", "left_out"),
)
NAMES = {
    "alpha_uih_minus_cf": r"$\alpha$: UIH $-$ CF",
    "alpha_cf_minus_item_text": r"$\alpha$: CF $-$ item text",
    "alpha_item_text_minus_general": r"$\alpha$: item text $-$ general",
    "slope_of_alpha_cf": r"$\alpha$ of CF, slope in size",
    "slope_of_alpha_uih": r"$\alpha$ of UIH, slope in size",
    "spread_of_l_inf_cf": r"$L_\infty$ of CF, spread over sizes",
    "spread_of_l_inf_uih": r"$L_\infty$ of UIH, spread over sizes",
    "alpha_size1_minus_largest_other": r"$\alpha$ of general: smallest $-$ others",
    "alpha_full_minus_largest_other": r"$\alpha$ of UIH: full $-$ other mixtures",
    "l_inf_uih_only_minus_cf_uih": r"$L_\infty$ of UIH: UIH only $-$ CF + UIH",
    "l_inf_full_minus_cf_uih": r"$L_\infty$ of UIH: full $-$ CF + UIH",
    "onset_5": "Onset at 5 % UIH (repeats)",
    "onset_15": "Onset at 15 % UIH (repeats)",
}
OTHER_CHOICES = (  # row of the matrix: column, value, label; burn-ins come before, pools after
    ("range", "no_last_fifth", "no last fifth"),
    ("range", "second_half", "second half"),
    ("spacing", "equal", "equal steps"),
    ("objective", "huber", "Huber, ln L"),
    ("law", "annealing", "annealing"),
    ("tokens", "effective", "effective"),
)
COLUMNS = 3
MARKS: dict[str, dict[str, Any]] = {  # by what a specification alone would say
    "agrees": {"marker": "^", "color": "#1b7837", "s": 13, "linewidth": 0.3},
    "contradicts": {"marker": "v", "color": "#b2182b", "s": 13, "linewidth": 0.3},
    "open": {"marker": "o", "color": "0.45", "s": 7, "linewidth": 0.2},
    "loose": {"marker": "o", "facecolor": "white", "edgecolor": "0.25", "s": 7, "linewidth": 0.5},
}


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column order: the place of each estimate in its curve, from 0.

    Args:
        table: columns `NEEDED`, of `recscale.scaling.specification`.

    Raises:
        UserError: a quantity has no estimate, or not one default.
    """
    for name, rows in table.groupby("quantity", sort=False):
        if rows["estimate"].notna().sum() == 0:
            raise UserError(f"--specifications have no estimate of {name}", "look at left_out")
        if rows["default"].sum() != 1:
            raise UserError(
                f"--specifications have {rows['default'].sum()} defaults of {name}",
                "build the file again from its target",
            )
    ranks = table.groupby("quantity")["estimate"].rank(method="first") - 1
    return table.assign(order=ranks)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per quantity: how many recipes, what they find, and what they would say alone.

    Returns:
        claim, quantity, recipes (with an estimate), left_out, default, least, median and largest
        estimate, on_side (estimates where the claim has them), agree, contradict, open.
    """
    rows = []
    for name, of in table.groupby("quantity", sort=False):
        kept = of.dropna(subset=["estimate"])
        verdicts = kept["verdict"]
        rows.append(
            {
                **{"claim": of["claim"].iloc[0], "quantity": name, "recipes": len(kept)},
                "left_out": len(of) - len(kept),
                "default": of.loc[of["default"], "estimate"].iloc[0],
                "least": kept["estimate"].min(),
                "median": kept["estimate"].median(),
                "largest": kept["estimate"].max(),
                "on_side": int((kept["on_side"].astype(str) == "True").sum()),
                "agree": int((verdicts == "agrees").sum()),
                "contradict": int((verdicts == "contradicts").sum()),
                "open": int((verdicts == "open").sum()),
            }
        )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, artefact: Artefact) -> None:
    """Draw the curves to PDF and SVG."""
    style.theme()
    names = list(dict.fromkeys(table["quantity"]))
    lines = -(-(len(names) + 1) // COLUMNS)  # one place more, for the legend
    figure, grid = plt.subplots(
        *(2 * lines, COLUMNS),
        figsize=(style.DOUBLE_COLUMN, 1.83 * lines),
        height_ratios=[0.95, 1.0] * lines,
        squeeze=False,
        layout=ConstrainedLayoutEngine(h_pad=0.012, hspace=0.0, w_pad=0.03),
    )
    choices = _choices(table)
    for place in range(lines * COLUMNS):
        line, column = divmod(place, COLUMNS)
        above, below = grid[2 * line][column], grid[2 * line + 1][column]
        if place < len(names):
            rows = table[table["quantity"] == names[place]]
            kept = rows.dropna(subset=["estimate"]).sort_values("order")
            _curve(above, kept, NAMES.get(names[place], names[place]))
            _matrix(below, kept, choices, labelled=column == 0)
        else:
            above.axis("off")
            below.axis("off")
    last = grid[2 * lines - 2][COLUMNS - 1]
    last.legend(handles=_handles(), loc="upper left", bbox_to_anchor=(-0.05, 1.05))
    _settle(figure)
    style.save(figure, artefact)


def _settle(figure: Figure) -> None:
    """Lay the panels out and round their places: the solver's last digits differ between runs."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position(original=True).bounds
        axes.set_position((round(left, 6), round(bottom, 6), round(width, 6), round(height, 6)))


def _choices(table: pd.DataFrame) -> list[tuple[str, Any, str]]:
    """Rows of the matrix; a choice that is behind no estimate of any quantity has none."""
    burn_ins = [("burn_in", b, f"burn-in {b:g}") for b in sorted(table["burn_in"].unique())]
    usual = table.loc[table["default"], "pool"].iloc[0]
    pools = [("pool", p, f"pool {p}".replace("_", " ")) for p in table["pool"].unique()]
    found = [*burn_ins, *OTHER_CHOICES, *[pool for pool in pools if pool[1] != usual]]
    kept = table.dropna(subset=["estimate"])
    return [choice for choice in found if (kept[choice[0]] == choice[1]).any()]


def _curve(axes: Axes, kept: pd.DataFrame, name: str) -> None:
    for threshold in (kept["threshold"].iloc[0], kept["upper"].iloc[0]):
        if np.isfinite(threshold):
            axes.axhline(threshold, color="0.35", linewidth=0.7, linestyle=(0, (4, 2)), zorder=1)
    known = kept[["estimate", "threshold", "upper"]].to_numpy(float)
    low, high = np.nanmin(known), np.nanmax(known)
    room = 0.15 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    # An open end of an interval that has the other one goes to the panel's edge.
    bars = kept.dropna(subset=["low", "high"], how="all")
    axes.vlines(
        bars["order"],
        bars["low"].fillna(low - 2 * room).clip(lower=low - 2 * room),
        bars["high"].fillna(high + 2 * room).clip(upper=high + 2 * room),
        color="0.75",
        linewidth=0.6,
        zorder=1.5,
    )
    loose = (kept["verdict"] == "open") & (kept["identified"] < 1)
    shown = kept["verdict"].where(~loose, "loose")
    for verdict, mark in MARKS.items():
        points = kept[shown == verdict]
        sns.scatterplot(
            data=points, x="order", y="estimate", legend=False, ax=axes, zorder=2, **mark
        )
    default = kept[kept["default"]]
    sns.scatterplot(
        **{"data": default, "x": "order", "y": "estimate", "ax": axes, "legend": False},
        **{"marker": "D", "s": 26, "color": "black", "linewidth": 0.3, "zorder": 3},
    )
    axes.set_title(name, fontsize=6.8, pad=2)
    axes.set(xlabel="", ylabel="", xticks=[], xlim=(-1.5, len(kept) + 0.5))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _matrix(
    axes: Axes, kept: pd.DataFrame, choices: list[tuple[str, Any, str]], labelled: bool
) -> None:
    for line, (column, value, _) in enumerate(choices):
        if line % 2 == 0:
            axes.axhspan(line - 0.5, line + 0.5, color="0.94", linewidth=0, zorder=0)
        made = kept.loc[kept[column] == value, "order"]
        axes.vlines(made, line - 0.36, line + 0.36, color="0.15", linewidth=0.6)
    for order in kept.loc[kept["default"], "order"]:
        axes.axvline(order, color="black", linewidth=0.5, linestyle=(0, (1, 1)))
    axes.set(xlim=(-1.5, len(kept) + 0.5), ylim=(len(choices) - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(choices)), [c[2] for c in choices] if labelled else [])
    axes.tick_params(axis="y", length=0, labelsize=4.8, pad=1.5)
    axes.set_xlabel(f"{len(kept)} recipes", fontsize=6, labelpad=1.5)
    sns.despine(ax=axes, left=True, bottom=True)


def _handles() -> list[Line2D]:
    none: dict[str, Any] = {"linestyle": "none", "markeredgewidth": 0.5}
    labels = {
        "agrees": "alone: agrees",
        "contradicts": "alone: contradicts",
        "open": "alone: open",
        "loose": "alone: open, not all fits identified",
    }
    handles = [
        Line2D([], [], marker="D", color="black", markersize=4, label="the ledger's recipe", **none)
    ]
    for verdict, mark in MARKS.items():
        face = mark.get("facecolor", mark.get("color"))
        edge = mark.get("edgecolor", mark.get("color"))
        given = {"marker": mark["marker"], "markerfacecolor": face, "markeredgecolor": edge}
        handles.append(Line2D([], [], label=labels[verdict], markersize=3.6, **given, **none))
    return [
        *handles,
        Line2D([], [], color="0.75", marker="|", markersize=8, linestyle="none", label="interval"),
        Line2D([], [], color="0.35", linewidth=0.7, linestyle=(0, (4, 2)), label="threshold"),
    ]


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure, and a table of how many recipes agree."""
    counts = summary(table)
    caption = (
        f"Specification curves of headline claims ({latex.escape(artefact.tag)}). Above: the "
        "estimate under every recipe that applies, in order; bars are intervals inside one seed, "
        "cut at the panel's edge; dashed: the claim's threshold, or both ends of its range. Below: "
        "the choices; without a mark the whole curve, all evaluations, least squares, the plain "
        "law, tokens as seen; a choice behind no estimate has no row. Hollow: a "
        "fit is not identified, or Huber's, which has no interval; such a recipe leaves the claim "
        "open. The tokens that count "
        "repeats less and the annealing-aware law follow Muennighoff et al. (2023) and Tissue et "
        "al. (2024)."
    )
    groups: dict[str, list[str]] = {}
    for row in each_row(counts):
        name = NAMES.get(row.quantity, latex.escape(row.quantity)).replace("%", r"\%")
        digits = 1 if row.quantity.startswith("onset") else 3
        cells = [name, *(fixed(v, digits) for v in (row.default, row.least, row.median))]
        cells += [fixed(row.largest, digits), f"{row.on_side} of {row.recipes}"]
        cells += [str(row.agree), str(row.contradict), str(row.open), str(row.left_out)]
        groups.setdefault(row.claim, []).append(latex.row(cells))
    header = ["Quantity", "Ledger", "Least", "Median", "Largest", "Claim's side"]
    header += ["Agree", "Contradict", "Open", "Left out"]
    body = latex.tabular("lrrrrrrrrr", [latex.row(header)], list(groups.values()))
    values = (
        "Specification curves: estimates over recipes, how many lie where the claim has them, and "
        "what each would say alone."
    )
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of the specification curves."""
    parser = command_line(__doc__)
    parser.add_argument("--specifications", type=Path, required=True, help="specification.csv")
    arguments = parser.parse_args()
    artefact = from_arguments("specification", arguments)
    table = ordered(read_columns(arguments.specifications, NEEDED))
    draw(table, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
