"""
How a script ended: by reaching its end, by an exception, or by ending itself with an exit code.

Python tells its exit functions nothing of that. So `sys.exit`, `exit` and `quit` raise an exception that can be seen
going away: where the script's own frame is still at work then, the script caught it, and it counts for nothing. That
something else ended the script is seen in its frame, whose last instruction is no RETURN.

Python looks `sys.exit` up before it calls `main()` in `sys.exit(main())`. So inside RED these functions are put in
place when `syncer.wherescape` is imported (`watch`), and elsewhere by the host.

Not here: what becomes of it (`hosting.py`).
"""

from __future__ import annotations

import atexit
import builtins
import dis
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any, NoReturn

import attrs

from syncer.wherescape import mainscript


@attrs.frozen
class Exited:
    """
    The script ended itself; *code* is what it gave to `sys.exit`, and not known where it raised SystemExit, or where
    it *was_over* before anybody watched.
    """

    code: object = None
    is_known: bool = True
    was_over: bool = False

    @property
    def is_fine(self) -> bool:
        """Tell whether that means success to everybody."""
        return self.is_known and (self.code is None or self.code == 0)


class _Exit(SystemExit):
    """What `sys.exit` raises; unlike SystemExit it can be watched."""


_watches: list[Watch] = []


def watch() -> Watch:
    """Return what looks at the end of this process's main script; from the first time on it looks."""
    if not _watches:
        _watches.append(Watch())
    _watches[0].install()
    return _watches[0]


class Watch:
    """Looks at the end of the main script, from now on."""

    def __init__(self) -> None:
        self._frame = mainscript.frame()
        self._raised: dict[weakref.ref[_Exit], object] = {}
        self._ended: Exited | None = None
        self._was_over = self._frame is not None and not _is_at_work(self._frame)
        unseen = (sys.exit, getattr(builtins, "exit", None), getattr(builtins, "quit", None))
        self._unseen = {id(each): each for each in unseen if each is not None}

    def install(self) -> None:
        """
        Put a function that is seen in the place of `sys.exit`, `exit` and `quit`, in every module that has one by now:
        `from sys import exit`.
        """
        self._frame = self._frame or mainscript.frame()
        for names in _namespaces(self._frame):
            for name in [name for name, value in [*names.items()] if id(value) in self._unseen]:
                names[name] = self.exit

    def exit(self, status: Any = None, /) -> NoReturn:
        """End the script, as `sys.exit` does; in another thread that thread alone."""
        error = _Exit(status)
        if threading.current_thread() is threading.main_thread():
            self._raised[weakref.ref(error, self._went_away)] = status
        try:
            raise error
        finally:
            del error  # else its traceback would hold it, by this frame, and it would not go away

    @property
    def is_blind(self) -> bool:
        """Tell whether there is no script to watch: this was imported when it was over."""
        return self._frame is None

    def exited(self) -> Exited | None:
        """Tell how the script ended itself; None where it reached its end. Call it when it is over."""
        if self._frame is None or _returned(self._frame):
            return None
        if self._ended is not None:
            return self._ended
        alive = [code for error, code in self._raised.items() if error() is not None]  # somebody keeps it
        return Exited(alive[-1]) if alive else Exited(is_known=False, was_over=self._was_over)

    def _went_away(self, error: weakref.ref[_Exit]) -> None:
        code = self._raised.pop(error)
        if self._frame is not None and not _is_at_work(self._frame):
            self._ended = Exited(code)


def others_first(last: Callable[[], None]) -> None:
    """
    Have *last* called at the process's end after the exit functions of everybody else, those registered earlier too.
    """

    def older() -> None:
        """Do nothing; where it stands beside `finish` tells in which order exit functions are kept."""

    def finish() -> None:
        try:
            _forget_newer(older, finish)
            atexit._run_exitfuncs()
        finally:
            last()

    atexit.register(older)
    atexit.register(finish)


def _forget_newer(older: Callable[[], None], finish: Callable[[], None]) -> None:
    """Take *finish*, and what was registered after it and has run by now, out of the exit functions."""
    probe = _Probe()
    _unregister(probe)
    places = {id(function): place for place, function in enumerate(probe.asked)}
    at, before = places[id(finish)], places[id(older)]
    newer = range(at, len(probe.asked)) if before < at else range(at + 1)
    for place in reversed(newer):  # one by one, the last first: no place of another one moves
        _unregister(_Probe((place,)))


def _unregister(probe: Any) -> None:
    """Unregister what *probe* is equal to: no function, though that is what is asked for."""
    atexit.unregister(probe)


class _Probe:
    """
    Is compared with each exit function when it is unregistered, in the order in which they are kept, and so sees them;
    equal to those at the *chosen* places.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, chosen: Collection[int] = ()) -> None:
        self.asked: list[object] = []
        self._chosen = chosen

    def __eq__(self, other: object) -> bool:
        self.asked.append(other)
        return len(self.asked) - 1 in self._chosen


def _namespaces(frame: FrameType | None) -> Iterator[dict[str, Any]]:
    """Yield the names of each module; one that is loaded when it is first looked into is left alone."""
    for module in [*sys.modules.values()]:
        if isinstance(module, ModuleType):
            yield ModuleType.__getattribute__(module, "__dict__")
    if frame is not None:
        yield frame.f_globals


def _is_at_work(frame: FrameType) -> bool:
    """Tell whether a frame of the main thread is in its stack, whichever thread asks."""
    now = sys._current_frames().get(threading.main_thread().ident or 0)
    while now is not None and now is not frame:
        now = now.f_back
    return now is frame


def _returned(frame: FrameType) -> bool:
    return _name_at(frame.f_code, frame.f_lasti).startswith("RETURN_")


def _name_at(code: CodeType, offset: int) -> str:
    return next((each.opname for each in dis.get_instructions(code) if each.offset == offset), "")
