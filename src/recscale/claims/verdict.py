"""What a deciding function gets and gives, and the registry that finds it by the claim's id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from recscale.claims.rules import Claim


class Verdict(StrEnum):
    """What became of a claim at one rung."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURABLE = "not measurable here"
    NOT_MEASURED = "not measured yet"


@dataclass(frozen=True)
class Outcome:
    """A verdict, the measured numbers as text, and why."""

    verdict: Verdict
    measured: str
    reason: str


class NotMeasured(Exception):
    """A run or a table that the rule needs is not there; the text says which."""


@dataclass(frozen=True)
class Evidence:
    """The tidy tables of one rung, each None where it was not given."""

    rung: str
    ranks: pd.DataFrame | None = None
    fits: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    training: pd.DataFrame | None = None
    sweep: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None


Decide = Callable[[Claim, Evidence], Outcome]
REGISTRY: dict[str, Decide] = {}


def decides(function: Decide) -> Decide:
    """Register a function under its name, which is the id of the claim it decides."""
    REGISTRY[function.__name__] = function
    return function


def given(table: pd.DataFrame | None, name: str) -> pd.DataFrame:
    """The table, or NotMeasured naming it."""
    if table is None or table.empty:
        raise NotMeasured(f"no {name} yet")
    return table


def listed(values: Iterable[object]) -> str:
    """Several things in one cell of a table."""
    return "; ".join(str(value) for value in values)
