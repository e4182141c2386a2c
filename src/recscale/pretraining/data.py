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


def read_mixture(
    folder: Path, mixture: Mixture, uih: str, tokens: int, vocabulary: Vocabulary
) -> dict[str, tuple[float, NDArray[np.integer]]]:
    """The share and the windows of every domain that a mixture uses.

    Args:
        folder: holds a file of windows for each training domain.
        mixture: the shares.
        uih: "full", or "reduced": the first `reduced_windows(tokens, length)` windows.
        tokens: tokens the run will see (D).
        vocabulary: the tokenizer's.

    Raises:
        UserError: the shares are negative or do not sum to one, `uih` is neither, windows are
            missing, too few or of several lengths.
    """
    shares = {domain: getattr(mixture, domain) for domain in TRAINING_DOMAINS}
    total = sum(shares.values())
    if not math.isclose(total, 1, abs_tol=1e-6) or min(shares.values()) < 0:
        raise UserError(
            f"settings.mixture is {shares}, which sums to {total:g}",
            "its shares must not be negative and must sum to 1",
        )
    if uih not in ("full", "reduced"):
        raise UserError(f"settings.uih is {uih!r}", "it must be full or reduced")
    domains = {}
    for domain, share in shares.items():
        if share > 0:
            windows = read_windows(folder / f"{domain}.npy", vocabulary)
            if domain == "uih" and uih == "reduced":
                wanted = reduced_windows(tokens, windows.shape[1])
                if wanted > len(windows):
                    raise UserError(
                        f"{folder}/uih.npy has {len(windows)} windows, the reduced set {wanted}",
                        "raise curriculum.walks.train in the config",
                    )
                windows = windows[:wanted]
            domains[domain] = (share, windows)
    if len({windows.shape[1] for _, windows in domains.values()}) > 1:
        raise UserError(f"the windows in {folder} have several lengths", _REBUILD)
    return domains
