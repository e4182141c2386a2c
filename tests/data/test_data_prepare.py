"""The log, its splits and its real histories."""

from __future__ import annotations

import dataclasses
import datetime
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recscale import files
from recscale.data import complete_journey, prepare
from recscale.errors import UserError

SETTINGS = prepare.Settings(
    seed=3,
    source="complete_journey",
    folder=None,
    users=60,
    event_types=None,
    min_item_events=1,
    min_user_events=1,
    bad_shards="stop",
    memory_limit="2GB",
    train_until="2017-11-01",
    valid_until="2017-12-01",
    held_out_items=0.2,
)


def run(folder, settings):
    names = [folder / n for n in ("items.parquet", "events.parquet", "real.parquet", "card.json")]
    prepare.prepare(settings, *names)
    return (
        files.read_table(names[0], "items"),
        files.read_table(names[1], "events"),
        files.read_table(names[2], "histories"),
        files.read_json(names[3]),
    )


@pytest.fixture(scope="module")
def purchases(tmp_path_factory):
    return run(tmp_path_factory.mktemp("purchases"), SETTINGS)


def test_no_row_is_lost_without_a_name(purchases):
    *_, card = purchases
    dropped = sum(count for name, count in card.items() if name.startswith("dropped_"))
    assert card["rows_read"] == 1_469_307
    assert card["rows_read"] == card["rows_used"] + dropped
    assert card["rows_used"] == card["events"]
    assert card["users"] == 60


def test_events_are_ordered_and_an_item_is_once_in_a_basket(purchases):
    _, events, *_ = purchases
    order = events[["user_id", "time"]]
    assert order.equals(order.sort_values(["user_id", "time"], kind="stable"))
    assert not events.duplicated(["session_id", "item_id"]).any()


def test_products_with_one_description_are_one_item(purchases):
    items, *_ = purchases
    described = items.drop(columns=["item_id", "split"])
    assert not described.duplicated().any()


def test_the_order_inside_a_basket_is_not_the_order_of_item_numbers(purchases):
    """The log lists a basket by product number; that order must not reach the histories."""
    _, events, *_ = purchases
    baskets = [b["item_id"].to_numpy() for _, b in events.groupby("session_id") if len(b) > 4]
    ascending = np.mean([np.mean(np.diff(b) > 0) for b in baskets])
    assert abs(ascending - 0.5) < 0.02


def test_histories_respect_the_periods(purchases):
    _items, events, histories, _ = purchases
    train = pd.Timestamp(SETTINGS.train_until)
    valid = pd.Timestamp(SETTINGS.valid_until)
    for user, bought, sessions, valid_item, test_item in histories.itertuples(index=False):
        own = events[events["user_id"] == user]
        assert list(bought) == own.loc[own["time"] < train, "item_id"].tolist()
        assert list(sessions) == own.loc[own["time"] < train, "session_id"].tolist()
        middle = own[(own["time"] >= train) & (own["time"] < valid)]
        assert valid_item == middle["item_id"].iloc[0]
        assert test_item == own.loc[own["time"] >= valid, "item_id"].iloc[0]


def test_training_items_were_seen_in_the_training_period(purchases):
    items, events, *_ = purchases
    early = set(events.loc[events["time"] < pd.Timestamp(SETTINGS.train_until), "item_id"])
    train = items[items["split"] == "train"]
    assert set(train["item_id"]) <= early
    seen = items["item_id"].isin(early)
    share = (items.loc[seen, "split"] == "held_out").mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / seen.sum()) ** 0.5


