"""Checkpoints of a training: model, optimiser, step and the rows of its tables so far.

A batch and a learning rate are pure functions of the step, so these make a run go on as if it had
never stopped. A checkpoint is written under a temporary name, hashed and renamed, so that one of
that name is whole; torch's distributed checkpoint re-shards it for any number of processes.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as hash_of
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from accelerate import Accelerator
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.optim import Optimizer

from recscale.errors import UserError
from recscale.files import read_json, sha256, write_json
from recscale.logs import logger
from recscale.pretraining.parallel import from_main

log = logger(__name__)

KEPT = 2  # checkpoints of a run in progress, should the last one's disk fail
DESCRIPTION = "checkpoint.json"
_ENDS = 1 << 20  # bytes at each end of a file that its fingerprint reads


def fingerprint(path: Path) -> str:
    """A hash of a file's size and its ends: cheap for windows of hundreds of gigabytes."""
    size = path.stat().st_size
    digest = hash_of(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    return digest.hexdigest()


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to, as hashes.

    run: all that its results depend on; trajectory: all that its weights at this step depend on,
    which several runs may share up to that step.
    """

    run: str
    trajectory: str

    @classmethod
    def of(cls, run: dict[str, Any], trajectory: dict[str, Any]) -> Identity:
        """Hash two JSON objects."""
        texts = [json.dumps(values, sort_keys=True) for values in (run, trajectory)]
        return cls(*(hash_of(text.encode()).hexdigest() for text in texts))


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: holds a folder for each identity, so that a changed config starts anew and a
            restored one goes on.
        identity: of the run.
        accelerator: from `parallel.start`.
        every: steps between two checkpoints; the end is always one.
        keep: steps whose checkpoints stay, because other runs start from them.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        accelerator: Accelerator,
        every: int,
        keep: Collection[int] = (),
    ) -> None:
        self.folder = folder / identity.run[:16]
        self.identity, self.every, self.keep = identity, every, frozenset(keep)
        self._accelerator = accelerator
        self._whole: Path | None = None  # a checkpoint that was looked at

    def due(self, step: int, steps: int) -> bool:
        """Whether a checkpoint is to be written after `step` of `steps` steps."""
        return step % self.every == 0 or step == steps or step in self.keep

    def save(self, step: int, module: nn.Module, adamw: Optimizer, rows: dict[str, Any]) -> Path:
        """Write the checkpoint of `step`; `rows` is JSON. All processes must call this."""
        target, alone = self._path(step), self._accelerator.num_processes == 1
        temporary = target.with_name(f".{target.name}.tmp")
        if self._accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self._accelerator.wait_for_everyone()
        model_state, optimiser_state = get_state_dict(module, adamw)
        state = {"model": model_state, "optimiser": optimiser_state}
        with _quiet():
            dcp.save(state, checkpoint_id=temporary, no_dist=alone)
        if self._accelerator.is_main_process:
            files = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
            described = {**vars(self.identity), "step": step, "files": files, "rows": rows}
            write_json(described, temporary / DESCRIPTION)
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            self._remove(self.steps()[:-KEPT])
        self._accelerator.wait_for_everyone()
        return target

    def steps(self) -> list[int]:
        """The steps there are checkpoints of, in order."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*"))

    def latest(self) -> Path | None:
        """The last checkpoint that is whole; a damaged one is left out, with a line in the log.

        All processes must call this; one looks.
        """
        return from_main(self._accelerator, self._latest)

    def _latest(self) -> Path | None:
        for step in reversed(self.steps()):
            path = self._path(step)
            damaged = damage(path)
            if damaged is None:
                self._whole = path
                return path
            log.warning("%s: going back to the checkpoint before it", damaged)
        return None

    def load(self, path: Path, module: nn.Module, adamw: Optimizer) -> tuple[int, dict[str, Any]]:
        """Restore module and optimiser in place from a checkpoint of this run or its trunk.

        All processes must call this.

        Returns:
            Its step and its rows.

        Raises:
            UserError: it is missing or damaged, or of a run with other data or settings.
        """
        damaged = from_main(
            self._accelerator, lambda: None if path == self._whole else damage(path)
        )
        if damaged is not None:
            raise UserError(damaged, f"delete {path} and run the target of its run again")
        described = read_json(path / DESCRIPTION)
        if described["trajectory"] != self.identity.trajectory:
            raise UserError(
                f"{path} is a checkpoint of a run with other data or settings",
                "run the target of that run again, with the settings and data of now",
            )
        model_state, optimiser_state = get_state_dict(module, adamw)
        state: dict[str, Any] = {"model": model_state, "optimiser": optimiser_state}
        with _quiet():
            dcp.load(state, checkpoint_id=path, no_dist=self._accelerator.num_processes == 1)
        set_state_dict(
            module,
            adamw,
            model_state_dict=state["model"],
            optim_state_dict=state["optimiser"],
        )
        return described["step"], described["rows"]

    def kept(self, step: int) -> Path:
        """The checkpoint of a step that stays for other runs."""
        return self._path(step)

    def finish(self) -> None:
        """Remove what a finished run leaves; the main process does."""
        if self._accelerator.is_main_process:
            self._remove(self.steps())
            if self.folder.is_dir() and not self.steps():
                shutil.rmtree(self.folder)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _remove(self, steps: list[int]) -> None:
        for step in steps:
            if step not in self.keep:
                shutil.rmtree(self._path(step))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that a single process saves or loads, which is what is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None if it is whole."""
    try:
        described = read_json(path / DESCRIPTION)
    except UserError as error:
        return error.what
    for name, digest in described["files"].items():
        if not (path / name).is_file() or sha256(path / name) != digest:
            return f"{path / name} is missing, truncated or changed"
    return None
