"""Run in an environment of envs/: import what its commands import, and start each of them.

Reads {"imports": [statements], "commands": [modules]} and writes what the environment holds.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def start(command: str) -> str | None:
    """Start a command; what went wrong, if anything."""
    run = [sys.executable, "-m", command, "--help"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout.startswith("usage: "):
        return None
    return f"python -m {command} --help ended with {done.returncode}:\n{done.stderr}"


def main() -> None:
    """Stop at the first statement or command that fails."""
    wanted = json.loads(Path(sys.argv[1]).read_text())
    for statement in wanted["imports"]:
        exec(statement, {})
    with ThreadPoolExecutor(2) as two_at_once:
        for failure in two_at_once.map(start, wanted["commands"]):
            if failure:
                sys.exit(failure)
    held = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    found = {"prefix": sys.prefix, "path": sys.path[1:], "started": wanted["commands"]}
    Path(sys.argv[2]).write_text(json.dumps({**found, "distributions": held}))


if __name__ == "__main__":
    main()
