"""
The command line on a server: what each verb says there, what `check` finds, and that no password is ever shown.

On a real PostgreSQL. Not here: the demo (`test_demo_server.py`), what a backend must do (`contracts/`).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import settings, warehouses
from syncer.clock import SystemClock
from syncer.reports import terminal
from syncer.verbs import server as server_verb
from tests.contracts import third
from tests.servers import pgbouncer, postgresql
from tests.servers.roles import PASSWORD, as_role
from tests.shop import Syncer, one_line

pytest_plugins = ["tests.shop.fixtures", "tests.servers.postgresql_fixtures"]
NOT_THERE = "not there yet; the first pull makes it"
IN_BRACES = "PWD={p;a{s}}s w+%41};"


@pytest.fixture
def on_server(syncer: Syncer, database: str, monkeypatch: pytest.MonkeyPatch) -> Syncer:
    """Call the command line with the variable set."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{postgresql.shared().string(database)}")
    return syncer


@pytest.fixture
def as_guarded(syncer: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch) -> Syncer:
    """The same, as a role with a password."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{as_role(database, guarded)}")
    monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", PASSWORD)
    return syncer


def asked(database: str, query: str) -> list[tuple[Any, ...]]:
    return postgresql.shared().query(database, query)


def run(database: str, *statements: str) -> None:
    with postgresql.shared().connection(database) as connection:
        for statement in statements:
            connection.execute(statement)


def found(syncer: Syncer, about: str) -> dict[str, Any]:
    """What `check` says of one thing."""
    checks = syncer("check", "shop", "--output", "json").json["checks"]
    (one,) = [each for each in checks if each["about"] == about]
    return dict(one)


def test_a_pull_into_a_server_prints_what_it_prints_elsewhere(on_server: Syncer, database: str) -> None:
    """One variable; no file is made beside it."""
    first, second = on_server("pull", "shop.items"), on_server("pull", "shop.items", "--full")
    assert (first.code, first.err) == (0, "") and "120 inserted" in first.out
    assert second.code == 0 and "0 inserted, 0 updated, 120 unchanged" in second.out
    assert asked(database, "SELECT count(*), sum(price) FROM load.shop_items") == [(120, 72_600)]
    assert [file.name for file in Path().iterdir()] == ["syncer.toml"]


def test_status_names_the_host_of_who_holds_a_lease(on_server: Syncer) -> None:
    """Several machines pull into one warehouse."""
    on_server("pull", "shop.items")
    warehouse = warehouses.find(settings.load(), clock=SystemClock())
    with contextlib.closing(warehouse):
        warehouse.lease("shop.orders@default", run="abcd12345678", wait_s=0)
        text, refused = on_server("status"), on_server("pull", "shop.orders")
        (lease,) = on_server("status", "--output", "json").json["leases"]
    assert f"process {os.getpid()} on {socket.gethostname()}" in text.out
    assert (lease["mapping"], lease["host"], lease["pid"]) == ("shop.orders", socket.gethostname(), os.getpid())
    assert refused.code == 1 and f"{os.getpid()} on {socket.gethostname()}" in refused.err
    assert on_server("status", "--output", "json").json["leases"] == []


def test_status_of_an_empty_database_makes_nothing(on_server: Syncer, database: str) -> None:
    """The first thing that a careful person types; monitoring is told that nothing was ever pulled."""
    result = on_server("status")
    assert result.code == 0 and f"odbc:127.0.0.1/{database} has no schema syncer yet" in result.out
    assert on_server("status", "--max-age", "26h").code == 1
    assert on_server("check", "shop").code == 0
    assert asked(database, "SELECT nspname FROM pg_namespace WHERE nspname IN ('load', 'syncer')") == []


def test_forget_says_what_a_server_keeps(on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log and its backups are not ours to rewrite."""
    monkeypatch.setenv("SYNCER_HASH_KEY", "sixteen letters or more")
    toml = Path("syncer.toml")
    toml.write_text(toml.read_text() + "['shop.items']\npersonal = {name = 'keep'}\n")
    on_server("pull", "shop.items")
    result = on_server("forget", "shop.items", "7")
    assert result.code == 0 and "load.shop_items: 1 blanked" in result.out
    assert "write-ahead log" in result.out and "backups" in result.out
    assert "file" not in result.out
    assert asked(database, "SELECT count(*) FROM load.shop_items WHERE name IS NULL") == [(1,)]
    assert on_server("pull", "shop.items", "--full").out.count("120 unchanged") == 1


