"""What tests of commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call a command's main with arguments, as its command line would."""

    def call_main(main: Callable[[], None], *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        main()

    return call_main
