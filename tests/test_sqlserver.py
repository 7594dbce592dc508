"""
SQL Server, as far as it can be shown without one: on a stand-in that takes T-SQL. `servers/tsql.py` says what that
does not prove. The contract of a warehouse runs on a real server that `SYNCER_TEST_SQLSERVER` names.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyodbc
import pytest

from syncer import journal, sql, status
from syncer.clock import SystemClock
from syncer.errors import WarehouseBusy, WarehouseError, WarehouseLost
from syncer.odbc.exactly import COLLATION
from syncer.odbc.tsqltransaction import MOST_PARAMETERS, is_writing
from syncer.odbc.tsqltypes import Described, as_text, definition, from_text, key_lengths, staged
from syncer.settings import Settings
from syncer.tables import Column, Table
from syncer.values import BIGINT, DATE, DOUBLE, JSON, TEXT, TIMESTAMP
from syncer.warehouses import Warehouse, find
from tests import test_offers, test_sql
from tests.conftest import Site
from tests.contracts import test_warehouse as contract
from tests.contracts import test_warehouse_more as more
from tests.servers import sqlserver, tsql
from tests.servers.things import NOON, TEXTS, THINGS, prepared, things

pytest_plugins = ["tests.servers.fixtures"]

# The contract on the stand-in, but for what starts processes or waits for locks.
for _name, _test in [*vars(contract).items(), *vars(more).items()]:
    if _name.startswith("test_") and "settings" not in _test.__code__.co_varnames[: _test.__code__.co_argcount]:
        globals()[_name] = _test


# A whole pull.


@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
@pytest.mark.parametrize("toml", ["", test_offers.TOML])
def test_pulls_leave_what_they_leave_on_duckdb(
    make_site: Callable[..., Site], stand_in: tsql.StandIn, monkeypatch: pytest.MonkeyPatch, toml: str
) -> None:
    """Both styles, slices, states, walks, rejects, censuses: every statement of theirs is read, run and compared."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 5)
    here, there = make_site(toml, "here"), make_site(toml, "there")
    there.settings, there.database = attrs.evolve(there.settings, warehouse=stand_in.setting), stand_in
    for site in (here, there):
        test_sql.live(site)
    assert test_sql.state(there) == test_sql.state(here)
    told = [status.read(site.settings, status.Question(with_rejects=True), clock=site.clock) for site in (here, there)]
    assert [(run.mapping, run.status, run.read) for run in told[0].runs] == [
        (run.mapping, run.status, run.read) for run in told[1].runs
    ]
    assert [reject.key for reject in told[0].rejects] == [reject.key for reject in told[1].rejects] != []
    assert len(set(stand_in.server.sent)) > 100


# Parameters.


def given(warehouse: Warehouse, stand_in: tsql.StandIn, text: str, *parameters: Any) -> str:
    """The statement as the driver got it."""
    with warehouse.transaction() as t:
        t.rows(sql.statement(text), parameters)
        return stand_in.server.sent[-1]


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        (NOON, "CAST(? AS datetime2(6))"),
        (dt.date(850, 1, 2), "CAST(? AS date)"),
        (decimal.Decimal("1E-9"), "CAST(? AS decimal(38,9))"),
        (None, "CAST(NULL AS nvarchar(1))"),
        ("x" * 3_000, "CAST(? AS nvarchar(max))"),
        ("x\0y", "?"),
        (7, "?"),
    ],
)
def test_what_a_driver_would_change_is_sent_as_a_text(
    warehouse: Warehouse, stand_in: tsql.StandIn, value: Any, mark: str
) -> None:
    """Fractions of a second, decimals, NULL whose type the driver would ask for, long texts that it calls ntext."""
    assert given(warehouse, stand_in, "SELECT ? AS x", value) == f"SELECT {mark} AS [x]"
    with warehouse.transaction() as t:
        ((found,),) = t.rows(sql.statement("SELECT ? AS x"), [value])
    assert found == ("x\ufffdy" if value == "x\0y" else value)


