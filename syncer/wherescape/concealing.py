"""
Secrets, and how they are taken out of a text: `***` stands in their place, however they are written there.

Not here: which they are (`environment.py`, `parameters.py`), and what is told (`hosting.py`). Pure.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from syncer.wherescape import protocol

SHORTEST = 4  # letters; a shorter one is no secret, and would be found in every other word
HIDDEN = "***"


class Secrets:
    """The secrets of a process; threads may add some at any time."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()  # the longest first: one may be a part of another
        self._adding = threading.Lock()
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Take these out of every text from now on."""
        found = {form for each in secrets for form in _forms(each) if len(form) >= SHORTEST}
        with self._adding:
            self._forms = tuple(sorted(found.union(self._forms), key=lambda form: (-len(form), form)))

    def hidden(self, text: str) -> str:
        """Take every known secret out of *text*."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text


def _forms(secret: str) -> set[str]:
    """
    Write a secret as it may stand in a text: in a connection string, without the blanks around it, in one line, as
    Python and JSON write it, in a URL.
    """
    if len(secret) < SHORTEST:
        return set()
    in_python = repr(f'"{secret}')[2:-1]  # the quote makes it that of single quotes, in which one is \'
    unquoted = in_python.replace("\\'", "'")  # in double quotes it is not
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    raw = secret.encode("utf-8", "surrogatepass")
    in_json |= {each.replace("/", "\\/") for each in in_json}  # as some write it
    in_url = {way(raw, safe=safe) for way in (quote, quote_plus) for safe in ("", "/")}
    whole = {secret, secret.strip(), protocol.line(secret)}
    return whole | {secret.replace("}", "}}"), in_python, unquoted} | in_json | in_url
