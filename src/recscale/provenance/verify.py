"""Hash a manifest's files again, and name every one that is not as it was."""

from __future__ import annotations

from collections.abc import Iterator

from recscale.provenance.manifest import Provenance, hashes

_JOBS_SHOWN = 4


def differences(provenance: Provenance, threads: int = 1) -> Iterator[str]:
    """A line for each file that is missing or changed, and for each source file of the code.

    Code that changed did so after the jobs named ran; one of them may have run before the others.
    """
    now = hashes(sorted(provenance.files), threads)
    for path, sha in now.items():
        before = provenance.files[path].sha256
        if before != sha:
            how = "missing" if sha is None else "new" if before is None else "changed"
            yield f"{how}: {path}"
    jobs: dict[str, dict[str, list[str]]] = {}
    for label, job in provenance.jobs.items():
        for path, sha in provenance.code[job.code].items():
            jobs.setdefault(path, {}).setdefault(sha, []).append(label)
    present = hashes(sorted(jobs), threads)
    for path, versions in sorted(jobs.items()):
        ran = sorted({job for sha, of in versions.items() if sha != present[path] for job in of})
        if ran:
            more = [f"and {len(ran) - _JOBS_SHOWN} more"] if len(ran) > _JOBS_SHOWN else []
            yield f"code changed: {path}, since {', '.join(ran[:_JOBS_SHOWN] + more)}"
