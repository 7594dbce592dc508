"""
What is to be said of one row and its record when both sides are compared whole: agreed, ours not yet pushed, left
alone, in conflict, rejected, or unexplained. Pure.

A push asks only for records whose rows differ from the snapshot. A row that does not is *settled*: no push would touch
it again, and whatever differs there must have an explanation that stands somewhere. What is not settled the next push
decides, and is explained by that. Not here: reading either side (`verifying.py`, `evidence.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import attrs

from syncer import compare, plan
from syncer.compare import NEVER, NEWEST, SKIP, Decision, Never, Rule, Verdict
from syncer.deciding import LEAVE, SETTLED, Decided, Deciding, Row
from syncer.edgecolumns import PREFIX
from syncer.edgedeciding import FORGOTTEN as END_FORGOTTEN
from syncer.evidence import Standing, Stray, Written
from syncer.mapping import Outbound
from syncer.plans import PlanRow
from syncer.snapshots import DECLINED, LIVE
from syncer.target import Found, Shape

# The first that applies is the row's.
UNEXPLAINED, REJECT, CONFLICT, NOT_PUSHED, LEFT_ALONE, AGREED = VERDICTS = (
    "unexplained",
    "rejects",
    "conflicts",
    "not_pushed",
    "left_alone",
    "agreed",
)
THEIRS_MOVED, WRITING = "changed on their side", "being written now"
IN_FLIGHT = "in flight, the next push settles it"
FORGOTTEN = "of somebody who was forgotten"
GONE = "its record is archived or gone"
CLOCKS = dt.timedelta(seconds=1)  # how well the difference of two clocks is known: an answer's Date has whole seconds


@attrs.frozen(kw_only=True)
class Reason:
    """
    One thing about a row. cause: in a few words that many rows share; text: for an unexplained one, without values.

    others: keys of rows, or a record's id, that the text is about. agreed, ours, theirs: in normal form.
    """

    verdict: str
    cause: str
    field: str = ""
    text: str = ""
    others: tuple[str, ...] = ()
    has_values: bool = False
    agreed: str | None | Never = NEVER
    ours: str | None = None
    theirs: str | None = None


@attrs.frozen(kw_only=True)
class Judged:
    """One row, or several with one key, and why it is what it is; an empty key: it has none."""

    key: str
    id: str | None
    verdict: str
    times: int = 1
    reasons: tuple[Reason, ...] = ()


@attrs.frozen(kw_only=True)
class Item:
    """One row as it is verified, what the warehouse marked about it, and whether no push would look at its record."""

    row: Row
    is_settled: bool = False
    is_shared: bool = False
    is_sending: bool = False
    is_written: bool = False


@attrs.frozen(kw_only=True)
class Known:
    """
    All that was looked up about rows in question. by_key: what holds a row's key on their side; by_id: records by the
    id that they were asked for by; edges: what edge columns come to, by key (`bare`); shared: the keys that
    the snapshot has a record under, by id; writes, moved: who wrote a property last, and when it last changed there.
    is_pushing: somebody writes such records right now. skew: the API's clock minus ours.
    """

    standing: Standing = attrs.field(factory=Standing)
    by_key: Mapping[str, Found] = attrs.field(factory=dict)
    by_id: Mapping[str, Found] = attrs.field(factory=dict)
    edges: Mapping[str, Decided] = attrs.field(factory=dict)
    shared: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    writes: Mapping[str, Mapping[str, Written]] = attrs.field(factory=dict)
    moved: Mapping[str, Found] = attrs.field(factory=dict)
    is_pushing: bool = False
    skew: dt.timedelta = dt.timedelta(0)


class Judging:
    """Judges row after row of one mapping."""

    def __init__(self, outbound: Outbound, shape: Shape) -> None:
        self._outbound, self._shape = outbound, shape
        self._deciding = Deciding(outbound, shape)
        self._then: dict[str, Rule] = {}

    def is_plain(self, item: Item, found: Found | None) -> bool:
        """Tell whether a row and its record agree, and nothing else is to be asked about it."""
        row = item.row
        if item.is_shared or item.is_sending or item.is_written or row.times > 1 or row.unfit or row.agreed is None:
            return False
        if row.links or row.state != LIVE:
            return False
        if not item.is_settled or found is None or found.is_archived or found.id != row.id:
            return False
        if row.known_id != row.id:
            return False
        return all(
            self._theirs(name, found) == ours.normal == self._agreed(row, name) for name, ours in row.values.items()
        )

    def is_settled(self, row: Row, *, differs: bool) -> bool:
        """Tell whether no push would ask for the record of a row, as things are."""
        return not differs or self._deciding.is_as_agreed(row)

    def is_unasked(self, row: Row) -> bool:
        """Tell whether a row comes to the same whatever its record holds."""
        if row.key is None or row.times > 1 or row.state == DECLINED:
            return True
        return row.row_hash is None and self._outbound.on_missing == LEAVE

    def asks_for_key(self, item: Item, found: Found | None) -> bool:
        """Tell whether to look for who holds the row's key on their side."""
        return item.row.times == 1 and self._deciding.asks_for_key(item.row, found)

    def bare(self, item: Item, found: Found | None, known: Known) -> tuple[Row, Found | None, Decided]:
        """
        Return a row as its edges are decided about, without what was agreed on them: what comes back as agreed is
        then what is the same on both sides.
        """
        row = item.row
        if item.is_settled or row.row_hash is None:
            kept = PlanRow(key=row.key or "", id=row.id, row_hash=row.row_hash or "", outcome=plan.UNCHANGED)
            return row, found, Decided(kept)
        decided = self._decided(row, found, known)
        return row, found, attrs.evolve(decided, row=attrs.evolve(decided.row, agreed={}))

    def rule(self, field: str) -> Rule:
        """Return the mapping's words for a field."""
        return self._deciding.rule(field)

    def doubtful(self, item: Item, found: Found | None, writes: Mapping[str, Written]) -> list[str]:
        """Return the properties that only a history tells about: theirs alone moved, and a run of ours wrote them."""
        if found is None or found.id != item.row.id:
            return []
        return [name for name in self.moved_ones(item, found) if name in writes and writes[name].id == found.id]

    def moved_ones(self, item: Item, found: Found | None) -> list[str]:
        """Return the properties that differ while ours is what was agreed on: only theirs moved."""
        row = item.row
        if found is None or found.is_archived:
            return []
        return [
            name
            for name, ours in row.values.items()
            if ours.normal == self._agreed(row, name) != self._theirs(name, found)
        ]

    def judge(self, item: Item, found: Found | None, known: Known) -> Judged:
        """Judge one row; *found* is its record, by id where one is known, else by key."""
        row = item.row
        reasons = list(self._reasons(item, found, known))
        if item.is_sending:
            reasons = [
                each for each in reasons if _is_told_in_flight(each, known.standing.open.get(row.key or "", {}))
            ]
        if row.key in known.standing.moving and any(each.verdict == UNEXPLAINED for each in reasons):
            reasons = [Reason(verdict=NOT_PUSHED, cause=WRITING)]
        verdict = next((each for each in VERDICTS if any(reason.verdict == each for reason in reasons)), AGREED)
        return Judged(
            key=row.key or "",
            id=found.id if found is not None else row.id,
            verdict=verdict,
            times=row.times,
            reasons=tuple(reason for reason in reasons if reason.verdict == verdict),
        )

    def _reasons(self, item: Item, found: Found | None, known: Known) -> Iterator[Reason]:
        row = item.row
        if row.key is None:
            yield Reason(verdict=REJECT, cause=f"{self._outbound.match_on or 'the id'} is blank")
            return
        yield from self._about_snapshot(item, known)
        if row.times > 1:
            yield Reason(verdict=REJECT, cause="its key stands in several rows")
            return
        if row.state == DECLINED:
            yield Reason(verdict=LEFT_ALONE, cause="its create was reverted")
            return
        if row.row_hash is None:
            yield from self._left(item, found, known)
            return
        standing = known.standing.rejects.get(row.key, {})
        for unfit in row.unfit:
            yield Reason(verdict=REJECT, cause="a value would be refused", field=unfit.property)
        for name in standing:
            yield Reason(verdict=REJECT, cause="rejected before, and as it was", field=name)
        if not item.is_settled:
            if not standing and not row.unfit:
                yield from self._undecided(item, found, known)
            return
        if found is None or found.is_archived:
            yield from self._without_record(item, found, known)
            return
        yield from self._about_record(item, found, known)
        for name in row.values:
            yield from self._about_field(name, item, found, known)
        yield from self._about_edges(item, known)

    def _about_snapshot(self, item: Item, known: Known) -> Iterator[Reason]:
        """What is odd about our own books, whatever the record holds."""
        row = item.row
        if item.is_sending:
            yield Reason(verdict=NOT_PUSHED, cause=WRITING if known.is_pushing else IN_FLIGHT)
        if item.is_shared:
            others = tuple(each for each in known.shared.get(row.known_id or "", ()) if each != row.key)
            text = "The snapshot has its record under another key as well."
            is_told = known.standing.open.keys() & {row.key, *others}
            verdict = CONFLICT if is_told else UNEXPLAINED
            yield Reason(verdict=verdict, cause="two keys, one record", text=text, others=others)
        if row.state is None and (item.is_written or row.agreed is not None) and not item.is_sending:
            text = "A push wrote it, and the snapshot does not know it."
            yield Reason(verdict=UNEXPLAINED, cause="not in the snapshot", text=text)
        if row.state == LIVE:
            if row.agreed is None:
                text = "The snapshot has it, and not what both sides agreed on."
                yield Reason(verdict=UNEXPLAINED, cause="nothing is agreed", text=text)
            if row.known_id is None:
                text = "The snapshot has it, and not which record it is."
                yield Reason(verdict=UNEXPLAINED, cause="no record", text=text)

    def _left(self, item: Item, found: Found | None, known: Known) -> Iterator[Reason]:
        """Judge a row that left the relation since the last run."""
        on_missing = self._outbound.on_missing
        if on_missing == LEAVE:
            yield Reason(verdict=LEFT_ALONE, cause=f'it left the relation, on_missing = "{LEAVE}"')
            return
        if found is None or found.is_archived:
            return  # gone on both sides
        decided = self._deciding.decide(item.row, found)
        if decided.changes:
            yield Reason(verdict=NOT_PUSHED, cause=f'it left the relation, on_missing = "{on_missing}"')
        if decided.row.outcome == plan.CONFLICT:
            yield Reason(verdict=CONFLICT, cause="it left the relation, and they changed it")
        yield from self._about_edges(item, known)

    def _decided(self, row: Row, found: Found | None, known: Known) -> Decided:
        by_key = known.by_key.get(row.key or "") if row.id is not None else None
        return self._deciding.decide(row, found, known=known.by_id.get(row.known_id or ""), by_key=by_key)

    def _undecided(self, item: Item, found: Found | None, known: Known) -> Iterator[Reason]:
        """Judge a row that the next push decides about."""
        row = item.row
        decided = self._decided(row, found, known)
        if decided.row.outcome == plan.REJECTED:
            yield Reason(verdict=REJECT, cause="it would be rejected", field=decided.row.problems[0].field)
        elif decided.row.outcome == plan.SKIPPED:
            yield Reason(verdict=LEFT_ALONE, cause="creates = false")
        elif found is None or found.is_archived:
            if decided.row.outcome == plan.CONFLICT:
                yield Reason(verdict=CONFLICT, cause=GONE)
            elif decided.changes:
                made = any(each.action == plan.CREATE for each in decided.changes)
                yield Reason(verdict=NOT_PUSHED, cause="to create" if made else "to update")
        else:
            for name in row.values:
                yield from self._about_field(name, item, found, known)
        yield from self._about_edges(item, known)

    def _without_record(self, item: Item, found: Found | None, known: Known) -> Iterator[Reason]:
        """Judge a settled row whose record is not there, or was archived."""
        row = item.row
        if row.id is None:
            return  # told of already
        if "" in known.standing.open.get(row.key or "", {}):
            yield Reason(verdict=CONFLICT, cause=GONE)
            return
        other = known.by_key.get(row.key or "")
        gone = "was archived" if found is not None else "is there no more"
        text = f"Its record {gone} on their side, and no push would look at the row."
        others = () if other is None else (other.id,)
        yield Reason(verdict=UNEXPLAINED, cause=GONE, text=_holder(text, other), others=others)

    def _about_record(self, item: Item, found: Found, known: Known) -> Iterator[Reason]:
        """Judge which record it is that a settled row has."""
        row = item.row
        if row.id is not None and found.id != row.id:
            others = [each for each in known.shared.get(found.id, ()) if each != row.key]
            if others:
                yield Reason(verdict=CONFLICT, cause="its record was merged into another row's")
        other = known.by_key.get(row.key or "")
        if other is not None and other.id != found.id and not other.is_archived:
            text = _holder("The snapshot has another record for it than the one with its key.", other)
            yield Reason(verdict=UNEXPLAINED, cause="another record has its key", text=text, others=(other.id,))

    def _about_field(self, name: str, item: Item, found: Found, known: Known) -> Iterator[Reason]:
        row = item.row
        ours, theirs, agreed = row.values[name].normal, self._theirs(name, found), self._agreed(row, name)
        rules = self._rules(name, row, known)
        if ours == theirs:
            is_odd = item.is_settled and agreed not in (NEVER, ours) and all(each.policy == SKIP for each in rules)
            if is_odd and name not in known.standing.settled.get(row.key or "", {}):
                text = "Both sides have what the snapshot does not have as agreed, though it was made from this row."
                yield self._unexplained(name, "agreed on another value", text, agreed, ours, theirs)
            return
        if agreed == ours:
            yield from self._theirs_moved(name, item, found, known)
            return
        decisions = [compare.decide(agreed, ours, theirs, each) for each in rules]
        left = next((each for each in decisions if each.verdict is Verdict.LEAVE), None)
        if not item.is_settled:
            yield self._next(name, decisions[0], agreed, rules[0])
        elif name in known.standing.open.get(row.key or "", {}):
            yield Reason(verdict=CONFLICT, cause="left for a person to decide", field=name)
        elif left is not None:
            yield Reason(verdict=LEFT_ALONE, cause=left.setting, field=name)
        elif name in known.standing.settled.get(row.key or "", {}):
            yield Reason(verdict=LEFT_ALONE, cause=known.standing.settled[row.key or ""][name], field=name)
        elif decisions[0].verdict is Verdict.WRITE:
            text = "Ours was never written, and no push would look at the row."
            yield self._unexplained(name, "never written", text, agreed, ours, theirs)
        else:
            text = "The two sides differ, no conflict says so, and no push would look at the row."
            yield self._unexplained(name, "an untold conflict", text, agreed, ours, theirs)

    def _about_edges(self, item: Item, known: Known) -> Iterator[Reason]:
        """Judge the edge columns; of an edge there is no history, so one that is gone was taken away by a person."""
        row, decided = item.row, known.edges.get(item.row.key or "")
        if decided is None:
            return
        told = {each.field for each in decided.row.problems}
        written = {each.edge.kind for each in decided.changes if each.edge is not None}
        open_ones = known.standing.open.get(row.key or "", {})
        for each in decided.row.problems:
            if each.field not in row.links:
                continue
            if each.kind == plan.REJECTED:
                cause = "the record that an edge names is not there"
                cause = FORGOTTEN if each.reason == END_FORGOTTEN else cause
                yield Reason(verdict=REJECT, cause=cause, field=each.field)
            elif each.kind == SETTLED:
                yield Reason(verdict=LEFT_ALONE, cause=each.setting, field=each.field)
            elif not item.is_settled or each.field in open_ones:
                yield Reason(verdict=CONFLICT, cause=_moved(is_agreed=each.has_agreed), field=each.field)
            else:
                text = "The two sides have other edges, no conflict says so, and no push would look at the row."
                yield Reason(verdict=UNEXPLAINED, cause="an untold conflict", field=each.field, text=text)
        if written and not item.is_settled:
            yield Reason(verdict=NOT_PUSHED, cause="an edge to write")
        elif written:
            ends = ", ".join(sorted(written))
            text = f"An edge of ours to {ends} was never written, and no push would look at the row."
            yield Reason(verdict=UNEXPLAINED, cause="an edge never written", text=text)
        else:
            for name in row.links:
                if name not in told and PREFIX + name not in decided.row.agreed:
                    yield Reason(verdict=LEFT_ALONE, cause="an edge left as it is on their side", field=name)

    def _next(self, name: str, decision: Decision, agreed: str | None | Never, rule: Rule) -> Reason:
        """Say what the next push does about a field."""
        if decision.verdict is Verdict.WRITE:
            return Reason(verdict=NOT_PUSHED, cause="to update", field=name)
        if decision.verdict is Verdict.LEAVE:
            return Reason(verdict=LEFT_ALONE, cause=decision.setting, field=name)
        if rule.policy == NEWEST and agreed is not NEVER:
            return Reason(verdict=NOT_PUSHED, cause=f"{decision.setting} is for the next push to decide", field=name)
        return Reason(verdict=CONFLICT, cause=_moved(is_agreed=agreed is not NEVER), field=name)

    def _theirs_moved(self, name: str, item: Item, found: Found, known: Known) -> Iterator[Reason]:
        """Judge a field that is as agreed here and not there: a person changed it, or our write was lost."""
        row = item.row
        ours, theirs = row.values[name].normal, self._theirs(name, found)
        last = known.writes.get(row.key or "", {}).get(name)
        if last is not None and last.is_revert and theirs == self._normal(name, last.after):
            yield Reason(verdict=LEFT_ALONE, cause="reverted", field=name)
            return
        setting = compare.decide(ours, ours, theirs, self._deciding.rule(name)).setting
        history = known.moved.get(found.id) if last is not None and last.id == found.id == row.id else None
        if last is None or history is None:
            yield Reason(verdict=LEFT_ALONE, cause=setting or THEIRS_MOVED, field=name)
            return
        is_before, is_after = theirs == self._normal(name, last.before), theirs == self._normal(name, last.after)
        changed_at = history.moved_at.get(name)
        moment = None if changed_at is None else dt.datetime.fromisoformat(changed_at) - known.skew
        if _is_later(moment, last, is_before=is_before, is_after=is_after, is_blank=theirs is None):
            yield Reason(verdict=LEFT_ALONE, cause=setting or THEIRS_MOVED, field=name)
        elif is_before:
            text = f"Run {last.run} wrote it, they have what was there before, and nobody changed it since."
            yield self._unexplained(name, "a lost write", text, ours, ours, theirs)
        elif is_after:
            text = f"They have what run {last.run} wrote, nobody changed it since, and the snapshot has another value."
            yield self._unexplained(name, "agreed on another value", text, ours, ours, theirs)
        else:
            text = f"Run {last.run} wrote it, they have another value, and nobody changed it since."
            yield self._unexplained(name, "another value than was written", text, ours, ours, theirs)

    def _rules(self, name: str, row: Row, known: Known) -> list[Rule]:
        """Return the mapping's words for a field, of now and of when the snapshot's row was made."""
        now = self._deciding.rule(name)
        words = known.standing.words.get(row.key or "")
        if not words:
            return [now]
        then = Rule(
            policy=(words.get("policies") or {}).get(name, words.get("policy", SKIP)),
            adopt=words.get("adopt", SKIP),
            blanks=(words.get("blanks_by_field") or {}).get(name, words.get("blanks", LEAVE)),
        )
        return [now] if then == now else [now, then]

    def _agreed(self, row: Row, name: str) -> str | None | Never:
        """Return what both sides agreed on, in the normal form of today's definition."""
        value = (row.agreed or {}).get(name, NEVER)
        return value if isinstance(value, Never) else self._normal(name, value)

    def _theirs(self, name: str, found: Found) -> str | None:
        return self._normal(name, found.properties.get(name))

    def _normal(self, name: str, value: str | None) -> str | None:
        return self._shape.properties[name].theirs(value)

    @staticmethod
    def _unexplained(
        name: str, cause: str, text: str, agreed: str | None | Never, ours: str | None, theirs: str | None
    ) -> Reason:
        return Reason(
            verdict=UNEXPLAINED,
            cause=cause,
            field=name,
            text=text,
            has_values=True,
            agreed=agreed,
            ours=ours,
            theirs=theirs,
        )


