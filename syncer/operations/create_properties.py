"""
`hubspot.create_properties`: make the properties that the portal lacks: those that a relation has columns for, the
unique ones that mappings find records by, and the one by which a revert of merges finds what it makes.

A create is done exactly once only where a unique property tells, after a lost answer, whether it was done. Whether a
property's values are unique is fixed when it is made, so one that is there and is not unique is a reject. A property's
name is fixed for ever, and one that HubSpot would refuse is a reject with a name that would do. Not here: what a
definition is (`sources/hubspot/defining.py`), columns and what is no property (`lacking.py`), telling of what is
missing without making it (`check_columns.py`). Source: HubSpot's guide "Properties".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol, cast

import attrs

from syncer import declared, lacking, operations, plan, relation, sql, values, wanting
from syncer.declared import text, texts
from syncer.errors import UsageError, WarehouseBusy, WarehouseError, WarehouseLost
from syncer.mapping import EntityMapping
from syncer.operations import Context, Looked
from syncer.plan import Change, Edit
from syncer.plans import PlanRow, Problem
from syncer.restoring import RESTORED_FROM
from syncer.sources import Source
from syncer.target import Shape, Target
from syncer.toldonce import ToldOnce
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type

NAME = "hubspot.create_properties"
SUMMARY = "make the properties that relations have columns for and the portal lacks, and the unique ones"
KIND = "properties"
STAYS = "A property that was made stays: values may stand in it. HubSpot's settings archive it."
SETTINGS = {
    "columns": texts("*", meaning='a list of patterns of KIND.COLUMN that are made, such as ["companies.*"]'),
    "enumerations": texts(meaning='a list of patterns of KIND.COLUMN whose values are choices: ["companies.segment"]'),
    "group": text(meaning="the name of a group of properties in HubSpot"),
}

MERGE_TICKETS, MERGE = "hubspot.merge_tickets", "merge"
MOST_OPTIONS = 100  # choices that are made of a column's values; more are no choices but texts
MOST_SETS = 10_000  # texts with several choices each that are read to find the choices in them
MOST_UNIQUE = 10  # unique properties of a kind. Source: HubSpot's guide "Properties"
LONGEST_NAME, LONGEST_LABEL, LONGEST_LINE = 100, 100, 255  # a text that is longer than a line is a field of several
NAMED = 10  # that are left alone are named in a note, the others counted
NUMBERS, SEVERAL = (BIGINT, DECIMAL, DOUBLE), ";"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_A_PULLS = re.compile(r".*_history|.*_x[0-9a-f]{8}")  # names that a pull gives to other columns
_FIELDS: Mapping[Type, tuple[str, str]] = {
    TEXT: ("string", "text"),
    JSON: ("string", "textarea"),
    **dict.fromkeys(NUMBERS, ("number", "number")),
    BOOLEAN: ("bool", "booleancheckbox"),
    DATE: ("date", "date"),
    TIMESTAMP: ("datetime", "date"),
}


class _Definitions(Target, Protocol):
    """The portal's definitions, and what else there is to know of them."""

    def archived(self, kind: str) -> Mapping[str, str]: ...
    def unique(self, kind: str) -> Sequence[str]: ...
    def groups(self, kind: str) -> Sequence[str]: ...


class _Definable(Protocol):
    def definitions(self) -> _Definitions: ...


class _Refused(Exception):
    """Inside this module: the property is not made; carries the part of it that is wrong, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def target(source: Source) -> Target:
    """Return the portal's definitions, as a target."""
    return cast(_Definable, source).definitions()


def ends(change: Change) -> Sequence[str]:
    """Return the kind that a property is made for: making it needs a scope of that kind."""
    return (change.key.partition(".")[0],)


def looked(context: Context) -> Iterator[Looked]:
    """Yield each property that is unique or lacking: there already, to be made, or not to be had."""
    left = ToldOnce.read(context.warehouse, NAME, environment=context.environment)
    kinds: dict[str, _Kind] = {}
    for looked in _each(context, left, kinds):
        left.met(looked.row.key)
        yield looked
    _note_patterns(context, kinds.values())
    unread = tuple(f"{kind.name}." for kind in kinds.values() if kind.is_unread)
    yield from (Looked(row) for row in left.taken_back(unseen=unread))
    _note(context, left)


