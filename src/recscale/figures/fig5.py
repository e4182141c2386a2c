"""Figure 5: held-out perplexity at five UIH ratios on the reduced UIH set (section 7.2).

A higher ratio repeats the set more often. The UIH panels stand over repeats, so that the onset of
overfitting can be read: the lowest loss is ringed where the loss ends above it. The other domains
stand over training tokens.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from recscale import latex
from recscale.artefact import Artefact, command_line, from_arguments
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import run_command
from recscale.figures import style
from recscale.figures.curve_panels import (
    Series,
    by_ratio,
    draw_lines,
    halves,
    label_outer,
    legend,
    mark_turn,
    repeats_axis,
    turn_handles,
)
from recscale.labels import DOMAIN_NAMES, parse_run, size_label
from recscale.latex import fixed
from recscale.tables.run_curves import Turn, one_size, over_all_tokens, read_curves, turn

UIH = ("uih_ood", "uih_full_graph")
OTHERS = tuple(domain for domain in HELD_OUT_DOMAINS if domain not in UIH)
KEPT = [
    *("run", "uih_percent", "size", "seed", "domain", "step", "tokens", "domain_tokens"),
    *("repeats", "loss", "perplexity", "lowest", "rises"),
]

Turns = dict[tuple[str, str], Turn]


def turns_of(rows: pd.DataFrame, burn_in: float) -> Turns:
    """The turn of each curve, by run and domain."""
    return {
        (str(run), str(domain)): turn(part, burn_in)
        for (run, domain), part in rows.groupby(["run", "domain"], sort=False)
    }


def plotted(rows: pd.DataFrame, turns: Turns) -> pd.DataFrame:
    """One row per run, domain and evaluation.

    Returns:
        The columns `KEPT`: loss in nats per token; lowest: whether it is the lowest of its curve;
        rises: whether the curve rises again by more than noise explains.
    """
    keys = list(zip(rows["run"], rows["domain"], strict=True))
    return rows.assign(
        uih_percent=rows["run"].map(lambda run: parse_run(run).uih_percent),
        lowest=[
            turns[key].tokens == tokens for key, tokens in zip(keys, rows["tokens"], strict=True)
        ],
        rises=[turns[key].rises for key in keys],
    )[KEPT]


def draw(table: pd.DataFrame, series: dict[str, Series], turns: Turns, artefact: Artefact) -> None:
    """Draw two panels over repeats, five over tokens and a legend to PDF and SVG."""
    style.theme()
    figure, upper, lower = halves(3.7, (1.25, 1))
    *over_repeats, aside = upper.subplots(1, 3, width_ratios=(1, 1, 0.75))
    above = dict(zip(UIH, over_repeats, strict=True))
    below = dict(zip(OTHERS, lower.subplots(1, len(OTHERS)), strict=True))
    for domain, axes in above.items():
        repeats_axis(axes)
        _panel(axes, table[table["domain"] == domain], "repeats", series)
        for run in series:
            found = turns[run, domain]
            lowest = table[(table["run"] == run) & (table["domain"] == domain) & table["lowest"]]
            mark_turn(axes, found, found.repeats, lowest["perplexity"].iloc[0])
        axes.set_title(DOMAIN_NAMES[domain])
    for domain, axes in below.items():
        style.token_axis(axes)
        _panel(axes, table[table["domain"] == domain], "tokens", series)
        axes.set_title(DOMAIN_NAMES[domain])
    label_outer(above, "Repeats of the reduced UIH set", "Perplexity")
    label_outer(below, "Training tokens", "Perplexity")
    handles = [*(one.handle() for one in series.values()), *turn_handles()]
    legend(aside, handles)
    style.save(figure, artefact)


def _panel(axes: Axes, rows: pd.DataFrame, x: str, series: dict[str, Series]) -> None:
    draw_lines(axes, rows, x, "perplexity", series)
    style.readable_log_axis(axes)


def onset_rows(turns: Turns, runs: list[str], names: dict[str, str]) -> list[list[str]]:
    """For each UIH domain, LaTeX rows of where each run's loss is lowest; `names` are by run."""
    groups = []
    for domain in UIH:
        group: list[str] = []
        for run in runs:
            found = turns[run, domain]
            risen = "more than noise" if found.rises else "within noise"
            group.append(
                latex.row(
                    [
                        DOMAIN_NAMES[domain] if not group else "",
                        latex.escape(names[run]),
                        fixed(found.minimum, 3),
                        fixed(found.final, 3),
                        fixed(found.repeats, 1),
                        latex.interval(found.repeats_before, found.repeats_after, 1),
                        risen if found.final > found.minimum else "none",
                    ]
                )
            )
        groups.append(group)
    return groups


def onset_table(groups: list[list[str]], first: str, artefact: Artefact) -> str:
    """A LaTeX table of `onset_rows`; `first` names what tells the runs apart."""
    header = latex.row(["Domain", first, "Lowest", "Last", "Repeats", "Between", "Rise"])
    caption = (
        "Lowest and last held-out loss in nats per token, repeats at the lowest and at the "
        "evaluations beside it, and whether the rise from there is more than noise explains. The "
        "paper puts the onset at 16 to 20 repeats (section 7.2)."
    )
    body = latex.tabular("llrrrrl", [header], groups)
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, f"{artefact.target}-onset", caption, body, wide=True)


def to_latex(turns: Turns, series: dict[str, Series], size: str, artefact: Artefact) -> str:
    """The figure, and a table of the onsets."""
    caption = (
        "Held-out perplexity at five UIH ratios on the reduced UIH set, "
        f"{latex.escape(size_label(size, artefact.rung))} ({latex.escape(artefact.tag)}): the UIH "
        "domains over repeats of the set, the others over training tokens. Rings: the lowest loss "
        "of a curve that ends above it; pale where noise explains the rise."
    )
    tag, names = f"{artefact.target}, {artefact.tag}", {r: s.label for r, s in series.items()}
    return latex.figure(
        tag, artefact.target, caption, artefact.path("pdf").name, wide=True
    ) + onset_table(onset_rows(turns, list(series), names), "Ratio", artefact)


def main() -> None:
    """Command line of Figure 5."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one per ratio")
    parser.add_argument("--burn-in", type=float, required=True, help="share of the run's tokens")
    arguments = parser.parse_args()
    artefact = from_arguments("fig5", arguments)
    curves = read_curves(arguments.curves)
    size = one_size(curves)
    series = by_ratio(list(dict.fromkeys(curves["run"])))
    rows = over_all_tokens(curves)
    turns = turns_of(rows, arguments.burn_in)
    table = plotted(rows, turns)
    draw(table, series, turns, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(turns, series, size, artefact))


if __name__ == "__main__":
    run_command(main)
