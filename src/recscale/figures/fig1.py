"""Figure 1: recall at 10, 100 and 1000 of models trained on walks and on real histories (5.2).

TSTR trains on synthetic walks, TRTR on real histories; both are tested on the same real users.
Intervals come from a bootstrap that redraws test users (the same ones for both arms, since their
hardness is shared) and training seeds (each arm's own). With few seeds it understates how much
trainings differ: two seeds show half of that variance on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_columns,
    read_tables,
)
from recscale.errors import UserError, run_command
from recscale.figures.fig1_drawing import draw
from recscale.latex import fixed, interval
from recscale.ranking.measures import ndcg, recall
from recscale.seeds import generator

ARMS = ("tstr", "trtr")
RANKS = {"ranked": "rank", "hidden": "rank_masked"}  # what becomes of items of the history
CHANCE_LIMIT = 0.2  # a cutoff where a random order reaches more than this is marked
CLAIM = "ranking_sasrec_gain"  # the one number the paper prints: SASRec at 100
DRAWN_BUDGET = "matched"
PAPER_ITEMS = 180_000  # Table 8: what the chosen walks reach, which the paper's models rank


@dataclass(frozen=True)
class Setup:
    """What to count, and how to redraw."""

    cutoffs: tuple[int, ...]
    seed: int
    replicates: int
    vocabulary: int | None


def rank_arrays(ranks: pd.DataFrame, column: str, where: str) -> dict[str, NDArray[np.int64]]:
    """Ranks of one model, per arm, of shape (seeds, users); users in the same order in both arms.

    Raises:
        UserError: an arm is missing, or arms or seeds were tested on different users.
    """
    found: dict[str, NDArray[np.int64]] = {}
    users: pd.Index | None = None
    for arm in ARMS:
        rows = ranks[ranks["arm"] == arm]
        if rows.empty:
            raise UserError(f"--ranks hold no rows of arm {arm} for {where}", "pass both arms")
        if rows.duplicated(["seed", "user_id"]).any():
            raise UserError(
                f"--ranks hold a user of {where}, arm {arm}, twice", "pass each file once"
            )
        table = rows.pivot(index="seed", columns="user_id", values=column).sort_index(axis=1)
        if table.isna().to_numpy().any() or (users is not None and not users.equals(table.columns)):
            raise UserError(
                f"the arms or seeds of {where} were tested on different users",
                "both arms must rank the same test users; run the ranking again",
            )
        users = table.columns
        found[arm] = table.to_numpy(dtype=np.int64)
    return found


def bootstrap(
    ranks: dict[str, NDArray[np.int64]], cutoffs: Sequence[int], replicates: int, random: Any
) -> dict[str, NDArray[np.float64]]:
    """Recall of each arm in each replicate, shape (replicates, cutoffs).

    Users with the same hits are interchangeable, so users are drawn as a multinomial over the
    distinct patterns of hits: the same distribution as drawing users, at a fraction of the cost.
    """
    users = next(iter(ranks.values())).shape[1]
    hits = {arm: ranks[arm][..., None] <= np.asarray(cutoffs) for arm in ARMS}
    rows = np.concatenate([hits[arm].transpose(1, 0, 2).reshape(users, -1) for arm in ARMS], axis=1)
    patterns, counts = np.unique(rows, axis=0, return_counts=True)
    drawn = random.multinomial(users, counts / users, size=replicates)
    recall = drawn @ patterns / users
    result, start = {}, 0
    for arm in ARMS:
        seeds = ranks[arm].shape[0]
        per_seed = recall[:, start : start + seeds * len(cutoffs)]
        start += seeds * len(cutoffs)
        weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=replicates) / seeds
        cube = per_seed.reshape(replicates, seeds, len(cutoffs))
        result[arm] = np.einsum("rs,rsk->rk", weights, cube)
    return result


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The central 95 % of bootstrap values; an end that is not finite is NaN (empty).

    A replicate without a value (0 / 0) may be anything, so it counts against either end.
    """
    # Order statistics rather than interpolation, which is undefined between a number and infinity.
    low = np.quantile(np.where(np.isnan(values), -np.inf, values), 0.025, method="inverted_cdf")
    high = np.quantile(np.where(np.isnan(values), np.inf, values), 0.975, method="inverted_cdf")
    return float(low) if np.isfinite(low) else np.nan, float(high) if np.isfinite(high) else np.nan


def _ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return over / under


def with_equivalents(cutoffs: Sequence[int], items: int) -> list[tuple[int, int | None]]:
    """The cutoffs, and those that are the same share of `items` as the paper's were of its items.

    The second of a pair is the paper's cutoff that the first stands for, None for itself.
    """
    shares = [max(1, round(k * items / PAPER_ITEMS)) for k in cutoffs]
    return [
        *((k, None) for k in cutoffs),
        *((small, k) for small, k in zip(shares, cutoffs, strict=True) if items < PAPER_ITEMS),
    ]


