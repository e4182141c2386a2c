"""Joint laws L(N, D) = E + A N^-alpha + B D^-beta of size and tokens, one per domain (section 7.3).

Command: `python -m recscale.scaling.joint_law --points FILE [--out FILE]`, where FILE is a CSV with
the columns parameters, tokens, loss, and optionally domain and run.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import files
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES
from recscale.scaling.joint_fit import (
    MIN_POINTS,
    PARAMETERS,
    REPLICATES,
    JointLaw,
    Status,
    fit_joint_law,
)
from recscale.scaling.points import COUNTINGS, NEEDED, end_points, read_points


def fit_points(
    points: pd.DataFrame, countings: tuple[str, ...], replicates: int, seed: int
) -> dict[str, Any]:
    """Fit a law to each domain and each way to count parameters, and keep what a forecast needs.

    Args:
        points: as `read_points` gives them.
        countings: columns that are N, one law each.

    Returns:
        mixture (None if the points name none); sizes: by size, its parameters and FLOPs a token, as
        far as the points have them; laws: domain, counting and the fields of `JointLaw`.

    Raises:
        UserError: the points are of several mixtures.
    """
    mixtures = sorted(set(points["mixture"])) if "mixture" in points.columns else []
    if len(mixtures) > 1:
        raise UserError(f"the points are of the mixtures {', '.join(mixtures)}", "pass one")
    last, inside = end_points(points)
    laws = []
    for domain, of_domain in last.groupby("domain", sort=False):
        for counting in countings:
            law = fit_joint_law(
                of_domain[counting],
                of_domain["tokens"],
                of_domain["loss"],
                replicates,
                seed,
                inside // max(1, last["domain"].nunique()),
            )
            laws.append({"domain": domain, "counting": counting, **asdict(law)})
    sizes: dict[str, dict[str, float]] = {}
    if "size" in last.columns:
        kept = [c for c in (*COUNTINGS, "flops_per_token") if c in last.columns]
        sizes = {
            str(size): {column: float(rows[column].iloc[0]) for column in kept}
            for size, rows in last.groupby("size")
        }
    return {"mixture": mixtures[0] if mixtures else None, "sizes": sizes, "laws": laws}


def read_laws(path: Path) -> dict[str, Any]:
    """What `fit_points` wrote, its laws as a dictionary of `JointLaw` by domain and counting.

    Raises:
        UserError: the file is missing, broken, or no joint law's.
    """
    content = files.read_json(path)
    names = {field.name for field in fields(JointLaw)}
    if not isinstance(content, dict) or {"mixture", "sizes", "laws"} - set(content):
        raise UserError(f"{path} holds no joint laws", "make it with recscale.scaling.joint_law")
    laws = {}
    for row in content["laws"]:
        if names - set(row):
            raise UserError(f"{path} is of another version", "run recscale.scaling.joint_law again")
        values = {name: row[name] for name in names} | {"status": Status(row["status"])}
        values |= {name: tuple(row[name]) for name in ("n", "d", "loss")}
        laws[row["domain"], row["counting"]] = JointLaw(**values)
    return content | {"laws": laws}


def printed(content: dict[str, Any]) -> str:
    """The laws as text: each parameter with its intervals, profile and bootstrap."""
    lines = []
    for row in content["laws"]:
        name = DOMAIN_NAMES.get(row["domain"], row["domain"])
        lines.append(f"{name}, N = {row['counting']}: {row['status']}, {len(row['n'])} points")
        if row["reason"]:
            lines.append(f"  because {row['reason']}")
        if row["e"] is None:
            continue
        rms = (row["sum_of_squares"] / len(row["n"])) ** 0.5
        lines.append(f"  root mean squared relative residual {rms:.3g}")
        lines.append(f"  {'':6}{'least squares':>14}{'profile 95 %':>24}{'bootstrap 95 %':>24}")
        lines[-1] += f"{'Huber':>12}"
        for label, value, low, high, boot, huber in _parameter_rows(row):
            text = f"  {label:6}{value:14.6g}{_span(low, high):>24}"
            lines.append(text + f"{_span(*boot):>24}{huber:12.6g}")
    return "\n".join(lines)


def _parameter_rows(row: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of `printed`; A and B as in E + A / N^alpha + B / D^beta, without N0 and D0."""
    draws = np.array(row["replicates"]).reshape(-1, len(PARAMETERS))
    scaled = draws * 1.0
    raw, huber = {name: row[name] for name in PARAMETERS}, dict(row["huber"])
    for amplitude, exponent, unit in (("a", "alpha", row["n0"]), ("b", "beta", row["d0"])):
        i, j = PARAMETERS.index(amplitude), PARAMETERS.index(exponent)
        raw[amplitude] *= unit ** row[exponent]
        huber[amplitude] *= unit ** huber[exponent]
        scaled[:, i] = draws[:, i] * unit ** draws[:, j]
    rows = []
    for i, name in enumerate(PARAMETERS):
        boot = np.percentile(scaled[:, i], [2.5, 97.5]) if len(scaled) else (np.nan, np.nan)
        label = {"e": "E", "a": "A", "b": "B"}.get(name, name)
        missing = name in ("a", "b")
        low, high = (np.nan if missing else row[side][name] for side in ("low", "high"))
        rows.append((label, raw[name], low, high, boot, huber[name]))
    return rows


def _span(low: float | None, high: float | None) -> str:
    if low is not None and np.isnan(low):
        return ""
    return (
        f"[{'open' if low is None else f'{low:.5g}'}, {'open' if high is None else f'{high:.5g}'}]"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=Path, required=True, help="CSV of end points of runs")
    parser.add_argument("--out", type=Path, help="JSON, for recscale.scaling.forecast")
    parser.add_argument(
        "--counting", nargs="+", default=["parameters"], help="columns that are N, a law for each"
    )
    parser.add_argument("--replicates", type=int, default=REPLICATES, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    arguments = parser.parse_args()
    points = read_points(arguments.points, tuple(arguments.counting))
    most = points.groupby("domain")[NEEDED[0]].size().max()
    if most < len(PARAMETERS) and "run" not in points.columns:
        raise UserError(
            f"{arguments.points} has {most} point(s), the law has five parameters",
            f"pass at least {MIN_POINTS} end points of runs",
        )
    content = fit_points(points, tuple(arguments.counting), arguments.replicates, arguments.seed)
    if arguments.out:
        files.write_json(content, arguments.out)
    print(printed(content))


if __name__ == "__main__":
    run_command(main)
