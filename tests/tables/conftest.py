"""Tidy inputs for the tests of tables."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tidy_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tidy files of every table."""
    folder = tmp_path_factory.mktemp("tidy")
    tidy_inputs.training_windows(folder)
    tidy_inputs.held_out_windows(folder)
    tidy_inputs.sweep(folder)
    for size in tidy_inputs.SIZES:
        tidy_inputs.fits(folder, size)
        tidy_inputs.run_manifest(folder, size)
    return folder


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call a command's main with arguments, as its command line would."""

    def call_main(main: Callable[[], None], *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        main()

    return call_main
