"""Schedules, the optimiser and the loop."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
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
from recscale.pretraining.schedule import (
    decay_start,
    evaluation_steps,
    learning_rate,
    repeat_steps,
)
from recscale.pretraining.trainer import optimiser, train
from recscale.pretraining.training_table import TrainingTable
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


@given(st.integers(10, 5000), st.floats(0.5, 200))
def test_repeats_around_the_onset_are_watched_closely(steps: int, repeats: float) -> None:
    chosen = repeat_steps(steps, repeats)
    assert chosen == sorted(set(chosen)) and all(0 < step <= steps for step in chosen)
    seen = np.array(chosen) * repeats / steps
    assert (abs(seen - seen.clip(10, 30)) <= repeats / steps).all()
    if repeats < 10:
        assert chosen == []
    if repeats > 30 and steps > 100 * repeats:
        ratios = seen[1:] / seen[:-1]
        assert len(chosen) == 8 and ratios == pytest.approx(np.full(7, 1.15), rel=0.01)


def test_a_wsd_rate_is_that_of_its_trunk_until_it_decays() -> None:
    long = [learning_rate(step, 400, 10, 2.0, "wsd") for step in range(400)]
    short = [learning_rate(step, 100, 10, 2.0, "wsd") for step in range(100)]
    assert decay_start(100) == 80 and short[:81] == long[:81]
    assert short[10:81] == [2.0] * 71
    assert short[80 + 5] == pytest.approx(2.0 * (1 - 0.5))  # a quarter of the decay
    assert all(a > b for a, b in itertools.pairwise(short[80:]))
    assert 0 < short[99] < 0.06 * 2.0


def test_a_loss_that_rises_too_far_stops(accelerator: Accelerator, tmp_path: Path) -> None:
    table = TrainingTable(accelerator, "r", 10, largest_rise=1.0)
    table.last_good = "step-00000020"
    for step in range(40):
        table.add(torch.tensor(2.0 + 0.9 * (step % 2)), 0.1)
        table.write(0.1, torch.tensor(1.0))
    table.add(torch.tensor(3.6), 0.1)
    message = r"of run r has risen to 3.600 nats at step 41 \(last good checkpoint: step-00000020\)"
    with pytest.raises(UserError, match=message):
        table.write(0.1, torch.tensor(1.0))


@pytest.mark.parametrize(
    ("cuda", "wrong", "way_out"),
    [
        (None, " is a build without CUDA", f"remove its environment {sys.prefix} and make it anew"),
        ("13.0", ", built for CUDA 13.0, finds no GPU", "run on a machine with a GPU and a driver"),
    ],
)
def test_no_gpu_where_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, wrong: str, way_out: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(UserError) as raised:
        parallel.start(build(BaseSettings, settings(device="cuda"), "settings"))
    assert raised.value.what == f"settings.device is cuda, and torch {torch.__version__}{wrong}"
    assert raised.value.way_out.startswith(way_out)
    assert raised.value.way_out.endswith("or set pretraining.device to cpu")


def test_sharding_over_one_process_is_refused(accelerator: Accelerator) -> None:
    values, sampler, model = tiny_training(sharding="full")
    with pytest.raises(UserError, match="sharding is 'full', and there is one process"):
        train(accelerator, ready(accelerator, model), sampler, values, "r")


def test_a_gpu_that_is_too_small(accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    values, sampler, model = tiny_training()
    loss = ready(accelerator, model)

    def full(*ids: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(loss, "forward", full)
    with pytest.raises(UserError, match="more memory than the GPU has.*windows_at_once"):
        train(accelerator, loss, sampler, values, "r")


def test_compiled_layers_train_as_plain_ones(accelerator: Accelerator) -> None:
    """Layer by layer, with a back end that needs no C compiler."""
    values, sampler, model = tiny_training()
    _, _, twin = tiny_training()
    plain = train(accelerator, ready(accelerator, twin), sampler, values, "r").training
    for layer in model.model.layers:
        layer.compile(backend="eager")
    compiled = train(accelerator, ready(accelerator, model), sampler, values, "r").training
    assert (compiled["loss"] - plain["loss"]).abs().max() < 1e-4


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
