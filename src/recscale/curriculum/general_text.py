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
import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from recscale import files, seeds
from recscale.database import duckdb_errors
from recscale.errors import UserError, run_command
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


@dataclass(frozen=True)
class Settings:
    """The `curriculum.general` block of the config, and the seed."""

    seed: int
    source: str
    packages: tuple[str, ...]
    folder: str | None
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


Manifest = list[dict[str, str | int]]


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


def from_parquet(folder: Path) -> tuple[list[tuple[str, str]], Manifest]:
    """Origin and text of all rows of the column `text` of the shards under `folder`, by name.

    Every row is a document of its own, so its origin is its text.

    Raises:
        UserError: there is no shard, or one has no column `text`.
    """
    shards = sorted(folder.rglob("*.parquet"))
    if not shards:
        raise UserError(
            f"curriculum.general.folder {folder} holds no Parquet shard",
            "download HuggingFaceTB/smollm-corpus from Hugging Face into it",
        )
    texts: list[tuple[str, str]] = []
    manifest: Manifest = []
    for shard in progress(shards, desc="shards"):
        if "text" not in files.parquet_schema(shard).names:
            raise UserError(f"{shard} has no column text", "use shards of text, not of metadata")
        with duckdb_errors(shard):
            rows = duckdb.execute("SELECT text FROM read_parquet(?)", [str(shard)]).fetchall()
        texts.extend((row[0], row[0]) for row in rows if row[0])
        manifest.append(
            {
                "package": str(shard.relative_to(folder)),
                "version": "",
                "licence": "",
                "documents": len(rows),
                "sha256": files.sha256(shard),
            }
        )
    return texts, manifest


def split(texts: list[tuple[str, str]], settings: Settings) -> pd.DataFrame:
    """The table of contract `documents`: distinct texts, in first-seen order, with their part.

    The part is drawn by a hash of the origin; of equal texts the first one's origin counts.
    """
    distinct: dict[str, str] = {}
    for origin, text in texts:
        distinct.setdefault(text, origin)
    digests = [hashlib.blake2b(o.encode(), digest_size=8).digest() for o in distinct.values()]
    keys = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64).view(np.int64)
    draw = seeds.uniform(seeds.derive(settings.seed, "general text"), keys)
    part = np.where(
        draw < settings.held_out_share,
        "held_out",
        np.where(draw < settings.held_out_share + settings.base_share, "base", "train"),
    )
    return pd.DataFrame({"text": list(distinct), "part": part})


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
    elif settings.source == "parquet" and settings.folder:
        texts, manifest = from_parquet(Path(settings.folder))
    else:
        raise UserError(
            f"curriculum.general.source is {settings.source!r} with folder {settings.folder!r}",
            "use packages, or parquet with a folder",
        )
    table = split(texts, settings)
    log.info("%d documents, distinct: %s", len(texts), table["part"].value_counts().to_dict())
    files.write_table(table, arguments.documents, "documents")
    files.write_json(manifest, arguments.manifest)


if __name__ == "__main__":
    run_command(main)
