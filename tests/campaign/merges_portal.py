"""
A portal with tickets that are one, for the campaigns of merges: made at random from a seed, so that everything that
may be lost is there. What must become of it: `merges_model.py`.

Groups of 2 to 6, some of records that people merged before, some across pipelines; groups of a value that is as good
as blank; tickets of their own. Texts that repeat, that were joined before, that are too long; blanks of each kind; one
company, contact or deal that several tickets of a group have under other labels; tickets that are associated with
tickets of other groups.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from syncer import engine
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.model import Pipeline, PortalRecord, Stage
from tests.conftest import MovableClock
from tests.operations import MERGE, SAME, OperationHome, define, operation_home

TICKETS = "hubspot.tickets"
STAGE_OF = {"0": "1", "1": "11"}
KEEP = {
    "steps": "concatenate",
    "longest_note": "longest",
    "first_note": "first",
    "last_note": "last",
    "parts": "union",
}
TEXTS = ("steps", "longest_note", "first_note", "last_note", "hs_resolution", "filled_note")
CHOICES = ("a", "b", "c", "d")
SETTLE_S = 0.2  # where time is real: what a portal did not do at once, it does not do here
BLANK_LIKE = ("0", "n/a", "-")
NEEDED: dict[str, Callable[[int], dict[str, str | None]]] = {
    "companies": lambda number: {"name": f"Company {number}"},
    "contacts": lambda number: {"email": f"person{number}@example.com", "firstname": f"Person {number}"},
    "deals": lambda number: {"dealname": f"Deal {number}", "pipeline": "default", "dealstage": "new"},
    "notes": lambda number: {"hs_note_body": f"Note {number}", "hs_timestamp": "2026-02-01T10:00:00Z"},
}


@attrs.frozen(kw_only=True)
class Sizes:
    """How many tickets there are, groups of 2 to 6 among them, and how large the three groups are that must stay."""

    tickets: int
    groups: int
    large: int
    most: int = 6

    @classmethod
    def of(cls, tickets: int) -> Sizes:
        """Return the sizes of the issue, as a share of so many tickets."""
        return cls(tickets=tickets, groups=tickets * 8 // 100, large=max(11, tickets * 6 // 100))


class BothClocks(MovableClock):
    """A clock that moves the portal's with it: what is waited for there takes place."""

    def __init__(self, site: HubSpotSite) -> None:
        super().__init__()
        self._site = site

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._site.clock.advance(seconds)


