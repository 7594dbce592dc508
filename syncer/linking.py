"""
Edges of a push's rows: the records that edge columns name are looked up, their records' edges read, and what becomes
of each column stands beside what became of the row's fields.

What both sides agreed on stands with the row's other fields as `edge:<column>`: a record's id. An edge whose other end
is not there is a reject of that edge alone; among the records that the same plan makes it is looked for once more when
the plan is whole, a thousand rows at a time. Not here: deciding (`edgedeciding.py`), what is sent when (`apply.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import plan, plan_journal, plans, sql
from syncer.ahead import ahead
from syncer.clock import Clock
from syncer.compare import Rule
from syncer.deciding import CLEAR, Decided, Row
from syncer.edgecolumns import PREFIX as PREFIX
from syncer.edgecolumns import Column, columns_of
from syncer.edgedeciding import MADE, Came, EdgeDeciding, End, Sides
from syncer.errors import UsageError
from syncer.forgotten import Barred
from syncer.mapping import Outbound
from syncer.plan import ASSOCIATE, CREATE, UPDATE, Change
from syncer.plans import CHANGES, PLAN_ROWS, Header, PlanRow, Problem
from syncer.target import BATCH, Found, Linked, Target
from syncer.values import BIGINT, JSON
from syncer.warehouses import Transaction, Warehouse

KEPT = 20_000  # records at the other end that are remembered by their keys: some 4 MB
ROWS_AT_ONCE = 1_000
KEYS_AT_ONCE = 200  # in one statement

Rules = Callable[[str], Rule]
Looked = tuple[Row, Found | None, Decided]


@attrs.define(kw_only=True)
class Linking:
    """The edge columns of one plan under way."""

    kind: str
    on_missing: str
    columns: Sequence[Column]
    target: Target
    deciding: EdgeDeciding
    barred: Mapping[str, Barred] = attrs.field(factory=dict)  # whom nothing may be linked to, by kind
    workers: int = 4
    _records: dict[tuple[str, str | None, str], str | None] = attrs.field(factory=dict)
    _waiting: int = 0

    @classmethod
    def of(
        cls, outbound: Outbound, target: Target, others: Mapping[str, Outbound], *, is_rehearsal: bool = False
    ) -> Linking:
        """
        Look the columns up. *others*: the ways out to other kinds, by kind.

        Raises: UsageError: no such label, association or unique property.
        """
        columns = columns_of(outbound, target, others)
        deciding = EdgeDeciding(
            kind=outbound.kind,
            columns=columns,
            others=frozenset(others) - {outbound.kind},
            is_rehearsal=is_rehearsal,
        )
        return cls(
            kind=outbound.kind, on_missing=outbound.on_missing, columns=columns, target=target, deciding=deciding
        )

    def check(self, columns: Iterable[str], relation: str) -> None:
        """Raise UsageError where an edge column is none of the relation's *columns*."""
        there = list(columns)
        for column in self.columns:
            if column.name not in there:
                raise UsageError(
                    f"{relation} has no column {column.name}, which edges names.", hint=f"It has: {', '.join(there)}."
                )

    def decide(self, looked: Sequence[Looked], rule: Rules) -> list[Looked]:
        """Add to what each row came to what its edge columns come to; their numbers go on within the row."""
        if not self.columns:
            return list(looked)
        given = [self._given(*each) for each in looked]
        wanted = [each for each in given if each is not None]
        ids = self._ends_of(wanted)
        edges = self._linked([each.id for each in wanted if each.id is not None], self.columns)
        known = [self._with(each, ids, edges) for each in wanted]
        known = self._followed(known)
        sides = iter(known)
        done: list[Looked] = []
        for (row, found, decided), each in zip(looked, given, strict=True):
            came = decided if each is None else self._joined(decided, self._came(next(sides), rule))
            done.append((row, found, came))
        return done

    def _given(self, row: Row, found: Found | None, decided: Decided) -> Sides | None:
        """Return what a row says of its edges; None where nothing of it is to be written."""
        is_left = row.row_hash is None
        created = next((at for at, each in enumerate(decided.changes, 1) if each.action == CREATE), None)
        is_there = found is not None and not found.is_archived
        if row.key is None or decided.row.outcome in (plan.REJECTED, plan.SKIPPED) or not (created or is_there):
            return None
        if any(each.kind == plan.CONFLICT and not each.field for each in decided.row.problems):
            return None
        if is_left and self.on_missing != CLEAR:
            return None
        agreed = {} if created else dict(row.agreed or {})
        columns = [each for each in self.columns if not is_left or agreed.get(each.field) is not None]
        return Sides(
            key=row.key,
            id=None if created or found is None else found.id,
            created=created,
            next=len(decided.changes) + 1,
            ends={each.name: self._end(each, each.key_of(row.links.get(each.name))) for each in columns},
            agreed=agreed,
            linked={},
        )

    def _end(self, column: Column, key: str | None) -> End:
        barred = self.barred.get(column.to)
        is_barred = barred is not None and key is not None and barred(key, None if column.by else key)
        return End(key=None if is_barred else key, is_barred=is_barred)

    def _ends_of(self, rows: Sequence[Sides]) -> dict[tuple[str, str], str | None]:
        """Return the ids of the records that rows name, by column and key."""
        found = {}
        for column in self.columns:
            ends = [row.ends[column.name] for row in rows if column.name in row.ends]
            keys = list(dict.fromkeys(end.key for end in ends if end.key is not None))
            for key, id in self._found(column.to, column.by, keys).items():
                found[column.name, key] = id
        return found

    def _found(self, to: str, by: str | None, keys: Sequence[str]) -> dict[str, str | None]:
        """Return the id of the live record behind each key, or None; one that was merged away is the survivor's."""
        asked = [key for key in dict.fromkeys(keys) if (to, by, key) not in self._records]
        told = {key: self._records[to, by, key] for key in keys if (to, by, key) in self._records}
        parts = [asked[at : at + BATCH] for at in range(0, len(asked), BATCH)]
        for part, answer in zip(
            parts,
            ahead(lambda part: self.target.find(to, part, by=by, properties=()), parts, workers=self.workers),
            strict=True,
        ):
            for key in part:
                record = answer.get(key)
                told[key] = None if record is None or record.is_archived else record.id
        if len(self._records) + len(asked) > KEPT:
            self._records.clear()
        self._records.update({(to, by, key): told[key] for key in asked[:KEPT]})
        return told

    def _linked(self, ids: Sequence[str], columns: Sequence[Column]) -> dict[str, Mapping[str, Sequence[Linked]]]:
        """Return what records are associated with, by kind at the other end and id."""
        kinds = dict.fromkeys(column.to for column in columns)
        unique = list(dict.fromkeys(ids))
        return {to: self.target.edges(self.kind, unique, to) for to in kinds} if unique else {}

    def _with(
        self,
        row: Sides,
        ids: Mapping[tuple[str, str], str | None],
        edges: Mapping[str, Mapping[str, Sequence[Linked]]],
    ) -> Sides:
        ends = {
            name: attrs.evolve(end, id=ids.get((name, end.key)) if end.key is not None else None)
            for name, end in row.ends.items()
        }
        linked = {} if row.id is None else {to: of_kind.get(row.id, ()) for to, of_kind in edges.items()}
        return attrs.evolve(row, ends=ends, linked=linked)

    def _followed(self, rows: Sequence[Sides]) -> list[Sides]:
        """Lead agreed ids that are not linked any more to what survived them, where they were merged away."""
        lost: dict[str, list[str]] = {}
        for row in rows:
            for column in self.columns:
                id = row.agreed.get(column.field)
                if id is not None and id not in {each.id for each in row.linked.get(column.to, ())}:
                    lost.setdefault(column.to, []).append(id)
        into = {(to, old): new for to, ids in lost.items() for old, new in self._found(to, None, ids).items() if new}
        if not into:
            return list(rows)
        followed = []
        for row in rows:
            new = {
                each.field: into.get((each.to, row.agreed[each.field] or ""), row.agreed[each.field])
                for each in self.columns
                if each.field in row.agreed
            }
            followed.append(attrs.evolve(row, agreed={**row.agreed, **new}))
        return followed

    def _came(self, row: Sides, rule: Rules) -> Came:
        came = Came()
        for column in self.columns:
            if column.name in row.ends:
                self.deciding.judge(
                    column, attrs.evolve(row, next=row.next + len(came.changes)), rule(column.name), came
                )
        return came

    def _joined(self, decided: Decided, came: Came) -> Decided:
        """Put what the edges came to beside what the row's fields did."""
        row, changes = decided.row, [*decided.changes, *came.changes]
        for at, change in enumerate(changes):
            if change.action == CREATE:  # a record that is not there yet agrees on nothing
                changes[at] = attrs.evolve(change, agreed={**change.agreed, **came.agreed})
                came.agreed = {}
        kinds = [each.kind for each in came.problems]
        is_open = plan.CONFLICT in kinds or kinds.count(plan.REJECTED) > came.waiting
        self._waiting += came.waiting
        row = attrs.evolve(
            row,
            agreed={**row.agreed, **came.agreed},
            outcome=_outcome(row.outcome, kinds, has_changes=bool(changes)),
            problems=[*row.problems, *came.problems],
            row_hash="" if is_open else row.row_hash,
        )
        return Decided(row, changes)

    # What the same plan makes.

    def late(
        self, warehouse: Warehouse, header: Header, rule: Rules, *, number: int, clock: Clock
    ) -> Iterator[list[Change]]:
        """
        Look once more for records that were not there, among those that the plan makes; store what comes of it.

        Yields: the changes that were added, numbered from behind *number* on. Memory holds a thousand rows.
        """
        after = ""
        while self._waiting:
            with warehouse.transaction() as t:
                if not after and number >= plans.SURVEYED:
                    t.survey(CHANGES)
                rows = _rejected(t, header.plan, after)
                of_plan = _Planned.of(t, header.plan, rows)
            warehouse.rest(waiting=True)
            if not rows:
                return
            after = rows[-1].key
            kept, changes = self._looked_again(rows, of_plan, rule, number)
            number += len(changes)
            with warehouse.transaction() as t:
                if not plans.is_there(t, header.plan):
                    raise UsageError("Somebody was forgotten while this plan was made.", hint="Run it again.")
                _drop(t, header.plan, [row.key for row in kept])
                plans.add(t, header, changes=changes, rows=kept, read_at=clock.now())
            yield changes

    def _looked_again(
        self, rows: Sequence[PlanRow], of_plan: _Planned, rule: Rules, number: int
    ) -> tuple[list[PlanRow], list[Change]]:
        waiting = {row.key: self._still_waiting(row, of_plan) for row in rows}
        rows = [row for row in rows if waiting[row.key]]
        ids = [row.id for row in rows if row.id is not None and row.key not in of_plan.creates]
        edges = self._linked(ids, [each for each in self.columns if each.is_own])
        kept: list[PlanRow] = []
        changes: list[Change] = []
        for row in rows:
            came, left = Came(), []
            for problem in row.problems:
                made_by = of_plan.creates.get(problem.ours or "") if problem in waiting[row.key] else None
                if made_by is None:
                    left.append(problem)
                    continue
                [column] = [each for each in self.columns if each.name == problem.field]
                sides = self._sides_again(row, column, problem, of_plan, number + len(changes) + len(came.changes) + 1)
                linked = {to: of_kind.get(row.id or "", ()) for to, of_kind in edges.items()}
                self.deciding.judge(column, attrs.evolve(sides, linked=linked), rule(column.name), came)
            changes += came.changes
            problems = [*left, *came.problems]
            kinds = [each.kind for each in problems]
            has_changes = bool(came.changes) or row.key in of_plan.changed
            is_open = plan.REJECTED in kinds or plan.CONFLICT in kinds
            kept.append(
                attrs.evolve(
                    row,
                    problems=problems,
                    outcome=_outcome(plan.UNCHANGED, kinds, has_changes=has_changes),
                    row_hash="" if is_open else row.row_hash,
                )
            )
        return kept, changes

    def _still_waiting(self, row: PlanRow, of_plan: _Planned) -> list[Problem]:
        """Return the rejects that may have an end now; none where the whole row is written no more."""
        edges = {each.name for each in self.columns}
        is_whole = any(each.kind == plan.REJECTED and each.field not in edges for each in row.problems)
        if is_whole or (row.id is None and row.key not in of_plan.creates) or _is_left_alone(row):
            return []
        reasons = {each.name: self.deciding.not_there(each) for each in self.columns if each.is_own}
        return [
            each
            for each in row.problems
            if each.kind == plan.REJECTED and each.field in reasons and each.reason == reasons[each.field]
        ]

    def _sides_again(self, row: PlanRow, column: Column, problem: Problem, of_plan: _Planned, number: int) -> Sides:
        made_by = of_plan.creates[problem.ours or ""]
        created = of_plan.creates.get(row.key)
        others = {
            each.name: End(key="", id=of_plan.ends.get((row.key, each.name)) or row.agreed.get(each.field))
            for each in self.columns
            if each.name != column.name
        }
        return Sides(
            key=row.key,
            id=None if created else row.id,
            created=created,
            next=number,
            ends={**others, column.name: End(key=problem.ours, id=f"{MADE}{made_by}", made_by=made_by)},
            agreed=row.agreed,
            linked={},
        )


