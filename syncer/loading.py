"""
Loading: typed rows go into the load table by set-based statements that write only what differs from the base.

The base of comparison is a parameter. `mirror` compares with the load table itself; `delta` with `syncer.seen`, and
what differs goes, in the same transaction, into a table of offers and from there into the load table, which somebody
else empties (`offers.py`).

All statements of one group of pages run in one transaction that the caller opens; the caller also writes the places
and the run record there. Not here: where the rows come from (`inbound.py`), what the tables look like (`shape.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from syncer import marks, sql
from syncer.journal import PUSHED, REJECTS
from syncer.mapping import EntityMapping
from syncer.rows import key_text
from syncer.sources import LIVE, State, Whole
from syncer.tables import Column, Table
from syncer.values import TEXT, Type, arrow_type
from syncer.warehouses import Transaction

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = "batch"  # the temporary table of a group's rows
MET = "met_in_run"  # the temporary table of the keys that a run has met, where the warehouse keeps one so long
RECORD_SOURCE, LOAD_DATE, RECORD_STATE, MERGED_INTO = (
    "dss_record_source",
    "dss_load_date",
    "dss_record_state",
    "dss_merged_into",
)
MIN_ROWS_FOR_SHARE = 10
MISFIT = "does not fit "  # how the reason of a reject of a host's load table begins; behind it its type and table


@attrs.frozen(kw_only=True)
class Context:
    """What every statement of a run needs to know."""

    mapping: EntityMapping
    table: Table  # the load table, with the types that its columns have now
    owner: marks.Owner
    started: dt.datetime
    is_landed: bool = False  # into a load table of a host's, which keeps the rejects of what does not fit it
    is_full: bool = (
        False  # whatever somebody did to the table is healed: the version does not protect a row of an earlier run
    )

    @property
    def columns(self) -> list[str]:
        """The columns that records fill."""
        return [field.column for field in self.mapping.fields]

    @property
    def max_gone_share(self) -> float | None:
        """The share of live rows that may end at once; None: no limit."""
        return self.mapping.inbound.max_gone_share if self.mapping.inbound else None

    def key_of(self, alias: str) -> str:
        """The key as one text, in SQL."""
        return sql.key_text(alias, self.mapping.key, self.table.types())

    def owned(self, alias: str) -> str:
        """
        Restrict a state table to this mapping and environment; both are names that were checked, never a person's
        text.
        """
        return f"{alias}.mapping = '{self.owner.mapping}' AND {alias}.environment = '{self.owner.environment}'"


@attrs.frozen(kw_only=True)
class Ending:
    """
    Wholes of one kind, whose absent rows end with this group; `walk` names the keys met in earlier groups, "" where
    there are none.
    """

    columns: tuple[str, ...]
    within: tuple[str, ...]
    absent: str
    values: Sequence[tuple[Any, ...]]
    walk: str = ""

    @classmethod
    def of(cls, whole: Whole, values: Sequence[tuple[Any, ...]], *, walk: str = "") -> Ending:
        """Make the ending of a whole."""
        return cls(columns=whole.columns, within=whole.within, absent=whole.absent, values=values, walk=walk)


@attrs.frozen(kw_only=True)
class Braked:
    """A scope whose absent rows were too many to believe: none of them ended."""

    scope: str
    ending: int
    live: int


@attrs.define(kw_only=True)
class Loaded:
    """What loading one group, or several, did."""

    fresh: int = 0  # keys not met before in this run
    inserted: int = 0
    updated: int = 0
    gone: int = 0
    braked: list[Braked] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Ended:
    """What the end of a run did: rows that a load table of a host's has now, values that did not fit, and notes."""

    landed: int
    rejected: int = 0
    notes: tuple[str, ...] = ()


OnEnd = Callable[[Transaction, dt.datetime], Ended]


