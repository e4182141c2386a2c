"""One set of pins: the lock's. It is installed here, closed and free of conflicts."""

from __future__ import annotations

from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement

from .commands_of_rules import environments
from .pins import (
    ENVS,
    OF_CUDA,
    normal,
    of_one_environment,
    of_requirements,
    of_stage,
)

# RecBole is installed without what it requires.
RECBOLE = "recbole"


def problems(pins: dict[str, str]) -> list[str]:
    """What the pinned packages require and the pins do not give."""
    found, seen = [], set()
    waiting = [(name, "") for name in pins if name != RECBOLE]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or OF_CUDA.match(name):
            continue
        seen.add((name, extra))
        for line in distribution(name).requires or []:
            wanted = Requirement(line)
            needed = normal(wanted.name)
            if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
                continue
            if OF_CUDA.match(needed):
                continue
            if needed not in pins:
                found.append(f"{name} requires {line}, which is not pinned")
                continue
            if not wanted.specifier.contains(pins[needed], prereleases=True):
                found.append(f"{name} requires {line}, {pins[needed]} is pinned")
            waiting += [(needed, "")] + [(needed, extra) for extra in wanted.extras]
    return sorted(set(found))


def test_every_file_of_pins_is_known() -> None:
    """Another environment needs a rule that uses it, and these tests."""
    names = {"lock.txt", "recbole.txt", "data-wheels.txt", "reviewer.txt", "ranking.post-deploy.sh"}
    assert {path.name for path in ENVS.iterdir()} == names | {f"{s}.yaml" for s in environments()}


@pytest.mark.parametrize("stage", environments())
def test_a_stages_pins_are_those_of_the_one_environment_install(stage: str) -> None:
    pins = of_stage(stage)
    assert "recbole" in pins if stage == "ranking" else "recbole" not in pins
    assert len(pins) > 15
    assert pins.items() <= of_one_environment().items()


def test_the_reviewers_pins_are_those_of_the_lock() -> None:
    assert of_requirements("reviewer.txt").items() <= of_requirements("lock.txt").items()


def test_the_lock_is_what_is_installed() -> None:
    held = {name: distribution(name).version.split("+")[0] for name in of_one_environment()}
    assert held == of_one_environment()


@pytest.mark.parametrize("stage", environments())
def test_a_stages_pins_give_all_that_they_require(stage: str) -> None:
    assert not problems(of_stage(stage))


@pytest.mark.parametrize("name", ["lock.txt", "reviewer.txt"])
def test_a_requirements_file_gives_all_that_it_requires(name: str) -> None:
    assert not problems(of_requirements(name))


def test_a_pin_that_is_missing_or_of_another_version_is_named() -> None:
    pins = of_requirements("lock.txt")
    missing = {name: version for name, version in pins.items() if name != "patsy"}
    assert any("statsmodels requires patsy" in problem for problem in problems(missing))
    assert any("numba requires numpy" in problem for problem in problems({**pins, "numpy": "1.0"}))
