"""A .npy array that grows block by block and goes on after a stop.

Beside `embeddings.npy` stand, until it is finished, `.embeddings.npy.partial` with the rows so far
and `.embeddings.npy.partial.json`, the journal: how many rows are finished, and what they were made
from. A block counts once the journal says so, and the journal is written after the block's bytes
have reached the disk; what a stop left behind it is cut off.
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from recscale import files
from recscale.errors import UserError, disk_is_full
from recscale.logs import logger

log = logger("item_ids.resumable_array")


class ResumableArray:
    """An array of shape (rows, columns) under construction; a context manager.

    Attributes:
        inputs: how many inputs the finished rows were made from; where to go on.
        rows: how many rows are finished.
        counts: sums of the counts that came with the blocks.

    Args:
        path: the finished file.
        columns: length of a row.
        dtype: type of the numbers.
        made_from: what the rows depend on, as JSON values. Rows of another array, or of another
            `made_from`, are discarded with a line in the log.
    """

    def __init__(
        self, path: Path, columns: int, dtype: DTypeLike, made_from: dict[str, Any]
    ) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.name}.partial")
        self.journal = path.with_name(f".{path.name}.partial.json")
        self.columns = columns
        self.dtype = np.dtype(dtype)
        self.made_from = {**made_from, "columns": columns, "dtype": self.dtype.str}
        self.inputs = self.rows = 0
        self.counts: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        resumed = self._resume()
        if not resumed:
            self.journal.unlink(missing_ok=True)  # first: it must never speak of other rows
        self._file = open(self.partial, "r+b" if resumed else "w+b")  # noqa: SIM115
        self._file.truncate(self._end(self.rows))
        self._file.seek(self._end(self.rows))

    def __enter__(self) -> ResumableArray:
        """The array itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what is finished stays for the next run."""
        self._file.close()

    def append(self, block: NDArray, inputs: int, counts: dict[str, int] | None = None) -> None:
        """Add the rows `block` (rows, columns), made from the next `inputs` inputs.

        Raises:
            OSError: no space is left on the disk; earlier blocks are safe.
        """
        if block.ndim != 2 or block.shape[1] != self.columns:
            raise ValueError(f"a block of shape {block.shape} for {self.columns} columns")
        self._write(np.ascontiguousarray(block, dtype=self.dtype).tobytes())
        self.rows += len(block)
        self.inputs += inputs
        for name, count in (counts or {}).items():
            self.counts[name] = self.counts.get(name, 0) + count
        files.write_json(
            {
                "made_from": self.made_from,
                "inputs": self.inputs,
                "rows": self.rows,
                "counts": self.counts,
            },
            self.journal,
        )

    def finish(self) -> None:
        """Give the file its final name; its bytes are those `numpy.save` would write."""
        self._file.seek(0)
        self._write(self._header(self.rows))
        self._file.close()
        os.replace(self.partial, self.path)
        self.journal.unlink(missing_ok=True)

    def _resume(self) -> bool:
        """Take over what an earlier run finished of the same array, if it left anything."""
        if not self.partial.is_file() or not self.journal.is_file():
            return False
        try:
            found = files.read_json(self.journal)
            made_from, rows, inputs = found["made_from"], int(found["rows"]), int(found["inputs"])
            counts = {str(name): int(count) for name, count in found["counts"].items()}
        except (UserError, KeyError, TypeError, ValueError, AttributeError):
            log.warning("%s cannot be read: starting from the first row", self.journal)
            return False
        if made_from != self.made_from:
            log.warning(
                "discarding %d rows in %s: made from other settings, inputs or code",
                rows,
                self.partial,
            )
            return False
        if self.partial.stat().st_size < self._end(rows):
            log.warning("discarding %s: it lacks some of its %d rows", self.partial, rows)
            return False
        self.rows, self.inputs, self.counts = rows, inputs, counts
        log.info("going on after %d finished rows", rows)
        return True

    def _header(self, rows: int) -> bytes:
        """The head of a .npy file; numpy pads it so that its length is the same for all `rows`."""
        file = io.BytesIO()
        head = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (rows, self.columns),
        }
        np.lib.format.write_array_header_1_0(file, head)
        return file.getvalue()

    def _end(self, rows: int) -> int:
        """Where a file of `rows` rows ends, in bytes."""
        return len(self._header(rows)) + rows * self.columns * self.dtype.itemsize

    def _write(self, content: bytes) -> None:
        """Write at the current position and wait until the bytes are on the disk."""
        try:
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            if disk_is_full(error):
                raise OSError(errno.ENOSPC, "No space left on device", str(self.path)) from error
            raise
