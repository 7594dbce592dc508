"""
Leases that are file locks, for a warehouse that is a file: freed by their process's end, also after `kill -9`.

A lease is a locked file in a folder beside the warehouse; who holds it, and since when, stands in a small JSON file
beside that. Not here: leases of a server, which live on a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import attrs
import filelock
import orjson

from syncer.clock import Clock, iso
from syncer.errors import LeaseHeld, WarehouseError

PROBE_S = (
    0.5  # `held` takes a free lock for a moment to see that it is free; a newcomer must not take that for a holder
)
POLL_S = 0.05
NAMED_TRIES, NAMED_S = 5, 0.2  # how often, and how far apart, a holder is looked for who has not said yet who it is
GATE_POLL_S = 0.01
WRITE = "write "  # how the lease of a push begins: behind it what it writes


@attrs.frozen(kw_only=True)
class Holder:
    """Who holds a lease, and since when (ISO 8601)."""

    pid: int
    host: str
    since: str
    run: str = ""


@attrs.define
class FileLease:
    """A held lease: a locked file, and the JSON beside it that says who."""

    _lock: filelock.BaseFileLock
    _note: Path

    def check(self) -> None:
        """Nothing: the file stays locked until it is released."""

    def release(self) -> None:
        """Give the lease back."""
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()


def take(folder: Path, name: str, *, run: str, wait_s: float, clock: Clock) -> FileLease:
    """
    Take the lease *name* of *folder*, waiting at most *wait_s* seconds.

    Raises:
        LeaseHeld: another process has it; the message says who, since when, and how long was waited.
        WarehouseError: no lock can be made there.
    """
    note = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(str(folder / f"{name}.lock"), thread_local=False)
        if not _locked(lock, max(wait_s, PROBE_S)):
            holder = _holder(lock, note)
            if not lock.is_locked:
                raise held_by(holder, name, wait_s)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        raise _impossible(folder, error) from error
    holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=iso(clock.now()), run=run)
    try:
        note.write_bytes(orjson.dumps(attrs.asdict(holder)))
    except OSError as error:
        lock.release()
        raise _impossible(folder, error) from error
    return FileLease(lock, note)


def _locked(lock: filelock.BaseFileLock, wait_s: float) -> bool:
    """Take a lock, waiting at most *wait_s*; False where it is held for as long."""
    try:
        lock.acquire(timeout=wait_s, poll_interval=POLL_S)
    except filelock.Timeout:
        return False
    return True


def _holder(lock: filelock.BaseFileLock, note: Path) -> Holder | None:
    """
    Read who holds a lock: whoever has just taken it, or is giving it back, has no note for a moment. Where it is free
    then, it is taken, and there is no holder.
    """
    for _ in range(NAMED_TRIES):
        if holder := _read(note):
            return holder
        if _locked(lock, NAMED_S):
            return None
    return _read(note)


class Gate:
    """
    One process at a time has a file open; who waits may be told who has it.

    DuckDB has a lock of its own, and it is not enough: of 26 rounds in which three processes opened and closed one
    file 60 times in turn, one lost a commit and one could not read the file any more (DuckDB 2.0.1, measured).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = folder / "gate.pid"
        self._lock = filelock.FileLock(str(folder / "gate"), thread_local=False)

    def enter(self, wait_s: float) -> int | None:
        """Wait at most *wait_s*; None: we are in; else the process that is (0: not known). Raises WarehouseError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=max(wait_s, PROBE_S), poll_interval=GATE_POLL_S)
            self._note.write_text(str(os.getpid()))
        except filelock.Timeout:
            return self._inside()
        except (OSError, NotImplementedError) as error:
            self._lock.release()
            raise _impossible(self._folder, error) from error
        return None

    def leave(self) -> None:
        """Let the next one in."""
        self._lock.release()

    def _inside(self) -> int:
        try:
            return int(self._note.read_text())
        except (OSError, ValueError):
            return 0


def held(folder: Path) -> dict[str, Holder]:
    """Return who holds which lease of *folder* now. Raises WarehouseError where its locks cannot be tried."""
    found = {}
    try:
        for file in sorted(folder.glob("*.lock")):
            if not _is_free(file):
                found[file.stem] = _read(file.with_suffix(".json")) or Holder(pid=0, host="?", since="?")
    except (OSError, NotImplementedError) as error:
        raise _impossible(folder, error) from error
    return found


def _is_free(file: Path) -> bool:
    probe = filelock.FileLock(str(file))
    try:
        probe.acquire(timeout=0)
    except filelock.Timeout:
        return False
    probe.release()
    return True


def _read(note: Path) -> Holder | None:
    try:
        return Holder(**orjson.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def told(holder: Holder | None) -> str:
    """Say who holds a lease; what is not known is left out."""
    return _who(holder) + _since(holder)


def _who(holder: Holder | None) -> str:
    return "another process" if holder is None or not holder.pid else f"process {holder.pid} on {holder.host}"


def _since(holder: Holder | None) -> str:
    return "" if holder is None or not holder.pid else f" since {holder.since}"


def held_by(holder: Holder | None, name: str, wait_s: float) -> LeaseHeld:
    """Tell that a lease is held, by whom, and how long was waited for it."""
    text = f"{name} is being run by {told(holder)}"
    if name.startswith(WRITE):
        text = f"{_who(holder)} writes {name.removeprefix(WRITE)}{_since(holder)}"
    if wait_s > 0:
        return LeaseHeld(
            f"{text}; waited {wait_s:g} s.", hint="Wait longer (--wait), or look at it with `syncer status`."
        )
    return LeaseHeld(f"{text}.", hint="Wait for it (--wait), or look at it with `syncer status`.")


def _impossible(folder: Path, error: Exception) -> WarehouseError:
    why = getattr(error, "strerror", None) or "no file locks there"
    return WarehouseError(
        f"No lease can be taken in {folder} ({why}).",
        hint="syncer must be able to write beside the warehouse file: mend that, or name another in SYNCER_WAREHOUSE.",
    )