def _each(context: Context, left: ToldOnce, kinds: dict[str, _Kind]) -> Iterator[Looked]:
    """Yield each property that is looked at; note the kinds that there are."""
    for mapping in context.mappings:
        if mapping.outbound is None or not (mapping.outbound.match_on or mapping.outbound.relation):
            continue
        kind = kinds.setdefault(mapping.outbound.kind, _Kind(context, mapping.outbound.kind, left))
        if mapping.outbound.match_on:
            yield from kind.of_key(mapping.outbound.match_on, mapping.name)
        if mapping.outbound.relation:
            yield from kind.of_relation(mapping, mapping.outbound.relation)
    merged = _merged_kind(context)
    if merged:
        yield from kinds.setdefault(merged, _Kind(context, merged, left)).of_reverts()


def _note(context: Context, left: ToldOnce) -> None:
    """Name what is not made: without it, the one line of a run has a count only."""
    if left.new:
        why = f"the plan says why, and after a run `syncer status {NAME} --rejects`"
        context.note(f"left alone: {_named(left.new)}; {why}")
    if left.again:
        context.note(f"left alone, as an earlier run told: {_named(left.again)}")
    if left.hidden:
        context.note(f"not looked at again, and left alone as an earlier run told: {_named(left.hidden)}")


def _note_patterns(context: Context, kinds: Collection[_Kind]) -> None:
    """Name the patterns that fit no column: a slip in one makes a text of what was to be a choice, for good."""
    if any(kind.is_unread for kind in kinds):
        return
    columns = {f"{kind.name}.{column}" for kind in kinds for column in kind.columns}
    for key in ("columns", "enumerations") if columns else ():
        unmet = [each for each in context.values[key] if not fnmatch.filter(columns, each)]
        if unmet:
            context.note(f"{key} names no column that there is: {_named(unmet)}")


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
    return ", ".join(keys[:NAMED]) + more


def _merged_kind(context: Context) -> str:
    """Return the kind whose records the site lets merge; empty where it does not."""
    if MERGE_TICKETS not in context.settings.tables:
        return ""
    operation = operations.find(MERGE_TICKETS, folders=context.settings.folders)
    settings = declared.read(context.settings, MERGE_TICKETS, operations.declared_of(operation))
    return operations.kind_of(operation, settings) if settings.get("mode", MERGE) == MERGE else ""


@attrs.frozen(kw_only=True)
class _Stats:
    """What the values of a column are like, as far as its definition needs it."""

    longest: int = 0
    different: int = 0  # of those that are to be choices
    with_several: int = 0


