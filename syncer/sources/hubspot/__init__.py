"""
HubSpot: objects of all kinds, the edges between them, owners, pipelines and property definitions; read, and written.

    paths.py        where the endpoints stand, in two families
    calls.py        requests, whose portal it is, three limits and the day's
    kinds.py        the kinds of objects, and their order
    walk.py, batches.py, archive.py, places.py      lists, searches, records by id, the recycle bin, how far
    objects.py      the streams of objects
    associations.py, edges.py, ids.py      the stream of edges
    official.py     `hubspot-api-client`, for what is asked rarely
    definitions.py, personal.py, listed.py      properties as columns; what is listed in full
    portal.py, shape.py, normal.py, rules.py, choices.py        what a portal takes: asked once, then judged here
    writing.py, edgewriting.py, refusals.py     records and edges written, and why one was refused
    walking.py      records of a kind for operations: listed, by a value, what survived merges
    defining.py     properties made

Source: HubSpot's API reference and guides, developers.hubspot.com.
"""

from __future__ import annotations

import datetime as dt
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from loguru import logger

from syncer.errors import AnswerError, NotAllowed, RequestError, Unavailable, UnknownName, UsageError
from syncer.mapping import Field
from syncer.plan import ASSOCIATE, DISASSOCIATE, MERGE, OF_EDGES, Change
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Record, Source
from syncer.sources.hubspot import choices, definitions, edgewriting, listed, walking, writing
from syncer.sources.hubspot.associations import Associations
from syncer.sources.hubspot.batches import Wanted
from syncer.sources.hubspot.calls import Calls, place_of
from syncer.sources.hubspot.defining import Definitions
from syncer.sources.hubspot.definitions import Definition
from syncer.sources.hubspot.edgewriting import EdgeWriting
from syncer.sources.hubspot.ids import Ids
from syncer.sources.hubspot.kinds import MERGED_IDS, ORDER, WITH_PIPELINES, Kind, all_kinds
from syncer.sources.hubspot.objects import Known, Objects
from syncer.sources.hubspot.official import Official
from syncer.sources.hubspot.pairs import Pairs
from syncer.sources.hubspot.portal import Portal
from syncer.sources.hubspot.shape import Described, HubSpotShape, has_owners
from syncer.target import MOST, EdgeType, Found, Linked, Outcome
from syncer.transport import Answer, Doors

LISTED = ("owners", "pipelines", "pipeline_stages", "properties")
DECLARED = ("id", "created_at", "updated_at", "archived_at", "url")  # columns that mappings of objects have anyway
PROBES = 3  # times that is asked whether the token may write, where the answer is lost
STANDARD = "STANDARD"  # the type of a portal where people work
FETCHED_S = 60.0  # so long what was fetched of a record with many edges is believed

NEEDS = Needs(
    title="HubSpot",
    url="https://api.hubapi.com",
    token="a service key of HubSpot: Development, Keys, Service keys; docs/hubspot.md has the scopes of each stream",
    options={
        "api": "the family of paths: v3, or a date version such as 2026-09 (the default)",
        "portal_id": "the portal that the token must be of; another one is refused",
        "objects": 'custom objects to read, by name (["subscriptions"]), or names and HubSpot\'s (licences = "2-345")',
        "histories": 'properties whose history is read as well, such as ["deals.dealstage"]',
        "daily_reserve": "requests of the day that are left to others (default 5 % of the daily limit)",
        "workers": "requests in flight at once, 1 to 16 (default 4)",
        "allow_production": "true: a push may write to a portal of the type STANDARD, where people work",
        "limits": '"off": do not hold back requests by the documented limits (default "on")',
    },
    variables=("api", "portal_id"),
)


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    """Make the source; *streams* are those that this verb reads."""
    return HubSpot(account, doors=doors, streams=streams)


