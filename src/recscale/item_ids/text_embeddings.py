"""Passages of general text to vectors, by the encoder that embeds the items.

The paper's auto-encoder was trained on another domain (internal video, photo and text data), and
the paper warns that its latents may not fit an item catalogue (Appendix B.1, Approach 1). Passages
of general text, about as long as an item's text, stand in for that domain.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recscale import files, seeds
from recscale.errors import UserError, run_command
from recscale.item_ids import embeddings
from recscale.item_ids.resumable_array import ResumableArray
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("item_ids.text_embeddings")

WORDS = 12  # words of a passage
DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True)
class Settings(embeddings.Settings):
    """The `item_ids.embedding` block of the config, the seed, and how many passages to embed."""

    passages: int


def passages_of(document: str) -> Iterator[str]:
    """The document's passages of `WORDS` words each; fewer at its end are left out."""
    words = document.split()
    for end in range(WORDS, len(words) + 1, WORDS):
        yield " ".join(words[end - WORDS : end])


def choose(documents: Path, passages: int, seed: int) -> list[str]:
    """Passages of the documents that are not held out: all, or the `passages` of smallest hash.

    They come in the order of the text. Only the chosen ones are ever in memory, up to a factor of
    two, beside the passages of `DOCUMENTS_AT_ONCE` documents.

    Raises:
        UserError: no document has a passage.
    """
    seed = seeds.derive(seed, "text embeddings", "passages")
    chosen: list[tuple[int, int, str]] = []  # hash, number, passage
    largest = np.iinfo(np.uint64).max
    count = 0
    for batch in files.read_batches(documents, ["text", "part"], DOCUMENTS_AT_ONCE):
        rows = zip(batch.column("text").to_pylist(), batch.column("part").to_pylist(), strict=True)
        found = [p for text, part in rows if part != "held_out" for p in passages_of(text)]
        hashes = seeds.hash_keys(seed, np.arange(count, count + len(found)))
        for row in np.flatnonzero(hashes <= largest).tolist():
            chosen.append((int(hashes[row]), count + row, found[row]))
        count += len(found)
        if len(chosen) > 2 * passages:
            chosen = sorted(chosen)[:passages]
            largest = chosen[-1][0]
    if not chosen:
        raise UserError(
            f"{documents} holds no passage of {WORDS} words outside its held-out part",
            "use longer documents",
        )
    chosen = sorted(chosen)[:passages]
    log.info("%d passages, %d chosen", count, len(chosen))
    return [passage for _, _, passage in sorted(chosen, key=lambda entry: entry[1])]


def embed(items: Path, documents: Path, output: Path, settings: Settings) -> None:
    """Write the passages' vectors: float16, shape (passages, dimensions), rows of unit length.

    Passages of which the encoder knows no word are left out, so that there may be fewer rows than
    `settings.passages`.

    Raises:
        UserError: a wrong setting, an item without text, no passage or none with a known word, a
            model that cannot be loaded, or a vector that is not finite.
    """
    embeddings.check_settings(settings)
    if settings.passages < 1:
        raise UserError(f"passages is {settings.passages}", "it must be 1 or more")
    embeddings.check_texts(items)
    chosen = choose(documents, settings.passages, settings.seed)
    encoder = embeddings.make_encoder(settings, items)
    made_from = embeddings.made_from(settings, encoder, items, documents, Path(__file__))
    size = settings.rows_of_a_block
    with (
        ResumableArray(output, encoder.dimensions, np.float16, made_from) as array,
        progress(
            total=len(chosen), initial=array.inputs, desc="embedding", unit=" passages"
        ) as bar,
    ):
        for start in range(array.inputs, len(chosen), size):
            texts = chosen[start : start + size]
            numbers = range(start, start + len(texts))
            vectors = embeddings.encode_finite(encoder, texts, numbers, "passage")
            known = vectors[vectors.any(axis=1)]
            array.append(known.astype(np.float16), inputs=len(texts))
            bar.update(len(texts))
        if not array.rows:
            raise UserError(
                f"no passage of {documents} has a word of the training items",
                "use another encoder (item_ids.embedding.method)",
            )
        array.finish()
    dropped = array.inputs - array.rows
    log.info(
        "%d passages embedded, %d dropped that have no word the encoder knows", array.rows, dropped
    )


def main() -> None:
    """Command line: documents to embeddings of their passages, by the encoder of the items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    embed(
        arguments.items,
        arguments.documents,
        arguments.embeddings,
        parse(Settings, arguments.settings),
    )


if __name__ == "__main__":
    run_command(main)
