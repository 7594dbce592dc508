"""Logging in to a real server: passwords of all letters, what is refused, and what a session brings along."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from loguru import logger

from syncer import settings as settings_module
from syncer.clock import SystemClock
from syncer.errors import WarehouseError
from syncer.odbc import connecting
from syncer.odbc.strings import ConnectionString
from syncer.settings import Settings
from syncer.sql import statement
from syncer.values import TEXT
from syncer.warehouses import find
from tests.postgresql import PAIRS, Place, column, pa, with_pairs, write
from tests.servers import postgresql
from tests.test_odbc import called

PASSWORDS = [
    "plain", "a;b", "{a", "a}", "}", "a}b", "a};b", "}};", "a}}b", " a", "a ", " a;b} ", "it's", '"q"', "a=b", "=",
    "é😀", "{a}", "{", "{}", "a\\b", "\\", "%41", "100%", "a+b c", "@:/?#", "{a;b}}c}", "x;PWD=b", "{a;b",
]  # fmt: skip
SECRET = "Gehe1m"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A role whose members must give a password; nobody else on the shared server has to."""
    server = postgresql.shared()
    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all +guarded 127.0.0.1/32 scram-sha-256\nhost all +unwanted 127.0.0.1/32 reject\n" + before)
    with server.connection("postgres") as connection:
        connection.execute("CREATE ROLE guarded")
        connection.execute("CREATE ROLE unwanted")
        connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)
    yield "guarded"
    rules.write_text(before)


def ask(settings: Settings) -> list[tuple[Any, ...]]:
    """Log in, and ask who we are."""
    warehouse = find(settings, clock=SystemClock())
    try:
        with warehouse.transaction() as t:
            return t.rows(statement("SELECT CAST(CURRENT_USER AS TEXT)"))
    finally:
        warehouse.close()


def test_every_password_logs_in(place: Place, guarded: str, tmp_path: Path) -> None:
    """By the string, by the variables, by `syncer.toml`; a driver that unescapes a bare one must not see one."""
    role = place.role(f"IN ROLE {guarded}")
    bare = place.server.string(place.name).replace("UID=postgres;", "")
    for password in PASSWORDS:
        place.rows(f"ALTER ROLE {role} PASSWORD '" + password.replace("'", "''") + "'")
        string = bare + ConnectionString({"UID": role, "PWD": password}).text()
        assert ask(Settings(warehouse=f"odbc:{string}", base=tmp_path)) == [(role,)], password
        variables = {"SYNCER_WAREHOUSE": f"odbc:{bare}", "SYNCER_WAREHOUSE_USER": role}
        named = settings_module.load(variables={**variables, "SYNCER_WAREHOUSE_PASSWORD": password}, folder=tmp_path)
        assert ask(named) == [(role,)], password
        lines = {"url": f"odbc:{bare}", "user": role, "password": password}
        toml = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in lines.items())
        (tmp_path / "syncer.toml").write_text(f"[warehouse]\n{toml}", encoding="utf-8")
        assert ask(settings_module.load(variables={}, folder=tmp_path)) == [(role,)], password
        (tmp_path / "syncer.toml").unlink()


def test_a_wrong_password_is_refused_without_being_told(place: Place, guarded: str, tmp_path: Path) -> None:
    """Not in the message, not in what it was caused by, not in a log at its lowest level."""
    role = place.role(f"IN ROLE {guarded} PASSWORD 'right'")
    lines: list[str] = []
    logger.enable("syncer")
    sink = logger.add(lines.append, level="TRACE", diagnose=False, backtrace=True)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with pytest.raises(WarehouseError, match=f"login of {role} was refused.*SYNCER_WAREHOUSE_PASSWORD") as caught:
            ask(place.settings(UID=role, PWD=SECRET))
        logger.opt(exception=caught.value).error("failed")
    finally:
        logger.remove(sink)
        logger.disable("syncer")
    assert lines and SECRET not in "".join(lines)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error) and SECRET not in repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "verb", [["pull", "scripted.things"], ["check", "scripted"], ["status"], ["status", "--output", "json"]]
)
def test_no_verb_tells_a_password(place: Place, guarded: str, tmp_path: Path, verb: list[str]) -> None:
    """Neither one that is right nor one that is wrong, with every detail asked for."""
    role = place.role(f"IN ROLE {guarded} PASSWORD '{SECRET}'", may_create=True)
    bare = f"odbc:{place.server.string(place.name)}".replace("UID=postgres;", f"UID={role};")
    code, said = called(tmp_path, *verb, "--debug", warehouse=f"{bare}PWD={SECRET}")
    assert code == 0 and SECRET not in said, said
    variables = {"SYNCER_WAREHOUSE_PASSWORD": f"{SECRET}!"}
    code, said = called(tmp_path, *verb, "--debug", warehouse=bare, **variables)
    assert code == 1 and SECRET not in said and f"the login of {role} was refused" in said


