"""The statistics of Figure 1: recall, paired intervals, and what happens at zero."""

import numpy as np
import pandas as pd
import pytest

from recscale.errors import UserError
from recscale.figures.fig1 import Setup, bootstrap, with_equivalents
from recscale.figures.fig1 import measure as measure_all

SETUP = Setup((10, 100), seed=1, replicates=4000, vocabulary=1000)


def measure(*arguments) -> pd.DataFrame:
    """The rows of the cutoffs asked for, without those that stand for the paper's."""
    table = measure_all(*arguments)
    return table[table["paper_k"].isna()]


def frame(ranks: dict[tuple[str, int], list[int]], model: str = "SASRec") -> pd.DataFrame:
    """Rows of the ranks contract from ranks per arm and seed; users are numbered by place."""
    parts = [
        pd.DataFrame(
            {
                "arm": arm,
                "budget": "matched",
                "validation": "real",
                "stratum": "head",
                "in_history": False,
                "model": model,
                "seed": seed,
                "user_id": range(len(values)),
                "test_item": 0,
                "rank": values,
                "rank_masked": [max(1, value - 1) for value in values],
            }
        )
        for (arm, seed), values in ranks.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_recall_and_ratio_by_hand() -> None:
    table = measure(
        frame({("tstr", 0): [1, 10, 11, 500], ("trtr", 0): [10, 11, 101, 900]}), SETUP, 2.3
    )
    at10, at100 = (row for _, row in table[table["history_items"] == "ranked"].iterrows())
    assert (at10["tstr"], at10["trtr"], at10["ratio"]) == (0.5, 0.25, 2.0)
    assert (at100["tstr"], at100["trtr"], at100["ratio"]) == (0.75, 0.5, 1.5)
    assert pd.isna(at10["published_ratio"]) and at100["published_ratio"] == 2.3
    assert (at10["chance"], at100["chance"]) == (0.01, 0.1)
    hidden = table[table["history_items"] == "hidden"].iloc[0]
    assert (hidden["tstr"], hidden["trtr"]) == (0.75, 0.5)


def test_users_are_drawn_in_pairs() -> None:
    """Two arms with the same ranks have a ratio of 1 in every replicate, however few the users."""
    ranks = np.random.default_rng(0).integers(1, 25, 30).tolist()
    setup = Setup((5, 10), seed=1, replicates=4000, vocabulary=1000)
    table = measure(frame({("tstr", 0): ranks, ("trtr", 0): ranks}), setup, 2.3)
    assert (table[["ratio", "ratio_low", "ratio_high"]] == 1).all(axis=None)
    assert (table["tstr_low"] < table["tstr"]).all() and (table["tstr"] < table["tstr_high"]).all()


def test_the_spread_over_users_is_binomial() -> None:
    hits = np.where(np.arange(500) < 150, 1, 999)[None, :]
    drawn = bootstrap({"tstr": hits, "trtr": hits}, (10,), 20_000, np.random.default_rng(3))
    assert drawn["tstr"].mean() == pytest.approx(0.3, abs=0.001)
    assert drawn["tstr"].std() == pytest.approx(np.sqrt(0.3 * 0.7 / 500), rel=0.03)


def test_seeds_are_drawn_too_and_each_arm_its_own() -> None:
    """One perfect and one useless training: a replicate has 0, 1 or 2 of the perfect one."""
    both = np.array([[1] * 20, [999] * 20])
    drawn = bootstrap({"tstr": both, "trtr": both}, (10,), 20_000, np.random.default_rng(3))
    values, counts = np.unique(drawn["tstr"], return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / 20_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.01)
    assert np.corrcoef(drawn["tstr"][:, 0], drawn["trtr"][:, 0])[0, 1] == pytest.approx(0, abs=0.03)


def test_swapping_the_arms_inverts_the_ratio() -> None:
    random = np.random.default_rng(5)
    one, two = random.integers(1, 150, 200).tolist(), random.integers(1, 400, 200).tolist()
    table = measure(frame({("tstr", 0): one, ("trtr", 0): two}), SETUP, 2.3)
    swapped = measure(frame({("tstr", 0): two, ("trtr", 0): one}), SETUP, 2.3)
    at100 = table[table["k"] == 100].iloc[0]
    inverse = swapped[swapped["k"] == 100].iloc[0]
    assert at100["ratio_low"] > 1 and inverse["ratio_high"] < 1
    assert at100["ratio"] == pytest.approx(1 / inverse["ratio"])


def test_a_recall_of_zero_leaves_the_ratio_empty() -> None:
    table = measure(frame({("tstr", 0): [1] * 40, ("trtr", 0): [999] * 40}), SETUP, 2.3)
    assert table[["ratio", "ratio_low", "ratio_high"]].isna().all(axis=None)
    # Rarely no hit at all: such a replicate counts against both ends, and leaves both finite.
    six = [*[1] * 6, *[999] * 34]
    few = measure(frame({("tstr", 0): six, ("trtr", 0): six}), SETUP, 2.3)
    assert few.iloc[0]["ratio_low"] == few.iloc[0]["ratio_high"] == 1
    # One hit: about a third of the replicates miss it, so that the upper end is open.
    table = measure(frame({("tstr", 0): [1] * 40, ("trtr", 0): [1, *[999] * 39]}), SETUP, 2.3)
    row = table.iloc[0]
    assert row["ratio"] == 40 and pd.isna(row["ratio_high"]) and 1 < row["ratio_low"] < 40


def test_the_seed_decides_the_intervals_and_the_order_of_rows_does_not() -> None:
    random = np.random.default_rng(5)
    values = {
        (arm, s): random.integers(1, 300, 50).tolist() for arm in ("tstr", "trtr") for s in (0, 1)
    }
    rows = frame(values)
    first = measure(rows, SETUP, 2.3)
    shuffled = rows.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(first, measure(shuffled, SETUP, 2.3))
    other = Setup((10, 100), seed=2, replicates=4000, vocabulary=1000)
    drawn = [column for column in first if column.endswith(("_low", "_high"))]
    assert not first[drawn].equals(measure(rows, other, 2.3)[drawn])
    assert first.drop(columns=drawn).equals(measure(rows, other, 2.3).drop(columns=drawn))


def test_cutoffs_near_chance_are_marked() -> None:
    ranks = {("tstr", 0): [1, 400], ("trtr", 0): [5, 300]}
    setup = Setup((10, 100), seed=1, replicates=10, vocabulary=None)
    table = measure(frame(ranks), setup, 2.3)
    assert set(table["items"]) == {400} and set(table["items_from"]) == {"largest rank seen"}
    assert table["chance_marked"].tolist() == [False, True] * 2
    small = Setup((10, 100), seed=1, replicates=10, vocabulary=399)
    with pytest.raises(UserError, match="--vocabulary is 399"):
        measure(frame(ranks), small, 2.3)


@pytest.mark.parametrize(
    ("ranks", "says"),
    [
        ({("tstr", 0): [1, 2]}, "no rows of arm trtr for SASRec"),
        ({("tstr", 0): [1, 2], ("trtr", 0): [1]}, "different users"),
        ({("tstr", 0): [1, 2], ("tstr", 1): [1], ("trtr", 0): [1, 2]}, "different users"),
    ],
)
def test_arms_that_do_not_pair_are_refused(ranks, says) -> None:
    with pytest.raises(UserError, match=says):
        measure(frame(ranks), SETUP, 2.3)


def test_a_file_given_twice_and_an_unknown_budget_are_refused() -> None:
    rows = frame({("tstr", 0): [1, 2], ("trtr", 0): [1, 2]})
    with pytest.raises(UserError, match="twice"):
        measure(pd.concat([rows, rows]), SETUP, 2.3)
    with pytest.raises(UserError, match=r"no budget 'matched'.*own"):
        measure(rows.assign(budget="own"), SETUP, 2.3)


def test_cutoffs_have_equivalents_at_the_papers_share_of_items() -> None:
    assert with_equivalents((10, 1000), 1_800) == [(10, None), (1000, None), (1, 10), (10, 1000)]
    assert with_equivalents((10,), 180_000) == [(10, None)]
    ranks = frame({("tstr", 0): [1, 2, 900], ("trtr", 0): [1, 7, 900]})
    table = measure_all(ranks, Setup((10, 1000), 1, 100, 1_800), 2.3)
    small = table[(table["paper_k"] == 10) & (table["history_items"] == "ranked")].iloc[0]
    assert (small["k"], small["tstr"]) == (1, pytest.approx(1 / 3))


def test_ndcg_and_targets_outside_the_vocabulary() -> None:
    ranks = frame({("tstr", 0): [1, 3, 900], ("trtr", 0): [1, 7, 900]})
    outside = ranks.assign(stratum="outside", user_id=ranks["user_id"] + 10, rank=1001)
    table = measure(pd.concat([ranks, outside]), SETUP, 2.3)
    row = table[table["k"] == 10].iloc[0]
    assert row["n_users"] == 3
    assert row["tstr_ndcg"] == pytest.approx((1 + 0.5) / 3)
    assert row["trtr_ndcg"] == pytest.approx((1 + 1 / 3) / 3)