@contextmanager
def portal_of(
    backend: str,
    sizes: Sizes,
    *,
    merge_mode: str,
    api: str = "v3",
    seed: int = 1,
    is_live: bool = False,
    **words: Any,
) -> Iterator[OperationHome]:
    """Serve a portal of these sizes, its tickets pulled; *is_live*: time runs as it does, as processes need it."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-merges-"))
    try:
        with operation_home(folder / "home", backend, merge_mode=merge_mode, api=api) as home:
            Filling(home, random.Random(seed)).fill(sizes)
            home.words(max_merges="off", keep=KEEP, **words)
            set_clock(home, is_live=is_live)
            for done in engine.pull([TICKETS], settings=home.home.settings, doors=home.home.doors):
                assert done.status == "done", done
            home.home.sandbox.log.clear()
            yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def set_clock(of: OperationHome, *, is_live: bool) -> None:
    """Let both sides have one time."""
    home = of.home
    clock: Any = BothClocks(home.site)
    ahead = home.site.clock.now() - clock.now()
    MovableClock.advance(clock, ahead.total_seconds())
    if is_live:
        clock = SystemClock()
        home.site.clock.advance(max(0.0, time.time() - home.site.clock.now().timestamp()))
        home.site.clock.unfreeze()
        home.settings = attrs.evolve(home.settings, tables={**home.settings.tables, "push": {"settle_s": SETTLE_S}})
    home.clock = clock
    home.doors = attrs.evolve(home.doors, clock=clock, budget=Budget(home.settings.base / "cache", clock=clock))


@attrs.define
class Filling:
    """Makes the records of a portal, as people would."""

    home: OperationHome
    random: random.Random
    _others: dict[str, list[PortalRecord]] = attrs.field(factory=dict)
    _labels: dict[str, list[tuple[str, int]]] = attrs.field(factory=dict)
    _tickets: list[PortalRecord] = attrs.field(factory=list)

    def fill(self, sizes: Sizes) -> None:
        """Make everything."""
        self._define()
        for kind, share in (("companies", 10), ("contacts", 10), ("deals", 20), ("notes", 2)):
            count = 6 + sizes.tickets // share
            self._others[kind] = [self.home.site.store.create(kind, NEEDED[kind](each)) for each in range(count)]
        left = sizes.tickets
        for number in range(sizes.groups):
            left -= len(self._group(number, sizes.most))
        for value in BLANK_LIKE if sizes.large else ():
            for _ in range(sizes.large):
                self._ticket(value)
            left -= sizes.large
        for number in range(max(0, left)):
            self._ticket(None if number % 3 == 0 else f"own{number}")
        self._link_tickets()
        self.home.site.reset()

    def _define(self) -> None:
        site, store = self.home.site, self.home.site.store
        store.pipelines["tickets"]["1"] = Pipeline(
            id="1", label="Second", stages=[Stage(id="11", label="New", display_order=0, metadata={})]
        )
        for name in TEXTS[:4] + TEXTS[5:]:
            define(site, "tickets", name)
        define(site, "tickets", "own_key", has_unique_value=True)
        options = [{"value": each, "label": each.upper()} for each in CHOICES]
        define(site, "tickets", "parts", type="enumeration", field_type="checkbox", options=options)
        for kind, labels in (("companies", ("Reseller", "Payer")), ("contacts", ("Reporter",)), ("deals", ("Cause",))):
            found = [store.add_label("tickets", kind, label) for label in labels]
            self._labels[kind] = [(each.category, each.type_id) for each in found]

    def _group(self, number: int, most: int) -> list[PortalRecord]:
        """Make one group: every tenth across pipelines, every sixth of records that were merged before."""
        size = self.random.randint(2, most)
        near = {kind: self.random.sample(others, 3) for kind, others in self._others.items()}
        is_across, is_chained, is_long = number % 10 == 7, number % 6 == 1, number % 40 == 2
        made = []
        for member in range(size):
            pipeline = "1" if is_across and member == size - 1 else "0"
            ticket = self._ticket(f"group{number}", near=near, pipeline=pipeline, group=number, member=member)
            if is_long:
                words = f"{number}.{member} " + "long " * (20_000 // size)
                self.home.site.store.update("tickets", ticket.id, {"content": words.strip()})
            made.append(ticket)
        if not is_chained:
            return made
        for each in made[:2]:  # somebody merged it before: the value is on what survived
            earlier = self._ticket(None, near=near)
            self._tickets.remove(earlier)
            self._tickets.remove(each)
            self._tickets.append(self.home.site.store.merge("tickets", each.id, earlier.id))
        return made

    def _ticket(
        self,
        same: str | None,
        *,
        near: dict[str, list[PortalRecord]] | None = None,
        pipeline: str = "0",
        group: int = 0,
        member: int = 0,
    ) -> PortalRecord:
        draw = self.random
        if draw.random() < 0.9:  # some are of the same second
            self.home.site.clock.advance(draw.randrange(1, 200))
        number = len(self._tickets)
        given: dict[str, str | None] = {"subject": f"Ticket {number}", "hs_pipeline": pipeline}
        given["hs_pipeline_stage"] = STAGE_OF[pipeline]
        if same is not None:
            given[SAME] = same
        if draw.random() < 0.8:
            given["content"] = self._text(group, member)
        for name in TEXTS:
            if draw.random() < 0.4:
                given[name] = f"{name} {draw.randrange(4)}" + " more" * draw.randrange(3)
        if draw.random() < 0.5:
            given["parts"] = ";".join(draw.sample(CHOICES, draw.randint(1, 3)))
        if draw.random() < 0.3:
            given["own_key"] = f"k{number}-{draw.random()}"
        ticket = self.home.site.store.create("tickets", given)
        self._link(ticket, near)
        self._tickets.append(ticket)
        return ticket

    def _text(self, group: int, member: int) -> str:
        """Make a text: every third one repeats what another of its group may say, some were joined before."""
        draw = self.random.random()
        if draw < 0.35:
            return self.random.choice(
                (f"group {group}  says it", f" group {group} says\nit ", f"group {group} says it")
            )
        if draw < 0.5:
            return (
                f"--- ticket {1_000 + member}, 2026-02-01 10:00 UTC ---\nold {group}.{member}\n\n"
                f"--- ticket {2_000 + member}, 2026-02-02 10:00 UTC ---\ngroup {group} says it"
            )
        return f"text {group}.{member}.{self.random.randrange(10**6)}\nand a second line"

    def _link(self, ticket: PortalRecord, near: dict[str, list[PortalRecord]] | None) -> None:
        for kind, others in self._others.items():
            pool = (near or self._others)[kind]
            for other in self.random.sample(pool, self.random.randint(0, min(2, len(others)))):
                types = [each for each in self._labels.get(kind, ()) if self.random.random() < 0.3]
                self.home.site.store.associate("tickets", ticket.id, kind, other.id, types)

    def _link_tickets(self) -> None:
        """Associate some tickets with others, of their group and of other groups."""
        live = self.home.live()
        for _ in range(len(live) // 10):
            one, other = self.random.sample(live, 2)
            self.home.site.store.associate("tickets", one.id, "tickets", other.id, ())


def run(home: OperationHome, **request: Any) -> Any:
    """Run the operation."""
    return home.run(MERGE, **request)
