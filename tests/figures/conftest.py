"""Tidy inputs for the tests of figures."""

import sys
from pathlib import Path

import pytest

import tidy_inputs
from recscale.figures import fig1, fig2, fig6a

MAINS = {"fig1": fig1.main, "fig2": fig2.main, "fig6a": fig6a.main}


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tidy files of every figure."""
    folder = tmp_path_factory.mktemp("tidy")
    for size in tidy_inputs.SIZES:
        tidy_inputs.curves(folder, size)
        tidy_inputs.fits(folder, size)
        tidy_inputs.training(folder, size)
        tidy_inputs.run_manifest(folder, size)
    for model in ("GRU4Rec", "SASRec"):
        tidy_inputs.ranks(folder, model)
    return folder


@pytest.fixture(scope="session")
def drawn(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every figure, drawn from `inputs`."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        for target, main in MAINS.items():
            arguments = tidy_inputs.figure_arguments(target, inputs, folder / target)
            patch.setattr(sys, "argv", ["command", *map(str, arguments)])
            main()
    return folder
