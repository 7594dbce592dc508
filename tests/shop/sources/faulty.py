"""A source that is wrong itself: what it raises must not be printed as it is."""

from __future__ import annotations

import email.utils
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from syncer.errors import SyncerError
from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Source
from syncer.transport import Doors

NEEDS = Needs(title="A faulty source", url="http://127.0.0.1:8000", token="any")


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    return Faulty(account.token)


class Faulty:
    """The source."""

    name = "faulty"
    requests = 0

    def __init__(self, token: str) -> None:
        self._token = token

    def check(self) -> Identity:
        return Identity(account="nobody", user="nobody", clock_skew_s=0.0)

    def describe(self, stream: str) -> Sequence[Field]:
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        yield Page()
        if stream == "values":
            raise KeyError("a record's value")
        if stream == "dates":
            email.utils.parsedate_to_datetime("a record's value")
        raise SyncerError(f"this must not be shown: {self._token}.")

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        yield from ()

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        yield from ()

    def close(self) -> None:
        pass
