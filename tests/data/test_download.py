"""Downloads from a hub that cuts connections, truncates, corrupts and lies about sizes."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from hub_server import COMMIT, Hub
from recscale import files
from recscale.data import download
from recscale.errors import UserError

SETTINGS = download.Settings(
    repository="some/data", revision="main", folders=("20230501", "20230601"), files_per_folder=None
)
CONTENT = {
    f"{month}/{n:012d}.parquet": bytes([n + 1]) * (200_000 + n) + month.encode()
    for month in ("20230501", "20230601", "20230701")
    for n in range(2)
}
FIRST = "20230501/000000000000.parquet"


@pytest.fixture
def hub(monkeypatch):
    server = Hub(dict(CONTENT))
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # of 10 MB
    monkeypatch.setattr("time.sleep", lambda _: None)
    yield server
    server.shutdown()
    server.server_close()


def run(folder, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    found = download.download(settings, folder, folder / "manifest.json")
    files.write_json(found, folder / "manifest.json")
    return found


def whole(folder, months=("20230501", "20230601")) -> bool:
    wanted = {p: c for p, c in CONTENT.items() if p.split("/")[0] in months}
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.glob("2*/*.parquet")}
    return found == wanted


def test_folders_are_fetched_once_and_the_manifest_says_what(hub, tmp_path):
    found = run(tmp_path)
    assert whole(tmp_path)
    assert found["commit"] == COMMIT
    assert set(found["files"]) == {p for p in CONTENT if not p.startswith("202307")}
    run(tmp_path)
    assert all(hub.asked[path] == 1 for path in found["files"])
    assert hub.asked["revision"] == 1  # the branch is resolved once
    few = run(tmp_path / "few", files_per_folder=1, folders=("20230701",))
    assert list(few["files"]) == ["20230701/000000000000.parquet"]


def test_a_cut_download_is_resumed_where_it_stopped(hub, tmp_path):
    hub.faults[FIRST] = ["cut", "cut"]
    run(tmp_path)
    assert whole(tmp_path)
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in hub.ranges]
    assert len(starts) == 2 and starts[0] == 100_000
    assert starts == sorted(starts)


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "503"])
def test_a_wrong_file_is_fetched_again(hub, tmp_path, fault):
    hub.faults[FIRST] = [fault]
    run(tmp_path)
    assert whole(tmp_path)


def test_a_file_that_stays_wrong_is_named_and_not_kept(hub, tmp_path):
    hub.faults[FIRST] = ["corrupt"] * 9
    with pytest.raises(UserError, match=f"{FIRST} came out with another size or hash 2 times"):
        run(tmp_path)
    assert not (tmp_path / FIRST).exists()
    assert not (tmp_path / "manifest.json").exists()
    hub.faults.clear()
    run(tmp_path)
    assert whole(tmp_path)


@pytest.mark.parametrize("difference", [-7, 7])
def test_a_hub_that_lies_about_a_size_is_not_believed(hub, tmp_path, difference):
    hub.lies[FIRST] = len(CONTENT[FIRST]) + difference
    with pytest.raises(UserError, match=FIRST):
        run(tmp_path)
    assert not (tmp_path / FIRST).exists()


def test_a_network_that_is_gone_for_good_is_one_line(hub, tmp_path):
    hub.faults[FIRST] = ["503"] * 99
    with pytest.raises(UserError, match="cannot be fetched .*it goes on where it stopped"):
        run(tmp_path)


def test_a_folder_brought_by_other_means_is_accepted(hub, tmp_path):
    for path, content in CONTENT.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / FIRST).write_bytes(CONTENT[FIRST][:-1] + b"?")  # one of them is wrong
    run(tmp_path, folders=("20230501", "20230601", "20230701"))
    assert whole(tmp_path, ("20230501", "20230601", "20230701"))
    assert hub.asked[FIRST] == 1
    assert sum(hub.asked[path] for path in CONTENT) == 1


def test_without_a_network_a_complete_folder_is_enough(hub, tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    run(tmp_path)
    with pytest.raises(UserError, match=r"some/data cannot be reached .*, and 4 of 4 files are"):
        run(tmp_path, folders=("20230501", "20230601", "20230701"))
    (tmp_path / FIRST).unlink()
    with pytest.raises(UserError, match=r"3 of 4 files are in .*; connect to the network"):
        run(tmp_path)
    with pytest.raises(UserError, match="no listed file is in"):
        run(tmp_path / "empty")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refuses some/data .* to the token of HF_TOKEN"),
        (403, "refuses some/data"),
        (404, "has no some/data"),
    ],
)
def test_refusals_are_one_line(hub, tmp_path, monkeypatch, status, message):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    hub.status = status
    with pytest.raises(UserError, match=message):
        run(tmp_path)
    assert "Bearer hf_wrong" in hub.tokens


def test_an_unknown_revision_or_folder_is_named(hub, tmp_path):
    with pytest.raises(UserError, match="no some/data .revision v2.; mend data.download.revision"):
        run(tmp_path, revision="v2")
    with pytest.raises(UserError, match="the folder 20240101 of some/data holds no Parquet file"):
        run(tmp_path, folders=("20240101",))


def test_another_commit_is_fetched_anew_and_a_branch_is_not(hub, tmp_path):
    run(tmp_path)
    run(tmp_path, revision="main")
    assert hub.asked["revision"] == 1
    with pytest.raises(UserError, match="mend data.download.revision"):
        run(tmp_path, revision="d" * 40)


def test_the_command_writes_its_manifest_last(hub, tmp_path, call):
    told = json.dumps(dataclasses.asdict(SETTINGS))
    manifest = tmp_path / "manifest.json"
    hub.faults[FIRST] = ["corrupt"] * 9
    options = ["--folder", tmp_path / "log", "--manifest", manifest, "--settings", told]
    with pytest.raises(UserError):
        call(download.main, *options)
    assert not manifest.exists()
    hub.faults.clear()
    call(download.main, *options)
    assert whole(tmp_path / "log") and len(files.read_json(manifest)["files"]) == 4
    assert os.environ["HF_ENDPOINT"] == hub.address
