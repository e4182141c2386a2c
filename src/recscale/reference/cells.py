"""The cells of two versions of one file, and how far apart they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import is_numeric_dtype

from recscale import files
from recscale.errors import UserError, first_line
from recscale.reference.tolerances import EXACT, Kind

COLUMNS = ("row", "column", "reference", "here", "difference", "tolerance", "times", "cells")


def differences(reference: Path, here: Path, kind: Kind) -> pd.DataFrame:
    """The worst cell of each column that differs.

    Args:
        reference: the reference's file.
        here: ours, of the same columns and rows.
        kind: how they are compared.

    Returns:
        `COLUMNS`: which row and column; both values; their difference, the tolerance at that cell
        and how many times it is (infinite for text, and where one value is missing); and how many
        cells of the column differ. No rows where no cell differs.

    Raises:
        UserError: a file cannot be read.
    """
    ours, theirs = prepared(here, kind), prepared(reference, kind)
    if list(ours.columns) != list(theirs.columns):
        alone = [
            ", ".join(x.columns.difference(y.columns)) for x, y in ((theirs, ours), (ours, theirs))
        ]
        return _of_whole_file("other columns", *(names or "none more" for names in alone))
    if len(ours) != len(theirs):
        return _of_whole_file("number of rows", str(len(theirs)), str(len(ours)))
    found = []
    for column in theirs.columns:
        left, right = theirs[column], ours[column]
        if is_numeric_dtype(left) and is_numeric_dtype(right):
            worst = _worst_number(left.to_numpy(float), right.to_numpy(float), kind)
        elif column in EXACT:
            worst = _worst_text(left.astype(str).to_numpy(), right.astype(str).to_numpy())
        else:
            continue
        if worst is not None:
            row, values = worst
            label = _label(theirs.iloc[row], column)
            found.append(dict(zip(COLUMNS, (label, column, *values), strict=True)))
    return pd.DataFrame(found, columns=list(COLUMNS))


def prepared(path: Path, kind: Kind) -> pd.DataFrame:
    """A file's numbers and texts, a column each, rows averaged as its kind says.

    Raises:
        UserError: it cannot be read.
    """
    frame = _read(path)
    frame = frame.drop(columns=[c for c in (*kind.left_out, "name") if c in frame])
    for column in [str(c) for c in frame.columns if _holds_lists(frame[c])]:
        parts = pd.DataFrame(frame.pop(column).tolist(), index=frame.index).add_prefix(f"{column} ")
        frame = frame.join(parts)
    if kind.cutoff is not None:
        for column in frame.columns.intersection(["rank", "rank_masked"]):
            frame[column] = (frame[column] <= kind.cutoff).astype(float)
    if kind.mean_over:
        keys = [column for column in kind.mean_over if column in frame]
        frame = frame.groupby(keys, sort=True, as_index=False).mean(numeric_only=True)
    return frame


def _of_whole_file(what: str, reference: str, here: str) -> pd.DataFrame:
    """The finding that two versions of a file cannot be compared cell by cell."""
    values = ("all", what, reference, here, np.nan, 0.0, np.inf, 1)
    return pd.DataFrame([values], columns=list(COLUMNS))


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return files.read_csv(path)
    if path.suffix == ".json":
        leaves = dict(_leaves(files.read_json(path)))
        return pd.DataFrame({"key": list(leaves), "value": list(leaves.values())})
    try:
        return pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is no Parquet table ({first_line(error)})", "delete it and rerun its target"
        ) from None


def _leaves(value: Any, where: str = "") -> list[tuple[str, float]]:
    """The numbers of a JSON value, by the keys that lead to them."""
    if isinstance(value, dict):
        parts: Any = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return [(where, float(value))] if isinstance(value, int | float) else []
    return [leaf for key, part in parts for leaf in _leaves(part, f"{where}.{key}".lstrip("."))]


def _holds_lists(column: pd.Series) -> bool:
    return len(column) > 0 and isinstance(column.iloc[0], list | np.ndarray)


def _worst_number(a: np.ndarray, b: np.ndarray, kind: Kind) -> tuple[int, tuple[Any, ...]] | None:
    differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not differ.any():
        return None
    difference = np.abs(a - b)
    tolerance = kind.absolute + kind.relative * np.abs(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(differ, difference / tolerance, 0.0)
    # A missing or an infinite number on one side alone is beyond any tolerance.
    times = np.where(np.isnan(times), np.inf, times)
    row = int(np.argmax(times))
    shown = (str(a[row]), str(b[row]), difference[row], tolerance[row], times[row])
    return row, (*shown, int(differ.sum()))


def _worst_text(a: np.ndarray, b: np.ndarray) -> tuple[int, tuple[Any, ...]] | None:
    differ = a != b
    if not differ.any():
        return None
    row = int(np.argmax(differ))
    return row, (a[row], b[row], np.nan, 0.0, np.inf, int(differ.sum()))


def _label(row: pd.Series, column: str) -> str:
    """What names a row: its texts and whole numbers, the first few of them."""
    keys = [
        f"{key}={value}"
        for key, value in row.items()
        if key not in (column, "rung") and isinstance(value, str | int | np.integer | bool)
    ]
    return " ".join(keys[:6])
