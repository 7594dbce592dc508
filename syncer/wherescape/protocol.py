"""
What WhereScape RED reads from a host script: a status, a message, a few audit lines. Pure.

    1            status: 1 done, -1 done with warnings, -2 failed, -3 failed in a way nobody foresaw
    43 rows …    message, one line of at most 256 characters
    …            audit lines, one row of RED's audit log each, 256 wide; a longer message whole, in front

Source: WhereScape RED user guide, "Host Scripts". Not here: when and where it is written (`hosting.py`).
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from syncer.errors import SyncerError

LONGEST = 256  # characters of a line, as UTF-16 counts them: RED's columns are varchar(256)
MOST_AUDIT_LINES = 20  # the rest belongs on stderr
CUT = "…"


class Status(enum.IntEnum):
    """How a script ended; the lower, the worse."""

    DONE = 1
    WARNED = -1  # done, and there is something to look at: rejects, conflicts
    FAILED = -2  # what syncer says itself: unavailable, refused, wrong set-up
    FATAL = -3  # what nobody foresaw


WORDS = {
    Status.DONE: "done",
    Status.WARNED: "done, with something to look at",
    Status.FAILED: "failed",
    Status.FATAL: "failed unexpectedly",
}
_OF_EXIT_CODE = {0: Status.DONE, 3: Status.WARNED, 4: Status.FAILED, 1: Status.FAILED, 2: Status.FAILED}
_EXIT_CODES = {Status.DONE: 0, Status.WARNED: 3, Status.FAILED: 1, Status.FATAL: 1}
_SEVERITY = (1, 2, 4, 3, 0)  # of the command line's exit codes, the worst first


class Run(Protocol):
    """What a verb returns: the line that the command line would print, and the code that it would end with."""

    @property
    def exit_code(self) -> int:
        """As of the command line."""


def text_of(given: object) -> str:
    """Write what a script gave as a text; None is nothing."""
    return "" if given is None else str(given)


def _texts_of(given: object) -> tuple[str, ...]:
    """Write what a script gave as several texts; one alone is one."""
    several = given if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping) else (given,)
    return tuple(map(text_of, several))


@attrs.frozen
class Outcome:
    """
    What came of one thing that a script did. Raises ValueError: there is no such status.

    message: what people see first. details: lines for the log and stderr.
    exit_code: the command line's own, where it is another than the status' first one.
    """

    status: Status = attrs.field(converter=Status)
    message: str = attrs.field(converter=text_of)
    details: tuple[str, ...] = attrs.field(default=(), converter=_texts_of)
    exit_code: int = attrs.field(kw_only=True)

    @exit_code.default
    def _of_status(self) -> int:
        return _EXIT_CODES[self.status]

    @classmethod
    def of(cls, run: Run) -> Outcome:
        """Return what came of a run of another verb, such as `syncer.pull` returns."""
        return of_exit_code(run.exit_code, str(run))


def of_exit_code(code: int, message: str, *, details: Iterable[str] = ()) -> Outcome:
    """Make an outcome of an exit code of the command line: 0, 3, 4, 1, 2; any other is a crash."""
    status = _OF_EXIT_CODE.get(code, Status.FATAL)
    return Outcome(status, message, tuple(details), exit_code=code if code in _OF_EXIT_CODE else 1)


def of_error(error: SyncerError) -> Outcome:
    """Make an outcome of an error that syncer raised on purpose."""
    return Outcome(Status.FAILED, str(error), exit_code=error.exit_code or 1)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """
    Make one outcome of all: the worst status, and the messages that have it, each once; of nothing it is done, without
    a message.
    """
    found = list(outcomes)
    status = min((each.status for each in found), default=Status.DONE)
    messages = dict.fromkeys(line(each.message) for each in found if each.status is status)
    codes = {each.exit_code for each in found if each.status is status}
    code = next((each for each in _SEVERITY if each in codes), 0)
    return Outcome(status, "; ".join(filter(None, messages)), exit_code=code)


def line(text: str) -> str:
    """Write *text* in one line without control characters, of any length."""
    kept = (" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in text)
    return " ".join("".join(kept).split())


def message(text: str) -> str:
    """Write *text* in one line of at most `LONGEST` characters."""
    whole = line(text)
    if _width(whole) <= LONGEST:
        return whole
    return _beginning(whole, LONGEST - len(CUT)).rstrip() + CUT


def wrapped(text: str) -> list[str]:
    """Write *text* whole, in lines of at most `LONGEST` characters, broken at blanks; a longer word is broken, too."""
    lines: list[str] = []
    now = ""
    for word in line(text).split():
        if now and _width(now) + 1 + _width(word) <= LONGEST:
            now += f" {word}"
            continue
        lines += [now] if now else []
        now = word
        while _width(now) > LONGEST:
            kept = _beginning(now, LONGEST)
            lines, now = [*lines, kept], now[len(kept) :]
    return [*lines, now] if now else lines


def rendered(status: Status, text: str, audit: Sequence[str] = ()) -> bytes:
    """
    Write the result as RED reads it: UTF-8, a letter that has no place there replaced; each line ends in \\n.

    A message that is cut stands whole at the beginning of the audit part: what to do about it is at its end.
    """
    lines = wrapped(text) if message(text) != line(text) else []
    lines += [each for each in map(message, audit) if each]
    if len(lines) > MOST_AUDIT_LINES:
        more = len(lines) - MOST_AUDIT_LINES + 1
        lines = [*lines[: MOST_AUDIT_LINES - 1], f"{more} more lines are on stderr."]
    return "".join(f"{each}\n" for each in (str(int(status)), message(text), *lines)).encode("utf-8", "replace")


def with_body(status: Status, body: str) -> bytes:
    """Write a result whose second line is no message but what a script was asked for, however long it is."""
    return f"{int(status)}\n{line(body)}\n".encode("utf-8", "replace")


def _beginning(text: str, most: int) -> str:
    """Return the first letters of *text* that *most* characters have room for."""
    for place, each in enumerate(text):
        most -= _width(each)
        if most < 0:
            return text[:place]
    return text


def _width(text: str) -> int:
    """Count characters as UTF-16 does: an emoji is two."""
    return len(text) + sum(1 for each in text if ord(each) > 0xFFFF)
