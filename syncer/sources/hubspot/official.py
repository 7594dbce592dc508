"""
`hubspot-api-client`, for what is asked rarely: property definitions and groups, owners, pipelines.

The generated code makes paths and parameters; its REST object is ours, which hands each request to the transport. So
time-outs, retries and the request budget are those of every other request, it knows no host and no token, and an error
is the transport's own. An API object is built once and held.

Every call takes the answer as it came (`_preload_content=False`) and reads the JSON itself. The client's models drop
what they do not know (of a definition `dataSensitivity`, `currencyPropertyName`), and cost 90 ms where the JSON of
1,000 definitions costs 3. Importing the three packages costs 85 ms beside `requests`, so it happens at the first call.

Not here: what the answers mean (`definitions.py`, `listed.py`); requests that are many (the transport, without this).
Source: hubspot-api-client 12.0.0, `hubspot.crm.{properties,owners,pipelines}`; HubSpot CRM API v3.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from syncer.errors import AnswerError, SyncerError
from syncer.sources import Record
from syncer.sources.hubspot.calls import a_list, an_object, next_after
from syncer.transport import Answer, Query

OWNERS_A_PAGE = 500  # the most that HubSpot gives
NON_SENSITIVE = "non_sensitive"
PROPERTIES = "/crm/v3/properties/{objectType}"

Send = Callable[[str, str, Query], Answer]  # method, path, parameters
Write = Callable[[str, str, Query, Any], Answer]  # the same, and a body


class Official:
    """
    The generated client over our transport; safe for threads.

    `send` reads; `write` sends what has a body, or deletes. Without it, this refuses to write.
    """

    def __init__(self, send: Send, *, write: Write | None = None) -> None:
        self._rest = _Rest(send, write)
        self._clients: dict[str, Any] = {}
        self._apis: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def properties(
        self, object_type: str, *, archived: bool = False, sensitivity: str = NON_SENSITIVE
    ) -> list[Record]:
        """
        Return all definitions of a type, as the API shapes them, of one sensitivity.

        Raises: what the transport raises; AnswerError where it is no whole list.
        """
        if sensitivity == NON_SENSITIVE:
            reply = self.api("properties", "CoreApi").get_all(object_type, archived=archived, _preload_content=False)
            return _whole(reply.answer)
        # The generated method knows no such parameter, the client below it takes any.
        self.api("properties", "CoreApi")
        reply = self._clients["properties"].call_api(
            PROPERTIES,
            "GET",
            {"objectType": object_type},
            [("archived", archived), ("dataSensitivity", sensitivity)],
            _preload_content=False,
        )
        return _whole(reply.answer)

    def create_property(self, object_type: str, definition: Record) -> None:
        """Make a property, of a definition as the API shapes it. Raises: what the transport raises."""
        self.api("properties", "CoreApi").create(object_type, definition, _preload_content=False)

    def create_no_property(self, object_type: str) -> None:
        """
        Make none, in a batch of none: refused with 403 where no property of the type may be made, and with 400 where
        one may. Raises as `create_property` does.
        """
        self.api("properties", "BatchApi").create(object_type, {"inputs": []}, _preload_content=False)

    def groups(self, object_type: str) -> list[Record]:
        """Return the groups of a type's definitions. Raises as `properties` does."""
        reply = self.api("properties", "GroupsApi").get_all(object_type, _preload_content=False)
        return _whole(reply.answer)

    def pipelines(self, object_type: str) -> list[Record]:
        """Return the pipelines of a type, each with its stages. Raises as `properties` does."""
        reply = self.api("pipelines", "PipelinesApi").get_all(object_type, _preload_content=False)
        return _whole(reply.answer)

    def owners(self, *, archived: bool = False) -> Iterator[list[Record]]:
        """
        Yield the owners, a page at a time: the active ones, or those that were deactivated.

        Raises: what the transport raises; AnswerError where it names a page that it has named before.
        """
        api = self.api("owners", "OwnersApi")
        after: str | None = None
        named: set[str] = set()
        while True:
            more = {} if after is None else {"after": after}
            answer = api.get_page(limit=OWNERS_A_PAGE, archived=archived, **more, _preload_content=False).answer
            data = an_object(answer)
            after = next_after(answer, data)
            if after in named:
                raise AnswerError(f"{answer.where} named a next page that it had named before; it would never end.")
            yield a_list(answer, "results", of=data)
            if after is None:
                return
            named.add(after)

    def api(self, package: str, name: str) -> Any:
        """Return an API object of `hubspot.crm.PACKAGE`, made when it is first asked for."""
        with self._lock:
            if (package, name) not in self._apis:
                module = importlib.import_module(f"hubspot.crm.{package}")
                if package not in self._clients:
                    self._clients[package] = self._client(module)
                self._apis[package, name] = getattr(module, name)(self._clients[package])
            return self._apis[package, name]

    def _client(self, module: Any) -> Any:
        with _kept_globals(module.__name__):
            client = module.ApiClient(module.Configuration(host=""))
        client.rest_client = self._rest
        return client


