"""Histories as prompts, and the trained model that continues them (section 8).

A prompt is the beginning of a UIH sentence of the curriculum, up to the opening delimiter of the
item that is asked for: token by token what a training window holds there. A history that is longer
than a window shows its last items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recscale.curriculum import templates
from recscale.errors import UserError
from recscale.files import read_json
from recscale.item_ids.trie import Trie
from recscale.logs import logger
from recscale.pretraining.beam_search import BeamSearch
from recscale.pretraining.data import Vocabulary, read_vocabulary
from recscale.pretraining.model import load_model
from recscale.pretraining.saved import saved_folder

log = logger("pretraining.prompts")


class Prompts:
    """Writes prompts for histories of at most `most_items` items, one or more.

    Args:
        tokenizer: its folder.
        trie: has the codes of every item of the histories.
        length: tokens of a window; prompt and answer fit in it.

    Raises:
        UserError: the tokenizer is broken or has too few REC tokens, or not even one item fits.
    """

    def __init__(self, tokenizer: Path, trie: Trie, length: int) -> None:
        self.vocabulary = read_vocabulary(tokenizer)
        self.trie = trie
        if trie.codes.max() >= self.vocabulary.rec_count:
            raise UserError(
                f"{tokenizer} has {self.vocabulary.rec_count} REC tokens, the item ids use "
                f"REC{trie.codes.max()}",
                "pass the tokenizer and the item ids of one method",
            )
        self.tokenizer = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
        # A delimiter's token swallows the space before it.
        self._head, self._comma = (
            np.array(self.tokenizer.encode(text.rstrip(" "), add_special_tokens=False).ids)
            for text in (templates.HISTORY[0], templates.BETWEEN_ITEMS)
        )
        self.answer = trie.width + 1  # an item's codes and the closing delimiter
        free = length - len(self._head) - 1 - self.answer
        self.most_items = free // (trie.width + 2 + len(self._comma))
        if self.most_items < 1:
            raise UserError(
                f"a window of {length} tokens has no place for an item and the next",
                "raise curriculum.windows.length",
            )

    def write(self, items: NDArray[np.integer]) -> NDArray[np.int64]:
        """Prompts of histories of one length: items `(prompts, items)` to ids `(prompts, length)`.

        Raises:
            UserError: an item has no semantic id.
        """
        vocabulary, (rows, count) = self.vocabulary, items.shape
        codes = self.trie.codes[self.trie.rows_of(items)].astype(np.int64)
        blocks = np.empty((rows, count, self.trie.width + 2 + len(self._comma)), dtype=np.int64)
        blocks[:, :, 0] = vocabulary.rec_open
        blocks[:, :, 1 : self.trie.width + 1] = codes + vocabulary.first_rec
        blocks[:, :, self.trie.width + 1] = vocabulary.rec_close
        blocks[:, :, self.trie.width + 2 :] = self._comma
        head = np.broadcast_to(self._head, (rows, len(self._head)))
        opening = np.full((rows, 1), vocabulary.rec_open)
        return np.concatenate([head, blocks.reshape(rows, -1), opening], axis=1)

    def batches(
        self, histories: Sequence[NDArray[np.integer]], at_once: int
    ) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """The prompts of histories, `at_once` of one length together.

        Yields:
            Which histories, and their prompts.

        Raises:
            UserError: an item has no semantic id.
        """
        shown = np.array([min(len(items), self.most_items) for items in histories])
        for count in np.unique(shown):
            rows = np.flatnonzero(shown == count)
            for start in range(0, len(rows), at_once):
                batch = rows[start : start + at_once]
                items = np.stack([histories[row][-count:] for row in batch])
                yield batch, torch.from_numpy(self.write(items))

    def text(self, tokens: NDArray[np.integer]) -> str:
        """Tokens as the paper prints them: `REC5824 REC2334 ...`, other tokens as they are."""
        vocabulary, parts = self.vocabulary, []
        for token in tokens.tolist():
            if token >= vocabulary.first_rec:
                parts.append(templates.rec_token(token - vocabulary.first_rec))
            elif token == vocabulary.rec_open:
                parts.append(templates.REC_OPEN)
            elif token == vocabulary.rec_close:
                parts.append(templates.REC_CLOSE)
            else:
                parts.append(self.tokenizer.decode([token], skip_special_tokens=False).strip())
        return " ".join(part for part in parts if part)


def codes_of(tokens: NDArray[np.integer], vocabulary: Vocabulary) -> NDArray[np.int64]:
    """The codes of answers `(..., codes + 1)` that were written among all tokens.

    Those that do not close after their codes, or hold another token, become -1 throughout.
    """
    codes = tokens[..., :-1].astype(np.int64) - vocabulary.first_rec
    whole = ((codes >= 0) & (codes < vocabulary.rec_count)).all(-1)
    whole &= tokens[..., -1] == vocabulary.rec_close
    return np.where(whole[..., None], codes, -1)


def read_run(manifest: Path) -> tuple[dict[str, Any], Path]:
    """The manifest of a finished run and the folder of its final model.

    Raises:
        UserError: a file is missing, or a file of the model is not the one the manifest describes.
    """
    run = read_json(manifest)
    lacking = [key for key in ("run", "size", "seed", "folder", "files") if key not in run]
    if lacking:
        raise UserError(f"{manifest} lacks the key {lacking[0]!r}", "pass the manifest of a run")
    return run, saved_folder(manifest, run)


def read_search(
    folder: Path, vocabulary: Vocabulary, precision: str, device: str
) -> tuple[BeamSearch, torch.device]:
    """Beam search with the model of a folder, and the device that it runs on.

    Args:
        folder: of a final model.
        vocabulary: of the tokenizer that it was trained with.
        precision: fp32 or bf16.
        device: cpu, or cuda, where a machine without a GPU takes its CPU.

    Raises:
        UserError: the folder holds no model, or one of another vocabulary.
    """
    found = torch.device(device if torch.cuda.is_available() else "cpu")
    if found.type != device:
        log.warning("there is no GPU: answers are searched for on the CPU")
    model = load_model(folder)
    rows = len(cast(torch.Tensor, model.get_input_embeddings().weight))
    if rows < vocabulary.vocabulary:
        raise UserError(
            f"the model in {folder} knows {rows} tokens, the tokenizer {vocabulary.vocabulary}",
            "pass the tokenizer that the run was trained with",
        )
    model.to(found)  # type: ignore[arg-type]
    return BeamSearch(model, vocabulary, bf16=precision == "bf16"), found