def test_what_keeps_us_out_is_told(place: Place, guarded: str) -> None:
    """Each with the next step."""
    role = place.role(f"IN ROLE {guarded} PASSWORD 'right'")
    with pytest.raises(WarehouseError, match=f"wants a password of {role}, and none is set"):
        ask(place.settings(UID=role))
    place.rows(f"ALTER ROLE {role} VALID UNTIL '2001-01-01'")
    with pytest.raises(WarehouseError, match=f"login of {role} was refused.*expired"):
        ask(place.settings(UID=role, PWD="right"))
    with pytest.raises(WarehouseError, match="login of nobody1 was refused"):
        ask(place.settings(UID="nobody1"))
    with pytest.raises(WarehouseError, match="no such database.*Database=…"):
        ask(place.settings(Database="nowhere"))
    idle = place.role()
    place.rows(f"ALTER ROLE {idle} NOLOGIN")
    with pytest.raises(WarehouseError, match=f"the role may not log in.*ALTER ROLE {idle} LOGIN"):
        ask(place.settings(UID=idle))
    place.rows(f"ALTER ROLE {idle} LOGIN")
    place.rows(f"REVOKE CONNECT ON DATABASE {place.name} FROM PUBLIC")
    with pytest.raises(WarehouseError, match=f"{idle} may not connect to that database.*GRANT CONNECT"):
        ask(place.settings(UID=idle))
    place.rows(f"GRANT CONNECT ON DATABASE {place.name} TO PUBLIC")
    with pytest.raises(WarehouseError, match="the server speaks no TLS.*SSLmode=prefer"):
        ask(place.settings(SSLmode="require"))
    with pytest.raises(WarehouseError, match="Port is no number.*Port=…"):
        ask(place.settings(Port="abc"))
    unwanted = place.role("IN ROLE unwanted")
    with pytest.raises(WarehouseError, match=rf"takes no connection of {unwanted} from this host.*pg_hba\.conf"):
        ask(place.settings(UID=unwanted))
    began = time.monotonic()
    with pytest.raises(WarehouseError, match="does not take connections.*Port=…"):
        ask(place.settings(Port=str(postgresql.free_port())))
    assert time.monotonic() - began < 2  # a typo is told at once


