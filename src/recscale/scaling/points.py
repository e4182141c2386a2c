"""End points of training runs: what they cost, and the loss they ended with (section 7.3).

A joint law of size and tokens needs the losses that runs of several lengths end with. A point
inside a run is none: with the learning rate still high its loss lies above that of a shorter run
(Hoffmann et al. 2022, section 3).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recscale.artefact import read_columns
from recscale.errors import UserError

NEEDED = ("tokens", "loss")
COUNTINGS = ("non_embedding_parameters", "parameters")
ONE_DOMAIN = "loss"  # what the domain of a file without the column is called


def read_points(path: Path, countings: tuple[str, ...]) -> pd.DataFrame:
    """Read points, with a column for each way to count parameters.

    A column run says which points are of one run; a file without it is taken at its word that each
    point is the end of a run of its own. A column domain separates laws.

    Raises:
        UserError: a column is missing, a value is no positive number, or a point occurs twice.
    """
    frame = read_columns(path, (*countings, *NEEDED))
    if "domain" not in frame.columns:
        frame["domain"] = ONE_DOMAIN
    for column in (*countings, *NEEDED):
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
        bad = np.flatnonzero(~np.isfinite(values) | (values <= 0))
        if len(bad):
            raise UserError(
                f"{path} has the {column} {frame[column].iloc[bad[0]]} in row {bad[0] + 1}",
                "leave out points that are no positive numbers",
            )
        frame[column] = values
    keys = ["domain", *countings, "tokens", *(["run"] if "run" in frame.columns else [])]
    twice = np.flatnonzero(frame.duplicated(keys))
    if len(twice):
        row = frame.iloc[twice[0]]
        raise UserError(
            f"{path} has two points with {row[countings[0]]:g} {countings[0]} and "
            f"{row['tokens']:g} tokens (row {twice[0] + 1})",
            "keep one, or tell repeated runs apart in a column run",
        )
    return frame


def end_points(points: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The last point of each run and domain, and how many others lie inside a run."""
    if "run" not in points.columns:
        return points, 0
    last = points.groupby(["run", "domain"])["tokens"].transform("max")
    ends = points[points["tokens"] == last]
    return ends, len(points) - len(ends)
