"""A conda channel in a folder: `python`, which is the running interpreter, and `pip`.

Everything else that an environment of envs/ names is a pip pin, which the package index has.
"""

from __future__ import annotations

import asyncio
import ensurepip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rattler import Platform
from rattler.index import index_fs

SHORT = f"{sys.version_info.major}.{sys.version_info.minor}"
FULL = f"{SHORT}.{sys.version_info.micro}"
INTERPRETER = Path(sys.executable).resolve()


@dataclass
class Package:
    """A conda package: what its index says, its files by path, and its symbolic links."""

    name: str
    version: str
    depends: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    # What a package without an architecture says of its commands; None: it has an architecture.
    noarch: dict[str, Any] | None = None

    def write(self, channel: Path) -> None:
        """Write it into its folder of a channel."""
        subdir = "noarch" if self.noarch else str(Platform.current())
        (channel / subdir).mkdir(parents=True, exist_ok=True)
        path = channel / subdir / f"{self.name}-{self.version}-0.tar.bz2"
        about = {"build": "0", "build_number": 0, "depends": self.depends, "subdir": subdir}
        index = {"name": self.name, "version": self.version, **about}
        listed: list[dict[str, Any]] = [
            {"_path": name, "path_type": "softlink", "size_in_bytes": 0} for name in self.links
        ]
        for name, data in self.files.items():
            digest = hashlib.sha256(data).hexdigest()
            entry = {"_path": name, "path_type": "hardlink", "sha256": digest}
            listed.append({**entry, "size_in_bytes": len(data)})
        info = {"info/paths.json": {"paths": listed, "paths_version": 1}, "info/index.json": index}
        if self.noarch:
            index["noarch"] = self.noarch["type"]
            info["info/link.json"] = {"noarch": self.noarch, "package_metadata_version": 1}
        with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
            for name, value in info.items():
                add(archive, name, json.dumps(value).encode())
            for name, data in self.files.items():
                add(archive, name, data)
            for name, target in self.links.items():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                archive.addfile(link)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to an archive."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))


def interpreter() -> Package:
    """The running interpreter, with site-packages of its own, as in a virtual environment."""
    settings = {"home": str(INTERPRETER.parent), "include-system-site-packages": "false"}
    lines = [f"{key} = {value}\n" for key, value in {**settings, "version": FULL}.items()]
    return Package(
        "python",
        FULL,
        files={
            "pyvenv.cfg": "".join(lines).encode(),
            f"lib/python{SHORT}/site-packages/README.txt": b"Packages of this environment.\n",
        },
        links={
            "bin/python": str(INTERPRETER),
            "bin/python3": "python",
            f"bin/python{SHORT}": "python",
        },
    )


def pip() -> Package:
    """The pip that the interpreter bundles, with its command."""
    wheel = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        files = {f"site-packages/{name}": archive.read(name) for name in names}
    commands = ["pip = pip._internal.cli.main:main"]
    return Package(
        "pip",
        wheel.name.split("-")[1],
        depends=["python"],
        files=files,
        noarch={"type": "python", "entry_points": commands},
    )


def make_channel(channel: Path) -> None:
    """Write the two packages and the channel's index."""
    interpreter().write(channel)
    pip().write(channel)

    async def index() -> None:
        await index_fs(channel)

    asyncio.run(index())
