"""
What `syncer check` asks of a warehouse behind ODBC: who we are there, whether text and times come back as they were,
whether each connection has a session of its own, which rights we have, what of ours is somebody else's. Not a verb.

Everything is tried in a transaction that is rolled back, or asked. What only a server's own catalogue tells stands
here by dialect; a backend that is not named here is not asked, and a pull finds it out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from syncer import journal, mappings, marks, sql
from syncer.clock import SystemClock
from syncer.errors import SyncerError, WarehouseError
from syncer.odbc import connecting
from syncer.reports import terminal
from syncer.settings import Settings
from syncer.tables import LOAD, STATE, Column, Table
from syncer.values import BIGINT, TEXT, TIMESTAMP
from syncer.verbs.check import FAILED, SKEW_S, WARNING, Found, folder_found

if TYPE_CHECKING:
    from syncer.odbc.warehouse import Warehouse
    from syncer.warehouses import Transaction

CHECKED = "check_now"
LETTERS = "é ł 日本 😀"
MOMENT = dt.datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
FEW = 5  # tables that are named
# By dialect: the server's own time; its version; tables that are not ours to change, and whose; what is worth a word,
# and why.
CLOCKS = {"postgres": "SELECT now()"}
VERSIONS = {"postgres": "SELECT split_part(current_setting('server_version'), ' ', 1)"}
OTHERS = {
    "postgres": (
        "SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner) FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname IN ('load', 'syncer') "
        "AND c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1, 2"
    )
}
REMARKS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "postgres": (
        (
            "SELECT 'statement_timeout is ' || setting || ' ms' FROM pg_settings WHERE name = 'statement_timeout' "
            "AND setting <> '0'",
            "what takes longer fails",
            "ALTER ROLE … SET statement_timeout = 0 ends that for one role.",
        ),
        (
            "SELECT 'the connection is not encrypted' FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND NOT ssl "
            "AND inet_client_addr() IS DISTINCT FROM inet_server_addr()",
            "who is on the network between reads along",
            "Add SSLmode=require (or verify-full) to the connection string.",
        ),
    )
}


class _Tried(Exception):
    """Inside this module: what was tried is to be rolled back; nothing went wrong."""


def looks(warehouse: Warehouse, settings: Settings) -> Iterator[Found]:
    """Look at one thing after the other. Raises WarehouseError where it cannot be connected to."""
    is_there = warehouse.exists()
    if not is_there and warehouse._connection is None and (file := warehouse.link.string.get("Database", "DBQ")):
        # A backend that knows that without connecting: its file would be made by it.
        detail = "not there yet; the first pull makes it"
        yield folder_found(f"warehouse {warehouse.name}", Path(file).parent, detail)
        return
    state = "" if is_there else f"; no schema {STATE} yet: the first pull makes it"
    yield Found(about=f"warehouse {warehouse.name}", detail=f"{_who(warehouse)}{state}")
    for look in (_values, _sessions, _clock, _rights, _remarks):
        try:
            yield from look(warehouse)
        except SyncerError as error:
            yield Found.of_error(_ABOUT[look.__name__], error)
    yield from _owners(warehouse, settings)


_ABOUT = {
    "_values": "warehouse values",
    "_sessions": "warehouse sessions",
    "_clock": "warehouse clock",
    "_rights": "warehouse rights",
    "_remarks": "warehouse settings",
}


def _who(warehouse: Warehouse) -> str:
    """Say what is there, through which driver, and as whom."""
    manager, connection = connecting.manager(), warehouse.opened()

    def told(what: str) -> str:
        try:
            return str(connection.getinfo(getattr(manager, what)))
        except manager.Error:  # not every driver tells everything
            return "?"

    version = told("SQL_DBMS_VER")
    if warehouse.dialect in VERSIONS:  # psqlodbc says 15.0.18 of 15.18
        with warehouse.transaction() as t:
            version = str(t.fetched(VERSIONS[warehouse.dialect])[0][0])
    server = f"{told('SQL_DBMS_NAME')} {version}"
    driver = f"{told('SQL_DRIVER_NAME')} {told('SQL_DRIVER_VER')}"
    return f"{server}, through {driver}, as {told('SQL_USER_NAME')} in {told('SQL_DATABASE_NAME')}"


def _values(warehouse: Warehouse) -> Iterator[Found]:
    """Send a text and a time, and read them back: a driver for 8-bit letters, or a zone, would change them."""
    import pyarrow as pa

    rows = pa.table({"letters": [LETTERS], "moment": pa.array([MOMENT], pa.timestamp("us", "UTC"))})
    with warehouse.transaction() as t:
        cast("Transaction", t).stage(CHECKED, rows, {"letters": TEXT, "moment": TIMESTAMP})
        ((letters, moment),) = t.rows(sql.statement(f'SELECT "letters", "moment" FROM {sql.quoted(CHECKED)}'))
    if letters != LETTERS:
        hint = "Name the driver's Unicode version, and a database that holds every letter (UTF-8)."
        yield Found(about=_ABOUT["_values"], status=FAILED, detail="texts come back as other texts", hint=hint)
    if moment != MOMENT:
        detail = "times come back as other times"
        yield Found(about=_ABOUT["_values"], status=FAILED, detail=detail, hint="Take another driver, or a newer one.")
    if (letters, moment) == (LETTERS, MOMENT):
        yield Found(about=_ABOUT["_values"], detail="texts and times come back as they were")


def _sessions(warehouse: Warehouse) -> Iterator[Found]:
    """Two connections must have two sessions: leases live on them. Where they are not compared, that is said."""
    from syncer.odbc.warehouse import Warehouse as Every

    if type(warehouse).recognise_pooler is Every.recognise_pooler:
        yield Found(about=_ABOUT["_sessions"], detail="not compared: this backend does not ask for a pooler")
        return
    try:
        warehouse.another().close()
    except WarehouseError as error:
        detail = (
            f"not compared: no second connection ({error.message.removeprefix(f'{warehouse.name}: ').rstrip('.')})"
        )
        yield Found(about=_ABOUT["_sessions"], status=WARNING, detail=detail, hint=error.hint)
        return
    warehouse.recognise_pooler()
    yield Found(about=_ABOUT["_sessions"], detail="each connection has its own; leases hold")


def _clock(warehouse: Warehouse) -> Iterator[Found]:
    """Compare the server's clock with ours; nothing stands or falls by it."""
    if warehouse.dialect not in CLOCKS:
        return
    with warehouse.transaction() as t:
        now = cast(dt.datetime, t.fetched(CLOCKS[warehouse.dialect])[0][0])
    skew = (now - SystemClock().now()).total_seconds()
    if abs(skew) > SKEW_S:
        detail = f"it is {terminal.duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} ours"
        hint = "Set the clocks; no row is lost by it, but times in schema syncer come from both."
        yield Found(about=_ABOUT["_clock"], status=WARNING, detail=detail, hint=hint)


