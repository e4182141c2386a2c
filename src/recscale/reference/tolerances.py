"""How far a fresh result may be from the reference's, by the kind of file.

On one machine, with one set of packages, results are equal byte for byte. Another processor adds up
in another order, and trainings carry that on. Tried at `mini` with AVX2 in place of AVX-512
instructions, on 12 runs of all four sizes and 20 rankings: nothing before the trainings differed by
a bit; held-out losses differed by up to 3e-4 of themselves (the largest model; the smallest, 2e-6),
training losses by 1e-6, means over answers by 0.003, and no share of ranks up to 100. Tolerances
are some ten times as much, or what would move no conclusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from recscale.reference.manifest import MADE


@dataclass(frozen=True)
class Kind:
    """Files that are compared in one way.

    Args:
        pattern: of their paths in the reference.
        relative: share of the reference's number that ours may be off by.
        absolute: added to it, in the column's own unit.
        left_out: columns that are no results.
        mean_over: rows equal in these columns are averaged before comparing, where single rows hang
            by a thread; none: row by row.
        cutoff: ranks are compared as the share of ranks up to it.
    """

    pattern: str
    relative: float
    absolute: float = 0.0
    left_out: tuple[str, ...] = ()
    mean_over: tuple[str, ...] = ()
    cutoff: int | None = None


# The first that matches counts.
KINDS = (
    Kind("pretraining/*/curves.parquet", relative=0.003),
    Kind(
        "pretraining/*/training.parquet",
        relative=0.001,
        left_out=("tokens_per_second", "gradient_norm"),
    ),
    Kind(
        "pretraining/*/generation.parquet",
        relative=0.0,
        absolute=0.02,
        left_out=("history", "target", "first_item", "first_category", "log_probability"),
        mean_over=("run", "histories", "source", "search", "beams"),
    ),
    Kind(
        "pretraining/*/next_items.parquet",
        relative=0.0,
        absolute=0.01,
        left_out=("user_id", "test_item", "log_probability"),
        mean_over=("run",),
        cutoff=100,
    ),
    Kind("pretraining/*/case_studies.parquet", relative=0.0, absolute=0.1, left_out=("items",)),
    Kind(
        "ranking/*/*-ranks.parquet",
        relative=0.0,
        absolute=0.01,
        left_out=("user_id", "test_item"),
        mean_over=("arm", "budget", "validation", "model", "seed"),
        cutoff=100,
    ),
    Kind("ranking/world/*.parquet", relative=0.0, absolute=0.01),
    Kind("item_ids/*", relative=0.0, absolute=0.01),
    Kind("*", relative=1e-6),
)
# What is made of equal tidy files: fits and intervals go through iterations that stop somewhere.
OF_EQUAL_FILES = Kind("*", relative=1e-4, absolute=1e-6, left_out=("seconds",))
# Columns of text that must be equal.
EXACT = ("verdict", "status")


def kind_of(path: str, kind: str) -> Kind:
    """How a file of the reference is compared, by its path and its kind in the manifest."""
    if kind == MADE:
        return OF_EQUAL_FILES
    return next(known for known in KINDS if fnmatch(path, known.pattern))
