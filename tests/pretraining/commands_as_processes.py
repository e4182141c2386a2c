"""Run commands as processes of their own that share one import of torch and transformers.

The argument is a JSON list of steps; the commands of a step, each `[module, options, environment]`,
run side by side. Exits with status 1 when a command fails. A moment of `killed_run.arm` in the
variable STRIKE ends the process then.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

from killed_run import arm

import recscale.pretraining.evaluation
import recscale.pretraining.trainer  # noqa: F401


def main() -> None:
    for step in json.loads(sys.argv[1]):
        processes = []
        for module, options, environment in step:
            process = os.fork()
            if process == 0:
                os.environ.update(environment)
                if "STRIKE" in os.environ:
                    arm(*json.loads(os.environ["STRIKE"]))
                sys.argv = [module, *options]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
                sys.exit(0)
            processes.append(process)
        if any([os.waitpid(process, 0)[1] for process in processes]):
            sys.exit(1)


if __name__ == "__main__":
    main()
