"""
Rewriting a warehouse that is a file: what it holds goes into a new file, which takes its place; no byte of what was
deleted or changed before is left in it.

A database file keeps blocks that nobody needs any more until it uses them again, and a checkpoint does not clear them.
The new file stands beside the old one (`….rewriting`) until it is whole, compared and on disk; then one rename puts it
in the old one's place. A kill before leaves the old file, a kill after the new one; what a killed one left is cleared
by the next.

Here are paths and statements; the engine's module is imported by its backend only (`warehouses/duckdb.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import attrs

from syncer.clock import Clock
from syncer.errors import OutOfMemory, WarehouseError
from syncer.leases import Gate
from syncer.sql import literal, quoted, statement

NEW = "syncer_rewriting"  # what the new file is called while both are open
TRIES, PAUSE_S = 50, 0.1  # for the rename: a virus scanner of Windows holds a new file for a moment
LEFT_BY_FILE = (
    "Copies of the file that you made, and snapshots and freed blocks of the disk below it, are not reached.",
)
LEFT_BY_OTHER_NAME = (
    "The file had another name on this disk (a hard link), which keeps the old bytes: delete it, and link it anew."
)


@attrs.frozen(kw_only=True)
class Rewritten:
    """What rewriting did: sizes in bytes where it is a file, and what it does not reach, in sentences."""

    bytes_before: int | None = None
    bytes_after: int | None = None
    left: tuple[str, ...] = ()


class _Open(Protocol):
    def run(self, statement: Any, parameters: Any = ()) -> int: ...

    def rows(self, statement: Any, parameters: Any = ()) -> list[tuple[Any, ...]]: ...


class File(Protocol):
    """What a backend that is a file has for this: how it opens the file, behind its gate, and closes it."""

    file: Path
    name: str
    _gate: Gate
    _clock: Clock

    def _opened(self) -> Any: ...

    def transaction(self) -> AbstractContextManager[Any]: ...

    def grow(self) -> bool: ...

    def end_instance(self) -> None: ...


def rewrite(warehouse: File) -> Rewritten:
    """
    Put a new file in the place of the warehouse's file; other processes wait at its gate meanwhile.

    Raises: WarehouseError: there is no room, or what was copied is not what was there; the old file stands.
    """
    while True:
        try:
            return _rewrite(warehouse)
        except OutOfMemory:
            if not warehouse.grow():
                raise


def _rewrite(warehouse: File) -> Rewritten:
    file, new = warehouse.file, warehouse.file.with_name(warehouse.file.name + ".rewriting")
    connection = warehouse._opened()
    try:
        _clear(new)
        before, names = _size(file), file.stat().st_nlink
        _check_room(warehouse)
        with warehouse.transaction() as t:
            _copy(t, new, warehouse.name)
        connection.close()
        warehouse.end_instance()  # not the gate: nobody may write to a file that is about to be replaced
        with _locked(file):
            _take_place(warehouse, new)
        left = LEFT_BY_FILE if names <= 1 else (LEFT_BY_OTHER_NAME, *LEFT_BY_FILE)
        return Rewritten(bytes_before=before, bytes_after=_size(file), left=left)
    finally:
        with contextlib.suppress(OSError):
            warehouse.end_instance()
            _clear(new)
        warehouse._gate.leave()


def _copy(t: _Open, new: Path, name: str) -> None:
    """Copy everything, and compare what stands in both files."""
    old = t.rows(statement("SELECT current_database()"))[0][0]
    t.run(statement(f"ATTACH {literal(str(new))} AS {quoted(NEW)}"))
    t.run(statement(f"COPY FROM DATABASE {quoted(old)} TO {quoted(NEW)}"))
    there, here = _contents(t, old), _contents(t, NEW)
    if there != here:
        differing = min(set(there) ^ set(here), key=str)
        raise WarehouseError(
            f"{name} could not be rewritten: {' '.join(map(str, differing))} is not the same in the copy.",
            hint="The file is as it was. What was erased is gone from its tables; its bytes are still in the file.",
        )


def _contents(t: _Open, database: str) -> list[tuple[Any, ...]]:
    """Everything that a database has: kind and name, and of a table its rows."""
    found: list[tuple[Any, ...]] = []
    for kind, query in (
        ("view", "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"),
        ("index", "SELECT schema_name, index_name FROM duckdb_indexes() WHERE TRUE"),
        ("sequence", "SELECT schema_name, sequence_name FROM duckdb_sequences() WHERE TRUE"),
        ("macro", "SELECT schema_name, function_name FROM duckdb_functions() WHERE NOT internal"),
        ("type", "SELECT schema_name, type_name FROM duckdb_types() WHERE NOT internal"),
        ("schema", "SELECT schema_name, '' FROM duckdb_schemas() WHERE NOT internal"),
    ):
        found += [(kind, *row) for row in t.rows(statement(f"{query} AND database_name = ?"), [database])]
    tables = t.rows(
        statement("SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND database_name = ?"),
        [database],
    )
    for schema, table in tables:
        query = f"SELECT COUNT(*) FROM {quoted(database)}.{quoted(schema)}.{quoted(table)}"
        found.append(("table", schema, table, t.rows(statement(query))[0][0]))
    return sorted(found, key=str)


def _take_place(warehouse: File, new: Path) -> None:
    """Rename the new file, once it is on disk; its write-ahead log and the old one's must be gone."""
    file = warehouse.file
    for each in (file, new):
        if _log_of(each).exists():
            raise WarehouseError(
                f"{each.name} was not closed well: its write-ahead log is still there.",
                hint="Run it again; the file is as it was.",
            )
    shutil.rmtree(file.with_name(file.name + ".tmp"), ignore_errors=True)  # what a killed process had put aside
    try:
        shutil.copymode(file, new)
        with new.open("rb+") as opened:
            os.fsync(opened.fileno())
        for _ in _tries(warehouse._clock):
            with contextlib.suppress(PermissionError):
                new.replace(file)
                break
        else:
            new.replace(file)
        _keep_name(file.parent)
    except OSError as error:
        raise WarehouseError(
            f"{file} cannot be replaced ({error.strerror or type(error).__name__}).",
            hint="Close what has it open and run it again; the file is as it was.",
        ) from error


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold DuckDB's own lock on the old file: a shell that opened it now would write its log beside the new one."""
    if os.name == "nt":  # there an open file cannot be replaced
        yield
        return
    import fcntl

    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise WarehouseError(
            f"{file} was opened by another program just now.", hint="Close it and run it again; the file is as it was."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _tries(clock: Clock) -> Iterator[None]:
    for attempt in range(TRIES):
        if attempt:
            clock.sleep(PAUSE_S)
        yield


def _keep_name(folder: Path) -> None:
    """Have the rename on disk, where a folder can be opened for that."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_room(warehouse: File) -> None:
    size, free = _size(warehouse.file), shutil.disk_usage(warehouse.file.parent).free
    if free < size:
        raise WarehouseError(
            f"{warehouse.name} has {size / 1e6:,.0f} MB, and the disk has room for {free / 1e6:,.0f} MB: it cannot be "
            "rewritten.",
            hint="Make room beside it and run it again: what was erased is gone from its tables, not from the file.",
        )


def _clear(new: Path) -> None:
    for path in (new, _log_of(new)):
        path.unlink(missing_ok=True)


def _log_of(file: Path) -> Path:
    return file.with_name(file.name + ".wal")


def _size(file: Path) -> int:
    return file.stat().st_size
