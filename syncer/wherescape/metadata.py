"""
Metadata of a load table: the columns that RED shows for it, written into its repository from a mapping, again and
again, in one transaction.

A row is found by its column's name; what is new is inserted, and nothing ever stands there twice. What a person
changed stays: a display name, a description, a type or a source that is neither blank nor what we write now, nor what
we wrote last (`before`), is a person's, or another mapping's, and is told; so is a flag that does not follow its type
for that reason. Transformations are never touched; the order is ours. So the first run over metadata that the legacy
library made leaves its types, as the tables that exist have them. Columns that no mapping has any more stay, and are
told; those that we wrote, by `before`, are deleted where somebody asks for it. RED makes the table itself, afterwards.

Not here: which types a load table may have (`loadtypes.py`), and columns of legacy tables (`legacy.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer.errors import UsageError
from syncer.loading import LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE
from syncer.mapping import MAX_COLUMN_BYTES, EntityMapping
from syncer.values import Type
from syncer.wherescape.naming import display_name
from syncer.wherescape.repository import Kind, RedTable, Repository, text

if TYPE_CHECKING:
    from syncer.wherescape.connections import Connection

STEP = 10  # between two orders
FIRST_OF_OURS = 99_999_991  # where RED itself puts the columns dss_…
NAMED = 5  # columns that a message names
POSTGRESQL, SQL_SERVER = "postgresql", "sqlserver"
TYPES: Mapping[str, Mapping[Type, str]] = {
    POSTGRESQL: {
        Type.TEXT: "text", Type.BIGINT: "bigint", Type.DECIMAL: "numeric", Type.DOUBLE: "double precision",
        Type.BOOLEAN: "boolean", Type.DATE: "date", Type.TIMESTAMP: "timestamptz", Type.JSON: "text",
    },
    SQL_SERVER: {
        Type.TEXT: "nvarchar(max)", Type.BIGINT: "bigint", Type.DECIMAL: "numeric(38,9)", Type.DOUBLE: "float",
        Type.BOOLEAN: "bit", Type.DATE: "date", Type.TIMESTAMP: "datetime2", Type.JSON: "nvarchar(max)",
    },
}  # fmt: skip
_WALL = {POSTGRESQL: "timestamp", SQL_SERVER: "datetime2"}  # of dss_load_date
_NUMERIC = frozenset(
    ("numeric", "int", "bigint", "integer", "smallint", "decimal", "float", "double precision", "real")
)
_ATTRIBUTES = frozenset(("text", "bool", "boolean", "bit", "nvarchar(max)", "varchar(max)"))
# What a person may change: the column of ws_load_col, and its name for people.
_PERSONS = {
    "lc_display_name": "display name", "lc_data_type": "type", "lc_src_strategy": "description",
    "lc_src_table": "source table", "lc_src_column": "source column",
}  # fmt: skip
_OURS = "lc_order"
_FLAGS = {
    "lc_nulls_flag": "nulls flag", "lc_numeric_flag": "numeric flag", "lc_additive_flag": "additive flag",
    "lc_attribute_flag": "attribute flag",
}  # fmt: skip
_TRANSFORMATION = "lc_transform_code"  # a person's alone
_BY_TYPE = ("lc_numeric_flag", "lc_attribute_flag")
_WRITTEN = ("lc_obj_key", "lc_col_name", *_PERSONS, _OURS, *_FLAGS)
# Letters that the repository has room for: a server refuses a longer text, and all columns with it.
_LONGEST = {"lc_display_name": 256, "lc_src_strategy": 1024, "lc_src_table": 256, "lc_src_column": 256}

Row = dict[str, Any]


@attrs.frozen(kw_only=True)
class MetadataColumn:
    """
    One column of a load table, as RED is to show it. type_text: in the words of the target. comment: its description,
    the display name where there is none. source_table, source_column: where it comes from.
    """

    name: str
    display_name: str
    type_text: str
    comment: str = ""
    source_table: str = ""
    source_column: str = ""


@attrs.frozen(kw_only=True)
class Created:
    """
    What creating metadata did, by column names. kept: what a person had changed, such as `name (type)`. vanished:
    columns that we wrote and no mapping has any more. others: columns that somebody else added. further: columns of
    the mapping that a table of before is without.
    """

    table: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    further: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it in one line."""
        parts = [_told(word, getattr(self, word)) for word in ("added", "changed", "deleted", "vanished")]
        parts += [_told("kept as RED has them", self.kept)]
        said = "; ".join(part for part in parts if part) or "metadata unchanged"
        if self.further:
            way = 'it has the columns of before: create_metadata(columns="mapping") adds'
            said = f"{said}; {way} {_told('of the mapping', self.further)}"
        return f"{self.table}: {said}"


