"""Fixtures of the tests of pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outbound import PushHome, at_home
from tests.outbound.edges_home import EdgesHome, edges_at_home


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[PushHome]:
    """A portal without companies, and a warehouse of each backend."""
    with at_home(tmp_path / "home", backend) as found:
        yield found


@pytest.fixture
def edges(tmp_path: Path, backend: str) -> Iterator[EdgesHome]:
    """Three companies, and tickets, notes and others that may name them."""
    with edges_at_home(tmp_path / "home", backend) as found:
        for key in ("a", "b", "c"):
            found.make("companies", key)
        yield found
