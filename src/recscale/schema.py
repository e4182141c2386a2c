"""How a contract is stated: columns with their types, meaning and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandera.pandas as pandera
import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, and the values it may hold."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    def checks(self) -> list[Any]:
        """The pandera checks of this column's limits."""
        found: list[Any] = []
        if self.minimum is not None:
            found.append(pandera.Check.ge(self.minimum))
        if self.maximum is not None:
            found.append(pandera.Check.le(self.maximum))
        if self.allowed:
            found.append(pandera.Check.isin(self.allowed))
        return found


@dataclass(frozen=True)
class Contract:
    """The columns of one kind of file, and what one row of it is."""

    row: str
    columns: tuple[Column, ...]
    unique: tuple[str, ...] = field(default=())

    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema, in the contract's column order."""
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])

    @cached_property
    def pandera_schema(self) -> Any:
        """The same contract for pandera; types are enforced by Arrow on writing."""
        return pandera.DataFrameSchema(
            {
                c.name: pandera.Column(None, checks=c.checks(), nullable=c.nullable)
                for c in self.columns
            },
            unique=list(self.unique) or None,
            strict=True,
        )
