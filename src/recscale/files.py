"""Reading and writing the files that pass between stages.

Every writer writes to a temporary name in the same folder and renames it, so that a file that
exists is whole. Every reader turns a missing or truncated file into one line that names it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recscale.contracts import CONTRACTS, check, check_batch
from recscale.errors import UserError, disk_is_full, first_line

_REBUILD = "delete it and run the same target again, which rebuilds it"


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block ends without error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except Exception as error:
        if disk_is_full(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: str | Path) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: Any, path: str | Path) -> None:
    """Write JSON with sorted keys, so that equal values give equal bytes."""
    write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", path)


def read_json(path: str | Path) -> Any:
    """Read JSON; raises UserError naming a missing or broken file."""
    _must_exist(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON ({error})", _REBUILD) from None


def write_table(frame: pd.DataFrame, path: str | Path, contract: str) -> None:
    """Check `frame` against the named contract and write it as Parquet.

    Rows, column order and types are the contract's; no index and no pandas metadata are written,
    so that equal tables give equal bytes.
    """
    schema = CONTRACTS[contract].arrow_schema()
    frame = check(frame, contract, str(path))
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def write_batches(batches: pa.RecordBatchReader, path: str | Path, contract: str) -> None:
    """As `write_table`, batch by batch, for tables that do not fit in memory.

    Limits are checked inside each batch, uniqueness over the whole table is not.
    """
    schema = CONTRACTS[contract].arrow_schema()
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for batch in batches:
            frame = check(batch.to_pandas(), contract, str(path))
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def write_record_batches(
    batches: Iterable[pa.RecordBatch], path: str | Path, contract: str
) -> None:
    """As `write_batches`, for batches that are already of the contract's Arrow types.

    Nothing is converted, so lists of items are written as fast as Arrow can. A batch is a row
    group.

    Raises:
        UserError: a batch is of other types, holds a null, or breaks a limit of a column.
    """
    schema = CONTRACTS[contract].arrow_schema()
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for batch in batches:
            check_batch(batch, contract, str(path))
            writer.write_batch(batch)


def read_table(
    path: str | Path | Sequence[str | Path], contract: str, columns: list[str] | None = None
) -> pd.DataFrame:
    """Read a Parquet file, or the shards of a table in order, written under the named contract.

    Raises:
        UserError: a file is missing, truncated, or lacks one of the contract's columns.
    """
    return read_arrow(path, contract, columns).to_pandas()


def read_arrow(
    path: str | Path | Sequence[str | Path], contract: str, columns: list[str] | None = None
) -> pa.Table:
    """As `read_table`, without the conversion to pandas (list columns stay in Arrow)."""
    if not isinstance(path, str | Path):
        return pa.concat_tables(read_arrow(part, contract, columns) for part in path)
    wanted = columns or [c.name for c in CONTRACTS[contract].columns]
    require_columns(path, wanted)
    try:
        return pq.read_table(path, columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is corrupt ({first_line(error)})", _REBUILD) from None


def read_batches(path: str | Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Columns of a Parquet file, `rows` rows at once (the last batch may be shorter).

    Raises:
        UserError: the file is missing, truncated, corrupt, or lacks a column.
    """
    require_columns(path, columns)
    try:
        yield from pq.ParquetFile(path).iter_batches(rows, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is corrupt ({first_line(error)})", _REBUILD) from None


def require_columns(path: str | Path, columns: Sequence[str]) -> None:
    """Raise UserError if a Parquet file is missing, truncated or lacks one of these columns."""
    present = set(parquet_schema(path).names)
    missing = [c for c in columns if c not in present]
    if missing:
        raise UserError(f"{path} lacks the column(s) {', '.join(missing)}", _REBUILD)


def parquet_schema(path: str | Path) -> pa.Schema:
    """The Arrow schema of a Parquet file; raises UserError if it is missing or truncated."""
    _must_exist(path)
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is truncated or not Parquet ({first_line(error)})",
            "fetch or build it again: delete it and rerun its target",
        ) from None


def write_array(array: np.ndarray, path: str | Path) -> None:
    """Write one numpy array as .npy, atomically."""
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: str | Path, memory_map: bool = False) -> np.ndarray:
    """Read a .npy file, optionally memory-mapped; raises UserError if missing or truncated."""
    _must_exist(path)
    try:
        return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is truncated or no numpy array ({error})", _REBUILD) from None


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a CSV in full precision (pandas writes the shortest text that reads back equal)."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read a CSV; raises UserError naming a missing or empty file."""
    _must_exist(path)
    try:
        return pd.read_csv(path, **options)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV table ({error})", _REBUILD) from None


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _must_exist(path: str | Path) -> None:
    if not Path(path).is_file():
        raise UserError(f"{path} is missing", "run its target, or restore it if it was deleted")
