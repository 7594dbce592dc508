"""
What is kept of mappings, operations and environments that nobody configures any more: told, and deleted only by name.

A mapping that is missing may be missing by mistake: a folder that is not named in this `syncer.toml`, an account whose
variables are set elsewhere. So nothing of it goes by itself; and what may still be put back stays, also by name.

Aliases and who was forgotten stay in any case: other mappings of the same records ask for them. Not here: what goes by
its age (`stale.py`).
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from syncer import catalog, mappings, sql
from syncer.aging import AGED, LONGEST, either, plan_stays
from syncer.conflicts import CONFLICTS
from syncer.errors import UnknownName, UsageError
from syncer.journal import COLUMNS, FINDINGS, REJECTS, RUNNING, RUNS
from syncer.marks import MARKS, SEEN, WALKS
from syncer.offers import OFFERINGS
from syncer.plans import CHANGES, PLANS
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.snapshots import AGREED, HASHES, SNAPSHOTS
from syncer.stale import AT_ONCE, Ages, Line
from syncer.tables import STATE, Table
from syncer.warehouses import Transaction

# In the order in which they go: without places and what was seen a pull reads everything; runs tell of the rest.
_TABLES = (
    MARKS,
    SEEN,
    WALKS,
    OFFERINGS,
    REJECTS,
    FINDINGS,
    COLUMNS,
    CONFLICTS,
    AGREED,
    SNAPSHOTS,
    HASHES,
    PLANS,
    RUNS,
)


@attrs.frozen(kw_only=True)
class Unconfigured:
    """What is kept of a mapping, or operation, that nobody configures any more: rows in all tables of ours."""

    mapping: str
    environment: str
    rows: int

    @property
    def named(self) -> str:
        """Its name, and its environment where that is not the default one."""
        return self.mapping if self.environment == DEFAULT_ENVIRONMENT else f"{self.mapping} ({self.environment})"

    def __str__(self) -> str:
        """Write it in a line, with what deletes it."""
        other = "" if self.environment == DEFAULT_ENVIRONMENT else f" --environment {self.environment}"
        stay = "row stays" if self.rows == 1 else "rows stay"
        return (
            f"{self.mapping}, environment {self.environment}, is not configured: {self.rows:,} {stay}; "
            f"`syncer clean --mapping {self.mapping}{other}` deletes them"
        )


def find(t: Transaction, *, settings: Settings) -> list[Unconfigured]:
    """Find what is kept of mappings and environments that nobody configures."""
    counts: dict[tuple[str, str], int] = {}
    for table in (*_TABLES, CHANGES):
        if t.columns(table):
            query = f"SELECT mapping, environment, COUNT(*) FROM {sql.table_name(table)} GROUP BY mapping, environment"
            for mapping, environment, count in t.rows(sql.statement(query)):
                counts[mapping, environment] = counts.get((mapping, environment), 0) + int(count)
    if not counts:
        return []
    names, environments = _Known.of(settings), {*settings.environments()}
    return [
        Unconfigured(mapping=mapping, environment=environment, rows=rows)
        for (mapping, environment), rows in sorted(counts.items())
        if mapping not in names or environment not in environments
    ]


def check(t: Transaction, mapping: str, *, settings: Settings, ages: Ages) -> None:
    """
    Raise UsageError where what is kept of a mapping in the environment in force must stay: it is configured, a run of
    it is under way, or may still be put back.
    """
    environment = settings.environment
    is_configured = environment in attrs.evolve(settings, environment=DEFAULT_ENVIRONMENT).environments()
    if mapping in _Known.of(settings) and is_configured:
        raise UsageError(
            f"{mapping} is configured, environment {environment}, too: what it stands on stays.",
            hint="--mapping is for what nobody configures any more; `syncer clean --dry-run` names it.",
        )
    known = {each.mapping for each in find(t, settings=settings) if each.environment == environment}
    if not any(line.goes for line in of_mapping(t, mapping, settings=settings)):
        raise UnknownName("mapping that something is kept of", mapping, known=known)
    whose = [mapping, environment]
    query = (
        f"SELECT COUNT(*) FROM {sql.table_name(RUNS)} WHERE mapping = ? AND environment = ? AND status = '{RUNNING}' "
        "AND updated_at >= ?"
    )
    if t.columns(RUNS) and t.rows(sql.statement(query), [*whose, ages.now - LONGEST])[0][0]:
        raise UsageError(
            f"A run of {mapping} is under way, or was broken off less than {LONGEST.days} days ago; nothing was "
            "changed.",
            hint="Wait until it has ended.",
        )
    if not t.columns(PLANS):
        return
    stays, parameters = either(plan_stays(ages.values))
    query = (
        f"SELECT COUNT(*) FROM {sql.table_name(PLANS)} AS p WHERE p.mapping = ? AND p.environment = ? "
        f"AND p.state <> '{AGED}' AND ({stays})"
    )
    standing = int(t.rows(sql.statement(query), [*whose, *parameters])[0][0])
    if standing:
        kept = "for good" if ages.keep_days is None else f"for {ages.keep_days} days"
        raise UsageError(
            f"{standing:,} plans of {mapping} stand in the journal, and may be put back or gone on with; nothing was "
            "changed.",
            hint=f"keep_days in [journal] keeps them {kept}; then this works.",
        )


def of_mapping(t: Transaction, mapping: str, *, settings: Settings) -> list[Line]:
    """Count what is kept of a mapping in the environment in force: all of it goes."""
    found = []
    for table in _TABLES:
        if t.columns(table):
            query = f"SELECT COUNT(*) FROM {sql.table_name(table)} WHERE mapping = ? AND environment = ?"
            count = int(t.rows(sql.statement(query), [mapping, settings.environment])[0][0])
            found.append(Line(table=f"{STATE}.{table.name}", goes=count))
    return [line for line in found if line.goes]


def delete(t: Transaction, table: str, mapping: str, *, settings: Settings) -> int:
    """Delete a table's rows of a mapping, some keys at once; return how many."""
    [found] = [each for each in _TABLES if f"{STATE}.{each.name}" == table]
    whose = [mapping, settings.environment]
    owned = "mapping = ? AND environment = ?"
    query = f"DELETE FROM {sql.table_name(found)} WHERE {owned}"
    if not _has_key(found):
        return t.run(sql.statement(query), whose)
    some = f"SELECT key FROM {sql.table_name(found)} WHERE {owned} ORDER BY key LIMIT {AT_ONCE}"
    return t.run(sql.statement(f"{query} AND key IN ({some})"), [*whose, *whose])


def _has_key(table: Table) -> bool:
    return any(column.name == "key" for column in table.columns)


@attrs.frozen
class _Known:
    """The names of mappings, in whatever environment, and of the files of operations: none of them is loaded."""

    mappings: Collection[str]
    operations: Collection[str]

    @classmethod
    def of(cls, settings: Settings) -> _Known:
        return cls(
            mappings.known(folders=settings.folders, objects=settings.objects(is_every=True)),
            catalog.names("operations", folders=settings.folders),
        )

    def __contains__(self, name: str) -> bool:
        return name in self.mappings or name.partition(".")[2] in self.operations
