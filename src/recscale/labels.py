"""The names a reader sees: domains, model sizes, round numbers.

One place for them, so that a table, a figure and the report call a thing the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from recscale.contracts import HELD_OUT_DOMAINS, TRAINING_DOMAINS
from recscale.errors import UserError

RUNGS = ("smoke", "mini", "h200", "b200")

PAPER_SIZES = {"size1": "0.6B", "size2": "1.7B", "size3": "4B", "size4": "8B"}

DOMAIN_NAMES = {
    "general": "General",
    "item_text": "Item-Text",
    "cf": "CF",
    "uih": "UIH",
    "cf_both_seen": "CF Both Seen",
    "cf_one_unseen": "CF One Unseen",
    "cf_both_unseen": "CF Both Unseen",
    "uih_ood": "UIH OOD",
    "uih_full_graph": "UIH Full Graph",
}

FIT_STATUS = {
    "converged": "converged",
    "at_bound": "at a bound",
    "not_identified": "not identified",
    "not_monotone": "not monotone",
    "too_few_points": "too few points",
    "non_finite": "not finite",
}


def training_domain(domain: str) -> str:
    """The training domain of a held-out domain, which is its column in Tables 3, 4 and 6."""
    for candidate in TRAINING_DOMAINS:
        if domain == candidate or domain.startswith(f"{candidate}_"):
            return candidate
    raise UserError(
        f"{domain!r} is no held-out domain", f"known domains: {', '.join(HELD_OUT_DOMAINS)}"
    )


def size_label(size: str, rung: str, parameters: Mapping[str, int] | None = None) -> str:
    """What to call a model size: the paper's name on `b200`, elsewhere the role it plays there.

    Below `b200` a model of size1 is far smaller than 0.6B, and printing 0.6B would mislead.
    """
    if size not in PAPER_SIZES:
        raise UserError(f"{size!r} is no model size", f"known sizes: {', '.join(PAPER_SIZES)}")
    if rung == "b200":
        return PAPER_SIZES[size]
    label = f"{size} ({PAPER_SIZES[size]}'s role)"
    if parameters and size in parameters:
        label += f", {short_number(parameters[size])} parameters"
    return label


def short_number(value: float, digits: int = 3) -> str:
    """A count with K, M or B: 1500000 is 1.5M; whole numbers below 1,000 stay as they are."""
    for factor, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        # A value that rounds up to the next unit belongs there: 999,999 is 1M, not 1e+03K.
        if float(f"{abs(value):.{digits}g}") >= factor:
            return f"{float(f'{value / factor:.{digits}g}'):g}{letter}"
    return f"{value:.{digits}g}"
