"""
The main script's own lines: their frame, which tells later how they ended. Taken when `syncer.wherescape` is imported,
since a host that is first made in a thread, when the script is over, would not find it any more.

Not here: what is read out of it (`ending.py`). It costs nothing to import.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType

MAIN = "__main__"


def frame() -> FrameType | None:
    """
    Find the frame of the main script's own lines, in the main thread's stack, whichever thread asks; else the one that
    was there when this was imported.

    A part that the script runs with `runpy` has lines of its own, and so has a profiler that runs the script, or its
    console script: the outermost ones that are no library's count; where all are, those of the innermost module.
    """
    return _frame_now() or _AT_IMPORT


def _frame_now() -> FrameType | None:
    found = list(_frames_of_main())
    if len({id(each.f_globals) for each in found}) > 1:
        own = [each for each in found if not _is_of_library(each)]
        found = own or [each for each in found if each.f_globals is found[0].f_globals]
    return found[-1] if found else None


def _frames_of_main() -> Iterator[FrameType]:
    """Yield the frames of all that was started as a main script and is at work, the innermost first."""
    now = sys._current_frames().get(threading.main_thread().ident or 0)
    while now is not None:
        if now.f_code.co_name == "<module>" and now.f_globals.get("__name__") == MAIN:
            yield now
        now = now.f_back


def _is_of_library(frame: FrameType) -> bool:
    import sysconfig
    from pathlib import Path

    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    file = Path(frame.f_code.co_filename)
    return file.name.startswith("<frozen ") or any(file.is_relative_to(sysconfig.get_path(name)) for name in names)


_AT_IMPORT = _frame_now()
