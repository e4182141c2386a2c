"""MerRec's shards: oddities, broken shards, filters, ranges of users, and a simulated world."""

from __future__ import annotations

import dataclasses
import itertools

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recscale import files
from recscale.data import merrec, ordered_events, prepare, world
from recscale.data.merrec_schema import SCHEMA
from recscale.errors import UserError

WORLD = world.Settings(
    seed=5,
    users=300,
    items=600,
    events=9000,
    months=1,
    shards=3,
    position_bias=0.0,
    popularity_bias=0.5,
    exposure_bias=0.0,
    noise=0.0,
)
SETTINGS = prepare.Settings(
    seed=3,
    source="world",
    folder=None,
    users=None,
    event_types=None,
    min_item_events=1,
    min_user_events=1,
    bad_shards="stop",
    memory_limit="1GB",
    train_until="2023-05-20",
    valid_until="2023-05-25",
    held_out_items=0.1,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    world.build(WORLD, folder)
    return folder


@pytest.fixture
def folder(shards, tmp_path):
    """A copy of the shards that a test may break."""
    for shard in shards.glob("2023*/*.parquet"):
        (tmp_path / "log").mkdir(exist_ok=True)
        (tmp_path / "log" / shard.name).write_bytes(shard.read_bytes())
    return tmp_path / "log"


def run(folder, out, **changes):
    settings = dataclasses.replace(SETTINGS, folder=str(folder), **changes)
    names = [out / n for n in ("items.parquet", "events.parquet", "real.parquet", "card.json")]
    prepare.prepare(settings, *names)
    return names, files.read_json(names[3])


def used_and_dropped(card) -> int:
    return card["rows_used"] + sum(n for name, n in card.items() if name.startswith("dropped_"))


def test_a_world_is_read_and_its_oddities_are_counted(shards, tmp_path):
    names, card = run(shards, tmp_path)
    log = [pq.read_table(path) for path in sorted(shards.glob("2023*/*.parquet"))]
    whole = pa.concat_tables(log).to_pandas()
    assert card["rows_read"] == len(whole) == used_and_dropped(card)
    distinct = whole.drop_duplicates(["user_id", "session_id", "stime", "item_id", "event_id"])
    assert card["rows_used"] == len(distinct)
    assert card["dropped_duplicate_rows"] == len(whole) - len(distinct) > 0
    for column in ("brand", "size", "color"):
        name = column if column == "color" else f"{column}_name"
        assert card[f"rows_without_{column}"] == whole[name].isna().sum()
    titles = whole.groupby("item_id")["name"].nunique()
    assert card["listings_with_several_titles"] == (titles > 1).sum()
    late = sum(
        ((f["user_id"] == f["user_id"].shift()) & (f["stime"] < f["stime"].shift())).sum()
        for f in (table.to_pandas() for table in log)
    )
    assert card["rows_out_of_order"] == late > 0
    assert card["rows_on_last_day"] < card["rows_on_median_day"] / 2
    events = files.read_table(names[1], "events")
    order = events[["user_id", "time"]]
    assert order.equals(order.sort_values(["user_id", "time"], kind="stable"))
    assert events["session_id"].nunique() == len(whole.groupby(["user_id", "session_id"]))
    for least in ("1", "3", "10"):
        counted = (whole["user_id"].value_counts() >= int(least)).sum()
        assert card["users_with_at_least_events"][least] == counted


@pytest.mark.parametrize("at_once", [1, 700, 10**9])
def test_the_ranges_of_users_change_no_byte(shards, tmp_path, monkeypatch, at_once):
    run(shards, tmp_path / "one")
    defaults = list(ordered_events.OrderedEvents.__init__.__defaults__)
    monkeypatch.setattr(ordered_events.OrderedEvents.__init__, "__defaults__", (at_once,))
    run(shards, tmp_path / "ranges")
    assert defaults == [ordered_events.EVENTS_AT_ONCE]
    for name in ("events", "real"):
        contract = {"events": "events", "real": "histories"}[name]
        one, other = (
            files.read_arrow(tmp_path / f / f"{name}.parquet", contract).combine_chunks()
            for f in ("one", "ranges")
        )
        assert one.equals(other)


def test_filters_drop_by_name_and_add_up(shards, tmp_path):
    _, everything = run(shards, tmp_path / "all")
    names, card = run(
        shards,
        tmp_path / "some",
        event_types=("item_view", "item_like"),
        min_item_events=3,
        min_user_events=5,
    )
    assert card["rows_read"] == everything["rows_read"] == used_and_dropped(card)
    for reason in ("event_type", "item_with_few_events", "user_with_few_events"):
        assert card[f"dropped_{reason}"] > 0
    events = files.read_table(names[1], "events")
    assert set(events["event_type"]) == {"item_view", "item_like"}
    with pytest.raises(UserError, match="no user has events before .* are used of"):
        run(shards, tmp_path / "none", event_types=("nothing",))
    assert not (tmp_path / "none/events.parquet").exists()


def corrupt_page(path):
    """Damage the first data page, and leave the footer whole."""
    content = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))


