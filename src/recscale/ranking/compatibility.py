"""Makes RecBole 1.2.1 run on today's numpy and inside a job that is not its own.

RecBole reads names that numpy 2 dropped when it builds a `Config`, takes `--key=value` from the
command line over its settings, and writes TensorBoard logs and a checkpoint folder where it stands.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def restore_numpy_names() -> None:
    """Give numpy 2 the three names that RecBole's `Config` reads; call it before making one."""
    for old, new in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        if old not in np.__dict__:
            setattr(np, old, new)


@contextlib.contextmanager
def quiet_corner(folder: str | Path) -> Iterator[Path]:
    """Stand in a new folder inside `folder` with an empty command line, and delete it afterwards.

    Whatever RecBole writes lands there. `folder` itself goes as well if nothing else is in it.
    The working directory, `sys.argv` and the variable CUDA_VISIBLE_DEVICES, which RecBole
    overwrites, are restored. Paths used inside must be absolute.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    arguments = sys.argv
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        with (
            tempfile.TemporaryDirectory(dir=folder) as corner,
            contextlib.chdir(corner),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # deprecations inside RecBole, none of them ours
            sys.argv = arguments[:1]
            yield Path(corner)
    finally:
        sys.argv = arguments
        if devices is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = devices
        with contextlib.suppress(OSError):
            folder.rmdir()
