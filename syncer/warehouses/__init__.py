"""
The port of a warehouse: what each file here fulfils, and how one is found by the setting `SYNCER_WAREHOUSE`. Nothing
else.

Statements come from `sql.py`, which renders them; a backend knows its types, how a set of typed rows is passed, its
locks and its catalogue.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from syncer import catalog
from syncer.errors import UsageError
from syncer.leases import Holder as Holder
from syncer.odbc import connecting
from syncer.rewriting import Rewritten as Rewritten
from syncer.sql import Statement
from syncer.tables import Column, Table
from syncer.values import Type

if TYPE_CHECKING:
    import pyarrow as pa

    from syncer.clock import Clock
    from syncer.settings import Settings

EMBEDDED, ODBC = "duckdb", "odbc"
SERVED = {"PostgreSQL": "postgresql", "Microsoft SQL Server": "sqlserver"}  # what a server calls itself, and its file


class Transaction(Protocol):
    """An open transaction. All of it is kept, or nothing."""

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> int:
        """Execute; return how many rows were written."""

    def rows(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute; return the rows, times aware and in UTC."""

    def stage(self, name: str, rows: pa.Table, types: Mapping[str, Type]) -> None:
        """Make *rows* a temporary table *name* whose columns have *types*; it replaces one of that name."""

    def derive(self, name: str, query: Statement, parameters: Sequence[Any] = ()) -> int:
        """Make the rows of *query* a temporary table *name*; return how many there are."""

    def query_columns(self, query: Statement) -> dict[str, Type]:
        """Return the columns that *query* would give, in their order; one of a type that none of ours is, as text."""

    def save(self, table: Table, query: Statement, parameters: Sequence[Any] = ()) -> int:
        """
        Make the rows of *query* a lasting table, of which schema and name count; return how many there are.

        It replaces one of that name.
        """

    def drop(self, table: Table) -> None:
        """Drop a table of ours, where it is there."""

    def keep(self, name: str, key: Column) -> bool:
        """
        Make an empty temporary table *name* of one column, its key, that outlives commits and ends with the
        connection. False where connections are given up between commits: there is none then.
        """

    def row_hash(self, alias: str, columns: Collection[str]) -> str:
        """
        Write, as SQL text, a 64-bit hash of *columns* as text; equal rows hash equal within one version of the engine.

        Where *columns* is a mapping to their types a backend may make another, cheaper hash, of columns of just those
        types: it is compared with none that was made without types.
        """

    def by_key(self, *tables: Table) -> AbstractContextManager[None]:
        """
        Say that the statements inside meet a set's rows with those of large *tables* by their keys: whatever plans
        them should use the index, and not read whole tables.
        """

    def make_room(self, rows: int) -> None:
        """
        Say that until the transaction ends statements join so many rows of a snapshot: where the engine has a limit of
        memory that is too small for that, and nobody chose it, it is raised until then.
        """

    def try_cast(self, expression: str, to: Type) -> str:
        """Write, as SQL text, a cast of *expression* to bigint, decimal or timestamp, NULL for what is none."""

    def columns(self, table: Table) -> dict[str, Type]:
        """
        Return the columns that the table has now, ours or not; empty where there is no table.

        Names are as the warehouse compares them: in small letters where it takes `A` for `a`.
        """

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns with a type that holds less than any of ours, or other things, and what it is called."""

    def holds(self, table: Table, column: str, to: Type) -> bool:
        """Tell whether every value of a column would be the same after a cast to a type and back."""

    def create(self, table: Table) -> None:
        """Create the table, and its schema where it is missing; with its indexes where they help the engine."""

    def index(self, table: Table) -> None:
        """
        Make the indexes that a table is to have and lacks, where they help the engine: one that was made before it had
        them. Where that is not ours to do, or a column cannot be in one, the table stays without.
        """

    def survey(self, *tables: Table) -> None:
        """
        Say that *tables* were filled just now: whatever plans statements by what it last saw of a table should look
        again. Nothing is waited for, and what cannot be looked at stays as it is known.
        """

    def add_column(self, table: Table, column: Column) -> None:
        """Add an empty column."""

    def widen(self, table: Table, column: str, to: Type) -> None:
        """
        Give a column a type that holds every value it has.

        What becomes text reads as an API writes it: 17.5, true, 2026-01-31, 2026-01-31T09:30:00Z. So does what is
        staged for a text column with another type.
        """

    def comments(self, table: Table) -> dict[str, str]:
        """Return the comments that the table's columns have in the catalogue; a column without one is left out."""

    def comment(self, table: Table, column: Column) -> None:
        """Give a column that is there the comment of *column*; an empty one takes it away."""


