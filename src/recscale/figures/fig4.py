"""Figure 4: held-out UIH perplexity against UIH tokens, four mixtures (section 7.1).

At equal UIH tokens a mixture with CF has seen more tokens in all; at equal tokens the UIH-only run
has repeated its set more often. The scale above each panel counts these repeats. The controls that
the paper lacks tell the two apart, and are drawn where their curves are given: UIH only at the
repeats of the mixture, UIH only with fresh walks, and CF without UIH, which has no place on the
axis and is drawn as a level.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, from_arguments
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import (
    Series,
    by_mixture,
    domain_grid,
    draw_lines,
    label_outer,
    legend,
    second_axis,
)
from recscale.figures.fig3 import plotted
from recscale.labels import parse_run, size_label
from recscale.tables.run_curves import one_size, read_curves

DOMAINS = ("uih_ood", "uih_full_graph")
TARGETS = ("fig4", "fig4_controls")


def unique_tokens(table: pd.DataFrame) -> float:
    """Tokens of the UIH set that the runs share: those of the scale of repeats.

    Raises:
        UserError: the runs saw no UIH, or sets of different sizes.
    """
    seen = table[(table["domain_tokens"] > 0) & (table["repeats"] > 0)]
    last = seen.groupby("run", sort=False).tail(1)
    unique = last["domain_tokens"] / last["repeats"]
    if unique.empty or unique.max() > 1.001 * unique.min():
        counts = ", ".join(f"{run} {n:.0f}" for run, n in zip(last["run"], unique, strict=True))
        raise UserError(
            f"--curves are of UIH sets of different sizes ({counts or 'none'} tokens)",
            "pass runs on the full set; controls go to --control-curves",
        )
    return float(unique.iloc[0])


def draw(table: pd.DataFrame, series: dict[str, Series], unique: float, artefact: Artefact) -> None:
    """Draw two panels and a legend to PDF and SVG."""
    style.theme()
    figure, panels, spare = domain_grid(DOMAINS, columns=3, height=2.3)
    for domain, axes in panels.items():
        rows = table[table["domain"] == domain]
        style.token_axis(axes)
        draw_lines(axes, rows, "domain_tokens", "perplexity", series)
        for run, one in series.items():
            of_run = rows[rows["run"] == run]
            if len(of_run) and of_run["domain_tokens"].max() == 0:
                axes.axhline(
                    of_run["perplexity"].iloc[-1], color=one.colour, linestyle=one.line, zorder=1
                )
        style.readable_log_axis(axes)
        second_axis(axes, 1 / unique, "Repeats of the full set", repeats=True)
    label_outer(panels, "UIH tokens", "Perplexity")
    handles = [one.handle() for one in series.values()]
    for run, handle in zip(series, handles, strict=True):
        if parse_run(run).kind == "cf":
            handle.set_label(f"{series[run].label} (last)")
    legend(spare[0], handles)
    style.save(figure, artefact)


def to_latex(size: str, controls: bool, artefact: Artefact) -> str:
    """The LaTeX fragment."""
    caption = (
        "Held-out UIH perplexity against the UIH tokens seen, "
        f"{latex.escape(size_label(size, artefact.rung))} ({latex.escape(artefact.tag)}). Above "
        "each panel: how often these tokens repeat the full UIH set. At equal UIH tokens the runs "
        "are at different shares of their learning-rate schedule."
    )
    if controls:
        caption += (
            " Grey: controls that the paper lacks. Fresh walks do not repeat; a run without UIH is "
            "a level."
        )
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.figure(tag, artefact.target, caption, artefact.path("pdf").name, wide=True)


def main() -> None:
    """Command line of Figure 4, with or without controls."""
    parser = command_line(__doc__)
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[0])
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one per mixture")
    parser.add_argument("--control-curves", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    artefact = from_arguments(arguments.target, arguments)
    curves = read_curves(arguments.curves)
    runs = list(dict.fromkeys(curves["run"]))
    if arguments.control_curves:
        more = read_curves(arguments.control_curves, "--control-curves")
        curves = pd.concat([curves, more], ignore_index=True)
    size = one_size(curves)
    series = by_mixture(dict.fromkeys(curves["run"]))
    table = plotted(curves, series)
    table = table[table["domain"].isin(DOMAINS)].reset_index(drop=True)
    unique = unique_tokens(table[table["run"].isin(runs)])
    draw(table, series, unique, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(size, bool(arguments.control_curves), artefact))


if __name__ == "__main__":
    run_command(main)
