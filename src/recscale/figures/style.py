"""One look for all figures: seaborn's ticks theme at the paper's column widths, and saving.

Colours are safe for colour-blind readers and differ in lightness, and every series also has its
own marker or line style, so that a print in grey still tells them apart.
"""

from __future__ import annotations

from typing import Any

import matplotlib
import matplotlib.colors

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from recscale import files
from recscale.artefact import Artefact
from recscale.labels import short_number

SINGLE_COLUMN = 3.25  # inches, a column of a two-column page
DOUBLE_COLUMN = 6.75

_VIRIDIS = sns.color_palette("viridis", as_cmap=True)
SIZE_COLOURS = {  # beyond 0.8 viridis is too light on white
    size: matplotlib.colors.to_hex(_VIRIDIS(place))
    for size, place in (("size1", 0.0), ("size2", 0.27), ("size3", 0.53), ("size4", 0.78))
}
SIZE_MARKERS = {"size1": "o", "size2": "s", "size3": "^", "size4": "D"}
SIZE_LINES: dict[str, Any] = {
    "size1": (0, (1, 1)),
    "size2": (0, (4, 1.2, 1, 1.2)),
    "size3": (0, (4, 1.5)),
    "size4": "-",
}

ARM_COLOURS = {"tstr": "#084a8c", "trtr": "#e4572e"}  # the paper's blue and red
ARM_MARKERS = {"tstr": "o", "trtr": "s"}
ARM_LINES: dict[str, Any] = {"tstr": "-", "trtr": (0, (4, 1.5))}
ARM_NAMES = {"tstr": "TSTR (synthetic)", "trtr": "TRTR (real)"}

GREY = "0.45"


def theme() -> None:
    """Set the theme; called once by every figure, before it draws."""
    settings = {
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
        "font.size": 7,
        "axes.labelsize": 7,
        "axes.titlesize": 7.5,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "axes.titlepad": 4,
        "axes.labelpad": 2.5,
        "lines.linewidth": 1.1,
        "lines.markersize": 3.2,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "recscale",
        "savefig.dpi": 300,
    }
    sns.set_theme(context="paper", style="ticks", rc=settings)


def save(figure: Figure, artefact: Artefact) -> None:
    """Write PDF and SVG without dates, so that equal inputs give equal bytes; close the figure."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not again for each format
    for ending, date in (("pdf", "CreationDate"), ("svg", "Date")):
        with files.atomic(artefact.path(ending)) as temporary:
            figure.savefig(temporary, format=ending, metadata={date: None})
    plt.close(figure)


def token_axis(axes: Axes) -> None:
    """A logarithmic x axis of tokens with ticks like 100K and 1M."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def readable_log_axis(axes: Axes) -> None:
    """A logarithmic y axis with a few plain numbers, also where it spans less than a decade."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low > 30:
        axes.yaxis.set_major_locator(LogLocator(base=10))
    elif high / low > 4:
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: short_number(value) if value >= 1000 else f"{value:g}")
    )