# What check finds


def test_check_says_what_is_there(on_server: Syncer, database: str) -> None:
    """Server, driver, who, where; all of it tried, and nothing left behind."""
    result = on_server("check", "shop")
    assert (result.code, result.err) == (0, "") and result.out.endswith("All is well.\n")
    told = found(on_server, f"warehouse odbc:127.0.0.1/{database}")["detail"]
    assert told.startswith("PostgreSQL 1") and "psqlodbc" in told and f"as postgres in {database}" in told
    for about in ("values", "sessions", "rights"):
        assert found(on_server, f"warehouse {about}")["status"] == "ok"
    on_server("pull", "shop.items")
    assert on_server("check", "shop").code == 0
    assert asked(database, "SELECT relname FROM pg_class WHERE relname = 'check_now'") == []


def pasted(rights: dict[str, Any]) -> list[str]:
    """The statements that `check` wants run."""
    first, *statements = rights["hint"].split("\n")
    assert "administrator" in first and statements
    return [str(each) for each in statements]


def test_check_tells_all_rights_that_are_missing(as_guarded: Syncer, database: str, guarded: str) -> None:
    """At once: who asks an administrator asks once. What is told then suffices, and no more is told."""
    run(database, f'REVOKE CREATE ON DATABASE "{database}" FROM {guarded}')
    run(database, f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC')
    run(database, "CREATE SCHEMA load")
    rights = found(as_guarded, "warehouse rights")
    assert rights["status"] == "failed"
    assert pasted(rights) == [
        f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO {guarded};",
        f"GRANT USAGE, CREATE ON SCHEMA load TO {guarded};",
    ]
    text = as_guarded("check", "shop")
    assert text.code == 1 and "\n".join(pasted(rights)) in text.out and "warehouse values" not in text.out
    run(database, *pasted(rights))
    assert found(as_guarded, "warehouse rights")["status"] == found(as_guarded, "warehouse values")["status"] == "ok"
    assert as_guarded("pull", "shop.items").code == as_guarded("check", "shop").code == 0


@pytest.mark.parametrize("revoked", [(), ("SELECT", "DELETE")])
def test_check_finds_tables_of_another_role(
    as_guarded: Syncer, syncer: Syncer, database: str, guarded: str, revoked: tuple[str, ...]
) -> None:
    """Made by an administrator, all of them; the statements hand them over, with rights that their owner gave up."""
    string = postgresql.shared().string(database)
    assert syncer("pull", "shop.items", "--warehouse", f"odbc:{string}").code == 0
    for word in revoked:
        run(database, f"REVOKE {word} ON load.shop_items FROM postgres")
    run(database, "CREATE TABLE load.theirs (id int)", "CREATE TABLE syncer.theirs (id int)")
    rights = found(as_guarded, "warehouse rights")
    statements = pasted(rights)
    assert f"ALTER TABLE load.shop_items OWNER TO {guarded};" in statements
    made = asked(
        database, "SELECT relname FROM pg_class WHERE relnamespace = 'syncer'::regnamespace AND relkind = 'r'"
    )
    assert sum(each.startswith("ALTER TABLE syncer.") for each in statements) == len(made) - 1
    assert (f"GRANT SELECT, DELETE ON load.shop_items TO {guarded};" in statements) == bool(revoked)
    assert f"GRANT USAGE, CREATE ON SCHEMA syncer TO {guarded};" in statements and "theirs" not in rights["hint"]
    assert "of ours belong to postgres: load.shop_items" in rights["detail"] and "DATABASE" not in rights["hint"]
    run(database, *statements)
    assert as_guarded("pull", "shop.items", "--full").code == as_guarded("check", "shop").code == 0


def test_check_finds_rights_that_were_taken_from_a_table_of_ours(
    as_guarded: Syncer, database: str, guarded: str
) -> None:
    """It is ours, and not ours to write; a role that we are a member of may own it, too."""
    as_guarded("pull", "shop.items")
    run(database, f"REVOKE INSERT, UPDATE ON load.shop_items FROM {guarded}")
    assert pasted(found(as_guarded, "warehouse rights")) == [f"GRANT INSERT, UPDATE ON load.shop_items TO {guarded};"]
    run(database, *pasted(found(as_guarded, "warehouse rights")))
    run(database, f"CREATE ROLE {guarded}_owners", f"GRANT {guarded}_owners TO {guarded}")
    try:
        run(database, f"ALTER TABLE load.shop_items OWNER TO {guarded}_owners")
        assert found(as_guarded, "warehouse rights")["status"] == "ok"
        assert as_guarded("pull", "shop.items", "--full").code == 0
    finally:
        run(database, f"ALTER TABLE load.shop_items OWNER TO {guarded}", f"DROP ROLE {guarded}_owners")


def test_what_check_wants_pasted_works_with_any_name(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capitals, blanks, quotes, a word of SQL: each name is quoted as the server does, and no line is broken."""
    server = postgresql.shared()
    role, name = f'Ada "the User" {os.getpid()}', f"My 'Base' {os.getpid()}"
    server.database(name)
    quoted = '"' + role.replace('"', '""') + '"'
    try:
        run(name, f"CREATE ROLE {quoted} LOGIN", f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
        admin = server.string(name)
        assert syncer("pull", "shop.items", "--warehouse", f"odbc:{admin}").code == 0
        monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{server.string(name, UID=role)}")
        statements = pasted(found(syncer, "warehouse rights"))
        assert f'GRANT TEMPORARY ON DATABASE "{name}" TO {quoted};' in statements
        monkeypatch.setattr(terminal, "width_of", lambda stream: 60)
        assert "\n".join(statements) in syncer("check", "shop").out
        run(name, *statements)
        assert syncer("pull", "shop.items", "--full").code == syncer("check", "shop").code == 0
    finally:
        server.drop(name)
        run("postgres", f"DROP ROLE IF EXISTS {quoted}")


def test_check_looks_at_the_tables_of_each_environment(
    as_guarded: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One login fills them all; whoever asks for rights asks once."""
    monkeypatch.setenv("SYNCER_SHOP__VOYS_URL", "http://127.0.0.1:1")
    as_guarded("pull", "shop.items")
    run(database, "CREATE TABLE load.shop_items_voys (id bigint)")
    assert "load.shop_items_voys" in found(as_guarded, "warehouse rights")["detail"]


def test_check_finds_a_pooler_that_shares_sessions(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases would hold nothing there."""
    pooler = pgbouncer.start(postgresql.shared(), "transaction", sessions=1)
    try:
        monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{pooler.string(database)}")
        sessions = found(on_server, "warehouse sessions")
    finally:
        pooler.stop()
    assert sessions["status"] == "failed" and "pool" in sessions["detail"] and "session" in sessions["hint"]


def test_check_says_where_sessions_were_not_compared(as_guarded: Syncer, database: str, guarded: str) -> None:
    """A role of one connection has no second one to compare with."""
    run(database, f"ALTER ROLE {guarded} CONNECTION LIMIT 1")
    sessions = found(as_guarded, "warehouse sessions")
    assert sessions["status"] == "warning" and sessions["detail"].startswith("not compared: no second connection (")


def test_check_tells_the_servers_own_version(on_server: Syncer, database: str) -> None:
    """The driver says 15.0.18 of 15.18."""
    ((version,),) = asked(database, "SHOW server_version")
    told = found(on_server, f"warehouse odbc:127.0.0.1/{database}")["detail"]
    assert told.startswith(f"PostgreSQL {version.split()[0]}, through psqlodbc")


def test_check_names_a_warehouse_that_fails_once(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands before the colon already."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{postgresql.shared().string(database, Port='1')}")
    assert found(on_server, f"warehouse odbc:127.0.0.1/{database}")["detail"].startswith("the server does not take")


def test_check_of_a_warehouse_of_ones_own_makes_no_file(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the page for those who add one: SQLite makes a file of whatever is opened."""
    third.write_code(Path())
    monkeypatch.setenv("SYNCER_WAREHOUSE", third.LINK)
    toml = Path("syncer.toml")
    folders = [line for line in toml.read_text().splitlines() if line.startswith("folders")]
    assert len(folders) == 1
    toml.write_text(toml.read_text().replace("folders = [", "folders = ['mine', "))
    name = f"warehouse odbc:{Path('contract.sqlite').absolute()}"
    assert found(syncer, name) == {"about": name, "status": "ok", "detail": NOT_THERE, "hint": ""}
    assert list(Path().glob("*sqlite*")) == []
    assert syncer("pull", "shop.items").code == 0
    before = sorted(Path().glob("*sqlite*"))
    assert found(syncer, name)["detail"].startswith("SQLite 3")
    assert "not compared" in found(syncer, "warehouse sessions")["detail"]
    assert found(syncer, "warehouse rights")["status"] == found(syncer, "warehouse values")["status"] == "ok"
    assert sorted(Path().glob("*sqlite*")) == before


def test_check_finds_a_driver_for_8_bit_letters(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL's other driver knows no Unicode: it fails here, and not in the middle of a pull."""
    string = postgresql.shared().string(database, Driver="{PostgreSQL ANSI}")
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{string}")
    checks = on_server("check", "shop", "--output", "json").json["checks"]
    assert [each["about"] for each in checks if each["status"] == "failed"] == [f"warehouse odbc:127.0.0.1/{database}"]


@pytest.mark.parametrize(
    ("column", "changed", "told"),
    [
        ("moment", "\"moment\" + INTERVAL '2 hours'", "times come back as other times"),
        ("letters", "lower('É') || \"letters\"", "texts come back as other texts"),
    ],
)
def test_check_finds_values_that_come_back_changed(
    on_server: Syncer, monkeypatch: pytest.MonkeyPatch, column: str, changed: str, told: str
) -> None:
    """A zone that nobody asked for, a letter that became another: here the query changes them."""
    plain = server_verb.sql.statement
    monkeypatch.setattr(
        server_verb.sql,
        "statement",
        lambda text: plain(text.replace(f'"{column}"', changed) if "check" in text else text),
    )
    values = found(on_server, "warehouse values")
    assert (values["status"], values["detail"]) == ("failed", told) and values["hint"]


def test_check_warns_of_a_timeout_of_the_role(as_guarded: Syncer, database: str, guarded: str) -> None:
    """It would end the first large load, and only that."""
    run(database, f"ALTER ROLE {guarded} SET statement_timeout = '30s'")
    remark = found(as_guarded, "warehouse settings")
    assert remark["status"] == "warning" and "statement_timeout is 30000 ms" in remark["detail"]
    assert as_guarded("check", "shop").code == 0


def test_check_tells_a_clock_that_is_wrong(on_server: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times in schema syncer come from both."""
    monkeypatch.setitem(server_verb.CLOCKS, "postgres", "SELECT now() - interval '1 hour'")
    clock = found(on_server, "warehouse clock")
    assert clock["status"] == "warning" and "behind ours" in clock["detail"]


@contextlib.contextmanager
def locked(database: str, table: str) -> Iterator[None]:
    """Another session holds a table."""
    with postgresql.shared().connection(database) as connection:
        connection.autocommit = False
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def test_status_tells_who_locks_its_tables_and_check_does_not_touch_them(on_server: Syncer, database: str) -> None:
    """As docs/cli.md says: one waits `wait_s` and names the session, the other has nothing to wait for."""
    toml = Path("syncer.toml")
    toml.write_text(f"{toml.read_text(encoding='utf-8')}[warehouse]\nwait_s = 0.2\n", encoding="utf-8")
    on_server("pull", "shop.items")
    with locked(database, "syncer.runs"):
        result = on_server("status")
        assert result.code == 1 and one_line(result.err) and "syncer.runs is held by session" in result.err
        assert on_server("check", "shop").code == 0


# What never is shown


@pytest.mark.parametrize("output", [[], ["--output", "json"], ["--debug"], ["-v"]])
@pytest.mark.parametrize(
    "verb", [["pull", "shop.items"], ["status"], ["check", "shop"], ["forget", "shop.items", "1"]]
)
@pytest.mark.parametrize("how", ["variable", "string", "option", "file", "not a string"])
def test_a_password_is_never_shown(
    as_guarded: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch, how: str, verb: list[str],
    output: list[str],
) -> None:  # fmt: skip
    """Wherever it stands, whatever goes wrong: here it is the wrong one, for a role that was told another."""
    run(database, f"ALTER ROLE {guarded} PASSWORD 'another'")
    string, option = as_role(database, guarded), []
    if how in ("string", "option", "not a string"):
        monkeypatch.delenv("SYNCER_WAREHOUSE_PASSWORD")
        string += IN_BRACES
    if how == "file":
        monkeypatch.delenv("SYNCER_WAREHOUSE_PASSWORD")
        toml = Path("syncer.toml")
        toml.write_text(f"{toml.read_text()}[warehouse]\npassword = '{PASSWORD}'\n", encoding="utf-8")
    monkeypatch.setenv("SYNCER_WAREHOUSE", string if how == "not a string" else f"odbc:{string}")
    if how == "option":
        monkeypatch.delenv("SYNCER_WAREHOUSE")
        option = ["--warehouse", f"odbc:{string}"]
    result = as_guarded(*verb, *option, *output)
    assert result.code in (1, 2)
    for secret in (PASSWORD, "p;a{s", "a{s}", "w+%41"):
        assert secret not in result.out + result.err


@pytest.mark.parametrize("how", ["variable", "string", "braces", "pqopt", "option", "file", "file's string"])
def test_a_password_that_a_message_would_repeat_is_hidden(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Here it is the name of a database, too, which every message has; in JSON as well, also of a run that failed."""
    secret, option = "s3cret-word", []
    string = f"odbc:Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port=1;Database={secret};UID=ada;"
    more = {"string": f"PWD={secret};", "braces": f"Password={{{secret}}};", "pqopt": f"pqopt={{password={secret}}};"}
    string += more.get(how, f"PWD={secret};" if how in ("option", "file's string") else "")
    toml = Path("syncer.toml")
    if how == "variable":
        monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", secret)
    elif how == "option":
        option = ["--warehouse", string]
    elif how.startswith("file"):
        key = f"password = '{secret}'" if how == "file" else f"url = '{string}'"
        toml.write_text(f"{toml.read_text(encoding='utf-8')}[warehouse]\n{key}\n", encoding="utf-8")
    if how not in ("option", "file's string"):
        monkeypatch.setenv("SYNCER_WAREHOUSE", string)
    for verb in (["pull", "shop.items"], ["status"], ["check", "shop"]):
        for output in ([], ["--output", "json"], ["--debug"]):
            result = syncer(*verb, *option, *output)
            assert result.code == 1 and "odbc:127.0.0.1/***" in result.out + result.err
            assert secret not in result.out + result.err


def test_an_option_that_lacks_its_kind_does_not_repeat_the_password(syncer: Syncer) -> None:
    """What stands before the first colon may be all of it."""
    for given in ("Driver=x;PWD=secret1", "Driver=x;PWD=secret1:secret2"):
        result = syncer("status", "--warehouse", given)
        assert (
            result.code == 2
            and "secret" not in result.err
            and "without its kind" in result.err
            and one_line(result.err)
        )


def test_a_password_in_the_file_that_is_no_text_is_not_repeated(syncer: Syncer) -> None:
    """`password = 12345678`, without quotes."""
    toml = Path("syncer.toml")
    toml.write_text(f"{toml.read_text()}[warehouse]\npassword = 12345678\n", encoding="utf-8")
    result = syncer("list")
    assert result.code == 2 and "password in [warehouse]" in result.err and "12345678" not in result.err


def test_what_is_set_beside_the_option_keeps_its_name(as_guarded: Syncer, database: str, guarded: str) -> None:
    """`--warehouse` goes before SYNCER_WAREHOUSE, and SYNCER_WAREHOUSE_PASSWORD is used with it."""
    option = ("--warehouse", f"odbc:{as_role(database, guarded)}")
    assert as_guarded("pull", "shop.items", *option).code == 0
    run(database, f"ALTER ROLE {guarded} PASSWORD 'another'")
    assert "SYNCER_WAREHOUSE_PASSWORD" in as_guarded("status", *option).err


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"Port": "1"}, "does not take connections"),
        ({"Database": "nothere"}, "no such database"),
        ({"Driver": "{No Such Driver}"}, "no ODBC driver No Such Driver"),
        ({"Server": "no-such-host.invalid"}, "name is not known"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_line(
    on_server: Syncer, database: str, monkeypatch: pytest.MonkeyPatch, parts: dict[str, str], told: str
) -> None:
    """What, where, and what to do next; a failure, not wrong usage."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{postgresql.shared().string(database, **parts)}")
    for verb in (["pull", "shop.items"], ["status"]):
        result = on_server(*verb)
        assert result.code == 1 and one_line(result.err) and told in result.err
    checks = on_server("check", "shop", "--output", "json").json["checks"]
    assert [each["status"] for each in checks if told in each["detail"]] == ["failed"]
