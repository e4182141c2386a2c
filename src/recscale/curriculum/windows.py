"""Sentences and documents to packed windows of token ids (section 6.1).

Documents are shuffled, joined by the end-of-text token and cut every `length` tokens, without
regard to where a document ends; the paper's token counts fit this packing. The rest shorter than a
window is left out and counted. One file per domain: an array (windows, length), which training
maps into memory.

The model reads codes, not items: where a held-out item shares its codes with a training item, or a
held-out rule with a training rule, its sentence would be one of training in all but a number. Such
items and rules are left out of the held-out domains and counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recscale import files, seeds
from recscale.contracts import HELD_OUT_DOMAINS, TRAINING_DOMAINS
from recscale.curriculum import templates
from recscale.errors import UserError, run_command
from recscale.item_ids.text import item_texts
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("curriculum.windows")

DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True)
class Settings:
    """How to pack: window length, and limits (null: none) on sentences and on tokens."""

    seed: int
    length: int
    sentences: int | None
    tokens: int | None


class Codes:
    """The codes of items by item id."""

    def __init__(self, item_ids: pd.DataFrame) -> None:
        self._codes = dict(zip(item_ids["item_id"], item_ids["codes"], strict=True))

    def __getitem__(self, item: int) -> NDArray[np.uint16]:
        try:
            return self._codes[item]
        except KeyError:
            raise UserError(
                f"item {item} has no semantic id",
                "rebuild the item ids from the same items.parquet",
            ) from None

    def key(self, *items: int) -> bytes:
        """The codes of some items as one value that can be compared."""
        return b"".join(self[item].tobytes() for item in items)


def general_sentences(documents: pd.DataFrame, part: str) -> list[str]:
    """The documents of general text of one part: base, train or held_out."""
    return documents.loc[documents["part"] == part, "text"].tolist()


def new_to_training(
    table: pd.DataFrame, columns: list[str], codes: Codes, split: str
) -> pd.DataFrame:
    """The rows of a split; of a held-out one, those whose codes no training row has.

    `columns` name the items whose codes make a row: one for items, two for rules.
    """
    chosen = table[table["split"] == split]
    if split == "train":
        return chosen
    train = table.loc[table["split"] == "train", columns]
    seen = {codes.key(*row) for row in train.itertuples(index=False)}
    new = [codes.key(*row) not in seen for row in chosen[columns].itertuples(index=False)]
    return chosen[np.array(new, dtype=bool)]


def item_sentences(items: pd.DataFrame, codes: Codes, split: str) -> list[str]:
    """One item-text sentence for each item of the split (train: learnt; held_out: evaluated)."""
    chosen = new_to_training(items, ["item_id"], codes, split)
    return [
        templates.item_text(codes[item], text)
        for item, text in zip(chosen["item_id"], item_texts(chosen), strict=True)
    ]


def rule_sentences(rules: pd.DataFrame, codes: Codes, split: str) -> list[str]:
    """One CF sentence for each rule of the split."""
    chosen = new_to_training(rules, ["item_a", "item_b"], codes, split)
    columns = (chosen[c] for c in ("item_a", "item_b", "confidence", "lift"))
    return [
        templates.collaborative(codes[a], codes[b], confidence, lift)
        for a, b, confidence, lift in zip(*columns, strict=True)
    ]


def walk_sentences(walks: pd.DataFrame, codes: Codes) -> list[str]:
    """One UIH sentence for each walk."""
    return [templates.history([codes[i] for i in items]) for items in walks["items"]]


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, without transformers, whose import costs more than tokenising.

    Raises:
        UserError: the folder holds no whole tokenizer.json.
    """
    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises bare Exception for every fault of the file
        raise UserError(
            f"{folder / 'tokenizer.json'} is missing or broken ({error})",
            "delete the folder and run its target again",
        ) from None


