"""
A door of a SQL Server and no more: it answers a driver's first packets, and then refuses the login, or goes.

Source: Microsoft's open specification MS-TDS: the packet header (2.2.3.1), PRELOGIN (2.2.6.5), ERROR and DONE (2.2.7).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

LOGIN, ANSWER, PRELOGIN = 0x10, 0x04, 0x12  # kinds of packets
ERROR, DONE = 0xAA, 0xFD  # tokens of an answer
NO_TLS, WANTS_TLS = 2, 3  # what PRELOGIN says of encryption
FATAL = 14  # the class of an error that ends a login


class Door:
    """
    Listens on a port of this machine.

    refusal: the number and text with which each login is refused; None: the connection is closed there.
    first: what is answered to the first packet in place of a server's own words; None: those.
    """

    def __init__(
        self, refusal: tuple[int, str] | None = None, *, first: bytes | None = None, encryption: int = NO_TLS
    ) -> None:
        self._refusal, self._first, self._encryption = refusal, first, encryption
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Door:
        """It listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it; a thread that waits at it would keep it open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            with taken, contextlib.suppress(OSError):
                taken.settimeout(5)
                self._answer(taken)

    def _answer(self, taken: socket.socket) -> None:
        kind = _packet(taken)
        if self._first is not None:
            taken.sendall(self._first)
            return
        if kind == PRELOGIN:
            taken.sendall(_framed(_prelogin(self._encryption)))
            kind = _packet(taken)
        if kind == LOGIN and self._refusal is not None:
            number, text = self._refusal
            taken.sendall(_framed(_error(number, text) + struct.pack("<BHHQ", DONE, 2, 0, 0)))
            _packet(taken)


def _packet(taken: socket.socket) -> int | None:
    """Read one packet; return its kind, None where there is none."""
    header = taken.recv(8, socket.MSG_WAITALL)
    if len(header) < 8:
        return None
    taken.recv(int.from_bytes(header[2:4], "big") - 8, socket.MSG_WAITALL)
    return header[0]


def _framed(body: bytes) -> bytes:
    return struct.pack(">BBHHBB", ANSWER, 1, len(body) + 8, 0, 1, 0) + body


def _prelogin(encryption: int) -> bytes:
    """Write version 15 of the server, and what it says of encryption."""
    version = bytes([15, 0, 8, 0, 0, 0])
    places = struct.pack(">BHH", 0, 11, len(version)) + struct.pack(">BHH", 1, 11 + len(version), 1) + b"\xff"
    return places + version + bytes([encryption])


def _error(number: int, text: str) -> bytes:
    said, server = text.encode("utf-16-le"), "stand-in".encode("utf-16-le")
    body = struct.pack("<IBBH", number, 1, FATAL, len(said) // 2) + said
    body += struct.pack("<B", len(server) // 2) + server + struct.pack("<BI", 0, 1)
    return struct.pack("<BH", ERROR, len(body)) + body
