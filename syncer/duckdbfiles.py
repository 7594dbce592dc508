"""
The file that SYNCER_WAREHOUSE names.

Not here: the file's opening (`warehouses/duckdb.py`), and what else a path of the settings may be.
"""

from __future__ import annotations

from pathlib import Path

from syncer.errors import UsageError


def named(path: str, *, base: Path) -> Path:
    """
    Return the file *path*, relative to *base*, which need not be there.

    Links are followed: a file with two names must have one set of leases, and one write-ahead log.

    Raises: UsageError: it cannot be a file.
    """
    named = base / path
    try:
        file = named.resolve()
        is_folder, has_parent = file.is_dir(), file.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a ring, a NUL
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"SYNCER_WAREHOUSE names {str(named)[:200]!r}, which cannot be a file ({why}).") from error
    if is_folder:
        raise UsageError(
            f"SYNCER_WAREHOUSE names {file}, which is a folder.", hint="Name a file, such as duckdb:warehouse.duckdb."
        )
    if not has_parent:
        raise UsageError(
            f"SYNCER_WAREHOUSE names {file}, but there is no folder {file.parent}.",
            hint="Make the folder, or name another.",
        )
    return file
