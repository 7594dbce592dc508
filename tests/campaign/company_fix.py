"""
`hubspot.fix_company_associations` on 2,000 tickets of a stand-in, by both families of paths, and a small one that is
ended by kill -9 at every I/O call, before it and after it, and loses the answer of every request, one at a time.

Each ticket must have the companies that the rule says, with their labels; a second run plans nothing; 20 tickets cost
one request at the most; and at no moment, of which the sandbox watches each, is a ticket without a company.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox.faults import Fault
from syncer.sandbox.hubspot.watching import Watch
from tests.campaign import beds, push_beds
from tests.campaign.kills import Victim, victim
from tests.operations import COMPANY, PRIMARY
from tests.operations.company_home import FIX, OWN, CompanyHome, company_home

LARGE, SMALL = 2_000, 7
PER_REQUEST = 20  # tickets
EVERY = {False: 1, True: 12}  # I/O calls
TRIES = 4
TELL_EVERY = 20  # trials
PLAIN, LABELLED, PRIMARY_ONE, BESIDE, STAND_IN_LABELLED, UNKNOWN, TWICE = range(7)
OFTEN = 20  # of so many tickets one is of each other kind
Companies = dict[str, set[int]]


@attrs.define
class Counts:
    """What came of it."""

    tickets: int = 0
    requests: int = 0
    trials: int = 0
    calls: int = 0
    bare: int = 0
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0


@attrs.define(kw_only=True)
class Lab:
    """A portal, and what each ticket's companies must be in the end."""

    fix: CompanyHome
    expected: dict[str, Companies] = attrs.field(factory=dict)
    left: int = 0  # tickets that must stay with the stand-in

    def fill(self, count: int, *, often: int) -> None:
        """Make so many tickets of the stand-in, of each kind one in *often*."""
        fix, stand_in = self.fix, self.fix.stand_in
        label = fix.label("Payer")
        for _ in range(2):
            fix.company(None, old_number="twice")
        other = fix.company(None, name="Other")
        for number in range(count):
            kind = number % often if number % often < TWICE + 1 else PLAIN
            right = None if kind in (UNKNOWN, TWICE) else fix.company(None, name=f"C{number}", old_number=f"n{number}")
            wanted = {UNKNOWN: f"none{number}", TWICE: "twice"}.get(kind, f"n{number}")
            ticket = fix.ticket(wanted)
            expected: Companies = {stand_in.id: OWN} if right is None else {right.id: OWN}
            self.left += right is None
            if right is not None and kind == LABELLED:
                fix.link(ticket, right, COMPANY, label)
                expected = {right.id: {*OWN, label[1]}}
            if right is not None and kind == PRIMARY_ONE:
                fix.link(ticket, right, COMPANY, PRIMARY)
            if kind == BESIDE:
                fix.link(ticket, other, COMPANY, PRIMARY)
                expected |= {other.id: {COMPANY}}
            if kind == STAND_IN_LABELLED:
                fix.link(ticket, stand_in, label)
            self.expected[ticket.id] = expected

    def wrong(self) -> list[str]:
        """Say which tickets do not have the companies that they must have."""
        return [
            f"ticket {id} has {found}, and must have {expected}"
            for id, expected in self.expected.items()
            if (found := self.fix.of.linked(id, "companies")) != expected
        ]

    def wrong_again(self) -> list[str]:
        """Run it once more: nothing may be planned, and what is left was told."""
        again = self.fix.run()
        found = [f"a second run: {again}"] if again.error or again.exit_code else []
        planned = self.fix.changes(again.plan) if again.plan else []
        return [*found, *([f"a second run plans {len(planned)} changes"] if planned else [])]


