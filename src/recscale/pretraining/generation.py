"""Command: what a run's final model answers to a sample of histories (section 8, Figure 11).

The paper shows three examples. Here the next items of many held-out walks are asked for, greedily
and by beam search, among real items and among all tokens, and the same of histories made of random
items, whose answers the paper calls more diverse. The most frequent ids of the training walks
answer beside the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.contracts import ANSWERED
from recscale.errors import UserError, run_command
from recscale.item_ids import catalogue
from recscale.item_ids.trie import Trie
from recscale.logs import logger
from recscale.pretraining.answers import diversity, hits, top_categories
from recscale.pretraining.beam_search import BeamSearch
from recscale.pretraining.prompts import Prompts, codes_of, read_run, read_search
from recscale.ranking.sequences import item_counts
from recscale.settings import parse

log = logger("pretraining.generation")

Histories = list[NDArray[np.int64]]


@dataclass(frozen=True)
class GenerationSettings:
    """How to ask.

    histories: of each set; beams: width of the beam, beside greedy search; batch_prompts: prompts
    searched at once; length: tokens of a window; precision: fp32 or bf16; device: cpu or
    cuda; threads: of the CPU.
    """

    seed: int
    histories: int
    beams: int
    batch_prompts: int
    length: int
    precision: str
    device: str
    threads: int


@dataclass(frozen=True)
class Answers:
    """Answers to some histories, likeliest first.

    codes `(histories, answers, width)`, -1 throughout where an answer is no id; leaves of the trie
    `(histories, answers)`, -1 where no item has the codes; log_probability `(histories, answers)`;
    tokens `(histories, answers, width + 1)`, as they were written.
    """

    codes: NDArray[np.int64]
    leaves: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    tokens: NDArray[np.int64]


def ask(
    search: BeamSearch,
    device: torch.device,
    prompts: Prompts,
    histories: Sequence[NDArray[np.integer]],
    constrained: bool,
    beams: int,
    at_once: int,
) -> Answers:
    """The model's answers to histories, among real items or (not constrained) among all tokens."""
    trie, vocabulary = prompts.trie, prompts.vocabulary
    count = min(beams, trie.leaves) if constrained else beams
    leaves = np.full((len(histories), count), -1, dtype=np.int64)
    scores = np.empty((len(histories), count))
    tokens = np.empty((len(histories), count, prompts.answer), dtype=np.int64)
    for rows, batch in prompts.batches(histories, at_once):
        given = batch.to(device)
        if constrained:
            found, score = search.items(given, trie, beams)
            leaves[rows] = found[:, :count].cpu().numpy()
        else:
            found, score = search.tokens(given, prompts.answer, beams)
            tokens[rows] = found.cpu().numpy()
        scores[rows] = score[:, :count].cpu().numpy()
    if not constrained:
        codes = codes_of(tokens, vocabulary)
        return Answers(codes, trie.find(codes), scores, tokens)
    codes = trie.codes_of_leaves(leaves)
    tokens[..., :-1] = codes + vocabulary.first_rec
    tokens[..., -1] = vocabulary.rec_close
    return Answers(codes, leaves, scores, tokens)


def sample_walks(shards: Sequence[Path], count: int, name: str, seed: int) -> Histories:
    """So many walks of two items or more, chosen by a hash of their number; all if there are fewer.

    Raises:
        UserError: a shard is missing or truncated, or no walk has two items.
    """
    walks = files.read_arrow(shards, "walks", ["walk", "items"])
    long_enough = np.flatnonzero(pc.list_value_length(walks["items"]).to_numpy() > 1)
    if not len(long_enough):
        raise UserError(
            f"{shards[0]} has no walk of two items", f"raise curriculum.walks.{name} in the config"
        )
    numbers = walks["walk"].to_numpy()[long_enough]
    draw = seeds.uniform(seeds.derive(seed, "generation", name), numbers)
    chosen = long_enough[np.argsort(draw, kind="stable")[:count]]
    return [np.array(items) for items in walks["items"].take(pa.array(chosen)).to_pylist()]


def random_histories(like: Histories, items: NDArray[np.int64], seed: int) -> Histories:
    """Histories as long as those of `like`, of items drawn uniformly."""
    generator = seeds.generator(seed, "generation", "random")
    return [generator.choice(items, len(history)) for history in like]


def popular_leaves(shards: Sequence[Path], trie: Trie, count: int) -> NDArray[np.int64]:
    """The leaves that items of the training walks visit most often, most often first."""
    items, counts = item_counts(list(shards), "items")
    leaves = np.searchsorted(trie.children[-1], trie.rows_of(items), side="right") - 1
    visits = np.bincount(leaves, weights=counts, minlength=trie.leaves)
    return np.argsort(-visits, kind="stable")[:count]


def always(leaves: NDArray[np.int64], histories: int, trie: Trie) -> Answers:
    """The same answers to every history."""
    repeated = np.tile(leaves, (histories, 1))
    codes = trie.codes_of_leaves(repeated)
    return Answers(codes, repeated, np.full(repeated.shape, np.nan), codes)


