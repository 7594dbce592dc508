"""
What changed in the definitions: columns that nothing fills any more, columns of another type, other labels.

An API's definitions move under a warehouse: a property is archived, renamed, gets another type. The column stays in
each case; what became of it is told by the run that met it first, and stands as a finding for as long as it is true (a
new label: until the next run). Which columns syncer made is in `syncer.columns`, so that a person's own columns beside
them are never taken for ours.

Not here: creating and widening columns (`shape.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from syncer import journal, sql
from syncer.journal import COLUMN_GONE, COLUMN_RENAMED, COLUMN_RETYPED, COLUMNS, Pulled
from syncer.mapping import EntityMapping
from syncer.tables import Table
from syncer.values import Type
from syncer.warehouses import Transaction

if TYPE_CHECKING:
    from syncer.shape import Shaped

NAMED = 5  # how many columns a note names
GONE = "archived, deleted, hidden from the token, or left out by a setting; the column stays with its values"


def tell(
    t: Transaction, mapping: EntityMapping, shaped: Shaped, *, pulled: Pulled, now: dt.datetime, is_delta: bool = False
) -> tuple[str, ...]:
    """
    Compare the load table with the fields that are to fill it; keep findings, update comments, and return notes.

    A note says what this run is the first to meet; what stands since an earlier one is in `syncer.findings` only.
    """
    known = _known(t, pulled)
    labels = known if shaped.is_new else {**_unrecorded(t, mapping, shaped, known), **known}
    declared = {field.column for field in mapping.fields}
    missing = [column for column in known if column not in declared]
    gone = {column: GONE for column in missing if column in shaped.others}
    _forget(t, [column for column in missing if column not in gone], pulled=pulled)
    renamed = _relabelled(t, mapping, shaped.table, labels, pulled=pulled)
    _remember(t, mapping, shaped.table, known, pulled=pulled, now=now)
    retyped = _retyped(mapping, shaped)
    told = {
        kind: journal.stand(t, kind, details, pulled=pulled, now=now)
        for kind, details in ((COLUMN_GONE, gone), (COLUMN_RETYPED, retyped), (COLUMN_RENAMED, renamed))
    }
    added = [] if shaped.is_new else [column for column in shaped.added if column not in known]
    dropped = [] if shaped.is_new else [column for column in shaped.added if column in known]
    by = "the open offers are whole" if is_delta else "--full fills it"
    restored = {column: f"was {was}" for column, was in shaped.restored.items()}
    return tuple(
        note
        for note in (
            _note("new", "", added),
            _note(f"that somebody had dropped, made anew ({by})", "", dropped),
            _note(f"that somebody had altered, back to its type ({by})", "", _with_details(restored)),
            _note("no longer filled", COLUMN_GONE, told[COLUMN_GONE]),
            _note("of another type", COLUMN_RETYPED, _with_details(told[COLUMN_RETYPED])),
            _note("with another label", COLUMN_RENAMED, _with_details(told[COLUMN_RENAMED])),
        )
        if note
    )


def _retyped(mapping: EntityMapping, shaped: Shaped) -> dict[str, str]:
    """Say which columns have another type than declared, and which were widened just now."""
    types, found = shaped.table.types(), {}
    for field in mapping.fields:
        now, was = types[field.column], shaped.widened.get(field.column)
        if now is not field.type:
            found[field.column] = f"is {now.value}, defined as {field.type.value}{_widened_from(was)}"
        elif was is not None:
            found[field.column] = f"is {now.value}{_widened_from(was)}"
    return found


def _widened_from(was: Type | None) -> str:
    return f"; was {was.value} until now" if was else ""


def _relabelled(
    t: Transaction, mapping: EntityMapping, table: Table, labels: Mapping[str, str], *, pulled: Pulled
) -> dict[str, str]:
    """Give columns the comment of their field where it is another; a comment that a person wrote stays."""
    changed = [
        column
        for column in table.columns
        if column.comment and column.name in labels and labels[column.name] != column.comment
    ]
    if not changed:
        return {}
    comments = t.comments(table)
    for column in changed:
        if _is_ours(comments.get(column.name, ""), labels[column.name]):
            t.comment(table, column)
    fields = {field.column for field in mapping.fields}
    return {
        column.name: f"{labels[column.name]!r} is {column.comment!r} now"
        for column in changed
        if labels[column.name] and column.name in fields
    }


def _is_ours(said: str, label: str) -> bool:
    """Tell whether a comment is the label that we gave; one that a warehouse cut ends with an ellipsis."""
    return said in ("", label) or (said.endswith("…") and label.startswith(said[:-1]))


def _known(t: Transaction, pulled: Pulled) -> dict[str, str]:
    """Return the columns that runs of this mapping have made, with the label that each had last."""
    query = f'SELECT "column", label FROM {sql.table_name(COLUMNS)} WHERE mapping = ? AND environment = ?'
    return {
        column: label or "" for column, label in t.rows(sql.statement(query), [pulled.mapping, pulled.environment])
    }


def _unrecorded(t: Transaction, mapping: EntityMapping, shaped: Shaped, known: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of columns that a version made which kept no record of them: their comments."""
    made = [field.column for field in mapping.fields if field.column not in known and field.column not in shaped.added]
    comments = t.comments(shaped.table) if made else {}
    return {column: comments.get(column, "") for column in made}


def _remember(
    t: Transaction, mapping: EntityMapping, table: Table, known: Mapping[str, str], *, pulled: Pulled, now: dt.datetime
) -> None:
    """Record new columns and new labels; a field without a label leaves the one that is known."""
    import pyarrow as pa

    labels = {column.name: column.comment for column in table.columns}  # of a field, as a warehouse holds it
    rows = [
        {
            "mapping": pulled.mapping,
            "environment": pulled.environment,
            "column": field.column,
            "label": labels[field.column],
            "first_seen": now,
        }
        for field in mapping.fields
        if field.column not in known or (labels[field.column] and known[field.column] != labels[field.column])
    ]
    if not rows:
        return
    t.stage("columns_now", pa.Table.from_pylist(rows), COLUMNS.types())
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(COLUMNS)} AS t SET label = s.label FROM columns_now AS s "
            f"WHERE {sql.equal('t', 's', COLUMNS.key)}"
        )
    )
    t.run(sql.insert_new(COLUMNS, "columns_now", list(COLUMNS.types())))


def _forget(t: Transaction, columns: Iterable[str], *, pulled: Pulled) -> None:
    """Forget columns that the table does not have any more: a person dropped them."""
    for column in columns:
        t.run(
            sql.statement(
                f'DELETE FROM {sql.table_name(COLUMNS)} WHERE mapping = ? AND environment = ? AND "column" = ?'
            ),
            [pulled.mapping, pulled.environment, column],
        )


def _with_details(found: Mapping[str, str]) -> list[str]:
    return [f"{column} ({detail})" for column, detail in found.items()]


def _note(what: str, finding: str, columns: Sequence[str] | Mapping[str, str]) -> str:
    """Write one note; empty where there is nothing to say."""
    if not columns:
        return ""
    named = list(columns)[:NAMED]
    more = f" and {len(columns) - NAMED:,} more" if len(columns) > NAMED else ""
    look = f" (finding {finding})" if finding else ""
    return f"{len(columns):,} column{'' if len(columns) == 1 else 's'} {what}{look}: {', '.join(named)}{more}"
