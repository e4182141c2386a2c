"""Stopping between two steps when the system asks for it, so that the work is saved first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While entered, SIGTERM and SIGINT are noted instead of ending the process at once."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def asked(self, may_wait: bool) -> bool:
        """Whether to stop now, the same answer in every process.

        Several processes must agree, for which a GPU has to wait: without `may_wait` they never
        stop.
        """
        if self._accelerator.num_processes == 1:
            return self._asked
        if not may_wait:
            return False
        mine = torch.tensor(float(self._asked), device=self._accelerator.device)
        return bool(self._accelerator.reduce(mine, "sum") > 0)
