"""
Requests to one AnythingLLM: the base URL, the key, the clock, and the answers that cannot be true.

A wrong path, or a base URL of another thing, is answered 200 with the web app's page: so no 200 counts that is not
JSON. A database that fails is answered 200 with an empty list or null: see `Calls.trusted`.

Not here: what the answers hold (the files beside this one).
Source: AnythingLLM's server, 1.16: `utils/middleware/validApiKey.js`, `endpoints/api/*`, `endpoints/utils.js`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from syncer import budget
from syncer.clock import iso
from syncer.errors import AnswerError, NotAllowed, NotFound, RequestError, UsageError
from syncer.settings import Account
from syncer.sources import Identity, Place, Record
from syncer.spool import Spool
from syncer.transport import Answer, Doors, Rules, Transport, moment_of

RULES = Rules(tries=5, first_wait_s=1.0, read_timeout_s=300.0)  # an embed's chats come in one answer, however many
WORKSPACES = "/v1/workspaces"
SKEW_TO_TELL_S = 60.0
FULL_EVERY_H = 24.0
MOST_HOURS = 24 * 366
LOOKS_AT_NOTHING = 2  # more, at an empty list where nothing is known of before: a database may fail for a moment
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TAILS = ("/api/docs", "/api/v1", "/v1", "/api")  # what people copy along with the address


def root_of(url: str) -> str:
    """Return the instance's address, which may have been given with or without `/api`."""
    root = url.rstrip("/")
    tail = next((tail for tail in TAILS if root.endswith(tail)), "")
    return root.removesuffix(tail).rstrip("/")


class Calls:
    """Asks one instance, one request at a time."""

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self.clock = doors.clock
        self.root = root_of(account.url)
        self.embed = _embed(account)
        self.full_every_ms = _hours(account) * 3_600_000
        self.believes_empty = _choice(account, "empty_lists", ("refuse", "believe")) == "believe"
        self.spool = Spool()
        self._account = account
        self._opened: int | None = None
        self._names: list[str] | None = None
        self.transport = Transport(
            f"{self.root}/api",
            owner=budget.owner_of("anythingllm", self.root, account.token),
            doors=doors,
            headers={"Authorization": f"Bearer {account.token}"},
            rules=RULES,
        )
        self.transport.environment = account.environment

    @property
    def opened(self) -> int:
        """The server's clock when this verb began, in milliseconds."""
        if self._opened is None:
            self.check()
        assert self._opened is not None
        return self._opened

    def check(self) -> Identity:
        """
        Ask whether the key is good, and what time it is there.

        Raises: NotAllowed: the key is not known; AnswerError: this is no AnythingLLM.
        """
        before = self.clock.now()
        try:
            answer = self.get("/v1/auth")
        except NotFound as error:
            raise NotFound(
                f"{self.root} has no AnythingLLM (404 for /api/v1/auth).",
                hint=f"{self._account.variable('URL')} is its address, such as https://HOST, with or without /api.",
                status=404,
            ) from error
        ours = before + (self.clock.now() - before) / 2
        if an_object(answer).get("authenticated") is not True:
            raise AnswerError(f"{answer.where} at {self.root} answered, but not that the token is good.")
        theirs = moment_of(answer.headers.get("Date") or "")
        if theirs is None:
            raise AnswerError(f"{answer.where} came without a good Date header; full comparisons are timed by it.")
        self._opened = (theirs - EPOCH) // dt.timedelta(milliseconds=1)
        skew_s = (theirs - ours).total_seconds()
        notes = []
        if abs(skew_s) > SKEW_TO_TELL_S:
            notes.append(
                f"the clock here is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} AnythingLLM's"
            )
        parts = urlsplit(self.root)
        account = f"{parts.netloc}{parts.path}".lower()
        return Identity(account=account, user=self._user(), clock_skew_s=skew_s, notes=tuple(notes))

    def user_names(self) -> list[str]:
        """
        Return the names of all users, asked for once; none in single-user mode, which answers 401.

        Raises: AnswerError: no user is listed, or the database fails: names would not be masked.
        """
        if self._names is None:
            try:
                answer = self.get("/v1/users")
                users = a_list(answer, "users")
                if not users:  # in multi-user mode there is one at least
                    raise AnswerError(
                        f"{answer.where} at {self.root} answered 200 with no user at all, so that no name could be "
                        "masked; nothing was read.",
                        hint="It answers so when its database fails: it is safe to run again.",
                    )
            except NotAllowed as error:
                if error.status != 401:
                    raise
                self.witness()  # the mode stands in the database, too
                users = []
            self._names = [name for user in users if isinstance(name := user.get("username"), str) and name]
        return self._names

    def get(self, path: str) -> Answer:
        """Read by GET."""
        return self._known(path, None)

    def post(self, path: str, body: object) -> Answer:
        """Read by POST."""
        return self._known(path, body)

    def once(self, path: str, *, kept_as: str = "") -> Answer:
        """Read by GET what several streams stand on, once; *kept_as* is a name of its own for another look."""
        return self.spool.once(kept_as or path, lambda: self.get(path))

    def trusted(self, answer: Answer, rows: Sequence[Record], *, path: str, before: int | None) -> bool:
        """
        Tell whether what is not in a list may end.

        before: how many rows the list had last time; None: that is not known (a first load, a reload). An empty list
        proves nothing: the server answers the same when its database fails. So no place is stored for one, unless it
        was believed, and a reload that meets one ends nothing either.
        Raises: AnswerError: there were rows before, and nobody has said that an empty list is to be believed; or the
        workspaces, which are asked for as a witness, are null; or the list at *path* is another one when it is asked
        for again.
        """
        if rows or self.believes_empty:
            return True
        if before:
            raise self.liar(answer, f"answered 200 with an empty list, where there were {before}")
        if before is None:
            self.witness()
            if any(self.get(path).data != answer.data for _ in range(LOOKS_AT_NOTHING)):
                raise self.liar(answer, "answered 200 with an empty list, and then with another one")
        return before == 0

    def witness(self) -> None:
        """Make sure that the database answers: of all lists only that of workspaces says so. Raises AnswerError."""
        a_list(self.get(WORKSPACES), "workspaces")

    def liar(self, answer: Answer, what: str) -> AnswerError:
        """Make the error for a list that had rows and has none now."""
        return AnswerError(
            f"{answer.where} at {self.root} {what}; nothing was changed. It answers so when its database fails.",
            hint='Look there. If they really were deleted: pull once with empty_lists = "believe" in [anythingllm].',
        )

    def is_due(self, place: Place | None) -> bool:
        """Tell whether it is time to compare everything, and not only what is new."""
        at = place.get("full_at") if place else None
        return at is None or self.opened - at >= self.full_every_ms or at > self.opened

    def mark(self) -> str:
        """Write the time at which this verb began as people have it."""
        return iso(EPOCH + dt.timedelta(milliseconds=self.opened))

    def close(self) -> None:
        """Let go of connections and of what was kept."""
        self.transport.close()
        self.spool.close()

    def _known(self, path: str, body: object) -> Answer:
        """Ask, and refuse what is not JSON. Raises: NotAllowed, in words of our own."""
        try:
            answer = self.transport.get(path) if body is None else self.transport.read_by_post(path, body)
        except NotAllowed as error:
            if error.status != 403:
                raise
            token = self._account.variable("TOKEN")
            raise NotAllowed(
                f"AnythingLLM at {self.root} does not know the token in {token} (403).",
                hint="Make an API key in its settings, Tools, Developer API, and set it there. A database that fails "
                "is answered like this too.",
                status=403,
            ) from error
        kind = answer.headers.get("Content-Type") or ""
        if "json" not in kind.lower():
            raise AnswerError(
                f"{answer.where} at {self.root} answered {answer.status} with no JSON: the base URL is no "
                "AnythingLLM, or a proxy speaks.",
                hint=f"{self._account.variable('URL')} is its address, such as https://HOST, with or without /api.",
            )
        return answer

    def _user(self) -> str:
        """Tell what the key opens; an instance that does not say is let be."""
        try:
            told = self.get("/utils/metrics").data
        except (RequestError, AnswerError):
            return "API key"
        mode = told.get("mode") if isinstance(told, dict) else None
        version = told.get("appVersion") if isinstance(told, dict) else None
        words = [str(word) for word in (mode, f"version {version}" if version else None) if word]
        return f"API key ({', '.join(words)})" if words else "API key"


