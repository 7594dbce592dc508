"""docs/postgresql.md is true: its SQL and Python run as they stand there, and its types are the backend's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.odbc.postgrestransaction import LONGEST_NAME, MOST_COLUMNS
from syncer.odbc.postgrestypes import TYPE_NAMES
from tests.conftest import query_file
from tests.servers import postgresql
from tests.servers.roles import PASSWORD, as_role
from tests.shop import Syncer

pytest_plugins = ["tests.shop.fixtures", "tests.servers.postgresql_fixtures"]
TEXT = (Path(__file__).parents[1] / "docs" / "postgresql.md").read_text(encoding="utf-8")
SQL = re.findall(r"^```sql\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
(INI,) = re.findall(r"^```ini\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
(PYTHON,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_each_type_is_told_as_the_server_calls_it() -> None:
    """What a person sees in psql must be found in the page."""
    told = dict(re.findall(r"^\| (\w+) \| `([^`]+)`", TEXT, re.MULTILINE))
    assert {kind.value: name for kind, name in TYPE_NAMES.items()} == {
        kind: name for kind, name in told.items() if kind in {each.value for each in TYPE_NAMES}
    }
    assert f"| {MOST_COLUMNS:,} columns |" in TEXT and f"| names of {LONGEST_NAME} bytes |" in TEXT


@pytest.fixture
def roles(database: str) -> Iterator[dict[str, str]]:
    """The names of the page, and those that stand for them here, where many tests share a server."""
    server = postgresql.shared()
    names = {"syncer": f"syncer_{database}", "reporting": f"reporting_{database}", "warehouse": f"{database}_w"}
    yield names
    server.drop(names["warehouse"])
    with server.connection("postgres") as connection:
        for role in ("syncer", "reporting"):
            connection.execute(f"DROP ROLE IF EXISTS {names[role]}")


def run(block: str, names: dict[str, str], database: str) -> None:
    """Run a block of SQL as an administrator, in a database, with our names in the place of the page's."""
    for name in ("syncer", "reporting"):
        block = re.sub(rf"(ROLE|AUTHORIZATION|TO) {name}\b", rf"\1 {names[name]}", block)
    block = re.sub(r"DATABASE warehouse\b", f"DATABASE {names['warehouse']}", block)
    with postgresql.shared().connection(database) as connection:
        for statement in block.split(";\n"):
            if statement.strip():
                connection.execute(statement)


@pytest.mark.parametrize("makes_schemas", [True, False])
def test_the_rights_are_enough_and_no_more(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, roles: dict[str, str], makes_schemas: bool
) -> None:
    """Each block as it stands there; then a pull as that role, and a reader who reads what it made."""
    assert len(SQL) == 3
    server, warehouse = postgresql.shared(), roles["warehouse"]
    run(SQL[0] if makes_schemas else re.sub("GRANT.*", "", SQL[0]), roles, "postgres")
    with server.connection(warehouse) as connection:
        connection.execute(f"REVOKE TEMPORARY ON DATABASE {warehouse} FROM PUBLIC")
        connection.execute(f"CREATE ROLE {roles['reporting']} LOGIN")
    if not makes_schemas:
        run(SQL[1], roles, warehouse)
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{server.string(warehouse, UID=roles['syncer'])}")
    assert syncer("check", "shop").code == 0
    assert syncer("pull", "shop.items").code == 0
    run(SQL[2], roles, warehouse)
    assert syncer("pull", "shop.orders").code == 0
    with server.connection(warehouse) as connection:
        connection.execute(f"SET ROLE {roles['reporting']}")
        for table, count in (("items", 120), ("orders", 3)):
            assert connection.execute(f"SELECT COUNT(*) FROM load.shop_{table}").fetchval() == count
    server.drop(warehouse)


