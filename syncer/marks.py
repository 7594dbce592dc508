"""
Where each scope of a mapping was read to, what a delta load has seen, the keys of a walk that is under way, and whose
records these are.

Tables in schema `syncer`: `marks` (places), `seen` (the base of comparison of the style `delta`), `walks` (keys met,
so that absence can be told when the walk ends, also after a kill), `accounts` (the account that an environment's first
run named), `aliases` (ids merged away).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

import attrs
import orjson

from syncer import journal, sql
from syncer.errors import WarehouseBusy, WarehouseError, WarehouseLost, WrongAccount
from syncer.sources import Place
from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, JSON, TEXT, TIMESTAMP
from syncer.warehouses import Transaction

MARKS = Table(
    schema=STATE,
    name="marks",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("scope", TEXT),
        Column("place", JSON),
        Column("mark", TEXT),
        Column("run", TEXT),
        Column("updated_at", TIMESTAMP),
    ),
    key=("mapping", "environment", "scope"),
)
SEEN = Table(
    schema=STATE,
    name="seen",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("key", TEXT),
        Column("slice", TEXT),
        Column("row_hash", TEXT),
        Column("state", TEXT),
        Column("run", TEXT),
        Column("version_at", TIMESTAMP),  # of a mapping whose version is a timestamp
        Column("version_number", BIGINT),  # of one whose version is a number
    ),
    key=("mapping", "environment", "key"),
)
WALKS = Table(
    schema=STATE,
    name="walks",
    columns=(Column("mapping", TEXT), Column("environment", TEXT), Column("walk", TEXT), Column("key", TEXT)),
)
ACCOUNTS = Table(
    schema=STATE,
    name="accounts",
    columns=(
        Column("source", TEXT),
        Column("environment", TEXT),
        Column("account", TEXT),
        Column("first_seen", TIMESTAMP),
    ),
    key=("source", "environment"),
)
ALIASES = Table(
    schema=STATE,
    name="aliases",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("old_id", TEXT),
        Column("new_id", TEXT),
        Column("run", TEXT),
        Column("first_seen", TIMESTAMP),
    ),
    key=("mapping", "environment", "old_id"),
    indexes=(("new_id", "mapping", "environment"),),
)
TABLES = (MARKS, SEEN, WALKS, ACCOUNTS, ALIASES)


@attrs.frozen(kw_only=True)
class Owner:
    """Whose state it is: a mapping in an environment, and the run that writes it."""

    mapping: str
    environment: str
    run: str


def places(t: Transaction, owner: Owner) -> dict[str, Place]:
    """Return the place of each scope."""
    query = f"SELECT scope, place FROM {sql.table_name(MARKS)} WHERE mapping = ? AND environment = ?"
    return {
        _scope(scope): _place(place)
        for scope, place in t.rows(sql.statement(query), [owner.mapping, owner.environment])
    }


FEW = 3  # rows that are written one by one: each group of most sources has one place, and staging costs 3 ms


def put_places(
    t: Transaction, found: Mapping[str, tuple[Place, str | None]], *, owner: Owner, now: dt.datetime
) -> None:
    """Store the place, and its words for people, of each scope."""
    rows = [
        {
            "mapping": owner.mapping,
            "environment": owner.environment,
            "scope": plain_scope(scope),
            "place": _written(place),
            "mark": mark,
            "run": owner.run,
            "updated_at": now,
        }
        for scope, (place, mark) in found.items()
    ]
    if len(rows) <= FEW:
        for row in rows:
            values = [row[column] for column in (*(name for name in row if name not in MARKS.key), *MARKS.key)]
            if not t.run(sql.update_one(MARKS), values):
                t.run(sql.insert(MARKS), list(row.values()))
        return
    import pyarrow as pa

    t.stage("places_now", pa.Table.from_pylist(rows, schema=None), MARKS.types())
    update, insert = sql.upsert_from(MARKS, "places_now", list(MARKS.types()))
    t.run(update)
    t.run(insert)


def forget_places(t: Transaction, scopes: Iterable[str], *, owner: Owner) -> None:
    """Forget how far scopes were read: a reload that failed on them is made up for by the next pull."""
    for scope in sorted(scopes):
        t.run(
            sql.statement(f"DELETE FROM {sql.table_name(MARKS)} WHERE mapping = ? AND environment = ? AND scope = ?"),
            [owner.mapping, owner.environment, plain_scope(scope)],
        )


def forget_places_of_others(t: Transaction, *, owner: Owner) -> None:
    """
    Forget the places that this run, which reloaded everything, did not write: what it could not see (a project that is
    hidden just now) must be read whole when it is back.
    """
    t.run(
        sql.statement(f"DELETE FROM {sql.table_name(MARKS)} WHERE mapping = ? AND environment = ? AND run <> ?"),
        [owner.mapping, owner.environment, owner.run],
    )


FULL_UNFINISHED = "full_unfinished"  # a finding


@attrs.frozen(kw_only=True)
class UnfinishedFull:
    """
    A pull `--full` that did not end, and behind which no other pull, plain or full, was done.

    reached: of the *scopes* that have a place, those whose place is the full's, or of a plain pull since: a plain pull
    goes on there with what the full had begun. The others stand where they stood before it.
    times: how many such runs there are of the mapping, one after the other.
    """

    mapping: str
    environment: str
    run: str
    started_at: dt.datetime
    updated_at: dt.datetime
    status: str
    scopes: int
    reached: int
    times: int

    def told(self, *, version: str | None, is_past: bool) -> str:
        """
        Say what a plain pull makes of it (*is_past*: this one has made of it), and what then is to do.

        version: the column that protects a row from all but a full.
        """
        goes = "this pull went on" if is_past else "a plain pull goes on"
        reads = "this pull read everything" if is_past else "a plain pull reads everything"
        rest = "what else there is was compared only where it changed" if is_past else "else it reads what changes"
        guarded = f"rows whose {version} is later here than at the source {'were' if is_past else 'are'} left"
        if not self.scopes:
            parts = [reads]
        elif not self.reached:
            parts = [f"it had left no place, and {goes} from the older {'one' if self.scopes == 1 else 'ones'}"]
        elif self.reached < self.scopes:
            parts = [f"{goes} with it in {self.reached:,} of {self.scopes:,} scopes", rest]
        else:
            parts = [f"{goes} with it, to its end"]
        if version is not None and self.scopes:
            parts.append(guarded)
        if not self.is_finished_by_plain(version):
            other = "" if self.environment == "default" else f" --environment {self.environment}"
            parts.append(f"`syncer pull {self.mapping} --full{other}` does it anew")
        began = f"{self.started_at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
        return f"the --full of {began} did not end (run {self.run}): {'; '.join(parts)}"

    def is_finished_by_plain(self, version: str | None) -> bool:
        """Tell whether a plain pull reads all that the full had not read."""
        return self.reached == self.scopes and (version is None or not self.scopes)


def unfinished_fulls(t: Transaction, owner: Owner | None = None) -> list[UnfinishedFull]:
    """Find fulls that did not end, the newest of each mapping; with an *owner*, of its mapping, but for its run."""
    runs, places = sql.table_name(journal.RUNS), sql.table_name(MARKS)
    same = "{0}.mapping = {1}.mapping AND {0}.environment = {1}.environment"
    only = "" if owner is None else " AND r.mapping = ? AND r.environment = ? AND r.run <> ?"
    begun = (
        f"FROM {runs} AS r WHERE r.verb = 'pull' AND r.mode = '{journal.FULL}' AND r.status <> '{journal.DONE}'{only} "
        f"AND NOT EXISTS (SELECT 1 FROM {runs} AS d WHERE {same.format('d', 'r')} AND d.verb = 'pull' "
        f"AND d.mode <> '{journal.CENSUS}' AND d.status = '{journal.DONE}' AND d.started_at > r.started_at)"
    )
    parameters = [] if owner is None else [owner.mapping, owner.environment, owner.run]
    query = (
        f"SELECT r.mapping, r.environment, r.run, r.started_at, r.updated_at, r.status {begun} ORDER BY r.started_at"
    )
    found = t.rows(sql.statement(query), parameters)
    newest = {(mapping, environment): rest for mapping, environment, *rest in found}
    counts = [(mapping, environment) for mapping, environment, *_ in found]
    known = f"SELECT COUNT(*) FROM {places} AS m WHERE m.mapping = ? AND m.environment = ?"
    gone_on = (
        f"{known} AND EXISTS (SELECT 1 FROM {runs} AS r WHERE r.run = m.run AND {same.format('r', 'm')} AND "
        f"((r.mode = '{journal.FULL}' AND r.started_at >= ?) OR "
        f"(r.mode = '{journal.INCREMENTAL}' AND r.started_at > ?)))"
    )
    fulls = []
    for (mapping, environment), (run, started_at, updated_at, status) in newest.items():
        first = next(row[3] for row in found if row[:2] == (mapping, environment))
        ((scopes,),) = t.rows(sql.statement(known), [mapping, environment])
        ((reached,),) = t.rows(sql.statement(gone_on), [mapping, environment, first, started_at])
        fulls.append(
            UnfinishedFull(
                mapping=mapping,
                environment=environment,
                run=run,
                started_at=started_at,
                updated_at=updated_at,
                status=status,
                scopes=int(scopes),
                reached=int(reached),
                times=counts.count((mapping, environment)),
            )
        )
    return fulls


def meet_unfinished_full(
    t: Transaction, *, owner: Owner, pulled: journal.Pulled, version: str | None, now: dt.datetime
) -> str:
    """
    Return what a plain pull is to tell of a full that did not end before it; empty: nothing.

    What this pull will not finish stands as a finding from its first group on: where it fails behind that, its own
    places look like those of the full. Call it before a place is put.
    """
    fulls = unfinished_fulls(t, owner)
    if not fulls:
        if not places(t, owner):  # the load table was dropped: this pull reads everything
            journal.settle(t, FULL_UNFINISHED, pulled=pulled)
        return ""
    (full,) = fulls
    query = (
        f"SELECT detail FROM {sql.table_name(journal.FINDINGS)} WHERE mapping = ? AND environment = ? AND kind = ? "
        "AND last_seen >= ?"
    )
    met = t.rows(sql.statement(query), [owner.mapping, owner.environment, FULL_UNFINISHED, full.started_at])
    if met and full.scopes:
        return str(met[0][0])
    told = full.told(version=version, is_past=True)
    if full.is_finished_by_plain(version):
        journal.settle(t, FULL_UNFINISHED, pulled=pulled)
    else:
        journal.find(t, FULL_UNFINISHED, "", told, pulled=pulled, now=now)
    return told


def has_lost_its_base(t: Transaction, owner: Owner, *, is_delta: bool, is_new: bool) -> bool:
    """
    Tell whether places speak of rows that are not there: the load table was dropped, or the load style is another one
    now. `delta` compares with `seen`, and its load table may go; `mirror` knows nothing of `seen`.
    """
    query = f"SELECT COUNT(*) FROM {sql.table_name(SEEN)} WHERE mapping = ? AND environment = ?"
    has_seen = bool(t.rows(sql.statement(query), [owner.mapping, owner.environment])[0][0])
    return not has_seen if is_delta else is_new or has_seen


def forget_all(t: Transaction, owner: Owner) -> None:
    """Forget places and what was seen: the next pull reads everything."""
    for table in (MARKS, SEEN):
        t.run(
            sql.statement(f"DELETE FROM {sql.table_name(table)} WHERE mapping = ? AND environment = ?"),
            [owner.mapping, owner.environment],
        )


def put_aliases(t: Transaction, survivors: Mapping[str, str], *, owner: Owner, now: dt.datetime) -> None:
    """Store which id survives each id that was merged away; the latest word counts."""
    import pyarrow as pa

    if not survivors:
        return
    rows = [
        {
            "mapping": owner.mapping,
            "environment": owner.environment,
            "old_id": old,
            "new_id": new,
            "run": owner.run,
            "first_seen": now,
        }
        for old, new in survivors.items()
    ]
    t.stage("aliases_now", pa.Table.from_pylist(rows), ALIASES.types())
    where = f"{sql.equal('t', 's', ALIASES.key)} AND t.new_id <> s.new_id"
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(ALIASES)} AS t SET new_id = s.new_id, run = s.run FROM aliases_now AS s WHERE "
            f"{where}"
        )
    )
    t.run(sql.insert_new(ALIASES, "aliases_now", list(ALIASES.types())))


def begin_walk(t: Transaction, walk: str, *, owner: Owner) -> None:
    """Forget the keys of a walk: it begins, or has ended."""
    t.run(
        sql.statement(f"DELETE FROM {sql.table_name(WALKS)} WHERE mapping = ? AND environment = ? AND walk = ?"),
        [owner.mapping, owner.environment, walk],
    )


def end_walks(t: Transaction, beginning: str, *, owner: Owner) -> None:
    """Forget the keys of all walks whose name has this beginning."""
    t.run(
        sql.statement(
            f"DELETE FROM {sql.table_name(WALKS)} WHERE mapping = ? AND environment = ? AND STARTS_WITH(walk, ?)"
        ),
        [owner.mapping, owner.environment, beginning],
    )


def admit(
    opened: Callable[[], AbstractContextManager[Transaction]],
    source: str,
    environment: str,
    account: str,
    *,
    now: dt.datetime,
) -> None:
    """
    Keep the account that an environment's first run named; refuse another one later.

    opened: a transaction of its own. Another process may write the account down between our look and our insert, which
    then fails: the second look finds it. Raises: WrongAccount: ids of one account must never be mixed with those of
    another; WarehouseError.
    """
    for is_last in (False, True):
        try:
            with opened() as t:
                _kept_or_compared(t, source, environment, account, now)
            return
        except (WarehouseLost, WarehouseBusy):
            raise
        except WarehouseError:
            if is_last:
                raise


def _kept_or_compared(t: Transaction, source: str, environment: str, account: str, now: dt.datetime) -> None:
    query = f"SELECT account FROM {sql.table_name(ACCOUNTS)} WHERE source = ? AND environment = ?"
    known = t.rows(sql.statement(query), [source, environment])
    if not known:
        t.run(sql.insert(ACCOUNTS), [source, environment, account, now])
    elif known[0][0] != account:
        raise WrongAccount(
            f"{source}, environment {environment}: the token is of account {account}, but the records here are of "
            f"{known[0][0]}.",
            hint="Give the other account an environment of its own (--environment NAME), or use another warehouse.",
        )


_HEX = "~hex"  # the only key of a place, and the beginning of a scope, that no server holds as it is


def plain_scope(scope: str) -> str:
    """Write a scope; one with NUL, which servers refuse or cut in a text, as hexadecimal digits."""
    return f"{_HEX}:{scope.encode().hex()}" if "\0" in scope or scope.startswith(f"{_HEX}:") else scope


def walk_of(scope: str) -> str:
    """Name the walk of a scope."""
    return f"scope:{plain_scope(scope)}"


def _scope(text: str) -> str:
    """Read what `plain_scope` wrote."""
    return bytes.fromhex(text.removeprefix(f"{_HEX}:")).decode() if text.startswith(f"{_HEX}:") else text


def _written(place: Place) -> str:
    """Write a place; one with NUL, which servers refuse in JSON, as hexadecimal digits of its text."""
    text = orjson.dumps(place).decode()
    is_hex = "\\u0000" in text or _is_hex(place)
    return orjson.dumps({_HEX: text.encode().hex()}).decode() if is_hex else text


def _place(text: str) -> Place:
    """Read what `_written` wrote."""
    found: Place = orjson.loads(text)
    return orjson.loads(bytes.fromhex(found[_HEX])) if _is_hex(found) else found


def _is_hex(place: Place) -> bool:
    return isinstance(place, dict) and list(place) == [_HEX]
