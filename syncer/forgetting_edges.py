"""
Forgetting a person as the other end of an edge: what rows of other mappings keep of the key that they named it by.

An edge of a ticket names its contact by the contact's key, which may be an address. In stored changes the key is
replaced, and an edge that was not sent yet is rejected; conflicts and rejects of the edge are deleted. Ids stay (what
was agreed on of an edge is one), as they do in `load.hubspot_associations`: an id whose record is blank leads to
nobody. Not here: the person's own rows (`forgetting_pushed.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import forgotten, plan, sql
from syncer.conflicts import CONFLICTS
from syncer.forgotten import REASON, Touched
from syncer.journal import PUSHED, REJECTS
from syncer.linking import PREFIX
from syncer.mapping import EntityMapping
from syncer.plans import CHANGES, PLAN_ROWS, PLANS
from syncer.tables import Table
from syncer.values import Type, arrow_type
from syncer.warehouses import Transaction

AT_ONCE = 2_000
FEW = 50  # keys that the warehouse is asked for one by one; of more it hands over all rows with edges
_UNSENT = (plan.PLANNED, plan.PENDING, plan.LEFT_OUT)


@attrs.frozen
class Needle:
    """A key of the way out, and what stands in its place."""

    key: str
    alias: str


@attrs.define(kw_only=True)
class Scrubbing:
    """The edges that lead to some records of one kind, in one transaction."""

    t: Transaction
    needles: Sequence[Needle]
    mapping: EntityMapping
    mappings: Sequence[EntityMapping]
    environment: str

    def changes(self) -> dict[tuple[str, int], tuple[str, bool]]:
        """Find stored changes of edges that name one of the keys: the edge without it, and whether it was sent."""
        kind, aliases = forgotten.kind_of(self.mapping), {_form(each.key): each.alias for each in self.needles}
        if not aliases:
            return {}
        query = (
            f"SELECT x.plan, x.number, x.edge, x.state FROM {sql.table_name(CHANGES)} AS x WHERE x.environment = ? "
            f"AND x.edge IS NOT NULL AND SUBSTR(x.mapping, 1, ?) = ?"
        )
        source = f"{self.mapping.source}."
        found = {}
        for plan_id, number, text, state in self._paged(
            query, [self.environment, len(source), source], by=("plan", "number"), within=("edge",)
        ):
            edge = orjson.loads(text)
            alias = aliases.get(_form(edge.get("key") or ""))
            if alias is not None and edge.get("kind") == kind:
                found[plan_id, int(number)] = (_text({**edge, "key": alias}), state not in _UNSENT)
        return found

    def run(self, named: Mapping[tuple[str, int], tuple[str, bool]]) -> list[Touched]:
        """Take the keys out of *named* changes, and out of what else is kept of edge columns."""
        if not self.needles:
            return []
        self._blank_changes(named)
        touched = [Touched(table="syncer.changes", rows=len(named), what="blanked")]
        for mapping, columns in self._columns().items():
            touched += [self._problems(mapping, columns), *self._standing(mapping, columns)]
        return touched

    def _columns(self) -> dict[str, list[str]]:
        """Return the edge columns that lead to this kind, by mapping; each also as the field that it is."""
        alike = {forgotten.kind_of(self.mapping)}
        alike |= {each.entity for each in forgotten.of_kind((*self.mappings, self.mapping), self.mapping)}
        found: dict[str, list[str]] = {}
        for each in self.mappings:
            if each.source == self.mapping.source and each.outbound is not None:
                columns = [edge.column for edge in each.outbound.edges if edge.to in alike]
                if columns:
                    found[each.name] = [*columns, *(f"{PREFIX}{column}" for column in columns)]
        return found

    def _blank_changes(self, named: Mapping[tuple[str, int], tuple[str, bool]]) -> None:
        for is_sent in (True, False):
            part = {where: edge for where, (edge, each) in named.items() if each is is_sent}
            also = "" if is_sent else f", state = '{plan.REJECTED}'"
            reason = "" if is_sent else REASON
            columns: dict[str, list[Any]] = {
                "plan": [where[0] for where in part],
                "number": [where[1] for where in part],
                "edge": list(part.values()),
            }
            self._write(CHANGES, columns, also=f", reason = '{reason}'{also}")

    def _problems(self, mapping: str, columns: Sequence[str]) -> Touched:
        """Take the values and reasons out of problems of the edge's columns."""
        query, parameters = self._owned(PLAN_ROWS, mapping, ["plan", "key", "problems"])
        changed: dict[str, list[Any]] = {"plan": [], "key": [], "problems": []}
        for plan_id, key, text in self._paged(
            f"{query} AND x.problems IS NOT NULL", parameters, by=("plan", "key"), within=("problems",)
        ):
            problems = orjson.loads(text)
            left = [
                {**each, "reason": REASON, "agreed": None, "ours": None, "theirs": None}
                if each.get("field") in columns and self._names(each)
                else each
                for each in problems
            ]
            if left != problems:
                for name, value in zip(changed, (plan_id, key, _text(left)), strict=True):
                    changed[name].append(value)
        return self._write(PLAN_ROWS, changed)

    def _standing(self, mapping: str, columns: Sequence[str]) -> Iterator[Touched]:
        """Delete conflicts and rejects of the edge that name the person."""
        for table, column, texts in (
            (CONFLICTS, "field", ("reason", "agreed", "ours", "theirs")),
            (REJECTS, "column", ("reason", "value")),
        ):
            keys = [each for each in table.key if each not in ("mapping", "environment")]
            marks = ", ".join("?" for _ in columns)
            query, parameters = self._owned(table, mapping, [*keys, *texts])
            query += f' AND x."{column}" IN ({marks})' + (f" AND x.scope = '{PUSHED}'" if table is REJECTS else "")
            found = [row for row in self._rows(query, [*parameters, *columns]) if self._names(list(row[len(keys) :]))]
            rows = 0
            if found:
                types = {name: table.types()[name] for name in keys}
                stage(self.t, "ends_now", {name: [row[at] for row in found] for at, name in enumerate(keys)}, types)
                rows = self.t.run(
                    sql.statement(
                        f"DELETE FROM {sql.table_name(table)} AS x WHERE x.mapping = ? AND x.environment = ? "
                        f"AND EXISTS (SELECT 1 FROM ends_now AS s WHERE {sql.equal('x', 's', keys)})"
                    ),
                    [mapping, self.environment],
                )
            yield Touched(table=f"{table.schema}.{table.name}", rows=rows, what="deleted")

    def _owned(self, table: Table, mapping: str, columns: Sequence[str]) -> tuple[str, list[Any]]:
        """Write a query of a mapping's rows, as far as its WHERE."""
        listed = sql.names(columns, of="x")
        if table is PLAN_ROWS:
            name = f"{sql.table_name(table)} AS x JOIN {sql.table_name(PLANS)} AS p ON p.plan = x.plan"
            return f"SELECT {listed} FROM {name} WHERE p.mapping = ? AND p.environment = ?", [
                mapping,
                self.environment,
            ]
        return (
            f"SELECT {listed} FROM {sql.table_name(table)} AS x WHERE x.mapping = ? AND x.environment = ?",
            [mapping, self.environment],
        )

    def _paged(
        self, query: str, parameters: Sequence[Any], *, by: Sequence[str], within: Sequence[str]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, some thousand at once: those that may hold one of the keys in a column."""
        keys = [each.key for each in self.needles]
        if len(keys) <= FEW and all(each.isascii() for each in keys):
            has = " OR ".join(f"POSITION(? IN LOWER(CAST(x.{column} AS TEXT))) > 0" for column in within for _ in keys)
            query, parameters = (
                f"{query} AND ({has})",
                [*parameters, *(_inside(each) for _ in within for each in keys)],
            )
        order = sql.names(by, of="x")
        last: list[Any] = []
        while True:
            behind, after = _behind(by, last)
            found = self._rows(f"{query}{behind} ORDER BY {order} LIMIT {AT_ONCE}", [*parameters, *after])
            yield from found
            if len(found) < AT_ONCE:
                return
            last = list(found[-1][: len(by)])

    def _names(self, value: Any) -> bool:
        """Tell whether one of the keys stands in a value, wherever in it."""
        if isinstance(value, str):
            return self._pattern().search(value) is not None
        if isinstance(value, Mapping):
            return any(self._names(each) for each in value.values())
        return isinstance(value, list | tuple) and any(self._names(each) for each in value)

    def _pattern(self) -> re.Pattern[str]:
        return _pattern_of(tuple(each.key for each in self.needles))

    def _write(self, table: Table, columns: Mapping[str, Sequence[Any]], *, also: str = "") -> Touched:
        """Give rows, found by the table's key, the other columns."""
        rows = len(next(iter(columns.values())))
        told = Touched(table=f"{table.schema}.{table.name}", rows=rows, what="blanked")
        if not rows:
            return told
        types = table.types()
        stage(self.t, "ends_now", columns, {name: types[name] for name in columns})
        setting = ", ".join(f"{sql.quoted(name)} = s.{sql.quoted(name)}" for name in columns if name not in table.key)
        self.t.run(
            sql.statement(
                f"UPDATE {sql.table_name(table)} AS t SET {setting}{also} FROM ends_now AS s WHERE "
                f"{sql.equal('t', 's', table.key)}"
            )
        )
        return told

    def _rows(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.t.rows(sql.statement(query), list(parameters))


def stage(t: Transaction, name: str, columns: Mapping[str, Sequence[Any]], types: Mapping[str, Type]) -> None:
    """Make columns a temporary table."""
    import pyarrow as pa

    made = {column: pa.array(list(columns[column]), arrow_type(types[column])) for column in columns}
    t.stage(name, pa.table(made), types)


@functools.lru_cache(maxsize=1)
def _pattern_of(keys: tuple[str, ...]) -> re.Pattern[str]:
    """Find a key where it stands alone: not as a part of another address or number."""
    found = "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
    return re.compile(rf"(?<![\w.@+-])(?:{found})(?![\w@+]|[.-]\w)", re.IGNORECASE)


def _behind(by: Sequence[str], last: Sequence[Any]) -> tuple[str, list[Any]]:
    """Say, in SQL, that a row comes behind the *last* one in the order of some columns."""
    if not last:
        return "", []
    parts: list[str] = []
    parameters: list[Any] = []
    for at, column in enumerate(by):
        same = "".join(f"x.{sql.quoted(each)} = ? AND " for each in by[:at])
        parts.append(f"({same}x.{sql.quoted(column)} > ?)")
        parameters += last[: at + 1]
    return f" AND ({' OR '.join(parts)})", parameters


def _form(key: str) -> str:
    return key.strip().casefold()


def _inside(key: str) -> str:
    """Write a key as it stands inside JSON, in small letters."""
    return orjson.dumps(key.lower()).decode()[1:-1]


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
