"""DuckDB's errors as lines that name what was read."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

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
