"""
The load style `delta`: the base is `syncer.seen`, and what differs is *offered* until somebody has carried it on.

For a host that empties its load tables and carries them on itself. What differs goes, in the transaction of its place,
into a table of offers (`syncer.offers_<source>_<stream>`: the load table's columns and the run; one row a key, the
newest), and from there into the load table, by key, never twice. Each pull first puts all open offers back.

So after a pull the load table holds all offers made by it or before it. `syncer.offerings` numbers the pulls in the
order they began: a counter, since clocks jump. `confirm` names the pull whose load table was carried, and deletes the
offers that this pull or one before it made: a row that a later pull has made anew is another offer. Where nobody
confirms, an offer ends once pulls that finished have put it back for longer than `reoffer`; a clock that was wrong in
one pull ends nothing.

A mapping's version is kept in `seen`: an older record never replaces a newer one, but in a full run. One into a
load table that a host made offers everything that it reads: so a host that lost what it carried on gets it again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import attrs

from syncer import journal, marks, sql
from syncer.loading import BATCH, LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE, Context
from syncer.sources import ARCHIVED, LIVE, MERGED
from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, TEXT, TIMESTAMP
from syncer.warehouses import Transaction

OFFERED_BY = "dss_offered_by"  # the run that offered a row
HAS_VALUES = f"{RECORD_STATE} IN ('{LIVE}', '{ARCHIVED}')"  # what ended has its key alone
REOFFER = dt.timedelta(days=3)
VERSIONS = {TIMESTAMP: "version_at", BIGINT: "version_number"}  # columns of `seen`

NEVER_PULLED = "it was never pulled in the style delta"

OFFERINGS = Table(
    schema=STATE,
    name="offerings",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("run", TEXT),
        Column("number", BIGINT),  # ascends in the order in which pulls began
        Column("outdated", TIMESTAMP),  # an offer made before this was old for the pull; NULL: it put nothing back
    ),
    key=("mapping", "environment", "run"),
)


def offers_table(table: Table) -> Table:
    """Return the table of offers of a load table."""
    return Table(
        schema=STATE, name=f"offers_{table.name}", columns=(*table.columns, Column(OFFERED_BY, TEXT)), key=table.key
    )


class Delta:
    """The base is what was seen, by key and row hash."""

    def __init__(self, context: Context, t: Transaction) -> None:
        self._context = context
        self._try_cast = t.try_cast
        self._offers = offers_table(context.table)
        # In an order of their own: definitions come in another one, and the rows are still the same.
        self._hash = t.row_hash("s", [*sorted(context.columns), RECORD_STATE, MERGED_INTO])
        inbound = context.mapping.inbound
        self._slice_by = inbound.slice_by if inbound else ()
        self._version = inbound.version if inbound else None
        self._columns = [column.name for column in context.table.columns]

    def relation(self) -> str:
        """What was seen."""
        return f"{sql.table_name(marks.SEEN)} AS b"

    def is_live(self) -> str:
        """Ours, and live."""
        return f"{self._context.owned('b')} AND b.state = '{LIVE}'"

    def is_present(self) -> str:
        """Ours, and not ended."""
        return f"{self._context.owned('b')} AND b.state IN ('{LIVE}', '{ARCHIVED}', '{MERGED}')"

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
        """Another hash or state, and the record is not older than what was seen."""
        other = f"(b.row_hash IS DISTINCT FROM {self._hash} OR b.state <> s.{RECORD_STATE})"
        if self._version is None:
            return other
        kept, incoming = self._versions(self._version)
        healed = " OR b.run IS DISTINCT FROM ?" if self._context.is_full else ""
        return f"({other} AND (({incoming} < b.{kept}) IS NOT TRUE{healed}))"

    def parameters_of_differing(self) -> list[Any]:
        """The run, where it believes any version but those that it has read itself."""
        return [self._context.owner.run] if self._context.is_full and self._version is not None else []

    def is_standing(self, version: str | None, told: Sequence[str]) -> str:
        """Of the same state, and of the same version where both are known; what was seen has no columns *told*."""
        standing = f"b.state = s.{RECORD_STATE}"
        if version is None:
            return standing
        kept, incoming = self._versions(version)
        return f"{standing} AND (({incoming} <> b.{kept}) IS NOT TRUE)"

    def load(self, t: Transaction, count: int, now: dt.datetime) -> tuple[int, int]:
        """Offer what differs, and put it into the load table."""
        filled = [] if self._context.is_landed else [self._context.table]
        with t.by_key(marks.SEEN, self._offers, *filled):
            return self._load(t, now)

    def _load(self, t: Transaction, now: dt.datetime) -> tuple[int, int]:
        known = f"EXISTS (SELECT 1 FROM {self.relation()} WHERE {self.same_key()}"
        slice_text = sql.key_text("s", self._slice_by, self._context.table.types()) if self._slice_by else "''"
        changed = t.derive(
            "changed",
            sql.statement(
                f"SELECT s.*, {self._context.key_of('s')} AS dss_key, {self._hash} AS dss_hash, {slice_text} AS "
                "dss_slice, "
                f"{known}) AS dss_known FROM {BATCH} AS s WHERE NOT {known} AND NOT {self.differing()})"
            ),
            self.parameters_of_differing(),
        )
        if not changed:
            return 0, 0
        updated = int(t.rows(sql.statement("SELECT COUNT(*) FROM changed AS s WHERE s.dss_known"))[0][0])
        versions = {
            VERSIONS[TIMESTAMP]: "CAST(NULL AS TIMESTAMP WITH TIME ZONE)",  # a bare NULL of a new table is a text
            VERSIONS[BIGINT]: "CAST(NULL AS BIGINT)",
        }
        if self._version is not None:
            kept, incoming = self._versions(self._version)
            versions[kept] = incoming
        self._see(
            t,
            f"SELECT s.dss_key, s.dss_slice, s.dss_hash, s.{RECORD_STATE}, {', '.join(versions.values())} "
            "FROM changed AS s",
        )
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
            f"WHERE {self._context.owned('b')} AND (b.state <> s.{RECORD_STATE} "
            f"OR (b.state = '{MERGED}' AND b.row_hash IS DISTINCT FROM COALESCE(s.{MERGED_INTO}, '')))"
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
            f"SELECT s.dss_key, b.slice, COALESCE(s.{MERGED_INTO}, ''), s.{RECORD_STATE}, b.version_at, "
            f"b.version_number FROM {ended} AS s "
            f"JOIN {self.relation()} ON b.key = s.dss_key AND {self._context.owned('b')}",
        )
        self._offer(t, "buried", [*self._context.mapping.key, RECORD_STATE, MERGED_INTO], now)

    def _versions(self, version: str) -> tuple[str, str]:
        """The column of `seen` that keeps the version, and what `s` has for it, whose column may be a wider one."""
        kind = self._context.mapping.field(version).type
        kept = VERSIONS[kind]
        name = f"s.{sql.quoted(version)}"
        return kept, name if self._context.table.types()[version] is kind else self._try_cast(name, kind)

    def _see(self, t: Transaction, query: str) -> None:
        """Remember keys with their slice, hash, state and version."""
        owner = self._context.owner
        columns = ("slice", "row_hash", "state", "version_at", "version_number")
        t.derive("seen_now", sql.statement(f"SELECT v.* FROM ({query}) AS v (key, {', '.join(columns)})"))
        t.run(
            sql.statement(
                f"UPDATE {self.relation()} SET {', '.join(f'{column} = s.{column}' for column in columns)}, run = ? "
                f"FROM seen_now AS s WHERE {self._context.owned('b')} AND b.key = s.key"
            ),
            [owner.run],
        )
        t.run(
            sql.statement(
                f"INSERT INTO {sql.table_name(marks.SEEN)} (mapping, environment, key, {', '.join(columns)}, run) "
                f"SELECT ?, ?, s.key, {', '.join(f's.{column}' for column in columns)}, ? FROM seen_now AS s "
                "WHERE NOT EXISTS "
                f"(SELECT 1 FROM {self.relation()} WHERE {self._context.owned('b')} AND b.key = s.key)"
            ),
            [owner.mapping, owner.environment, owner.run],
        )

    def _offer(self, t: Transaction, stage: str, columns: Sequence[str], now: dt.datetime) -> None:
        """Make the rows of *stage* the offers of their keys, and put them into a load table of ours."""
        wanted = [*columns, RECORD_SOURCE, LOAD_DATE]
        values = f"{sql.names(columns, of='s')}, ?, ?"
        given: list[Any] = [self._context.mapping.name, now]
        into: list[tuple[Table, list[str], list[Any]]] = [
            (self._offers, [OFFERED_BY], [*given, self._context.owner.run])
        ]
        if not self._context.is_landed:
            into.append((self._context.table, [], given))
        for table, extra, parameters in into:
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


def put_back(
    t: Transaction,
    context: Context,
    *,
    reoffer: dt.timedelta = REOFFER,
    now: dt.datetime,
    is_mended: bool = False,
) -> int:
    """
    Put open offers into the load table where they are not there; then end those that were put back for longer than
    *reoffer*. Return how many were put back.

    So an offer that ends stands in the load table once more. *is_mended*: the load table has just got
    columns or types that somebody had taken away: what stands in it is put back, too.
    """
    number(t, context, outdated=now - reoffer)
    if is_mended:  # a person may have dropped one of them, which the offers still have
        t.run(
            sql.statement(
                f"DELETE FROM {sql.table_name(context.table)} AS t WHERE EXISTS (SELECT 1 FROM "
                f"{sql.table_name(offers_table(context.table))} AS s WHERE {sql.equal('t', 's', context.table.key)})"
            )
        )
    columns = [column.name for column in context.table.columns]
    count = t.run(
        sql.statement(
            f"INSERT INTO {sql.table_name(context.table)} ({sql.names(columns)}) "
            f"SELECT {sql.names(columns, of='s')} FROM {sql.table_name(offers_table(context.table))} AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {sql.table_name(context.table)} AS t "
            f"WHERE {sql.equal('t', 's', context.table.key)})"
        )
    )
    end_old(t, context, outdated=now - reoffer)
    return count


def begin_anew(t: Transaction, owner: marks.Owner, table: Table, *, is_delta: bool) -> None:
    """
    Forget places and what was seen, so that this pull reads everything.

    In the style `mirror` from now on, offers with values end: the load table is filled by reading, and so it is in the
    style `delta` again, as records are by then. What ended is told by nobody else, and stays.
    """
    marks.forget_all(t, owner)
    offers = offers_table(table)
    if not is_delta and t.columns(offers):
        t.run(sql.statement(f"DELETE FROM {sql.table_name(offers)} WHERE {HAS_VALUES}"))


def offer_all(t: Transaction, context: Context) -> None:
    """
    In a full run into a load table of a host's, forget what records were like when they were seen: each that is read
    from now on is offered, by this pull or, where it dies, by one that goes on with it. The host loads its table whole
    by this, and nobody here can see what became of the rows carried on. A load table of ours gets what differs.
    """
    if not (context.is_full and context.is_landed):
        return
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(marks.SEEN)} AS b SET row_hash = '' WHERE {context.owned('b')} "
            f"AND b.state IN ('{LIVE}', '{ARCHIVED}')"
        )
    )


def number(t: Transaction, context: Context, *, outdated: dt.datetime) -> None:
    """
    Give this pull the next number. Pulls that began before it and have none get one between its and the last: they
    failed before they put anything back, had the other style, or made an offer and stand in no other table any more.
    """
    if not t.columns(OFFERINGS):
        t.create(OFFERINGS)
    name, owner = sql.table_name(OFFERINGS), context.owner
    whose = [owner.mapping, owner.environment]
    last = f"SELECT COALESCE(MAX(o.number), 0) FROM {name} AS o WHERE {context.owned('o')}"
    latest = t.rows(sql.statement(last))[0][0]
    makers = f"SELECT f.{OFFERED_BY} AS run FROM {sql.table_name(offers_table(context.table))} AS f"
    t.run(
        sql.statement(
            f"INSERT INTO {name} (mapping, environment, run, number) SELECT ?, ?, s.run, ? "
            f"FROM ({_unnumbered()} UNION {makers}) AS s WHERE s.run <> ? AND NOT EXISTS "
            f"(SELECT 1 FROM {name} AS o WHERE {context.owned('o')} AND o.run = s.run)"
        ),
        [*whose, latest + 1, *whose, owner.run],
    )
    t.run(sql.insert(OFFERINGS), [*whose, owner.run, latest + 2, outdated])


def _unnumbered() -> str:
    """The pulls of a mapping, by two parameters, that no later pull has numbered: `run`."""
    return (
        f"SELECT r.run FROM {sql.table_name(journal.RUNS)} AS r "
        "WHERE r.mapping = ? AND r.environment = ? AND r.verb = 'pull' AND NOT EXISTS "
        f"(SELECT 1 FROM {sql.table_name(OFFERINGS)} AS n "
        "WHERE n.mapping = r.mapping AND n.environment = r.environment AND n.run = r.run)"
    )


def end_old(t: Transaction, context: Context, *, outdated: dt.datetime) -> None:
    """
    End offers made before *outdated* that a finished pull had put back before *outdated*, and one had found old.

    So the clocks of three pulls agree that they are old: of the one that made them, of one between, and of this one.
    """
    offers, offerings = sql.table_name(offers_table(context.table)), sql.table_name(OFFERINGS)
    t.derive(
        "putting",
        sql.statement(
            f"SELECT m.run, MIN(r.started_at) AS first_at, MAX(n.outdated) AS outdated FROM {offerings} AS m "
            f"JOIN {offerings} AS n ON n.number > m.number JOIN {sql.table_name(journal.RUNS)} AS r ON r.run = n.run "
            f"WHERE {context.owned('m')} AND {context.owned('n')} AND NOT n.outdated IS NULL "
            f"AND r.status = '{journal.DONE}' AND m.run IN (SELECT f.{OFFERED_BY} FROM {offers} AS f) GROUP BY m.run"
        ),
    )
    t.run(
        sql.statement(
            f"DELETE FROM {offers} AS t WHERE t.{LOAD_DATE} < ? AND EXISTS (SELECT 1 FROM putting AS s "
            f"WHERE s.run = t.{OFFERED_BY} AND s.first_at < ? AND t.{LOAD_DATE} < s.outdated)"
        ),
        [outdated, outdated],
    )


@attrs.frozen(kw_only=True)
class Confirmed:
    """What `confirm` did: how many offers it ended, of which pull's load table; or why none."""

    ended: int
    run: str = ""
    reason: str = ""


