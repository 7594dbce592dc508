"""The connections of a host script: what they send, what is kept, and what an error tells."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pyodbc
import pytest

from syncer.errors import UsageError, WarehouseError, WarehouseLost
from syncer.odbc import connecting
from syncer.odbc.strings import parse
from syncer.wherescape.connections import Connection, Connections, string_of, table_name
from syncer.wherescape.environment import Environment, Login
from tests.backends import new_database
from tests.servers import postgresql
from tests.wherescape.stand_in import Red


@attrs.frozen
class House:
    """A database behind a DSN, and the connections of a host script to it."""

    database: Any
    connections: Connections

    @property
    def target(self) -> Connection:
        return self.connections.target


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A PostgreSQL database behind the DSN `house`, with a load table."""
    database = new_database(tmp_path)
    database.rows("CREATE SCHEMA load")
    database.rows('CREATE TABLE load.things (id int PRIMARY KEY, "default" boolean, at timestamp, n numeric, t text)')
    ini = (
        f"[house]\nDriver={postgresql.DRIVER}\nServername=127.0.0.1\nPort={postgresql.shared().port}\n"
        f"Database={database.name}\n"
    )
    (tmp_path / "odbc.ini").write_text(ini, encoding="utf-8")
    monkeypatch.setenv("ODBCINI", str(tmp_path / "odbc.ini"))
    with Connections(Environment(target=Login(dsn="house", user="postgres", password="not a secret;"))) as connections:
        yield House(database, connections)
    database.close()


def things(house: House) -> Any:
    """What others see of the table."""
    return house.database.rows("SELECT id, t FROM load.things ORDER BY id")


@pytest.mark.parametrize(
    ("login", "text"),
    [
        (Login(dsn="red", user="u", password="p"), "DSN=red;UID=u;PWD=p;"),
        (Login(dsn="red"), "DSN=red;"),
        (Login(dsn="red", user="u"), "DSN=red;UID=u;"),
        (Login(dsn="red", user="u", password="a;b}c"), "DSN=red;UID=u;PWD={a;b}}c};"),
        (Login(dsn="red", user=" u", password="{x"), "DSN=red;UID={ u};PWD={{x};"),
    ],
)
def test_a_login_becomes_a_string_that_keeps_its_values(login: Login, text: str) -> None:
    """In braces where they need it, and without what is empty: the login is then the system's."""
    assert string_of(login).text() == text
    parsed = parse(text)
    assert (parsed.get("DSN"), parsed.get("UID"), parsed.get("PWD")) == (login.dsn, login.user, login.password)


@pytest.mark.parametrize(
    ("driver", "has_mode"),
    [("PostgreSQL Unicode(x64)", True), ("/usr/lib/psqlodbcw.so", True), ("ODBC Driver 18 for SQL Server", False)],
)
def test_only_postgresql_is_asked_for_tls(monkeypatch: pytest.MonkeyPatch, driver: str, has_mode: bool) -> None:
    """Other drivers know no sslmode; a connection is not waited for without end."""
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(connecting, "sources", lambda: {"red": driver})
    monkeypatch.setattr(pyodbc, "connect", lambda text, **more: sent.append((text, more["timeout"])))
    _ = Connection("target", Login(dsn="RED", user="u", password="p"))._connection()
    assert sent == [("DSN=RED;UID=u;PWD=p;" + "sslmode=prefer;" * has_mode, 30)]


def test_rows_have_the_names_of_their_columns(house: House) -> None:
    """By place and by name; a statement without rows has none."""
    found = house.target.query("SELECT 1 AS one, ? AS two", ["2"])
    assert (found.columns, list(found), found[0], len(found)) == (("one", "two"), [(1, "2")], (1, "2"), 1)
    assert found.named() == [{"one": 1, "two": "2"}]
    assert list(house.target.query("CREATE TABLE load.x (a int)")) == []
    assert list(house.target.query("UPDATE load.things SET t = 'x'; SELECT 3 AS three")) == [(3,)]
    assert list(house.target.query("SELECT 1 AS a WHERE 1 = 2")) == []
    assert "'2'" not in repr(found)


def test_rows_are_loaded_in_bulk(house: House) -> None:
    """More than one statement takes, of any type, under any name; no rows are fine."""
    columns = ["id", "default", "at", "n", "t"]
    at, n = dt.datetime.fromisoformat("2026-03-01T12:30"), decimal.Decimal("1.50")
    rows = [[number, None, at, n, f"it's {number} 😀"] for number in range(2_501)]
    assert house.target.load("load.things", columns, iter(rows)) == 2_501
    assert (
        house.target.load('"load".[things]', columns, [[9_999, True, "2026-03-01T12:30:00.000+01:00", 7, None]]) == 1
    )
    assert house.target.load("load.things", columns, []) == 0
    last = house.target.query(
        'SELECT "default", CAST(at AS text), CAST(n AS text), t FROM load.things WHERE id = 9999'
    )
    assert last[0] == ("1", "2026-03-01 12:30:00", "7", None)
    assert things(house)[2_500] == (2_500, "it's 2500 😀") and len(things(house)) == 2_502


