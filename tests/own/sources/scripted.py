"""
A source of the tests' own: what it yields is a script, a Python object that a test holds by name.

It is found like a company's own source (`[syncer] folders`), so nothing in syncer knows that it is a test's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs

from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Needs, Page, Place
from syncer.transport import Doors

NEEDS = Needs(title="Scripted", url="http://script/NAME", token="any")
SCRIPTS: dict[str, Script] = {}


@attrs.define
class Script:
    """What the source does: each part a function that a test sets."""

    read: Callable[[str, Mapping[str, Place]], Iterator[Page]] = lambda stream, places: iter(())
    keys: Callable[[str, Mapping[str, Place]], Iterator[Page]] = lambda stream, places: iter(())
    fetch: Callable[[str, Sequence[tuple[Any, ...]]], Iterator[Page]] = lambda stream, keys: iter(())
    describe: Callable[[str], Sequence[Field]] = lambda stream: ()
    account: str = "the account"
    calls: list[str] = attrs.field(factory=list)


@attrs.define
class Scripted:
    """The source."""

    _script: Script
    name: str = "scripted"

    @property
    def requests(self) -> int:
        return len(self._script.calls)

    def check(self) -> Identity:
        return Identity(account=self._script.account, user="a test", clock_skew_s=0.0)

    def describe(self, stream: str) -> Sequence[Field]:
        return self._script.describe(stream)

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        self._script.calls.append("read")
        yield from self._script.read(stream, places)

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        self._script.calls.append("keys")
        yield from self._script.keys(stream, places)

    def fetch(self, stream: str, keys: Sequence[tuple[Any, ...]]) -> Iterator[Page]:
        self._script.calls.append("fetch")
        yield from self._script.fetch(stream, keys)

    def close(self) -> None:
        self._script.calls.append("close")


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Scripted:
    """Make the source whose script the URL's last part names."""
    return Scripted(SCRIPTS[account.url.rpartition("/")[2]])