def tokens_of(
    sentences: list[str], tokenizer: Tokenizer, end_of_text: int
) -> Iterator[NDArray[np.uint32]]:
    """The token ids of batches of sentences, each followed by the end of text."""
    for start in progress(range(0, len(sentences), DOCUMENTS_AT_ONCE), desc="tokenising"):
        batch = sentences[start : start + DOCUMENTS_AT_ONCE]
        encoded = tokenizer.encode_batch(batch, add_special_tokens=False)
        yield np.fromiter(
            (token for document in encoded for token in [*document.ids, end_of_text]), np.uint32
        )


def pack(
    sentences: list[str], tokenizer: Tokenizer, end_of_text: int, settings: Settings
) -> tuple[NDArray, dict[str, int]]:
    """Windows (windows, length) of the shuffled sentences, and what was counted on the way.

    With `settings.sentences`, that many sentences are taken, with `settings.tokens` no more whole
    windows than those tokens fill; both of the shuffled order, so that the sample is random.
    """
    order = seeds.generator(settings.seed, "windows").permutation(len(sentences))
    order = order[: settings.sentences]
    pieces, found = [], 0
    for piece in tokens_of([sentences[i] for i in order], tokenizer, end_of_text):
        pieces.append(piece)
        found += len(piece)
        if settings.tokens and found >= settings.tokens:
            break
    stream = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint32)
    windows = len(stream) // settings.length
    if settings.tokens:
        windows = min(windows, settings.tokens // settings.length)
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
    packed = stream[: windows * settings.length].reshape(windows, settings.length).astype(dtype)
    used = packed.size
    return packed, {
        "windows": windows,
        "tokens": used,
        "documents": int((packed == end_of_text).sum()),
        "tokens_left_out": len(stream) - used,
        "documents_available": len(sentences),
    }


def sentences_of(arguments: argparse.Namespace) -> tuple[list[str], int]:
    """The sentences of the domain and part named on the command line, and how many were left out.

    Left out are those of held-out items and rules whose codes training has too.
    """
    domain, part = arguments.domain, arguments.part
    source = arguments.source if len(arguments.source) > 1 else arguments.source[0]
    if domain == "general":
        return general_sentences(files.read_table(source, "documents"), part), 0
    codes = Codes(files.read_table(arguments.item_ids, "item_ids"))
    if domain == "item_text":
        items = files.read_table(source, "items")
        sentences = item_sentences(items, codes, part)
        return sentences, int((items["split"] == part).sum()) - len(sentences)
    if domain.startswith("cf"):
        split = "train" if domain == "cf" else domain.removeprefix("cf_")
        rules = files.read_table(source, "rules")
        sentences = rule_sentences(rules, codes, split)
        return sentences, int((rules["split"] == split).sum()) - len(sentences)
    return walk_sentences(files.read_table(source, "walks"), codes), 0


def main() -> None:
    """Command line: one domain's source table to its windows and their manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    domains = list(dict.fromkeys([*TRAINING_DOMAINS, *HELD_OUT_DOMAINS]))
    parser.add_argument("--domain", choices=domains, required=True)
    parser.add_argument("--part", choices=["base", "train", "held_out"], required=True)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="walks: shards")
    parser.add_argument("--item-ids", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--windows", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    described = files.read_json(arguments.tokenizer / "manifest.json")
    tokenizer = read_tokenizer(arguments.tokenizer)
    sentences, left_out = sentences_of(arguments)
    packed, counts = pack(sentences, tokenizer, described["end_of_text"], settings)
    if not len(packed):
        raise UserError(
            f"the domain {arguments.domain} ({arguments.part}) fills no window of "
            f"{settings.length} tokens: {len(sentences)} sentences",
            "shorten curriculum.windows.length, or give the domain more data",
        )
    log.info("%s (%s): %s", arguments.domain, arguments.part, counts)
    files.write_array(packed, arguments.windows)
    files.write_json(
        {
            "domain": arguments.domain,
            "part": arguments.part,
            "length": settings.length,
            "vocabulary": described["vocabulary"],
            "tokenizer": described["sha256"],
            "documents_with_codes_of_training": left_out,
            **counts,
        },
        arguments.manifest,
    )


if __name__ == "__main__":
    run_command(main)
