"""The pins of envs/: of each stage, of the one-environment install and of the reviewer's."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from repository_copy import ROOT

ENVS = ROOT / "envs"
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)")
# What torch's builds for CUDA require beside what its CPU build does; torch itself pins them.
OF_CUDA = re.compile(r"(nvidia|cuda)-|triton$")


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


def parsed(pins: list[str]) -> dict[str, str]:
    """Versions by normal name; each pin is exact, and no package is there twice."""
    matches = [PIN.fullmatch(pin) for pin in pins]
    assert all(matches), [pin for pin, match in zip(pins, matches, strict=True) if not match]
    found = {normal(match[1]): match[2] for match in matches if match}
    assert len(found) == len(pins)
    return found


def of_requirements(name: str) -> dict[str, str]:
    """The pins of a requirements file; hashes are left out."""
    lines = (ENVS / name).read_text().splitlines()
    return parsed([line.split()[0] for line in lines if line and not line.startswith("#")])


def of_deployment(file: Path) -> dict[str, str]:
    """What an environment's post-deployment script installs."""
    return parsed(re.findall(r"\S+==\S+", file.read_text())) if file.exists() else {}


def of_stage(stage: str) -> dict[str, str]:
    """The pins of a stage's environment and of its post-deployment script."""
    python, pip, pins = yaml.safe_load((ENVS / f"{stage}.yaml").read_text())["dependencies"]
    assert (python, pip, list(pins)) == ("python=3.11", "pip", ["pip"])
    return parsed(pins["pip"]) | of_deployment(ENVS / f"{stage}.post-deploy.sh")


def of_one_environment() -> dict[str, str]:
    """The pins of what the Makefile installs into one environment."""
    return {
        **of_requirements("lock.txt"),
        **of_requirements("recbole.txt"),
        **of_requirements("data-wheels.txt"),
    }
