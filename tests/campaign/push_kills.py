"""
kill -9 anywhere in a push: at every I/O call of a small one, before and after each, and at random moments of a large
one; of creates and updates.

After each kill the push is run again. Then the portal must equal what was planned, no key may stand in two records,
journal and portal must agree, each write that arrived must have an intent that was written before, and a further push
must have nothing to do.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.campaign import beds
from tests.campaign.kills import victim
from tests.outbound import PushHome, at_home

SMALL, LARGE = 7, 1_000  # creates, and as many updates
RANDOM_KILLS = 100


@attrs.define
class PushKills:
    """What came of a number of kills."""

    trials: int = 0
    killed: int = 0
    settled: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.settled.items()))
        return f"{self.trials} trials, {self.killed} killed: {len(self.wrong)} wrong; {reached}; {self.seconds:.0f} s"


@contextmanager
def home_with(count: int, backend: str) -> Iterator[PushHome]:
    """Serve a portal in which every second company is there already, and agreed on, and its phone has changed here."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-kill-"))
    try:
        with at_home(folder, backend) as home:
            old = [row(number) for number in range(count)]
            home.relation(old)
            assert home.push().counts.created == count
            changed = [{**each, "phone": f"new {each['client_id']}"} for each in old]
            home.relation([*changed, *(row(number) for number in range(count, 2 * count))])
            home.sent()
            yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def row(number: int) -> dict[str, Any]:
    """Make a row of the relation."""
    return {"client_id": str(number), "name": f"Company {number}", "phone": f"old {number}"}


def ordered(killer: Any, home: PushHome, **kill: Any) -> dict[str, Any]:
    """Let a process push, and be killed as ordered."""
    folder = home.settings.base
    trace = folder / "trace.jsonl"
    trace.unlink(missing_ok=True)
    found: dict[str, Any] = killer.told(
        {
            "folder": str(folder),
            "variables": dict(home.settings.variables),
            "tables": dict(home.settings.tables),
            "names": ["hubspot.companies"],
            "verb": "push",
            **kill,
        }
    )
    notes = [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []
    return {**found, "end": next((note for note in notes if note.get("end")), None)}


def wrong_with(home: PushHome, count: int) -> list[str]:
    """Say what is not as it was planned, after the push was run again."""
    found = []
    keys = Counter(each.properties.get("client_id") for each in home.live())
    twice = [key for key, number in keys.items() if number > 1]
    if twice:
        found.append(f"{len(twice)} keys stand in two records: {twice[:3]}")
    if len(keys) != 2 * count:
        found.append(f"{len(keys)} of {2 * count} companies are there")
    phones = home.values("phone")
    stale = [key for key in map(str, range(count)) if phones.get(key) != f"new {key}"]
    if stale:
        found.append(f"{len(stale)} updates are not there: {stale[:3]}")
    sending = home.rows("SELECT COUNT(*) FROM syncer.changes WHERE state = 'sending'")[0][0]
    if sending:
        found.append(f"{sending} changes are in flight for ever")
    done = home.rows(
        "SELECT key, COUNT(*) FROM syncer.changes WHERE state = 'done' AND action = 'create' GROUP BY key "
        "HAVING COUNT(*) > 1"
    )
    if done:
        found.append(f"the journal has {len(done)} creates done twice")
    running = home.rows("SELECT COUNT(*) FROM syncer.runs WHERE status = 'running'")[0][0]
    if running:
        found.append(f"{running} runs run for ever")
    return found + _sums(home)


def _sums(home: PushHome) -> list[str]:
    """Say which runs do not count each row once."""
    found = []
    for run, read, counts in home.rows("SELECT run, read, counts FROM syncer.runs WHERE counts IS NOT NULL"):
        told = json.loads(counts)
        total = sum(
            value
            for name, value in told.items()
            if isinstance(value, int) and not name.startswith(("also_", "associated", "disassociated"))
        )
        if read != total:
            found.append(f"run {run} read {read}, and its counts are {told}")
    return found


def trial(killer: Any, home: PushHome, count: int, done: PushKills, **kill: Any) -> None:
    """Kill a push, push again, and look."""
    ended = ordered(killer, home, **kill)
    done.trials += 1
    done.killed += ended["end"] is None
    states = home.rows("SELECT state, COUNT(*) FROM syncer.changes GROUP BY state") if _has_changes(home) else []
    in_flight = dict(states).get("sending", 0)
    writes = sum("/batch/create" in each or "/batch/update" in each for each in home.sent())
    done.settled["with changes in flight"] += bool(in_flight)
    again = home.push(wait_s=20)
    done.settled["settled by reading back"] += any("ended in the middle" in note for note in again.notes)
    more = sum("/batch/create" in each or "/batch/update" in each for each in home.sent())
    done.settled["needed no further write"] += in_flight > 0 and not more
    if again.status != "done":
        done.wrong.append(f"{kill}: the next push ended with {again}")
    done.wrong += [f"{kill}: {what}" for what in wrong_with(home, count)]
    last = home.push()
    if last.counts.unchanged != 2 * count or home.writes():
        done.wrong.append(f"{kill}: a push after the push is not empty: {last.counts}")
    assert writes >= 0


def _has_changes(home: PushHome) -> bool:
    return bool(home.rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'changes'"))


def everywhere(backend: str, *, every: int = 1) -> PushKills:
    """Kill a small push at each I/O call (or each *every*-th), before and after it."""
    began = time.monotonic()
    done = PushKills()
    with victim() as killer:
        with home_with(SMALL, backend) as home:
            whole = ordered(killer, home)
            assert whole["end"] is not None, whole
            calls = whole["end"]["calls"]
            done.wrong += wrong_with(home, SMALL)
        for number in range(1, calls + 1, every):
            for when in ("before", "after"):
                with home_with(SMALL, backend) as home:
                    trial(killer, home, SMALL, done, kill_at=number, when=when)
    done.seconds = time.monotonic() - began
    return done


def at_random(backend: str, *, kills: int, count: int = LARGE, seed: int = 1) -> PushKills:
    """Kill a large push at random moments."""
    began = time.monotonic()
    done, rng = PushKills(), random.Random(seed)
    with victim() as killer:
        with home_with(count, backend) as home:
            whole = ordered(killer, home)
            assert whole["end"] is not None, whole
            took = whole["seconds"]
        for _ in range(kills):
            with home_with(count, backend) as home:
                trial(killer, home, count, done, kill_after_s=rng.uniform(0.05, took))
    done.seconds = time.monotonic() - began
    return done


def campaign(*, is_short: bool) -> int:
    """Kill everywhere and at random; print the figures; return how many things were wrong."""
    backend = beds.KIND.name
    total = 0
    for name, found in (
        ("at every I/O call", everywhere(backend, every=5 if is_short else 1)),
        ("at random moments", at_random(backend, kills=3 if is_short else RANDOM_KILLS)),
    ):
        print(f"{backend}, {name}: {found}", flush=True)
        for what in found.wrong[:5]:
            print(f"  {what}")
        total += len(found.wrong)
    return total
