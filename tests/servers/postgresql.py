"""
A PostgreSQL server of the tests' own: a cluster in a temporary folder, on a free port, ended with the process that
started it. Its programs come from the system's packages, which `start.py test` installs.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

DRIVER = "PostgreSQL Unicode"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "fatal",
}
STARTED_S = 60.0
_numbers = itertools.count(1)


def program(name: str) -> Path:
    """Find a program of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: int(file.parts[-3]))
    on_path = shutil.which(name)
    if found:
        return found[-1]
    if on_path:
        return Path(on_path)
    raise FileNotFoundError(f"PostgreSQL's {name} is not here: python3 start.py test installs it")


@attrs.define(kw_only=True)
class Server:
    """A running server."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def string(self, database: str, **more: str) -> str:
        """Return a connection string of one of its databases."""
        parts = {
            "Driver": "{" + DRIVER + "}",
            "Server": "127.0.0.1",
            "Port": str(self.port),
            "Database": database,
            "UID": "postgres",
            **more,
        }
        return "".join(f"{key}={value};" for key, value in parts.items())

    def database(self, name: str = "", *, options: str = "") -> str:
        """Make an empty database; return its name."""
        name = name or f"t{os.getpid()}_{next(_numbers)}"
        with self.connection("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 {options}')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        with self.connection("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextlib.contextmanager
    def connection(self, database: str) -> Iterator[Any]:
        """A connection for a test's own questions; each statement is committed."""
        import pyodbc

        pyodbc.pooling = False
        connection = pyodbc.connect(self.string(database, BoolsAsChar="0"), autocommit=True)
        try:
            connection.execute("SET TIME ZONE 'UTC'")
            yield connection
        finally:
            connection.close()

    def query(self, database: str, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask it, as a person's shell would."""
        with self.connection(database) as connection:
            return [tuple(row) for row in connection.execute(text, *parameters).fetchall()]

    def is_up(self) -> bool:
        """Tell whether it takes connections."""
        try:
            with self.connection("postgres"):
                return True
        except Exception:  # noqa: BLE001 - whatever keeps it from answering
            return False

    def wait(self) -> None:
        """Wait until it takes connections."""
        began = time.monotonic()
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() - began > STARTED_S:
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and take its folder away."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """Return a port that nobody uses, of those that no system gives away by itself: it stays free for a while."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(*, settings: dict[str, str] | None = None, listen: str = "127.0.0.1") -> Server:
    """Make a cluster and start its server; the caller stops it."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-postgresql-"))
    as_user: dict[str, Any] = {}
    if os.name == "posix" and os.geteuid() == 0:  # the server refuses root
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    folder.chmod(0o755)
    data, port = folder / "data", free_port()
    subprocess.run(
        [str(program("initdb")), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user,
    )  # fmt: skip
    given = {**SETTINGS, **(settings or {})}
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(program("postgres")), "-D", str(data), "-p", str(port), "-h", listen, "-k", str(folder), *options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None, **as_user,
        )  # fmt: skip
    server = Server(folder=folder, port=port, process=process)
    try:
        server.wait()
    except BaseException:
        server.stop()
        raise
    return server


@functools.cache
def shared() -> Server:
    """The server that all tests of this process share; each makes a database of its own."""
    server = start()
    atexit.register(server.stop)
    return server


def _end_with_parent() -> None:
    """Ask the kernel for SIGINT (a fast shutdown) when the process that started us ends, whatever ended it."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
