"""The stand-in for conda asks the package index that pip is configured for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conda_stand_in import pip_settings, uv_command
from .conftest import why_not


def test_pips_places_are_uvs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configured = tmp_path / "pip.conf"
    configured.write_text(
        "[global]\nindex-url = file:///a\nextra-index-url = file:///b file:///c\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configured))
    monkeypatch.setenv("PIP_INDEX_URL", "file:///variable")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    command, _ = uv_command("install")
    assert pip_settings()["index-url"] == ["file:///variable"]
    assert command[command.index("--default-index") + 1] == "file:///variable"
    extra = [command[i + 1] for i, word in enumerate(command) if word == "--index"]
    assert set(extra) >= {"file:///b", "file:///c"}


def test_an_index_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    reason = why_not(tmp_path / "none")
    assert reason is not None
    assert "the package index does not answer: " in reason
    assert "127.0.0.1:9" in reason


def test_what_conda_is_not_asked_is_an_error() -> None:
    script = Path(__file__).with_name("conda_stand_in.py")
    run = [sys.executable, str(script), "search", "numpy"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not know: conda search numpy" in done.stderr
