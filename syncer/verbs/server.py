"""
What `syncer check` asks of a warehouse behind ODBC: who we are there, whether text and times come back as they were,
whether each connection has a session of its own, which rights we have, what of ours is somebody else's. Not a verb.

Everything is tried in a transaction that is rolled back, or asked. What only a server's own catalogue tells stands
here by dialect; a backend that is not named here is not asked, and a pull finds it out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

from syncer import conflicts, journal, mappings, marks, offers, plans, snapshots, sql
from syncer.clock import SystemClock
from syncer.errors import SyncerError, WarehouseError
from syncer.odbc import connecting
from syncer.reports import terminal
from syncer.settings import Settings
from syncer.tables import LOAD, STATE, Column, Table
from syncer.values import BIGINT, TEXT, TIMESTAMP
from syncer.verbs.check import SKEW_S, folder_found
from syncer.verbs.found import FAILED, WARNING, Found

if TYPE_CHECKING:
    from syncer.odbc.warehouse import Warehouse
    from syncer.warehouses import Transaction

CHECKED = "check_now"
LETTERS = "é ł 日本 😀"
MOMENT = dt.datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
FEW = 5  # tables that are named
# By dialect: the server's own time; its version; what is worth a word, and why.
CLOCKS = {"postgres": "SELECT now()"}
VERSIONS = {"postgres": "SELECT split_part(current_setting('server_version'), ' ', 1)"}
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


@attrs.frozen
class Asked:
    """
    What asks a server for rights, in its own words. Each name is written as a statement needs it, but for the first
    two and the fourth of `tables`.

    database: the database, the role, and whether it may make schemas, and temporary tables.
    schemas: those of ours that are there, and whether it may use them, and make tables in them.
    tables: schema, name, both as written, owner, whether the role may act as that, and whether each of `ON_ROWS` is
    had, or is once the role owns it.
    """

    database: str
    schemas: str
    tables: str


SCHEMAS = (LOAD, STATE)
ON_ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
BY_RUN = ("copy_", "claims_")  # how tables of state begin that a run makes for itself
OF_STATE = (
    *(table.name for each in (journal, marks, plans, snapshots, conflicts) for table in each.TABLES),
    offers.OFFERINGS.name,
    *("forgotten", "leases", "commits", "demo"),
)
_IN_OURS = f"n.nspname IN ('{LOAD}', '{STATE}')"
# An owner has all rights on its table unless somebody took some from it, and hands them on with the table.
_HAS = (
    "CASE WHEN pg_has_role(c.relowner, 'USAGE') THEN has_table_privilege(c.oid, '{0}') ELSE c.relacl IS NULL OR "
    "EXISTS (SELECT 1 FROM aclexplode(c.relacl) AS a WHERE a.grantee = c.relowner AND a.privilege_type = '{0}') END"
)
RIGHTS = {
    "postgres": Asked(
        database=(
            "SELECT quote_ident(current_database()), quote_ident(current_user), "
            "has_database_privilege(current_database(), 'CREATE'), "
            "has_database_privilege(current_database(), 'TEMPORARY')"
        ),
        schemas=(
            "SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE') "
            f"FROM pg_namespace AS n WHERE {_IN_OURS} ORDER BY 1"
        ),
        tables=(
            "SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), "
            "pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), "
            f"{', '.join(_HAS.format(word) for word in ON_ROWS)} FROM pg_class AS c "
            f"JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {_IN_OURS} AND c.relkind IN ('r', 'p') "
            "ORDER BY 1, 2"
        ),
    )
}


@attrs.define(kw_only=True)
class Missing:
    """The rights that a login lacks, in words, and the statements that give them, in the order to run them in."""

    role: str = ""
    is_temporary: bool = False  # among them that to temporary tables, in which sets are passed
    rights: list[str] = attrs.field(factory=list)
    statements: list[str] = attrs.field(factory=list)

    def grant(self, words: Sequence[str], on: str, where: str) -> None:
        """Add rights that are to be granted on something; none where there are no *words*."""
        if words:
            self.rights.append(f"{', '.join(words)} {where}")
            self.statements.append(f"GRANT {', '.join(words)} ON {on} TO {self.role};")

    def found(self) -> Found:
        """Tell all of them; the statements stand on lines of their own, to be pasted."""
        first = "Have an administrator run this, connected to that database:"
        return Found(
            about=_ABOUT["_rights"],
            status=FAILED,
            detail=f"{self.role} lacks rights: {'; '.join(self.rights)}",
            hint="\n".join([first, *self.statements]),
        )


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
    looks_at: tuple[Callable[[Warehouse], Iterator[Found]], ...] = (_values, _sessions, _clock, _rights, _remarks)
    missing = _missing(warehouse, settings) if warehouse.dialect in RIGHTS else Missing()
    if missing.rights:
        yield missing.found()
        looks_at = (_sessions, _clock, _remarks) if missing.is_temporary else (_values, _sessions, _clock, _remarks)
    for look in looks_at:
        try:
            yield from look(warehouse)
        except SyncerError as error:
            yield Found.of_error(_ABOUT[look.__name__], error)


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


def _missing(warehouse: Warehouse, settings: Settings) -> Missing:
    """Ask for every right that a pull needs: on the database, on the schemas, and on the tables of ours."""
    asked = RIGHTS[warehouse.dialect]
    with warehouse.transaction() as t:
        ((database, role, may_make, may_stage),) = t.fetched(asked.database)
        schemas = {schema: (usage, create) for schema, usage, create in t.fetched(asked.schemas)}
        tables = t.fetched(asked.tables)
    missing = Missing(role=role, is_temporary=not may_stage)
    words = ([] if may_make or len(schemas) == len(SCHEMAS) else ["CREATE"]) + ([] if may_stage else ["TEMPORARY"])
    missing.grant(words, f"DATABASE {database}", "on the database")
    for schema, has in schemas.items():
        lacks = [word for word, is_had in zip(("USAGE", "CREATE"), has, strict=True) if not is_had]
        missing.grant(lacks, f"SCHEMA {schema}", f"on the schema {schema}")
    ours = _ours(settings)
    theirs: dict[str, list[str]] = {}
    for schema, name, written, owner, is_owned, *rights in tables:
        if (schema, name) not in ours and not (schema == STATE and name.startswith(BY_RUN)):
            continue
        if not is_owned:
            theirs.setdefault(owner, []).append(f"{schema}.{name}")
            missing.statements.append(f"ALTER TABLE {written} OWNER TO {role};")
        lacks = [word for word, is_had in zip(ON_ROWS, rights, strict=True) if not is_had]
        missing.grant(lacks, written, f"on {schema}.{name}")
    for owner, names in theirs.items():
        named = ", ".join(names[:FEW]) + (", …" if len(names) > FEW else "")
        belong = "belongs" if len(names) == 1 else "belong"
        missing.rights.append(f"{terminal.counted(len(names), 'table')} of ours {belong} to {owner}: {named}")
    return missing


def _ours(settings: Settings) -> set[tuple[str, str]]:
    """Name the tables that are ours: the load tables and offers of each environment, and the tables of state."""
    known = mappings.known(folders=settings.folders, objects=settings.objects()).values()
    loaded = {mapping.table(environment) for mapping in known for environment in settings.environments()}
    return {
        *((LOAD, name) for name in loaded),
        *((STATE, f"offers_{name}") for name in loaded),
        *((STATE, name) for name in OF_STATE),
    }
