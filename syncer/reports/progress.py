"""
What is under way, on stderr: a line that changes in a terminal, a plain line every ten seconds elsewhere.

Nothing is shown for what takes less than two seconds. The line is written by a thread of its own, since the engine
has nothing to tell while it waits for an answer, which is when a person wants to know. It is drawn with a carriage
return and blanks only, so that any console takes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import attrs

from syncer.reports import terminal

if TYPE_CHECKING:
    from syncer.inbound import Progress
    from syncer.journal import Pulled

QUIET_S = 2.0  # what is over sooner is not shown
LIVE_S, PLAIN_S = 0.2, 10.0  # how often a line is drawn, in a terminal and elsewhere
FIRST_PAGE = "the first page"
_SPINNER = "|/-\\"


@attrs.define
class _State:
    """What is known of the mapping that is being pulled."""

    left: list[str]  # mappings that have not ended, the present one first
    total: int
    began: float
    progress: Progress | None = None
    waits: str = FIRST_PAGE  # empty: for the next page
    waits_since: float = 0.0


class PullProgress:
    """
    Shows how far a pull is; a context manager. `moved` and `ended` are what the engine calls.

    names: the mappings in the order in which they are pulled.
    is_shown: False where nobody wants to see it (`--quiet`).
    """

    def __init__(self, names: Sequence[str], stream: TextIO, *, is_shown: bool = True) -> None:
        self._stream = stream
        self._is_live = terminal.is_terminal(stream)
        self._is_shown = is_shown
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._state = _State(list(names), len(names), time.monotonic())
        self._drawn = 0  # columns of the line that stands there now
        self._told = self._state.began
        self._ticks = 0
        self._thread = threading.Thread(target=self._run, name="syncer-progress", daemon=True)

    def __enter__(self) -> PullProgress:
        """Begin to watch."""
        if self._is_shown:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self.clear()

    def moved(self, progress: Progress) -> None:
        """Note a page."""
        with self._lock:
            self._state.progress = progress

    def waits(self, what: str) -> None:
        """Note what is waited for; empty: it is not waited for any more."""
        with self._lock:
            self._state.waits, self._state.waits_since = what, time.monotonic()

    def ended(self, pulled: Pulled) -> None:
        """Note that a mapping is done; the next one begins."""
        with self._lock:
            left = [name for name in self._state.left if name != pulled.mapping]
            self._state = _State(left, self._state.total, time.monotonic())
            self._told = self._state.began
            self._clear()

    def clear(self) -> None:
        """Take the line away, so that something else can be printed."""
        with self._lock:
            self._clear()

    def _run(self) -> None:
        while not self._stopped.wait(LIVE_S):
            with self._lock:
                now = time.monotonic()
                if not self._state.left or now - self._state.began < QUIET_S:
                    continue
                if self._is_live:
                    self._draw(now)
                elif now - self._told >= PLAIN_S:
                    self._told = now
                    self._stream.write(self.line(now) + "\n")
                    self._stream.flush()

    def line(self, now: float) -> str:
        """Write where the present mapping is."""
        state = self._state
        name = state.progress.mapping if state.progress is not None else state.left[0]
        seconds = terminal.duration(round(now - state.began))
        which = f" ({state.total - len(state.left) + 1} of {state.total})" if state.total > 1 else ""
        if state.progress is None:
            return f"pull {name}{which}: waiting for {state.waits or FIRST_PAGE}, {seconds}"
        done = state.progress
        waited = now - state.waits_since
        if state.waits and state.waits != FIRST_PAGE and waited >= QUIET_S:
            seconds = f"waiting for {state.waits} since {terminal.duration(round(waited))}, {seconds}"
        scope = f", at {terminal.clean(done.scope)}" if done.scope else ""
        return f"pull {name}{which}: {done.read:,} read, {terminal.counted(done.pages, 'page')}{scope}, {seconds}"

    def _draw(self, now: float) -> None:
        self._ticks += 1
        width = (terminal.width_of(self._stream) or 80) - 3  # the last column of a console may wrap
        text = f"{_SPINNER[self._ticks % len(_SPINNER)]} {terminal.fitted(self.line(now), width - 2)}"
        blank = " " * max(0, self._drawn - terminal.cells(text))
        self._stream.write(f"\r{text}{blank}")
        self._stream.flush()
        self._drawn = terminal.cells(text)

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write(f"\r{' ' * self._drawn}\r")
            self._stream.flush()
            self._drawn = 0


class Waiting(PullProgress):
    """Shows what is waited for, in a terminal: of a verb that has no pages. `waits` names it, and begins to count."""

    def __init__(self, verb: str, stream: TextIO, *, is_shown: bool = True) -> None:
        super().__init__([verb], stream, is_shown=is_shown and terminal.is_terminal(stream))

    def waits(self, what: str) -> None:
        """Note what is waited for from now on."""
        with self._lock:
            self._clear()
            self._state.waits, self._state.began = what, time.monotonic()

    def line(self, now: float) -> str:
        """Write what is waited for."""
        seconds = terminal.duration(round(now - self._state.began))
        return f"{self._state.left[0]}: waiting for {self._state.waits}, {seconds}"


class PlanProgress(PullProgress):
    """Shows how far a plan is made, and carried out; `moved_plan` is what an engine calls."""

    def __init__(self, verb: str, stream: TextIO, *, is_shown: bool = True) -> None:
        super().__init__([verb], stream, is_shown=is_shown)
        self._text = ""

    def moved_plan(self, mapping: str, what: str, count: int, of: int) -> None:
        """Note how much of a mapping's plan is made, or written."""
        with self._lock:
            self._text = f" {mapping}: {count:,} of {of:,} {what}"

    def line(self, now: float) -> str:
        """Write how far it is."""
        return f"{self._state.left[0]}{self._text or ': looking for what changed'}, {self._since(now)}"

    def _since(self, now: float) -> str:
        return terminal.duration(round(now - self._state.began))
