"""An empty database for each test, and the sites of the scripted source on PostgreSQL alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgresql import Place, new_place


@pytest.fixture
def backend() -> str:
    """What is here is of this server only."""
    return "postgresql"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty database."""
    made = new_place(tmp_path)
    yield made
    made.close()