class Base(Protocol):
    """What incoming rows are compared with; `b` is its alias in SQL."""

    def relation(self) -> str:
        """The table and alias."""

    def is_live(self) -> str:
        """The condition of a row that is live, and ours."""

    def is_present(self) -> str:
        """The condition of a row that has not ended (live, archived, or merged into another one), and is ours."""

    def same_key(self) -> str:
        """The condition that `b` and the batch's `s` are one record."""

    def key(self) -> str:
        """The key of `b` as one text."""

    def in_whole(self, columns: Sequence[str], *, text: str) -> str:
        """The condition that `b` belongs to the whole `w`, by its native columns or by its column *text*."""

    def written_by_run(self) -> tuple[str, list[Any]]:
        """The condition, and its parameters, that this run has written `b` before."""

    def differing(self) -> str:
        """The condition that `s` would change `b`."""

    def parameters_of_differing(self) -> list[Any]:
        """The parameters that `differing` stands for."""

    def is_standing(self, version: str | None, told: Sequence[str]) -> str:
        """The condition that `b` has the state, the version and the columns *told* of `s`, as far as it knows."""

    def load(self, t: Transaction, count: int, now: dt.datetime) -> tuple[int, int]:
        """Bring the batch of *count* rows in; return how many were inserted and updated."""

    def end(self, t: Transaction, condition: str, state: str, now: dt.datetime) -> int:
        """Give the rows of `b` that meet *condition* a state; return how many."""

    def set_states(self, t: Transaction, now: dt.datetime) -> int:
        """Give the rows named in the temporary table `states` their state; return how many left `live`."""


