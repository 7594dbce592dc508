"""
Tables of a star schema, as a site names them, and counts over each in one query: what the checks of the warehouse
(`operations/check_fact_dimensions.py`, `check_sizes.py`, `check_current_flags.py`) stand on.

A table is named SCHEMA.TABLE, each part in double quotes where it holds a dot or is to be taken exactly; `*` stands
for any letters. A name is written so that it is read as the same one. What is not there, or cannot be read, is told,
and the other tables are counted. Nothing is written.

Not here: what is a finding (`operations/`), and how a report is kept (`reporting.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import declared, sql
from syncer.declared import Setting, share, table, text
from syncer.errors import OutOfMemory, UsageError, WarehouseBusy, WarehouseError, WarehouseLost
from syncer.settings import Settings
from syncer.tables import Table
from syncer.values import Type
from syncer.warehouses import Transaction, Warehouse

LIST = "warehouse.check_fact_dimensions"  # the operation whose settings hold the list of joins, for all checks
FACT, KEY, DIMENSION = "fact", "key", "dimension"  # the columns of a table with a list of joins
ANY = "*"
UNREADABLE = (
    "could not be read"  # what is told of a table that refuses, since what it says may be another thing each day
)
_PART = r'(?:"((?:[^"]|"")*)"|([^".]+))'
_NAME = re.compile(rf"{_PART}\.{_PART}")
_OURS = frozenset({Type.BIGINT, Type.DECIMAL, Type.DOUBLE})
_NUMBER = re.compile(
    r"(u?(tiny|small|medium|big|huge)?int(eger)?\d*|numeric|decimal|float\d*|double|real|(small)?money)\b.*",
    re.IGNORECASE,
)
_SYSTEM = frozenset({"information_schema", "pg_catalog", "sys"})


@attrs.frozen
class Name:
    """
    A table as a site names it. schema: None where nobody said; is_exact: no other letters, and `*` is a letter.

    A table that is there is named by `of`, a text by `parse`: what these return is written as it is read.
    """

    schema: str | None
    table: str
    is_exact: bool = False

    @classmethod
    def of(cls, schema: str, table: str) -> Name:
        """Name a table that is there; it is exact where it is written in quotes."""
        return cls(schema, table, is_exact=_needs_quotes(schema) or _needs_quotes(table))

    def __str__(self) -> str:
        """Write it as it is read; a part is quoted only where it would be read as something else."""
        parts = [part for part in (self.schema, self.table) if part is not None]
        is_each = not any(map(_needs_quotes, parts))
        return ".".join(
            sql.quoted(part) if self.is_exact and (is_each or _needs_quotes(part)) else part for part in parts
        )

    @property
    def is_pattern(self) -> bool:
        """Tell whether it may stand for several tables."""
        return not self.is_exact and ANY in f"{self.schema}{self.table}"


@attrs.frozen
class Join:
    """A key of a fact table, and the dimension it leads to where that is known; no key: the fact has none."""

    fact: Name
    key: str | None = None
    dimension: Name | None = None


@attrs.frozen(kw_only=True)
class Place:
    """
    A table that is there, or why it is not. numbers: those of its columns that hold numbers.

    columns: as the warehouse has them, none where it is not there.
    """

    name: Name
    columns: Sequence[str] = ()
    numbers: frozenset[str] = frozenset()
    why_not: str = ""

    @property
    def quoted(self) -> str:
        """Write its name for a statement."""
        return sql.table_name(Table(schema=self.name.schema or "", name=self.name.table, columns=()))

    def column(self, name: str) -> str | None:
        """Find a column: exactly so, else the only one that differs in capitals; None where there is none."""
        if name in self.columns:
            return name
        alike = [each for each in self.columns if each.casefold() == name.casefold()]
        return alike[0] if len(alike) == 1 else None


@attrs.frozen(kw_only=True)
class Fact:
    """A fact table, where it is, and its keys, each with the column that it is; None: there is no such column."""

    place: Place
    keys: Mapping[str, str | None] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Counted:
    """What one query found: all rows, and by key those with 0 and those with NULL; or why it was refused."""

    rows: int = 0
    zeros: Mapping[str, int] = attrs.field(factory=dict)
    nulls: Mapping[str, int] = attrs.field(factory=dict)
    why_not: str = ""


@attrs.frozen(kw_only=True)
class Flags:
    """What one query found of a dimension: rows, business keys, those with several current rows, those without."""

    rows: int = 0
    keys: int = 0
    several: int = 0
    without: int = 0
    why_not: str = ""


# Names.


def parse(text: str) -> Name:
    """Read a name; what is none has no schema. Blanks around a part that is not quoted count for nothing."""
    found = _parts(text.strip())
    if found is None or not all(is_quoted or part.strip() for part, is_quoted in found):
        return Name(None, text.strip())
    schema, table = [part if is_quoted else part.strip() for part, is_quoted in found]
    return Name(schema, table, is_exact=any(is_quoted for _, is_quoted in found))


def kept(text: str) -> Name:
    """
    Read the name of a table that was there, as a run wrote it down: exact, whatever is quoted of it. Runs of before
    wrote quotes for points and quotes only, so that each blank and `*` is a letter.
    """
    found = _parts(text)
    return Name(None, text) if found is None else Name(found[0][0], found[1][0], is_exact=True)


def _parts(text: str) -> list[tuple[str, bool]] | None:
    """Read SCHEMA.TABLE: both parts, each with whether it was quoted; None: it is no such name."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    pairs = found.group(1, 2), found.group(3, 4)
    return [(plain, False) if exact is None else (exact.replace('""', '"'), True) for exact, plain in pairs]


