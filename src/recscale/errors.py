"""Errors a user can cause and mend, and the wrapper that turns them into one line.

A command of this package ends in one of four ways: exit status 0 with finished outputs; exit status
2 with one line that names the file or key and the way out; exit status 75 when it was asked to stop
and has saved its work; or a traceback, which is a bug.
"""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something outside the code is wrong: an input, a config value, the machine.

    Args:
        what: what is wrong, with the file or the config key by name.
        way_out: what the user can do about it.
    """

    def __init__(self, what: str, way_out: str) -> None:
        super().__init__(f"{what}; {way_out}")
        self.what = what
        self.way_out = way_out


class Interrupted(Exception):
    """The command was asked to stop, has saved its work, and goes on when it is run again.

    Args:
        where: what was saved, for the message.
    """


INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: try again


def disk_is_full(error: Exception) -> bool:
    """Whether an error says so; DuckDB, safetensors and Arrow use errors of their own for it."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "No space left on device" in str(error)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type's name if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main` and exit, with the status that says how it ended.

    A full disk is an error of the machine, not of the code, and gets a line as well.
    """
    # What imports made stays: looking through it again and again costs a second. DuckDB's module
    # complains at the end if it is not looked through.
    if "duckdb" not in sys.modules:
        gc.freeze()
    try:
        main()
    except UserError as error:
        print(f"recscale: error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as interrupted:
        print(f"recscale: interrupted: {interrupted}; run it again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not disk_is_full(error):
            raise
        where = getattr(error, "filename", None) or "the output folder"
        print(
            f"recscale: error: no space left on the disk while writing {where}; "
            "free some space and run the same command again",
            file=sys.stderr,
        )
        sys.exit(2)
