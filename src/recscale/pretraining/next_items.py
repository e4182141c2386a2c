"""Command: recall of real users' next items by beam search with a run's final model.

Perplexity is not recommendation. The users of Figure 1 are asked for their next item as its models
are: after the same items of the common vocabulary, of which a prompt shows as many of the last as
fit in a window, and with the same items to choose from. A model reads codes, so that items that
share them cannot be told apart: all count as ranked before the target, as ties do in Figure 1.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.errors import UserError, run_command
from recscale.item_ids.trie import Trie
from recscale.logs import logger
from recscale.pretraining.beam_search import BeamSearch
from recscale.pretraining.prompts import Prompts, read_run, read_search
from recscale.ranking.comparison import Comparison, compare
from recscale.settings import parse

log = logger("pretraining.next_items")


@dataclass(frozen=True)
class NextItemSettings:
    """How to ask.

    min_item_count, history_length: of Figure 1, which make its vocabulary and its test users;
    users: of these, chosen by a hash of their number (None: all); beams: width of the beam;
    cutoffs: of recall, none above the beam; the others as in `generation.GenerationSettings`.
    """

    seed: int
    min_item_count: int
    history_length: int
    users: int | None
    beams: int
    cutoffs: tuple[int, ...]
    batch_prompts: int
    length: int
    precision: str
    device: str
    threads: int

    def check(self) -> None:
        """Raise UserError if a cutoff is above the beam, beyond which nothing is found."""
        if max(self.cutoffs) > self.beams:
            raise UserError(
                f"pretraining.generation.cutoffs reach {max(self.cutoffs)}, the beam of users has "
                f"{self.beams} places",
                "raise pretraining.generation.user_beams or lower the cutoffs",
            )


def chosen_users(users: NDArray[np.integer], count: int | None, seed: int) -> NDArray[np.int64]:
    """The places of `count` users (None: all), in increasing order."""
    draw = seeds.uniform(seeds.derive(seed, "next items", "users"), users)
    return np.sort(np.argsort(draw, kind="stable")[:count])


def ranks(
    leaves: NDArray[np.int64],
    scores: NDArray[np.float64],
    targets: NDArray[np.int64],
    trie: Trie,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rank of each target among all items of the trie, and its log probability.

    Items of all leaves that score no less than the target's come before it, those that share its
    codes included. A target that is not in the beam has the last rank and no log probability.

    Args:
        leaves: found for each user, shape `(users, beams)`.
        scores: their log probabilities; -inf where there is no leaf.
        targets: leaf of each target, shape `(users,)`.
        trie: the items that can be answered.
    """
    is_target = (leaves == targets[:, None]) & np.isfinite(scores)
    found = is_target.any(1)
    score = np.where(is_target, scores, -np.inf).max(1, initial=-np.inf)
    before = np.isfinite(scores) & (scores >= score[:, None])
    rank = np.where(before, trie.sharers[leaves], 0).sum(1)
    last = len(trie.item_ids)
    return np.where(found, rank, last), np.where(found, score, np.nan)


def rank_users(
    search: BeamSearch,
    device: torch.device,
    prompts: Prompts,
    comparison: Comparison,
    settings: NextItemSettings,
) -> pd.DataFrame:
    """The table `next_items` without the columns that name the run.

    Raises:
        UserError: an item of the vocabulary has no semantic id.
    """
    test, known = comparison.test, comparison.vocabulary.items
    trie = prompts.trie.restricted_to(known)
    places = chosen_users(test.users, settings.users, settings.seed)
    histories = [known[test.all_items[place] - 1][-prompts.most_items :] for place in places]
    targets = known[test.examples.targets[places] - 1]
    width = min(settings.beams, trie.leaves)
    leaves = np.zeros((len(places), width), dtype=np.int64)
    scores = np.full((len(places), width), -np.inf)
    for rows, batch in prompts.batches(histories, settings.batch_prompts):
        found, score = search.items(batch.to(device), trie, width)
        leaves[rows] = found[:, :width].cpu().numpy()
        scores[rows] = score[:, :width].cpu().numpy()
    target_leaves = trie.find(trie.codes[trie.rows_of(targets)].astype(np.int64))
    rank, log_probability = ranks(leaves, scores, target_leaves, trie)
    log.info("%d of %d targets found", np.isfinite(log_probability).sum(), len(places))
    return pd.DataFrame(
        {
            "user_id": test.users[places],
            "test_item": targets,
            "history_items": [len(history) for history in histories],
            "beams": settings.beams,
            "items": len(known),
            "rank": rank,
            "log_probability": log_probability,
        }
    )


def main() -> None:
    """Rank the next items of one run; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the finished run")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer folder")
    parser.add_argument("--item-ids", type=Path, required=True, help="item_ids table")
    parser.add_argument("--histories", type=Path, required=True, help="of real users")
    parser.add_argument("--walks", type=Path, nargs="+", required=True, help="Figure 1's shards")
    parser.add_argument("--next-items", type=Path, required=True, help="table to write")
    parser.add_argument("--settings", required=True, help="JSON of NextItemSettings")
    options = parser.parse_args()
    settings = parse(NextItemSettings, options.settings)
    settings.check()
    torch.set_num_threads(settings.threads)
    prompts = Prompts(options.tokenizer, Trie.read(options.item_ids), settings.length)
    run, folder = read_run(options.manifest)
    options.next_items.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.next_items.parent) as spill:
        comparison = compare(
            [options.histories],
            options.walks,
            settings.history_length,
            least=settings.min_item_count,
            seed=settings.seed,
            folder=Path(spill),
        )
        search, device = read_search(
            folder, prompts.vocabulary, settings.precision, settings.device
        )
        table = rank_users(search, device, prompts, comparison, settings)
    named = table.assign(run=run["run"], size=run["size"], seed=run["seed"])
    files.write_table(named, options.next_items, "next_items")


if __name__ == "__main__":
    run_command(main)
