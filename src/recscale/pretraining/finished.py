"""Results of a finished run, kept so that its command can give them again instead of training anew.

A job can be lost after its training has ended: killed while the workflow looks at its files, or
taken for failed because a shared file system shows them too late. Its outputs are deleted then, and
its checkpoints are gone. What is kept belongs to the run's settings and data, to the source code
and to the packages that train: where any of them is another, the run is trained.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from hashlib import sha256 as hash_of
from importlib.metadata import version
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

import recscale
from recscale.errors import UserError
from recscale.files import atomic, read_json, sha256
from recscale.logs import logger
from recscale.pretraining.checkpoints import Identity, damage
from recscale.pretraining.saved import saved_folder

log = logger(__name__)

PACKAGES = ("torch", "transformers", "accelerate", "numpy")
MANIFEST = "manifest.json"


def sources() -> list[Path]:
    """The source files that training may depend on, in order."""
    root = Path(recscale.__file__).parent
    folders = [root, root / "contracts", root / "pretraining"]
    return [path for folder in folders for path in sorted(folder.glob("*.py"))]


class Finished:
    """What is kept of a run.

    Args:
        folder: holds a folder for each training that was finished; only the last stays.
        identity: of the run.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        parts = [identity.run, *map(sha256, sources()), *map(version, PACKAGES)]
        self.folder = folder / hash_of(" ".join(parts).encode()).hexdigest()[:16]

    def keep(self, outputs: Mapping[str, Path]) -> None:
        """Copy the tables of a run and its manifest, by file name; the manifest is the last."""
        for name in sorted(outputs, key=lambda name: name == MANIFEST):
            with atomic(self.folder / name) as temporary:
                shutil.copyfile(outputs[name], temporary)
        for other in self.folder.parent.iterdir():
            if other != self.folder:
                shutil.rmtree(other)

    def given_again(
        self, outputs: Mapping[str, Path], branches: Collection[int], accelerator: Accelerator
    ) -> bool:
        """Write the outputs if the run was finished; returns whether it was. All processes call it.

        Args:
            outputs: as in `keep`.
            branches: steps whose checkpoints other runs start from.
            accelerator: from `parallel.start`.
        """
        found = [accelerator.is_main_process and self._is_whole(outputs, branches)]
        broadcast_object_list(found)
        if found[0] and accelerator.is_main_process:
            for name, path in outputs.items():
                with atomic(path) as temporary:
                    shutil.copyfile(self.folder / name, temporary)
        accelerator.wait_for_everyone()
        return found[0]

    def _is_whole(self, outputs: Collection[str], branches: Collection[int]) -> bool:
        path = self.folder / MANIFEST
        if not all((self.folder / name).is_file() for name in outputs):
            return False
        try:
            manifest = read_json(path)
            saved_folder(path, manifest)
        except UserError as error:
            log.warning("%s: the run is trained again", error.what)
            return False
        kept = manifest["kept"]
        return all(str(step) in kept and not damage(Path(kept[str(step)])) for step in branches)