def is_joins(value: Any) -> bool:
    """Tell whether a setting is a list of joins: by fact its keys, alone or each with its dimension."""
    if not isinstance(value, dict):
        return False
    keys = [key for each in value.values() if isinstance(each, dict) for pair in each.items() for key in pair]
    lists = [key for each in value.values() if isinstance(each, list) for key in each]
    return all(isinstance(each, dict | list) for each in value.values()) and all(
        isinstance(each, str) and each for each in (*value, *keys, *lists)
    )


JOINS: Mapping[str, Setting] = {
    "joins": table(
        'a table of facts, each with its keys: "dw.fact_ticket" = ["dim_customer_key"], or each key with its '
        'dimension: { dim_customer_key = "dw.dim_customer" }',
        is_joins,
    ),
    "joins_from": text(meaning=f"a table or view with the columns {FACT}, {KEY} and {DIMENSION}, such as meta.joins"),
    "max_zero_share": share("off"),
}


def has_list(settings: Settings) -> bool:
    """Tell whether the site names a list of joins; what stands in one of the warehouse, only that can tell."""
    words = declared.read(settings, LIST, JOINS)
    return bool(words["joins"] or words["joins_from"])


def listed(warehouse: Warehouse, settings: Settings) -> list[Join]:
    """Return the joins that the site lists, in `syncer.toml` and in the warehouse; none where it lists none."""
    words = declared.read(settings, LIST, JOINS)
    found = joins_of(words["joins"])
    return found + (joins_from(warehouse, words["joins_from"]) if words["joins_from"] else [])


def joins_of(words: Mapping[str, Any]) -> list[Join]:
    """Return the joins that a setting lists, in its order."""
    found = []
    for name, keys in words.items():
        fact = parse(name)
        pairs = keys.items() if isinstance(keys, dict) else [(key, "") for key in keys]
        found += [Join(fact, key, parse(dimension) if dimension else None) for key, dimension in pairs]
        found += [] if keys else [Join(fact)]
    return found


