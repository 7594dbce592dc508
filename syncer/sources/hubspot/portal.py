"""
What a portal defines for a push: properties, rules, owners, pipelines, types of association. Asked once, and kept on
local disk for a minute, so that a push of a few changes costs a few requests.

Processes of one user that use the same token share it. A kind's definitions are one fetch. What the token may not
read is not there (rules, owners), and HubSpot then judges what is sent. Not here: what it means (`shape.py`,
`rules.py`, `choices.py`). Source: HubSpot's guides "Properties", "Property validations", "Owners", "Pipelines",
"Custom objects", "Associate records".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loguru import logger

from syncer import cache
from syncer.errors import RequestError
from syncer.sources import Record
from syncer.sources.hubspot import rules
from syncer.sources.hubspot.calls import Calls, a_list, an_object
from syncer.sources.hubspot.definitions import Definition, read
from syncer.sources.hubspot.kinds import WITH_PIPELINES, Kind
from syncer.sources.hubspot.official import Official
from syncer.sources.hubspot.rules import Rule
from syncer.target import EdgeType

WRITABLE_S = 3_600.0  # so long it is believed that a token may write: who takes the scope away is refused by the API
KEPT_S = 60.0  # so long what a portal defines is believed: who mends a choice there and runs again is not kept waiting
UNREAD = (400, 403, 404)  # no such kind, or no scope for it; a 401 is about the token
TYPE_IDS: Mapping[str, str] = {  # of HubSpot's own kinds, where a path takes nothing else
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "tickets": "0-5",
    "communications": "0-18",
    "tasks": "0-27",
    "notes": "0-46",
    "meetings": "0-47",
    "calls": "0-48",
    "emails": "0-49",
}
PRIMARY = frozenset({  # HubSpot's own types that make a company the primary one, seen from either side
    ("contacts", "companies", 1), ("companies", "contacts", 2),
    ("deals", "companies", 5), ("companies", "deals", 6),
    ("companies", "tickets", 25), ("tickets", "companies", 26),
})  # fmt: skip
HUBSPOT_DEFINED = "HUBSPOT_DEFINED"


class Portal:
    """Looks up what a portal defines; safe for threads. *folder*: of the cache; None: nothing is kept on disk."""

    def __init__(self, calls: Calls, official: Official, *, folder: Path | None) -> None:
        self._calls, self._official, self._folder = calls, official, folder
        self._lock = threading.Lock()
        self._here: dict[str, Any] = {}

    def definitions(self, kind: Kind, ask: Callable[[], Sequence[Record]]) -> list[Definition]:
        """Return the definitions of a kind's properties; *ask* gets them as the API shapes them."""
        found = self._kept(f"properties:{kind.path}", lambda: list(ask()))
        return [read(record, kind.path, group_labels={}) for record in found]

    def rules(self, kind: Kind) -> dict[str, tuple[Rule, ...]]:
        """Return the portal's own rules for values, by property."""
        path = self._calls.paths.validations(TYPE_IDS.get(kind.name, kind.path))
        return rules.read(self._kept(f"rules:{kind.path}", lambda: self._asked(path).get("results") or {}))

    def owners(self) -> list[Record] | None:
        """Return all owners, deactivated ones too; None where the token may not read them."""
        found: list[Record] | None = self._kept("owners", self._all_owners)
        return found

    def pipelines(self, kind: Kind) -> list[Record]:
        """Return a kind's pipelines with their stages; none where it has none."""
        if not kind.is_custom and kind.name not in WITH_PIPELINES:
            return []
        found: list[Record] = self._kept(f"pipelines:{kind.path}", lambda: self._all_pipelines(kind))
        return found

    def required(self, kind: Kind) -> list[str]:
        """Return what a custom object's new record needs; of HubSpot's own kinds it is not told."""
        if not kind.is_custom:
            return []
        path = self._calls.paths.schema(kind.path)
        found = self._kept(f"required:{kind.path}", lambda: self._asked(path).get("requiredProperties"))
        return [str(each) for each in found] if isinstance(found, list) else []

    def edge_types(self, start: Kind, end: Kind) -> list[EdgeType]:
        """Return the types of association from one kind to another; none where the two cannot be associated."""
        found = self._kept(f"labels:{start.path}:{end.path}", lambda: self._labels(start, end))
        return [
            EdgeType(
                category=str(each.get("category")),
                type_id=int(each["typeId"]),
                label=str(each.get("label") or ""),
                is_primary=is_primary(start.name, end.name, str(each.get("category")), int(each["typeId"])),
            )
            for each in found
            if isinstance(each.get("typeId"), int | str)
        ]

    def once(self, what: str, do: Callable[[], None]) -> None:
        """Do something that raises where it is not allowed, and believe for a while that it is."""

        def done() -> bool:
            do()
            return True

        self._kept(what, done, for_s=WRITABLE_S)

    def forget(self, kind: Kind) -> None:
        """Let the definitions of a kind be asked for anew: one was made."""
        with self._lock:
            self._here.pop(f"properties:{kind.path}", None)
            if self._folder is not None:
                with cache.explained(self._folder):
                    cache.opened(self._folder).delete(self._key(f"properties:{kind.path}"))

    def _labels(self, start: Kind, end: Kind) -> list[Record]:
        try:
            answer = self._calls.get(self._calls.paths.associations(start.path, end.path, "labels"))
        except RequestError as error:
            if error.status not in (400, 404):
                raise
            return []
        return a_list(answer, "results")

    def _all_owners(self) -> list[Record] | None:
        try:  # the deactivated ones first: who comes back between the two requests is active
            found = {str(each.get("id")): each for is_old in (True, False) for each in self._owners(is_old)}
        except RequestError as error:
            if error.status != 403:
                raise
            logger.warning("the token may not read owners: they are written by id only, and not checked")
            return None
        return list(found.values())

    def _owners(self, is_archived: bool) -> list[Record]:
        return [
            {**each, "archived": is_archived} for page in self._official.owners(archived=is_archived) for each in page
        ]

    def _all_pipelines(self, kind: Kind) -> list[Record]:
        try:
            return self._official.pipelines(kind.path)
        except RequestError as error:
            if not kind.is_custom or error.status not in UNREAD:
                raise
            return []

    def _asked(self, path: str) -> dict[str, Any]:
        """Ask for what helps and is not needed: where the token may not read it, HubSpot judges what is sent."""
        try:
            return an_object(self._calls.get(path))
        except RequestError as error:
            if error.status not in UNREAD:
                raise
            logger.info("GET {} answered {}: it is not checked before sending", path, error.status)
            return {}

    def _kept(self, name: str, ask: Callable[[], Any], *, for_s: float = KEPT_S) -> Any:
        with self._lock:
            if name not in self._here:
                self._here[name] = self._from_disk(name, ask, for_s)
            return self._here[name]

    def _from_disk(self, name: str, ask: Callable[[], Any], for_s: float) -> Any:
        if self._folder is None:
            return ask()
        key = self._key(name)
        with cache.explained(self._folder):
            kept = cache.opened(self._folder).get(key)
        now = self._calls.clock.now().timestamp()
        if isinstance(kept, dict) and 0 <= now - kept["at"] <= for_s:
            return kept["what"]
        found = ask()
        with cache.explained(self._folder):
            cache.opened(self._folder).set(key, {"at": now, "what": found}, expire=for_s)
        return found

    def _key(self, name: str) -> str:
        return f"portal:{self._calls.owner}:{self._calls.paths.family}:{name}"


def is_primary(start: str, end: str, category: str, type_id: int) -> bool:
    """Tell whether a type makes the company at one end the primary one of the record at the other."""
    return category == HUBSPOT_DEFINED and (start, end, type_id) in PRIMARY
