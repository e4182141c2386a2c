"""Beam search for residual codes: the inner loop of RQ-kmeans and RQ-VAE (Appendix B.1, Table 9).

A residual code names one centroid a layer; the vector it stands for is their sum. The squared error
of a sum follows from the inner products of the vector with all centroids, and of centroids with
each other, so that no residual is ever computed: one matrix product, and additions of small rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from recscale.item_ids.quantiser import Quantiser

ROWS_IN_CACHE = 256  # vectors whose products are made and looked through at once


@numba.njit(nogil=True, cache=True)
def _search(
    products: NDArray, gram: NDArray, codes: int, layers: int, found: NDArray, errors: NDArray
) -> None:
    """Fill found (rows, beam, layers) and errors (rows, beam), smallest error first."""
    rows, beam = errors.shape
    path = np.zeros((beam, layers), np.int64)
    next_path = np.zeros((beam, layers), np.int64)
    error = np.zeros(beam)
    next_error = np.zeros(beam)
    next_from = np.zeros(beam, np.int64)
    next_code = np.zeros(beam, np.int64)
    cost = np.zeros(codes)
    for row in range(rows):
        width = 1
        error[0] = 0.0
        for layer in range(layers):
            first = layer * codes
            kept = 0
            for b in range(width):
                for code in range(codes):
                    cost[code] = gram[first + code, first + code] - 2 * products[row, first + code]
                for before in range(layer):
                    other = gram[path[b, before]]
                    for code in range(codes):
                        cost[code] += 2 * other[first + code]
                for code in range(codes):
                    total = error[b] + cost[code]
                    if kept == beam and total >= next_error[kept - 1]:
                        continue
                    place = kept if kept < beam else beam - 1
                    while place > 0 and next_error[place - 1] > total:
                        next_error[place] = next_error[place - 1]
                        next_from[place] = next_from[place - 1]
                        next_code[place] = next_code[place - 1]
                        place -= 1
                    next_error[place] = total
                    next_from[place] = b
                    next_code[place] = first + code
                    kept = min(kept + 1, beam)
            for b in range(kept):
                for before in range(layer):
                    next_path[b, before] = path[next_from[b], before]
                next_path[b, layer] = next_code[b]
            path, next_path = next_path, path
            error, next_error = next_error, error
            width = kept
        for b in range(beam):
            # A beam wider than all codes there are repeats the worst.
            at = min(b, width - 1)
            errors[row, b] = error[at]
            for layer in range(layers):
                found[row, b, layer] = path[at, layer]


def inner_products(codebooks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Those of all centroids with each other; codebooks (layers, codes, dimensions)."""
    torch.set_num_threads(1)  # sums would differ in their last bits between thread counts
    centroids = torch.from_numpy(_centroids(codebooks)).double()
    return (centroids @ centroids.T).numpy()


def search(
    vectors: NDArray[np.floating],
    codebooks: NDArray[np.float32],
    beam: int,
    gram: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """The `beam` best residual codes of each vector that a beam of that width finds.

    Args:
        vectors: (rows, dimensions).
        codebooks: (layers, codes, dimensions).
        beam: how many beginnings of codes are kept from layer to layer.
        gram: `inner_products` of the codebooks, if the caller has them; they take as long as some
            thousand vectors.

    Returns:
        (rows, beam, layers) REC numbers, layer * codes + code; the smallest squared error comes
        first, and of equal errors the one that was ahead in the layers before, or the smaller
        number.
    """
    layers, codes, _ = codebooks.shape
    if gram is None:
        gram = inner_products(codebooks)
    torch.set_num_threads(1)
    centroids = torch.from_numpy(_centroids(codebooks))
    found = np.empty((len(vectors), beam, layers), np.int64)
    for start in range(0, len(vectors), ROWS_IN_CACHE):
        rows = slice(start, start + ROWS_IN_CACHE)
        data = torch.from_numpy(np.ascontiguousarray(vectors[rows], dtype=np.float32))
        products = (data @ centroids.T).numpy()
        _search(products, gram, codes, layers, found[rows], np.empty((len(data), beam)))
    return found


def _centroids(codebooks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(codebooks.reshape(-1, codebooks.shape[2]))


@dataclass(frozen=True)
class CodebookQuantiser(Quantiser):
    """A method with a codebook a layer: codebooks (layers, codes, dimensions of a code)."""

    codebooks: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Layers."""
        return int(self.codebooks.shape[0])

    @property
    def rec_tokens(self) -> int:
        """Layers times codes: code c of layer l is REC number l * codes + c."""
        return int(self.codebooks.shape[0] * self.codebooks.shape[1])

    @property
    def dimensions(self) -> int:
        """Of the codebooks; a method with an encoder before them has others."""
        return int(self.codebooks.shape[2])

    @cached_property
    def _gram(self) -> NDArray[np.float64]:
        return inner_products(self.codebooks)

    def decode(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """The sums (rows, dimensions of a code) of the centroids that codes (rows, layers) name."""
        centroids = self.codebooks.reshape(self.rec_tokens, -1)
        return centroids[codes].sum(1, dtype=np.float32)
