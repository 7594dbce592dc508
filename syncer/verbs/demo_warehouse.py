"""
Where the demo's records go: a file of its own, or the server that `SYNCER_WAREHOUSE` names. Not a verb.

Nothing but a demo's own is ever taken away. A table `syncer.demo` marks what a demo made, and each of its runs says so
in its own row, by its mode. What is there without it, or with any other run in it, is left alone: a process's number
says nothing, in a container each has the same. Only what was pushed out of it, to the accounts that the demo itself
knew, is the demo's too. A lease keeps two demos apart. On a server no schema is dropped, and nothing by CASCADE: the
tables of an earlier demo go one by one, in one transaction, and a view of somebody's that stands on one of them keeps
all. That no other pull comes into a demo's warehouse, `engine.py` sees to.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from syncer.clock import SystemClock
from syncer.errors import LeaseHeld, SyncerError, UsageError, WarehouseBusy, WarehouseError
from syncer.reports import commands
from syncer.settings import DEFAULT_ENVIRONMENT
from syncer.tables import LOAD, STATE, Column, Table
from syncer.values import BIGINT
from syncer.verbs import without_secrets

if TYPE_CHECKING:
    from syncer.settings import Settings
    from syncer.warehouses import Transaction, Warehouse

FILE = "demo.duckdb"
SERVER = "odbc:"
VARIABLE, USER, PASSWORD = "SYNCER_WAREHOUSE", "SYNCER_WAREHOUSE_USER", "SYNCER_WAREHOUSE_PASSWORD"
WAIT_S = 5.0  # for a program that has the file, or a table, open
ANOTHER = "Name a database of the demo's own in SYNCER_WAREHOUSE, or leave that out: then it makes demo.duckdb."
LEASE = "demo"  # that a demo holds
WHOSE = ("mapping", "environment", "mode")  # of a run; a plan has the first two
KEPT = (
    "leases",
    "commits",
)  # tables of schema syncer that any process makes before it has a run: no record is in them
_PROBE = "demo_now"
_TABLES = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, '' FROM INFORMATION_SCHEMA.TABLES "
    f"WHERE TABLE_SCHEMA IN ('{LOAD}', '{STATE}') ORDER BY TABLE_SCHEMA, TABLE_NAME"
)
# All that can stand in a schema, whoever may read it: INFORMATION_SCHEMA tells a role what that may use, and tables
# only. The last column is another owner. Source: PostgreSQL's manual, System Catalogs.
_ALL_OF_POSTGRES = (
    "SELECT n.nspname, e.name, e.kind, CASE WHEN pg_has_role(e.owner, 'USAGE') THEN '' ELSE pg_get_userbyid(e.owner) "
    "END FROM pg_namespace AS n JOIN (SELECT relnamespace AS home, relname AS name, "
    "CASE WHEN relkind = 'r' THEN 'BASE TABLE' ELSE 'other' END AS kind, relowner AS owner FROM pg_class "
    "WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') "
    "UNION ALL SELECT pronamespace, proname, 'other', proowner FROM pg_proc "
    "UNION ALL SELECT typnamespace, typname, 'other', typowner FROM pg_type WHERE typtype IN ('d', 'e', 'r')"
    f") AS e ON e.home = n.oid WHERE n.nspname IN ('{LOAD}', '{STATE}') ORDER BY 1, 2"
)


class _Tried(Exception):
    """Inside this module: what was tried is to be rolled back; nothing went wrong."""


@attrs.define(kw_only=True)
class DemoWarehouse:
    """
    The warehouse of a demo.

    settings: with the warehouse and nothing else of a site. name: for people; no secret in it. file: None on a server.
    """

    settings: Settings
    name: str
    file: Path | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Transaction]:
        """Open a transaction on it."""
        with self._warehouse() as warehouse, warehouse.transaction() as t:
            yield t

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """
        Take an earlier demo's records away, mark what comes as a demo's, and keep other demos out; yields whether
        there was an earlier one.

        Raises: UsageError: what is there is not a demo's, and is left alone. LeaseHeld: another demo is at it.
        """
        self._refuse_unserved()
        with self._warehouse() as warehouse:
            self._refuse(warehouse)
            try:
                lease = warehouse.lease(LEASE, run="", wait_s=0)
            except LeaseHeld as error:
                raise LeaseHeld(f"{self.name}: a {error.message}", hint="Wait for its end.") from error
            try:
                if held := sorted(set(warehouse.leases()) - {LEASE}):
                    raise UsageError(f"{self.name}: {held[0]} is being run just now; it is left alone.", hint=ANOTHER)
                yield self._clear_server(warehouse) if self.file is None else self._clear_file(self.file)
            finally:
                lease.release()

    def _refuse_unserved(self) -> None:
        """Raise UsageError for a server that syncer itself has no backend for: a site's own are settings of a site."""
        from syncer import warehouses
        from syncer.odbc import connecting

        if self.file is not None:
            return
        dbms = connecting.dbms_of(connecting.link(self.settings.warehouse.removeprefix(SERVER), self.settings))
        if dbms not in warehouses.SERVED:
            raise UsageError(
                f"{self.name} is {dbms}. The demo reads no syncer.toml, and so no backend from a site's folders; it "
                f"knows {', '.join(sorted(warehouses.SERVED))}.",
                hint=f"Leave {VARIABLE} out, or give --folder: then it makes {FILE}. To see made-up records in this "
                f"one, start `{commands.program('syncer')} sandbox` and pull from it.",
            )

    def _refuse(self, warehouse: Warehouse) -> None:
        """Look, before anything is written, whether a demo may be there. Raises UsageError, WarehouseError."""
        if self.file is not None:
            self._refuse_file(self.file, warehouse)
            return
        try:
            with warehouse.transaction() as t:
                self._refuse_others(t, self._there(t, warehouse.dialect))
                for schema in (STATE, LOAD):
                    t.create(Table(schema=schema, name=_PROBE, columns=(Column("one", BIGINT),)))
                raise _Tried
        except _Tried:
            return

    def _mark(self, t: Transaction) -> None:
        """Write down that a demo made what comes."""
        from syncer import sql
        from syncer.demomark import MADE_BY_DEMO

        t.create(MADE_BY_DEMO)
        t.run(
            sql.statement(f"INSERT INTO {sql.table_name(MADE_BY_DEMO)} (made_at, pid, host) VALUES (?, ?, ?)"),
            [SystemClock().now(), os.getpid(), socket.gethostname()],
        )

    def mark_end(self) -> None:
        """Write down that the demo is over."""
        from syncer import sql
        from syncer.demomark import MADE_BY_DEMO

        with self.opened() as t:
            t.run(
                sql.statement(f"UPDATE {sql.table_name(MADE_BY_DEMO)} SET ended_at = ? WHERE ended_at IS NULL"),
                [SystemClock().now()],
            )

    def to_try(self, queries: Sequence[str]) -> list[str]:
        """Write commands that work as they are printed, in sh and in PowerShell; without a password in them."""
        asked = f"{commands.program('python')} -c"
        if self.file is not None:
            path = self.file.as_posix()
            warehouse = f"duckdb:{path}"
            codes = [f"import duckdb; duckdb.connect({path!r}).sql('''{query}''').show()" for query in queries]
        else:
            string, has_password = self._without_password()
            warehouse = SERVER + string
            codes = [_asking(string, query, has_password=has_password) for query in self._rendered(queries)]
        return [
            f"{commands.program('syncer')} status --warehouse {commands.argument(warehouse)}",
            *(f"{asked} {commands.argument(code)}" for code in codes),
        ]

    @property
    def needs_password(self) -> bool:
        """Tell whether the commands to try need the password in its variable."""
        return self.file is None and self._without_password()[1]

    def _without_password(self) -> tuple[str, bool]:
        """Return the connection string without its password, and whether it had one."""
        from syncer.odbc import connecting, strings

        found = connecting.link(self.settings.warehouse.removeprefix(SERVER), self.settings).string
        shown = {key: value for key, value in found.parts.items() if key.lower() not in strings.SECRET}
        has_password = len(shown) < len(found.parts)
        for key in [key for key in shown if key.lower() == "pqopt"]:  # whole options of libpq in one value
            given = shown.pop(key)
            left = without_secrets(given)
            has_password |= left != given
            shown |= {key: left} if left else {}
        return strings.ConnectionString(shown).text(), has_password

    def _rendered(self, queries: Sequence[str]) -> list[str]:
        from syncer import sql

        with self._warehouse() as warehouse:
            return [sql.statement(query).sql(warehouse.dialect) for query in queries]

    @contextlib.contextmanager
    def _warehouse(self) -> Iterator[Warehouse]:
        from syncer import warehouses

        found = warehouses.find(attrs.evolve(self.settings, wait_s=WAIT_S), clock=SystemClock())
        with contextlib.closing(found):
            yield found

    def _refuse_file(self, file: Path, warehouse: Warehouse) -> None:
        if not file.parent.is_dir():
            raise UsageError(f"{file.parent} is no folder.", hint="Make it, or give another one with --folder.")
        if LEASE in warehouse.leases():  # whoever asks for it is told who has it
            return
        if file.exists() and not self._is_file_of_demo(file):
            raise UsageError(
                f"{file} is there, and no demo made it; it is left alone.", hint="Give another folder with --folder."
            )

    def _clear_file(self, file: Path) -> bool:
        """Remove the file of an earlier demo; not the locks beside it, one of which is ours."""
        was_there = file.exists()
        if was_there and not self._is_file_of_demo(file):  # made since we looked
            raise UsageError(f"{file} is no demo's; it is left alone.", hint="Give another folder with --folder.")
        try:
            file.unlink(missing_ok=True)
            file.with_name(f"{FILE}.wal").unlink(missing_ok=True)
        except OSError as error:
            raise SyncerError(
                f"{file} cannot be removed ({error.strerror}).", hint="Close what has it open, or give --folder."
            ) from error
        with self.opened() as t:
            self._mark(t)
        return was_there

    def _is_file_of_demo(self, file: Path) -> bool:
        """Tell whether a demo made the file, and nobody else pulled into it. Raises WarehouseBusy."""
        from syncer import demomark

        if not file.is_file():
            return False
        try:
            with self.opened() as t:
                return demomark.is_of_demo(t) and not _strangers(t) and not _others(t)
        except WarehouseBusy:
            raise
        except WarehouseError:  # it cannot even be read as one
            return False

    def _clear_server(self, warehouse: Warehouse) -> bool:
        """Drop the tables of an earlier demo, all or none of them, and mark what comes."""
        from syncer import journal, sql

        dropped = ""
        try:
            with warehouse.transaction() as t:
                there = self._there(t, warehouse.dialect)
                if warehouse.dialect == "postgres" and t.columns(
                    journal.RUNS
                ):  # who begins a run now waits, and fails
                    dropped = f"{STATE}.{journal.RUNS.name}"
                    t.run(sql.statement(f"LOCK TABLE {sql.table_name(journal.RUNS)} IN ACCESS EXCLUSIVE MODE"))
                self._refuse_others(t, there)
                for schema, name, _, _ in there:
                    dropped = f"{schema}.{name}"
                    t.run(sql.statement(f"DROP TABLE {sql.quoted(schema)}.{sql.quoted(name)}"))
                self._mark(t)
        except WarehouseBusy as error:
            raise WarehouseBusy(
                f"{error.message.removesuffix('.')} ({dropped} of an earlier demo); nothing was changed.",
                hint="End that, and run the demo again.",
            ) from error
        except WarehouseError as error:
            if not dropped:
                raise
            raise UsageError(
                f"{self.name}: {dropped} of an earlier demo cannot be dropped (is there a view on it?); nothing "
                "was changed.",
                hint=ANOTHER,
            ) from error
        return bool(there)

    def _there(self, t: Transaction, dialect: str) -> list[tuple[str, str, str, str]]:
        """Return what stands in the two schemas: schema, name, kind, and the owner where it is another role's."""
        from syncer import sql

        query = sql.statement(_ALL_OF_POSTGRES if dialect == "postgres" else _TABLES)
        found = [(schema, name, kind, owner) for schema, name, kind, owner in t.rows(query)]
        return [
            each for each in found if each[0] != STATE or each[1] not in KEPT or each[2] != "BASE TABLE" or each[3]
        ]

    def _refuse_others(self, t: Transaction, there: Sequence[tuple[str, str, str, str]]) -> None:
        """Raise UsageError where something is there that no demo made."""
        from syncer import demomark

        if not there:
            return
        for schema, name, _, owner in there:
            if owner:
                raise UsageError(
                    f"{self.name} has {schema}.{name}, which belongs to {owner}; it is left alone.", hint=ANOTHER
                )
        if not demomark.is_of_demo(t):
            raise UsageError(
                f"{self.name} has {there[0][0]}.{there[0][1]}, and no demo made it; it is left alone.", hint=ANOTHER
            )
        known = _Known()
        for schema, name, kind, _ in there:
            if kind != "BASE TABLE" or not known.has(schema, name):
                raise UsageError(
                    f"{self.name} has {schema}.{name}, which no demo made; it is left alone.", hint=ANOTHER
                )
        if strangers := _strangers(t):
            raise UsageError(
                f"{self.name} is of an earlier demo, and {strangers} of others stand in it; it is left alone.",
                hint=ANOTHER,
            )


