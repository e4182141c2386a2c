"""Command: the case studies of section 8 (Figures 9, 10 and 11), with texts beside the codes.

* Figure 9: a walk, its next item by greedy search, and the true next item;
* Figure 10: a walk as long as a window holds, and the first three of a beam;
* Figure 11: a history of random items, and the first five of a beam.

The seed draws the histories: none is picked by hand. Every case is answered twice, among real items
and among all tokens as in the paper, where an answer need not be an item.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from recscale import files
from recscale.contracts import SEARCHES
from recscale.curriculum import templates
from recscale.errors import UserError, run_command
from recscale.item_ids import catalogue
from recscale.item_ids.text import item_texts
from recscale.item_ids.trie import Trie
from recscale.logs import logger
from recscale.pretraining.beam_search import BeamSearch
from recscale.pretraining.generation import (
    Answers,
    GenerationSettings,
    Histories,
    ask,
    random_histories,
    sample_walks,
)
from recscale.pretraining.prompts import Prompts, read_run, read_search
from recscale.settings import parse

log = logger("pretraining.case_studies")

RANDOM_ITEMS = 10  # of Figure 11's history
RESPONSES = {"fig9": 1, "fig10": 3, "fig11": 5}  # shown, as many as in the paper


@dataclass(frozen=True)
class Case:
    """One case study: its history, the true next item if there is one, and the width of the beam.

    chosen_from: walks it was drawn from; 0 for random items.
    """

    figure: str
    history: NDArray[np.int64]
    truth: int | None
    beams: int
    chosen_from: int


def choose(
    walks: Histories, items: NDArray[np.int64], most: int, beams: int, seed: int
) -> list[Case]:
    """The three cases.

    Args:
        walks: in random order; the first that fits a case is taken.
        items: what Figure 11's history is drawn from.
        most: items that a prompt can show.
        beams: width of the beam of Figures 10 and 11.
        seed: of the random history.
    """
    long = min(most, max(len(walk) - 1 for walk in walks))
    long_walks = [walk for walk in walks if len(walk) > long]
    short, full = walks[0], long_walks[0]
    (drawn,) = random_histories([np.zeros(min(RANDOM_ITEMS, most), dtype=np.int64)], items, seed)
    return [
        Case("fig9", short[:-1], int(short[-1]), 1, len(walks)),
        Case("fig10", full[:-1], int(full[-1]), beams, len(long_walks)),
        Case("fig11", drawn, None, beams, 0),
    ]


def texts_of(path: Path, item_ids: NDArray[np.integer]) -> dict[int, str]:
    """The texts of some items of an items table, which is read batch by batch.

    Raises:
        UserError: the table is missing or truncated, or lacks one of them.
    """
    found: dict[int, str] = {}
    for batch in files.read_batches(path, catalogue.COLUMNS, catalogue.ROWS_AT_ONCE):
        frame = batch.to_pandas()
        frame = frame[frame["item_id"].isin(item_ids)]
        found.update(zip(frame["item_id"].tolist(), item_texts(frame), strict=True))
    missing = np.setdiff1d(item_ids, list(found))
    if len(missing):
        raise UserError(f"{path} lacks item {missing[0]}", "pass the items of the same run")
    return found


def written(tokens: NDArray[np.int64], is_item: bool, prompts: Prompts) -> str:
    """An answer as the paper prints it: the codes of an item, otherwise all that was written."""
    ending = np.isin(tokens, [prompts.vocabulary.rec_close, prompts.vocabulary.end_of_text])
    end = int(np.argmax(ending)) + 1 if ending.any() else len(tokens)
    return prompts.text(tokens[: end - 1] if is_item else tokens[:end])


def case_rows(case: Case, answers: dict[str, Answers], prompts: Prompts) -> list[dict[str, Any]]:
    """The lines of a case: columns role, position, codes, items, log_probability, item.

    `item` is the item whose text the line gets, None where no item has the codes.
    """
    trie = prompts.trie
    rows: list[dict[str, Any]] = []

    def add(role: str, position: int, item: int | None, codes: str, score: float | None) -> None:
        leaf = -1 if item is None else int(trie.find(trie.codes[trie.rows_of(np.array([item]))])[0])
        rows.append(
            {
                "role": role,
                "position": position,
                "codes": codes,
                "items": 0 if leaf < 0 else int(trie.sharers[leaf]),
                "log_probability": score,
                "item": item,
            }
        )

    for position, item in enumerate(case.history[-prompts.most_items :].tolist()):
        codes = trie.codes[trie.rows_of(np.array([item]))][0]
        add("prompt", position, item, templates.item(codes.tolist()), None)
    for search, found in answers.items():
        for position in range(min(RESPONSES[case.figure], found.leaves.shape[1])):
            leaf = int(found.leaves[0, position])
            item = None if leaf < 0 else int(trie.items_of(leaf)[0])
            text = written(found.tokens[0, position], item is not None, prompts)
            add(search, position, item, text, float(found.log_probability[0, position]))
    if case.truth is not None:
        codes = trie.codes[trie.rows_of(np.array([case.truth]))][0]
        tokens = codes.astype(np.int64) + prompts.vocabulary.first_rec
        add("truth", 0, case.truth, prompts.text(tokens), None)
    return rows


def answered(
    cases: list[Case],
    search: BeamSearch,
    device: torch.device,
    prompts: Prompts,
    texts: Path,
) -> pd.DataFrame:
    """The table `case_studies` without the columns that name the run."""
    parts = []
    for case in cases:
        answers = {
            name: ask(search, device, prompts, [case.history], name == SEARCHES[0], case.beams, 1)
            for name in SEARCHES
        }
        parts.append(
            pd.DataFrame(case_rows(case, answers, prompts)).assign(
                figure=case.figure,
                history_items=len(case.history),
                chosen_from=case.chosen_from,
            )
        )
    table = pd.concat(parts, ignore_index=True)
    known = texts_of(texts, table["item"].dropna().astype(np.int64).unique())
    return table.assign(text=table["item"].map(known)).drop(columns="item")


def main() -> None:
    """Write the case studies of one run; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the finished run")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer folder")
    parser.add_argument("--item-ids", type=Path, required=True, help="item_ids table")
    parser.add_argument("--items", type=Path, required=True, help="items table")
    parser.add_argument("--walks", type=Path, nargs="+", required=True, help="held out; shards")
    parser.add_argument("--cases", type=Path, required=True, help="table to write")
    parser.add_argument("--settings", required=True, help="JSON of GenerationSettings")
    options = parser.parse_args()
    settings = parse(GenerationSettings, options.settings)
    torch.set_num_threads(settings.threads)
    prompts = Prompts(options.tokenizer, Trie.read(options.item_ids), settings.length)
    items = catalogue.read(options.items)
    walks = sample_walks(options.walks, settings.histories, "case studies", settings.seed)
    trained = items.item_ids[items.train]
    cases = choose(walks, trained, prompts.most_items, settings.beams, settings.seed)
    run, folder = read_run(options.manifest)
    search, device = read_search(folder, prompts.vocabulary, settings.precision, settings.device)
    table = answered(cases, search, device, prompts, options.items)
    named = table.assign(run=run["run"], size=run["size"])
    files.write_table(named, options.cases, "case_studies")
    log.info("run %s: %d lines", run["run"], len(named))


if __name__ == "__main__":
    run_command(main)
