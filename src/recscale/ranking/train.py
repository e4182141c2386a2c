"""Command: train one model on one arm and rank the real users' next items (section 5.2, Figure 1).

TSTR trains on walks, TRTR on real histories; both with the same vocabulary, validation and test
users. Budgets: `matched` gives both arms the same number of examples; `own` gives each its own
amount, as in the paper, in the proportion that the arms hold. The learning rate is chosen for the
arm by a sweep, then every seed trains with early stopping, because an arm that trains too little
loses whatever its data are worth. What stops it are real users, which shows TSTR some real data, or
held-out walks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files
from recscale.contracts import RANKING_ARMS
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.ranking.arms import examples_of
from recscale.ranking.comparison import ARMS, Comparison, compare
from recscale.ranking.compatibility import quiet_corner
from recscale.ranking.examples import TrainingExamples
from recscale.ranking.measures import ndcg, recall
from recscale.ranking.models import BASELINES, find_model
from recscale.ranking.rank_metrics import Ranks
from recscale.ranking.settings import Settings, measurable
from recscale.settings import parse

log = logger("ranking.train")


def budgets(comparison: Comparison, budget: str, settings: Settings) -> dict[str, int]:
    """Examples that TSTR and TRTR train on.

    matched: as many as asked, or as the smaller arm holds. own: in the proportion that the arms
    hold, `own_examples` for the larger.

    Raises:
        UserError: an arm holds none.
    """
    available = {arm: comparison.available(arm) for arm in ARMS}
    empty = min(ARMS, key=lambda arm: available[arm])
    if not available[empty]:
        raise UserError(
            f"the {empty} arm has no training example: none of its sequences keeps two of the "
            f"{len(comparison.vocabulary)} items in common",
            "make more walks (curriculum.walks.ranking) or keep more users (data.users)",
        )
    if budget == "own":
        share = min(1.0, settings.own_examples / max(available.values()))
        size = {arm: max(1, round(share * available[arm])) for arm in ARMS}
    else:
        size = dict.fromkeys(ARMS, min(settings.examples, *available.values()))
        if size["tstr"] < settings.examples:
            log.warning("fewer examples than %d (ranking.examples)", settings.examples)
    log.info("examples: %s of %s", size, available)
    return size


def refuse_unknown_items(comparison: Comparison, item_ids: NDArray[np.integer]) -> None:
    """Raise UserError if walks and histories share an item that `--items` lacks."""
    unknown = np.setdiff1d(comparison.vocabulary.items, item_ids)
    if len(unknown):
        raise UserError(
            f"--walks and --histories hold {len(unknown)} items that --items lacks, such as "
            f"{unknown[0]}",
            "build all three from the same data: rerun the data stage and the walks",
        )


def strata(comparison: Comparison) -> NDArray[np.object_]:
    """Head, middle or tail for each item of the vocabulary, shape `(items,)`.

    By how often real histories hold an item: the most frequent items that make a third of all
    events are the head, the next third the middle.
    """
    counts = comparison.sequences["trtr"].counts(len(comparison.vocabulary))
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    third = np.minimum(3 * before // max(1, counts.sum()), 2)
    names = np.empty(len(counts), dtype=object)
    names[order] = np.array(["head", "middle", "tail"], dtype=object)[third]
    return names


def ranking_rows(
    labels: dict[str, Any], ranks: Ranks, comparison: Comparison, cutoffs: list[int]
) -> pd.DataFrame:
    """Rows of the contract `ranking` for one training."""
    test, left_out = comparison.test, comparison.left_out.shape[1]
    inside = len(test.users) / (len(test.users) + left_out)
    return pd.DataFrame({"k": cutoffs}).assign(
        recall=[recall(ranks.unmasked, k) for k in cutoffs],
        ndcg=[ndcg(ranks.unmasked, k) for k in cutoffs],
        recall_masked=[recall(ranks.masked, k) for k in cutoffs],
        recall_unfiltered=[inside * recall(ranks.unmasked, k) for k in cutoffs],
        n_test=len(test.users),
        n_left_out=left_out,
        target_in_history=float(test.target_in_history().mean()),
        **labels,
    )


def rank_rows(labels: dict[str, Any], ranks: Ranks, comparison: Comparison) -> pd.DataFrame:
    """Rows of the contract `ranks` for one training, in the order of the test users.

    Users whose item is outside the vocabulary follow, of stratum `outside`: their rank is the last.
    """
    test, outside = comparison.test, comparison.left_out
    n_items = len(comparison.vocabulary)
    columns = {
        "user_id": (test.users, outside[0]),
        "test_item": (comparison.vocabulary.items[test.examples.targets - 1], outside[1]),
        "stratum": (strata(comparison)[test.examples.targets - 1], ["outside"] * outside.shape[1]),
        "in_history": (test.target_in_history(), np.zeros(outside.shape[1], dtype=bool)),
        "rank": (ranks.unmasked, np.full(outside.shape[1], n_items + 1)),
        "rank_masked": (ranks.masked, np.full(outside.shape[1], n_items + 1)),
    }
    return pd.DataFrame({k: np.concatenate(v) for k, v in columns.items()}).assign(**labels)


def train_all(
    labels: dict[str, Any],
    comparison: Comparison,
    examples: TrainingExamples,
    settings: Settings,
    cutoffs: list[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the learning rate and train every seed: the tables `ranking` and `ranks`.

    Stand in `quiet_corner` when calling it; a baseline is made once, without a learning rate.
    """
    # RecBole and torch take seconds to import, so they come after everything that can be refused.
    from recscale.ranking import baselines
    from recscale.ranking.arm import Arm

    n_items = len(comparison.vocabulary)
    if labels["model"] in BASELINES:
        learning_rate = 0.0
        found = [baselines.ranks(labels["model"], examples, comparison.test, n_items)]
    else:
        trainings = Arm(labels["arm"], labels["model"], comparison, examples, settings)
        learning_rate = trainings.choose_learning_rate()
        found = trainings.train_seeds(learning_rate)
    ranking, all_ranks = [], []
    for seed, ranks in enumerate(found):
        all_ranks.append(rank_rows({**labels, "seed": seed}, ranks, comparison))
        more = {"learning_rate": learning_rate, "examples": len(examples), "items": n_items}
        ranking.append(ranking_rows({**labels, **more, "seed": seed}, ranks, comparison, cutoffs))
    return pd.concat(ranking, ignore_index=True), pd.concat(all_ranks, ignore_index=True)


