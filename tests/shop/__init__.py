"""A small shop on 127.0.0.1, and syncer's source for it: what the tests of the command line pull from, and how."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 50
TOKEN = "shop-token-1"


class Shop:
    """The server's state; a test changes it."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {"items": [], "orders": []}
        self.forbidden: set[str] = set()  # streams that the token may not read
        self.locked: set[str] = set()  # streams of which one part is locked
        self.account = "the corner shop"
        self.gate: Callable[[str], None] = lambda stream: None  # called before a page of a stream is answered
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, data = shop.answer(self.path, self.headers.get("Authorization", ""))
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, path: str, token: str) -> tuple[int, Any]:
        """Answer one request."""
        parts = urlsplit(path)
        stream = parts.path.strip("/")
        if token != TOKEN:
            return 401, {"message": "who are you?"}
        if stream == "me":
            return 200, {"account": self.account, "user": "the baker"}
        self.gate(stream)
        if stream in self.forbidden:
            return 403, {"message": "not for you"}
        after = int(parse_qs(parts.query)["after"][0])
        left = [record for record in self.records[stream] if record["id"] > after]
        return 200, {"records": left[:PAGE], "more": len(left) > PAGE, "is_locked": stream in self.locked}

    def fill(self, stream: str, count: int) -> None:
        """Put *count* records in."""
        self.records[stream] = [{"id": n, "name": f"thing {n}", "price": n * 10} for n in range(1, count + 1)]

    def close(self) -> None:
        """Shut the shop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Result:
    """What a call printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Syncer = Callable[..., Result]


def started(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "syncer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def passed(gate: threading.Event, reached: threading.Event | None = None) -> None:
    """Wait before a gate that a test opens, and tell it that somebody waits."""
    if reached is not None:
        reached.set()
    gate.wait(60)


def one_line(text: str) -> bool:
    """Tell whether a text is just one line."""
    return text.endswith("\n") and text.count("\n") == 1
