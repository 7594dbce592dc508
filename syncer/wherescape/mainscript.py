"""
The main script's own lines: their frame, which tells later how they ended. Taken when `syncer.wherescape` is imported,
since a host that is first made in a thread, when the script is over, would not find it any more.

Not here: what is read out of it (`ending.py`). It costs nothing to import.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType

MAIN = "__main__"


def frame() -> FrameType | None:
    """
    Find the frame of the main script's own lines, in the main thread's stack, whichever thread asks; else the one that
    was there when this was imported. A profiler runs a script in a module of its own: the innermost one counts.
    """
    return _frame_now() or _AT_IMPORT


def _frame_now() -> FrameType | None:
    now = sys._current_frames().get(threading.main_thread().ident or 0)
    found = None
    while now is not None:
        is_of_main = now.f_code.co_name == "<module>" and now.f_globals.get("__name__") == MAIN
        if is_of_main and (found is None or now.f_globals is found.f_globals):
            found = now
        now = now.f_back
    return found


_AT_IMPORT = _frame_now()
