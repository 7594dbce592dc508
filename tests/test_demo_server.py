"""
The demo on a server that `SYNCER_WAREHOUSE` names: the same rows as in its file, and never anything of anybody else's.

On a real PostgreSQL. Not here: the demo in its file (`test_console.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shlex
import socket
import subprocess
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyodbc
import pytest

from syncer import engine, warehouses
from syncer.clock import SystemClock
from syncer.sandbox import Clock, Sandbox
from syncer.settings import Settings
from syncer.verbs import demo, demo_warehouse, without_secrets
from syncer.verbs import sandbox as sandbox_verb
from syncer.verbs.sandbox import Amount
from tests.conftest import query_file
from tests.servers import postgresql
from tests.servers.roles import PASSWORD, as_role
from tests.shop import Syncer

pytest_plugins = ["tests.shop.fixtures", "tests.servers.postgresql_fixtures"]
SMALL = Amount(3, 30)
FEW = ("jira.*", "hubspot.companies", "hubspot.associations", "gitlab.merge_requests")
START = dt.datetime(2026, 8, 31, 8, 0, tzinfo=dt.UTC)


def always_alike(amount: Amount, *, seed: int, port: int) -> Sandbox:
    """The sandbox of the demo at that address, whose time passes only where the demo says so."""
    clock = Clock(START, is_frozen=True)
    return Sandbox(sites=sandbox_verb._sites(amount, seed, clock), clock=clock, port=port)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small demo, always of the same records, at one address as long as a test lasts."""
    address = postgresql.free_port()
    monkeypatch.setattr(demo, "AMOUNT", SMALL)
    monkeypatch.setattr(demo, "NAMES", FEW)
    monkeypatch.setattr(
        demo, "built", lambda amount, *, seed, port: always_alike(amount, seed=seed, port=port or address)
    )


@pytest.fixture
def on_server(syncer: Syncer, database: str, monkeypatch: pytest.MonkeyPatch) -> Syncer:
    """Call the command line with the variable set."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{postgresql.shared().string(database)}")
    return syncer


def rows_of(query: Any) -> dict[str, Any]:
    """Every load table: its columns, and its rows as JSON reads them, but for when they were written."""
    found = {}
    tables = query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'load'")
    for (table,) in sorted(tables):
        columns = [
            column
            for (column,) in query(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'load' "
                f"AND table_name = '{table}'"
            )
            if column != "dss_load_date"
        ]
        listed = ", ".join(f'"{column}"' for column in sorted(columns))
        rows = [tuple(map(plain, row)) for row in query(f"SELECT {listed} FROM load.{table}")]
        found[table] = (sorted(columns), sorted(rows, key=repr))
    return found


def plain(value: Any) -> Any:
    """A value without what a driver makes of it: JSON by what it says, times without their zone."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        found = json.loads(value, parse_int=Decimal, parse_float=Decimal)
    except ValueError:
        return value
    return json.dumps(found, sort_keys=True, default=lambda number: str(number.normalize()))