def test_a_dsn_of_odbc_ini_is_enough(
    syncer: Syncer, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the page writes it, with this server's address."""
    ini = odbc_ini(database).replace("Username = syncer\n", "")
    (tmp_path / "odbc.ini").write_text(ini, encoding="utf-8")
    monkeypatch.setenv("ODBCINI", str(tmp_path / "odbc.ini"))
    monkeypatch.setenv("SYNCER_WAREHOUSE", "odbc:DSN=warehouse")
    monkeypatch.setenv("SYNCER_WAREHOUSE_USER", "postgres")
    assert syncer("pull", "shop.items").code == 0
    assert "odbc:warehouse" in syncer("check", "shop").out


def odbc_ini(database: str, dsn: str = "warehouse", **more: str) -> str:
    """The page's file with this server's address, and other keys. The manager remembers a DSN: name another one."""
    assert "[warehouse]" in INI
    ini = (
        INI.replace("[warehouse]", f"[{dsn}]")
        .replace("db.example.com", "127.0.0.1")
        .replace("5432", str(postgresql.shared().port))
    )
    ini = ini.replace("Database = warehouse", f"Database = {database}").replace("verify-full", "prefer")
    for key, value in more.items():
        ini = re.sub(rf"^{key} = .*\n", "", ini, flags=re.MULTILINE) + f"{key} = {value}\n"
    return ini


(ENCODED, DECODED) = re.search(r"`Password = ([^`]+)` is `([^`]+)`", TEXT).groups()  # type: ignore[union-attr]
SPECIAL = {"%": "%25", "+": "%2B"}


@pytest.mark.parametrize(
    ("password", "written", "is_right"),
    [
        (PASSWORD, ENCODED, True),
        ("a;b}c{d", "a;b}c{d", True),
        ("a;b}c{d", "{a;b}}c{d}", False),
        ("{a} #b=c'd\"", "{a} #b=c'd\"", True),
        ("a+b", "a+b", False),
        ("a%41", "a%41", False),
        ("a%41+b", "".join(SPECIAL.get(letter, letter) for letter in "a%41+b"), True),
        ("a ", "a ", False),
        ("a ", "a%20", True),
    ],
)
def test_a_password_in_odbc_ini_is_written_as_the_page_says(
    syncer: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    password: str, written: str, is_right: bool,
) -> None:  # fmt: skip
    """Plain letters but for two; and braces, which a connection string wants, are a part of it."""
    assert DECODED == PASSWORD
    with postgresql.shared().connection(database) as connection:
        connection.execute(f"ALTER ROLE {guarded} PASSWORD '{password.replace(chr(39), chr(39) * 2)}'")
    file = tmp_path / "odbc.ini"
    file.write_text(odbc_ini(database, dsn=database, Username=guarded, Password=written), encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("ODBCINI", str(file))
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:DSN={database}")
    assert (syncer("pull", "shop.items").code == 0) == is_right


def test_other_values_in_odbc_ini_are_plain_letters(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A database whose name has the letters that a connection string puts in braces, and those of a password."""
    server, name = postgresql.shared(), f"a;b}}c%41+d {os.getpid()}"
    server.database(name)
    try:
        (tmp_path / "odbc.ini").write_text(odbc_ini(name, dsn="plain", Username="postgres"), encoding="utf-8")
        monkeypatch.setenv("ODBCINI", str(tmp_path / "odbc.ini"))
        monkeypatch.setenv("SYNCER_WAREHOUSE", "odbc:DSN=plain")
        assert syncer("pull", "shop.items").code == 0
        assert "120 unchanged" in syncer("pull", "shop.items", "--full").out
        in_braces = "{" + name.replace("}", "}}") + "}"
        option = ("--warehouse", f"odbc:{server.string(in_braces)}")
        assert "no such database" in syncer("pull", "shop.items", *option).err  # a known limit of the page
    finally:
        server.drop(name)


@pytest.fixture
def filled(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> Syncer:
    """The command line, and a file into which something personal was pulled."""
    monkeypatch.setenv("SYNCER_HASH_KEY", "sixteen letters or more")
    toml = Path("syncer.toml")
    toml.write_text(
        toml.read_text(encoding="utf-8") + "['shop.items']\npersonal = {name = 'keep'}\n", encoding="utf-8"
    )
    assert syncer("pull", "shop.items").code == 0
    return syncer


TABLES_OF_FORGOTTEN = "SELECT 1 FROM information_schema.tables WHERE table_name = 'forgotten'"


def move(monkeypatch: pytest.MonkeyPatch, string: str) -> None:
    """Name the server, and run the page's script."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{string}")
    exec(compile(PYTHON, "page", "exec"), {"__name__": "page"})


@pytest.mark.parametrize("has_schemas", [False, True])
def test_who_was_forgotten_stays_so_after_the_move(
    filled: Syncer, database: str, guarded: str, monkeypatch: pytest.MonkeyPatch, has_schemas: bool
) -> None:
    """The page's script takes the hashes along; without it they would come back. The schemas may be made before."""
    assert filled("forget", "shop.items", "7").code == 0
    if has_schemas:  # by an administrator, as the page says: this role may make none
        run(
            f"CREATE SCHEMA load AUTHORIZATION {guarded};\nCREATE SCHEMA syncer AUTHORIZATION {guarded};\n"
            f'REVOKE CREATE ON DATABASE "{database}" FROM {guarded};\n',
            {"syncer": guarded, "reporting": guarded, "warehouse": database},
            database,
        )
    monkeypatch.setenv("SYNCER_WAREHOUSE_PASSWORD", PASSWORD)
    move(monkeypatch, as_role(database, guarded))
    assert filled("pull", "shop.items").code == 0
    rows = postgresql.shared().query(database, "SELECT id FROM load.shop_items WHERE name IS NULL")
    assert rows == [(7,)] == query_file(Path("warehouse.duckdb"), "SELECT id FROM load.shop_items WHERE name IS NULL")
    moments = "SELECT CAST(CAST(EXTRACT(EPOCH FROM forgotten_at) * 1000000 AS BIGINT) AS TEXT) FROM syncer.forgotten"
    server = postgresql.shared().query(database, moments)
    assert server == query_file(Path("warehouse.duckdb"), moments.replace("TEXT", "VARCHAR"))


def test_the_move_runs_where_nobody_was_forgotten(
    filled: Syncer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the file has no such table, and the server needs none."""
    assert query_file(Path("warehouse.duckdb"), TABLES_OF_FORGOTTEN) == []
    move(monkeypatch, postgresql.shared().string(database))
    assert postgresql.shared().query(database, "SELECT 1 FROM pg_namespace WHERE nspname = 'syncer'") == []
    assert filled("pull", "shop.items").code == 0


def test_what_the_page_links_to_is_there() -> None:
    """Pages and headings."""
    docs = Path(__file__).parents[1] / "docs"
    for page in set(re.findall(r"\]\(([\w-]+\.md)", TEXT)):
        assert (docs / page).exists(), page