def joins_from(warehouse: Warehouse, text: str) -> list[Join]:
    """
    Read the joins that a table or view of the warehouse lists: its columns `fact` and `key`, and `dimension` where it
    has that one. A row without a key is a fact without one. Raises UsageError: it is not there, or has other columns.
    """
    with warehouse.transaction() as t:
        place = Catalogue(t).find(parse(text))[:1]
        columns = [place[0].column(name) for name in (FACT, KEY, DIMENSION)] if place else []
        if not place or place[0].why_not or None in columns[:2]:
            raise UsageError(
                f"joins_from names {text}, which is no table with the columns {FACT} and {KEY}.",
                hint=f"A view will do: SELECT … AS {FACT}, … AS {KEY}, … AS {DIMENSION}; facts are SCHEMA.TABLE.",
            )
        listed = ", ".join("NULL" if each is None else f"r.{sql.quoted(each)}" for each in columns)
        rows = t.rows(sql.statement(f"SELECT DISTINCT {listed} FROM {place[0].quoted} AS r ORDER BY 1, 2"))
    warehouse.rest(waiting=False)
    return [
        Join(parse(str(fact or "")), str(key) if key else None, parse(str(dimension)) if dimension else None)
        for fact, key, dimension in rows
    ]


def _needs_quotes(part: str) -> bool:
    """Tell whether a part of a name would be read as something else without quotes."""
    return not part or part != part.strip() or any(letter in part for letter in ('"', ".", ANY))


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split(ANY)), flags | re.DOTALL)


def _folded(name: Name) -> tuple[str, str]:
    return (name.schema or "").casefold(), name.table.casefold()


# Where they are.


@attrs.define
class Catalogue:
    """What the warehouse has, asked as far as names need it."""

    t: Transaction
    _listed: list[Name] | None = None
    _known: dict[Name, Place] = attrs.field(factory=dict)

    def find(self, name: Name) -> list[Place]:
        """Return the tables that a name stands for; where there is none, one that says why."""
        if name.schema is None:
            shown = f"the table {name.table}" if name.table else "a table"
            return [Place(name=name, why_not=f"{shown} is named without its schema, or as no SCHEMA.TABLE")]
        if name.is_pattern:
            found = [place for each in self._matching(name) if not (place := self._place(each)).why_not]
            return found or [Place(name=name, why_not=f"no table is called {name}")]
        exact = self._place(name)
        if not exact.why_not or name.is_exact:
            return [exact]
        alike = [each for each in self._all() if _folded(each) == _folded(name)]
        if len(alike) > 1:
            shown = ", ".join(f'"{each.schema}"."{each.table}"' for each in alike)
            return [attrs.evolve(exact, why_not=f"the table {name} may be any of {shown}: quote it")]
        return [self._place(alike[0]) if alike else exact]

    def _all(self) -> list[Name]:
        if self._listed is None:
            query = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY table_schema, table_name"
            found = self.t.rows(sql.statement(query))
            self._listed = [Name.of(schema, table) for schema, table in found if schema not in _SYSTEM]
        return self._listed

    def _matching(self, name: Name) -> list[Name]:
        for flags in (0, re.IGNORECASE):
            schemas, tables = _pattern(name.schema or "", flags), _pattern(name.table, flags)
            found = [
                each
                for each in self._all()
                if schemas.fullmatch(each.schema or "") is not None and tables.fullmatch(each.table) is not None
            ]
            if found:
                return found
        return []

    def _place(self, name: Name) -> Place:
        name = Name.of(name.schema or "", name.table)
        if name not in self._known:
            table = Table(schema=name.schema or "", name=name.table, columns=())
            columns, foreign = self.t.columns(table), self.t.foreign(table)
            numbers = {
                column
                for column, kind in columns.items()
                if kind in _OURS or _NUMBER.fullmatch(foreign.get(column, ""))
            }
            why_not = "" if columns else f"there is no table {name}"
            self._known[name] = Place(name=name, columns=tuple(columns), numbers=frozenset(numbers), why_not=why_not)
        return self._known[name]


def places(warehouse: Warehouse, names: Iterable[Name]) -> list[Place]:
    """Return the tables that names stand for, each once, in their order."""
    found: dict[Name, Place] = {}
    with warehouse.transaction() as t:
        catalogue = Catalogue(t)
        for name in names:
            for place in catalogue.find(name):
                found.setdefault(place.name, place)
    warehouse.rest(waiting=False)
    return list(found.values())


