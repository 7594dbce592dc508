"""
The folder on local disk that processes of one user and machine share: the request budget, and short-lived look-ups.

JSON, never pickles: whoever can write to the folder must not be able to make us run something. No secret and no
record's value is put here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.errors import SyncerError

if TYPE_CHECKING:
    import diskcache

MOST_OPEN = 8  # folders at once: a process has one, tests many, and each is some open files
TRIES = 3  # for a lock, of a minute each; what is no lock (a full or failing disk) fails them all at once


def folder(environ: dict[str, str] | None = None) -> Path:
    """Return the folder: `SYNCER_CACHE`, else the place that the operating system has for such things."""
    import platformdirs

    named = (os.environ if environ is None else environ).get("SYNCER_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("syncer", appauthor=False))


@functools.lru_cache(maxsize=MOST_OPEN)
def opened(directory: Path) -> diskcache.Cache:
    """Open the cache in *directory*; one handle a process, safe for threads."""
    import diskcache

    return diskcache.Cache(
        str(directory), disk=diskcache.JSONDisk, disk_compress_level=1, statistics=0, eviction_policy="none"
    )


@contextlib.contextmanager
def transaction(directory: Path) -> Iterator[diskcache.Cache]:
    """Yield the cache while no other process changes it. Raises SyncerError where it cannot be used."""
    with explained(directory), contextlib.ExitStack() as held:
        store = opened(directory)
        _begin(held, store)
        yield store


@contextlib.contextmanager
def explained(directory: Path) -> Iterator[None]:
    """
    Turn what is wrong with *directory*, or with what stands there (a ValueError), into a SyncerError.

    To go on without it would be worse: processes that believe they share a budget would not.
    """
    import diskcache

    try:
        yield
    except (OSError, ValueError, sqlite3.Error, zlib.error, diskcache.Timeout) as error:
        opened.cache_clear()  # so that a process that lives on sees the folder that was mended
        raise SyncerError(
            f"The folder of the request budget, {directory}, cannot be used: {_reason(error)}.",
            hint="Delete the folder (nothing but short-lived data is in it), or name another one in SYNCER_CACHE."
            if _is_damage(error)
            else "Let syncer write in it, or name another one in SYNCER_CACHE.",
        ) from error


def _begin(held: contextlib.ExitStack, store: diskcache.Cache) -> None:
    import diskcache

    for attempt in range(1, TRIES + 1):
        try:
            held.enter_context(store.transact())
            return
        except diskcache.Timeout:
            if attempt == TRIES:
                raise


def _is_damage(error: Exception) -> bool:
    """Tell whether our own files are bad; in what else cannot be opened something of a person's may stand."""
    return not isinstance(error, OSError | sqlite3.OperationalError) and isinstance(
        error, ValueError | zlib.error | sqlite3.Error
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else type(error).__name__
    if isinstance(error, sqlite3.Error):
        return str(error)
    return "what stands there is damaged" if isinstance(error, ValueError | zlib.error) else "it cannot be written now"
