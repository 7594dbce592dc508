"""
A PostgreSQL server of the bench's own, and what it used: a cluster in a temporary folder, ended with the bench.

It is set as a server that keeps what it says it keeps: `fsync`, `full_page_writes` and `synchronous_commit` are on, as
they are when nobody sets them. CPU is read from `/proc`: the server's processes that live, and, by the first one's
account of its children, those that ended. So Linux only.

Source: proc(5), `/proc/PID/stat`: utime, stime, cutime and cstime are the fields 14 to 17, in clock ticks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import Broken
from bench.postgresql import Address

# All else is as the server is delivered, so it is durable. Autovacuum would fall into whoever's run comes a minute
# later: it is off while runs are measured, and the bench does its work between them, and tells what that took.
SETTINGS = {"autovacuum": "off", "max_wal_size": "4GB", "checkpoint_timeout": "1h"}
STARTED_S = 60.0
ENDED_S = 30.0
_ALWAYS_THERE = ("checkpointer", "background writer", "walwriter", "logical replication launcher", "stats collector",
                 "archiver", "startup", "logger", "autovacuum launcher")  # fmt: skip


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process, self._port = process, port

    def address(self, database: str) -> Address:
        """Return where a database of it is."""
        return Address(port=self._port, database=database)

    def ask(self, query: str, database: str = "postgres") -> str:
        """Run a statement or query by `psql`; return what it prints, without a head. Raises Broken."""
        command = [
            str(program("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
            "-p", str(self._port), "-U", "postgres", "-d", database, "-c", query,
        ]  # fmt: skip
        found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if found.returncode:
            raise Broken(f"psql: {found.stderr.strip()}")
        return found.stdout.strip()

    def cpu_s(self) -> float:
        """Return the CPU seconds, user and system, of all its processes so far."""
        first = self._process.pid
        return _used(first, with_children=True) + sum(_used(pid, with_children=False) for pid in _children(first))

    def wait_until_idle(self) -> None:
        """Wait until nobody is connected: a process that ended is counted once its end was seen."""
        began = time.monotonic()
        while any(_is_backend(pid) for pid in _children(self._process.pid)):
            if time.monotonic() - began > ENDED_S:
                raise Broken("A session of the server did not end.")
            time.sleep(0.01)


@contextlib.contextmanager
def running(settings: dict[str, str] | None = None) -> Iterator[Server]:
    """Start a server; give it once it takes connections; end it, and take its folder away. Raises Broken."""
    folder = Path(tempfile.mkdtemp(prefix="bench-postgresql-"))
    try:
        with _started(folder, {**SETTINGS, **(settings or {})}) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _started(folder: Path, settings: dict[str, str]) -> Iterator[Server]:
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses root
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data, log = folder / "data", folder / "log"
    made = subprocess.run(
        [str(program("initdb")), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, text=True,
        check=False, **as_user,
    )  # fmt: skip
    if made.returncode:
        raise Broken(f"initdb: {made.stderr.strip()}")
    port = _free_port()
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [str(program("postgres")), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder),
             *options],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder, start_new_session=True,
            preexec_fn=_end_with_parent, **as_user,
        )  # fmt: skip
    try:
        server = Server(process, port)
        _wait(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended
        try:
            process.wait(ENDED_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    began = time.monotonic()
    while True:
        with contextlib.suppress(Broken):
            server.ask("SELECT 1")
            return
        if process.poll() is not None or time.monotonic() - began > STARTED_S:
            raise Broken(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _end_with_parent() -> None:
    """Ask the kernel for a fast shutdown (SIGINT) when the bench ends, whatever ended it."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def program(name: str) -> Path:
    """Find a program of the newest server that is installed. Raises Broken."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: float(file.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise Broken(f"PostgreSQL's {name} is not here; Debian's packages are postgresql and odbc-postgresql.")
    return Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _used(pid: int, *, with_children: bool) -> float:
    """Return a process's CPU seconds; 0 where it has ended, since its parent's account has it then."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = stat.rpartition(")")[2].split()  # behind the name: the state is field 3
    return sum(map(int, fields[11 : 15 if with_children else 13])) / os.sysconf("SC_CLK_TCK")


def _is_backend(pid: int) -> bool:
    """Tell whether a process of the server serves a connection, or works for one."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not title.removeprefix("postgres: ").startswith(_ALWAYS_THERE)
