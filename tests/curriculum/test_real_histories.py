"""Stretches of real histories: what is cut, from when, where they begin, and what is refused."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from recscale import files
from recscale.curriculum import real_histories, windows
from recscale.curriculum.real_histories import Period
from recscale.errors import UserError
from small_tokenizer import items_frame

UNTIL = date(2023, 6, 1)
ITEMS = items_frame(40)  # every fourth is held out
TRAINING = ITEMS.loc[ITEMS["split"] == "train", "item_id"].tolist()
PARTS = ("train", "held_out")
SETTINGS = {"seed": 3, "train_until": str(UNTIL), "sequences": 40}


def write_events(users: list[list[tuple[int, int]]], path: Path, rows: int = 1_000_000) -> None:
    """Each user's events as (hours from UNTIL, item), in order, in row groups of so many rows."""
    frame = pd.DataFrame(
        [
            (7 * number, pd.Timestamp(UNTIL) + pd.Timedelta(hours=hours), item)
            for number, events in enumerate(users)
            for hours, item in events
        ],
        columns=["user_id", "time", "item_id"],
    )
    frame = frame.assign(session_id=1, event_type="purchase", time=frame["time"].astype("M8[us]"))
    files.write_table(frame, path, "events")
    pq.write_table(pq.read_table(path), path, row_group_size=rows)


def random_log(seed: int = 0, users: int = 30) -> list[list[tuple[int, int]]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, users)
    return [
        sorted(zip(rng.integers(-99, 99, n).tolist(), rng.integers(0, 40, n).tolist(), strict=True))
        for n in sizes
    ]


def write_walks(lengths: list[int], path: Path) -> None:
    frame = pd.DataFrame({"walk": range(len(lengths)), "path_confidence": 0.5})
    items = [np.zeros(length, dtype=np.int64) for length in lengths]
    frame["items"] = pd.Series(items, dtype=object)
    files.write_table(frame, path, "walks")


def stretches(path: Path, part: str, lengths: list[int], at_once: int) -> list[dict]:
    period = Period(path, pa.array(TRAINING), UNTIL, part)
    found = real_histories.sample(period, np.array(lengths), 5, at_once)
    return [row for batch in found for row in batch.to_pylist()]


def sequence_of(events: list[tuple[int, int]], part: str) -> list[int]:
    """A user's training items of the period, in order."""
    return [i for hours, i in events if (hours < 0) == (part == "train") and i % 4]


logs = st.lists(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 39)), max_size=15).map(
        lambda events: sorted(events, key=lambda event: event[0])
    ),
    min_size=1,
    max_size=6,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(logs, st.lists(st.integers(1, 9), min_size=1, max_size=12), st.sampled_from(PARTS))
def test_a_stretch_is_a_users_successive_training_items_of_the_period(
    tmp_path_factory, users, lengths, part
):
    path = tmp_path_factory.mktemp("log") / "events.parquet"
    write_events(users, path, rows=3)
    real = {7 * number: sequence_of(events, part) for number, events in enumerate(users)}
    longest = max(map(len, real.values()))
    if longest < min(lengths):
        with pytest.raises(UserError, match="events.parquet"):
            stretches(path, part, lengths, 100)
        return
    found = stretches(path, part, lengths, 100)
    # Only what no user can fill is left out.
    assert sorted(row["sequence"] for row in found) == [
        number for number, length in enumerate(lengths) if length <= longest
    ]
    for row in found:
        length, own = lengths[row["sequence"]], real[row["user_id"]]
        assert len(row["items"]) == length
        assert row["items"] in [own[n : n + length] for n in range(len(own) - length + 1)]
    for at_once in (1, 4):
        assert stretches(path, part, lengths, at_once) == found


def test_every_place_that_a_users_events_allow_is_alike(tmp_path):
    """Items tell the places apart: users of 2, 6 and 1 events have 1, 5 and no places of two."""
    items = iter(TRAINING)
    path = tmp_path / "events.parquet"
    write_events([[(-9, next(items)) for _ in range(n)] for n in (2, 6, 1)], path)
    found = stretches(path, "train", [2] * 6000, 1000)
    counts = pd.Series([row["items"][0] for row in found]).value_counts()
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.001
    assert {row["user_id"] for row in found} == {0, 7}


