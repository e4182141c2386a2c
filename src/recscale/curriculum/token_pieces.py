"""Sentences as tokens, put together from pieces that were tokenised once.

REC tokens are split off before anything else, and a digit is always a token of its own, so the text
between two items or numbers is tokenised alike wherever it stands. A sentence is then the pieces of
its template with items and numbers between them, and a million sentences are a few copies of
memory. The result equals tokenising the sentence; a test compares the two for every wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recscale.errors import UserError

TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class Pieces:
    """Token sequences, one after the other: tokens (sum of lengths,), offsets (sequences + 1,)."""

    tokens: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> Pieces:
        """From one list of token ids a sequence."""
        offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
        np.cumsum([len(s) for s in sequences], out=offsets[1:])
        tokens = np.concatenate([np.asarray(s, dtype=np.uint32) for s in [[], *sequences]])
        return cls(tokens, offsets)


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


def tokenise(tokenizer: Tokenizer, texts: list[str]) -> Pieces:
    """The tokens of texts, by the tokenizers library on all its threads, in bounded batches."""
    found: list[list[int]] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        batch = texts[start : start + TEXTS_AT_ONCE]
        encoded = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        found.extend(document.ids for document in encoded)
    return Pieces.of(found)


def text_before_item(text: str) -> str:
    """Text in front of an item without its last space, which the delimiter's token swallows."""
    return text.rstrip(" ")


def printed_digits(values: NDArray[np.float64], decimals: int) -> NDArray[np.int64]:
    """The digits of f"{value:.{decimals}f}" as whole numbers, for values from 0 to 10^9.

    Python rounds the exact binary value. Values that lie so close to half a unit that the product
    with a power of ten could fall on the other side are formatted one by one.
    """
    scaled = values * 10**decimals
    digits = np.floor(scaled + 0.5).astype(np.int64)
    for row in np.flatnonzero(np.abs(scaled - np.floor(scaled) - 0.5) < 1e-6):
        digits[row] = int(f"{values[row]:.{decimals}f}".replace(".", ""))
    return digits


def number_text(digits: int, decimals: int) -> str:
    """The number with so many decimals that `printed_digits` gave as `digits`."""
    return f"{digits // 10**decimals}.{digits % 10**decimals:0{decimals}d}"


def item_blocks(codes: NDArray[np.integer], vocabulary: dict[str, Any]) -> Pieces:
    """Each item between its delimiters; `codes` (items, codes an item)."""
    items, width = codes.shape
    tokens = np.empty((items, width + 2), dtype=np.uint32)
    tokens[:, 0] = vocabulary["rec_open"]
    tokens[:, 1:-1] = codes.astype(np.uint32) + np.uint32(vocabulary["first_rec"])
    tokens[:, -1] = vocabulary["rec_close"]
    return Pieces(tokens.ravel(), np.arange(items + 1, dtype=np.int64) * (width + 2))


class ItemCodes:
    """The codes of items by item number."""

    def __init__(self, item_ids: pd.DataFrame) -> None:
        order = np.argsort(item_ids["item_id"].to_numpy())
        self.item_ids = item_ids["item_id"].to_numpy()[order]
        lengths = item_ids["codes"].map(len)
        if lengths.nunique() > 1:
            raise UserError(
                f"semantic ids have {lengths.min()} to {lengths.max()} codes",
                "every item of one method has the same number; rebuild the item ids",
            )
        self.codes = np.stack(item_ids["codes"].tolist()).astype(np.uint16)[order]

    def places(self, items: NDArray[np.integer]) -> NDArray[np.int64]:
        """The row of each item in `codes`; raises UserError if one has no semantic id."""
        places = np.searchsorted(self.item_ids, items)
        known = places < len(self.item_ids)
        known[known] = self.item_ids[places[known]] == items[known]
        if not known.all():
            missing = np.unique(items[~known])
            raise UserError(
                f"item {missing[0]} has no semantic id ({len(missing)} items have none)",
                "rebuild the item ids from the same items.parquet",
            )
        return places

    def groups(self) -> NDArray[np.int64]:
        """A number for each row of `codes`; equal codes have equal numbers."""
        return np.unique(self.codes, axis=0, return_inverse=True)[1].reshape(-1)


def assemble(parts: list[tuple[Pieces, NDArray[np.integer]]]) -> Pieces:
    """Rows of pieces side by side: row r is the sequence index[r] of every part, in order.

    Each index (rows,) names sequences of its part.
    """
    rows = len(parts[0][1])
    offsets = np.zeros(rows + 1, dtype=np.int64)
    for pieces, index in parts:
        offsets[1:] += pieces.lengths[index]
    np.cumsum(offsets, out=offsets)
    tokens = np.empty(offsets[-1], dtype=np.uint32)
    cursor = offsets[:-1].copy()
    for pieces, index in parts:
        _lay(tokens, cursor, pieces.tokens, pieces.offsets, index)
    return Pieces(tokens, offsets)


def join(items: Pieces, lists: NDArray[np.integer], starts: NDArray[np.int64]) -> Pieces:
    """The sequences of `items` that each list names, one after the other.

    lists (sum of lengths,) names sequences, starts (lists + 1,) where each list begins.
    """
    total = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum(items.lengths[lists], out=total[1:])
    tokens = np.empty(total[-1], dtype=np.uint32)
    _lay(tokens, total[:-1].copy(), items.tokens, items.offsets, lists)
    return Pieces(tokens, total[starts])


@numba.njit(nogil=True, cache=True)
def _lay(out: NDArray, cursor: NDArray, tokens: NDArray, offsets: NDArray, index: NDArray) -> None:
    """Copy sequence index[r] to cursor[r] and move that cursor behind it."""
    for row in range(len(index)):
        place = cursor[row]
        for k in range(offsets[index[row]], offsets[index[row] + 1]):
            out[place] = tokens[k]
            place += 1
        cursor[row] = place
