"""Recall of real users' next items: language models beside the recommenders of Figure 1.

All rank the same items for the same test users: those that the language models were asked for. The
language models' ranks come from beam search, where an item beyond the beam counts as missed.
Intervals are over users; several trainings of one model are averaged for each user first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_parameters,
    read_tables,
)
from recscale.contracts import RANKING_ARMS
from recscale.errors import UserError, run_command
from recscale.labels import size_label
from recscale.seeds import generator

LANGUAGE_MODEL = "LLM"
DATA_NAMES = {"tstr": "walks (TSTR)", "trtr": "real histories (TRTR)"}


def ranked(next_items: pd.DataFrame, ranks: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Ranks by model and data, of shape (trainings, users), users in one order.

    Raises:
        UserError: runs were asked for different users or items, or a recommender lacks a user.
    """
    if next_items.duplicated(["run", "user_id"]).any():
        raise UserError("--next-items hold a run twice", "pass each file once")
    found = {}
    users: pd.Index | None = None
    for run, rows in next_items.groupby("run", sort=True):
        table = rows.pivot(index="seed", columns="user_id", values="rank").sort_index(axis=1)
        if users is not None and not users.equals(table.columns):
            raise UserError(
                f"the run {run} was asked for other users than the first",
                "ask all runs with one setting of pretraining.generation",
            )
        users = table.columns
        found[LANGUAGE_MODEL, str(run)] = table
    asked = next_items.drop_duplicates("user_id").set_index("user_id")["test_item"]
    inside = ranks[(ranks["stratum"] != "outside") & ranks["user_id"].isin(asked.index)]
    if (inside["test_item"].to_numpy() != asked[inside["user_id"]].to_numpy()).any():
        raise UserError("--ranks and --next-items have other targets", "make both from one log")
    for arm, model in sorted(
        set(zip(inside["arm"], inside["model"], strict=True)),
        key=lambda pair: (pair[1], RANKING_ARMS.index(pair[0])),
    ):
        rows = inside[(inside["arm"] == arm) & (inside["model"] == model)]
        if rows.duplicated(["seed", "user_id"]).any():
            raise UserError(f"--ranks hold {model}, {arm}, twice", "pass each file once")
        table = rows.pivot(index="seed", columns="user_id", values="rank").sort_index(axis=1)
        if users is None or not users.equals(table.columns) or table.isna().any(axis=None):
            raise UserError(
                f"--ranks of {model}, {arm}, lack users that the language models were asked for",
                "ask again with the walks and histories of these ranks",
            )
        found[model, arm] = table
    return found


def redraw(values: NDArray[np.float64], replicates: int, random: Any) -> NDArray[np.float64]:
    """Means of `values` (users, columns) over users drawn anew, shape (replicates, columns).

    Users with equal values are interchangeable, so counts of the distinct ones are drawn.
    """
    distinct, counts = np.unique(values, axis=0, return_counts=True)
    drawn = random.multinomial(len(values), counts / len(values), size=replicates)
    return drawn @ distinct / len(values)