@contextmanager
def lab_of(backend: str, count: int, *, often: int, api: str = "v3") -> Iterator[Lab]:
    """Serve a portal with tickets of a stand-in."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-company-fix-"))
    try:
        with company_home(folder, backend, api=api) as fix:
            lab = Lab(fix=fix.words(company_property="old_number", max_disassociations=2 * count))
            lab.fill(count, often=often)
            yield lab
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def large(backend: str, *, api: str, count: int = LARGE) -> Counts:
    """Fix the tickets of a large stand-in; count what it costs."""
    began, done = time.monotonic(), Counts(tickets=count)
    with lab_of(backend, count, often=OFTEN, api=api) as lab:
        log = lab.fix.of.home.sandbox.log
        log.clear()
        ran = lab.fix.run()
        done.requests = len(log)
        if ran.error or ran.counts.rejected != lab.left or ran.counts.updated != count - lab.left:
            done.wrong.append(f"the run: {ran}")
        if done.requests * PER_REQUEST > count:
            done.wrong.append(f"{done.requests} requests for {count} tickets")
        done.wrong += [*lab.wrong()[:5], *lab.wrong_again()]
        done.bare = len(lab.fix.watch.found)
    done.seconds = time.monotonic() - began
    return done


def everywhere(backend: str, *, every: int) -> Counts:
    """Kill a small one at every I/O call, before and after it, and lose the answer of every request."""
    began, done = time.monotonic(), Counts(tickets=SMALL)
    with lab_of(backend, SMALL, often=TWICE + 1) as lab, victim() as killer:
        home = lab.fix.of.home
        told = lab.fix.run(is_rehearsal=True)  # the tables are there, and who the account is
        before = push_beds.taken(home)
        home.sandbox.log.clear()
        whole = _ordered(lab, killer)
        done.calls, done.requests = int(whole["end"]["calls"]), len(home.sandbox.log)
        done.wrong += [f"unharmed: {each}" for each in (*lab.wrong(), *_unlike(told.counts.updated, lab))]
        for number in range(1, done.calls + 1, every):
            for when in ("before", "after"):
                _trial(lab, killer, before, done, f"kill -9 {when} call {number}", kill_at=number, when=when)
        for number in range(0, done.requests, every):
            _trial(lab, killer, before, done, f"answer {number} lost", skip=number)
        push_beds.forget(home, before)
    done.seconds = time.monotonic() - began
    return done


def _unlike(planned: int, lab: Lab) -> list[str]:
    return [] if planned == SMALL - lab.left else [f"{planned} tickets planned of {SMALL - lab.left}"]


def _ordered(lab: Lab, killer: Victim, **more: Any) -> dict[str, Any]:
    return push_beds.ordered(killer, lab.fix.of.home, [FIX], verb="run", **more)


def _trial(
    lab: Lab, killer: Victim, before: push_beds.Moment, done: Counts, which: str, skip: int | None = None, **kill: Any
) -> None:
    """Go back to the beginning, run it, harm it once, run it until it is done, and look."""
    home = lab.fix.of.home
    push_beds.put_back(home, before)
    watch: Watch = home.site.store.watch_bare("tickets", "companies")
    if skip is not None:
        home.sandbox.faults.add(Fault(kind="reset_after", match="", skip=skip, times=1))
    done.trials += 1
    if done.trials % TELL_EVERY == 0:
        print(f"  {which} of {done.calls}: {done.trials} trials, {len(done.wrong)} wrong", flush=True)
    ended = [_ordered(lab, killer, **kill)]
    while not push_beds.is_done(ended[-1]) and len(ended) <= TRIES:
        ended.append(_ordered(lab, killer))
    home.sandbox.faults.clear()
    found = [] if push_beds.is_done(ended[-1]) else [f"not done after {len(ended)} runs: {ended[-1]['end']}"]
    found += [*lab.wrong(), *push_beds.left_open(home), *lab.wrong_again()]
    done.bare += len(watch.found)
    watch.stop()
    done.wrong += [f"{which}: {each}" for each in found[:5]]


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    backend, wrong = beds.KIND.name, 0
    for api in ("v3",) if is_short else ("v3", "2026-09"):
        done = large(backend, api=api)
        share = f"{done.tickets / done.requests:.1f} a request"
        print(f"{backend}, {api}: {done.tickets:,} tickets in {done.requests} requests, {share}; {_ended(done)}")
        wrong += _told(done)
    done = everywhere(backend, every=EVERY[is_short])
    of = f"{done.tickets} tickets in {done.calls} I/O calls, {done.requests} of them requests"
    print(f"{backend}: {of}: {done.trials} kills and lost answers; {_ended(done)}")
    return wrong + _told(done)


def _ended(done: Counts) -> str:
    return f"{done.bare} moments without a company; {len(done.wrong)} wrong; {done.seconds:.0f} s"


def _told(done: Counts) -> int:
    for what in done.wrong[:10]:
        print(f"  {what}")
    return len(done.wrong) + done.bare
