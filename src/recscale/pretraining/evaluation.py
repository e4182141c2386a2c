"""Held-out losses by domain, by kind of token and by item (Figures 2 to 7, Tables 4 and 6).

Templates are learned in a moment and flatter every curve, so the loss is also reported for the
tokens that identify items and for numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from recscale import seeds
from recscale.errors import UserError
from recscale.files import read_arrow
from recscale.pretraining.data import Vocabulary, read_windows
from recscale.pretraining.loss import NextTokenLoss

_WINDOWS_AT_ONCE = 32
_KINDS = ("id", "number", "template")  # kinds of tokens, in the order of the sums below


@dataclass(frozen=True)
class Losses:
    """Sums over one domain's held-out windows, in nats.

    Each mapping is by token class; `items` is the number of complete items, `item_loss` the sum
    over them of their code losses and ln(1 + n_collisions).
    """

    total: dict[str, float]
    tokens: dict[str, int]
    item_loss: float
    items: int

    def mean(self, token_class: str) -> float:
        """Mean loss of a token class that occurs, in nats/token."""
        return self.total[token_class] / self.tokens[token_class]

    @property
    def loss_per_item(self) -> float:
        """Nats per item; not a number where the windows hold no complete item."""
        return self.item_loss / self.items if self.items else math.nan


class ItemCodes:
    """The codes of every item and how many other items share them, to look codes up.

    Args:
        path: an item_ids table.

    Raises:
        UserError: the table is empty or its items have differing numbers of codes.
    """

    def __init__(self, path: Path) -> None:
        table = read_arrow(path, "item_ids", ["codes", "n_collisions"]).combine_chunks()
        codes = table["codes"].combine_chunks()
        lengths = set(codes.value_lengths().unique().to_pylist())
        if len(lengths) != 1 or lengths == {0}:
            raise UserError(
                f"{path} has items with {sorted(lengths) or 'no'} codes",
                "every item needs the same number of codes; build the item ids again",
            )
        self.path, self.length = path, lengths.pop()
        values = codes.flatten().to_numpy(zero_copy_only=False)
        self._codes = values.reshape(-1, self.length).astype(np.int64)
        self._collisions = table["n_collisions"].cast(pa.int64()).to_numpy()
        hashes = self._hash(self._codes)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def _hash(self, codes: NDArray[np.int64]) -> NDArray[np.uint64]:
        return seeds.hash_keys(0, *codes.T)

    def collisions(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Other items with the codes of each row, of shape `(items,)`.

        Raises:
            UserError: no item has one of the codes.
        """
        place = np.searchsorted(self._hashes, self._hash(codes))
        rows = self._order[np.minimum(place, len(self._order) - 1)]
        known = (self._codes[rows] == codes).all(1)
        if not known.all():
            raise UserError(
                f"held-out windows hold an item with the codes {codes[~known][0].tolist()}, which "
                f"{self.path} does not have",
                "build the windows again with these item ids",
            )
        return self._collisions[rows]


