"""
The sandbox's HTTP server: one port on 127.0.0.1, one prefix for each site, HTTP/1.1, a thread for each connection.

Here: sockets, HTTP syntax, faults as the client feels them. Not here: what is answered (the sites; `control` for
`/_sandbox`), which request meets a fault (`faults`), the log (`traffic`).

Own code and not `http.server`: that one parses headers with the email package (most of a small request's time) and
sends head and body apart, which costs 40 ms where the client delays its ACK. Source: RFC 9112.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import struct
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from io import BufferedReader
from typing import Any
from urllib.parse import parse_qs, unquote

import attrs

from syncer.sandbox.clock import Clock
from syncer.sandbox.control import Control
from syncer.sandbox.faults import Fault, Faults
from syncer.sandbox.messages import RESET, Request, Response, Site
from syncer.sandbox.traffic import Entry, SiteCounts, Traffic

CONTROL = "_sandbox"
LOG_IN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body>Please log in.</body></html>"
POLL_S = 0.01  # how often the listener looks whether it is to stop; tests stop hundreds of servers
MAX_LINE = 256 * 1024  # a GET search may carry a long JQL

# SO_LINGER with time-out 0: close() sends RST. Windows has two shorts there, the others two ints.
_LINGER_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)

Hook = Callable[[Site, Request], None]


class MalformedError(ValueError):
    """What came is not HTTP."""


class Sandbox:
    """
    A running set of sites, as a context manager.

    `before_request` holds hooks that are called, under the site's lock, just before it answers: a test edits records
    there while a pull runs. `errors` holds the traceback of each request that a site failed to answer (it got a 500).
    """

    def __init__(
        self, *, sites: Sequence[Site], clock: Clock | None = None, port: int = 0, faults: Faults | None = None
    ) -> None:
        """Prepare, open nothing: `start()`, or `with`, does. Port 0: any free one."""
        self.sites: dict[str, Site] = {site.name: site for site in sites}
        self.clock = clock or Clock()
        self.faults = faults or Faults()
        self.before_request: list[Hook] = []
        self.errors: list[str] = []
        self._traffic = Traffic()
        self._locks = {name: threading.RLock() for name in self.sites}
        self._control = Control(
            sites=self.sites, locks=self._locks, clock=self.clock, faults=self.faults, traffic=self._traffic
        )
        self._wanted_port = port
        self._server: _Server | None = None
        self.stopping = threading.Event()

    def start(self) -> Sandbox:
        """Listen, in threads of its own; return the sandbox itself."""
        if self._server is None:
            self.stopping.clear()
            self._server = _Server(self, self._wanted_port)
            threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="sandbox", daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and drop every open connection; requests that hang are let go."""
        server, self._server = self._server, None
        if server is not None:
            self.stopping.set()
            server.shutdown()
            server.server_close()
            server.drop_connections()

    def __enter__(self) -> Sandbox:
        """Start."""
        return self.start()

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the sandbox is not running: call start(), or use it in a with statement")
        return int(self._server.server_address[1])

    def url(self, site: str) -> str:
        """Return the base URL of *site*, without a slash at its end."""
        if site not in self.sites and site != CONTROL:
            raise KeyError(f"no site {site!r}; known: {', '.join(sorted(self.sites))}")
        return f"http://127.0.0.1:{self.port}/{site}"

    @property
    def log(self) -> deque[Entry]:
        """The requests so far, oldest first."""
        return self._traffic.log

    @property
    def counts(self) -> dict[str, SiteCounts]:
        """The counts so far, by site; a site that was not asked is not there."""
        return self._traffic.counts()

    def reset_counts(self) -> None:
        """Forget log and counts."""
        self._traffic.reset()

    @contextlib.contextmanager
    def locked(self, site: str) -> Iterator[Site]:
        """Hold *site*'s lock: no request is answered meanwhile. For edits from a test's own thread."""
        with self._locks[site]:
            yield self.sites[site]

    def handle(self, request: Request, name: str) -> Response:
        """Answer one request of site *name*, under its lock."""
        site = self.sites[name]
        with self._locks[name]:
            for hook in list(self.before_request):
                hook(site, request)
            return site.answer(request)

    def control(self, request: Request) -> Response:
        """Answer one request of `/_sandbox`."""
        return self._control.answer(request)

    def record(self, request: Request, name: str, *, status: int, size: int, fault: Fault | None) -> None:
        """Note one request in log and counts."""
        self._traffic.record(
            Entry(
                time=self.clock.now(),
                site=name,
                method=request.method,
                path=request.sent,
                status=status,
                bytes=size,
                fault=fault.kind if fault else None,
                received=len(request.body),
            )
        )


