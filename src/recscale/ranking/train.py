"""Command: train one model on one arm and rank the real users' next items (section 5.2, Figure 1).

TSTR trains on walks, TRTR on real histories; both with the same vocabulary, number of examples,
validation and test users. The learning rate is chosen for the arm by a sweep, then every seed
trains with early stopping, because an arm that trains too little loses whatever its data are worth.
Validation is on real users in both arms.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recscale.errors import UserError, run_command
from recscale.files import read_arrow, write_table
from recscale.logs import logger
from recscale.ranking.compatibility import quiet_corner
from recscale.ranking.examples import ARMS, Comparison, Examples, compare
from recscale.ranking.models import find_model
from recscale.ranking.rank_metrics import Ranks, recall
from recscale.ranking.settings import Settings, measurable
from recscale.settings import parse

log = logger("ranking.train")


def matched_budget(comparison: Comparison, asked: int) -> int:
    """Examples either arm trains on: as many as asked, or as the smaller arm holds.

    Raises:
        UserError: an arm holds none.
    """
    available = {arm: comparison.available(arm) for arm in ARMS}
    size = min(asked, *available.values())
    if not size:
        empty = min(ARMS, key=lambda arm: available[arm])
        raise UserError(
            f"the {empty} arm has no training example: none of its sequences keeps two of the "
            f"{len(comparison.vocabulary)} items in common",
            "make more walks (curriculum.walks.ranking) or keep more users (data.users)",
        )
    log.info(
        "%d examples in either arm: tstr holds %d, trtr %d",
        size,
        available["tstr"],
        available["trtr"],
    )
    if size < asked:
        log.warning("fewer examples than the %d asked for (ranking.examples)", asked)
    return size


def refuse_unknown_items(comparison: Comparison, items: pa.Table) -> None:
    """Raise UserError if walks and histories share an item that `--items` lacks."""
    unknown = np.setdiff1d(comparison.vocabulary.items, items["item_id"].to_numpy())
    if len(unknown):
        raise UserError(
            f"--walks and --histories hold {len(unknown)} items that --items lacks, such as "
            f"{unknown[0]}",
            "build all three from the same data: rerun the data stage and the walks",
        )


def ranking_rows(
    labels: dict[str, Any], ranks: Ranks, comparison: Comparison, cutoffs: list[int]
) -> pd.DataFrame:
    """Rows of the contract `ranking` for one training: the recall the paper reports, unmasked."""
    return pd.DataFrame({"k": cutoffs}).assign(
        recall=[recall(ranks.unmasked, k) for k in cutoffs],
        n_test=len(comparison.test.users),
        target_in_history=float(comparison.test.target_in_history().mean()),
        **labels,
    )


def rank_rows(labels: dict[str, Any], ranks: Ranks, comparison: Comparison) -> pd.DataFrame:
    """Rows of the contract `ranks` for one training, in the order of the test users."""
    test = comparison.test
    return pd.DataFrame(
        {
            "user_id": test.users,
            "test_item": comparison.vocabulary.items[test.examples.targets - 1],
            "rank": ranks.unmasked,
            "rank_masked": ranks.masked,
        }
    ).assign(**labels)


def train_all(
    arm: str,
    model: str,
    comparison: Comparison,
    examples: Examples,
    settings: Settings,
    cutoffs: list[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the learning rate and train every seed: the tables `ranking` and `ranks`.

    Stand in `quiet_corner` when calling it.
    """
    # RecBole and torch take seconds to import, so they come after everything that can be refused.
    from recscale.ranking.arm import Arm

    trainings = Arm(arm, model, comparison, examples, settings)
    learning_rate = trainings.choose_learning_rate()
    ranking, all_ranks = [], []
    for seed, ranks in enumerate(trainings.train_seeds(learning_rate)):
        labels = {"arm": arm, "budget": "matched", "model": model, "seed": seed}
        all_ranks.append(rank_rows(labels, ranks, comparison))
        labels["learning_rate"] = learning_rate
        ranking.append(ranking_rows(labels, ranks, comparison, cutoffs))
    return pd.concat(ranking, ignore_index=True), pd.concat(all_ranks, ignore_index=True)


def main() -> None:
    """Parse the command line, train, and write ranking.parquet and ranks.parquet."""
    parser = argparse.ArgumentParser(description="Train one model on one arm of Figure 1.")
    parser.add_argument("--arm", choices=ARMS, required=True, help="training data")
    parser.add_argument("--model", required=True, help="GRU4Rec, NARM, SASRec or STAMP")
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--walks", type=Path, nargs="+", required=True, help="shards, in order")
    parser.add_argument("--ranking", type=Path, required=True, help="output: recall per cutoff")
    parser.add_argument("--ranks", type=Path, required=True, help="output: rank per test user")
    parser.add_argument("--work-folder", type=Path, required=True, help="for RecBole's own files")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    settings.check()
    find_model(arguments.model, settings.hidden)

    comparison = compare(
        read_arrow(arguments.histories, "histories"),
        read_arrow(arguments.walks, "walks", ["items"]),
        settings.history_length,
    )
    refuse_unknown_items(comparison, read_arrow(arguments.items, "items", ["item_id"]))
    log.info(
        "%d items in common, %d validation users, %d test users",
        len(comparison.vocabulary),
        len(comparison.validation.users),
        len(comparison.test.users),
    )
    cutoffs = measurable(settings.cutoffs, len(comparison.vocabulary))
    size = matched_budget(comparison, settings.examples)
    examples = comparison.training_examples(arguments.arm, size, settings.seed)
    with quiet_corner(arguments.work_folder):
        ranking, ranks = train_all(
            arguments.arm, arguments.model, comparison, examples, settings, cutoffs
        )
    write_table(ranking, arguments.ranking, "ranking")
    write_table(ranks, arguments.ranks, "ranks")


if __name__ == "__main__":
    run_command(main)