def chosen(folder: Path | None) -> DemoWarehouse:
    """
    Choose where the records go: a file in *folder* where one is given, else the server that the environment names,
    else a file here. Nothing else of the environment is read.

    Raises: UsageError: what it names is no warehouse.
    """
    from syncer import warehouses
    from syncer.settings import Settings

    named = os.environ.get(VARIABLE, "")
    kind, _, rest = named.partition(":")
    if folder is None and named and not (kind in (warehouses.EMBEDDED, warehouses.ODBC) and rest):
        warehouses.find(Settings(warehouse=named), clock=SystemClock())  # which says what is wrong with it
    if folder is None and named.startswith(SERVER):
        from syncer.odbc import connecting

        settings = Settings(
            warehouse=named,
            warehouse_user=os.environ.get(USER, ""),
            warehouse_password=os.environ.get(PASSWORD, ""),
        )
        return DemoWarehouse(settings=settings, name=connecting.link(named.removeprefix(SERVER), settings).name)
    file = (folder or Path()) / FILE
    settings = Settings(warehouse=f"duckdb:{file.resolve()}", base=file.parent)
    return DemoWarehouse(settings=settings, name=str(file), file=file)


def _asking(string: str, query: str, *, has_password: bool) -> str:
    """Write Python that asks a server; a password comes from its variable."""
    if not has_password:
        return f"import pyodbc; print(*pyodbc.connect({string!r}).execute('''{query}'''), sep=chr(10))"
    password = f"os.environ['{PASSWORD}'].replace('}}', '}}}}')"
    return (
        f"import os, pyodbc; print(*pyodbc.connect({string!r} + 'PWD={{' + {password} + '}}')"
        f".execute('''{query}'''), sep=chr(10))"
    )