@attrs.define
class _Kind:
    """A kind of records, and the properties of it that were looked at so far."""

    context: Context
    name: str
    left: ToldOnce
    is_unread: bool = False  # a relation of it could not be read
    columns: set[str] = attrs.field(factory=set)  # of its relations, also those that are properties
    _seen: set[str] = attrs.field(factory=set)
    _uniques: int | None = None  # unique properties of the portal's own, with those that are planned
    _archived: Mapping[str, str] | None = None

    @property
    def shape(self) -> Shape:
        """What records of it look like."""
        return cast(Target, self.context.source).shape(self.name)

    @property
    def definitions(self) -> _Definitions:
        """The portal's definitions."""
        return cast(_Definitions, self.context.api)

    def of_key(self, name: str, mapping: str) -> Iterator[Looked]:
        """Look at the property that a mapping's match_on names."""
        instead = f'name another one in match_on of ["{mapping}"].'
        yield from self._unique(name, _label(name), f"Finds the record of a row of {mapping}.", instead)

    def of_reverts(self) -> Iterator[Looked]:
        """Look at the property by which a revert of merges finds what it makes."""
        instead = "delete it in HubSpot for good, and run this again; until then a merge cannot be put back."
        why = "The id that a record had before it was merged; a revert made it anew."
        yield from self._unique(RESTORED_FROM, "Restored from (syncer)", why, instead)

    def _unique(self, name: str, label: str, description: str, instead: str) -> Iterator[Looked]:
        if name in self._seen:
            return
        self._seen.add(name)
        key = f"{self.name}.{name}"
        there = self.shape.properties.get(name)
        if there is not None and there.is_unique:
            yield Looked(PlanRow(key=key, id=key, outcome=plan.UNCHANGED))
            return
        parts = {"label": label, "type": "string", "fieldType": "text", "description": description}
        try:
            if there is not None:
                why = f"{self.name} has a property {name} whose values are not unique, and that is fixed when a "
                raise _Refused("hasUniqueValue", f"{why}property is made: {instead}")
            self._check(name, instead)
            self._check_room(instead)
            yield self._made(name, {**parts, "hasUniqueValue": "true"})
        except _Refused as refused:
            yield self._rejected(name, refused)

    def of_relation(self, mapping: EntityMapping, reference: str) -> Iterator[Looked]:
        """Look at the columns of a relation that stand for no property."""
        try:
            found = self._columns(mapping, reference)
        except UsageError as error:
            self.is_unread = True
            problem = Problem(kind=plan.REJECTED, field="relation", reason=f"Its columns are not looked at. {error}")
            yield Looked(self.left.row(mapping.name, problem))
            return
        for column in found:
            self._seen.add(column.name)
            try:
                yield self._made(column.name, self._parts(column, mapping.name))
            except _Refused as refused:
                yield self._rejected(column.name, refused)

    def _columns(self, mapping: EntityMapping, reference: str) -> list[_Column]:
        """Read what there is to know of the columns that are to become properties. Raises UsageError."""
        types = wanting.types_of(self.context.warehouse, mapping.name, reference)
        self.columns.update(types)
        self._note_a_pulls(mapping, types, reference)
        patterns, choices = self.context.values["columns"], self.context.values["enumerations"]
        names = [
            name
            for name in lacking.of(mapping, types, self.shape)
            if name not in self._seen and self._is_named(name, patterns)
        ]
        columns = [
            _Column(name=name, type=types[name], is_choice=self._is_named(name, choices), reference=reference)
            for name in names
        ]
        try:
            return self._read(columns, reference)
        except (WarehouseBusy, WarehouseLost):
            raise
        except WarehouseError as error:
            raise UsageError(f"The values of {relation.shown(reference)} cannot be read. {error.message}") from error
        finally:
            self.context.warehouse.rest(waiting=True)

    def _read(self, columns: Sequence[_Column], reference: str) -> list[_Column]:
        """Read lengths and choices of columns in one statement, and their comments."""
        if not columns:
            return []
        asked = ", ".join(part for column in columns for part in column.asked())
        table = lacking.table_of(reference)
        with self.context.warehouse.transaction() as t:
            statement = sql.statement(f"SELECT {asked} FROM {relation.read_from(reference)} AS r")
            told = [int(each or 0) for each in t.rows(statement)[0]]
            comments = {} if table is None else t.comments(table)
            done = []
            for at, column in enumerate(columns):
                longest, different, several = told[3 * at : 3 * at + 3]
                stats = _Stats(longest=longest, different=different, with_several=several)
                column = attrs.evolve(
                    column, stats=stats, comment=comments.get(column.name) or comments.get(column.name.lower()) or ""
                )
                if column.is_readable:
                    found = [str(row[0]) for row in t.rows(sql.statement(column.query()))]
                    column = attrs.evolve(column, found=found)
                done.append(column)
        return done

    def _parts(self, column: _Column, mapping: str) -> dict[str, str]:
        """Return the parts of the definition of a column. Raises _Refused."""
        self._check(column.name, "")
        _, _, near = self.shape.why_not(column.name).partition("; ")
        if near:
            self.context.note(f"{self.name}.{column.name} is to be made: {near} Then name the column so.")
        made = _type_of(column)
        group = self.context.values["group"]
        if group:
            groups = self.definitions.groups(self.name)
            if group not in groups:
                known = ", ".join(groups)
                raise _Refused(
                    "groupName", f"{self.name} have no group {group}, which group names; there are: {known}."
                )
            made["groupName"] = group
        is_label = column.comment and len(column.comment) <= LONGEST_LABEL
        made["label"] = column.comment if is_label else _label(column.name)
        made["description"] = column.comment if column.comment and not is_label else f"Filled from {mapping}."
        return made

    def _check(self, name: str, instead: str) -> None:
        """Look for what stands in the way of a name. Raises _Refused."""
        wrong = _why_refused(name)
        if wrong:
            proposed = _proposed(name)
            there = ", which is a property there" if proposed in self.shape.properties else ""
            instead = f"; {instead}" if instead else f": call the column {proposed}{there}."
            raise _Refused("name", f"No property can be named so, since {wrong}{instead}")
        if self._archived is None:
            self._archived = self.definitions.archived(self.name)
        if name in self._archived.values():
            raise _Refused(
                "name",
                "A property of this name is archived, and the name stays taken: restore it in HubSpot, or choose "
                "another name.",
            )

    def _check_room(self, instead: str) -> None:
        """Count one more unique property. Raises _Refused."""
        if self._uniques is None:
            self._uniques = len(self.definitions.unique(self.name))
        if self._uniques >= MOST_UNIQUE:
            raise _Refused(
                "hasUniqueValue",
                f"{self.name} have {self._uniques} unique properties, and HubSpot takes {MOST_UNIQUE} a kind: delete "
                f"one there, or {instead}",
            )
        self._uniques += 1

    def _note_a_pulls(self, mapping: EntityMapping, types: Mapping[str, Type], reference: str) -> None:
        names = lacking.named_for_pulls(mapping, types, self.shape)
        if names:
            told = ", ".join(names)
            self.context.note(
                f"{lacking.shown(reference)}: no property is made for {told}: a pull has columns of that name for "
                "itself, and they never go out"
            )

    def _is_named(self, column: str, patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(f"{self.name}.{column}", pattern) for pattern in patterns)

    def _made(self, name: str, parts: Mapping[str, str]) -> Looked:
        key = f"{self.name}.{name}"
        wanted = {"name": name, **parts}
        fields = {part: Edit(None, value) for part, value in sorted(wanted.items())}
        return Looked(PlanRow(key=key), [Change(number=1, action=plan.CREATE, kind=KIND, key=key, fields=fields)])

    def _rejected(self, name: str, refused: _Refused) -> Looked:
        key = f"{self.name}.{name}"
        problem = Problem(kind=plan.REJECTED, field=refused.field, reason=str(refused))
        return Looked(self.left.row(key, problem))


