"""The simulated marketplace: MerRec's schema and oddities, the truth, and what each dial does."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from recscale import files
from recscale.curriculum.sweep import gini
from recscale.data import world
from recscale.data.merrec_schema import EVENT_TYPES, SCHEMA
from recscale.data.world_catalogue import catalogue, population, true_preference
from recscale.data.world_events import Dials, events_of_users, simulate
from recscale.errors import UserError

SMALL = world.Settings(
    seed=5,
    users=600,
    items=1500,
    events=12_000,
    months=2,
    shards=2,
    position_bias=0.5,
    popularity_bias=0.5,
    exposure_bias=0.2,
    noise=0.1,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return folder, world.build(SMALL, folder)


def rows_of(folder):
    paths = sorted(folder.glob("2023*/*.parquet"))
    return {path: pq.read_table(path).to_pandas() for path in paths}


def test_shards_have_merrecs_schema_and_a_users_month_lies_in_one(built):
    folder, counted = built
    shards = rows_of(folder)
    assert {p.parent.name for p in shards} == {"20230501", "20230601"}
    seen = {}
    for path, rows in shards.items():
        assert pq.read_schema(path).equals(SCHEMA)
        assert len(rows) == counted[str(path.relative_to(folder))]
        for user in rows["user_id"].unique():
            assert seen.setdefault((user, path.parent.name), path) == path
        assert (rows["stime"].dt.strftime("%Y%m") == path.parent.name[:6]).all()
        assert set(rows["event_id"]) <= set(EVENT_TYPES)
        months = rows.groupby(["user_id", "sequence_id"])["sequence_length"]
        assert (months.first() == months.size()).all()


def test_the_log_has_merrecs_oddities(built):
    rows = np.concatenate([r.to_numpy() for r in rows_of(built[0]).values()])
    frame = {name: rows[:, n] for n, name in enumerate(SCHEMA.names)}
    items, first = np.unique(frame["item_id"].astype(int), return_index=True)
    for column, share in (("brand_name", 0.192), ("size_name", 0.627), ("color", 0.956)):
        missing = pd.isna(frame[column][first]).mean()
        assert abs(missing - share) < 5 * (share * (1 - share) / len(items)) ** 0.5
    assert any("[redacted]" in name for name in frame["name"])
    titles = {(i, n) for i, n in zip(frame["item_id"], frame["name"], strict=True)}
    assert len(titles) > len(items)  # a listing with several titles
    as_text = [str(row) for row in rows.tolist()]
    assert len(set(as_text)) < len(as_text)
    days, counts = np.unique(np.array(frame["stime"], dtype="datetime64[D]"), return_counts=True)
    assert counts[days == days.max()] < np.median(counts) / 4
    sessions = {(u, s) for u, s in zip(frame["user_id"], frame["session_id"], strict=True)}
    assert len(sessions) > len(set(frame["session_id"]))  # numbers repeat between users


def test_the_same_settings_give_the_same_events_whatever_the_shards(built, tmp_path):
    world.build(dataclasses.replace(SMALL, shards=5), tmp_path)

    def in_order(folder):
        frames = [f for f in rows_of(folder).values() if len(f)]
        keys = ["user_id", "stime", "item_id", "event_id", "session_id", "name"]
        rows = {tuple(map(str, row)) for frame in frames for row in frame[keys].to_numpy()}
        return sorted(rows), sum(map(len, frames))

    assert in_order(tmp_path) == in_order(built[0])
    for name in ("users", "items", "slates"):
        one, other = (f / f"truth/{name}.parquet" for f in (built[0], tmp_path))
        assert one.read_bytes() == other.read_bytes()


def test_events_do_not_depend_on_the_block_a_user_is_in():
    items = catalogue(1, 800, 30 * 86_400.0)
    users = population(1, 50, items)
    counts = events_of_users(1, 50, 1000)
    dials = Dials(0.5, 0.5, 0.5, 0.5)
    whole = simulate(1, counts, 0, users, items, dials, 30 * 86_400.0)
    part = simulate(1, counts[20:], 20, users, items, dials, 30 * 86_400.0)
    for field in dataclasses.fields(whole):
        one, other = getattr(whole, field.name), getattr(part, field.name)
        assert (one[counts[:20].sum() :] == other).all()


def play(**dials):
    """Events, and what the dials should move: preference, position and Gini of what was chosen."""
    values = {"position_bias": 0.0, "popularity_bias": 0.0, "exposure_bias": 0.0, "noise": 0.0}
    items = catalogue(2, 3000, 30 * 86_400.0)
    users = population(2, 400, items)
    counts = np.full(400, 40)
    made = simulate(2, counts, 0, users, items, Dials(**values | dials), 30 * 86_400.0)
    user = users.vector[made.user]
    chosen = true_preference(user, items.vector[made.item], items.appeal[made.item])
    shown = true_preference(user[:, None], items.vector[made.slate], items.appeal[made.slate])
    gain = float((chosen - shown.mean(axis=1)).mean())
    visits = np.bincount(made.item)
    shown_distinct = len({tuple(pair) for pair in np.stack([made.user, made.item], 1).tolist()})
    return gain, float(made.position.mean()), gini(visits[visits > 0]), shown_distinct


def test_each_dial_does_what_it_says():
    gain, position, unequal, distinct = play()
    assert gain > 0.5  # clicks follow true preference
    assert abs(position - 4.5) < 0.1  # all positions alike
    assert play(position_bias=1.0)[1] < 2
    assert play(popularity_bias=1.0)[2] > unequal + 0.03
    assert play(exposure_bias=1.0)[3] < distinct / 1.5
    assert abs(play(noise=1.0)[0]) < 0.05


def test_items_of_a_session_belong_together(built):
    columns = ["user_id", "session_id", "c2_id"]
    frames = rows_of(built[0]).values()
    rows = np.concatenate([frame[columns].astype(str).to_numpy() for frame in frames])
    session = rows[:, 0] + "/" + rows[:, 1]
    order = np.argsort(session, kind="stable")
    same_session = session[order][1:] == session[order][:-1]
    same_leaf = rows[order, 2][1:] == rows[order, 2][:-1]
    assert same_leaf[same_session].mean() > 2 * same_leaf[~same_session].mean()


def test_activity_is_heavy_tailed_and_sums_to_what_was_asked():
    counts = events_of_users(1, 20_000, 20_000 * 63)
    assert abs(counts.sum() / (20_000 * 63) - 1) < 0.01
    assert 8 < np.median(counts) < 25
    assert counts.min() == 1


def test_the_command_writes_its_manifest_last(tmp_path, call):
    told = json.dumps(dataclasses.asdict(SMALL))
    (tmp_path / "w/20230901").mkdir(parents=True)
    (tmp_path / "w/20230901/old.parquet").write_text("of another world")
    call(world.main, "--folder", tmp_path / "w", "--settings", told)
    manifest = files.read_json(tmp_path / "w/manifest.json")
    shards = {str(p.relative_to(tmp_path / "w")) for p in (tmp_path / "w").glob("2023*/*")}
    assert shards == set(manifest)
    for name, described in manifest.items():
        assert files.sha256(tmp_path / "w" / name) == described["sha256"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": 1.5}, "data.world.noise is 1.5; use a number from 0 to 1"),
        ({"items": 10}, "data.world.items is 10; use 100 or more"),
        ({"events": 5}, "data.world.events is 5; use 600 or more"),
        ({"months": 9}, "data.world.months is 9; MerRec has 6"),
    ],
)
def test_a_world_that_cannot_be_is_named(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        world.build(dataclasses.replace(SMALL, **change), tmp_path)
