"""
One GitLab, asked: requests, answers that are kept for the other streams, the next page's link, who we are.

Not here: how lists are walked (`lists.py`), GraphQL (`graphql.py`), what a stream is.
Source: GitLab REST API docs ("REST API", "Authentication", "Personal access tokens"); GitLab docs, "Rate limits".
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from requests.utils import parse_header_links

from syncer.budget import Bucket, owner_of
from syncer.clock import iso
from syncer.errors import AnswerError, NotAllowed, NotFound, RequestError, SyncerError, Unavailable, UsageError
from syncer.settings import Account
from syncer.sources import Identity, Record
from syncer.spool import Spool
from syncer.transport import Answer, Doors, Rules, Transport, moment_of

API = "/api/v4"
PER_PAGE = 100  # the most that the API gives
READ_SCOPES = frozenset({"api", "read_api"})
EXPIRY_NOTE = dt.timedelta(days=14)
REQUESTS_PER_MINUTE = 2000  # GitLab.com's limit of a user
MAX_SICK = 3  # projects in a row whose own endpoints answer 5xx; one more, and it is the API that is ill
STRIPPED = "a full page without a word of a next one, yet more follows: a proxy takes the Link header away"
Params = Mapping[str, str | int]
_OWN = re.compile(r"/projects/(\d+)(?:/|$)")


class ProjectUnavailable(Unavailable):
    """Inside this package: one project's own endpoint answers 5xx while the API is well; it fails alone."""


def root_of(url: str) -> str:
    """Return the instance's base URL, which may have been given with or without /api/v4."""
    return url.rstrip("/").removesuffix(API).rstrip("/")


class Api:
    """Requests to one GitLab; safe for threads."""

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self.root = root_of(account.url)
        self._account = account
        self._bucket = _bucket(account)
        self._opened: dt.datetime | None = None
        self._transport = Transport(
            self.root,
            owner=owner_of("gitlab", self.root, account.token),
            doors=doors,
            headers={"Authorization": f"Bearer {account.token}"},
            rules=Rules(default_429_s=60.0),
        )
        self._transport.environment = account.environment
        parts = urlsplit(self.root)
        self.host = f"{parts.netloc}{parts.path}".lower()
        self.spool = Spool()
        self._lock = threading.Lock()
        self._sick: set[str] = set()  # projects that answered 5xx since another one answered

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self._transport.requests

    @property
    def opened(self) -> dt.datetime:
        """When this verb's windows were opened: the server's clock, as its answer to the first request had it."""
        if self._opened is None:
            self.check()
        assert self._opened is not None
        return self._opened

    def check(self) -> Identity:
        """
        Ask who we are.

        Raises: NotAllowed: the token is wrong, expired, revoked, or may not read; AnswerError: this is no GitLab.
        """
        try:
            answer = self.get("/user")
        except NotAllowed as error:
            raise NotAllowed(self._refusal(error), status=error.status) from error
        except NotFound as error:
            raise NotFound(
                f"{self.root} has no GitLab API: GET {API}/user was not found (404).",
                hint="Check the base URL: https://HOST, with the path that GitLab is installed under, if any.",
                status=404,
            ) from error
        user = answer.data
        if not isinstance(user, dict) or not isinstance(user.get("id"), int):
            raise AnswerError(f"{self.root} answered GET {API}/user with no user: it is no GitLab, or a proxy speaks.")
        now = self._transport.clock.now()
        self._opened = moment_of(answer.headers.get("Date") or "") or now
        notes = self._token_notes(now)
        account = self.host if self._account.options.get("account") == "host" else f"{self.host}/{user['id']}"
        skew = (self._opened - now).total_seconds()
        return Identity(account=account, user=str(user.get("username")), clock_skew_s=skew, notes=tuple(notes))

    def get(self, path: str, params: Params | None = None, *, keep: bool = False, again: int = 0) -> Answer:
        """
        Read *path*, below /api/v4.

        keep: other streams, or a second look, will ask the same: take it from the spool, or put it there.
        again: which repetition of the question it is; another one than before is asked anew.
        """
        if not keep:
            return self._asked(path, params)
        key = orjson.dumps([path, sorted((params or {}).items()), again]).decode()
        return self.spool.once(key, lambda: self.get(path, params))

    def query(self, text: str) -> Answer:
        """Send a GraphQL query."""
        return self._transport.read_by_post("/api/graphql", {"query": text}, bucket=self._bucket)

    def close(self) -> None:
        """Let go of connections and of what was kept."""
        self._transport.close()
        self.spool.close()

    def _asked(self, path: str, params: Params | None) -> Answer:
        """
        Send a request.

        Raises: ProjectUnavailable: 5xx of one project's own endpoint, whose repository may be broken for days; of more
        than a few in a row it is Unavailable, as any other 5xx.
        """
        own = _OWN.match(path)
        try:
            answer = self._transport.get(API + path, params, bucket=self._bucket)
        except Unavailable as error:
            if own is None or error.status < 500:
                raise
            with self._lock:
                self._sick.add(own[1])
                is_alone = len(self._sick) <= MAX_SICK
            if not is_alone:
                raise
            raise ProjectUnavailable(error.message, hint=error.hint, status=error.status) from error
        if own is not None:
            with self._lock:
                self._sick.clear()
        return answer

    def _refusal(self, error: NotAllowed) -> str:
        """Say in our words what is wrong with the token: the answer's own may repeat it."""
        token = self._account.variable("TOKEN")
        where = "Make one in GitLab under Preferences, Access tokens, with the scope read_api, and set it there."
        if error.status == 403:
            return f"{self.root}: the token in {token} may not read the API, or GitLab blocks this machine. {where}"
        told = {"expired": "has expired", "revoked": "was revoked"}
        what = next((words for sign, words in told.items() if sign in error.body.lower()), "is not known there")
        return f"{self.root}: the token in {token} {what}. {where}"

    def _token_notes(self, now: dt.datetime) -> list[str]:
        """Look at the token itself: its scopes must do; say when it ends. Some kinds cannot be looked at."""
        try:
            token = self.get("/personal_access_tokens/self").data
        except RequestError:
            return []
        if not isinstance(token, dict):
            return []
        scopes = token.get("scopes")
        if isinstance(scopes, list) and READ_SCOPES.isdisjoint(scopes):
            raise NotAllowed(
                f"{self.root}: the token in {self._account.variable('TOKEN')} has the scopes "
                f"{', '.join(map(str, scopes)) or 'none'}; it needs read_api.",
                status=403,
            )
        try:
            ends = dt.date.fromisoformat(str(token.get("expires_at")))
        except ValueError:
            return []
        left = ends - now.date()
        return [f"The token expires on {ends}: in {left.days} days."] if left <= EXPIRY_NOTE else []


