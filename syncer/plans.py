"""
Stored plans: the header, its changes, and what every row that was looked at came to; each a table in schema `syncer`.

A plan is written here while it is made, a batch at a time, and read back to be shown and applied: it is the only copy.
The changes are the journal as well: an intent is the state `sending`, written before anything is sent. Not here: what
a change is (`plan.py`), runs (`journal.py`), what both sides agreed on (`snapshots.py`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import sql
from syncer.errors import UnknownName, UsageError
from syncer.mapping import Outbound
from syncer.plan import Change, Edge, Edit
from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, JSON, TEXT, TIMESTAMP
from syncer.warehouses import Transaction

PLANNING, PLANNED, REFUSED = "planning", "planned", "refused"
SHORTEST_ID = 4  # of the beginning of a plan's id that a person types
READ_AT_ONCE = 2_000
SURVEYED = 5_000  # changes of a plan that a server should know of: else it takes the plan for a row or two

PLANS = Table(
    schema=STATE,
    name="plans",
    columns=(
        Column("plan", TEXT),
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("account", TEXT),
        Column("verb", TEXT),
        Column("state", TEXT),
        Column("made_at", TIMESTAMP),
        Column("read_at", TIMESTAMP),  # when the first record was read that the plan compares with
        Column("settings", JSON),  # the mapping's words that the plan was made with
        Column("relation_rows", BIGINT),
        Column("unchanged_rows", BIGINT),  # rows whose hash is the snapshot's: they stand nowhere else
        Column("found_rows", BIGINT),  # rows whose record was found: what shares are of
        Column("known_rows", BIGINT),  # rows that the snapshot had before: what max_missing_share is of
        Column("missing_rows", BIGINT),
        Column("standing_rejects", BIGINT),  # rows that were rejected before, as they are: they stand in rejects only
        Column("changes", BIGINT),
        Column("checksum", TEXT),
        Column("left_columns", JSON),  # columns that are not pushed, and why
        Column("trips", JSON),  # the limits that refuse it
        Column("notes", JSON),
        Column("reverts", TEXT),  # the run that it puts back
        Column("pid", BIGINT),
        Column("host", TEXT),
    ),
    key=("plan",),
)
CHANGES = Table(
    schema=STATE,
    name="changes",
    columns=(
        Column("plan", TEXT),
        Column("number", BIGINT),
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("wave", BIGINT),  # 0: it comes after nothing; else one more than what it comes after
        Column("action", TEXT),
        Column("kind", TEXT),
        Column("key", TEXT),
        Column("id", TEXT),  # of its record when the plan was made; NULL: it makes it, or comes after what does
        Column("result", TEXT),  # the record that it was written to: new, or behind one that was merged away
        Column("fields", JSON),
        Column("edge", JSON),
        Column("into", TEXT),
        Column("after", JSON),
        Column("row_hash", TEXT),
        Column("agreed", JSON),
        Column("state", TEXT),
        Column("reason", TEXT),
        Column("run", TEXT),
        Column("read_at", TIMESTAMP),
        Column("sent_at", TIMESTAMP),
        Column("ended_at", TIMESTAMP),
        Column("into_by", BIGINT),  # the merge that tells what `into` has become by then
        Column("sent_into", TEXT),  # what a merge was sent into, written with its intent
        Column("edges", JSON),  # those that its record had, or that of a pair; see `plan.Change`
        Column("title", TEXT),  # what people call the record
    ),
    key=("plan", "number"),
    indexes=(("key", "plan"), ("result",)),  # of a row, in this plan or any; what was written to a record
)
PLAN_ROWS = Table(
    schema=STATE,
    name="plan_rows",
    columns=(
        Column("plan", TEXT),
        Column("key", TEXT),
        Column("id", TEXT),
        Column("row_hash", TEXT),  # empty: the snapshot's stays, so that the row is looked at again
        Column("base", TEXT),  # the snapshot's hash when the row was read; NULL: it had none
        Column("agreed", JSON),  # what was seen equal, by field
        Column("outcome", TEXT),  # empty: what its changes come to
        Column("problems", JSON),  # rejects and conflicts: field, reason, agreed, ours, theirs, setting
        Column("times", BIGINT),  # how many rows of the relation it stands for
    ),
    key=("plan", "key"),
)
TABLES = (PLANS, CHANGES, PLAN_ROWS)


@attrs.frozen(kw_only=True)
class Problem:
    """Why a row, or one field or edge of it, is rejected or left for a person; the field is empty for the row."""

    kind: str  # plan.REJECTED or plan.CONFLICT
    field: str = ""
    reason: str = ""
    agreed: str | None = None
    has_agreed: bool = False
    ours: str | None = None
    theirs: str | None = None
    setting: str = ""


@attrs.frozen(kw_only=True)
class PlanRow:
    """What one row came to that was looked at: see the columns of `syncer.plan_rows`."""

    key: str
    id: str | None = None
    row_hash: str = ""
    base: str | None = None
    agreed: Mapping[str, str | None] = attrs.field(factory=dict)
    outcome: str = ""
    problems: Sequence[Problem] = ()
    times: int = 1


@attrs.frozen(kw_only=True)
class Header:
    """A plan without its changes; see the columns of `syncer.plans`."""

    plan: str
    mapping: str
    environment: str
    account: str
    verb: str = "push"
    state: str = PLANNING
    made_at: dt.datetime
    read_at: dt.datetime | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    relation_rows: int = 0
    unchanged_rows: int = 0
    found_rows: int = 0
    known_rows: int = 0
    missing_rows: int = 0
    standing_rejects: int = 0
    changes: int = 0
    checksum: str = ""
    left_columns: Mapping[str, str] = attrs.field(factory=dict)
    trips: Sequence[str] = ()
    notes: Sequence[str] = ()
    reverts: str | None = None
    pid: int = 0
    host: str = ""


_OF_JSON = {column.name for column in PLANS.columns if column.type is JSON}


def words_of(outbound: Outbound, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """
    Return the words that a plan is bound to, as they come back from JSON: the mapping's, but for its limits, and an
    operation's settings.
    """
    words = {name: value for name, value in attrs.asdict(outbound).items() if name != "limits"}
    words |= {f"setting {name}": value for name, value in (values or {}).items()}
    found: dict[str, Any] = orjson.loads(orjson.dumps(words))
    return found


def new_plan() -> str:
    """Make the id of a plan: 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def header_of(t: Transaction, plan: str) -> Header:
    """Return the header of a plan by its whole id. Raises UnknownName."""
    columns = [column.name for column in PLANS.columns]
    query = f"SELECT {sql.names(columns)} FROM {sql.table_name(PLANS)} WHERE plan = ?"
    found = t.rows(sql.statement(query), [plan])
    if not found:
        raise UnknownName("plan", plan, known=())
    return _header(dict(zip(columns, found[0], strict=True)))


