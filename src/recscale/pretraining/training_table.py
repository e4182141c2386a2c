"""The training table of a run: the mean loss of the steps since the last row, and its watch."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from recscale.errors import UserError

_ROWS_BEFORE = 20  # a rise is over the median of so many rows


class TrainingTable:
    """Collects a run's losses and gives its rows.

    Args:
        accelerator: sums losses over processes.
        run: name of the run.
        tokens_a_step: of the global batch.
        largest_rise: nats a row's loss may lie above the median of the rows before it.
    """

    def __init__(
        self, accelerator: Accelerator, run: str, tokens_a_step: int, largest_rise: float
    ) -> None:
        self._accelerator, self._run = accelerator, run
        self._tokens_a_step, self._largest_rise = tokens_a_step, largest_rise
        self.rows: list[dict[str, Any]] = []
        self.last_good = ""  # where the last checkpoint is, for messages
        self._waiting: list[Tensor] = []
        self._losses: list[float] = []
        self._taken = 0
        self._seconds = 0.0

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON; `check` must have read the losses that wait."""
        return {"rows": self.rows, "losses": self._losses, "taken": self._taken}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.rows, self._losses = list(state["rows"]), list(state["losses"])
        self._taken = int(state["taken"])

    def skip_to(self, step: int) -> None:
        """Begin after a step that another run has taken."""
        self._taken = step

    def add(self, loss: Tensor, seconds: float) -> None:
        """Keep a step's loss on its device: reading it at once would make a GPU wait."""
        self._waiting.append(loss)
        self._seconds += seconds

    def check(self) -> None:
        """Read the losses that wait; raises UserError naming the first that is not finite."""
        if not self._waiting:
            return
        started = time.perf_counter()
        losses = self._accelerator.reduce(torch.stack(self._waiting), "mean").tolist()
        self._seconds += time.perf_counter() - started
        for number, value in enumerate(losses, start=self._taken + 1):
            if not math.isfinite(value):
                self._stop(f"is {value} at step {number}")
        self._taken += len(losses)
        self._losses += losses
        self._waiting = []

    def write(self, rate: float, norm: Tensor) -> None:
        """Add the row of the last step; raises UserError if its loss has risen too far."""
        self.check()
        loss = float(np.mean(self._losses))
        before = [row["loss"] for row in self.rows[-_ROWS_BEFORE:]]
        if len(before) == _ROWS_BEFORE and loss > np.median(before) + self._largest_rise:
            self._stop(f"has risen to {loss:.3f} nats at step {self._taken}")
        tokens = len(self._losses) * self._tokens_a_step
        self.rows.append(
            {
                "run": self._run,
                "step": self._taken,
                "tokens": self._taken * self._tokens_a_step,
                "loss": loss,
                "learning_rate": rate,
                "gradient_norm": float(norm),
                "tokens_per_second": tokens / max(self._seconds, 1e-9),
            }
        )
        self._losses, self._seconds = [], 0.0

    def _stop(self, what: str) -> None:
        good = self.last_good or "there is none"
        raise UserError(
            f"the training loss of run {self._run} {what} (last good checkpoint: {good})",
            "lower the learning rate, use precision fp32, or look at the data of that step",
        )
