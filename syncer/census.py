"""
A census: read all keys that the API has, find what is no longer there, and confirm it before anything ends.

Three steps, each committed on its own. (1) The keys are walked and kept in `syncer.walks`; a key whose row is missing,
ended, or of another version is noted. (2) Live rows that the walk did not meet are missing; too many of them
(`max_gone_share`) are a finding, and none ends, unless a person forces it. (3) Missing keys are asked for by key: a
record or a state that comes back is loaded, and what the API has nothing for is `gone`, at once or after as many
censuses as the mapping asks for. What step 1 noted is read as well: a census heals.

A scope that failed is left out: none of its rows ends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from syncer import journal, marks, sql
from syncer.errors import AnswerError
from syncer.journal import Pulled
from syncer.loading import BATCH, RECORD_STATE, Ending
from syncer.rows import Reject, Typing, key_text, key_values, last_of_each_key, merged
from syncer.sources import GONE, LIVE, Page, Place, Source, State, Whole

if TYPE_CHECKING:
    from syncer.inbound import Inbound

MET, MISSING, WANTED = "census:met", "census:missing", "census:wanted"
KEYS_A_GROUP = 20_000
KEYS_A_FETCH = 500


def take(
    inbound: Inbound,
    source: Source,
    stream: str,
    *,
    places: Mapping[str, Place],
    is_forced: bool,
    clock_skew_s: float = 0.0,
) -> Pulled:
    """
    Take a census of one mapping; return the finished run.

    clock_skew_s: the API's clock minus ours: how long apart two misses are is measured by the API's.

    Raises: what the source raises; AnswerError where it does not say what its keys are all of.
    """
    walk = _Census(
        inbound=inbound,
        source=source,
        stream=stream,
        is_forced=is_forced,
        skew=dt.timedelta(seconds=clock_skew_s),
    )
    walk.meet(source.keys(stream, places=places))
    walk.find_missing()
    walk.confirm()
    walk.heal()
    return walk.finish()


@attrs.define(kw_only=True)
class _Census:
    inbound: Inbound
    source: Source
    stream: str
    is_forced: bool
    skew: dt.timedelta = dt.timedelta(0)
    _wholes: list[Whole] = attrs.field(factory=list)
    _failed: set[str] = attrs.field(factory=set)
    _places: dict[str, tuple[Place, str | None]] = attrs.field(factory=dict)

    def meet(self, pages: Iterator[Page]) -> None:
        """Walk the keys."""
        mapping = self.inbound.context.mapping
        version = mapping.inbound.version if mapping.inbound else None
        told = mapping.inbound.told_by_keys if mapping.inbound else ()
        wanted = dict.fromkeys((*mapping.key, *((version,) if version else ()), *told))
        keys_only = Typing(
            attrs.evolve(mapping, fields=tuple(mapping.field(column) for column in wanted), inbound=None),
            takes_nul=self.inbound.warehouse.takes_nul,
        )
        with self.inbound.warehouse.transaction() as t:
            marks.end_walks(t, "census:", owner=self.inbound.context.owner)
        self.inbound.warehouse.rest(waiting=True)
        group: list[Page] = []
        count = 0
        for page in pages:
            group.append(page)
            count += len(page.records)
            if count >= KEYS_A_GROUP:
                self._keep(keys_only, group, version=version, told=told)
                group, count = [], 0
        self._keep(keys_only, group, version=version, told=told)
        if not self._wholes and not self._failed:
            raise AnswerError(f"The census of {mapping.name} did not say what its keys are all of; nothing was ended.")

    def find_missing(self) -> None:
        """Note the live rows that the walk did not meet, unless they are too many to believe."""
        loading, context = self.inbound.loading, self.inbound.context
        now = self.inbound.clock.now()
        with self.inbound.warehouse.transaction() as t:
            journal.settle(t, journal.MAX_GONE_SHARE, pulled=self.inbound.pulled)
            t.stage(
                BATCH,
                Typing(context.mapping).rows([], scope="").table,
                {c: context.table.types()[c] for c in context.columns},
            )
            for ending in self._endings():
                braked = [] if self.is_forced else loading.too_many(t, ending)
                for brake in braked:
                    self.inbound.note_brake(t, brake, now=now)
                loading.remember_absent(t, ending, MISSING, but=frozenset(brake.scope for brake in braked))
            journal.update(t, self.inbound.pulled, now=now)
        self.inbound.warehouse.rest(waiting=True)

    def confirm(self) -> None:
        """Ask for the missing keys by key; what the API has nothing for is gone."""
        for keys in self._noted(MISSING):
            typed = [key_values(key, self.inbound.typing.key_types) for key in keys]
            pages, met = self._fetch(typed)
            absent = [key for key in typed if key_text(key) not in met]
            pages.append(Page(scope="", states=[State(key=key, state=GONE) for key in self._due(absent)]))
            self.inbound.load(iter(pages), ends_run=False)

    def heal(self) -> None:
        """Read what the warehouse lacks, or has in another version."""
        for keys in self._noted(WANTED):
            pages, _ = self._fetch([key_values(key, self.inbound.typing.key_types) for key in keys])
            self.inbound.load(iter(pages), ends_run=False)

    def finish(self) -> Pulled:
        """Forget the walk, settle the findings of keys that were met or whose row has ended, and end the run."""
        context = self.inbound.context
        with self.inbound.warehouse.transaction() as t:
            t.run(
                sql.statement(
                    f"DELETE FROM {sql.table_name(journal.FINDINGS)} AS f WHERE {context.owned('f')} AND f.kind = "
                    f"'{journal.CENSUS_MISS}' "
                    f"AND (f.key IN (SELECT k.key FROM {sql.table_name(marks.WALKS)} AS k WHERE {context.owned('k')} "
                    f"AND k.walk = '{MET}') OR NOT {self.inbound.loading.standing('f.key')})"
                )
            )
            marks.end_walks(t, "census:", owner=context.owner)
            marks.put_places(t, self._places, owner=context.owner, now=self.inbound.clock.now())
        return self.inbound.load(iter(()))

    def _keep(self, keys_only: Typing, pages: Sequence[Page], *, version: str | None, told: Sequence[str]) -> None:
        """Store the keys of some pages, and note which of them the warehouse lacks."""
        import pyarrow as pa

        inbound, context = self.inbound, self.inbound.context
        typed = [keys_only.rows(page.records, scope=page.scope) for page in pages if page.error is None]
        rejects = [reject for rows in typed for reject in rows.rejects]
        for page in pages:
            if page.error is not None:
                self._failed.add(page.scope)
                rejects.append(Reject("", "", str(page.error), page.scope))
            elif page.whole is not None and page.whole.last:
                self._wholes.append(page.whole)
            if page.place is not None:
                self._places[page.scope] = (page.place, page.mark)
        table = last_of_each_key(
            merged([rows.table for rows in typed] or [keys_only.rows([], scope="").table]), context.mapping.key, None
        )
        found = {key_text(state.key): state for page in pages for state in page.states}
        keys = zip(*(table[column].to_pylist() for column in context.mapping.key), strict=True)
        names = [key_text(key) for key in keys]
        met = set(names)
        states = pa.array([found[name].state if name in found else LIVE for name in names], pa.string())
        inbound.pulled = attrs.evolve(inbound.pulled, keys=inbound.pulled.keys + table.num_rows)
        types = context.table.types()
        with inbound.warehouse.transaction() as t:
            wanted = {column: types[column] for column in (*table.column_names, RECORD_STATE)}
            t.stage(BATCH, table.append_column(RECORD_STATE, states), wanted)
            inbound.loading.remember(t, MET)
            others = {name: state for name, state in found.items() if name not in met}
            if others:  # records that the walk does not meet and that another one tells of: merged away
                inbound.loading.remember_keys(t, MET, list(others))
            inbound.loading.remember(t, WANTED, condition=inbound.loading.lacking(version, told))
            inbound.note_rejects(t, rejects)
            journal.update(t, inbound.pulled, now=inbound.clock.now())
        inbound.warehouse.rest(waiting=True)
        if others:
            inbound.load(iter([Page(states=list(others.values()))]), ends_run=False)

    def _endings(self) -> list[Ending]:
        together: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[tuple[object, ...], None]] = {}
        for whole in self._wholes:
            together.setdefault((whole.columns, whole.within), {}).update(dict.fromkeys(whole.values))
        return [
            Ending(columns=columns, within=within, absent=GONE, values=list(values), walk=MET)
            for (columns, within), values in together.items()
        ]

    def _noted(self, walk: str) -> Iterator[list[str]]:
        """Yield the keys noted under *walk*, some at a time; each time from behind the last one."""
        after = ""
        while True:
            with self.inbound.warehouse.transaction() as t:
                query = (
                    f"SELECT DISTINCT k.key FROM {sql.table_name(marks.WALKS)} AS k WHERE "
                    f"{self.inbound.context.owned('k')} "
                    f"AND k.walk = '{walk}' AND k.key > ? ORDER BY k.key LIMIT {KEYS_A_FETCH}"
                )
                keys = [row[0] for row in t.rows(sql.statement(query), [after])]
            self.inbound.warehouse.rest(waiting=True)
            if not keys:
                return
            yield keys
            after = keys[-1]

    def _fetch(self, keys: Sequence[tuple[object, ...]]) -> tuple[list[Page], set[str]]:
        """Fetch by key; the pages, and the keys that something came back for."""
        pages = [attrs.evolve(page, place=None, whole=None) for page in self.source.fetch(self.stream, keys)]
        for page in pages:
            if page.error is not None:
                raise page.error
        met = {key_text(state.key) for page in pages for state in page.states}
        typing = self.inbound.typing
        for page in pages:
            table = typing.rows(page.records, scope=page.scope).table
            columns = [table[column].to_pylist() for column in typing.mapping.key]
            met.update(key_text(key) for key in zip(*columns, strict=True))
        return pages, met

    def _due(self, absent: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
        """
        Return the keys that were missed often enough, and long enough apart; the others become findings.

        A miss counts from when the token could read what it can now: a scope that is gone hides records, too. A first
        miss in the future was noted by a wrong clock, and counts from now. Findings of what is due stand until its row
        has ended: a census that is killed before that must not begin to count anew.
        """
        rules = self.inbound.context.mapping.inbound
        if rules is None or rules.misses <= 1 or not absent:
            return list(absent)
        due = []
        now = self.inbound.clock.now() + self.skew
        grants = getattr(self.source, "grants", None)
        detail = "not met by a census" if grants is None else f"not met by a census; the token reads {grants()}"
        with self.inbound.warehouse.transaction() as t:
            for key in absent:
                text = key_text(key)
                since, before = journal.first_seen(t, journal.CENSUS_MISS, text, pulled=self.inbound.pulled)
                if since is not None and (before != detail or since > now):
                    journal.settle(t, journal.CENSUS_MISS, text, pulled=self.inbound.pulled)
                    since = None
                times = journal.find(t, journal.CENSUS_MISS, text, detail, pulled=self.inbound.pulled, now=now)
                if times >= rules.misses and since is not None and now - since >= rules.misses_apart:
                    due.append(key)
        return due
