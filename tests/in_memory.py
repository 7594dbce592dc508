"""Where the files of tests are: in memory where there is room, since a commit waits for a disk each time."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30  # bytes that have to be free; a whole run needs about a fifth, since passed tests leave nothing


def use_memory(folder: Path = MEMORY) -> None:
    """Have temporary files made in memory; not where somebody said where (TMPDIR), or programs cannot be run there."""
    if "TMPDIR" in os.environ or not folder.is_dir() or not os.access(folder, os.W_OK):
        return
    if os.statvfs(folder).f_flag & os.ST_NOEXEC or shutil.disk_usage(folder).free < ROOM:
        return
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