def build(
    next_items: pd.DataFrame,
    ranks: pd.DataFrame,
    reference: str,
    cutoffs: list[int],
    replicates: int,
    seed: int,
) -> pd.DataFrame:
    """One row per model and cutoff.

    Returns:
        Columns model (LLM or a recommender), data (the run, or the arm), size (empty for
        recommenders), k, n_users, trainings, items, chance (k / items), recall, low, high,
        difference (to TRTR of `reference`, same users), difference_low, difference_high.

    Raises:
        UserError: as `ranked`; a cutoff is beyond a beam; or the reference is missing.
    """
    if max(cutoffs) > next_items["beams"].min():
        raise UserError(
            f"--cutoffs reach {max(cutoffs)}, a beam has {next_items['beams'].min()} places",
            "lower pretraining.generation.cutoffs or raise user_beams",
        )
    found = ranked(next_items, ranks)
    if (reference, "trtr") not in found:
        raise UserError(f"--ranks lack TRTR of {reference}", "pass its file, or name another")
    sizes = dict(zip(next_items["run"], next_items["size"], strict=True))
    items = int(next_items["items"].iloc[0])
    rows = []
    for k in cutoffs:
        base = (found[reference, "trtr"] <= k).mean().to_numpy()
        for (model, data), table in found.items():
            hits = (table <= k).mean().to_numpy()
            drawn = redraw(
                np.stack([hits, hits - base], axis=1),
                replicates,
                generator(seed, "next items", model, data, k),
            )
            low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
            is_reference = (model, data) == (reference, "trtr")
            rows.append(
                {
                    "model": model,
                    "data": data,
                    "size": sizes.get(data),
                    "k": k,
                    "n_users": len(hits),
                    "trainings": len(table),
                    "items": items,
                    "chance": min(1.0, k / items),
                    "recall": hits.mean(),
                    "low": low[0],
                    "high": high[0],
                    "difference": np.nan if is_reference else (hits - base).mean(),
                    "difference_low": np.nan if is_reference else low[1],
                    "difference_high": np.nan if is_reference else high[1],
                }
            )
    return pd.DataFrame(rows)


def to_latex(
    table: pd.DataFrame, artefact: Artefact, reference: str, parameters: dict[str, int]
) -> str:
    """The LaTeX fragment, one line per model."""
    cutoffs = sorted(table["k"].unique())
    language_models: list[str] = []
    others: list[str] = []
    for key, rows in table.groupby(["model", "data"], sort=False):
        model, data = map(str, cast(tuple, key))
        is_llm = model == LANGUAGE_MODEL
        size = rows["size"].iloc[0]
        name = f"{model}, {size_label(size, artefact.rung, parameters)}" if is_llm else model
        cells = [latex.escape(name), latex.escape(data) if is_llm else DATA_NAMES[data]]
        of_k = rows.set_index("k")
        for k in cutoffs:
            row = of_k.loc[k]
            cells.append(f"{row['recall']:.3f} {latex.interval(row['low'], row['high'], 3)}")
            ends = latex.interval(row["difference_low"], row["difference_high"], 3)
            is_reference = pd.isna(row["difference"])
            cells.append(latex.DASH if is_reference else f"{row['difference']:+.3f} {ends}")
        (language_models if is_llm else others).append(latex.row(cells))
    chances = ", ".join(
        f"{row.chance:.3f} at {row.k}" for row in each_row(table.drop_duplicates("k"))
    )
    first = table.iloc[0]
    caption = (
        f"Recall of the next item of {latex.count(first['n_users'])} real users among "
        f"{latex.count(first['items'])} items ({latex.escape(artefact.tag)}): language models by "
        f"beam search among these items, and recommenders of Figure~\\ref{{fig:fig1}}. Difference: "
        f"to {latex.escape(reference)} on real histories. Brackets: 95\\,\\% bootstrap intervals "
        f"over users. A random order finds {chances}."
    )
    header = ["Model", "Trained on"]
    for k in cutoffs:
        header += [f"Recall@{k}", "Difference"]
    body = latex.tabular("ll" + "rr" * len(cutoffs), [latex.row(header)], [language_models, others])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of the table."""
    parser = command_line(__doc__)
    parser.add_argument("--next-items", type=Path, nargs="+", required=True)
    parser.add_argument("--ranks", type=Path, nargs="+", required=True)
    parser.add_argument("--reference", default="SASRec", help="whose TRTR to compare with")
    parser.add_argument("--cutoffs", type=int, nargs="+", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[], help="for the numbers of parameters"
    )
    arguments = parser.parse_args()
    artefact = from_arguments("next_item_recall", arguments)
    table = build(
        read_tables(arguments.next_items, "next_items"),
        read_tables(arguments.ranks, "ranks"),
        arguments.reference,
        sorted(arguments.cutoffs),
        arguments.replicates,
        arguments.seed,
    )
    parameters = read_parameters(arguments.manifests)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact, arguments.reference, parameters))


if __name__ == "__main__":
    run_command(main)