def main() -> None:
    """Parse the command line, train, and write ranking.parquet and ranks.parquet."""
    parser = argparse.ArgumentParser(description="Train one model on one arm of Figure 1.")
    parser.add_argument("--arm", choices=RANKING_ARMS, required=True, help="training data")
    parser.add_argument("--budget", choices=["matched", "own"], default="matched")
    parser.add_argument("--validation", choices=["real", "walks"], default="real")
    parser.add_argument("--model", required=True, help="GRU4Rec, NARM, SASRec, STAMP, a baseline")
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--walks", type=Path, nargs="+", required=True, help="shards, in order")
    parser.add_argument("--rewired-walks", type=Path, nargs="*", default=[], help="tstr_rewired's")
    parser.add_argument("--ranking", type=Path, required=True, help="output: recall per cutoff")
    parser.add_argument("--ranks", type=Path, required=True, help="output: rank per test user")
    parser.add_argument("--work-folder", type=Path, required=True, help="deleted at the end")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    settings.check()
    if arguments.model not in BASELINES:
        find_model(arguments.model, settings.hidden)
    real, items, walks, rewired = _resolved(arguments)
    outputs = arguments.ranking.resolve(), arguments.ranks.resolve()
    with quiet_corner(arguments.work_folder) as corner:
        comparison = compare(
            real,
            walks,
            settings.history_length,
            least=settings.min_item_count,
            seed=settings.seed,
            folder=corner,
        )
        refuse_unknown_items(
            comparison, files.read_arrow(items[0], "items", ["item_id"])["item_id"].to_numpy()
        )
        log.info(
            "%d items in common, %d validation users, %d test users and %d without a known item",
            len(comparison.vocabulary),
            len(comparison.validation.users),
            len(comparison.test.users),
            comparison.left_out.shape[1],
        )
        cutoffs = measurable(settings.cutoffs, len(comparison.vocabulary))
        size = budgets(comparison, arguments.budget, settings)
        examples = examples_of(
            arguments.arm, comparison, size.__getitem__, real, rewired, settings.seed
        )
        if arguments.validation == "walks":
            comparison = comparison.validated_on_walks()
        labels = {
            name: getattr(arguments, name) for name in ("arm", "budget", "validation", "model")
        }
        ranking, ranks = train_all(labels, comparison, examples, settings, cutoffs)
    files.write_table(ranking, outputs[0], "ranking")
    files.write_table(ranks, outputs[1], "ranks")


def _resolved(arguments: argparse.Namespace) -> Iterator[list[Path]]:
    """Histories, items, walks and rewired walks, as paths that hold from anywhere."""
    named = (arguments.histories, arguments.items, arguments.walks, arguments.rewired_walks)
    for paths in named:
        yield [p.resolve() for p in (paths if isinstance(paths, list) else [paths])]


if __name__ == "__main__":
    run_command(main)