@attrs.define
class _Planned:
    """What a plan holds of some keys: which have changes, numbers of creates, ends of edges by key and column."""

    creates: dict[str, int] = attrs.field(factory=dict)
    changed: set[str] = attrs.field(factory=set)
    ends: dict[tuple[str, str], str | None] = attrs.field(factory=dict)

    @classmethod
    def of(cls, t: Transaction, plan_id: str, rows: Sequence[PlanRow]) -> _Planned:
        """Read what there is of rows, and of the keys that their rejects name."""
        found = cls()
        named = [*(row.key for row in rows), *(each.ours for row in rows for each in row.problems)]
        select = f"SELECT key, number, action, fields, edge FROM {sql.table_name(CHANGES)} WHERE plan = ?"
        for key, number, action, fields, edge in _of_keys(t, select, [plan_id], named):
            found.changed.add(key)
            if action == CREATE:
                found.creates[key] = int(number)
            elif action == ASSOCIATE and edge:
                found.ends.update({(key, column): orjson.loads(edge)["id"] for column in orjson.loads(fields or "{}")})
        return found


def note_made(t: Transaction, plan_id: str, done: Iterable[Change]) -> None:
    """Write down the ids of records that the plan made, where changes of edges that are done agree on them."""
    import pyarrow as pa

    waiting = {
        change.number: {
            field: int(id.removeprefix(MADE)) for field, id in change.agreed.items() if id and _is_made(field, id)
        }
        for change in done
        if change.action in plan.OF_EDGES
    }
    numbers = {number for fields in waiting.values() for number in fields.values()}
    if not numbers:
        return
    made = plan_journal.ids_made(t, plan_id, numbers)
    known = {
        change.number: {**change.agreed, **{field: made[at][1] for field, at in waiting[change.number].items()}}
        for change in done
        if waiting.get(change.number)
    }
    staged = pa.table(
        {
            "number": pa.array(list(known), pa.int64()),
            "agreed": pa.array([orjson.dumps(fields).decode() for fields in known.values()], pa.string()),
        }
    )
    t.stage("agreed_now", staged, {"number": BIGINT, "agreed": JSON})
    query = (
        f"UPDATE {sql.table_name(CHANGES)} AS t SET agreed = s.agreed FROM agreed_now AS s "
        "WHERE t.plan = ? AND t.number >= ? AND t.number <= ? AND t.number = s.number"
    )
    t.run(sql.statement(query), [plan_id, min(known), max(known)])


