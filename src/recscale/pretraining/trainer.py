"""The training loop: AdamW with a linear warm-up and a cosine to zero, as in section 6.1.

Its state is the model, the optimiser and the step. Batches and learning rates are pure functions of
the step, so a run that is taken up again does what it would have done.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn

from recscale.errors import UserError
from recscale.logs import logger, progress
from recscale.pretraining.loss import NextTokenLoss
from recscale.pretraining.model import ModelSettings
from recscale.pretraining.sampler import MixtureSampler

log = logger(__name__)


@dataclass(frozen=True)
class TrainingSettings:
    """What every training needs.

    tokens: tokens to see; learning_rate: the peak; batch_windows: windows of a step, over all
    processes; warm_up_steps: steps to the peak; weight_decay: AdamW's, on matrices; gradient_clip:
    largest global norm; precision: bf16 autocast or fp32; log_every: steps of a row of the training
    table; threads: CPU threads of a process.
    """

    seed: int
    model: ModelSettings
    tokens: int
    learning_rate: float
    batch_windows: int
    warm_up_steps: int
    weight_decay: float
    gradient_clip: float
    precision: str
    log_every: int
    threads: int

    def steps(self, length: int) -> int:
        """Optimiser steps for windows of `length` tokens.

        Raises:
            UserError: there are none, or none after the warm-up.
        """
        steps = self.tokens // (self.batch_windows * length)
        if steps <= self.warm_up_steps:
            raise UserError(
                f"settings.tokens of {self.tokens} are {steps} steps, the warm-up alone is "
                f"{self.warm_up_steps}",
                "raise tokens or lower warm_up_steps",
            )
        return steps


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices in hardware.

    Without such instructions torch's bf16 products on a CPU are some twenty times slower than fp32.
    """
    if device.type != "cpu":
        return True
    return any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)


def start(settings: TrainingSettings) -> Accelerator:
    """Set the threads and make the accelerator: device, autocast and processes.

    Where the device has no bf16 instructions, a precision of bf16 becomes fp32, with a line in the
    log; `precision_in_use` says which it is.

    Raises:
        UserError: the precision is unknown, or the processes cannot share the batch evenly.
    """
    if settings.precision not in ("bf16", "fp32"):
        raise UserError(f"settings.precision is {settings.precision!r}", "it must be bf16 or fp32")
    torch.set_num_threads(settings.threads)
    bf16 = settings.precision == "bf16"
    if bf16 and not has_fast_bf16(PartialState().device):
        bf16 = False
        log.info("this CPU has no bf16 instructions: computing in fp32")
    accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no")
    if settings.batch_windows % accelerator.num_processes:
        raise UserError(
            f"settings.batch_windows is {settings.batch_windows}, there are "
            f"{accelerator.num_processes} processes",
            "make the batch a multiple of the processes",
        )
    return accelerator


def precision_in_use(accelerator: Accelerator) -> str:
    """What the accelerator computes in: bf16 (autocast) or fp32."""
    return "bf16" if accelerator.mixed_precision == "bf16" else "fp32"


