"""A real SQL Server, which the variable `SYNCER_TEST_SQLSERVER` names by its connection string."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os

import pyodbc
import pytest

from syncer.odbc import strings

VARIABLE = "SYNCER_TEST_SQLSERVER"
_numbers = itertools.count(1)


def new_database() -> str:
    """
    Make an empty database on the server that `SYNCER_TEST_SQLSERVER` names, dropped when the tests end; return its
    connection string. Its collation takes capitals for small letters, which must not matter. Without a server the
    test is reported as not run.
    """
    given = os.environ.get(VARIABLE, "").removeprefix("odbc:")
    if not given:
        pytest.skip(f"{VARIABLE} is not set")
    name = f"syncer_test_{os.getpid()}_{next(_numbers)}"
    _in_master(given, f"CREATE DATABASE [{name}] COLLATE Latin1_General_CI_AI")
    atexit.register(_drop, given, name)
    return strings.parse(given).having("Database", name).text()


def _drop(given: str, name: str) -> None:
    with contextlib.suppress(pyodbc.Error):  # Microsoft's own ends who is still connected; others may not know it
        _in_master(given, f"ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
    _in_master(given, f"DROP DATABASE [{name}]")


def _in_master(given: str, statement: str) -> None:
    pyodbc.pooling = False
    connection = pyodbc.connect(given, autocommit=True)
    try:
        connection.execute(statement)
    finally:
        connection.close()
