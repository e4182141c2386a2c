"""Table 8: what each of the paper's 14 walk configurations covers, and how evenly.

Measures, over the walks of a configuration: mean length in items; items visited; Gini coefficient
of the visits to those items; distinct REC tokens written and the Gini coefficient of their uses;
and the geometric mean lift of the edges walked. The paper does not define its Gini; items that are
never visited are left out here, for with them a catalogue of millions would always be near 1.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files
from recscale.curriculum.graph import ItemGraph, read
from recscale.curriculum.walk_settings import Settings as WalkSettings
from recscale.curriculum.walk_settings import Walks
from recscale.curriculum.walks import generate, together
from recscale.errors import UserError, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("curriculum.sweep")


@dataclass(frozen=True)
class Settings:
    """The configurations are the paper's; the rung says how many walks measure each."""

    seed: int
    engine: str
    at_threshold: str
    min_items: int
    max_items: int
    walks: int


def configuration(row: pd.Series, settings: Settings) -> WalkSettings:
    """The walk settings of a row of the published table: second order (p = 0.5, q = 2) or first.

    The published names say both: `bfs_p05q2_...` is second order, `1st_order_...` first.
    """
    second = str(row["config"]).startswith("bfs_p05q2_")
    return WalkSettings(
        seed=settings.seed,
        engine="numba" if second else settings.engine,  # igraph has no second order
        order=2 if second else 1,
        p=0.5 if second else 1.0,
        q=2.0 if second else 1.0,
        stop_probability=float(row["alpha"]),
        threshold=None if pd.isna(row["threshold"]) else float(row["threshold"]),
        at_threshold=settings.at_threshold,
        min_items=settings.min_items,
        max_items=settings.max_items,
        walks=settings.walks,
    )


def gini(counts: NDArray[np.integer]) -> float:
    """The Gini coefficient of positive counts: 0 when all are equal, towards 1 when one has all.

    Raises:
        UserError: there are no counts, or one is not positive.
    """
    if len(counts) == 0 or (counts <= 0).any():
        raise UserError("the Gini coefficient needs positive counts", "check the walks")
    ordered = np.sort(counts).astype(np.float64)
    rank = np.arange(1, len(ordered) + 1)
    return float(2 * (rank * ordered).sum() / (len(ordered) * ordered.sum()) - 1 - 1 / len(ordered))


def measure(graph: ItemGraph, walks: Walks, codes: NDArray[np.integer]) -> dict[str, float | int]:
    """The columns of Table 8 for one set of walks; `codes` (nodes, codes an item)."""
    visits = np.bincount(walks.nodes, minlength=graph.nodes)
    uses = np.bincount(codes.ravel(), weights=np.repeat(visits, codes.shape[1]))
    ends = walks.step_ends()
    edges = graph.edge_numbers(walks.nodes[ends - 1], walks.nodes[ends])
    return {
        "walks": len(walks.lengths),
        "length": float(walks.lengths.mean()),
        "items": int((visits > 0).sum()),
        "gini": gini(visits[visits > 0]),
        "tokens": int((uses > 0).sum()),
        "token_gini": gini(uses[uses > 0]),
        "geometric_lift": float(np.exp(np.log(graph.lift[edges]).mean())),
    }


def codes_of_nodes(graph: ItemGraph, item_ids: pd.DataFrame) -> NDArray[np.int64]:
    """The codes (nodes, codes an item) of the graph's items.

    Raises:
        UserError: an item of the graph has no semantic id.
    """
    row = pd.Series(np.arange(len(item_ids)), index=item_ids["item_id"]).reindex(graph.item_ids)
    if row.isna().any():
        raise UserError(
            f"{int(row.isna().sum())} items of the graph have no semantic id",
            "rebuild the item ids from the same items.parquet",
        )
    return np.stack(item_ids["codes"].to_numpy()[row.to_numpy(dtype=int)]).astype(np.int64)


def main() -> None:
    """Command line: the training graph and the published configurations to the sweep table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--item-ids", type=Path, required=True)
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    graph = read(arguments.graph)
    codes = codes_of_nodes(graph, files.read_table(arguments.item_ids, "item_ids"))
    rows = []
    published = files.read_csv(arguments.published)
    for _, row in progress(published.iterrows(), total=len(published), desc="Table 8"):
        chosen = configuration(row, settings)
        walks = together(generate(graph, chosen, "sweep", arguments.threads))
        described = dataclasses.asdict(chosen)
        rows.append(
            {
                "config": row["config"],
                "order": chosen.order,
                "p": described["p"],
                "q": described["q"],
                "alpha": chosen.stop_probability,
                "threshold": chosen.threshold,
                **measure(graph, walks, codes),
            }
        )
    files.write_csv(pd.DataFrame(rows), arguments.sweep)


if __name__ == "__main__":
    run_command(main)
