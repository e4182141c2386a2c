"""The sequential models of Figure 1 as RecBole 1.2.1 names and sets them.

Dropout, layers and heads are RecBole's defaults; only the width is ours. RecBole's SASRec lacks
the sqrt(d) scale of the embeddings in Kang and McAuley (2018), its STAMP the final sigmoid of Liu
et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recscale.errors import UserError


@dataclass(frozen=True)
class Model:
    """A model's settings for a width, and whether it sums over padded places."""

    settings: Callable[[int], dict[str, Any]]
    sums_padding: bool = False


BASELINES = ("Popularity", "ItemKNN")  # without training, see `baselines`

MODELS: dict[str, Model] = {
    "GRU4Rec": Model(
        lambda hidden: {
            "embedding_size": hidden,
            "hidden_size": hidden,
            "num_layers": 1,
            "dropout_prob": 0.3,
        }
    ),
    "NARM": Model(
        lambda hidden: {
            "embedding_size": hidden,
            "hidden_size": hidden,
            "n_layers": 1,
            "dropout_probs": [0.25, 0.5],
        }
    ),
    "SASRec": Model(
        lambda hidden: {
            "hidden_size": hidden,
            "inner_size": 4 * hidden,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dropout_prob": 0.5,
            "attn_dropout_prob": 0.5,
        }
    ),
    "STAMP": Model(lambda hidden: {"embedding_size": hidden}, sums_padding=True),
}


def find_model(name: str, hidden: int) -> Model:
    """The entry of `MODELS`; raises UserError for an unknown model or a width it cannot have."""
    if name not in MODELS:
        raise UserError(
            f"ranking.models names {name!r}, which is not a known model",
            f"known: {', '.join(MODELS)}",
        )
    heads = MODELS[name].settings(hidden).get("n_heads", 1)
    if hidden % heads:
        raise UserError(
            f"ranking.hidden is {hidden}", f"{name} needs a multiple of its {heads} heads"
        )
    return MODELS[name]