def test_the_demo_makes_the_same_rows_on_a_server(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving is one variable: every load table of all five APIs, column by column, row by row."""
    monkeypatch.setattr(demo, "NAMES", ("hubspot.*", "jira.*", "gitlab.*", "friday_pulse.*", "anythingllm.*"))
    result = on_server("demo")
    assert (result.code, result.err) == (0, "") and not Path("demo.duckdb").exists()
    assert f"The records stand in odbc:127.0.0.1/{database}." in result.out
    monkeypatch.delenv("SYNCER_WAREHOUSE")
    assert on_server("demo").code == 0
    server = rows_of(lambda query: postgresql.shared().query(database, query))
    file = rows_of(lambda query: query_file(Path("demo.duckdb"), query))
    assert len(server) == 44 + 1 and list(server) == list(file)  # and the relation of its pushes
    assert sum(len(rows) for _, rows in server.values()) > 1_000
    for table, found in server.items():
        assert found == file[table], table


def test_a_second_demo_is_made_anew_and_its_commands_work(on_server: Syncer, database: str) -> None:
    """As in a file; they ask the server that the demo filled."""
    on_server("demo", "-q")
    result = on_server("demo", "--output", "json")
    assert result.code == 0 and result.json["warehouse"] == f"odbc:127.0.0.1/{database}"
    assert postgresql.shared().query(database, "SELECT count(*), count(ended_at) FROM syncer.demo") == [(1, 1)]
    assert len(result.json["try"]) == 4
    for command in result.json["try"]:
        tried = subprocess.run(shlex.split(command), capture_output=True, check=False)
        assert (tried.returncode, tried.stderr) == (0, b"") and tried.stdout.count(b"\n") > 3


def test_the_demo_never_shows_the_password(
    syncer: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in its commands, which take it from the variable, and not where the login is refused."""
    string = as_role(database, guarded)
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{string}PWD={{p;a{{s}}}}s w+%41}};")
    result = syncer("demo", "--output", "json")
    assert result.code == 0 and PASSWORD not in result.out and "PWD={p" not in result.out
    monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", PASSWORD)
    for command in result.json["try"]:
        tried = subprocess.run(shlex.split(command), capture_output=True, check=False)
        assert (tried.returncode, tried.stderr) == (0, b"") and tried.stdout.count(b"\n") > 3
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{string}")
    assert "SYNCER_WAREHOUSE_PASSWORD must be set" in syncer("demo").out
    for given, code, told in (("not-the-right-one", 1, "the login of"), ("not;PORT2=the-right-one", 2, "PWD={")):
        monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{string}PWD={given}")
        refused = syncer("demo")
        assert refused.code == code and told in refused.err and "the-right" not in refused.err


@pytest.mark.parametrize(
    "theirs", ["CREATE TABLE load.theirs (id int)", "CREATE VIEW syncer.theirs AS SELECT 1 AS one"]
)
def test_what_no_demo_made_is_left_alone(on_server: Syncer, database: str, theirs: str) -> None:
    """In an empty database, and in one of an earlier demo: the name is told, and nothing is dropped."""
    server = postgresql.shared()
    with server.connection(database) as connection:
        connection.execute("CREATE SCHEMA load")
        connection.execute("CREATE SCHEMA syncer")
        connection.execute(theirs)
    first = on_server("demo")
    assert first.code == 2 and ".theirs, and no demo made it; it is left alone. Name a database" in first.err
    with server.connection(database) as connection:
        connection.execute(f"DROP {' '.join(theirs.split()[1:3])}")
    assert on_server("demo").code == 0
    before = tables(database)
    with server.connection(database) as connection:
        connection.execute(theirs)
    again = on_server("demo")
    assert again.code == 2 and ".theirs, which no demo made" in again.err
    assert len(tables(database)) == len(before) + 1


def test_a_database_that_somebody_pulled_into_since_is_left_alone(on_server: Syncer, database: str) -> None:
    """The variable stayed set, and the warehouse became a real one."""
    assert on_server("demo").code == 0
    pull_with_an_older_syncer(on_server)
    before = tables(database)
    result = on_server("demo")
    assert result.code == 2 and "is left alone" in result.err
    assert tables(database) == before
    with postgresql.shared().connection(database) as connection:
        connection.execute("DROP TABLE load.shop_items")
    result = on_server("demo")
    assert result.code == 2 and "1 runs of others" in result.err


