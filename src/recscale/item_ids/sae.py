"""TopK sparse auto-encoder: an item's semantic id is its k strongest latents (Appendix B.1).

x_hat = W_dec TopK(ReLU(W_enc (x - b) + c)) + b with unit decoder columns, trained to reconstruct
the embeddings of training items (Gao et al., 2024). Latents are REC numbers; an item's codes are
its k latents in the order of activation, strongest first, as the paper orders them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from recscale import seeds
from recscale.errors import UserError
from recscale.item_ids.quantiser import Quantiser, require_finite
from recscale.logs import logger, progress

log = logger("item_ids.sae")

ROWS_IN_CACHE = 256  # vectors whose activations are made and looked through at once
LATENTS_AT_ONCE = 64


@dataclass(frozen=True)
class Settings:
    """The `item_ids.sae` block of the config."""

    latents: int
    active: int
    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class SparseQuantiser(Quantiser):
    """A fitted auto-encoder: encoder and decoder (latents, dimensions), threshold (latents,), bias
    (dimensions,), and how many latents are active for an item."""

    encoder: NDArray[np.float32]
    decoder: NDArray[np.float32]
    threshold: NDArray[np.float32]
    bias: NDArray[np.float32]
    active: int

    @property
    def width(self) -> int:
        """Active latents an item."""
        return int(self.active)

    @property
    def rec_tokens(self) -> int:
        """Latents."""
        return len(self.encoder)

    @property
    def dimensions(self) -> int:
        """Of the encoder's input."""
        return int(self.encoder.shape[1])

    def strongest(
        self, vectors: NDArray[np.floating], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The `count` strongest latents of each vector and their activations, (rows, count) each.

        Strongest first, ties by the smaller number. Latents that do not fire follow those that do,
        so that every item has the same number of codes.
        """
        torch.set_num_threads(1)  # sums would differ in their last bits between thread counts
        encoder, bias = torch.from_numpy(self.encoder), torch.from_numpy(self.bias)
        latents = np.empty((len(vectors), count), np.int64)
        activations = np.empty((len(vectors), count), np.float32)
        products = torch.empty(min(len(vectors), ROWS_IN_CACHE), self.rec_tokens)
        for start in range(0, len(vectors), ROWS_IN_CACHE):
            rows = slice(start, start + ROWS_IN_CACHE)
            data = torch.from_numpy(np.ascontiguousarray(vectors[rows], dtype=np.float32))
            made = torch.mm(data - bias, encoder.T, out=products[: len(data)]).numpy()
            _keep_strongest(made, self.threshold, latents[rows], activations[rows])
        return latents, activations

    def candidates(self, vectors: NDArray[np.floating], count: int) -> NDArray[np.int64]:
        """As `Quantiser.candidates`: further candidates have another last code.

        Candidate j ends in the j-th strongest of the latents after the first `width` - 1; what is
        beyond the last latent repeats it.
        """
        order, _ = self.strongest(vectors, min(self.width + count - 1, self.rec_tokens))
        found = np.repeat(order[:, None, : self.width], count, axis=1)
        last = np.minimum(np.arange(count) + self.width - 1, order.shape[1] - 1)
        found[:, :, -1] = order[:, last]
        return found

    def reconstruct(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """The decoded latents with their activations, of which the codes keep the order only."""
        latents, values = self.strongest(vectors, self.width)
        weights = np.maximum(values, 0)[..., None]
        return (weights * self.decoder[latents]).sum(1, dtype=np.float32) + self.bias


@numba.njit(nogil=True, cache=True)
def _keep_strongest(
    products: NDArray, threshold: NDArray, latents: NDArray, activations: NDArray
) -> None:
    """Fill latents and activations (rows, count), strongest first, from products + threshold.

    Most latents are weaker than the `count` strongest before them: they are passed over in blocks,
    with no more than a comparison each.
    """
    rows, count = latents.shape
    for row in range(rows):
        kept = 0
        for start in range(0, len(threshold), LATENTS_AT_ONCE):
            made = products[row, start : start + LATENTS_AT_ONCE]
            offset = threshold[start : start + LATENTS_AT_ONCE]
            if kept == count:
                weakest = activations[row, count - 1]
                stronger = 0
                for n in range(len(made)):
                    stronger += made[n] + offset[n] > weakest
                if stronger == 0:
                    continue
            for n in range(len(made)):
                activation = made[n] + offset[n]
                if kept == count and not activation > activations[row, count - 1]:
                    continue
                place = min(kept, count - 1)
                while place > 0 and activations[row, place - 1] < activation:
                    activations[row, place] = activations[row, place - 1]
                    latents[row, place] = latents[row, place - 1]
                    place -= 1
                activations[row, place] = activation
                latents[row, place] = start + n
                kept = min(kept + 1, count)


class SparseAutoEncoder(torch.nn.Module):
    """What is trained: `latents` latents, of which the `active` strongest fire for an item."""

    def __init__(self, dimensions: int, latents: int, active: int) -> None:
        super().__init__()
        self.active = active
        directions = torch.nn.functional.normalize(torch.randn(latents, dimensions), dim=1)
        self.bias = torch.nn.Parameter(torch.zeros(dimensions))
        self.threshold = torch.nn.Parameter(torch.zeros(latents))
        self.encoder = torch.nn.Parameter(directions.clone())
        self.decoder = torch.nn.Parameter(directions.clone())

    def activations(self, x: torch.Tensor) -> torch.Tensor:
        """Latents of the rows of x before the choice of k: shape (rows, latents)."""
        return (x - self.bias) @ self.encoder.T + self.threshold

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The reconstruction of x and the latents that fired, in no order."""
        strongest = self.activations(x).topk(self.active, dim=1)
        weights = torch.relu(strongest.values)
        decoded = (weights[..., None] * self.decoder[strongest.indices]).sum(1) + self.bias
        return decoded, strongest.indices[weights > 0]

    @torch.no_grad()
    def normalise_decoder(self) -> None:
        """Unit decoder rows: activations are then comparable between latents."""
        self.decoder.copy_(torch.nn.functional.normalize(self.decoder, dim=1))


def fit(vectors: NDArray[np.floating], settings: Settings, seed: int) -> SparseQuantiser:
    """Fit to the vectors (training items, or passages of general text, dimensions).

    Latents that did not fire during an epoch are given a new start at the items reconstructed
    worst, in the first half of training, so that the vocabulary is used.

    Raises:
        UserError: fewer rows than latents, more codes an item than latents, or a vector that is not
            finite.
    """
    if len(vectors) < settings.latents or settings.active > settings.latents:
        raise UserError(
            f"item_ids.sae.latents is {settings.latents} for {len(vectors)} training items and "
            f"{settings.active} codes an item",
            "choose fewer latents than items and at least as many as codes",
        )
    require_finite(vectors)
    torch.set_num_threads(1)
    torch.manual_seed(seeds.derive(seed, "sae", "weights"))
    data = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    model = SparseAutoEncoder(data.shape[1], settings.latents, settings.active)
    with torch.no_grad():
        model.bias.copy_(data.mean(0))
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    order = seeds.generator(seed, "sae", "order")
    for epoch in progress(range(settings.epochs), desc="sae"):
        fired = torch.zeros(settings.latents, dtype=torch.bool)
        errors = torch.zeros(len(data))
        shuffled = torch.from_numpy(order.permutation(len(data)))
        for rows in shuffled.split(settings.batch_size):
            decoded, firing = model(data[rows])
            error = (decoded - data[rows]).square().sum(1)
            optimiser.zero_grad()
            error.mean().backward()
            optimiser.step()
            model.normalise_decoder()
            fired[firing] = True
            errors[rows] = error.detach()
        if epoch < settings.epochs // 2:
            _revive(model, optimiser, ~fired, data, errors)
    used = int(fired.sum())
    loss = float(errors.mean() / (data - data.mean(0)).square().sum(1).mean())
    log.info("unexplained variance %.4f, %d of %d latents fired", loss, used, settings.latents)
    parameters = (model.encoder, model.decoder, model.threshold, model.bias)
    encoder, decoder, threshold, bias = (p.detach().numpy().copy() for p in parameters)
    return SparseQuantiser(encoder, decoder, threshold, bias, settings.active)


@torch.no_grad()
def _revive(
    model: SparseAutoEncoder,
    optimiser: torch.optim.Adam,
    dead: torch.Tensor,
    data: torch.Tensor,
    errors: torch.Tensor,
) -> None:
    """Point dead latents at the items with the largest errors and forget their momentum."""
    dead_rows = dead.nonzero().ravel()
    worst = errors.argsort(descending=True, stable=True)[: len(dead_rows)]
    dead_rows = dead_rows[: len(worst)]
    decoded, _ = model(data[worst])
    directions = torch.nn.functional.normalize(data[worst] - decoded, dim=1)
    model.decoder[dead_rows] = directions
    model.encoder[dead_rows] = directions
    model.threshold[dead_rows] = 0.0
    for parameter in (model.decoder, model.encoder, model.threshold):
        for moment in ("exp_avg", "exp_avg_sq"):
            optimiser.state[parameter][moment][dead_rows] = 0.0