def learning_rate(step: int, steps: int, warm_up: int, peak: float) -> float:
    """The learning rate of step `step` (from 0): linear to `peak`, then a cosine to zero."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def evaluation_steps(steps: int, warm_up: int, evaluations: int) -> list[int]:
    """Steps after which held-out losses are taken, spaced evenly in their logarithm.

    The first is not before the end of the warm-up nor before 1/60 of the run, the last is the end.
    A run too short for so many distinct steps is evaluated at every one.
    """
    first = min(steps, max(1, warm_up, math.ceil(steps / 60)))
    evaluations = min(evaluations, steps - first + 1)
    wanted = np.geomspace(steps, first, evaluations)  # from the end, which is always taken
    chosen = [steps]
    for number, point in enumerate(wanted[1:], start=2):
        still_to_come = evaluations - number
        chosen.append(max(min(round(point), chosen[-1] - 1), first + still_to_come))
    return chosen[::-1]


def optimiser(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW with betas 0.9 and 0.95, and weight decay on matrices only."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    vectors = [p for p in trained if p.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        fused=trained[0].device.type in ("cpu", "cuda"),
    )


class _TrainingTable:
    """Rows of the training table: means over the steps since the last row."""

    def __init__(self, accelerator: Accelerator, run: str, tokens_a_step: int) -> None:
        self.accelerator, self.run, self.tokens_a_step = accelerator, run, tokens_a_step
        self.rows: list[dict[str, object]] = []
        self._waiting: list[Tensor] = []
        self._losses: list[float] = []
        self._taken = 0
        self._seconds = 0.0

    def add(self, loss: Tensor, seconds: float) -> None:
        """Keep a step's loss on its device: reading it at once would make a GPU wait."""
        self._waiting.append(loss)
        self._seconds += seconds

    def check(self) -> None:
        """Read the losses that wait; raises UserError naming the first that is not finite."""
        if not self._waiting:
            return
        started = time.perf_counter()
        losses = self.accelerator.reduce(torch.stack(self._waiting), "mean").tolist()
        self._seconds += time.perf_counter() - started
        for number, value in enumerate(losses, start=self._taken + 1):
            if not math.isfinite(value):
                raise UserError(
                    f"the training loss of run {self.run} is {value} at step {number}",
                    "lower the learning rate, or use precision fp32",
                )
        self._taken += len(losses)
        self._losses += losses
        self._waiting = []

    def write(self, rate: float, norm: Tensor) -> None:
        """Add the row of the last step."""
        self.check()
        tokens = len(self._losses) * self.tokens_a_step
        self.rows.append(
            {
                "run": self.run,
                "step": self._taken,
                "tokens": self._taken * self.tokens_a_step,
                "loss": float(np.mean(self._losses)),
                "learning_rate": rate,
                "gradient_norm": float(norm),
                "tokens_per_second": tokens / max(self._seconds, 1e-9),
            }
        )
        self._losses, self._seconds = [], 0.0


def train(
    accelerator: Accelerator,
    loss: NextTokenLoss,
    sampler: MixtureSampler,
    settings: TrainingSettings,
    run: str,
    evaluate_at: Collection[int] = (),
    evaluate: Callable[[int], None] = lambda step: None,
) -> pd.DataFrame:
    """Train the model inside `loss` in place.

    Args:
        accelerator: from `start`.
        loss: the model; moved to the accelerator's device.
        sampler: gives each step's windows.
        settings: length, learning rate and so on.
        run: name of the run.
        evaluate_at: numbers of steps taken at which `evaluate` is called, 0 before the first.
        evaluate: called with the number of steps taken.

    Returns:
        The training table.

    Raises:
        UserError: a loss is not finite.
    """
    steps = settings.steps(sampler.length)
    prepared, adamw = accelerator.prepare(loss, optimiser(loss, settings))
    parameters = [p for p in loss.parameters() if p.requires_grad]
    table = _TrainingTable(accelerator, run, settings.batch_windows * sampler.length)
    prepared.train()
    if 0 in evaluate_at:
        evaluate(0)
    bar = progress(range(steps), desc=run, unit="step", disable=not accelerator.is_main_process)
    for step in bar:
        started = time.perf_counter()
        ids = sampler.batch(step, accelerator.process_index, accelerator.num_processes)
        rate = learning_rate(step, steps, settings.warm_up_steps, settings.learning_rate)
        for group in adamw.param_groups:
            group["lr"] = rate
        value = prepared(torch.from_numpy(ids).to(accelerator.device))
        accelerator.backward(value)
        norm = accelerator.clip_grad_norm_(parameters, settings.gradient_clip)
        adamw.step()
        adamw.zero_grad()
        table.add(value.detach(), time.perf_counter() - started)
        done = step + 1
        if done % settings.log_every == 0 or done == steps:
            table.write(rate, norm)
        if done in evaluate_at:
            table.check()
            evaluate(done)
    return pd.DataFrame(table.rows)
