"""What the arms of the TSTR/TRTR comparison share (section 5.2, Figure 1).

All arms have one vocabulary, one validation set and one test set; only the training examples
differ. Items are numbered 1 to n by their place in the vocabulary in all arms; 0 is padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recscale.errors import UserError
from recscale.ranking.examples import Prefixes, RealRows, count_prefixes, draw, real_rows
from recscale.ranking.sequences import Integers, Sequences, Source, Vocabulary, batches
from recscale.seeds import derive, uniform

ARMS = ("tstr", "trtr")
HELD_OUT_WALKS = 0.02  # share of the walks that no arm trains on, for validation on walks


@dataclass(frozen=True)
class Comparison:
    """All that the arms share, and the filtered sequences the two of Figure 1 train on.

    Attributes:
        validation: the rows that stop a training.
        synthetic_validation: the last items of walks that no arm trains on.
        test: users whose test item is in the vocabulary.
        left_out: user and test item of the users who are not in `test`, shape `(2, users)`.
    """

    vocabulary: Vocabulary
    sequences: dict[str, Sequences]
    validation: RealRows
    synthetic_validation: RealRows
    test: RealRows
    left_out: Integers
    history_length: int

    def available(self, arm: str) -> int:
        """Examples the arm's sequences hold."""
        return count_prefixes(self.sequences[arm])

    def training_examples(self, arm: str, size: int, seed: int) -> Prefixes:
        """`size` examples of the arm, drawn with a seed of the arm's own."""
        return draw(self.sequences[arm], arm, size, self.history_length, seed)

    def validated_on_walks(self) -> Comparison:
        """The same comparison, whose trainings are stopped by held-out walks.

        Raises:
            UserError: no held-out walk has two items of the vocabulary.
        """
        if not len(self.synthetic_validation.users):
            raise UserError("no walk is held out for validation", "raise curriculum.walks.ranking")
        return replace(self, validation=self.synthetic_validation)


def filtered(source: Source, vocabulary: Vocabulary, folder: Path | None, name: str) -> Sequences:
    """The sequences of a table, filtered to the vocabulary, without those that become empty."""

    def parts() -> Iterator[Sequences]:
        for batch in batches(source, ["items"]):
            yield without_empty(vocabulary.filter(Sequences.from_arrow(batch.column("items"))))

    return Sequences.from_parts(parts(), folder, name)


def without_empty(sequences: Sequences) -> Sequences:
    """The sequences that have an item."""
    return sequences.take(np.flatnonzero(sequences.lengths))


def compare(
    histories: Source,
    walks: Source,
    history_length: int,
    *,
    least: int = 1,
    seed: int = 0,
    folder: Path | None = None,
) -> Comparison:
    """Build the comparison from tables or files under the contracts `histories` and `walks`.

    Real histories and walks are filtered to the vocabulary (the note under Figure 1). Validation
    ranks valid_item after items; the test ranks test_item after items and valid_item. Users are in
    increasing order of user_id.

    Args:
        least: occurrences that an item of the vocabulary has in either arm's sequences.
        seed: chooses the walks held out for validation.
        folder: where filtered sequences are kept; None: in memory.

    Raises:
        UserError: no history, no walk, no common item, or nobody to validate or test on.
    """
    vocabulary = Vocabulary.common(walks, histories, least)
    users, real, valid_items, test_items = _real(histories, vocabulary)
    if not len(users):
        raise UserError(
            "--histories holds no user", "check the data stage: users need all three periods"
        )
    synthetic, held_out = _split_walks(walks, vocabulary, history_length, seed, folder)
    if not len(synthetic) and not len(vocabulary):
        _refuse_no_walks(walks)
    valid, test = (vocabulary.encode(items) for items in (valid_items, test_items))
    validation = real_rows(users, real, valid, history_length)
    tested = real_rows(users, real.append(valid), test, history_length)
    for rows, column in ((validation, "valid_item"), (tested, "test_item")):
        if not len(rows.users):
            raise UserError(
                f"no {column} of --histories is among the {len(vocabulary)} items that --walks "
                "and --histories have in common",
                "make more walks (curriculum.walks.ranking) or lower curriculum.rules.min_support",
            )
    out = ~np.isin(users, tested.users)
    return Comparison(
        vocabulary=vocabulary,
        sequences={"tstr": synthetic, "trtr": without_empty(real)},
        validation=validation,
        synthetic_validation=held_out,
        test=tested,
        left_out=np.stack([users[out], test_items[out]]),
        history_length=history_length,
    )


def _real(
    histories: Source, vocabulary: Vocabulary
) -> tuple[Integers, Sequences, Integers, Integers]:
    """Users in order, their filtered histories (some empty), validation and test items.

    They stay in memory, four bytes an item: there are fewer users than walks, looked up at random.
    """
    columns = ["user_id", "items", "valid_item", "test_item"]
    parts, numbers = [], []
    for batch in batches(histories, columns):
        made = vocabulary.filter(Sequences.from_arrow(batch.column("items")))
        parts.append(Sequences(made.values.astype(np.int32), made.offsets))
        numbers.append(
            np.stack(
                [batch.column(n).to_numpy(zero_copy_only=False) for n in columns if n != "items"]
            )
        )
    if not parts:
        empty = np.zeros(0, np.int64)
        return empty, Sequences.from_lengths(empty, empty), empty, empty
    users, valid_items, test_items = np.concatenate(numbers, axis=1)
    order = np.argsort(users, kind="stable")
    real = Sequences.from_parts(iter(parts), None, "real").take(order)
    return users[order], real, valid_items[order], test_items[order]


def _split_walks(
    walks: Source, vocabulary: Vocabulary, history_length: int, seed: int, folder: Path | None
) -> tuple[Sequences, RealRows]:
    """The filtered walks to train on, and rows of those held out."""
    held_out: list[Sequences] = []
    numbers: list[Integers] = []
    seed = derive(seed, "ranking", "held-out walks")

    def parts() -> Iterator[Sequences]:
        for batch in batches(walks, ["walk", "items"]):
            walk = batch.column("walk").to_numpy(zero_copy_only=False)
            made = vocabulary.filter(Sequences.from_arrow(batch.column("items")))
            out = uniform(seed, walk) < HELD_OUT_WALKS
            rows = np.flatnonzero(out & (made.lengths > 1))
            held_out.append(made.take(rows))
            numbers.append(walk[rows])
            yield without_empty(made.take(np.flatnonzero(~out)))

    kept = Sequences.from_parts(parts(), folder, "walks")
    aside = Sequences.from_parts(iter(held_out), None, "held out")
    last = aside.offsets[1:] - 1
    before = np.ones(len(aside.values), dtype=bool)
    before[last] = False
    targets = aside.values[last]
    walk_numbers = np.concatenate([*numbers, np.zeros(0, np.int64)]).astype(np.int64)
    return kept, real_rows(walk_numbers, aside.keep_items(before), targets, history_length)


def _refuse_no_walks(walks: Source) -> None:
    if not any(batch.num_rows for batch in batches(walks, ["walk"])):
        raise UserError("--walks holds no walk", "raise curriculum.walks.ranking or loosen rules")
