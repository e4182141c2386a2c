"""Collect the reference of a finished rung: its tidy files and the numbers its artefacts show.

Command: `python -m recscale.reference.collect --results results/mini --artefacts paper/mini --rung
mini --name mini --tidy FILE ... --made FILE ... --pictures FILE ... --reference
results/reference/mini`. A file keeps its path below the folder of results or of artefacts. What an
earlier collection left and this one does not hold is deleted.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from recscale import files
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.reference.manifest import (
    BESIDE,
    MADE,
    MANIFEST,
    PICTURE,
    TIDY,
    Reference,
    add_flag,
    entry_of,
    files_below,
    read_reference,
)

log = logger("reference.collect")


def collect(
    groups: dict[str, Sequence[Path]],
    roots: Sequence[Path],
    name: str,
    rung: str,
    folder: Path,
) -> Reference:
    """Copy files into the folder of a reference and write its manifest, last.

    Args:
        groups: files by their kind: what measurements wrote, CSV files that were made of it, and
            pictures.
        roots: folders of results and of artefacts; a file keeps its path below its root.
        name: what the config calls the results.
        rung: of the results.
        folder: of the reference.

    Raises:
        UserError: a file is missing, lies below no root, has the path of another, or says that it
            is of another rung; or the folder holds the reference of another rung.
    """
    if (folder / MANIFEST).is_file() and read_reference(folder).rung != rung:
        raise UserError(
            f"{folder} holds the reference of rung {read_reference(folder).rung}, not of {rung}",
            "collect into a folder of its own",
        )
    sources: dict[str, tuple[Path, str]] = {}
    for kind, group in groups.items():
        for file in group:
            path = path_below(file, roots)
            if path in sources or path in BESIDE:
                raise UserError(f"{file} would be {path} of the reference twice", "name it once")
            check_rung(file, rung)
            sources[path] = (file, kind)
    for path, (file, _) in sources.items():
        with files.atomic(folder / path) as temporary:
            shutil.copyfile(file, temporary)
    for path in set(files_below(folder)) - set(sources) - BESIDE:
        (folder / path).unlink()
    entries = {path: entry_of(folder / path, kind) for path, (_, kind) in sources.items()}
    reference = Reference(folder, name, rung, entries)
    reference.write_manifest()
    return reference


def path_below(file: Path, roots: Sequence[Path]) -> str:
    """A file's path below the first root it lies in.

    Raises:
        UserError: it lies in none, or is missing.
    """
    if not file.is_file():
        raise UserError(f"{file} is missing", "run the target that collects the reference again")
    for root in roots:
        if file.is_relative_to(root):
            return file.relative_to(root).as_posix()
    raise UserError(
        f"{file} lies in none of {', '.join(map(str, roots))}", "collect one name's files at a time"
    )


def check_rung(file: Path, rung: str) -> None:
    """Refuse a CSV file that says it is of another rung; Parquet and JSON files do not say."""
    if file.suffix != ".csv":
        return
    frame = files.read_csv(file)
    others = sorted(set(frame.get("rung", [])) - {rung})
    if others:
        raise UserError(
            f"{file} is of rung {others[0]}, not of {rung}", "collect one rung's files at a time"
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of the rung's results")
    parser.add_argument("--artefacts", type=Path, required=True, help="folder of its artefacts")
    parser.add_argument("--rung", required=True)
    parser.add_argument("--name", required=True, help="what the config calls the results")
    parser.add_argument("--tidy", type=Path, nargs="+", required=True, help="to restore")
    parser.add_argument("--made", type=Path, nargs="*", default=[], help="to compare with")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="to look at")
    add_flag(parser)
    arguments = parser.parse_args()
    reference = collect(
        {TIDY: arguments.tidy, MADE: arguments.made, PICTURE: arguments.pictures},
        (arguments.results, arguments.artefacts),
        arguments.name,
        arguments.rung,
        arguments.reference,
    )
    size = sum(entry.bytes for entry in reference.entries.values())
    log.info("%s: %d files, %d bytes", reference.folder, len(reference.entries), size)


if __name__ == "__main__":
    run_command(main)
