"""What Snakemake recorded of the jobs behind the files that are there, as JSON.

Command: `python workflow/scripts/lineage.py .snakemake/metadata`, in the working directory of the
workflow, prints `{"jobs": [...]}`. A job has

* rule, command, log: as it was run;
* inputs: its files, code among them, with the SHA-256 that each had; null where Snakemake took none
  (it hashes small files only);
* outputs: its files, with the time at which each was written, in seconds since 1970;
* environment: the SHA-256 of its conda environment's description, null without one;
* started, ended: in seconds since 1970.

Records of several runs of Snakemake lie side by side, one for each file. Files that are gone, and
jobs that did not end, are left out. Only this file knows how Snakemake keeps its records.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import sys
from pathlib import Path


def recorded_file(record, folder):
    """The file that a record is about; None for what is no record.

    The names of records are the files' paths in base 64, cut into folders where they are long.
    """
    parts = [part.removeprefix("@") for part in record.relative_to(folder).parts]
    try:
        return base64.urlsafe_b64decode("".join(parts)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def read_record(record):
    """A record; None if it is broken or of a job that did not end."""
    try:
        value = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if value.get("rule") and not value.get("incomplete") else None


def digest(checksum):
    """The SHA-256 in a recorded checksum; None if it is of another kind."""
    kind, colon, value = (checksum or "").rpartition(":")
    return value if value and (not colon or kind == "sha256") else None


def environment(record):
    """The SHA-256 of the environment's description, which a record holds in base 64."""
    description = record.get("conda_env")
    return hashlib.sha256(base64.b64decode(description)).hexdigest() if description else None


def lineage(folder):
    """The jobs behind the files that are there, in the order of their rules and commands."""
    jobs = {}
    for path in sorted(folder.rglob("*")):
        file = recorded_file(path, folder) if path.is_file() else None
        record = read_record(path) if file and Path(file).is_file() else None
        if record is None:
            continue
        checksums = record.get("input_checksums") or {}
        job = jobs.setdefault(
            (record["rule"], record.get("shellcmd") or file),
            {
                "rule": record["rule"],
                "command": record.get("shellcmd"),
                "log": record.get("log") or [],
                "environment": environment(record),
                "inputs": {i: digest(checksums.get(i)) for i in record.get("input") or []},
                "outputs": {},
                "started": record["starttime"],
                "ended": record["endtime"],
            },
        )
        job["outputs"][file] = record["endtime"]
        job["started"] = min(job["started"], record["starttime"])
        job["ended"] = max(job["ended"], record["endtime"])
    return [jobs[key] for key in sorted(jobs)]


def main():
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("records", type=Path, help="Snakemake's folder of records")
    folder = parser.parse_args().records
    if not folder.is_dir():
        sys.exit(f"lineage: error: {folder} is missing; Snakemake keeps its records there")
    json.dump({"jobs": lineage(folder)}, sys.stdout)


if __name__ == "__main__":
    main()
