"""Collect the manifest of a run's files: hashes, and the jobs behind them.

Command: `python workflow/scripts/lineage.py .snakemake/metadata | python -m
recscale.provenance.collect --name mini --folders results/mini paper/mini --out
results/mini/provenance.json`. Every file below the folders is hashed, and so is every source that
their jobs read. A file that did not change since the last collection keeps its hash. What no record
explains is named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.provenance.commands import code_hash, config_hash, seeds_of
from recscale.provenance.manifest import (
    BESIDE,
    MANIFEST,
    OUTPUT,
    SOURCE,
    UNKNOWN,
    File,
    Job,
    Provenance,
    hashes,
    read_provenance,
)

log = logger("provenance.collect")
CODE = "src/"
# Clocks of file systems and of the machine may differ by so much.
_SECONDS = 2.0


def collect(
    lineage: Sequence[dict[str, Any]],
    folders: Sequence[Path],
    name: str,
    commit: str,
    last: Provenance | None = None,
    threads: int = 1,
) -> Provenance:
    """The manifest of all files below `folders`.

    Args:
        lineage: jobs, as workflow/scripts/lineage.py describes them.
        folders: of results and of artefacts.
        name: what the config calls the run.
        commit: of the checkout, or empty.
        last: an earlier manifest, whose hashes hold for files of the same size and time.
        threads: how many files are hashed at once.

    Raises:
        UserError: a job lacks a key.
    """
    try:
        known = named(behind(lineage, folders), name)
        below = sorted(
            file.as_posix()
            for folder in folders
            for file in folder.rglob("*")
            if file.is_file() and file.name != MANIFEST
        )
        outputs = {path: label for label, job in known.items() for path in job["outputs"]}
        inputs = {path for job in known.values() for path in job["inputs"]}
        read = {path for path in inputs if not is_code(path)}
        present = hashes(sorted(inputs - read), threads)
        paths = sorted({*below, *outputs, *read})
        found = stated(paths, {} if last is None else last.files, threads)
        files: dict[str, File] = {}
        for path in paths:
            file = found[path]
            if path in outputs:
                written = known[outputs[path]]["outputs"][path]
                changed = abs((file.modified or 0) / 1e9 - written) > _SECONDS
                files[path] = replace(file, kind=OUTPUT, job=outputs[path], rewritten=changed)
            elif label := written_beside(path, file, known):
                files[path] = replace(file, kind=BESIDE, job=label)
            elif path in read and not any(Path(path).is_relative_to(f) for f in folders):
                files[path] = replace(file, kind=SOURCE)
            else:
                files[path] = replace(file, kind=UNKNOWN)
        jobs, code = {}, {}
        for label, job in known.items():
            sources = {path: sha or "" for path, sha in job["inputs"].items() if is_code(path)}
            code[code_hash(sources)] = sources
            jobs[label] = Job(
                rule=job["rule"],
                command=job["command"],
                config=config_hash(job["command"]),
                code=code_hash(sources),
                environment=job["environment"],
                seeds=seeds_of(job["command"]),
                inputs=sorted(path for path in job["inputs"] if not is_code(path)),
                outputs=sorted(job["outputs"]),
                changed={**changed_code(job, present), **changed_inputs(job, files)},
                started=time_of(job["started"]),
                ended=time_of(job["ended"]),
            )
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"the lineage is not as workflow/scripts/lineage.py writes it ({error!r})",
            "pass what it prints",
        ) from None
    return Provenance(name, commit, files, jobs, code)


def is_code(path: str) -> bool:
    """Whether an input is a source file of this package, not data."""
    return path.startswith(CODE)


def behind(lineage: Sequence[dict[str, Any]], folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The jobs that wrote something below the folders, and those that wrote what they read."""
    writers = {path: job for job in lineage for path in job["outputs"]}
    waiting = [
        path for path in writers if any(Path(path).is_relative_to(folder) for folder in folders)
    ]
    needed: dict[int, dict[str, Any]] = {}
    while waiting:
        job = writers.get(waiting.pop())
        if job is not None and id(job) not in needed:
            needed[id(job)] = job
            waiting.extend(job["inputs"])
    return list(needed.values())


