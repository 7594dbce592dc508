"""
Faults on demand: which requests fail, and how.

Here: the decision. How a fault is carried out on a socket is in `server`.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

import attrs

from syncer.sandbox.messages import Request

Kind = Literal["reset_before", "reset_after", "timeout", "truncate", "status", "html"]


def _is_pattern(fault: object, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"Fault.match is not a regular expression: {value!r} ({error})") from error


@attrs.frozen(kw_only=True)
class Fault:
    """
    What goes wrong with the requests that match.

    reset_before: the connection is reset, the request is never handled; reset_after: it is handled, then reset;
    timeout: it is handled, then nothing is answered for `hang_s`, then the connection is closed;
    truncate: Content-Length tells the whole, half of it is sent, then the connection is closed;
    status: `status`, `headers` and `body` are answered, the request is not handled; html: so is a 200 text/html page.
    """

    kind: Kind = attrs.field(validator=attrs.validators.in_(get_args(Kind)))
    match: str = attrs.field(default="", validator=_is_pattern)  # searched in "METHOD raw_path?query"
    times: int | None = 1  # None: for ever
    skip: int = 0  # so many matching requests pass first
    probability: float = 1.0
    status: int = 503
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: str = ""
    hang_s: float = 30.0
    site: str | None = None  # None: every site


class Faults:
    """The faults that are switched on. Seeded: the same requests meet the same faults."""

    def __init__(self, seed: int = 0) -> None:
        """Start without any fault."""
        self.reached: Counter[str] = Counter()  # how many requests met each kind
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._active: list[_Active] = []

    def add(self, fault: Fault) -> None:
        """Switch *fault* on, behind those that are on already: the first that applies is taken."""
        with self._lock:
            self._active.append(_Active(fault))

    def clear(self) -> None:
        """Switch all faults off; `reached` stays."""
        with self._lock:
            self._active.clear()

    def pick(self, request: Request) -> Fault | None:
        """Return the fault that *request* meets, if any, and count it."""
        if not self._active:
            return None
        with self._lock:
            for active in self._active:
                if active.meets(request, self._random):
                    self.reached[active.fault.kind] += 1
                    return active.fault
        return None


class _Active:
    """A fault with what is left of its `skip` and `times`."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._pattern = re.compile(fault.match)
        self._skip = fault.skip
        self._left = fault.times

    def meets(self, request: Request, rng: random.Random) -> bool:
        """Decide whether *request* meets the fault; use up one of its times if so."""
        fault = self.fault
        if self._left == 0 or not self._pattern.search(request.target):
            return False
        if fault.site is not None and not request.base_url.endswith("/" + fault.site):
            return False
        if self._skip:
            self._skip -= 1
            return False
        if fault.probability < 1.0 and rng.random() >= fault.probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True
