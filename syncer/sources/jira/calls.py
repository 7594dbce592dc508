"""
Requests to one Jira Cloud site: who we are, the burst limits, and the answers that cannot be true.

A token that Jira does not accept makes the caller anonymous, and most reads then answer 200 with nothing: only the
header `X-Seraph-LoginReason` tells. So every answer is looked at, and no 200 counts without that look.

Not here: what the answers hold (the files beside this one).
Source: Jira Cloud REST API v3; developer.atlassian.com, "Rate limiting"; support.atlassian.com, "Manage API tokens for
your Atlassian account".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from syncer import budget, values
from syncer.budget import Bucket
from syncer.clock import iso
from syncer.errors import AnswerError, NotAllowed, NotFound, RequestError, UsageError
from syncer.settings import Account
from syncer.sources import Identity
from syncer.transport import Answer, Doors, Query, Rules, Transport, moment_of

LOGIN_REASON = "X-Seraph-LoginReason"
BURST_A_SECOND = 100  # by endpoint and method; these have more:
BURSTS: Mapping[str, int] = {"GET issue": 150, "GET issue/changelog": 200}
RULES = Rules(tries=5, first_wait_s=2.0, default_429_s=5.0)  # Atlassian: from 2 to 5 s, doubling, jitter 0.7 to 1.3
SKEW_TO_TELL_S = 60.0
IDS_A_PAGE = 5000  # the most that a search gives, and only where little more than ids is asked for
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_API = re.compile(r"/rest/api/(?:2|3|latest)$")
_GATEWAY = re.compile(r"/ex/jira/([^/]+)$")


class Calls:
    """Asks one site; safe for threads."""

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self.clock = doors.clock
        self.root = _API.sub("", account.url.rstrip("/")).rstrip("/")
        self.workers = _whole(account, "workers", 4, most=16)
        self.ids_a_page = _whole(account, "ids_a_page", IDS_A_PAGE, most=IDS_A_PAGE)
        self._has_limits = _choice(account, "limits", ("on", "off")) == "on"
        is_bearer = _choice(account, "auth", ("basic", "bearer")) == "bearer"
        self._is_service = account.user.endswith("@serviceaccount.atlassian.com")
        self.transport = Transport(
            f"{self.root}/rest/api/3",
            owner=budget.owner_of("jira", self.root, account.token),
            doors=doors,
            headers={"Authorization": f"Bearer {account.token}"} if is_bearer else None,
            auth=None if is_bearer else (account.user, account.token),
            rules=RULES,
        )
        self.transport.environment = account.environment
        self.zone = ""  # this user's time zone, in which times are told; from the check

    def get(self, path: str, params: Query | None = None, *, family: str = "") -> Answer:
        """Read by GET; *family* is the path without its ids, where it has some: a limit holds for all of them."""
        answer = self.transport.get(f"/{path}", params, bucket=self._bucket(f"GET {family or path}"))
        return self._known(answer)

    def post(self, path: str, body: object) -> Answer:
        """Read by POST."""
        return self._known(self.transport.read_by_post(f"/{path}", body, bucket=self._bucket(f"POST {path}")))

    def check(self) -> tuple[Identity, int]:
        """
        Ask who we are; return that, and the server's time in milliseconds.

        Raises: NotAllowed: the token is wrong or expired; NotFound: this is no Jira.
        """
        before = self.clock.now()
        answer = self._myself()
        ours = before + (self.clock.now() - before) / 2
        theirs = moment_of(answer.headers.get("Date") or "") or _no_date(answer)
        skew_s = (theirs - ours).total_seconds()
        me = an_object(answer)
        self.zone = str(me.get("timeZone") or "")
        notes = []
        if abs(skew_s) > SKEW_TO_TELL_S:
            notes.append(f"the clock here is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} Jira's")
        user = f"{me.get('displayName') or 'no name'} ({me.get('accountId') or 'no account id'})"
        identity = Identity(account=self._account(), user=user, clock_skew_s=skew_s, notes=tuple(notes))
        return identity, round(theirs.timestamp() * 1000)

    def still_us(self) -> None:
        """Make sure that a 404 was not the answer to a token that died. Raises NotAllowed."""
        self._myself()

    def close(self) -> None:
        """Let go of the connections."""
        self.transport.close()

    def _myself(self) -> Answer:
        try:
            return self.get("myself")
        except NotAllowed as error:
            if error.status == 200:
                raise
            raise self._refused(f"status {error.status}", status=error.status) from error
        except NotFound as error:
            raise NotFound(
                f"{self.root} has no Jira Cloud REST API (404 for /rest/api/3/myself).",
                hint="The URL is https://SITE.atlassian.net; for a scoped token or a service account it is "
                "https://api.atlassian.com/ex/jira/CLOUD_ID.",
                status=404,
            ) from error

    def _refused(self, why: str, *, status: int) -> NotAllowed:
        on_site = "/ex/jira/" not in self.root
        hint = (
            "API tokens end after a year at most: make one at id.atlassian.com, Security, API tokens; "
            "SYNCER_JIRA_USER is the e-mail address of its user."
        )
        if self._is_service and on_site:
            hint = (
                "A service account's token works only at https://api.atlassian.com/ex/jira/CLOUD_ID: "
                "set SYNCER_JIRA_URL to that."
            )
        return NotAllowed(f"Jira at {self.root} does not accept the token ({why}).", hint=hint, status=status)

    def _known(self, answer: Answer) -> Answer:
        """Return *answer* unless it was given to nobody: a 200 then means "not allowed"."""
        told = answer.headers.get(LOGIN_REASON, "")
        wrong = [reason for part in told.split(",") if (reason := part.strip()) not in ("", "OK")]
        if wrong:
            raise self._refused(
                f"{answer.where} answered {answer.status}, {LOGIN_REASON}: {wrong[0][:40]}", status=200
            )
        return answer

    def _bucket(self, family: str) -> Bucket | None:
        if not self._has_limits:
            return None
        limit = BURSTS.get(family, BURST_A_SECOND)
        return Bucket(name=family.replace("/", " "), limit=limit, window_s=1.0)  # a slash parts it from its owner

    def _account(self) -> str:
        """Name the site by its cloud id, which is the same on its own host and on the gateway; else by its host."""
        gateway = _GATEWAY.search(urlsplit(self.root).path)
        if gateway is not None:
            return gateway[1]
        try:
            found = self.transport.get(f"{self.root}/_edge/tenant_info", bucket=self._bucket("GET tenant_info")).data
        except (RequestError, AnswerError):
            found = None
        cloud_id = found.get("cloudId") if isinstance(found, dict) else None
        return cloud_id if isinstance(cloud_id, str) and cloud_id else urlsplit(self.root).netloc


def an_object(answer: Answer) -> dict[str, Any]:
    """Return the JSON object that was answered. Raises AnswerError where it is something else."""
    data = answer.data
    if not isinstance(data, dict):
        raise AnswerError(f"{answer.where} answered a JSON {type(data).__name__} where an object should stand.")
    return data


def a_list(answer: Answer, name: str = "", *, of: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """
    Return the array of objects under *name*, or the whole answer as one; *of*: the answer, where it is parsed already.

    Raises: AnswerError where it is something else.
    """
    data = (an_object(answer) if of is None else of).get(name) if name else answer.data
    if not isinstance(data, list):
        what = f"'{name}'" if name else "its answer"
        raise AnswerError(f"{answer.where}: {what} is a JSON {type(data).__name__} where an array should stand.")
    odd = next((element for element in data if not isinstance(element, dict)), data)
    if odd is not data:
        raise AnswerError(f"{answer.where} gave a JSON {type(odd).__name__} in an array of {len(data)} objects.")
    return data


def a_count(answer: Answer, name: str, *, of: Mapping[str, Any]) -> int:
    """Return the whole number under *name* of the answer, parsed as *of*. Raises AnswerError where there is none."""
    count = of.get(name)
    if not isinstance(count, int) or isinstance(count, bool):
        raise AnswerError(f"{answer.where}: '{name}' is a JSON {type(count).__name__} where a number should stand.")
    return count


def ms_of(time: object) -> int | None:
    """Turn a time as the API writes it (ISO, any offset; in places a number) into milliseconds since 1970."""
    try:
        return (values.timestamp(time) - EPOCH) // dt.timedelta(milliseconds=1)
    except ValueError:
        return None


def iso_of(ms: int) -> str:
    """Write milliseconds since 1970 as people have it."""
    return iso(EPOCH + dt.timedelta(milliseconds=ms))


def _no_date(answer: Answer) -> dt.datetime:
    raise AnswerError(f"{answer.where} came without a good Date header; the mark of a pull is the server's time.")


def _choice(account: Account, key: str, choices: tuple[str, ...]) -> str:
    value = account.options.get(key, choices[0])
    if value not in choices:
        raise UsageError(f"{key} in [jira] is {value!r}. Choices: {', '.join(choices)}.")
    return str(value)


def _whole(account: Account, key: str, default: int, *, most: int) -> int:
    value = account.options.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise UsageError(f"{key} in [jira] is {value!r}; it is a whole number from 1 to {most}.")
    return value
