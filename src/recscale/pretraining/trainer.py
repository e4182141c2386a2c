"""The training loop: AdamW with the schedule and the batches of section 6.1, resumable.

Its state is the model, the optimiser and the step. Batches and learning rates are pure functions of
the step, so a run that is taken up again does what it would have done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from recscale.contracts import CONTRACTS
from recscale.errors import Interrupted, UserError
from recscale.logs import logger, progress
from recscale.pretraining.checkpoints import Checkpoints
from recscale.pretraining.interruption import Interruption
from recscale.pretraining.loss import NextTokenLoss
from recscale.pretraining.memory import check_memory
from recscale.pretraining.model import ModelSettings
from recscale.pretraining.parallel import place
from recscale.pretraining.sampler import MixtureSampler
from recscale.pretraining.schedule import SCHEDULES, learning_rate
from recscale.pretraining.training_table import TrainingTable

log = logger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What every training needs.

    tokens: D, tokens to see; horizon: share of D the run is trained for; learning_rate: the peak;
    schedule: cosine or wsd; batch_windows: windows of a step, over all processes; warm_up_steps:
    steps to the peak; weight_decay: AdamW's, on matrices; gradient_clip: largest global norm;
    precision: bf16 or fp32; log_every: steps of a row of the training table; largest_rise: nats
    that a row may lie above the rows before it.

    How it is computed, which changes results by rounding at most: device: cpu, cuda or any;
    threads: CPU threads of a process; windows_at_once: the most windows a process computes together
    (null: its whole part of the batch); sharding: none, full (over all processes) or node (over
    those of a node); compile_layers: with torch.compile; checkpoint_every: steps.
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
    largest_rise: float
    device: str
    threads: int
    windows_at_once: int | None
    sharding: str
    compile_layers: bool
    checkpoint_every: int
    horizon: float = 1.0
    schedule: str = "cosine"

    def steps(self, length: int) -> int:
        """Optimiser steps for windows of `length` tokens.

        Raises:
            UserError: there are none, or none after the warm-up, or the schedule is unknown.
        """
        if self.schedule not in SCHEDULES:
            raise UserError(
                f"settings.schedule is {self.schedule!r}", f"it must be {' or '.join(SCHEDULES)}"
            )
        tokens = int(self.tokens * self.horizon)
        steps = tokens // (self.batch_windows * length)
        if steps <= self.warm_up_steps:
            raise UserError(
                f"settings.tokens of {tokens} are {steps} steps, the warm-up alone is "
                f"{self.warm_up_steps}",
                "raise tokens or lower warm_up_steps",
            )
        return steps


# Settings that change how a run is computed, and its results by rounding at most.
HOW = (
    "device",
    "threads",
    "windows_at_once",
    "sharding",
    "compile_layers",
    "checkpoint_every",
)


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


@dataclass(frozen=True)
class Trained:
    """Tables of a finished training: its training table, and all rows its evaluations gave."""

    training: pd.DataFrame
    evaluations: list[dict[str, Any]]


def _no_evaluation(step: int) -> list[dict[str, Any]]:
    return []


class _Step:
    """One step of the optimiser, over micro-batches and processes."""

    def __init__(
        self, accelerator: Accelerator, loss: NextTokenLoss, settings: TrainingSettings
    ) -> None:
        self._accelerator, self._settings = accelerator, settings
        self.loss, self.prepared = loss, place(accelerator, loss, settings)
        self._parameters = [p for p in loss.parameters() if p.requires_grad]
        self.adamw = optimiser(loss, settings)

    def __call__(self, ids: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Take a step on this process's windows; returns its share of the loss, and the norm.

        The mean of the losses over processes is the mean over all counted targets of the batch.
        """
        accelerator, processes = self._accelerator, self._accelerator.num_processes
        for group in self.adamw.param_groups:
            group["lr"] = rate
        targets = self.loss.count_targets(ids).float()
        if processes > 1:
            targets = accelerator.reduce(targets, "sum")
        # Gradients are averaged over processes, so each gives its sum times their number.
        divisor = targets / processes
        parts = ids.split(self._settings.windows_at_once or len(ids))
        total = torch.zeros((), device=ids.device)
        for number, part in enumerate(parts, start=1):
            replicated = isinstance(self.prepared, DistributedDataParallel)
            waits = replicated and number < len(parts)
            with accelerator.no_sync(self.prepared) if waits else nullcontext():
                value = self.prepared(part, divisor=divisor)
                value.backward()
            total += value.detach()
        norm = nn.utils.clip_grad_norm_(self._parameters, self._settings.gradient_clip)
        self.adamw.step()
        self.adamw.zero_grad()
        return total, norm.full_tensor() if isinstance(norm, DTensor) else norm


