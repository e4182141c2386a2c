"""Files of a dataset on Hugging Face, fetched once, resumed, and checked by size and hash.

The library `huggingface_hub` fetches: it resumes what was cut, and honours HF_TOKEN, HF_ENDPOINT
(mirrors), HF_HUB_OFFLINE and proxies. Around it stands what a run of months needs: a branch is
resolved to its commit once, and the manifest holds every later run to that commit; each file is
compared with the size and the hash that the hub lists, and fetched again if it differs; a file
brought by other means is accepted if it is the right one; without a network, a complete folder is
enough.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from recscale import files
from recscale.errors import UserError, disk_is_full, first_line, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("data.download")

WRONG_FILES = 2  # downloads of a file that come out wrong before the run stops
CUTS = 5  # failures of the network in a row, each after twice the wait of the last
FIRST_WAIT = 1.0  # seconds
_NETWORK = (httpx2.HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, ConnectionError)


@dataclass(frozen=True)
class Settings:
    """The `data.download` block of the config.

    folders of the repository are fetched, of each only the first `files_per_folder` Parquet files
    (None: all).
    """

    repository: str
    revision: str
    folders: tuple[str, ...]
    files_per_folder: int | None


@dataclass(frozen=True)
class Remote:
    """A file as the hub lists it: its SHA-256, or for a small file the SHA-1 of its git blob."""

    path: str
    size: int
    sha256: str | None
    blob: str


def listing(api: HfApi, settings: Settings, known_commit: str | None) -> tuple[str, list[Remote]]:
    """The commit and the files to fetch.

    A revision that is no commit is resolved once: later runs give the commit of the manifest.

    Raises:
        UserError: no access, or no such repository, revision, folder or file.
    """
    where = settings.repository
    try:
        commit = known_commit
        if commit is None or (_is_commit(settings.revision) and commit != settings.revision):
            info = api.repo_info(where, repo_type="dataset", revision=settings.revision)
            commit = str(info.sha)
        found: list[Remote] = []
        for folder in settings.folders:
            tree = api.list_repo_tree(
                where, folder, repo_type="dataset", revision=commit, recursive=True
            )
            shards = sorted(
                (f for f in tree if isinstance(f, RepoFile) and f.path.endswith(".parquet")),
                key=lambda f: f.path,
            )[: settings.files_per_folder]
            if not shards:
                raise UserError(
                    f"the folder {folder} of {where} holds no Parquet file",
                    "mend data.download.folders",
                )
            found += [
                Remote(f.path, f.size, f.lfs.sha256 if f.lfs else None, f.blob_id) for f in shards
            ]
        return commit, found
    except HfHubHTTPError as error:
        raise _refused(error, settings) from None


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(c in "0123456789abcdef" for c in revision)


def _refused(error: HfHubHTTPError, settings: Settings) -> Exception:
    """What the hub's answer means, as one line; other answers are the network's and pass on."""
    status = error.response.status_code if error.response is not None else 0
    where = f"{settings.repository} (revision {settings.revision})"
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"Hugging Face has no {where}", "mend data.download.revision")
    if isinstance(error, GatedRepoError) or status in (401, 403):
        token = "the token of HF_TOKEN" if os.environ.get("HF_TOKEN") else "no token (HF_TOKEN)"
        return UserError(
            f"Hugging Face refuses {where} to {token} (status {status})",
            "accept the dataset's terms on its page and set HF_TOKEN to a token that may read it",
        )
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return UserError(
            f"Hugging Face has no {where}, or it is private",
            "mend data.download.repository and folders, or set HF_TOKEN",
        )
    return error


def is_right(path: Path, remote: Remote, seen: dict[str, list[int]]) -> bool:
    """Whether the file is there, whole and the hub's; `seen` remembers what was hashed."""
    if not path.is_file() or path.stat().st_size != remote.size:
        return False
    stamp = [remote.size, path.stat().st_mtime_ns]
    if seen.get(remote.path) == stamp:
        return True
    if remote.sha256:
        right = files.sha256(path) == remote.sha256
    else:
        digest = hashlib.sha1(f"blob {remote.size}\0".encode())
        digest.update(path.read_bytes())
        right = digest.hexdigest() == remote.blob
    if right:
        seen[remote.path] = stamp
    return right