def test_a_pull_after_a_killed_demo_is_not_the_demos(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never wrote down its end; each process of a container has the same number, and may have the same host."""
    with monkeypatch.context() as patched:
        patched.setattr(demo_warehouse.DemoWarehouse, "mark_end", lambda self: None)
        assert on_server("demo").code == 0
    pull_with_an_older_syncer(on_server)
    with postgresql.shared().connection(database) as connection:
        connection.execute("DROP TABLE load.shop_items")
    before = tables(database)
    result = on_server("demo")
    assert result.code == 2 and "1 runs of others" in result.err
    assert tables(database) == before


def test_a_killed_demo_is_made_anew(on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runs say whose they are from their first row on; so does a database that it was killed in at once."""
    with monkeypatch.context() as patched:
        patched.setattr(demo, "_shown", killed)
        assert on_server("demo").code == 130
    assert on_server("demo").code == 0
    with postgresql.shared().connection(database) as connection:
        connection.execute("UPDATE syncer.demo SET ended_at = NULL")
        connection.execute("UPDATE syncer.runs SET status = 'running', pid = 1, host = 'another'")
    result = on_server("demo")
    assert result.code == 0 and "it is made anew" in result.out
    assert postgresql.shared().query(database, "SELECT DISTINCT mode FROM syncer.runs ORDER BY 1") == [
        ("demo",),
        ("plan",),
    ]


def killed(*_: object) -> int:
    raise KeyboardInterrupt


def test_a_second_demo_is_told_who_has_the_first(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would drop the tables below it; in a file as well."""
    told = []

    def meanwhile(*_: object) -> int:
        told.append(on_server("demo"))
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(demo, "_shown", meanwhile)
        assert on_server("demo").code == 0
        patched.delenv("SYNCER_WAREHOUSE")
        assert on_server("demo").code == 0
    for each in told:
        assert each.code == 1 and f"process {os.getpid()} on {socket.gethostname()}" in each.err
    assert f"odbc:127.0.0.1/{database}: a demo is being run by" in told[0].err and "demo.duckdb: a demo" in told[1].err
    assert on_server("demo").code == 0


def test_a_demo_does_not_drop_what_is_being_pulled(on_server: Syncer, database: str) -> None:
    """A pull that has its lease, and no run yet."""
    assert on_server("demo").code == 0
    found = warehouses.find(Settings(warehouse=f"odbc:{postgresql.shared().string(database)}"), clock=SystemClock())
    with contextlib.closing(found):
        found.lease("shop.items@default", run="abcd12345678", wait_s=0)
        result = on_server("demo")
    assert result.code == 2 and "shop.items@default is being run just now" in result.err


def test_a_pull_that_begins_while_the_way_is_cleared_is_seen(on_server: Syncer, database: str) -> None:
    """Its first row comes after the lock that the demo takes, or before the look behind it; never between."""
    assert on_server("demo").code == 0
    before = tables(database)
    with contextlib.closing(pyodbc.connect(postgresql.shared().string(database))) as connection:
        connection.execute("INSERT INTO syncer.runs (run, mode) VALUES ('abcd12345678', 'incremental')")
        soon = threading.Timer(0.5, connection.commit)
        soon.start()
        result = on_server("demo")
        soon.join()
    assert result.code == 2 and "1 runs of others" in result.err and tables(database) == before


def test_a_table_that_somebody_has_locked_is_busy(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not a view that keeps it."""
    monkeypatch.setattr(demo_warehouse, "WAIT_S", 0.1)
    assert on_server("demo").code == 0
    with contextlib.closing(pyodbc.connect(postgresql.shared().string(database))) as connection:
        connection.execute("SELECT * FROM load.jira_projects")
        result = on_server("demo")
    assert result.code == 1 and "a view" not in result.err and "load.jira_projects of an earlier demo" in result.err


@pytest.mark.parametrize(
    "options", ["password={secret}", "application_name='a b' password = '{secret}' sslpassword=another-word"]
)
def test_a_password_among_the_options_of_libpq_is_not_shown(
    syncer: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """The commands take it from the variable, as any other."""
    secret = "s3cret-word"
    with postgresql.shared().connection(database) as connection:
        connection.execute(f"ALTER ROLE {guarded} PASSWORD '{secret}'")
    given = options.format(secret=secret)
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{as_role(database, guarded)}pqopt={{{given}}};")
    result = syncer("demo", "--output", "json")
    assert result.code == 0 and "word" not in result.out.replace("PASSWORD", "").replace("password", "")
    monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", secret)
    for command in result.json["try"]:
        tried = subprocess.run(shlex.split(command), capture_output=True, check=False)
        assert (tried.returncode, tried.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ("sslmode=require  connect_timeout=9", "sslmode=require  connect_timeout=9"),
        ("a=1 PASSWORD = 'b\\'c d' e=2", "a=1 e=2"),
        ("sslpassword=b\\ c e=", "e="),
        ("password='not closed", ""),
        ("a=1 password", ""),
        ("a='1'password=x", ""),
    ],
)
def test_options_of_libpq_lose_their_passwords(options: str, left: str) -> None:
    """All of them go where they cannot be told apart."""
    assert without_secrets(options) == left


@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE MATERIALIZED VIEW load.theirs AS SELECT 1 AS one",
        "CREATE SEQUENCE load.theirs",
        "CREATE FUNCTION syncer.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE syncer.theirs AS ENUM ('a')",
        "CREATE TABLE load.theirs (id int) PARTITION BY RANGE (id)",
    ],
)
def test_all_that_can_stand_in_a_schema_is_seen(on_server: Syncer, database: str, theirs: str) -> None:
    """The standard's catalogue has tables and views only; nothing of a demo comes beside theirs."""
    with postgresql.shared().connection(database) as connection:
        connection.execute("CREATE SCHEMA load")
        connection.execute("CREATE SCHEMA syncer")
        connection.execute(theirs)
    result = on_server("demo")
    assert result.code == 2 and ".theirs, and no demo made it" in result.err
    assert {name for _, name in tables(database)} <= {"theirs"}