class HeldOut:
    """The held-out windows of one domain, with their complete items.

    Args:
        name: the domain.
        windows: token ids, shape `(windows, length)`.
        vocabulary: what the ids mean.
        codes: the items' codes; without them no loss per item is computed.

    Raises:
        UserError: an item in the windows is unknown, or an id is not in the vocabulary.
    """

    def __init__(
        self,
        name: str,
        windows: NDArray[np.integer],
        vocabulary: Vocabulary,
        codes: ItemCodes | None = None,
    ) -> None:
        self.name, self.windows = name, windows
        if windows.max() >= vocabulary.vocabulary:
            raise UserError(
                f"the held-out windows of {name} hold the id {windows.max()}, the vocabulary has "
                f"{vocabulary.vocabulary}",
                "delete the windows and run their target again",
            )
        kinds = np.full(vocabulary.vocabulary, _KINDS.index("template"), dtype=np.int64)
        first = vocabulary.first_rec
        kinds[first : first + vocabulary.rec_count] = _KINDS.index("id")
        kinds[list(vocabulary.number_ids)] = _KINDS.index("number")
        self._kinds = kinds
        self._end_of_text = vocabulary.end_of_text
        # Window and position of the first code of each complete item, and ln of its sharers.
        self.items = np.zeros((0, 2), dtype=np.int64)
        self.log_sharers = np.zeros(0)
        self.codes = codes.length if codes else 0
        if codes:
            self._find_items(vocabulary, codes)

    def _find_items(self, vocabulary: Vocabulary, codes: ItemCodes) -> None:
        windows, n = self.windows, codes.length
        window, position = np.nonzero(windows == vocabulary.rec_open)
        inside = position + n + 1 < windows.shape[1]
        window, position = window[inside], position[inside] + 1
        between = windows[window[:, None], position[:, None] + np.arange(n)].astype(np.int64)
        numbers = between - vocabulary.first_rec
        complete = ((numbers >= 0) & (numbers < vocabulary.rec_count)).all(1)
        complete &= windows[window, position + n] == vocabulary.rec_close
        self.items = np.stack([window, position], 1)[complete]
        self.log_sharers = np.log1p(codes.collisions(numbers[complete]))

    def sums(self, window: slice, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over some windows: loss and count of each kind of token, then of items.

        Args:
            window: which windows.
            losses: of each target, shape `(windows, length - 1)`.

        Returns:
            Shape `(8,)`: losses of ids, numbers, templates; their counts; item losses; items.
        """
        # An end of text after an end of text is padding, and of no kind.
        ends = self.windows[window] == self._end_of_text
        kinds = np.where(
            ends[:, 1:] & ends[:, :-1], len(_KINDS), self._kinds[self.windows[window, 1:]]
        ).ravel()
        total = np.bincount(kinds, losses.ravel(), minlength=4)[: len(_KINDS)]
        count = np.bincount(kinds, minlength=4)[: len(_KINDS)]
        first, last = np.searchsorted(self.items[:, 0], [window.start, window.stop])
        row, position = self.items[first:last].T
        # The loss of the token at position p stands at p - 1.
        of_codes = losses[
            (row - window.start)[:, None], position[:, None] - 1 + np.arange(self.codes)
        ]
        items = of_codes.sum() + self.log_sharers[first:last].sum()
        return np.concatenate([total, count, [items, last - first]])


def read_held_out(
    folder: Path, domains: Sequence[str], vocabulary: Vocabulary, item_ids: Path | None
) -> list[HeldOut]:
    """Read the windows of some held-out domains; raises UserError as `HeldOut` does."""
    codes = ItemCodes(item_ids) if item_ids else None
    return [
        HeldOut(name, read_windows(folder / f"{name}.npy", vocabulary), vocabulary, codes)
        for name in domains
    ]


def held_out_losses(accelerator: Accelerator, loss: NextTokenLoss, domain: HeldOut) -> Losses:
    """Loss of the model on all held-out windows of a domain.

    Windows are divided among the processes of `accelerator`; sums are taken in float64.

    Args:
        accelerator: from `trainer.start`.
        loss: the model, as it was before `accelerator.prepare` wrapped it.
        domain: the windows.

    Raises:
        UserError: the loss is not finite.
    """
    at_once = _WINDOWS_AT_ONCE
    parts, part = accelerator.num_processes, accelerator.process_index
    sums = np.zeros(8)
    loss.eval()
    with torch.no_grad():
        for beginning in range(0, len(domain.windows), parts * at_once):
            start = beginning + part * at_once
            window = slice(start, min(start + at_once, len(domain.windows)))
            # A sharded model is called by all processes or none: one without windows takes the
            # first and does not count it.
            own = domain.windows[window] if start < len(domain.windows) else domain.windows[:1]
            ids = torch.from_numpy(own.astype(np.int64))
            found = loss(ids.to(accelerator.device), reduce=False)
            if start < len(domain.windows):
                sums += domain.sums(window, found.double().cpu().numpy())
    loss.train()
    if parts > 1:
        everywhere = accelerator.reduce(torch.from_numpy(sums).to(accelerator.device), "sum")
        sums = everywhere.cpu().numpy()
    if not np.isfinite(sums).all():
        raise UserError(
            f"the held-out loss of {domain.name} is not finite",
            "lower the learning rate, or use precision fp32",
        )
    total = dict(zip(_KINDS, sums[:3].tolist(), strict=True))
    tokens = dict(zip(_KINDS, sums[3:6].astype(int).tolist(), strict=True))
    return Losses(
        {"all": sum(total.values()), **total},
        {"all": sum(tokens.values()), **tokens},
        float(sums[6]),
        int(sums[7]),
    )
