"""Put into a copy of the repository as src/sitecustomize.py: watches and disturbs its trainings.

Python imports a module of that name at its start. A process of CPT notes each step it takes in
drill/steps; where drill/delay says so, steps take that many seconds longer, in the next process
alone; while drill/held is there it takes none; at the step in drill/killed it is killed once, as
the kernel kills what takes the memory of others.
"""

import os
import signal
import sys
import time
from pathlib import Path

DRILL = Path("drill")


def taken(name: str) -> str | None:
    """The content of a file, which is there once."""
    try:
        text = (DRILL / name).read_text()
        (DRILL / name).unlink()
    except OSError:
        return None
    return text


def watch() -> None:
    """Wrap the reading of a step's batch."""
    from recscale.pretraining.sampler import MixtureSampler

    batch, delay = MixtureSampler.batch, float(taken("delay") or 0)

    def watched(self, step, *part):
        with (DRILL / "steps").open("a") as file:
            file.write(f"{step}\n")
        time.sleep(delay)
        while (DRILL / "held").exists():
            time.sleep(0.05)
        if (DRILL / "killed").exists() and step == int((DRILL / "killed").read_text()):
            (DRILL / "killed").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return batch(self, step, *part)

    MixtureSampler.batch = watched


if DRILL.is_dir() and sys.orig_argv[1:3] == ["-m", "recscale.pretraining.cpt"]:
    watch()