def columns_of(
    mapping: EntityMapping, *, target: str = POSTGRESQL, source_table: str = "", has_states: bool = True
) -> tuple[MetadataColumn, ...]:
    """
    Return the columns that a mapping's load table is to have in RED: its fields, then the warehouse's own.

    source_table: what RED shows as their origin; by default the mapping's name. has_states: with the columns that tell
    of records that are no longer live. Raises UsageError: no such target.
    """
    if target not in TYPES:
        raise UsageError(f"No types for a target '{target}'; choices: {', '.join(TYPES)}.")
    fields = tuple(
        MetadataColumn(
            name=field.column,
            display_name=display_name(field.column),
            type_text=TYPES[target][field.type],
            comment=field.comment,
            source_table=source_table or mapping.name,
            source_column=".".join(field.steps) or field.column,
        )
        for field in mapping.fields
    )
    return (*fields, *own_columns(target, has_states=has_states))


def own_columns(target: str = POSTGRESQL, *, has_states: bool = True) -> tuple[MetadataColumn, ...]:
    """Return the warehouse's own columns; the first two are RED's, too."""
    kinds = {RECORD_SOURCE: ("varchar(256)", "Record source."), LOAD_DATE: (_WALL[target], "Load date.")}
    if has_states:
        kinds[RECORD_STATE] = ("varchar(256)", "Record state: live, archived, merged, deleted or gone.")
        kinds[MERGED_INTO] = ("varchar(256)", "Key of the record that survived a merge.")
    return tuple(
        MetadataColumn(name=name, display_name=name.replace("_", " "), type_text=kind, comment=comment)
        for name, (kind, comment) in kinds.items()
    )


def create_metadata(
    columns: Sequence[MetadataColumn],
    load_table: str,
    *,
    repository: Repository,
    before: Sequence[MetadataColumn] = (),
    others: Collection[str] = (),
    deletes_vanished: bool = False,
) -> Created:
    """
    Write a load table's columns into RED's repository; run again, it writes what is new.

    before: the columns that the last run wrote, where somebody kept them: what a person did not change follows then.
    others: names of columns that other mappings have in this table, in small letters: they do not vanish.
    deletes_vanished: delete those of before that are no longer among the columns, but for what a person changed. What
    is in neither is somebody else's, whatever its source: who copies a column in RED copies that, too.

    Raises: UsageError: no columns, one twice, or no such load table: nothing was written; WarehouseError: the
    repository refused, and kept nothing.
    """
    _check(columns, load_table)
    table = repository.find(load_table, kinds=[Kind.LOAD])
    writer = _Writer(repository.meta, f"{repository.schema}ws_load_col", table.key)
    with repository.meta.transaction():
        _lock(repository, table)
        there = writer.rows()
        wanted, earlier = _definitions(columns, table.key), _definitions(before, table.key)
        done = _compared(wanted, there, earlier, writer)
        gone = [row for name, row in there.items() if name not in wanted]
        ours = [row for row in gone if row["lc_col_name"].lower() in earlier.keys() - set(others)]
        deleted = []
        for row in ours if deletes_vanished else ():
            changed = _persons_of(row, earlier[row["lc_col_name"].lower()])
            done["kept"] += [f"{row['lc_col_name']} ({what})" for what in changed]
            deleted += [] if changed else [row]
        for row in deleted:
            writer.delete(row)
        _put_behind([row for row in gone if row not in deleted], wanted, writer)
        writer.insert([wanted[name.lower()] for name in done["added"]])
    names = {name: tuple(each) for name, each in done.items()}
    return Created(
        table=table.name,
        added=names["added"],
        changed=names["changed"],
        kept=names["kept"],
        vanished=tuple(row["lc_col_name"] for row in ours if row not in deleted),
        deleted=tuple(row["lc_col_name"] for row in deleted),
        others=tuple(row["lc_col_name"] for row in gone if row not in ours),
    )


