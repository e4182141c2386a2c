"""Figure 3: held-out perplexity against training tokens on four mixtures (section 7.1).

A mixture that leaves a domain out never sees its sentences; that its loss there stays high says
little of what the model knows about the items. Table 5 sets the loss of the id tokens beside it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, from_arguments
from recscale.errors import run_command
from recscale.figures import style
from recscale.figures.curve_panels import (
    Series,
    by_mixture,
    domain_grid,
    draw_lines,
    label_outer,
    legend,
)
from recscale.labels import size_label
from recscale.tables.run_curves import one_size, over_all_tokens, read_curves

KEPT = [
    *("run", "mixture", "size", "seed", "domain", "step", "tokens", "domain_tokens", "repeats"),
    *("loss", "perplexity"),
]


def plotted(curves: pd.DataFrame, series: dict[str, Series]) -> pd.DataFrame:
    """One row per run, domain and evaluation, with the columns `KEPT`; loss in nats per token."""
    rows = over_all_tokens(curves)
    return rows.assign(mixture=rows["run"].map({run: one.label for run, one in series.items()}))[
        KEPT
    ]


def draw(table: pd.DataFrame, series: dict[str, Series], artefact: Artefact) -> None:
    """Draw seven panels and a legend to PDF and SVG."""
    style.theme()
    figure, panels, spare = domain_grid()
    shown = table[table["tokens"] > 0]
    for domain, axes in panels.items():
        style.token_axis(axes)
        draw_lines(axes, shown[shown["domain"] == domain], "tokens", "perplexity", series)
        style.readable_log_axis(axes)
    label_outer(panels, "Training tokens", "Perplexity")
    legend(spare[0], [one.handle() for one in series.values()])
    style.save(figure, artefact)


def to_latex(size: str, artefact: Artefact) -> str:
    """The LaTeX fragment."""
    caption = (
        "Held-out perplexity against training tokens on the mixtures of Table~5, "
        f"{latex.escape(size_label(size, artefact.rung))} ({latex.escape(artefact.tag)}). Both "
        "axes are logarithmic. A mixture without a domain never sees that domain's sentences."
    )
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.figure(tag, artefact.target, caption, artefact.path("pdf").name, wide=True)


def main() -> None:
    """Command line of Figure 3."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one per mixture")
    arguments = parser.parse_args()
    artefact = from_arguments("fig3", arguments)
    curves = read_curves(arguments.curves)
    size = one_size(curves)
    series = by_mixture(dict.fromkeys(curves["run"]))
    table = plotted(curves, series)
    draw(table, series, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(size, artefact))


if __name__ == "__main__":
    run_command(main)
