"""
The load style `delta`: the base is `syncer.seen`, and what differs is *offered* until somebody has carried it on.

For a host that empties its load tables and carries them on itself. What differs goes, in the transaction of its place,
into a table of offers (`syncer.offers_<source>_<stream>`: the load table's columns and the run; one row a key, the
newest), and from there into the load table, by key, never twice. Each pull first puts all open offers back. `confirm`
deletes the offers that the last pull put there; where nobody confirms, an offer ends when it is older than `reoffer`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import attrs

from syncer import journal, marks, sql
from syncer.loading import BATCH, LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE, Context
from syncer.sources import DELETED, GONE, LIVE
from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, TEXT
from syncer.warehouses import Transaction

OFFERED_BY = "dss_offered_by"  # the run that offered a row
REOFFER = dt.timedelta(days=3)


def offers_table(table: Table) -> Table:
    """Return the table of offers of a load table."""
    return Table(
        schema=STATE, name=f"offers_{table.name}", columns=(*table.columns, Column(OFFERED_BY, TEXT)), key=table.key
    )


class Delta:
    """The base is what was seen, by key and row hash."""

    def __init__(self, context: Context, t: Transaction) -> None:
        self._context = context
        self._offers = offers_table(context.table)
        self._hash = t.row_hash("s", [*context.columns, RECORD_STATE, MERGED_INTO])
        inbound = context.mapping.inbound
        self._slice_by = inbound.slice_by if inbound else ()
        self._columns = [column.name for column in context.table.columns]

    def relation(self) -> str:
        """What was seen."""
        return f"{sql.table_name(marks.SEEN)} AS b"

    def is_live(self) -> str:
        """Ours, and live."""
        return f"{self._context.owned('b')} AND b.state = '{LIVE}'"

    def same_key(self) -> str:
        """Equal keys as text."""
        return f"{self._context.owned('b')} AND b.key = {self._context.key_of('s')}"

    def key(self) -> str:
        """The key as text."""
        return "b.key"

    def in_whole(self, columns: Sequence[str], *, text: str) -> str:
        """A slice that is the whole's, or lies in it."""
        if not columns:
            return self._context.owned("b")
        return f"{self._context.owned('b')} AND (b.slice = w.{text} OR STARTS_WITH(b.slice, w.{text} || '/'))"

    def written_by_run(self) -> tuple[str, list[Any]]:
        """Seen anew or otherwise by this run."""
        return "b.run = ?", [self._context.owner.run]

    def differing(self) -> str:
        """Another hash or state."""
        return f"(b.row_hash IS DISTINCT FROM {self._hash} OR b.state <> s.{RECORD_STATE})"

    def parameters_of_differing(self) -> list[Any]:
        """None."""
        return []

    def is_standing(self, version: str | None) -> str:
        """Neither gone nor deleted; the version is not kept."""
        return f"b.state NOT IN ('{GONE}', '{DELETED}')"

    def load(self, t: Transaction, now: dt.datetime) -> tuple[int, int]:
        """Offer what differs, and put it into the load table."""
        known = f"EXISTS (SELECT 1 FROM {self.relation()} WHERE {self.same_key()}"
        slice_text = sql.key_text("s", self._slice_by, self._context.table.types()) if self._slice_by else "''"
        changed = t.derive(
            "changed",
            sql.statement(
                f"SELECT s.*, {self._context.key_of('s')} AS dss_key, {self._hash} AS dss_hash, {slice_text} AS "
                "dss_slice, "
                f"{known}) AS dss_known FROM {BATCH} AS s WHERE NOT {known} AND NOT {self.differing()})"
            ),
        )
        if not changed:
            return 0, 0
        updated = int(t.rows(sql.statement("SELECT COUNT(*) FROM changed AS s WHERE s.dss_known"))[0][0])
        self._see(t, f"SELECT s.dss_key, s.dss_slice, s.dss_hash, s.{RECORD_STATE} FROM changed AS s")
        self._offer(t, "changed", [*self._context.columns, RECORD_STATE, MERGED_INTO], now)
        return changed - updated, updated

    def end(self, t: Transaction, condition: str, state: str, now: dt.datetime) -> int:
        """Offer tombstones: the key and our own columns, no values."""
        ended = t.derive(
            "ended",
            sql.statement(
                f"SELECT b.key AS dss_key, '{state}' AS {RECORD_STATE}, CAST(NULL AS TEXT) AS {MERGED_INTO} FROM "
                f"{self.relation()} WHERE {condition}"
            ),
        )
        if ended:
            self._bury(t, "ended", now)
        return ended

    def set_states(self, t: Transaction, now: dt.datetime) -> int:
        """Offer tombstones for the records named in `states` whose state differs."""
        joined = (
            f"FROM {self.relation()} JOIN states AS s ON s.key = b.key "
            f"WHERE {self._context.owned('b')} AND b.state <> s.{RECORD_STATE}"
        )
        left = int(t.rows(sql.statement(f"SELECT COUNT(*) {joined} AND b.state = '{LIVE}'"))[0][0])
        if t.derive("ended", sql.statement(f"SELECT b.key AS dss_key, s.{RECORD_STATE}, s.{MERGED_INTO} {joined}")):
            self._bury(t, "ended", now)
        return left

    def _bury(self, t: Transaction, ended: str, now: dt.datetime) -> None:
        """Offer the tombstones in *ended*, their key columns read back from the key's text."""
        types = self._context.table.types()
        parts = []
        for place, column in enumerate(self._context.mapping.key, start=1):
            one = "s.dss_key" if len(self._context.mapping.key) == 1 else f"SPLIT_PART(s.dss_key, '/', {place})"
            if types[column] is BIGINT:
                parts.append(f"CAST({one} AS BIGINT) AS {sql.quoted(column)}")
            elif len(self._context.mapping.key) == 1:
                parts.append(f"{one} AS {sql.quoted(column)}")
            else:
                parts.append(f"REPLACE(REPLACE({one}, '~1', '/'), '~0', '~') AS {sql.quoted(column)}")
        t.derive(
            "buried", sql.statement(f"SELECT {', '.join(parts)}, s.{RECORD_STATE}, s.{MERGED_INTO} FROM {ended} AS s")
        )
        self._see(
            t,
            f"SELECT s.dss_key, b.slice, '', s.{RECORD_STATE} FROM {ended} AS s "
            f"JOIN {self.relation()} ON b.key = s.dss_key AND {self._context.owned('b')}",
        )
        self._offer(t, "buried", [*self._context.mapping.key, RECORD_STATE, MERGED_INTO], now)

    def _see(self, t: Transaction, query: str) -> None:
        """Remember keys with their slice, hash and state."""
        owner = self._context.owner
        t.derive("seen_now", sql.statement(f"SELECT v.* FROM ({query}) AS v (key, slice, row_hash, state)"))
        t.run(
            sql.statement(
                f"UPDATE {self.relation()} SET slice = s.slice, row_hash = s.row_hash, state = s.state, run = ? "
                f"FROM seen_now AS s WHERE {self._context.owned('b')} AND b.key = s.key"
            ),
            [owner.run],
        )
        t.run(
            sql.statement(
                f"INSERT INTO {sql.table_name(marks.SEEN)} (mapping, environment, key, slice, row_hash, state, run) "
                f"SELECT ?, ?, s.key, s.slice, s.row_hash, s.state, ? FROM seen_now AS s "
                "WHERE NOT EXISTS "
                f"(SELECT 1 FROM {self.relation()} WHERE {self._context.owned('b')} AND b.key = s.key)"
            ),
            [owner.mapping, owner.environment, owner.run],
        )

    def _offer(self, t: Transaction, stage: str, columns: Sequence[str], now: dt.datetime) -> None:
        """Make the rows of *stage* the offers of their keys, and put them into the load table."""
        wanted = [*columns, RECORD_SOURCE, LOAD_DATE]
        values = f"{sql.names(columns, of='s')}, ?, ?"
        given: list[Any] = [self._context.mapping.name, now]
        for table, extra, parameters in (
            (self._offers, [OFFERED_BY], [*given, self._context.owner.run]),
            (self._context.table, [], given),
        ):
            name = sql.table_name(table)
            t.run(
                sql.statement(
                    f"DELETE FROM {name} AS t "
                    f"WHERE EXISTS (SELECT 1 FROM {stage} AS s WHERE {sql.equal('t', 's', table.key)})"
                )
            )
            t.run(
                sql.statement(
                    f"INSERT INTO {name} ({sql.names([*wanted, *extra])}) "
                    f"SELECT {values}{', ?' if extra else ''} FROM {stage} AS s"
                ),
                parameters,
            )


