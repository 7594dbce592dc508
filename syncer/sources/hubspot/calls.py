"""
Requests to one portal: who we are, three budgets, the daily limit, and the answers that mean something else than they
seem.

General requests, searches and associations have a limit each. The general one is read from the answers' headers, as is
what is left of the day; searches come without any. Not here: what the answers hold (the files beside this one).
Source: HubSpot's usage guidelines, error handling and search guides.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from loguru import logger

from syncer import budget, values
from syncer.budget import Bucket
from syncer.errors import (
    AnswerError,
    NotAllowed,
    NotFound,
    RequestError,
    SyncerError,
    Unavailable,
    UsageError,
    WrongAccount,
)
from syncer.settings import DEFAULT_ENVIRONMENT, Account
from syncer.sources import Identity
from syncer.sources.hubspot.kinds import Kind
from syncer.sources.hubspot.paths import DATED, Paths
from syncer.transport import RETRIED, Answer, Doors, Query, Rules, Transport, moment_of

GENERAL, SEARCH, ASSOCIATIONS = "general", "search", "associations"
WINDOW_S = 10.0
LEAST = 100  # requests in that time, of the smallest tier, until an answer's headers tell
SEARCHES_A_SECOND = 5
RESERVE_SHARE = 0.05  # of the day's requests are left to others where a site sets no reserve
SKEW_TO_TELL_S = 60.0
NO_SUCH_KIND = (400, 403, 404)  # no scope for a kind, or no such custom object; a 401 is about the token
_MOVING = 477  # the portal is being moved between data centres
_LOCKED = 423
_HEADERS = "X-HubSpot-RateLimit-"
MOST_DIGITS = 12  # of a number in a header that is believed


@attrs.frozen(kw_only=True)
class Day:
    """What is left of a day's requests, as the last answer told."""

    left: int
    limit: int


