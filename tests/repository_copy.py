"""A copy of the repository, and Snakemake run in it as a user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROFILES = ("smoke", "mini", "h200", "b200", "reviewer")
KEPT = ("Snakefile", "workflow", "config", "envs", "src", "paper", *PROFILES)
GENERATED = shutil.ignore_patterns("__pycache__", *PROFILES)


def copy_of_repository(folder: Path) -> Path:
    """The files a run needs, without anything a run has made."""
    folder.mkdir(parents=True)
    for name in KEPT:
        source = ROOT / name
        if source.is_symlink():
            (folder / name).symlink_to(os.readlink(source))
        elif source.is_dir():
            ignore = None if name == "workflow" else GENERATED
            shutil.copytree(source, folder / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(source, folder / name)
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder`, with the environment's own commands first on the PATH."""
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return subprocess.run(
        [str(binaries / "snakemake"), *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def job_counts(output: str) -> dict[str, int]:
    """The table of jobs that a dry run prints; empty where it prints none."""
    lines = output.partition("Job stats:")[2].splitlines()
    rows = (re.fullmatch(r"(\w+)\s+(\d+)", line.strip()) for line in lines)
    return {row[1]: int(row[2]) for row in rows if row}
