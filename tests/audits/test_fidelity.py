"""Fidelity where the answer is known: walks that are real histories, and walks that are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recscale import files
from recscale.audits import fidelity
from recscale.audits.histories import (
    Items,
    choose_users,
    read_histories,
    read_walks,
    shuffled,
    stretches,
    stretches_like,
    within,
)
from recscale.errors import UserError
from recscale.figures import fidelity as figure
from recscale.ranking.sequences import Sequences

from . import audited_log


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fidelity")
    return folder, audited_log.write(folder, audited_log.grouped_walks())


def real(log):
    _, paths = log
    items = Items.read(paths["items"])
    return items, read_histories(paths["events"], audited_log.UNTIL, items)


def table(rows) -> pd.Series:
    return pd.Series({(r.measure, r.group): r.found.estimate for r in rows})


def test_histories_are_the_training_items_of_the_training_period(log):
    items, histories = real(log)
    events = audited_log.events()
    kept = events[(events["time"] < audited_log.UNTIL) & (events["item_id"] % 12 != 11)]
    np.testing.assert_array_equal(
        items.item_ids[histories.items.values], kept["item_id"].to_numpy()
    )
    np.testing.assert_array_equal(histories.users, kept["user_id"].unique())
    sessions = histories.sessions()
    sizes = kept.groupby("session_id").size()
    np.testing.assert_array_equal(sessions.lengths, sizes.to_numpy())


def test_users_are_chosen_by_hash_and_a_smaller_choice_is_part_of_a_larger(log):
    _, paths = log
    few, more = (choose_users(paths["events"], audited_log.UNTIL, n, 3) for n in (20, 50))
    assert len(few) == 20
    assert set(few) < set(more)
    assert len(choose_users(paths["events"], audited_log.UNTIL, None, 3)) == audited_log.USERS


def test_stretches_are_successive_items_of_a_user(log):
    _, histories = real(log)
    lengths = np.array([2, 5, 3])
    for found in (
        stretches(histories.items, lengths, 1),
        stretches_like(histories.items, np.tile(lengths, 20), 1),
    ):
        whole = [histories.items[row].tolist() for row in range(len(histories.items))]
        for row in range(len(found)):
            part = found[row].tolist()
            assert len(part) in lengths
            assert any(
                h[i : i + len(part)] == part for h in whole for i in range(len(h) - len(part) + 1)
            )
    one_each = stretches(histories.items, lengths, 1)
    assert len(one_each) == len(histories.items)


def test_real_users_as_walks_are_as_near_as_halves_and_one_group_is_far(log):
    items, histories = real(log)
    order = np.random.default_rng(0).permutation(len(histories.items))
    first, second = (histories.items.take(part) for part in np.array_split(order, 2))
    alike = table(fidelity.compare(first, second, items, 60, 1))
    assert 0.3 < alike["popularity_js_ratio", "walks"] < 1.5
    _, paths = log
    walks = read_walks([paths["walks"]], items, None)
    of_one = walks.take(np.arange(0, len(walks), audited_log.GROUPS))
    far = table(fidelity.compare(histories.items, of_one, items, 60, 1))
    assert far["popularity_js_ratio", "walks"] > 4
    assert far["length_js", "walks"] > 0.9  # histories have 12 items or more, walks 6 or fewer
    assert far["category_tv", "walks"] == pytest.approx(0.75, abs=0.03)  # one group of four


def test_permutation_tests_find_walks_and_not_halves(log):
    items, histories = real(log)
    _, paths = log
    walks = read_walks([paths["walks"]], items, None)
    of_one = walks.take(np.arange(0, len(walks), audited_log.GROUPS))
    found = table(fidelity.two_sample_tests(histories.items, of_one, items, 99, 1))
    for measure in ("popularity_p", "length_p", "category_p", "category_pairs_p"):
        assert found[measure, "walks"] == pytest.approx(0.01)
        assert found[measure, "real-against-real"] > 0.01


def test_transitions_are_looked_up_in_their_order():
    reference = Sequences.from_lengths(np.array([0, 1, 2]), np.array([3]))
    walks = Sequences.from_lengths(np.array([0, 1, 2, 1, 1, 2]), np.array([4, 2]))
    found = fidelity.transitions_seen(walks, reference, 3, 20, np.random.default_rng(1))
    assert found.estimate == pytest.approx(3 / 4)  # 0 1, 1 2, 1 2, but not 2 1


def test_shuffling_keeps_items_and_lengths(log):
    _, histories = real(log)
    mixed = shuffled(histories.items, 1)
    np.testing.assert_array_equal(mixed.lengths, histories.items.lengths)
    np.testing.assert_array_equal(np.sort(mixed.values), np.sort(histories.items.values))
    assert (mixed.values != histories.items.values).mean() > 0.5


def test_pairs_do_not_cross_sequences():
    place, row = within(Sequences.from_lengths(np.arange(6), np.array([1, 3, 0, 2])))
    np.testing.assert_array_equal(place, [1, 2, 4])
    np.testing.assert_array_equal(row, [1, 1, 3])


def run(call, folder, paths, **changes):
    call(
        fidelity.main,
        *audited_log.flags(
            events=paths["events"],
            items=paths["items"],
            walks=paths["walks"],
            fidelity=folder / "fidelity.csv",
            distributions=folder / "distributions.csv",
            settings=audited_log.AUDIT | changes,
        ),
    )
    return files.read_csv(folder / "fidelity.csv"), files.read_csv(folder / "distributions.csv")


def test_the_command_and_the_figure_of_a_small_log(log, tmp_path, call):
    _, paths = log
    found, curves = run(call, tmp_path, paths)
    pd.testing.assert_frame_equal(found, run(call, tmp_path, paths)[0])
    values = found.set_index(["measure", "group"])
    assert values.loc[("half_users", "real log"), "value"] == audited_log.USERS // 2
    strict, usual = (values.loc[(f"length_js_ratio{end}", "walks")] for end in ("_corrected", ""))
    assert strict["low"] <= usual["low"] <= usual["value"] <= usual["high"] <= strict["high"]
    lengths = curves[curves["characteristic"] == "length"].groupby("group")["value"].sum()
    np.testing.assert_allclose(lengths, 1.0)
    covered = curves[curves["characteristic"] == "popularity_by_real"]
    assert (covered.groupby("group")["value"].last() == 1).all()
    flags = ("--fidelity", tmp_path / "fidelity.csv", "--rung", "mini")
    more = ("--distributions", tmp_path / "distributions.csv", "--out-prefix", tmp_path / "f")
    call(figure.main, *flags, *more)
    assert {p.suffix for p in tmp_path.glob("f.*")} == {".pdf", ".svg", ".csv", ".tex"}
    drawn = files.read_csv(tmp_path / "f.csv").set_index("measure")
    assert drawn.loc["popularity_js", "walks"] == values.loc[("popularity_js", "walks"), "value"]
    assert drawn["ratio"].notna().sum() == 2


def test_what_cannot_be_used_is_named(log, tmp_path, call):
    _, paths = log
    with pytest.raises(UserError, match=r"events.parquet holds no event before 2023-01-01"):
        run(call, tmp_path, paths, train_until="2023-01-01")
    files.write_table(
        files.read_table(paths["items"], "items").assign(split="held_out"),
        tmp_path / "items.parquet",
        "items",
    )
    with pytest.raises(UserError, match=r"items.parquet holds no training item"):
        run(call, tmp_path, paths | {"items": tmp_path / "items.parquet"})
    files.write_table(
        files.read_table(paths["walks"], "walks").iloc[:0], tmp_path / "walks.parquet", "walks"
    )
    with pytest.raises(UserError, match=r"walks.parquet holds no walk"):
        run(call, tmp_path, paths | {"walks": tmp_path / "walks.parquet"})
    broken = files.read_table(paths["events"], "events").iloc[::-1]
    files.write_table(broken, tmp_path / "events.parquet", "events")
    with pytest.raises(UserError, match=r"in the order of users"):
        run(call, tmp_path, paths | {"events": tmp_path / "events.parquet"})


def test_the_figure_refuses_what_is_there_twice_or_half():
    row = ("fidelity", "popularity_js", "walks", 0.5, 0.4, 0.6, 100)
    columns = list(figure.COLUMNS)
    with pytest.raises(UserError, match="twice"):
        figure.measure(pd.DataFrame([row, row], columns=columns))
    with pytest.raises(UserError, match="lacks popularity_js of walks or halves"):
        figure.measure(pd.DataFrame([row], columns=columns))
    with pytest.raises(UserError, match="no distance"):
        figure.measure(pd.DataFrame([("fidelity", "x", *row[2:])], columns=columns))