def put_back(t: Transaction, context: Context, *, reoffer: dt.timedelta = REOFFER, now: dt.datetime) -> int:
    """
    End offers older than *reoffer*; put the others into the load table where they are not there. Return how many were
    put back.
    """
    offers = offers_table(context.table)
    t.run(sql.statement(f"DELETE FROM {sql.table_name(offers)} WHERE {LOAD_DATE} < ?"), [now - reoffer])
    columns = [column.name for column in context.table.columns]
    return t.run(
        sql.statement(
            f"INSERT INTO {sql.table_name(context.table)} ({sql.names(columns)}) "
            f"SELECT {sql.names(columns, of='s')} FROM {sql.table_name(offers)} AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {sql.table_name(context.table)} AS t "
            f"WHERE {sql.equal('t', 's', context.table.key)})"
        )
    )


@attrs.frozen(kw_only=True)
class Confirmed:
    """What `confirm` did: how many offers it ended, or why none."""

    ended: int
    reason: str = ""


def confirm(t: Transaction, table: Table, *, mapping: str, environment: str) -> Confirmed:
    """
    End the offers that the last pull had put into the load table: the host has carried them on.

    Confirms nothing, and says so, where that pull did not finish: what it offered may not have been complete when the
    host read it.
    """
    query = (
        f"SELECT run, status FROM {sql.table_name(journal.RUNS)} "
        "WHERE mapping = ? AND environment = ? AND verb = 'pull' "
        "ORDER BY started_at DESC LIMIT 1"
    )
    last = t.rows(sql.statement(query), [mapping, environment])
    if not last:
        return Confirmed(ended=0, reason="it was never pulled")
    run, status = last[0]
    if status != journal.DONE:
        return Confirmed(ended=0, reason=f"its last pull, {run}, is {status}")
    return Confirmed(ended=t.run(sql.statement(f"DELETE FROM {sql.table_name(offers_table(table))}")))
