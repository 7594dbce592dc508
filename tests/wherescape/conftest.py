"""What these tests share: RED's repository at the ODBC seam."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyodbc
import pytest

from syncer.wherescape.connections import Connections
from tests.servers import sqlserver
from tests.wherescape.red_site import RedSite, red_site
from tests.wherescape.stand_in import META, Red, red_repository


@pytest.fixture
def red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Red:
    """A repository of its own, to which this process's meta connection leads."""
    made = Red(red_repository.make(tmp_path / "red.sqlite"))
    monkeypatch.setenv(red_repository.DSN, META)
    monkeypatch.setenv(red_repository.FILE, str(made.file))
    monkeypatch.setattr(pyodbc, "connect", red_repository.in_place_of(pyodbc.connect))
    return made


@pytest.fixture
def host(tmp_path: Path, red: Red) -> Iterator[RedSite]:
    """A host of RED's: its repository, a warehouse on PostgreSQL, and the sandbox's APIs."""
    with red_site(tmp_path, red) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connections:
    """Connections whose repository is one on a real SQL Server, where the tests have one."""
    string = sqlserver.new_database()
    with pyodbc.connect(string, autocommit=True) as connection:
        for batch in red_repository.batches():
            connection.execute(batch)
    monkeypatch.setattr("syncer.wherescape.connections.connect", lambda *_: pyodbc.connect(string))
    return Connections(Red(tmp_path).environment())
