"""
What DuckDB's errors mean to who runs syncer: what happened to the file, and what to do next.

Not here: DuckDB itself, which one file imports (`warehouses/duckdb.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from syncer.errors import OutOfMemory, WarehouseError, without_values

# The engine's words for a file that another process holds, on Linux and macOS and on Windows (where the system's own
# words come in its language, so that only the engine's are looked for).
_HELD = re.compile(
    r"Could not set lock on file|Conflicting lock is held|being used by another process|already open in"
)
_HOLDER = re.compile(
    r"(?:Conflicting lock is held|already open) in\s+(?:(?P<program>[^\n]*?) \()?PID (?P<pid>\d+)", re.IGNORECASE
)
_NOT_NULL = re.compile(r"NOT NULL constraint failed: (?:.*\.)?(?P<column>[^.\n]+)")
_FULL = re.compile(r"No space left|File too large|Disk quota exceeded|disk (is )?full|not enough space", re.IGNORECASE)
_NO_ROOM = re.compile(r"failed to pin block|could not allocate block")
_DAMAGED = re.compile(r"Corrupt database file|Could not read enough bytes|Failed to deserialize")
_OTHER_VERSION = re.compile(r"storage version|was created with|newer version")
_OPEN_HERE = re.compile(r"Unique file handle conflict|already attached|different configuration")


@attrs.frozen
class Told:
    """What DuckDB said, without the file's path, whose words are not DuckDB's."""

    text: str
    type: str = attrs.field(kw_only=True)  # the name of the exception
    is_memory: bool = attrs.field(kw_only=True)
    is_constraint: bool = attrs.field(kw_only=True)


def is_held(text: str) -> bool:
    """Tell whether another process holds the file."""
    return _HELD.search(text) is not None


def holder(text: str) -> str:
    """Say who holds the file, as far as DuckDB says."""
    held = _HOLDER.search(text)
    program = f" ({Path(held['program']).name})" if held and held["program"] else ""
    return f"process {held['pid']}{program}" if held else "another process"


def refused(told: Told, *, file: Path, name: str, limit: str) -> WarehouseError:
    """Tell what DuckDB refused, without the values that its text may quote."""
    text = told.text
    if "not a valid DuckDB database file" in text:
        return WarehouseError(
            f"{file} is not a DuckDB file.", hint="Name another file in SYNCER_WAREHOUSE; this one is left alone."
        )
    if _OTHER_VERSION.search(text):
        return WarehouseError(
            f"{file} was written by another version of DuckDB.", hint="Install the version that wrote it."
        )
    if _DAMAGED.search(text):
        return WarehouseError(
            f"{file} is damaged: DuckDB cannot read it any more.",
            hint="Put a backup of it in its place, or name a new file and pull again.",
        )
    if _OPEN_HERE.search(text):
        return WarehouseError(
            f"{file} is open in this process already, by a connection that is not syncer's.",
            hint="Close that connection first.",
        )
    if "Permission denied" in text or "read-only" in text.lower():
        return WarehouseError(
            f"{file} cannot be written.", hint="Check the permissions of the file and of its folder."
        )
    if _FULL.search(text):
        why = "it may not grow any more (ulimit -f)" if "File too large" in text else "the disk is full"
        return WarehouseError(f"{file}: {why}.", hint="Make room and run again; nothing of this group was kept.")
    if "No such file or directory" in text:
        return WarehouseError(
            f"{file.parent} is not there.", hint="Make the folder, or name another in SYNCER_WAREHOUSE."
        )
    return _refused_statement(told, name=name, limit=limit)


def _refused_statement(told: Told, *, name: str, limit: str) -> WarehouseError:
    if told.is_memory or _NO_ROOM.search(told.text):
        return OutOfMemory(
            f"{name}: DuckDB ran out of the {limit} it may use.",
            hint="Raise memory_limit in [warehouse] of syncer.toml.",
        )
    if not_null := _NOT_NULL.search(told.text):
        column = not_null["column"].strip(' "')
        return WarehouseError(
            f"{name}: column {column} is NOT NULL, and a row came without it.",
            hint="Give the column a default, or take its NOT NULL away, and pull again.",
        )
    kept = "Nothing of the open transaction was kept."
    if told.is_constraint:
        kept += " Is there a constraint or a unique index of your own on the table? Then drop it."
    return WarehouseError(f"{name}: {told.type}: {without_values(told.text)}", hint=kept)