class Calls:
    """Asks one portal; safe for threads."""

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self.clock = doors.clock
        self.root = account.url.rstrip("/")
        self.workers = whole(account, "workers", 4, most=16)
        self.paths = Paths(str(account.options.get("api", DATED)), place=place_of(account, "api"))
        self._portal_id = _portal_of(account)
        self._reserve = whole(account, "daily_reserve", None, least=0, most=10_000_000)
        self._has_limits = _is_on(account, "limits")
        self._doors = doors
        self.owner = budget.owner_of("hubspot", self.root, account.token)
        self._lock = threading.Lock()
        self._buckets = {
            GENERAL: Bucket(name=GENERAL, limit=LEAST, window_s=WINDOW_S),
            ASSOCIATIONS: Bucket(name=ASSOCIATIONS, limit=LEAST, window_s=WINDOW_S),
            SEARCH: Bucket(name=SEARCH, limit=SEARCHES_A_SECOND, window_s=1.0),
        }
        self._days: dict[str, Day] = {}
        self._zone = "UTC"
        self._readable: str | None = None
        self.account_type: str | None = None  # as the check found it: STANDARD is where people work
        self.allows_production = _allows_production(account)
        self.transport = Transport(
            self.root,
            owner=self.owner,
            doors=doors,
            headers={"Authorization": f"Bearer {account.token}"},
            rules=Rules(
                tries=6,
                first_wait_s=1.0,
                default_429_s=WINDOW_S,
                retried=RETRIED | {_LOCKED, _MOVING},
                undone=frozenset({429, _LOCKED, _MOVING}),
                told=self._told,
            ),
        )
        self.transport.environment = account.environment
        self.variable = account.variable

    def get(self, path: str, params: Query | None = None) -> Answer:
        """Read by GET."""
        return self._asked("GET", path, params=params, bucket=GENERAL)

    def post(self, path: str, body: object) -> Answer:
        """Read by POST, as batches are."""
        return self._asked("POST", path, body=body, bucket=GENERAL)

    def search(self, path: str, body: object) -> Answer:
        """Search: it has a limit of its own, and its answers tell nothing about it."""
        return self._asked("POST", path, body=body, bucket=SEARCH)

    def associated(self, path: str, body: object) -> Answer:
        """Read associations by POST; they have a limit of their own."""
        return self._asked("POST", path, body=body, bucket=ASSOCIATIONS)

    def write(self, path: str, body: object) -> Answer:
        """Write by POST; asked again only where the answer says that nothing was done."""
        return self._asked("POST", path, body=body, bucket=GENERAL, is_read=False)

    def write_edges(self, path: str, body: object) -> Answer:
        """Write associations by POST, which have a limit of their own; asked again as `write` is."""
        return self._asked("POST", path, body=body, bucket=ASSOCIATIONS, is_read=False)

    def rare(self, method: str, path: str, params: Query | None = None) -> Answer:
        """Ask for the official client, which knows its own paths."""
        return self._asked(method, path, params=params, bucket=GENERAL)

    def rare_write(self, method: str, path: str, params: Query | None = None, body: object = None) -> Answer:
        """Write for the official client; asked again as `write` is."""
        return self._asked(method, path, params=params, body=body, bucket=GENERAL, is_read=False)

    def check(self) -> tuple[Identity, int]:
        """
        Ask whose portal this is; return that, and the server's time in milliseconds.

        Raises: NotAllowed: the token is wrong; WrongAccount: it is another portal than `portal_id`.
        """
        before = self.clock.now()
        try:
            answer = self.get(self.paths.account())
        except NotFound as error:
            raise NotFound(
                f"{self.root} has no HubSpot API of the version {self.paths.family} (404).",
                hint=f"{self.variable('URL')} is https://api.hubapi.com, without a path; {self.variable('API')} is "
                "v3 or a date version such as 2026-09.",
                status=404,
            ) from error
        ours = before + (self.clock.now() - before) / 2
        details = an_object(answer)
        portal = details.get("portalId")
        if not isinstance(portal, int | str) or isinstance(portal, bool) or not str(portal):
            raise AnswerError(f"{answer.where} named no portalId; whose records these are must be known.")
        if self._portal_id is not None and self._portal_id != str(portal):
            raise WrongAccount(
                f"The token in {self.variable('TOKEN')} is of portal {portal}, but portal_id is {self._portal_id}.",
                hint="Ids of one portal must never be mixed with those of another: use that portal's token.",
            )
        self._zone = str(details.get("timeZone") or "UTC")
        self.account_type = str(details.get("accountType") or "")
        theirs = moment_of(answer.headers.get("Date") or "")
        if theirs is None:
            raise AnswerError(
                f"{answer.where} came without a good Date header; the mark of a pull is the server's time."
            )
        skew_s = (theirs - ours).total_seconds()
        notes = []
        if abs(skew_s) > SKEW_TO_TELL_S:
            notes.append(f"the clock here is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} HubSpot's")
        user = f"portal {portal} ({details.get('accountType') or 'no type'}, {details.get('uiDomain') or 'no domain'})"
        identity = Identity(account=str(portal), user=user, clock_skew_s=skew_s, notes=tuple(notes))
        return identity, round(theirs.timestamp() * 1000)

    def readable(self, kinds: Sequence[Kind]) -> str:
        """Name the kinds that the token may read now, by asking for one record of each; asked once."""
        if self._readable is None:
            found = []
            for kind in kinds:
                try:
                    self.get(self.paths.objects(kind.path), {"limit": 1})
                except RequestError as error:
                    if error.status not in NO_SUCH_KIND:
                        raise
                else:
                    found.append(kind.name)
            self._readable = ", ".join(found)
        return self._readable

    def tier(self) -> str:
        """Say how much the answers so far told that this token may ask: `190 requests in 10 s, 625,000 a day`."""
        general, day = self._buckets[GENERAL], self._days.get(GENERAL)
        daily = f", {day.limit:,} a day" if day is not None and day.limit else ""
        return f"{general.limit:,} requests in {general.window_s:g} s{daily}"

    def close(self) -> None:
        """Let go of the connections."""
        self.transport.close()

    def _asked(
        self,
        method: str,
        path: str,
        *,
        params: Query | None = None,
        body: object = None,
        bucket: str,
        is_read: bool = True,
    ) -> Answer:
        self._check_day(ASSOCIATIONS if bucket == ASSOCIATIONS else GENERAL)
        limit = self._buckets[bucket] if self._has_limits else None
        try:
            answer = self.transport.call(method, path, params=params, body=body, bucket=limit, is_read=is_read)
        except NotAllowed as error:
            raise self._explained(error, f"{method} {path}", is_read=is_read) from error
        self._note(answer, bucket)
        return answer

    def _note(self, answer: Answer, name: str) -> None:
        """Read the limits that an answer's headers tell: those of its own bucket."""
        most, left = _number(answer, "Max"), _number(answer, "Remaining")
        daily, daily_left = _number(answer, "Daily"), _number(answer, "Daily-Remaining")
        interval_ms = _number(answer, "Interval-Milliseconds")
        with self._lock:
            bucket = self._buckets[name]
            if most:
                bucket = Bucket(name=name, limit=most, window_s=(interval_ms or 10_000) / 1000)
                self._buckets[name] = bucket
            if daily_left is not None:
                self._days[name] = Day(left=daily_left, limit=daily or 0)
        if left == 0 and self._has_limits:  # others use the same token
            self._doors.budget.pause(self.owner, bucket, 1.0)

    def _check_day(self, name: str) -> None:
        """Raise Unavailable where the day's requests are used up but for the reserve."""
        day = self._days.get(name)
        if day is None:
            return
        reserve = self._reserve if self._reserve is not None else round(day.limit * RESERVE_SHARE)
        if day.left <= reserve:
            raise Unavailable(
                f"HubSpot's daily limit ({name}): {day.left:,} of {day.limit:,} requests are left today, and "
                f"{reserve:,} are kept for others (daily_reserve). {self._resets()}",
                hint="What was read so far is kept; run again then, or set a smaller daily_reserve.",
                status=429,
            )

    def _resets(self) -> str:
        """Say when the day's limit begins anew: as HubSpot tells it, else at the portal's midnight."""
        try:
            answer = self.transport.get(self.paths.daily_usage())
            found = [each.get("resetsAt") for each in a_list(answer, "results") if each.get("resetsAt")]
            moment = values.timestamp(found[0]) if found else None
        except (SyncerError, ValueError):
            moment = None
        if moment is None:
            moment = _midnight_after(self.clock.now(), self._zone)
        return f"It resets at {moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC."

    def _told(self, answer: Answer, attempt: int) -> float | None:
        """Say how long to wait after an answer that is to be asked again. Raises where waiting is no use."""
        if answer.status == _LOCKED:
            return max(2.0, 2.0 * attempt)
        if answer.status == _MOVING and "Retry-After" not in answer.headers:
            raise Unavailable(
                f"{answer.where}: HubSpot is moving this portal to another data centre (477) and does not say for how "
                "long.",
                hint="Run again later; nothing was lost.",
                status=_MOVING,
            )
        if answer.status != 429:
            return None
        told = _error_of(answer)
        if answer.where.endswith(self.paths.daily_usage()):  # it was asked because of a limit: do not go round
            raise Unavailable(f"{answer.where} is limited, too.", status=429)
        if told.get("policyName") == "DAILY" or "daily" in str(told.get("message", "")).lower():
            raise Unavailable(
                f"{answer.where}: the daily limit of this portal's requests is used up. {self._resets()}",
                hint="What was read so far is kept; run again then.",
                status=429,
            )
        if "Retry-After" in answer.headers:
            return None
        is_search = "secondly" in str(told.get("message", "")) and "ten_secondly" not in str(told.get("message", ""))
        return float(attempt) if is_search and told.get("policyName") != "TEN_SECONDLY_ROLLING" else WINDOW_S

    def _explained(self, error: NotAllowed, where: str, *, is_read: bool) -> NotAllowed:
        """Name the scopes that are missing, where HubSpot tells; a token that is no good is something else."""
        if error.status != 403:
            return error
        scopes = _missing_scopes(error.body)
        if not scopes and is_read:
            return error
        if not scopes:
            return NotAllowed(
                f"{where} is not allowed (403): the token in {self.variable('TOKEN')} may not write there.",
                hint="Give the service key the write scope in HubSpot: Development, Keys, Service keys.",
                status=403,
                body=error.body,
            )
        what = f"the scope {scopes[0]}" if len(scopes) == 1 else f"one of these scopes, or all: {', '.join(scopes)}"
        return NotAllowed(
            f"{where} is not allowed (403): the token in {self.variable('TOKEN')} lacks {what}.",
            hint="Add it to the service key in HubSpot: Development, Keys, Service keys.",
            status=403,
            body=error.body,
        )