def is_there(t: Transaction, plan: str) -> bool:
    """Tell whether the header of a plan stands there, by its whole id."""
    return bool(t.rows(sql.statement(f"SELECT plan FROM {sql.table_name(PLANS)} WHERE plan = ?"), [plan]))


_BEGUN: set[str] = set()  # plans that this process has begun: two of one process have the same pid


def insert(t: Transaction, header: Header) -> None:
    """Write the header of a plan that begins."""
    _BEGUN.add(header.plan)
    t.run(sql.insert(PLANS), [_stored(header, column.name) for column in PLANS.columns])


def let_go(plan: str) -> None:
    """Say that this process does not make a plan any more, whole or not."""
    _BEGUN.discard(plan)


def is_begun_here(plan: str) -> bool:
    """Tell whether this process makes a plan."""
    return plan in _BEGUN


def update(t: Transaction, header: Header) -> None:
    """Write what a plan's header has become."""
    if header.state != PLANNING:
        let_go(header.plan)
    rest = [column.name for column in PLANS.columns if column.name not in PLANS.key]
    t.run(sql.update_one(PLANS), [*(_stored(header, name) for name in rest), header.plan])


def find(t: Transaction, beginning: str, *, environment: str) -> Header:
    """
    Return the plan whose id begins so. Raises: UnknownName; UsageError: too short, several, of another environment.
    """
    if len(beginning) < SHORTEST_ID:
        raise UsageError(f"'{beginning}' is too short for a plan's id: {SHORTEST_ID} letters at least.")
    columns = [column.name for column in PLANS.columns]
    query = f"SELECT {sql.names(columns)} FROM {sql.table_name(PLANS)} WHERE SUBSTR(plan, 1, ?) = ? ORDER BY plan"
    found = t.rows(sql.statement(query), [len(beginning), beginning])
    if not found:
        recent = f"SELECT plan FROM {sql.table_name(PLANS)} ORDER BY made_at DESC LIMIT 20"
        raise UnknownName("plan", beginning, known=[row[0] for row in t.rows(sql.statement(recent))])
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} plans begin with {beginning}: {', '.join(row[0] for row in found[:5])}.",
            hint="Type more of the id.",
        )
    header = _header(dict(zip(columns, found[0], strict=True)))
    if header.environment != environment:
        raise UsageError(
            f"Plan {header.plan} is of the environment {header.environment}, not of {environment}.",
            hint="Ids of one account must never be written in another: plan anew there.",
        )
    return header


