"""
Which rows of our tables need not be kept any more, and why the others stay: a word for every row, as SQL.

`judge` gives each row of a table a reason to stay, or none, in temporary tables of one transaction; `lines` counts
them, and `delete` takes away rows that have none, so that what is told is what is done. What may go:

- plans, by `aging.plan_stays`: their changes and rows; the header once no run that stays names it.
- runs that nobody reads any more: not the newest of its kind, none that the journal, a place, a snapshot, an open
  offer or a finding names.
- rejects and findings that a later run would have met again, had they still been true.
- settled conflicts, keys of walks that nobody goes on with, and the numbers of pulls that are gone.

Snapshots, agreed values, aliases, places and what was seen have no age: docs/decisions/cleaning.md. Not here: the
order of it all (`cleaning.py`), rows of mappings that nobody configures any more (`unconfigured.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import journal, marks, sql
from syncer.aging import AGED, LONGEST, Reason, may_take_up, note_old, plan_stays
from syncer.conflicts import CONFLICTS, OPEN
from syncer.journal import CENSUS, DONE, FINDINGS, FULL, PUSHED, REJECTS, RUNNING, RUNS
from syncer.marks import ALIASES, MARKS, SEEN, WALKS
from syncer.offers import OFFERED_BY, OFFERINGS
from syncer.plans import CHANGES, PLAN_ROWS, PLANS
from syncer.snapshots import AGREED, DECLINED, LEFT, SNAPSHOTS
from syncer.tables import STATE, Table
from syncer.warehouses import Transaction

AT_ONCE = 50_000  # rows of a table that one transaction deletes
NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # nothing is older
COLUMN_KINDS = (journal.COLUMN_GONE, journal.COLUMN_RETYPED, journal.COLUMN_RENAMED)
OF_PULLS = (*COLUMN_KINDS, journal.MAX_GONE_SHARE, journal.CENSUS_MISS, marks.FULL_UNFINISHED)
_OFFERS = "offers_"


@attrs.frozen(kw_only=True)
class Ages:
    """How many days are kept: values, and runs; None: for good. now: aware, UTC."""

    now: dt.datetime
    keep_days: int | None
    keep_runs_days: int | None

    @property
    def values(self) -> dt.datetime:
        """Values older than this may go."""
        return NEVER if self.keep_days is None else self.now - dt.timedelta(days=self.keep_days)

    @property
    def runs(self) -> dt.datetime:
        """Runs older than this may go."""
        return NEVER if self.keep_runs_days is None else self.now - dt.timedelta(days=self.keep_runs_days)


@attrs.frozen(kw_only=True)
class Line:
    """One table: the rows that go, and that stay, these by reason; oldest: of those that stay, where that is told."""

    table: str
    goes: int = 0
    why: Mapping[str, int] = attrs.field(factory=dict)
    oldest: dt.datetime | None = None

    @property
    def stays(self) -> int:
        """How many rows stay."""
        return sum(self.why.values())


@attrs.frozen(kw_only=True)
class Rule:
    """
    Why rows `x` of a table stay; one for which nothing holds goes.

    at: how old a row is, as SQL. same: columns by which a row that was judged is found again to delete it; the moment
    it was last seen is among them, so that one which is seen meanwhile stays.
    """

    table: Table
    at: str
    same: Sequence[str]
    stays: Sequence[Reason]
    rows: str = "1"  # how many rows of the table one of *source* stands for
    source: str = ""  # what is judged; empty: the table
    also: Sequence[str] = ()  # columns that other rules ask for: the run, or plan, that a row which stays keeps

    @property
    def name(self) -> str:
        """The temporary table that the judged rows stand in."""
        return f"{self.table.name}_judged"

    def derive(self, t: Transaction) -> None:
        """Judge the rows."""
        wanted = dict.fromkeys((*self.same, *self.also))
        columns = ", ".join(f"x.{sql.quoted(column)} AS {sql.quoted(column)}" for column in wanted)
        cases, parameters = _cases(self.stays)
        source = self.source or sql.table_name(self.table)
        t.derive(
            self.name,
            sql.statement(
                f"SELECT {columns}, {self.at} AS at_then, {self.rows} AS row_count, {cases} AS why FROM {source} AS x"
            ),
            parameters,
        )


def _cases(stays: Iterable[Reason]) -> tuple[str, list[Any]]:
    given = list(stays)
    whens = " ".join(f"WHEN {each.condition} THEN '{each.words}'" for each in given)
    return f"CASE {whens} END", [value for each in given for value in each.parameters]


def judge(t: Transaction, ages: Ages) -> list[Rule]:
    """Judge the rows of all tables that are there, each in a temporary table; return the rules, in their order."""
    has = {table.name for table in _TABLES if t.columns(table)}
    if RUNS.name not in has:
        return []
    if PLANS.name in has:
        _note_plans(t, ages)
    _note_last(t, has)
    judging = _Judging(ages=ages, has=has, has_offers=OFFERINGS.name in has and _note_offers(t))
    done: list[Rule] = []
    for table, make in _MADE:
        if table is RUNS:
            _note_runs(t, done, has)
        if table.name in has:
            rule = make(judging)
            rule.derive(t)
            done.append(rule)
    return done


def lines(t: Transaction, rules: Sequence[Rule]) -> Iterator[Line]:
    """Count what was judged, and what has no age."""
    if any(rule.table is PLANS for rule in rules):
        for table in (CHANGES, PLAN_ROWS):
            query = (
                f"SELECT j.values_why, COUNT(*), MIN(j.at_then) FROM {sql.table_name(table)} AS x "
                "JOIN plans_aging AS j ON j.plan = x.plan GROUP BY j.values_why"
            )
            yield _line(table, t.rows(sql.statement(query)))
    for rule in rules:
        query = f"SELECT why, SUM(row_count), MIN(at_then) FROM {rule.name} GROUP BY why"
        yield _line(rule.table, t.rows(sql.statement(query)))
    for table, words, at in _STANDING:
        if t.columns(table):
            query = (
                f"SELECT y.why, COUNT(*), MIN(y.at_then) FROM (SELECT {words} AS why, {at} AS at_then FROM "
                f"{sql.table_name(table)} AS x) AS y GROUP BY y.why"
            )
            yield _line(table, t.rows(sql.statement(query)))


def _line(table: Table, found: Sequence[tuple[Any, ...]]) -> Line:
    staying = sorted(((why, int(count), at) for why, count, at in found if why is not None), key=lambda each: -each[1])
    return Line(
        table=f"{table.schema}.{table.name}",
        goes=sum(int(count) for why, count, _ in found if why is None),
        why={why: count for why, count, _ in staying},
        oldest=min((at for _, _, at in staying if at is not None), default=None),
    )


def delete(t: Transaction, rule: Rule) -> int:
    """Delete rows that were judged to go, some at once; return how many."""
    listed = sql.names(rule.same)
    some = f"SELECT {listed} FROM {rule.name} WHERE why IS NULL LIMIT {AT_ONCE}"
    alike = sql.equal("s", "x", rule.same)
    also = ""
    if rule.table is PLANS:  # what a kill left of its values goes first
        for table in (CHANGES, PLAN_ROWS):
            also += f" AND NOT EXISTS (SELECT 1 FROM {sql.table_name(table)} AS c WHERE c.plan = x.plan)"
    query = (
        f"DELETE FROM {sql.table_name(rule.table)} AS x WHERE EXISTS (SELECT 1 FROM ({some}) AS s WHERE {alike}){also}"
    )
    return t.run(sql.statement(query))


def age_plans(t: Transaction, ages: Ages) -> int:
    """
    Mark the plans whose changes and rows are to go: from now on nobody takes one up, or puts it back; return how many.
    """
    if not t.columns(PLANS) or not note_old(t, ages.values):
        return 0
    old = "EXISTS (SELECT 1 FROM plans_old AS s WHERE s.plan = t.plan)"
    return t.run(sql.statement(f"UPDATE {sql.table_name(PLANS)} AS t SET state = '{AGED}' WHERE {old}"))


def delete_values(t: Transaction, *, table: Table, ages: Ages) -> int:
    """
    Delete changes, or rows, of plans that are marked, some at once; return how many.

    A run that looked at such a plan just before it was marked carries it out whole: the next cleaning takes it.
    """
    changes, column = sql.table_name(table), "number" if table is CHANGES else "key"
    taken, parameters = may_take_up("p", ages.values)
    running = (
        f"EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS r WHERE r.\"plan\" = p.plan AND r.status = '{RUNNING}')"
    )
    some = (
        f"SELECT c.plan AS plan, c.{column} AS {column} FROM {changes} AS c JOIN {sql.table_name(PLANS)} AS p "
        f"ON p.plan = c.plan WHERE p.state = '{AGED}' AND NOT {taken} AND NOT {running} LIMIT {AT_ONCE}"
    )
    alike = f"s.plan = x.plan AND s.{column} = x.{column}"
    query = f"DELETE FROM {changes} AS x WHERE EXISTS (SELECT 1 FROM ({some}) AS s WHERE {alike})"
    return t.run(sql.statement(query), parameters)


@attrs.frozen(kw_only=True)
class _Judging:
    """What a rule is made from: the ages, which tables there are, and whether offers are open."""

    ages: Ages
    has: set[str]
    has_offers: bool


def _plans(judging: _Judging) -> Rule:
    named = 'EXISTS (SELECT 1 FROM runs_judged AS r WHERE r."plan" = x.plan AND r.why IS NOT NULL)'
    stays = [
        Reason(each, f"x.values_why = '{each}'")
        for each in (reason.words for reason in plan_stays(judging.ages.values))
    ]
    return Rule(
        table=PLANS,
        at="x.at_then",
        same=("plan",),
        stays=[*stays, Reason("its run tells of it", named)],
        source="plans_aging",
    )


def _runs(judging: _Judging) -> Rule:
    stays = [
        Reason(
            "younger",
            "(x.started_at >= ? OR x.updated_at >= ? OR x.finished_at >= ?)",
            [judging.ages.runs] * 3,
        ),
        Reason("under way, or broken off", f"x.status = '{RUNNING}'"),
        Reason("the newest of its kind", "EXISTS (SELECT 1 FROM runs_last AS l WHERE l.run = x.run)"),
        Reason(
            "a --full that no other pull made up for",
            f"(x.verb = 'pull' AND x.mode = '{FULL}' AND x.status <> '{DONE}' AND NOT EXISTS (SELECT 1 FROM runs_done "
            f"AS d WHERE {_alike('d')} AND d.verb = 'pull' AND d.mode <> '{CENSUS}' AND d.started_at > x.started_at))",
        ),
        Reason("a row that stands names it", "EXISTS (SELECT 1 FROM runs_named AS n WHERE n.run = x.run)"),
    ]
    if PLANS.name in judging.has:
        values = 'EXISTS (SELECT 1 FROM plans_aging AS p WHERE p.plan = x."plan" AND p.values_why IS NOT NULL)'
        stays.insert(1, Reason("what it wrote stands in the journal", values))
    if judging.has_offers:
        stays.append(Reason("an offer waits to be carried on", _after_offers("x.run")))
    return Rule(
        table=RUNS,
        at="COALESCE(x.finished_at, x.updated_at, x.started_at)",
        same=("run",),
        also=("plan",),
        stays=stays,
    )


def _after_offers(run: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM {sql.table_name(OFFERINGS)} AS n JOIN offers_first AS m ON m.mapping = n.mapping "
        f"AND m.environment = n.environment WHERE n.run = {run} AND n.number >= m.number)"
    )


def _offerings(judging: _Judging) -> Rule:
    last = f"x.number = (SELECT MAX(o.number) FROM {sql.table_name(OFFERINGS)} AS o WHERE {_alike('o')})"
    stays = [
        Reason("its run stays", "EXISTS (SELECT 1 FROM runs_judged AS r WHERE r.run = x.run AND r.why IS NOT NULL)"),
        Reason("the last number", last),
    ]
    if judging.has_offers:
        stays.append(Reason("an offer waits to be carried on", _after_offers("x.run")))
    return Rule(table=OFFERINGS, at="x.outdated", same=OFFERINGS.key, stays=stays)


def _alike(other: str) -> str:
    return f"{other}.mapping = x.mapping AND {other}.environment = x.environment"


def _done_since(verb: str, mode: str = "") -> str:
    """Say that a run which began after a row `x` was last seen was done."""
    of_mode = f" AND r.mode = '{mode}'" if mode else ""
    return (
        f"EXISTS (SELECT 1 FROM runs_done AS r WHERE {_alike('r')} AND {verb}{of_mode} AND r.started_at > x.last_seen)"
    )


_OF_SCOPE = f"COALESCE(x.scope, '') NOT IN ('', '{PUSHED}') AND x.key = ''"  # a scope that could not be read
_OF_PULL = "r.verb = 'pull'"
_OF_OPERATION = "r.verb NOT IN ('pull', 'push', 'revert', 'verify')"


def _rejects(judging: _Judging) -> Rule:
    unread = f"EXISTS (SELECT 1 FROM scopes_unread AS s WHERE {_alike('s')} AND s.last_seen >= x.last_seen)"
    is_pushed = f"COALESCE(x.scope, '') = '{PUSHED}'"
    stays = [
        Reason("younger", "x.last_seen >= ?", [judging.ages.values]),
        Reason(
            "it stands until its row or its definition changes", f"({is_pushed} AND NOT {_done_since(_OF_OPERATION)})"
        ),
        Reason("no --full has looked for it since", f"(NOT {is_pushed} AND NOT {_done_since(_OF_PULL, FULL)})"),
        Reason(
            "a scope of its mapping was not read since",
            f"(NOT {is_pushed} AND NOT ({_OF_SCOPE}) AND {unread})",
        ),
    ]
    return Rule(table=REJECTS, at="x.last_seen", same=(*REJECTS.key, "last_seen"), stays=stays, also=("run",))


def _findings(judging: _Judging) -> Rule:
    of_columns = f"x.kind IN ({_listed(COLUMN_KINDS)})"
    of_pulls = f"x.kind IN ({_listed(OF_PULLS)})"
    stays = [
        Reason("younger", "x.last_seen >= ?", [judging.ages.values]),
        Reason("a census or a --full settles it", f"({of_pulls} AND NOT {of_columns})"),
        Reason("no pull has looked for it since", f"({of_columns} AND NOT {_done_since(_OF_PULL)})"),
        Reason("its operation was not run since", f"(NOT {of_pulls} AND NOT {_done_since(_OF_OPERATION)})"),
    ]
    return Rule(table=FINDINGS, at="x.last_seen", same=(*FINDINGS.key, "last_seen"), stays=stays, also=("run",))


def _conflicts(judging: _Judging) -> Rule:
    stays = [
        Reason("open: it waits for a person", f"x.state = '{OPEN}'"),
        Reason("younger", "x.settled_at >= ?", [judging.ages.values]),
        Reason("nobody knows when it was settled", "x.settled_at IS NULL"),
    ]
    return Rule(
        table=CONFLICTS,
        at="COALESCE(x.settled_at, x.last_seen)",
        same=(*CONFLICTS.key, "state", "settled_at"),
        stays=stays,
        also=("run",),
    )


def _walks(judging: _Judging) -> Rule:
    pulling = (
        f"EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS r WHERE {_alike('r')} AND {_OF_PULL} "
        f"AND r.status = '{RUNNING}' AND r.updated_at >= ?)"
    )
    stays = [Reason("a pull is under way", pulling, [judging.ages.now - LONGEST])]
    if MARKS.name in judging.has:
        goes_on = (
            f"EXISTS (SELECT 1 FROM {sql.table_name(MARKS)} AS m WHERE {_alike('m')} AND m.scope = SUBSTR(x.walk, 7))"
        )
        stays.append(Reason("its scope is gone on with", f"(SUBSTR(x.walk, 1, 6) = 'scope:' AND {goes_on})"))
    source = (
        "(SELECT w.mapping, w.environment, w.walk, COUNT(*) AS row_count FROM "
        f"{sql.table_name(WALKS)} AS w GROUP BY w.mapping, w.environment, w.walk)"
    )
    return Rule(
        table=WALKS,
        at="CAST(NULL AS TIMESTAMP WITH TIME ZONE)",
        same=("mapping", "environment", "walk"),
        stays=stays,
        rows="x.row_count",
        source=source,
    )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _table(name: str) -> Table:
    return Table(schema=STATE, name=name, columns=())


def _note_plans(t: Transaction, ages: Ages) -> None:
    cases, parameters = _cases(plan_stays(ages.values))
    t.derive(
        "plans_aging",
        sql.statement(
            f"SELECT p.plan AS plan, p.made_at AS at_then, CASE WHEN p.state <> '{AGED}' THEN {cases} END "
            f"AS values_why FROM {sql.table_name(PLANS)} AS p"
        ),
        parameters,
    )


def _note_last(t: Transaction, has: set[str]) -> None:
    """
    Note when the newest done run of each kind began to look, and when a scope of a mapping could not be read last: few
    rows, since each row is compared with all that are of its mapping. A run that carried out a plan looked when that
    was made, which may have been long before.
    """
    plans = f' LEFT JOIN {sql.table_name(PLANS)} AS p ON p.plan = r."plan"' if PLANS.name in has else ""
    looked_at = "COALESCE(p.made_at, r.started_at)" if plans else "r.started_at"
    t.derive(
        "runs_done",
        sql.statement(
            f"SELECT r.mapping, r.environment, r.verb, r.mode, MAX({looked_at}) AS started_at "
            f"FROM {sql.table_name(RUNS)} AS r{plans} WHERE r.status = '{DONE}' "
            "GROUP BY r.mapping, r.environment, r.verb, r.mode"
        ),
    )
    if REJECTS.name in has:
        t.derive(
            "scopes_unread",
            sql.statement(
                f"SELECT x.mapping, x.environment, MAX(x.last_seen) AS last_seen FROM {sql.table_name(REJECTS)} AS x "
                f"WHERE {_OF_SCOPE} GROUP BY x.mapping, x.environment"
            ),
        )


def _note_runs(t: Transaction, judged: Sequence[Rule], has: set[str]) -> None:
    """Note the newest runs of each kind, which `status` and pulls read, and those that a row names which stays."""
    runs = sql.table_name(RUNS)
    newest = (
        "SELECT n.run FROM (SELECT run, ROW_NUMBER() OVER (PARTITION BY mapping, environment, verb, mode "
        f"ORDER BY {{0}} DESC, run DESC) AS from_last FROM {runs}{{1}}) AS n WHERE n.from_last = 1"
    )
    done = f" WHERE status = '{DONE}'"
    last = " UNION ".join(
        (newest.format("started_at", ""), newest.format("started_at", done), newest.format("finished_at", done))
    )
    t.derive("runs_last", sql.statement(f"SELECT l.run FROM ({last}) AS l"))
    named = [f"SELECT run FROM {rule.name} WHERE why IS NOT NULL" for rule in judged]
    named += [f"SELECT run FROM {sql.table_name(table)}" for table in (MARKS, SNAPSHOTS) if table.name in has]
    t.derive(
        "runs_named",
        sql.statement(f"SELECT n.run FROM ({' UNION '.join(named or ['SELECT CAST(NULL AS TEXT) AS run'])}) AS n"),
    )


def _note_offers(t: Transaction) -> bool:
    """Note the number of the first pull of each mapping whose offers wait; tell whether there is any table of them."""
    tables = f"SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{STATE}' ORDER BY TABLE_NAME"
    found = [_table(name) for (name,) in t.rows(sql.statement(tables)) if name.startswith(_OFFERS)]
    makers = " UNION ".join(
        f"SELECT f.{OFFERED_BY} FROM {sql.table_name(each)} AS f" for each in found if OFFERED_BY in t.columns(each)
    )
    if not makers:
        return False
    t.derive(
        "offers_first",
        sql.statement(
            f"SELECT n.mapping, n.environment, MIN(n.number) AS number FROM {sql.table_name(OFFERINGS)} AS n "
            f"WHERE n.run IN ({makers}) GROUP BY n.mapping, n.environment"
        ),
    )
    return True


_MADE: tuple[tuple[Table, Callable[[_Judging], Rule]], ...] = (
    (REJECTS, _rejects),
    (FINDINGS, _findings),
    (CONFLICTS, _conflicts),
    (RUNS, _runs),
    (PLANS, _plans),
    (OFFERINGS, _offerings),
    (WALKS, _walks),
)
# What has no age, why, and how old it is.
_STANDING: tuple[tuple[Table, str, str], ...] = (
    (
        SNAPSHOTS,
        f"CASE x.state WHEN '{DECLINED}' THEN 'a revert took it back: no push makes it again' WHEN '{LEFT}' THEN "
        "'its row may come back' ELSE 'the base of the next comparison' END",
        "x.moved_at",
    ),
    (AGREED, "'the base of the next comparison'", "CAST(NULL AS TIMESTAMP WITH TIME ZONE)"),
    (MARKS, "'how far its scope was read'", "x.updated_at"),
    (SEEN, "'the base of the next pull'", "CAST(NULL AS TIMESTAMP WITH TIME ZONE)"),
    (ALIASES, "'an id that was merged away stays merged'", "x.first_seen"),
)
_TABLES = (*(table for table, _ in _MADE), CHANGES, PLAN_ROWS, *(table for table, _, _ in _STANDING))
