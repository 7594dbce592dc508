"""
The folder on local disk that processes of one user and machine share: the request budget, and short-lived look-ups.

JSON, never pickles: whoever can write to the folder must not be able to make us run something. No secret and no
record's value is put here.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import diskcache


def folder(environ: dict[str, str] | None = None) -> Path:
    """Return the folder: `SYNCER_CACHE`, else the place that the operating system has for such things."""
    import platformdirs

    named = (os.environ if environ is None else environ).get("SYNCER_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("syncer", appauthor=False))


@functools.cache
def opened(directory: Path) -> diskcache.Cache:
    """Open the cache in *directory*; one handle a process, safe for threads."""
    import diskcache

    return diskcache.Cache(
        str(directory), disk=diskcache.JSONDisk, disk_compress_level=1, statistics=0, eviction_policy="none"
    )