def judge_stray(stray: Stray) -> Judged:
    """Judge a change that leads to no row of either side."""
    text = f"Run {stray.run} made it, and neither the relation nor the snapshot knows it."
    reason = Reason(verdict=UNEXPLAINED, cause="not in the snapshot", text=text)
    if stray.is_sending:
        reason = Reason(verdict=NOT_PUSHED, cause=IN_FLIGHT)
    return Judged(key=stray.key, id=stray.id, verdict=reason.verdict, reasons=(reason,))


def judge_forgotten(row: PlanRow) -> Judged:
    """Judge a row of somebody who was forgotten; *row* is what a push makes of it: without its key, id and values."""
    reason = Reason(verdict=REJECT, cause=FORGOTTEN)
    return Judged(key=row.key, id=None, verdict=REJECT, times=row.times, reasons=(reason,))


def _is_told_in_flight(reason: Reason, open_ones: Mapping[str, str]) -> bool:
    """
    Tell whether a reason holds whatever became of a write in flight: where it arrived, what it wrote is neither theirs
    nor a conflict, and where it did not, it is not lost.
    """
    if reason.verdict == CONFLICT:
        return reason.field in open_ones
    return reason.verdict == REJECT or reason.cause in (WRITING, IN_FLIGHT)


def _moved(*, is_agreed: bool) -> str:
    return "changed on both sides" if is_agreed else "never agreed"


def _holder(text: str, other: Found | None) -> str:
    return text if other is None else f"{text} Record {other.id} has its key."


def _is_later(moment: dt.datetime | None, last: Written, *, is_before: bool, is_after: bool, is_blank: bool) -> bool:
    """
    Tell whether a property changed on their side after our last write of it; what is not known is taken for that.

    Where they have the value from before it, our own write would be a later change, had it been kept. Where they have
    what it wrote, it is the last one itself. moment: their last change by our clock; None: there is no history, so
    nobody ever gave it a value.
    """
    if moment is None:
        return not is_blank
    ours_at = last.sent_at if is_before else last.ended_at
    if ours_at is None:
        return True
    return moment > ours_at + CLOCKS if is_after and not is_before else moment >= ours_at