def an_object(answer: Answer) -> dict[str, Any]:
    """Return the JSON object that was answered. Raises AnswerError where it is something else."""
    data = answer.data
    if not isinstance(data, dict):
        raise AnswerError(f"{answer.where} answered a JSON {_kind(data)} where an object should stand.")
    return data


def a_list(answer: Answer, name: str, *, of: Mapping[str, Any] | None = None) -> list[Record]:
    """Return the objects under *name*. Raises AnswerError: null, or anything else that is no list of objects."""
    data = (an_object(answer) if of is None else of).get(name)
    if not isinstance(data, list):
        raise AnswerError(
            f"{answer.where}: '{name}' is {_kind(data)} where a list should stand; nothing was changed.",
            hint="AnythingLLM answers so when its database fails: it is safe to run again.",
        )
    odd = next((each for each in data if not isinstance(each, dict)), data)
    if odd is not data:
        raise AnswerError(f"{answer.where} gave a JSON {_kind(odd)} in a list of {len(data)} objects.")
    return data


def number_of(answer: Answer, record: Record, name: str) -> int:
    """Return the whole number under *name*. Raises AnswerError where there is none."""
    found = record.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise AnswerError(f"{answer.where}: '{name}' is a JSON {_kind(found)} where a whole number should stand.")
    return found


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _embed(account: Account) -> str:
    value = account.options.get("embed", "")
    if not isinstance(value, str):
        raise UsageError("embed in [anythingllm] is a text: the uuid of an embed.")
    return value.strip()


def _hours(account: Account) -> float:
    value = account.options.get("full_every", FULL_EVERY_H)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MOST_HOURS:
        raise UsageError(f"full_every in [anythingllm] is a number of hours from 0 (each pull) to {MOST_HOURS}.")
    return float(value)


def _choice(account: Account, key: str, choices: tuple[str, ...]) -> str:
    value = account.options.get(key, choices[0])
    if value not in choices:
        raise UsageError(f"{key} in [anythingllm] must be one of: {', '.join(choices)}.")
    return str(value)
