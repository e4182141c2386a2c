"""The methods of semantic ids behind one interface: fit on training items, encode any item.

* `sae`: a sparse auto-encoder trained on the embeddings of training items;
* `sae_general`: the same, trained on passages of general text, in place of the paper's "foundation"
  auto-encoder, which was trained on another domain than items (Appendix B.1, Approach 1);
* `rq_kmeans` and `rq_vae`: residual quantisation with `item_ids.rq`'s layers and codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.errors import UserError
from recscale.item_ids import rq_kmeans, rq_vae, sae
from recscale.item_ids.catalogue import Catalogue
from recscale.item_ids.quantiser import Quantiser, read_arrays

KINDS: dict[str, type[Quantiser]] = {
    "sae": sae.SparseQuantiser,
    "sae_general": sae.SparseQuantiser,
    "rq_kmeans": rq_kmeans.ResidualQuantiser,
    "rq_vae": rq_vae.AutoEncodedQuantiser,
}


@dataclass(frozen=True)
class Settings:
    """What of the `item_ids` block a fit reads, and the seed.

    fit_items: training items fitted on, chosen by hash of their numbers; None: all.
    """

    seed: int
    fit_items: int | None
    sae: sae.Settings
    rq: rq_kmeans.Settings
    rq_vae: rq_vae.Settings


def read_vectors(embeddings: Path, catalogue: Catalogue) -> NDArray[np.float16]:
    """The items' embeddings (items, dimensions), memory-mapped.

    Raises:
        UserError: there are more or fewer than items.
    """
    vectors = files.read_array(embeddings, memory_map=True)
    if len(vectors) != len(catalogue.item_ids):
        raise UserError(
            f"{embeddings} has {len(vectors)} rows for {len(catalogue.item_ids)} items",
            "build the embeddings again from the same items.parquet",
        )
    return vectors


def to_fit_on(
    method: str,
    vectors: NDArray[np.floating],
    general: Path | None,
    catalogue: Catalogue,
    settings: Settings,
) -> NDArray[np.float32]:
    """The vectors that a method is fitted on: never a held-out item's.

    Raises:
        UserError: the method is trained on general text, and `general` is not given.
    """
    if method == "sae_general":
        if general is None:
            raise UserError("--general-embeddings is missing", "sae_general is trained on them")
        return files.read_array(general).astype(np.float32)
    rows = np.flatnonzero(catalogue.train)
    if settings.fit_items is not None and settings.fit_items < len(rows):
        seed = seeds.derive(settings.seed, "item ids", "fit items")
        order = np.argsort(seeds.uniform(seed, catalogue.item_ids[rows]), kind="stable")
        rows = np.sort(rows[order[: settings.fit_items]])
    return np.asarray(vectors[rows], dtype=np.float32)


def fit(method: str, vectors: NDArray[np.floating], settings: Settings, training: int) -> Quantiser:
    """Fit a method; `training` numbers trainings that differ in their seed only.

    Raises:
        UserError: there is no such method, or as its `fit`.
    """
    seed = seeds.derive(settings.seed, "item ids", training)
    if method in ("sae", "sae_general"):
        return sae.fit(vectors, settings.sae, seed)
    if method == "rq_kmeans":
        return rq_kmeans.fit(vectors, settings.rq, seed)
    if method == "rq_vae":
        return rq_vae.fit(vectors, settings.rq_vae, settings.rq, seed)
    raise UserError(f"item_ids.method is {method!r}", f"use one of {', '.join(KINDS)}")


def read(method: str, path: Path) -> Quantiser:
    """A fitted quantiser that `quantiser.write` wrote.

    Raises:
        UserError: the file is missing, truncated, or of another method.
    """
    kind = KINDS[method]
    arrays = read_arrays(path, kind)
    return kind(**{name: a if a.ndim else int(a) for name, a in arrays.items()})
