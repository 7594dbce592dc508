"""
Forgetting what the way out keeps of a person: stored plans and their changes, the snapshot, conflicts, rejects.

A person's rows there have the key of the way out (`match_on`) and the record's id; so the keys are found by the ids
first, also those that the load table and older plans tell. A key that another record has by now is that one's.

- The snapshot, conflicts and rejects: the rows are deleted.
- Plans: changes and rows stay, without key, values and reasons, so that a plan's counts stay what they were; what was
  not sent yet is rejected. The plan's checksum is made anew in the same transaction, unless it did not fit before: a
  plan that somebody changed stays one that is refused. What else the plan holds may be applied.
- What a merge gives to others of a group has their values: the group is blanked as a whole (`forgetting_groups.py`).
- Edges that lead to the person from other rows lose the key that they named it by (`forgetting_edges.py`).
- A plan that is not whole is dropped, with the copy of its rows.

Not here: the load table (`forgetting.py`), who is rejected by the next push (`forgotten.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from syncer import colliding, forgetting_edges, forgetting_groups, forgotten, mappings, plan, plans, relation, sql
from syncer.conflicts import CONFLICTS
from syncer.errors import UsageError
from syncer.forgetting_edges import Needle, Scrubbing
from syncer.forgotten import EMAIL, REASON, STANDS_FOR, Touched
from syncer.journal import PUSHED, REJECTS
from syncer.mapping import EntityMapping
from syncer.plan import Checksum
from syncer.plans import CHANGES, PLAN_ROWS, PLANS, Header
from syncer.privacy import Privacy
from syncer.settings import Settings
from syncer.shape import load_table
from syncer.snapshots import AGREED, SNAPSHOTS
from syncer.values import BOOLEAN, TEXT, Type
from syncer.warehouses import Transaction

UNSENT = f"'{plan.PLANNED}', '{plan.PENDING}', '{plan.LEFT_OUT}'"
_TABLES = (PLANS, CHANGES, PLAN_ROWS, SNAPSHOTS, AGREED, CONFLICTS)
_IS_ID = "EXISTS (SELECT 1 FROM ids_now AS i WHERE i.id = {})"


class InFlight(UsageError):
    """A change to the person was sent, and what became of it is not known: it must be settled first."""


@attrs.frozen
class _Key:
    mapping: str
    key: str
    alias: str  # what stands in its place
    is_whole: bool  # False: another record has the key by now, so that only rows with the person's ids count


@attrs.define(kw_only=True)
class Pushed:
    """
    What pushes keep of some records of one kind, in one transaction.

    mappings: all of the source, as the site has them. key: what hashes are made with. is_id_kept: False where the
    record's id is personal itself.
    """

    t: Transaction
    mapping: EntityMapping
    mappings: Sequence[EntityMapping]
    environment: str
    key: bytes = attrs.field(repr=False)
    now: dt.datetime
    is_id_kept: bool = True
    _heirs: set[str] = attrs.field(factory=set, init=False)

    def erase(self, ids: Sequence[str]) -> list[Touched]:
        """
        Erase what is kept of the records with these *ids*, and remember hashes of their keys.

        Raises: InFlight: what became of a change to one of them is not known.
        """
        self._stage("ids_now", {"id": list(dict.fromkeys(ids))}, {"id": TEXT})
        is_there = self._is_there()
        keys = self._keys(is_there=is_there)
        self._remember(keys)
        if not is_there:
            return []
        columns = [attrs.asdict(each) for each in keys]
        types = {"mapping": TEXT, "key": TEXT, "alias": TEXT, "is_whole": BOOLEAN}
        self._stage("keys_now", {name: [each[name] for each in columns] for name in types}, types)
        self._check_settled()
        dropped = self._drop_unfinished()
        return [*dropped, *self._erase_plans(keys), *self._delete_standing()]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of *ids* a push knows of."""
        if not self._is_there():
            return set()
        self._stage("ids_now", {"id": list(dict.fromkeys(ids))}, {"id": TEXT})
        return {id for _, _, id in self._named_by_id()}

    def left(self) -> list[str]:
        """Say which other records have a key by now that one of the erased had."""
        found = sorted(self._heirs)
        if not found:
            return []
        named = ", ".join(found[:5]) + (f" and {len(found) - 5:,} more" if len(found) > 5 else "")
        return [
            f"A key of the way out that was theirs is that of record {named} by now: forget it, too, if it is they."
        ]

    def _is_there(self) -> bool:
        return all(self.t.columns(table) for table in _TABLES)

    def _alike(self) -> list[EntityMapping]:
        return forgotten.of_kind({each.name: each for each in (*self.mappings, self.mapping)}.values(), self.mapping)

    def _names(self) -> str:
        """List the mappings of this kind, for SQL: also those that stored plans have, and nobody knows any more."""
        query = f"SELECT DISTINCT mapping FROM {sql.table_name(CHANGES)} WHERE kind = ? AND environment = ?"
        stored = self._rows(query, [forgotten.kind_of(self.mapping), self.environment])
        names = {each.name for each in self._alike()}
        names |= {name for (name,) in stored if name.partition(".")[0] == self.mapping.source}
        return ", ".join(sql.literal(name) for name in sorted(names))

    def _named_by_id(self) -> set[tuple[str, str, str]]:
        """Find all that names one of the ids: mapping, key, id."""
        changes, rows, names = sql.table_name(CHANGES), sql.table_name(PLAN_ROWS), self._names()
        sources = [
            (f"{sql.table_name(SNAPSHOTS)} AS x", "x", "x.id"),
            (f"{sql.table_name(CONFLICTS)} AS x", "x", "x.id"),
            (f"{changes} AS x", "x", "x.id"),
            (f"{changes} AS x", "x", "x.result"),
            (f"{rows} AS x JOIN {sql.table_name(PLANS)} AS p ON p.plan = x.plan", "p", "x.id"),
        ]
        found: set[tuple[str, str, str]] = set()
        for table, of, id in sources:
            query = (
                f"SELECT DISTINCT {of}.mapping, x.key, {id} FROM {table} WHERE {of}.environment = ? "
                f"AND {of}.mapping IN ({names}) AND {_IS_ID.format(id)}"
            )
            found.update((mapping, key, each) for mapping, key, each in self._rows(query, [self.environment]))
        return found

    def _keys(self, *, is_there: bool) -> list[_Key]:
        """Find the keys that the records have, or had, on the way out."""
        found = {(mapping, key) for mapping, key, _ in self._named_by_id()} if is_there else set()
        found |= set(self._loaded_keys())
        found = {(mapping, key) for mapping, key in found if key and not key.startswith(STANDS_FOR)}
        others: set[tuple[str, str]] = set()
        if is_there:
            self._stage("found_now", {"key": sorted({key for _, key in found})}, {"key": TEXT})
            query = (
                f"SELECT x.mapping, x.key, x.id FROM {sql.table_name(SNAPSHOTS)} AS x WHERE x.environment = ? "
                "AND EXISTS (SELECT 1 FROM found_now AS f WHERE f.key = x.key) "
                f"AND x.id IS NOT NULL AND NOT {_IS_ID.format('x.id')}"
            )
            for mapping, key, id in self._rows(query, [self.environment]):
                if (mapping, key) in found:
                    others.add((mapping, key))
                    self._heirs.add(id)
        owners = {each.name: _owner(each) for each in self._alike()}
        return [
            _Key(
                mapping,
                key,
                forgotten.shown(forgotten.outbound_hash(self.key, owners.get(mapping) or "id", key)),
                (mapping, key) not in others,
            )
            for mapping, key in sorted(found)
        ]

    def _loaded_keys(self) -> Iterable[tuple[str, str]]:
        """Yield what the load tables of this kind have in the column that rows of a way out are found by."""
        for each in self._alike():
            match_on = (each.outbound.match_on or "") if each.outbound is not None else ""
            for loaded in (*self._alike(), self.mapping) if match_on else ():  # the last has what its source told of
                types = self.t.columns(load_table(loaded, self.environment))
                columns = {field.column for field in loaded.fields if field.steps[-1:] == (match_on,)} | {match_on}
                if any(column not in types for column in loaded.key):
                    continue
                for column in sorted(columns & set(types)):
                    query = (
                        f"SELECT CAST(b.{sql.quoted(column)} AS TEXT) FROM "
                        f"{sql.table_name(load_table(loaded, self.environment))} AS b "
                        f"WHERE {_IS_ID.format(sql.key_text('b', loaded.key, types))}"
                    )
                    is_number = types[column] in (Type.DECIMAL, Type.DOUBLE)
                    for (text,) in self._rows(query):
                        yield each.name, _as_key(text or "", is_number=is_number, is_lower=match_on == EMAIL)

    def _remember(self, keys: Sequence[_Key]) -> None:
        owners = {each.name: _owner(each) for each in self._alike()}
        owners_of = list(filter(None, owners.values()))
        hashes = []
        for each in keys:
            if each.is_whole:
                of = [owners[each.mapping]] if each.mapping in owners else owners_of
                hashes += [(owner, forgotten.outbound_hash(self.key, owner, each.key)) for owner in of if owner]
        forgotten.remember(self.t, hashes, key=self.key, environment=self.environment, now=self.now)

    def _is_theirs(self, mapping: str, ids: Iterable[str]) -> str:
        """Say that a row `x` is of one of the records; `k` is its key."""
        has_id = " OR ".join(_IS_ID.format(id) for id in ids)
        return f"k.mapping = {mapping} AND k.key = x.key AND (k.is_whole OR {has_id})"

    def _check_settled(self) -> None:
        query = (
            f"SELECT DISTINCT x.mapping FROM {sql.table_name(CHANGES)} AS x JOIN keys_now AS k ON "
            f"{self._is_theirs('x.mapping', ('x.id', 'x.result'))} WHERE x.environment = ? "
            f"AND x.state = '{plan.SENDING}'"
        )
        for (name,) in self._rows(query, [self.environment]):
            raise InFlight(
                f"A push of {name} was sending a change to this person when it was broken off, and what became of it "
                "is not known; nothing was changed.",
                hint=f"`syncer push {name}` settles it first; then forget.",
            )

    def _drop_unfinished(self) -> list[Touched]:
        """Drop plans that are not whole: what was killed, or is being made just now from what is erased here."""
        query = (
            f"SELECT plan FROM {sql.table_name(PLANS)} WHERE environment = ? AND state = '{plans.PLANNING}' "
            f"AND mapping IN ({self._names()})"
        )
        found = [row[0] for row in self._rows(query, [self.environment])]
        for each in found:
            drop(self.t, each)
        return [Touched(table="syncer.plans", rows=len(found), what="deleted")]

    def _erase_plans(self, keys: Sequence[_Key]) -> list[Touched]:
        """Blank the rows and changes of stored plans; what was not sent is rejected."""
        rows, changes = sql.table_name(PLAN_ROWS), sql.table_name(CHANGES)
        self.t.derive(
            "rows_gone",
            sql.statement(
                f"SELECT x.plan AS plan, x.key AS key, k.alias AS alias FROM {rows} AS x JOIN {sql.table_name(PLANS)} "
                f"AS p ON p.plan = x.plan JOIN keys_now AS k ON {self._is_theirs('p.mapping', ('x.id',))} "
                "WHERE p.environment = ?"
            ),
            [self.environment],
        )
        self.t.derive(
            "changes_theirs",
            sql.statement(
                f"SELECT x.plan AS plan, x.number AS number, k.alias AS alias FROM {changes} AS x JOIN keys_now AS k "
                f"ON {self._is_theirs('x.mapping', ('x.id', 'x.result'))} WHERE x.environment = ?{self._merged()}"
            ),
            [self.environment] * 2,
        )
        forgetting_groups.spread(self.t, "changes_theirs", "changes_gone")
        needles = [Needle(each.key, each.alias) for each in keys if each.is_whole]
        edges = Scrubbing(
            t=self.t, needles=needles, mapping=self.mapping, mappings=self.mappings, environment=self.environment
        )
        named = edges.changes()
        touched = {row[0] for row in self._rows("SELECT DISTINCT plan FROM changes_gone")}
        whole = [header for each in sorted(touched | {each for each, _ in named}) if (header := self._whole(each))]
        also = ", title = ''" if "title" in self.t.columns(CHANGES) else ""  # a table of an earlier version has none
        also += "" if self.is_id_kept else ", id = NULL, result = NULL"
        blanked = self.t.run(
            sql.statement(
                f"UPDATE {changes} AS t SET key = s.alias, fields = '{{}}', agreed = '{{}}', row_hash = '', "
                f"reason = CASE WHEN t.state IN ({UNSENT}) THEN '{REASON}' ELSE '' END, "
                f"state = CASE WHEN t.state IN ({UNSENT}) THEN '{plan.REJECTED}' ELSE t.state END{also} "
                "FROM changes_gone AS s WHERE t.plan = s.plan AND t.number = s.number"
            )
        )
        kept = self.t.run(
            sql.statement(
                # Without an id, and with a base that no snapshot has: it moves no snapshot any more.
                f"UPDATE {rows} AS t SET key = s.alias, id = NULL, row_hash = '', base = 'forgotten', "
                "agreed = '{}', problems = NULL FROM rows_gone AS s WHERE t.plan = s.plan AND t.key = s.key"
            )
        )
        others = edges.run(named)
        for header in whole:
            self._sign(header)
        return [
            Touched(table="syncer.changes", rows=blanked, what="blanked"),
            Touched(table="syncer.plan_rows", rows=kept, what="blanked"),
            *others,
        ]

    def _merged(self) -> str:
        """Select merges into one of the records, too: what went is, or was planned to be, the same person."""
        columns = self.t.columns(CHANGES)
        into = [sql.quoted(name) for name in ("into", "sent_into") if name in columns]
        is_theirs = " OR ".join(_IS_ID.format(f"x.{name}") for name in into)
        return (
            f" UNION SELECT x.plan, x.number, x.key FROM {sql.table_name(CHANGES)} AS x WHERE x.environment = ? "
            f"AND x.action = '{plan.MERGE}' AND x.mapping IN ({self._names()}) AND ({is_theirs}) AND NOT EXISTS "
            "(SELECT 1 FROM keys_now AS k WHERE k.mapping = x.mapping AND k.key = x.key)"
        )

    def _whole(self, plan_id: str) -> Header | None:
        """Return the header of a plan whose checksum fits what is stored of it."""
        header = plans.header_of(self.t, plan_id)
        return header if header.checksum == self._checksum(header) else None

    def _checksum(self, header: Header) -> str:
        found, after = Checksum(), 0
        while changes := plans.changes(self.t, header.plan, after=after):
            found.add(change.digest(header.mapping, header.environment) for change in changes)
            after = changes[-1].number
        return str(found)

    def _sign(self, header: Header) -> None:
        """Give a plan the checksum of what is left of it, and say so where it is shown."""
        note = (
            f"Somebody was forgotten on {self.now:%Y-%m-%d}: their changes are taken out, the checksum is a new one."
        )
        notes = [*(each for each in header.notes if each != note), note]
        plans.update(self.t, attrs.evolve(header, checksum=self._checksum(header), notes=notes))

    def _delete_standing(self) -> list[Touched]:
        """Delete the rows of the snapshot, of conflicts and of rejects."""
        touched = []
        for table, has_id in ((AGREED, False), (SNAPSHOTS, True), (CONFLICTS, True), (REJECTS, False)):
            owned = f"SELECT 1 FROM keys_now AS k WHERE {self._is_theirs('x.mapping', ('x.id',) if has_id else ())}"
            if not has_id:
                owned = "SELECT 1 FROM keys_now AS k WHERE k.mapping = x.mapping AND k.key = x.key AND k.is_whole"
            also = f" AND x.scope = '{PUSHED}'" if table is REJECTS else ""
            query = f"DELETE FROM {sql.table_name(table)} AS x WHERE x.environment = ?{also} AND EXISTS ({owned})"
            rows = self.t.run(sql.statement(query), [self.environment])
            touched.append(Touched(table=f"{table.schema}.{table.name}", rows=rows, what="deleted"))
        return touched

    def _stage(self, name: str, columns: Mapping[str, Sequence[Any]], types: Mapping[str, Type]) -> None:
        forgetting_edges.stage(self.t, name, columns, types)

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.t.rows(sql.statement(query), list(parameters))


