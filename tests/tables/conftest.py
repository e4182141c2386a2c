"""Tidy inputs for the tests of tables."""

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
