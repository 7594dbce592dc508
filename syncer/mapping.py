"""
What a mapping is: one entity, where its fields stand in a record, and how it comes in. Data only, frozen, no I/O.

A mapping checks itself when it is built; the error names the mapping, the field and the choices. The shipped mappings
are in `mappings/`; a company's own come from a folder named in `syncer.toml` or from a package's entry point
(`catalog.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs

from syncer.errors import MappingError
from syncer.values import BIGINT, JSON, TEXT, TIMESTAMP, Type

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")
MAX_COLUMN_BYTES = 63  # PostgreSQL cuts longer names silently
KEEP, DROP, HASH, MASK = "keep", "drop", "hash", "mask"
TREATMENTS = (KEEP, DROP, HASH, MASK)  # of a personal field's values, before anything of them is stored: `privacy.py`


@attrs.frozen
class Field:
    """
    One column of a mapping.

    `path` is where the value stands in a record, keys joined by dots (default: the column's name); a tuple where a key
    itself has a dot; `"."` is the record itself. `comment` is for the warehouse's catalogue. `treatment` is what
    becomes of a personal field's values where a site says nothing else. `names_people`: the value is somebody's name,
    which is masked in the free text of the same record. `blank_is_null`: where the field is no text, an empty text
    means that there is no value (an API that clears with ""): NULL, and no reject. `index`: the value is that element,
    counted from 0, of the list that stands there; a list that is too short has none: NULL. `as_written`, of a
    timestamp: the time as the API wrote it, its offset dropped and the rest taken as UTC. `convert` makes, of the
    values that stand there in some records, as many other ones, before they are typed; what is odd it leaves.
    """

    column: str
    path: str | tuple[str, ...] = attrs.field(default="", kw_only=True)
    type: Type = attrs.field(default=TEXT, kw_only=True, validator=attrs.validators.instance_of(Type))
    personal: bool = attrs.field(default=False, kw_only=True)
    treatment: str = attrs.field(default=KEEP, kw_only=True)
    names_people: bool = attrs.field(default=False, kw_only=True)
    comment: str = attrs.field(default="", kw_only=True)
    blank_is_null: bool = attrs.field(default=False, kw_only=True)
    follows: str = attrs.field(default="", kw_only=True)  # the column whose treatment it shares: a history of it
    index: int | None = attrs.field(default=None, kw_only=True)
    as_written: bool = attrs.field(default=False, kw_only=True)
    convert: Callable[[Sequence[Any]], Sequence[Any]] | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Check the treatment, and the index."""
        if self.treatment not in TREATMENTS:
            raise MappingError(
                f"Column {self.column}: treatment is {self.treatment!r}; choices: {', '.join(TREATMENTS)}."
            )
        if self.treatment != KEEP and not self.personal:
            raise MappingError(f"Column {self.column}: treatment {self.treatment} goes with personal=True.")
        if self.index is not None and self.index < 0:
            raise MappingError(f"Column {self.column}: index is {self.index}; elements are counted from 0.")
        if self.treatment == MASK and self.type not in (TEXT, JSON):
            raise MappingError(
                f"Column {self.column}: mask is for text and json, and it is {self.type.value}; choose drop or hash."
            )

    @property
    def steps(self) -> tuple[str, ...]:
        """The keys to follow from the record to the value; empty for the record itself."""
        if isinstance(self.path, tuple):
            return self.path
        return () if self.path == "." else tuple((self.path or self.column).split("."))


@attrs.frozen(kw_only=True)
class Inbound:
    """
    How a mapping comes in.

    lookback: how far before the mark a pull starts again, for late changes and index lag.
    slice_by: the columns that say which slice of a scope a row belongs to; empty where no answer holds a slice whole.
    version: the column by which an older record never replaces a newer one; None: the record read last wins.
    discovers: the source's definitions add columns to the declared ones.
    begins_at_start: a first pull begins at the `start` of its account, where that has one; others read everything.
    told_by_keys: columns that the keys of a census tell as well; a row that differs in one is read again.
    misses, misses_apart: how many censuses, and how long apart, must miss a key before its row is `gone`.
    max_gone_share: a census or whole scope that would end a larger share of its live rows (of 10 or more) ends none;
    None: no limit.
    """

    stream: str
    lookback: timedelta = timedelta(0)
    slice_by: tuple[str, ...] = ()
    version: str | None = None
    discovers: bool = False
    begins_at_start: bool = False
    told_by_keys: tuple[str, ...] = ()
    misses: int = 1
    misses_apart: timedelta = timedelta(0)
    max_gone_share: float | None = 0.3


@attrs.frozen(kw_only=True)
class EdgeColumn:
    """
    A column of the relation whose value is the record at the other end of an edge: by the other mapping's key.

    to: the other mapping's entity (`companies`). label: of the association, empty for the one without. is_primary: the
    record's one primary association of that kind.
    """

    column: str
    to: str
    label: str = ""
    is_primary: bool = False


@attrs.frozen(kw_only=True)
class Outbound:
    """
    How a mapping goes out: what kind of records, and the site's words for it; docs/push.md tells what each means.

    match_on: the unique property that finds a record without an id; None: rows name their record by id.
    changed_at: the column with the row's own time, for the policy `newest`.
    limits: by name, as in syncer.toml; what is not there has its default.
    """

    kind: str
    relation: str | None = None
    match_on: str | None = None
    policy: str = "skip"
    policies: Mapping[str, str] = attrs.field(factory=dict)
    creates: bool = True
    adopt: str = "skip"
    blanks: str = "leave"
    blanks_by_field: Mapping[str, str] = attrs.field(factory=dict)
    on_archived: str = "report"
    on_missing: str = "leave"
    changed_at: str | None = None
    edges: tuple[EdgeColumn, ...] = ()
    limits: Mapping[str, float | str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class EntityMapping:
    """One entity: its name (`source.entity`), its key, its fields, its directions."""

    name: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    inbound: Inbound | None = None
    outbound: Outbound | None = None

    def __attrs_post_init__(self) -> None:
        """Check what can be checked without a source or a warehouse."""
        self._check_shapes()
        self._check_name()
        columns = [field.column for field in self.fields]
        for column in columns:
            self._check_column(column)
        twice = sorted(column for column, count in Counter(columns).items() if count > 1)
        if twice:
            raise MappingError(f"Mapping {self.name}: column {', '.join(twice)} is declared more than once.")
        self._check_key(columns)
        if self.inbound is not None:
            self._check_inbound(self.inbound, columns)

    @property
    def source(self) -> str:
        """The source's name: what stands before the dot."""
        return self.name.partition(".")[0]

    @property
    def entity(self) -> str:
        """The entity's name: what stands behind the dot."""
        return self.name.partition(".")[2]

    def table(self, environment: str) -> str:
        """The load table's name in schema `load`; an environment with a name stands behind it."""
        base = f"{self.source}_{self.entity}"
        return base if environment == "default" else f"{base}_{environment}"

    def field(self, column: str) -> Field:
        """Find a field by its column. Raises MappingError where there is none."""
        for field in self.fields:
            if field.column == column:
                return field
        known = ", ".join(field.column for field in self.fields)
        raise MappingError(f"Mapping {self.name} has no column {column}. Known: {known}.")

    def with_fields(self, discovered: Iterable[Field]) -> EntityMapping:
        """
        Return the mapping with *discovered* fields behind the declared ones; a column that is declared stays as
        declared.
        """
        declared = {field.column for field in self.fields}
        return attrs.evolve(
            self, fields=(*self.fields, *(field for field in discovered if field.column not in declared))
        )

    def with_names_of(self, longest: int | None) -> EntityMapping:
        """
        Return the mapping with columns whose names have at most *longest* bytes of UTF-8 (None: any).

        A longer one is cut, with a digest of the whole name behind it, so that two never become one, and the same
        name is always the same column.
        """
        if longest is None or all(len(field.column.encode()) <= longest for field in self.fields):
            return self
        short = {field.column: _short(field.column, longest) for field in self.fields}
        return attrs.evolve(
            self,
            fields=tuple(
                attrs.evolve(
                    field,
                    column=short[field.column],
                    path=field.path or tuple(field.column.split(".")),
                    follows=short.get(field.follows, field.follows),
                )
                for field in self.fields
            ),
        )

    def _check_shapes(self) -> None:
        """A comma is easily forgotten, and a text is a sequence of texts."""
        if isinstance(self.key, str) or not isinstance(self.key, Sequence):
            raise MappingError(f"Mapping {self.name}: key is {self.key!r}; it is a tuple, such as ('id',).")
        wrong = (
            [each for each in self.fields if not isinstance(each, Field)] if _is_row(self.fields) else [self.fields]
        )
        if wrong:
            raise MappingError(
                f"Mapping {self.name}: fields holds {type(wrong[0]).__name__}; it is a tuple of Field: (Field(…),)."
            )
        if self.inbound is not None and not isinstance(self.inbound, Inbound):
            raise MappingError(f"Mapping {self.name}: inbound is {type(self.inbound).__name__}; it is an Inbound.")

    def _check_name(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise MappingError(
                f"Mapping '{self.name}': a name is SOURCE.ENTITY in small letters, digits and _, such as jira.issues."
            )

    def _check_column(self, column: str) -> None:
        if column.startswith("dss_"):
            raise MappingError(
                f"Mapping {self.name}: column {column} begins with dss_, which is kept for the warehouse's own "
                "columns."
            )
        if not _COLUMN.fullmatch(column) or len(column) > MAX_COLUMN_BYTES:
            raise MappingError(
                f"Mapping {self.name}: column '{column}' must be small letters, digits and _, at most "
                f"{MAX_COLUMN_BYTES}."
            )

    def _check_key(self, columns: Sequence[str]) -> None:
        if not self.key:
            raise MappingError(f"Mapping {self.name}: it has no key. Choose of: {', '.join(columns)}.")
        self._check_columns("key", self.key, columns)
        for column in self.key:
            if self.field(column).type not in (BIGINT, TEXT):
                raise MappingError(
                    f"Mapping {self.name}: key column {column} is {self.field(column).type.value}; choices: bigint, "
                    "text."
                )

    def _check_inbound(self, inbound: Inbound, columns: Sequence[str]) -> None:
        self._check_columns("slice_by", inbound.slice_by, columns)
        self._check_columns("told_by_keys", inbound.told_by_keys, columns)
        if inbound.version is not None:
            self._check_columns("version", (inbound.version,), columns)
            if self.field(inbound.version).type not in (BIGINT, TIMESTAMP):
                raise MappingError(
                    f"Mapping {self.name}: version column {inbound.version} must be bigint or timestamp."
                )
        if not isinstance(inbound.lookback, timedelta):
            raise MappingError(f"Mapping {self.name}: lookback is {inbound.lookback!r}; it is a timedelta.")
        if inbound.lookback < timedelta(0) or inbound.misses < 1:
            raise MappingError(f"Mapping {self.name}: lookback must not be negative and misses at least 1.")
        share = inbound.max_gone_share
        if share is not None and not (isinstance(share, int | float) and 0 <= share <= 1):
            raise MappingError(
                f"Mapping {self.name}: max_gone_share is {share!r}; it is a share between 0 and 1, or None."
            )

    def _check_columns(self, what: str, wanted: Sequence[str], columns: Sequence[str]) -> None:
        if isinstance(wanted, str):
            raise MappingError(f"Mapping {self.name}: {what} is {wanted!r}; it is a tuple, such as ('{wanted}',).")
        for column in wanted:
            if column not in columns:
                raise MappingError(
                    f"Mapping {self.name}: {what} names column {column}, which it does not have. Known: "
                    f"{', '.join(columns)}."
                )


def _is_row(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _short(name: str, longest: int) -> str:
    """Cut a name where it is too long; the digest tells it from others with the same beginning."""
    if len(name.encode()) <= longest:
        return name
    digest = hashlib.blake2s(name.encode(), digest_size=4).hexdigest()
    return f"{name.encode()[: longest - 9].decode(errors='ignore')}_{digest}"