def drop(t: Transaction, plan_id: str) -> None:
    """Drop a plan with all that was kept for it."""
    for table in (CHANGES, PLAN_ROWS, PLANS):
        t.run(sql.statement(f"DELETE FROM {sql.table_name(table)} WHERE plan = ?"), [plan_id])
    relation.drop(t, plan_id)
    t.drop(colliding.claims_table(plan_id))


@attrs.frozen(kw_only=True)
class WayOut:
    """The mapping whose records are erased, and all of its source in one environment, as the site has them."""

    mapping: EntityMapping
    mappings: tuple[EntityMapping, ...]
    environment: str

    @classmethod
    def of(cls, mapping: EntityMapping, settings: Settings | None, *, environment: str) -> WayOut:
        """Find the mappings; without *settings* the one stands alone."""
        if settings is None:
            return cls(mapping=mapping, mappings=(mapping,), environment=environment)
        known = mappings.known(folders=settings.folders, objects=settings.objects())
        found = [settings.applied_to(each) for each in known.values() if each.source == mapping.source]
        return cls(mapping=mapping, mappings=tuple(found), environment=environment)

    @property
    def goes_out(self) -> bool:
        """Whether records of this kind are written by anyone, and rows name them by their key."""
        return len(self.mapping.key) == 1 and any(each.outbound is not None for each in self._alike())

    def leases(self) -> list[str]:
        """Name what must be held so that no push writes meanwhile: as a push names it."""
        kind = forgotten.kind_of(self.mapping)
        return [f"write {self.mapping.source}.{kind}@{self.environment}"] if self.goes_out else []

    def owners(self) -> list[str]:
        """Return the names that hashes of the way out stand under."""
        return list(dict.fromkeys(filter(None, map(_owner, self._alike()))))

    def pushed(self, t: Transaction, found: Privacy, *, now: dt.datetime) -> Pushed:
        """Return what erases in a transaction."""
        return Pushed(
            t=t,
            mapping=self.mapping,
            mappings=self.mappings,
            environment=self.environment,
            key=found.key,
            now=now,
            is_id_kept=not found.has_personal_key,
        )

    def _alike(self) -> list[EntityMapping]:
        return forgotten.of_kind((*self.mappings, self.mapping), self.mapping)


def _owner(mapping: EntityMapping) -> str:
    match_on = mapping.outbound.match_on if mapping.outbound is not None else None
    return forgotten.keys_of(mapping.source, forgotten.kind_of(mapping), match_on) if match_on else ""


def _as_key(text: str, *, is_number: bool, is_lower: bool) -> str:
    """Write a key as snapshots have it (`relation.key_text`): 17.000000000 is 17, and an address has small letters."""
    if is_number and "." in text:
        text = text.rstrip("0").rstrip(".")
    text = text.strip()
    return text.lower() if is_lower else text
