"""
`hubspot.check_columns`: what the warehouse and the portal have for each other, object by object: properties that a
load table has no column for, columns that stand for no property, types that do not go together, and properties that a
relation still pushes though they are archived or take no value.

Of an environment, those objects are looked at that were pulled (their load table is there) or that have a relation. An
object that the token may not see is a finding, and the others are looked at all the same; that there was none to look
at is one, too. A load table of a host's (WhereScape RED) is not looked at: each pull into it tells what it lacks.
Nothing is made here: the next pull adds columns, `create_properties.py` makes properties. Not here: which findings are
new (`findings.py`).
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import attrs

from syncer import declared, journal, lacking, sql, wanting
from syncer.declared import flag, texts
from syncer.errors import RequestError, UsageError
from syncer.findings import Line, Unseen
from syncer.mapping import EntityMapping, Outbound
from syncer.operations import Context
from syncer.settings import Settings
from syncer.shape import load_table
from syncer.target import Property, Shape
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type

NAME = "hubspot.check_columns"
SUMMARY = "tell which properties and columns the warehouse and the portal lack of each other, and which do not fit"
READS = ("properties",)
COLUMNS = ("environment", "object", "column", "property", "table", "finding", "missing_where", "detail")
SETTINGS = {
    "objects": texts(meaning='a list of kinds of records, such as ["companies"]'),
    "ignore": texts(meaning='a list of patterns of KIND.COLUMN or KIND.PROPERTY, such as ["companies.old_*"]'),
    "hs_properties": flag(),
}

MISSING, TYPE, ARCHIVED, READ_ONLY, UNSEEN = "missing", "type", "archived", "read-only", "not looked at"
WAREHOUSE, HUBSPOT = "warehouse", "hubspot"  # where it is missing
NAMED = 3  # objects that are named where there is nothing to look at
HIDDEN = (400, 403, 404)  # no scope for a kind, or no such custom object
HS = "hs_"  # begins the names of HubSpot's own properties, but for the oldest ones
OWN = "dss_"
NUMBERS = (BIGINT, DECIMAL, DOUBLE)
_TEXTS: Mapping[str, str] = {  # of what a text is refused, by the property's type
    "number": "a text that is no number is rejected",
    "bool": "a text that is neither true nor false is rejected",
    "date": "a text that is no date (YYYY-MM-DD) is rejected",
    "datetime": "a text that is no time (ISO 8601) is rejected",
}
_TAKEN: Mapping[str, Sequence[Type]] = {  # types of columns of which some value fits; of other properties all do
    "number": (*NUMBERS, TEXT, JSON),
    "bool": (BOOLEAN, TEXT, JSON),
    "date": (DATE, TIMESTAMP, TEXT, JSON),
    "datetime": (DATE, TIMESTAMP, TEXT, JSON),
}


class _Definitions(Protocol):
    def archived(self, kind: str) -> Mapping[str, str]: ...


class _Portal(Protocol):
    """What is asked of the source beside its ports."""

    def shape(self, kind: str) -> Shape: ...
    def definitions(self) -> _Definitions: ...


def check(values: Mapping[str, Any], *, settings: Settings, mappings: Sequence[EntityMapping]) -> None:
    """Raise UsageError where an object is named that there is not."""
    known = [each.entity for each in _of_objects(mappings)]
    for name in values["objects"]:
        if name not in known:
            raise declared.refuse(NAME, "objects", name, noun="object", known=known)


def lines(context: Context) -> Iterator[Line]:
    """Yield what does not go together, object by object."""
    wanted = context.values["objects"]
    chosen = [each for each in _of_objects(context.mappings) if not wanted or each.entity in wanted]
    is_idle = True
    for at, mapping in enumerate(chosen):
        looked = _Object(context, mapping)
        try:
            yield from looked.lines()
        except RequestError as error:
            if error.status not in HIDDEN:
                raise
            looked.is_there = True
            yield _unseen(context, mapping, mapping.entity, str(error))
        is_idle = is_idle and not looked.is_there
        context.moved(at + 1, len(chosen))
    if is_idle:
        yield _nothing(context, [mapping.entity for mapping in chosen])


def _of_objects(mappings: Sequence[EntityMapping]) -> list[EntityMapping]:
    """Return the mappings of objects: those with a way out, or with the portal's own columns."""
    return [
        each for each in mappings if each.outbound is not None or (each.inbound is not None and each.inbound.discovers)
    ]


