"""
Who may write to stdout inside WhereScape RED: the result alone.

`Stdout.taken()` puts stderr in the place of file descriptor 1, so that what this process prints from then on, what
its libraries print in C, and what its child processes print, all goes to stderr; so does what Python had in its buffer
and had not written yet. The real stdout is kept for the one result.

Not here: what the result is (`protocol.py`), when it is written (`hosting.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import os
import stat
import sys
from collections.abc import Callable
from typing import TextIO

import attrs


@attrs.frozen
class Stdout:
    """
    The real stdout; *descriptor* is None where the process has none (pythonw, `>&-`). *identity*: what it leads to.
    """

    descriptor: int | None
    identity: tuple[int, int, int] | None = None

    @classmethod
    def taken(cls) -> Stdout:
        """Take stdout away from everybody else. Child processes do not inherit what is kept."""
        _keep_open(2)
        try:
            kept = os.dup(1)
        except OSError:
            kept = None
        os.dup2(2, 1)
        before = sys.stdout
        make_printable(before)
        _flush(before)
        if sys.stderr is not None:
            sys.stdout = sys.stderr  # what was bound to the old one writes to descriptor 1, which is stderr by now
        return cls(kept, _identity(kept))

    @property
    def is_closed(self) -> bool:
        """Tell whether somebody closed what was kept, as `os.closerange` does: another file may have its number."""
        return self.descriptor is not None and _identity(self.descriptor) != self.identity

    def write(self, text: bytes) -> None:
        """Write the result, unless it would go elsewhere; a reader that has gone is nobody's failure."""
        if self.descriptor is None or self.is_closed:
            return
        left = memoryview(text)
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self.descriptor, left) :]


def make_printable(stream: TextIO | None) -> None:
    """Let a console that lacks a letter (Windows' cp1252 has no emoji) show its code instead of raising."""
    if isinstance(stream, io.TextIOWrapper):
        with contextlib.suppress(OSError, ValueError):  # it is closed, or was written to by halves
            stream.reconfigure(errors="backslashreplace", line_buffering=True)


def conceal_in(stream: TextIO | None, hidden: Callable[[str], str]) -> None:
    """
    Let *hidden* change what is written to a stream from now on. The stream stays the same one: a logger that was set
    up before has it, too, and so has Python itself where it prints a traceback.
    """
    if not isinstance(stream, io.TextIOBase):
        return
    write = stream.write

    def written(text: str, /) -> int:
        write(hidden(text) if isinstance(text, str) else text)  # what is no text is refused as before
        return len(text)

    with contextlib.suppress(AttributeError):  # one that lets nobody in
        stream.write = written


def flush_all() -> None:
    """
    Write out what is buffered anywhere: Python does so for open files when it ends, and `os._exit` would not.
    """
    for each in gc.get_objects():
        kind = type(each)
        if issubclass(kind, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
            _flush(each)
    for stream in (sys.__stdout__, sys.stdout, sys.__stderr__, sys.stderr):
        _flush(stream)
    with contextlib.suppress(OSError, AttributeError):  # a library's own printf
        (ctypes.CDLL("ucrtbase") if os.name == "nt" else ctypes.CDLL(None)).fflush(None)


def _identity(descriptor: int | None) -> tuple[int, int, int] | None:
    """Tell what a descriptor leads to; None where it leads nowhere."""
    try:
        found = os.fstat(descriptor if descriptor is not None else -1)
    except OSError:
        return None
    return found.st_dev, found.st_ino, stat.S_IFMT(found.st_mode)


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more; it is closed
            stream.flush()


def _keep_open(descriptor: int) -> None:
    """Open *descriptor*, to nowhere, where it is closed: another file would get its number, and what is printed."""
    try:
        os.fstat(descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
