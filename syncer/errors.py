"""
Every error that syncer raises on purpose, one root, drawn here:

    SyncerError                  1   something failed; the message says what, on what, and what to do next
    ├── UsageError               2   the command, `syncer.toml`, a mapping or a name is wrong: nothing was tried
    │   ├── UnknownName          2   a name that nobody knows, with the nearest ones
    │   └── MappingError         2   a mapping that contradicts itself
    ├── Unavailable              1   no answer in time, or 429/5xx after the retries; safe to run again
    ├── RequestError             1   any other 4xx
    │   ├── NotAllowed           1   401 or 403: the token, or one permission of it
    │   └── NotFound             1   404
    ├── AnswerError              1   an answer that cannot be true: not JSON, cut short, a 200 that means "not allowed"
    ├── WrongAccount             1   the token belongs to another account than the environment's first run had
    ├── WarehouseError           1   the warehouse refused: not a database, read-only, full
    │   ├── WarehouseBusy        1   another process holds it; the message has its PID
    │   └── WarehouseLost        1   the connection was lost; the message says what was kept
    └── LeaseHeld                1   another process runs the same mapping; the message says who, since when

The number is the exit code of the command line. No message carries a secret or a record's values.
"""

from __future__ import annotations

import copyreg
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

NAMED = 20  # names that an error has where none is near; more are not read


class SyncerError(Exception):
    """
    Root of all errors of syncer; `hint` is the next step, where the message itself does not say it. `runs` is what
    came of the pushes or operations that were begun, where one of them raised it.
    """

    exit_code = 1
    runs: Sequence[Any] = ()

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Go whole into another process, whatever arguments the error was made with: pools hang on one that cannot."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class UsageError(SyncerError):
    """What was asked for is wrong; nothing was tried."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that nobody knows; the message has the nearest ones."""

    def __init__(self, noun: str, name: str, *, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        known_ones = f"Known: {', '.join(names[:NAMED]) or 'none'}{more}."
        shown = f"Did you mean {' or '.join(near)}?" if near else known_ones
        if any(each.startswith(f"{name}.") for each in names):
            shown = f"'{name}.*' names all of them."
        super().__init__(f"No {noun} named '{name}'.", hint=shown)
        self.name = name


class MappingError(UsageError):
    """A mapping that contradicts itself; raised when it is built."""


class Unavailable(SyncerError):
    """No answer in time, or 429/5xx after the retries; safe to run again. `status` is 0 where nothing was answered."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RequestError(SyncerError):
    """A 4xx that asking again would not change."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0, body: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.body = body  # for the source to look into; never printed, since an API may repeat what it was sent


class NotAllowed(RequestError):
    """401 or 403: the token is wrong or expired, or lacks one permission."""


class NotFound(RequestError):
    """404: hidden, deleted, or never there."""


class AnswerError(SyncerError):
    """An answer that cannot be true; taking it for a short success would lose rows."""


class WrongAccount(SyncerError):
    """The token belongs to another account than the one whose records this environment holds."""


class WarehouseError(SyncerError):
    """The warehouse refused; nothing of the open transaction was kept."""


class OutOfMemory(WarehouseError):
    """The warehouse needs more memory than it may use; nothing of the open transaction was kept."""


class WarehouseBusy(WarehouseError):
    """Another process holds the warehouse longer than we were told to wait."""


class WarehouseLost(WarehouseError):
    """The connection was lost, and with it the leases that live on it; a new one is made when it is needed."""


class LeaseHeld(SyncerError):
    """Another process has the right to run this; one at a time."""


_NUMBER = re.compile(r"(?<![A-Za-z_\d])[-+]?\d[\d.,:]*(?:[eE][-+]?\d+)?")
_ECHO = re.compile(r"\n+\s*(?:LINE \d+|DETAIL|CONTEXT|QUERY|STATEMENT):")  # behind it a statement or row is repeated


def without_values(text: str) -> str:
    """
    Take out of what a warehouse said what may be of a row: all from the first quote to the last (a value may hold
    quotes itself), and numbers.
    """
    echoes = list(_ECHO.finditer(text))
    said = text[: echoes[-1].start()] if echoes else text
    said = re.sub(r"(?<![A-Za-z])['\"].*(?:['\"]|$)|\".*(?:\"|$)", "…", said, flags=re.DOTALL)
    said = re.sub(r"\s*Did you mean …$", "", said)  # DuckDB's hint, of which nothing is left
    said = re.sub(r"value is \(.*\)", "value is (…)", said, flags=re.DOTALL)
    said = re.sub(r"with value .* can't be", "with value … can't be", said, flags=re.DOTALL)
    return " ".join(_NUMBER.sub("…", said).split())[:300]