def _rights(warehouse: Warehouse) -> Iterator[Found]:
    """Make a table in each schema, and take all of it back."""
    try:
        with warehouse.transaction() as t:
            for schema in (LOAD, STATE):
                t.create(Table(schema=schema, name=CHECKED, columns=(Column("one", BIGINT),)))
            raise _Tried
    except _Tried:
        yield Found(about=_ABOUT["_rights"], detail=f"tables can be made in the schemas {LOAD} and {STATE}")


def _remarks(warehouse: Warehouse) -> Iterator[Found]:
    """Ask for what is set in a way that a site may not want."""
    for query, why, hint in REMARKS.get(warehouse.dialect, ()):
        with warehouse.transaction() as t:
            for (what,) in t.fetched(query):
                yield Found(about=_ABOUT["_remarks"], status=WARNING, detail=f"{what}: {why}", hint=hint)


def _owners(warehouse: Warehouse, settings: Settings) -> Iterator[Found]:
    """Find tables of ours that another role owns: no column can be added to them, and none made wider."""
    if warehouse.dialect not in OTHERS:
        return
    known = mappings.known(folders=settings.folders, objects=settings.objects()).values()
    ours = {(LOAD, mapping.table(settings.environment)) for mapping in known}
    ours |= {(STATE, table.name) for table in (*journal.TABLES, *marks.TABLES)}
    try:
        with warehouse.transaction() as t:
            found = [(schema, name, owner) for schema, name, owner in t.fetched(OTHERS[warehouse.dialect])]
    except WarehouseError as error:
        yield Found.of_error(_ABOUT["_rights"], error)
        return
    theirs = [(f"{schema}.{name}", owner) for schema, name, owner in found if (schema, name) in ours]
    if theirs:
        named = ", ".join(name for name, _ in theirs[:FEW]) + (", …" if len(theirs) > FEW else "")
        yield Found(
            about=_ABOUT["_rights"],
            status=FAILED,
            detail=f"{terminal.counted(len(theirs), 'table')} of ours {'belongs' if len(theirs) == 1 else 'belong'} "
            f"to {theirs[0][1]}: {named}",
            hint=f"Have {theirs[0][1]}, or an administrator, run: ALTER TABLE {theirs[0][0]} OWNER TO …, for each.",
        )