@attrs.define
class _Object:
    """One object, looked at."""

    context: Context
    mapping: EntityMapping
    is_there: bool = attrs.field(default=False, init=False)  # once lines() ran: there was something to look at
    _own: dict[str, list[str]] = attrs.field(factory=dict)  # HubSpot's own properties that are not told, by why
    _archived: Mapping[str, str] | None = None

    @property
    def portal(self) -> _Portal:
        """The portal."""
        return cast(_Portal, self.context.source)

    @property
    def kind(self) -> str:
        """The kind of its records."""
        outbound, inbound = self.mapping.outbound, self.mapping.inbound
        return outbound.kind if outbound is not None else inbound.stream if inbound is not None else ""

    def lines(self) -> Iterator[Line]:
        """Yield what does not go together of one object. Raises RequestError: it cannot be seen."""
        outbound = self.mapping.outbound
        types: dict[str, Type] | None = None
        if outbound is not None and outbound.relation:
            try:
                types = self._relation(outbound)
            except UsageError as error:
                table = lacking.shown(outbound.relation)
                yield _unseen(self.context, self.mapping, f"the relation of {self.kind}", str(error), table=table)
        there, foreign, made = self._loaded()
        self.is_there = bool(there) or (outbound is not None and bool(outbound.relation))
        if outbound is not None and types is not None:  # before the load table: what is asked is kept for a minute
            yield from self._of_relation(outbound, types, self.portal.shape(self.kind))
        if there:
            yield from self._of_load_table(there, foreign, made)
        for why, names in self._own.items():
            count = f"{len(names):,} {'property' if len(names) == 1 else 'properties'}"
            self.context.note(f"{self.kind}: {count} of HubSpot's own ({HS}…) {why}")

    # The warehouse.

    def _relation(self, outbound: Outbound) -> dict[str, Type]:
        """Return the columns of the relation. Raises UsageError: it cannot be read."""
        try:
            return wanting.types_of(self.context.warehouse, self.mapping.name, outbound.relation or "")
        finally:
            self.context.warehouse.rest(waiting=True)

    def _loaded(self) -> tuple[dict[str, Type], dict[str, str], set[str]]:
        """Return the columns of the load table, those of a foreign type, and those that pulls made."""
        if self.mapping.inbound is None or not self.mapping.inbound.discovers:
            return {}, {}, set()
        table = load_table(self.mapping, self.context.environment)
        query = f'SELECT "column" FROM {sql.table_name(journal.COLUMNS)} WHERE mapping = ? AND environment = ?'
        with self.context.warehouse.transaction() as t:
            there = t.columns(table)
            foreign = t.foreign(table) if there else {}
            made = t.rows(sql.statement(query), [self.mapping.name, self.context.environment]) if there else []
        self.context.warehouse.rest(waiting=True)
        return there, foreign, {str(name) for (name,) in made}

    # The load table.

    def _of_load_table(self, there: Mapping[str, Type], foreign: Mapping[str, str], made: set[str]) -> Iterator[Line]:
        mapping = self._as_pulled()
        table = f"load.{mapping.table(self.context.environment)}"
        for field in mapping.fields:
            name = field.steps[-1] if len(field.steps) > 1 else field.column
            now = there.get(field.column)
            if now is None:
                detail = f"{table} has no column for it: the next pull adds it"
                if name.startswith(HS) and not self.context.values["hs_properties"]:
                    self._own.setdefault(f"have no column in {table} yet: the next pull adds them", []).append(name)
                    continue
                yield from self._line(MISSING, field.column, name, table, detail, missing=WAREHOUSE)
            elif field.column in foreign:
                detail = f"somebody made it {foreign[field.column]}, and it is to be {field.type.value}: the next "
                yield from self._line(TYPE, field.column, name, table, f"{detail}pull makes it so, or fails")
            elif now is not field.type and (field.type, now) != (JSON, TEXT):  # a warehouse may have no JSON
                detail = f"it is {now.value}, and what HubSpot has there now would be {field.type.value}"
                yield from self._line(TYPE, field.column, name, table, detail)
        known = {field.column for field in mapping.fields}
        for column in there:
            if column not in known and not column.startswith(OWN) and (column in made or not made):
                yield from self._gone(column, table)

    def _gone(self, column: str, table: str) -> Iterator[Line]:
        name = self._archived_of(column)
        why = "is archived" if name else "is not there any more, or hidden from the token"
        detail = f"the property that filled it {why}: the column stays, and nothing fills it"
        yield from self._line(MISSING, column, name or column, table, detail, missing=HUBSPOT)

    def _as_pulled(self) -> EntityMapping:
        """Return the mapping as a pull would have it now: with the portal's columns, treated, as names may be."""
        source, inbound = self.context.source, self.mapping.inbound
        assert source is not None and inbound is not None
        mapping = self.mapping.with_fields(source.describe(inbound.stream))
        settings, known = self.context.settings, {field.column for field in mapping.fields}
        rules = settings.for_mapping(mapping.name)
        personal = rules.get("personal", {})
        if isinstance(personal, Mapping):  # a rule may name a property that is gone, which is told as such
            kept = {**rules, "personal": {column: each for column, each in personal.items() if column in known}}
            settings = attrs.evolve(settings, tables={**settings.tables, mapping.name: kept})
        with contextlib.suppress(UsageError):  # what is wrong with a treatment, the pull tells
            mapping = settings.treated(mapping)
        return mapping.with_names_of(self.context.warehouse.longest_name)

    # The relation.

    def _of_relation(self, outbound: Outbound, types: Mapping[str, Type], shape: Shape) -> Iterator[Line]:
        table = lacking.shown(outbound.relation or "")
        strangers = set(lacking.of(self.mapping, types, shape))
        apart = {*wanting.RECORD_IDS, outbound.match_on, outbound.changed_at, *(e.column for e in outbound.edges)}
        for column, type in types.items():
            name = shape.property_of(column)
            if column in strangers:
                yield from self._stranger(column, table, shape)
            elif name is None or column in apart or column.startswith(OWN):
                continue
            elif why := shape.properties[name].why_not:
                if name.startswith(HS) and not self.context.values["hs_properties"]:
                    self._own.setdefault(f"in {table} take no value: they are not pushed", []).append(name)
                    continue
                yield from self._line(READ_ONLY, column, name, table, f"{why}: it is not pushed")
            elif misfit := _misfit(type, shape.properties[name], shape):
                yield from self._line(TYPE, column, name, table, misfit)

    def _stranger(self, column: str, table: str, shape: Shape) -> Iterator[Line]:
        name = self._archived_of(column)
        if name:
            detail = "archived in HubSpot: it is not pushed any more. Restore it there, or take the column out"
            yield from self._line(ARCHIVED, column, name, table, detail, missing=HUBSPOT)
            return
        cut = next((full for full, short in self._cut().items() if short == column), "")
        detail = f"{column} is the beginning of {cut}: name it so" if cut else shape.why_not(column)
        for line in self._line(MISSING, column, "", table, detail, missing=HUBSPOT):
            yield attrs.evolve(line, told="no such property in HubSpot")  # which names are near may change each day

    def _cut(self) -> Mapping[str, str]:
        """Return the columns whose names the warehouse cuts, and what is left of each."""
        longest, inbound = self.context.warehouse.longest_name, self.mapping.inbound
        if longest is None or inbound is None or not inbound.discovers or self.context.source is None:
            return {}
        whole = self.mapping.with_fields(self.context.source.describe(inbound.stream))
        pairs = zip(whole.fields, whole.with_names_of(longest).fields, strict=True)
        return {full.column: short.column for full, short in pairs if full.column != short.column}

    # Telling.

    def _archived_of(self, column: str) -> str:
        """Return the archived property that a column stood for; empty: there is none."""
        if self._archived is None:
            self._archived = self.portal.definitions().archived(self.kind)
        found = self._archived.get(column, "")
        return found or (column if column in self._archived.values() else "")

    def _line(
        self, finding: str, column: str, name: str, table: str, detail: str, *, missing: str = ""
    ) -> Iterator[Line]:
        """Yield a finding, unless the site ignores it."""
        about = {f"{self.kind}.{each}" for each in (column, name) if each}
        if any(fnmatch.fnmatchcase(each, pattern) for each in about for pattern in self.context.values["ignore"]):
            return
        values: dict[str, Any] = {
            "environment": self.context.environment,
            "object": self.kind,
            "column": column,
            "property": name,
            "table": table,
            "finding": finding,
            "missing_where": missing,
            "detail": detail,
        }
        where = "" if missing == WAREHOUSE else f" of {table}"
        called = f" ({name})" if name and name != column else ""
        key = f"{self.mapping.name} {table} {finding} {column}"
        yield Line(key=key, text=f"{self.kind}.{column}{called}{where}: {detail}", values=values)


