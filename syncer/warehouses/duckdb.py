"""
The embedded warehouse: one DuckDB file, no set-up. The only file that imports duckdb.

The file is held only while there is something to commit or one set-based statement runs: DuckDB locks it for one
process, readers too. So a loader lets go while it waits for the network, and while busy every `STRETCH_S`; who wants
the file polls for it, then says whose PID has it. Opening, one commit and closing cost about 20 ms at 500,000 rows
(measured; closing more often would write half-full row groups again and again).

Leases are operating system file locks beside the file, freed by the process's end; holder and since stand in a small
JSON file.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import duckdb
import filelock
import orjson

from syncer.clock import Clock, iso
from syncer.errors import LeaseHeld, OutOfMemory, UsageError, WarehouseBusy, WarehouseError
from syncer.sql import Statement
from syncer.tables import Column, Table
from syncer.values import DECIMAL_DIGITS, DECIMAL_SCALE, Type
from syncer.warehouses import Holder

if TYPE_CHECKING:
    import pyarrow as pa

    from syncer.settings import Settings

DIALECT = "duckdb"
STRETCH_S = 1.5  # how long a busy loader keeps the file
POLL_S = 0.02
PROBE_S = (
    0.5  # `leases` holds a free lock for a moment to see that it is free; a newcomer must not take that for a holder
)

TYPE_NAMES = {
    Type.TEXT: "VARCHAR",
    Type.BIGINT: "BIGINT",
    Type.DECIMAL: f"DECIMAL({DECIMAL_DIGITS},{DECIMAL_SCALE})",
    Type.DOUBLE: "DOUBLE",
    Type.BOOLEAN: "BOOLEAN",
    Type.DATE: "DATE",
    Type.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    Type.JSON: "JSON",
}
_BY_NAME = {name: kind for kind, name in TYPE_NAMES.items()} | {
    "INTEGER": Type.BIGINT,
    "SMALLINT": Type.BIGINT,
    "FLOAT": Type.DOUBLE,
    "TIMESTAMP": Type.TIMESTAMP,
}
# Each checkpoint writes the last, unfinished row group again, so at DuckDB's own 16 MB most of a long load's time is
# spent in checkpoints (measured, 300,000 rows of 1.2 KB: 3.4 s of CPU in COMMIT against 0.9 s).
CHECKPOINT_THRESHOLD = "64MB"
MEMORY_LIMIT = "96MB"
LARGER = ("256MB", "1GB", "4GB")  # taken where nobody set another limit and a group does not fit
INTERRUPTED = "Query interrupted"
_ENGINE_LOCK = re.compile(r"Conflicting lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")


def connect(path: str, *, settings: Settings, clock: Clock) -> DuckDBWarehouse:
    """Make the warehouse in the file *path*, relative to the settings' folder."""
    file = Path(path)
    if not file.is_absolute():
        file = settings.base / file
    if file.is_dir():
        raise UsageError(
            f"SYNCER_WAREHOUSE names {file}, which is a folder.", hint="Name a file, such as duckdb:warehouse.duckdb."
        )
    if not file.parent.is_dir():
        raise UsageError(
            f"SYNCER_WAREHOUSE names {file}, but there is no folder {file.parent}.",
            hint="Make the folder, or name another.",
        )
    return DuckDBWarehouse(file, wait_s=settings.wait_s, memory_limit=settings.memory_limit, clock=clock)


@attrs.define
class FileLease:
    """A held lease: a locked file, and the JSON beside it that says who."""

    _lock: filelock.BaseFileLock
    _note: Path

    def release(self) -> None:
        """Give the lease back."""
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()


