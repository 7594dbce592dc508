"""
`hubspot.merge_tickets` while answers are lost: of each single write, in each way, and of all of them; with merges that
take place late; in a portal that answers old ids, and in one that does not.

The end must be that of an unharmed run (`merges_model.py`): by the same run, or, where each answer of a change was
lost three times, by the next ones. Nothing is merged twice, and no merge is sent again that was not read first.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from syncer import plan
from syncer.sandbox import Fault
from tests.campaign import beds, merges, merges_model, push_beds
from tests.campaign.merges_history import WRITES, MergeHistory, wrong_in_warehouse
from tests.campaign.merges_model import Model, State
from tests.campaign.merges_portal import Sizes, portal_of, run
from tests.campaign.push_beds import Moment
from tests.operations import OperationHome

SMALL = {False: Sizes(tickets=12, groups=4, large=0, most=3), True: Sizes(tickets=6, groups=2, large=0, most=3)}
RUNS, LATE_S, LATEST_S = 3, 20.0, 600.0
MERGES = r"/merge$"
DONE, NOT_DONE, LATE = "lost answer settled as done", "lost answer settled as not done", "merge that was done late"
BY_IDS, SAME_RUN, NEXT_RUN = "survivor found by merged ids", "done by the same run", "done by a later run"
AFTER_RUN = "merge that was done after its run had ended"
MUST_REACH = (DONE, NOT_DONE, LATE, BY_IDS, SAME_RUN, NEXT_RUN, AFTER_RUN)
FORMS = tuple(
    itertools.product(("new", "primary"), (True, False))
)  # the id that is left; whether old ones are answered
SHORT_FORMS = (("new", False), ("primary", True))
TELL_EVERY = 20  # trials
# The run gives up on it before the portal has done it: the next one must not send it again.
VERY_LATE = "very late, the first merge", Fault(match=MERGES, kind="late", late_s=LATEST_S / 2)
LOSSES: dict[str, dict[str, Any]] = {
    "reset after": {"kind": "reset_after"},
    "reset before": {"kind": "reset_before"},
    "cut": {"kind": "truncate"},
    "502": {"kind": "status", "status": 502, "body": "<html>"},
    "504": {"kind": "status", "status": 504, "body": ""},
    "late": {"kind": "late", "late_s": LATE_S},
}


@attrs.define
class Lost:
    """What came of losing answers."""

    what: str
    trials: int = 0
    losses: int = 0
    merges: int = 0
    sent: int = 0  # merges that were sent
    seconds: float = 0.0
    reached: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()) if count)
        return (
            f"{self.what}: {self.trials} trials, {self.losses} answers lost: {len(self.wrong)} wrong; {reached}; "
            f"{self.merges} merges were sent {self.sent} times; {self.seconds:.0f} s"
        )


@attrs.define(kw_only=True)
class Lab:
    """A portal and a warehouse as they are before each run, and what must become of the portal."""

    home: OperationHome
    model: Model
    history: MergeHistory
    before: Moment
    done: Lost


@contextmanager
def lab_of(backend: str, *, merge_mode: str, answers_old_ids: bool, is_short: bool, seed: int) -> Iterator[Lab]:
    """Serve a small portal."""
    with portal_of(backend, SMALL[is_short], merge_mode=merge_mode, seed=seed) as home:
        home.site.answers_old_ids = answers_old_ids
        model = merges_model.model(State.of(home.site.store))
        history = MergeHistory.of(home)
        before = push_beds.taken(home.home)
        what = f"{backend}, {merge_mode} id, old ids {'answered' if answers_old_ids else 'unknown'}"
        yield Lab(home=home, model=model, history=history, before=before, done=Lost(what))
        push_beds.forget(home.home, before)


def trial(lab: Lab, which: str, *faults: Fault) -> list[str]:
    """Run while faults are on, until it is done, and look; return the paths that were asked to write."""
    home, done, sandbox = lab.home, lab.done, lab.home.home.sandbox
    push_beds.put_back(home.home, lab.before)
    home.site.late.done = home.site.late.dropped = 0
    lab.history.forget()
    sandbox.log.clear()
    lost_before = sum(sandbox.faults.reached.values())
    for fault in faults:
        sandbox.faults.add(fault)
    runs = [run(home)]
    lab.done.reached[AFTER_RUN] += bool(home.site.late.waiting)
    while runs[-1].status != "done" and len(runs) < RUNS:
        sandbox.faults.clear()
        home.home.clock.advance(LATEST_S)
        runs.append(run(home))
    sandbox.faults.clear()
    writes = [each.path for each in sandbox.log if re.search(WRITES, each.path) and each.received > 20]
    losses = sum(sandbox.faults.reached.values()) - lost_before
    done.trials += 1
    done.losses += losses
    done.merges += lab.model.merges
    asked = sum(each.path.endswith("/merge") for each in sandbox.log)
    done.sent += asked
    _note(lab, runs, losses, asked)
    found = [] if runs[-1].status == "done" else [f"not done by {len(runs)} runs: {runs[-1]}"]
    found += merges_model.wrong_with(home.site.store, lab.model)
    found += lab.history.wrong_with(home, lab.model)
    found += wrong_in_warehouse(home, lab.model)
    home.home.clock.advance(LATEST_S)
    found += merges.wrong_again(home, lab.history)
    done.wrong += [f"{which}: {each}" for each in found[:4]]
    return writes


def _note(lab: Lab, runs: list[Any], losses: int, asked: int) -> None:
    reached, history = lab.done.reached, lab.history
    took = {each.lost for each in history.took}
    sent = Counter(each.signature[2] for each in history.sent)
    states = dict(lab.home.rows("SELECT id, MAX(state) FROM syncer.changes WHERE action = 'merge' GROUP BY id"))
    reached[DONE] += losses > 0 and all(sent[id] == 1 for id in took) and states.get(next(iter(took), "")) == plan.DONE
    reached[NOT_DONE] += losses > 0 and asked > len(took) and len(runs) == 1
    reached[LATE] += lab.home.site.late.done > 0
    reached[BY_IDS] += history.by_ids > 0 and losses > 0
    reached[SAME_RUN] += losses > 0 and len(runs) == 1
    reached[NEXT_RUN] += len(runs) > 1


def lose(backend: str, *, merge_mode: str, answers_old_ids: bool, seed: int, is_short: bool = False) -> Lost:
    """Lose answers of one portal in all ways, or in some."""
    began = time.monotonic()
    words = {"merge_mode": merge_mode, "answers_old_ids": answers_old_ids, "is_short": is_short}
    with lab_of(backend, seed=seed, **words) as lab:  # type: ignore[arg-type]
        writes = trial(lab, "nothing lost")
        lab.done.reached.clear()
        for which, fault in _few() if is_short else _all(writes):
            trial(lab, which, fault)
            if lab.done.trials % TELL_EVERY == 0:
                print(f"  {lab.done}", flush=True)
        lab.done.seconds = time.monotonic() - began
        return lab.done


def _few() -> Iterator[tuple[str, Fault]]:
    yield "reset after, the first merge", Fault(match=MERGES, kind="reset_after")
    yield "reset before, the first merge", Fault(match=MERGES, kind="reset_before")
    yield "late, the second merge", Fault(match=MERGES, skip=1, kind="late", late_s=LATE_S)
    yield VERY_LATE
    yield "reset before, half of the writes", Fault(match=WRITES, times=None, probability=0.5, kind="reset_before")


def _all(writes: Sequence[str]) -> Iterator[tuple[str, Fault]]:
    """Yield each answer lost alone, in each way; then those of all merges, and half of all."""
    for number, (which, words) in itertools.product(range(len(writes)), LOSSES.items()):
        if words["kind"] != "late" or writes[number].endswith("/merge"):
            yield f"{which}, write {number + 1}", Fault(match=WRITES, skip=number, **words)
    for which, words in LOSSES.items():
        yield f"{which}, all merges", Fault(match=MERGES, times=None, **words)
        yield f"{which}, half of the writes", Fault(match=WRITES, times=None, probability=0.5, **words)
    yield VERY_LATE


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    failed, total = 0, Counter[str]()
    forms = SHORT_FORMS if is_short else FORMS
    for merge_mode, answers in forms:
        done = lose(beds.KIND.name, merge_mode=merge_mode, answers_old_ids=answers, seed=seed, is_short=is_short)
        total += done.reached
        failed += merges.told(done, done.wrong, done.reached, ())
    missed = [what for what in MUST_REACH if not total[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return failed + len(missed)
