"""The tokenizer: byte-level BPE as Qwen's, with REC tokens added (section 4.2.1).

Below the paper's size a small BPE is trained on training text; at its size Qwen3's own is taken.
The tokens `<RECTOKEN>`, `</RECTOKEN>`, `REC0` .. are added so that each swallows the space before
it: an item then costs its codes + 2 tokens, ten with 8 codes, which is what the paper's token
counts imply. (Added without that, every space would be a token of its own, an item 19 tokens.)
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tokenizers import AddedToken, Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, Qwen2Tokenizer

from recscale import files
from recscale.curriculum import templates
from recscale.errors import UserError, first_line, run_command
from recscale.item_ids.text import item_texts
from recscale.logs import logger
from recscale.settings import parse

log = logger("curriculum.tokenizer")

END_OF_TEXT = "<|endoftext|>"
_SPACE_BEFORE = re.compile(r"\s*(</?RECTOKEN>|REC\d+)")


@dataclass(frozen=True)
class Settings:
    """The `curriculum.tokenizer` block of the config, and how many REC tokens to add."""

    source: str
    vocabulary: int | None
    rec_tokens: int


def training_text(documents: pd.DataFrame, items: pd.DataFrame) -> Iterator[str]:
    """What a BPE is trained on: training documents, and sentences on training items without codes.

    Held-out documents and held-out items give nothing, so no merge can have been learnt from them.
    """
    yield from documents.loc[documents["part"] != "held_out", "text"]
    for text in item_texts(items[items["split"] == "train"]):
        yield templates.item_text([], text)
        yield templates.collaborative([], [], 0.0, 0.0)
        yield templates.history([[], []])


def train(texts: Iterable[str], vocabulary: int) -> Qwen2Tokenizer:
    """A Qwen2Tokenizer (NFC, Qwen's pre-tokenizer, byte-level) with `vocabulary` tokens.

    Raises:
        UserError: fewer tokens than the 256 bytes and the end of text need.
    """
    if vocabulary < 257:
        raise UserError(f"curriculum.tokenizer.vocabulary is {vocabulary}", "use 257 or more")
    alphabet = Qwen2Tokenizer().backend_tokenizer
    bare = Tokenizer(models.BPE())
    bare.normalizer = alphabet.normalizer
    bare.pre_tokenizer = alphabet.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    # The text without the delimiters, which are tokens of their own.
    stripped = (_SPACE_BEFORE.sub("", text) for text in texts)
    bare.train_from_iterator(stripped, trainer)
    learnt = json.loads(bare.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=[tuple(merge) for merge in learnt["merges"]],  # type: ignore[misc]
        unk_token=None,  # type: ignore[arg-type]  # byte-level: nothing is unknown
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
    )


def add_rec_tokens(tokenizer: Any, rec_tokens: int) -> None:
    """Add the two delimiters and REC0 .. REC(rec_tokens - 1), each with the space before it."""
    tokenizer.add_tokens(
        [
            AddedToken(text, lstrip=True, rstrip=False, normalized=False, special=False)
            for text in [
                templates.REC_OPEN,
                templates.REC_CLOSE,
                *(templates.rec_token(code) for code in range(rec_tokens)),
            ]
        ]
    )


def decode(tokenizer: Any, ids: list[int]) -> str:
    """Text of tokens, with the spaces that the REC tokens had swallowed put back."""
    return _SPACE_BEFORE.sub(r" \1", tokenizer.decode(ids)).lstrip()


def manifest(tokenizer: Any, base_vocabulary: int, rec_tokens: int) -> dict[str, Any]:
    """What a model needs to know of a tokenizer: rows, where REC tokens are, which are digits."""
    numbers = [
        number
        for token, number in tokenizer.get_vocab().items()
        if re.fullmatch(r"Ġ?[0-9]+", token)
    ]
    return {
        "vocabulary": max(tokenizer.get_vocab().values()) + 1,
        "base_vocabulary": base_vocabulary,
        "rec_open": tokenizer.convert_tokens_to_ids(templates.REC_OPEN),
        "rec_close": tokenizer.convert_tokens_to_ids(templates.REC_CLOSE),
        "first_rec": tokenizer.convert_tokens_to_ids(templates.rec_token(0)),
        "rec_count": rec_tokens,
        "end_of_text": tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        "number_ids": sorted(numbers),
    }


def load(source: str) -> Any:
    """The tokenizer of a checkpoint (a hub name or a folder); UserError if it cannot be had."""
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the tokenizer {source} cannot be loaded ({first_line(error)})",
            "download it first, or name the folder it is in",
        ) from None


def build(settings: Settings, texts: Iterable[str], folder: Path) -> dict[str, Any]:
    """Make the tokenizer, save it with its manifest into `folder`, and return the manifest."""
    if settings.source == "train":
        if settings.vocabulary is None:
            raise UserError("curriculum.tokenizer.vocabulary is null", "give a number of tokens")
        tokenizer = train(texts, settings.vocabulary)
    else:
        tokenizer = load(settings.source)
    base_vocabulary = max(tokenizer.get_vocab().values()) + 1
    add_rec_tokens(tokenizer, settings.rec_tokens)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    tokenizer.save_pretrained(temporary)
    described = manifest(tokenizer, base_vocabulary, settings.rec_tokens)
    described["sha256"] = files.sha256(temporary / "tokenizer.json")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    files.write_json(described, folder / "manifest.json")
    return described


def main() -> None:
    """Command line: training text to a tokenizer folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    documents = files.read_table(arguments.documents, "documents")
    items = files.read_table(arguments.items, "items")
    described = build(settings, training_text(documents, items), arguments.tokenizer)
    log.info("%d tokens, %d of them REC", described["vocabulary"], settings.rec_tokens)


if __name__ == "__main__":
    run_command(main)
