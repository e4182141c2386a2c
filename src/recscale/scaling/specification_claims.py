"""The quantities of headline claims that a recipe of fitting can change (sections 6.2, 7.1, 7.2).

Signs and thresholds are those of the ledger's rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recscale.scaling.projection import Array

FULL = ("size1-full", "size2-full", "size3-full", "size4-full")
PLACES = np.arange(4) - 1.5


@dataclass(frozen=True)
class Quantity:
    """What a claim is about, as one number.

    Attributes:
        claim: its id in the ledger.
        name: tells the quantities of a claim apart.
        curves: run and domain of each parameter.
        parameter: alpha, l_inf (nats per token), or onset (repeats of the run's set).
        value: the quantity from the parameters, in that order.
        sign: where it lies under the claim: above or below `threshold`, or inside `threshold` to
            `upper`.
        strict: whether the ledger asks that every fit is identified, L_inf included; else closed
            intervals of the parameter are enough.
        few: of an onset, the curve of few repeats that may not rise.
    """

    claim: str
    name: str
    curves: tuple[tuple[str, str], ...]
    parameter: str
    value: Callable[[Array], float]
    sign: str = "above"
    threshold: float = 0.0
    upper: float = np.nan
    strict: bool = True
    few: tuple[str, str] | None = None


def _of(domain: str, runs: tuple[str, ...] = FULL) -> tuple[tuple[str, str], ...]:
    return tuple((run, domain) for run in runs)


def _slope(v: Array) -> float:
    return float(v @ PLACES / (PLACES @ PLACES))


def _gap(v: Array) -> float:
    return float(v[:4].mean() - v[4:].mean())


def _spread(v: Array) -> float:
    return float((v.max() - v.min()) / v.mean()) if v.mean() > 0 else float("nan")


def _first_over_others(v: Array) -> float:
    return float(v[0] - v[1:].max())


def _first(v: Array) -> float:
    return float(v[0])


def _difference(v: Array) -> float:
    return float(v[0] - v[1])


def _hierarchy(faster: str, slower: str) -> Quantity:
    name = f"alpha_{faster}_minus_{slower}"
    pair = _of(faster) + _of(slower)
    return Quantity("alpha_hierarchy", name, pair, "alpha", _gap, strict=False)


def _growth(domain: str) -> Quantity:
    name = f"slope_of_alpha_{domain}"
    return Quantity("alpha_grows_with_size", name, _of(domain), "alpha", _slope)


def _flatness(domain: str) -> Quantity:
    name = f"spread_of_l_inf_{domain}"
    return Quantity("l_inf_flat_in_size", name, _of(domain), "l_inf", _spread, "below", 0.10)


def _onset(percent: int) -> Quantity:
    return Quantity(
        claim="repetition_overfits",
        name=f"onset_{percent}",
        curves=_of("uih", (f"size3-uih_{percent}",)),
        parameter="onset",
        value=_first,
        sign="inside",
        threshold=8.0,
        upper=40.0,
        few=("size3-uih_0.5", "uih"),
    )


QUANTITIES = (
    _hierarchy("uih", "cf"),
    _hierarchy("cf", "item_text"),
    _hierarchy("item_text", "general"),
    _growth("cf"),
    _growth("uih"),
    _flatness("cf"),
    _flatness("uih"),
    Quantity(
        claim="general_alpha_largest_small",
        name="alpha_size1_minus_largest_other",
        curves=_of("general"),
        parameter="alpha",
        value=_first_over_others,
    ),
    Quantity(
        claim="full_mixture_largest_alpha",
        name="alpha_full_minus_largest_other",
        curves=_of("uih", ("size3-full", "size3-cf_uih", "size3-item_uih", "size3-uih")),
        parameter="alpha",
        value=_first_over_others,
    ),
    Quantity(
        claim="cf_helps_uih",
        name="l_inf_uih_only_minus_cf_uih",
        curves=_of("uih", ("size3-uih", "size3-cf_uih")),
        parameter="l_inf",
        value=_difference,
    ),
    Quantity(
        claim="item_text_costs_uih",
        name="l_inf_full_minus_cf_uih",
        curves=_of("uih", ("size3-full", "size3-cf_uih")),
        parameter="l_inf",
        value=_difference,
    ),
    _onset(5),
    _onset(15),
)
