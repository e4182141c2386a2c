"""DuckDB with bounded memory, contracted batches, and errors that name what was read."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from recscale.contracts import CONTRACTS
from recscale.errors import UserError, disk_is_full, first_line


@contextmanager
def duckdb_errors(where: str | Path) -> Iterator[None]:
    """Turn what DuckDB finds wrong in the data at `where` into a UserError that names it."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"reading {where} does not fit into memory ({first_line(error)})",
            "raise the memory limit in the config, or give the machine more memory",
        ) from None
    except duckdb.Error as error:
        if disk_is_full(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(where)) from None
        raise UserError(
            f"{where} cannot be read ({first_line(error)})",
            "check that its files are whole and its columns have their types",
        ) from None


def connect(
    spill: Path, memory_limit: str, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A database in the folder `spill`: what is beyond `memory_limit` (as "4GB") goes there.

    Tables live in a file of that folder, so that they too may be larger than memory.
    """
    config: dict[str, str | int] = {"memory_limit": memory_limit, "temp_directory": str(spill)}
    if threads is not None:
        config["threads"] = threads
    return duckdb.connect(str(spill / "work.duckdb"), config=config)  # type: ignore[arg-type]


def batches(relation: duckdb.DuckDBPyRelation, contract: str) -> Iterator[pa.RecordBatch]:
    """The rows of a relation as batches under a contract, whose column order it must have."""
    schema = CONTRACTS[contract].arrow_schema()
    for batch in relation.to_arrow_reader(1_000_000):
        yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def whole_numbers(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any] | None = None
) -> list[int]:
    """The whole numbers of the one row that a query gives: counts, or the rows it changed."""
    (row,) = connection.execute(query, parameters or {}).fetchall()
    return [int(value) for value in row]
