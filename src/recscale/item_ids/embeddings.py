"""Item text to vectors, block by block: a run that was stopped goes on after its last block.

Neither the texts nor the vectors of a catalogue need to fit in memory. TF-IDF with SVD is fitted on
training items only, so that the text of a held-out item changes no other item's vector.

Several jobs can each encode a shard of whole blocks; `recscale.item_ids.join_embeddings` joins them
to the bytes that one job writes.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.errors import UserError, run_command
from recscale.item_ids import encoders, text
from recscale.item_ids.encoders import Encoder, HuggingFace, TfidfSvd
from recscale.item_ids.resumable_array import ResumableArray
from recscale.logs import logger, progress
from recscale.settings import parse
from recscale.shards import check_shard

log = logger("item_ids.embeddings")

FIT_ITEMS = 1_000_000  # at most so many training items are TF-IDF and SVD fitted to
BATCH_SIZE = 256  # texts at once where batch_size is null
BATCHES_OF_A_BLOCK = 16  # batches between two entries of the journal
ROWS_AT_ONCE = 65_536  # of the passes that encode nothing
TEXT_COLUMNS = ["title", "brand", "c0", "c1", "c2", "size", "color"]


@dataclass(frozen=True)
class Settings:
    """The `item_ids.embedding` block of the config, and the seed."""

    seed: int
    method: str
    dimensions: int | None
    model: str | None
    pooling: str | None
    batch_size: int | None

    @property
    def rows_of_a_block(self) -> int:
        """How many texts are encoded and written before the journal is."""
        return BATCHES_OF_A_BLOCK * (self.batch_size or BATCH_SIZE)


def check_settings(settings: Settings) -> None:
    """Raise a UserError for a setting that is wrong whatever the items are."""
    if settings.method not in ("tfidf_svd", "hugging_face"):
        raise UserError(
            f"item_ids.embedding.method is {settings.method!r}", "use tfidf_svd or hugging_face"
        )
    if settings.method == "tfidf_svd" and settings.dimensions is None:
        raise UserError("item_ids.embedding.dimensions is null", "tfidf_svd needs a number")
    for name in ("dimensions", "batch_size"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UserError(f"item_ids.embedding.{name} is {value}", "it must be 1 or more")


def check_texts(items: Path) -> int:
    """The number of items, every one of which has a text.

    Raises:
        UserError: there is no item, or title and all attributes of one are missing or blank.
    """
    rows = without = 0
    first: int | None = None
    for batch in files.read_batches(items, ["item_id", *TEXT_COLUMNS], ROWS_AT_ONCE):
        empty = np.ones(batch.num_rows, dtype=bool)
        for column in TEXT_COLUMNS:
            words = pc.fill_null(batch.column(column).cast(pa.string()), "")
            empty &= pc.equal(pc.utf8_trim_whitespace(words), "").to_numpy(zero_copy_only=False)
        if first is None and empty.any():
            first = batch.column("item_id")[int(empty.argmax())].as_py()
        without += int(empty.sum())
        rows += batch.num_rows
    if without:
        raise UserError(f"{without} items have no text, first item_id {first}", "drop them")
    if not rows:
        raise UserError(f"{items} holds no items", "look at the log of the target data")
    return rows


def texts_of(batch: pa.RecordBatch) -> list[str]:
    """The texts of a batch of the items table; a missing title is left out."""
    frame = batch.to_pandas()
    frame["title"] = frame["title"].fillna("")
    return text.item_texts(frame)


def fitting_texts(items: Path, seed: int) -> Iterator[str]:
    """The texts of training items in table order: all, or the `FIT_ITEMS` of smallest hash."""
    seed = seeds.derive(seed, "embedding", "fitting items")

    def hashes(batch: pa.RecordBatch) -> NDArray[np.uint64]:
        return seeds.hash_keys(seed, batch.column("item_id").to_numpy())

    def in_training(batch: pa.RecordBatch) -> NDArray[np.bool_]:
        return pc.equal(batch.column("split"), "train").to_numpy(zero_copy_only=False)

    smallest = np.zeros(0, dtype=np.uint64)
    for batch in files.read_batches(items, ["item_id", "split"], ROWS_AT_ONCE):
        smallest = np.concatenate([smallest, hashes(batch)[in_training(batch)]])
        if len(smallest) > FIT_ITEMS:
            smallest = np.partition(smallest, FIT_ITEMS - 1)[:FIT_ITEMS]
    if not len(smallest):
        raise UserError(f"{items} holds no training items", "tfidf_svd is fitted to their texts")
    largest = smallest.max()  # no two items share a hash
    for batch in files.read_batches(items, ["item_id", "split", *TEXT_COLUMNS], ROWS_AT_ONCE):
        chosen = in_training(batch) & (hashes(batch) <= largest)
        yield from texts_of(batch.filter(pa.array(chosen)))


def make_encoder(settings: Settings, items: Path) -> Encoder:
    """The encoder of the settings; TF-IDF with SVD is fitted to texts of training items.

    Raises:
        UserError: see `TfidfSvd` and `HuggingFace`.
    """
    if settings.method == "hugging_face":
        return HuggingFace(
            settings.model,
            settings.pooling,
            settings.dimensions,
            settings.batch_size or BATCH_SIZE,
        )
    assert settings.dimensions is not None
    log.info("fitting TF-IDF and SVD")
    encoder = TfidfSvd(
        fitting_texts(items, settings.seed),
        settings.dimensions,
        seeds.derive(settings.seed, "tfidf_svd"),
    )
    log.info("fitted to %d training items", encoder.fitted)
    return encoder


def made_from(settings: Settings, encoder: Encoder, *inputs: Path) -> dict[str, Any]:
    """All that decides an embedding's bytes: settings, encoder, the inputs and the code.

    Code counts so that an edit between a stop and the next run does not mix rows of two versions.
    """
    code = [Path(str(module.__file__)) for module in (encoders, text)]
    return {
        "settings": dataclasses.asdict(settings),
        "encoder": encoder.card(),
        "files": {path.name: files.sha256(path) for path in [*inputs, Path(__file__), *code]},
    }


def encode_finite(encoder: Encoder, texts: list[str], ids: Sequence[int], what: str) -> NDArray:
    """Unit rows as `encoder.encode` gives them; `what` and `ids` name the texts in errors.

    Raises:
        UserError: a vector is not finite, or is zero although the encoder knows every word.
    """
    vectors = encoder.encode(texts)
    good = np.isfinite(vectors).all(axis=1)
    if encoder.fallback is None:
        good &= vectors.any(axis=1)
    if not good.all():
        raise UserError(
            f"the vector of {what} {ids[int(good.argmin())]} is zero or not finite",
            "check the embedding model",
        )
    return vectors


def embed(
    items: Path, embeddings: Path, card: Path, settings: Settings, shard: int = 0, shards: int = 1
) -> None:
    """Write the vectors of a shard of the items (of all) in the order of their table, and a card.

    The array has shape (items, dimensions), float16, rows of unit length. An item of which the
    encoder knows no word gets the encoder's fallback and is counted in the card. A block belongs to
    the shard in whose part of the table it begins, so a shard can be empty.

    Raises:
        UserError: a wrong setting, an item without text, a model that cannot be loaded, or a vector
            that is not finite.
    """
    check_settings(settings)
    total = check_texts(items)
    encoder = make_encoder(settings, items)
    origin = made_from(settings, encoder, items)
    if shards > 1:
        origin["shard"] = [shard, shards]
    columns = ["item_id", *TEXT_COLUMNS]
    with (
        ResumableArray(embeddings, encoder.dimensions, np.float16, origin) as array,
        progress(
            total=total // shards, initial=array.inputs, desc="embedding", unit=" items"
        ) as bar,
    ):
        begin = read = 0
        for batch in files.read_batches(items, columns, settings.rows_of_a_block):
            is_of_shard = begin * shards // total == shard
            begin += batch.num_rows
            read += batch.num_rows if is_of_shard else 0
            if not is_of_shard or read <= array.inputs:
                continue
            ids = batch.column("item_id").to_pylist()
            vectors = encode_finite(encoder, texts_of(batch), ids, "item_id")
            unknown = ~vectors.any(axis=1)
            if encoder.fallback is not None:
                vectors[unknown] = encoder.fallback
            array.append(
                vectors.astype(np.float16),
                inputs=len(vectors),
                counts={"items_without_known_words": int(unknown.sum())},
            )
            bar.update(len(vectors))
        described = {
            "items": array.rows,
            "dimensions": encoder.dimensions,
            "method": settings.method,
            "items_without_known_words": 0,  # of a shard without a block
            **array.counts,
            **origin["encoder"],
        }
        files.write_json(described, card)
        array.finish()  # last: whoever finds the array finds its card
    log.info("%(items)d items, %(dimensions)d dimensions, %(method)s", described)
    if described["items_without_known_words"]:
        log.warning(
            "%d items have no word that the encoder knows: their vectors are the fitted mean",
            described["items_without_known_words"],
        )


def main() -> None:
    """Command line: items to embeddings and a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--shard", type=int, default=0, help="which shard of the items")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    check_shard(arguments.shard, arguments.shards)
    embed(
        arguments.items,
        arguments.embeddings,
        arguments.card,
        parse(Settings, arguments.settings),
        arguments.shard,
        arguments.shards,
    )


if __name__ == "__main__":
    run_command(main)
