"""
Faults on demand: which requests fail, and how.

Here: the decision. How a fault is carried out on a socket is in `server`.
"""

from __future__ import annotations

import difflib
import json
import math
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import attrs

from syncer.sandbox.messages import Request

Kind = Literal["reset_before", "reset_after", "timeout", "truncate", "status", "html", "late"]


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
    status: `status`, `headers` and `body` are answered, the request is not handled; html: so is a 200 text/html page;
    late: the connection is reset, the request is handled `late_s` later by the sandbox's clock: a merge of HubSpot is.
    What else meets it is handled at once, as by reset_after.
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
    late_s: float = 30.0
    site: str | None = None  # None: every site


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, *, lowest: int = 0, highest: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _is_expression(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return True


def _are_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


_WANTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "match": ("a regular expression", lambda value: isinstance(value, str) and _is_expression(value)),
    "times": ("a whole number, 0 or more, or null: for ever", lambda value: value is None or _is_whole(value)),
    "skip": ("a whole number, 0 or more", _is_whole),
    "probability": ("a number between 0 and 1", lambda value: _is_number(value) and 0 <= value <= 1),
    "status": ("a status from 100 to 599", lambda value: _is_whole(value, lowest=100, highest=599)),
    "headers": ("an object of texts", _are_texts),
    "body": ("a text", lambda value: isinstance(value, str)),
    "hang_s": ("seconds, 0 or more", lambda value: _is_number(value) and value >= 0),
    "late_s": ("seconds, 0 or more", lambda value: _is_number(value) and value >= 0),
}


def wished(wish: Mapping[str, Any], *, sites: Iterable[str]) -> Fault:
    """
    Make the fault that JSON asks for.

    Raises: ValueError: its text is for who wrote the JSON: the key, what was found, what is known.
    """
    choices = {"kind": get_args(Kind), "site": (None, *sites)}
    names = [field.name for field in attrs.fields(Fault)]
    for name in wish:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}? Known" if near else "known"
            raise ValueError(f"not a fault: no key {name}; {meant}: {', '.join(names)}")
    if "kind" not in wish:
        raise ValueError(f"not a fault: kind is missing; known: {', '.join(choices['kind'])}")
    for name, value in wish.items():
        found = f"not a fault: {name} is {json.dumps(value)}"
        if name in choices:
            if value not in choices[name]:
                raise ValueError(f"{found}; known: {', '.join(each for each in choices[name] if each)}")
        elif not _WANTED[name][1](value):
            raise ValueError(f"{found}; wanted: {_WANTED[name][0]}")
    return Fault(**wish)


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
