"""Supplementary figure: what repeated UIH tokens are worth (section 7.2, Table 6, Figure 5).

Each run ends with a loss after so many UIH tokens, of which the law counts only some: the thin line
leads from the tokens seen to those that count. If repetition were all that tells the runs apart,
the counted points would lie on the law.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from recscale import files, latex
from recscale.artefact import Artefact, command_line, from_arguments
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import legend
from recscale.labels import DOMAIN_NAMES, FIT_STATUS, parse_run
from recscale.latex import fixed
from recscale.scaling.repetition import effective_tokens

SHOWN = ("uih_ood", "uih_full_graph")
KIND_NAMES = {"ends": "last losses", "curves": "whole curves"}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


def read_laws(path: Path) -> list[dict[str, Any]]:
    """The laws that `recscale.scaling.repetition` wrote.

    Raises:
        UserError: the file is missing or holds something else.
    """
    content = files.read_json(path)
    needed = {"domain", "kind", "status", "worth", "points", "cut"}
    if not isinstance(content, list) or not all(needed <= set(law) for law in content):
        raise UserError(f"{path} holds no laws of repetition", "make it with scaling.repetition")
    return content


def plotted(laws: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per point of the laws.

    Returns:
        Columns domain, kind, run, seen, unique and effective (tokens; effective is empty where
        nothing was fitted), repeats (seen / unique), loss, law (the law's loss there).
    """
    rows = []
    for law in laws:
        for point in law["points"]:
            row = {"domain": law["domain"], "kind": law["kind"], **point}
            row["repeats"] = point["seen"] / point["unique"]
            row["effective"] = row["law"] = np.nan
            if law["worth"] is not None:
                effective = effective_tokens(point["seen"], point["unique"], law["worth"])
                row["effective"], row["law"] = float(effective), float(_loss(law, effective))
            rows.append(row)
    columns = ["domain", "kind", "run", "seen", "unique", "repeats", "effective", "loss", "law"]
    return pd.DataFrame(rows, columns=columns)


def _loss(law: dict[str, Any], effective: Any) -> Any:
    return law["e"] + law["b"] * (effective / law["d0"]) ** -law["beta"]


def draw(table: pd.DataFrame, laws: list[dict[str, Any]], artefact: Artefact) -> None:
    """Draw the last losses over tokens seen and counted, a panel per UIH set, to PDF and SVG."""
    style.theme()
    figure, grid = plt.subplots(
        *(1, 3),
        figsize=(style.DOUBLE_COLUMN, 2.3),
        width_ratios=(1, 1, 0.55),
        layout="constrained",
    )
    runs = list(dict.fromkeys(table["run"]))
    markers = {run: MARKERS[place % len(MARKERS)] for place, run in enumerate(runs)}
    of_kind = {law["domain"]: law for law in laws if law["kind"] == "ends"}
    for axes, domain in zip(grid, SHOWN, strict=False):
        rows = table[(table["domain"] == domain) & (table["kind"] == "ends")]
        _panel(axes, rows, of_kind.get(domain), markers)
        axes.set_title(DOMAIN_NAMES[domain])
        axes.set_xlabel("UIH tokens")
    grid[0].set_ylabel("Loss (nats per token)")
    handles = [
        Line2D([], [], color="black", marker=markers[run], ls="none", label=parse_run(run).label)
        for run in runs
    ]
    look: dict[str, Any] = {"marker": "o", "ls": "none", "markeredgecolor": "0.5"}
    handles.append(Line2D([], [], markerfacecolor="none", label="tokens seen", **look))
    handles.append(Line2D([], [], color="black", linewidth=0.9, label="law"))
    legend(grid[2], handles, "Filled: tokens that count")
    style.save(figure, artefact)


def _panel(
    axes: Axes, rows: pd.DataFrame, law: dict[str, Any] | None, markers: dict[str, str]
) -> None:
    style.token_axis(axes)
    for row in rows.to_dict("records"):
        seen: dict[str, Any] = {
            "color": "0.5",
            "markerfacecolor": "none",
            "markersize": 4,
            "linewidth": 0.6,
        }
        if np.isfinite(row["effective"]):
            axes.plot(
                [row["effective"], row["seen"]], [row["loss"]] * 2, color="0.7", linewidth=0.6
            )
            axes.plot([row["effective"]], [row["loss"]], markers[row["run"]], color="black", ms=4)
        axes.plot([row["seen"]], [row["loss"]], markers[row["run"]], zorder=1.5, **seen)
    if law is not None and law["worth"] is not None:
        effective = np.geomspace(rows["effective"].min(), rows["effective"].max(), 60)
        axes.plot(effective, _loss(law, effective), color="black", linewidth=0.9)


def to_latex(laws: list[dict[str, Any]], artefact: Artefact) -> str:
    """The figure, and a table of the laws."""
    caption = (
        f"What repeated UIH tokens are worth ({latex.escape(artefact.tag)}): the loss each run "
        "ended with over the UIH tokens it saw (open) and those that count (filled), "
        "$U + U R^* (1 - e^{-R/R^*})$ of $U$ unique tokens after $R$ repetitions "
        "(Muennighoff et al., 2023). Runs that rise again are left out: the law only falls."
    )
    groups = []
    for domain in dict.fromkeys(law["domain"] for law in laws):
        group: list[str] = []
        for law in (law for law in laws if law["domain"] == domain):
            cells = ["" if group else DOMAIN_NAMES[domain], KIND_NAMES[law["kind"]]]
            cells += [str(len(law["runs"])), str(len(law["cut"]))]
            if law["worth"] is None:
                cells += [latex.DASH] * 5
            else:
                ends = latex.interval(law["worth_low"], law["worth_high"], 1)
                cells += [f"{fixed(law['worth'], 1)} {ends}", fixed(100 * law["rmse"], 1)]
                for name in ("squares_in_full", "squares_for_nothing"):
                    other = (law[name] / sum(law["runs"].values())) ** 0.5
                    cells.append(fixed(100 * other, 1))
                cells.append(fixed(100 * law["noise"], 1))
            status = law["status"]
            cells.append(FIT_STATUS.get(status, status.replace("_", " ")))
            group.append(latex.row(cells))
        groups.append(group)
    names = ["Domain", "Points", "Runs", "Rise", "$R^*$", r"rms (\%)", "in full", "for nothing"]
    header = [latex.row([*names, r"noise (\%)", "Fit"])]
    values = (
        "The fitted $R^*$ with a jackknife interval over runs; a dash is an end where "
        "repeats may count in full (above) or for nothing (below). Root mean squared residuals of "
        "the law, of laws where repeats count in full and for nothing, and the curves' own noise, "
        "in percent of the loss. Rise: runs whose loss rises again."
    )
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("llrrrrrrrl", header, groups)
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of the figure."""
    parser = command_line(__doc__)
    parser.add_argument("--laws", type=Path, required=True, help="from scaling.repetition")
    arguments = parser.parse_args()
    artefact = from_arguments("repetition", arguments)
    laws = read_laws(arguments.laws)
    table = plotted(laws)
    draw(table, laws, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(laws, artefact))


if __name__ == "__main__":
    run_command(main)
