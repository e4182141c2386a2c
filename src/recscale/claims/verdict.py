"""What a deciding function gets and gives, and the registry that finds it by the claim's id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import pandas as pd

from recscale.claims.rules import Claim
from recscale.scaling.fit import POOLS, domain_curves


class Verdict(StrEnum):
    """What became of a claim at one rung."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURABLE = "not measurable here"
    NOT_MEASURED = "not measured yet"


@dataclass(frozen=True)
class Outcome:
    """A verdict, the measured numbers as text, why, and the number to set beside the paper's."""

    verdict: Verdict
    measured: str
    reason: str
    ours: str = ""


class NotMeasured(Exception):
    """Runs or a table that the rule needs are not there.

    Attributes:
        runs: the runs that are missing.
    """

    def __init__(self, text: str, runs: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.runs = tuple(runs)


@dataclass(frozen=True)
class Evidence:
    """The tidy tables of one rung, each None where it was not given.

    Attributes:
        rung: smoke, mini, h200 or b200.
        ranks, curves, training, quality, generation: under their contracts (quality under
            item_id_quality).
        fits, sweep: rows of fits.csv and of walks/sweep.csv.
        audits: rows of the audits of bias, fidelity and privacy (`recscale.claims.audited`).
        window_length: tokens of a training window.
    """

    rung: str
    ranks: pd.DataFrame | None = None
    fits: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    training: pd.DataFrame | None = None
    sweep: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None
    generation: pd.DataFrame | None = None
    audits: pd.DataFrame | None = None
    window_length: int | None = None

    @cached_property
    def by_domain(self) -> dict[tuple[str, str], pd.DataFrame]:
        """Curves over all tokens by run and domain, the pooled cf and uih among the domains.

        Each has step, tokens, domain_tokens, repeats, loss (nats per token) and n_tokens, in the
        order of tokens.
        """
        curves = given(self.curves, "curves")
        whole = domain_curves(curves, "token_weighted")
        counted = curves.drop_duplicates(["run", "domain", "tokens"])
        counted = counted[["run", "domain", "tokens", "step", "domain_tokens"]]
        # A pooled column sees the tokens of its parts' one training domain.
        whole["part"] = whole["domain"].map({p: sets[0] for p, sets in POOLS.items()})
        whole["part"] = whole["part"].fillna(whole["domain"])
        keys = {"run": "run", "part": "domain", "tokens": "tokens"}
        rows = whole.merge(
            counted, left_on=list(keys), right_on=list(keys.values()), suffixes=("", "_of_part")
        )
        groups = rows.sort_values("tokens").groupby(["run", "domain"])
        return {(str(run), str(domain)): part for (run, domain), part in groups}


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
