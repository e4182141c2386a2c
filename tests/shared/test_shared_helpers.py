"""Files, contracts, settings and seeds: what every stage relies on."""

from __future__ import annotations

import dataclasses
import errno
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale import contracts, files, seeds, settings
from recscale.errors import UserError, run_command


def walks_frame() -> pd.DataFrame:
    return pd.DataFrame({"walk": [0, 1], "items": [[1, 2, 3], [4]], "path_confidence": [0.5, 1.0]})


def test_a_table_comes_back_as_it_was_written(tmp_path):
    files.write_table(walks_frame(), tmp_path / "walks.parquet", "walks")
    back = files.read_table(tmp_path / "walks.parquet", "walks")
    assert back["walk"].tolist() == [0, 1]
    assert [list(i) for i in back["items"]] == [[1, 2, 3], [4]]


def test_equal_tables_give_equal_bytes(tmp_path):
    files.write_table(walks_frame(), tmp_path / "a.parquet", "walks")
    shuffled_columns = walks_frame()[["path_confidence", "items", "walk"]]
    files.write_table(shuffled_columns, tmp_path / "b.parquet", "walks")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [("path_confidence", 1.5, "path_confidence"), ("walk", -1, "walk")],
)
def test_a_value_outside_its_limits_is_refused_by_column(tmp_path, column, value, named):
    frame = walks_frame()
    frame.loc[0, column] = value
    with pytest.raises(UserError, match=named):
        files.write_table(frame, tmp_path / "walks.parquet", "walks")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_extra_column_is_refused(tmp_path):
    with pytest.raises(UserError, match="missing \\['items'\\], not in the contract \\['itms'\\]"):
        files.write_table(walks_frame().rename(columns={"items": "itms"}), tmp_path / "w", "walks")


def test_a_truncated_parquet_file_is_named(tmp_path):
    path = tmp_path / "walks.parquet"
    files.write_table(walks_frame(), path, "walks")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="walks.parquet is truncated"):
        files.read_table(path, "walks")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing.parquet is missing"):
        files.read_table(tmp_path / "nothing.parquet", "walks")


def test_an_interrupted_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "text.txt"
    files.write_text("old", path)
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_user_error_is_one_line_and_exit_status_2(capsys):
    def main() -> None:
        raise UserError("the file x is missing", "build it")

    with pytest.raises(SystemExit) as stopped:
        run_command(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "recscale: error: the file x is missing; build it\n"


def test_a_full_disk_is_one_line(capsys):
    def main() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "results/rules.parquet")

    with pytest.raises(SystemExit) as stopped:
        run_command(main)
    assert stopped.value.code == 2
    assert (
        "no space left on the disk while writing results/rules.parquet" in capsys.readouterr().err
    )


def test_a_full_device_leaves_nothing_behind(tmp_path, monkeypatch):
    """A write that fails half-way with a real ENOSPC leaves no file, not even a temporary one."""

    def full(*_: object, **__: object) -> None:
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*array.npy'"):
        files.write_array(np.zeros(3), tmp_path / "array.npy")
    assert list(tmp_path.iterdir()) == []


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    sizes: tuple[int, ...]
    limit: int | None


GOOD = {"name": "a", "inner": {"rate": 1}, "sizes": [1, 2], "limit": None}


def test_settings_are_parsed_with_their_types():
    parsed = settings.parse(Outer, json.dumps(GOOD))
    assert parsed == Outer("a", Inner(1.0), (1, 2), None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"nmae": "b"}, "unknown key 'nmae'"),
        ({"inner": {"rate": "fast"}}, "settings.inner.rate is 'fast'"),
        ({"sizes": 3}, "settings.sizes is 3"),
        ({"limit": 1.5}, "settings.limit is 1.5"),
        ({"name": True}, "settings.name is True"),
    ],
)
def test_a_wrong_setting_is_named(change, named):
    with pytest.raises(UserError, match=named):
        settings.parse(Outer, json.dumps(GOOD | change))


def test_a_missing_setting_is_named():
    with pytest.raises(UserError, match="lacks the key 'limit'"):
        settings.parse(Outer, json.dumps({k: v for k, v in GOOD.items() if k != "limit"}))


def test_text_that_is_no_json_is_refused():
    with pytest.raises(UserError, match="not JSON"):
        settings.parse(Outer, "{")


@given(st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=50, unique=True))
def test_a_keys_number_does_not_depend_on_the_other_keys(keys):
    array = np.array(keys)
    together = seeds.uniform(7, array)
    alone = np.concatenate([seeds.uniform(7, array[i : i + 1]) for i in range(len(array))])
    assert (together == alone).all()
    assert ((together >= 0) & (together < 1)).all()


def test_numbers_of_keys_are_uniform_and_change_with_the_seed():
    keys = np.arange(100_000)
    first, second = seeds.uniform(1, keys), seeds.uniform(2, keys)
    # Mean and variance of the uniform distribution, within five standard errors.
    assert abs(first.mean() - 0.5) < 5 * (1 / 12 / len(keys)) ** 0.5
    assert abs(first.var() - 1 / 12) < 5 * (1 / 180 / len(keys)) ** 0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / len(keys) ** 0.5


def test_splitmix_agrees_with_its_published_sequence():
    """The first outputs of SplitMix64 from seed 0 (Vigna's reference implementation)."""
    golden = 0x9E3779B97F4A7C15
    states = np.array([golden * n % 2**64 for n in (1, 2, 3)], dtype=np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(x) for x in seeds.mix(states)] == expected


def test_derived_seeds_differ_by_name():
    assert len({seeds.derive(1, name) for name in ("a", "b", "a/b")} | {seeds.derive(2, "a")}) == 4


def test_every_contract_has_a_meaning_for_each_column():
    for name, contract in contracts.CONTRACTS.items():
        assert contract.row, name
        assert all(column.meaning for column in contract.columns), name
        assert len({c.name for c in contract.columns}) == len(contract.columns), name
