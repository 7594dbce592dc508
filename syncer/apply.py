"""
Carry a plan out: the intent is written down, then a batch is sent, then its outcome is written and the snapshot moves.

    read fresh ──► intent (commit) ──► send ──► outcome, snapshot (commit)

What takes something away (a disassociation, a merge, an archive) is sent when what it comes after reads back as it was
written, and not before.

Threads read and send; only this one commits, so that who lost the lease sends nothing more. A batch that was refused
whole is halved until the bad change stands alone; one whose answer was lost is read back. Not here: what reading back
means (`settling.py`), which plan (`pushing.py`).
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import attrs
from loguru import logger

from syncer import following, grounds, linking, moving, plan, plan_journal, settling, settling_edges, settling_merges
from syncer.ahead import ahead
from syncer.clock import Clock
from syncer.conflicts import OPERATION
from syncer.errors import SyncerError
from syncer.mapping import EntityMapping
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, DISASSOCIATE, DONE, MERGE, SENDING, UPDATE, Change
from syncer.plans import READ_AT_ONCE, Header
from syncer.settling_merges import Going, Patience
from syncer.snapshots import Owner
from syncer.target import BATCH, MISSED, REFUSED, BatchRefused, Outcome, Shape, Target, Uncertain
from syncer.warehouses import Lease, Transaction, Warehouse

IN_FLIGHT = 3  # writes to one kind of records at once: HubSpot locks a kind that many write to
NEVER_S = -1.0  # each record is read again
PATIENCE_S = 0.05  # how long an answer is waited for before the warehouse is let go: closing a file costs as much
TRIES = 3  # of a batch whose answer was lost, and that reading back showed not to be done
READ = {MERGE: BATCH // 2, DISASSOCIATE: 10 * BATCH}  # changes whose records one request reads, before it sends less
TAKING = frozenset({DISASSOCIATE, MERGE, ARCHIVE})  # they wait until what they come after reads back
GIVING = frozenset({UPDATE, ASSOCIATE})  # in a plan with merges: what stays gets what the others hold
GOING = 10 * BATCH  # records that are looked at before one that stays gets what they hold
ORDER = (CREATE, UPDATE, ASSOCIATE, DISASSOCIATE, MERGE, ARCHIVE)
OnProgress = Callable[[int, int], None]  # changes that are settled, of how many
T = TypeVar("T")
R = TypeVar("R")


@attrs.frozen
class _Batch:
    """
    Changes of one action that may be sent; of edges, what other columns of their rows are linked to, by number.

    needed: what was done before, and is to read back first; merges tell their outcome themselves, and are none of it.
    going: what is to leave these records, which get what that holds.
    """

    changes: list[Change]
    beside: Mapping[int, set[str]]
    needed: list[Change] = attrs.field(factory=list)
    going: Going = Going()


@attrs.frozen
class _Sent:
    """A batch that was sent: its changes as they are now, and what ended the sending, if anything did."""

    changes: Sequence[Change]
    error: SyncerError | None = None


@attrs.define(kw_only=True)
class Applying:
    """One plan being carried out by one run, under the lease of its kind of records."""

    header: Header
    run: str
    target: Target
    shape: Shape
    match_on: str | None
    warehouse: Warehouse
    lease: Lease  # of the kind of records
    clock: Clock
    fresh_s: float  # a record that was read longer ago is read again before it is written
    settle_s: float = 60.0  # how long a merge, and what is confirmed, is read again where it does not show
    follows: Sequence[EntityMapping] = ()  # mappings of the kind: they follow what is merged
    on_progress: OnProgress | None = None
    settled_ones: int = 0
    _has_going: bool = False
    _stopped: SyncerError | None = None
    _sent_at: dt.datetime | None = None  # when a killed run sent the last of what is settled now

    def carry_out(self) -> None:
        """
        Send what is open in the plan. Raises: what ended it; what was done before stands in the journal.
        """
        self._move_unchanged()
        self._send_open(first_wave=0)

    def settle(self) -> None:
        """
        Settle what an earlier run of the plan left: find out what became of what was in flight, finish groups of
        changes that were begun, and leave the rest pending.
        """
        while True:
            with self.warehouse.transaction() as t:
                changes = plan_journal.in_flight(t, self.header.plan)
                self._sent_at = plan_journal.last_sent(t, self.header.plan)
            self.warehouse.rest(waiting=True)
            if not changes:
                break
            self._settle_in_flight(changes)
        self._sent_at = None
        self._send_open(first_wave=1)  # what comes after something that was done: else it is not sent
        with self.warehouse.transaction() as t:
            plan_journal.leave(t, self.header.plan, states=[plan.PLANNED], as_state=plan.PENDING)

    def unlike(self, changes: Iterable[Change]) -> list[str]:
        """
        Read back what changes wrote that are done; name each whose record does not have it, without a value.

        Raises: what the target raises.
        """
        written = [change for change in changes if change.state == DONE]
        found = [change for part in self._read_back_by_action(written) for change in part if change.state != DONE]
        with self.warehouse.transaction() as t:
            made = plan_journal.ids_made(t, self.header.plan, (change.number for change in found))
        return [_named(change, made[change.number][1]) for change in found]

    def _send_open(self, *, first_wave: int) -> None:
        with self.warehouse.transaction() as t:
            steps = [step for step in plan_journal.steps(t, self.header.plan) if step[0] >= first_wave]
            self._has_going = plan_journal.has_going(t, self.header.plan)
        for wave, action in sorted(steps, key=lambda step: (step[0], ORDER.index(step[1]))):
            self._step(wave, action)
        self.warehouse.rest(waiting=True)

    def _settle_in_flight(self, changes: Sequence[Change]) -> None:
        """Find out what became of changes; what was not done is open again."""
        for known in self._read_back_by_action(changes):
            self._write_down(_Sent(known))

    def _read_back_by_action(self, changes: Iterable[Change]) -> Iterator[list[Change]]:
        """Yield changes in the states that reading back shows, some of one action at a time."""
        by_action: dict[str, list[Change]] = {}
        for change in changes:
            by_action.setdefault(change.action, []).append(change)
        for of_action in by_action.values():
            for at in range(0, len(of_action), BATCH):
                part = self._with_ids(of_action[at : at + BATCH])
                self.warehouse.rest(waiting=True)
                yield settling.settled(
                    self.target, self.shape, part, match_on=self.match_on, patience=self._patience()
                )

    def _with_ids(self, changes: Sequence[Change]) -> list[Change]:
        """Fill in the ids of records that changes of this plan made, in changes that were in flight."""
        if not any(change.after for change in changes):
            return list(changes)
        with self.warehouse.transaction() as t:
            made = plan_journal.ids_made(t, self.header.plan, (each for change in changes for each in change.after))
        return [_filled(change, made) for change in changes]

    def _step(self, wave: int, action: str) -> None:
        batches = self._batches(wave, action)
        read = self._ahead(self._read_fresh, batches, workers=2)
        for sent in self._ahead(self._send, self._intended(self._parted(read, action)), workers=IN_FLIGHT):
            self._write_down(sent)
            if sent.error is not None:
                self._stopped = sent.error
        if self._stopped is not None:
            raise self._stopped

    def _parted(self, batches: Iterator[list[Change]], action: str) -> Iterator[list[Change]]:
        """Yield what was read at once in parts that one request takes."""
        most = self.target.most(action)
        for batch in batches:
            for at in range(0, len(batch), most):
                yield batch[at : at + most]

    def _patience(self) -> Patience:
        """How long what does not show is read again: of what a killed run sent, counted from then on."""
        passed = 0.0 if self._sent_at is None else (self.clock.now() - self._sent_at).total_seconds()
        seconds = min(self.settle_s, max(0.0, self.settle_s - passed))
        return Patience(clock=self.clock, seconds=seconds, since=self.header.made_at)

    def _ahead(self, function: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
        """
        Do work ahead; where its next result is not there soon, the warehouse is let go before it is waited for.

        Most often it is there, and a file that is closed after each commit is written anew each time.
        """
        under_way: deque[threading.Event] = deque()

        def wait() -> None:
            if under_way and not under_way[0].wait(PATIENCE_S):
                self.warehouse.rest(waiting=True)
                under_way[0].wait()

        def watched(drawn: tuple[threading.Event, T]) -> R:
            try:
                return function(drawn[1])
            finally:
                drawn[0].set()

        def draw() -> Iterator[tuple[threading.Event, T]]:
            for item in items:
                under_way.append(threading.Event())
                yield under_way[-1], item
                if len(under_way) > workers:  # they are busy, and have what to do next
                    wait()
            wait()

        for result in ahead(watched, draw(), workers=workers):
            under_way.popleft()
            yield result
            wait()

    def _batches(self, wave: int, action: str) -> Iterator[_Batch]:
        """Yield the open changes of a step, a batch at a time; what comes after a change that failed is left out."""
        limit = READ.get(action) or self.target.most(action)
        has_beside = action == ASSOCIATE and linking.has_several(self.header)
        after = 0
        while self._stopped is None:
            with self.warehouse.transaction() as t:
                found = plan_journal.next_open(t, self.header.plan, wave=wave, action=action, after=after, limit=limit)
                found, going = self._going(t, found)
                made = plan_journal.ids_made(t, self.header.plan, (each for change in found for each in change.after))
                beside = linking.beside(t, self.header.plan, found) if has_beside else {}
                needed = self._needed(t, found) if wave and action in TAKING else []
            self.warehouse.rest(waiting=False)
            if not found:
                return
            after = found[-1].number
            resolved = [self._resolved(change, made) for change in found]
            ready = [change for change in resolved if change.state != plan.LEFT_OUT]
            if ready:
                yield _Batch(ready, beside, needed, going)

    def _going(self, t: Transaction, found: list[Change]) -> tuple[list[Change], Going]:
        """
        Return what leaves the records of changes that give them something, or that link them to such a record of
        their kind, and as many of these changes as it is all of.
        """
        if not (self._has_going and found and found[0].action in GIVING):
            return found, Going()
        name = self.header.plan
        while True:
            ids = {each.id for each in found if each.id}
            ends = {each.edge.id for each in found if each.edge and each.edge.id and each.edge.kind == each.kind}
            is_one = len(found) == 1
            if is_one or len(ids | ends) <= READ_AT_ONCE:
                leaving = plan_journal.going(t, name, ids | ends, limit=GOING)
                if is_one or len(leaving) < GOING:
                    break
            found = found[: len(found) // 2]
        ids |= {each.into for each in leaving if each.into}
        written = plan_journal.written(t, name, ids)
        return found, Going(leaving=leaving, written=written, left=plan_journal.left_by_merges(t, name, ids))

    def _needed(self, t: Transaction, changes: Sequence[Change]) -> list[Change]:
        """Return what changes come after and was done, with the ids that it was written to; no merges."""
        numbers = {each for change in changes for each in change.after}
        found = plan_journal.by_number(t, self.header.plan, numbers)
        made = plan_journal.ids_made(t, self.header.plan, numbers | {each for one in found for each in one.after})
        return [
            attrs.evolve(_filled(each, made), id=made[each.number][1])
            for each in found
            if each.action not in (MERGE, CREATE) and each.state in plan.AGREED_STATES
        ]

    def _resolved(self, change: Change, made: dict[int, tuple[str, str | None]]) -> Change:
        """Fill in the ids of records that changes of this plan made; LEFT_OUT: what it comes after is still open."""
        states = {number: made.get(number, ("", None))[0] for number in change.after}
        if any(state in plan.OPEN_STATES or state == plan.LEFT_OUT for state in states.values()):
            return attrs.evolve(change, state=plan.LEFT_OUT)
        failed = [number for number, state in states.items() if state not in plan.AGREED_STATES]
        if failed:
            reason = f"It comes after change {failed[0]}, which was not done."
            return attrs.evolve(change, state=plan.FAILED, reason=reason)
        return _filled(change, made)

    def _read_fresh(self, drawn: _Batch) -> list[Change]:
        """Read the records of a batch again where they were read too long ago; and what it is to stand on."""
        batch = self._confirmed(drawn) if drawn.needed else drawn.changes
        read_at = self.header.read_at
        is_fresh = read_at is not None and (self.clock.now() - read_at).total_seconds() <= self.fresh_s
        if drawn.going.leaving and not is_fresh:
            batch = settling_merges.as_given(self.target, self.shape, batch, drawn.going)
        open_ones = [change for change in batch if change.state in plan.OPEN_STATES]
        edges = [change for change in open_ones if change.action in plan.OF_EDGES]
        if edges and not is_fresh:
            batch = _replaced(batch, self._named(edges, drawn.going))
            edges = [change for change in batch if change.state in plan.OPEN_STATES]
            return _replaced(batch, self._standing(edges, drawn)) if edges else batch
        taking = [each for each in open_ones if each.action == MERGE or each.into]
        if taking:  # it cannot be undone: each is looked at, however new its plan is
            batch = _replaced(batch, settling_merges.as_planned(self.target, self.shape, taking))
            open_ones = [each for each in open_ones if each.action != MERGE and not each.into]
        looked_at = (UPDATE, ARCHIVE) if self.match_on is None else (UPDATE, ARCHIVE, CREATE)
        asked = [change for change in open_ones if change.action in looked_at]
        if is_fresh or not asked:
            return batch
        found = settling.read_back(self.target, self.shape, asked, match_on=self.match_on)
        left = drawn.going.left if self.header.verb == OPERATION else None  # a push writes through what survived
        checked = []
        for change in asked:
            there, own = found.get(settling.looked_up(change)), None if change.id in drawn.going.staying else left
            checked.append(settling.looks_as_planned(change, there, self.shape, left=own))
        return _replaced(batch, checked)

    def _named(self, edges: Sequence[Change], going: Going) -> list[Change]:
        """Read the records of associations whose ids nothing else looks at: are they the same still?"""
        made = [each for each in edges if each.action == ASSOCIATE and self.header.verb == OPERATION]
        asked = [each for each in made if each.id not in going.staying and not grounds.is_of_own(each)]
        return settling_merges.all_named(self.target, self.shape.kind, asked, going.left)

    def _standing(self, edges: Sequence[Change], drawn: _Batch) -> list[Change]:
        """Return changes of edges as their records are associated now, and as what they were decided on stands."""
        now = settling_edges.as_planned(
            self.target, self.shape.kind, edges, beside=drawn.beside, going=drawn.going.leaving
        )
        return grounds.standing(self.target, now)

    def _confirmed(self, drawn: _Batch) -> list[Change]:
        """Return a batch in which what comes after something that does not read back has failed."""
        unlike = settling.unlike(
            self.target,
            self.shape,
            drawn.needed,
            behind=drawn.changes,
            match_on=self.match_on,
            patience=self._patience(),
        )
        checked = []
        for change in drawn.changes:
            missing = [number for number in change.after if number in unlike]
            if missing and change.state in plan.OPEN_STATES:
                reason = f"It comes after change {missing[0]}, which does not read back as it was written."
                change = attrs.evolve(change, state=plan.FAILED, reason=reason)
            checked.append(change)
        return checked

    def _intended(self, batches: Iterator[list[Change]]) -> Iterator[list[Change]]:
        """Write down what is about to be sent, and what is not to be sent after all."""
        for batch in batches:
            if self._stopped is not None:
                return
            now = self.clock.now()
            intents = [attrs.evolve(each, state=SENDING) for each in batch if each.state in plan.OPEN_STATES]
            others = [each for each in batch if each.state not in plan.OPEN_STATES]
            if others:
                self._write_down(_Sent(others))
            if intents:
                with self.warehouse.transaction() as t:
                    self.lease.check()  # a loss that was met while a later batch was drawn comes out only behind this
                    plan_journal.set_states(t, self.header.plan, intents, run=self.run, now=now)
                self.warehouse.rest(waiting=False)
                yield intents

    def _send(self, batch: list[Change]) -> _Sent:
        """Send a batch, in a thread; an error that ends the sending comes back with what is known."""
        done: list[Change] = []
        try:
            self._send_part(batch, done, tries=TRIES)
        except SyncerError as error:
            known = {change.number for change in done}
            return _Sent([*done, *(each for each in batch if each.number not in known)], error)
        return _Sent(done)

    def _send_part(self, part: Sequence[Change], done: list[Change], *, tries: int) -> None:
        if not part:
            return
        try:
            outcomes = self.target.send(part)
        except BatchRefused as refused:
            self._halve(part, done, refused, tries=tries)
            return
        except Uncertain as error:
            self._read_back(part, done, error, tries=tries)
            return
        done.extend(_judged(part, outcomes))

    def _read_back(self, part: Sequence[Change], done: list[Change], lost: Uncertain, *, tries: int) -> None:
        """Find out what became of a part whose answer was lost, and send again what was not done."""
        known = settling.settled(self.target, self.shape, part, match_on=self.match_on, patience=self._patience())
        again = [change for change in known if change.state == plan.PLANNED]
        done.extend(change for change in known if change.state != plan.PLANNED)
        was_done, of = len(known) - len(again), len(known)
        logger.info("{} {}: an answer was lost; {} of {} were done", part[0].action, self.shape.kind, was_done, of)
        if again and tries <= 1:
            done.extend(attrs.evolve(change, state=plan.PENDING) for change in again)
            raise lost
        self._send_part(again, done, tries=tries - 1)

    def _halve(self, part: Sequence[Change], done: list[Change], refused: BatchRefused, *, tries: int) -> None:
        """Find the bad change: one half is sent; where that is refused, the other one waits, and is sent at last."""
        waiting: list[Change] = []
        suspects = list(part)
        while len(suspects) > 1:
            first, second = suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]
            try:
                outcomes = self.target.send(first)
            except BatchRefused as error:
                refused, suspects = error, first
                waiting += second
            except Uncertain as error:
                self._read_back(first, done, error, tries=tries)
                suspects = []  # whether the bad one was among the first is not known any more
                waiting += second
            else:
                judged = _judged(first, outcomes)
                done.extend(judged)
                if any(each.state == plan.REJECTED for each in judged):  # one alone is told of, and not refused whole
                    suspects = []
                    waiting += second
                else:
                    suspects = second
        done.extend(attrs.evolve(each, state=plan.REJECTED, reason=refused.message) for each in suspects)
        self._send_part(waiting, done, tries=tries)

    def _write_down(self, sent: _Sent) -> None:
        """Commit what became of changes, and move the snapshot by those that were done."""
        now = self.clock.now()
        changes = [
            attrs.evolve(each, state=plan.PENDING) if each.state == plan.PLANNED else each for each in sent.changes
        ]
        settled = [each for each in changes if each.state != SENDING]
        done = [each for each in settled if each.state in plan.AGREED_STATES]
        with self.warehouse.transaction() as t:
            plan_journal.set_states(t, self.header.plan, settled, run=self.run, now=now)
            linking.note_made(t, self.header.plan, done)
            moving.done(t, self.header, self._owner(), done, now=now)
            following.merged(t, self.header, done, self.follows, now=now)
        self.warehouse.rest(waiting=False)
        self.settled_ones += len(settled)
        if self.on_progress is not None:
            self.on_progress(self.settled_ones, self.header.changes)

    def _move_unchanged(self) -> None:
        after, is_more = "", True
        while is_more:
            with self.warehouse.transaction() as t:
                after = moving.unchanged(t, self.header, self._owner(), after=after, now=self.clock.now())
            self.warehouse.rest(waiting=True)  # what was written does not stay in memory
            is_more = bool(after)
        after, is_more = "", bool(self.header.settings.get("edges"))
        while is_more:  # what was seen equal of rows of which an edge is rejected
            with self.warehouse.transaction() as t:
                seen, after = linking.seen(t, self.header, after)
                moving.done(t, self.header, self._owner(), seen, now=self.clock.now())
            is_more = bool(after)

    def _owner(self) -> Owner:
        header = self.header
        return Owner(mapping=header.mapping, environment=header.environment, plan=header.plan, run=self.run)


def _filled(change: Change, made: Mapping[int, tuple[str, str | None]]) -> Change:
    """Return a change with the ids of records that changes of its plan *made*, by number."""
    if change.id is None and change.action != CREATE and change.after:
        change = attrs.evolve(change, id=made[change.after[0]][1])
    edge = change.edge
    if edge is not None and edge.id is None and edge.made_by is not None:
        change = attrs.evolve(change, edge=attrs.evolve(edge, id=made[edge.made_by][1]))
    if change.into_by is not None:  # what the merge before it left: a third record, or the one that was merged into
        change = attrs.evolve(change, into=made[change.into_by][1] or change.into)
    return change


def _replaced(batch: Sequence[Change], now: Iterable[Change]) -> list[Change]:
    """Return a batch with some of its changes as they are *now*."""
    known = {change.number: change for change in now}
    return [known.get(change.number, change) for change in batch]


def _named(change: Change, id: str | None) -> str:
    """Write which change it is, and of what, without a value."""
    what = change.edge.kind if change.edge is not None else ", ".join(change.fields)
    return f"change #{change.number} ({change.action} {change.kind} {id}{f': {what}' if what else ''})"


def _judged(part: Sequence[Change], outcomes: Sequence[Outcome]) -> list[Change]:
    """Return the changes of a batch with what the target said of each; silence is not success."""
    told = {outcome.number: outcome for outcome in outcomes}
    judged = []
    for change in part:
        outcome = told.get(change.number)
        if outcome is None or outcome.state == MISSED:
            reason = "It was not written, and the API did not say why: its id may be no record's any more."
            judged.append(attrs.evolve(change, state=plan.MOVED, reason=reason))
        elif outcome.state == REFUSED:
            judged.append(attrs.evolve(change, state=plan.REJECTED, reason=outcome.reason))
        else:
            judged.append(attrs.evolve(change, state=DONE, id=outcome.id or change.id))
    return judged