def seen(t: Transaction, header: Header, after: str) -> tuple[list[Change], str]:
    """
    Return rows without a change of which nothing but edges is rejected, as changes that write nothing: what was seen
    equal of them is agreed. Beside them the key to go on behind; empty: there are no more.
    """
    rows = _rejected(t, header.plan, after)
    edges = {edge["column"] for edge in header.settings.get("edges", ())}
    alone = [
        row
        for row in rows
        if row.id is not None
        and all(each.field in edges for each in row.problems if each.kind == plan.REJECTED)
        and not _is_left_alone(row)
    ]
    changed = _Planned.of(t, header.plan, alone).changed if alone else set()
    kind = str(header.settings.get("kind", ""))
    found = [
        Change(number=0, action=UPDATE, kind=kind, key=row.key, id=row.id) for row in alone if row.key not in changed
    ]
    return found, rows[-1].key if rows else ""


def has_several(header: Header) -> bool:
    """Tell whether the rows of a plan have several edge columns to one kind."""
    kinds = [edge["to"] for edge in header.settings.get("edges", ())]
    return len(kinds) > len(set(kinds))


def beside(t: Transaction, plan_id: str, changes: Sequence[Change]) -> dict[int, set[str]]:
    """Return, by number of a change, the ids that the other columns of its row are linked to, or will be."""
    keys = [change.key for change in changes]
    found: dict[str, list[tuple[str, str | None]]] = {}
    select = f"SELECT key, agreed FROM {sql.table_name(PLAN_ROWS)} WHERE plan = ?"
    for key, agreed in _of_keys(t, select, [plan_id], keys):
        fields = orjson.loads(agreed or "{}").items()
        found[key] = [(field.removeprefix(PREFIX), id) for field, id in fields if field.startswith(PREFIX)]
    select = f"SELECT key, fields, edge FROM {sql.table_name(CHANGES)} WHERE action = '{ASSOCIATE}' AND plan = ?"
    edges = [
        (key, orjson.loads(fields or "{}"), orjson.loads(edge))
        for key, fields, edge in _of_keys(t, select, [plan_id], keys)
        if edge
    ]
    made = plan_journal.ids_made(t, plan_id, {edge["made_by"] for _, _, edge in edges if edge["made_by"] is not None})
    for key, columns, edge in edges:
        id = edge["id"] if edge["made_by"] is None else made.get(edge["made_by"], ("", None))[1]
        found.setdefault(key, []).extend((column, id) for column in columns)
    return {
        change.number: {id for column, id in found.get(change.key, ()) if id and column not in change.fields}
        for change in changes
    }