def test_the_warehouse_of_another_role_is_left_as_it_is(
    syncer: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard's catalogue does not show tables that a role may not read: here a whole warehouse."""
    server = postgresql.shared()
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{server.string(database)}")
    assert syncer("pull", "shop.items").code == 0
    with server.connection(database) as connection:
        for schema in ("load", "syncer"):
            connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {guarded}")
    before = tables(database)
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{as_role(database, guarded)}")
    monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", PASSWORD)
    result = syncer("demo")
    assert result.code == 2 and "load.shop_items, which belongs to postgres" in result.err
    with server.connection(database) as connection:
        connection.execute("DROP SCHEMA syncer CASCADE")
        connection.execute("DROP TABLE load.shop_items")
        connection.execute(f"REVOKE CREATE ON SCHEMA load FROM {guarded}")
    result = syncer("demo")
    assert result.code == 1 and "ON SCHEMA load" in result.err
    assert tables(database) == [] != before
    assert server.query(database, "SELECT nspname FROM pg_namespace WHERE nspname = 'syncer'") == []


def test_a_view_on_a_demos_table_keeps_all_of_it(on_server: Syncer, database: str) -> None:
    """No CASCADE: what somebody built on it would go as well."""
    assert on_server("demo").code == 0
    before = tables(database)
    with postgresql.shared().connection(database) as connection:
        connection.execute("CREATE VIEW public.theirs AS SELECT * FROM load.jira_projects")
    result = on_server("demo")
    assert result.code == 2 and "load.jira_projects of an earlier demo" in result.err and "a view" in result.err
    assert tables(database) == before


def test_a_folder_goes_before_the_variable(on_server: Syncer, database: str) -> None:
    """What is typed goes before what is set."""
    assert on_server("demo", "--folder", ".").code == 0
    assert Path("demo.duckdb").exists() and tables(database) == []


def test_a_role_without_rights_is_told_what_to_have_run(
    syncer: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint is the server's, not the file's."""
    with postgresql.shared().connection(database) as connection:
        connection.execute(f'REVOKE CREATE ON DATABASE "{database}" FROM {guarded}')
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{as_role(database, guarded)}")
    monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", PASSWORD)
    result = syncer("demo")
    assert result.code == 1 and "CREATE SCHEMA syncer" in result.err and "--folder" not in result.err


def pull_with_an_older_syncer(syncer: Syncer) -> None:
    """Pull into what a demo filled, which no syncer does any more."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "_refuse_demo", lambda *_: None)
        assert syncer("pull", "shop.items").code == 0


def tables(database: str) -> list[tuple[Any, ...]]:
    """What stands in the two schemas."""
    return postgresql.shared().query(
        database,
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('load', 'syncer') "
        "ORDER BY 1, 2",
    )
