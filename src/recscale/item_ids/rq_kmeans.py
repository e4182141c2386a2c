"""RQ-kmeans: residual quantisation with k-means codebooks, by faiss (Appendix B.1 and Table 9).

The first layer clusters the vectors, each later one what the layers before leave. As in the paper's
Table 9 codebooks are learnt progressively, in ever more dimensions, with a beam of five.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from recscale import seeds
from recscale.errors import UserError
from recscale.item_ids.quantiser import require_finite
from recscale.item_ids.residual_search import CodebookQuantiser, search
from recscale.logs import logger

log = logger("item_ids.rq_kmeans")


@dataclass(frozen=True)
class Settings:
    """The `item_ids.rq` block of the config: layers, codes a layer, and the width of the beam."""

    layers: int
    codes: int
    beam: int


@dataclass(frozen=True)
class ResidualQuantiser(CodebookQuantiser):
    """Residual codebooks (layers, codes, dimensions), searched with a beam."""

    beam: int

    def candidates(self, vectors: NDArray[np.floating], count: int) -> NDArray[np.int64]:
        """As `Quantiser.candidates`: the codes of the smallest squared errors."""
        beam = max(self.beam, count)
        return search(vectors, self.codebooks, beam, self._gram)[:, :count]

    def reconstruct(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """The sums of the centroids that the codes name."""
        return self.decode(self.candidates(vectors, 1)[:, 0])


def check_size(vectors: NDArray, settings: Settings) -> None:
    """Refuse codebooks that vectors (rows, dimensions) cannot fill.

    Raises:
        UserError: fewer rows than codes a layer, a number of codes that is no power of two, or more
            REC numbers than an id can hold.
    """
    if len(vectors) < settings.codes:
        raise UserError(
            f"item_ids.rq.codes is {settings.codes} for {len(vectors)} training items",
            "choose fewer codes a layer than items",
        )
    if settings.codes & (settings.codes - 1) or settings.layers * settings.codes > 65536:
        raise UserError(
            f"item_ids.rq has {settings.layers} layers of {settings.codes} codes",
            "use a power of two, and 65,536 codes in all layers at most",
        )


def fit(vectors: NDArray[np.floating], settings: Settings, seed: int) -> ResidualQuantiser:
    """Fit to the vectors (training items, dimensions).

    Raises:
        UserError: as `check_size`, or a vector is not finite.
    """
    check_size(vectors, settings)
    require_finite(vectors)
    faiss.omp_set_num_threads(1)  # sums would differ in their last bits between thread counts
    dimensions = vectors.shape[1]
    quantiser = faiss.ResidualQuantizer(
        dimensions, settings.layers, settings.codes.bit_length() - 1
    )
    quantiser.train_type = faiss.ResidualQuantizer.Train_progressive_dim
    quantiser.max_beam_size = settings.beam
    quantiser.cp.seed = seeds.derive(seed, "rq_kmeans") % 2**31
    quantiser.cp.min_points_per_centroid = 1  # a small catalogue needs no warning on the console
    quantiser.train(np.ascontiguousarray(vectors, dtype=np.float32))
    centroids = faiss.vector_to_array(quantiser.codebooks)
    fitted = ResidualQuantiser(
        centroids.reshape(settings.layers, settings.codes, dimensions), settings.beam
    )
    log.info("%d layers of %d codes fitted", settings.layers, settings.codes)
    return fitted
