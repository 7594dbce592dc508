"""
Streams that are listed in full each time: owners, pipelines, their stages, property definitions.

None of them tells what changed, and all are small: what is in none of a stream's lists is `gone`. HubSpot names what
was archived only of owners and definitions, in lists of their own; one may go from one list to the other between two
requests, so the live one is read before and after. A pipeline that is archived is in no list, and its id is not found:
it is `gone`.

A type of object is a scope: where the token lacks its scope, or HubSpot knows no such type, the others go on.
Source: HubSpot CRM API v3, "Owners", "Pipelines", "Properties".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer.errors import AnswerError, RequestError, SyncerError
from syncer.sources import ARCHIVED, LIVE, Key, Page, Record, State, Whole
from syncer.sources.hubspot import definitions
from syncer.sources.hubspot.definitions import Definition
from syncer.sources.hubspot.official import NON_SENSITIVE, Official

ROWS_A_PAGE = 200
LISTS = (False, True, False)  # the list of what was archived? The last one that has something tells its state
OF_THE_TYPE = (400, 403, 404)  # no such type, no scope for it; a 401 is about the token
ALWAYS_WITH_PIPELINES = frozenset({"deals", "tickets"})

Types = Iterable[str] | Mapping[str, str]


@attrs.frozen
class Row:
    """A record, its key and its state."""

    key: Key
    record: Record
    state: str


class Owners:
    """
    Who may own a record: users, and queues; those that were deactivated are archived, and records keep their id.
    """

    def __init__(self, official: Official) -> None:
        self._official = official

    def read(self) -> Iterator[Page]:
        """
        Yield all owners.

        Raises: NotAllowed where the scope is missing; AnswerError where there is no active owner at all, which no
        portal is without.
        """
        yield from _pages(self._rows(), whole=Whole())

    def keys(self) -> Iterator[Page]:
        """Yield the same: a list is as cheap with all values as without."""
        yield from self.read()

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the owners of *keys* that there are, by another listing: it costs less than to ask for each."""
        wanted = {str(key[0]) for key in keys}
        yield from _pages([row for row in self._rows() if row.key[0] in wanted])

    def names(self) -> list[str]:
        """Return the names of all owners that have one."""
        told = [(row.record.get("firstName"), row.record.get("lastName")) for row in self._rows()]
        return [name for parts in told if (name := " ".join(each for each in parts if isinstance(each, str) and each))]

    def _rows(self) -> list[Row]:
        found: dict[str, Row] = {}
        for is_archived in LISTS:
            for page in self._official.owners(archived=is_archived):
                for record in page:
                    number = _id(record, "an owner")
                    settled = {**record, "id": number, "teams": _ordered(record.get("teams"))}
                    found[number] = Row((number,), settled, _state(record, is_archived))
            if not found:
                raise AnswerError(
                    "GET /crm/v3/owners/ listed no active owner at all; nothing was changed.",
                    hint="Look at the scopes of the token (crm.objects.owners.read).",
                )
        return list(found.values())