def measure(ranks: pd.DataFrame, setup: Setup, published_gain: float) -> pd.DataFrame:
    """Recall of both arms and their ratio, with 95 % intervals.

    Returns:
        One row per budget, treatment of history items, model and cutoff: columns budget,
        history_items (ranked or hidden), model, k, paper_k (empty, or the paper's cutoff of which k
        is the same share of all items), n_users, tstr_seeds, trtr_seeds, tstr, tstr_low, tstr_high,
        trtr, trtr_low, trtr_high, ratio, ratio_low, ratio_high, tstr_ndcg, trtr_ndcg, chance
        (k / items), chance_marked, items, items_from, published_ratio. A ratio over a recall of
        zero is empty.

    Raises:
        UserError: no row has the budget that is drawn, or the arms do not pair.
    """
    kept = ranks[ranks["stratum"] != "outside"]
    if DRAWN_BUDGET not in set(kept["budget"]):
        known = ", ".join(sorted(kept["budget"].unique()))
        raise UserError(f"--ranks hold no budget {DRAWN_BUDGET!r}", f"known: {known}")
    largest = int(kept["rank"].max())
    items = setup.vocabulary or largest
    if items < largest:
        raise UserError(
            f"--vocabulary is {items}, but --ranks hold a rank of {largest}",
            "pass the number of items the models rank",
        )
    rows: list[dict[str, Any]] = []
    cutoffs = with_equivalents(setup.cutoffs, items)
    values = [k for k, _ in cutoffs]
    for history, column in RANKS.items():
        for (budget, model), of_model in kept.groupby(["budget", "model"], sort=True):
            arrays = rank_arrays(of_model, column, f"{model}, budget {budget}")
            # The same users are redrawn for both treatments, so that they can be compared.
            random = generator(setup.seed, "fig1", str(budget), str(model))
            redrawn = bootstrap(arrays, values, setup.replicates, random)
            for index, (k, paper_k) in enumerate(cutoffs):
                row: dict[str, Any] = {
                    "budget": budget,
                    "history_items": history,
                    "model": model,
                    "k": k,
                    "paper_k": paper_k,
                    "n_users": arrays["tstr"].shape[1],
                }
                row.update({f"{arm}_seeds": arrays[arm].shape[0] for arm in ARMS})
                for arm in ARMS:
                    row[arm] = recall(arrays[arm], k)
                    row[f"{arm}_ndcg"] = ndcg(arrays[arm], k)
                    row[f"{arm}_low"], row[f"{arm}_high"] = _interval(redrawn[arm][:, index])
                row["ratio"] = row["tstr"] / row["trtr"] if row["trtr"] else float("nan")
                ratios = _ratio(redrawn["tstr"][:, index], redrawn["trtr"][:, index])
                row["ratio_low"], row["ratio_high"] = _interval(ratios)
                row["chance"] = min(1.0, k / items)
                row["chance_marked"] = row["chance"] > CHANCE_LIMIT
                row["items"] = items
                row["items_from"] = "ranking" if setup.vocabulary else "largest rank seen"
                printed = model == "SASRec" and k == 100 and paper_k is None
                row["published_ratio"] = published_gain if printed else float("nan")
                rows.append(row)
    return pd.DataFrame(rows).astype({"paper_k": "Int64"})


def drawn_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `measure` that the figure draws: one budget, items of the history ranked."""
    shown = (table["history_items"] == "ranked") & table["paper_k"].isna()
    return table[shown & (table["budget"] == DRAWN_BUDGET)]


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure and, below it, a table of what it shows, for both budgets."""
    ranked = table[table["history_items"] == "ranked"]
    shown = drawn_rows(table)
    first = shown.iloc[0]
    caption = (
        f"Recall@K of models trained on synthetic walks (TSTR) and on real histories (TRTR), "
        f"tested on {first['n_users']:,} real users ({latex.escape(artefact.tag)}, "
        f"{first['tstr_seeds']} and {first['trtr_seeds']} seeds, budget "
        f"{latex.escape(first['budget'])}). Below: their ratio. Bars: 95\\,\\% bootstrap over "
        f"users and seeds. Grey: a random order of {first['items']:,} items "
        f"({latex.escape(first['items_from'])}); a dagger marks cutoffs where it exceeds "
        f"{CHANCE_LIMIT:g}. Star: the only ratio the paper prints."
    )
    lines = []
    for row in each_row(ranked):
        mark = r"$^\dagger$" if row.chance_marked else ""
        share = "" if pd.isna(row.paper_k) else f" (of {row.paper_k})"
        cells = [latex.escape(row.budget), latex.escape(row.model), f"{row.k}{mark}{share}"]
        for arm in ARMS:
            value, low, high = (getattr(row, arm + end) for end in ("", "_low", "_high"))
            cells.append(f"{fixed(value, 3)} {interval(low, high, 3)}")
        ratio = f"{fixed(row.ratio, 2)} {interval(row.ratio_low, row.ratio_high, 2)}"
        cells += [ratio, f"{fixed(row.tstr_ndcg, 3)}, {fixed(row.trtr_ndcg, 3)}"]
        cells.append(fixed(row.published_ratio, 2))
        lines.append(latex.row(cells))
    names = ("Budget", "Model", "K", "TSTR", "TRTR", "Ratio", "NDCG", "Paper's ratio")
    header = [latex.row(names)]
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("llrrrrrr", header, [lines])
    values = (
        f"The values of Figure~\\ref{{fig:{label}}}, and the same with each arm's own amount "
        "of data. K (of k): the share of all items that k is of the paper's."
    )
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of Figure 1."""
    parser = command_line(__doc__)
    parser.add_argument("--ranks", type=Path, nargs="+", required=True)
    parser.add_argument("--published", type=Path, required=True, help="claims.csv")
    parser.add_argument("--cutoffs", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--vocabulary", type=int, help="items ranked; default: the largest rank")
    arguments = parser.parse_args()
    artefact = from_arguments("fig1", arguments)
    claims = read_columns(arguments.published, ("id", "published")).set_index("id")["published"]
    if CLAIM not in claims.index:
        raise UserError(f"{arguments.published} lacks the claim {CLAIM}", "restore the file")
    setup = Setup(
        tuple(sorted(arguments.cutoffs)),
        arguments.seed,
        arguments.replicates,
        arguments.vocabulary,
    )
    table = measure(read_tables(arguments.ranks, "ranks"), setup, float(claims[CLAIM]))
    draw(drawn_rows(table), artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
