"""
What happens between a plan and its apply: rows of the warehouse change, people change fields, archive, merge and make
records, and words of the mapping change, there and sometimes back; in random order, a row's events being one
interleaving.

A second look at plan and portal, just before the apply, says what must come of each change. No field may be written
that the plan did not show, nor one that had moved; each record that moved must be named with a reason; a plan under
changed words must be refused, and nothing sent. What changed in the warehouse meanwhile is for the next push.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from syncer.errors import UsageError
from syncer.plan import CREATE, DONE, MOVED, SAME, Change
from syncer.sandbox.hubspot.model import PortalRecord
from tests.campaign import beds, push_beds, push_history
from tests.campaign.push_history import PERSON, History
from tests.outbound import KEY, PushHome, at_home, counted

ROWS = 25
ROUNDS = {False: 40, True: 3}  # of so many rows each
FIELDS = ("name", "phone", "industry")
VALUES = ("a", "b", "c", None)
WORDS = (("policy", "ours"), ("blanks", "clear"), ("adopt", "ours"), ("on_missing", "archive"), ("creates", False))
MUST_REACH = (
    *("written as planned", "moved record", "there already", "record gone", "made by a person", "alias followed"),
    *("refused for its words", "words there and back", "row changed", "row gone"),
)


@attrs.define
class Met:
    """What came of it."""

    interleavings: int = 0
    events: int = 0
    reached: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()))
        return (
            f"{self.interleavings:,} interleavings of {self.events:,} events: {len(self.wrong)} wrong; {reached}; "
            f"{self.seconds:.0f} s"
        )


@attrs.define(kw_only=True)
class Lab:
    """A portal, a relation as we know it, and what came of all rounds."""

    home: PushHome
    rng: random.Random
    history: History
    rows: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    met: Met = attrs.field(factory=Met)
    made: int = 0

    def new_row(self) -> None:
        """Add a row with a key of its own."""
        self.made += 1
        key = f"k{self.made}"
        self.rows[key] = {KEY: key, "name": key, "phone": self.rng.choice(VALUES), "industry": self.rng.choice(VALUES)}

    def change_row(self, key: str) -> None:
        """Change a row here."""
        name = self.rng.choice(FIELDS[1:])
        self.rows[key] = {**self.rows[key], name: self.rng.choice(VALUES)}

    def filled(self) -> None:
        """Put the rows into the warehouse, in some order."""
        push_beds.fill(self.home, "companies", self.rng.sample(list(self.rows.values()), len(self.rows)))

    def record(self, key: str) -> PortalRecord | None:
        """Return the live record with a key."""
        return next((each for each in self.home.live() if each.properties.get(KEY) == key), None)

    def person(self, key: str, change: Change | None) -> str:
        """Let a person do something to the record of a key, or make one; return what."""
        record, rng, store = self.record(key), self.rng, self.home.site.store
        if record is None:
            if change is not None and change.action == CREATE and rng.random() < 0.5:
                self.home.make(key, name="theirs")
                return "made by a person"
            return "nothing"
        what = rng.choices(("field", "same", "as planned", "other", "archive", "merge"), (6, 1, 2, 3, 1, 2))[0]
        planned = dict(change.fields) if change is not None else {}
        if what == "archive":
            store.archive("companies", record.id)
        elif what == "merge":
            self.home.site.merge_mode = rng.choice(("new", "primary"))
            other = store.create("companies", {"name": "a double"}, source_type=PERSON)
            pair = (record.id, other.id) if rng.random() < 0.7 else (other.id, record.id)
            store.merge("companies", *pair)
        elif what == "as planned" and planned:
            values = {name: edit.after or "" for name, edit in planned.items()}
            store.update("companies", record.id, values, source_type=PERSON)
        elif what == "same" and planned:
            values = {name: edit.before or "" for name, edit in planned.items()}
            store.update("companies", record.id, values, source_type=PERSON)
        else:
            names = [name for name in FIELDS if (name in planned) is (what == "field")] or list(FIELDS)
            value = rng.choice((*VALUES, "theirs")) or ""
            store.update("companies", record.id, {rng.choice(names): value}, source_type=PERSON)
        return what


def one_round(lab: Lab) -> None:
    """Change both sides, plan, let everything happen, apply, look; then push what is left."""
    home, rng, met = lab.home, lab.rng, lab.met
    while len(lab.rows) < ROWS:
        lab.new_row()
    for key in list(lab.rows):
        if rng.random() < 0.7:
            lab.change_row(key)
    lab.filled()
    planned = home.push(is_rehearsal=True)
    changes = {change.key: change for change in home.changes(planned.plan)}
    words = happened(lab, changes)
    home.later(300)
    lab.history.forget()
    if words:
        refused = under(home, words, planned.plan)
        if "changed since plan" not in refused or lab.history.asked:
            met.wrong.append(f"under other words {words}: {refused}; {len(lab.history.asked)} inputs arrived")
        met.reached["refused for its words"] += 1
    wanted = {key: expected(lab, change) for key, change in changes.items()}
    done = home.push(plan=planned.plan) if changes else None
    if done is not None:
        met.wrong += wrong_with(lab, planned.plan, wanted)[:5]
        if done.status != "done":
            met.wrong.append(f"the apply ended with {done}")
        for state, how in wanted.values():
            met.reached[how] += 1
            met.reached["moved record"] += state == MOVED
    afterwards(lab)
    met.interleavings += ROWS


def under(home: PushHome, words: Mapping[str, Any], plan: str) -> str:
    """Apply a plan under other words; return why it was refused."""
    try:
        return str(home.with_words(**words).push(plan=plan).error)
    except UsageError as error:
        return str(error)


def happened(lab: Lab, changes: Mapping[str, Change]) -> dict[str, Any]:
    """Let the events of all rows happen in one random order; return the words that stay changed."""
    rng, met = lab.rng, lab.met
    events = [key for key in lab.rows for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    rng.shuffle(events)
    for key in events:
        where = rng.random()
        if where < 0.3 and key in lab.rows:
            lab.change_row(key)
            met.reached["row changed"] += 1
        elif where < 0.35 and key in lab.rows:
            del lab.rows[key]
            met.reached["row gone"] += 1
        else:
            lab.person(key, changes.get(key))
    met.events += len(events)
    if lab.rows:
        lab.filled()
    if rng.random() < 0.5:
        return {}
    if rng.random() < 0.3:
        met.reached["words there and back"] += 1
        return {}
    return dict([rng.choice(WORDS)])


def expected(lab: Lab, change: Change) -> tuple[str, str]:
    """Say what must become of a change, by what the portal has now: its state, and why."""
    store = lab.home.site.store
    is_create = change.action == CREATE
    record = lab.record(change.key) if is_create else store.find("companies", change.id or "")
    if is_create and record is None:
        return DONE, "written as planned"
    if record is None or record.is_archived:
        return MOVED, "record gone"
    now = {name: record.properties.get(name) or None for name in change.fields}
    if now == {name: edit.after or None for name, edit in change.fields.items()}:
        return SAME, "there already"
    if is_create:
        return MOVED, "made by a person"
    if now == {name: edit.before or None for name, edit in change.fields.items()}:
        return DONE, "alias followed" if record.id != change.id else "written as planned"
    return MOVED, "field moved"


def wrong_with(lab: Lab, plan: str, wanted: Mapping[str, tuple[str, str]]) -> list[str]:
    """Hold the journal and what was written against what had to come."""
    home, history = lab.home, lab.history
    found = []
    states = {change.key: change for change in home.changes(plan)}
    for key, (state, how) in wanted.items():
        change = states[key]
        is_named = bool(change.reason) or state != MOVED
        if change.state != state or not is_named:
            found.append(f"{key} ({how}) is {change.state} for {change.reason!r}, not {state}: {dict(change.fields)}")
    intents = [intent for intent in push_history.journal(home) if intent.plan == plan]
    survivors = home.site.store.merged["companies"]
    intents += [aliased(intent, survivors) for intent in intents if intent.signature[2] in survivors]
    found += push_history.unannounced(history.asked, intents, is_timed=False)
    found += push_history.overwritten_wrongly(history.writes, intents)
    count = sum(state == DONE for state, _ in wanted.values())
    if len(history.writes) != count:
        found.append(f"{len(history.writes)} records were written, and {count} had to be")
    conflicts = dict(home.rows("SELECT key, reason FROM syncer.conflicts WHERE state = 'open' AND field = ''"))
    for key, (state, how) in wanted.items():
        if state == MOVED and not conflicts.get(key):
            found.append(f"{key} ({how}) is not named: open conflicts {sorted(conflicts)}")
    return found


def aliased(intent: push_history.Intent, survivors: Mapping[str, str]) -> push_history.Intent:
    """Return an intent as it is sent where its record was merged into another since it was planned."""
    action, kind, id, *rest = intent.signature
    return attrs.evolve(intent, signature=(action, kind, survivors[id], *rest))


def afterwards(lab: Lab) -> None:
    """Push what is left: what changed in the warehouse meanwhile arrives, or is named; then nothing is left."""
    home, met = lab.home, lab.met
    lab.history.forget()
    done = home.push()
    if done.status != "done":
        met.wrong.append(f"the push behind the apply ended with {done}")
    open_ones = set(home.rows("SELECT key, field FROM syncer.conflicts WHERE state = 'open'"))
    for key, row in lab.rows.items():
        record = lab.record(key)
        if record is None or (key, "") in open_ones:
            continue
        for name in FIELDS:
            entries = record.history.get(name)
            is_theirs = not entries or entries[-1].source_type != push_history.OURS
            if (record.properties.get(name) or None) != row[name] and not is_theirs and (key, name) not in open_ones:
                met.wrong.append(f"{key}: {name} is {record.properties.get(name)!r} there and {row[name]!r} here")
    home.later(120)
    lab.history.forget()
    if home.push().status != "done" or lab.history.asked:
        met.wrong.append(f"a push after the push sent {[each.signature for each in lab.history.asked][:3]}")
    met.wrong += push_beds.left_open(home) + counted.sums_wrong(home)
    for key in [key for key in lab.rows if lab.record(key) is None or (key, "") in open_ones]:
        del lab.rows[key]  # what has no record of its own any more makes room for others


def run(backend: str, *, rounds: int, seed: int) -> Met:
    """Run so many rounds."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-between-"))
    try:
        with at_home(folder, backend) as plain:
            home = plain.with_words(max_missing_share="off")
            lab = Lab(home=home, rng=random.Random(seed), history=History.of(home.site))
            for _ in range(ROWS):
                lab.new_row()
            lab.filled()
            home.push()
            for number in range(rounds):
                at = len(lab.met.wrong)
                one_round(lab)
                lab.met.wrong[at:] = [f"seed {seed}, round {number}: {what}" for what in lab.met.wrong[at:]]
            lab.met.seconds = time.monotonic() - began
            return lab.met
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    met = run(beds.KIND.name, rounds=ROUNDS[is_short], seed=seed)
    print(f"{beds.KIND.name}: {met}", flush=True)
    for what in met.wrong[:10]:
        print(f"  {what}")
    missed = [] if is_short else [what for what in MUST_REACH if not met.reached[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(met.wrong) + len(missed)