def _bucket(account: Account) -> Bucket | None:
    limit = account.options.get("requests_per_minute", REQUESTS_PER_MINUTE)
    if limit == "off":
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise UsageError('requests_per_minute in [gitlab] is a whole number of 1 or more, or "off".')
    return Bucket(name="minute", limit=limit, window_s=60.0)


def rows_of(answer: Answer) -> list[Record]:
    """Return the records of a list. Raises AnswerError where it is none."""
    rows = answer.data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        kind = type(rows).__name__
        raise AnswerError(
            f"{answer.where} answered {answer.status} with a {kind} where a list of records should stand."
        )
    return rows


def next_params(answer: Answer) -> dict[str, str] | None:
    """
    Return the query of the next page's link, None where there is none.

    Only its query counts: behind a proxy the link may name another host, and the token must not go there.
    """
    for link in parse_header_links(answer.headers.get("Link") or ""):
        if link.get("rel") == "next":
            return dict(parse_qsl(urlsplit(link["url"]).query, keep_blank_values=True))
    return None


def is_silent(answer: Answer, rows: Sequence[Record]) -> bool:
    """Tell whether a page is full and has no word of a next one: an empty `X-Next-Page` is one, no header is none."""
    return len(rows) >= PER_PAGE and "Link" not in answer.headers and "X-Next-Page" not in answer.headers


def is_scoped(error: SyncerError) -> bool:
    """Tell whether an error is of one project or group: refused, not found, 5xx, or untrue; a bad token is not."""
    if isinstance(error, RequestError):
        return error.status in (403, 404)
    return isinstance(error, AnswerError | ProjectUnavailable)


def named(error: SyncerError, what: str) -> SyncerError:
    """Return *error* with what it was asked for, and what a person can do, in its message."""
    if isinstance(error, NotFound):
        told = "not found (404): hidden or deleted since the list was read, or its feature is switched off"
        return NotFound(f"{what}: {told}. Its rows stay as they are.", status=404)
    if isinstance(error, NotAllowed):
        told = "refused (403): give the token's user the role Reporter there"
        return NotAllowed(f"{what}: {told}. Its rows stay as they are.", status=error.status)
    return type(error)(f"{what}: {error.message}", hint=error.hint)


def text_of(moment: dt.datetime) -> str:
    """Write a moment as parameters, places and people have it."""
    return iso(moment)


def number(value: Any) -> int | None:
    """Read a header that is a number; None where it is missing or not one."""
    return int(value) if isinstance(value, str) and value.isdigit() else None
