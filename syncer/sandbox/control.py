"""
`/_sandbox`: how another process steers a running sandbox and asks what it saw.

    GET    /_sandbox/counts              requests by site and route, faults reached
    GET    /_sandbox/log?limit=100       the newest requests, oldest first
    POST   /_sandbox/reset               forget log and counts
    POST   /_sandbox/faults              {"kind": "status", "match": "search/jql", "status": 429}
    DELETE /_sandbox/faults              switch all faults off
    POST   /_sandbox/clock               {"advance_s": 3600}
    POST   /_sandbox/edit                {"site": "jira", "count": 10, "seed": 1}
    GET    /_sandbox/truth?site=jira&stream=issues

None of these counts as a request of a site.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson

from syncer.sandbox.clock import Clock
from syncer.sandbox.faults import Faults, wished
from syncer.sandbox.messages import Editable, Request, Response, Site, json_response
from syncer.sandbox.traffic import Traffic


class ControlError(ValueError):
    """A control request that cannot be carried out; its text is the answer."""


@attrs.frozen(kw_only=True)
class Control:
    """The control routes of one sandbox."""

    sites: Mapping[str, Site]
    locks: Mapping[str, threading.RLock]
    clock: Clock
    faults: Faults
    traffic: Traffic

    def answer(self, request: Request) -> Response:
        """Answer a request below `/_sandbox`: 400 says what is wrong with it, 404 which routes there are."""
        routes: dict[str, Callable[[Request], Any]] = {
            "GET /counts": self._counts,
            "GET /log": self._log,
            "POST /reset": self._reset,
            "POST /faults": self._add_fault,
            "DELETE /faults": self._clear_faults,
            "POST /clock": self._advance,
            "POST /edit": self._edit,
            "GET /truth": self._truth,
        }
        handler = routes.get(f"{request.method} {request.path}")
        if handler is None:
            return json_response({"error": f"no {request.method} {request.path}", "known": sorted(routes)}, status=404)
        try:
            return json_response(handler(request))
        except ControlError as error:
            return json_response({"error": str(error)}, status=400)

    def _counts(self, request: Request) -> Any:
        counts = {
            name: {
                "requests": of_site.requests,
                "bytes": of_site.bytes,
                "routes": {f"{method} {route}": n for (method, route), n in sorted(of_site.routes.items())},
            }
            for name, of_site in self.traffic.counts().items()
        }
        return {"sites": counts, "faults": dict(self.faults.reached), "time": self.clock.now().isoformat()}

    def _log(self, request: Request) -> Any:
        limit = request.first("limit", "100") or ""
        if not limit.isdigit():
            raise ControlError(f"limit must be a whole number, not {limit!r}")
        newest = list(self.traffic.log)[-int(limit) :] if int(limit) else []
        return [{**attrs.asdict(entry), "time": entry.time.isoformat()} for entry in newest]

    def _reset(self, request: Request) -> Any:
        self.traffic.reset()
        return {}

    def _add_fault(self, request: Request) -> Any:
        wish = _object(request)
        try:
            fault = wished(wish, sites=sorted(self.sites))
        except ValueError as error:
            raise ControlError(str(error)) from error
        self.faults.add(fault)
        return attrs.asdict(fault)

    def _clear_faults(self, request: Request) -> Any:
        self.faults.clear()
        return {}

    def _advance(self, request: Request) -> Any:
        seconds = _object(request).get("advance_s")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
            raise ControlError(f"advance_s must be a number of seconds, 0 or more, not {seconds!r}")
        return {"time": self.clock.advance(seconds).isoformat()}

    def _edit(self, request: Request) -> Any:
        wish = _object(request)
        count, seed = wish.get("count", 1), wish.get("seed", 1)
        if not isinstance(count, int) or not isinstance(seed, int):
            raise ControlError(f"count and seed must be whole numbers, not {count!r} and {seed!r}")
        name = wish.get("site")
        site = self._editable(name)
        with self.locks[str(name)]:
            return {"edits": site.edit(count, seed)}

    def _truth(self, request: Request) -> Any:
        name, stream = request.first("site"), request.first("stream")
        site = self._editable(name)
        if not stream:
            raise ControlError("stream is missing: /_sandbox/truth?site=jira&stream=issues")
        with self.locks[str(name)]:
            try:
                truth = site.truth(stream)
            except (KeyError, ValueError) as error:
                raise ControlError(f"{name} has no stream {stream!r}: {error}") from error
            return [{"key": list(key), "record": record} for key, record in truth.items()]

    def _editable(self, name: object) -> Editable:
        site = self.sites.get(name) if isinstance(name, str) else None
        if not isinstance(site, Editable):
            raise ControlError(f"no site {name!r}; known: {', '.join(sorted(self.sites))}")
        return site


def _object(request: Request) -> dict[str, Any]:
    """Return the request's body, which must be a JSON object."""
    try:
        data = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise ControlError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ControlError("the body must be a JSON object")
    return data