@attrs.frozen(kw_only=True)
class _Column:
    """A column that is to become a property; found: its values, where they are to be choices."""

    name: str
    type: Type
    reference: str
    is_choice: bool
    stats: _Stats = attrs.field(factory=_Stats)
    found: Sequence[str] = ()
    comment: str = ""

    @property
    def is_readable(self) -> bool:
        """Whether its values are choices that may be read: not too many, and of a type that has choices."""
        most = MOST_SETS if self.stats.with_several else MOST_OPTIONS
        return self.is_choice and self.type in (TEXT, BIGINT) and self.stats.different <= most

    @property
    def text(self) -> str:
        """Its value as a text, in SQL."""
        return f"CAST(r.{sql.quoted(self.name)} AS TEXT)"

    def asked(self) -> tuple[str, str, str]:
        """Write what is asked of its values, in SQL: the longest, how many different ones, how many with several."""
        longest = f"MAX(LENGTH({self.text}))" if self.type is TEXT else "0"
        if not self.is_choice:
            return longest, "0", "0"
        text = f"NULLIF(TRIM({self.text}), '')"
        return longest, f"COUNT(DISTINCT {text})", f"COUNT(CASE WHEN {self.text} LIKE '%{SEVERAL}%' THEN 1 END)"

    def query(self) -> str:
        """Write what reads its different values."""
        return (
            f"SELECT DISTINCT {self.text} AS value FROM {relation.read_from(self.reference)} AS r "
            f"WHERE TRIM({self.text}) <> ''"
        )


def _type_of(column: _Column) -> dict[str, str]:
    """Return type, fieldType and choices of a property, by its column. Raises _Refused."""
    if column.is_choice:
        return _choices(column)
    type, field = _FIELDS[column.type]
    if column.stats.longest > LONGEST_LINE and field == "text":
        field = "textarea"
    options = {"options": values.dumps(["false", "true"])} if type == "bool" else {}
    return {"type": type, "fieldType": field, **options}


def _choices(column: _Column) -> dict[str, str]:
    if column.type not in (TEXT, BIGINT):
        raise _Refused(
            "options",
            f"Its values are of the type {column.type.value}, and choices are texts: cast it in the relation.",
        )
    is_several = column.stats.with_several > 0
    parts = (part.strip() for value in column.found for part in (value.split(SEVERAL) if is_several else [value]))
    chosen = sorted({part for part in parts if part})
    count = len(chosen) if column.is_readable else column.stats.different
    if not count:
        raise _Refused("options", "The column has no value yet, and choices are made of its values.")
    if count > MOST_OPTIONS:
        raise _Refused(
            "options",
            f"The column has {count:,} different values, and {MOST_OPTIONS} choices are made at most: take it out of "
            "enumerations, which makes it a text.",
        )
    field = "checkbox" if is_several else "select"
    return {"type": "enumeration", "fieldType": field, "options": values.dumps(chosen)}


def _why_refused(name: str) -> str:
    """Say why no property can have a name; empty where one can."""
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} letters, and HubSpot takes {LONGEST_NAME}"
    if name.startswith("hs_"):
        return "hs_ begins the names of HubSpot's own"
    if not _NAME.fullmatch(name):
        return "a name has small letters, digits and _, and begins with a letter"
    return "a pull gives such names to other columns" if _A_PULLS.fullmatch(name) else ""


def _proposed(name: str) -> str:
    """Return a name that would do, and is as near as can be."""
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removeprefix("hs_")
    if not found or not found[0].isalpha():
        found = f"property_{found}".rstrip("_")
    if _A_PULLS.fullmatch(found):
        found = f"{found}_value"
    return found[:LONGEST_NAME].rstrip("_")


def _label(name: str) -> str:
    return name.replace("_", " ").strip().capitalize()