def test_a_server_that_takes_connections_and_says_nothing_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another kind of server on that port, or one that hangs."""
    monkeypatch.setattr(connecting, "LOGIN_S", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(WarehouseError, match=r"no answer within 1 s \(timeout\)"):
            ask(place.settings(Port=str(silent.getsockname()[1])))


def test_a_role_that_has_all_its_connections_is_waited_for_and_told(place: Place) -> None:
    """Another job may end in a moment."""
    role = place.role("CONNECTION LIMIT 1", may_create=True)
    first = place.warehouse(UID=role)
    with first.transaction() as t:
        t.rows(statement("SELECT 1"))
    with pytest.raises(WarehouseError, match="as many connections as it takes.*the role's own limit"):
        ask(place.settings(UID=role, wait_s=0.5))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_utf8_is_refused(place: Place, encoding: str) -> None:
    """Letters would be lost, or taken for others."""
    name = place.server.database(options=f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with pytest.raises(WarehouseError, match=f"holds {encoding}.*ENCODING 'UTF8'"):
            ask(place.settings(Database=name))
    finally:
        place.server.drop(name)


@pytest.mark.parametrize(
    ("number", "said", "told"),
    [
        ("130009", "PostgreSQL 13.9 on x", r"is PostgreSQL 13\.9.*PostgreSQL 14 or newer"),
        ("150000", "CockroachDB CCL v23.1", "is CockroachDB CCL.*PostgreSQL 14 or newer"),
    ],
)
def test_a_server_that_is_too_old_or_another_one_is_refused(place: Place, number: str, said: str, told: str) -> None:
    """It speaks the protocol and would fail later, in words that help nobody. Here functions of a schema say so."""
    role = place.role(may_create=True)
    place.rows("CREATE SCHEMA fake")
    place.rows(
        "CREATE FUNCTION fake.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN $1 = "
        f"'server_version_num' THEN '{number}' ELSE pg_catalog.current_setting($1) END $$"
    )
    place.rows(f"CREATE FUNCTION fake.version() RETURNS text LANGUAGE sql AS $$ SELECT '{said}'::text $$")
    place.rows(f"GRANT USAGE ON SCHEMA fake TO {role}")
    place.rows(f"ALTER ROLE {role} SET search_path = fake, pg_catalog")
    with pytest.raises(WarehouseError, match=told):
        ask(place.settings(UID=role))


def test_what_a_role_sets_for_itself_does_not_change_what_is_stored(place: Place) -> None:
    """Time zone, date style, isolation, how NULL in an array reads, digits of a double, a path with a table in it."""
    role = place.role("SUPERUSER")
    odd = {
        "TimeZone": "Asia/Tokyo", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "array_nulls": "off",
        "extra_float_digits": "-9", "default_transaction_isolation": "serializable", "quote_all_identifiers": "on",
        "standard_conforming_strings": "off", "bytea_output": "escape", "client_min_messages": "debug1",
        "synchronous_commit": "off", "row_security": "on", "backslash_quote": "on", "lock_timeout": "1",
    }  # fmt: skip
    for name, value in odd.items():
        place.rows(f"ALTER ROLE {role} SET {name} = '{value}'")
    place.rows(f"ALTER ROLE {role} SET search_path = public, pg_temp")
    place.rows("CREATE TABLE public.s (a text)")
    place.rows("CREATE TABLE public.d (a text)")
    warehouse = place.warehouse(UID=role)
    with with_pairs(warehouse).transaction() as t:
        t.stage("s", column([None, "NULL", "a\\b'"], pa.string()), {"a": TEXT})
        t.derive("d", statement("SELECT a FROM s"))
        assert t.rows(statement("SELECT a FROM d ORDER BY a")) == [("NULL",), ("a\\b'",), (None,)]
        assert t.rows(statement("SELECT CAST(0.1 AS DOUBLE PRECISION) + 0.2")) == [(0.30000000000000004,)]
        ((now, text),) = t.rows(statement("SELECT now(), CAST(now() AS TEXT)"))
        assert now.utcoffset().total_seconds() == 0 and text.endswith("+00") and text.startswith(f"{now:%Y-%m-%d %H}")
        assert t.columns(PAIRS) == PAIRS.types() and t.foreign(PAIRS) == {}
        settled = [t.fetched(f"SHOW {name}")[0][0] for name in ("transaction_isolation", "synchronous_commit")]
        assert settled == ["read committed", "on"]
        write(t, 1)
    assert place.rows("SELECT * FROM public.s UNION ALL SELECT * FROM public.d") == []


def test_a_stronger_setting_of_commits_stays(place: Place) -> None:
    """Only `off` would lose what was answered."""
    role = place.role(may_create=True)
    place.rows(f"ALTER ROLE {role} SET synchronous_commit = 'remote_apply'")
    with place.warehouse(UID=role).transaction() as t:
        assert t.fetched("SHOW synchronous_commit") == [("remote_apply",)]


def test_a_dsn_is_enough(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password may stand in it, too; its own kind is found by its driver."""
    (tmp_path / "odbc.ini").write_text(
        f"[house]\nDriver=PostgreSQL Unicode\nServername=127.0.0.1\nPort={place.server.port}\n"
        f"Database={place.name}\nUsername=postgres\n"
    )
    monkeypatch.setenv("ODBCINI", str(tmp_path / "odbc.ini"))
    settings = Settings(warehouse="odbc:DSN=house", base=tmp_path)
    assert ask(settings) == [("postgres",)]
    (tmp_path / "house.dsn").write_text(
        f"[ODBC]\nDRIVER=PostgreSQL Unicode\nServername=127.0.0.1\nPort={place.server.port}\n"
        f"Database={place.name}\nUID=postgres\n"
    )
    with pytest.raises(WarehouseError, match="does not read FileDSN.*connection string"):  # unixODBC 2.3.11, measured
        ask(attrs.evolve(settings, warehouse=f"odbc:FileDSN={tmp_path / 'house.dsn'}"))