def test_a_load_that_fails_leaves_nothing(house: House) -> None:
    """All rows, or none; no value of a row is in the error."""
    rows: list[list[Any]] = [[number, "secret"] for number in range(1_500)]
    with pytest.raises(WarehouseError, match=r"target connection \(DSN house\): duplicate key") as told:
        house.target.load("load.things", ["id", "t"], [*rows, [7, "secret"]])
    assert things(house) == [] and "secret" not in str(told.value) and told.value.__cause__ is None
    with pytest.raises(UsageError, match=r"not as many values as there are columns \(2\)"):
        house.target.load("load.things", ["id", "t"], [[1, "x"], [2]])


def test_a_statement_is_kept_and_a_transaction_whole_or_not(house: House) -> None:
    """The error of what runs inside is the one that is told."""
    insert = "INSERT INTO load.things (id, t) VALUES (?, 'x')"
    assert house.target.execute(insert, [1]) == 1
    with house.target.transaction():
        house.target.execute(insert, [2])
        assert things(house) == [(1, "x")]
        with house.target.transaction():
            house.target.execute(insert, [3])
    with pytest.raises(ZeroDivisionError), house.target.transaction():
        house.target.execute(insert, [4])
        raise ZeroDivisionError
    assert [key for key, _ in things(house)] == [1, 2, 3]


def test_an_error_that_was_caught_inside_keeps_nothing(house: House) -> None:
    """Half of a transaction would look like all of it."""
    insert = "INSERT INTO load.things (id) VALUES (?)"
    with pytest.raises(WarehouseError, match="a statement of this transaction failed"), house.target.transaction():
        house.target.execute(insert, [1])
        with pytest.raises(WarehouseError, match="duplicate"):
            house.target.execute(insert, [1])
    assert things(house) == []
    assert house.target.execute(insert, [2]) == 1


def test_the_first_error_is_the_one_that_is_told(house: House) -> None:
    """Also where the server ends the connection, so that rolling back fails as well; the next use makes a new one."""
    with pytest.raises(WarehouseLost, match="was lost"), house.target.transaction():
        (pid,) = house.target.query("SELECT pg_backend_pid()")[0]
        house.database.rows(f"SELECT pg_terminate_backend({pid})")
        house.target.query("SELECT 1")
    assert list(house.target.query("SELECT 1 AS a")) == [(1,)]


def test_each_connection_is_made_once_and_closed_at_the_end(house: House) -> None:
    """A server has few of them."""
    pids = {house.connections.target.query("SELECT pg_backend_pid()")[0][0] for _ in range(3)}
    made = house.target._connection()
    house.connections.close()
    with pytest.raises(pyodbc.ProgrammingError, match="closed"):
        made.cursor()
    there = f"SELECT COUNT(*) FROM pg_stat_activity WHERE pid = {pids.pop()}"
    for _ in range(100):
        if house.database.rows(there) == [(0,)]:
            break
    assert house.database.rows(there) == [(0,)] and not pids


def test_what_is_not_set_is_named(red: Red) -> None:
    """By RED's own name of the variable."""
    connections = Connections(red.environment(target=Login()))
    with pytest.raises(UsageError, match="No target connection: WSL_TGT_DSN is not set"):
        _ = connections.target
    with pytest.raises(UsageError, match="WSL_SRC_DSN"):
        _ = connections.source


def test_a_connection_that_is_not_made_tells_no_secret(house: House) -> None:
    """And names the variables of RED, not those of syncer's own warehouse."""
    for login in (Login(dsn="nowhere", user="u", password="hush"), Login(dsn="house", user="u", password="hush")):
        with pytest.raises(WarehouseError) as told:
            Connection("target", login).query("SELECT 1")
        text = f"{told.value} {login!r} {Connection('target', login)!r}"
        assert "hush" not in text and "SYNCER_" not in text and told.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("load.load_x", "load.load_x"), ("Load_X", "Load_X"), ('"load"."a.b"', '"load"."a.b"'),
        ("[db].[load].[my table]", '"db"."load"."my table"'), ("load.my table", 'load."my table"'),
        ('load."a""b"', 'load."a""b"'), ("load.x; DROP TABLE y", 'load."x; DROP TABLE y"'),
    ],
)  # fmt: skip
def test_the_name_of_a_table_is_written_so_that_it_is_one(text: str, written: str) -> None:
    """Plain names as RED has them, which PostgreSQL reads in small letters; all else in quotes."""
    assert table_name(text) == written


@pytest.mark.parametrize("text", ["", ".", "load.", "load..x", '"load', 'load."x"y'])
def test_what_is_no_name_of_a_table_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError, match="is no name of a table"):
        table_name(text)


def test_importing_it_imports_no_driver() -> None:
    """A host script that only prints starts at once."""
    import subprocess

    code = "import sys, syncer.wherescape.connections, syncer.wherescape.metadata, syncer.wherescape.naming\n"
    code += "print([n for n in ('pyodbc', 'duckdb', 'sqlglot', 'pyarrow', 'slugify') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
