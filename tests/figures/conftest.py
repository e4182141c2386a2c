"""Tidy inputs for the tests of figures."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tidy_inputs
from recscale.figures import fig1, fig2, fig3, fig4, fig5, fig6, fig7, fig12

MAINS = {
    "fig1": fig1.main,
    "fig2": fig2.main,
    "fig3": fig3.main,
    "fig4": fig4.main,
    "fig4_controls": fig4.main,
    "fig5": fig5.main,
    "fig6": fig6.main,
    "fig7": fig7.main,
    "fig12": fig12.main,
}


@pytest.fixture
def mains() -> dict[str, Callable[[], None]]:
    """The command of each figure, by target."""
    return MAINS


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tidy files of every figure."""
    folder = tmp_path_factory.mktemp("tidy")
    tidy_inputs.runs_of_figures(folder)
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
