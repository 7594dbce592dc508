"""A place that notifications are sent to, on 127.0.0.1: it keeps what came, and answers as a test says."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

PATH = "/services/T0SECRET/hook-p4th?sig=qu3ry-s3cret"
SECRETS = ("T0SECRET", "hook-p4th", "qu3ry-s3cret")


@attrs.define
class Hook:
    """
    What came, each as path, headers and body; and how it is answered.

    statuses: of the next answers, then 200. drips: it answers one byte in a tenth of a second, without end.
    """

    url: str = ""
    came: list[tuple[str, dict[str, str], bytes]] = attrs.field(factory=list)
    statuses: list[int] = attrs.field(factory=list)
    drips: bool = False
    is_over: threading.Event = attrs.field(factory=threading.Event)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What came, read."""
        return [json.loads(body) for _, _, body in self.came]

    @property
    def only(self) -> dict[str, Any]:
        """The one document that came."""
        [found] = self.documents
        return found


@contextlib.contextmanager
def listening() -> Iterator[Hook]:
    """Serve a hook."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.came.append((self.path, dict(self.headers), body))
            self.send_response(hook.statuses.pop(0) if hook.statuses else 200)
            if self.path.startswith("/moved"):
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            while hook.drips and not hook.is_over.is_set():
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield hook
    hook.is_over.set()
    server.shutdown()
    server.server_close()
    thread.join()