def table_rows(
    answers: Answers,
    shown: Histories,
    targets: NDArray[np.int64] | None,
    trie: Trie,
    category: NDArray[np.int64],
    top: NDArray[np.int64],
) -> pd.DataFrame:
    """Columns of the contract `generation` that do not name the search; no `targets`: no hits."""
    frame = diversity(answers.codes, answers.leaves, shown, trie, category)
    frame = frame.assign(**top_categories(answers.leaves, shown, trie, top))
    if targets is None:
        names = hits(answers.codes[:0], answers.codes[:0, 0], np.ones(0, dtype=np.int64))
        found: dict[str, Any] = {"target": None, **dict.fromkeys(names, np.nan)}
    else:
        codes = trie.codes[trie.rows_of(targets)].astype(np.int64)
        found = {"target": targets, **hits(answers.codes, codes, trie.sharers[trie.find(codes)])}
    frame = frame.assign(
        **found,
        history=np.arange(len(shown)),
        history_items=[len(items) for items in shown],
        width=trie.width,
        log_probability=answers.log_probability[:, 0],
    )
    return frame.astype({"target": "Int64"})


def categories_of(
    items: catalogue.Catalogue, trie: Trie
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The leaf and the top category of each row of the trie.

    Raises:
        UserError: the table of items lacks one that has a semantic id.
    """
    order = np.argsort(items.item_ids, kind="stable")
    place = np.searchsorted(items.item_ids, trie.item_ids, sorter=order)
    rows = order[np.minimum(place, len(order) - 1)]
    if (items.item_ids[rows] != trie.item_ids).any():
        raise UserError("--items lacks items of --item-ids", "pass the tables of one run")
    return items.leaf[rows], items.top[rows]


def evaluate(
    search: BeamSearch,
    device: torch.device,
    prompts: Prompts,
    sets: dict[str, tuple[Histories, NDArray[np.int64] | None]],
    popular: NDArray[np.int64],
    category: NDArray[np.int64],
    top: NDArray[np.int64],
    settings: GenerationSettings,
) -> pd.DataFrame:
    """The table `generation` without the columns that name the run.

    Args:
        sets: histories and next items (None: unknown) by name.
        popular: leaves, most popular first.
        category, top: leaf and top category of each row of the trie.
    """
    trie, parts = prompts.trie, []
    for name, (histories, targets) in sets.items():
        shown = [items[-prompts.most_items :] for items in histories]
        for beams in (1, settings.beams):
            found = {
                ("model", "constrained"): ask(
                    search, device, prompts, shown, True, beams, settings.batch_prompts
                ),
                ("model", "unconstrained"): ask(
                    search, device, prompts, shown, False, beams, settings.batch_prompts
                ),
                ("popularity", "constrained"): always(popular[:beams], len(shown), trie),
            }
            for (source, how), answers in found.items():
                labels: dict[str, Any] = {
                    "histories": name,
                    "source": source,
                    "search": how,
                    "beams": beams,
                }
                rows = table_rows(answers, shown, targets, trie, category, top)
                parts.append(rows.assign(**labels))
        log.info("%s: %d histories", name, len(histories))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Evaluate the answers of one run; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the finished run")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer folder")
    parser.add_argument("--item-ids", type=Path, required=True, help="item_ids table")
    parser.add_argument("--items", type=Path, required=True, help="items table")
    parser.add_argument("--uih-full-graph", type=Path, nargs="+", required=True, help="shards")
    parser.add_argument("--uih-ood", type=Path, nargs="+", required=True, help="shards")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="shards")
    parser.add_argument("--generation", type=Path, required=True, help="table to write")
    parser.add_argument("--settings", required=True, help="JSON of GenerationSettings")
    options = parser.parse_args()
    settings = parse(GenerationSettings, options.settings)
    torch.set_num_threads(settings.threads)
    prompts = Prompts(options.tokenizer, Trie.read(options.item_ids), settings.length)
    items = catalogue.read(options.items)
    category, top = categories_of(items, prompts.trie)
    popular = popular_leaves(options.train, prompts.trie, settings.beams)
    sets: dict[str, tuple[Histories, NDArray[np.int64] | None]] = {}
    for name in ANSWERED[:2]:
        walks = sample_walks(getattr(options, name), settings.histories, name, settings.seed)
        targets = np.array([walk[-1] for walk in walks])
        sets[name] = [walk[:-1] for walk in walks], targets
    trained = items.item_ids[items.train]
    sets["random"] = random_histories(sets[ANSWERED[0]][0], trained, settings.seed), None
    run, folder = read_run(options.manifest)
    search, device = read_search(folder, prompts.vocabulary, settings.precision, settings.device)
    table = evaluate(search, device, prompts, sets, popular, category, top, settings)
    named = table.assign(run=run["run"], size=run["size"], seed=run["seed"])
    files.write_table(named, options.generation, "generation")


if __name__ == "__main__":
    run_command(main)
