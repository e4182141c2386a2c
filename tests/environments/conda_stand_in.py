"""The part of conda's command line that Snakemake calls, for machines that reach no conda channel.

py-rattler solves, downloads and links conda's packages, and uv installs the `pip:` part from the
package index that pip is configured for. A channel's name is looked up below $CHANNELS, a URL; the
folder $CONDA_ROOT is conda's own, with the cache of its packages.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import rattler
import yaml

VERSION = "24.7.1"  # the oldest that Snakemake 9 accepts
# What pip calls a place to look in, and uv; pip's configuration may give several in one value.
PLACES = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "constraint": "--constraints",
}


def pip_settings() -> dict[str, list[str]]:
    """Pip's configuration: its files, then its variables, which win."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found: dict[str, tuple[bool, list[str]]] = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "install", ":env:"):
            variable = section == ":env:"
            if variable or key not in found or not found[key][0]:
                found[key] = (variable, str(ast.literal_eval(value)).split())
    return {key: values for key, (_, values) in found.items()}


def uv_command(*words: str) -> tuple[list[str], dict[str, str]]:
    """A command line of uv with pip's places, and its environment."""
    settings = pip_settings()
    # Pip takes the best version of all indexes, uv that of the first one that has the package.
    command = [sys.executable, "-m", "uv", "pip", *words, "--index-strategy", "unsafe-best-match"]
    for key, option in PLACES.items():
        for value in settings.get(key, []):
            command += [option, value]
    environment = dict(os.environ)
    for certificates in settings.get("cert", []):
        environment.setdefault("SSL_CERT_FILE", certificates)
    return command, environment


def install_pins(python: Path, pins: list[str]) -> None:
    """Install the `pip:` part of an environment."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        words = ("install", "--quiet", "--python", str(python), "-r", file.name)
        command, environment = uv_command(*words)
        done = subprocess.run(command, env=environment, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit("CondaEnvException: Pip failed")


async def link_packages(prefix: Path, channels: list[str], specs: list[str]) -> None:
    """Solve and link conda's packages."""
    cache = Path(os.environ["CONDA_ROOT"]) / "pkgs"
    names = rattler.ChannelConfig(os.environ["CHANNELS"])
    records = await rattler.solve(
        [rattler.Channel(name, names) for name in channels],
        specs,
        gateway=rattler.Gateway(cache_dir=cache / "repodata"),
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, prefix, cache_dir=cache, show_progress=False)


def create(file: Path, prefix: Path) -> None:
    """`conda env create`: an environment from its file."""
    wanted: dict[str, Any] = yaml.safe_load(file.read_text())
    parts = wanted["dependencies"]
    specs = [part for part in parts if isinstance(part, str)]
    asyncio.run(link_packages(prefix, wanted["channels"], specs))
    pins = [pin for part in parts if isinstance(part, dict) for pin in part["pip"]]
    if pins:
        install_pins(prefix / "bin/python", pins)


def main() -> None:
    """Answer as conda does."""
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"conda {VERSION}")
    elif words == ["info", "--json"]:
        platform = str(rattler.Platform.current())
        print(json.dumps({"conda_prefix": os.environ["CONDA_ROOT"], "platform": platform}))
    elif words == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[:2] == ["env", "create"]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--quiet", action="store_true")
        parser.add_argument("--no-default-packages", action="store_true")
        parser.add_argument("--file", type=Path, required=True)
        parser.add_argument("--prefix", type=Path, required=True)
        arguments = parser.parse_args(words[2:])
        create(arguments.file, arguments.prefix)
    elif words[0] == "clean":
        pass  # rattler unpacks as it downloads, and keeps no archives
    else:
        sys.exit(f"this stand-in for conda does not know: conda {' '.join(words)}")


if __name__ == "__main__":
    main()
