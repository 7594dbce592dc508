"""
A push of creates, updates, associations and the taking away of some: the answer of every single write is lost, one
write at a time, and of all writes at once; by a reset, by an answer that is cut, and once by silence.

Nothing may be there twice, nothing may be lost, and journal and portal must agree, by the same run, or where it gave
up (each answer of a batch was lost three times) by the next ones.
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import requests

from syncer.sandbox import Fault
from tests.campaign import beds, push_beds, push_history
from tests.campaign.push_beds import Moment
from tests.campaign.push_history import History
from tests.outbound import counted
from tests.outbound.edges_home import EdgesHome, edges_at_home

WRITES = r"/batch/(create|update|archive|associate/default|labels/archive)$"
KINDS = ("reset_after", "truncate", "reset_before")
SIZES = {False: 240, True: 25}  # tickets that are there before, and as many new ones
COMPANIES = 6
RUNS = 3  # within so many pushes it must be done
TIMEOUT_S = 1.0
MUST_REACH = ("lost answer settled", "done by the same run", "ended by losses, done by the next run")


@attrs.define
class Lost:
    """What came of losing answers."""

    trials: int = 0
    losses: int = 0
    reached: Counter[str] = attrs.field(factory=Counter)
    twice: int = 0  # inputs that arrived twice
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()))
        return (
            f"{self.trials} trials, {self.losses} answers lost: {len(self.wrong)} wrong; {reached}; {self.twice} "
            f"inputs arrived twice; {self.seconds:.0f} s"
        )


@attrs.define(kw_only=True)
class Lab:
    """A portal and a warehouse as they are before each push."""

    edges: EdgesHome
    count: int
    history: History
    before: Moment
    done: Lost


def before_and_after(number: int, count: int) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return a row as it is agreed on, and as it is pushed: every third changes its company, or has none any more."""
    now = {
        "own_key": f"t{number}",
        "subject": f"Ticket {number}",
        "hs_pipeline": "0",
        "hs_pipeline_stage": "1",
        "company": f"c{number % COMPANIES}",
    }
    if number >= count:
        return None, now
    old = {**now, "subject": f"Old {number}"}
    moved = {0: f"c{(number + 1) % COMPANIES}", 1: None, 2: now["company"]}[number % 3]
    return old, {**now, "company": moved}