class HubSpot:
    """One portal, read and written."""

    name = "hubspot"

    def __init__(self, account: Account, *, doors: Doors, streams: Sequence[str]) -> None:
        self._calls = Calls(account, doors=doors)
        self._kinds = all_kinds(account.options.get("objects"), place=place_of(account, "objects"))
        histories = account.options.get("histories")
        self._histories = _histories(histories, self._kinds, place=place_of(account, "histories"))
        self._named = place_of(account, "objects")
        self._allowing = place_of(account, "allow_production")
        self._official = Official(self._calls.rare, write=self._calls.rare_write)
        self._ids = Ids()
        self._shares_ids = "associations" in streams
        self._definitions: dict[str, list[Definition]] = {}
        self._shapes: dict[str, HubSpotShape] = {}
        self._pipelines: listed.Pipelines | None = None
        self._properties: listed.Properties | None = None
        self._people: list[str] | None = None
        self._portal = Portal(self._calls, self._official, folder=_folder_of(doors))
        self._alone = threading.Lock()
        self._sizes: dict[tuple[str, str], int] = {}  # of batches of edges, by pair of kinds
        self._fetching: tuple[float, Associations] | None = None
        self._opened: int | None = None  # the server's clock at the check, in milliseconds

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones too."""
        return self._calls.transport.requests

    def check(self) -> Identity:
        """Ask whose portal this is, and when: that is where the next window ends."""
        identity, self._opened = self._calls.check()
        return identity

    def describe(self, stream: str) -> Sequence[Field]:
        """Return a column for each property that the portal defines."""
        kind = self._kinds.get(stream)
        if kind is None:
            return ()
        wanted = [each for each in self._defined(kind) if not each.archived]
        return definitions.columns(wanted, declared=DECLARED, histories=self._histories.get(stream, ()))

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield what is new since *places*."""
        if stream in self._kinds:
            return self._objects(self._kinds[stream]).read(places=places, lookback=lookback)
        if stream == "associations":
            return self._edges().read(places=places, lookback=lookback)
        return self._listed(stream).read()

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every key there is now."""
        if stream in self._kinds:
            return self._objects(self._kinds[stream]).keys(places)
        return self._edges().keys(places) if stream == "associations" else self._listed(stream).keys()

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield what there is for *keys*."""
        if stream in self._kinds:
            return self._objects(self._kinds[stream]).fetch(keys)
        if stream == "associations":
            now = self._calls.clock.monotonic()
            if self._fetching is None or now - self._fetching[0] > FETCHED_S:
                self._fetching = now, self._edges()
            return self._fetching[1].fetch(keys)
        return self._listed(stream).fetch(keys)

    def people(self) -> list[str]:
        """Return the names of the portal's owners, for masking; none where the token may not read them."""
        if self._people is None:
            try:
                self._people = listed.Owners(self._official).names()
            except NotAllowed as error:
                if error.status != 403:
                    raise
                self._people = []
        return self._people

    def grants(self) -> str:
        """Name the kinds that the token may read now: a census does not believe an absence that a scope explains."""
        return self._calls.readable(list(self._kinds.values()))

    # What it is as a target.

    @property
    def account_type(self) -> str:
        """The portal's type as the check found it: STANDARD, SANDBOX, DEVELOPER_TEST or APP_DEVELOPER."""
        if self._calls.account_type is None:
            self.check()
        return self._calls.account_type or ""

    def tier(self) -> str:
        """Say how much may be asked, as the portal told it."""
        return self._calls.tier()

    @property
    def is_production(self) -> bool:
        """Whether people work in this portal."""
        return self.account_type in ("", STANDARD)

    def guard(self, kind: str, *, to: Sequence[str] = ()) -> None:
        """
        Look for what stands in the way of writing. An update of no records at all, which writes nothing, is refused
        with 403 where the token may not write, and with 400 where it may.
        """
        self._check_allowed()
        start = self._kind(kind)
        objects, associations = self._calls.paths.objects, self._calls.paths.associations
        self._may_post(objects(start.path, "batch", "update"), self._calls.write)
        for end in to:
            self._may_post(associations(start.path, self._kind(end).path, "batch", "create"), self._calls.write_edges)

    def scopes(self, kind: str, *, to: Sequence[str] = ()) -> tuple[str, ...]:
        """Name the scopes that writing a kind needs, and edges from it to others: to read and to write, each once."""
        return tuple(dict.fromkeys(scope for each in (kind, *to) for scope in self._kind(each).scopes))

    def most(self, action: str) -> int:
        """Return how many changes of an action one `send` takes."""
        return {ASSOCIATE: edgewriting.CREATE_MOST, DISASSOCIATE: edgewriting.ARCHIVE_MOST}.get(action, MOST[action])

    def shape(self, kind: str) -> HubSpotShape:
        """Return what records of a kind look like, by the portal's definitions."""
        if kind not in self._shapes:
            self._shapes[kind] = self._shaped(self._kind(kind))
        return self._shapes[kind]

    def find(self, kind: str, keys: Sequence[str], *, by: str | None, properties: Sequence[str]) -> dict[str, Found]:
        """Read records by id or by a unique property."""
        shape = self.shape(kind)
        return writing.find(self._calls, self._kind(kind), keys, by=by, properties=properties, shape=shape)

    def moved(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Found]:
        """Read records with when each property last changed."""
        return writing.moved(self._calls, self._kind(kind), ids, properties)

    def walked(self, kind: str, properties: Sequence[str]) -> Iterator[list[Found]]:
        """Yield all live records of a kind, by id, a page at a time."""
        return walking.listed(self._calls, self._kind(kind), properties)

    def matching(
        self, kind: str, property: str, wanted: Sequence[str], properties: Sequence[str]
    ) -> Iterator[list[Found]]:
        """Yield the live records with certain values of a property, a page at a time."""
        return walking.matching(self._calls, self._kind(kind), property, wanted, properties)

    def survivors(self, kind: str, ids: Sequence[str], *, since: dt.datetime) -> dict[str, str]:
        """Return the records that ids were merged into since a moment, by old id."""
        return walking.survivors(self._calls, self._kind(kind), ids, since_ms=int(since.timestamp() * 1000))

    def linked_kinds(self, kind: str) -> list[str]:
        """Name the kinds that records of a kind can be associated with."""
        own = self._kind(kind)
        return [each.name for each in self._kinds.values() if self._portal.edge_types(own, each)]

    def edge_types(self, kind: str, to: str) -> list[EdgeType]:
        """Return the types of association from one kind to another."""
        return self._portal.edge_types(self._kind(kind), self._kind(to))

    def edges(self, kind: str, ids: Sequence[str], to: str) -> dict[str, list[Linked]]:
        """Return what each record is associated with."""
        return edgewriting.linked(self._calls, self._kind(kind), self._kind(to), ids, sizes=self._sizes)

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Send changes of one action and kind, of edges to one kind."""
        first = changes[0]
        kind = self._kind(first.kind)
        if first.action == MERGE:
            return writing.merge(self._calls, kind, changes, self.shape(kind.name))
        if first.action not in OF_EDGES:
            return writing.send(self._calls, kind, changes, self.shape(kind.name))
        outcomes: dict[int, Outcome] = {}
        for end in dict.fromkeys(change.edge.kind for change in changes if change.edge is not None):
            part = [change for change in changes if change.edge is not None and change.edge.kind == end]
            outcomes.update((each.number, each) for each in self._writing(kind, self._kind(end)).send(part))
        return [outcomes[change.number] for change in changes]

    def definitions(self) -> Definitions:
        """Return the portal's property definitions as a target of their own."""
        return Definitions(
            official=self._official,
            kinds=self._kinds,
            declared=DECLARED,
            identity=self.check,
            count=lambda: self.requests,
            allow=lambda: self.is_production,
            may_write=self._guard_definitions,
            made=self._redefined,
        )

    def _guard_definitions(self, kinds: Sequence[str]) -> None:
        """Look for what stands in the way of making properties: a batch of none is refused as an update of none is."""
        self._check_allowed()
        for kind in kinds:
            path = self._kind(kind).path
            self._may(f"properties:{path}", functools.partial(self._official.create_no_property, path))

    def _redefined(self, kind: str) -> None:
        self._definitions.pop(kind, None)
        self._shapes.pop(kind, None)
        self._portal.forget(self._kind(kind))

    def _writing(self, start: Kind, end: Kind) -> EdgeWriting:
        return EdgeWriting(
            calls=self._calls,
            start=start,
            end=end,
            types=self._portal.edge_types(start, end),
            shape=self.shape(start.name),
            sizes=self._sizes,
            alone=self._alone,
        )

    def _check_allowed(self) -> None:
        if self.is_production and not self._calls.allows_production:
            raise UsageError(
                f"The token in {self._calls.variable('TOKEN')} is of a portal where people work (its type is "
                f"{self.account_type or 'not told'}), and nothing allows writing there.",
                hint=f"{self._allowing} allow_production = true, once a dry run was looked at.",
            )

    def _may_post(self, path: str, write: Callable[[str, object], Answer]) -> None:
        self._may(path, functools.partial(write, path, {"inputs": []}))

    def _may(self, what: str, probe: Callable[[], object]) -> None:
        """Send what writes nothing, and raise where it is not allowed."""

        def ask(tries: int = PROBES) -> None:
            try:
                probe()
            except NotAllowed:
                raise
            except (Unavailable, AnswerError):
                if tries <= 1:
                    raise
                ask(tries - 1)  # nothing was written, whatever became of the answer
            except RequestError as error:
                if error.status >= 500 and tries > 1:
                    ask(tries - 1)
                elif error.status != 400:
                    raise

        self._portal.once(f"may write:{what}", ask)

    def _shaped(self, kind: Kind) -> HubSpotShape:
        found = self._definitions.get(kind.name)
        if found is None:
            found = self._portal.definitions(kind, lambda: self._records(kind))
            self._definitions[kind.name] = found
        pipelines = self._portal.pipelines(kind)
        return HubSpotShape(
            Described(
                kind=kind.name,
                definitions=found,
                declared=DECLARED,
                rules=self._portal.rules(kind),
                owners=choices.Owners(self._portal.owners()) if has_owners(found) else None,
                pipelines=choices.Pipelines(pipelines) if pipelines else None,
                required=self._portal.required(kind),
                now=self._calls.clock.now,
            )
        )

    def _kind(self, name: str) -> Kind:
        if name not in self._kinds:
            raise UnknownName("kind of HubSpot's records", name, known=self._kinds)
        return self._kinds[name]

    def close(self) -> None:
        """Let go of connections and temporary files."""
        self._calls.close()
        self._ids.close()

    def _now(self) -> int:
        if self._opened is None:
            self.check()
        assert self._opened is not None
        return self._opened

    def _defined(self, kind: Kind) -> list[Definition]:
        if kind.name not in self._definitions:
            listed_before = self._properties.live.get(kind.name) if self._properties is not None else None
            found = self._asked(kind) if listed_before is None else listed_before
            self._definitions[kind.name] = definitions.askable(found)
        return self._definitions[kind.name]

    def _asked(self, kind: Kind) -> list[Definition]:
        return [definitions.read(record, kind.path, group_labels={}) for record in self._records(kind)]

    def _records(self, kind: Kind) -> list[Record]:
        try:
            return definitions.records(self._official, kind.path)
        except RequestError as error:
            if not kind.is_custom or error.status not in (400, 404):
                raise
            raise RequestError(
                f"HubSpot knows no object '{kind.path}' ({error.status}), which objects names, {self._named}.",
                hint="Its name stands in HubSpot under Data Management, Data Model; or give its type id: "
                f'objects = {{ {kind.name} = "2-345" }}.',
                status=error.status,
            ) from error

    def _objects(self, kind: Kind) -> Objects:
        known = [
            Known(name=each.name, created=round(each.created_at.timestamp() * 1000) if each.created_at else None)
            for each in self._defined(kind)
        ]
        names = dict.fromkeys([*(each.name for each in known), MERGED_IDS, kind.cursor])
        histories = [name for name in self._histories.get(kind.name, ()) if name in names]
        for name in set(self._histories.get(kind.name, ())) - set(histories):
            logger.warning("{}: there is no property {} whose history could be read", kind.name, name)
        return Objects(
            calls=self._calls,
            wanted=Wanted(kind=kind, properties=list(names), histories=histories),
            known=known,
            now=self._now(),
            ids=self._ids if self._shares_ids else None,
        )

    def _edges(self) -> Associations:
        kinds, now = list(self._kinds.values()), self._now()
        pairs = Pairs(calls=self._calls, kinds=kinds, now=now)
        return Associations(calls=self._calls, kinds=kinds, now=now, ids=self._ids, pairs=pairs)

    def _listed(self, stream: str) -> listed.Owners | listed.Pipelines | listed.Stages | listed.Properties:
        kinds = self._kinds.values()
        paths = {kind.name: kind.path for kind in kinds}
        if stream == "owners":
            return listed.Owners(self._official)
        with_pipelines = {kind.name: kind.path for kind in kinds if kind.is_custom or kind.name in WITH_PIPELINES}
        if self._pipelines is None:
            self._pipelines = listed.Pipelines(self._official, with_pipelines)
        if stream == "pipelines":
            return self._pipelines
        if stream == "pipeline_stages":
            return listed.Stages(self._pipelines)
        if stream == "properties":
            self._properties = listed.Properties(self._official, paths)
            return self._properties
        raise UnknownName("stream of HubSpot", stream, known=[*self._kinds, "associations", *LISTED])


def _folder_of(doors: Doors) -> Path | None:
    """Return the folder that the budget is in, where look-ups are kept as well; None: there is none."""
    found = getattr(doors.budget, "_directory", None)
    return found if isinstance(found, Path) else None


def _histories(option: Any, kinds: Mapping[str, Kind], *, place: str) -> dict[str, list[str]]:
    """Read which histories a site wants, by kind. Raises UsageError."""
    found: dict[str, list[str]] = {}
    for each in option if isinstance(option, list) else [option] if option is not None else []:
        kind, _, name = each.partition(".") if isinstance(each, str) else ("", "", "")
        if kind not in kinds or not name:
            raise UsageError(
                f"{place}: histories is a list of KIND.PROPERTY, such as ['deals.dealstage']; kinds: "
                f"{', '.join(kinds)}."
            )
        found.setdefault(kind, []).append(name)
    return found


__all__ = ["DECLARED", "NEEDS", "ORDER", "HubSpot", "connect"]