def fetch(
    folder: Path, settings: Settings, commit: str, remote: Remote, seen: dict[str, list[int]]
) -> None:
    """Fetch one file into the folder unless it is there already.

    Raises:
        UserError: it came out wrong twice, access is refused, or the network fails for good.
    """
    path = folder / remote.path
    wrong = cuts = 0
    while not is_right(path, remote, seen):
        if path.exists():
            size = path.stat().st_size
            log.warning("%s has %d bytes of %d or another hash", path, size, remote.size)
            path.unlink()
        if wrong == WRONG_FILES:
            raise UserError(
                f"{path} came out with another size or hash {WRONG_FILES} times "
                f"(the hub lists {remote.size} bytes)",
                "try later, or another mirror (HF_ENDPOINT)",
            )
        try:
            hf_hub_download(
                settings.repository,
                remote.path,
                repo_type="dataset",
                revision=commit,
                local_dir=folder,
                endpoint=os.environ.get("HF_ENDPOINT"),
                force_download=wrong > 0,
            )
            wrong += 1
            cuts = 0
        except HfHubHTTPError as error:
            refused = _refused(error, settings)
            if isinstance(refused, UserError):
                raise refused from None
            cuts = _wait(cuts, path, error)
        except (*_NETWORK, OSError) as error:
            if disk_is_full(error):
                raise OSError(errno.ENOSPC, "No space left on device", str(path)) from None
            if "Consistency check failed" in str(error):
                wrong += 1
            cuts = _wait(cuts, path, error)


def _wait(cuts: int, path: Path, error: Exception) -> int:
    """Wait before the next attempt, longer each time; UserError after CUTS failures in a row."""
    if cuts == CUTS:
        raise UserError(
            f"{path} cannot be fetched ({first_line(error)})",
            "check the network and run the same command again: it goes on where it stopped",
        ) from None
    log.warning("%s: %s; trying again", path, first_line(error))
    time.sleep(FIRST_WAIT * 2**cuts)
    return cuts + 1


def download(settings: Settings, folder: Path, manifest: Path) -> dict[str, Any]:
    """Bring the folder to what the manifest then says; returns the manifest.

    Raises:
        UserError: see `listing` and `fetch`; or the hub is out of reach and a file is missing.
    """
    known = files.read_json(manifest) if manifest.is_file() else {}
    if known.get("repository") != settings.repository:
        known = {}
    memory = folder / ".checked.json"
    seen: dict[str, list[int]] = files.read_json(memory) if memory.is_file() else {}
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        commit, remotes = listing(api, settings, known.get("commit"))
    except _NETWORK as error:
        return _without_network(settings, folder, known, seen, error)
    try:
        total = sum(remote.size for remote in remotes)
        with progress(total=total, desc=settings.repository, unit="B", unit_scale=True) as bar:
            for remote in remotes:
                fetch(folder, settings, commit, remote, seen)
                bar.update(remote.size)
    finally:
        files.write_json(seen, memory)
    return {
        "repository": settings.repository,
        "commit": commit,
        "files": {r.path: {"size": r.size, "sha256": r.sha256, "blob": r.blob} for r in remotes},
    }


def _without_network(
    settings: Settings,
    folder: Path,
    known: dict[str, Any],
    seen: dict[str, list[int]],
    error: Exception,
) -> dict[str, Any]:
    """The manifest of an earlier run, if all that is asked for is there."""
    wanted: Callable[[str], bool] = lambda path: path.split("/")[0] in settings.folders  # noqa: E731
    listed = [
        Remote(path, values["size"], values["sha256"], values["blob"])
        for path, values in known.get("files", {}).items()
        if wanted(path)
    ]
    there = sum(is_right(folder / remote.path, remote, seen) for remote in listed)
    folders = {remote.path.split("/")[0] for remote in listed}
    if not listed or there < len(listed) or folders < set(settings.folders):
        files_said = f"{there} of {len(listed)} files are" if listed else "no listed file is"
        raise UserError(
            f"{settings.repository} cannot be reached ({first_line(error)}), and {files_said} in "
            f"{folder}",
            "connect to the network, set HF_ENDPOINT to a mirror, or copy the shards there and set "
            "data.download to null",
        ) from None
    log.info("no network; all %d files are there", there)
    return known


def main() -> None:
    """Command line: the files of the config into a folder, and a manifest written last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    if not constants.HF_HUB_DISABLE_XET:
        log.info("large files come by Xet where the hub offers it (HF_HUB_DISABLE_XET=1: by HTTP)")
    settings = parse(Settings, arguments.settings)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = download(settings, arguments.folder, arguments.manifest)
    log.info("%d files of commit %s", len(found["files"]), found["commit"])
    files.write_json(found, arguments.manifest)


if __name__ == "__main__":
    run_command(main)