class DuckDBTransaction:
    """An open transaction on the file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._temporary: dict[str, None] = {}

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> int:
        """Execute; return how many rows were written."""
        found = self._connection.execute(_text(statement), list(parameters)).fetchone()
        return int(found[0]) if found and isinstance(found[0], int) else 0

    def rows(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute; return the rows."""
        found = self._connection.execute(_text(statement), list(parameters)).fetchall()
        return [tuple(_in_utc(value) for value in row) for row in found]

    def stage(self, name: str, rows: pa.Table, types: Mapping[str, Type]) -> None:
        """Make *rows* a temporary table."""
        arriving = f"{name}_arriving"
        self._connection.register(arriving, rows)
        columns = ", ".join(
            f"CAST({_quote(column)} AS {TYPE_NAMES[kind]}) AS {_quote(column)}" for column, kind in types.items()
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

    def row_hash(self, alias: str, columns: Sequence[str]) -> str:
        """Write a hash of *columns*."""
        return f"CAST(HASH({', '.join(f'{alias}.{_quote(column)}' for column in columns)}) AS TEXT)"

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        found = self._connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [table.schema, table.name],
        ).fetchall()
        return {name: _type_of(data_type) for name, data_type in found}

    def create(self, table: Table) -> None:
        """Create the table, and its schema where it is missing."""
        columns = [f"{_quote(column.name)} {TYPE_NAMES[column.type]}" for column in table.columns]
        if table.key:
            columns.append(f"PRIMARY KEY ({', '.join(_quote(name) for name in table.key)})")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(table.schema)}")
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {_name(table)} ({', '.join(columns)})")
        for column in table.columns:
            self._comment(table, column)

    def add_column(self, table: Table, column: Column) -> None:
        """Add an empty column."""
        self._connection.execute(
            f"ALTER TABLE {_name(table)} ADD COLUMN IF NOT EXISTS {_quote(column.name)} {TYPE_NAMES[column.type]}"
        )
        self._comment(table, column)

    def widen(self, table: Table, column: str, to: Type) -> None:
        """Give a column a type that holds every value it has."""
        self._connection.execute(
            f"ALTER TABLE {_name(table)} ALTER COLUMN {_quote(column)} SET DATA TYPE {TYPE_NAMES[to]}"
        )

    def drop_temporary(self) -> None:
        """Drop what was staged and derived: kept, it stands in memory beside the next group's until that commits."""
        for name in self._temporary:
            self._connection.execute(f"DROP TABLE IF EXISTS temp.{_quote(name)}")

    def _comment(self, table: Table, column: Column) -> None:
        if column.comment:
            text = column.comment.replace("'", "''")
            self._connection.execute(f"COMMENT ON COLUMN {_name(table)}.{_quote(column.name)} IS '{text}'")


