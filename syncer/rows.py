"""
From records to typed rows: where each field stands, compiled once a mapping, and columns, not rows, from there on.

Records that lack a usable key are left out and named; a value that does not fit its column is NULL and a reject. Here
is also how a key is written as one text, which rejects, findings and the state tables use.

Not here: what a type accepts (`values.py`), and what is done with the rows (`loading.py`).
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer import values
from syncer.mapping import EntityMapping, Field
from syncer.privacy import Privacy
from syncer.values import BIGINT, JSON, TEXT, Type

if TYPE_CHECKING:
    import pyarrow as pa

Record = dict[str, Any]
Key = tuple[Any, ...]
_EMPTY: Record = {}


@attrs.frozen
class Reject:
    """A value, a record or a scope that could not be loaded. It never holds the value itself."""

    key: str
    column: str
    reason: str
    scope: str = ""
    declared: str = ""  # the type that the column had
    found: str = ""  # the JSON type of the value
    roomier: str = ""  # the type of the same kind that would hold the value; empty where there is none


@attrs.frozen
class TypedRows:
    """Rows of one chunk of records: an Arrow table of the mapping's columns, and what did not fit."""

    table: pa.Table
    rejects: list[Reject]
    read: int  # records that came, those without a key included
    without_key: int


@attrs.frozen
class _Blocked:
    """Something that stands on the way to a value of a field."""

    row: int
    field: Field
    found: str  # its JSON type
    wanted: str = "an object"


@attrs.define
class _Node:
    """A step on the way to values: by the next key, the fields that end there, and the steps that go on."""

    ends: dict[str, list[Field]] = attrs.field(factory=dict)
    below: dict[str, _Node] = attrs.field(factory=dict)
    names: tuple[str, ...] = ()
    _of_each: Callable[[Any], Any] = attrs.field(default=operator.itemgetter(""), repr=False)

    def compile(self) -> None:
        """Make the accessors, once all fields are in."""
        self.names = tuple(dict.fromkeys([*self.ends, *self.below]))
        if self.names:
            self._of_each = operator.itemgetter(*self.names)
        for node in self.below.values():
            node.compile()

    def values_of(self, parents: Sequence[Record]) -> Iterable[Sequence[Any]]:
        """Return, for each name, its values in all *parents*, NULL where one lacks it."""
        if len(self.names) > 1 and parents:
            try:
                return zip(*map(self._of_each, parents), strict=True)  # half the cost of a look-up at a time
            except KeyError:
                pass
        return ([parent.get(name) for parent in parents] for name in self.names)

    def fields(self) -> list[Field]:
        """All fields at and below this step."""
        return [field for fields in self.ends.values() for field in fields] + [
            field for node in self.below.values() for field in node.fields()
        ]


def key_text(key: Sequence[Any]) -> str:
    """Write a key as one text; see `sql.key_text`, which does the same in the warehouse."""
    if len(key) == 1:
        return str(key[0])
    return "/".join(
        str(part) if isinstance(part, int) else str(part).replace("~", "~0").replace("/", "~1") for part in key
    )


def key_values(text: str, types: Sequence[Type]) -> Key:
    """Read back what `key_text` wrote."""
    parts = [text] if len(types) == 1 else [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]
    return tuple(int(part) if kind is BIGINT else part for part, kind in zip(parts, types, strict=True))


def fixed_columns(mapping: EntityMapping) -> frozenset[str]:
    """Return the columns that rows are found or ordered by (key, version, slice): they are typed as declared."""
    inbound = mapping.inbound
    if inbound is None:
        return frozenset(mapping.key)
    return frozenset({*mapping.key, *inbound.slice_by, *([inbound.version] if inbound.version else [])})


