"""Would a forecast have come true? Laws without some runs against what those runs ended with.

Held out are the longest runs, or all runs of the largest size; the law is fitted to the others and
asked for them. Beside it stands the guess that needs no law: the loss of the nearest run that was
kept, of the same size at the next shorter length, or of the next smaller size at the same length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from recscale.errors import UserError
from recscale.scaling.forecast import expected_loss
from recscale.scaling.joint_fit import fit_joint_law
from recscale.scaling.points import end_points

HELD_OUT = ("tokens", "size")
COLUMNS = (
    *("held_out", "domain", "size", "seed", "parameters", "tokens", "seen", "expected"),
    *("low", "high", "run_low", "run_high", "inside", "nearest", "status", "reason"),
)


def backtest(points: pd.DataFrame, counting: str) -> pd.DataFrame:
    """One row per domain and run held out.

    Args:
        points: as `read_points` gives them, with a column size.
        counting: the column that is N.

    Returns:
        `COLUMNS`: held_out is what the held-out runs have most of (tokens or size); seen and
        expected in nats per token, the interval of the expected loss and of a run, inside (whether
        seen lies in the latter), nearest (the guess without a law), status and reason of the fit.
        Expected and intervals are empty where nothing was fitted or an end is open.

    Raises:
        UserError: the points have no sizes.
    """
    if "size" not in points.columns:
        raise UserError("the points have no column size", "collect them with scaling.collect")
    last, _ = end_points(points)
    rows = []
    for held_out in HELD_OUT:
        column = "tokens" if held_out == "tokens" else counting
        for domain, of_domain in last.groupby("domain", sort=False):
            most = of_domain[column] == of_domain[column].max()
            kept = of_domain[~most]
            law = fit_joint_law(kept[counting], kept["tokens"], kept["loss"], replicates=0)
            for run in of_domain[most].sort_values([counting, "tokens"]).to_dict("records"):
                row = {
                    "held_out": held_out,
                    "domain": domain,
                    "size": run["size"],
                    "seed": run.get("seed", 0),
                    "parameters": run[counting],
                    "tokens": run["tokens"],
                    "seen": run["loss"],
                    "nearest": _nearest(kept, run, column, counting),
                    "status": str(law.status),
                    "reason": law.reason,
                }
                if law.fitted:
                    found = expected_loss(law, str(domain), run[counting], run["tokens"])
                    row["expected"] = found.loss
                    row |= {n: getattr(found, n) for n in ("low", "high", "run_low", "run_high")}
                    low = -np.inf if found.run_low is None else found.run_low
                    high = np.inf if found.run_high is None else found.run_high
                    row["inside"] = low <= run["loss"] <= high
                rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _nearest(kept: pd.DataFrame, run: Mapping[Any, Any], column: str, counting: str) -> float:
    """The loss of the kept run that differs least in the column held out; nan if there is none."""
    other = counting if column == "tokens" else "tokens"
    same = kept[np.isclose(kept[other].to_numpy(float), run[other], rtol=1e-3)]
    return float(same.sort_values(column)["loss"].iloc[-1]) if len(same) else float("nan")
