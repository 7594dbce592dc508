"""
SQL Server 2016 and newer over ODBC (Microsoft's driver, or FreeTDS), and other servers that speak T-SQL.

A set goes in as one JSON text, taken apart by `OPENJSON … WITH`. `fast_executemany` is never used: over FreeTDS it
crashes the process. Times and decimals are sent as texts and cast, since drivers round them; a statement has at most
2,100 parameters. Whoever writes holds an application lock; leases are application locks of the session. A commit whose
answer is lost is settled by a number in `syncer.commits` that each transaction moves on.

Not here: how statements are written (`odbc/tsql.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import uuid
from typing import TYPE_CHECKING, Any

import attrs

from syncer.clock import Clock
from syncer.errors import WarehouseBusy, WarehouseError, without_values
from syncer.leases import Holder
from syncer.odbc import connecting, faults
from syncer.odbc.connecting import Link
from syncer.odbc.exactly import COLLATION
from syncer.odbc.transaction import Transaction, lock_key
from syncer.odbc.tsql import literal, name
from syncer.odbc.tsqltransaction import DENIED, LONGEST_NAME, SQLServerTransaction, number_of
from syncer.odbc.warehouse import WROTE_NOTHING, Warehouse
from syncer.rewriting import Rewritten
from syncer.tables import STATE

if TYPE_CHECKING:
    import pyodbc

    from syncer.settings import Settings

DBMS = ("Microsoft SQL Server",)
DIALECT = "tsql"
PERSONS = 50_000  # from here on the numbers are those of a person's RAISERROR or THROW
NO_TRANSACTION = (3902, 3903)  # a COMMIT or ROLLBACK without one
KEPT_DAYS = 7  # of rows of sessions in `syncer.commits`
# What a driver is told where the connection string does not say it. FreeTDS: without 7.4 it knows no date, and no
# fraction of a second; its letters are the machine's otherwise. Microsoft's: seconds, from 17.8 on.
DEFAULTS = (
    (re.compile(r"freetds|tdsodbc", re.IGNORECASE), {"TDS_Version": "7.4", "ClientCharset": "UTF-8"}),
    (re.compile(r"odbc driver|msodbcsql", re.IGNORECASE), {"KeepAlive": "20", "KeepAliveInterval": "10"}),
)
SESSION = (
    "SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; SET ARITHABORT ON; SET CONCAT_NULL_YIELDS_NULL ON; "
    "SET QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET XACT_ABORT ON; SET NOCOUNT OFF",
    "SET LANGUAGE us_english; SET DATEFORMAT ymd",
    "SET TEXTSIZE 2147483647",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
_LEASES, _COMMITS = f"{name(STATE)}.{name('leases')}", f"{name(STATE)}.{name('commits')}"
_SAMPLE = "\u00e9\U0001f600 "
_MOMENT = dt.datetime(2026, 1, 31, 9, 30, 0, 123456, dt.UTC)


def connect(link: Link, *, settings: Settings, clock: Clock) -> SQLServerWarehouse:
    """Make the warehouse behind *link*."""
    driver = link.string.get("Driver")
    for pattern, more in DEFAULTS:
        if pattern.search(driver):
            link = attrs.evolve(link, string=link.string.with_defaults({**more, "APP": "syncer"}))
    return SQLServerWarehouse(link, wait_s=settings.wait_s, clock=clock)


class SQLServerWarehouse(Warehouse):
    """A database on a SQL Server."""

    dialect = DIALECT
    transactions = SQLServerTransaction
    longest_name = LONGEST_NAME
    _session, _number, _spid = "", 0, 0

    def begin_session(self, connection: pyodbc.Connection) -> None:
        """Set the session up. Raises WarehouseError where the server or the driver has not what is needed."""
        cursor, error_of = connection.cursor(), connecting.manager().Error
        for setting in SESSION:
            with contextlib.suppress(error_of):  # other servers know some of them only
                cursor.execute(setting)
        cursor.execute(f"SET LOCK_TIMEOUT {max(int(self.wait_s * 1000), 1)}")
        t = SQLServerTransaction(cursor)
        try:
            ((has_json, text, moment, spid),) = t.fetched(
                "SELECT (SELECT COUNT(*) FROM OPENJSON(N'[1]')), CAST(? AS nvarchar(9)), CAST(? AS datetime2(6)), "
                "@@SPID",
                [_SAMPLE, _MOMENT],
            )
        except error_of as error:
            if faults.is_lost(error) or "OPENJSON" not in faults.text_of(error):
                raise
            raise WarehouseError(
                f"{self.name} has no OPENJSON: SQL Server 2016 or newer is needed.",
                hint="On a newer one raise the database's level: ALTER DATABASE … SET COMPATIBILITY_LEVEL = 130.",
            ) from error
        if has_json != 1 or text != _SAMPLE or moment != _MOMENT:
            lost = "letters" if text != _SAMPLE else "times"
            raise WarehouseError(
                f"{self.name}: the driver changes {lost} on their way.",
                hint="FreeTDS needs TDS_Version=7.4 and ClientCharset=UTF-8 in the connection string.",
            )
        self._session, self._number, self._spid = uuid.uuid4().hex, 0, int(spid)

    def sealed(self, t: Transaction) -> object:
        """
        Move the session's number on, where something was written; by it the outcome can be asked for.

        Raises: WarehouseError: the server ended the transaction on its way; what came behind that is not to be kept.
        """
        assert isinstance(t, SQLServerTransaction)
        t.tidy()
        if not t.has_written:
            return WROTE_NOTHING
        if t.has_ended():
            raise WarehouseError(
                f"{self.name}: the server ended our transaction before its end; nothing of it was kept.",
                hint="Run it again. Has a table a trigger that rolls back? Then drop it.",
            )
        t.begin_writing(f"{STATE}.")
        self._number += 1
        if not t.has_table(STATE, "commits"):
            t.create_schema(STATE)
            t.execute(
                f"CREATE TABLE {_COMMITS} (session nvarchar(40) NOT NULL PRIMARY KEY, number bigint NOT NULL, "
                "committed_at datetime2(6) NOT NULL)"
            )
        now = [self._number, self._session]
        t.execute(f"UPDATE {_COMMITS} SET number = ?, committed_at = SYSUTCDATETIME() WHERE session = ?", now)
        if t.written < 1:
            t.execute(f"DELETE FROM {_COMMITS} WHERE committed_at < DATEADD(day, -{KEPT_DAYS}, SYSUTCDATETIME())")
            t.execute(f"INSERT INTO {_COMMITS} (number, session, committed_at) VALUES (?, ?, SYSUTCDATETIME())", now)
        return self._session, self._number

    def outcome(self, t: Transaction, token: Any) -> bool | None:
        """
        Read the number back. The lock of the state is taken first: whoever has it has ended.

        Raises: WarehouseBusy: the old session is not over yet.
        """
        assert isinstance(t, SQLServerTransaction)
        session, number = token
        t.begin_writing(f"{STATE}.")
        if not t.has_table(STATE, "commits"):
            return False
        found = t.fetched(f"SELECT number FROM {_COMMITS} WHERE session = ?", [session])
        return bool(found) and int(found[0][0]) >= number

    def has_state(self, t: Transaction) -> bool:
        """Look for the schema."""
        return bool(t.fetched("SELECT 1 FROM sys.schemas WHERE name = ?", [STATE]))

    def refused(self, error: BaseException) -> WarehouseError:
        """Tell what the server refused, without what may be of a row in it."""
        number, text = number_of(error), faults.text_of(error).lower()
        if number >= PERSONS:
            return WarehouseError(
                f"{self.name}: a trigger that somebody made refused what was written ({number}); nothing was kept.",
                hint="Look into the triggers of the schemas load and syncer; its own words may hold values of a row.",
            )
        for numbers, words, what, hint in _REFUSED:
            if number in numbers or (not number and words and words in text):
                kind = WarehouseBusy if numbers in (_LOCKED, _DEADLOCK) else WarehouseError
                return kind(f"{self.name}: {what.format(said=_said(error), place=_place(error))}", hint=hint)
        kept = "Nothing of the open transaction was kept."
        return WarehouseError(f"{self.name}: {_said(error)}{f' ({number})' if number else ''}.", hint=kept)

    def _roll_back(self) -> bool:
        """
        Roll back, also what the server ended already: FreeTDS asks for it all the same, is refused, and would write
        without a transaction from then on. So one is begun, to be rolled back.
        """
        connection, error_of = self._connection, connecting.manager().Error
        try:
            if connection is not None:
                connection.rollback()
                return True
        except error_of as error:
            if connection is not None and number_of(error) in NO_TRANSACTION:
                with contextlib.suppress(error_of):
                    connection.execute("IF @@TRANCOUNT = 0 BEGIN TRANSACTION")
        return super()._roll_back()

    # Leases.

    def prepare_leases(self, t: Transaction) -> None:
        """Make the table of who holds what."""
        assert isinstance(t, SQLServerTransaction)
        if t.has_table(STATE, "leases"):
            return
        t.create_schema(STATE)
        if not t.has_table(STATE, "leases"):
            t.execute(
                f"CREATE TABLE {_LEASES} (name nvarchar(400) COLLATE {COLLATION} NOT NULL PRIMARY KEY, "
                "lock_key bigint NOT NULL, pid bigint NULL, host nvarchar(255) NULL, since datetime2(3) NULL, "
                "run nvarchar(40) NULL)"
            )

    def recognise_pooler(self) -> None:
        """Refuse what lends one session of the server to two connections. Raises WarehouseError."""
        if self.is_leased:
            return
        with contextlib.closing(self.another()) as connection:
            ((theirs,),) = SQLServerTransaction(connection.cursor()).fetched("SELECT @@SPID")
            connection.rollback()
        with self.transaction() as t:
            assert isinstance(t, SQLServerTransaction)
            ((mine,),) = t.fetched("SELECT @@SPID")
        if mine == theirs or mine != self._spid:
            raise WarehouseError(
                f"{self.name} is a pooler that shares the server's sessions between connections: no lease would hold.",
                hint="Name the server itself.",
            )

    def lock(self, t: Transaction, name: str) -> bool:
        """Take an application lock of the session, without waiting."""
        assert isinstance(t, SQLServerTransaction)
        found = t.answer(
            f"DECLARE @result int; EXEC @result = sp_getapplock @Resource = {literal(_lease(name))}, @LockMode = "
            "N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0; SELECT @result"
        )
        return bool(found) and int(found[0]) >= 0

    def unlock(self, t: Transaction, name: str) -> None:
        """Give it back."""
        t.execute(f"EXEC sp_releaseapplock @Resource = {literal(_lease(name))}, @LockOwner = N'Session'")

    def note_holder(self, t: Transaction, name: str, holder: Holder) -> None:
        """Write down who holds a lease; since when is the server's own time."""
        assert isinstance(t, SQLServerTransaction)
        try:
            t.begin_writing(f"{STATE}.")
        except WarehouseBusy:  # the lock of the session would outlive this transaction
            self.unlock(t, name)
            raise
        given = [holder.pid, holder.host[:255], holder.run, name]
        t.execute(f"UPDATE {_LEASES} SET pid = ?, host = ?, since = SYSUTCDATETIME(), run = ? WHERE name = ?", given)
        if t.written < 1:
            t.execute(
                f"INSERT INTO {_LEASES} (pid, host, since, run, name, lock_key) "
                f"VALUES (?, ?, SYSUTCDATETIME(), ?, ?, {lock_key(name)})",
                given,
            )

    def holders(self, t: Transaction) -> dict[str, Holder]:
        """Return who holds which lease: the names whose lock cannot be had now, and our own."""
        assert isinstance(t, SQLServerTransaction)
        if not t.has_table(STATE, "leases"):
            return {}
        is_free = (
            f"APPLOCK_TEST(N'public', {literal(_lease(''))} + CAST(l.lock_key AS nvarchar(20)), N'Exclusive', "
            "N'Session')"
        )
        since = "CONVERT(nvarchar(30), l.since, 126) + N'Z'"
        found = t.fetched(f"SELECT l.name, l.pid, l.host, {since}, l.run, {is_free} FROM {_LEASES} AS l")
        return {
            name: Holder(pid=int(pid), host=host, since=at, run=run)
            for name, pid, host, at, run, free in found
            if free == 0 or name in self._held
        }

    def rewrite(self) -> Rewritten:
        """Write the tables of ours anew."""
        left = [
            "The server's transaction log, its replicas and its backups keep what they hold until they end; pages "
            "that the tables no longer use, and those of tempdb, until they are used again: an administrator clears "
            "them with EXEC sp_clean_db_free_space.",
        ]
        with self.transaction() as t:
            tables = t.fetched(
                "SELECT s.name, o.name FROM sys.tables AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id "
                "WHERE s.name IN (N'load', N'syncer') ORDER BY s.name, o.name"
            )
        with contextlib.closing(self.another()) as connection:
            connection.autocommit = True
            connection.execute(f"SET LOCK_TIMEOUT {max(int(self.wait_s * 1000), 1)}")
            for schema, table in tables:
                try:
                    connection.execute(f"ALTER TABLE {name(schema)}.{name(table)} REBUILD")
                except connecting.manager().Error as error:
                    left.append(f"{schema}.{table} was not written anew ({faults.shown(error)}): REBUILD it yourself.")
        return Rewritten(left=tuple(left))


