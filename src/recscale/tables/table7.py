"""Table 7: the items nearest to one item by semantic id, and how near they are over many (B).

The similarity is the share of positions at which two items have equal codes. The rows the paper
prints agree with that and with the common prefix alike, so the CSV holds both.
"""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_columns
from recscale.errors import UserError, run_command
from recscale.latex import DASH, count, fixed

EXAMPLE = 0  # the query whose neighbours are printed
CONFIDENCE = 0.95
NUMBERS = ("query", "position", "equal_positions", "common_prefix", "width")
NEAREST = (*NUMBERS, "codes", "text", "same_leaf_category", "random_same_leaf")
SUMMARIES = ("mean_similarity_at_10", "share_same_leaf", "random_same_leaf")
PRINTED = ("position", "codes", "text", "similarity", "common_prefix", "same_leaf_category")
SAME_LEAF = {"True": 1.0, "False": 0.0}


def mean_with_interval(values: pd.Series) -> tuple[float, float, float]:
    """The mean over queries of a share and its normal 95 % interval, cut at 0 and 1.

    Args:
        values: one a query; those that are NaN are left out.

    Returns:
        Mean, low and high end: NaN for what so few values cannot give.
    """
    known = values.dropna().to_numpy(dtype=float)
    if len(known) == 0:
        return float("nan"), float("nan"), float("nan")
    mean = float(known.mean())
    if len(known) == 1:
        return mean, float("nan"), float("nan")
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * known.std(ddof=1) / np.sqrt(len(known))
    return mean, max(0.0, float(mean - half)), min(1.0, float(mean + half))


def build(nearest: pd.DataFrame) -> pd.DataFrame:
    """The rows of the example, with what holds over all queries repeated in each.

    Returns:
        Columns position (0 is the query), codes, text, similarity (share of equal positions),
        common_prefix (codes), same_leaf_category (empty: unknown); queries; and
        mean_similarity_at_10, share_same_leaf (of the neighbours with a known leaf category) and
        random_same_leaf (of as many items drawn at random), each with `_low` and `_high`.

    Raises:
        UserError: a value is not of its column, or the example lacks its rows, codes or text.
    """
    _check(nearest)
    similarity = nearest["equal_positions"] / nearest["width"]
    same = nearest["same_leaf_category"].map(SAME_LEAF, na_action="ignore").astype(float)
    neighbours = nearest["position"] > 0
    query = nearest["query"]
    table = nearest.assign(similarity=similarity)
    table = table.loc[query == EXAMPLE].sort_values("position")[[*PRINTED]]
    table["queries"] = query.nunique()
    over_queries = (
        similarity[neighbours].groupby(query).mean(),
        same[neighbours].groupby(query).mean(),
        nearest["random_same_leaf"].astype(float).groupby(query).first(),
    )
    for name, values in zip(SUMMARIES, over_queries, strict=True):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = mean_with_interval(values)
    return table.reset_index(drop=True)


def _check(nearest: pd.DataFrame) -> None:
    """Refuse rows that are no result of a search."""
    numbers = nearest[[*NUMBERS]].apply(pd.to_numeric, errors="coerce")
    chance = pd.to_numeric(nearest["random_same_leaf"], errors="coerce")
    within = (numbers >= 0).all(axis=1) & (numbers["width"] > 0)
    within &= numbers["equal_positions"] <= numbers["width"]
    within &= numbers["common_prefix"] <= numbers["equal_positions"]
    within &= nearest["same_leaf_category"].isna() | nearest["same_leaf_category"].isin(SAME_LEAF)
    within &= nearest["random_same_leaf"].isna() | chance.between(0, 1)
    if not within.all():
        line = int(np.flatnonzero(~within)[0]) + 2  # a CSV's first line names the columns
        raise UserError(f"--nearest holds a value out of range in line {line}", "build it again")
    if nearest.duplicated(["query", "position"]).any():
        raise UserError("--nearest holds a position of a query twice", "build it again")
    example = nearest.loc[nearest["query"] == EXAMPLE].sort_values("position")
    if len(example) < 2 or list(example["position"]) != list(range(len(example))):
        raise UserError(
            f"--nearest lacks rows of query {EXAMPLE}", "it needs the query and its neighbours"
        )
    if example[["codes", "text"]].isna().any(axis=None):
        raise UserError(f"--nearest lacks codes or text of query {EXAMPLE}", "build it again")


def _percent(row: object, name: str) -> str:
    """A share and its interval in percent, LaTeX."""
    values = (100 * getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    mean, low, high = (fixed(value, 1) for value in values)
    return rf"{mean}\,\% [{low}, {high}]"


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment: the query above the rule, its neighbours below."""
    header = [latex.row(["Semantic id", "Item", r"Similarity (\%)"])]
    lines = [
        latex.row(
            [
                latex.escape(row.codes),
                latex.escape(row.text),
                DASH if row.position == 0 else fixed(100 * row.similarity, 1),
            ]
        )
        for row in each_row(table)
    ]
    first = next(each_row(table))
    if np.isnan(first.share_same_leaf):
        leaves = "The leaf category of no query and its neighbours is known."
    else:
        leaves = (
            f"{_percent(first, 'share_same_leaf')} of the neighbours are in the query's leaf "
            f"category, against {_percent(first, 'random_same_leaf')} of items drawn at random. "
            "The category is part of the text that the codes are made from."
        )
    caption = (
        f"The {len(lines) - 1} items nearest to one item (first row) by semantic id "
        f"({latex.escape(artefact.tag)}). Similarity: share of positions with equal codes. The "
        f"query is the first of {count(first.queries)} training items drawn by the seed; it was "
        "not picked. "
        f"Over all of them the mean similarity is {_percent(first, 'mean_similarity_at_10')}. "
        f"{leaves} Brackets: 95\\,\\% intervals over queries."
    )
    body = latex.tabular(r"p{0.34\textwidth}p{0.48\textwidth}r", header, [lines[:1], lines[1:]])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of Table 7."""
    parser = command_line(__doc__)
    parser.add_argument("--nearest", type=Path, required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("table7", arguments)
    nearest = read_columns(
        arguments.nearest,
        NEAREST,
        # As text: pandas would take titles like `42` or `NA` for a number and for nothing.
        dtype=dict.fromkeys(("codes", "text", "same_leaf_category"), "string"),
        keep_default_na=False,
        na_values=[""],
    )
    table = build(nearest)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