def facts(warehouse: Warehouse, joins: Iterable[Join]) -> list[Fact]:
    """Return the fact tables of a list of joins, each once with all of its keys, in the order of the list."""
    found: dict[Name, Fact] = {}
    with warehouse.transaction() as t:
        catalogue = Catalogue(t)
        for join in joins:
            for place in catalogue.find(join.fact):
                fact = found.get(place.name, Fact(place=place))
                keys = dict(fact.keys)
                for key, column in _columns(place, join.key):
                    if column is None or column not in keys.values():
                        keys[key] = column
                found[place.name] = Fact(place=place, keys=keys)
    warehouse.rest(waiting=False)
    return list(found.values())


def _columns(place: Place, key: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield the columns that a key of a join stands for, each as it is told."""
    if key is None:
        return
    if ANY not in key or key in place.columns:
        yield key, place.column(key)
        return
    pattern = _pattern(key, re.IGNORECASE)
    yield from ((column, column) for column in place.columns if pattern.fullmatch(column) is not None)


# Counting: one query a table.


def count(warehouse: Warehouse, place: Place, keys: Mapping[str, str | None] | None = None) -> Counted:
    """Count the rows of a table, and of each key with a column those with 0 and those with NULL."""
    known = {key: column for key, column in (keys or {}).items() if column is not None}
    row = _asked(warehouse, zero_query(place, list(known.values())))
    if isinstance(row, str):
        return Counted(why_not=row)
    return Counted(
        rows=row[0],
        zeros=dict(zip(known, row[1::2], strict=True)),
        nulls=dict(zip(known, row[2::2], strict=True)),
    )


def zero_query(place: Place, columns: Sequence[str]) -> str:
    """Write the one query over a fact: all rows, and for each column those with 0, and those with NULL."""
    counts = ["COUNT(*)"]
    for column in columns:
        name = f"r.{sql.quoted(column)}"
        is_zero = f"{name} = 0" if column in place.numbers else f"CAST({name} AS TEXT) = '0'"
        counts += [f"COUNT(CASE WHEN {is_zero} THEN 1 END)", f"COUNT(CASE WHEN {name} IS NULL THEN 1 END)"]
    return f"SELECT {', '.join(counts)} FROM {place.quoted} AS r"


def count_flags(warehouse: Warehouse, place: Place, keys: Sequence[str], *, flag: str, current: str) -> Flags:
    """Count the business keys of a dimension, and those that have not exactly one row whose *flag* is *current*."""
    row = _asked(warehouse, flag_query(place, keys, flag), [current])
    return (
        Flags(why_not=row) if isinstance(row, str) else Flags(rows=row[0], keys=row[1], several=row[2], without=row[3])
    )


def flag_query(place: Place, keys: Sequence[str], flag: str) -> str:
    """Write the one query over a dimension; its parameter is the flag's value of a current row."""
    is_current = f"CAST(r.{sql.quoted(flag)} AS TEXT) = ?"
    each = (
        f"SELECT COUNT(*) AS n, COUNT(CASE WHEN {is_current} THEN 1 END) AS c FROM {place.quoted} AS r "
        f"GROUP BY {sql.names(keys, of='r')}"
    )
    return (
        "SELECT COALESCE(SUM(k.n), 0), COUNT(*), COUNT(CASE WHEN k.c > 1 THEN 1 END), "
        f"COUNT(CASE WHEN k.c = 0 THEN 1 END) FROM ({each}) AS k"
    )


def _asked(warehouse: Warehouse, query: str, parameters: Sequence[Any] = ()) -> tuple[int, ...] | str:
    """Return the one row of a query, or why it was refused: a view may lead to what is not there any more."""
    while True:
        try:
            with warehouse.transaction() as t:
                (row,) = t.rows(sql.statement(query), parameters)
        except OutOfMemory:
            if not warehouse.grow():
                raise
        except (WarehouseBusy, WarehouseLost):
            raise
        except WarehouseError as error:
            return f"it could not be read: {error.message}"
        else:
            warehouse.rest(waiting=False)
            return tuple(int(each) for each in row)
