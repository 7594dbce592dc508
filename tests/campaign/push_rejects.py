"""
Bad rows that only the portal can tell, one or several in each batch of a hundred: a value of a unique property that a
record of a person's got after the plan was made, and one that a rule forbids which the portal got after that.

All other rows must be written, each bad one must be a reject with its reason, and finding them may cost at most 8
requests a batch with one bad row, 15 with two, 8 for each where there are more; none where trace ids are honoured. A
further push sends nothing. (An answer says no more than that a batch was refused: one bit. Which three of a hundred
rows are bad takes 18 of them, log2 of 161,700, so that 15 are not enough.)
"""

from __future__ import annotations

import random
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

from syncer.plan import CREATE, UPDATE, Change
from syncer.sandbox.hubspot.model import Definition
from syncer.tally import Pushed
from tests.campaign import beds, push_beds
from tests.campaign.push_beds import Moment
from tests.outbound import KEY, PushHome, at_home, counted, portal

BATCH = 100
BATCHES = {False: 10, True: 1}  # of creates, and as many of updates
SEVERAL = {False: (1, 2, 3), True: (1, 2)}  # bad rows in each batch
MOST = {1: 8, 2: 15, 3: 24}  # requests more a batch
TAKEN, RULE = "taken", "rule"
REASONS = {TAKEN: "already", RULE: "phone"}  # what a reason must say
MUST_REACH = ("batch halved", "told by trace", TAKEN, RULE)


@attrs.define
class Rejects:
    """What came of it."""

    rows: int = 0
    bad: int = 0
    reached: Counter[str] = attrs.field(factory=Counter)
    extra: dict[str, int] = attrs.field(factory=dict)  # the most requests more of a batch, by what it was
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        extra = ", ".join(f"{what}: {count}" for what, count in self.extra.items())
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()))
        return (
            f"{self.rows:,} rows, {self.bad} of them bad: {len(self.wrong)} wrong; {reached}; {self.seconds:.0f} s\n"
            f"  requests more, a batch at the most: {extra}"
        )


@attrs.define(kw_only=True)
class Lab:
    """A portal and a warehouse with a plan that nobody has applied."""

    home: PushHome
    count: int
    before: Moment
    done: Rejects


def row(number: int, *, is_old: bool = False) -> dict[str, Any]:
    """Make a row of the relation."""
    return {
        KEY: f"k{number}",
        "name": f"Company {number}",
        "phone": f"old {number}" if is_old else f"new {number}",
        "vat": f"old{number}" if is_old else f"v{number}",
    }