def add(
    t: Transaction, header: Header, *, changes: Sequence[Change], rows: Sequence[PlanRow], read_at: dt.datetime
) -> None:
    """Store a batch of changes, and what its rows came to."""
    if changes:
        mine = {change.number for change in changes}
        waves = _waves(t, header.plan, {each for change in changes for each in change.after} - mine)
        for change in changes:  # what it comes after has a smaller number, in this batch or an earlier one
            waves[change.number] = 1 + max((waves[each] for each in change.after), default=-1)
        stored = [_row_of(change, header, wave=waves[change.number], read_at=read_at) for change in changes]
        _append(t, CHANGES, "changes_now", stored)
    if rows:
        kept = [_row_of_row(row, header) for row in rows]
        _append(t, PLAN_ROWS, "plan_rows_now", kept)


def changes(t: Transaction, plan: str, *, after: int = 0, limit: int = READ_AT_ONCE) -> list[Change]:
    """Return the changes of a plan in the order of their numbers, those behind *after*; at most *limit*."""
    return changes_where(t, "number > ?", "number", [plan, after], limit)


def changes_where(t: Transaction, where: str, order: str, parameters: list[Any], limit: int) -> list[Change]:
    """Return the changes of a plan that meet a condition; parameters: the plan, then those of the condition."""
    columns = [column.name for column in CHANGES.columns]
    query = (
        f"SELECT {sql.names(columns)} FROM {sql.table_name(CHANGES)} WHERE plan = ? AND {where} "
        f"ORDER BY {order} LIMIT {limit}"
    )
    found = t.rows(sql.statement(query), parameters)
    return [_change(dict(zip(columns, row, strict=True))) for row in found]


def _waves(t: Transaction, plan: str, numbers: Iterable[int]) -> dict[int, int]:
    """Return the waves of changes that were stored with an earlier batch."""
    wanted = sorted(numbers)
    if not wanted:
        return {}
    marks = ", ".join("?" for _ in wanted)
    query = f"SELECT number, wave FROM {sql.table_name(CHANGES)} WHERE plan = ? AND number IN ({marks})"
    return {int(number): int(wave) for number, wave in t.rows(sql.statement(query), [plan, *wanted])}


def _append(t: Transaction, table: Table, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = [column.name for column in table.columns]
    t.stage(name, table.arrow(rows), table.types())
    t.run(
        sql.statement(
            f"INSERT INTO {sql.table_name(table)} ({sql.names(columns)}) SELECT {sql.names(columns)} FROM {name}"
        )
    )


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _stored(header: Header, name: str) -> Any:
    value = getattr(header, name)
    return _text(value) if name in _OF_JSON else value


def _header(row: Mapping[str, Any]) -> Header:
    found = {name: orjson.loads(value) if name in _OF_JSON and value else value for name, value in row.items()}
    return Header(
        **{name: value for name, value in found.items() if value is not None or name in ("read_at", "reverts")}
    )


def _row_of(change: Change, header: Header, *, wave: int, read_at: dt.datetime) -> dict[str, Any]:
    return {
        "plan": header.plan,
        "number": change.number,
        "mapping": header.mapping,
        "environment": header.environment,
        "wave": wave,
        "action": change.action,
        "kind": change.kind,
        "key": change.key,
        "id": change.id,
        "result": None,
        "fields": _text({name: [edit.before, edit.after, edit.setting] for name, edit in change.fields.items()}),
        "edge": _text(attrs.asdict(change.edge)) if change.edge is not None else None,
        "into": change.into,
        "after": _text(list(change.after)),
        "row_hash": change.row_hash,
        "agreed": _text(dict(change.agreed)),
        "state": change.state,
        "reason": change.reason,
        "run": None,
        "read_at": read_at,
        "sent_at": None,
        "ended_at": None,
        "into_by": change.into_by,
        "sent_into": None,
        "edges": _text([attrs.asdict(each) for each in change.edges]) if change.edges else None,
        "title": change.title,
    }


def _change(row: Mapping[str, Any]) -> Change:
    fields = orjson.loads(row["fields"]) if row["fields"] else {}
    return Change(
        number=int(row["number"]),
        action=row["action"],
        kind=row["kind"],
        key=row["key"],
        id=row["id"],
        fields={name: Edit(*edit) for name, edit in fields.items()},
        edge=Edge(**orjson.loads(row["edge"])) if row["edge"] else None,
        into=row["into"],
        into_by=row["into_by"],
        edges=tuple(Edge(**each) for each in orjson.loads(row["edges"])) if row["edges"] else (),
        title=row["title"] or "",
        after=tuple(orjson.loads(row["after"] or "[]")),
        row_hash=row["row_hash"] or "",
        agreed=orjson.loads(row["agreed"]) if row["agreed"] else {},
        state=row["state"],
        reason=row["reason"] or "",
    )


def _row_of_row(row: PlanRow, header: Header) -> dict[str, Any]:
    return {
        "plan": header.plan,
        "key": row.key,
        "id": row.id,
        "row_hash": row.row_hash,
        "base": row.base,
        "agreed": _text(dict(row.agreed)),
        "outcome": row.outcome,
        "problems": _text([attrs.asdict(each) for each in row.problems]) if row.problems else None,
        "times": row.times,
    }