class DuckDBWarehouse:
    """One DuckDB file."""

    dialect = DIALECT

    def __init__(self, file: Path, *, wait_s: float, memory_limit: str, clock: Clock) -> None:
        self.file = file
        self.name = f"duckdb:{file.name}"
        self._wait_s = wait_s
        self._memory_limit = memory_limit
        self._larger = list(LARGER) if memory_limit == MEMORY_LIMIT else []
        self._clock = clock
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._held_since = 0.0

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.file.exists()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[DuckDBTransaction]:
        """Open a transaction: commits at the end of the block, rolls back on an exception."""
        connection = self._opened()
        try:
            connection.execute("BEGIN TRANSACTION")
            transaction = DuckDBTransaction(connection)
            yield transaction
            transaction.drop_temporary()
            connection.execute("COMMIT")
        except duckdb.Error as error:
            self._give_up(connection)
            raise self._refused(error) from error
        except RuntimeError as error:
            self._give_up(connection)
            if str(error) == INTERRUPTED:  # DuckDB's word for a Ctrl-C that came while it worked
                raise KeyboardInterrupt from error
            raise
        except BaseException:
            self._give_up(connection)
            raise

    def rest(self, *, waiting: bool) -> None:
        """Close the file when we are waiting, or have held it for `STRETCH_S`."""
        if self._connection is not None and (waiting or self._clock.monotonic() - self._held_since >= STRETCH_S):
            self.close()

    def grow(self) -> bool:
        """Open the file anew with a larger limit: a row group of large values does not fit into the usual one."""
        self.close()
        if not self._larger:
            return False
        self._memory_limit = self._larger.pop(0)
        return True

    def lease(self, name: str, *, run: str, wait_s: float) -> FileLease:
        """Lock the lease's file."""
        folder = self._lease_folder()
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(str(folder / f"{name}.lock"), thread_local=False)
        note = folder / f"{name}.json"
        try:
            lock.acquire(timeout=max(wait_s, PROBE_S), poll_interval=0.05)
        except filelock.Timeout:
            holder = _read_note(note)
            who = f"process {holder.pid} on {holder.host} since {holder.since}" if holder else "another process"
            raise LeaseHeld(
                f"{name} is being run by {who}.", hint="Wait for it (--wait), or look at it with `syncer status`."
            ) from None
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=iso(self._clock.now()), run=run)
        note.write_bytes(orjson.dumps(attrs.asdict(holder)))
        return FileLease(lock, note)

    def leases(self) -> dict[str, Holder]:
        """Return who holds which lease now: the files that are locked."""
        found = {}
        for file in sorted(self._lease_folder().glob("*.lock")):
            probe = filelock.FileLock(str(file))
            try:
                probe.acquire(timeout=0)
                probe.release()
            except filelock.Timeout:
                holder = _read_note(file.with_suffix(".json"))
                found[file.stem] = holder or Holder(pid=0, host="?", since="?")
        return found

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lease_folder(self) -> Path:
        return self.file.with_name(self.file.name + ".leases")

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = self._open()
            self._held_since = self._clock.monotonic()
        return self._connection

    def _open(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, Any] = {
            "memory_limit": self._memory_limit,
            "preserve_insertion_order": False,
            "checkpoint_threshold": CHECKPOINT_THRESHOLD,
        }
        deadline = self._clock.monotonic() + self._wait_s
        while True:
            try:
                connection = duckdb.connect(str(self.file), config=config)
                connection.execute("SET TimeZone = 'UTC'")
                return connection
            except duckdb.Error as error:
                if isinstance(self._refused(error), OutOfMemory) and self.grow():
                    config["memory_limit"] = self._memory_limit
                    continue
                held = _ENGINE_LOCK.search(str(error))
                if held is None and "lock" not in str(error).lower():
                    raise self._refused(error) from error
                if self._clock.monotonic() >= deadline:
                    who = f"process {held['pid']} ({Path(held['program']).name})" if held else "another process"
                    raise WarehouseBusy(
                        f"{self.name} is held by {who}; waited {self._wait_s:.0f} s.",
                        hint="Close that program, or set wait_s in [warehouse] of syncer.toml higher.",
                    ) from error
            self._clock.sleep(POLL_S)

    def _give_up(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Roll back; close the file where even that fails, so that the next transaction begins afresh."""
        try:
            connection.execute("ROLLBACK")
        except duckdb.Error:
            self.close()

    def _refused(self, error: duckdb.Error) -> WarehouseError:
        """Tell what DuckDB refused, without the values that its text may quote."""
        text = str(error)
        if "not a valid DuckDB database file" in text:
            return WarehouseError(
                f"{self.file} is not a DuckDB file.",
                hint="Name another file in SYNCER_WAREHOUSE; this one is left alone.",
            )
        if "storage version" in text or "was created with" in text or "newer version" in text:
            return WarehouseError(
                f"{self.file} was written by another version of DuckDB.", hint="Install the version that wrote it."
            )
        if "Permission denied" in text or "read-only" in text.lower() or "Read-only" in text:
            return WarehouseError(
                f"{self.file} cannot be written.", hint="Check the permissions of the file and of its folder."
            )
        if "No space left" in text or "disk" in text.lower() and "full" in text.lower():
            return WarehouseError(
                f"{self.file}: the disk is full.", hint="Make room and run again; nothing of this group was kept."
            )
        if "No such file or directory" in text:
            return WarehouseError(
                f"{self.file.parent} is not there.", hint="Make the folder, or name another in SYNCER_WAREHOUSE."
            )
        if isinstance(error, duckdb.OutOfMemoryException) or "failed to pin block" in text:
            return OutOfMemory(
                f"{self.name}: DuckDB ran out of the {self._memory_limit} it may use.",
                hint="Raise memory_limit in [warehouse] of syncer.toml.",
            )
        first = text.splitlines()[0] if text else ""
        return WarehouseError(
            f"{self.name}: {type(error).__name__}: {_without_values(first)}",
            hint="Nothing of the open transaction was kept.",
        )


def _text(statement: Statement) -> str:
    return statement.sql(DIALECT)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _name(table: Table) -> str:
    return f"{_quote(table.schema)}.{_quote(table.name)}"


def _type_of(data_type: str) -> Type:
    if data_type.startswith("DECIMAL"):
        return Type.DECIMAL
    return _BY_NAME.get(data_type, Type.TEXT)


def _in_utc(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo is not None else value


def _without_values(text: str) -> str:
    """Take out what stands in quotes: DuckDB's messages quote values of the row that failed."""
    return re.sub(r"'[^']*'|\"[^\"]{40,}\"", "'…'", text)[:300]


def _read_note(note: Path) -> Holder | None:
    try:
        return Holder(**orjson.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
