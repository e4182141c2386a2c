"""Documents to windows of equal length, written as they come (section 6.1).

Two ways to pack. `cut`: documents, each with its end-of-text token, follow each other and are cut
every `length` tokens, without regard to where one ends; the paper's token counts fit it. `whole`: a
document never crosses from one window into the next; what is left of a window is filled with
end-of-text tokens, and a document longer than a window is cut to it. Training and evaluation leave
out targets that are an end of text after an end of text, so padding costs no loss.

Nothing is held in memory but the batch at hand; the file gets its final name when it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numba
import numpy as np
from numpy.typing import NDArray

from recscale import files
from recscale.curriculum.token_pieces import Pieces
from recscale.errors import UserError

HEADER = 128  # bytes of a .npy header of version 1.0 for any shape of one or two dimensions


def pack(
    documents: Iterable[Pieces],
    path: Path,
    length: int,
    end_of_text: int,
    vocabulary: int,
    packing: str,
    tokens: int | None,
) -> dict[str, int]:
    """Write the windows of documents to a .npy file (windows, length), and count.

    Args:
        documents: batches of documents, each ending with its end-of-text token.
        vocabulary: number of token ids; up to 2^16 a token takes two bytes, else four.
        packing: cut or whole.
        tokens: write no more whole windows than so many tokens fill; None: all.

    Returns:
        windows, tokens (padding included), documents (that end inside the windows), padding,
        truncations (documents cut to a window) and tokens_left_out (of the batches read).

    Raises:
        UserError: an unknown packing.
    """
    if packing not in ("cut", "whole"):
        raise UserError(f"curriculum.windows.packing is {packing!r}", "use cut or whole")
    dtype = np.dtype(np.uint16 if vocabulary <= 2**16 else np.uint32)
    most = None if tokens is None else tokens // length * length
    written = read = truncations = removed = ends = padding = 0
    rest = np.empty(0, dtype=np.uint32)
    last = end_of_text  # a window that begins with an end of text would be padding
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(bytes(HEADER))
        for batch in documents:
            read += len(batch.tokens)
            stream, cut, short = batch.tokens, 0, 0
            if packing == "whole":
                stream, cut, short = _whole(
                    batch.tokens, batch.offsets, len(rest), length, np.uint32(end_of_text)
                )
            truncations, removed = truncations + cut, removed + short
            stream = np.concatenate([rest, stream])
            usable = len(stream) // length * length
            if most is not None:
                usable = min(usable, most - written)
            used, rest = stream[:usable], stream[usable:]
            if usable:
                new_ends, new_padding = _ends(used, last, end_of_text)
                ends, padding = ends + new_ends, padding + new_padding
                last = int(used[-1])
                file.write(used.astype(dtype).tobytes())
                written += usable
            if most is not None and written >= most:
                break
        if packing == "whole" and len(rest) and (most is None or written < most):
            rest = np.append(rest, np.full(length - len(rest), end_of_text, dtype=np.uint32))
            new_ends, new_padding = _ends(rest, last, end_of_text)
            ends, padding = ends + new_ends, padding + new_padding
            file.write(rest.astype(dtype).tobytes())
            written += length
        write_header(file, (written // length, length), dtype)
    return {
        "windows": written // length,
        "tokens": written,
        "documents": ends,
        "padding": padding,
        "truncations": truncations,
        "tokens_left_out": read - removed - (written - padding),
    }


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write the head of a .npy file in the `HEADER` bytes that were kept free for it."""
    file.seek(0)
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    if file.tell() != HEADER:
        raise RuntimeError(f"a .npy header of {file.tell()} bytes, not {HEADER}")


def _ends(tokens: NDArray[np.uint32], last: int, end_of_text: int) -> tuple[int, int]:
    """How many documents end in `tokens`, which follow the token `last`; how many are padding."""
    is_end = tokens == end_of_text
    after_end = np.concatenate([[last == end_of_text], is_end[:-1]])
    return int((is_end & ~after_end).sum()), int((is_end & after_end).sum())


@numba.njit(nogil=True, cache=True)
def _whole(
    tokens: NDArray, offsets: NDArray, filled: int, length: int, end_of_text: np.uint32
) -> tuple[NDArray, int, int]:
    """The stream in which no document crosses a window's end (next fit), from `filled` tokens on.

    Returns it with the number of documents cut to a window and of the tokens cut off.
    """
    place, cut, removed = filled, 0, 0
    for n in range(len(offsets) - 1):
        size = offsets[n + 1] - offsets[n]
        if size > length:
            cut += 1
            removed += size - length
            size = length
        if place % length + size > length:
            place += length - place % length
        place += size
    stream = np.full(place - filled, end_of_text, dtype=np.uint32)
    place = filled
    for n in range(len(offsets) - 1):
        size = min(offsets[n + 1] - offsets[n], length)
        if place % length + size > length:
            place += length - place % length
        for k in range(size):
            stream[place - filled + k] = tokens[offsets[n] + k]
        place += size
    return stream, cut, removed
