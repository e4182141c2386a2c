"""General text, so that the model does not forget it (section 6.1, Table 2).

The paper takes three subsets of SmolLM-Corpus: two of prose and one of Python. Below the paper's
size general text is the documentation and the sources of a fixed list of permissively licensed
packages, which the curriculum environment itself pins; nothing is downloaded. Documents are split
into three disjoint parts: base (pre-training from random weights), train (continual pre-training)
and held_out. All documents of one file go to one part, for they often repeat each other.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.contracts import CONTRACTS
from recscale.errors import UserError, first_line, run_command
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("curriculum.general_text")

# Pinned in envs/curriculum.yaml; the licence is the distribution's own, of the Python sources read.
LICENCES = {
    "numpy": "BSD-3-Clause",
    "pandas": "BSD-3-Clause",
    "numba": "BSD-2-Clause",
    "pyarrow": "Apache-2.0",
    "transformers": "Apache-2.0",
    "huggingface_hub": "Apache-2.0",
}
# Tests are no prose, and transformers' `models` repeats the same page hundreds of times.
SKIPPED_FOLDERS = {"tests", "test", "testing", "models", "_vendor", "__pycache__"}
SHORTEST_DOCSTRING = 200  # characters; shorter ones are labels, not prose
FUNCTION_LINES = (6, 60)  # sources of functions this long, without a docstring of their own


TEXTS_AT_ONCE = 50_000  # documents of a batch, which is a row group of the table


@dataclass(frozen=True)
class Settings:
    """The `curriculum.general` block of the config, and the seed."""

    seed: int
    source: str
    packages: tuple[str, ...]
    folder: str | None
    subsets: dict[str, float] | None
    base_share: float
    held_out_share: float


def documents(source: str) -> Iterator[str]:
    """The docstrings of a module as prose, and its undocumented functions as code."""
    lines = source.splitlines()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and len(docstring) >= SHORTEST_DOCSTRING:
                yield docstring
            if isinstance(node, ast.FunctionDef) and not docstring and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if FUNCTION_LINES[0] <= length <= FUNCTION_LINES[1]:
                    first = lines[node.lineno - 1]
                    indent = len(first) - len(first.lstrip())
                    body = lines[node.lineno - 1 : node.end_lineno]
                    yield "\n".join(line[indent:] for line in body)
                    continue  # functions inside it are part of what it gave
        waiting.extend(ast.iter_child_nodes(node))


Manifest = list[dict[str, Any]]


def from_packages(packages: tuple[str, ...]) -> tuple[list[tuple[str, str]], Manifest]:
    """Origin and text of all documents of the packages, by file name, and a manifest.

    The origin of a document is its package and file.

    Raises:
        UserError: a package is not among the permissively licensed ones, or not installed.
    """
    texts: list[tuple[str, str]] = []
    manifest: Manifest = []
    for package in packages:
        if package not in LICENCES:
            raise UserError(
                f"curriculum.general.packages names {package!r}",
                f"choose from {', '.join(LICENCES)}, whose licences are known to be permissive",
            )
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(
                f"the package {package} is not installed, whose text general text is made of",
                "use the environment of envs/curriculum.yaml",
            ) from None
        digest = hashlib.sha256()
        count = 0
        names = sorted(str(f) for f in distribution.files or [] if str(f).endswith(".py"))
        for name in progress(names, desc=package):
            if SKIPPED_FOLDERS & set(Path(name).parts):
                continue
            content = Path(str(distribution.locate_file(name))).read_bytes()
            digest.update(name.encode() + b"\0" + content)
            found = list(documents(content.decode("utf-8")))
            texts.extend((f"{package}/{name}", text) for text in found)
            count += len(found)
        manifest.append(
            {
                "package": package,
                "version": distribution.version,
                "licence": LICENCES[package],
                "documents": count,
                "sha256": digest.hexdigest(),
            }
        )
    return texts, manifest


def parts_of(origins: list[str], settings: Settings) -> NDArray[np.str_]:
    """The part of each document, drawn by a hash of the seed and the document's origin."""
    digests = [hashlib.blake2b(o.encode(), digest_size=8).digest() for o in origins]
    keys = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64).view(np.int64)
    draw = seeds.uniform(seeds.derive(settings.seed, "general text"), keys)
    return np.where(
        draw < settings.held_out_share,
        "held_out",
        np.where(draw < settings.held_out_share + settings.base_share, "base", "train"),
    )