def test_a_statement_stays_below_the_servers_limit_or_is_not_sent(
    warehouse: Warehouse, stand_in: tsql.StandIn
) -> None:
    """Each text in an `IN` needs two places: where both are too many, the second is written out."""
    prepared(warehouse)
    keys = [f"it's {number}" for number in range(1_060)]
    with warehouse.transaction() as t:
        query = sql.statement(f"SELECT COUNT(*) FROM load.things AS b WHERE b.k IN ({', '.join('?' for _ in keys)})")
        assert t.rows(query, keys) == [(0,)]
        assert "DATALENGTH(N'it''s 7')" in stand_in.server.sent[-1]
    sent = len(stand_in.server.sent)
    refused = pytest.raises(WarehouseError, match="would have 2,099 parameters; SQL Server takes 2,098")
    with refused, warehouse.transaction() as t:
        t.rows(sql.statement(f"SELECT {', '.join('?' for _ in range(MOST_PARAMETERS + 1))}"), [1] * 2_099)
    assert len(stand_in.server.sent) == sent


def test_a_derived_table_outlives_its_parameters(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """A driver runs a statement with parameters in a scope of its own, and what is made there is gone behind it."""
    prepared(warehouse)
    with warehouse.transaction() as t:
        query = sql.statement("SELECT b.id, ? AS x, b.k FROM load.things AS b WHERE b.k = ? OR b.moment > ?")
        assert t.derive("d", query, ["x", "a ", NOON + dt.timedelta(days=1)]) == 1
        assert t.rows(sql.statement("SELECT * FROM d")) == [(2, "x", "a ")]
        assert t.derive("d", sql.statement("SELECT b.id FROM load.things AS b")) == len(TEXTS)
    made = [text for text in stand_in.server.sent if "SELECT [q].* INTO [#d]" in text]
    assert len(made) == 2 and not any("?" in text for text in made)


def test_no_temporary_table_outlives_its_transaction(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """The session keeps them otherwise, with what they hold of people."""
    prepared(warehouse)
    assert "DROP TABLE [#s]" in stand_in.server.sent
    with warehouse.transaction() as t:
        t.stage("s", things(TEXTS), THINGS.types())


# Tables.


def test_a_key_fits_an_index_and_tells_blanks_apart() -> None:
    """1,700 bytes in all; and an index takes `a` for `a` with a blank behind it, unless the bytes are counted."""
    wide = Table(
        schema="syncer",
        name="w",
        columns=tuple(Column(name, TEXT) for name in ("mapping", "environment", "scope", "key", "column")),
        key=("mapping", "environment", "scope", "key", "column"),
    )
    lengths = key_lengths(attrs.evolve(wide, schema="load"))
    assert lengths["mapping"] == 100 and lengths["scope"] == 226
    assert sum(2 * length + 4 for length in lengths.values()) <= 1_700
    assert key_lengths(wide) == {"mapping": 100, "environment": 60, "scope": 4_000, "key": 4_000, "column": 4_000}
    assert definition(wide).endswith(
        "PRIMARY KEY NONCLUSTERED ([mapping], [environment], [dss_bytes_of_mapping], [dss_bytes_of_environment], "
        "[dss_hash_of_key])"
    )
    assert (
        "[dss_hash_of_key] AS CAST(HASHBYTES('SHA2_256', CAST(DATALENGTH([scope]) AS binary(8)) + CAST([scope] AS "
        "varbinary(max)) + CAST(DATALENGTH([key]) AS binary(8))"
    ) in definition(wide)
    assert key_lengths(THINGS) == {} and key_lengths(contract.PAIRS) == {"b": 844}
    made = definition(contract.PAIRS)
    assert "[b] nvarchar(844) COLLATE Latin1_General_100_BIN2 NOT NULL" in made
    assert "[dss_bytes_of_b] AS DATALENGTH([b]) PERSISTED NOT NULL" in made
    assert made.endswith("PRIMARY KEY NONCLUSTERED ([a], [b], [dss_bytes_of_b])")


@pytest.mark.parametrize("table", [v for v in vars(journal).values() if isinstance(v, Table)], ids=lambda t: t.name)
def test_the_state_has_room_for_every_key(table: Table) -> None:
    """A reject names the key of a row: where the load table takes it, the reject must not fail the pull."""
    one = Table(schema="load", name="t", columns=(Column("id", TEXT),), key=("id",))
    lengths = key_lengths(table)
    assert "key" not in lengths or lengths["key"] >= key_lengths(one)["id"]


def test_a_reject_of_a_long_key_is_kept(warehouse: Warehouse) -> None:
    """And seen again; another one that differs by a blank at its end is another one."""
    key, now = "k" * 848, NOON
    rejects = [
        journal.Reject(key=each, column="c" * 100, scope="", reason="r", declared="BIGINT", found="text")
        for each in (key, f"{key} ")
    ]
    pulled = journal.Pulled(mapping="m", environment="default", run="r")
    with warehouse.transaction() as t:
        t.create(journal.REJECTS)
        for _ in range(2):
            journal.keep_rejects(t, rejects, pulled=pulled, now=now)
        assert len(t.rows(sql.statement("SELECT key FROM syncer.rejects"))) == 2


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (from_text("x", TIMESTAMP), "CONVERT(datetime2(6), x, 121)"),
        (from_text("x", DATE), "CONVERT(date, x, 23)"),
        (from_text("x", DOUBLE), "CONVERT(float, x)"),
        (as_text("x", DOUBLE), f"(CONVERT(nvarchar(40), x, 3) COLLATE {COLLATION})"),
        (as_text("x", TIMESTAMP), f"(CONVERT(nvarchar(40), x, 126) COLLATE {COLLATION})"),
        (as_text("x", DATE), f"(CONVERT(nvarchar(40), x, 23) COLLATE {COLLATION})"),
        (staged(TEXT, pa.array(["x"])), f"nvarchar(450) COLLATE {COLLATION}"),
        (staged(TEXT, pa.array(["x" * 4_001])), f"nvarchar(max) COLLATE {COLLATION}"),
    ],
)
def test_a_cast_keeps_every_digit(given: str, written: str) -> None:
    """By its style: 0 has six digits of a double, and datetime a three-hundredth of a second."""
    assert given == written


