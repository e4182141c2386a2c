"""Logging and progress of a command: to standard error, which a workflow rule sends to its log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def logger(name: str) -> logging.Logger:
    """The logger of a module, with time stamps, on standard error."""
    root = logging.getLogger("recscale")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    return logging.getLogger(name if name.startswith("recscale") else f"recscale.{name}")


def progress(items: Iterable[T] | None = None, **options: Any) -> tqdm:
    """A progress bar on standard error that writes at most one line in ten seconds to a file."""
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(items, mininterval=interval, file=sys.stderr, **options)