class Typing:
    """
    The compiled accessors of one mapping.

    types: the types that the load table's columns have now, which may be wider than declared: a number in a column of
    texts is kept as the API writes it. None: as declared.
    privacy: what becomes of personal fields; the mapping is the one that it was made for. None: they are kept.
    takes_nul: whether the warehouse holds NUL in a text; where it does not, a text gets U+FFFD there and a reject says
    so, and a key with one is no usable key.
    """

    def __init__(
        self,
        mapping: EntityMapping,
        *,
        types: Mapping[str, Type] | None = None,
        privacy: Privacy | None = None,
        takes_nul: bool = True,
    ) -> None:
        self._privacy = privacy
        self._takes_nul = takes_nul
        self._fixed = fixed_columns(mapping)
        as_declared = self._fixed | {
            field.column for field in mapping.fields if field.type is JSON
        }  # text in any case
        self.types = {field.column: field.type for field in mapping.fields}
        self.types.update(
            {name: kind for name, kind in (types or {}).items() if name in self.types and name not in as_declared}
        )
        self.mapping = mapping
        self.key_types = tuple(mapping.field(column).type for column in mapping.key)
        self._root = _Node()
        self._whole = [field for field in mapping.fields if not field.steps]
        for field in mapping.fields:
            if field.steps:
                node = self._root
                for step in field.steps[:-1]:
                    node = node.below.setdefault(step, _Node())
                node.ends.setdefault(field.steps[-1], []).append(field)
        self._root.compile()

    def rows(self, records: Sequence[Record], *, scope: str) -> TypedRows:
        """Type *records* of one scope; the table has the mapping's columns in their order."""
        import pyarrow as pa

        raw: dict[str, Sequence[Any]] = {}
        blocked: list[_Blocked] = []
        self._collect(self._root, records, raw, blocked)
        for field in self._whole:
            raw[field.column] = list(records)
        if self._privacy is not None:
            self._privacy.treat(raw)
        arrays: dict[str, pa.Array] = {}
        misfits: list[tuple[int, Reject]] = [
            (each.row, self._misfit(each.field, f"{each.found} stands where {each.wanted} should", scope, each.found))
            for each in blocked
        ]
        for field in self.mapping.fields:
            kind, column = self.types[field.column], raw[field.column]
            is_blank_null = field.blank_is_null and field.type is not TEXT
            arrays[field.column], odd = values.column(
                column, kind, blank_is_null=is_blank_null, as_written=field.as_written
            )
            if not self._takes_nul and kind in (TEXT, JSON):
                is_key = field.column in self.mapping.key
                arrays[field.column], nuls = values.without_nul(arrays[field.column], kind, is_key=is_key)
                odd = [*odd, *nuls]
            for each in odd:
                roomier = None if field.column in self._fixed else values.roomier(column[each.row], kind)
                misfits.append((each.row, self._misfit(field, each.reason, scope, each.found, roomier)))
        columns = list(arrays)
        table = pa.table([arrays[column] for column in columns], names=columns)
        return self._without_forgotten(self._settled(table, records, misfits, scope))

    def _without_forgotten(self, typed: TypedRows) -> TypedRows:
        """Blank what is personal of records that were erased; one whose key is personal itself is left out."""
        import pyarrow as pa

        if self._privacy is None or not self._privacy.forgotten:
            return typed
        parts = zip(*(typed.table[column].to_pylist() for column in self.mapping.key), strict=True)
        keys = [key_text(key) for key in parts]
        forgotten = [self._privacy.is_forgotten(key) for key in keys]
        if not any(forgotten):
            return typed
        erased = {key for key, is_erased in zip(keys, forgotten, strict=True) if is_erased}
        rejects = [reject for reject in typed.rejects if reject.key not in erased]
        kept = pa.array([not each for each in forgotten])
        if self._privacy.has_personal_key:
            return attrs.evolve(typed, table=typed.table.filter(kept), rejects=rejects)
        return attrs.evolve(typed, table=blanked(typed.table, self._privacy.personal_columns, kept), rejects=rejects)

    def without_heirs(self, table: pa.Table, survivors: Mapping[str, str]) -> pa.Table:
        """Blank what is personal of records into which an erased one was merged: they hold that person's values."""
        import pyarrow as pa

        if self._privacy is None or not self._privacy.forgotten:
            return table
        heirs = {new for old, new in survivors.items() if self._privacy.is_forgotten(old)}
        if not heirs:
            return table
        parts = zip(*(table[column].to_pylist() for column in self.mapping.key), strict=True)
        kept = pa.array([key_text(key) not in heirs for key in parts], pa.bool_())
        if self._privacy.has_personal_key:
            return table.filter(kept)
        return blanked(table, self._privacy.personal_columns, kept)

    def holds_key(self, key: Key) -> bool:
        """Tell whether a record of this key can be there: replaced, a NUL in it would name another record."""
        return self._takes_nul or "\0" not in key_text(key)

    def one_key(self, record: Record) -> Key | None:
        """Return the key of one record; None where it has no usable one."""
        found = self.rows([record], scope="").table
        return tuple(found[column][0].as_py() for column in self.mapping.key) if found.num_rows else None

    def _collect(
        self, node: _Node, parents: Sequence[Any], raw: dict[str, Sequence[Any]], blocked: list[_Blocked]
    ) -> None:
        """Follow the steps of all records side by side; *parents* are dicts, or what stands there instead."""
        if not all(type(parent) is dict for parent in parents):
            parents = self._only_objects(node, parents, blocked)
        for name, found in zip(node.names, node.values_of(parents), strict=True):
            for field in node.ends.get(name, ()):
                raw[field.column] = found if field.index is None else _elements(found, field, field.index, blocked)
                if field.convert is not None:
                    raw[field.column] = field.convert(raw[field.column])
            if name in node.below:
                self._collect(node.below[name], found, raw, blocked)

    @staticmethod
    def _only_objects(node: _Node, parents: Sequence[Any], blocked: list[_Blocked]) -> list[Record]:
        """Put an empty object where there is none; anything but null there is a misfit of every field below."""
        kept = []
        for row, parent in enumerate(parents):
            if isinstance(parent, dict):
                kept.append(parent)
                continue
            kept.append(_EMPTY)
            if parent is not None:
                blocked += [_Blocked(row, field, values.json_type(parent)) for field in node.fields()]
        return kept

    def _misfit(self, field: Field, reason: str, scope: str, found: str, roomier: Type | None = None) -> Reject:
        """Make the reject of a value whose record's key is not looked up yet."""
        kind = self.types[field.column].value
        return Reject("", field.column, reason, scope, kind, found, roomier.value if roomier else "")

    def _settled(
        self, table: pa.Table, records: Sequence[Record], misfits: list[tuple[int, Reject]], scope: str
    ) -> TypedRows:
        """Take out records without a key, and name what did not fit by its record's key."""
        import pyarrow as pa

        keyless = self._rows_without_key(table)
        rejects = []
        if keyless:
            with_nul = {row for row, misfit in misfits if misfit.reason == values.NUL_IN_KEY}
            rejects += [self._keyless(records[row], scope, has_nul=row in with_nul) for row in sorted(keyless)]
        if misfits:
            keys = [table[column].to_pylist() for column in self.mapping.key]
            rejects += [
                attrs.evolve(reject, key=key_text([column[row] for column in keys]))
                for row, reject in misfits
                if row not in keyless
            ]
        if keyless:
            table = table.filter(pa.array([row not in keyless for row in range(len(records))]))
        return TypedRows(table, rejects, len(records), len(keyless))

    def _rows_without_key(self, table: pa.Table) -> set[int]:
        """Find the rows whose key has a NULL, or an empty text."""
        import pyarrow.compute as pc

        found: set[int] = set()
        for column in self.mapping.key:
            parts = table[column]
            if parts.null_count:
                found.update(row for row, valid in enumerate(parts.is_valid().to_pylist()) if not valid)
            if self.mapping.field(column).type is Type.TEXT and pc.any(pc.equal(parts, "")).as_py():
                found.update(row for row, part in enumerate(parts.to_pylist()) if part == "")
        return found

    def _keyless(self, record: Record, scope: str, *, has_nul: bool = False) -> Reject:
        """Name a record without a key by a digest of it: the same one is the same reject the next time."""
        digest = hashlib.blake2s(values.dumps(record).encode(), digest_size=6).hexdigest()
        column = self.mapping.key[0]
        what = "object" if isinstance(record, dict) else values.json_type(record)
        return Reject(
            f"~{digest}",
            column,
            f"a record ({what}) without a usable key ({', '.join(self.mapping.key)})"
            + (f": {values.NUL_IN_KEY}" if has_nul else ""),
            scope,
            self.key_types[0].value,
        )


