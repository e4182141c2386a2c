"""General text as tokens, in shards that several jobs make side by side (section 6.1).

Tokenising general text is nearly all of the work of making windows; sentences of items, rules and
walks are put together from pieces. A shard holds the documents of a stretch of row groups in the
order in which they are packed, each with its end-of-text token: SHARD.npy, uint32 (tokens,), and
SHARD.offsets.npy, int64 (documents + 1,). Windows packed from all shards have the bytes of windows
packed from the text itself.

Command: `python -m recscale.curriculum.token_shards --documents documents.parquet --part train
--tokenizer FOLDER --shard 0 --shards 8 --tokens 0.npy --offsets 0.offsets.npy --settings JSON`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recscale import files
from recscale.curriculum import packing, sentences
from recscale.curriculum.token_pieces import Pieces, read_tokenizer
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.settings import parse
from recscale.shards import check_shard

DOCUMENTS_AT_ONCE = 65_536

log = logger("curriculum.token_shards")


@dataclass(frozen=True)
class Settings:
    """The seed, from which the order of the documents derives."""

    seed: int


def write(documents: Iterable[Pieces], tokens: Path, offsets: Path) -> tuple[int, int]:
    """Write a shard as its documents come; returns how many documents and tokens it has."""
    lengths: list[NDArray[np.int64]] = []
    with (
        files.atomic(tokens) as temporary,
        files.atomic(offsets) as ends,
        open(temporary, "wb") as file,
    ):
        file.write(bytes(packing.HEADER))
        for batch in documents:
            file.write(batch.tokens.astype("<u4", copy=False).tobytes())
            lengths.append(batch.lengths)
        sizes = np.concatenate([np.zeros(1, dtype=np.int64), *lengths])
        whole = np.cumsum(sizes)
        packing.write_header(file, (int(whole[-1]),), np.dtype("<u4"))
        with open(ends, "wb") as second:
            np.save(second, whole)
    return len(whole) - 1, int(whole[-1])


def read(shards: Sequence[Path]) -> Iterator[Pieces]:
    """The documents of shards, in their order.

    Args:
        shards: the files of tokens; each has its offsets beside it.

    Raises:
        UserError: a shard is missing or broken.
    """
    for path in shards:
        offsets_path = path.with_suffix(".offsets.npy")
        try:
            tokens = np.load(path, mmap_mode="r", allow_pickle=False)
            offsets = np.load(offsets_path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({error})", "delete it and rerun its target"
            ) from None
        if not len(offsets) or offsets[-1] != len(tokens):
            raise UserError(
                f"{path} has {len(tokens)} tokens, {offsets_path} is of another shard",
                "delete both and rerun their target",
            )
        for start in range(0, len(offsets) - 1, DOCUMENTS_AT_ONCE):
            some = offsets[start : start + DOCUMENTS_AT_ONCE + 1]
            yield Pieces(np.asarray(tokens[some[0] : some[-1]]), some - some[0])


def main() -> None:
    """Command line: a stretch of general text to its tokens."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--part", choices=["base", "train", "held_out"], required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--offsets", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=None, help="of the tokenizer")
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    check_shard(arguments.shard, arguments.shards)
    settings = parse(Settings, arguments.settings)
    if arguments.threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    described = files.read_json(arguments.tokenizer / "manifest.json")
    how = sentences.Sentences(read_tokenizer(arguments.tokenizer), described, settings.seed, 1)
    documents = sentences.text_documents(
        arguments.documents,
        arguments.part,
        how,
        settings.seed,
        arguments.shard,
        arguments.shards,
    )
    log.info("%d documents, %d tokens", *write(documents, arguments.tokens, arguments.offsets))


if __name__ == "__main__":
    run_command(main)