def an_object(answer: Answer) -> dict[str, Any]:
    """Return the JSON object that was answered. Raises AnswerError where it is something else."""
    data = answer.data
    if not isinstance(data, dict):
        raise AnswerError(f"{answer.where} answered a JSON {values.json_type(data)} where an object should stand.")
    return data


def a_list(answer: Answer, name: str, *, of: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """
    Return the array of objects under *name*; *of*: the answer, where it is parsed already.

    Raises: AnswerError where it is something else.
    """
    data = (an_object(answer) if of is None else of).get(name)
    if not isinstance(data, list):
        raise AnswerError(f"{answer.where}: '{name}' is a JSON {values.json_type(data)} where an array should stand.")
    odd = next((each for each in data if not isinstance(each, dict)), data)
    if odd is not data:
        raise AnswerError(f"{answer.where} gave a JSON {values.json_type(odd)} in an array of {len(data)} objects.")
    return data


def next_after(answer: Answer, data: Mapping[str, Any]) -> str | None:
    """Return where the next page begins; None at the end. Raises AnswerError."""
    paging = data.get("paging")
    if paging is None:
        return None
    following = paging.get("next") if isinstance(paging, dict) else paging
    if following is None:
        return None
    after = following.get("after") if isinstance(following, dict) else None
    if not isinstance(after, str | int) or isinstance(after, bool) or after == "":
        raise AnswerError(f"{answer.where}: 'paging' has no 'after' to go on with.")
    return str(after)


def place_of(account: Account, key: str) -> str:
    """Say where an option of this account stands: the environment variable, or file, line and table."""
    if account.variables.get(key):
        return account.variable(key.upper())
    is_default = account.environment == DEFAULT_ENVIRONMENT
    table = account.source if is_default else f"environments.{account.environment}.{account.source}"
    return account.places.get(key, f"in [{table}]")


def whole(account: Account, key: str, default: Any, *, most: int, least: int = 1) -> Any:
    """Return a whole number of the site's options. Raises UsageError."""
    value = account.options.get(key, default)
    if value is default:
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        place = place_of(account, key)
        raise UsageError(f"{place}: {key} is {value!r}; it is a whole number from {least} to {most}.")
    return value


def _portal_of(account: Account) -> str | None:
    value = account.options.get("portal_id")
    if value is None:
        return None
    if not isinstance(value, int | str) or isinstance(value, bool) or not re.fullmatch("[0-9]+", str(value)):
        place = place_of(account, "portal_id")
        raise UsageError(f"{place}: portal_id is {value!r}; it is the portal's number, such as 62515.")
    return str(value)


def _is_on(account: Account, key: str) -> bool:
    value = account.options.get(key, "on")
    if value not in ("on", "off"):
        raise UsageError(f"{place_of(account, key)}: {key} is {value!r}. Choices: on, off.")
    return bool(value == "on")


def _allows_production(account: Account) -> bool:
    value = account.options.get("allow_production", False)
    if not isinstance(value, bool):
        place = place_of(account, "allow_production")
        raise UsageError(f"{place}: allow_production is {value!r}; it is true or false.")
    return value


def _number(answer: Answer, name: str) -> int | None:
    text = answer.headers.get(f"{_HEADERS}{name}")
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def _error_of(answer: Answer) -> Mapping[str, Any]:
    try:
        found = values.parse(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _missing_scopes(body: str) -> Sequence[str]:
    try:
        found = values.parse(body.encode())
    except ValueError:
        return ()
    if not isinstance(found, dict) or found.get("category") != "MISSING_SCOPES":
        return ()
    named: dict[str, None] = {}
    for each in found.get("errors") or ():
        context = each.get("context") if isinstance(each, dict) else None
        for scope in (context.get("requiredGranularScopes") or ()) if isinstance(context, dict) else ():
            if isinstance(scope, str) and len(scope) < 200 and scope.isprintable():
                named[scope] = None
    return list(named)


def _midnight_after(now: dt.datetime, zone: str) -> dt.datetime:
    """Return the next midnight of a time zone; of UTC where the zone is not known."""
    try:
        there = now.astimezone(ZoneInfo(zone))
    except (ValueError, OSError, KeyError):  # no such zone, or no data about zones on this machine
        logger.debug("time zone {} is not known; UTC is taken", zone)
        there = now.astimezone(dt.UTC)
    tomorrow = there.date() + dt.timedelta(days=1)
    return dt.datetime.combine(tomorrow, dt.time(), tzinfo=there.tzinfo)