class Lease(Protocol):
    """The right to run something, held until `release` or the end of the process."""

    def check(self) -> None:
        """
        Make sure, within a transaction, that it is held by whoever commits that.

        Raises WarehouseLost: it was lost with its connection, and the transaction's is another one.
        """

    def release(self) -> None:
        """Give it back."""


class Warehouse(Protocol):
    """
    A warehouse. Safe for one thread at a time.

    Raises everywhere: WarehouseBusy (another process holds it longer than `wait_s`), WarehouseError (it refused).
    """

    dialect: str  # sqlglot's name
    name: str  # for messages; no secret in it
    takes_nul: bool  # whether a text may hold NUL
    longest_name: int | None  # of a column or table, in bytes of UTF-8; None: no limit that matters

    def exists(self) -> bool:
        """Tell whether it is there yet, without making it."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a transaction: commits at the end of the block, rolls back on an exception."""

    def rest(self, *, waiting: bool) -> None:
        """Let others in: at once when we are *waiting* for something else, else when we have held it long enough."""

    def grow(self) -> bool:
        """Take more memory after OutOfMemory; False where there is no more to take."""

    def lease(self, name: str, *, run: str, wait_s: float) -> Lease:
        """
        Take the lease *name*, waiting at most *wait_s* seconds. Raises LeaseHeld, which says who holds it and since
        when.
        """

    def leases(self) -> Mapping[str, Holder]:
        """Return who holds which lease now; one whose process is gone is not held."""

    def rewrite(self) -> Rewritten:
        """
        Leave no byte of what was deleted or changed before, as far as that is ours to do.

        A file is written anew. A server says what it keeps: its log, its backups, and dead rows until it cleans up.
        """

    def close(self) -> None:
        """Let go of everything."""


_PORT = (*Warehouse.__annotations__, *(name for name in vars(Warehouse) if not name.startswith("_")))


def find(settings: Settings, *, clock: Clock) -> Warehouse:
    """
    Make the warehouse that *settings* names; a server is connected to when it is first used.

    Which backend serves a link of ODBC its server's own name says: each backend lists those that it serves in `DBMS`.
    Raises: UsageError for one that is not known; WarehouseError where a server had to be asked, and was not there.
    """
    kind, _, rest = settings.warehouse.partition(":")
    if kind not in (EMBEDDED, ODBC) or not rest:
        shown = f"'{kind}:…'" if "=" not in kind and len(kind) < 20 else "a text without one of them before a colon"
        raise UsageError(
            f"SYNCER_WAREHOUSE is {shown}; known: {EMBEDDED}:PATH, {ODBC}:CONNECTION STRING.",
            hint="Such as duckdb:warehouse.duckdb, or odbc:Driver={PostgreSQL Unicode};Server=…;Database=…;UID=….",
        )
    made: Warehouse
    if kind == EMBEDDED:
        made = importlib.import_module(f"syncer.warehouses.{kind}").connect(rest, settings=settings, clock=clock)
        return made
    link = connecting.link(rest, settings)
    dbms, known = connecting.dbms_of(link), list(SERVED)
    modules = catalog.modules("warehouses", folders=settings.folders)
    # Those of a site go before ours, also where its server calls itself by the name of one that we serve.
    for name in [*(name for name in modules if name not in (EMBEDDED, *SERVED.values())), SERVED.get(dbms, "")]:
        backend = modules[name]() if name else None
        if backend is not None and not (
            isinstance(getattr(backend, "DBMS", None), tuple | list) and callable(getattr(backend, "connect", None))
        ):
            raise UsageError(
                f"{getattr(backend, '__file__', name)} is no backend: it needs DBMS, a tuple of names, and connect.",
                hint="docs/add-a-warehouse.md shows a whole one.",
            )
        if backend is not None and dbms in backend.DBMS:
            made = backend.connect(link, settings=settings, clock=clock)
            if lacking := [each for each in _PORT if not hasattr(made, each)]:
                what = "None" if made is None else f"{type(made).__name__}, which lacks {', '.join(lacking)}"
                raise UsageError(
                    f"{getattr(backend, '__file__', name)}: connect returns {what}; it must return a warehouse: "
                    "all of the port syncer.warehouses.Warehouse.",
                    hint="docs/add-a-warehouse.md shows a whole one.",
                )
            return made
        known += backend.DBMS if backend is not None else ()
    raise UsageError(
        f"{link.name} is {dbms}, which no backend serves; known: {', '.join(sorted(known))}.",
        hint="A backend is a small file of your own: docs/add-a-warehouse.md.",
    )
