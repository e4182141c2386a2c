"""The settings of the ranking stage, and the cutoffs a vocabulary allows."""

from __future__ import annotations

from dataclasses import dataclass

from recscale.errors import UserError
from recscale.logs import logger

_VALIDATION_CUTOFF = 100

log = logger(__name__)


@dataclass(frozen=True)
class Settings:
    """The `ranking` block of the config without `models`, and the rung's seed and threads."""

    seed: int
    seeds: int
    examples: int
    own_examples: int
    min_item_count: int
    history_length: int
    epochs: int
    patience: int
    learning_rates: tuple[float, ...]
    batch_size: int
    hidden: int
    cutoffs: tuple[int, ...]
    threads: int

    def check(self) -> None:
        """Raise UserError for a value that is not positive or an empty list."""
        for key, value in vars(self).items():
            values = value if isinstance(value, tuple) else (value,)
            if key != "seed" and (not values or min(values) <= 0):
                shown = list(value) if isinstance(value, tuple) else value
                raise UserError(f"ranking.{key} is {shown}", "it must be positive")


def validation_cutoff(n_items: int) -> int:
    """K of the recall that stops a training: 100, or a tenth of a vocabulary of 100 or less."""
    return _VALIDATION_CUTOFF if n_items > _VALIDATION_CUTOFF else max(1, n_items // 10)


def measurable(cutoffs: tuple[int, ...], n_items: int) -> list[int]:
    """The cutoffs within the vocabulary, in increasing order; the others are logged and left out.

    Raises:
        UserError: none is left.
    """
    kept = [k for k in sorted(set(cutoffs)) if k <= n_items]
    for k in sorted(set(cutoffs) - set(kept)):
        log.info("recall@%d is left out: the vocabulary has %d items", k, n_items)
    if not kept:
        raise UserError(
            f"ranking.cutoffs are {list(cutoffs)}, and the vocabulary has {n_items} items",
            "add a smaller cutoff",
        )
    return kept
