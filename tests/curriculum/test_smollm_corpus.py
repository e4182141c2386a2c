"""SmolLM-Corpus: its three subsets of the true schema, and python-edu's texts from an archive."""

from __future__ import annotations

import dataclasses
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recscale import files
from recscale.curriculum import general_text
from recscale.data import software_heritage
from recscale.errors import UserError

SETTINGS = general_text.Settings(
    seed=1,
    source="parquet",
    packages=(),
    folder=None,
    subsets=None,
    base_share=0.0,
    held_out_share=0.2,
)


def cosmopedia(path, texts) -> None:
    columns = {name: ["x"] * len(texts) for name in ("prompt", "audience", "format", "seed_data")}
    pq.write_table(pa.table({**columns, "text": texts, "token_length": [9] * len(texts)}), path)


def fineweb(path, texts) -> None:
    metadata = [{"dump": "d", "url": "u", "language_score": 0.9, "token_count": 3} for _ in texts]
    pq.write_table(pa.table({"text": texts, "id": ["i"] * len(texts), "metadata": metadata}), path)


def python_edu(path, blobs) -> None:
    rows = len(blobs)
    table = {"blob_id": blobs, "repo_name": ["r"] * rows, "path": ["p.py"] * rows}
    table |= {"length_bytes": [10] * rows, "score": [4.1] * rows, "int_score": [4] * rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)


def read(tmp_path, call, **changes):
    told = json.dumps(dataclasses.asdict(dataclasses.replace(SETTINGS, **changes)))
    out = ["--documents", tmp_path / "d.parquet", "--manifest", tmp_path / "m.json"]
    call(general_text.main, *out, "--settings", told)
    return files.read_table(tmp_path / "d.parquet", "documents"), files.read_json(
        tmp_path / "m.json"
    )


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    for name in ("cosmopedia-v2", "fineweb-edu-dedup"):
        (folder / name).mkdir(parents=True)
    cosmopedia(folder / "cosmopedia-v2/0.parquet", [f"chapter {n}" for n in range(500)])
    fineweb(folder / "fineweb-edu-dedup/0.parquet", [f"page {n}" for n in range(1000)] + ["", None])
    python_edu(folder / "python-edu/0.parquet", ["a", "b"])
    return folder


def test_subsets_are_read_with_their_shares_and_every_row_is_counted(tmp_path, corpus, call):
    shares = {"cosmopedia-v2": 1.0, "fineweb-edu-dedup": 0.4}
    table, manifest = read(tmp_path, call, folder=str(corpus), subsets=shares)
    counts = {row["package"].split("/")[0]: row for row in manifest}
    assert counts["cosmopedia-v2"]["documents"] == 500
    web = counts["fineweb-edu-dedup"]
    assert web["dropped_empty"] == 2
    assert web["documents"] + web["dropped_beyond_share"] == 1000
    assert abs(web["documents"] - 400) < 80
    assert len(table) == 500 + web["documents"]
    assert abs((table["part"] == "held_out").mean() - 0.2) < 0.06
    assert (
        web["characters"] == table.loc[table["text"].str.startswith("page"), "text"].str.len().sum()
    )


def test_equal_texts_are_in_one_part_whatever_the_shards(tmp_path, corpus, call):
    texts = [f"page {n}" for n in range(1000)]
    fineweb(corpus / "fineweb-edu-dedup/1.parquet", texts[::-1])
    table, _ = read(tmp_path, call, folder=str(corpus), subsets={"fineweb-edu-dedup": 1.0})
    assert len(table) == 2000
    assert (table.groupby("text")["part"].nunique() == 1).all()


def test_broken_and_missing_shards_are_named(tmp_path, corpus, call):
    with pytest.raises(UserError, match="python-edu/0.parquet has no column text"):
        read(tmp_path, call, folder=str(corpus))
    with pytest.raises(UserError, match="nothing holds no Parquet shard"):
        read(tmp_path, call, folder=str(corpus), subsets={"nothing": 1.0})
    path = corpus / "cosmopedia-v2/0.parquet"
    content = bytearray(path.read_bytes())
    group = pq.read_metadata(path).row_group(0)
    names = [group.column(n).path_in_schema for n in range(group.num_columns)]
    start = group.column(names.index("text")).data_page_offset
    content[start : start + 60] = b"\xff" * 60
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="cosmopedia-v2/0.parquet is corrupt"):
        read(tmp_path, call, folder=str(corpus), subsets={"cosmopedia-v2": 1.0})
    assert not (tmp_path / "d.parquet").exists()


