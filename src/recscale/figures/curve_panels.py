"""What the figures of held-out curves have in common: series, panels by domain, legends, axes.

Figures 2, 3, 4, 5, 7 and 12 draw curves of runs against tokens or repeats on logarithmic axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.colors
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.figures import style
from recscale.labels import DOMAIN_NAMES, PAPER_SIZES, parse_run, short_number, size_label
from recscale.tables.run_curves import Turn


@dataclass(frozen=True)
class Series:
    """How one run is drawn and called."""

    label: str
    colour: str
    marker: str
    line: Any

    def handle(self) -> Line2D:
        """Its entry in a legend."""
        return Line2D(
            *([], []),
            color=self.colour,
            marker=self.marker,
            linestyle=self.line,
            label=self.label,
            markeredgecolor="white",
            markeredgewidth=0.3,
        )


_SHORT_DASH, _LONG_DASH, _DOT = (0, (3, 1.2)), (0, (6, 1.5)), (0, (1, 1))
_DASH_DOT = (0, (4, 1.2, 1, 1.2))
MIXTURES = {
    "full": ("#000000", "o", "-"),
    "cf_uih": ("#7b3294", "s", _LONG_DASH),
    "item_uih": ("#d7541e", "^", _SHORT_DASH),
    "uih": ("#4bb3d8", "D", _DASH_DOT),
}
CONTROLS = {
    "uih_matched": ("0.35", "P", _DOT),
    "uih_fresh": ("0.6", "X", _DOT),
    "cf": ("0.45", "", _DASH_DOT),
}
RATIO_MARKERS = ("o", "s", "^", "D", "v")
RATIO_LINES = (_DOT, _DASH_DOT, _SHORT_DASH, _LONG_DASH, "-")
_ROCKET = sns.color_palette("rocket", as_cmap=True)
RATIO_COLOURS = tuple(
    matplotlib.colors.to_hex(_ROCKET(place)) for place in (0.78, 0.64, 0.48, 0.28, 0.0)
)


def by_mixture(runs: Iterable[str]) -> dict[str, Series]:
    """Series of runs on different mixtures (Figures 3 and 4), by run.

    Raises:
        UserError: a run is on none of the mixtures these figures know, or two are on the same.
    """
    looks = {**MIXTURES, **CONTROLS}
    found: dict[str, Series] = {}
    for run in runs:
        name = parse_run(run)
        if name.kind not in looks:
            raise UserError(
                f"run {run} is of the kind {name.kind!r}, which this figure does not draw",
                f"it draws {', '.join(looks)}; mend its list in config/experiments.yaml",
            )
        found[run] = Series(name.label, *looks[name.kind])
    _distinct(found)
    return found


def by_ratio(runs: Iterable[str]) -> dict[str, Series]:
    """Series of runs with different UIH ratios (Figures 5 and 6b), by run, lowest ratio first.

    A run on the full set, if there is one, comes first.

    Raises:
        UserError: a run has no ratio in its name, two have the same, or there are more than five.
    """
    whole = [run for run in runs if parse_run(run).kind == "full"]
    found = {run: Series("full UIH set", style.GREY, "P", "-") for run in whole}
    ratios = {run: parse_run(run).uih_percent for run in runs if run not in whole}
    strange = [run for run, percent in ratios.items() if percent is None]
    if strange:
        raise UserError(
            f"run {strange[0]} has no UIH ratio", "name it as size3-uih_2, or mend the list of runs"
        )
    if len(ratios) > len(RATIO_MARKERS):
        raise UserError(
            f"{len(ratios)} UIH ratios are too many to tell apart", "draw at most five in a figure"
        )
    # The last looks are the strongest: the highest ratios, which overfit, stand out.
    looks = list(zip(RATIO_COLOURS, RATIO_MARKERS, RATIO_LINES, strict=True))[-len(ratios) :]
    for run, look in zip(sorted(ratios, key=lambda run: ratios[run] or 0), looks, strict=False):
        found[run] = Series(parse_run(run).label, *look)
    _distinct(found)
    return found


def by_size(
    runs: Mapping[str, str], rung: str, parameters: Mapping[str, int] | None = None
) -> dict[str, Series]:
    """Series of runs of different sizes, by run; `runs` gives each one's size."""
    return {
        run: Series(
            size_label(size, rung, parameters).replace(", ", ",\n"),
            *(style.SIZE_COLOURS[size], style.SIZE_MARKERS[size], style.SIZE_LINES[size]),
        )
        for run, size in sorted(runs.items(), key=lambda item: list(PAPER_SIZES).index(item[1]))
    }


def _distinct(series: Mapping[str, Series]) -> None:
    labels = [one.label for one in series.values()]
    for run, one in series.items():
        if labels.count(one.label) > 1:
            raise UserError(
                f"several runs are drawn as {one.label!r}, {run} among them",
                "pass one run for each curve",
            )


