"""
What follows a merge at once, in the commit that writes its outcome: aliases, snapshots and load tables know the record
by its new id, so that the next pull and push see one record.

The row of a record that went is `merged` in its load table; that of the one that survived is the survivor's, under the
id that it has now, until the next pull reads it. In the style `delta` a load table is somebody else's to empty: there
the next pull tells it. Not here: merges (`apply.py`), what a pull makes of one (`loading.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import attrs

from syncer import marks, sql
from syncer.loading import LOAD_DATE, MERGED_INTO, RECORD_STATE
from syncer.mapping import EntityMapping
from syncer.marks import ALIASES
from syncer.plan import MERGE, Change
from syncer.plans import CHANGES, Header
from syncer.snapshots import SNAPSHOTS
from syncer.sources import LIVE, MERGED
from syncer.tables import LOAD, Table
from syncer.values import BIGINT, TEXT
from syncer.warehouses import Transaction

MOVED = "merged_now"


@attrs.frozen
class _Survivor:
    """The id of what survives; is_kept: the old id is that of the record that the other one was merged into."""

    id: str
    is_kept: bool


def merged(
    t: Transaction, header: Header, done: Sequence[Change], mappings: Sequence[EntityMapping], *, now: dt.datetime
) -> None:
    """Let everything of *mappings* follow the merges among changes of a plan, whose outcome is written."""
    numbers = [change.number for change in done if change.action == MERGE]
    survivors = _survivors(t, header, numbers)
    if not survivors:
        return
    _stage(t, survivors)
    for mapping in mappings:
        owner = marks.Owner(mapping=mapping.name, environment=header.environment, run=header.plan)
        _follow_aliases(t, owner)
        marks.put_aliases(t, {old: each.id for old, each in survivors.items()}, owner=owner, now=now)
        t.run(
            sql.statement(
                f"UPDATE {sql.table_name(SNAPSHOTS)} AS t SET id = s.new_id FROM {MOVED} AS s "
                "WHERE t.mapping = ? AND t.environment = ? AND t.id = s.old_id"
            ),
            [mapping.name, header.environment],
        )
        _follow_load_table(t, mapping, header.environment, now)


def _survivors(t: Transaction, header: Header, numbers: Sequence[int]) -> dict[str, _Survivor]:
    """Return what survives each id that is no record's any more."""
    if not numbers:
        return {}
    marks_ = ", ".join("?" for _ in numbers)
    query = (
        f'SELECT id, COALESCE(sent_into, "into"), result FROM {sql.table_name(CHANGES)} WHERE plan = ? '
        f"AND number IN ({marks_}) AND action = '{MERGE}' ORDER BY number"
    )
    found: dict[str, _Survivor] = {}
    for lost, kept, result in t.rows(sql.statement(query), [header.plan, *numbers]):
        for old, is_kept in ((lost, False), (kept, True)):
            if old and result and old != result:
                found[old] = _Survivor(result, is_kept)
    return found


def _stage(t: Transaction, survivors: Mapping[str, _Survivor]) -> None:
    import pyarrow as pa

    rows = pa.table(
        {
            "old_id": list(survivors),
            "new_id": [each.id for each in survivors.values()],
            "is_kept": [int(each.is_kept) for each in survivors.values()],
        }
    )
    t.stage(MOVED, rows, {"old_id": TEXT, "new_id": TEXT, "is_kept": BIGINT})


def _follow_aliases(t: Transaction, owner: marks.Owner) -> None:
    """Let ids that were merged into one of these before lead on to what survives it."""
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(ALIASES)} AS t SET new_id = s.new_id, run = ? FROM {MOVED} AS s "
            "WHERE t.mapping = ? AND t.environment = ? AND t.new_id = s.old_id"
        ),
        [owner.run, owner.mapping, owner.environment],
    )


def _follow_load_table(t: Transaction, mapping: EntityMapping, environment: str, now: dt.datetime) -> None:
    table = Table(schema=LOAD, name=mapping.table(environment), columns=())
    there = t.columns(table)
    if mapping.inbound is None or len(mapping.key) != 1 or RECORD_STATE not in there or mapping.key[0] not in there:
        return
    key, name = sql.quoted(mapping.key[0]), sql.table_name(table)
    kind = there[mapping.key[0]]
    old, new = (
        f"s.{each}" if kind is TEXT else f"CAST(s.{each} AS {kind.value.upper()})" for each in ("old_id", "new_id")
    )
    at = f"t.{key}"  # as it stands, so that a server finds it by its key
    # The survivor's row first: where its id is a new one, it has none yet, and one of the old ones becomes it.
    kept = "MAX(CASE WHEN s.is_kept = 1 THEN s.old_id END)"
    first = (
        f"SELECT s.new_id AS new_id, COALESCE({kept}, MIN(s.old_id)) AS old_id FROM {MOVED} AS s WHERE EXISTS "
        f"(SELECT 1 FROM {name} AS t WHERE {at} = {old} AND t.{RECORD_STATE} = '{LIVE}') AND NOT EXISTS "
        f"(SELECT 1 FROM {name} AS t WHERE {at} = {new}) GROUP BY s.new_id"
    )
    t.derive("renamed_now", sql.statement(first))
    t.run(
        sql.statement(
            f"UPDATE {name} AS t SET {key} = {new}, {LOAD_DATE} = ? FROM renamed_now AS s WHERE {at} = {old}"
        ),
        [now],
    )
    # All that stands behind a survivor by now, also what was merged into one of these before.
    behind = (
        f"SELECT a.old_id AS old_id, a.new_id AS new_id FROM {sql.table_name(ALIASES)} AS a WHERE a.mapping = ? AND "
        f"a.environment = ? AND EXISTS (SELECT 1 FROM {MOVED} AS s WHERE s.new_id = a.new_id)"
    )
    t.derive("behind_now", sql.statement(behind), [mapping.name, environment])
    t.run(
        sql.statement(
            f"UPDATE {name} AS t SET {RECORD_STATE} = '{MERGED}', {MERGED_INTO} = s.new_id, {LOAD_DATE} = ? "
            f"FROM behind_now AS s WHERE {at} = {old} AND (t.{RECORD_STATE} = '{LIVE}' OR "
            f"(t.{RECORD_STATE} = '{MERGED}' AND t.{MERGED_INTO} <> s.new_id))"
        ),
        [now],
    )