class _Server(socketserver.ThreadingTCPServer):
    """The listening socket and the open connections."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    # On Windows this option would let another process take the port over.
    allow_reuse_address = os.name != "nt"

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self.resets: set[socket.socket] = set()  # connections that end with RST
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        if request in self.resets:
            self.resets.discard(request)
            self.close_request(request)  # without shutdown(), which would send FIN first
        else:
            super().shutdown_request(request)

    def drop_connections(self) -> None:
        """Shut every open connection, so that the threads that read from one end."""
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the traceback of a site that failed, and tell the client with a 500 (the connection is closed then)."""
        text = traceback.format_exc()
        self.sandbox.errors.append(text)
        sys.stderr.write(text)
        head = b"HTTP/1.1 500 Sandbox failed\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(OSError):
            request.sendall(head + text.encode("utf-8", "backslashreplace"))


class _Connection(socketserver.BaseRequestHandler):
    """One connection: request after request until one side closes it."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Serve the connection. What the client does to it (resets it, goes away) ends it silently."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), self.request.makefile("rb") as stream:
            try:
                while self._serve_one(stream):
                    pass
            except MalformedError as error:
                self._send("HTTP/1.1", Response(status=400, body=str(error).encode()), is_last=True)

    def _serve_one(self, stream: BufferedReader) -> bool:
        """Serve one request; return whether another may follow on this connection."""
        line = _read_line(stream)
        while line == b"":  # RFC 9112, 2.2: an empty line before a request is ignored
            line = _read_line(stream)
        if line is None:
            return False
        method, target, version = _request_line(line)
        headers = _read_headers(stream)
        if headers.get("expect", "").lower() == "100-continue":
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _read_body(stream, headers)
        tokens = headers.get("connection", "").lower()
        is_last = "close" in tokens or (version == "HTTP/1.0" and "keep-alive" not in tokens)
        name, request = self._request(method, target, headers, body)
        return self._answer(name, request, is_last=is_last) and not is_last

    def _request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[str, Request]:
        """Split the prefix off *target*; return the site's name and what it gets."""
        raw, _, raw_query = target.partition("?")
        name, slash, rest = raw.lstrip("/").partition("/")
        raw_path = slash + rest or "/"
        request = Request(
            method=method,
            path=unquote(raw_path),
            raw_path=raw_path,
            query=parse_qs(raw_query, keep_blank_values=True) if raw_query else {},
            headers=headers,
            body=body,
            base_url=f"http://127.0.0.1:{self.server.server_address[1]}/{name}",
            raw_query=raw_query,
        )
        return name, request

    def _answer(self, name: str, request: Request, *, is_last: bool) -> bool:
        """Answer *request*; return whether the connection is still good."""
        sandbox = self.server.sandbox
        if name == CONTROL:
            return self._send(request.method, sandbox.control(request), is_last=is_last)
        if name not in sandbox.sites:
            nobody = f"no site here; known: {', '.join(sorted(sandbox.sites))}\n"
            return self._send(request.method, Response(status=404, body=nobody.encode()), is_last=is_last)
        fault = sandbox.faults.pick(request)
        if fault is not None:
            return self._answer_fault(name, request, fault, is_last=is_last)
        response = sandbox.handle(request, name)
        sandbox.record(request, name, status=response.status, size=len(response.body), fault=None)
        if response == RESET:
            self._reset()
            return False
        return self._send(request.method, response, is_last=is_last)

    def _answer_fault(self, name: str, request: Request, fault: Fault, *, is_last: bool) -> bool:
        """Do to *request* what *fault* says; return whether the connection is still good."""
        sandbox = self.server.sandbox
        if fault.kind in ("status", "html"):
            response = _made_up(fault)
            sandbox.record(request, name, status=response.status, size=len(response.body), fault=fault)
            return self._send(request.method, response, is_last=is_last)
        if fault.kind == "truncate":
            response = sandbox.handle(request, name)
            sandbox.record(request, name, status=response.status, size=len(response.body) // 2, fault=fault)
            head, body = self._bytes(response, is_last=is_last)
            self.request.sendall(head + body[: len(body) // 2] if body else head[: len(head) // 2])
            return False
        if fault.kind != "reset_before":
            late_s = fault.late_s if fault.kind == "late" else 0.0
            sandbox.handle(attrs.evolve(request, late_s=late_s), name)
        sandbox.record(request, name, status=0, size=0, fault=fault)
        if fault.kind == "timeout":
            sandbox.stopping.wait(fault.hang_s)
        else:
            self._reset()
        return False

    def _reset(self) -> None:
        """Close the connection with RST instead of FIN."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.server.resets.add(self.request)

    def _send(self, method: str, response: Response, *, is_last: bool) -> bool:
        """Send head and body in one piece."""
        head, body = self._bytes(response, is_last=is_last)
        self.request.sendall(head if method == "HEAD" else head + body)
        return True

    def _bytes(self, response: Response, *, is_last: bool) -> tuple[bytes, bytes]:
        """Return *response* as head and body."""
        try:
            reason = HTTPStatus(response.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {response.status} {reason}", f"Date: {self.server.sandbox.clock.http_date()}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        if response.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(response.body)}")
        lines += ["Connection: close" if is_last else "Connection: keep-alive", "", ""]
        return "\r\n".join(lines).encode("latin-1"), response.body


def _made_up(fault: Fault) -> Response:
    """Return the answer that a "status" or "html" fault puts in the place of the site's."""
    if fault.kind == "html":
        headers = {"Content-Type": "text/html;charset=UTF-8", **fault.headers}
        return Response(status=200, headers=headers, body=(fault.body or LOG_IN_PAGE).encode())
    headers = {"Content-Type": "application/json", **fault.headers}
    return Response(status=fault.status, headers=headers, body=fault.body.encode())


def _read_line(stream: BufferedReader) -> bytes | None:
    """Read one line without its end; None where the connection has ended."""
    line = stream.readline(MAX_LINE + 1)
    if not line.endswith(b"\n"):
        if len(line) > MAX_LINE:
            raise MalformedError("a line is too long")
        return None
    return line.rstrip(b"\r\n")


def _request_line(line: bytes) -> tuple[str, str, str]:
    """Split "GET /path HTTP/1.1"."""
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise MalformedError("the request line is not HTTP/1")
    return parts[0], parts[1], parts[2]


def _read_headers(stream: BufferedReader) -> dict[str, str]:
    """Read headers up to the empty line; a name that comes twice is joined with a comma."""
    headers: dict[str, str] = {}
    while line := _read_line(stream):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise MalformedError("a header line has no colon")
        key, value = name.strip().lower(), value.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if line is None:
        raise MalformedError("the connection ended within the headers")
    return headers


def _read_body(stream: BufferedReader, headers: dict[str, str]) -> bytes:
    """Read the body, by its length or in chunks."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return b"".join(_chunks(stream))
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise MalformedError("Content-Length is not a number")
    return _read_exactly(stream, int(length))


def _chunks(stream: BufferedReader) -> Iterator[bytes]:
    """Yield the chunks of a chunked body; its trailer is read and dropped."""
    while True:
        line = _read_line(stream) or b""
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise MalformedError("a chunk has no size") from error
        if size == 0:
            break
        yield _read_exactly(stream, size)
        _read_line(stream)
    while _read_line(stream):
        pass


def _read_exactly(stream: BufferedReader, size: int) -> bytes:
    data = stream.read(size) if size else b""
    if len(data) != size:
        raise MalformedError("the body is shorter than it was announced")
    return data
