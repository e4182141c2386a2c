"""The verdicts on one page: a row per claim, a mark by verdict, the paper's number and ours.

Claims stand in groups by verdict, those that held first, and inside a group in the order of the
paper. Each verdict has a marker of its own, so that the page reads in grey. Everything that was
measured, and why the verdict fell so, stands in the CSV.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_columns,
)
from recscale.claims.verdict import Verdict
from recscale.errors import UserError, run_command
from recscale.figures import style

READ = ("id", "where", "claim", "published", "ours", "measured", "verdict", "reason", "reference")
ORDER = tuple(str(verdict) for verdict in Verdict)
COLOURS = dict(zip(ORDER, ("#084a8c", "#e4572e", "0.35", "0.55", "0.7"), strict=True))
MARKERS: dict[str, Any] = dict(zip(ORDER, ("o", "X", "D", "s", "."), strict=True))
FILLED = {"reproduced", "contradicted"}
# Left edges of the columns and the characters that a line of them holds.
COLUMNS = {"claim": (0.25, 62), "where": (3.0, 12), "published": (3.62, 25), "ours": (4.92, 35)}
HEADS = {"claim": "Claim", "where": "Where", "published": "Paper", "ours": "Here"}
LINE = 0.098  # inches
GAP = 0.055
SIZE = 5.7  # points


def grouped(ledger: pd.DataFrame) -> pd.DataFrame:
    """The claims by verdict, in the order of `ORDER` and then of the paper.

    Raises:
        UserError: a verdict is none of `ORDER`.
    """
    unknown = sorted(set(ledger["verdict"]) - set(ORDER))
    if unknown:
        raise UserError(
            f"--verdicts hold the verdict {unknown[0]!r}", f"verdicts are {', '.join(ORDER)}"
        )
    place = ledger["verdict"].map({verdict: i for i, verdict in enumerate(ORDER)})
    return ledger.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


def tally(ledger: pd.DataFrame) -> str:
    """How many claims have which verdict, in one line."""
    counts = ledger["verdict"].value_counts()
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if verdict in counts)


def lines_of(row: Any) -> dict[str, list[str]]:
    """The wrapped text of each column of a row."""
    return {
        name: textwrap.wrap(str(getattr(row, name)), width) or ["–"]
        for name, (_, width) in COLUMNS.items()
    }


def laid_out(table: pd.DataFrame) -> Figure:
    """The page, drawn but not saved."""
    style.theme()
    rows = [(row, lines_of(row)) for row in each_row(table)]
    heights = [LINE * max(map(len, lines.values())) + GAP for _, lines in rows]
    groups = table["verdict"].nunique()
    height = sum(heights) + groups * (LINE + 2 * GAP) + 3 * LINE
    figure, axes = plt.subplots(figsize=(style.DOUBLE_COLUMN, height))
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, style.DOUBLE_COLUMN), ylim=(height, 0))
    axes.set_axis_off()
    y = LINE
    for name, head in HEADS.items():
        _write(axes, name, y, [head], weight="bold")
    y += LINE + GAP
    marks, last = [], ""
    for (row, lines), extent in zip(rows, heights, strict=True):
        if row.verdict != last:
            axes.axhline(y, color="0.3", linewidth=0.5)
            count = int((table["verdict"] == row.verdict).sum())
            y += GAP
            axes.text(
                COLUMNS["claim"][0],
                y,
                f"{row.verdict} ({count})",
                fontsize=SIZE,
                style="italic",
                va="top",
            )
            y += LINE + GAP
            last = row.verdict
        for name in COLUMNS:
            _write(axes, name, y, lines[name])
        marks.append({"x": 0.12, "y": y + LINE / 2, "verdict": row.verdict})
        y += extent
    _marks(axes, pd.DataFrame(marks))
    return figure


def _marks(axes: Axes, marks: pd.DataFrame) -> None:
    for verdict, at in marks.groupby("verdict", sort=False):
        colour = COLOURS[str(verdict)]
        sns.scatterplot(
            data=at,
            x="x",
            y="y",
            marker=MARKERS[str(verdict)],
            s=26,
            color=colour if verdict in FILLED else "white",
            edgecolor=colour,
            linewidth=0.9,
            legend=False,
            ax=axes,
        )


def _write(axes: Axes, name: str, y: float, lines: list[str], **options: Any) -> None:
    for place, line in enumerate(lines):
        axes.text(COLUMNS[name][0], y + place * LINE, line, fontsize=SIZE, va="top", **options)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure, and a table for each verdict with everything that was measured."""
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    caption = (
        f"Verdicts on the paper's claims ({latex.escape(artefact.tag)}): {tally(table)}. The rule "
        "that decides each was fixed beforehand. Intervals are 95\\,\\%."
    )
    parts = [latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True)]
    header = [latex.row(["Where", "Claim", "Paper", "Here", "Why"])]
    for verdict, rows in table.groupby("verdict", sort=False):
        body = [
            latex.row(
                [
                    latex.escape(cell)
                    for cell in (row.where, row.claim, row.published, row.ours, row.reason)
                ]
            )
            for row in each_row(rows)
        ]
        name = f"{label}-{ORDER.index(str(verdict))}"
        columns = r"p{1.4cm}p{4.4cm}p{2.2cm}p{2.6cm}p{4.4cm}"
        body_text = latex.tabular(columns, header, [body])
        said = f"Claims {verdict} ({latex.escape(artefact.tag)})."
        parts.append(latex.table(tag, name, said, body_text, wide=True))
    return "".join(parts)


def main() -> None:
    """Command line of the verdicts' page."""
    parser = command_line(__doc__)
    parser.add_argument("--verdicts", type=Path, required=True, help="of recscale.claims.ledger")
    parser.add_argument("--target", default="verdicts", help="name of the artefact")
    arguments = parser.parse_args()
    artefact = from_arguments(arguments.target, arguments)
    ledger = read_columns(arguments.verdicts, (*READ, "rung"), dtype=str, keep_default_na=False)
    rungs = set(ledger["rung"])
    if rungs != {artefact.rung}:
        raise UserError(
            f"{arguments.verdicts} is of rung {', '.join(sorted(rungs))}, not {artefact.rung}",
            "run the target claims again",
        )
    table = grouped(ledger[list(READ)])
    style.save(laid_out(table), artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