@pytest.fixture
def cut(tmp_path, call):
    """Run the command on events.parquet and the shards of walks; gives the path of its file."""
    files.write_table(ITEMS, tmp_path / "items.parquet", "items")
    write_walks([5, 6, 7], tmp_path / "0.parquet")
    write_walks([8], tmp_path / "1.parquet")

    def run(part: str = "train", **changes) -> Path:
        out = tmp_path / f"{part}.parquet"
        arguments = ["--events", tmp_path / "events.parquet", "--items", tmp_path / "items.parquet"]
        arguments += ["--walks", tmp_path / "0.parquet", tmp_path / "1.parquet", "--part", part]
        told = json.dumps(SETTINGS | changes)
        call(real_histories.main, *arguments, "--sequences", out, "--settings", told)
        return out

    return run


def test_the_walks_lengths_are_taken_in_turn_and_the_two_parts_share_no_event(tmp_path, cut):
    users = random_log()
    write_events(users, tmp_path / "events.parquet")
    for part in PARTS:
        found = files.read_table(cut(part), "real_sequences").sort_values("sequence")
        assert found["sequence"].tolist() == list(range(40))
        assert found["items"].map(len).tolist() == [5, 6, 7, 8] * 10
        for row in found.itertuples():
            own = sequence_of(users[row.user_id // 7], part)
            width = len(row.items)
            assert row.items.tolist() in [own[n : n + width] for n in range(len(own))]


def test_threads_and_row_groups_change_no_byte_and_the_seed_does(tmp_path, cut):
    write_events(random_log(), tmp_path / "events.parquet")
    threads = pa.cpu_count()
    try:
        pa.set_cpu_count(1)
        one = cut().read_bytes()
        pa.set_cpu_count(4)
        write_events(random_log(), tmp_path / "events.parquet", rows=11)
        assert cut().read_bytes() == one
    finally:
        pa.set_cpu_count(threads)
    assert cut(seed=4).read_bytes() != one
    # A stretch is its own: more of them change none of the first.
    few = files.read_table(cut(), "real_sequences").set_index("sequence")
    many = files.read_table(cut(sequences=90), "real_sequences").set_index("sequence")
    assert many.loc[few.index, "items"].map(tuple).equals(few["items"].map(tuple))


@pytest.mark.parametrize(
    ("users", "changes", "named"),
    [
        ([[(5, 1)]], {}, r"events.parquet holds no event of a training item before 2023-06-01"),
        ([[(-5, 4)]], {}, r"events.parquet holds no event of a training item before 2023-06-01"),
        ([[(-5, 1)] * 4], {}, r"no user of .*events.parquet has the 5 events .* the most is 4"),
        ([[(-5, 1)] * 9], {"walks": 3}, r"settings.*walks"),
    ],
)
def test_a_log_or_settings_that_give_nothing_are_named(tmp_path, cut, users, changes, named):
    write_events(users, tmp_path / "events.parquet")
    with pytest.raises(UserError, match=named):
        cut(**changes)
    assert not (tmp_path / "train.parquet").exists()


def test_broken_and_unordered_files_are_named(tmp_path, cut):
    path = tmp_path / "events.parquet"
    write_events(random_log(), path)
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(np.arange(table.num_rows)[::-1])), path)
    with pytest.raises(UserError, match=r"events.parquet is not ordered by user"):
        cut()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"events.parquet is truncated"):
        cut()
    write_events(random_log(), path)
    write_walks([], tmp_path / "0.parquet")
    write_walks([], tmp_path / "1.parquet")
    with pytest.raises(UserError, match=r"0.parquet holds no walks"):
        cut()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any), st.integers(1, 40))
@hypothesis_settings(max_examples=30, deadline=None)
def test_histories_come_so_many_at_once_whatever_the_shards(tmp_path_factory, shards, at_once):
    folder = tmp_path_factory.mktemp("shards")
    paths, done = [], 0
    for number, rows in enumerate(shards):
        frame = pd.DataFrame({"sequence": np.arange(done, done + rows), "user_id": 1})
        items = [[n, n + 1] for n in range(done, done + rows)]
        frame["items"] = pd.Series(items, dtype=object)
        paths.append(folder / f"{number}.parquet")
        files.write_table(frame, paths[-1], "real_sequences")
        done += rows
    blocks = list(windows.histories(paths, ["sequence", "items"], at_once))
    assert [block.num_rows for block in blocks[:-1]] == [at_once] * (len(blocks) - 1)
    assert 1 <= blocks[-1].num_rows <= at_once
    assert blocks[0].column_names == ["walk", "items"]
    rows = [row for block in blocks for row in block.to_pylist()]
    assert rows == [{"walk": n, "items": [n, n + 1]} for n in range(done)]
