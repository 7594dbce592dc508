"""
The embedded warehouse: one DuckDB file, no set-up. The only file that imports duckdb.

The file is held only while there is something to commit or one set-based statement runs: DuckDB locks it for one
process, readers too. So a loader lets go while it waits for the network, and while busy every `STRETCH_S`; who wants
the file polls for it, then says whose PID has it. Opening, one commit and closing cost about 20 ms at 500,000 rows
(measured; closing more often would write half-full row groups again and again).

Not here: leases, which are file locks beside the file (`leases.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from syncer import duckdberrors, duckdbfiles, duckdbhash, leases, queried, rewriting
from syncer.clock import Clock
from syncer.duckdbcatalogue import Catalogue
from syncer.duckdbinstances import Spare
from syncer.duckdblimits import A_ROW, LARGER, MEMORY_LIMIT, megabytes, most_mb
from syncer.duckdbtypes import ROOMY, TYPE_NAMES, arrived, as_type, type_of
from syncer.errors import OutOfMemory, UsageError, WarehouseBusy, WarehouseError
from syncer.sql import Statement
from syncer.sql import literal as _literal
from syncer.sql import quoted as _quote
from syncer.sql import table_name as _name
from syncer.tables import Column, Table
from syncer.values import Type
from syncer.warehouses import Holder

if TYPE_CHECKING:
    import pyarrow as pa

    from syncer.settings import Settings

DIALECT = "duckdb"
STRETCH_S = 1.5  # how long a busy loader keeps the file
APART_S = 0.03  # how long the file is left alone then: longer than any of us waits between two looks at it
POLL_S = 0.02

# Each checkpoint writes the last, unfinished row group again, so at DuckDB's own 16 MB most of a long load's time is
# spent in checkpoints (measured, 300,000 rows of 1.2 KB: 3.4 s of CPU in COMMIT against 0.9 s).
CHECKPOINT_THRESHOLD = "64MB"
CONFIG: dict[str, Any] = {"preserve_insertion_order": False, "checkpoint_threshold": CHECKPOINT_THRESHOLD}
# Each checkpoint also writes the last row group again, and joins small ones to one: of DuckDB's own 122,880 rows, that
# was most of a push's memory (measured, docs/bench.md).
ROW_GROUP = 12_288
# Names that a file attached beside `:memory:` cannot have, and those of schemas that each database has.
RESERVED = ("memory", "temp", "system", "main", "information_schema", "pg_catalog")
INTERRUPTED = "Query interrupted"
ATTACHED = "SELECT database_name FROM duckdb_databases() WHERE NOT internal"
SPARE: Spare[duckdb.DuckDBPyConnection] = Spare()


def connect(path: str, *, settings: Settings, clock: Clock) -> DuckDBWarehouse:
    """Make the warehouse in the file *path*, relative to the settings' folder."""
    file = duckdbfiles.named(path, base=settings.base)
    return DuckDBWarehouse(file, wait_s=settings.wait_s, memory_limit=settings.memory_limit, clock=clock)


