"""The bias audit where the answer is known, marketplaces, and Tables 1 and privacy."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from recscale import files
from recscale.audits import bias, exposure, marketplace
from recscale.audits.histories import Histories, Items, read_histories
from recscale.audits.table import COLUMNS
from recscale.curriculum.sweep import gini as gini_of_positive
from recscale.data.world_catalogue import true_preference
from recscale.errors import UserError
from recscale.ranking.sequences import Sequences
from recscale.ranking.true_preference import Truth as RankingTruth
from recscale.settings import build
from recscale.tables import privacy as privacy_table
from recscale.tables import table1

from . import audited_log


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bias")
    return folder, audited_log.write(folder, audited_log.grouped_walks())


def test_top_share_and_gini_by_hand():
    counts = np.array([[5.0], [3.0], [2.0]])
    assert bias.top_share(counts)[0] == 0.5
    assert bias.gini(counts)[0] == pytest.approx(gini_of_positive(counts[:, 0].astype(int)))
    hundreds = np.ones((300, 1))
    hundreds[:3] = 100.0
    assert bias.top_share(hundreds)[0] == pytest.approx(300 / 597)
    assert bias.gini(np.array([[4.0], [0.0]]))[0] == pytest.approx(0.5)


def test_a_pair_is_shared_when_a_second_user_has_both_in_one_session():
    # User 0 has 0 1 and 2 3, user 1 has 1 0 in one session and 2, then 3 in two.
    items = Sequences.from_lengths(np.array([0, 1, 2, 3, 1, 0, 2, 3]), np.array([4, 4]))
    new = np.array([True, False, True, False, True, False, True, True])
    histories = Histories(np.array([7, 9]), items, new)
    assert bias.unshared(histories, items, 4, 1, new) == (1, 3)  # 2 3 of user 0 alone
    walks = Sequences.from_lengths(np.array([0, 1, 3]), np.array([3]))
    assert bias.unshared(histories, walks, 4, 1) == (1, 2)  # 1 3 of nobody
    assert bias.unshared(histories, Sequences.from_lengths(np.array([1]), np.array([1])), 4, 1) == (
        0,
        0,
    )


def test_missing_attributes_are_of_those_that_the_log_has(log):
    _, paths = log
    items = Items.read(paths["items"])
    found = bias.attributes_missing(paths["items"], items)
    # Brand, c0 and size are known at all; a third of the items lacks a size.
    np.testing.assert_allclose(found, np.where(items.item_ids % 3 == 0, 1 / 3, 0))


def test_the_rate_ratio_is_inside_items():
    # A popular item that is always promoted tells nothing; the others double in promoted weeks.
    promoted = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]], dtype=bool)
    purchases = np.array([[90.0] * 4, [4, 2, 2, 4], [20, 20, 10, 10]])
    found, items = exposure.rate_ratio(purchases, promoted, 50, np.random.default_rng(1))
    assert items == 2
    assert found.estimate == pytest.approx(2.0)
    assert found.low == pytest.approx(2.0)
    nothing, items = exposure.rate_ratio(purchases[:1], promoted[:1], 50, np.random.default_rng(1))
    assert items == 0
    assert np.isnan(nothing.estimate)


def test_weeks_count_purchases_and_promotions(log):
    _, paths = log
    items = Items.read(paths["items"])
    users = np.arange(0, audited_log.USERS, 2)
    weeks = exposure.read(paths["exposure"], paths["events"], audited_log.UNTIL, users, items)
    events = audited_log.events()
    kept = events[
        events["user_id"].isin(users)
        & events["item_id"].isin(items.item_ids)
        & (events["time"] < "2024-01-15")
    ]
    assert weeks.purchases.shape == (len(items), 2)
    assert weeks.purchases.sum() == len(kept)
    assert weeks.purchases[:, 1].sum() == 0
    record = files.read_table(paths["exposure"], "exposure")
    mailed = record.loc[(record["week"] == 1) & (record["stores_mailed"] > 0), "item_id"]
    expected = np.isin(items.item_ids, mailed)
    np.testing.assert_array_equal(weeks.promoted["mailer"][:, 0], expected)
    with pytest.raises(UserError, match=r"exposure.parquet has no week before 2024-01-05"):
        exposure.read(paths["exposure"], paths["events"], "2024-01-05", users, items)


def tiny_marketplaces(**changes) -> marketplace.Settings:
    told = {
        "seed": 1,
        "seeds": 2,
        "strengths": [1.0],
        "world": {"users": 300, "items": 120, "events": 9000, "months": 2},
        "held_out_items": 0.05,
        "rules": audited_log.RULES | {"min_support": 2},
        "walk": audited_log.WALK | {"walks": 3000},
    }
    return build(marketplace.Settings, told | changes, "settings")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marketplaces")
    rows = marketplace.audit(tiny_marketplaces(), folder)
    assert not list(folder.iterdir())
    return rows


def test_marketplaces_show_the_bias_that_is_on(simulated):
    values = {(row.measure, row.group): row for row in simulated}
    assert values["bias_of_log", "world:popularity=1"].found.low > 0
    assert values["affinity_lost_log", "world:noise=1"].found.estimate > 0
    assert values["affinity_lost_log", "world:exposure=1"].found.estimate > 0.1
    log, off = (
        values["preference_js_log", f"world:{group}"].found.estimate
        for group in ("popularity=1", "none=0")
    )
    assert values["bias_of_log", "world:popularity=1"].found.estimate == pytest.approx(log - off)
    seeds = [
        values["bias_of_walks", f"world:noise=1:seed={seed}"].found.estimate for seed in range(2)
    ]
    mean = values["bias_of_walks", "world:noise=1"].found.estimate
    assert np.mean(seeds) == pytest.approx(mean)
    kept = values["bias_kept", "world:popularity=1"]
    parts = [values[f"bias_of_{p}", "world:popularity=1"].found.estimate for p in ("walks", "log")]
    assert kept.found.estimate == pytest.approx(parts[0] / parts[1])
    assert kept.n == 2
    assert ("bias_kept", "world:none=0") not in values


def test_free_choice_is_the_softmax_of_every_user_by_their_events():
    random = np.random.default_rng(2)
    truth = marketplace.Truth(
        random.normal(size=(5, 8)), random.normal(size=(7, 8)), random.normal(size=7)
    )
    events = np.array([1, 0, 4, 2, 2])
    expected = np.zeros(7)
    for user, times in zip(truth.users, events, strict=True):
        weight = np.exp(true_preference(user[None], truth.items, truth.appeal))
        expected += times * weight / weight.sum()
    np.testing.assert_allclose(truth.free_choice(events), expected / events.sum())
    # The ranking stage's own idea of true preference gives the same order for one user.
    scores = RankingTruth(truth.users, truth.items, truth.appeal).scores(None, np.array([2]))
    alone = truth.free_choice(np.array([0, 0, 1, 0, 0]))
    np.testing.assert_array_equal(np.argsort(scores[0].numpy()), np.argsort(alone))


def test_affinity_is_of_what_goes_together():
    truth = marketplace.Truth(np.zeros((1, 8)), np.eye(8)[:2], np.zeros(2))
    together = Sequences.from_lengths(np.array([0, 0, 1, 1]), np.array([2, 2]))
    apart = Sequences.from_lengths(np.array([0, 1, 1, 0]), np.array([2, 2]))
    assert truth.affinity(together) == pytest.approx(0.5)
    assert truth.affinity(apart) == pytest.approx(-0.5)


def test_marketplaces_without_rules_are_refused(tmp_path):
    rules = audited_log.RULES | {"min_support": 5000}
    with pytest.raises(UserError, match="a marketplace with none at 0 gives no rule"):
        marketplace.audit(tiny_marketplaces(rules=rules), tmp_path)


def run(call, folder, paths, told=audited_log.AUDIT, record=True):
    given = {name: paths[name] for name in ("events", "items", "walks", "marketplaces")}
    if record:
        given["exposure"] = paths["exposure"]
    call(bias.main, *audited_log.flags(**given, bias=folder / "bias.csv", settings=told))
    return files.read_csv(folder / "bias.csv")


def rows_of(simulated) -> pd.DataFrame:
    rows = [
        ("bias", r.measure, r.group, r.found.estimate, r.found.low, r.found.high, r.n)
        for r in simulated
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_commands_and_table_1_of_a_small_log(log, simulated, tmp_path, call):
    _, paths = log
    files.write_csv(rows_of(simulated), tmp_path / "marketplaces.csv")
    paths = paths | {"marketplaces": tmp_path / "marketplaces.csv"}
    found = run(call, tmp_path, paths)
    assert not found.duplicated(["measure", "group"]).any()
    values = found.set_index(["measure", "group"])["value"]
    assert values["items_absent", "real log"] == 0
    items = Items.read(paths["items"])
    histories = read_histories(paths["events"], audited_log.UNTIL, items)
    distinct = sum(len(np.unique(histories.items[row])) for row in range(len(histories.items)))
    cells = len(histories.items) * len(items)
    assert values["empty_cells", "real log"] == pytest.approx(1 - distinct / cells)
    pd.testing.assert_frame_equal(found, run(call, tmp_path, paths))
    flags = ("--bias", tmp_path / "bias.csv", "--rung", "mini")
    call(table1.main, *flags, "--out-prefix", tmp_path / "table1")
    table = files.read_csv(tmp_path / "table1.csv")
    assert list(dict.fromkeys(table["bias"])) == list(table1.TAXONOMY)
    row = table[(table["bias"] == "popularity") & (table["group"] == "world:popularity=1")].iloc[0]
    assert row["log"] == values["bias_of_log", "world:popularity=1"]
    assert row["kept"] == values["bias_kept", "world:popularity=1"]
    assert "purchases, on display / not" in set(table["measure"])
    run(call, tmp_path, paths, record=False)
    call(table1.main, *flags, "--out-prefix", tmp_path / "table1")
    assert "purchases, on display / not" not in set(
        files.read_csv(tmp_path / "table1.csv")["measure"]
    )


def audit_of(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame([("bias", *row) for row in rows], columns=list(COLUMNS))


def test_table_1_reads_intervals_and_keeps_what_is_not_measured():
    table = table1.build(
        audit_of(
            [
                ("gini", "real log", 0.5, 0.4, 0.6, 9),
                ("gini", "walks", 0.8, 0.7, 0.9, 9),
                ("unshared_pairs", "real log", 0.5, 0.4, 0.6, 9),
                ("unshared_pairs", "walks", 0.55, 0.3, 0.7, 9),
                ("top_1_percent_share", "real log", 0.5, 0.4, 0.6, 9),
                ("top_1_percent_share", "walks", 0.2, 0.1, 0.3, 9),
                ("bias_of_log", "world:noise=0.5", 0.1, 0.05, 0.15, 3),
                ("bias_kept", "world:noise=0.5", 0.9, 0.8, 1.1, 3),
                ("bias_of_log", "world:noise=1", 0.2, 0.1, 0.3, 3),
                ("bias_of_walks", "world:noise=1", 0.02, 0.01, 0.03, 3),
                ("bias_kept", "world:noise=1", 0.1, 0.05, 0.2, 3),
                ("bias_of_log", "world:exposure=1", -0.2, -0.3, -0.1, 3),
                ("bias_of_walks", "world:exposure=1", -0.1, -0.2, -0.05, 3),
                ("bias_kept", "world:exposure=1", 0.5, 0.2, 0.8, 3),
            ]
        )
    )
    readings = {(r.bias, r.measure, r.group): r.reading for r in table.fillna("").itertuples()}
    assert readings["popularity", "Gini of all items", ""] == "grown"
    assert readings["popularity", "share of the top 1 % of items", ""] == "reduced"
    assert readings["noise", "pairs of one user alone", ""] == "unclear"
    shift = "marketplace: shift of item shares"
    assert readings["noise", shift, "world:noise=1"] == "reduced"
    assert ("noise", shift, "world:noise=0.5") not in readings
    # A bias that moves the log the other way leaves nothing to keep.
    assert readings["exposure", shift, "world:exposure=1"] == "unclear"
    exposed = table[table["group"] == "world:exposure=1"].iloc[0]
    assert np.isnan(exposed["kept"])
    assert readings["position", "", ""] == ""
    with pytest.raises(UserError, match="twice"):
        table1.build(audit_of([("gini", "real log", 0.5, 0.4, 0.6, 9)] * 2))
    with pytest.raises(UserError, match="no measure of the real log"):
        table1.build(audit_of([("x", "real log", 0.5, 0.4, 0.6, 9)]))


def test_the_privacy_table_keeps_every_value():
    rows = [("fewest_users", "training rules", 5, np.nan, np.nan, 90)]
    rows += [("kept_out_users", "real log", 120, np.nan, np.nan, 240)]
    for number, group in enumerate(("walks", "rewired walks", "real stretches")):
        value = 0.1 * (number + 1)
        rows.append(("copied_3", group, value, value - 0.01, value + 0.01, 400))
        rows.append(("membership_auc", group, 0.5 + value, 0.4 + value, 0.6 + value, 240))
    rows.append(("copied_3_difference", "walks", 0.02, -0.01, 0.05, 240))
    rows.append(("copied_3_difference_corrected", "walks", 0.02, -0.02, 0.06, 240))
    for name, value in (("rules", 900.0), ("items", 80.0), ("next_item", 0.7), ("recall", 0.2)):
        rows.append((f"anonymity_{name}", "5 users", value, np.nan, np.nan, 77))
    audit = pd.DataFrame([("privacy", *row) for row in rows], columns=list(COLUMNS))
    table = privacy_table.build(audit)
    assert len(table) == 4  # corrected intervals are for the claims
    copies = table[table["measure"] == "copied_3"].iloc[0]
    assert (copies["walks"], copies["rewired"], copies["real"]) == pytest.approx((0.1, 0.2, 0.3))
    assert table.loc[table["part"] == "membership", "real_low"].iloc[0] == pytest.approx(0.7)
    anonymity = table[table["part"] == "anonymity"].iloc[0]
    assert (anonymity["k"], anonymity["rules"], anonymity["n"]) == (5, 900, 77)
    assert (table["fewest_users"] == 5).all()
    with pytest.raises(UserError, match="lacks fewest_users"):
        privacy_table.build(audit[audit["measure"] != "fewest_users"])


def test_settings_that_are_wrong_are_named(log, tmp_path, call):
    _, paths = log
    files.write_csv(pd.DataFrame(columns=["audit"]), tmp_path / "marketplaces.csv")
    paths = paths | {"marketplaces": tmp_path / "marketplaces.csv"}
    with pytest.raises(UserError, match=r"marketplaces.csv lacks the column"):
        run(call, tmp_path, paths)
    with pytest.raises(UserError, match="settings.users"):
        run(call, tmp_path, paths, told=audited_log.AUDIT | {"users": "many"})
    told = json.dumps({"seed": 1})
    with pytest.raises(UserError, match="lacks the key"):
        call(marketplace.main, "--marketplaces", tmp_path / "m.csv", "--settings", told)
