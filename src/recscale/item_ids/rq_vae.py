"""RQ-VAE: residual vector quantisation inside an auto-encoder (Appendix B.1, Approach 2).

The paper finds it stuck at 50.54 % collisions at 6 x 256 and says no more. Codebooks that are
learnt with an encoder are known to collapse on few codes; the usual cures are a start from k-means,
giving unused codes a new start, and gradients that are rotated through the quantiser instead of
copied. They are one switch here, so that both results can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from vector_quantize_pytorch import ResidualVQ

from recscale import seeds
from recscale.item_ids import rq_kmeans
from recscale.item_ids.quantiser import require_finite
from recscale.item_ids.residual_search import CodebookQuantiser, search
from recscale.logs import logger, progress

log = logger("item_ids.rq_vae")


@dataclass(frozen=True)
class Settings:
    """The `item_ids.rq_vae` block of the config; layers and codes are those of `item_ids.rq`."""

    hidden: int
    code_dimensions: int
    epochs: int
    batch_size: int
    learning_rate: float
    cures: bool


@dataclass(frozen=True)
class AutoEncodedQuantiser(CodebookQuantiser):
    """Codebooks (layers, codes, code dimensions) behind an encoder and before a decoder.

    Both are a hidden layer of rectified units: in_weight (hidden, dimensions), in_bias, out_weight,
    out_bias of the encoder, then of the decoder, whose names begin with `back_`.
    """

    in_weight: NDArray[np.float32]
    in_bias: NDArray[np.float32]
    out_weight: NDArray[np.float32]
    out_bias: NDArray[np.float32]
    back_in_weight: NDArray[np.float32]
    back_in_bias: NDArray[np.float32]
    back_out_weight: NDArray[np.float32]
    back_out_bias: NDArray[np.float32]

    @property
    def dimensions(self) -> int:
        """Of the encoder's input."""
        return int(self.in_weight.shape[1])

    def _encoded(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        return _two_layers(vectors, self.in_weight, self.in_bias, self.out_weight, self.out_bias)

    def candidates(self, vectors: NDArray[np.floating], count: int) -> NDArray[np.int64]:
        """As `Quantiser.candidates`: the nearest code layer by layer, as in training.

        Further candidates are those that a beam of `count` finds besides.
        """
        encoded = self._encoded(vectors)
        greedy = search(encoded, self.codebooks, 1, self._gram)
        if count == 1:
            return greedy
        found = search(encoded, self.codebooks, count, self._gram)
        # The greedy code first; where the beam found it too, it must not come twice.
        again = (found == greedy).all(2)
        order = np.argsort(~again, axis=1, kind="stable")[..., None]
        ordered = np.take_along_axis(found, order, axis=1)
        ordered[~again.any(1), 1:] = found[~again.any(1), :-1]
        ordered[:, 0] = greedy[:, 0]
        return ordered

    def reconstruct(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """What the decoder makes of the codes."""
        summed = self.decode(self.candidates(vectors, 1)[:, 0])
        back = (self.back_in_weight, self.back_in_bias, self.back_out_weight, self.back_out_bias)
        return _two_layers(summed, *back)


def _two_layers(x: NDArray[np.floating], *layers: NDArray[np.float32]) -> NDArray[np.float32]:
    torch.set_num_threads(1)  # sums would differ in their last bits between thread counts
    first, first_bias, second, second_bias = map(torch.from_numpy, layers)
    data = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    return (torch.relu(data @ first.T + first_bias) @ second.T + second_bias).numpy()


def _perceptron(inputs: int, hidden: int, outputs: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
    )


def fit(
    vectors: NDArray[np.floating], settings: Settings, shape: rq_kmeans.Settings, seed: int
) -> AutoEncodedQuantiser:
    """Fit to the vectors (training items, dimensions).

    Raises:
        UserError: as `rq_kmeans.check_size`, or a vector is not finite.
    """
    rq_kmeans.check_size(vectors, shape)
    require_finite(vectors)
    torch.set_num_threads(1)
    torch.manual_seed(seeds.derive(seed, "rq_vae", "weights"))
    data = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    encoder = _perceptron(data.shape[1], settings.hidden, settings.code_dimensions)
    decoder = _perceptron(settings.code_dimensions, settings.hidden, data.shape[1])
    quantiser = ResidualVQ(
        dim=settings.code_dimensions,
        num_quantizers=shape.layers,
        codebook_size=shape.codes,
        kmeans_init=settings.cures,
        threshold_ema_dead_code=2 if settings.cures else 0,
        rotation_trick=settings.cures,
    )
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate)
    order = seeds.generator(seed, "rq_vae", "order")
    quantiser.train()
    total = 0.0
    for _ in progress(range(settings.epochs), desc="rq_vae"):
        total = 0.0
        shuffled = torch.from_numpy(order.permutation(len(data)))
        for rows in shuffled.split(settings.batch_size):
            quantised, _, commitment = quantiser(encoder(data[rows])[None])
            error = (decoder(quantised[0]) - data[rows]).square().sum(1).mean()
            optimiser.zero_grad()
            (error + commitment.sum()).backward()
            optimiser.step()
            total += float(error.detach()) * len(rows)
    spread = float((data - data.mean(0)).square().sum(1).mean())
    log.info("unexplained variance %.4f", total / len(data) / spread)
    codebooks = quantiser.codebooks.detach().numpy()
    arrays = [a.detach().numpy().copy() for a in parameters]
    return AutoEncodedQuantiser(np.ascontiguousarray(codebooks), *arrays)