class DuckDBTransaction:
    """An open transaction on the file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, make_room: Callable[[int], None]) -> None:
        self._connection = connection
        self.make_room = make_room
        self._temporary: dict[str, None] = {}
        self._catalogue = Catalogue(lambda text, given: connection.execute(text, given).fetchall())

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> int:
        """Execute; return how many rows were written."""
        text = _text(statement)
        self._catalogue.meet(text)
        found = self._connection.execute(text, list(parameters)).fetchone()
        return int(found[0]) if found and isinstance(found[0], int) else 0

    def rows(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute; return the rows."""
        text = _text(statement)
        self._catalogue.meet(text)
        found = self._connection.execute(text, list(parameters)).fetchall()
        return [tuple(_in_utc(value) for value in row) for row in found]

    def stage(self, name: str, rows: pa.Table, types: Mapping[str, Type]) -> None:
        """Make *rows* a temporary table."""
        arriving = f"{name}_arriving"
        self._connection.register(arriving, rows)
        columns = ", ".join(
            f"{as_type(column, arrived(rows, column), kind)} AS {_quote(column)}" for column, kind in types.items()
        )
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {_quote(name)} AS SELECT {columns} FROM {_quote(arriving)}"
        )
        self._connection.unregister(arriving)
        self._temporary[name] = None

    def derive(self, name: str, query: Statement, parameters: Sequence[Any] = ()) -> int:
        """Make the rows of *query* a temporary table."""
        found = self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {_quote(name)} AS {_text(query)}", list(parameters)
        ).fetchone()
        self._temporary[name] = None
        return int(found[0]) if found else 0

    def query_columns(self, query: Statement) -> dict[str, Type]:
        """Return the columns that *query* would give. Raises UsageError: two have one name."""
        found = self._connection.execute(f"DESCRIBE {_text(query)}").fetchall()
        return {name: type_of(str(row[1])) for name, row in queried.named(found, folds=True)}

    def save(self, table: Table, query: Statement, parameters: Sequence[Any] = ()) -> int:
        """Make the rows of *query* a lasting table."""
        self._catalogue.forget()
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(table.schema)}")
        found = self._connection.execute(
            f"CREATE OR REPLACE TABLE {_name(table)} AS {_text(query)}", list(parameters)
        ).fetchone()
        return int(found[0]) if found else 0

    def drop(self, table: Table) -> None:
        """Drop a table."""
        self._catalogue.forget()
        self._connection.execute(f"DROP TABLE IF EXISTS {_name(table)}")

    def keep(self, name: str, key: Column) -> bool:
        """The file is closed between commits."""
        return False

    def row_hash(self, alias: str, columns: Collection[str]) -> str:
        """Write a hash of *columns*."""
        return duckdbhash.row_hash(alias, columns)

    def by_key(self, *tables: Table) -> contextlib.AbstractContextManager[None]:
        """The planner does well by itself."""
        return contextlib.nullcontext()

    def index(self, table: Table) -> None:
        """None is made: it would stand in memory as a whole, and slow each commit."""

    def survey(self, *tables: Table) -> None:
        """It knows what a table holds."""

    def try_cast(self, expression: str, to: Type) -> str:
        """Write a cast that is NULL for what is none."""
        return f"TRY_CAST({expression} AS {TYPE_NAMES[to]})"

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        return {name: type_of(data_type) for name, data_type in self._catalogue.types(table).items()}

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns of types that hold less than ours, or other things."""
        return {name: kind for name, kind in self._catalogue.types(table).items() if kind not in ROOMY}

    def holds(self, table: Table, column: str, to: Type) -> bool:
        """Cast there and back: no value may change."""
        name, now = _quote(column), self._catalogue.types(table)[column]
        query = (
            f"SELECT COUNT(*) FROM {_name(table)} WHERE {name} IS NOT NULL "
            f"AND TRY_CAST(TRY_CAST({name} AS {TYPE_NAMES[to]}) AS {now}) IS DISTINCT FROM {name}"
        )
        return self._connection.execute(query).fetchall() == [(0,)]

    def create(self, table: Table) -> None:
        """Create the table, and its schema where it is missing."""
        self._catalogue.forget()
        self._refuse_name(table.schema)
        columns = [f"{_quote(column.name)} {TYPE_NAMES[column.type]}" for column in table.columns]
        if table.key:
            columns.append(f"PRIMARY KEY ({', '.join(_quote(name) for name in table.key)})")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(table.schema)}")
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {_name(table)} ({', '.join(columns)})")
        for column in table.columns:
            if column.comment:
                self.comment(table, column)

    def _refuse_name(self, schema: str) -> None:
        """DuckDB takes no `a.b` where both the file and a schema are called `a`."""
        named = "SELECT current_database() WHERE LOWER(current_database()) = LOWER(?)"
        for (name,) in self._connection.execute(named, [schema]).fetchall():
            raise UsageError(
                f"The warehouse's file is called {name}, as the schema {schema} that is to be made in it.",
                hint="Rename the file: DuckDB cannot tell the two apart.",
            )

    def add_column(self, table: Table, column: Column) -> None:
        """Add an empty column."""
        self._catalogue.forget()
        self._connection.execute(
            f"ALTER TABLE {_name(table)} ADD COLUMN IF NOT EXISTS {_quote(column.name)} {TYPE_NAMES[column.type]}"
        )
        if column.comment:
            self.comment(table, column)

    def widen(self, table: Table, column: str, to: Type) -> None:
        """Give a column a type that holds every value it has."""
        now = self._catalogue.types(table)[column]
        self._catalogue.forget()
        found = self._connection.execute(
            "SELECT index_name FROM duckdb_indexes() WHERE database_name = current_database() "
            "AND schema_name = ? AND table_name = ? ORDER BY index_name",
            [table.schema, table.name],
        ).fetchall()
        try:
            self._connection.execute(
                f"ALTER TABLE {_name(table)} ALTER COLUMN {_quote(column)} SET DATA TYPE {TYPE_NAMES[to]} "
                f"USING {as_type(column, type_of(now), to)}"
            )
        except (duckdb.DependencyException, duckdb.CatalogException, duckdb.BinderException) as error:
            indexes = ", ".join(f"the index {table.schema}.{name}" for (name,) in found)
            raise WarehouseError(
                f"Column {column} of {table.schema}.{table.name} must become {TYPE_NAMES[to]}, which "
                f"{indexes or 'a view, index or constraint of your own'} on that table does not let DuckDB do.",
                hint="Drop it, pull, and make it again.",
            ) from error

    def comments(self, table: Table) -> dict[str, str]:
        """Return the comments that the table's columns have."""
        return self._catalogue.comments(table)

    def comment(self, table: Table, column: Column) -> None:
        """Give a column its comment."""
        self._catalogue.forget()
        text = _literal(column.comment) if column.comment else "NULL"
        self._connection.execute(f"COMMENT ON COLUMN {_name(table)}.{_quote(column.name)} IS {text}")

    def drop_temporary(self) -> None:
        """Drop what was staged and derived: kept, it stands in memory beside the next group's until that commits."""
        for name in self._temporary:
            self._connection.execute(f"DROP TABLE IF EXISTS temp.{_quote(name)}")


