"""The items nearest to drawn items by semantic id, as tidy rows for Table 7 (Appendix B).

Queries are training items in an order that the seed fixes, so none is picked by hand; the first is
the example that Table 7 prints. A query's neighbours are sought among all other items. As the
yardstick for a neighbour in the query's leaf category, other items are drawn at random.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.errors import UserError, run_command
from recscale.item_ids.decoding import CodeIndex, codes_text
from recscale.item_ids.text import item_texts
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("item_ids.nearest")

NEIGHBOURS = 10  # items a query, and items drawn for chance
EXAMPLE = 0  # the query that Table 7 prints
LEVELS = ("c0", "c1", "c2")
NO_CATEGORY = -1


@dataclass(frozen=True)
class Settings:
    """The seed, and how many queries are drawn."""

    seed: int
    queries: int


def leaf_categories(items: pd.DataFrame) -> NDArray[np.int64]:
    """A number for each item's leaf category, shape `(items,)`; NO_CATEGORY where it has none.

    The leaf is c2, or c1 or c0 where the levels below are empty. It is told by its whole path: an
    `Other` of two middle categories is two leaves.
    """
    levels = items[list(LEVELS)]
    leaves = levels.groupby(list(LEVELS), dropna=False, sort=False).ngroup().to_numpy(np.int64)
    return np.where(levels.notna().any(axis=1), leaves, NO_CATEGORY)


def draw_queries(items: pd.DataFrame, settings: Settings) -> NDArray[np.int64]:
    """Training items in an order by a hash of seed and item id, shape `(queries,)`.

    All of them are taken where there are fewer than `queries`.

    Raises:
        UserError: there is no training item, or `queries` is below 1.
    """
    if settings.queries < 1:
        raise UserError(f"settings.queries is {settings.queries}", "draw at least one query")
    training = items.loc[items["split"] == "train", "item_id"].to_numpy(np.int64)
    if len(training) == 0:
        raise UserError("the items hold no training item", "lower data.held_out_items")
    if len(training) < settings.queries:
        log.info("there are %d training items: all are queries", len(training))
    drawn = seeds.hash_keys(seeds.derive(settings.seed, "nearest", "queries"), training)
    return training[np.lexsort((training, drawn))][: settings.queries]


def find(items: pd.DataFrame, index: CodeIndex, settings: Settings) -> pd.DataFrame:
    """One row per query and neighbour, and one for the query itself (position 0).

    Args:
        items: the table of contract `items`, all columns.
        index: the codes of the same items.
        settings: the seed and the number of queries.

    Returns:
        Columns query (rank of the draw), position (1 is the nearest), item_id, codes and text (of
        the example only), equal_positions, common_prefix, width (codes an item),
        same_leaf_category (null where either category is unknown), random_same_leaf (share in the
        query's leaf category among items drawn at random, of those whose category is known).

    Raises:
        UserError: the two tables hold other items, or there are fewer than two.
    """
    items = items.sort_values("item_id", ignore_index=True)  # so that no order of rows matters
    item_ids = items["item_id"].to_numpy(np.int64)
    if len(items) < 2 or not np.array_equal(item_ids, np.sort(index.item_ids)):
        raise UserError(
            f"the items ({len(items)}) and the semantic ids ({len(index)}) are not of the same "
            "two or more items",
            "build the semantic ids again from these items",
        )
    row_of = pd.Index(item_ids)
    leaves = leaf_categories(items)
    parts = []
    for rank, query in enumerate(progress(draw_queries(items, settings), desc="nearest")):
        codes = index.codes_of(query)
        found = index.nearest(codes, NEIGHBOURS + 1)
        # The query may be missing where many items have its codes; then one too many was found.
        other = np.flatnonzero(found.item_ids != query)[:NEIGHBOURS]
        rows = row_of.get_indexer([query, *found.item_ids[other]])
        leaf = leaves[rows[0]]
        same = _same(leaves[rows], leaf)
        part = pd.DataFrame(
            {
                "query": rank,
                "position": np.arange(len(rows)),
                "item_id": item_ids[rows],
                "codes": None,
                "text": None,
                "equal_positions": [index.width, *found.equal_positions[other]],
                "common_prefix": [index.width, *found.common_prefix[other]],
                "width": index.width,
                "same_leaf_category": same,
                "random_same_leaf": _chance(leaves, int(rows[0]), int(query), settings.seed),
            }
        )
        if rank == EXAMPLE:
            part["codes"] = [codes_text(index.codes_of(item)) for item in item_ids[rows]]
            part["text"] = item_texts(items.iloc[rows])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _same(leaves: NDArray[np.int64], leaf: int) -> pd.arrays.BooleanArray:
    """Whether each leaf is `leaf`; null where either is unknown."""
    unknown = (leaves == NO_CATEGORY) | (leaf == NO_CATEGORY)
    return pd.arrays.BooleanArray(leaves == leaf, unknown)


def _chance(leaves: NDArray[np.int64], row: int, item_id: int, seed: int) -> float:
    """Share of items in the leaf of item `row` among others drawn at random; NaN if unknown."""
    draw = seeds.generator(seed, "nearest", "chance", item_id)
    drawn = draw.choice(len(leaves) - 1, min(NEIGHBOURS, len(leaves) - 1), replace=False)
    drawn += drawn >= row  # the query itself is not drawn
    known = leaves[drawn][leaves[drawn] != NO_CATEGORY]
    if leaves[row] == NO_CATEGORY or len(known) == 0:
        return float("nan")
    return float((known == leaves[row]).mean())


def main() -> None:
    """Command line: items and their semantic ids to the nearest items of drawn queries."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--item-ids", type=Path, required=True, help="semantic ids of any method")
    parser.add_argument("--nearest", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    items = files.read_table(arguments.items, "items")
    table = find(items, CodeIndex.read(arguments.item_ids), settings)
    shares = table.loc[table["position"] > 0, "equal_positions"] / table["width"]
    log.info("%d queries, mean similarity %.3f", table["query"].nunique(), shares.mean())
    files.write_csv(table, arguments.nearest)


if __name__ == "__main__":
    run_command(main)
