"""
One HTTP session to one API: authentication, time-outs, retries, and the shared request budget. Every request of syncer
goes through here.

The retry loop is our own, and not urllib3's, because each attempt must take its request from the budget that processes
share, and a 429 must slow all of them down (`docs/decisions/retries.md`). Only reads are retried: the caller says so,
since an API may read by POST.

Not here: what an answer means (`sources/`).
"""

from __future__ import annotations

import datetime as dt
import email.utils
import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import orjson
from loguru import logger

from syncer import values
from syncer.budget import Bucket, Budget
from syncer.clock import Clock
from syncer.errors import AnswerError, NotAllowed, NotFound, RequestError, SyncerError, Unavailable, UsageError
from syncer.settings import DEFAULT_ENVIRONMENT, Account

if TYPE_CHECKING:
    import requests

RETRIED = frozenset({429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
FIRST_TRIES = 2  # where nobody is there at all, and never was: a wrong URL does not mend itself while we wait
SLICE_S = 1.0  # of a wait; after each, a transport that was closed ends it
READ_BYTES = 1 << 20  # of an answer at once; in the 10 KB that `requests` takes, reading costs as much as parsing
# Another Content-Type is not repeated: a server that echoes what it was sent may do so there.
MEDIA_TYPES = frozenset(
    {"text/html", "text/plain", "text/xml", "text/css", "text/javascript", "text/csv"}
    | {f"application/{kind}" for kind in ("json", "problem+json", "xml", "xhtml+xml", "octet-stream", "javascript")}
)

Query = Mapping[str, Any] | Sequence[tuple[str, Any]]
Send = Callable[["requests.PreparedRequest", "requests.Session", tuple[float, float]], "requests.Response"]


@attrs.frozen(kw_only=True)
class Doors:
    """
    What comes in from outside: the clock, the budget that processes share, randomness, and how a request is sent.
    """

    clock: Clock
    budget: Budget
    random: random.Random = attrs.field(factory=random.Random)
    send: Send | None = None  # None: the session's own


@attrs.frozen(kw_only=True)
class Rules:
    """
    When a read is asked again. Waits are seconds; `Retry-After` goes before them.

    tries: attempts in all.
    first_wait_s: doubled each time, with a jitter of 0.7 to 1.3.
    default_429_s: how long all processes wait after a 429 that does not say.
    longest_wait_s: a server that asks for more is `Unavailable` now, and the message says until when.
    told: how long an answer asks to wait where its API says so elsewhere than in `Retry-After`, which it then goes
        before; it gets the answer and the number of the attempt. It may raise: that ends the asking.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    default_429_s: float = 10.0
    longest_wait_s: float = 300.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0  # between two bytes of an answer
    retried: frozenset[int] = RETRIED
    undone: frozenset[int] = frozenset({429})  # of these, statuses that say that a write was not done
    told: Callable[[Answer, int], float | None] | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """What came back, read to its end; `data` parses the JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    where: str  # method and path, for messages

    @property
    def data(self) -> Any:
        """The JSON of the body. Raises AnswerError where it is none: HTML with status 200, a cut text."""
        try:
            return values.parse(self.body)
        except ValueError as error:
            raise AnswerError(
                f"{self.where} answered {self.status} with {len(self.body)} bytes that are not JSON "
                f"({_media_type(self.headers)}).",
                hint="Check the base URL: a login page or a proxy answers like this.",
            ) from error


@attrs.frozen
class _Trouble:
    """Why there is no answer."""

    text: str = ""
    is_nobody: bool = False  # there is no such host, or no server on it


_NO_TROUBLE = _Trouble()


class Transport:
    """
    A session to one API; safe for threads. `requests` counts what was really sent.

    The name before the colon of *owner* (`budget.owner_of`) is the source's: messages name its variables, those of
    `environment` once a source has set that. Once closed, it ends its waits and sends nothing.
    """

    def __init__(
        self,
        base_url: str,
        *,
        owner: str,
        doors: Doors,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        rules: Rules | None = None,
    ) -> None:
        """
        Make the session; nothing is sent.

        Raises: UsageError: *base_url* is no URL or has a user in it, or a header cannot carry the token or user.
        """
        self.environment = DEFAULT_ENVIRONMENT
        self._owner = owner
        _check_url(base_url, self._variable("URL"))
        self._check_secrets(headers or {}, auth)
        self.base_url = base_url.rstrip("/")
        self.requests = 0
        self.rules = rules or Rules()
        self.clock = doors.clock
        self._doors = doors
        self._count_lock = threading.Lock()
        self._is_closed = False
        self._was_answered = False
        self._session = self._open(headers or {}, auth)
        self._templates: dict[str, requests.PreparedRequest] = {}
        self._try_url()

    def get(self, path: str, params: Query | None = None, *, bucket: Bucket | None = None) -> Answer:
        """Read by GET; *path* is below the base URL, or a whole URL on the same host (a `Link`)."""
        return self.call("GET", path, params=params, bucket=bucket)

    def read_by_post(self, path: str, body: object, *, bucket: Bucket | None = None) -> Answer:
        """Read by POST, as searches do: nothing is written there, so it may be asked again."""
        return self.call("POST", path, body=body, bucket=bucket)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Query | None = None,
        body: object = None,
        bucket: Bucket | None = None,
        is_read: bool = True,
    ) -> Answer:
        """
        Send, and send again by the rules where it is a read.

        Raises: Unavailable, NotAllowed, NotFound, RequestError; SyncerError where it is closed. A write
        (`is_read=False`) is asked again only where the answer says that it was not done (`Rules.undone`).
        """
        where = f"{method} {urlsplit(path).path if '://' in path else path}"
        request = self._prepare(method, path, params, body)
        for attempt in range(1, self.rules.tries + 1):
            if bucket is not None:
                self._doors.budget.take(self._owner, bucket, sleep=self._sleep)
            answer, trouble = self._attempt(request, where)
            if answer is not None and answer.status not in self.rules.retried:
                return self._judged(answer)
            told = self._told_to_wait(answer, attempt)
            status = answer.status if answer is not None else 0
            wait = self._wait_before_next(attempt, status=status, told=told, bucket=bucket)
            may_repeat = is_read or status in self.rules.undone
            if attempt >= self._tries(trouble) or wait > self.rules.longest_wait_s or not may_repeat:
                raise self._gave_up(where, answer, trouble, attempt=attempt, wait=wait if told else 0.0)
            logger.info("{}: {}; asked again in {:.1f} s", where, trouble.text or status, wait)
            if status != 429 or bucket is None:
                self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def close(self) -> None:
        """Close the connections; whoever waits, or asks from now on, gets an error."""
        self._is_closed = True
        self._session.close()

    def _open(self, headers: Mapping[str, str], auth: tuple[str, str] | None) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter
        from requests.auth import HTTPBasicAuth

        session = requests.Session()
        # Proxies and certificates are looked up once here, not at each request (0.2 ms); and .netrc must not replace
        # our token.
        session.proxies.update(requests.utils.get_environ_proxies(self.base_url))
        settings = session.merge_environment_settings(self.base_url, {}, None, None, None)
        self._verify: bool | str = settings["verify"] or True
        session.verify = self._verify
        session.trust_env = False
        session.headers.update({"Accept": "application/json", "User-Agent": "syncer", **headers})
        if auth is not None:
            session.auth = HTTPBasicAuth(*auth)
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=16, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def _prepare(self, method: str, path: str, params: Query | None, body: object) -> requests.PreparedRequest:
        """Make a request from the template of its method: headers and authentication are put together once."""
        url = path if "://" in path else self.base_url + path
        if urlsplit(url).netloc != urlsplit(self.base_url).netloc:
            raise AnswerError(
                f"{self.base_url} named a next page on another host ({urlsplit(url).netloc}); "
                "the token is not sent there."
            )
        request = self._template(method).copy()
        request.prepare_url(url, params)
        if body is not None:
            request.prepare_body(orjson.dumps(body), None)
            request.headers["Content-Type"] = "application/json"
        return request

    def _template(self, method: str) -> requests.PreparedRequest:
        import requests

        if method not in self._templates:
            self._templates[method] = self._session.prepare_request(requests.Request(method, self.base_url))
        return self._templates[method]

    def _attempt(self, request: requests.PreparedRequest, where: str) -> tuple[Answer | None, _Trouble]:
        """Send once; the answer, or what went wrong on the way."""
        import requests

        self._check_open()
        with self._count_lock:
            self.requests += 1
        timeout = (self.rules.connect_timeout_s, self.rules.read_timeout_s)
        try:
            if self._doors.send is not None:
                response = self._doors.send(request, self._session, timeout)
            else:
                # The adapter, and not the session, which would look for redirects and cookies: 0.1 ms a request.
                response = self._session.get_adapter(self.base_url).send(
                    request, timeout=timeout, verify=self._verify, proxies=self._session.proxies
                )
            body = b"".join(response.iter_content(READ_BYTES))
        except requests.exceptions.SSLError as error:
            raise SyncerError(
                f"{where}: the certificate of {self.base_url} was not accepted.",
                hint="Set REQUESTS_CA_BUNDLE to the authority's file.",
            ) from error
        except requests.exceptions.ConnectTimeout:
            return None, _Trouble(f"no connection in {self.rules.connect_timeout_s:g} s")
        except requests.exceptions.Timeout:
            return None, _Trouble(f"no answer in {self.rules.read_timeout_s:g} s")
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            return None, _Trouble("the answer was cut short")
        except requests.exceptions.ConnectionError as error:
            return None, self._trouble_of(error)
        self._was_answered = True
        return Answer(
            status=response.status_code, headers=response.headers, body=body, url=response.url or "", where=where
        ), _NO_TROUBLE

    def _trouble_of(self, error: requests.exceptions.ConnectionError) -> _Trouble:
        import requests

        cause = _cause(error)
        if isinstance(error, requests.exceptions.ProxyError):
            return _Trouble(f"the proxy did not let us through ({type(cause).__name__})")
        parts = urlsplit(self.base_url)
        if isinstance(cause, socket.gaierror):
            return _Trouble(f"the host name {parts.hostname} is not known", is_nobody=True)
        if isinstance(cause, ConnectionRefusedError):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            return _Trouble(f"nobody answers at {parts.hostname}:{port}", is_nobody=True)
        return _Trouble(f"the connection failed ({type(cause).__name__})")

    def _tries(self, trouble: _Trouble) -> int:
        is_wrong_url = trouble.is_nobody and not self._was_answered
        return min(FIRST_TRIES, self.rules.tries) if is_wrong_url else self.rules.tries

    def _sleep(self, seconds: float) -> None:
        """Wait, and look now and then whether anybody still wants us to."""
        while seconds > 0:
            self._check_open()
            self.clock.sleep(min(seconds, SLICE_S))
            seconds -= SLICE_S
        self._check_open()

    def _check_open(self) -> None:
        if self._is_closed:
            raise SyncerError(f"The session to {self.base_url} is closed.")

    def _told_to_wait(self, answer: Answer | None, attempt: int) -> float | None:
        """Read how long to wait: as the API has it, or `Retry-After`, in seconds or as a date; None: it tells not."""
        if answer is not None and self.rules.told is not None:
            wait = self.rules.told(answer, attempt)
            if wait is not None:
                return wait
        text = answer.headers.get("Retry-After") if answer is not None else None
        if not text:
            return None
        try:
            return max(0.0, float(text))
        except ValueError:
            moment = moment_of(text)
        return None if moment is None else max(0.0, (moment - self.clock.now()).total_seconds())

    def _wait_before_next(self, attempt: int, *, status: int, told: float | None, bucket: Bucket | None) -> float:
        jitter = self._doors.random.uniform(0.7, 1.3)
        wait = float(self.rules.first_wait_s * 2 ** (attempt - 1)) * jitter
        if status == 429:
            wait = told if told is not None else max(wait, self.rules.default_429_s * jitter)
            if bucket is not None and wait <= self.rules.longest_wait_s:
                self._doors.budget.pause(self._owner, bucket, wait)
        elif told is not None:
            wait = told
        return wait

    def _gave_up(
        self, where: str, answer: Answer | None, trouble: _Trouble, *, attempt: int, wait: float
    ) -> SyncerError:
        what = trouble.text or f"status {answer.status if answer is not None else 0}"
        tried = "once" if attempt == 1 else f"{attempt} times"
        hint = f"The server asks to wait {wait:.0f} s. " if wait else ""
        if not self._was_answered:
            hint = f"Check {self._variable('URL')}, and that this machine may reach it. "
        return Unavailable(
            f"{where} at {self.base_url}: {what}, asked {tried}.",
            hint=f"{hint}It is safe to run again.",
            status=answer.status if answer is not None else 0,
        )

    def _judged(self, answer: Answer) -> Answer:
        """Return a good answer; raise for a bad one, without its text, which may repeat what was sent."""
        if answer.status < 300 or answer.status == 304:
            return answer
        body = answer.body[:10_000].decode("utf-8", "replace")
        token = self._variable("TOKEN")
        if answer.status == 401:
            raise NotAllowed(
                f"{answer.where} at {self.base_url}: the token in {token} is not accepted (401); it may have "
                "expired or been revoked.",
                status=401,
                body=body,
            )
        if answer.status == 403:
            raise NotAllowed(
                f"{answer.where} at {self.base_url} is not allowed (403): the token in {token}, or its user, has no "
                "right to read it.",
                status=403,
                body=body,
            )
        if answer.status == 404:
            raise NotFound(f"{answer.where} at {self.base_url} was not found (404).", status=404, body=body)
        if answer.status >= 400:
            raise RequestError(
                f"{answer.where} was refused with status {answer.status}.", status=answer.status, body=body
            )
        raise RequestError(
            f"{answer.where} was answered with a redirect ({answer.status}), which is not followed: the token "
            "would go along.",
            hint=f"Check {self._variable('URL')} (http or https, the host's present name).",
            status=answer.status,
            body=body,
        )

    def _variable(self, what: str) -> str:
        """Name the variable that holds URL, TOKEN or USER of the source that this is a session of."""
        source = self._owner.partition(":")[0]
        words = {"URL": "the base URL", "TOKEN": "the token", "USER": "the user"}
        return Account(source=source, environment=self.environment).variable(what) if source else words[what]

    def _check_secrets(self, headers: Mapping[str, str], auth: tuple[str, str] | None) -> None:
        user, token = auth or ("", "")
        for what, texts in (("USER", [user]), ("TOKEN", [token, *headers.values()])):
            if not all(text.isascii() and text.isprintable() and text[:1] != " " for text in texts):
                raise UsageError(
                    f"{self._variable(what)} has a letter that no header of a request can carry.",
                    hint="Only plain ASCII is possible, in one line: copy it again.",
                )

    def _try_url(self) -> None:
        """Let `requests` look at the base URL, as it does at the first request. Raises UsageError."""
        try:
            self._template("GET")
        except ValueError:
            raise _wrong_url(self._variable("URL"), "is no URL") from None


def moment_of(text: str) -> dt.datetime | None:
    """Read a date as headers have it, in UTC; None where it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _check_url(url: str, variable: str) -> None:
    """Raise UsageError where *url* cannot be a base URL. It is not repeated: a password may stand in it."""
    if not url.isprintable() or " " in url:
        raise _wrong_url(variable, "has a blank or a control character in it")
    try:
        parts = urlsplit(url)
        is_usable = parts.port != 0
        host = parts.hostname or ""
        if host.isascii():
            host.encode("idna")
    except ValueError:
        is_usable, parts, host = False, urlsplit(""), ""
    if "@" in (parts.netloc or url):
        raise _wrong_url(variable, "has a user or a password in it, which would stand in logs")
    if not is_usable or not host:
        raise _wrong_url(variable, "is no URL")
    if parts.scheme not in ("http", "https") or "?" in url or "#" in url:
        raise _wrong_url(variable, "is no base URL")


def _wrong_url(variable: str, why: str) -> UsageError:
    return UsageError(
        f"{variable[:1].upper()}{variable[1:]} {why}.",
        hint="http:// or https://, the host, its port and path where it needs them: https://host.example.com",
    )


def _media_type(headers: Mapping[str, str]) -> str:
    kind = headers.get("Content-Type")
    if kind is None:
        return "no content type"
    named = kind.partition(";")[0].strip().lower()
    return named if named in MEDIA_TYPES else "another content type"


def _cause(error: BaseException) -> BaseException:
    """Return the innermost cause. Only its class is named: its text may hold the URL with what was sent."""
    inner: BaseException = error
    while (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]  # checked by the loop
    return inner