def _unseen(context: Context, mapping: EntityMapping, part: str, why: str, *, table: str = "") -> Line:
    """Make the finding of an object, or of a relation (*table*), that could not be looked at."""
    beginning = f"{mapping.name} {table} " if table else f"{mapping.name} "
    values = {
        "environment": context.environment,
        "object": mapping.entity,
        "column": "",
        "property": "",
        "table": table,
        "finding": UNSEEN,
        "missing_where": "",
        "detail": why,
    }
    return Line(
        key=f"{beginning}{UNSEEN}",
        text=f"{part}: {UNSEEN}. {why}",
        values=values,
        told=f"{part}: {UNSEEN}",
        unseen=Unseen(part=part, beginning=beginning),
    )


def _nothing(context: Context, objects: Sequence[str]) -> Line:
    """Make the finding that no object has a load table of ours or a relation: all of the portal stays unseen."""
    shown = ", ".join(objects[:NAMED]) + (f" and {len(objects) - NAMED} more" if len(objects) > NAMED else "")
    text = (
        f"Nothing was looked at: of {shown}, none has a relation in syncer.toml or a load table of syncer's own in "
        f"the environment {context.environment}. What a load table of WhereScape RED lacks, the pull into it tells."
    )
    values = dict.fromkeys(COLUMNS, "") | {"environment": context.environment, "finding": UNSEEN, "detail": text}
    return Line(
        key=f"{NAME} {UNSEEN}", text=text, values=values, told=f"nothing: {UNSEEN}",
        unseen=Unseen(part="any object", beginning=f"{HUBSPOT}."),
    )  # fmt: skip


def _misfit(type: Type, property: Property, shape: Shape) -> str:
    """Say what of a column a property refuses, by their types; empty: nothing."""
    told = f"the column is {type.value} and the property {property.type}"
    if property.type == "enumeration":
        probes = wanting.PROBES.get(type, ())
        typed = shape.typing([property.name])
        is_none = bool(probes) and all(typed([probe])[1] for probe in probes)
        return f"{told}: no value of it is one of the choices, and all are rejected" if is_none else ""
    taken = _TAKEN.get(property.type)
    if taken is None:
        return ""
    if type not in taken:
        return f"{told}: all values are rejected"
    if type in (TEXT, JSON):
        return f"{told}: {_TEXTS[property.type]}"
    if property.type == "date" and type is TIMESTAMP:
        return f"{told}: a time that is not midnight UTC is rejected"
    return ""