def domain_grid(
    domains: Sequence[str] = HELD_OUT_DOMAINS, columns: int = 4, height: float = 3.3
) -> tuple[Figure, dict[str, Axes], list[Axes]]:
    """A figure over both columns with a titled panel for each domain, and the axes left over."""
    figure = plt.figure(figsize=(style.DOUBLE_COLUMN, height), layout="constrained")
    return figure, *panels_in(figure, domains, columns)


def halves(height: float, ratios: tuple[float, float] = (1, 1)) -> tuple[Figure, Any, Any]:
    """A figure over both columns, and its upper and its lower part."""
    figure = plt.figure(figsize=(style.DOUBLE_COLUMN, height), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=ratios)
    return figure, *parts


def panels_in(
    part: FigureBase, domains: Sequence[str], columns: int
) -> tuple[dict[str, Axes], list[Axes]]:
    """The same in a figure that is there, or in a part of one."""
    axes = list(part.subplots(-(-len(domains) // columns), columns, squeeze=False).flatten())
    panels = dict(zip(domains, axes, strict=False))
    for domain, panel in panels.items():
        panel.set_title(DOMAIN_NAMES[domain])
    spare = axes[len(domains) :]
    for panel in spare:
        panel.axis("off")
    return panels, spare


def label_outer(panels: Mapping[str, Axes], x: str, y: str) -> None:
    """Name the axes of panels that have the same ones: x at the lowest, y at the leftmost.

    Panels with another below them lose the labels of their x ticks as well.
    """
    places = {}
    for panel in panels.values():
        spec = panel.get_subplotspec()
        assert spec is not None  # panels come from a grid
        places[panel] = (spec.rowspan.start, spec.colspan.start)
    for panel, (row, column) in places.items():
        if (row + 1, column) in places.values():
            panel.tick_params(labelbottom=False)
        else:
            panel.set_xlabel(x)
        if column == 0:
            panel.set_ylabel(y)


def draw_lines(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, series: Mapping[str, Series]
) -> None:
    """A marked line for each run of `series` that has rows with a positive x, the first on top."""
    for place, (run, one) in enumerate(series.items()):
        part = rows[(rows["run"] == run) & (rows[x] > 0)]
        if part.empty:
            continue
        sns.lineplot(
            data=part,
            x=x,
            y=y,
            color=one.colour,
            marker=one.marker or None,
            linestyle=one.line,
            linewidth=0.9,
            markersize=3,
            markeredgewidth=0.25,
            estimator=None,
            legend=False,
            zorder=3 - place / 10,
            ax=axes,
        )
    axes.set(xlabel="", ylabel="")


RING: dict[str, Any] = {
    "color": "none",
    "markerfacecolor": "none",
    "markersize": 7.5,
    "markeredgewidth": 0.8,
}


def mark_turn(axes: Axes, found: Turn, x: float, y: float) -> None:
    """A ring about the lowest point of a loss that ends above it; pale if noise explains it."""
    if found.final > found.minimum:
        colour = "black" if found.rises else "0.65"
        axes.plot([x], [y], marker="o", markeredgecolor=colour, zorder=5, **RING)


def turn_handles() -> list[Line2D]:
    """Legend entries of the rings of `mark_turn`."""
    looks = {"black": "lowest, then a rise", "0.65": "lowest; the rise is within noise"}
    return [
        Line2D([], [], marker="o", markeredgecolor=colour, label=label, **RING)
        for colour, label in looks.items()
    ]


class _RepeatsLocator(LogLocator):
    """Ticks at 1, 2 and 5 of each decade, or at decades where those would run into each other."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        self.set_params(subs=(1.0, 2.0, 5.0) if vmax < 1000 * vmin else (1.0,))
        return super().tick_values(vmin, vmax)


def repeats_axis(axes: Axes) -> None:
    """A logarithmic x axis of repeats with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(_RepeatsLocator(base=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def second_axis(axes: Axes, factor: float, label: str, repeats: bool) -> None:
    """A scale above the panel that reads `factor` times the one below."""

    def there(value: Any) -> Any:
        return value * factor

    def back(value: Any) -> Any:
        return value / factor

    above = axes.secondary_xaxis("top", functions=(there, back))
    above.set_xscale("log")
    ticks = _RepeatsLocator if repeats else LogLocator
    above.xaxis.set_major_locator(ticks(base=10))
    above.xaxis.set_minor_locator(NullLocator())
    above.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if repeats else short_number(value))
    )
    above.set_xlabel(label)


def legend(axes: Axes, handles: Sequence[Any], title: str | None = None) -> None:
    """A legend in the middle of axes that hold nothing else."""
    axes.axis("off")
    shown = axes.legend(
        handles=list(handles), loc="center", borderaxespad=0, handlelength=3.2, title=title
    )
    shown.get_title().set_fontsize(6.5)