@attrs.frozen
class _Writer:
    """The rows of one load table in ws_load_col; a name is found whatever its capitals."""

    meta: Connection
    table: str
    key: int

    def rows(self) -> dict[str, Row]:
        """Return what is there, by column name in small letters; of two that differ by capitals the first."""
        names = (*_WRITTEN[1:], _TRANSFORMATION)
        found = self.meta.query(
            f"SELECT {', '.join(names)} FROM {self.table} WHERE lc_obj_key = ? ORDER BY lc_order, lc_col_name",
            [self.key],
        )
        there: dict[str, Row] = {}
        for values in found:
            row = dict(zip(names, values, strict=True))
            there.setdefault(text(row["lc_col_name"]).lower(), {**row, "lc_col_name": text(row["lc_col_name"])})
        return there

    def insert(self, rows: Sequence[Row]) -> None:
        """Insert rows."""
        self.meta.load(self.table, _WRITTEN, [[row[column] for column in _WRITTEN] for row in rows])

    def update(self, row: Row, changes: Row) -> None:
        """Change some columns of a row that is there."""
        sets = ", ".join(f"{column} = ?" for column in changes)
        update = f"UPDATE {self.table} SET {sets} WHERE lc_obj_key = ? AND lc_col_name = ?"
        self.meta.execute(update, [*changes.values(), self.key, row["lc_col_name"]])

    def delete(self, row: Row) -> None:
        """Delete a row."""
        self.meta.execute(
            f"DELETE FROM {self.table} WHERE lc_obj_key = ? AND lc_col_name = ?", [self.key, row["lc_col_name"]]
        )


def _check(columns: Sequence[MetadataColumn], load_table: str) -> None:
    """Raise UsageError where these are no columns of one table."""
    if not columns:
        raise UsageError(f"There are no columns to create for {load_table}.", hint="Which mapping fills it?")
    seen: set[str] = set()
    for column in columns:
        name = column.name.lower()
        if name in seen:
            raise UsageError(
                f"{load_table} would have column {column.name} twice.", hint="Capitals make no difference."
            )
        if not column.name or len(column.name.encode()) > MAX_COLUMN_BYTES:
            raise UsageError(
                f"{load_table}: a column has no name, or one over {MAX_COLUMN_BYTES} bytes: '{column.name}'."
            )
        seen.add(name)


def _lock(repository: Repository, table: RedTable) -> None:
    """Have a second process that creates this metadata wait: both would insert the same rows."""
    repository.meta.execute(
        f"UPDATE {repository.schema}ws_load_tab SET lt_table_name = lt_table_name WHERE lt_obj_key = ?", [table.key]
    )


def _definitions(columns: Iterable[MetadataColumn], key: int) -> dict[str, Row]:
    """Return what we write of each column, by name in small letters."""
    found: dict[str, Row] = {}
    order, own = 0, {RECORD_SOURCE: 0, LOAD_DATE: 1, RECORD_STATE: 2, MERGED_INTO: 3}
    for column in columns:
        is_own = column.name in own
        order += 0 if is_own else STEP
        row: Row = {
            "lc_obj_key": key,
            "lc_col_name": column.name,
            "lc_display_name": column.display_name,
            "lc_data_type": column.type_text,
            "lc_src_strategy": column.comment or column.display_name,
            "lc_src_table": None if is_own else column.source_table,
            "lc_src_column": None if is_own else column.source_column or column.display_name,
            "lc_order": FIRST_OF_OURS + own[column.name] if is_own else order,
            **_flags(column.type_text, is_own=is_own),
        }
        found[column.name.lower()] = row | {name: _fitted(row[name], most) for name, most in _LONGEST.items()}
    return found