class Pipelines:
    """
    The pipelines of each type, with their stages inside.

    types: the names that rows have; a mapping where the API's paths take another name. An answer is kept, so that the
    stages of the same verb stand on it too.
    """

    def __init__(self, official: Official, types: Types) -> None:
        self.types = _paths(types)
        self._official = official
        self._kept: dict[str, list[Record]] = {}

    def read(self) -> Iterator[Page]:
        """Yield all pipelines, a type at a time. Raises what is not about one type."""
        yield from _by_type(self.types, lambda name: self._rows(self.of_type(name)))

    def keys(self) -> Iterator[Page]:
        """Yield the same."""
        yield from self.read()

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the pipelines of *keys* that there are. They are listed anew; whatever is refused is raised."""
        yield from _fetched(self.types, keys, lambda name: self._rows(self.of_type(name, anew=True)))

    def of_type(self, name: str, *, anew: bool = False) -> list[Record]:
        """
        Return the pipelines of a type, as they were asked for before, unless *anew*.

        Raises: RequestError; AnswerError where there is none, which neither deals nor tickets can be without.
        """
        if anew or name not in self._kept:
            found = []
            for record in self._official.pipelines(self.types[name]):
                number, stages = _id(record, "a pipeline"), _ordered(record.get("stages"))
                if not isinstance(stages, list):
                    raise AnswerError(f"HubSpot listed a pipeline of {name} without its stages.")
                found.append({**record, "object_type": name, "id": number, "stages": stages})
            if not found and name in ALWAYS_WITH_PIPELINES:
                raise _none("pipeline", name)
            self._kept[name] = found
        return self._kept[name]

    @staticmethod
    def _rows(pipelines: Iterable[Record]) -> list[Row]:
        return [Row((each["object_type"], each["id"]), each, _state(each)) for each in pipelines]


class Stages:
    """The stages of pipelines; those of an archived pipeline are archived."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    def read(self) -> Iterator[Page]:
        """Yield all stages, a type at a time. Raises what is not about one type."""
        yield from _by_type(self._pipelines.types, lambda name: self._rows(self._pipelines.of_type(name)))

    def keys(self) -> Iterator[Page]:
        """Yield the same."""
        yield from self.read()

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the stages of *keys* that there are. They are listed anew; whatever is refused is raised."""
        yield from _fetched(
            self._pipelines.types, keys, lambda name: self._rows(self._pipelines.of_type(name, anew=True))
        )

    @staticmethod
    def _rows(pipelines: Iterable[Record]) -> list[Row]:
        found = []
        for pipeline in pipelines:
            name, of = pipeline["object_type"], pipeline["id"]
            for stage in pipeline["stages"]:
                number = _id(stage, "a stage")
                record = {**stage, "object_type": name, "pipeline_id": of, "id": number}
                found.append(Row((name, of, number), record, _state(stage, _state(pipeline) == ARCHIVED)))
        return found


class Properties:
    """
    The definitions of all properties of each type, archived ones too.

    A row has the API's own values, and the whole definition beside them, so that nothing of it is lost. One that was
    archived and made anew under its name is live.
    """

    def __init__(self, official: Official, types: Types) -> None:
        self.live: dict[str, list[Definition]] = {}  # of the types that were read: another stream may stand on them
        self._types = _paths(types)
        self._official = official

    def read(self) -> Iterator[Page]:
        """Yield all definitions, a type at a time. Raises what is not about one type."""
        yield from _by_type(self._types, self._rows)

    def keys(self) -> Iterator[Page]:
        """Yield the same."""
        yield from self.read()

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the definitions of *keys* that there are. They are listed anew; whatever is refused is raised."""
        yield from _fetched(self._types, keys, self._rows)

    def _rows(self, name: str) -> list[Row]:
        path = self._types[name]
        labels = definitions.groups(self._official, path)
        found: dict[str, Row] = {}
        wanted = definitions.SENSITIVITIES
        for n, is_archived in enumerate(LISTS):
            if n == len(LISTS) - 1:  # what the token may not see, or nobody has, is not asked for once more
                met = {row.record["dataSensitivity"] for row in found.values()}
                wanted = tuple(each for each in wanted if each == NON_SENSITIVE or each in met)
            for raw in definitions.records(self._official, path, archived=is_archived, sensitivities=wanted):
                definition = definitions.read(raw, name, group_labels=labels)
                record = {
                    **raw,
                    "object_type": name,
                    "group_label": definition.group_label or None,
                    "is_writable": definition.is_writable,
                    "definition": raw,
                }
                found[raw["name"]] = Row((name, raw["name"]), record, _state(raw, is_archived))
            if not found:
                raise _none("property", name)
        live = [row.record["definition"] for row in found.values() if row.state == LIVE]
        self.live[name] = [definitions.read(raw, name, group_labels=labels) for raw in live]
        return list(found.values())


def _by_type(types: Iterable[str], rows: Callable[[str], Sequence[Row]]) -> Iterator[Page]:
    """Yield the rows of each type under a whole of its own, or why there are none."""
    for name in types:
        try:
            found = rows(name)
        except RequestError as error:
            if error.status not in OF_THE_TYPE:
                raise
            yield Page(scope=name, error=error)
        except _NothingThere as error:
            yield Page(scope=name, error=error)
        else:
            whole = Whole(columns=("object_type",), values=((name,),), within=("object_type",))
            yield from _pages(found, scope=name, whole=whole)


def _fetched(types: Mapping[str, str], keys: Sequence[Key], rows: Callable[[str], Sequence[Row]]) -> Iterator[Page]:
    """Yield the rows of *keys*; a type that the site does not read any more has none."""
    wanted = {tuple(map(str, key)) for key in keys}
    for name in sorted({key[0] for key in wanted} & set(types)):
        yield from _pages([row for row in rows(name) if row.key in wanted], scope=name)


def _pages(rows: Sequence[Row], *, scope: str = "", whole: Whole | None = None) -> Iterator[Page]:
    """Yield rows with their states, some at a time, under a walk of *whole*."""
    last = max(0, len(rows) - 1) // ROWS_A_PAGE
    for n in range(last + 1):
        some = rows[n * ROWS_A_PAGE : (n + 1) * ROWS_A_PAGE]
        yield Page(
            scope=scope,
            records=[row.record for row in some],
            states=[State(key=row.key, state=row.state) for row in some if row.state != LIVE],
            whole=None if whole is None else attrs.evolve(whole, first=n == 0, last=n == last),
        )


class _NothingThere(AnswerError):
    """Inside this module: a type has none of what it cannot be without."""


def _none(what: str, name: str) -> SyncerError:
    return _NothingThere(
        f"HubSpot listed no {what} of {name} at all, where there must be one; none of their rows was changed.",
        hint="Look at the scopes of the token.",
    )


def _paths(types: Types) -> dict[str, str]:
    return dict(types) if isinstance(types, Mapping) else {name: name for name in types}


def _state(record: Record, is_archived: bool = False) -> str:
    return ARCHIVED if is_archived or record.get("archived") is True else LIVE


def _id(record: Record, what: str) -> str:
    """Return an id as text. Raises AnswerError where there is none: the row could not be told from others."""
    number = record.get("id")
    if not isinstance(number, str | int) or isinstance(number, bool) or number == "":
        raise AnswerError(f"HubSpot listed {what} without an id.")
    return str(number)


def _ordered(found: Any) -> Any:
    """Put objects into their display order, or that of their ids: another order of the answer changes no row."""
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return found
    return sorted(found, key=lambda each: (_place_of(each), str(each.get("id"))))


def _place_of(found: Record) -> int:
    order = found.get("displayOrder")
    return order if isinstance(order, int) else 0