def _elements(lists: Sequence[Any], field: Field, index: int, blocked: list[_Blocked]) -> list[Any]:
    """Return the element at *index* of each list; anything but a list or null there is a misfit."""
    if set(map(type, lists)) <= {list, type(None)}:
        return [each[index] if each is not None and len(each) > index else None for each in lists]
    blocked += [
        _Blocked(row, field, values.json_type(each), "a list")
        for row, each in enumerate(lists)
        if each is not None and not isinstance(each, list)
    ]
    return [each[index] if isinstance(each, list) and len(each) > index else None for each in lists]


def last_of_each_key(table: pa.Table, key: Sequence[str], version: str | None) -> pa.Table:
    """Leave one row a key: the newest version where there is one, else the one that came last."""
    import pyarrow as pa

    columns = [table[column].to_pylist() for column in key]
    keys: list[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    if len(set(keys)) == len(keys):
        return table
    versions = table[version].to_pylist() if version else None
    kept: dict[Any, int] = {}
    for row, value in enumerate(keys):
        before = kept.get(value)
        if before is None or versions is None or not _is_older(versions[row], versions[before]):
            kept[value] = row
    return table.take(pa.array(sorted(kept.values())))


def _is_older(one: Any, other: Any) -> bool:
    return one is not None and other is not None and bool(one < other)


def blanked(table: pa.Table, columns: Sequence[str], kept: pa.Array) -> pa.Table:
    """Return *table* with NULL in *columns* of the rows that are not *kept*."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in columns:
        place = table.schema.get_field_index(column)
        values_now = table.column(place)
        table = table.set_column(
            place,
            column,
            pc.if_else(kept, values_now, pa.scalar(None, values_now.type)),
        )
    return table


def merged(tables: Iterable[pa.Table]) -> pa.Table:
    """Put chunks of rows together."""
    import pyarrow as pa

    return pa.concat_tables(list(tables))
