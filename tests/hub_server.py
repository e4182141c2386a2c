"""A hub of one dataset on localhost that can cut, truncate, corrupt and lie."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """Serves `content` (path -> bytes) of the dataset `some/data` at commit COMMIT.

    faults: path -> list of what to do with its next downloads: "cut" (half of the bytes promised,
    then the connection is closed), "truncate" (half, and Content-Length says so), "corrupt" (other
    bytes), "503", "401". lies: path -> the size the hub lists and promises. asked counts requests.
    """

    daemon_threads = True

    def __init__(self, content: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.faults: dict[str, list[str]] = {}
        self.lies: dict[str, int] = {}
        self.status = 200
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.tokens: set[str | None] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        """The base of its URLs."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, promised: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.wfile.flush()
        if promised is not None and promised > len(body):
            self.close_connection = True
            self.connection.shutdown(1)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, unquote(urlparse(self.path).path)
        hub.tokens.add(self.headers.get("Authorization"))
        if hub.status != 200:
            code = {401: "GatedRepo", 404: "RepoNotFound"}.get(hub.status, "")
            return self.answer(hub.status, b"{}", X_Error_Code=code)
        if path.startswith("/api/datasets/some/data/revision/"):
            hub.asked["revision"] += 1
            revision = path.rsplit("/", 1)[1]
            if revision not in ("main", COMMIT):
                return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
            described = {"id": "some/data", "sha": COMMIT, "siblings": []}
            return self.answer(200, json.dumps(described).encode())
        if path.startswith(f"/api/datasets/some/data/tree/{COMMIT}/"):
            hub.asked["tree"] += 1
            folder = path.split(f"{COMMIT}/", 1)[1]
            return self.answer(200, json.dumps([*map(self.entry, self.inside(folder))]).encode())
        prefix = f"/datasets/some/data/resolve/{COMMIT}/"
        if path.startswith(prefix) and path[len(prefix) :] in hub.content:
            return self.file(path[len(prefix) :])
        return self.answer(404, b"{}", X_Error_Code="EntryNotFound")

    def inside(self, folder: str) -> list[str]:
        return [p for p in self.server.content if p.startswith(folder + "/")]

    def entry(self, path: str) -> dict[str, object]:
        body = self.server.content[path]
        size = self.server.lies.get(path, len(body))
        sha256 = hashlib.sha256(body).hexdigest()
        lfs = {"oid": sha256, "size": size, "pointerSize": 134}
        return {"type": "file", "path": path, "size": size, "oid": "b" * 40, "lfs": lfs}

    def file(self, path: str) -> None:
        hub, body = self.server, self.server.content[path]
        size = hub.lies.get(path, len(body))
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        headers = {"ETag": etag, "X_Repo_Commit": COMMIT, "X_Linked_Size": str(size)}
        headers |= {"X_Linked_Etag": etag, "Accept_Ranges": "bytes"}
        if self.command == "HEAD":
            return self.answer(200, b"", promised=size, **headers)
        hub.asked[path] += 1
        start = 0
        if wanted := self.headers.get("Range"):
            hub.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        status = 206 if start else 200
        fault = hub.faults.get(path, [])
        kind = fault.pop(0) if fault else ""
        if kind in ("503", "401"):
            return self.answer(int(kind), b"{}")
        if kind == "cut":
            return self.answer(status, rest[: len(rest) // 2], promised=len(rest), **headers)
        if kind == "truncate":
            return self.answer(status, rest[: len(rest) // 2], **headers)
        if kind == "corrupt":
            return self.answer(status, b"\0" * len(rest), **headers)
        return self.answer(status, rest, **headers)
