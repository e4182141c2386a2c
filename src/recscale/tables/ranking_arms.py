"""Recall of every arm, for all test users and for parts of them (section 5.2).

Figure 1 shows two arms and all users. Here stand the arms that could refute its reading (order
inside sessions shuffled, walks on a rewired graph, both arms' data together, trainings that
held-out walks stop, baselines without training), and the users among whom walks should help most:
unbiased data should show in the tail.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_tables
from recscale.claims.intervals import bootstrap_ratio
from recscale.errors import UserError, run_command
from recscale.ranking.measures import ndcg, recall
from recscale.seeds import generator

KEYS = ["budget", "validation", "arm", "model"]
TARGETS = {
    "ranking_strata": "Recall by the target's popularity and place in the history",
    "ranking_controls": "Recall of the control arms",
}
ARM_NAMES = {
    "tstr": "TSTR",
    "trtr": "TRTR",
    "trtr_shuffled": "TRTR, sessions shuffled",
    "tstr_rewired": "TSTR, graph rewired",
    "both": "TSTR and TRTR data",
}
# Which users count, and which of their ranks: among all items, or with the history's hidden.
PARTS = ("all", "history_hidden", "unfiltered", "head", "middle", "tail", "new")
PRINTED = {"ranking_strata": ("all", "head", "middle", "tail", "new"), "ranking_controls": ("all",)}


def parts_of(ranks: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Name, rows and column of each of `PARTS`."""
    inside = ranks[ranks["stratum"] != "outside"]
    yield "all", inside, "rank"
    yield "history_hidden", inside, "rank_masked"
    yield "unfiltered", ranks, "rank"
    for stratum in ("head", "middle", "tail"):
        yield stratum, inside[inside["stratum"] == stratum], "rank"
    yield "new", inside[~inside["in_history"]], "rank"


def build(ranks: pd.DataFrame, cutoffs: list[int], replicates: int, seed: int) -> pd.DataFrame:
    """One row per arm, model, part of the users and cutoff.

    Returns:
        Columns budget, validation, arm, model, users (one of `PARTS`), k, n_users, seeds, recall,
        ndcg, ratio (recall over that of TRTR with the same budget, validation and model), ratio_low
        and ratio_high (95 % paired bootstrap over users and seeds; empty for TRTR, and where TRTR
        is missing).

    Raises:
        UserError: two arms of a model were tested on different users.
    """
    rows: list[dict[str, Any]] = []
    for part, kept, column in parts_of(ranks):
        arrays = {}
        for key, of_arm in kept.groupby(KEYS, sort=True):
            table = of_arm.pivot(index="seed", columns="user_id", values=column)
            arrays[key] = table.sort_index(axis=1)
        for key, table in arrays.items():
            budget, validation, arm, model = key
            reference = arrays.get((budget, validation, "trtr", model))
            if reference is not None and not reference.columns.equals(table.columns):
                raise UserError(
                    f"the arms {arm} and trtr of {model} were tested on different users",
                    "run the ranking again",
                )
            found = table.to_numpy()
            for k in cutoffs:
                row = dict(zip(KEYS, key, strict=True))
                row |= {"users": part, "k": k, "n_users": found.shape[1], "seeds": len(found)}
                row["recall"] = recall(found, k)
                row["ndcg"] = ndcg(found, k)
                row["ratio"] = row["ratio_low"] = row["ratio_high"] = float("nan")
                if arm != "trtr" and reference is not None:
                    drawn = generator(seed, "ranking arms", part, *map(str, key), k)
                    hits = found <= k, reference.to_numpy() <= k
                    interval = bootstrap_ratio(*hits, replicates, drawn).interval()
                    for name, value in zip(
                        ("ratio", "ratio_low", "ratio_high"),
                        (interval.estimate, interval.low, interval.high),
                        strict=True,
                    ):
                        row[name] = value if np.isfinite(value) else float("nan")
                rows.append(row)
    return pd.DataFrame(rows)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment, at the middle cutoff."""
    cutoffs = sorted(table["k"].unique())
    k = cutoffs[len(cutoffs) // 2]
    shown = table[(table["k"] == k) & table["users"].isin(PRINTED[artefact.target])]
    header = [latex.row(["Model", "Arm", "Stopped by", "Users", "n", "Recall", "NDCG", "To TRTR"])]
    lines = []
    for row in each_row(shown[shown["budget"] == "matched"]):
        ratio = latex.interval(row.ratio_low, row.ratio_high, 2)
        lines.append(
            latex.row(
                [
                    latex.escape(row.model),
                    ARM_NAMES[row.arm],
                    "real users" if row.validation == "real" else "held-out walks",
                    latex.escape(row.users.replace("_", " ")),
                    latex.count(row.n_users),
                    latex.fixed(row.recall, 3),
                    latex.fixed(row.ndcg, 3),
                    latex.DASH if pd.isna(row.ratio) else f"{row.ratio:.2f} {ratio}",
                ]
            )
        )
    caption = (
        f"{TARGETS[artefact.target]} ({latex.escape(artefact.tag)}), at K = {k}, matched budget. "
        "To TRTR: ratio to TRTR of the same model, with a 95 percent bootstrap interval over users "
        "and seeds. Head, middle, tail: thirds of all real events by their item's popularity. New: "
        "the target was not bought before."
    )
    body = latex.tabular("llllrrrr", header, [lines])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of both tables."""
    parser = command_line(__doc__)
    parser.add_argument("--target", choices=list(TARGETS), required=True)
    parser.add_argument("--ranks", type=Path, nargs="+", required=True)
    parser.add_argument("--cutoffs", type=int, nargs="+", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--replicates", type=int, default=1000)
    arguments = parser.parse_args()
    artefact = from_arguments(arguments.target, arguments)
    ranks = read_tables(arguments.ranks, "ranks")
    table = build(ranks, sorted(arguments.cutoffs), arguments.replicates, arguments.seed)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