def train(
    accelerator: Accelerator,
    loss: NextTokenLoss,
    sampler: MixtureSampler,
    settings: TrainingSettings,
    run: str,
    evaluate_at: Collection[int] = (),
    evaluate: Callable[[int], list[dict[str, Any]]] = _no_evaluation,
    checkpoints: Checkpoints | None = None,
    start_from: Path | None = None,
) -> Trained:
    """Train the model inside `loss` in place, from the last checkpoint if there is one.

    Args:
        accelerator: from `parallel.start`.
        loss: the model; moved to the accelerator's device.
        sampler: gives each step's windows.
        settings: length, learning rate and so on.
        run: name of the run.
        evaluate_at: numbers of steps taken at which `evaluate` is called, 0 before the first.
        evaluate: called with the number of steps taken; gives rows to keep.
        checkpoints: where the run's are; None: it cannot be resumed.
        start_from: a checkpoint of another run to begin with (a WSD branch: its trunk's).

    Raises:
        UserError: a loss is not finite or rises, or memory of a GPU is too little.
        Interrupted: the process was asked to stop; a checkpoint was written, if there is a place.
    """
    steps, done = settings.steps(sampler.length), 0
    rows: list[dict[str, Any]] = []
    table = TrainingTable(
        accelerator, run, settings.batch_windows * sampler.length, settings.largest_rise
    )
    check_memory(accelerator, loss.model, settings, sampler.length)
    step = _Step(accelerator, loss, settings)
    latest = checkpoints.latest() if checkpoints else None
    if checkpoints and latest:
        done, state = checkpoints.load(latest, loss, step.adamw)
        rows = state["evaluations"]
        table.restore(state["training"])
        table.last_good = str(latest)
        log.info("run %s goes on from step %d of %d", run, done, steps)
    elif checkpoints and start_from:
        done, _ = checkpoints.load(start_from, loss, step.adamw)
        table.skip_to(done)
    loss.train()
    if done == 0 and 0 in evaluate_at:
        rows += evaluate(0)
    bar = progress(
        range(done, steps),
        desc=run,
        unit="step",
        initial=done,
        total=steps,
        disable=not accelerator.is_main_process,
    )
    with Interruption(accelerator) as interruption:
        for number in bar:
            started = time.perf_counter()
            ids = sampler.batch(number, accelerator.process_index, accelerator.num_processes)
            rate = learning_rate(
                number, steps, settings.warm_up_steps, settings.learning_rate, settings.schedule
            )
            try:
                value, norm = step(torch.from_numpy(ids).to(accelerator.device), rate)
            except torch.OutOfMemoryError as error:
                raise UserError(
                    f"run {run} needs more memory than the GPU has ({str(error).splitlines()[0]})",
                    "lower pretraining.windows_at_once, or set pretraining.sharding to full",
                ) from None
            table.add(value, time.perf_counter() - started)
            done = number + 1
            logs = done % settings.log_every == 0 or done == steps
            if logs:
                table.write(rate, norm)
            if done in evaluate_at:
                table.check()
                rows += evaluate(done)
            stop = interruption.asked(may_wait=logs)
            if checkpoints and (stop or checkpoints.due(done, steps)):
                table.check()
                state = {"evaluations": rows, "training": table.state()}
                table.last_good = str(checkpoints.save(done, loss, step.adamw, state))
            if stop and done < steps:
                raise Interrupted(f"run {run} at step {done} of {steps}, {table.last_good}")
    columns = [column.name for column in CONTRACTS["training"].columns]
    return Trained(pd.DataFrame(table.rows, columns=columns), rows)