@attrs.define(kw_only=True)
class Reply:
    """An answer as the generated code wants it; `data` is set by it to a text where it builds models."""

    answer: Answer
    data: Any

    @property
    def status(self) -> int:
        """The status."""
        return self.answer.status

    @property
    def reason(self) -> str:
        """The status in words, empty where it has none."""
        return http.client.responses.get(self.status, "")

    def getheaders(self) -> dict[str, str]:
        """All headers."""
        return dict(self.answer.headers)

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """One header."""
        return self.answer.headers.get(name, default)


class _Rest:
    """
    What stands in for the client's own REST object.

    The headers that the client makes are left out (its User-Agent, no token), and so is its time-out: the transport
    has its own.
    """

    def __init__(self, send: Send, write: Write | None) -> None:
        self._send = send
        self._write = write

    def GET(self, url: str, query_params: Any = None, **_: Any) -> Reply:  # noqa: N802  # the client's name for it
        """Read."""
        return _reply(self._send("GET", url, _spelled(query_params)))

    def POST(self, url: str, query_params: Any = None, body: Any = None, **_: Any) -> Reply:  # noqa: N802
        """Send a body."""
        return self._sent("POST", url, query_params, body)

    def PUT(self, url: str, query_params: Any = None, body: Any = None, **_: Any) -> Reply:  # noqa: N802
        """Send a body."""
        return self._sent("PUT", url, query_params, body)

    def PATCH(self, url: str, query_params: Any = None, body: Any = None, **_: Any) -> Reply:  # noqa: N802
        """Send a body."""
        return self._sent("PATCH", url, query_params, body)

    def DELETE(self, url: str, query_params: Any = None, body: Any = None, **_: Any) -> Reply:  # noqa: N802
        """Delete."""
        return self._sent("DELETE", url, query_params, body)

    def _sent(self, method: str, url: str, query_params: Any, body: Any) -> Reply:
        if self._write is None:
            raise SyncerError(f"{method} {url}: HubSpot is only read here; nothing was sent.")
        return _reply(self._write(method, url, _spelled(query_params), body))


_GLOBALS = threading.Lock()


@contextlib.contextmanager
def _kept_globals(package: str) -> Iterator[None]:
    """
    Keep what a new `Configuration` sets for the whole process: the levels of two loggers, and the switch of
    `http.client` that prints what is sent.
    """
    with _GLOBALS:
        loggers = [logging.getLogger(name) for name in (package, "urllib3")]
        levels = [logger.level for logger in loggers]
        debuglevel = http.client.HTTPConnection.debuglevel
        try:
            yield
        finally:
            http.client.HTTPConnection.debuglevel = debuglevel
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _reply(answer: Answer) -> Reply:
    return Reply(answer=answer, data=answer.body)


def _spelled(params: Sequence[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """Write parameters as the API documents them: true and false, not Python's."""
    return [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in params or ()
        if value is not None
    ]


def _whole(answer: Answer) -> list[Record]:
    """Return the results of a list that has no pages. Raises AnswerError where it names a next one."""
    data = an_object(answer)
    found = a_list(answer, "results", of=data)
    if next_after(answer, data) is not None:
        raise AnswerError(f"{answer.where} gave {len(found)} results and a next page, which this list never has.")
    return found
