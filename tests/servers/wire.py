"""
A wire between a driver and a server, both on this machine: it carries every byte, until a test says what becomes of a
message: held back, never brought, brought and the answer lost.

Source: the message flow of PostgreSQL's frontend protocol: a statement goes out in one message, its answer comes back
before the next one.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import threading
from collections.abc import Callable

import attrs

CHUNK = 1 << 16
ANSWER_S = 10.0


class Cut(enum.Enum):
    """Where the wire is cut when a message comes by."""

    NOWHERE = "nowhere"
    BEFORE = "before"  # the server never gets it
    AFTER = "after"  # the server has answered, and the driver never gets that


@attrs.define(kw_only=True)
class Trap:
    """What to do with a message that has *text* in it, once; `before` is called while the message is held."""

    text: bytes
    cut: Cut = Cut.NOWHERE
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None
    skip: int = 0  # how many such messages go by first
    sprung: threading.Event = attrs.field(factory=threading.Event)


class Wire:
    """A wire to *port*; a driver connects to `port` of the wire."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._traps: list[Trap] = []
        self._ends: list[socket.socket] = []
        self.is_refusing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, trap: Trap) -> Trap:
        """Set a trap."""
        self._traps.append(trap)
        return trap

    def disarm(self) -> None:
        """Take away the traps that did not spring: what a test does last must not set one off."""
        self._traps.clear()

    def cut(self) -> None:
        """Cut all connections that are there now."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        """Take the wire away."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                driver, _ = self._listener.accept()
            except OSError:
                return
            if self.is_refusing:
                driver.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                driver.close()
                continue
            self._ends += [driver, server]
            threading.Thread(target=self._carry, args=(driver, server), daemon=True).start()

    def _carry(self, driver: socket.socket, server: socket.socket) -> None:
        with driver, server, contextlib.suppress(OSError):
            while True:
                if server.fileno() in _ready(driver, server):
                    answer = server.recv(CHUNK)
                    if not answer:
                        return
                    driver.sendall(answer)
                    continue
                message = driver.recv(CHUNK)
                if not message or not self._brought(message, server):
                    return

    def _brought(self, message: bytes, server: socket.socket) -> bool:
        """Bring a message to the server; False where the wire is cut there."""
        trap = self._trap_of(message)
        if trap is None:
            server.sendall(message)
            return True
        trap.sprung.set()
        trap.before()
        if trap.cut is not Cut.BEFORE:
            server.sendall(message)
        if trap.cut is Cut.AFTER:
            _ready(server, for_s=ANSWER_S)
            server.recv(CHUNK)
        trap.after()
        return trap.cut is Cut.NOWHERE

    def _trap_of(self, message: bytes) -> Trap | None:
        for trap in self._traps:
            if trap.text in message:
                if trap.skip:
                    trap.skip -= 1
                    continue
                self._traps.remove(trap)
                return trap
        return None


def _ready(*ends: socket.socket, for_s: float | None = None) -> set[int]:
    """Return the descriptors of the ends that have something; `select` takes no descriptor beyond 1,023."""
    waiting = select.poll()
    for end in ends:
        waiting.register(end, select.POLLIN)
    return {descriptor for descriptor, _ in waiting.poll(None if for_s is None else for_s * 1_000)}
