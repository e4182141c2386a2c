"""Supplementary table: what walks tell of single users (section 5.3, which has no measurement).

Three parts: copies of what one user alone has done, against what chance and real histories give; a
test of who was in training; and what it costs that no rule may have fewer than k users behind it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_columns
from recscale.errors import UserError, run_command

COLUMNS = ("audit", "measure", "group", "value", "low", "high", "n")
ARMS = {"walks": "walks", "rewired walks": "rewired", "real stretches": "real"}
COPIED = {
    "": "copies of one user",
    "_members": "copies of members",
    "_kept_out": "copies of users kept out",
    "_difference": "members less kept out",
}
PRINTED = ("copies of one user", "members less kept out")
TESTS = {
    "membership_auc": "AUC of membership",
    "membership_auc_plain": "AUC, not calibrated",
}
COVERAGE = ("rules", "items", "next_item", "recall")


def build(audit: pd.DataFrame) -> pd.DataFrame:
    """One row per line of the table.

    Returns:
        Columns part (copies, membership, anonymity), measure, k (successive items; users behind a
        rule), label; of copies and membership walks, rewired and real, each with _low and _high; of
        anonymity rules, items, next_item and recall, the last two with _low and _high; n (walks,
        users, test users); fewest_users and kept_out_users, in all rows.

    Raises:
        UserError: a measure is there twice, or fewest_users is not.
    """
    if audit.duplicated(["measure", "group"]).any():
        raise UserError("--privacy holds a measure of one group twice", "run its target again")
    values = {(row.measure, row.group): row for row in each_row(audit)}
    single = {row.measure: row.value for row in values.values()}
    if "fewest_users" not in single:
        raise UserError("--privacy lacks fewest_users", "run its target again")
    order = {label: place for place, label in enumerate(COPIED.values())}
    rows: list[dict[str, Any]] = []
    for measure in dict.fromkeys(audit["measure"]):
        found = re.fullmatch(r"copied_(\d+)(|_members|_kept_out|_difference)", measure)
        if found:
            row = {"part": "copies", "k": int(found[1]), "label": COPIED[found[2]]}
        elif measure in TESTS:
            row = {"part": "membership", "label": TESTS[measure]}
        else:
            continue
        rows.append(row | {"measure": measure} | _arms(measure, values))
    rows.sort(key=lambda row: (row["part"], order.get(str(row["label"]), 0)))
    thresholds = [group for measure, group in values if measure == "anonymity_rules"]
    for group in thresholds:
        row = {"part": "anonymity", "measure": "anonymity", "k": int(group.split()[0])}
        row["label"] = f"{group} or more"
        for name in COVERAGE:
            row |= _value(name, values.get((f"anonymity_{name}", group)))
        row["n"] = values["anonymity_next_item", group].n
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(
        fewest_users=single["fewest_users"], kept_out_users=single.get("kept_out_users", np.nan)
    )


def _arms(measure: str, values: dict[tuple[str, str], Any]) -> dict[str, float]:
    """The columns of a measure on every arm."""
    found: dict[str, float] = {}
    for group, name in ARMS.items():
        row = values.get((measure, group))
        found |= _value(name, row)
        if row is not None and "n" not in found:
            found["n"] = row.n
    return found


def _value(name: str, row: Any) -> dict[str, float]:
    ends = (("value", ""), ("low", "_low"), ("high", "_high"))
    return {name + end: np.nan if row is None else getattr(row, key) for key, end in ends}


def _cell(row: Any, name: str, percent: bool) -> str:
    """A value with its interval, shares in percent."""
    value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
    if np.isnan(value):
        return latex.DASH
    factor, digits = (100.0, 2) if percent else (1.0, 3)
    ends = "" if np.isnan(low) else f" {latex.interval(factor * low, factor * high, digits)}"
    return latex.fixed(factor * value, digits) + ends


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment: two tabulars, the second of thresholds."""
    groups: dict[str, list[str]] = {}
    arms = table[table["part"] != "anonymity"]
    for row in each_row(arms):
        copies = row.part == "copies"
        if copies and row.label not in PRINTED:
            continue
        label = f"{row.label}, {int(row.k)} items" if copies else row.label
        cells = [_cell(row, name, copies) for name in ARMS.values()]
        groups.setdefault(row.label if copies else row.part, []).append(
            latex.row([latex.escape(label), *cells])
        )
    header = [latex.row(["", "Walks", "Rewired walks", "Real stretches"])]
    body = latex.tabular("lrrr", header, list(groups.values()))
    lines = []
    for row in each_row(table[table["part"] == "anonymity"]):
        cells = [latex.count(row.rules), latex.count(row.items)]
        cells += [_cell(row, name, True) for name in ("next_item", "recall")]
        lines.append(latex.row([latex.escape(row.label), *cells]))
    if lines:
        header = [latex.row(["Users behind a rule", "Rules", "Items", "Reached", "Recall@100"])]
        body += "\n\n\\medskip\n\n" + latex.tabular("lrrrr", header, [lines])
    first = next(each_row(table))
    kept_out = latex.count(first.kept_out_users)
    caption = (
        f"What walks tell of single users ({latex.escape(artefact.tag)}; 95 percent intervals; "
        "copies, reached and recall in percent). The rule with fewest users has "
        f"{first.fewest_users:.0f}. Copies: sequences that hold so many successive items of "
        "exactly one user's history. Members less kept out: the same, of members and of as many "
        f"users kept out, where rules are mined from half of the users ({kept_out} being kept "
        "out). AUC: telling the two apart by the likelihood of their histories under the "
        "sequences; 0.5 tells nothing. "
        "Rewired: a graph of the same degrees. Real: stretches of the histories themselves. Below, "
        "rules with as many users behind them: test users whose next item a rule leads to from "
        "their history, and recall by the rules' confidences."
    )
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of the table."""
    parser = command_line(__doc__)
    parser.add_argument("--privacy", type=Path, required=True, help="privacy.csv of the audits")
    arguments = parser.parse_args()
    artefact = from_arguments("privacy", arguments)
    table = build(read_columns(arguments.privacy, COLUMNS))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
