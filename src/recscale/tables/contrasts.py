"""The contrasts that tell apart what the paper confounds (sections 3.3, 7.1, B.2), by name.

Each is a difference between two kinds of runs of config/experiments.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recscale.contracts import ALL_HELD_OUT, REAL_HISTORIES
from recscale.labels import PAPER_SIZES

UIH = ("uih_ood", "uih_full_graph", REAL_HISTORIES)
CF = ("cf_both_seen", "cf_one_unseen", "cf_both_unseen")
MEASURES = {"loss": "all tokens", "loss_id": "id tokens", "loss_per_item": "per item"}
Place = Literal["final", "equal_uih_tokens"]
FINAL: Place = "final"
EQUAL_UIH: Place = "equal_uih_tokens"


@dataclass(frozen=True)
class Contrast:
    """The loss of one kind of runs minus that of another.

    Attributes:
        name: of the contrast, in words.
        first, second: kinds of runs, the part of their names between size and seed.
        domains: held-out domains compared.
        sizes: at which sizes; with several, the slope over them as well.
        at: whether the last losses are compared, or those at equal UIH tokens.
        measures: of `MEASURES`.
        claimed: where the paper puts the difference; None where it says nothing.
    """

    name: str
    first: str
    second: str
    domains: tuple[str, ...]
    sizes: tuple[str, ...] = ("size3",)
    at: Place = FINAL
    measures: tuple[str, ...] = tuple(MEASURES)
    claimed: Literal["above", "below"] | None = None


CONTRASTS = (
    Contrast("CF helps UIH, as the paper compares", "uih", "cf_uih", UIH, claimed="above"),
    Contrast(
        *("CF helps UIH, at equal UIH tokens", "uih", "cf_uih", UIH),
        at=EQUAL_UIH,
        claimed="above",
    ),
    Contrast("CF helps UIH, repeats matched", "uih_matched", "cf_uih", UIH, claimed="above"),
    Contrast(
        *("CF helps UIH, walks that do not repeat", "uih_fresh", "cf_uih", UIH),
        at=EQUAL_UIH,
        claimed="above",
    ),
    # The paper denies that UIH helps CF, which is a difference of zero: neither side is its own.
    Contrast("UIH helps CF", "cf", "cf_uih", CF),
    Contrast(
        *("real histories in place of walks", "real", "full", ALL_HELD_OUT),
        sizes=tuple(PAPER_SIZES),
        claimed="above",
    ),
    Contrast("walks on the rewired graph", "rewired", "full", ALL_HELD_OUT),
    Contrast("curriculum order in place of a mixture", "ordered", "full", ALL_HELD_OUT),
    Contrast("without general text", "no_general", "full", ("general",), claimed="above"),
    Contrast(
        *("RQ-kmeans ids in place of SAE", "rq_kmeans", "full", ALL_HELD_OUT[1:]),
        measures=("loss_per_item",),
        claimed="above",
    ),
)
