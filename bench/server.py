"""
The API that everybody reads: a process of its own on the loopback, whose pages are rendered before it says that it is
ready.

    GET /records?after=ID   a page of 100 records: {"records": […], "next": ID or null}
    GET /who                {"account": "bench"}
    GET /count              how many requests were answered since the last /count, itself left out

It is written on bare sockets, pages lie in a file that is mapped into memory, and an answer is one `sendall`: it must
not be what the others wait for. Its CPU is counted for nobody.
"""

from __future__ import annotations

import mmap
import socket
import sys
import tempfile
import threading

from bench.records import PAGE_RECORDS, pages

_LINE_END = b"\r\n\r\n"


class Api:
    """The rendered pages, and the count of requests."""

    def __init__(self, records: int, *, is_changed: bool = False) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self._starts = [0]
        for page in pages(records, is_changed=is_changed):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(page)
            self._starts.append(self._starts[-1] + self._file.write(head + page))
        self._file.flush()
        self._pages = memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        self._lock = threading.Lock()
        self._count = 0

    def answer(self, target: str) -> bytes | memoryview:
        """Return the whole answer to a GET of *target*."""
        path, _, query = target.partition("?")
        if path == "/count":
            with self._lock:
                count, self._count = self._count, 0
            return _small(b"%d" % count)
        with self._lock:
            self._count += 1
        if path == "/records":
            number = int(query.partition("after=")[2] or 0) // PAGE_RECORDS
            return self._pages[self._starts[number] : self._starts[number + 1]]
        return _small(b'{"account":"bench"}')


def _small(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _serve(connection: socket.socket, api: Api) -> None:
    """Answer the requests of one connection, one after the other, until it is closed."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        waiting = b""
        while True:
            while _LINE_END not in waiting:
                received = connection.recv(65536)
                if not received:
                    return
                waiting += received
            head, _, waiting = waiting.partition(_LINE_END)
            connection.sendall(api.answer(head.split(b" ", 2)[1].decode()))


def main(records: int, *, is_changed: bool) -> None:
    """Render, say on which port, and answer until ended."""
    api = Api(records, is_changed=is_changed)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, api), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), is_changed="changed" in sys.argv[2:])
