"""How long each artefact takes from nothing, from the benchmark files of a finished run.

python benchmarks/artefact_minutes.py [NAME] sums, over the jobs that Snakemake would run for a
target if nothing were there, the minutes each took when it last ran. Two jobs run at once on two
cores, so a target takes about half its sum. Prints a table and ends with one line of JSON. That
also holds the seconds of each job, controls included, by the name of its benchmark file: the
progress line of a run takes its estimate from them; and the minutes from the start of the first job
to the end of the last, which say what they should where nothing was rerun since.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

TARGETS = [
    *(f"table{number}" for number in range(1, 10)),
    *("item_id_methods", "ranking_strata", "generation", "next_item_recall", "privacy"),
    *(f"fig{number}" for number in range(1, 13)),
    *("fidelity", "claims", "verdicts", "paper"),
    "all",
]


def seconds_of(file: Path) -> float:
    """Seconds a job took, from its Snakemake benchmark file."""
    with file.open(encoding="utf-8") as lines:
        return float(next(csv.DictReader(lines, delimiter="\t"))["s"])


def minutes_of(file: Path) -> float:
    """Minutes a job took."""
    return seconds_of(file) / 60


def elapsed_minutes(files: list[Path]) -> float:
    """Minutes from the start of the first job to the end of the last."""
    ends = [file.stat().st_mtime for file in files]
    begins = [end - seconds_of(file) for end, file in zip(ends, files, strict=True)]
    return (max(ends) - min(begins)) / 60


def jobs_of(target: str, name: str) -> list[Path]:
    """The benchmark files of all jobs a target needs from scratch."""
    planned = subprocess.run(
        ["snakemake", "--profile", name, "--forceall", "-n", target],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [Path(found) for found in re.findall(r"^    benchmark: (\S+)$", planned, flags=re.M)]


def main() -> None:
    """Print the table for the rung named on the command line, mini by default."""
    name = sys.argv[1] if len(sys.argv) > 1 else "mini"
    result: dict[str, float] = {}
    print(f"{'target':<10}{'jobs':>6}{'job minutes':>14}{'share of all':>14}")
    everything = sum(map(minutes_of, jobs_of("all", name)))
    for target in TARGETS:
        jobs = jobs_of(target, name)
        minutes = sum(map(minutes_of, jobs))
        result[target] = round(minutes, 1)
        print(f"{target:<10}{len(jobs):>6}{minutes:>14.1f}{minutes / everything:>14.2f}")
    ran = sorted(file for file in jobs_of("all_controls", name) if file.is_file())
    seconds = {file.stem: round(seconds_of(file), 1) for file in ran}
    elapsed = {
        target: round(elapsed_minutes(files))
        for target, files in (("all", jobs_of("all", name)), ("all_controls", ran))
    }
    print(
        json.dumps(
            {
                "name": name,
                "job_minutes": result,
                "elapsed_minutes": elapsed,
                "job_seconds": seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
