"""
What child processes of a host script tell its host: those that Python forks, and those of `multiprocessing`, started
before there was a host, too.

Such a child has the script's host, or makes one, which RED never hears; so it writes what came of it into a file of
its own, a line of JSON each time, and the script's host reads these at its end. A verb that was begun and has no end
there was killed, or is still at work.

Not here: a program that the script starts (`subprocess`): its exit code is the script's to look at.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from secrets import token_hex
from typing import Any

import attrs

from syncer.wherescape.protocol import Outcome, Status

VARIABLE = "_SYNCER_HOST"  # tells a child of `multiprocessing` where its files are
_of_script: list[Children] = []  # those of this process, and of one that Python forks from it
_forks: list[None] = []  # one for each fork that led to this process


@attrs.frozen
class Children:
    """Where child processes tell what came of them: *beginning*, and the number of the process behind it."""

    beginning: Path

    @classmethod
    def of_script(cls, variables: MutableMapping[str, str]) -> Children:
        """Name the files of a script's children, for them too; none is made before a child has something to tell."""
        if not _of_script:
            _of_script.append(cls(_folder() / f"syncer-wherescape-{os.getpid()}-{token_hex(8)}"))
        variables[VARIABLE] = str(_of_script[0].beginning)
        return _of_script[0]

    @classmethod
    def of_parent(cls, variables: MutableMapping[str, str]) -> Children | None:
        """Return where a child tells what came of it; None in any other process."""
        if _forks and _of_script:
            return _of_script[0]
        return cls(Path(variables[VARIABLE])) if VARIABLE in variables and is_child() else None

    def tell(self, outcome: Outcome) -> None:
        """Tell, in a child, what came of one thing; no secret must be in it."""
        self._write({"status": int(outcome.status), "message": outcome.message, "exit_code": outcome.exit_code})

    def begin(self, verb: str) -> None:
        """Tell, in a child, that a verb is at work."""
        self._write({"begun": verb})

    def end(self, verb: str) -> None:
        """Tell, in a child, that it is over."""
        self._write({"ended": verb})

    def told(self) -> tuple[list[Outcome], list[str]]:
        """Return what children told, and the verbs that they did not end; their files are gone then."""
        outcomes: list[Outcome] = []
        unfinished: list[str] = []
        for file in sorted(self.beginning.parent.glob(f"{self.beginning.name}.*")):
            at_work: list[str] = []
            for each in _lines(file):
                if "begun" in each:
                    at_work.append(each["begun"])
                elif "ended" in each:  # one process's own, in their order
                    at_work.remove(each["ended"])
                else:
                    outcomes.append(Outcome(Status(each["status"]), each["message"], exit_code=each["exit_code"]))
            unfinished += at_work
            with contextlib.suppress(OSError):  # a child has it open still, on Windows
                file.unlink()
        return outcomes, unfinished

    def _write(self, what: dict[str, Any]) -> None:
        """Write one line; a folder that is full or not there is not a child's failure."""
        file = self.beginning.with_name(f"{self.beginning.name}.{os.getpid()}")
        with contextlib.suppress(OSError), open(file, "ab", opener=_for_us) as to:
            to.write(json.dumps(what).encode() + b"\n")


def prepare(variables: MutableMapping[str, str]) -> bool:
    """
    Know a child of this process by what it finds, though it was started before there was a host. Return False where
    this is such a child.
    """
    if is_child():
        return False
    Children.of_script(variables)
    if hasattr(os, "register_at_fork"):  # Windows has none
        os.register_at_fork(after_in_child=lambda: _forks.append(None))
    return True


def have_told() -> bool:
    """Tell whether children of this process told anything that nobody has read yet."""
    files = (each.beginning.parent.glob(f"{each.beginning.name}.*") for each in _of_script)
    return not _forks and any(any(each) for each in files)


def _folder() -> Path:
    """Name the folder for files that are soon gone; where none can be written in, children cannot tell anything."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return Path()


def is_child() -> bool:
    """Tell whether `multiprocessing` made this process, also while it imports the main script in it anew."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return False
    return process.parent_process() is not None or getattr(process.current_process(), "_inheriting", False)


def _for_us(name: str, flags: int) -> int:
    """Open a file that nobody else reads."""
    return os.open(name, flags, 0o600)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield each line that is whole: a child that was killed may have left half of one."""
    with contextlib.suppress(OSError):
        for line in file.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError):
                yield json.loads(line)
