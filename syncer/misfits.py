"""
Values that are offered and do not fit a column of a host's load table: NULL there, and a reject, while they stand.

They are looked for among the offers each time that the table is filled. What is confirmed is offered no more, and its
misfits stand: they come when their column is another one by then, and their records are read again.

Not here: whether a value fits (`loadtypes.py`), the rejects of values that fit no column of ours (`journal.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from syncer import marks, sql
from syncer.journal import REJECTS
from syncer.loading import MISFIT, Context
from syncer.offers import offers_table
from syncer.warehouses import Transaction


def keep(
    t: Transaction, context: Context, limits: Mapping[str, tuple[str, str]], *, which: str, now: dt.datetime
) -> int:
    """
    Store the misfits of what is offered, and drop those of records that are offered and fit by now; count them.

    limits: by load column, what does not fit it (as `reason` writes it), and the condition of `s` that a value fits.
    which: the condition of the offers that come into the table, with its WHERE; "" for all.
    """
    offers, rejects = sql.table_name(offers_table(context.table)), sql.table_name(REJECTS)
    key = context.key_of("s")
    found = _counted(t, offers, limits, which)
    narrowed = f"{which} AND" if which else " WHERE"
    parts = [
        f"SELECT {key} AS key, {sql.literal(name)} AS name, {sql.literal(reason)} AS reason FROM {offers} AS s"
        f"{narrowed} NOT ({fits})"
        for name, (reason, fits) in limits.items()
        if found.get(name)
    ]
    none = f"SELECT {key} AS key, '' AS name, '' AS reason FROM {offers} AS s WHERE FALSE"
    t.derive("misfits", sql.statement(" UNION ALL ".join(parts) or none))
    same = f"s.key = t.key AND s.name = t.{sql.quoted('column')}"
    ours = f"{context.owned('t')} AND t.scope = ''"
    t.run(
        sql.statement(
            f"DELETE FROM {rejects} AS t WHERE {ours} AND STARTS_WITH(t.reason, '{MISFIT}') "
            f"AND EXISTS (SELECT 1 FROM {offers} AS s WHERE {key} = t.key) "
            f"AND NOT EXISTS (SELECT 1 FROM misfits AS s WHERE {same})"
        )
    )
    owner = context.owner
    t.run(
        sql.statement(
            f"UPDATE {rejects} AS t SET reason = s.reason, run = ?, last_seen = ? FROM misfits AS s "
            f"WHERE {ours} AND {same}"
        ),
        [owner.run, now],
    )
    t.run(
        sql.statement(
            f"INSERT INTO {rejects} (mapping, environment, key, {sql.quoted('column')}, scope, reason, declared, "
            "found, run, first_seen, last_seen, roomier) SELECT ?, ?, s.key, s.name, '', s.reason, '', '', ?, "
            "CAST(? AS TIMESTAMP WITH TIME ZONE), CAST(? AS TIMESTAMP WITH TIME ZONE), '' FROM misfits AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {rejects} AS t WHERE {ours} AND {same})"
        ),
        [owner.mapping, owner.environment, owner.run, now, now],
    )
    return sum(found.values())


def _counted(t: Transaction, offers: str, limits: Mapping[str, tuple[str, str]], which: str) -> dict[str, int]:
    """Count the misfits of each column in one pass, whatever the number of columns."""
    if not limits:
        return {}
    counts = ", ".join(f"SUM(CASE WHEN {fits} THEN 0 ELSE 1 END)" for _, fits in limits.values())
    (found,) = t.rows(sql.statement(f"SELECT {counts} FROM {offers} AS s{which}"))
    return {name: int(count or 0) for name, count in zip(limits, found, strict=True)}


def outgrown(t: Transaction, context: Context, reasons: Iterable[tuple[str, str]]) -> list[str]:
    """
    Return the keys with a misfit that is none of *reasons* (load column, what does not fit it) any more, and forget
    what was seen of them: read again, they are offered anew.
    """
    t.derive(
        "outgrown",
        sql.statement(
            f"SELECT DISTINCT r.key FROM {sql.table_name(REJECTS)} AS r WHERE {_is_outgrown('r', context, reasons)}"
        ),
    )
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(marks.SEEN)} AS b SET row_hash = '' WHERE {context.owned('b')} "
            "AND EXISTS (SELECT 1 FROM outgrown AS s WHERE s.key = b.key)"
        )
    )
    return [str(key) for (key,) in t.rows(sql.statement("SELECT s.key FROM outgrown AS s ORDER BY s.key"))]


def forget(t: Transaction, context: Context, reasons: Iterable[tuple[str, str]]) -> None:
    """
    Drop the misfits that `outgrown` named and whose records are not offered: the source was asked for them, and has
    them no more.
    """
    t.run(
        sql.statement(
            f"DELETE FROM {sql.table_name(REJECTS)} AS t WHERE {_is_outgrown('t', context, reasons)} AND NOT EXISTS "
            f"(SELECT 1 FROM {sql.table_name(offers_table(context.table))} AS s WHERE {context.key_of('s')} = t.key)"
        )
    )


def _is_outgrown(alias: str, context: Context, reasons: Iterable[tuple[str, str]]) -> str:
    """The condition that a reject is a misfit of a column that is another one by now, or is not there."""
    column = f"{alias}.{sql.quoted('column')}"
    stands = " OR ".join(
        f"({column} = {sql.literal(name)} AND {alias}.reason = {sql.literal(why)})" for name, why in reasons
    )
    other = f" AND NOT ({stands})" if stands else ""
    return f"{context.owned(alias)} AND STARTS_WITH({alias}.reason, '{MISFIT}'){other}"


def reason(told: str, table: str) -> str:
    """Say what a value does not fit: a column's type, and its table."""
    return f"{MISFIT}{told} of {table}"
