"""Figure 7: UIH perplexity at two UIH ratios on the reduced set, four sizes (section 7.2).

The paper reads from it that the onset of overfitting depends on repeats and not on the size of the
model. The panels stand over repeats, on one scale, with the training tokens above them.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, from_arguments, read_parameters
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import (
    Series,
    by_size,
    draw_lines,
    legend,
    mark_turn,
    repeats_axis,
    second_axis,
    turn_handles,
)
from recscale.figures.fig5 import UIH, Turns, onset_rows, onset_table, plotted, turns_of
from recscale.labels import DOMAIN_NAMES, parse_run, size_label
from recscale.tables.run_curves import over_all_tokens, read_curves


def runs_by_ratio(runs: dict[str, str]) -> dict[float, dict[str, str]]:
    """The size of each run, by UIH ratio in percent, lowest first.

    Raises:
        UserError: a run has no ratio in its name, or two of one ratio are of one size.
    """
    found: dict[float, dict[str, str]] = {}
    for run, size in runs.items():
        percent = parse_run(run).uih_percent
        if percent is None:
            raise UserError(f"run {run} has no UIH ratio", "name it as size3-uih_2")
        of_ratio = found.setdefault(percent, {})
        if size in of_ratio.values():
            raise UserError(f"--curves hold several runs of {size} at {percent:g} %", "pass one")
        of_ratio[run] = size
    return dict(sorted(found.items()))


def draw(
    table: pd.DataFrame,
    ratios: dict[float, dict[str, str]],
    turns: Turns,
    artefact: Artefact,
    parameters: dict[str, int],
) -> None:
    """Draw a row for each ratio, a column for each UIH domain, and a legend to PDF and SVG."""
    style.theme()
    figure, grid = plt.subplots(
        *(len(ratios), 3),
        figsize=(style.DOUBLE_COLUMN, 0.4 + 1.75 * len(ratios)),
        squeeze=False,
        width_ratios=(1, 1, 0.75),
        layout="constrained",
    )
    drawn = table[table["repeats"] > 0]
    limits = drawn["repeats"].min() / 1.3, drawn["repeats"].max() * 1.3
    everyone: dict[str, Series] = {}
    for line, (percent, runs) in zip(grid, ratios.items(), strict=True):
        series = by_size(runs, artefact.rung, parameters)
        for axes, domain in zip(line, UIH, strict=False):
            rows = drawn[drawn["run"].isin(runs) & (drawn["domain"] == domain)]
            repeats_axis(axes)
            draw_lines(axes, rows, "repeats", "perplexity", series)
            for run in runs:
                lowest = rows[(rows["run"] == run) & rows["lowest"]]
                found = turns[run, domain]
                mark_turn(axes, found, found.repeats, lowest["perplexity"].iloc[0])
            axes.set_xlim(limits)
            style.readable_log_axis(axes)
            last = rows.iloc[-1]
            second_axis(axes, last["tokens"] / last["repeats"], "Training tokens", repeats=False)
            axes.set_title(f"{percent:g} % UIH, {DOMAIN_NAMES[domain]}")
        line[0].set_ylabel("Perplexity")
        line[2].axis("off")
        everyone |= {size: series[run] for run, size in runs.items()}
    for axes in grid[-1, :2]:
        axes.set_xlabel("Repeats of the reduced UIH set")
    legend(grid[0, 2], [*(everyone[size].handle() for size in sorted(everyone)), *turn_handles()])
    style.save(figure, artefact)


def to_latex(turns: Turns, ratios: dict[float, dict[str, str]], artefact: Artefact) -> str:
    """The figure, and a table of the onsets."""
    caption = (
        f"Held-out UIH perplexity of the sizes at {' and '.join(f'{p:g}' for p in ratios)}"
        f"\\,\\% UIH on the reduced set ({latex.escape(artefact.tag)}), over repeats of the set; "
        "above, training tokens. Rings: the lowest loss of a curve that ends above it; pale where "
        "noise explains the rise."
    )
    tag = f"{artefact.target}, {artefact.tag}"
    names = {
        run: f"{percent:g} %, {size_label(size, artefact.rung)}"
        for percent, runs in ratios.items()
        for run, size in sorted(runs.items(), key=lambda item: item[1])
    }
    rows = onset_rows(turns, list(names), names)
    return latex.figure(
        tag, artefact.target, caption, artefact.path("pdf").name, wide=True
    ) + onset_table(rows, "Run", artefact)


def main() -> None:
    """Command line of Figure 7."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="ratios x sizes")
    parser.add_argument("--burn-in", type=float, required=True, help="share of the run's tokens")
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[], help="for the numbers of parameters"
    )
    arguments = parser.parse_args()
    artefact = from_arguments("fig7", arguments)
    curves = read_curves(arguments.curves, domains=UIH)
    sizes = curves.groupby("run", sort=False)["size"].first()
    ratios = runs_by_ratio({str(run): str(size) for run, size in sizes.items()})
    parameters = read_parameters(arguments.manifests)
    rows = over_all_tokens(curves)
    turns = turns_of(rows, arguments.burn_in)
    table = plotted(rows, turns)
    draw(table, ratios, turns, artefact, parameters)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(turns, ratios, artefact))


if __name__ == "__main__":
    run_command(main)