class Loading:
    """Loads the groups of one run, one after the other."""

    def __init__(self, context: Context, base: Base) -> None:
        self._context = context
        self._base = base
        self._counted = f"run:{context.owner.run}"
        self._has_met: bool | None = None  # MET is there; else the keys stand in `walks`; None: none was kept yet

    def load(
        self,
        t: Transaction,
        rows: pa.Table,
        *,
        states: Sequence[State],
        endings: Iterable[Ending],
        is_last: bool,
        now: dt.datetime,
    ) -> Loaded:
        """
        Load one group: *rows* have the mapping's columns, one row a key. Nothing is written where nothing differs.
        """
        done = Loaded()
        self._stage(t, rows, states)
        for ending in endings:
            self._end_absent(t, ending, done, now)
        if rows.num_rows:
            if any(state.state != LIVE for state in states):
                done.gone += self._leaving(t)
            repeated, already_written = self._repeats(t)
            done.inserted, updated = self._base.load(t, rows.num_rows, now)
            done.fresh = rows.num_rows - repeated
            done.updated = updated - already_written
        if states:
            done.gone += self._base.set_states(t, now)
        if not is_last and rows.num_rows:
            self._remember_met(t)
        return done

    def remember(self, t: Transaction, walk: str, *, condition: str = "TRUE") -> None:
        """Keep the keys of the batch that meet *condition* under the name of a walk."""
        context = self._context
        t.run(
            sql.statement(
                f"INSERT INTO {sql.table_name(marks.WALKS)} (mapping, environment, walk, key) "
                f"SELECT ?, ?, ?, {context.key_of('s')} FROM {BATCH} AS s WHERE {condition}"
            ),
            [context.owner.mapping, context.owner.environment, walk],
        )

    def remember_keys(self, t: Transaction, walk: str, keys: Sequence[str]) -> None:
        """Keep *keys*, each as one text, under the name of a walk."""
        import pyarrow as pa

        owner = self._context.owner
        t.stage("told", pa.table({"key": pa.array(keys, pa.string())}), {"key": TEXT})
        t.run(
            sql.statement(
                f"INSERT INTO {sql.table_name(marks.WALKS)} (mapping, environment, walk, key) "
                "SELECT ?, ?, ?, s.key FROM told AS s"
            ),
            [owner.mapping, owner.environment, walk],
        )

    def drop_settled_rejects(self, t: Transaction) -> None:
        """Drop the rejects of records that the batch has read again; what a host's column has no room for stays."""
        kept = f"AND NOT STARTS_WITH(COALESCE(t.reason, ''), '{MISFIT}') " if self._context.is_landed else ""
        t.run(
            sql.statement(
                f"DELETE FROM {sql.table_name(REJECTS)} AS t WHERE {self._context.owned('t')} "
                f"AND (t.scope IS NULL OR t.scope <> '{PUSHED}') "  # a push has keys of its own
                f"{kept}AND EXISTS (SELECT 1 FROM {BATCH} AS s WHERE t.key = {self._context.key_of('s')})"
            )
        )

    def _stage(self, t: Transaction, rows: pa.Table, states: Sequence[State]) -> None:
        import pyarrow as pa

        state_of = {key_text(state.key): state for state in states}
        if state_of and rows.num_rows:
            keys = [rows[column].to_pylist() for column in self._context.mapping.key]
            found = [state_of.get(key_text(key)) for key in zip(*keys, strict=True)]
            state = pa.array([each.state if each else LIVE for each in found], pa.string())
            into = pa.array([each.into if each else None for each in found], pa.string())
        else:
            state, into = pa.repeat(pa.scalar(LIVE), rows.num_rows), pa.nulls(rows.num_rows, pa.string())
        types = self._context.table.types()
        wanted = {column: types[column] for column in self._context.columns} | {RECORD_STATE: TEXT, MERGED_INTO: TEXT}
        t.stage(BATCH, rows.append_column(RECORD_STATE, state).append_column(MERGED_INTO, into), wanted)
        if states:
            table = pa.table(
                {
                    "key": pa.array(list(state_of), pa.string()),
                    RECORD_STATE: pa.array([each.state for each in state_of.values()], pa.string()),
                    MERGED_INTO: pa.array([each.into for each in state_of.values()], pa.string()),
                }
            )
            t.stage("states", table, {"key": TEXT, RECORD_STATE: TEXT, MERGED_INTO: TEXT})

    def _leaving(self, t: Transaction) -> int:
        """Count the rows that this batch takes out of `live`."""
        base = self._base
        query = (
            f"SELECT COUNT(*) FROM {base.relation()} JOIN {BATCH} AS s ON {base.same_key()} "
            f"WHERE {base.is_live()} AND s.{RECORD_STATE} <> '{LIVE}'"
        )
        return int(t.rows(sql.statement(query))[0][0])

    def _repeats(self, t: Transaction) -> tuple[int, int]:
        """Count the keys met before in this run, and those of them that it has written and would write again."""
        if self._has_met is None:
            return 0, 0
        base = self._base
        met = f"FROM {BATCH} AS s WHERE EXISTS ({self._met()})"
        with t.by_key():
            again = int(t.rows(sql.statement(f"SELECT COUNT(*) {met}"))[0][0])
            if not again:
                return 0, 0
            t.derive("again", sql.statement(f"SELECT s.* {met}"))
        written, parameters = base.written_by_run()
        query = (
            f"SELECT COUNT(*) FROM again AS s WHERE EXISTS (SELECT 1 FROM {base.relation()} "
            f"WHERE {base.same_key()} AND {written} AND {base.differing()})"
        )
        return again, int(t.rows(sql.statement(query), [*parameters, *base.parameters_of_differing()])[0][0])

    def _met(self) -> str:
        """Find the key of `s` among those that this run has met."""
        context = self._context
        if self._has_met:
            return f"SELECT 1 FROM {MET} AS k WHERE k.key = {context.key_of('s')}"
        return (
            f"SELECT 1 FROM {sql.table_name(marks.WALKS)} AS k WHERE {context.owned('k')} "
            f"AND k.walk = '{self._counted}' AND k.key = {context.key_of('s')}"
        )

    def _remember_met(self, t: Transaction) -> None:
        """
        Keep the keys of the batch, to count each once: in a temporary table with an index, where one lasts as long as
        the run, else in `walks`.
        """
        if self._has_met is None:  # groups before it had places or states alone
            self._has_met = t.keep(MET, Column("key", TEXT))
        if not self._has_met:
            self.remember(t, self._counted)
            return
        with t.by_key():
            key = self._context.key_of("s")
            t.run(
                sql.statement(
                    f"INSERT INTO {MET} (key) SELECT {key} FROM {BATCH} AS s WHERE NOT EXISTS ({self._met()})"
                )
            )

    def lacking(self, version: str | None, told: Sequence[str] = ()) -> str:
        """
        The condition of a row `s` of the batch that the base lacks, has ended, has in another version, or has with
        other values in the columns *told*.
        """
        base = self._base
        standing = base.is_standing(version, told)
        return f"NOT EXISTS (SELECT 1 FROM {base.relation()} WHERE {base.same_key()} AND {standing})"

    def standing(self, key: str) -> str:
        """The condition that the base has a row of *key*, one text, that has not ended."""
        base = self._base
        return f"EXISTS (SELECT 1 FROM {base.relation()} WHERE {base.is_present()} AND {base.key()} = {key})"

    def too_many(self, t: Transaction, ending: Ending) -> list[Braked]:
        """Find the scopes of which more rows would end than the mapping allows."""
        self._stage_wholes(t, ending, but=frozenset())
        return self._brake(t, ending, self._absent_by_scope(t, ending))

    def remember_absent(self, t: Transaction, ending: Ending, walk: str, *, but: frozenset[str]) -> None:
        """Keep the keys that would end under the name of a walk, but for those of some scopes."""
        self._stage_wholes(t, ending, but=but)
        t.run(
            sql.statement(
                f"INSERT INTO {sql.table_name(marks.WALKS)} (mapping, environment, walk, key) "
                f"SELECT ?, ?, ?, {self._base.key()} FROM {self._base.relation()} WHERE {self._ends(ending)}"
            ),
            [self._context.owner.mapping, self._context.owner.environment, walk],
        )

    def _end_absent(self, t: Transaction, ending: Ending, done: Loaded, now: dt.datetime) -> None:
        """End the live rows of the wholes that were not in them, unless they are too many to believe."""
        if not ending.values:
            return
        self._stage_wholes(t, ending, but=frozenset())
        leaving = self._absent_by_scope(t, ending)
        if not leaving:
            return
        braked = self._brake(t, ending, leaving)
        done.braked += braked
        spared = frozenset(each.scope for each in braked)
        if spared:
            self._stage_wholes(t, ending, but=spared)
        self._base.end(t, self._ends(ending), ending.absent, now)
        done.gone += sum(count for scope, count in leaving.items() if scope not in spared)

    def _absent_by_scope(self, t: Transaction, ending: Ending) -> dict[str, int]:
        """Count the rows that would leave `live`, by the scope that the brake is measured in; 0: all archived."""
        live = f"SUM(CASE WHEN {self._base.is_live()} THEN 1 ELSE 0 END)"
        inside = self._base.in_whole(ending.columns, text="whole")
        query = (
            f"SELECT w.within, {live} FROM {self._base.relation()} JOIN wholes AS w ON {inside} "
            f"WHERE {self._absent(ending)} GROUP BY w.within"
        )
        return {within: int(count) for within, count in t.rows(sql.statement(query))}

    def _ends(self, ending: Ending) -> str:
        """The condition of a row of the staged wholes that is absent."""
        inside = self._base.in_whole(ending.columns, text="whole")
        return f"EXISTS (SELECT 1 FROM wholes AS w WHERE {inside}) AND {self._absent(ending)}"

    def _absent(self, ending: Ending) -> str:
        """The condition of a row of the base that has not ended, and that neither the batch nor the walk has met."""
        met = f"NOT EXISTS (SELECT 1 FROM {BATCH} AS s WHERE {self._base.same_key()})"
        if ending.walk:
            known = ending.walk.replace("'", "''")
            met += (
                f" AND NOT EXISTS (SELECT 1 FROM {sql.table_name(marks.WALKS)} AS k "
                f"WHERE {self._context.owned('k')} AND k.walk = '{known}' AND k.key = {self._base.key()})"
            )
        return f"{self._base.is_present()} AND {met}"

    def _stage_wholes(self, t: Transaction, ending: Ending, *, but: frozenset[str]) -> None:
        import pyarrow as pa

        depth = len(ending.within)
        withins = [key_text(value[:depth]) if depth else "" for value in ending.values]
        kept = [row for row, within in enumerate(withins) if within not in but]
        declared = {column: self._context.mapping.field(column).type for column in ending.columns}
        data: dict[str, Any] = {
            column: pa.array([ending.values[row][place] for row in kept], arrow_type(declared[column]))
            for place, column in enumerate(ending.columns)
        }
        data["whole"] = pa.array([key_text(ending.values[row]) if ending.columns else "" for row in kept], pa.string())
        data["within"] = pa.array([withins[row] for row in kept], pa.string())
        types = self._context.table.types()
        wanted: dict[str, Type] = {column: types[column] for column in ending.columns} | {
            "whole": TEXT,
            "within": TEXT,
        }
        t.stage("wholes", pa.table(data), wanted)

    def _brake(self, t: Transaction, ending: Ending, leaving: dict[str, int]) -> list[Braked]:
        """Find the scopes that would lose a larger share of their live rows than the mapping allows."""
        share = self._context.max_gone_share
        if share is None:
            return []
        scope = self._base.in_whole(ending.within, text="within")
        query = (
            f"SELECT w.within, COUNT(*) FROM {self._base.relation()} JOIN "
            f"(SELECT DISTINCT {sql.names([*ending.within, 'within'], of='v')} FROM wholes AS v) AS w "
            f"ON {scope} WHERE {self._base.is_live()} GROUP BY w.within"
        )
        live = dict(t.rows(sql.statement(query)))
        return [
            Braked(scope=within, ending=count, live=live[within])
            for within, count in sorted(leaving.items())
            if live.get(within, 0) >= MIN_ROWS_FOR_SHARE and count > share * live[within]
        ]
