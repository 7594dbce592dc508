"""
A real browser for the tests: Chromium without a window, told what to do over its DevTools protocol, through a pair of
pipes, so that nothing listens anywhere.

Source: https://chromedevtools.github.io/devtools-protocol/ and Chromium's `--remote-debugging-pipe`: it reads messages
from descriptor 3 and writes to 4, each a JSON object with a NUL behind it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SLOWEST_S = 60.0
# Puts the two descriptors where Chromium looks for them, and becomes it.
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


class Browser:
    """One page of one browser; a context manager. `errors` is what its console and its policies complained of."""

    def __init__(self, folder: Path) -> None:
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        assert program is not None, "The tests look at reports in a real browser: install Chromium."
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        given = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs_in, theirs_out)]  # not 3 or 4 themselves
        command = [sys.executable, "-c", START, *map(str, given), program, *OPTIONS, f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            command, pass_fds=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        for each in (theirs_in, theirs_out, *given):
            os.close(each)
        self._buffer, self._number, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.seconds = 0.0  # that the last page took to open

    def __enter__(self) -> Browser:
        """Open an empty page."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; end its processes where it does not."""
        try:
            self._session = ""
            self.ask("Browser.close")
            self._process.wait(20)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, 9)  # the session that was started for it
                self._process.wait(20)
            os.close(self._in)
            os.close(self._out)

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is drawn; `seconds` is how long that took."""
        began = time.monotonic()
        self.ask("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        self.seconds = time.monotonic() - began

    def run(self, script: str) -> Any:
        """Run an expression in the page, to the end of its promise; return its value. Raises RuntimeError."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        ends = time.monotonic() + SLOWEST_S
        while not self.run(condition):
            assert time.monotonic() < ends, condition
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press one key."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def picture(self, path: Path, *, width: int, height: int, is_dark: bool = False) -> None:
        """Take a picture of what a window of that size shows."""
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}],
        )
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its result. What the page tells meanwhile is noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            self._note(told)
            if told.get("id") == self._number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], SLOWEST_S)
            part = os.read(self._in, 1 << 20) if ready else b""
            assert part, "the browser says nothing any more"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, told: dict[str, Any]) -> None:
        what = told.get("params", {})
        match told.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(what["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if what["type"] in ("error", "warning", "assert"):
                self.errors.append(json.dumps(what["args"]))
            case "Log.entryAdded" if what["entry"]["level"] in ("error", "warning"):
                self.errors.append(what["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(what["request"]["url"])
