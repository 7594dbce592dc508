"""
An API that is not there: records are made in the process, so a pull costs what syncer and the warehouse cost.

The URL's path says what a pull reads: `/ROWS/STEP/TURN`: so many records, each so many ids behind the last one, from 1
on, with values of that turn; ROWS 0: nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from syncer.sources import Identity, Key, Needs, Page, Place

if TYPE_CHECKING:
    from syncer.mapping import Field
    from syncer.settings import Account
    from syncer.transport import Doors

NEEDS = Needs(title="Records made here", url="http://127.0.0.1/0/1/0", token="any text")
PAGE = 100


class MadeSource:
    """Records that are made."""

    name = "scale"
    requests = 0

    def __init__(self, url: str) -> None:
        self.rows, self.step, self.turn = (int(part) for part in urlsplit(url).path.strip("/").split("/"))

    def check(self) -> Identity:
        """Nobody is asked."""
        return Identity(account="made", user="made", clock_skew_s=0.0)

    def describe(self, stream: str) -> Sequence[Field]:
        """There are no definitions."""
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield what changed, and the place behind it."""
        for first in range(0, max(self.rows, 1), PAGE):
            ids = [1 + number * self.step for number in range(first, min(first + PAGE, self.rows))]
            yield Page(
                place={"turn": self.turn, "at": first}, mark=str(self.turn), records=[self._made(i) for i in ids]
            )

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """There is no census of what is made."""
        yield from ()

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield records by key."""
        yield Page(records=[self._made(int(key)) for (key,) in keys])

    def close(self) -> None:
        """Nothing is open."""

    def _made(self, number: int) -> dict[str, Any]:
        texts = {f"text_{column}": f"text {column} of record {number}" for column in range(1, 9)}
        return {
            "id": number, "updated": "2026-01-01T00:00:00Z", "amount": number / 4, "owner_id": number % 100,
            **texts, "text_1": f"turn {self.turn}",
        }  # fmt: skip


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> MadeSource:
    """Make the source."""
    return MadeSource(account.url)
