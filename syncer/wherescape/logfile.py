"""
The log file of host scripts: `<work directory>/python_logging/wherescape.log`, UTF-8, INFO and up.

It is rotated in the night of Saturday, at 23:59, and 10 are kept. All scripts of a RED server share it: each line is
written under a lock that all processes take, on Windows and Linux (`concurrent-log-handler`), and a file is closed
before it is renamed. A log that cannot be written is told once and never fails what is logged.

Not here: what a line looks like, and what is hidden in it (`hosting.py`).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent_log_handler import ConcurrentTimedRotatingFileHandler

FOLDER, FILE = "python_logging", "wherescape.log"
KEPT = 10
SATURDAY, BEFORE_MIDNIGHT = "W5", time(23, 59)

Warn = Callable[[str], None]


class LogFile:
    """A file that several processes write lines to; made when the first line is written."""

    def __init__(self, file: Path, warn: Warn, *, when: str = SATURDAY, at: time | None = BEFORE_MIDNIGHT) -> None:
        """Log to *file*; *warn* is told, once, where that does not work. *when*, *at*: as `logging` has them."""
        self._file, self._warn, self._when, self._at = file, warn, when, at
        self._handler: ConcurrentTimedRotatingFileHandler | None = None
        self._is_broken = False

    def write(self, line: str) -> None:
        """Write one line, whole. It never raises."""
        if self._is_broken:
            return
        try:
            if self._handler is None:
                self._handler = self._open()
            self._handler.emit(logging.LogRecord("syncer", logging.INFO, "", 0, line, None, None))
        except (OSError, ValueError) as error:  # a folder that is a file, a disk that is full, a name too long
            self._give_up(error)

    def close(self) -> None:
        """Let go of the file."""
        if self._handler is not None:
            self._handler.close()
            self._handler = None

    def _open(self) -> ConcurrentTimedRotatingFileHandler:
        from concurrent_log_handler import ConcurrentTimedRotatingFileHandler

        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8"):  # the handler would tell nobody, again and again, that it cannot
            pass
        handler = ConcurrentTimedRotatingFileHandler(
            str(self._file),
            when=self._when,
            atTime=self._at,
            backupCount=KEPT,
            encoding="utf-8",
            errors="replace",
            newline="",
            terminator="\n",
            unicode_error_policy="replace",
            keep_file_open=os.name != "nt",  # an open file cannot be renamed there
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handleError = self._failed  # type: ignore[method-assign]  # it would print the line and a traceback
        return handler

    def _failed(self, record: logging.LogRecord) -> None:
        """Be told by the handler that a line was not written."""
        error = sys.exc_info()[1]
        self._give_up(error if isinstance(error, Exception) else OSError())

    def _give_up(self, error: Exception) -> None:
        self._is_broken = True
        reason = getattr(error, "strerror", None) or type(error).__name__
        self._warn(
            f"The log file {self._file} cannot be written ({reason}): this run is not in it. May the user of "
            "WhereScape's scheduler write in WSL_WORKDIR?"
        )


def file_in(workdir: Path) -> Path:
    """Name the log file of a work directory."""
    return workdir / FOLDER / FILE
