"""Figure 6: training loss of four sizes (a, section 6.2) and of the UIH ratios (b, section 7.2).

The paper calls the curves monotonically decreasing. Raw losses of single batches never are, so the
claim is read from a centred moving average; how far it ever rises above its lowest value so far is
printed for each run. For the ratios the paper prints an order of the final losses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_columns,
    read_runs,
    read_tables,
    require_finite,
)
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import Series, by_ratio, by_size
from recscale.labels import parse_run, short_number, size_label

CLAIMS = {"a": "training_loss_monotone", "b": "reduced_uih_training_loss_order"}
END = 0.2  # share of the tokens that the inset of panel b shows
LAST = 0.05  # share of the tokens whose mean is the final training loss, as in the claim's rule


def smooth(training: pd.DataFrame, share: float) -> pd.DataFrame:
    """Training loss of each run with its moving average.

    Args:
        training: rows of the training contract.
        share: length of the window as a share of a run's rows; at least three rows, an odd number.

    Returns:
        Columns run, step, tokens, loss, smoothed_loss (nats/token; shorter windows at the ends),
        window (rows), rise (smoothed loss above its lowest value so far), final_loss (mean of the
        losses of the last `LAST` of the tokens). Runs stand in the order they come in.

    Raises:
        UserError: a loss is no number, or a step of a run comes twice.
    """
    require_finite(training, "loss", ("run", "step"))
    if training.duplicated(["run", "step"]).any():
        raise UserError("the training logs hold a run twice", "pass each run once")
    parts = []
    for run, rows in training.groupby("run", sort=False):
        rows = rows.sort_values("step")
        window = max(3, round(share * len(rows))) // 2 * 2 + 1
        smoothed = rows["loss"].rolling(window, center=True, min_periods=1).mean()
        late = rows["tokens"] > (1 - LAST) * rows["tokens"].max()
        parts.append(
            pd.DataFrame(
                {
                    "run": run,
                    "step": rows["step"],
                    "tokens": rows["tokens"],
                    "loss": rows["loss"],
                    "smoothed_loss": smoothed,
                    "window": window,
                    "rise": smoothed - smoothed.cummin(),
                    "final_loss": rows.loc[late, "loss"].mean(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def sizes_of(training: pd.DataFrame, runs: dict[str, dict[str, object]]) -> dict[str, str]:
    """The size of each run of panel a, from the manifests.

    Raises:
        UserError: the runs and manifests do not pair, or two runs are of one size.
    """
    found = sorted(set(training["run"]))
    sizes = {run: str(manifest["size"]) for run, manifest in runs.items()}
    if found != sorted(sizes) or len(set(sizes.values())) != len(found):
        raise UserError(
            f"--training-a holds the runs {', '.join(found)}, --manifests "
            + ", ".join(f"{run} of {size}" for run, size in sorted(sizes.items())),
            "pass one run per size, and the manifests of these runs",
        )
    return sizes


def draw(table: pd.DataFrame, panels: dict[str, dict[str, Series]], artefact: Artefact) -> None:
    """Draw two panels, smoothed over raw losses, one line per run, to PDF and SVG."""
    style.theme()
    figure, grid = plt.subplots(1, 2, figsize=(style.DOUBLE_COLUMN, 2.5), layout="constrained")
    for axes, (name, series) in zip(grid, panels.items(), strict=True):
        _panel(axes, table[table["panel"] == name], series)
        axes.set_title(f"({name})", loc="left")
        axes.set(xlabel="Training tokens", ylabel="")
    _inset(grid[1], table[table["panel"] == "b"], panels["b"])
    grid[0].set_ylabel("Training loss (nats per token)")
    style.save(figure, artefact)


def _panel(axes: Axes, table: pd.DataFrame, series: dict[str, Series]) -> None:
    for place, (run, one) in enumerate(series.items()):
        rows = table[table["run"] == run]
        _line(axes, rows, "loss", color=one.colour, alpha=0.25, linewidth=0.4)
        _smoothed(axes, rows, one, 0.05 + 0.02 * place)
    # The first logged losses are the fall of the warm-up: they would flatten all that follows.
    late = table[table["tokens"] > 0.02 * table["tokens"].max()]
    bottom, top = late["loss"].min(), late["loss"].max()
    axes.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.legend(handlelength=3)


def _smoothed(axes: Axes, rows: pd.DataFrame, one: Series, first_mark: float) -> None:
    _line(
        *(axes, rows, "smoothed_loss"),
        color=one.colour,
        linestyle=one.line,
        marker=one.marker,
        markevery=(first_mark, 0.16),
        markersize=3.2,
        markeredgewidth=0.3,
        label=one.label.replace(",\n", ", "),
    )


def _line(axes: Axes, rows: pd.DataFrame, y: str, **look: Any) -> None:
    sns.lineplot(data=rows, x="tokens", y=y, estimator=None, ax=axes, **look)


def _inset(axes: Axes, table: pd.DataFrame, series: dict[str, Series]) -> None:
    """The end of the curves, which lie too close to tell apart."""
    inset = axes.inset_axes((0.3, 0.5, 0.34, 0.46))
    late = table[table["tokens"] > (1 - END) * table["tokens"].max()]
    for place, (run, one) in enumerate(series.items()):
        _smoothed(inset, late[late["run"] == run], one, 0.05 + 0.04 * place)
    inset.legend().remove()
    inset.set(xlabel="", ylabel="")
    inset.tick_params(labelsize=5.5)
    inset.xaxis.set_major_locator(MaxNLocator(2))
    inset.yaxis.set_major_locator(MaxNLocator(3))
    inset.xaxis.set_major_formatter(lambda value, _: short_number(value))


def to_latex(table: pd.DataFrame, claims: dict[str, str], artefact: Artefact) -> str:
    """The figure, and a table of first and last smoothed loss, largest rise and final loss."""
    windows = sorted(set(table["window"]))
    rows = f"{windows[0]}" if len(windows) == 1 else f"{windows[0]} to {windows[-1]}"
    caption = (
        f"Training loss of (a) the sizes and (b) the UIH ratios ({latex.escape(artefact.tag)}): "
        f"raw in light, and the centred mean of {rows} logged rows. The axes leave out the first "
        f"2\\,\\% of tokens' highest losses; the inset is the last {100 * END:g}\\,\\%. The paper: "
        f"(a) {latex.escape(claims['a'])}, (b) {latex.escape(claims['b'])}."
    )
    groups = []
    for panel, of_panel in table.groupby("panel", sort=True):
        last = of_panel.groupby("run", sort=False).tail(1)
        rises = of_panel.groupby("run")["rise"].max()
        first = of_panel.groupby("run")["smoothed_loss"].first()
        groups.append(
            [
                latex.row(
                    [
                        f"({panel}) {latex.escape(row.label)}",
                        f"{first[row.run]:.3f}",
                        f"{row.smoothed_loss:.3f}",
                        f"{rises[row.run]:.4f}",
                        f"{row.final_loss:.3f}",
                    ]
                )
                for row in each_row(last)
            ]
        )
    header = [latex.row(["Run", "First", "Last", "Largest rise", "Final"])]
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    values = (
        "Smoothed training loss in nats per token, how far it rises above its minimum, and the "
        f"mean loss of the last {100 * LAST:g}\\,\\% of tokens."
    )
    body = latex.tabular("lrrrr", header, groups)
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body
    )


def main() -> None:
    """Command line of Figure 6."""
    parser = command_line(__doc__)
    parser.add_argument("--training-a", type=Path, nargs="+", required=True, help="one per size")
    parser.add_argument("--training-b", type=Path, nargs="+", required=True, help="one per ratio")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="of panel a")
    parser.add_argument("--published", type=Path, required=True, help="claims.csv")
    parser.add_argument("--smooth", type=float, default=0.05, help="window, share of the rows")
    arguments = parser.parse_args()
    artefact = from_arguments("fig6", arguments)
    known = read_columns(arguments.published, ("id", "claim")).set_index("id")["claim"]
    for claim in CLAIMS.values():
        if claim not in known.index:
            raise UserError(f"{arguments.published} lacks the claim {claim}", "restore the file")
    a = smooth(read_tables(arguments.training_a, "training"), arguments.smooth)
    b = smooth(read_tables(arguments.training_b, "training"), arguments.smooth)
    runs = read_runs(arguments.manifests)
    sizes = sizes_of(a, runs)
    parameters = {str(manifest["size"]): manifest["parameters"] for manifest in runs.values()}
    panels = {
        "a": by_size(sizes, artefact.rung, parameters),
        "b": by_ratio(list(dict.fromkeys(b["run"]))),
    }
    table = pd.concat([a.assign(panel="a"), b.assign(panel="b")], ignore_index=True)
    table["size"] = [parse_run(run).size for run in table["run"]]
    labels = {run: size_label(size, artefact.rung, parameters) for run, size in sizes.items()}
    table["label"] = [
        labels[run] if panel == "a" else panels["b"][run].label
        for panel, run in zip(table["panel"], table["run"], strict=True)
    ]
    draw(table, panels, artefact)
    artefact.write_csv(table)
    claims = {panel: str(known[claim]) for panel, claim in CLAIMS.items()}
    artefact.write_tex(to_latex(table, claims, artefact))


if __name__ == "__main__":
    run_command(main)
