"""The runs on the paper's full mixture, as the claims about model size read them."""

from __future__ import annotations

import pandas as pd

from recscale.claims.verdict import NotMeasured

SIZES = ("size1", "size2", "size3", "size4")
_FULL = r"size[1-4]-full(?:-seed\d+)?"


def of_full_mixture(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the full runs and their repetitions with other seeds."""
    return table[table["run"].str.fullmatch(_FULL)]


def of_first_seed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of the four runs of Figure 2; raises NotMeasured when one is missing."""
    require(table, [f"{size}-full" for size in SIZES], name)
    return table[table["run"].isin([f"{size}-full" for size in SIZES])]


def require(table: pd.DataFrame, runs: list[str], name: str) -> None:
    """Raise NotMeasured when `table` lacks one of `runs`."""
    missing = [run for run in runs if run not in set(table["run"])]
    if missing:
        raise NotMeasured(f"no {name} of {', '.join(missing)} yet")


def by_seed_and_size(
    rows: pd.DataFrame, column: str, sizes: tuple[str, ...] = SIZES
) -> pd.DataFrame:
    """One value per seed (row) and size (column), for the seeds that have all `sizes`.

    A value may be missing where a fit gave none.
    """
    present = rows.pivot(index="seed", columns="size", values="run").reindex(columns=list(sizes))
    values = rows.pivot(index="seed", columns="size", values=column).reindex(columns=list(sizes))
    return values[present.notna().all(axis=1)].astype(float)
