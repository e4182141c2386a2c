"""Schedules, the optimiser and the loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import given
from hypothesis import strategies as st

from recscale.errors import UserError
from recscale.pretraining import parallel
from recscale.pretraining.base import BaseSettings
from recscale.pretraining.loss import ready
from recscale.pretraining.model import ModelSettings, new_model
from recscale.pretraining.sampler import MixtureSampler
from recscale.pretraining.schedule import evaluation_steps, learning_rate
from recscale.pretraining.trainer import optimiser, train
from recscale.settings import build

from .tiny_curriculum import TINY, settings


def tiny_training(**changes: Any) -> tuple[BaseSettings, MixtureSampler, Any]:
    """Settings of 20 steps, a sampler of random windows, a model."""
    values = settings(tokens=20 * 4 * 8, batch_windows=4, warm_up_steps=5, **changes)
    windows = np.random.default_rng(0).integers(0, 30, (12, 8)).astype(np.uint16)
    torch.manual_seed(0)
    return (
        build(BaseSettings, values, "settings"),
        MixtureSampler({"base": (1.0, windows)}, 4, 0, rows=30),
        new_model(ModelSettings(**TINY), 30, 8, 0),
    )


def test_learning_rate_at_known_steps() -> None:
    rates = [learning_rate(step, 110, 10, 2.0) for step in range(110)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == pytest.approx(2.0)  # the peak ends the warm-up
    assert rates[60] == pytest.approx(1.0)  # half way down the cosine
    assert rates[85] == pytest.approx(1 + np.cos(0.75 * np.pi))
    assert learning_rate(110, 110, 10, 2.0) == pytest.approx(0)
    assert learning_rate(0, 10, 0, 2.0) == 2.0


@given(st.integers(1, 2000), st.integers(0, 100), st.integers(1, 30))
def test_evaluation_steps_rise_to_the_end(steps: int, warm_up: int, evaluations: int) -> None:
    chosen = evaluation_steps(steps, warm_up, evaluations)
    first = min(steps, max(1, warm_up, -(-steps // 60)))
    assert chosen == sorted(set(chosen))
    assert chosen[-1] == steps and chosen[0] >= first
    assert len(chosen) == min(evaluations, steps - first + 1)


def test_evaluation_steps_of_the_mini_rung() -> None:
    chosen = evaluation_steps(732, 30, 14)
    assert len(chosen) == 14 and chosen[0] == 30
    ratios = np.diff(np.log(chosen))
    assert ratios == pytest.approx(np.full(13, np.log(732 / 30) / 13), abs=0.02)


def test_weight_decay_is_on_matrices_only() -> None:
    values, _, model = tiny_training()
    matrices, vectors = optimiser(model, values).param_groups
    assert matrices["weight_decay"] == 0.1 and vectors["weight_decay"] == 0
    assert all(p.ndim >= 2 for p in matrices["params"])
    assert all(p.ndim == 1 for p in vectors["params"])
    assert matrices["betas"] == (0.9, 0.95)
    together = matrices["params"] + vectors["params"]
    assert {id(p) for p in together} == {id(p) for p in model.parameters()}


def test_training_is_adamw_on_the_batches(accelerator: Accelerator) -> None:
    """The loop against the same steps written out with transformers' own loss."""
    values, sampler, model = tiny_training(log_every=6)
    _, _, twin = tiny_training()
    table = train(accelerator, ready(accelerator, model), sampler, values, "r").training
    adamw = optimiser(twin, values)
    losses, norms = [], []
    for step in range(20):
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step, 20, 5, 0.01)
        ids = torch.from_numpy(sampler.batch(step))
        loss = twin(input_ids=ids, labels=ids).loss
        adamw.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0).item())
        adamw.step()
        losses.append(loss.item())
    assert table["step"].tolist() == [6, 12, 18, 20]
    assert table["tokens"].tolist() == [32 * s for s in (6, 12, 18, 20)]
    means = [np.mean(part) for part in np.split(np.array(losses), [6, 12, 18])]
    assert table["loss"].to_numpy() == pytest.approx(means, rel=1e-4)
    assert table["gradient_norm"].to_numpy() == pytest.approx(
        [norms[s - 1] for s in (6, 12, 18, 20)], rel=1e-3
    )
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_loss_that_is_not_finite_names_run_and_step(accelerator: Accelerator) -> None:
    values, sampler, model = tiny_training()

    def poison(step: int) -> list[dict[str, Any]]:
        with torch.no_grad():
            next(model.parameters()).fill_(float("nan"))
        return []

    with pytest.raises(UserError, match="loss of run size1-x is nan at step 13"):
        train(accelerator, ready(accelerator, model), sampler, values, "size1-x", {12}, poison)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "settings.precision is 'fp16'; it must be bf16 or fp32"),
        (
            {"batch_windows": 4},
            "settings.batch_windows is 4, there are 3 processes that take 1 windows",
        ),
    ],
)
def test_what_the_accelerator_refuses(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 3))
    with pytest.raises(UserError, match=message):
        parallel.start(build(BaseSettings, settings(**changes), "settings"))


def test_a_run_within_its_warm_up_is_refused() -> None:
    values = build(BaseSettings, settings(tokens=4 * 24 * 4), "settings")
    with pytest.raises(UserError, match="are 4 steps, the warm-up alone is 4"):
        values.steps(24)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "no")])
def test_bf16_needs_a_device_that_computes_in_it(
    fast: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": fast})
    values = build(BaseSettings, settings(precision="bf16"), "settings")
    assert parallel.start(values).mixed_precision == precision


def test_bf16_autocast_trains_as_fp32_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    losses = {}
    for precision in ("bf16", "fp32"):
        AcceleratorState._reset_state(reset_partial_state=True)
        values, sampler, model = tiny_training(precision=precision)
        accelerator = parallel.start(values)
        trained = train(accelerator, ready(accelerator, model), sampler, values, "r")
        losses[precision] = trained.training
        assert next(model.parameters()).dtype == torch.float32
    difference = losses["bf16"]["loss"] - losses["fp32"]["loss"]
    assert 0 < difference.abs().max() < 0.02