def named(jobs: Iterable[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """The jobs by their rule and wildcards, as their logs are named: RULE/NAME-WILDCARDS.log."""
    result: dict[str, dict[str, Any]] = {}
    for job in sorted(jobs, key=lambda job: job["started"]):
        stem = Path(job["log"][0]).name.removesuffix(".log") if job["log"] else ""
        label = job["rule"] + (stem.removeprefix(name) if stem.startswith(name) else "")
        again = sum(other == label or other.startswith(f"{label}~") for other in result)
        result[f"{label}~{again + 1}" if again else label] = job
    return result


def stated(paths: Sequence[str], last: dict[str, File], threads: int) -> dict[str, File]:
    """Size, time and hash of files; their kind is open yet."""
    found: dict[str, File] = {}
    for path in paths:
        if not Path(path).is_file():
            found[path] = File(UNKNOWN, None, None, None)
            continue
        stat = Path(path).stat()
        before = last.get(path)
        same = before and (before.bytes, before.modified) == (stat.st_size, stat.st_mtime_ns)
        sha = before.sha256 if before and same else None
        found[path] = File(UNKNOWN, sha, stat.st_size, stat.st_mtime_ns)
    unhashed = [path for path, file in found.items() if file.bytes is not None and not file.sha256]
    for path, sha in hashes(unhashed, threads).items():
        found[path] = replace(found[path], sha256=sha)
    return found


def written_beside(path: str, file: File, jobs: dict[str, dict[str, Any]]) -> str | None:
    """The job that wrote a file which is none of its outputs.

    Such a file lies in a folder that the job's command names and was written while it ran, or is
    the job's benchmark.
    """
    where = Path(path)
    if where.parent.name == "benchmarks" and where.stem in jobs:
        return where.stem
    folders = {parent.as_posix() for parent in where.parents}
    written = (file.modified or 0) / 1e9
    for label, job in jobs.items():
        if job["started"] - _SECONDS <= written <= job["ended"] + _SECONDS and any(
            word in folders for word in (job["command"] or "").split()
        ):
            return label
    return None


def changed_inputs(job: dict[str, Any], files: dict[str, File]) -> dict[str, str | None]:
    """The data files that are not as a job read them, with the hash they had then.

    A file whose hash was not taken then has changed if it was written after the job's start.
    """
    changed: dict[str, str | None] = {}
    for path, sha in job["inputs"].items():
        if is_code(path):
            continue
        later = (files[path].modified or 0) / 1e9 > job["started"] + _SECONDS
        if (sha != files[path].sha256) if sha else (later or files[path].sha256 is None):
            changed[path] = sha
    return changed


def changed_code(job: dict[str, Any], present: dict[str, str | None]) -> dict[str, str | None]:
    """The source files that are not as a job ran them, with the hash they had then."""
    return {p: sha for p, sha in job["inputs"].items() if is_code(p) and sha != present[p]}


def time_of(seconds: float) -> str:
    """A time in ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", required=True, help="of the run in the config")
    parser.add_argument("--folders", type=Path, nargs="+", required=True)
    parser.add_argument("--commit", default="", help="of the checkout")
    parser.add_argument("--threads", type=int, default=1, help="files hashed at once")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        lineage = json.load(sys.stdin)["jobs"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"standard input is no lineage ({error!r})", "pipe workflow/scripts/lineage.py into it"
        ) from None
    last = None
    # A broken manifest is one more reason to collect it anew.
    with suppress(UserError):
        last = read_provenance(arguments.out)
    provenance = collect(
        lineage, arguments.folders, arguments.name, arguments.commit, last, arguments.threads
    )
    provenance.write(arguments.out)
    kinds = Counter(file.kind for file in provenance.files.values())
    log.info(
        "%s: %d outputs of %d jobs, %d files beside them, %d sources; %d files with no record",
        *(
            arguments.out,
            kinds[OUTPUT],
            len(provenance.jobs),
            kinds[BESIDE],
            kinds[SOURCE],
            kinds[UNKNOWN],
        ),
    )
    for path in provenance.of_kind(UNKNOWN):
        log.info("no record: %s", path)
    for path, file in sorted(provenance.files.items()):
        if file.rewritten:
            log.info("written again after its job: %s", path)
    for label, job in provenance.jobs.items():
        for path in job.changed:
            log.info("not as it was when %s ran: %s", label, path)


if __name__ == "__main__":
    run_command(main)