def drop_column(path):
    pq.write_table(pq.read_table(path).drop_columns(["name"]), path)


def text_time(path):
    table = pq.read_table(path)
    place = table.schema.get_field_index("stime")
    pq.write_table(table.set_column(place, "stime", table["stime"].cast(pa.string())), path)


def fractional_ids(path):
    table = pq.read_table(path)
    ids = pa.array(table["item_id"].to_numpy() + 0.5)
    pq.write_table(table.set_column(table.schema.get_field_index("item_id"), "item_id", ids), path)


FAULTS = [
    (lambda path: path.write_bytes(path.read_bytes()[:-50]), "is truncated or not Parquet"),
    (lambda path: path.write_bytes(b"no parquet at all"), "is truncated or not Parquet"),
    (corrupt_page, "cannot be read"),
    (drop_column, r"lacks the column\(s\) name"),
    (text_time, "the column stime is of type string, not timestamp"),
    (fractional_ids, r"row\(s\) with an id that is no whole number"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_a_broken_shard_stops_the_run_or_is_quarantined(folder, tmp_path, fault, message):
    broken = folder / "000000000001.parquet"
    rows = {path.name: pq.read_metadata(path).num_rows for path in folder.iterdir()}
    fault(broken)
    with pytest.raises(UserError, match=f"000000000001.parquet.* {message}"):
        run(folder, tmp_path / "stop")
    _, card = run(folder, tmp_path / "go on", bad_shards="quarantine")
    assert card["shards_read"] == 2
    assert card["shards_quarantined"] == 1
    assert card["rows_quarantined"] in (0, rows[broken.name])
    assert card["rows_read"] == sum(rows.values()) - rows[broken.name] == used_and_dropped(card)


def test_all_shards_broken_and_a_wrong_setting_stop(folder, tmp_path):
    with pytest.raises(UserError, match="data.bad_shards is 'skip'; use stop or quarantine"):
        run(folder, tmp_path / "out", bad_shards="skip")
    for shard in folder.iterdir():
        shard.write_bytes(b"")
    with pytest.raises(UserError, match="none of the 3 shards under .* can be read"):
        run(folder, tmp_path / "out", bad_shards="quarantine")


def test_ids_that_are_floats_with_nan_are_read(folder, tmp_path):
    _, before = run(folder, tmp_path / "whole")
    path = folder / "000000000000.parquet"
    table = pq.read_table(path)
    ids = table["user_id"].to_numpy().astype(float)
    ids[:3] = np.nan
    place = table.schema.get_field_index("user_id")
    pq.write_table(table.set_column(place, "user_id", pa.array(ids)), path)
    _, card = run(folder, tmp_path / "floats")
    assert card["dropped_without_user_item_or_time"] == 3
    assert card["rows_used"] in range(before["rows_used"] - 3, before["rows_used"] + 1)


def test_only_the_columns_that_are_needed_are_read():
    assert set(merrec.COLUMNS) < set(SCHEMA.names)
    assert "price" not in merrec.COLUMNS


def test_half_a_shard_never_stays(folder):
    """A shard that breaks in the middle leaves none of its rows."""
    corrupt_page(folder / "000000000002.parquet")
    with duckdb.connect() as connection:
        counts = merrec.load(connection, folder, "quarantine")
        (kept,) = connection.execute("SELECT count(*) FROM raw_events").fetchall()
    assert kept[0] == counts["rows_read"] - counts["dropped_without_user_item_or_time"]


def test_one_event_users_and_unordered_events_are_kept(tmp_path):
    """Anybody's log: rows in any order; a user with one event is used, but has no history."""
    days = [3, 0, 24, 21, 2]
    rows = pa.table(
        {
            "user_id": [1, 1, 1, 1, 2],
            "session_id": [13, 10, 34, 31, 22],
            "time": pa.array(
                [np.datetime64("2023-05-01", "us") + np.timedelta64(d, "D") for d in days]
            ),
            "item_id": [1, 2, 3, 4, 5],
        }
    )
    pq.write_table(rows, tmp_path / "events.parquet")
    items = pa.table({"item_id": range(1, 6), "title": [f"thing {n}" for n in range(5)]})
    pq.write_table(items, tmp_path / "items.parquet")
    times = {"train_until": "2023-05-20", "valid_until": "2023-05-24"}
    names, card = run(tmp_path, tmp_path / "out", source="parquet", **times)
    assert card["users"] == 2 and card["rows_used"] == 5 == used_and_dropped(card)
    events = files.read_table(names[1], "events")
    assert all(a <= b for a, b in itertools.pairwise(events.loc[events["user_id"] == 1, "time"]))
    assert files.read_table(names[2], "histories")["user_id"].tolist() == [1]