def confirm(
    t: Transaction,
    table: Table,
    *,
    mapping: str,
    environment: str,
    run: str | None = None,
    is_last: bool = False,
) -> Confirmed:
    """
    End the offers that stood in the load table when the pull *run* had ended: the host has carried them on.

    *run* None is the last pull, where no other began after it; with *is_last*, *run* must be that. What a later pull
    has offered stays, also where it is a newer form of a row that was carried. Confirms nothing, and says so, where
    the pull did not finish: what it offered may not have been complete when the host read it.
    """
    whose = [mapping, environment]
    if not t.columns(journal.RUNS) or not t.columns(OFFERINGS):
        return Confirmed(ended=0, reason=NEVER_PULLED)
    if run is None or is_last:
        last, reason = _last_pull(t, whose)
        if not reason and run not in (None, last):
            reason = f"{_told_of(t, last)}: what is offered stays so until a pull ended well behind it"
        if reason:
            return Confirmed(ended=0, reason=reason)
        run = last
    name = sql.table_name(OFFERINGS)
    query = (
        f"SELECT r.status, n.number, n.outdated FROM {sql.table_name(journal.RUNS)} AS r LEFT JOIN {name} AS n "
        "ON n.mapping = r.mapping AND n.environment = r.environment AND n.run = r.run "
        "WHERE r.mapping = ? AND r.environment = ? AND r.verb = 'pull' AND r.run = ?"
    )
    found = t.rows(sql.statement(query), [*whose, run])
    if not found:
        return Confirmed(ended=0, reason=f"it has no pull '{run}'")
    status, number, outdated = found[0]
    if status != journal.DONE:
        return Confirmed(ended=0, reason=f"its pull {run} is {status}")
    if outdated is None:
        return Confirmed(ended=0, reason=f"its pull {run} did not write down what it offered, as the style delta does")
    carried = (
        f"DELETE FROM {sql.table_name(offers_table(table))} AS t WHERE EXISTS (SELECT 1 FROM {name} AS n "
        f"WHERE n.mapping = ? AND n.environment = ? AND n.run = t.{OFFERED_BY} AND n.number <= ?)"
    )
    return Confirmed(ended=t.run(sql.statement(carried), [*whose, number]), run=run)


def _last_pull(t: Transaction, whose: Sequence[str]) -> tuple[str, str]:
    """Return the run of the last pull of a mapping and environment, and why it cannot be meant, "" where it can."""
    query = (
        f"SELECT run FROM {sql.table_name(OFFERINGS)} WHERE mapping = ? AND environment = ? "
        "ORDER BY number DESC LIMIT 1"
    )
    last = t.rows(sql.statement(query), whose)
    if not last:
        return "", NEVER_PULLED
    run = str(last[0][0])
    later = t.rows(sql.statement(_unnumbered()), whose)
    if later:
        return run, f"{_told_of(t, str(later[0][0]))}: what is offered stays so until a pull ended well behind it"
    return run, ""


def _told_of(t: Transaction, run: str) -> str:
    """Say what became of a pull that put nothing back."""
    query = f"SELECT status, started_at FROM {sql.table_name(journal.RUNS)} WHERE run = ?"
    ((status, started),) = t.rows(sql.statement(query), [run])
    ended = {journal.RUNNING: "has not ended", journal.DONE: "did not fill this table"}.get(str(status), "failed")
    return f"the pull of {started:%Y-%m-%d %H:%M} UTC (run {run}) {ended}"
