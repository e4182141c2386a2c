"""How a contract is stated: columns with their types, meaning and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

from recscale.errors import UserError, first_line


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


def check_frame(frame: pd.DataFrame, wanted: Contract, contract: str, where: str) -> pd.DataFrame:
    """Return `frame` in the contract's column order, or raise a UserError that names the breach."""
    names = [c.name for c in wanted.columns]
    if set(frame.columns) != set(names):
        missing, extra = set(names) - set(frame.columns), set(frame.columns) - set(names)
        raise UserError(
            f"{where} breaks the contract {contract!r}: missing {sorted(missing)}, "
            f"not in the contract {sorted(extra)}",
            "the stage that writes it must produce the contract's columns",
        )
    try:
        wanted.pandera_schema.validate(frame[names])
    except pandera.errors.SchemaError as error:
        raise UserError(
            f"{where} breaks the contract {contract!r}: {first_line(error)}",
            "check the inputs of the stage that writes it",
        ) from None
    return frame[names]


def check_record_batch(batch: pa.RecordBatch, wanted: Contract, contract: str, where: str) -> None:
    """As `check_frame` for a batch of Arrow columns; the inside of lists is not looked into."""
    breach = None if batch.schema.equals(wanted.arrow_schema()) else "other columns or types"
    for column in wanted.columns if breach is None else ():
        values = batch.column(column.name)
        if values.null_count and not column.nullable:
            breach = f"{column.name} is null in {values.null_count} rows"
        for limit, beyond in ((column.minimum, pc.less), (column.maximum, pc.greater)):
            if limit is not None and pc.any(beyond(values, limit)).as_py():
                breach = f"{column.name} goes beyond {limit}"
    if breach is not None:
        raise UserError(
            f"{where} breaks the contract {contract!r}: {breach}",
            "check the inputs of the stage that writes it",
        )