class _Known:
    """The tables that a demo, what is pushed out of it, and who is forgotten in it, may have made."""

    def __init__(self) -> None:
        from syncer import (
            colliding,
            conflicts,
            demomark,
            forgotten,
            journal,
            mappings,
            marks,
            plans,
            relation,
            snapshots,
        )
        from syncer.verbs import demo_push

        inbound = (*journal.TABLES, *marks.TABLES, forgotten.FORGOTTEN, demomark.MADE_BY_DEMO)
        outbound = (*plans.TABLES, *snapshots.TABLES, *conflicts.TABLES)
        load = {demo_push.RELATION.name, *(mapping.table("default") for mapping in mappings.known().values())}
        self._names = {STATE: {table.name for table in (*inbound, *outbound)}, LOAD: load}
        id = "[0-9a-f]{12}"
        copies = [relation.copy_table(f"{id}{beside}") for beside in ("", *relation.BESIDE)]
        self._of_a_plan = re.compile("|".join(table.name for table in (*copies, colliding.claims_table(id))))

    def has(self, schema: str, name: str) -> bool:
        """Tell whether a table of that name may be one of them."""
        return name in self._names.get(schema, ()) or (schema == STATE and bool(self._of_a_plan.fullmatch(name)))


def _others(t: Transaction) -> bool:
    """Tell whether a file has a table or view that no demo made."""
    from syncer import sql

    known = _Known()
    query = (
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() UNION ALL "
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()"
    )
    found = t.rows(sql.statement(query))
    return any(not known.has(schema, name) and (schema != STATE or name not in KEPT) for schema, name in found)


def _strangers(t: Transaction) -> str:
    """
    Count the runs, else the plans, that are no demo's; empty where there are none.

    What was pushed out of a demo's records is the demo's, where the demo pulled from that source: the account is the
    sandbox's then, any other was refused. In an environment with a name it may be any account.
    """
    from syncer import engine, journal, plans, sql

    sources: set[str] = set()
    for table, columns in ((journal.RUNS, WHOSE), (plans.PLANS, WHOSE[:2])):
        if not t.columns(table):
            continue
        listed = sql.names(columns)
        found = t.rows(sql.statement(f"SELECT COUNT(*), {listed} FROM {sql.table_name(table)} GROUP BY {listed}"))
        sources |= {row[1].partition(".")[0] for row in found if row[3:] == (engine.DEMO,)}
        strangers = 0
        for count, mapping, environment, *mode in found:
            is_pushed = mode in ([], ["plan"]) and environment == DEFAULT_ENVIRONMENT
            if mode != [engine.DEMO] and not (is_pushed and mapping.partition(".")[0] in sources):
                strangers += count
        if strangers:
            return f"{strangers:,} {table.name}"
    return ""
