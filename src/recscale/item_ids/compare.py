"""One setting of a method of semantic ids, fitted with several seeds and measured (Table 9).

Every setting sees the same embeddings, the same training items and the same measures; trainings
differ in their seed only.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.errors import run_command
from recscale.item_ids import catalogue, methods, quality
from recscale.item_ids.catalogue import Catalogue
from recscale.item_ids.quantiser import Quantiser
from recscale.item_ids.ties import break_ties
from recscale.logs import logger
from recscale.settings import parse

log = logger("item_ids.compare")


@dataclass(frozen=True)
class Settings(methods.Settings):
    """As for a fit, and how many trainings."""

    trainings: int


def code_space(quantiser: Quantiser, method: str) -> float:
    """How many codes an item could have: codes to the power of layers, or ordered latents."""
    if method in ("sae", "sae_general"):
        return float(math.perm(quantiser.rec_tokens, quantiser.width))
    return float(quantiser.rec_tokens // quantiser.width) ** quantiser.width


def measure(
    method: str,
    quantiser: Quantiser,
    vectors: NDArray[np.floating],
    items: Catalogue,
    seed: int,
) -> dict[str, Any]:
    """The measures of one fitted quantiser, by column of contract `item_id_quality`."""
    codes = quantiser.encode(vectors)
    tied = break_ties(quantiser, vectors, codes, items.item_ids, items.train, seed)
    rates = quality.collisions(codes)
    distinct = quality.collisions(codes[items.first_of_text])
    after = quality.collisions(tied)
    # Neighbours and prefixes are compared among a sample; small catalogues are compared whole.
    order = np.argsort(seeds.uniform(seed, items.item_ids), kind="stable")
    sample = np.sort(order[: quality.SAMPLE_ITEMS])
    near, near_codes = np.asarray(vectors[sample]), codes[sample]
    queries = seeds.generator(seed, "queries").permutation(len(sample))[: quality.QUERIES]
    unseen = np.flatnonzero(~items.train[sample])
    purity, grouped = quality.prefix_purity(near_codes, items.leaf[sample])
    use, perplexity = quality.code_use(codes, quantiser.rec_tokens)
    return {
        "width": quantiser.width,
        "rec_tokens": quantiser.rec_tokens,
        "items": len(codes),
        "distinct_texts": int(items.first_of_text.sum()),
        "shared": rates[0],
        "surplus": rates[1],
        "shared_distinct_texts": distinct[0],
        "surplus_distinct_texts": distinct[1],
        "shared_ties_broken": after[0],
        "surplus_ties_broken": after[1],
        "shared_uniform": quality.uniform_rate(len(codes), code_space(quantiser, method)),
        "held_out_like_training": quality.held_out_like_training(codes, items.train),
        "code_use": use,
        "code_perplexity": perplexity,
        "unexplained_variance": quality.unexplained_variance(
            quantiser, near[unseen] if len(unseen) > 1 else near
        ),
        "neighbour_overlap": quality.neighbour_overlap(near, near_codes, queries),
        "purity": purity,
        "grouped": grouped,
    }


def main() -> None:
    """Command line: embeddings to the measures of one setting, a row for each training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", required=True, help="its name in the table")
    parser.add_argument("--method", choices=list(methods.KINDS), required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--general-embeddings", type=Path, help="for sae_general: general text's")
    parser.add_argument("--quality", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    items = catalogue.read(arguments.items)
    vectors = methods.read_vectors(arguments.embeddings, items)
    chosen = methods.to_fit_on(
        arguments.method, vectors, arguments.general_embeddings, items, settings
    )
    rows = []
    for training in range(settings.trainings):
        fitted = methods.fit(arguments.method, chosen, settings, training)
        row = {
            "setting": arguments.setting,
            "method": arguments.method,
            "training": training,
            "cures": settings.rq_vae.cures if arguments.method == "rq_vae" else None,
            **measure(arguments.method, fitted, vectors, items, settings.seed),
        }
        log.info("%s", {k: v for k, v in row.items() if k not in ("purity", "grouped")})
        rows.append(row)
    files.write_table(pd.DataFrame(rows), arguments.quality, "item_id_quality")


if __name__ == "__main__":
    run_command(main)
