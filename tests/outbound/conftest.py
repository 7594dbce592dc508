"""Fixtures of the tests of pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outbound import PushHome, at_home


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[PushHome]:
    """A portal without companies, and a warehouse of each backend."""
    with at_home(tmp_path / "home", backend) as found:
        yield found