@contextmanager
def lab_of(backend: str, count: int) -> Iterator[Lab]:
    """Serve a portal with companies, and tickets that are agreed on."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-lost-"))
    try:
        with edges_at_home(folder, backend) as edges:
            for number in range(COMPANIES):
                edges.make("companies", f"c{number}")
            pairs = [before_and_after(number, count) for number in range(2 * count)]
            push_beds.fill(edges.home, "tickets", [old for old, _ in pairs if old is not None])
            # A ticket that goes to another company loses the first one: an edge is taken away too.
            edges.words("tickets", edges={"company": "companies"}, blanks="clear")
            first = edges.push()
            assert (first.counts.created, first.associated) == (count, count), first
            edges.home.later()
            push_beds.fill(edges.home, "tickets", [new for _, new in pairs])
            before = push_beds.taken(edges.home)
            history = History.of(edges.home.site)
            history.know(edges.home)
            yield Lab(edges=edges, count=count, history=history, before=before, done=Lost())
            push_beds.forget(edges.home, before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def trial(lab: Lab, which: str, *faults: Fault) -> int:
    """Push while faults are on, until it is done, and look; return how many writes there were."""
    home, done = lab.edges.home, lab.done
    push_beds.put_back(home, lab.before)
    lab.history.forget()
    home.sent()
    sandbox = home.sandbox
    reached = sum(sandbox.faults.reached.values())
    for fault in faults:
        sandbox.faults.add(fault)
    runs = [lab.edges.push()]
    while runs[-1].status != "done" and len(runs) < RUNS:
        sandbox.faults.clear()
        home.later(120)
        runs.append(lab.edges.push())
    sandbox.faults.clear()
    lost = sum(sandbox.faults.reached.values()) - reached
    writes = sum(bool(re.search(WRITES, each.path)) for each in sandbox.log)  # the guard's question is one too
    done.trials += 1
    done.losses += lost
    done.twice += len(lab.history.asked) - len({each.signature for each in lab.history.asked})
    done.reached["lost answer settled"] += lost > 0 and runs[0].status == "done"
    done.reached["done by the same run"] += len(runs) == 1
    done.reached["ended by losses, done by the next run"] += len(runs) > 1
    found = [] if runs[-1].status == "done" else [f"not done by {len(runs)} pushes: {runs[-1]}"]
    found += wrong_with(lab)
    lab.history.forget()
    home.later(120)
    last = lab.edges.push()
    if last.counts.unchanged != 2 * lab.count or lab.history.asked:
        found.append(f"a push after the push is not empty: {last}, {len(lab.history.asked)} inputs sent")
    done.wrong += [f"{which}: {what}" for what in found[:4]]
    return writes


def wrong_with(lab: Lab) -> list[str]:
    """Say what is not as it was planned."""
    home, store = lab.edges.home, lab.edges.home.site.store
    companies = {each.id: each.properties["client_id"] for each in store.records["companies"].values()}
    live = [each for each in store.records["tickets"].values() if not each.is_archived]
    keys = Counter(each.properties["own_key"] for each in live)
    found = [f"{key} is in {number} records" for key, number in keys.items() if number > 1]
    there = {
        each.properties["own_key"]: (
            each.properties["subject"],
            sorted(str(companies[id]) for id in store.neighbours("tickets", each.id, "companies")),
        )
        for each in live
    }
    for number in range(2 * lab.count):
        _, row = before_and_after(number, lab.count)
        wanted = (row["subject"], [row["company"]] if row["company"] else [])
        if there.get(row["own_key"]) != wanted:
            found.append(f"{row['own_key']} is {there.get(row['own_key'])}, not {wanted}")
    found += push_history.wrong_with(lab.history, home, key="own_key")
    return found + push_beds.left_open(home) + counted.sums_wrong(home)


def run(backend: str, *, count: int, every: int = 1, with_silence: bool = True) -> Lost:
    """Lose each answer (or each *every*-th) alone, in each way; then all of them, and every second."""
    began = time.monotonic()
    with lab_of(backend, count) as lab:
        writes = trial(lab, "nothing lost")
        print(f"{backend}: {writes} writes without a loss; rows {2 * count}", flush=True)
        lab.done.reached.clear()
        for number, kind in itertools.product(range(0, writes, every), KINDS):
            trial(lab, f"{kind} of write {number + 1}", Fault(kind=kind, match=WRITES, skip=number))  # type: ignore[arg-type]
        for kind in KINDS:
            trial(lab, f"{kind} of all writes", Fault(kind=kind, match=WRITES, times=None))  # type: ignore[arg-type]
            trial(
                lab,
                f"{kind} of half of all writes",
                Fault(kind=kind, match=WRITES, times=None, probability=0.5),  # type: ignore[arg-type]
            )
        if with_silence:
            silence(lab)
        lab.done.seconds = time.monotonic() - began
        return lab.done


def silence(lab: Lab) -> None:
    """Let one write be done and never answered; the transport gives up sooner than it does by itself."""
    home = lab.edges.home
    patient = home.doors

    def send(request: requests.PreparedRequest, session: requests.Session, timeout: tuple[float, float]) -> Any:
        return session.send(request, timeout=(timeout[0], TIMEOUT_S), allow_redirects=False)

    home.doors = attrs.evolve(patient, send=send)
    try:
        trial(lab, "silence", Fault(kind="timeout", match=WRITES, skip=1, hang_s=3 * TIMEOUT_S))
    finally:
        home.doors = patient


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    done = run(beds.KIND.name, count=SIZES[is_short], every=2 if is_short else 1, with_silence=not is_short)
    print(f"{beds.KIND.name}: {done}", flush=True)
    for what in done.wrong[:10]:
        print(f"  {what}")
    missed = [what for what in MUST_REACH if not done.reached[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(done.wrong) + len(missed)