@contextmanager
def lab_of(backend: str, batches: int) -> Iterator[Lab]:
    """Serve a portal in which every second company is there."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-rejects-"))
    site, count = portal(), batches * BATCH
    vat = Definition(name="vat", label="VAT", type="string", field_type="text", group_name="g", has_unique_value=True)
    site.store.define("companies", vat)
    try:
        with at_home(folder, backend, site=site) as plain:
            home = plain.with_words(max_creates="off")
            push_beds.fill(home, "companies", [row(number, is_old=True) for number in range(count)])
            assert home.push().counts.created == count
            push_beds.fill(home, "companies", [row(number) for number in range(2 * count)])
            before = push_beds.taken(home)
            yield Lab(home=home, count=count, before=before, done=Rejects())
            push_beds.forget(home, before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def trial(lab: Lab, bad: int, rng: random.Random, *, honours_traces: bool) -> None:
    """Plan, make some rows of each batch bad, apply, and look."""
    home, done = lab.home, lab.done
    push_beds.put_back(home, lab.before)
    home.site.store.rules.pop("companies", None)
    home.site.store.honours_traces = honours_traces
    planned = home.push(is_rehearsal=True)
    changes = changes_of(home, planned.plan)
    chosen = spoiled(home, changes, bad, rng)
    home.sent()
    pushed = home.push(plan=planned.plan)
    asked = Counter(each.rpartition("/")[2] for each in home.sent() if re.search("/batch/(create|update)$", each))
    which = f"{bad} bad in each batch, trace ids {'honoured' if honours_traces else 'ignored'}"
    batches = lab.count // BATCH
    for action in (CREATE, UPDATE):
        extra = asked[action] - batches
        most = 0 if honours_traces else batches * MOST[bad]
        done.extra[f"{action}, {which}"] = -(-extra // batches)
        if extra > most:
            done.wrong.append(
                f"{which}: {asked[action]} requests for {batches} batches of {action}, {most} more are ok"
            )
        done.reached["told by trace" if honours_traces else "batch halved"] += (
            extra == 0 if honours_traces else extra > 0
        )
    done.reached.update(chosen.values())
    done.rows += 2 * lab.count
    done.bad += len(chosen)
    done.wrong += [f"{which}: {what}" for what in wrong_with(lab, pushed, chosen)[:5]]


def changes_of(home: PushHome, plan: str) -> list[Change]:
    """Return all changes of a plan."""
    found: list[Change] = []
    while part := _part(home, plan, found[-1].number if found else 0):
        found += part
    return found


def _part(home: PushHome, plan: str, after: int) -> list[Change]:
    from syncer import plans

    warehouse = home.warehouse()
    try:
        with warehouse.transaction() as t:
            return plans.changes(t, plan, after=after)
    finally:
        warehouse.close()


def spoiled(home: PushHome, changes: list[Change], bad: int, rng: random.Random) -> dict[str, str]:
    """Make some changes of each batch bad, by what happens in the portal now; return how, by key."""
    chosen: dict[str, str] = {}
    for action in (CREATE, UPDATE):
        of_action = [change for change in changes if change.action == action]
        for at in range(0, len(of_action), BATCH):
            for change in rng.sample(of_action[at : at + BATCH], bad):
                chosen[change.key] = rng.choice((TAKEN, RULE))
    forbidden = [f"new {key[1:]}" for key, how in chosen.items() if how == RULE]
    if forbidden:
        rule = {"ruleType": "REGEX", "ruleArguments": [f"(?!({'|'.join(forbidden)})$).*"]}
        home.site.store.rules["companies"] = {"phone": [rule]}
    for key, how in chosen.items():
        if how == TAKEN:
            home.make(vat=f"v{key[1:]}")
    return chosen


def wrong_with(lab: Lab, pushed: Pushed, chosen: dict[str, str]) -> list[str]:
    """Say what is not as it should be."""
    home, count = lab.home, lab.count
    found = []
    wanted = {row(number)[KEY]: row(number) for number in range(2 * count) if f"k{number}" not in chosen}
    wanted |= {key: row(int(key[1:]), is_old=True) for key in chosen if int(key[1:]) < count}
    there = {each.properties[KEY]: each.properties for each in home.live() if each.properties.get(KEY)}
    found += [f"{key} is {there.get(key)}" for key, each in wanted.items()
              if {name: there.get(key, {}).get(name) for name in each} != each]  # fmt: skip
    found += [f"{key} is there" for key in chosen if key in there and key not in wanted]
    creates = sum(int(key[1:]) >= count for key in chosen)
    told = (pushed.counts.created, pushed.counts.updated, pushed.counts.rejected, pushed.counts.read)
    if told != (count - creates, count - (len(chosen) - creates), len(chosen), 2 * count):
        found.append(f"its counts are {pushed.counts}, and {len(chosen)} rows were bad")
    rejects = dict(home.rows("SELECT key, reason FROM syncer.rejects WHERE scope = 'push'"))
    found += [f"{key} ({how}) was rejected for {rejects.get(key)}" for key, how in chosen.items()
              if REASONS[how] not in (rejects.get(key) or "")]  # fmt: skip
    found += [f"{key} is a reject" for key in rejects if key not in chosen]
    home.push()  # the portal's rules are others: it tries once more
    home.writes()
    last = home.push()
    if home.writes() or last.counts.rejected != len(chosen):
        found.append(f"a push after two pushes is not empty: {last}")
    return found + push_beds.left_open(home) + counted.sums_wrong(home)


def run(backend: str, *, is_short: bool, seed: int) -> Rejects:
    """Run all forms."""
    began, rng = time.monotonic(), random.Random(seed)
    with lab_of(backend, BATCHES[is_short]) as lab:
        for honours_traces in (True, False):
            for bad in SEVERAL[is_short]:
                trial(lab, bad, rng, honours_traces=honours_traces)
        lab.done.seconds = time.monotonic() - began
        return lab.done


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    done = run(beds.KIND.name, is_short=is_short, seed=seed)
    print(f"{beds.KIND.name}: {done}", flush=True)
    for what in done.wrong[:10]:
        print(f"  {what}")
    missed = [what for what in MUST_REACH if not done.reached[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(done.wrong) + len(missed)
