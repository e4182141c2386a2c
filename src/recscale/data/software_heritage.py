"""Texts of python-edu, SmolLM-Corpus's subset of Python files (section 6.1).

Its shards hold no text but the identifiers of files in the archive of Software Heritage, whose
contents lie in a public bucket, each compressed with gzip under `content/<blob_id>`. A part of them
is gone by now: every row without a text is counted by reason, and too large a share stops the run.

Metadata shards become text shards of the same name, one by one, so that a run that was stopped goes
on with the next.
"""

from __future__ import annotations

import argparse
import gzip
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recscale import files
from recscale.errors import UserError, first_line, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("data.software_heritage")

ATTEMPTS = 5
FIRST_WAIT = 0.5  # seconds, doubled at every attempt
ROWS_AT_ONCE = 4096
SECONDS = 30  # without a byte before a connection is given up
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("blob_id", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Settings:
    """The `curriculum.general.software_heritage` block of the config.

    base_url is the bucket's address; `missing_share` the largest share of rows that may have no
    text; `connections` are open at once.
    """

    base_url: str
    connections: int
    missing_share: float


class Missing(Exception):
    """A blob has no text; the message is the reason."""


def content(blob: str, settings: Settings) -> str:
    """The text of one blob.

    Raises:
        Missing: it is gone, or is no gzip of UTF-8 text.
        UserError: the bucket cannot be reached.
    """
    url = f"{settings.base_url.rstrip('/')}/content/{blob}"
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:
                packed = answer.read()
            return gzip.decompress(packed).decode("utf-8")
        except urllib.error.HTTPError as error:
            if error.code in (403, 404, 410):
                raise Missing("gone") from None
            problem: Exception = error
        except UnicodeDecodeError:
            raise Missing("not_utf8") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            if attempt == ATTEMPTS - 1:
                raise Missing("not_gzip") from None
            problem = error  # a connection that was cut looks like this too
        except (OSError, HTTPException) as error:
            problem = error
        time.sleep(FIRST_WAIT * 2**attempt)
    raise UserError(
        f"{url} cannot be fetched ({first_line(problem)})",
        "check the network and run the same command again: it goes on with the next shard",
    )


def fetch_shard(metadata: Path, texts: Path, settings: Settings) -> dict[str, int]:
    """Write the texts of one metadata shard; returns rows, texts and rows without one by reason.

    Raises:
        UserError: the shard is broken or has no column blob_id, or the bucket is out of reach.
    """
    if "blob_id" not in files.parquet_schema(metadata).names:
        raise UserError(
            f"{metadata} has no column blob_id", "use the shards of python-edu as released"
        )
    counts: Counter[str] = Counter(rows=0, texts=0)

    def one(blob: str | None) -> tuple[str | None, str]:
        try:
            return (content(blob, settings), "") if blob else (None, "without_blob_id")
        except Missing as error:
            return None, str(error)

    with (
        files.atomic(texts) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
        ThreadPoolExecutor(settings.connections) as pool,
    ):
        file = pq.ParquetFile(metadata)
        bar = progress(total=file.metadata.num_rows, desc=metadata.name, unit=" blobs")
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=["blob_id"]):
            blobs = batch.column("blob_id").to_pylist()
            found = list(pool.map(one, blobs))
            counts["rows"] += len(blobs)
            counts.update(f"dropped_{reason}" for text, reason in found if text is None)
            kept = [(t, b) for (t, _), b in zip(found, blobs, strict=True) if t is not None]
            counts["texts"] += len(kept)
            columns = [pa.array([row[n] for row in kept], pa.string()) for n in range(2)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
            bar.update(len(blobs))
        bar.close()
    return dict(counts)


def main() -> None:
    """Command line: a folder of metadata shards to text shards, and a manifest written last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metadata", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    shards = sorted(arguments.metadata.rglob("*.parquet"))
    if not shards:
        raise UserError(
            f"{arguments.metadata} holds no Parquet shard",
            "download the folder python-edu of HuggingFaceTB/smollm-corpus into it",
        )
    manifest: dict[str, dict[str, int]] = {}
    for shard in progress(shards, desc="shards"):
        name = str(shard.relative_to(arguments.metadata))
        texts = arguments.folder / name
        counted = texts.with_suffix(".json")
        if not (texts.is_file() and counted.is_file()):
            files.write_json(fetch_shard(shard, texts, settings), counted)
        manifest[name] = files.read_json(counted)
        log.info("%s: %s", name, manifest[name])
        total = {key: sum(c.get(key, 0) for c in manifest.values()) for key in ("rows", "texts")}
        missing = total["rows"] - total["texts"]
        if missing > settings.missing_share * total["rows"]:
            raise UserError(
                f"{missing} of {total['rows']} blobs of {arguments.metadata} have no text",
                "raise curriculum.general.software_heritage.missing_share if you accept that, or "
                "mend its base_url",
            )
    files.write_json(manifest, arguments.manifest)


if __name__ == "__main__":
    run_command(main)
