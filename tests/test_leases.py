"""Leases beside a file: who is refused is told by whom, and a moment without a holder's note is no answer."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import filelock
import pytest

from syncer import leases
from syncer.clock import SystemClock
from syncer.errors import LeaseHeld

NAME = "x@default"
NOTE = b'{"pid": 12, "host": "north", "since": "2026-03-01T12:00:00Z", "run": "r1"}'
NOBODY = "x@default is being run by another process"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again sooner than a person would wait for."""
    monkeypatch.setattr(leases, "PROBE_S", 0.01)
    monkeypatch.setattr(leases, "NAMED_S", 0.06)


@pytest.fixture
def lock(tmp_path: Path) -> filelock.FileLock:
    """The lock of a holder that has written no note yet."""
    made = filelock.FileLock(str(tmp_path / f"{NAME}.lock"), thread_local=False)
    made.acquire()
    return made


def take(folder: Path, wait_s: float = 0) -> leases.FileLease:
    return leases.take(folder, NAME, run="r2", wait_s=wait_s, clock=SystemClock())


@pytest.mark.parametrize("begun", [b"", NOTE[:20]])
def test_a_note_that_comes_late_is_waited_for(tmp_path: Path, lock: filelock.FileLock, begun: bytes) -> None:
    """It is written behind the lock, and may be there in part: whoever is refused wants to know who it was."""
    note = tmp_path / f"{NAME}.json"
    note.write_bytes(begun)
    late = threading.Timer(0.1, note.write_bytes, [NOTE])
    late.start()
    with pytest.raises(LeaseHeld, match="being run by process 12 on north since 2026-03-01T12:00:00Z"):
        take(tmp_path)
    late.join()
    lock.release()


@pytest.mark.parametrize(("wait_s", "told"), [(0, f"{NOBODY}\\."), (0.05, f"{NOBODY}; waited 0.05 s")])
def test_a_note_that_never_comes_is_not_waited_for_for_ever(
    tmp_path: Path, lock: filelock.FileLock, wait_s: float, told: str
) -> None:
    """A folder in which the holder may not write: who it is, nobody knows."""
    with pytest.raises(LeaseHeld, match=told):
        take(tmp_path, wait_s)
    lock.release()


def test_a_lease_that_is_given_back_while_its_holder_is_looked_for_is_taken(
    tmp_path: Path, lock: filelock.FileLock
) -> None:
    """A holder takes its note away before its lock: to be refused by nobody would be wrong."""
    threading.Timer(0.1, lock.release).start()
    lease = take(tmp_path)
    assert leases.held(tmp_path)[NAME].pid == os.getpid()
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()} on {socket.gethostname()} since 20"):
        take(tmp_path)
    lease.release()
    assert leases.held(tmp_path) == {}


@pytest.mark.parametrize(
    ("holder", "wait_s", "told"),
    [
        (
            leases.Holder(pid=12, host="north", since="2026-03-01T12:00:00Z"),
            0,
            "process 12 on north writes hubspot.companies@default since 2026-03-01T12:00:00Z.",
        ),
        (None, 5, "another process writes hubspot.companies@default; waited 5 s."),
    ],
)
def test_who_writes_is_told_as_a_writer(holder: leases.Holder | None, wait_s: float, told: str) -> None:
    """The lease's own name, "write hubspot.companies@default", is no name of a mapping that somebody could run."""
    assert leases.held_by(holder, "write hubspot.companies@default", wait_s).message == told


def test_a_holder_that_is_not_known_is_another_process() -> None:
    """A zero or a question mark would look like a fact."""
    assert leases.told(None) == leases.told(leases.Holder(pid=0, host="?", since="?")) == "another process"
