"""The paper's published tables, and the checks of its arithmetic that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recscale.artefact import read_columns

STEPS, BATCH, CONTEXT = 625_000, 512, 512  # batch and context: section 6.1; steps: implied
TOKENS = 163.84e9  # D (section 7.3); "163B" elsewhere


Frame = Any  # of pandas, whose types do not say what a cell holds


@dataclass(frozen=True)
class Erratum:
    """Something that the paper prints and its own numbers do not bear out.

    Attributes:
        title: what is at stake.
        where: sections, tables and figures.
        printed: what the paper says.
        computed: what its own numbers give.
        assumed: what this reproduction does therefore.
    """

    title: str
    where: str
    printed: str
    computed: str
    assumed: str


@dataclass(frozen=True)
class Published:
    """The transcribed tables of a folder; a table is read when it is first asked for."""

    folder: Path

    def _table(self, name: str, *columns: str) -> Frame:
        return read_columns(self.folder / f"{name}.csv", columns)

    @cached_property
    def training(self) -> Frame:
        """Table 2 by domain: tokens_billion, ratio_percent, repeats (as text)."""
        columns = ("domain", "tokens_billion", "ratio_percent", "repeats")
        return self._table("table2_training_data", *columns).set_index("domain")

    @cached_property
    def held_out(self) -> Frame:
        """Table 3: millions of tokens by domain."""
        table = self._table("table3_holdout_data", "domain", "tokens_million")
        return table.set_index("domain")["tokens_million"]

    @cached_property
    def laws(self) -> Frame:
        """Table 4 by model and domain: l_inf, alpha."""
        table = self._table("table4_scaling_laws", "model", "domain", "l_inf", "alpha")
        return table.set_index(["model", "domain"])

    @cached_property
    def mixtures(self) -> Frame:
        """Table 5 by mixture: item_text_percent, cf_percent, uih_percent."""
        columns = ("mixture", "item_text_percent", "cf_percent", "uih_percent")
        return self._table("table5_mixtures", *columns).set_index("mixture")

    @cached_property
    def repetition(self) -> Frame:
        """Table 6 by UIH ratio (percent) and domain."""
        columns = (
            *("uih_percent", "uih_tokens_billion", "uih_repeats", "item_text_percent"),
            *("cf_percent", "domain", "l_inf", "alpha"),
        )
        table = self._table("table6_uih_repetition", *columns)
        return table.set_index(["uih_percent", "domain"])

    @cached_property
    def ratios(self) -> Frame:
        """Table 6 by UIH ratio (percent): what does not depend on the domain."""
        return self.repetition.xs("uih", level="domain").drop(columns=["l_inf", "alpha"])

    @cached_property
    def walks(self) -> Frame:
        """Table 8 by configuration: alpha, threshold, length, items_thousand, gini, ..."""
        columns = ("config", "alpha", "threshold", "length", "items_thousand")
        return self._table("table8_walk_sweep", *columns).set_index("config")

    @cached_property
    def collisions(self) -> Frame:
        """Table 9: layers, codes_per_layer, collision_percent."""
        columns = ("layers", "codes_per_layer", "collision_percent")
        return self._table("table9_rq_sweep", *columns)

    @cached_property
    def claims(self) -> Frame:
        """The claims by id: where, claim, quantity, published."""
        columns = ("id", "where", "claim", "quantity", "published")
        return self._table("claims", *columns).set_index("id")


Check = Callable[[Published], Erratum]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Register a check; the errata stand in the order of registration."""
    CHECKS.append(function)
    return function


def listed(values: Iterable[float], form: str = ".1f") -> str:
    """Numbers in one sentence."""
    return ", ".join(format(value, form) for value in values)
