"""Run a command in processes that a signal ends at a chosen moment, and then to its end.

The argument is JSON: the module, its options, and moments `[signal, when, number]`: before the
batch of step `number` is read ("batch"), when a checkpoint of that step is written but not yet
renamed ("checkpoint"), or after so many milliseconds of training ("time"). Prints the exit
status of each process.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
from typing import Any

import recscale.pretraining.evaluation  # noqa: F401
from recscale.pretraining import checkpoints, trainer
from recscale.pretraining.sampler import MixtureSampler


def arm(name: str, when: str, number: int) -> None:
    """Make this process send itself a signal at a moment."""

    def strike() -> None:
        os.kill(os.getpid(), signal.Signals[name])

    if when == "batch":
        batch = MixtureSampler.batch

        def read(self: Any, step: int, *part: int) -> Any:
            if step == number:
                strike()
            return batch(self, step, *part)

        MixtureSampler.batch = read  # type: ignore[method-assign]
    elif when == "checkpoint":
        write_json = checkpoints.write_json

        def write(value: Any, path: Any) -> None:
            write_json(value, path)
            if value["step"] == number:
                strike()

        checkpoints.write_json = write
    else:
        train = trainer.optimiser

        def begin(*arguments: Any) -> Any:
            threading.Timer(number / 1000, strike).start()
            return train(*arguments)

        trainer.optimiser = begin


def main() -> None:
    module, options, moments = json.loads(sys.argv[1])
    statuses = []
    for moment in [*moments, None]:
        process = os.fork()
        if process == 0:
            if moment:
                arm(*moment)
            sys.argv = [module, *options]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            os._exit(0)
        status = os.waitpid(process, 0)[1]
        statuses.append(os.waitstatus_to_exitcode(status))
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
