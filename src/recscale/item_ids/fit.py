"""Fit one method of semantic ids on training items (Appendix B.1)."""

from __future__ import annotations

import argparse
from pathlib import Path

from recscale.errors import run_command
from recscale.item_ids import catalogue, methods, quantiser
from recscale.settings import parse


def main() -> None:
    """Command line: embeddings to a fitted quantiser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=list(methods.KINDS), required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--general-embeddings", type=Path, help="for sae_general: general text's")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(methods.Settings, arguments.settings)
    items = catalogue.read(arguments.items)
    vectors = methods.read_vectors(arguments.embeddings, items)
    chosen = methods.to_fit_on(
        arguments.method, vectors, arguments.general_embeddings, items, settings
    )
    quantiser.write(methods.fit(arguments.method, chosen, settings, training=0), arguments.model)


if __name__ == "__main__":
    run_command(main)
