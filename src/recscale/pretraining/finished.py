"""Results of a finished run, kept so that its command can give them again instead of training anew.

A job can be lost after its training has ended: killed while the workflow looks at its files, or
taken for failed because a shared file system shows them too late. Its outputs are deleted then, and
its checkpoints are gone. What is kept belongs to the run's settings and data, to the source code
and to the packages that train: where any of them is another, the run is trained from its beginning.
A run that was stopped before its end goes on after an edit, with the new code.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256 as hash_of
from importlib.metadata import version
from pathlib import Path

from accelerate import Accelerator

import recscale
from recscale.errors import UserError
from recscale.files import atomic, read_json, sha256, write_json
from recscale.logs import logger
from recscale.pretraining.checkpoints import DESCRIPTION, Identity
from recscale.pretraining.parallel import from_main
from recscale.pretraining.saved import saved_folder

log = logger(__name__)

PACKAGES = ("torch", "transformers", "accelerate", "numpy")
MANIFEST = "manifest.json"
GIVEN_AGAIN = "given_again"  # a file beside what was: the job's benchmark is of copying
_KEPT = "kept.json"


def sources() -> list[Path]:
    """The source files that training may depend on, in order."""
    root = Path(recscale.__file__).parent
    folders = [root, root / "contracts", root / "pretraining"]
    return [path for folder in folders for path in sorted(folder.glob("*.py"))]


def stamp(path: Path) -> str:
    """What tells a file from one that was written in its place, without reading it."""
    found = path.stat()
    return f"{path.name} {found.st_size} {found.st_mtime_ns}"


class Finished:
    """What is kept of a run.

    Args:
        folder: holds a folder for each training that was finished.
        identity: of the run.
        windows: files it reads that have hundreds of gigabytes, so that their times count.
        described: other files it reads, beside those of its identity.
    """

    def __init__(
        self, folder: Path, identity: Identity, windows: Iterable[Path], described: Iterable[Path]
    ) -> None:
        parts = [identity.run, *map(stamp, windows), *map(sha256, described)]
        parts += [*map(sha256, sources()), *map(version, PACKAGES)]
        self.identity = identity
        self.folder = folder / hash_of("\n".join(parts).encode()).hexdigest()[:16]

    def keep(self, outputs: Mapping[str, Path]) -> None:
        """Copy the tables of a run and its manifest, by file name; a list of them is the last."""
        for name, path in outputs.items():
            with atomic(self.folder / name) as temporary:
                shutil.copyfile(path, temporary)
        write_json({name: sha256(path) for name, path in outputs.items()}, self.folder / _KEPT)

    def given_again(
        self,
        outputs: Mapping[str, Path],
        branches: Collection[int],
        checkpoints: Path,
        accelerator: Accelerator,
    ) -> bool:
        """Write the outputs if the run was finished; returns whether it was. All processes call it.

        Where it was finished with other code or data, its checkpoints, which branches started from,
        are of no use to the training that follows, and are removed.

        Args:
            outputs: as in `keep`.
            branches: steps whose checkpoints other runs start from.
            checkpoints: their folder.
            accelerator: from `parallel.start`.
        """
        return from_main(accelerator, lambda: self._given_again(outputs, branches, checkpoints))

    def _given_again(
        self, outputs: Mapping[str, Path], branches: Collection[int], checkpoints: Path
    ) -> bool:
        if not self._is_whole(branches):
            for other in self._of_this_run():
                shutil.rmtree(checkpoints, ignore_errors=True)
                shutil.rmtree(other)
            return False
        (self.folder / GIVEN_AGAIN).touch()
        for name, path in outputs.items():
            with atomic(path) as temporary:
                shutil.copyfile(self.folder / name, temporary)
        return True

    def _is_whole(self, branches: Collection[int]) -> bool:
        if not (self.folder / _KEPT).exists():
            return False
        try:
            for name, digest in read_json(self.folder / _KEPT).items():
                if not (self.folder / name).is_file() or sha256(self.folder / name) != digest:
                    log.warning("%s was changed: the run is trained again", self.folder / name)
                    return False
            manifest = read_json(self.folder / MANIFEST)
            saved_folder(self.folder / MANIFEST, manifest)
        except UserError as error:
            log.warning("%s: the run is trained again", error.what)
            return False
        # A branch looks closely at the one it loads; all of them are too much to read here.
        kept = manifest["kept"]
        paths = [Path(kept.get(str(step), "none")) / DESCRIPTION for step in branches]
        return all(path.is_file() for path in paths)

    def _of_this_run(self) -> list[Path]:
        """Folders of trainings of the run that were finished, whatever with."""
        found = [path.parent for path in self.folder.parent.glob(f"*/{_KEPT}")]
        return [
            folder
            for folder in found
            if read_json(folder / MANIFEST)["identity"] == self.identity.run
        ]
