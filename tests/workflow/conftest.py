"""A copy of the repository in which nothing is ever built."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository_copy import copy_of_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """For dry runs."""
    return copy_of_repository(tmp_path_factory.mktemp("front_door") / "copy")
