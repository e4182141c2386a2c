"""The chain of jobs behind a file, from its own job back to the raw data."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePath

from recscale.provenance.manifest import MANIFEST, Job, Provenance, read_provenance

# Digits of a hash that are shown; the manifest holds them all.
_DIGITS = 12


@dataclass
class Step:
    """A job of a chain.

    Args:
        provenance: the manifest that knows it.
        label: its name there.
        wrote: the files that are wanted of it.
        read: the files that these were made of.
        left_out: the other files that it read.
    """

    provenance: Provenance
    label: str
    wrote: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def job(self) -> Job:
        """The job."""
        return self.provenance.jobs[self.label]


def chain(provenance: Provenance, path: str, runs: frozenset[str] = frozenset()) -> list[Step]:
    """The jobs behind a file, the last that ran first.

    A job that copied a file is followed to this file's original alone. A restored file is followed
    into the manifest of the reference that holds it, where there is one.

    Args:
        provenance: the manifest.
        path: one of its files.
        runs: CPT runs, with their other seeds: where the file's own job reads these and others, the
            others are left out. Empty: all are followed.
    """
    steps: dict[tuple[int, str], Step] = {}
    waiting = deque([(provenance, path)])
    while waiting:
        manifest, file = waiting.popleft()
        entry = manifest.files.get(file)
        if entry is None or entry.job is None:
            if entry is not None and (found := original(manifest, file)) is not None:
                waiting.append(found)
            continue
        key = (id(manifest), entry.job)
        step = steps.setdefault(key, Step(manifest, entry.job))
        if file in step.wrote:
            continue
        step.wrote.append(file)
        first = len(steps) == 1
        followed = inputs_of(manifest, file, runs if first else frozenset())
        step.read += [name for name in followed if name not in step.read]
        step.left_out = [name for name in step.job.inputs if name not in step.read]
        waiting.extend((manifest, name) for name in followed)
    manifests = list(dict.fromkeys(manifest for manifest, _ in steps))
    ran = sorted(steps.values(), key=lambda step: step.job.ended, reverse=True)
    return sorted(ran, key=lambda step: manifests.index(id(step.provenance)))


def inputs_of(provenance: Provenance, path: str, runs: frozenset[str]) -> list[str]:
    """The inputs of a file's job that can have made it what it is: see `chain`."""
    entry = provenance.files[path]
    inputs = provenance.jobs[entry.job or ""].inputs
    copied = [i for i in inputs if entry.sha256 and provenance.files[i].sha256 == entry.sha256]
    if copied:
        return copied[:1]
    wanted = {run for run in provenance.runs if run.split("-seed")[0] in runs} | runs
    named = {name: runs_named(name, provenance.runs) for name in inputs}
    if not any(found & wanted for found in named.values()):
        return list(inputs)
    return [name for name in inputs if not named[name] or named[name] & wanted]


def runs_named(path: str, known: frozenset[str]) -> frozenset[str]:
    """The CPT runs that a path names: as a folder, or as a file without its ending."""
    parts = PurePath(path).parts
    return known.intersection(parts) | known.intersection([PurePath(path).stem])


_references: dict[Path, Provenance | None] = {}


def original(provenance: Provenance, path: str) -> tuple[Provenance, str] | None:
    """A file of a reference in the manifest that lies in the reference's folder; or None."""
    for folder in Path(path).parents:
        manifest = folder / MANIFEST
        if manifest not in _references:
            _references[manifest] = read_provenance(manifest) if manifest.is_file() else None
        reference = _references[manifest]
        if reference is None:
            continue
        below = PurePath(path).relative_to(folder).parts
        for name, entry in reference.files.items():
            same = entry.sha256 == provenance.files[path].sha256
            if same and entry.job and PurePath(name).parts[-len(below) :] == below:
                return reference, name
    return None


def describe(step: Step, commands: bool) -> Iterator[str]:
    """A job as lines of text: when it ran, its hashes and seeds, and what it read and wrote.

    Args:
        step: the job.
        commands: whether to show its command line; a job at the end of the chain shows it anyway.
    """
    job, files = step.job, step.provenance.files
    yield f"{step.label}   ran {times(job)}"
    seeds = ", ".join(f"{key} {value}" for key, value in job.seeds.items())
    environment = short(job.environment) if job.environment else "not recorded"
    yield (
        f"  config {short(job.config)}  code {short(job.code)}  environment {environment}  "
        f"seeds: {seeds or 'none'}"
    )
    for path in sorted(set(job.changed) - set(job.inputs)):
        yield f"  code CHANGED since, or lost: {path}"
    for path in step.wrote:
        note = "   WRITTEN AGAIN after this job" if files[path].rewritten else ""
        yield f"  wrote {short(files[path].sha256)}  {path}{note}"
    for path in step.read:
        entry = files[path]
        note = (
            f"   by {entry.job}" if entry.job else "" if entry.kind == "source" else "   NO RECORD"
        )
        if path in job.changed:
            before = job.changed[path]
            note += f"   CHANGED since: it was {short(before)}" if before else "   CHANGED since"
        yield f"  read  {short(entry.sha256)}  {path}{note}"
    if step.left_out:
        yield f"  and {len(step.left_out)} more files, for other rows or files"
    raw = not any(files[path].job for path in job.inputs)
    if raw:
        yield "  read no file that a job wrote: what it starts from is in its command"
    if commands or raw:
        yield f"  {job.command}"


def times(job: Job) -> str:
    """When a job ran and how long, as text."""
    started, ended = (datetime.fromisoformat(time) for time in (job.started, job.ended))
    return f"{started:%Y-%m-%d %H:%M:%S} UTC, {(ended - started).total_seconds():.1f} s"


def short(sha256: str | None) -> str:
    """The first digits of a hash."""
    return sha256[:_DIGITS] if sha256 else "missing".ljust(_DIGITS)
