"""What a user types where jobs are submitted, and what the workflow answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .local_slurm import LocalSlurm

# Site files, written as workflow/profiles/README.md says.
SITE = "partition: gpu\ngpus_per_node: 2\nscratch: /tmp\n"
SITE_OF_THE_PAPER = SITE.replace("gpu\n", "paper_gpu\ncpu_partition: paper_cpu\n", 1)
# The sizes of smoke, no conda, and no waiting for a network: everything else is the profile's.
FLAGS = (
    *("--configfile", "config/smoke.yaml", "--sdm", "env-modules", "--latency-wait", "5"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
)
# As many jobs of a whole paper as keep two cores busy while Slurm and Snakemake start others.
AT_ONCE = ("--jobs", "16", "--max-jobs-per-timespan", "100/1s")


def workflow(
    slurm: LocalSlurm, folder: Path, *arguments: str, flags: tuple[str, ...] = FLAGS
) -> subprocess.Popen[str]:
    """Start `snakemake --profile b200` in a copy of the repository, as on a login node."""
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(binaries), slurm.environment["PATH"]])
    output = (folder / "workflow.log").open("a")
    return subprocess.Popen(
        [str(binaries / "snakemake"), "--profile", "b200", *flags, *arguments],
        cwd=folder,
        env=environment | {"PATH": path},
        text=True,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def said(folder: Path) -> str:
    """All that the workflow printed in a folder."""
    return (folder / "workflow.log").read_text()