@pytest.mark.parametrize(
    ("catalogued", "kind", "is_roomy"),
    [
        (("nvarchar", -1, 0, 0, "Latin1_General_100_BIN2"), TEXT, True),
        (("nvarchar", -1, 0, 0, "latin1_general_bin2"), JSON, True),
        (("nvarchar", -1, 0, 0, "SQL_Latin1_General_CP1_CI_AS"), TEXT, False),
        (("nvarchar", 900, 0, 0, "Latin1_General_100_BIN2"), TEXT, False),
        (("varchar", -1, 0, 0, "Latin1_General_100_BIN2"), TEXT, False),
        (("int", 4, 10, 0, None), BIGINT, False),
        (("bigint", 8, 19, 0, None), BIGINT, True),
        (("datetime2", 8, 27, 7, None), TIMESTAMP, True),
        (("datetime2", 7, 23, 3, None), TIMESTAMP, False),
        (("datetimeoffset", 10, 34, 7, None), TIMESTAMP, False),
    ],
)
def test_the_catalogue_is_read(catalogued: tuple[Any, ...], kind: Any, is_roomy: bool) -> None:
    """A type, or a collation, by which values would be lost or compared otherwise is no type of ours."""
    found = Described.of(*catalogued)
    assert (found.kind, found.is_roomy(is_indexed=False)) == (kind, is_roomy)
    assert Described.of("nvarchar", 900, 0, 0, "Latin1_General_100_BIN2").is_roomy(is_indexed=True)


def test_too_many_columns_are_refused(warehouse: Warehouse) -> None:
    """Before the server is asked; it would say so in its own words only."""
    wide = Table(schema="load", name="wide", columns=tuple(Column(f"c{n}", TEXT) for n in range(1_025)))
    with pytest.raises(WarehouseError, match=r"1,025 columns; SQL Server allows 1,024"), warehouse.transaction() as t:
        t.create(wide)


# Leases and commits.


