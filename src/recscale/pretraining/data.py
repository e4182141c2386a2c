"""What a training reads: the tokenizer's ids, packed windows, and the mixture of domains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recscale.contracts import TRAINING_DOMAINS
from recscale.errors import UserError
from recscale.files import read_array, read_json, sha256

UIH_SETS = ("full", "reduced", "fresh", "real", "rewired")
_REBUILD = "delete the windows and run their target again"


@dataclass(frozen=True)
class Vocabulary:
    """What the ids of a tokenizer mean (its folder's manifest.json).

    Ids below `base_vocabulary` are ordinary text tokens. An item is written `rec_open`, its codes,
    `rec_close`; REC number k has the id `first_rec + k`.
    """

    vocabulary: int
    base_vocabulary: int
    rec_open: int
    rec_close: int
    first_rec: int
    rec_count: int
    end_of_text: int
    number_ids: tuple[int, ...]
    sha256: str


def read_vocabulary(tokenizer: Path) -> Vocabulary:
    """Read a tokenizer folder's manifest.

    Raises:
        UserError: the manifest is missing, lacks a key, or belongs to another tokenizer.json.
    """
    path = tokenizer / "manifest.json"
    values = read_json(path)
    try:
        known = {name: values[name] for name in Vocabulary.__dataclass_fields__}
    except KeyError as error:
        raise UserError(f"{path} lacks the key {error}", "build the tokenizer again") from None
    known["number_ids"] = tuple(known["number_ids"])
    found = Vocabulary(**known)
    if sha256(tokenizer / "tokenizer.json") != found.sha256:
        raise UserError(
            f"{path} describes another tokenizer.json than the one beside it",
            "build the tokenizer again",
        )
    return found


def read_windows(path: Path, vocabulary: Vocabulary) -> NDArray[np.integer]:
    """Memory-map the windows of one domain, of shape `(windows, length)`.

    Raises:
        UserError: the file is missing, truncated or empty, was written with another tokenizer, or
            disagrees with its manifest.
    """
    manifest_path = path.with_suffix(".json")
    manifest = read_json(manifest_path)
    if manifest.get("tokenizer") != vocabulary.sha256:
        raise UserError(f"{path} was written with another tokenizer", _REBUILD)
    if manifest.get("vocabulary") != vocabulary.vocabulary:
        raise UserError(
            f"{manifest_path} states a vocabulary of {manifest.get('vocabulary')}, the tokenizer "
            f"has {vocabulary.vocabulary}",
            _REBUILD,
        )
    windows = read_array(path, memory_map=True)
    if windows.shape != (manifest.get("windows"), manifest.get("length")):
        raise UserError(
            f"{path} has the shape {windows.shape}, {manifest_path.name} states "
            f"({manifest.get('windows')}, {manifest.get('length')})",
            _REBUILD,
        )
    if len(windows) == 0:
        raise UserError(f"{path} holds no windows", "give its domain more text in the config")
    return windows


def reduced_windows(tokens: int, length: int) -> int:
    """Windows of the reduced UIH set: what Table 6's repeats imply, 15 % of D seen 122.3 times."""
    return max(1, round(0.15 * tokens / 122.3 / length))


@dataclass(frozen=True)
class Mixture:
    """Shares of the training tokens (Tables 2, 5 and 6); they sum to one."""

    general: float
    item_text: float
    cf: float
    uih: float


# UIH sets of as many windows as the walks they stand for have, so that repeats are the same.
AS_MANY_AS_WALKS = ("real", "rewired")


def files_of_mixture(folder: Path, mixture: Mixture, uih: str) -> dict[str, Path]:
    """The windows that each domain of a mixture is read from.

    Raises:
        UserError: `uih` is no UIH set.
    """
    if uih not in UIH_SETS:
        raise UserError(f"settings.uih is {uih!r}", f"it must be one of {', '.join(UIH_SETS)}")
    uih_file = "uih" if uih in ("full", "reduced") else f"uih_{uih}"
    names = {domain: uih_file if domain == "uih" else domain for domain in TRAINING_DOMAINS}
    used = [domain for domain in TRAINING_DOMAINS if getattr(mixture, domain) > 0]
    return {domain: folder / f"{names[domain]}.npy" for domain in used}


def _uih_windows(path: Path, uih: str, tokens: int, vocabulary: Vocabulary) -> NDArray[np.integer]:
    """The windows of a UIH set; raises UserError if there are too few of them."""
    windows = read_windows(path, vocabulary)
    if uih == "reduced":
        wanted = reduced_windows(tokens, windows.shape[1])
    elif uih in AS_MANY_AS_WALKS:
        wanted = len(read_windows(path.with_name("uih.npy"), vocabulary))
    else:
        wanted = len(windows)
    if wanted > len(windows):
        raise UserError(
            f"{path} has {len(windows)} windows, the {uih} set needs {wanted}",
            "raise curriculum.walks.train in the config, and its walks",
        )
    return windows[:wanted]


def read_mixture(
    folder: Path, mixture: Mixture, uih: str, tokens: int, vocabulary: Vocabulary
) -> dict[str, tuple[float, NDArray[np.integer]]]:
    """The share and the windows of every domain that a mixture uses.

    Args:
        folder: holds a file of windows for each training domain, and for each UIH set.
        mixture: the shares.
        uih: full: walks; reduced: the first `reduced_windows(tokens, length)` windows of them;
            fresh: so many walks that none is seen twice; real: stretches of real histories, and
            rewired: walks on the rewired graph, as many windows as full.
        tokens: tokens the run will see (D).
        vocabulary: the tokenizer's.

    Raises:
        UserError: the shares are negative or do not sum to one, `uih` is unknown, windows are
            missing, too few or of several lengths.
    """
    shares = {domain: getattr(mixture, domain) for domain in TRAINING_DOMAINS}
    total = sum(shares.values())
    if not math.isclose(total, 1, abs_tol=1e-6) or min(shares.values()) < 0:
        raise UserError(
            f"settings.mixture is {shares}, which sums to {total:g}",
            "its shares must not be negative and must sum to 1",
        )
    domains = {}
    for domain, path in files_of_mixture(folder, mixture, uih).items():
        if domain == "uih":
            windows = _uih_windows(path, uih, tokens, vocabulary)
        else:
            windows = read_windows(path, vocabulary)
        domains[domain] = (shares[domain], windows)
    if len({windows.shape[1] for _, windows in domains.values()}) > 1:
        raise UserError(f"the windows in {folder} have several lengths", _REBUILD)
    return domains
