"""Supplementary figure: forecasts of joint laws against what runs then ended with (section 7.3).

A forecast is worth what it gets right of runs it has not seen: the longest runs from the shorter
ones, and the largest size from the smaller ones. It must beat the guess that needs no law.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import run_command
from recscale.figures import style
from recscale.figures.curve_panels import legend
from recscale.labels import DOMAIN_NAMES, FIT_STATUS, size_label
from recscale.latex import fixed, interval
from recscale.scaling.backtest import HELD_OUT, backtest
from recscale.scaling.points import COUNTINGS, read_points

TITLES = {"tokens": "Longest runs held out", "size": "Largest size held out"}
NEAREST = {"tokens": "next shorter run", "size": "next smaller size"}


def draw(table: pd.DataFrame, artefact: Artefact) -> None:
    """Draw the errors of the forecasts by domain, with their intervals, to PDF and SVG."""
    style.theme()
    figure, grid = plt.subplots(
        *(1, 3),
        figsize=(style.DOUBLE_COLUMN, 2.7),
        width_ratios=(1, 1, 0.5),
        layout="constrained",
    )
    domains = [domain for domain in HELD_OUT_DOMAINS if domain in set(table["domain"])]
    for axes, held_out in zip(grid, HELD_OUT, strict=False):
        _panel(axes, table[table["held_out"] == held_out], domains)
        axes.set_title(TITLES[held_out])
        axes.set_xlabel("Seen minus expected loss (nats per token)")
    grid[0].set_yticks(range(len(domains)), [DOMAIN_NAMES[domain] for domain in domains])
    grid[1].set_yticks(range(len(domains)), [""] * len(domains))
    handles: list[Any] = []
    for size in sorted(set(table["size"])):
        handles.append(
            Line2D(
                *([], []),
                color=style.SIZE_COLOURS[size],
                marker=style.SIZE_MARKERS[size],
                linestyle="none",
                label=size_label(size, artefact.rung).replace(" (", "\n("),
            )
        )
    handles.append(Line2D([], [], color="0.5", linewidth=0.8, label="95 % of a run"))
    handles.append(Line2D([], [], color="0.5", marker="x", ls="none", label="without a law"))
    legend(grid[2], handles)
    style.save(figure, artefact)


def _panel(axes: Axes, rows: pd.DataFrame, domains: list[str]) -> None:
    """A line per domain; in it a place for each run, its interval about 0 and its error."""
    axes.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    for place, domain in enumerate(domains):
        of_domain = rows[rows["domain"] == domain]
        aside = np.linspace(-0.27, 0.27, len(of_domain)) if len(of_domain) > 1 else [0.0]
        for row, shift in zip(each_row(of_domain), aside, strict=True):
            y = place + shift
            axes.plot([row.seen - row.nearest], [y], "x", color="0.5", markersize=2.6)
            if np.isnan(row.expected):
                continue
            ends = np.array([row.run_low, row.run_high]) - row.expected
            if np.isfinite(ends).all():
                axes.plot(ends, [y, y], color="0.5", linewidth=0.8, zorder=1)
            axes.plot(
                [row.seen - row.expected],
                [y],
                style.SIZE_MARKERS[row.size],
                color=style.SIZE_COLOURS[row.size],
                zorder=2,
            )
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """For either kind: forecasts of the seven domains, how many came true, and mean errors.

    Returns:
        held_out, forecasts, inside (of a run's interval), error and error_nearest: mean absolute
        errors of the law and of the nearest run, in nats per token, where both exist.
    """
    rows = []
    for held_out, of_kind in table.groupby("held_out", sort=False):
        made = of_kind[of_kind["domain"].isin(HELD_OUT_DOMAINS) & of_kind["expected"].notna()]
        rows.append(
            {
                "held_out": held_out,
                "forecasts": len(made),
                "inside": int(made["inside"].astype(bool).sum()),
                "error": (made["seen"] - made["expected"]).abs().mean(),
                "error_nearest": (made["seen"] - made["nearest"]).abs().mean(),
            }
        )
    return pd.DataFrame(rows)


def sentence(table: pd.DataFrame) -> str:
    """How many forecasts came true, and whether they beat the nearest run."""
    parts = []
    for row in each_row(summary(table)):
        if row.forecasts == 0:
            parts.append(f"{TITLES[row.held_out]}: no law could be fitted.")
            continue
        parts.append(
            f"{TITLES[row.held_out]}: {row.inside} of {row.forecasts} losses lie in the 95 % "
            f"interval; mean error {row.error:.3f} nats, of the {NEAREST[row.held_out]} "
            f"{row.error_nearest:.3f}."
        )
    return " ".join(parts)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure, and a table of all forecasts."""
    caption = (
        f"Forecasts of joint laws against what was seen ({latex.escape(artefact.tag)}): seen minus "
        "expected loss. Bars: the interval for a run, about the forecast; crosses: the nearest run "
        f"that was kept, as a guess without a law. {latex.escape(sentence(table))}"
    )
    groups = []
    for (held_out, domain), rows in table.groupby(["held_out", "domain"], sort=False):
        group: list[str] = []
        for row in each_row(rows):
            cells = [
                "" if group else TITLES[str(held_out)],
                "" if group else DOMAIN_NAMES[str(domain)],
            ]
            cells += [latex.escape(size_label(row.size, artefact.rung)), f"{row.tokens:,.0f}"]
            cells += [fixed(row.seen, 3), fixed(row.expected, 3)]
            cells += [interval(row.run_low, row.run_high, 3), fixed(row.nearest, 3)]
            cells.append(FIT_STATUS.get(row.status, row.status.replace("_", " ")))
            group.append(latex.row(cells))
        groups.append(group)
    names = [
        "Held out",
        "Domain",
        "Size",
        "Tokens",
        "Seen",
        "Expected",
        r"95\,\%",
        "Nearest",
        "Fit",
    ]
    values = (
        "Losses in nats per token: seen, expected by a law without the run, the interval for a "
        "run, and the nearest run that was kept."
    )
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("lllrrrrrl", [latex.row(names)], groups)
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of the figure."""
    parser = command_line(__doc__)
    parser.add_argument("--points", type=Path, required=True, help="from scaling.collect")
    arguments = parser.parse_args()
    artefact = from_arguments("forecast_seen", arguments)
    points = read_points(arguments.points, COUNTINGS)
    points = points[points["domain"].isin((*HELD_OUT_DOMAINS, "cf", "uih"))]
    table = backtest(points, COUNTINGS[0])
    draw(table, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