def shards_of(folder: Path, subsets: dict[str, float] | None) -> list[tuple[Path, float]]:
    """The shards to read, by name, and the share of their documents to keep.

    Raises:
        UserError: a subset's folder, or the folder, holds no shard.
    """
    found = []
    for subset, share in ({".": 1.0} if subsets is None else subsets).items():
        shards = sorted((folder / subset).rglob("*.parquet"))
        if not shards:
            raise UserError(
                f"curriculum.general.folder {folder / subset} holds no Parquet shard",
                "download HuggingFaceTB/smollm-corpus from Hugging Face into it",
            )
        found += [(shard, share) for shard in shards]
    return found


def from_parquet(settings: Settings, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    """Rows of contract `documents` from the column `text` of the shards, and a manifest.

    A document's origin is its text: equal texts go to one part, so that no held-out text is
    trained on, and repeated ones stay repeated; nothing needs to be held in memory. A subset's
    share of documents is drawn by another hash of the text. `manifest` grows by a row a shard.

    Raises:
        UserError: there is no shard, or one is broken or has no column `text`.
    """
    assert settings.folder is not None
    folder = Path(settings.folder)
    schema = CONTRACTS["documents"].arrow_schema()
    for shard, share in progress(shards_of(folder, settings.subsets), desc="shards"):
        if "text" not in files.parquet_schema(shard).names:
            raise UserError(f"{shard} has no column text", "use shards of text, not of metadata")
        counts = {"documents": 0, "dropped_empty": 0, "dropped_beyond_share": 0, "characters": 0}
        try:
            for batch in pq.ParquetFile(shard).iter_batches(TEXTS_AT_ONCE, columns=["text"]):
                rows = batch.column("text").to_pylist()
                texts = [text for text in rows if text]
                counts["dropped_empty"] += len(rows) - len(texts)
                if share < 1:
                    keys = [f"share/{text}" for text in texts]
                    draw = parts_of(keys, dataclasses.replace(settings, held_out_share=share))
                    kept = [t for t, part in zip(texts, draw, strict=True) if part == "held_out"]
                    counts["dropped_beyond_share"] += len(texts) - len(kept)
                    texts = kept
                counts["documents"] += len(texts)
                counts["characters"] += sum(map(len, texts))
                if texts:
                    columns = [pa.array(texts), pa.array(parts_of(texts, settings).tolist())]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{shard} is corrupt ({first_line(error)})", "fetch it again") from None
        manifest.append(
            {"package": str(shard.relative_to(folder)), "version": "", "licence": "", **counts}
            | {"sha256": files.sha256(shard)}
        )


def split(texts: list[tuple[str, str]], settings: Settings) -> pd.DataFrame:
    """The table of contract `documents`: distinct texts, in first-seen order, with their part.

    The part is drawn by a hash of the origin; of equal texts the first one's origin counts.
    """
    distinct: dict[str, str] = {}
    for origin, text in texts:
        distinct.setdefault(text, origin)
    parts = parts_of(list(distinct.values()), settings)
    return pd.DataFrame({"text": list(distinct), "part": parts})


def main() -> None:
    """Command line: packages or shards to documents and a manifest of hashes and licences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    if settings.source == "packages":
        texts, manifest = from_packages(settings.packages)
        table = split(texts, settings)
        log.info("%d documents, distinct: %s", len(texts), table["part"].value_counts().to_dict())
        files.write_table(table, arguments.documents, "documents")
    elif settings.source == "parquet" and settings.folder:
        manifest = []
        files.write_record_batches(
            from_parquet(settings, manifest), arguments.documents, "documents"
        )
    else:
        raise UserError(
            f"curriculum.general.source is {settings.source!r} with folder {settings.folder!r}",
            "use packages, or parquet with a folder",
        )
    files.write_json(manifest, arguments.manifest)


if __name__ == "__main__":
    run_command(main)
