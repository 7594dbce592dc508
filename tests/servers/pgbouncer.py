"""
A pgbouncer of the tests' own before a PostgreSQL server, in one of its three modes; ended with the process that
started it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs

from tests.servers.postgresql import Server, free_port

STARTED_S = 20.0


def program() -> str:
    """Find pgbouncer; Debian puts it where only root's PATH looks."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise FileNotFoundError("pgbouncer is not here: python3 start.py test installs it")
    return found


@attrs.define(kw_only=True)
class Pooler:
    """A running pgbouncer."""

    server: Server
    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def string(self, database: str, **more: str) -> str:
        """Return a connection string of a database behind it."""
        return self.server.string(database, Port=str(self.port), **more)

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # at once; SIGINT would wait for its clients
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(server: Server, mode: str, *, sessions: int = 20, reset: str = "DISCARD ALL") -> Pooler:
    """
    Start one in *mode* (session, transaction, statement) with at most *sessions* of the server a database; *reset* is
    what cleans a session for the next client.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="syncer-pgbouncer-")), free_port()
    as_user: dict[str, Any] = {}
    if os.name == "posix" and os.geteuid() == 0:  # it refuses root
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    folder.chmod(0o755)
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
* = host=127.0.0.1 port={server.port} user=postgres
[pgbouncer]
server_reset_query = {reset}
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {sessions}
ignore_startup_parameters = extra_float_digits, geqo
"""
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program(), str(folder / "pgbouncer.ini")],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None, **as_user,
        )  # fmt: skip
    pooler = Pooler(server=server, folder=folder, port=port, process=process)
    began = time.monotonic()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return pooler
        except OSError:
            if process.poll() is not None or time.monotonic() - began > STARTED_S:
                pooler.stop()
                raise RuntimeError("pgbouncer did not start") from None
            time.sleep(0.02)


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the process that started us ends, whatever ended it."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
