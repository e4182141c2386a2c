"""What every method of semantic ids is after its fit: arrays that encode any item's vector.

A quantiser is fitted on training items once and written to a file; everything after that, also the
codes of items it never saw, comes from the file.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recscale import files
from recscale.errors import UserError

ROWS_AT_ONCE = 4096  # vectors encoded together: bounds the memory, and keeps products in cache


@dataclass(frozen=True)
class Quantiser(ABC):
    """A fitted method. `width` codes make an item's id; REC numbers run from 0 to `rec_tokens`."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Codes an item."""

    @property
    @abstractmethod
    def rec_tokens(self) -> int:
        """REC numbers that codes are made of."""

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of the vectors it encodes."""

    @abstractmethod
    def candidates(self, vectors: NDArray[np.floating], count: int) -> NDArray[np.int64]:
        """The `count` best codes of each vector, best first.

        vectors (rows, dimensions); the result has shape (rows, count, width).
        """

    @abstractmethod
    def reconstruct(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """What the codes keep of each vector, shape (rows, dimensions)."""

    def encode(self, vectors: NDArray[np.floating]) -> NDArray[np.uint16]:
        """The codes (rows, width) of vectors (rows, dimensions), which may be memory-mapped."""
        codes = np.empty((len(vectors), self.width), np.uint16)
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            codes[rows] = self.candidates(vectors[rows], 1)[:, 0]
        return codes


def write(quantiser: Quantiser, path: Path) -> None:
    """Write a fitted quantiser as .npz."""
    arrays: dict[str, Any] = {f.name: getattr(quantiser, f.name) for f in fields(quantiser)}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_arrays(path: Path, kind: type[Quantiser]) -> dict[str, NDArray]:
    """The arrays that `write` wrote for a quantiser of this kind.

    Raises:
        UserError: the file is missing, truncated, or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {f.name: arrays[f.name] for f in fields(kind)}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is missing or no fitted {kind.__name__} ({error})",
            "delete it and run the target again",
        ) from None


def require_finite(vectors: NDArray[np.floating]) -> None:
    """Refuse vectors to fit on that are not finite.

    Raises:
        UserError: names the first row.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise UserError(
            f"{len(bad)} embeddings of training items are not finite, first row {bad[0]}",
            "check the embedding model and build the embeddings again",
        )
