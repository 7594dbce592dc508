"""
The bench's API as a source: one stream, pages by `?after=`, the whole of the port that a pull of it needs.

Source: bench/server.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncer.budget import Bucket, owner_of
from syncer.sources import Identity, Key, Needs, Page, Place, State, Whole
from syncer.transport import Transport

if TYPE_CHECKING:
    from syncer.mapping import Field
    from syncer.settings import Account
    from syncer.transport import Doors

NEEDS = Needs(title="The bench's API", url="http://127.0.0.1:8080", token="any text")
BUCKET = Bucket(name="all", limit=100_000, window_s=10.0)  # more than it can be asked: only the taking costs


class BenchSource:
    """The bench's API, read."""

    name = "bench"

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self._transport = Transport(
            account.url,
            owner=owner_of(account.source, account.url, account.token),
            doors=doors,
            headers={"Authorization": f"Bearer {account.token}"},
        )

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._transport.requests

    def check(self) -> Identity:
        """Ask the API who we are."""
        found = self._get("/who")
        return Identity(account=found["account"], user=found["account"], clock_skew_s=0.0)

    def describe(self, stream: str) -> Sequence[Field]:
        """The API has no definitions."""
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield the pages behind the place; its mark is the last record's `updated`."""
        after: int | None = places.get("", {}).get("after", 0)
        while after is not None:
            found = self._get("/records", after=after)
            records = found["records"]
            after = found["next"]
            yield Page(place={"after": records[-1]["id"]}, mark=records[-1]["updated"], records=records)

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every record: nothing shorter is to be had."""
        for page in self.read(stream, places={}, lookback=timedelta(0), fields=()):
            yield Page(records=page.records, whole=Whole(first=page.records[0]["id"] == 1, last=False))
        yield Page(whole=Whole(first=False))

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield one record at a time, where there is one."""
        for (number,) in keys:
            found = [record for record in self._get("/records", after=number - 1)["records"] if record["id"] == number]
            yield Page(records=found) if found else Page(states=[State(key=(number,), state="deleted")])

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _get(self, path: str, **query: Any) -> Any:
        return self._transport.get(path, query, bucket=BUCKET).data


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> BenchSource:
    """Make the source."""
    return BenchSource(account, doors=doors)
