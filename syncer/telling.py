"""
How a notification is sent: by a webhook over the transport's one door, or to a command's stdin. Each within its time,
whatever is at the other end.

Nothing that is said here of what went wrong has more of a webhook's URL than its host, or more of a command than the
name of its program: both may hold secrets. Not here: what is sent, and when (`notifying.py`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future
from pathlib import PurePath
from urllib.parse import urlsplit

import attrs

from syncer.configfile import is_header_text, is_webhook
from syncer.errors import RequestError, SyncerError, Unavailable
from syncer.settings import Notify
from syncer.transport import Doors, Rules, Transport

TRIES = 2
WAIT_S = 1.0  # before the second try
ENDS_S = 2.0  # a process that was killed is given so long to be gone


@attrs.frozen(kw_only=True)
class Sent:
    """What came of sending: to whom, and what went wrong; empty: it arrived."""

    to: str
    trouble: str = ""


def host_of(notify: Notify) -> str:
    """Name the webhook's host; empty where there is none."""
    return urlsplit(notify.webhook).hostname or "" if notify.webhook else ""


def program_of(notify: Notify) -> str:
    """Name the command's program; empty where there is none."""
    return PurePath(notify.command[0]).name if notify.command else ""


def by_webhook(body: str, notify: Notify, doors: Doors) -> Sent:
    """
    POST a JSON text to the webhook; once more where nothing answered, or a server failed. It raises nothing.

    In a thread that is left behind when the time is up: a server that answers a byte a second, or a name that nobody
    resolves, would hold us for as long as it likes.
    """
    if not is_webhook(notify.webhook):
        return Sent(to="the webhook", trouble="its URL is none: https:// or http://, a host, no user")
    host = host_of(notify)
    if notify.token and not is_header_text(notify.token):
        return Sent(to=host, trouble="the token has a letter that no header of a request can carry")
    future: Future[str] = Future()

    def work() -> None:
        try:
            future.set_result(_posted(body, notify, doors))
        except Exception as error:  # noqa: BLE001  # a thread's end: Python would print the error, and the URL in it
            future.set_result(f"it failed ({type(error).__name__})")

    threading.Thread(target=work, name="syncer-notify", daemon=True).start()
    try:
        return Sent(to=host, trouble=future.result(notify.timeout_s))
    except concurrent.futures.TimeoutError:
        return Sent(to=host, trouble=f"it was not done in {notify.timeout_s:g} s")


def _posted(body: str, notify: Notify, doors: Doors) -> str:
    """Send it; return what went wrong, empty where it arrived."""
    until = doors.clock.monotonic() + notify.timeout_s
    trouble = ""
    for attempt in range(TRIES):
        if attempt:
            doors.clock.sleep(WAIT_S)
        left = round(until - doors.clock.monotonic(), 1)
        if left <= 0:
            break
        trouble, may_repeat = _post(body, notify, doors, left)
        if not may_repeat:
            break
    return trouble


def _post(body: str, notify: Notify, doors: Doors, left_s: float) -> tuple[str, bool]:
    """Send it once; return what went wrong, and whether another try may mend it."""
    parts = urlsplit(notify.webhook)
    base = f"{parts.scheme}://{parts.netloc}"
    headers = {"Authorization": f"Bearer {notify.token}"} if notify.token else None
    # One try: the transport would log the path of what it tries again.
    rules = Rules(tries=1, connect_timeout_s=left_s, read_timeout_s=left_s)
    with contextlib.closing(Transport(base, owner="", doors=doors, headers=headers, rules=rules)) as transport:
        try:
            transport.call("POST", notify.webhook, body=json.loads(body), is_read=False)
        except Unavailable as error:
            why = error.message.rpartition(f" at {base}: ")[2].removesuffix(", asked once.")
            return f"it answered {error.status}" if error.status else why, True
        except RequestError as error:
            return f"it answered {error.status}", False
        except SyncerError as error:
            is_plain = type(error) is SyncerError  # of a transport that is open, that is
            return "its certificate was not accepted" if is_plain else f"{type(error).__name__}", False
    return "", False


def by_command(body: str, notify: Notify) -> Sent:
    """
    Run the command with a JSON text on its stdin, without a shell; what it prints goes nowhere. It raises nothing.

    Out of time, it is ended with all that it started (on Windows: it alone). The text comes from a file without a
    name, so that a program that does not read it holds nobody.
    """
    name = program_of(notify)
    try:
        with tempfile.TemporaryFile() as file:
            file.write(body.encode() + b"\n")
            file.seek(0)
            process = _started(notify, file.fileno())
            try:
                code = process.wait(notify.timeout_s)
            except subprocess.TimeoutExpired:
                return Sent(to=name, trouble=f"it did not end in {notify.timeout_s:g} s, and was ended")
            finally:
                _end(process)
    except (OSError, ValueError) as error:
        return Sent(to=name, trouble=f"it could not be started ({type(error).__name__})")
    return Sent(to=name, trouble=f"it ended with {code}" if code else "")


def _started(notify: Notify, stdin: int) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return subprocess.Popen(
            notify.command, stdin=stdin, stdout=quiet, stderr=quiet, cwd=notify.folder, creationflags=flags
        )
    return subprocess.Popen(
        notify.command, stdin=stdin, stdout=quiet, stderr=quiet, cwd=notify.folder, start_new_session=True
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, by its id, and its group."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel is not waited for
        process.wait(ENDS_S)
