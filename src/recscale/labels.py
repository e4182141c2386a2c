"""The names a reader sees: domains, model sizes, runs, round numbers.

One place for them, so that a table, a figure and the report call a thing the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from recscale.contracts import ALL_HELD_OUT, REAL_HISTORIES, TRAINING_DOMAINS
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
    REAL_HISTORIES: "Real Histories",
}

# Kinds of runs: the part of a run's name in config/experiments.yaml between its size and its seed.
KIND_NAMES = {
    "full": "Item-Text + CF + UIH",
    "cf_uih": "CF + UIH",
    "item_uih": "Item-Text + UIH",
    "uih": "UIH only",
    "uih_matched": "UIH only, repeats of CF + UIH",
    "uih_fresh": "UIH only, fresh walks",
    "cf": "CF without UIH",
    "real": "real histories for walks",
    "rewired": "walks on the rewired graph",
    "ordered": "in the curriculum's order",
    "no_general": "without general text",
    "rq_kmeans": "RQ-kmeans ids",
}

FIT_STATUS = {
    "converged": "converged",
    "at_bound": "at a bound",
    "not_identified": "not identified",
    "not_monotone": "not monotone",
    "too_few_points": "too few points",
    "non_finite": "not finite",
    "solvers_disagree": "solvers disagree",
    "poor_fit": "poor fit",
}


def training_domain(domain: str) -> str:
    """The training domain of a held-out domain, which is its column in Tables 3, 4 and 6.

    Real histories are in none of the paper's columns; they stand beside walks, so they are UIH.
    """
    if domain == REAL_HISTORIES:
        return "uih"
    for candidate in TRAINING_DOMAINS:
        if domain == candidate or domain.startswith(f"{candidate}_"):
            return candidate
    raise UserError(
        f"{domain!r} is no held-out domain", f"known domains: {', '.join(ALL_HELD_OUT)}"
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


@dataclass(frozen=True)
class RunName:
    """What the name of a run says: its size, its kind and its seed (0: the paper's run)."""

    size: str
    kind: str
    seed: int

    @property
    def uih_percent(self) -> float | None:
        """The UIH ratio of a run of Table 6 on the reduced set, in percent; None for others."""
        found = re.fullmatch(r"uih_(\d+(?:\.\d+)?)", self.kind)
        return float(found[1]) if found else None

    @property
    def label(self) -> str:
        """What to call the kind: a mixture's domains, or the UIH ratio on the reduced set."""
        if self.uih_percent is not None:
            return f"{self.uih_percent:g} % UIH"
        return KIND_NAMES.get(self.kind, self.kind)


def parse_run(run: str) -> RunName:
    """Take a run's name apart: `size3-cf_uih-seed1` is of size3, kind cf_uih and seed 1.

    Raises:
        UserError: the name has no size or no kind.
    """
    found = re.fullmatch(r"(size[1-4])-(.+?)(?:-seed(\d+))?", run)
    if found is None:
        raise UserError(
            f"{run!r} is no name of a run", "name it after its size and kind, as size3-cf_uih"
        )
    return RunName(found[1], found[2], int(found[3] or 0))


def short_number(value: float, digits: int = 3) -> str:
    """A count with K, M or B: 1500000 is 1.5M; whole numbers below 1,000 stay as they are."""
    for factor, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        # A value that rounds up to the next unit belongs there: 999,999 is 1M, not 1e+03K.
        if float(f"{abs(value):.{digits}g}") >= factor:
            return f"{float(f'{value / factor:.{digits}g}'):g}{letter}"
    return f"{value:.{digits}g}"