class DuckDBWarehouse:
    """One DuckDB file."""

    dialect = DIALECT
    takes_nul = True
    longest_name = None
    rewrite = rewriting.rewrite

    def __init__(self, file: Path, *, wait_s: float, memory_limit: str, clock: Clock) -> None:
        self.file = file
        self.name = f"duckdb:{file.name}"
        self._wait_s = wait_s
        self._memory_limit = memory_limit
        self._larger = list(LARGER) if memory_limit == MEMORY_LIMIT else []
        self._is_chosen = memory_limit != MEMORY_LIMIT
        self._room_mb = 0  # what the last transaction that asked for it had in place of the limit
        self._clock = clock
        self._instance: duckdb.DuckDBPyConnection | None = None  # to which the file is attached …
        self._attached = ""  # … by this name
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._gate = leases.Gate(self._lease_folder())
        self._held_since = 0.0
        self._waited_s: float | None = None  # how long the last opening waited in vain; None: it did not

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.file.exists()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[DuckDBTransaction]:
        """Open a transaction: commits at the end of the block, rolls back on an exception."""
        self._room_mb = 0
        connection = self._opened()
        try:
            with _interruptible():
                connection.execute("BEGIN TRANSACTION")
                transaction = DuckDBTransaction(connection, self._make_room)
                yield transaction
                transaction.drop_temporary()
                connection.execute("COMMIT")
        except duckdb.Error as error:
            self._give_up(connection)
            raise self._refused(error) from error
        except BaseException:
            self._give_up(connection)
            raise
        if self._room_mb:
            self.close()

    def _make_room(self, rows: int) -> None:
        """Raise the limit for a join of so many rows; the usual one holds again when the file is opened anew."""
        wanted = min(rows * A_ROW // 1_000_000, most_mb())
        if not self._is_chosen and wanted > megabytes(self._memory_limit):
            self._opened().execute(f"SET memory_limit = '{wanted}MB'")
            self._room_mb = wanted

    def rest(self, *, waiting: bool) -> None:
        """Close the file when we are waiting, or have held it for `STRETCH_S`: then for as long as others may poll."""
        if self._connection is None:
            return
        if waiting:
            self.close()
        elif self._clock.monotonic() - self._held_since >= STRETCH_S:
            self.close()
            self._clock.sleep(APART_S)

    def grow(self) -> bool:
        """Open the file anew with a larger limit: a row group of large values does not fit into the usual one."""
        self.close()
        return self._has_grown()

    def _has_grown(self) -> bool:
        self._larger = [each for each in self._larger if megabytes(each) > self._room_mb]
        if not self._larger:
            return False
        self._memory_limit = self._larger.pop(0)
        return True

    def lease(self, name: str, *, run: str, wait_s: float) -> leases.FileLease:
        """Lock the lease's file."""
        return leases.take(self._lease_folder(), name, run=run, wait_s=wait_s, clock=self._clock)

    def leases(self) -> dict[str, Holder]:
        """Return who holds which lease now: the files that are locked."""
        return leases.held(self._lease_folder())

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with _interruptible():
                connection.close()
                self._let_go()
        except duckdb.Error as error:
            raise self._refused(error) from error
        finally:
            self.end_instance()
            self._gate.leave()

    def _let_go(self) -> None:
        """Take the file from its instance, which may wait for the next one if nothing of this file stays with it."""
        instance = self._instance
        if instance is None or self._room_mb or self._spilled().exists():
            return
        try:
            instance.execute(f"DETACH {_quote(self._attached)}")
        except duckdb.InterruptException:
            raise
        except duckdb.Error:  # it ends with its instance, and its write-ahead log has what was committed
            return
        if instance.execute(ATTACHED).fetchall() == [("memory",)]:
            self._instance = None
            SPARE.keep(instance)

    def end_instance(self) -> None:
        """Close the file and all that its connections attached beside it; who comes here leaves the gate later."""
        self._connection = None
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()

    def _spilled(self) -> Path:
        """Return the folder of what does not fit into memory."""
        return self.file.with_name(self.file.name + ".tmp")

    def _lease_folder(self) -> Path:
        return self.file.with_name(self.file.name + ".leases")

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = self._open()
            self._held_since = self._clock.monotonic()
        return self._connection

    def _open(self) -> duckdb.DuckDBPyConnection:
        began = self._clock.monotonic()
        inside = self._gate.enter(leases.PROBE_S if self._waited_s is not None else self._wait_s)
        if inside is not None:
            self._waited_s = max(self._clock.monotonic() - began, self._waited_s or 0.0)
            raise self._busy(f"process {inside}" if inside else "another process")
        try:
            return self._open_behind_gate(began)
        except BaseException:
            self._gate.leave()
            raise

    def _open_behind_gate(self, began: float) -> duckdb.DuckDBPyConnection:
        while True:
            try:
                with _interruptible():
                    connection = self._connect()
                self._waited_s = None
                return connection
            except duckdb.Error as error:
                if isinstance(self._refused(error), OutOfMemory) and self._has_grown():
                    continue
                text = self._text_of(error)
                if not duckdberrors.is_held(text):
                    raise self._refused(error) from error
                waited = self._clock.monotonic() - began
                # Who waited in vain once comes again only to write that down, which must not take as long again.
                if waited >= self._wait_s or self._waited_s is not None:
                    self._waited_s = max(waited, self._waited_s or 0.0)
                    raise self._busy(duckdberrors.holder(text)) from error
            self._clock.sleep(POLL_S)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """Attach the file to an instance of its own: only so are the sizes of its row groups ours to choose."""
        self._instance = SPARE.take() or duckdb.connect(":memory:", config=CONFIG)
        try:
            self._instance.execute(f"SET memory_limit = {_literal(self._memory_limit)}")
            self._instance.execute(f"SET temp_directory = {_literal(str(self._spilled()))}")
            connection = self._instance.cursor()
            connection.execute("SET TimeZone = 'UTC'")
            self._attached = self._attach(connection, self.file.stem)
        except BaseException:
            self.end_instance()
            raise
        return connection

    def _attach(self, connection: duckdb.DuckDBPyConnection, name: str) -> str:
        """Attach it by *name*, as DuckDB itself would, or another, where a schema has that one too; return it."""
        if name.lower() in RESERVED:
            name += "_db"
        quoted, path = _quote(name), _literal(str(self.file))
        connection.execute(f"ATTACH {path} AS {quoted} (TYPE DUCKDB, ROW_GROUP_SIZE {ROW_GROUP})")
        connection.execute(f"USE {quoted}")
        also = "SELECT 1 FROM duckdb_schemas() WHERE LOWER(schema_name) = LOWER(?) AND database_name = ?"
        if connection.execute(also, [name, name]).fetchall():
            connection.execute("USE memory")
            connection.execute(f"DETACH {quoted}")
            return self._attach(connection, f"{name}_db")
        return name

    def _busy(self, who: str) -> WarehouseBusy:
        return WarehouseBusy(
            f"{self.name} is held by {who}; waited {self._waited_s:.0f} s.",
            hint="Close that program, or set wait_s in [warehouse] of syncer.toml higher.",
        )

    def _give_up(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Roll back; close the file where even that fails, or room was made: the next transaction begins afresh."""
        try:
            with _interruptible():
                connection.execute("ROLLBACK")
            if self._room_mb:
                self.close()
        except duckdb.Error:
            with contextlib.suppress(WarehouseError):  # why we give up is told by who called
                self.close()
        except BaseException:
            self.close()
            raise

    def _text_of(self, error: duckdb.Error) -> str:
        """Return what DuckDB said without the file's path, whose words are not DuckDB's."""
        return str(error).replace(str(self.file), self.file.suffix)

    def _refused(self, error: duckdb.Error) -> WarehouseError:
        """Tell what DuckDB refused, without the values that its text may quote."""
        limit = f"{self._room_mb}MB" if self._room_mb else self._memory_limit
        return duckdberrors.refused(
            duckdberrors.Told(
                self._text_of(error),
                type=type(error).__name__,
                is_memory=isinstance(error, duckdb.OutOfMemoryException),
                is_constraint=isinstance(error, duckdb.IntegrityError),
            ),
            file=self.file,
            name=self.name,
            limit=limit,
        )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Turn DuckDB's own words for a Ctrl-C that came while it worked into what Python calls it."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        if INTERRUPTED not in str(error):
            raise
        raise KeyboardInterrupt from error


def _text(statement: Statement) -> str:
    return statement.sql(DIALECT)


def _in_utc(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo is not None else value
