"""Fixtures of tests on the stand-in for a SQL Server: it, its warehouse, a DuckDB file beside it, and odd rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import Warehouse, find
from tests.servers import tsql


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tsql.StandIn]:
    """A stand-in, which is connected to in place of a server."""
    monkeypatch.setattr("syncer.odbc.connecting.connect", tsql.connect)
    made = tsql.stand_in(tmp_path)
    yield made
    made.close()


@pytest.fixture
def warehouse(stand_in: tsql.StandIn, tmp_path: Path) -> Iterator[Warehouse]:
    """Its warehouse."""
    found = find(Settings(warehouse=stand_in.setting, base=tmp_path, wait_s=0.3), clock=SystemClock())
    yield found
    found.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Warehouse]:
    """A DuckDB file."""
    found = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path, wait_s=5), clock=SystemClock())
    yield found
    found.close()
