"""Table 1: the taxonomy of five biases, with a measurement of each in the log and in the walks.

The paper describes the biases, says that walks are free of them (section 4.3), and measures none.
On the real log some can be measured; in simulated marketplaces, where preference is known, what a
bias adds to the log can be set beside what of it the walks keep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_columns
from recscale.errors import UserError, run_command

COLUMNS = ("audit", "measure", "group", "value", "low", "high", "n")
LOG, STRETCHES, WALKS = "real log", "real stretches", "walks"
# The paper's descriptions and examples, shortened in our words.
TAXONOMY = {
    "incompleteness": (
        "Incompleteness and sparsity",
        "A log sees a part of what a user does, and of what an item is.",
        "A camera is bought here, its lens elsewhere.",
    ),
    "noise": (
        "Noise",
        "Actions happen by accident, and signals contradict each other.",
        "Five stars for what arrived broken.",
    ),
    "position": (
        "Position bias",
        "What stands on top is taken, whatever it is worth.",
        "Clicks halve from the first place to the fifth.",
    ),
    "popularity": (
        "Popularity bias",
        "Popular items are shown more and so grow more popular.",
        "1 % of the items get 80 % of the events.",
    ),
    "exposure": (
        "Exposure bias",
        "Nobody takes what was never shown.",
        "Who is shown pop only seems not to like jazz.",
    ),
}


@dataclass(frozen=True)
class Measure:
    """A line of the table: two measures of the audit, on the log's group and on the walks'."""

    bias: str
    label: str
    log: tuple[str, str]
    walks: tuple[str, str] | None
    kept: str | None = None
    digits: int = 3


def _same(name: str, log: str = LOG) -> tuple[tuple[str, str], tuple[str, str]]:
    return (name, log), (name, WALKS)


REAL = (
    Measure("incompleteness", "empty cells of users x items", ("empty_cells", LOG), None),
    Measure("incompleteness", "items that never occur", *_same("items_absent", STRETCHES)),
    Measure("incompleteness", "attributes missing", *_same("attributes_missing")),
    Measure("noise", "pairs of one user alone", *_same("unshared_pairs")),
    Measure("popularity", "share of the top 1 % of items", *_same("top_1_percent_share")),
    Measure("popularity", "Gini of all items", *_same("gini")),
    Measure("exposure", "purchases, on display / not", ("purchases_given_display", LOG), None),
    Measure("exposure", "purchases, in mailer / not", ("purchases_given_mailer", LOG), None),
    Measure("exposure", "weeks promoted", *_same("promoted_weeks"), kept="promoted_weeks_kept"),
)
DIALS = ("noise", "position", "popularity", "exposure")
SIMULATED = (
    ("shift of item shares", "bias_of", "bias_kept"),
    ("loss of affinity", "affinity_lost", "affinity_lost_kept"),
)


def measures(audit: pd.DataFrame) -> list[Measure]:
    """The lines that this audit can fill, in the order of the taxonomy."""
    have = set(zip(audit["measure"], audit["group"], strict=True))
    found = [one for one in REAL if one.log in have]
    for dial in DIALS:
        group = _strongest(audit, dial)
        for label, lost, kept in SIMULATED if group else ():
            pair = (f"{lost}_log", group), (f"{lost}_walks", group)
            found.append(Measure(dial, f"marketplace: {label}", *pair, kept))
    order = list(TAXONOMY)
    return sorted(found, key=lambda one: order.index(one.bias))


def _strongest(audit: pd.DataFrame, dial: str) -> str:
    """The group of marketplaces in which a bias is strongest; empty without any."""
    groups = audit.loc[audit["measure"] == "bias_kept", "group"].unique()
    found = {}
    for group in groups:
        if match := re.fullmatch(rf"world:{dial}=([\d.]+)", str(group)):
            found[float(match[1])] = str(group)
    return found[max(found)] if found else ""


def build(audit: pd.DataFrame) -> pd.DataFrame:
    """One row per measure; a bias that nothing measures keeps a row of its own.

    Returns:
        Columns bias, title, description, example, measure, group (of marketplaces; empty: the real
        log), log, walks and kept (what walks keep of what a bias adds), each also with _low and
        _high, n_log, n_walks, and reading: of the walks against the log, reduced, grown or unclear;
        empty where walks have no such measure.

    Raises:
        UserError: a measure is there twice, or nothing of the real log is.
    """
    if audit.duplicated(["measure", "group"]).any():
        raise UserError("--bias holds a measure of one group twice", "run its target again")
    values = {(row.measure, row.group): row for row in each_row(audit)}
    lines = measures(audit)
    if not any(line.log[1] in (LOG, STRETCHES) for line in lines):
        raise UserError("--bias holds no measure of the real log", "run its target again")
    missing = [name for name in TAXONOMY if name not in {line.bias for line in lines}]
    rows: list[dict[str, Any]] = []
    for bias in TAXONOMY:
        title, description, example = TAXONOMY[bias]
        told = {"bias": bias, "title": title, "description": description, "example": example}
        if bias in missing:
            rows.append(told | {"measure": "", "reading": ""})
        for line in lines:
            if line.bias != bias:
                continue
            rows.append(told | _row(line, values))
    return pd.DataFrame(rows)


def _row(line: Measure, values: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """The measured columns of a line."""
    simulated = line.log[1].startswith("world:")
    group = line.log[1] if simulated else ""
    row: dict[str, Any] = {"measure": line.label, "group": group, "digits": line.digits}
    kept = (line.kept, group or WALKS) if line.kept else None
    for part, key in (("log", line.log), ("walks", line.walks), ("kept", kept)):
        found = values.get(key) if key else None
        for name, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            row[part + end] = np.nan if found is None else getattr(found, name)
        if part != "kept":
            row[f"n_{part}"] = np.nan if found is None else found.n
    if simulated and row["log"] <= 0:
        # There is nothing to keep of a bias that moves the log the other way.
        row |= dict.fromkeys(("kept", "kept_low", "kept_high"), np.nan)
    return row | {"reading": reading(row, simulated)}


def reading(row: dict[str, Any], simulated: bool) -> str:
    """Whether walks have less of a bias than the log.

    On the real log the intervals of the two are compared; what a simulated bias adds is compared
    pair by pair, so that what is kept decides: less than all of it is a reduction.
    """
    if np.isnan(row["walks"]):
        return ""
    if simulated:
        return "reduced" if row["kept_high"] < 1 else "grown" if row["kept_low"] > 1 else "unclear"
    ends = {}
    for part in ("log", "walks"):
        for end, number in (("low", row[f"{part}_low"]), ("high", row[f"{part}_high"])):
            ends[part, end] = row[part] if np.isnan(number) else number
    if ends["walks", "high"] < ends["log", "low"]:
        return "reduced"
    return "grown" if ends["walks", "low"] > ends["log", "high"] else "unclear"


def _cell(row: Any, part: str) -> str:
    """A value with its interval."""
    value, low, high = (getattr(row, part + end) for end in ("", "_low", "_high"))
    if np.isnan(value):
        return latex.DASH
    digits = int(row.digits)
    ends = "" if np.isnan(low) else f" {latex.interval(low, high, digits)}"
    return latex.fixed(value, digits) + ends


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment."""
    header = [latex.row(["Measure", "Log", "Walks", "Kept", "Reading"])]
    groups = []
    for bias, rows in table.groupby("bias", sort=False):
        title, description, example = map(latex.escape, TAXONOMY[str(bias)])
        words = rf"\textbf{{{title}.}} {description} \emph{{{example}}}"
        lines = [rf"\multicolumn{{5}}{{p{{0.95\textwidth}}}}{{{words}}} \\"]
        for row in each_row(rows):
            if not row.measure:
                lines.append(latex.row(["not measured here", *[latex.DASH] * 4]))
                continue
            parts = [_cell(row, part) for part in ("log", "walks", "kept")]
            lines.append(latex.row([latex.escape(row.measure), *parts, row.reading or latex.DASH]))
        groups.append(lines)
    caption = (
        "The paper's taxonomy of biases in interaction logs, in our words, and what walks make of "
        f"them ({latex.escape(artefact.tag)}; 95 percent intervals). Items that never occur: in "
        "stretches of real histories, as many and as long as the walks. Pairs of one user alone: "
        "successive items that no second user has in one session. Weeks promoted: mean over "
        "occurrences of the share of weeks in which the item was on display or in the mailer. "
        "Marketplace: a simulated one with this bias at its strongest, less the same without it, "
        "over seeds; shift: Jensen-Shannon distance of the items' shares from those of free "
        "choice; affinity: how alike successive items are. Kept: walks over log (of weeks "
        "promoted, of the excess over all items); without an interval where the log's may be 0, "
        "and none where it moves the other way. Reading: walks against the log. A log without "
        "ranks tells nothing of position."
    )
    body = latex.tabular("lrrrl", header, groups)
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of Table 1."""
    parser = command_line(__doc__)
    parser.add_argument("--bias", type=Path, required=True, help="bias.csv of the audits")
    arguments = parser.parse_args()
    artefact = from_arguments("table1", arguments)
    audit = read_columns(arguments.bias, COLUMNS)
    table = build(audit)
    artefact.write_csv(table.drop(columns="digits"))
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
