"""Put the tidy files of a reference where measurements would have written them.

Command: `python -m recscale.reference.restore --reference results/reference/mini --rung mini --out
results/reviewer`. Every file of the reference is hashed first; a changed, missing or additional one
stops the command before anything is written.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from recscale import files
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.reference.manifest import TIDY, Reference, add_flag, read_reference, verify

log = logger("reference.restore")


def restore(reference: Reference, rung: str, out: Path) -> list[Path]:
    """Copy the tidy files, each at its own path, and return where they are.

    Raises:
        UserError: the reference is of another rung, or as `manifest.verify`.
    """
    if reference.rung != rung:
        raise UserError(
            f"{reference.folder} is of rung {reference.rung}, the config of {rung}",
            "name the config file of the reference's rung",
        )
    verify(reference)
    restored = []
    for path in reference.of_kind(TIDY):
        with files.atomic(out / path) as temporary:
            shutil.copyfile(reference.folder / path, temporary)
        restored.append(out / path)
    return restored


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_flag(parser)
    parser.add_argument("--rung", required=True, help="of the config")
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    arguments = parser.parse_args()
    restored = restore(read_reference(arguments.reference), arguments.rung, arguments.out)
    log.info("%s: %d files restored", arguments.out, len(restored))


if __name__ == "__main__":
    run_command(main)
