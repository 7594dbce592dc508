"""
A source of the tests' own that speaks HTTP: a small shop. Found like a company's own (`[syncer] folders`).

    GET /me              {"account", "user"}; the token in `Authorization`
    GET /STREAM?after=N  {"records": […], "more": bool}, by id
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from syncer.budget import Bucket, owner_of
from syncer.errors import NotAllowed
from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Source, Whole
from syncer.transport import Doors, Rules, Transport

NEEDS = Needs(
    title="The shop",
    url="http://127.0.0.1:8000",
    token="the one on the wall",
    options={"aisle": "which part of it"},
)
BUCKET = Bucket(name="minute", limit=10_000, window_s=60)


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    return Shop(account, doors)


class Shop:
    """The shop, read."""

    name = "shop"

    def __init__(self, account: Account, doors: Doors) -> None:
        self._transport = Transport(
            account.url,
            owner=owner_of("shop", account.url, account.token),
            doors=doors,
            headers={"Authorization": account.token},
            rules=Rules(tries=1),
        )

    @property
    def requests(self) -> int:
        return self._transport.requests

    def check(self) -> Identity:
        answer = self._transport.get("/me", bucket=BUCKET)
        skew = (
            email.utils.parsedate_to_datetime(answer.headers["Date"]) - self._transport.clock.now()
        ).total_seconds()
        return Identity(account=answer.data["account"], user=answer.data["user"], clock_skew_s=skew)

    def describe(self, stream: str) -> Sequence[Field]:
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        after = places.get("", {}).get("after", 0)
        while True:
            data = self._transport.get(f"/{stream}", {"after": after}, bucket=BUCKET).data
            if data["is_locked"]:
                yield Page(scope="cellar", error=NotAllowed("the cellar is locked.", hint="Ask for the key."))
            after = max([after, *(record["id"] for record in data["records"])])
            yield Page(records=data["records"], place={"after": after}, mark=f"{after:06}")
            if not data["more"]:
                return

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        pages = self.read(stream, places={}, lookback=timedelta(), fields=())
        yield Page(records=[record for page in pages for record in page.records], whole=Whole())

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        wanted = {key[0] for key in keys}
        for page in self.read(stream, places={}, lookback=timedelta(), fields=()):
            yield Page(records=[record for record in page.records if record["id"] in wanted])

    def close(self) -> None:
        self._transport.close()