def _is_left_alone(row: PlanRow) -> bool:
    return any(each.kind == plan.CONFLICT and not each.field for each in row.problems)


def _is_made(field: str, id: str) -> bool:
    return field.startswith(PREFIX) and id.startswith(MADE)


def _outcome(base: str, kinds: Sequence[str], *, has_changes: bool) -> str:
    if plan.REJECTED in kinds:
        return plan.REJECTED
    if plan.CONFLICT in (base, *kinds):
        return plan.CONFLICT
    return "" if has_changes else base


def _rejected(t: Transaction, plan_id: str, after: str) -> list[PlanRow]:
    """Return rows of a plan of which something is rejected, in the order of their keys."""
    columns = [column.name for column in PLAN_ROWS.columns]
    query = (
        f"SELECT {sql.names(columns)} FROM {sql.table_name(PLAN_ROWS)} WHERE plan = ? AND key > ? "
        f"AND outcome = '{plan.REJECTED}' AND problems IS NOT NULL ORDER BY key LIMIT {ROWS_AT_ONCE}"
    )
    found = [dict(zip(columns, row, strict=True)) for row in t.rows(sql.statement(query), [plan_id, after])]
    return [
        PlanRow(
            key=row["key"],
            id=row["id"],
            row_hash=row["row_hash"] or "",
            base=row["base"],
            agreed=orjson.loads(row["agreed"] or "{}"),
            outcome=row["outcome"],
            problems=[Problem(**each) for each in orjson.loads(row["problems"])],
            times=int(row["times"]),
        )
        for row in found
    ]


def _of_keys(
    t: Transaction, select: str, parameters: Sequence[str], keys: Iterable[str | None]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some keys: each is named, so that they are found by an index, and no plan is read whole."""
    for part in _parts(keys):
        query = f"{select} AND key IN ({', '.join('?' for _ in part)})"
        yield from t.rows(sql.statement(query), [*parameters, *part])


def _parts(keys: Iterable[str | None]) -> Iterator[list[str]]:
    unique = list(dict.fromkeys(key for key in keys if key is not None))
    for at in range(0, len(unique), KEYS_AT_ONCE):
        yield unique[at : at + KEYS_AT_ONCE]


def _drop(t: Transaction, plan_id: str, keys: Sequence[str]) -> None:
    """Take rows out of a plan, to be put in again as they are now."""
    for part in _parts(keys):
        marks = ", ".join("?" for _ in part)
        query = f"DELETE FROM {sql.table_name(PLAN_ROWS)} WHERE plan = ? AND key IN ({marks})"
        t.run(sql.statement(query), [plan_id, *part])
