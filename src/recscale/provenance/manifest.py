"""The manifest of a run's files: their hashes, and the jobs that wrote them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recscale import files
from recscale.errors import UserError

MANIFEST = "provenance.json"
# Kinds of files: a job's output; written by a job beside its outputs, such as a model; read by a
# job and made by none; and there, but in no record.
OUTPUT, BESIDE, SOURCE, UNKNOWN = "output", "beside", "source", "unknown"
COLLECT = "collect it again: the target provenance"
_RUN = re.compile(r"(?:^|/)pretraining/([^/]+)/curves\.parquet$")


@dataclass(frozen=True)
class File:
    """A file as it was when the manifest was collected.

    Args:
        kind: `output`, `beside`, `source` or `unknown`.
        sha256: its hash, in hexadecimal; None for a source that was missing.
        bytes: its size, or None.
        modified: when it was last written, in nanoseconds since 1970, or None.
        job: which job wrote it; None for sources and for files in no record.
        rewritten: an output that was written again after its job.
    """

    kind: str
    sha256: str | None
    bytes: int | None
    modified: int | None
    job: str | None = None
    rewritten: bool = False


@dataclass(frozen=True)
class Job:
    """One job that ran.

    Args:
        rule: its rule in the workflow.
        command: its command line, with its settings.
        config: hash of what its command line says, files left out.
        code: hash of the source files it ran, a key of `Provenance.code`.
        environment: hash of its conda environment's description, or None.
        seeds: the seeds that its command line says, by their key.
        inputs: the data files it read.
        outputs: the files it wrote.
        changed: data and source files that were no longer as it read them when the manifest was
            collected, with the hash they had, or None if none was taken then.
        started, ended: times in ISO 8601, UTC.
    """

    rule: str
    command: str | None
    config: str
    code: str
    environment: str | None
    seeds: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    changed: dict[str, str | None]
    started: str
    ended: str


@dataclass(frozen=True)
class Provenance:
    """A manifest.

    Args:
        name: what the config calls the run.
        commit: of the checkout when it was collected, with a `+` if something was not committed;
            empty without a checkout.
        files: by their path.
        jobs: by their name: the rule, and the wildcards as in the names of logs.
        code: source files and their hashes, by the hash of them all.
    """

    name: str
    commit: str
    files: dict[str, File]
    jobs: dict[str, Job]
    code: dict[str, dict[str, str]]

    @property
    def runs(self) -> frozenset[str]:
        """The CPT runs among the files."""
        return frozenset(found[1] for path in self.files if (found := _RUN.search(path)))

    def of_kind(self, kind: str) -> list[str]:
        """The paths of one kind, in order."""
        return sorted(path for path, file in self.files.items() if file.kind == kind)

    def write(self, path: Path) -> None:
        """Write the manifest."""
        files.write_json(asdict(self), path)


def read_provenance(path: Path) -> Provenance:
    """Read a manifest; the files are not looked at.

    Raises:
        UserError: it is missing or broken.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing", "collect it with the target provenance")
    value = files.read_json(path)
    try:
        return Provenance(
            name=value["name"],
            commit=value["commit"],
            files={name: File(**file) for name, file in value["files"].items()},
            jobs={name: Job(**job) for name, job in value["jobs"].items()},
            code=value["code"],
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no manifest of provenance ({type(error).__name__}: {error})", COLLECT
        ) from None


def hashes(paths: list[str], threads: int) -> dict[str, str | None]:
    """The SHA-256 of files, in hexadecimal, several at once; None for one that is missing."""

    def of(path: str) -> str | None:
        return files.sha256(path) if Path(path).is_file() else None

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return dict(zip(paths, pool.map(of, paths), strict=True))
