"""
The port of a target: what changes are sent to. It describes its records, says what a value of ours is in its own
words, reads records back, and sends batches of changes.

A source whose records can be written fulfils it beside `sources.Source` (HubSpot does). The engine compares normal
forms only: two values that the target takes for the same have one normal form, and blank is None. Not here: deciding
what is written (`compare.py`, `outbound.py`), when it is sent, and what a lost answer means (`apply.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from syncer.errors import SyncerError
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, DISASSOCIATE, MERGE, UPDATE, Change

if TYPE_CHECKING:
    from syncer.sources import Identity

PRIMARY_COMPANY = "primary_company"  # the one of a record that its edge with this label leads to; a conflict names it
BATCH = 100  # records that are read at once, and written unless `Target.most` says otherwise
MOST: Mapping[str, int] = {  # changes that are sent at once, where a target does not say otherwise
    CREATE: BATCH,
    UPDATE: BATCH,
    ARCHIVE: BATCH,
    ASSOCIATE: BATCH,
    DISASSOCIATE: BATCH,
    MERGE: 1,
}
DONE, REFUSED, MISSED = "done", "refused", "missed"


@attrs.frozen
class Ours:
    """A value of ours: in normal form, to compare, and as it is written. Both None: blank."""

    normal: str | None
    sent: str | None


@attrs.frozen
class Unfit:
    """
    A value of ours that the target would refuse, and why, in words that a person of the business understands.

    value: as it stands in the relation, as text.
    """

    property: str
    reason: str
    value: str | None = None


Typed = tuple[Mapping[str, Ours], Sequence[Unfit]]  # of one row: its values by property, and what does not fit
Typing = Callable[[Sequence[Any]], Typed]  # takes a row's values in the order that it was compiled for


@attrs.frozen(kw_only=True)
class Property:
    """
    One property of a kind of records.

    type: string, number, bool, date, datetime, enumeration, or another word of the target. is_list: a value holds
    several choices, parted by `;`.
    why_not: why it takes no value from us, in a few words; empty where it does.
    version: a digest of its definition, rules and choices: what was rejected is tried again when it changes.
    theirs: turns a value of the API into normal form; never raises.
    """

    name: str
    label: str
    type: str = "string"
    is_list: bool = False
    why_not: str = ""
    is_unique: bool = False
    is_personal: bool = False
    version: str = ""
    theirs: Callable[[str | None], str | None] = attrs.field(repr=False, eq=False)


class Shape(Protocol):
    """What a kind of records looks like now."""

    kind: str
    properties: Mapping[str, Property]
    version: str  # of all of it
    title: str  # the property that people call a record by; empty: there is none

    def property_of(self, column: str) -> str | None:
        """Name the property that a column of a relation stands for; a pull may have changed its name."""

    def why_not(self, column: str) -> str:
        """Say why a column is not pushed, with the nearest names where there is no such property; empty: it is."""

    def typing(self, columns: Sequence[str]) -> Typing:
        """Compile what turns a row, its values in the order of *columns* (names of properties), into `Ours`."""

    def missing(self, values: Mapping[str, Ours]) -> Sequence[str]:
        """Return what a new record with these values lacks: names of properties; empty where it may be made."""


@attrs.frozen(kw_only=True)
class Found:
    """
    A record as the API has it now. `id` differs from the id that was asked for where that one was merged away.

    moved_at: the property's last change, ISO 8601, where histories were asked for. merged: the ids that were merged
    into it, ever.
    """

    id: str
    properties: Mapping[str, str | None]
    is_archived: bool = False
    moved_at: Mapping[str, str] = attrs.field(factory=dict)
    merged: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class EdgeType:
    """One type of association from one kind to another; `label` is empty for the one without."""

    category: str
    type_id: int
    label: str = ""
    is_primary: bool = False


@attrs.frozen(kw_only=True)
class Linked:
    """A record at the other end, and all types that the pair has."""

    id: str
    types: Sequence[EdgeType]


@attrs.frozen(kw_only=True)
class Outcome:
    """
    What became of one change. `id` is the record's: of a create its new one, of a merge the survivor's. missed: the
    API wrote nothing, as with an id that is no record's any more; `reason` has what is known of it.
    """

    number: int
    state: str = attrs.field(validator=attrs.validators.in_((DONE, REFUSED, MISSED)))
    id: str | None = None
    property: str = ""
    reason: str = ""


class Uncertain(SyncerError):
    """No answer to a write: it may have been done, or not. Only reading back can tell."""


class BatchRefused(SyncerError):
    """The API refused a batch as a whole, and wrote nothing of it; one of its changes is why."""


class Target(Protocol):
    """
    One account, written. Safe for threads.

    Raises everywhere, as `Source` does: Unavailable, NotAllowed, RequestError, AnswerError.
    """

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones too."""

    def check(self) -> Identity:
        """Ask whose account it is; the guard before any write."""

    @property
    def is_production(self) -> bool:
        """Whether people work in this account, as `check` found; what is not known is taken for that."""

    def guard(self, kind: str, *, to: Sequence[str] = ()) -> None:
        """
        Look for what stands in the way of writing a kind, and edges from it to others, before anything is written.

        Raises: UsageError: people work in the account, and the site does not allow it; NotAllowed: the token may not
        write, and what it lacks.
        """

    def most(self, action: str) -> int:
        """Return how many changes of an action one `send` takes."""

    def shape(self, kind: str) -> Shape:
        """Return what records of a kind look like; asked once."""

    def find(
        self, kind: str, keys: Sequence[str], *, by: str | None, properties: Sequence[str]
    ) -> Mapping[str, Found]:
        """
        Read records by id, or by the value of the unique property *by*; by what was asked for.

        What leads to no record is left out; an archived one is found by id only.
        """

    def moved(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> Mapping[str, Found]:
        """
        Read records by id, as `find` does, with the time of each property's last change; costs twice the requests.

        Of what was archived or merged away no times are known, and it is left out.
        """

    def walked(self, kind: str, properties: Sequence[str]) -> Iterator[Sequence[Found]]:
        """Yield all live records of a kind, a page at a time, each once, with some properties."""

    def matching(
        self, kind: str, property: str, wanted: Sequence[str], properties: Sequence[str]
    ) -> Iterator[Sequence[Found]]:
        """
        Yield the live records of which a property, unique or not, is one of the values *wanted*, a page at a time.

        Found by search: what was written a moment ago may be missing, and letters count for the same in capitals. A
        record may come twice where two of the values differ in blanks around them only.
        """

    def survivors(self, kind: str, ids: Sequence[str], *, since: dt.datetime) -> Mapping[str, str]:
        """
        Return the records that ids were merged into, of those that changed since a moment, by old id. For where old
        ids are not answered; found by search, so what was merged a moment ago may be missing.
        """

    def linked_kinds(self, kind: str) -> Sequence[str]:
        """Name the kinds that records of a kind can be associated with. Raises NotAllowed: one cannot be read."""

    def edge_types(self, kind: str, to: str) -> Sequence[EdgeType]:
        """Return the types of association from one kind to another; none where the two cannot be associated."""

    def edges(self, kind: str, ids: Sequence[str], to: str) -> Mapping[str, Sequence[Linked]]:
        """Return what each record is associated with; one without, or whose id was merged away, is left out."""

    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """
        Send at most `most` changes of one action and kind; an outcome for each.

        An association is added to what the pair has; a disassociation takes its one type away, and the pair where
        that is the one without a label. Done twice, both are done once.
        Raises: Uncertain: no answer; BatchRefused: nothing was written, because of one of them (of edges, again
        nothing that may not be sent twice).
        """
