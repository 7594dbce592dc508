"""
The durable record: runs, rejects and findings, each a table in schema `syncer` that a person can query.

A run's row is written with the rows it loaded, in the same transaction, so that it tells the truth after a kill. A
reject stands once a key and column, with the time it was first and last seen, until the value fits. A finding is
something that a person should look at.

Not here: places (`marks.py`), and who may run (`warehouses/`).
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import uuid
from collections.abc import Iterable, Mapping, Sequence

import attrs

from syncer import sql
from syncer.rows import Reject
from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, JSON, TEXT, TIMESTAMP, Type
from syncer.warehouses import Transaction

INCREMENTAL, FULL, CENSUS = "incremental", "full", "census"
RUNNING, DONE, FAILED, REFUSED, BROKEN = "running", "done", "failed", "refused", "broken"

RUNS = Table(
    schema=STATE,
    name="runs",
    columns=(
        Column("run", TEXT),
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("verb", TEXT),
        Column("mode", TEXT),
        Column("status", TEXT),
        Column("started_at", TIMESTAMP),
        Column("updated_at", TIMESTAMP),
        Column("finished_at", TIMESTAMP),
        Column("pid", BIGINT),
        Column("host", TEXT),
        Column("read", BIGINT),
        Column("inserted", BIGINT),
        Column("updated", BIGINT),
        Column("unchanged", BIGINT),
        Column("gone", BIGINT),
        Column("rejected", BIGINT),
        Column("requests", BIGINT),
        Column("mark", TEXT),
        Column("error", TEXT),
        Column("keys", BIGINT),
        Column("braked", BIGINT),
        Column("plan", TEXT),  # of a push, an operation, a revert: the plan that it carried out, and all its counts
        Column("counts", JSON),
    ),
    key=("run",),
)
PUSHED = "push"  # the scope under which rows that a push does not write stand in `syncer.rejects`
UNSEEN = "unseen"  # the row_hash in a plan of what an operation could not look at: its rejects stand as they are
REJECTS = Table(
    schema=STATE,
    name="rejects",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("key", TEXT),
        Column("column", TEXT),
        Column("scope", TEXT),
        Column("reason", TEXT),
        Column("declared", TEXT),
        Column("found", TEXT),
        Column("run", TEXT),
        Column("first_seen", TIMESTAMP),
        Column("last_seen", TIMESTAMP),
        Column("roomier", TEXT),  # the type of the same kind that would hold the value; empty: there is none
        Column("value", TEXT),  # of a push: what would have been written, empty where it is personal
        Column("row_hash", TEXT),  # of a push: the row as it was read, and the version of the definitions then
        Column("version", TEXT),
    ),
    key=("mapping", "environment", "scope", "key", "column"),
)
FINDINGS = Table(
    schema=STATE,
    name="findings",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("kind", TEXT),
        Column("key", TEXT),
        Column("detail", TEXT),
        Column("run", TEXT),
        Column("first_seen", TIMESTAMP),
        Column("last_seen", TIMESTAMP),
        Column("times", BIGINT),
    ),
    key=("mapping", "environment", "kind", "key"),
)
COLUMNS = Table(
    schema=STATE,
    name="columns",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("column", TEXT),
        Column("label", TEXT),
        Column("first_seen", TIMESTAMP),
    ),
    key=("mapping", "environment", "column"),
)
TABLES = (RUNS, REJECTS, FINDINGS, COLUMNS)

MAX_GONE_SHARE, CENSUS_MISS = "max_gone_share", "census_miss"
COLUMN_GONE, COLUMN_RETYPED, COLUMN_RENAMED = "column_gone", "column_retyped", "column_renamed"


@attrs.frozen(kw_only=True)
class Pulled:
    """
    What a pull did; as it stands in `syncer.runs`.

    `read` counts keys once each, and records without a key; it is inserted + updated + unchanged + those without a
    key. `gone` counts rows whose state left `live`, `rejected` what could not be loaded in this run; both stand beside
    the sum. `keys` counts the keys that a census walked, `braked` the rows that were too many to end at once. `notes`
    say what changed in the table's columns; they are not stored: what a person should look at is a finding as well.
    `landed` counts the rows that a host's load table has to carry on; None where there is none.
    """

    run: str
    mapping: str
    environment: str = "default"
    mode: str = INCREMENTAL
    status: str = RUNNING
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    gone: int = 0
    rejected: int = 0
    requests: int = 0
    mark: str | None = None
    error: str | None = None
    keys: int = 0
    braked: int = 0
    notes: tuple[str, ...] = ()
    landed: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: 0 done, 1 failed, 3 done with rejects left."""
        if self.status != DONE:
            return 1
        return 3 if self.rejected else 0

    def __str__(self) -> str:
        if self.status == FAILED:
            return f"pull {self.mapping}: failed. {self.error}"
        counts = (
            f"{self.read:,} read: {self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"
        )
        told = (self.gone, "gone"), (self.rejected, "rejected"), (self.braked, "would have ended and did not")
        extra = "".join(f", {count:,} {what}" for count, what in told if count)
        requests = f"{self.requests:,} request{'' if self.requests == 1 else 's'}"
        how = "" if self.mode == INCREMENTAL else f" ({self.mode})"
        met = f"{self.keys:,} keys met; " if self.keys else ""
        notes = "".join(f"\n  {note}" for note in self.notes)
        return f"pull {self.mapping}{how}: {met}{counts}{extra}; {requests}{notes}"