def test_a_lease_is_held_by_one_session(warehouse: Warehouse, stand_in: tsql.StandIn, tmp_path: Path) -> None:
    """Its lock is the session's; who holds it is told to others; one whose session ended is free."""
    other = find(Settings(warehouse=stand_in.setting, base=tmp_path, wait_s=0), clock=SystemClock())
    lease = warehouse.lease("x@default", run="r1", wait_s=0)
    with pytest.raises(Exception, match=r"x@default is being run by process \d+ on .* since 20.*"):
        other.lease("x@default", run="r2", wait_s=0)
    assert set(other.leases()) == set(warehouse.leases()) == {"x@default"}
    lease.release()
    assert other.leases() == {}
    warehouse.lease("x@default", run="r3", wait_s=0)
    warehouse.close()
    other.lease("x@default", run="r4", wait_s=0).release()
    other.close()


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_commit_whose_answer_is_lost_is_found_out(
    warehouse: Warehouse, stand_in: tsql.StandIn, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    """By the number that the transaction had given its session: read back, never guessed."""
    prepared(warehouse)
    commit, gone = tsql.Connection.commit, []

    def lost(self: tsql.Connection) -> None:
        if not gone and self.is_open:
            gone.append(True)
            (commit if is_kept else tsql.Connection.rollback)(self)
            raise pyodbc.OperationalError("08S01", "[08S01] [Microsoft][ODBC Driver 18]Communication link failure (0)")
        commit(self)

    rows = sql.statement("SELECT COUNT(*) FROM load.things AS t WHERE t.v = 'changed'")
    change = sql.statement("UPDATE load.things SET v = 'changed' WHERE id = 1")
    monkeypatch.setattr(tsql.Connection, "commit", lost)
    if is_kept:
        with warehouse.transaction() as t:
            t.run(change)
    else:
        with pytest.raises(WarehouseLost, match="that group was not kept"), warehouse.transaction() as t:
            t.run(change)
    with warehouse.transaction() as t:
        assert t.rows(rows) == [(int(is_kept),)]


def test_a_session_waits_as_long_as_the_setting_says(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """The server's unit is a millisecond."""
    with warehouse.transaction():
        assert "SET LOCK_TIMEOUT 300" in stand_in.server.sent


def test_what_a_read_loses_at_its_commit_is_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what became of it; the next transaction has a new connection."""
    prepared(warehouse)
    commit, gone = tsql.Connection.commit, []

    def lost(self: tsql.Connection) -> None:
        if not gone:
            gone.append(True)
            raise pyodbc.OperationalError("08S01", "[08S01] [Microsoft][ODBC Driver 18]Communication link failure (0)")
        commit(self)

    monkeypatch.setattr(tsql.Connection, "commit", lost)
    count = sql.statement("SELECT COUNT(*) FROM load.things")
    for _ in range(2):
        with warehouse.transaction() as t:
            assert t.rows(count) == [(len(TEXTS),)]
    assert gone


def test_an_error_that_ended_the_transaction_leaves_session_and_lease(
    warehouse: Warehouse, stand_in: tsql.StandIn
) -> None:
    """
    FreeTDS's rollback is refused then (3903, measured), and what it sends next would be kept at once: a transaction is
    begun for it, and rolled back.
    """
    prepared(warehouse)
    lease = warehouse.lease("x@default", run="r1", wait_s=0)
    stand_in.server.is_freetds = True
    update = "UPDATE load.things SET v = '{}' WHERE id = 1"
    for wrong in ("SELECT nothing FROM load.things", "INSERT INTO load.things (id) VALUES (1)"):
        with pytest.raises(WarehouseError) as told, warehouse.transaction() as t:
            t.run(sql.statement(update.format("lost")))
            t.run(sql.statement(wrong))
        assert type(told.value) is WarehouseError
    assert set(warehouse.leases()) == {"x@default"}
    with pytest.raises(ZeroDivisionError), warehouse.transaction() as t:
        t.run(sql.statement(update.format("later")))
        raise ZeroDivisionError
    with warehouse.transaction() as t:
        assert t.rows(sql.statement("SELECT COUNT(*) FROM load.things WHERE v IN ('lost', 'later')")) == [(0,)]
    lease.release()


def test_a_transaction_that_the_server_ended_is_not_committed(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """What wrote behind its end stands alone: the lock of the first write, which went with it, tells."""
    prepared(warehouse)
    with pytest.raises(WarehouseError, match="ended our transaction before its end"), warehouse.transaction() as t:
        t.run(sql.statement("UPDATE load.things SET v = 'x' WHERE id = 1"))
        t._cursor.connection.rollback()  # type: ignore[attr-defined]  # as a trigger's ROLLBACK does
        t.run(sql.statement("UPDATE load.things SET v = 'x' WHERE id = 2"))
    assert stand_in.rows("SELECT COUNT(*) FROM load.things WHERE v = 'x'") == [(0,)]


def test_a_statement_is_run_to_its_end(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger's results come before the statement's own number of rows, and an error may stand behind a result."""
    prepared(warehouse)
    change, more = sql.statement("UPDATE load.things SET v = 'x' WHERE id = 1"), [7, -1, 1]

    def nextset(self: tsql.Cursor) -> bool:
        if not more or not self.connection.server.sent[-1].startswith("UPDATE [load].[things]"):
            return False
        self.rowcount = more.pop(0)
        if self.rowcount == 99:
            raise pyodbc.ProgrammingError(
                "42000", "[42000] [FreeTDS][SQL Server]Anna was refused (50000) (SQLMoreResults)"
            )
        return True

    monkeypatch.setattr(tsql.Cursor, "nextset", nextset)
    with warehouse.transaction() as t:
        assert t.run(change) == 1 and not more
    more += [1, 99]
    with pytest.raises(WarehouseError, match=r"a trigger .* \(50000\)") as told, warehouse.transaction() as t:
        t.run(change)
    assert "Anna" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "does_write"),
    [
        ("UPDATE [load].[t] SET [a] = 1", True), ("CREATE SCHEMA [load]", True), ("EXEC sp_rename N'a', N'b'", True),
        ("IF 1 = 1 EXEC sp_updateextendedproperty", True), ("ALTER TABLE [a].[b] ADD [c] int", True),
        ("INSERT INTO [load].[t] SELECT 1", True), ("DELETE FROM [a].[b]", True), ("DROP TABLE [a].[b]", True),
        ("INSERT INTO [#t] SELECT 1", False), ("CREATE TABLE [#t] ([a] int)", False), ("DROP TABLE [#t]", False),
        ("SELECT 1", False), ("EXEC sp_releaseapplock @Resource = N'x'", False),
    ],
)  # fmt: skip
def test_every_write_is_known(text: str, does_write: bool) -> None:
    """A commit of what writes nothing has no number: none that writes may be taken for it."""
    assert is_writing(text) is does_write