_LOCKED, _DEADLOCK = (1222,), (1205,)
_CUT = re.compile(r"\s*(The duplicate key value|Truncated value|The statement has been terminated).*", re.DOTALL)
_OF_VALUES = (220, 232, 235, 236, 241, 242, 244, 245, 248, 295, 296, 8114, 8115, 13609)  # their texts quote one
_PLACE = re.compile(r"in table '([^']*)', column '([^']*)'")
# The server's numbers, words of the text where a driver or another server has no number, what to say, what to do next.
_REFUSED: tuple[tuple[tuple[int, ...], str, str, str], ...] = (
    (_LOCKED, "lock request time out", "another session held a table that this one needs ({said}).",
     "End that session, or set wait_s in [warehouse] of syncer.toml higher."),
    (_DEADLOCK, "deadlock", "the server ended a deadlock by ending our transaction ({said}); nothing of it was kept.",
     "Run it again. Does a program of others write to the tables of the schemas load and syncer?"),
    ((2628, 8152), "would be truncated", "a column{place} is too narrow for a value; nothing was kept.",
     "A key's texts have 1,700 bytes in all: docs/sqlserver.md. Did somebody alter a column?"),
    ((1946, 1919), "exceeds the maximum length", "a key is too long for an index ({said}).",
     "A key's texts have 1,700 bytes in all: docs/sqlserver.md."),
    (DENIED, "permission was denied", "a right is missing: {said}.",
     "docs/sqlserver.md has the GRANT lines for the schemas [load] and [syncer]."),
    ((511, 1701), "maximum row size", "a row is larger than a page of SQL Server (8,060 bytes; a long text takes 24).",
     "Leave out properties that nobody needs: a row holds about 330 long texts beside numbers and dates."),
    ((1101, 1105, 9002), "", "the server's disk, or its transaction log, is full ({said}).",
     "Make room and run again; nothing of this group was kept."),
    ((2601, 2627), "duplicate key", "a row is there already ({said}); nothing was kept.",
     "Is there a constraint or a unique index of your own on the table? Then drop it."),
    ((468,), "collation conflict", "a column has another collation than syncer gave it ({said}).",
     "Pull again: it gets it back. Drop an index of your own on it before."),
    ((208,), "invalid object name", "a table is missing ({said}).",
     "Did somebody drop it while this ran? Run it again."),
)  # fmt: skip


def _lease(name: str) -> str:
    """Write the name of a lease's lock, which may be as long as a number only."""
    return f"syncer: lease {lock_key(name) if name else ''}"


def _said(error: BaseException) -> str:
    text = _CUT.sub("", faults.text_of(error))
    if number_of(error) in _OF_VALUES or faults.state_of(error).startswith("22"):
        text = without_values(text)
    return " ".join(text.split())[:300].rstrip(". ;") or "no more was said"


def _place(error: BaseException) -> str:
    found = _PLACE.search(faults.text_of(error))
    return f" ({found[2]} of {found[1].rpartition('.')[2]})" if found else ""
