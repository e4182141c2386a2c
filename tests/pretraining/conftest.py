"""Fixtures of the pre-training tests: a tiny curriculum, and accelerate on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from recscale.pretraining import base, cpt

from .tiny_curriculum import Curriculum, base_options, cpt_options, run_module, write_curriculum


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep accelerate on the CPU, with none of its global state from an earlier test."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(1)  # two would wait for each other where other processes run


@pytest.fixture
def accelerator() -> Accelerator:
    """An accelerator of one process, in fp32."""
    return Accelerator()


@pytest.fixture
def curriculum(tmp_path: Path) -> Curriculum:
    """A tiny curriculum of its own for one test."""
    return write_curriculum(tmp_path)


@pytest.fixture(scope="session")
def shared_curriculum(tmp_path_factory: pytest.TempPathFactory) -> Curriculum:
    """A tiny curriculum that tests only read."""
    return write_curriculum(tmp_path_factory.mktemp("curriculum"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Curriculum:
    """A curriculum with a base model and the run "one", which tests only read."""
    found = write_curriculum(tmp_path_factory.mktemp("trained"))
    AcceleratorState._reset_state(reset_partial_state=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        run_module(patch, base, base_options(found))
        run_module(patch, cpt, cpt_options(found, "one"))
    return found
