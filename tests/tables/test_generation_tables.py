"""The tables of generation and of real next items, from rows whose values are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recscale import files
from recscale.errors import UserError
from recscale.tables import generation, next_item_recall

N = 40


def answers(run: str = "size3-full", **changes: object) -> pd.DataFrame:
    """Rows of one run: on walks, history i is hit if i < 10; categories of answers grow by one
    from walks to random histories; every other history gets the same likeliest answer."""
    parts = []
    for histories in ("uih_full_graph", "random"):
        for source, search in (
            ("model", "constrained"),
            ("model", "unconstrained"),
            ("popularity", "constrained"),
        ):
            for beams in (1, 5):
                is_random = histories == "random"
                hit = np.where(is_random, np.nan, (np.arange(N) < 10).astype(float))
                prefix = np.where(is_random, np.nan, np.where(np.arange(N) < 10, 3, 1))
                part = pd.DataFrame({"history": np.arange(N), "exact": hit, "exact_item": hit / 2})
                part = part.assign(
                    **{"exact_in_beam": hit, "prefix": prefix, "prefix_in_beam": prefix},
                    **{"set": hit, "set_in_beam": hit},
                    **{"invalid": 0.25 * (search == "unconstrained"), "distinct_items": 5.0},
                    **{"distinct_categories": 2.0 + is_random + (np.arange(N) % 2)},
                    **{"code_distance": 0.5, "overlap_with_history": 0.5 - 0.25 * is_random},
                    **{"category_in_history": 0.5, "first_category": 7},
                    **{"top_category_in_history": 0.6, "top_category_by_chance": 0.2},
                    **{"first_item": np.where(np.arange(N) % 2, np.arange(N) + 100, 1)},
                    **{"target": None if is_random else 3, "log_probability": -2.0, "width": 3},
                    **{"histories": histories, "source": source, "search": search},
                    **{"beams": beams, "history_items": 4, "run": run, "seed": 0},
                    size=run.split("-")[0],
                )
                parts.append(part)
    whole = pd.concat(parts, ignore_index=True).assign(**changes)
    return whole.astype({"target": "Int64", "first_item": "Int64", "first_category": "Int64"})


def value(table: pd.DataFrame, measure: str, histories: str = "uih_full_graph") -> pd.Series:
    chosen = table[
        (table["measure"] == measure)
        & (table["histories"] == histories)
        & (table["source"] == "model")
        & (table["search"] == "constrained")
        & (table["beams"] == 5)
    ]
    (row,) = chosen.to_dict("records")
    return pd.Series(row)


def test_values_and_intervals_are_those_of_the_rows() -> None:
    table = generation.build(answers())
    exact = value(table, "exact")
    assert (exact["value"], exact["n"]) == (0.25, N)
    # Wilson's interval of 10 in 40.
    assert exact[["low", "high"]].tolist() == pytest.approx([0.1419, 0.4019], abs=1e-4)
    assert value(table, "exact_item")["value"] == 0.125
    assert [value(table, f"prefix_{d}")["value"] for d in (1, 2, 3)] == [1, 0.25, 0.25]
    assert value(table, "prefix_1")["low"] == pytest.approx(1 - 0.0876, abs=1e-4)
    measures = table.loc[table["histories"] == "random", "measure"]
    assert "exact" not in set(measures) and "code_distance" in set(measures)


def test_differences_are_paired_by_history() -> None:
    table = generation.build(answers())
    change = value(table, "distinct_categories", "random - uih_full_graph")
    # The histories differ among themselves, the pairs do not: the interval is a point.
    assert change[["value", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
    walks = value(table, "distinct_categories")
    assert walks["value"] == 2.5 and walks["high"] - walks["low"] > 0.2
    nearer = value(table, "overlap_with_history", "random - uih_full_graph")
    assert nearer["value"] == pytest.approx(-0.25)


def test_the_chance_that_answers_differ() -> None:
    found = value(generation.build(answers()), "different_items")
    assert found["value"] == pytest.approx(1 - (20 * 19) / (40 * 39))
    assert found["low"] < found["value"] < found["high"]
    alike = generation.different(pd.Series([4] * 10))
    assert (alike.estimate, alike.low, alike.high) == (0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=3, max_size=14))
def test_the_jackknife_is_that_of_leaving_each_out(values) -> None:
    def share(of: list[int]) -> float:
        pairs = [(a, b) for i, a in enumerate(of) for j, b in enumerate(of) if i != j]
        return float(np.mean([a != b for a, b in pairs]))

    n = len(values)
    left_out = np.array([share(values[:i] + values[i + 1 :]) for i in range(n)])
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    found = generation.different(pd.Series(values))
    assert found.estimate == pytest.approx(share(values))
    assert found.high - found.estimate == pytest.approx(1.959964 * error, abs=1e-6)


def test_the_fragment_names_sizes_and_marks_what_is_missing(tmp_path, call) -> None:
    paths = []
    for run in ("size1-full", "size3-full"):
        frame = answers(run, distinct_categories=np.nan, first_category=None)
        paths.append(tmp_path / f"{run}.parquet")
        files.write_table(frame, paths[-1], "generation")
    out = ["--rung", "mini", "--out-prefix", tmp_path / "t"]
    call(generation.main, "--generation", *paths, *out)
    tex = (tmp_path / "t.tex").read_text()
    assert tex.count("size1 (0.6B's role)") == 3 and tex.count("size3 (4B's role)") == 3
    assert tex.count("Most frequent ids") == 3  # once in each table, once in a caption
    assert r"\label{tab:generation}" in tex and r"\label{tab:generation-diversity}" in tex
    assert "difference & 0.000 [0.000, 0.000] & -- & " in tex
    assert "tokens & 0.250 [0.142, 0.402]" in tex
    csv = pd.read_csv(tmp_path / "t.csv")
    assert set(csv["run"]) == {"size1-full", "size3-full"}


def test_bad_rows_are_named() -> None:
    with pytest.raises(UserError, match="hold a search twice"):
        generation.build(pd.concat([answers(), answers()]))
    rows = answers()
    lacking = rows[(rows["histories"] == "random") | (rows["history"] < 30)]
    with pytest.raises(UserError, match="random histories of size3-full without walks"):
        generation.build(lacking)


USERS = 50


def next_items(run: str = "size1-full", **changes: object) -> pd.DataFrame:
    """The language model ranks user i's item i + 1."""
    frame = pd.DataFrame({"user_id": np.arange(USERS) * 2, "test_item": np.arange(USERS)})
    labels = {"run": run, "size": run.split("-")[0], "seed": 0, "history_items": 9}
    labels |= {"beams": 100, "items": 500, "rank": np.arange(USERS) + 1, "log_probability": -3.0}
    return frame.assign(**labels).assign(**changes)


