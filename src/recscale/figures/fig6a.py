"""Figure 6a: training loss against tokens for four sizes (section 6.2).

The paper calls the curves monotonically decreasing. Raw losses of single batches never are, so the
claim is read from a centred moving average; how far it ever rises above its lowest value so far is
printed for each size.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    from_arguments,
    read_columns,
    read_runs,
    read_tables,
    require_finite,
)
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.labels import short_number, size_label

CLAIM = "training_loss_monotone"


def smooth(training: pd.DataFrame, sizes: dict[str, str], share: float) -> pd.DataFrame:
    """Training loss of each size with its moving average.

    Args:
        training: rows of the training contract, one run per size.
        sizes: the size of each run.
        share: length of the window as a share of a run's rows; at least three rows, an odd number.

    Returns:
        Columns run, size, step, tokens, loss, smoothed_loss (nats/token; shorter windows at the
        ends), window (rows), rise (smoothed loss above its lowest value so far).

    Raises:
        UserError: a loss is no number, or the runs and sizes do not pair.
    """
    require_finite(training, "loss", ("run", "step"))
    runs = sorted(set(training["run"]))
    if runs != sorted(sizes) or len(set(sizes.values())) != len(runs):
        raise UserError(
            f"--training holds the runs {', '.join(runs)}, --manifests "
            + ", ".join(f"{run} of {size}" for run, size in sorted(sizes.items())),
            "pass one run per size, and the manifests of these runs",
        )
    parts = []
    for run in runs:
        size = sizes[run]
        rows = training[training["run"] == run].sort_values("step")
        window = max(3, round(share * len(rows))) // 2 * 2 + 1
        smoothed = rows["loss"].rolling(window, center=True, min_periods=1).mean()
        parts.append(
            pd.DataFrame(
                {
                    "run": run,
                    "size": size,
                    "step": rows["step"],
                    "tokens": rows["tokens"],
                    "loss": rows["loss"],
                    "smoothed_loss": smoothed,
                    "window": window,
                    "rise": smoothed - smoothed.cummin(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, artefact: Artefact, parameters: dict[str, int]) -> None:
    """Draw smoothed over raw losses, one line per size, to PDF and SVG."""
    style.theme()
    figure, axes = plt.subplots(figsize=(style.SINGLE_COLUMN, 2.4), layout="constrained")
    for size, rows in table.groupby("size", sort=True):
        colour = style.SIZE_COLOURS[str(size)]
        sns.lineplot(
            data=rows,
            x="tokens",
            y="loss",
            color=colour,
            alpha=0.3,
            linewidth=0.5,
            estimator=None,
            ax=axes,
        )
        sns.lineplot(
            data=rows,
            x="tokens",
            y="smoothed_loss",
            estimator=None,
            color=colour,
            linestyle=style.SIZE_LINES[str(size)],
            marker=style.SIZE_MARKERS[str(size)],
            markevery=(0.05, 0.16),
            markersize=3.2,
            markeredgewidth=0.3,
            label=size_label(str(size), artefact.rung, parameters),
            ax=axes,
        )
    axes.set(xlabel="Training tokens", ylabel="Training loss (nats per token)")
    # The first logged losses are the fall of the warm-up: they would flatten all that follows.
    late = table[table["tokens"] > 0.02 * table["tokens"].max()]
    bottom, top = late["loss"].min(), late["loss"].max()
    axes.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.legend(handlelength=3)
    style.save(figure, artefact)


def to_latex(
    table: pd.DataFrame, claim: str, artefact: Artefact, parameters: dict[str, int]
) -> str:
    """The figure, and a table of first and last smoothed loss and its largest rise."""
    windows = sorted(set(table["window"]))
    rows = f"{windows[0]}" if len(windows) == 1 else f"{windows[0]} to {windows[-1]}"
    caption = (
        f"Training loss of the four sizes ({latex.escape(artefact.tag)}): raw in light, and the "
        f"centred mean of {rows} logged rows. The axis leaves out the first 2\\,\\% of tokens' "
        "highest losses. The paper's claim: monotonically decreasing "
        f"({latex.escape(claim)})."
    )
    lines = []
    for size, part in table.groupby("size", sort=True):
        lines.append(
            latex.row(
                [
                    latex.escape(size_label(str(size), artefact.rung, parameters)),
                    f"{part['smoothed_loss'].iloc[0]:.3f}",
                    f"{part['smoothed_loss'].iloc[-1]:.3f}",
                    f"{part['rise'].max():.4f}",
                ]
            )
        )
    header = [latex.row(["Size", "First", "Last", "Largest rise"])]
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    values = "Smoothed training loss in nats per token, and how far it rises above its minimum."
    body = latex.tabular("lrrr", header, [lines])
    return latex.figure(tag, label, caption, artefact.path("pdf").name) + latex.table(
        tag, f"{label}-values", values, body
    )


def main() -> None:
    """Command line of Figure 6a."""
    parser = command_line(__doc__)
    parser.add_argument("--training", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--published", type=Path, required=True, help="claims.csv")
    parser.add_argument("--smooth", type=float, default=0.05, help="window, share of the rows")
    arguments = parser.parse_args()
    artefact = from_arguments("fig6a", arguments)
    claims = read_columns(arguments.published, ("id", "published")).set_index("id")["published"]
    if CLAIM not in claims.index:
        raise UserError(f"{arguments.published} lacks the claim {CLAIM}", "restore the file")
    training = read_tables(arguments.training, "training")
    runs = read_runs(arguments.manifests)
    sizes = {run: str(manifest["size"]) for run, manifest in runs.items()}
    parameters = {str(manifest["size"]): manifest["parameters"] for manifest in runs.values()}
    table = smooth(training, sizes, arguments.smooth)
    draw(table, artefact, parameters)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, str(claims[CLAIM]), artefact, parameters))


if __name__ == "__main__":
    run_command(main)
