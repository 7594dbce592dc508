"""
Rows of one plan that collide: two that lead to one record, two that write one value to a unique property.

What each row claims stands beside the plan while it is made, in a table of its own; when the plan is whole, the
warehouse finds the claims that meet, those of rows that did not change among them, and such rows lose their changes.
Not here: what a row comes to by itself (`deciding.py`), values that a record of the target holds (`outbound.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import plan, plans, sql
from syncer.deciding import Decided, Row
from syncer.plan import CREATE, UPDATE, Checksum
from syncer.plans import CHANGES, PLAN_ROWS, Header, Problem
from syncer.relation import KEY, WAS, copy_table
from syncer.snapshots import AGREED, IS_LEFT, LIVE, SNAPSHOTS
from syncer.tables import STATE, Column, Table
from syncer.target import Found, Shape
from syncer.values import BOOLEAN, JSON, TEXT
from syncer.warehouses import Transaction

AT_ONCE = 1_000
RECORD = ""  # in place of a property: the claim is the record
MERGED = "merged into it"  # the claim is an id that was merged into the record; no property has such a name


@attrs.frozen
class Claim:
    """
    What one row claims: a record, by the id that it was asked for by (empty: by the row's key), or a value of a unique
    property. is_here: False of a row that left the relation.
    """

    key: str
    what: str
    value: str
    asked: str = ""
    is_here: bool = True


@attrs.frozen(kw_only=True)
class Clash:
    """A claim that meets another one: of how many rows, the key of one, and by which id it was asked for."""

    key: str
    what: str
    value: str
    asked: str
    rows: int
    other: str
    other_asked: str
    is_held: bool  # by a row that is as both sides agreed, and stands nowhere in the plan


def claims_table(of_plan: str) -> Table:
    """Return the table of the claims of a plan."""
    columns = (
        Column("key", TEXT),
        Column("what", TEXT),
        Column("value", TEXT),
        Column("asked", TEXT),
        Column("is_here", BOOLEAN),
    )
    return Table(schema=STATE, name=f"claims_{of_plan}", columns=columns)


def claims(row: Row, found: Found | None, decided: Decided, shape: Shape) -> Iterator[Claim]:
    """Yield what a row claims: its record, where it leads to one, and what it writes to unique properties."""
    if row.key is None:
        return
    record = found.id if found is not None else row.id
    if record is not None:
        yield Claim(row.key, RECORD, record, row.id or "", row.row_hash is not None)
    for old in found.merged if found is not None else ():  # a row that nobody read may be known by it
        yield Claim(row.key, MERGED, old, row.id or "", row.row_hash is not None)
    for change in decided.changes:
        for name in change.fields if change.action in (CREATE, UPDATE) else ():
            normal = change.agreed.get(name)
            if normal is not None and shape.properties[name].is_unique:
                yield Claim(row.key, name, normal.lower())


def add(t: Transaction, of_plan: str, some: Sequence[Claim]) -> None:
    """Put claims beside a plan."""
    table = claims_table(of_plan)
    columns = sql.names(table.types())
    t.stage("claims_now", table.arrow([attrs.asdict(each) for each in some]), table.types())
    t.run(sql.statement(f"INSERT INTO {sql.table_name(table)} ({columns}) SELECT {columns} FROM claims_now"))


def settle(t: Transaction, header: Header, shape: Shape, *, match_on: str | None) -> bool:
    """
    Take the changes from rows that collide, and say so of each; tell whether there were any.

    A row that left the relation, and whose record is another row's now, did not take its record with it.
    """
    name = sql.table_name(claims_table(header.plan))
    _meet(t, header, name)
    found = t.derive("clashes", sql.statement(_CLASHES.format(claims=name)))
    stayed = t.derive("stayed", sql.statement(_STAYED.format(claims=name)))
    hides = match_on is not None and shape.properties[match_on].is_personal
    after: list[str] = []
    while found:
        page = _page(t, after)
        if not page:
            break
        after = [max(page)]
        _reject(t, header, {key: [_problem(each, hides=hides) for each in some] for key, some in page.items()}, page)
    if stayed:
        of_plan = "t.plan = ? AND EXISTS (SELECT 1 FROM stayed AS s WHERE s.key = t.key)"
        t.run(
            sql.statement(
                f"UPDATE {sql.table_name(PLAN_ROWS)} AS t SET outcome = '{plan.UNCHANGED}', row_hash = '{IS_LEFT}', "
                f"problems = NULL WHERE {of_plan}"
            ),
            [header.plan],
        )
        t.run(sql.statement(f"DELETE FROM {sql.table_name(CHANGES)} AS t WHERE {of_plan}"), [header.plan])
    return bool(found or stayed)


def counted(t: Transaction, header: Header) -> Checksum:
    """Return the checksum over the changes that a plan has now."""
    checksum, after = Checksum(), 0
    while found := plans.changes(t, header.plan, after=after):
        checksum.add(change.digest(header.mapping, header.environment) for change in found)
        after = found[-1].number
    return checksum


_CLASHES = f"""
SELECT c.key AS key, c.what AS what, c.value AS value, c.asked AS asked, g.times AS times,
CASE WHEN g.first_key = c.key THEN g.last_key ELSE g.first_key END AS other,
CASE WHEN g.first_asked = c.asked THEN g.last_asked ELSE g.first_asked END AS other_asked, FALSE AS is_held
FROM {{claims}} AS c JOIN (SELECT what, value, COUNT(*) AS times, MIN(key) AS first_key, MAX(key) AS last_key,
MIN(asked) AS first_asked, MAX(asked) AS last_asked FROM {{claims}} WHERE is_here AND what <> '{MERGED}'
GROUP BY what, value HAVING COUNT(*) > 1) AS g ON g.what = c.what AND g.value = c.value WHERE c.is_here
UNION ALL
SELECT c.key, c.what, c.value, c.asked, 2, h.other, c.value, TRUE FROM {{claims}} AS c
JOIN held AS h ON h.value = c.value WHERE c.is_here AND c.what IN ('{RECORD}', '{MERGED}')
UNION ALL
SELECT c.key, c.what, c.value, c.asked, 2, o.key, o.value, TRUE FROM {{claims}} AS c
JOIN {{claims}} AS o ON o.value = c.value AND o.what = '{RECORD}' AND o.is_here AND o.key <> c.key
WHERE c.is_here AND c.what = '{MERGED}'
"""
_STAYED = f"""
SELECT c.key AS key FROM {{claims}} AS c WHERE NOT c.is_here AND (EXISTS (SELECT 1 FROM {{claims}} AS o WHERE
o.is_here AND o.what = '{RECORD}' AND o.value = c.value) OR EXISTS (SELECT 1 FROM held AS h WHERE h.value = c.value))
"""


def _meet(t: Transaction, header: Header, name: str) -> None:
    """Find the claimed records that the snapshot has under the key of a row that is no part of the plan."""
    copy = sql.table_name(copy_table(header.plan))
    # No joins: a server that knows nothing yet of tables so new would look through one for each row of another.
    apart = (
        "SELECT u.key AS other, MAX(u.id) AS value FROM "
        f"(SELECT key, id, 0 AS is_in FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND environment = ? "
        f"AND state = '{LIVE}' UNION ALL SELECT {KEY}, NULL, 1 FROM {copy} "
        f"UNION ALL SELECT {WAS}, NULL, 1 FROM {copy}) AS u GROUP BY u.key HAVING MAX(u.is_in) = 0"
    )
    t.derive(
        "held",
        sql.statement(
            f"SELECT v.value AS value, MIN(v.other) AS other FROM (SELECT a.value AS value, a.other AS other, "
            f"0 AS is_claimed FROM ({apart}) AS a UNION ALL SELECT value, NULL, 1 FROM {name} "
            f"WHERE what IN ('{RECORD}', '{MERGED}')) AS v WHERE v.value IS NOT NULL GROUP BY v.value "
            "HAVING MAX(v.is_claimed) = 1 AND COUNT(v.other) > 0"
        ),
        [header.mapping, header.environment],
    )


def _page(t: Transaction, after: Sequence[str]) -> dict[str, list[Clash]]:
    """Return the clashes of the next keys, by key."""
    behind = "WHERE key > ? " if after else ""
    query = f"SELECT key FROM (SELECT DISTINCT key FROM clashes) AS k {behind}ORDER BY key LIMIT {AT_ONCE}"
    keys = [row[0] for row in t.rows(sql.statement(query), after)]
    page: dict[str, list[Clash]] = {key: [] for key in keys}
    if keys:
        where = "key > ? AND key <= ?" if after else "key <= ?"
        query = (
            "SELECT key, what, value, asked, times, other, other_asked, is_held FROM clashes WHERE "
            f"{where} ORDER BY key, what, is_held"
        )
        names = ("key", "what", "value", "asked", "rows", "other", "other_asked", "is_held")
        for row in t.rows(sql.statement(query), [*after, keys[-1]]):
            page[row[0]].append(Clash(**dict(zip(names, row, strict=True))))
    return page


def _problem(clash: Clash, *, hides: bool) -> Problem:
    """Tell a clash. *hides*: the keys of other rows are personal."""
    others = "" if hides else f" ({clash.other}{', …' if clash.rows > 2 else ''})"
    if clash.what not in (RECORD, MERGED):
        reason = (
            f"{clash.rows:,} rows write this value{_also(clash, hides)}, and it is unique; none of them is written."
        )
        return Problem(kind=plan.REJECTED, field=clash.what, reason=reason, ours=clash.value)
    if clash.asked and clash.other_asked and clash.asked != clash.other_asked:
        ids = " and ".join(
            sorted({clash.asked, clash.other_asked, clash.value} - {""}, key=lambda id: (len(id), id))[:3]
        )
        reason = f"Its record and that of another row{others} were merged into one: {ids}."
        return Problem(kind=plan.CONFLICT, reason=reason, ours=clash.asked, theirs=clash.value)
    if clash.is_held:
        into = ", which was merged into its own," if clash.what == MERGED and clash.value != clash.asked else ""
        reason = f"Record {clash.value}{into} is that of another row{others}, which did not change."
    else:
        reason = f"{clash.rows:,} rows lead to record {clash.value}{_also(clash, hides)}; none of them is written."
    return Problem(kind=plan.REJECTED, reason=reason, ours=clash.value)


def _also(clash: Clash, hides: bool) -> str:
    return "" if hides else f", also {clash.other}{', …' if clash.rows > 2 else ''}"


def _reject(
    t: Transaction,
    header: Header,
    told: Mapping[str, Sequence[Problem]],
    page: Mapping[str, Sequence[Clash]],
) -> None:
    """Take the changes from rows, and tell of each why; the row is looked at again, whatever it holds."""
    import pyarrow as pa

    table = sql.table_name(PLAN_ROWS)
    keys = list(told)
    marks = ", ".join("?" for _ in keys)
    query = f"SELECT key, id, outcome, problems FROM {table} WHERE plan = ? AND key IN ({marks})"
    rows: list[tuple[str, str | None, str, str]] = []
    for key, id, outcome, problems in t.rows(sql.statement(query), [header.plan, *keys]):
        new = told[key]
        is_rejected = outcome == plan.REJECTED or any(each.kind == plan.REJECTED for each in new)
        asked = next((each.asked for each in page[key] if each.asked), None)
        now: list[Any] = [*orjson.loads(problems or "[]"), *(attrs.asdict(each) for each in new)]
        text = orjson.dumps(now, option=orjson.OPT_SORT_KEYS).decode()
        rows.append((key, id if is_rejected else asked, plan.REJECTED if is_rejected else plan.CONFLICT, text))
    names = ("key", "id", "outcome", "problems")
    staged = pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)})
    t.stage("rejected_now", staged, {"key": TEXT, "id": TEXT, "outcome": TEXT, "problems": JSON})
    t.run(
        sql.statement(
            f"UPDATE {table} AS t SET id = s.id, outcome = s.outcome, problems = s.problems, row_hash = '' "
            "FROM rejected_now AS s WHERE t.plan = ? AND t.key = s.key"
        ),
        [header.plan],
    )
    # What was seen equal on a record that may not be the row's is not agreed: the row would count as settled by it.
    t.run(
        sql.statement(
            f"UPDATE {table} AS t SET agreed = NULL FROM rejected_now AS s WHERE t.plan = ? AND t.key = s.key"
        ),
        [header.plan],
    )
    t.run(
        sql.statement(
            f"UPDATE {table} AS t SET agreed = a.fields FROM {sql.table_name(AGREED)} AS a WHERE t.plan = ? AND "
            "a.mapping = ? AND a.environment = ? AND a.key = t.key AND EXISTS "
            "(SELECT 1 FROM rejected_now AS s WHERE s.key = t.key)"
        ),
        [header.plan, header.mapping, header.environment],
    )
    t.run(
        sql.statement(
            f"DELETE FROM {sql.table_name(CHANGES)} AS t WHERE t.plan = ? AND EXISTS "
            "(SELECT 1 FROM rejected_now AS s WHERE s.key = t.key)"
        ),
        [header.plan],
    )
