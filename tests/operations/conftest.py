"""Fixtures of the tests of operations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Site
from tests.operations import OperationHome, operation_home
from tests.operations.company_home import CompanyHome, company_home
from tests.operations.star import Star


@pytest.fixture(params=["new", "primary"])
def merge_mode(request: pytest.FixtureRequest) -> str:
    """Which id a merge leaves: a third one, or that of the record that was merged into; `archive` leaves none."""
    return str(request.param)


@pytest.fixture
def mode(merge_mode: str) -> str:
    """The operation's own word, where a test asks for each."""
    return "archive" if merge_mode == "archive" else "merge"


@pytest.fixture
def home(tmp_path: Path, backend: str, merge_mode: str) -> Iterator[OperationHome]:
    """A portal without tickets, of each mode of merging, and a warehouse of each backend."""
    with operation_home(tmp_path / "home", backend, merge_mode=merge_mode) as found:
        yield found


@pytest.fixture
def fix(tmp_path: Path, backend: str) -> Iterator[CompanyHome]:
    """A portal where a stand-in is the company of tickets; at the end none was ever without a company."""
    with company_home(tmp_path / "home", backend) as found:
        yield found


@pytest.fixture
def star(site: Site) -> Star:
    """A warehouse with an empty schema `dw`."""
    site.rows("CREATE SCHEMA dw")
    return Star(site)
