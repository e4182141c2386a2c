"""Vocabulary, prefixes, sampling and the rows both arms share, on cases small enough to write."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale.errors import UserError
from recscale.ranking.arms import shuffle_sessions
from recscale.ranking.comparison import compare
from recscale.ranking.examples import Examples, Joined, Prefixes, count_prefixes
from recscale.ranking.sequences import Sequences, Vocabulary


def sequences(*lists: list[int]) -> Sequences:
    values = np.array([i for s in lists for i in s], dtype=np.int64)
    return Sequences.from_lengths(values, np.array([len(s) for s in lists], dtype=np.int64))


def as_lists(found: Sequences) -> list[list[int]]:
    return [found[i].tolist() for i in range(len(found))]


def as_pairs(examples: Examples) -> list[tuple[list[int], int]]:
    """(history without padding, target); checks that all the padding is zeros on the right."""
    rows = zip(examples.histories, examples.lengths, examples.targets, strict=True)
    pairs = []
    for history, length, target in rows:
        assert (history[:length] != 0).all()
        assert (history[length:] == 0).all()
        pairs.append((history[:length].tolist(), int(target)))
    return pairs


def all_prefixes(lists: list[list[int]], length: int) -> list[tuple[list[int], int]]:
    return [(s[max(0, i - length) : i], s[i]) for s in lists for i in range(1, len(s))]


def sample(found: Sequences, size: int, length: int, seed: int) -> Examples:
    drawn = Prefixes.sample(found, size, length, np.random.default_rng(seed))
    assert len(drawn) == size
    return drawn.take(np.arange(size))


def test_prefixes_of_one_history():
    found = sample(sequences([4, 5, 6, 7]), 3, 2, 0)
    assert as_pairs(found) == [([4], 5), ([4, 5], 6), ([5, 6], 7)]


lists_of_items = st.lists(st.lists(st.integers(1, 9), max_size=7), min_size=1, max_size=8)
filled_lists = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=7), min_size=1, max_size=8)


@given(filled_lists, st.integers(1, 4))
def test_taking_all_gives_every_prefix_once(lists, length):
    found = sequences(*lists)
    expected = all_prefixes(lists, length)
    assert count_prefixes(found) == len(expected)
    if expected:
        drawn = sample(found, len(expected), length, 1)
        assert as_pairs(drawn) == expected


def test_a_sample_has_no_example_twice_and_covers_all_alike():
    lists = [[10 * s + i for i in range(1, 6)] for s in range(1, 6)]
    expected = all_prefixes(lists, 3)
    counts = dict.fromkeys((target for _, target in expected), 0)
    for seed in range(400):
        pairs = as_pairs(sample(sequences(*lists), 5, 3, seed))
        assert all(pair in expected for pair in pairs)
        assert len({target for _, target in pairs}) == 5
        for _, target in pairs:
            counts[target] += 1
    # 20 examples, 100 draws of each expected with standard deviation 8.7
    assert all(60 < count < 140 for count in counts.values())


@given(lists_of_items, st.data())
def test_sequence_operations_agree_with_lists(lists, data):
    found = sequences(*lists)
    kept = data.draw(st.sets(st.integers(1, 9)))
    filtered = found.keep_items(np.isin(found.values, list(kept)))
    assert as_lists(filtered) == [[i for i in s if i in kept] for s in lists]
    last = data.draw(st.lists(st.integers(0, 3), min_size=len(lists), max_size=len(lists)))
    appended = found.append(np.array(last, dtype=np.int64))
    assert as_lists(appended) == [s + [i] * (i != 0) for s, i in zip(lists, last, strict=True)]
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=6))
    assert as_lists(found.take(np.array(rows, dtype=np.int64))) == [lists[r] for r in rows]


def test_vocabulary_numbers_the_common_items(walks_table, histories_table):
    walks = walks_table([9, 3, 5], [9])
    histories = histories_table((1, [5, 9, 9], 5, 5), (2, [7], 5, 5))
    vocabulary = Vocabulary.common(walks, histories)
    assert vocabulary.items.tolist() == [5, 9]
    assert Vocabulary.common(walks, histories, least=2).items.tolist() == [9]
    assert vocabulary.encode(np.array([3, 5, 9, 99, 0])).tolist() == [0, 1, 2, 0, 0]
    assert as_lists(vocabulary.filter(sequences([7, 9], [7], [9, 5, 3]))) == [[2], [], [2, 1]]


def test_rows_of_the_comparison(histories_table, walks_table):
    # Items 1 to 5 are common, 8 is in real histories only, 6 in walks only.
    histories = histories_table(
        (30, [8, 1, 2, 3, 4], 5, 1),  # all well; the target of the test was bought before
        (10, [8, 8], 2, 3),  # nothing to validate on, but valid_item is a history for the test
        (20, [1, 8, 5], 8, 2),  # valid_item outside the vocabulary
        (40, [2, 4], 3, 6),  # test_item outside: it does not occur in a real training part
        (50, [8], 8, 1),  # no history at all
    )
    walks = walks_table([1, 2, 6, 3], [4, 5, 6])
    found = compare(histories, walks, history_length=3)
    assert found.vocabulary.items.tolist() == [1, 2, 3, 4, 5]
    assert found.validation.users.tolist() == [30, 40]
    assert as_pairs(found.validation.examples) == [([2, 3, 4], 5), ([2, 4], 3)]
    assert found.test.users.tolist() == [10, 20, 30]
    assert as_pairs(found.test.examples) == [([2], 3), ([1, 5], 2), ([3, 4, 5], 1)]
    assert as_lists(found.test.all_items) == [[2], [1, 5], [1, 2, 3, 4, 5]]
    assert found.test.target_in_history().tolist() == [False, False, True]
    assert as_lists(found.sequences["tstr"]) == [[1, 2, 3], [4, 5]]
    assert found.available("tstr") == 3
    assert found.available("trtr") == 3 + 1 + 1


def test_users_are_in_order_whatever_the_order_of_the_table(histories_table, walks_table):
    rows = [(u, [1, 2, 3], 1 + u % 3, 1 + (u + 1) % 3) for u in range(6)]
    forward = compare(histories_table(*rows), walks_table([1, 2, 3]), 5)
    backward = compare(histories_table(*rows[::-1]), walks_table([1, 2, 3]), 5)
    assert forward.test.users.tolist() == backward.test.users.tolist() == list(range(6))
    assert (forward.test.examples.targets == backward.test.examples.targets).all()


def test_training_examples_depend_on_seed_and_arm_only(histories_table, walks_table):
    sequence = [1, 2, 3, 4, 5, 6, 7, 8]
    histories = histories_table(*[(u, sequence, 1, 2) for u in range(8)])
    found = compare(histories, walks_table(*[sequence] * 8), 8)

    def taken(arm: str, seed: int) -> Examples:
        return found.training_examples(arm, 20, seed).take(np.arange(20))

    drawn = {(arm, s): taken(arm, s) for arm in found.sequences for s in (1, 2)}
    again = taken("tstr", 1)
    assert (again.lengths == drawn["tstr", 1].lengths).all()
    assert not (drawn["tstr", 2].lengths == drawn["tstr", 1].lengths).all()
    assert not (drawn["trtr", 1].lengths == drawn["tstr", 1].lengths).all()


@pytest.mark.parametrize(
    ("rows", "walks", "said"),
    [
        ([], [[1, 2]], "--histories holds no user"),
        ([(1, [1, 2], 1, 2)], [], "--walks holds no walk"),
        ([(1, [1, 2], 1, 2)], [[3, 4]], "no valid_item of --histories is among the 0 items"),
        ([(1, [1, 2], 1, 9)], [[1, 2]], "no test_item of --histories is among the 2 items"),
    ],
)
def test_nothing_to_compare_is_refused(histories_table, walks_table, rows, walks, said):
    with pytest.raises(UserError, match=said):
        compare(histories_table(*rows), walks_table(*walks), 3)


def test_what_two_arms_have_together_is_one_after_the_other():
    first, second = sequences([1, 2, 3]), sequences([7, 8], [4, 5, 6])
    random = np.random.default_rng(0)
    both = Joined((Prefixes.sample(first, 2, 3, random), Prefixes.sample(second, 3, 3, random)))
    assert len(both) == 5
    expected = [([1], 2), ([1, 2], 3), ([7], 8), ([4], 5), ([4, 5], 6)]
    assert as_pairs(both.take(np.arange(5))) == expected
    rows = np.array([4, 0, 2, 1])
    assert as_pairs(both.take(rows)) == [expected[r] for r in rows]


def test_shuffling_keeps_sessions_in_place_and_their_items_together():
    found = sequences([1, 2, 3, 4, 5], [6, 7, 8])
    sessions = sequences([9, 9, 9, 11, 11], [11, 11, 12])
    shuffled = [as_lists(shuffle_sessions(found, sessions, seed)) for seed in range(20)]
    for first, second in shuffled:
        assert (sorted(first[:3]), sorted(first[3:])) == ([1, 2, 3], [4, 5])
        assert (sorted(second[:2]), second[2:]) == ([6, 7], [8])
    assert len({tuple(first) for first, _ in shuffled}) > 5


def test_files_give_what_tables_give(histories_table, walks_table, tmp_path):
    random = np.random.default_rng(3)
    lists = [random.integers(1, 30, random.integers(2, 9)).tolist() for _ in range(300)]
    histories = histories_table(*[(u, s, s[0], s[-1]) for u, s in enumerate(lists[:60])])
    walks = walks_table(*lists)
    pq.write_table(histories, tmp_path / "histories.parquet")
    for n, part in enumerate((walks.slice(0, 100), walks.slice(100))):
        pq.write_table(part, tmp_path / f"{n}.parquet")
    shards = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    first = compare(histories, walks, 4, seed=1)
    second = compare([tmp_path / "histories.parquet"], shards, 4, seed=1, folder=tmp_path / "work")
    assert len(first.synthetic_validation.users) > 0
    for arm in ("tstr", "trtr"):
        assert as_lists(first.sequences[arm]) == as_lists(second.sequences[arm])
        taken = [c.training_examples(arm, 50, 1).take(np.arange(50)) for c in (first, second)]
        assert as_pairs(taken[0]) == as_pairs(taken[1])
    assert (first.test.users == second.test.users).all()
    held_out = set(first.synthetic_validation.users.tolist())
    assert len(first.sequences["tstr"]) == 300 - len(held_out)
    assert first.validated_on_walks().validation is first.synthetic_validation
