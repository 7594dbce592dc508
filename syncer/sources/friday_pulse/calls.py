"""
Requests to one Friday Pulse account, one after the other: who we are, and lists that must be lists.

Every list is a bare JSON array without pages, so that nothing in an answer tells whether it is complete: what is no
array of objects is an error, never an empty list.

Not here: what the answers hold (the files beside this one).
Source: api-docs.fridaypulse.com, "GET /api/v1/notes"; no rate limit is published.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from syncer import budget
from syncer.budget import Bucket
from syncer.errors import AnswerError, NotAllowed, NotFound, Unavailable, UsageError
from syncer.settings import Account
from syncer.sources import Identity, Record
from syncer.transport import Answer, Doors, Rules, Transport, moment_of

API = "/api/v1"
TRIES = 3  # a 5xx may be how an empty slice looks, so it is not asked for ever
RULES = Rules(tries=TRIES, first_wait_s=1.0, read_timeout_s=60.0)
ROUNDS = 2  # of those tries, where nothing was answered, or 429: that is never how an empty slice looks
REQUESTS_PER_MINUTE = 600  # our own; the API names none
SKEW_TO_TELL_S = 60.0


class Calls:
    """Asks one account."""

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self.clock = doors.clock
        self.root = root_of(account.url)
        self._bucket = _bucket(account)
        self.transport = Transport(
            f"{self.root}{API}",
            owner=budget.owner_of("friday_pulse", self.root, account.token),
            doors=doors,
            headers={"Authorization": f"Bearer {account.token}"},
            rules=RULES,
        )
        self.transport.environment = account.environment

    def rows(self, path: str, *, date: str | None = None) -> list[Record]:
        """
        Return the list at *path*, of one flow date where it has any.

        Raises: Unavailable, NotAllowed, NotFound, RequestError; AnswerError: it is no array of objects.
        """
        return a_list(self._get(path, date))

    def check(self) -> tuple[Identity, float, list[Record]]:
        """
        Ask for the topics: they prove the token. Return who we are, the server's time, and the topics.

        Friday Pulse has no call that tells who the token is, so the account is the host.
        Raises: NotAllowed: the token is wrong; NotFound: this is no Friday Pulse; AnswerError.
        """
        before = self.clock.now()
        try:
            answer = self._get("/topics", None)
        except NotAllowed as error:
            raise NotAllowed(
                f"Friday Pulse at {self.root} does not accept the token (status {error.status}).",
                hint="Make a new one in Friday Pulse, as an administrator or analyst: they see all groups.",
                status=error.status,
            ) from error
        except NotFound as error:
            raise NotFound(
                f"{self.root} has no Friday Pulse API (404 for {API}/topics).",
                hint="The URL is https://app.fridaypulse.com, with or without /api behind it.",
                status=404,
            ) from error
        topics = a_list(answer)
        ours = before + (self.clock.now() - before) / 2
        theirs = moment_of(answer.headers.get("Date") or "") or ours
        skew_s = (theirs - ours).total_seconds()
        notes = []
        if abs(skew_s) > SKEW_TO_TELL_S:
            notes.append(
                f"the clock here is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} Friday Pulse's"
            )
        if not topics:
            notes.append("there are no topics: does the token's role see any?")
        host = (urlsplit(self.root).hostname or "").lower()
        user = "not told by the API"
        return Identity(account=host, user=user, clock_skew_s=skew_s, notes=tuple(notes)), theirs.timestamp(), topics

    def still_works(self) -> None:
        """Make sure that the API answers at all. Raises what `rows` raises."""
        self.rows("/topics")

    def close(self) -> None:
        """Let go of the connections."""
        self.transport.close()

    def _get(self, path: str, date: str | None) -> Answer:
        params = {"date": date} if date is not None else None
        for left in range(ROUNDS - 1, -1, -1):
            try:
                return self.transport.get(path, params, bucket=self._bucket)
            except Unavailable as error:
                if error.status >= 500 or not left:
                    raise
                if self._bucket is None:  # else the budget waits, as long as the answer said
                    self.clock.sleep(RULES.default_429_s)
        raise AssertionError("unreachable: the last round returns or raises")


def root_of(url: str) -> str:
    """Return the base URL, which may have been given with /api or /api/v1 behind it."""
    return url.rstrip("/").removesuffix("/v1").removesuffix("/api").rstrip("/")


def a_list(answer: Answer) -> list[Record]:
    """Return the array of objects that was answered. Raises AnswerError where it is something else."""
    data: Any = answer.data
    if not isinstance(data, list):
        raise AnswerError(
            f"{answer.where} answered a JSON {_kind(data)} where a list should stand.",
            hint="It is safe to run again; if it stays so, the API has changed, or a proxy speaks.",
        )
    odd = next((element for element in data if not isinstance(element, dict)), data)
    if odd is not data:
        raise AnswerError(f"{answer.where} gave a JSON {_kind(odd)} in a list of {len(data)} objects.")
    return data


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _bucket(account: Account) -> Bucket | None:
    found = account.options.get("requests_per_minute", REQUESTS_PER_MINUTE)
    if found == "off":
        return None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UsageError(
            f'requests_per_minute in [friday_pulse] is {found!r}; it is a whole number from 1 on, or "off".'
        )
    return Bucket(name="all", limit=found, window_s=60.0)
