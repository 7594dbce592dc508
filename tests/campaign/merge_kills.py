"""
kill -9 of `hubspot.merge_tickets`: at every I/O call of a small one, before and after each, and at 50 random moments
of a large one.

It runs again until it is done. Then the portal must be what an unbroken run makes of it (`merges_model.py`), every
pair was merged once, no merge was refused, and every write that arrived had its intent in the journal before.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from syncer import plan
from tests.campaign import beds, merges, merges_model, push_beds
from tests.campaign.kills import Victim, victim
from tests.campaign.merges_history import MergeHistory, wrong_in_warehouse
from tests.campaign.merges_model import Model, State
from tests.campaign.merges_portal import Sizes, portal_of
from tests.campaign.push_beds import Moment
from tests.campaign.push_kills import Call
from tests.campaign.push_random_kills import KILL, Aim, End
from tests.operations import MERGE, OperationHome

SMALL = {False: Sizes(tickets=12, groups=4, large=0, most=3), True: Sizes(tickets=6, groups=2, large=0, most=3)}
LARGE, KILLS = 1_500, 50
EVERY = {False: 1, True: 40}  # I/O calls
TRIES, DRAWS = 4, 3
TELL_EVERY = 20  # trials
LEFT, TAKEN_OVER = "left in flight", "lease taken over"
AS_DONE, AS_NOT_DONE = "merge in flight settled as done", "merge in flight settled as not done"
FINISHED, COPIED = "group finished after a kill", "group copied before the kill, merged after it"
MUST_REACH = (LEFT, TAKEN_OVER, AS_DONE, AS_NOT_DONE, FINISHED, COPIED)


@attrs.define
class Kills:
    """What came of a number of kills."""

    what: str
    trials: int = 0
    calls: int = 0
    merges: int = 0
    twice: int = 0  # merges that were sent twice, of which one took effect
    seconds: float = 0.0
    reached: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()) if count)
        calls = f" in {self.calls} I/O calls" if self.calls else ""
        return (
            f"{self.what}: {self.merges} merges{calls}, {self.trials} kills: {len(self.wrong)} wrong; {reached}; "
            f"{self.twice} merges sent twice; {self.seconds:.0f} s"
        )


@attrs.define(kw_only=True)
class Lab:
    """A portal and a warehouse as they are before each run, and what must become of the portal."""

    home: OperationHome
    model: Model
    history: MergeHistory
    before: Moment
    killer: Victim
    done: Kills

    def run(self, **more: Any) -> dict[str, Any]:
        """Run the operation in a process."""
        return push_beds.ordered(self.killer, self.home.home, [MERGE], verb="run", **more)


@contextmanager
def lab_of(backend: str, sizes: Sizes, *, merge_mode: str, seed: int) -> Iterator[Lab]:
    """Serve a portal, in real time."""
    with portal_of(backend, sizes, merge_mode=merge_mode, seed=seed, is_live=True) as home, victim() as killer:
        model = merges_model.model(State.of(home.site.store))
        history = MergeHistory.of(home)
        before = push_beds.taken(home.home)
        done = Kills(f"{backend}, {merge_mode} id, {sizes.tickets:,} tickets", merges=model.merges)
        yield Lab(home=home, model=model, history=history, before=before, killer=killer, done=done)
        push_beds.forget(home.home, before)


def whole(lab: Lab) -> dict[str, Any]:
    """Run it without a kill, and look."""
    ended = lab.run()
    lab.done.wrong += [f"without a kill: {each}" for each in _wrong_with(lab)[:5]]
    return ended


def trial(lab: Lab, aim: End) -> float | None:
    """End a run, run it again until it is done, and look; return how long it took where it was over before."""
    home, done, which = lab.home.home, lab.done, str(aim)
    push_beds.put_back(home, lab.before)
    lab.history.forget()
    first = lab.run(**aim.order)
    time.sleep(0.05)  # what the sandbox had read by then is answered
    done.trials += 1
    killed = _Killed.of(lab)
    found = [*lab.history.unannounced(lab.home, is_timed=True)]
    ended = [first]
    while not push_beds.is_done(ended[-1]) and len(ended) <= TRIES:
        ended.append(lab.run())
    if not push_beds.is_done(ended[-1]):
        found.append(f"not done after {len(ended)} runs: {[each['end'] for each in ended]}")
    else:
        killed.note(lab)
        found += _wrong_with(lab)
        found += merges.wrong_again(lab.home, lab.history)
    done.wrong += [f"{which}: {each}" for each in found[:5]]
    if not push_beds.is_done(first):
        return None
    return float(first["end"]["ended_at"] - first["end"]["began_at"])


def _wrong_with(lab: Lab) -> list[str]:
    found = merges_model.wrong_with(lab.home.site.store, lab.model)
    found += lab.history.wrong_with(lab.home, lab.model, is_timed=True)
    return found + wrong_in_warehouse(lab.home, lab.model)


@attrs.frozen
class _Killed:
    """What stood when a run was killed. in_flight: merges by lost id; took: those that had taken effect, likewise."""

    in_flight: frozenset[str]
    took: frozenset[str]
    written: bool  # something that groups need before they are merged

    @classmethod
    def of(cls, lab: Lab) -> _Killed:
        home = lab.home
        has_changes = home.rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'changes'")
        query = f"SELECT action, id FROM syncer.changes WHERE state = '{plan.SENDING}'"
        sending = home.rows(query) if has_changes else []
        lab.done.reached[LEFT] += bool(sending)
        return cls(
            in_flight=frozenset(id for action, id in sending if action == plan.MERGE),
            took=frozenset(each.lost for each in lab.history.took),
            written=bool(lab.history.history.writes),
        )

    def note(self, lab: Lab) -> None:
        """Count what the runs after the kill had to do."""
        reached, model, history = lab.done.reached, lab.model, lab.history
        reached[AS_DONE] += bool(self.in_flight & self.took)
        reached[AS_NOT_DONE] += bool(self.in_flight - self.took)
        groups = [set(group.members) & self.took for group in model.groups]
        merged = [len(took) for took in groups]
        left = [len(group.members) - 1 - count for group, count in zip(model.groups, merged, strict=True)]
        reached[FINISHED] += any(count and more for count, more in zip(merged, left, strict=True))
        reached[COPIED] += self.written and not self.took
        reached[TAKEN_OVER] += bool(lab.home.rows("SELECT 1 FROM syncer.runs WHERE status = 'broken'"))
        lost = Counter(each.signature for each in history.sent)
        lab.done.twice += sum(count - 1 for count in lost.values())


def everywhere(backend: str, *, merge_mode: str, seed: int, is_short: bool = False, every: int = 1) -> Kills:
    """Kill a small one at each I/O call (or each *every*-th), before and after it; tell how far it is."""
    began = time.monotonic()
    with lab_of(backend, SMALL[is_short], merge_mode=merge_mode, seed=seed) as lab:
        done = lab.done
        done.calls = int(whole(lab)["end"]["calls"])
        for number in range(1, done.calls + 1, every):
            for when in ("before", "after"):
                trial(lab, Call(number, when))
                if done.trials % TELL_EVERY == 0:
                    print(f"  call {number} of {done.calls}: {done}", flush=True)
        done.seconds = time.monotonic() - began
        return done


def anywhere(backend: str, *, merge_mode: str, tickets: int, kills: int, seed: int) -> Kills:
    """Kill a large one at random moments."""
    began, rng = time.monotonic(), random.Random(seed)
    with lab_of(backend, Sizes.of(tickets), merge_mode=merge_mode, seed=seed) as lab:
        done, met = lab.done, 0
        ended = whole(lab)["end"]
        latest = took = ended["ended_at"] - ended["began_at"]
        print(f"{done.what}: {took:.1f} s without a kill", flush=True)
        while met < kills and done.trials < DRAWS * kills:
            over_s = trial(lab, Aim(KILL, rng.uniform(0.05, latest)))
            if over_s is not None:
                latest = (latest + over_s) / 2
                continue
            met += 1
            if met % 10 == 0:
                print(f"  {met} of {kills}: {done}", flush=True)
        done.reached["met"] = met
        if met < kills:
            done.wrong.append(f"{met} of {kills} kills met a run that was under way")
        done.seconds = time.monotonic() - began
        return done


def campaign(*, is_short: bool, seed: int = 1, tickets: int = 0) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    failed, backend = 0, beds.KIND.name
    for merge_mode in ("new",) if is_short else ("new", "primary"):
        done = everywhere(backend, merge_mode=merge_mode, seed=seed, is_short=is_short, every=EVERY[is_short])
        failed += merges.told(done, done.wrong, done.reached, (TAKEN_OVER,) if is_short else MUST_REACH)
    if is_short:
        return failed
    done = anywhere(backend, merge_mode="new", tickets=tickets or LARGE, kills=KILLS, seed=seed)
    return failed + merges.told(done, done.wrong, done.reached, (LEFT, TAKEN_OVER, FINISHED))
