"""How Figure 1 is drawn: a column per model, recall above, the ratio of the two arms below."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from recscale.artefact import Artefact
from recscale.figures import style

ARMS = ("tstr", "trtr")
CHANCE: dict[str, Any] = {"color": style.GREY, "linewidth": 0.8, "linestyle": ":"}
STAR: dict[str, Any] = {
    "marker": "*",
    "linestyle": "none",
    "color": "#c79a00",
    "markeredgecolor": "0.1",
    "markeredgewidth": 0.5,
}


def draw(shown: pd.DataFrame, artefact: Artefact) -> None:
    """Draw the rows of `recscale.figures.fig1.drawn_rows` to PDF and SVG."""
    style.theme()
    models = list(dict.fromkeys(shown["model"]))
    width = style.DOUBLE_COLUMN if len(models) > 2 else 0.75 * style.DOUBLE_COLUMN
    figure, grid = plt.subplots(
        *(2, len(models)),
        figsize=(width, 3.1),
        sharex=True,
        sharey="row",
        squeeze=False,
        height_ratios=(1.7, 1),
        layout="constrained",
    )
    for column, model in enumerate(models):
        rows = shown[shown["model"] == model]
        _recall(grid[0, column], rows)
        _ratio(grid[1, column], rows)
        grid[0, column].set_title(model)
    grid[0, 0].set_ylabel("Recall@K")
    grid[1, 0].set_ylabel("TSTR / TRTR")
    for axes in grid[1]:
        axes.set_xlabel("K")
    handles: list[Line2D] = [
        Line2D(
            *([], []),
            color=style.ARM_COLOURS[arm],
            marker=style.ARM_MARKERS[arm],
            linestyle=style.ARM_LINES[arm],
            label=style.ARM_NAMES[arm],
        )
        for arm in ARMS
    ]
    handles.append(Line2D([], [], label="random order", **CHANCE))
    if shown["published_ratio"].notna().any():
        handles.append(Line2D([], [], label="paper's ratio", markersize=7, **STAR))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    style.save(figure, artefact)


def _spread(cutoffs: np.ndarray, arm: str) -> np.ndarray:
    """Positions on the K axis, a little apart so that the intervals of the arms do not cover."""
    return cutoffs * (0.93 if arm == "tstr" else 1.075)


def _recall(axes: Axes, rows: pd.DataFrame) -> None:
    cutoffs = rows["k"].to_numpy(dtype=float)
    sns.lineplot(
        x=cutoffs,
        y=rows["chance"].to_numpy(),
        ax=axes,
        legend=False,
        **CHANCE,
    )
    for arm in ARMS:
        values = rows[arm].to_numpy()
        ends = np.abs(rows[[f"{arm}_low", f"{arm}_high"]].to_numpy().T - values)
        colour = style.ARM_COLOURS[arm]
        # Only the points stand apart: lines moved sideways would seem to lie above one another.
        axes.plot(cutoffs, values, color=colour, linestyle=style.ARM_LINES[arm], zorder=2)
        axes.errorbar(
            _spread(cutoffs, arm),
            values,
            yerr=ends,
            color=colour,
            marker=style.ARM_MARKERS[arm],
            linestyle="none",
            capsize=1.5,
            elinewidth=0.8,
            zorder=3,
        )
    axes.set_ylim(bottom=0)
    _cutoff_axis(axes, rows)


def _ratio(axes: Axes, rows: pd.DataFrame) -> None:
    cutoffs = rows["k"].to_numpy(dtype=float)
    axes.axhline(1, **CHANCE)
    ratio = rows["ratio"].to_numpy()
    ends = rows[["ratio_low", "ratio_high"]].to_numpy().T
    bars = np.nan_to_num(np.abs(ends - ratio))  # an open end has no bar
    axes.errorbar(cutoffs, ratio, yerr=bars, color="0.1", marker="D", linestyle="none", capsize=2)
    printed = rows.dropna(subset=["published_ratio"])
    if len(printed):
        axes.plot(printed["k"] * 1.35, printed["published_ratio"], markersize=7, **STAR)
    axes.set_yscale("log")
    finite = np.concatenate([ends[np.isfinite(ends)], printed["published_ratio"], [0.8, 1.25]])
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, finite.min() / 1.15), max(high, finite.max() * 1.2))
    _cutoff_axis(axes, rows)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10) if axes.get_ylim()[0] < t < axes.get_ylim()[1]]
    if len(ticks) < 3:
        ticks = [
            t for t in (0.6, 0.8, 1, 1.2, 1.5, 2) if axes.get_ylim()[0] < t < axes.get_ylim()[1]
        ]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _cutoff_axis(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_xscale("log")
    cutoffs = rows["k"].to_numpy(dtype=float)
    axes.set_xlim(cutoffs.min() / 1.8, cutoffs.max() * 1.8)
    labels = [
        f"{k}†" if marked else f"{k}"
        for k, marked in zip(rows["k"], rows["chance_marked"], strict=True)
    ]
    axes.set_xticks(cutoffs, labels)
    axes.xaxis.set_minor_locator(NullLocator())
