"""TopK sparse auto-encoder: an item's semantic id is its k strongest latents (Appendix B.1).

x_hat = W_dec TopK(ReLU(W_enc (x - b) + c)) + b with unit decoder columns, trained to reconstruct
the embeddings of training items (Gao et al., 2024). Latents are REC numbers; an item's codes are
its k latents in the order of activation, strongest first, as the paper orders them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.errors import UserError, run_command
from recscale.item_ids.codes import collision_rate, item_id_table
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("item_ids.sae")


@dataclass(frozen=True)
class Settings:
    """The `item_ids.sae` block of the config, and the seed."""

    seed: int
    latents: int
    active: int
    epochs: int
    batch_size: int
    learning_rate: float


class SparseAutoEncoder(torch.nn.Module):
    """A TopK auto-encoder of `latents` latents, `active` of which may fire for an item."""

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


def train(vectors: NDArray[np.floating], settings: Settings) -> SparseAutoEncoder:
    """Fit the auto-encoder to `vectors` (training items, dimensions).

    Latents that did not fire during an epoch are given a new start at the items reconstructed
    worst, in the first half of training, so that the vocabulary is used.

    Raises:
        UserError: fewer training items than latents, or more codes an item than latents.
    """
    if len(vectors) < settings.latents or settings.active > settings.latents:
        raise UserError(
            f"item_ids.sae.latents is {settings.latents} for {len(vectors)} training items and "
            f"{settings.active} codes an item",
            "choose fewer latents than items and at least as many as codes",
        )
    torch.set_num_threads(1)  # sums would differ in their last bits between thread counts
    torch.manual_seed(seeds.derive(settings.seed, "sae", "weights"))
    data = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    model = SparseAutoEncoder(data.shape[1], settings.latents, settings.active)
    with torch.no_grad():
        model.bias.copy_(data.mean(0))
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    order = seeds.generator(settings.seed, "sae", "order")
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
    return model


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


@torch.no_grad()
def encode(
    model: SparseAutoEncoder, vectors: NDArray[np.floating], rows_at_once: int = 4096
) -> NDArray[np.int64]:
    """Codes (items, active) of `vectors`: latents by activation, ties by the smaller number.

    An item on which fewer than `active` latents fire is given the next strongest ones as well, so
    that every item has the same number of codes. A stable sort of all activations makes an item's
    codes independent of the other rows.
    """
    codes = []
    data = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    for rows in data.split(rows_at_once):
        order = torch.sort(model.activations(rows), dim=1, descending=True, stable=True).indices
        codes.append(order[:, : model.active].numpy())
    return np.concatenate(codes)


def main() -> None:
    """Command line: embeddings to semantic ids of all items, fitted on training items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--item-ids", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    items = files.read_table(arguments.items, "items", ["item_id", "split"])
    vectors = files.read_array(arguments.embeddings)
    model = train(vectors[(items["split"] == "train").to_numpy()], settings)
    codes = encode(model, vectors)
    log.info("%.1f %% of items share their codes", 100 * collision_rate(codes))
    table = item_id_table(items["item_id"].to_numpy(), codes)
    files.write_table(table, arguments.item_ids, "item_ids")


if __name__ == "__main__":
    run_command(main)