def test_what_only_reads_leaves_no_number(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """A commit that wrote nothing needs no outcome."""
    prepared(warehouse)
    before = stand_in.rows("SELECT number FROM syncer.commits")
    with warehouse.transaction() as t:
        t.stage("s", things(TEXTS), THINGS.types())
        t.rows(sql.statement("SELECT COUNT(*) FROM s"))
    assert stand_in.rows("SELECT number FROM syncer.commits") == before


def test_who_writes_holds_the_lock_of_what_is_written(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """Two that look whether a key is there would both insert it; the state has one lock: nobody waits in a ring."""
    prepared(warehouse)
    with warehouse.transaction() as t:
        t.run(sql.statement("UPDATE load.things SET v = 'x' WHERE id = 1"))
        t.run(sql.statement("UPDATE load.things SET v = 'x' WHERE id = 2"))
        locks = [text for text in stand_in.server.sent if "sp_getapplock" in text and "write load.things'" in text]
    assert len(locks) == 2  # once for making it and filling it, once for this


def test_every_table_of_ours_is_rebuilt(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """Forgetting leaves no dead row in them, and says what it does not reach."""
    prepared(warehouse)
    done = warehouse.rewrite()
    rebuilt = [text for text in stand_in.server.sent if text.endswith("REBUILD")]
    assert rebuilt == ["ALTER TABLE [load].[things] REBUILD", "ALTER TABLE [syncer].[commits] REBUILD"]
    assert len(done.left) == 1 and "transaction log" in done.left[0] and "tempdb" in done.left[0]


# Messages.


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("Lock request time out period exceeded. (1222)", WarehouseBusy, "another session held a table"),
        ("Transaction (Process ID 55) was deadlocked on lock resources. (1205)", WarehouseBusy, "ended a deadlock"),
        ("String or binary data would be truncated in table 'w.load.things', column 'k'. Truncated value: 'Ada L'. "
         "(2628)", WarehouseError, r"a column \(k of things\) is too narrow for a value"),
        ("String or binary data would be truncated. (8152)", WarehouseError, "a column is too narrow for a value"),
        ("The INSERT permission was denied on the object 'things'. (229)", WarehouseError, "a right is missing"),
        ("CREATE TABLE permission denied in database 'w'. (262)", WarehouseError, "a right is missing"),
        ("Violation of PRIMARY KEY constraint 'PK'. The duplicate key value is (Ada L). (2627)", WarehouseError,
         "there already"),
        ("Invalid object name 'syncer.marks'.", WarehouseError, "a table is missing"),
        ("Violation of PRIMARY KEY constraint 'PK'. The duplicate key value is (1205). (2627)", WarehouseError,
         "there already"),
        ("String or binary data would be truncated in table 'w.syncer.rejects', column 'key'. Truncated value: 'lock "
         "request time out Ada (229) (SQLExecute) x'. (2628)", WarehouseError, r"\(key of rejects\)"),
        ("Lock request time out for Ada (50000)", WarehouseError, r"a trigger that somebody made .* \(50000\)"),
        ("Conversion failed when converting the nvarchar value 'Ada L' to data type int. (245)", WarehouseError,
         r"Conversion failed .* \(245\)"),
        ("Incorrect syntax near the keyword 'load'. (156)", WarehouseError, "near the keyword 'load'"),
        ("The transaction log for database 'w' is full. (9002)", WarehouseError, "is full"),
    ],
)  # fmt: skip
def test_what_the_server_refused_is_told(warehouse: Warehouse, text: str, kind: type[Exception], said: str) -> None:
    """By its number, else by its words, since other servers have other numbers; no value of a row is repeated."""
    more = "; [42000] [FreeTDS][SQL Server]The statement has been terminated. (3621)"
    error = pyodbc.ProgrammingError("42000", f"[42000] [FreeTDS][SQL Server]{text} (SQLExecDirectW){more}")
    found = warehouse.refused(error)  # type: ignore[attr-defined]  # the port has no such method
    assert type(found) is kind and re.search(said, str(found)) and "Ada" not in str(found)


def test_a_server_without_openjson_is_refused(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """One before 2016, or a database that stayed at its level."""

    def execute(self: tsql.Cursor, text: str, parameters: Any = ()) -> Any:
        if "OPENJSON" in text:
            raise pyodbc.ProgrammingError(
                "42S02", "[42S02] [FreeTDS][SQL Server]Invalid object name 'OPENJSON'. (208)"
            )
        return self

    monkeypatch.setattr(tsql.Cursor, "execute", execute)
    with pytest.raises(WarehouseError, match="has no OPENJSON: SQL Server 2016"), warehouse.transaction():
        pass


@pytest.mark.parametrize(
    ("driver", "added"),
    [
        ("FreeTDS", {"TDS_Version": "7.4", "ClientCharset": "UTF-8", "KeepAlive": ""}),
        ("{ODBC Driver 18 for SQL Server}", {"KeepAlive": "20", "KeepAliveInterval": "10", "TDS_Version": ""}),
    ],
)
def test_a_driver_is_told_what_it_needs(driver: str, added: dict[str, str]) -> None:
    """And nothing that it does not know; what the string says itself stays."""
    found = find(Settings(warehouse=f"odbc:Driver={driver};Server=x;APP=mine"), clock=SystemClock())
    string = found.link.string  # type: ignore[attr-defined]  # the port has no such thing
    assert {key: string.get(key) for key in added} == added and string.get("APP") == "mine"


# A real server: the contract's suite has it as one more warehouse.


@pytest.mark.sqlserver
@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
@pytest.mark.parametrize("toml", ["", test_offers.TOML])
def test_a_real_server_takes_every_statement(make_site: Callable[..., Site], toml: str) -> None:
    """What the stand-in cannot show."""
    setting = f"odbc:{sqlserver.new_database()}"
    site = make_site(toml)
    site.settings = attrs.evolve(site.settings, warehouse=setting)
    test_sql.live(site)
    told = status.read(site.settings, status.Question(with_rejects=True), clock=site.clock)
    assert {run.status for run in told.runs} == {"done"} and told.rejects
