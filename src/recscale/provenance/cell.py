"""One cell of a table or figure: the file that holds it, its row and its value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import pandas as pd

from recscale import files
from recscale.errors import UserError
from recscale.provenance.manifest import COLLECT, OUTPUT, UNKNOWN, Provenance

# How many values, and how many keys that would tell rows apart, an error lists.
_SHOWN = 12
_KEYS_SHOWN = 3


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        target: what was asked for.
        path: the tidy file.
        row: the whole row, as text.
        column: its column.
    """

    target: str
    path: str
    row: dict[str, str]
    column: str

    @property
    def value(self) -> str:
        """What stands in the cell, as written; empty where the file has nothing."""
        return self.row[self.column]

    def runs(self, known: frozenset[str]) -> frozenset[str]:
        """The CPT runs that the row names."""
        return known.intersection(self.row.values())


def find_cell(provenance: Provenance, words: Sequence[str]) -> Cell:
    """The cell that `TARGET KEY=VALUE ... COLUMN` names.

    Raises:
        UserError: no such target, key, value or column, or several rows; or the file is not the one
            of the manifest.
    """
    target = words[0]
    conditions = [word for word in words[1:] if "=" in word]
    columns = [word for word in words[1:] if "=" not in word]
    path = tidy_file(provenance, target)
    if files.sha256(path) != provenance.files[path].sha256:
        raise UserError(f"{path} has changed since its provenance was collected", COLLECT)
    table = _read(path)
    rows = table
    for word in conditions:
        key, _, value = word.partition("=")
        if key not in table:
            raise UserError(f"{path} has no column {key!r}", f"it has {', '.join(table.columns)}")
        matching = rows[rows[key].map(lambda cell, value=value: _equal(cell, value))]
        if matching.empty:
            there = _some(dict.fromkeys(rows[key]))
            raise UserError(f"{path} has no such row with {word}", f"{key} is {there}")
        rows = matching
    if len(columns) != 1:
        raise UserError(
            f"{len(columns)} columns of {path} are asked for",
            f"name one of {', '.join(table.columns)}",
        )
    if columns[0] not in table:
        raise UserError(
            f"{path} has no column {columns[0]!r}", f"it has {', '.join(table.columns)}"
        )
    if len(rows) > 1:
        varying = [k for k in rows if rows[k].nunique() > 1 and k != columns[0]]
        # Measured values are no keys, unless nothing else tells the rows apart.
        keys = [key for key in varying if not rows[key].map(_is_measured).any()] or varying
        unique = [key for key in keys if rows[key].is_unique]
        varying = unique[:1] or keys[:_KEYS_SHOWN]
        add = " or ".join(f"{key}={_some(dict.fromkeys(rows[key]), '|')}" for key in varying)
        raise UserError(
            f"{path} has {len(rows)} such rows", f"add {add or 'nothing: all are equal'}"
        )
    return Cell(target, path, {str(k): v for k, v in rows.iloc[0].items()}, columns[0])


def tidy_file(provenance: Provenance, target: str) -> str:
    """The CSV or Parquet file of a target, which is a rule, a file's name or its path.

    Raises:
        UserError: there is none, or there are several.
    """
    tidy = [p for p in provenance.of_kind(OUTPUT) if Path(p).suffix in (".csv", ".parquet")]
    rules = {path: provenance.jobs[provenance.files[path].job or ""].rule for path in tidy}
    found = (
        [path for path in tidy if path == target]
        or [path for path in tidy if rules[path] == target]
        or [path for path in tidy if Path(path).stem == target]
    )
    if not found:
        lost = [p for p in provenance.of_kind(UNKNOWN) if target in (p, Path(p).stem)]
        if lost:
            raise UserError(
                f"{lost[0]} is there, but no record says what made it",
                f"make it again: snakemake --profile PROFILE --force {lost[0]}",
            )
        single = sorted({rule for rule in rules.values() if list(rules.values()).count(rule) == 1})
        raise UserError(
            f"{target} has no table or figure here, or was not built when provenance was collected",
            f"there are {', '.join(single) or 'none'}",
        )
    if len(found) > 1:
        raise UserError(f"{target} has {len(found)} files", f"name one: {_some(found)}")
    if not Path(found[0]).is_file():
        raise UserError(f"{found[0]} is missing", f"run the target {rules[found[0]]} again")
    return found[0]


def _read(path: str) -> pd.DataFrame:
    if Path(path).suffix == ".parquet":
        return pd.read_parquet(path).astype(str)
    return files.read_csv(path, dtype=str, keep_default_na=False)


def _equal(cell: str, value: str) -> bool:
    numbers = _is_number(cell) and _is_number(value)
    return cell == value or (numbers and float(cell) == float(value))


def _is_measured(cell: str) -> bool:
    return "." in cell and _is_number(cell)


def _is_number(cell: str) -> bool:
    try:
        return isfinite(float(cell))
    except ValueError:
        return False


def _some(values: Iterable[str], comma: str = ", ") -> str:
    texts = [str(value) or "(empty)" for value in values]
    more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return comma.join(texts[:_SHOWN] + more)
