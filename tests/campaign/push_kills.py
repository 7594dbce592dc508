"""
kill -9 at every I/O call of a small push, before it and after it: of creates, updates and associations.

What must hold then is what must hold behind an end at a random moment: see `push_random_kills.py`.
"""

from __future__ import annotations

import random
import time
from typing import Any

import attrs

from tests.campaign import beds
from tests.campaign.push_random_kills import KILL, MUST_REACH, Kills, lab_of, note_whole, trial

SMALL = 5  # creates, as many updates, and the associations of the creates
TELL_EVERY = 20  # trials
EVERY = {False: 1, True: 6}  # I/O calls


@attrs.define
class Call:
    """The end of a push before an I/O call, or behind it."""

    number: int
    when: str
    how: str = KILL
    at: float | None = None

    def __str__(self) -> str:
        return f"{self.how} {self.when} call {self.number}"

    @property
    def order(self) -> dict[str, Any]:
        """At which call the process ends itself."""
        return {"kill_at": self.number, "when": self.when}


def everywhere(backend: str, *, every: int = 1, seed: int = 1) -> Kills:
    """Kill a small push at each I/O call (or each *every*-th), before and after it; tell how far it is."""
    began, rng = time.monotonic(), random.Random(seed)
    with lab_of(backend, SMALL) as lab:
        whole = note_whole(lab)
        calls = whole["end"]["calls"]
        print(f"{backend}: {3 * SMALL} changes in {calls} I/O calls", flush=True)
        for number in range(1, calls + 1, every):
            for when in ("before", "after"):
                trial(lab, Call(number, when), rng)
                if lab.done.trials % TELL_EVERY == 0:
                    print(f"  call {number} of {calls}: {lab.done}", flush=True)
        lab.done.seconds = time.monotonic() - began
        return lab.done


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    done = everywhere(beds.KIND.name, every=EVERY[is_short], seed=seed)
    print(f"{beds.KIND.name}: {done}", flush=True)
    for what in done.wrong[:10]:
        print(f"  {what}")
    missed = [what for what in MUST_REACH if not done.reached[what] and not (is_short and what == MUST_REACH[-1])]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(done.wrong) + len(missed)
