"""
Where each scope of a mapping was read to, what a delta load has seen, the keys of a walk that is under way, and whose
records these are.

Tables in schema `syncer`: `marks` (places), `seen` (the base of comparison of the style `delta`), `walks` (keys met,
so that absence can be told when the walk ends, also after a kill), `accounts` (the account that an environment's first
run named), `aliases` (ids merged away).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import attrs
import orjson

from syncer import sql
from syncer.errors import WrongAccount
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


def admit(t: Transaction, source: str, environment: str, account: str, *, now: dt.datetime) -> None:
    """
    Keep the account that an environment's first run named; refuse another one later.

    Raises: WrongAccount: ids of one account must never be mixed with those of another.
    """
    query = f"SELECT account FROM {sql.table_name(ACCOUNTS)} WHERE source = ? AND environment = ?"
    known = t.rows(sql.statement(query), [source, environment])
    if not known:
        t.run(sql.insert(ACCOUNTS), [source, environment, account, now])
        return
    if known[0][0] != account:
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
