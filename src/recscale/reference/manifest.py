"""What a reference holds: its files, where they come from, and their hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recscale import files
from recscale.errors import UserError

MANIFEST = "manifest.json"
# What may lie beside a reference's files: measured times are no results.
BESIDE = frozenset({MANIFEST, "minutes.json"})
# Tidy files are restored; what was made of them is there to compare with, and pictures to look at.
TIDY, MADE, PICTURE = "tidy", "made", "picture"


@dataclass(frozen=True)
class Entry:
    """One file of a reference.

    Args:
        kind: `tidy`, `made` or `picture`.
        bytes: its size.
        sha256: its hash, in hexadecimal.
    """

    kind: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Reference:
    """A reference: a folder and what its manifest says of it.

    Args:
        folder: where it is.
        name: what the config called the results.
        rung: of the results.
        entries: its files by their path in the folder, which is their path in the results.
    """

    folder: Path
    name: str
    rung: str
    entries: dict[str, Entry]

    def of_kind(self, kind: str) -> list[str]:
        """The paths of one kind, in order."""
        return sorted(path for path, entry in self.entries.items() if entry.kind == kind)

    def write_manifest(self) -> None:
        """Write the manifest; equal files give equal bytes."""
        files.write_json(
            {
                "name": self.name,
                "rung": self.rung,
                "files": {path: asdict(entry) for path, entry in self.entries.items()},
                "total_files": len(self.entries),
                "total_bytes": sum(entry.bytes for entry in self.entries.values()),
            },
            self.folder / MANIFEST,
        )


def read_reference(folder: Path) -> Reference:
    """Read a reference's manifest; its files are not looked at.

    Raises:
        UserError: the manifest is missing or broken.
    """
    path = folder / MANIFEST
    value = files.read_json(path)
    try:
        entries = {name: Entry(**entry) for name, entry in value["files"].items()}
        return Reference(folder, value["name"], value["rung"], entries)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no manifest of a reference ({type(error).__name__}: {error})",
            "restore the folder from version control",
        ) from None


def verify(reference: Reference) -> None:
    """Hash every file of a reference.

    Raises:
        UserError: a file is missing, changed, or not in the manifest.
    """
    way_out = "restore the folder from version control"
    additional = sorted(set(files_below(reference.folder)) - set(reference.entries) - BESIDE)
    if additional:
        raise UserError(
            f"{reference.folder / additional[0]} is not in the manifest of the reference", way_out
        )
    for path, entry in reference.entries.items():
        file = reference.folder / path
        if not file.is_file():
            raise UserError(f"{file} is missing from the reference", way_out)
        if files.sha256(file) != entry.sha256:
            raise UserError(f"{file} is not the file that was collected: its hash differs", way_out)


def files_below(folder: Path) -> Iterator[str]:
    """The files of a folder and of those in it, by their path in the folder."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.relative_to(folder).as_posix()


def entry_of(file: Path, kind: str) -> Entry:
    """What a manifest says of a file."""
    return Entry(kind, file.stat().st_size, files.sha256(file))


def add_flag(parser: Any) -> None:
    """The flag that names a reference."""
    parser.add_argument("--reference", type=Path, required=True, help="its folder")