def ranks(model: str, arm: str, first: int, seeds: int = 1) -> pd.DataFrame:
    """A recommender ranks user i's item i + first; one user more than was asked."""
    frame = pd.DataFrame({"user_id": np.arange(USERS + 1) * 2, "test_item": np.arange(USERS + 1)})
    frame["rank"] = frame["rank_masked"] = np.arange(USERS + 1) + first
    labels = {"arm": arm, "budget": "matched", "validation": "real", "model": model}
    frame = frame.assign(**labels, stratum="head", in_history=False)
    return pd.concat([frame.assign(seed=seed) for seed in range(seeds)], ignore_index=True)


def beside() -> pd.DataFrame:
    return pd.concat(
        [ranks("SASRec", "trtr", 6, 3), ranks("SASRec", "tstr", 11, 3), ranks("Pop", "trtr", 1)],
        ignore_index=True,
    )


def test_recall_of_all_models_on_the_users_that_were_asked() -> None:
    table = next_item_recall.build(next_items(), beside(), "SASRec", [10, 20], 500, 1)
    rows = table.set_index(["model", "data", "k"])
    assert set(table["n_users"]) == {USERS}
    assert rows.loc[("LLM", "size1-full", 10), "recall"] == 10 / USERS
    assert rows.loc[("SASRec", "trtr", 10), "recall"] == 5 / USERS
    assert rows.loc[("SASRec", "tstr", 20), "recall"] == 10 / USERS
    assert rows.loc[("SASRec", "trtr", 20), "trainings"] == 3
    assert rows.loc[("LLM", "size1-full", 20), "chance"] == 20 / 500
    gain = rows.loc[("LLM", "size1-full", 10)]
    assert gain["difference"] == pytest.approx(5 / USERS)
    assert 0 <= gain["difference_low"] < 0.1 < gain["difference_high"] < gain["high"]
    reference = rows.loc[("SASRec", "trtr", 10)]
    assert reference[["difference", "difference_low", "difference_high"]].isna().all()
    # Equal ranks for all users: no difference, whichever users are drawn.
    same = rows.loc[("Pop", "trtr", 10)] - rows.loc[("LLM", "size1-full", 10)]
    assert same["recall"] == 0


def test_the_bootstrap_has_the_binomial_spread() -> None:
    hits = (np.arange(200) < 50).astype(float)[:, None]
    drawn = next_item_recall.redraw(hits, 20_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.25, abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(0.25 * 0.75 / 200), rel=0.03)


def test_the_command_writes_both_files(tmp_path, call) -> None:
    for run in ("size1-full", "size4-full"):
        files.write_table(next_items(run), tmp_path / f"{run}.parquet", "next_items")
    files.write_table(beside(), tmp_path / "ranks.parquet", "ranks")
    call(
        next_item_recall.main,
        *("--next-items", tmp_path / "size1-full.parquet", tmp_path / "size4-full.parquet"),
        *("--ranks", tmp_path / "ranks.parquet", "--cutoffs", 20, 10, "--seed", 1),
        *("--rung", "mini", "--out-prefix", tmp_path / "t"),
    )
    table = pd.read_csv(tmp_path / "t.csv")
    assert len(table) == 5 * 2
    tex = (tmp_path / "t.tex").read_text()
    assert "LLM, size4 (8B's role) & size4-full & 0.200 [" in tex
    assert r"SASRec & real histories (TRTR) & 0.100 [" in tex and "& -- &" in tex
    assert "0.020 at 10, 0.040 at 20" in tex


@pytest.mark.parametrize(
    ("asked", "ranked", "cutoffs", "message"),
    [
        (next_items(), beside(), [200], "cutoffs reach 200, a beam has 100 places"),
        (next_items(), beside()[lambda r: r["arm"] == "tstr"], [10], "lack TRTR of SASRec"),
        (next_items(test_item=1), beside(), [10], "have other targets"),
        (pd.concat([next_items(), next_items()]), beside(), [10], "hold a run twice"),
        (
            pd.concat([next_items(), next_items("size2-full")[:20]]),
            beside(),
            [10],
            "size2-full was asked for other users",
        ),
        (next_items(), beside()[lambda r: r["user_id"] > 4], [10], "lack users that"),
        (next_items(), pd.concat([beside(), beside()]), [10], "hold Pop, trtr, twice"),
    ],
)
def test_inputs_that_do_not_fit_are_named(asked, ranked, cutoffs, message) -> None:
    with pytest.raises(UserError, match=message):
        next_item_recall.build(asked, ranked, "SASRec", cutoffs, 10, 1)