def new_run() -> str:
    """Make the id of a run: 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def begin(t: Transaction, pulled: Pulled, *, verb: str, now: dt.datetime) -> None:
    """
    Write the row of a run that begins; runs of the same mapping and verb that never ended are `broken`: we hold their
    lease.
    """
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = '{BROKEN}', finished_at = updated_at "
            f"WHERE mapping = ? AND environment = ? AND verb = ? AND status = '{RUNNING}'"
        ),
        [pulled.mapping, pulled.environment, verb],
    )
    insert(t, pulled, verb=verb, now=now)


def insert(t: Transaction, pulled: Pulled, *, verb: str, now: dt.datetime) -> None:
    """Write the row of a run."""
    finished = None if pulled.status == RUNNING else now
    t.run(
        sql.insert(RUNS),
        [
            pulled.run,
            pulled.mapping,
            pulled.environment,
            verb,
            pulled.mode,
            pulled.status,
            now,
            now,
            finished,
            os.getpid(),
            socket.gethostname(),
            pulled.read,
            pulled.inserted,
            pulled.updated,
            pulled.unchanged,
            pulled.gone,
            pulled.rejected,
            pulled.requests,
            pulled.mark,
            pulled.error,
            pulled.keys,
            pulled.braked,
            None,
            None,
        ],
    )


def update(t: Transaction, pulled: Pulled, *, now: dt.datetime) -> int:
    """Write what a run has done so far, or how it ended; 0 where it has no row yet."""
    return t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = ?, updated_at = ?, finished_at = ?, read = ?, inserted = "
            "?, updated = ?, "
            "unchanged = ?, gone = ?, rejected = ?, requests = ?, mark = ?, error = ?, keys = ?, braked = ? "
            "WHERE run = ?"
        ),
        [
            pulled.status,
            now,
            None if pulled.status == RUNNING else now,
            pulled.read,
            pulled.inserted,
            pulled.updated,
            pulled.unchanged,
            pulled.gone,
            pulled.rejected,
            pulled.requests,
            pulled.mark,
            pulled.error,
            pulled.keys,
            pulled.braked,
            pulled.run,
        ],
    )


def fail(t: Transaction, failed: Pulled, *, is_ended: bool, now: dt.datetime) -> int:
    """
    Write that a run failed; 0 where it has no row yet. Its counts stand there, each committed with its rows: ours may
    lack those of a commit whose answer we did not see. Where that one ended the run (*is_ended*: we know that it had),
    it is done.
    """
    still = "" if is_ended else f" AND status <> '{DONE}'"
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = ?, error = ?, updated_at = ?, finished_at = ?, requests = ? "
            f"WHERE run = ?{still}"
        ),
        [failed.status, failed.error, now, now, failed.requests, failed.run],
    )
    return len(t.rows(sql.statement(f"SELECT run FROM {sql.table_name(RUNS)} WHERE run = ?"), [failed.run]))


def keep_rejects(t: Transaction, rejects: Sequence[Reject], *, pulled: Pulled, now: dt.datetime) -> None:
    """Store rejects; one that stands already is seen again."""
    import pyarrow as pa

    if not rejects:
        return
    unique = {(reject.scope if not reject.key else "", reject.key, reject.column): reject for reject in rejects}
    rows = [
        {
            "mapping": pulled.mapping,
            "environment": pulled.environment,
            "key": reject.key,
            "column": reject.column,
            "scope": scope,
            "reason": reject.reason,
            "declared": reject.declared,
            "found": reject.found,
            "run": pulled.run,
            "first_seen": now,
            "last_seen": now,
            "roomier": reject.roomier,
            "value": None,
            "row_hash": None,
            "version": None,
        }
        for (scope, _, _), reject in unique.items()
    ]
    t.stage("rejects_now", pa.Table.from_pylist(rows), REJECTS.types())
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(REJECTS)} AS t SET reason = s.reason, declared = s.declared, found = s.found, "
            "run = s.run, roomier = s.roomier, "
            f"last_seen = s.last_seen FROM rejects_now AS s WHERE {sql.equal('t', 's', REJECTS.key)}"
        )
    )
    t.run(sql.insert_new(REJECTS, "rejects_now", list(REJECTS.types())))


def drop_scope_rejects(t: Transaction, scopes: Iterable[str], *, pulled: Pulled) -> None:
    """Drop the rejects that name a scope which has now been read."""
    for scope in scopes:
        t.run(
            sql.statement(
                f"DELETE FROM {sql.table_name(REJECTS)} WHERE mapping = ? AND environment = ? AND scope = ? AND key "
                "= ''"
            ),
            [pulled.mapping, pulled.environment, scope],
        )


def has_rejects(t: Transaction, pulled: Pulled) -> bool:
    """Tell whether the mapping has any reject."""
    query = f"SELECT COUNT(*) FROM {sql.table_name(REJECTS)} WHERE mapping = ? AND environment = ?"
    return bool(t.rows(sql.statement(query), [pulled.mapping, pulled.environment])[0][0])


def room_asked(t: Transaction, *, pulled: Pulled) -> dict[str, tuple[Type, Type]]:
    """Return the columns whose rejected values would fit a roomier type: the type that each had then, and that."""
    query = (
        f'SELECT "column", declared, MAX(roomier) FROM {sql.table_name(REJECTS)} '
        "WHERE mapping = ? AND environment = ? AND roomier <> '' GROUP BY \"column\", declared"
    )
    found = t.rows(sql.statement(query), [pulled.mapping, pulled.environment])
    return {column: (Type(declared), Type(roomier)) for column, declared, roomier in found}


def rejected_keys(t: Transaction, types: Mapping[str, Type], *, pulled: Pulled) -> list[str]:
    """
    Return the keys with a value that did not fit the type that its column had then; *types* are those of now.

    A pull that ended before it had read them again leaves them to the next one.
    """
    query = (
        f'SELECT DISTINCT "column", declared FROM {sql.table_name(REJECTS)} WHERE mapping = ? AND environment = ? '
        "AND key <> '' AND declared <> ''"
    )
    found = t.rows(sql.statement(query), [pulled.mapping, pulled.environment])
    widened = [(column, was) for column, was in found if column in types and types[column].value != was]
    if not widened:
        return []
    marks = " OR ".join('("column" = ? AND declared = ?)' for _ in widened)
    query = (
        f"SELECT DISTINCT key FROM {sql.table_name(REJECTS)} WHERE mapping = ? AND environment = ? AND key <> '' "
        f"AND ({marks}) ORDER BY key"
    )
    parameters = [pulled.mapping, pulled.environment, *(part for pair in widened for part in pair)]
    return [row[0] for row in t.rows(sql.statement(query), parameters)]


def note_read_again(t: Transaction, types: Mapping[str, Type], *, pulled: Pulled) -> None:
    """Write down that what `rejected_keys` named was read again; what the API had nothing for stays as it is."""
    import pyarrow as pa

    now = pa.table({"column": list(types), "declared": [kind.value for kind in types.values()]})
    t.stage("types_now", now, {"column": TEXT, "declared": TEXT})
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(REJECTS)} AS t SET declared = s.declared, roomier = '' FROM types_now AS s "
            'WHERE t.mapping = ? AND t.environment = ? AND t."column" = s."column" AND t.key <> \'\' '
            "AND t.declared <> '' AND t.declared <> s.declared"
        ),
        [pulled.mapping, pulled.environment],
    )


def find(t: Transaction, kind: str, key: str, detail: str, *, pulled: Pulled, now: dt.datetime) -> int:
    """Store a finding, or see it once more; return how often it was seen."""
    where = [pulled.mapping, pulled.environment, kind, key]
    seen = t.run(
        sql.statement(
            f"UPDATE {sql.table_name(FINDINGS)} SET detail = ?, run = ?, last_seen = ?, times = times + 1 "
            "WHERE mapping = ? AND environment = ? AND kind = ? AND key = ?"
        ),
        [detail, pulled.run, now, *where],
    )
    if not seen:
        t.run(sql.insert(FINDINGS), [*where, detail, pulled.run, now, now, 1])
        return 1
    query = (
        f"SELECT times FROM {sql.table_name(FINDINGS)} WHERE mapping = ? AND environment = ? AND kind = ? AND key = ?"
    )
    return int(t.rows(sql.statement(query), where)[0][0])


def standing(t: Transaction, kind: str, *, pulled: Pulled) -> dict[str, str]:
    """Return the findings of a kind that stand: what each says, by key."""
    query = f"SELECT key, detail FROM {sql.table_name(FINDINGS)} WHERE mapping = ? AND environment = ? AND kind = ?"
    return dict(t.rows(sql.statement(query), [pulled.mapping, pulled.environment, kind]))


def stand(
    t: Transaction, kind: str, details: Mapping[str, str | None], *, pulled: Pulled, now: dt.datetime
) -> dict[str, str]:
    """
    Make the findings of a kind just these, by key; return those that are new, or say something else now.

    A detail that is None: the finding stands, and its row is left as it is, but for when it was last seen: nobody
    could look at it since, so that its age says nothing.
    """
    import pyarrow as pa

    name, owned = sql.table_name(FINDINGS), [pulled.mapping, pulled.environment, kind]
    where = "t.mapping = ? AND t.environment = ? AND t.kind = ?"
    known = standing(t, kind, pulled=pulled)
    if not known and not details:
        return {}
    staged = {"key": pa.array(list(details), pa.string()), "detail": pa.array(list(details.values()), pa.string())}
    t.stage("findings_now", pa.table(staged), {"key": TEXT, "detail": TEXT})
    t.run(
        sql.statement(
            f"DELETE FROM {name} AS t WHERE {where} "
            "AND NOT EXISTS (SELECT 1 FROM findings_now AS s WHERE s.key = t.key)"
        ),
        owned,
    )
    t.run(
        sql.statement(
            f"UPDATE {name} AS t SET detail = s.detail, run = ?, last_seen = ?, times = t.times + 1 "
            f"FROM findings_now AS s WHERE {where} AND s.key = t.key AND s.detail IS NOT NULL"
        ),
        [pulled.run, now, *owned],
    )
    t.run(
        sql.statement(
            f"UPDATE {name} AS t SET last_seen = ? FROM findings_now AS s "
            f"WHERE {where} AND s.key = t.key AND s.detail IS NULL"
        ),
        [now, *owned],
    )
    t.run(
        sql.statement(
            f"INSERT INTO {name} (mapping, environment, kind, key, detail, run, first_seen, last_seen, times) "
            "SELECT ?, ?, ?, s.key, s.detail, ?, ?, ?, 1 FROM findings_now AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE {where} AND t.key = s.key)"
        ),
        [*owned, pulled.run, now, now, *owned],
    )
    return {key: detail for key, detail in details.items() if detail is not None and known.get(key) != detail}


def first_seen(t: Transaction, kind: str, key: str, *, pulled: Pulled) -> tuple[dt.datetime | None, str]:
    """Return when a finding was first seen, and its detail; None where it was not."""
    one = "mapping = ? AND environment = ? AND kind = ? AND key = ?"
    query = f"SELECT first_seen, detail FROM {sql.table_name(FINDINGS)} WHERE {one}"
    found = t.rows(sql.statement(query), [pulled.mapping, pulled.environment, kind, key])
    return (found[0][0], found[0][1]) if found else (None, "")


def settle(t: Transaction, kind: str, key: str | None = None, *, pulled: Pulled) -> None:
    """Drop findings of a kind: the one with *key*, or all of them."""
    query = f"DELETE FROM {sql.table_name(FINDINGS)} WHERE mapping = ? AND environment = ? AND kind = ?"
    if key is None:
        t.run(sql.statement(query), [pulled.mapping, pulled.environment, kind])
    else:
        t.run(sql.statement(query + " AND key = ?"), [pulled.mapping, pulled.environment, kind, key])