class Archive(BaseHTTPRequestHandler):
    """Blobs ok-N are there; gone is not; cut comes whole at the second attempt; and so on."""

    asked: dict[str, int]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        blob = self.path.removeprefix("/content/")
        self.asked[blob] = self.asked.get(blob, 0) + 1
        body = gzip.compress(f"print('{blob}')".encode())
        kinds = {"gone": 404, "busy": 503 if self.asked[blob] == 1 else 200, "down": 500}
        self.send_response(kinds.get(blob, 200))
        sent = body
        if blob == "cut" and self.asked[blob] == 1:
            sent = body[:10]
        if blob == "latin":
            sent = body = gzip.compress("é".encode("latin-1"))
        if blob == "plain":
            sent = body = b"not gzip at all"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(sent)


@pytest.fixture
def archive(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    handler = type("Fresh", (Archive,), {"asked": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    server.server_close()


def fetch(tmp_path, call, url, missing_share=1.0):
    told = {"base_url": url, "connections": 4, "missing_share": missing_share}
    paths = ["--metadata", tmp_path / "python-edu", "--folder", tmp_path / "text"]
    paths += ["--manifest", tmp_path / "text/manifest.json"]
    call(software_heritage.main, *paths, "--settings", json.dumps(told))
    return files.read_json(tmp_path / "text/manifest.json")


def test_texts_are_fetched_and_rows_without_one_are_counted_by_reason(tmp_path, archive, call):
    url, asked = archive
    python_edu(tmp_path / "python-edu/0.parquet", ["ok-1", "gone", "cut", "busy", None])
    python_edu(tmp_path / "python-edu/1.parquet", ["ok-2", "latin", "plain"])
    manifest = fetch(tmp_path, call, url)
    assert manifest["0.parquet"] == {
        "rows": 5,
        "texts": 3,
        "dropped_gone": 1,
        "dropped_without_blob_id": 1,
    }
    assert manifest["1.parquet"] == {
        "rows": 3,
        "texts": 1,
        "dropped_not_utf8": 1,
        "dropped_not_gzip": 1,
    }
    texts = pd.read_parquet(tmp_path / "text/0.parquet")["text"].tolist()
    assert texts == ["print('ok-1')", "print('cut')", "print('busy')"]
    before = dict(asked)
    fetch(tmp_path, call, url)
    assert asked == before  # what is there is not fetched again


def test_too_many_missing_blobs_stop_the_run(tmp_path, archive, call):
    python_edu(tmp_path / "python-edu/0.parquet", ["ok-1", "gone"])
    with pytest.raises(
        UserError, match="1 of 2 blobs of .* have no text; raise curriculum.general"
    ):
        fetch(tmp_path, call, archive[0], missing_share=0.1)
    assert not (tmp_path / "text/manifest.json").exists()


def test_an_archive_that_is_down_is_one_line_and_the_next_run_goes_on(tmp_path, archive, call):
    url, asked = archive
    python_edu(tmp_path / "python-edu/0.parquet", ["ok-1"])
    python_edu(tmp_path / "python-edu/1.parquet", ["down"])
    with pytest.raises(UserError, match="content/down cannot be fetched"):
        fetch(tmp_path, call, url)
    assert not (tmp_path / "text/1.parquet").exists()
    python_edu(tmp_path / "python-edu/1.parquet", ["ok-2"])
    fetch(tmp_path, call, url)
    assert asked["ok-1"] == 1


def test_a_folder_without_metadata_is_named(tmp_path, call):
    with pytest.raises(UserError, match="holds no Parquet shard; download the folder python-edu"):
        fetch(tmp_path, call, "http://127.0.0.1:9")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    (tmp_path / "python-edu").mkdir()
    (tmp_path / "a.parquet").rename(tmp_path / "python-edu/0.parquet")
    with pytest.raises(UserError, match="0.parquet has no column blob_id"):
        fetch(tmp_path, call, "http://127.0.0.1:9")