def test_the_same_seed_gives_the_same_bytes(tmp_path, purchases):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        run(folder, SETTINGS)
    for name in ("items.parquet", "events.parquet", "real.parquet", "card.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_truncated_log_is_named(tmp_path):
    source = complete_journey.folder_of_package()
    (tmp_path / "products.parquet").write_bytes((source / "products.parquet").read_bytes())
    content = (source / "transactions.parquet").read_bytes()
    (tmp_path / "transactions.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="transactions.parquet is truncated"):
        run(tmp_path / "out", dataclasses.replace(SETTINGS, folder=str(tmp_path)))
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


def test_another_release_of_the_log_is_refused(tmp_path):
    source = complete_journey.folder_of_package()
    table = pq.read_table(source / "products.parquet").slice(0, 10)
    pq.write_table(table, tmp_path / "products.parquet")
    (tmp_path / "transactions.parquet").symlink_to(source / "transactions.parquet")
    with pytest.raises(UserError, match=r"products.parquet is not the file of .* 0.1.0"):
        run(tmp_path / "out", dataclasses.replace(SETTINGS, folder=str(tmp_path)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": "movielens"}, "data.source is 'movielens'"),
        ({"train_until": "2018-11-01"}, "data.train_until is not before"),
        ({"train_until": "2016-01-01", "valid_until": "2016-02-01"}, "no user has events before"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, change, named):
    with pytest.raises(UserError, match=named):
        run(tmp_path, dataclasses.replace(SETTINGS, **change))


def merrec_shard(path, rows):
    """A shard in MerRec's schema, the columns in its order."""
    schema = pa.schema(
        [
            ("user_id", pa.int64()),
            ("sequence_id", pa.string()),
            ("session_id", pa.string()),
            ("stime", pa.timestamp("us")),
            ("sequence_length", pa.int64()),
            ("event_id", pa.string()),
            ("item_id", pa.int64()),
            ("product_id", pa.string()),
            ("name", pa.string()),
            ("price", pa.float64()),
            ("c0_id", pa.float64()),
            ("c0_name", pa.string()),
            ("c1_name", pa.string()),
            ("c2_name", pa.string()),
            ("brand_name", pa.string()),
            ("size_name", pa.string()),
            ("color", pa.string()),
        ]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def merrec_row(user, day, item, **more):
    return {
        "user_id": user,
        "session_id": f"{day}",
        "stime": datetime.datetime(2023, 5, 1) + datetime.timedelta(days=day),
        "event_id": "item_view",
        "item_id": item,
        "name": f"[redacted] bracelet {item}",
        "c0_name": "Women",
        "c1_name": "Jewelry",
        **more,
    }


MERREC = dataclasses.replace(
    SETTINGS,
    source="merrec",
    users=None,
    train_until="2023-05-06",
    valid_until="2023-05-08",
    held_out_items=0.0,
)


def test_merrec_shards_are_read_and_counted(tmp_path):
    rows = [merrec_row(user, day, 10 * user + day) for user in (1, 2) for day in range(9)]
    rows += [rows[0], merrec_row(None, 1, 5), merrec_row(1, 1, 77, name=None)]
    merrec_shard(tmp_path / "20230501" / "000000000000.parquet", rows[:10])
    merrec_shard(tmp_path / "20230501" / "000000000001.parquet", rows[10:])
    settings = dataclasses.replace(MERREC, folder=str(tmp_path))
    items, events, histories, card = run(tmp_path / "out", settings)
    assert card["rows_read"] == 21
    assert card["dropped_without_user_item_or_time"] == 1
    assert card["dropped_item_without_text"] == 1
    assert card["dropped_duplicate_rows"] == 1
    assert card["rows_used"] == len(events) == 18
    # Both users number their sessions by day; a session still belongs to one user.
    assert (events.groupby("session_id")["user_id"].nunique() == 1).all()
    assert histories["items"].map(list).tolist() == [[10 * u + d for d in range(5)] for u in (1, 2)]
    assert histories["valid_item"].tolist() == [15, 25]
    assert histories["test_item"].tolist() == [17, 27]
    assert items["brand"].isna().all()


def test_a_listing_with_several_titles_keeps_its_first(tmp_path):
    """Each column comes from the first row, also where that row lacks it."""
    days = [(7, "new"), (0, "old"), (6, "mid")]
    rows = [merrec_row(1, day, 5, name=name, color=name) for day, name in days]
    rows[1]["color"] = None
    merrec_shard(tmp_path / "20230501" / "000000000000.parquet", rows)
    items, *_ = run(tmp_path / "out", dataclasses.replace(MERREC, folder=str(tmp_path)))
    assert items["title"].tolist() == ["old"]
    assert items["color"].isna().all()


@pytest.mark.parametrize(
    ("prepared", "named"),
    [("nothing", "holds no Parquet shard"), ("column", r"0.parquet lacks the column\(s\) name")],
)
def test_a_broken_merrec_folder_is_named(tmp_path, prepared, named):
    if prepared == "column":
        table = pa.table({"user_id": [1], "item_id": [1]})
        pq.write_table(table, tmp_path / "0.parquet")
        named = r"0.parquet lacks the column\(s\) .*name"
    with pytest.raises(UserError, match=named):
        run(tmp_path / "out", dataclasses.replace(MERREC, folder=str(tmp_path)))


def test_the_command_takes_json(tmp_path, monkeypatch):
    arguments = ["prepare"]
    for name in ("items", "events", "histories", "card"):
        arguments += [f"--{name}", str(tmp_path / name)]
    settings = json.dumps(dataclasses.asdict(SETTINGS) | {"users": 20})
    monkeypatch.setattr("sys.argv", [*arguments, "--settings", settings])
    prepare.main()
    assert files.read_json(tmp_path / "card")["users"] == 20


OWN = dataclasses.replace(MERREC, source="parquet")


def write_own(folder, items=None, events=None):
    """A log of two users with an event a day."""
    items = items or {"item_id": list(range(9)), "title": [f"thing {n}" for n in range(9)]}
    days = pd.Timestamp(2023, 5, 1) + pd.to_timedelta(np.tile(np.arange(9), 2), unit="D")
    log = {
        "user_id": np.repeat([1, 2], 9),
        "session_id": np.arange(18),
        "time": days,
        "item_id": np.tile(np.arange(9), 2),
    }
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    pd.DataFrame(log | (events or {})).to_parquet(folder / "events.parquet")


def test_anybodys_log_is_read(tmp_path):
    write_own(tmp_path)
    settings = dataclasses.replace(OWN, folder=str(tmp_path))
    items, events, histories, card = run(tmp_path / "out", settings)
    assert card["rows_read"] == card["rows_used"] == len(events) == 18
    assert histories["items"].map(list).tolist() == [[0, 1, 2, 3, 4]] * 2
    assert items["title"].tolist() == [f"thing {n}" for n in range(9)]
    assert set(events["event_type"]) == {"event"}


def test_rows_of_anybodys_log_are_dropped_by_name(tmp_path):
    item_ids = np.tile(np.arange(9), 2)
    item_ids[0] = 99
    write_own(tmp_path, events={"item_id": item_ids})
    *_, card = run(tmp_path / "out", dataclasses.replace(OWN, folder=str(tmp_path)))
    assert card["dropped_item_not_listed"] == 1
    assert card["rows_used"] == 17


@pytest.mark.parametrize(
    ("items", "events", "named"),
    [
        ({"item_id": [1]}, None, r"items.parquet lacks the column\(s\) title"),
        ({"item_id": [1, 1], "title": ["a", "b"]}, None, r"lists 1 item\(s\) twice, first .* 1"),
        (None, {"session_id": np.repeat(3, 18)}, r"1 session\(s\) of several users, first .* 3"),
        (None, {"user_id": ["ann"] * 18}, "is not of its column's type"),
        (None, {"user_id": [1.5] * 18}, r"18 row\(s\) with an id that is no whole number"),
    ],
)
def test_a_fault_of_anybodys_log_is_named(tmp_path, items, events, named):
    write_own(tmp_path, items, events)
    with pytest.raises(UserError, match=named):
        run(tmp_path / "out", dataclasses.replace(OWN, folder=str(tmp_path)))