def _fitted(value: str | None, longest: int) -> str | None:
    """Cut a text that is longer; it ends in `…` then."""
    return value if value is None or len(value) <= longest else f"{value[: longest - 1]}…"


def _flags(type_text: str, *, is_own: bool) -> Row:
    """Return the flags of a column by its type."""
    kind = type_text.strip().lower()
    is_number = kind.partition("(")[0].strip() in _NUMERIC
    return {
        "lc_nulls_flag": "Y",
        "lc_numeric_flag": "Y" if is_number and not is_own else "N",
        "lc_additive_flag": "N",
        "lc_attribute_flag": "Y" if is_own or kind in _ATTRIBUTES else "N",
    }


def _put_behind(rows: Iterable[Row], wanted: Mapping[str, Row], writer: _Writer) -> None:
    """Order what is there beside our columns behind them, but for what RED has at the end itself."""
    order = max((row["lc_order"] for row in wanted.values() if row["lc_order"] < FIRST_OF_OURS), default=0)
    for row in rows:
        if (row["lc_order"] or 0) >= FIRST_OF_OURS:
            continue
        order += STEP
        if row["lc_order"] != order:
            writer.update(row, {"lc_order": order})


def _compared(
    wanted: Mapping[str, Row], there: Mapping[str, Row], earlier: Mapping[str, Row], writer: _Writer
) -> dict[str, list[str]]:
    """Change what is there as we want it, but for what a person changed; return the names of what came of it."""
    done: dict[str, list[str]] = {"added": [], "changed": [], "kept": []}
    for name, row in wanted.items():
        if name not in there:
            done["added"].append(row["lc_col_name"])
            continue
        changes, kept = _changes(row, there[name], earlier.get(name, {}))
        done["kept"] += [f"{row['lc_col_name']} ({what})" for what in kept]
        if changes:
            writer.update(there[name], changes)
        if set(changes) - {_OURS}:
            done["changed"].append(row["lc_col_name"])
    return done


def _changes(row: Row, there: Row, before: Row) -> tuple[Row, list[str]]:
    """Return what to write into a row that is there, and what of it a person changed, in words."""
    changes: Row = {} if text(row[_OURS]) == text(there[_OURS]) else {_OURS: row[_OURS]}
    kept = []
    for column, word in _PERSONS.items():
        now, ours = text(there[column]), text(row[column])
        if now == ours or (column == "lc_data_type" and now.lower() == ours.lower()):
            continue
        if _is_persons(now, before, column):
            kept.append(word)
            continue
        changes[column] = row[column]
    for column, word in _FLAGS.items():
        now, follows = text(there[column]), column in _BY_TYPE and "lc_data_type" in changes
        if now == row[column] or (now and not follows):
            continue
        if _is_persons(now, before, column):
            kept.append(word)
            continue
        changes[column] = row[column]
    return changes, kept


def _persons_of(there: Row, before: Row) -> list[str]:
    """Return what of a row that is there a person changed, in words."""
    words = {**_PERSONS, **_FLAGS}
    changed = [word for column, word in words.items() if _is_persons(text(there[column]), before, column)]
    return [*changed, *(["transformation"] if text(there[_TRANSFORMATION]) else [])]


def _is_persons(now: str, before: Row, column: str) -> bool:
    """Tell whether what stands there is neither blank nor what we wrote last."""
    return bool(now) and (not before or now != text(before[column]))


def _told(word: str, names: Sequence[str]) -> str:
    """Write `3 added (a, b, c)`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names):,} {word} ({', '.join(names[:NAMED])}{more})" if names else ""
