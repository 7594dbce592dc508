"""
Random days of both sides being edited, push and pull in turn: people edit, make, archive, restore and merge companies,
rows are edited, added, taken away and doubled; faults are on in some pushes, and in some seeds the warehouse of
yesterday is put back. In every other seed the relation is a view over the load table joined with a table of our own.

Held against a model that knows nothing but what both sides were when (`push_judge.py`): what both had in common last
is what may be overwritten. So no field that a person alone edited is overwritten, both sides agree but for what is
reported, a push right after a push is empty, and a pull after a push causes no further push.
"""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from syncer import engine
from syncer.errors import SyncerError
from syncer.sandbox import Clock, Fault
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.tally import Pushed
from tests.campaign import beds, push_beds
from tests.campaign.push_beds import Moment
from tests.campaign.push_history import History
from tests.campaign.push_judge import FIELDS, Judge, Model
from tests.outbound import KEY, START, PushHome, at_home, counted, portal

NAME = "hubspot.companies"
ECHOED = ("industry", "size", "since")  # in a view: as the portal has them, once it was pulled
VALUES: dict[str, tuple[str | None, ...]] = {
    "name": ("Ada", "O'Neil {x}", "Bob", "Cy"),
    "phone": (None, "1", "2", "3"),
    "industry": (None, "a", "b", "ü"),
    "size": (None, "1", "1.0", "2.5", "3"),
    "since": (None, "2026-03-01", "2026-03-02"),
}
KINDS = ("reset_after", "reset_before", "truncate")
ROWS, EDITS = 12, 8  # rows at the beginning, edits of a side a day
TRIES = 4
HOUR_S = 3_600.0
MUST_REACH = (
    *("created", "updated", "lost answer", "open conflict", "alias followed", "left to a person", "key doubled"),
    *("restored base", "pull after push", "named by a merged id", "has an archived record", "shares its record"),
    *("stands in two rows", "blank of ours left", "left, came with a merge", "left, written on a day that is gone"),
)


@attrs.define
class Days:
    """What came of it."""

    days: int = 0
    pushes: int = 0
    compared: int = 0
    reached: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count:,}" for what, count in sorted(self.reached.items()))
        return (
            f"{self.days} days, {self.pushes} pushes, {self.compared:,} fields compared: {len(self.wrong)} wrong; "
            f"{reached}; {self.seconds:.0f} s"
        )


@attrs.define(kw_only=True)
class World:
    """One seed: both sides, the model, and what people know of the portal: all ids that there ever were."""

    home: PushHome
    rng: random.Random
    history: History
    days: Days
    is_view: bool
    judge: Judge
    ids: list[str] = attrs.field(factory=list)  # of records: live, archived and merged away
    made: int = 0

    @property
    def model(self) -> Model:
        """What the judge knows, our own rows among it."""
        return self.judge.model

    def relation(self) -> list[dict[str, Any]]:
        """Ask the warehouse for our side."""
        columns = [KEY, *FIELDS]
        return [dict(zip(columns, row, strict=True)) for row in
                self.home.rows(f"SELECT {', '.join(columns)} FROM stage.companies")]  # fmt: skip

    def fill(self) -> None:
        """Write our own rows into the warehouse, in some order."""
        table = "own" if self.is_view else "companies"
        push_beds.fill(self.home, table, self.rng.sample(self.model.own, len(self.model.own)))

    def begin(self) -> None:
        """Make both sides."""
        for _ in range(ROWS):
            self.add_row()
        for _ in range(3):
            self.ids.append(self.home.make(**self.some_values()).id)
        if not self.is_view:
            self.fill()
            return
        self.pull()
        self.fill()
        echoed = ", ".join(f"CASE WHEN l.id IS NULL THEN o.{name} ELSE CAST(l.{name} AS TEXT) END AS {name}"
                           for name in ECHOED)  # fmt: skip
        self.home.rows(
            f"CREATE VIEW stage.companies AS SELECT o.{KEY}, o.name, o.phone, {echoed} FROM stage.own AS o LEFT JOIN "
            f"(SELECT {KEY}, MAX(id) AS newest FROM load.hubspot_companies WHERE dss_record_state = 'live' "
            f"GROUP BY {KEY}) AS n ON n.{KEY} = o.{KEY} LEFT JOIN load.hubspot_companies AS l ON l.id = n.newest"
        )

    def fill_again(self) -> None:
        """Replace the rows of our own; a view over them stays."""
        table = "own" if self.is_view else "companies"
        columns = ", ".join(f'"{name}"' for name in self.model.own[0])
        rows = self.rng.sample(self.model.own, len(self.model.own))
        values = ", ".join(f"({', '.join(push_beds.quoted(value) for value in row.values())})" for row in rows)
        self.home.rows(f"DELETE FROM stage.{table}")
        self.home.rows(f"INSERT INTO stage.{table} ({columns}) VALUES {values}")

    def some_values(self) -> dict[str, Any]:
        """Return some values of a company."""
        return {name: value for name in FIELDS if (value := self.rng.choice(VALUES[name])) is not None}

    def add_row(self) -> None:
        """Add a row with a key of its own; where the relation names records, it may name one that a person made."""
        self.made += 1
        row: dict[str, Any] = {KEY: f"k{self.made}", **dict.fromkeys(FIELDS), **self.some_values()}
        row["name"] = row["name"] or f"Company {self.made}"
        if not self.is_view:
            row["hs_object_id"] = self.rng.choice(self.ids) if self.ids and self.rng.random() < 0.3 else None
            if row["hs_object_id"]:
                self.model.ids[row[KEY]] = row["hs_object_id"]
                merged = self.home.site.store.merged["companies"]
                self.days.reached["named by a merged id"] += row["hs_object_id"] in merged
        self.model.own.append(row)

    def pull(self) -> None:
        """Pull the companies."""
        self.home.later(600)
        [done] = engine.pull([NAME], settings=self.home.settings, doors=self.home.doors)
        if done.status != "done":
            self.days.wrong.append(f"the pull ended with {done}")

    def edit_here(self) -> None:
        """Change our own rows."""
        rng, own = self.rng, self.model.own
        for _ in range(rng.randint(0, EDITS)):
            what = rng.choices(("edit", "add", "drop", "double"), (12, 2, 1, 0.5))[0]
            if what == "edit":
                row, name = rng.choice(own), rng.choice(FIELDS)
                row[name] = rng.choice(VALUES[name])
            elif what == "add":
                self.add_row()
            elif what == "drop" and len(own) > 5:
                own.remove(rng.choice(own))
            elif what == "double" and not self.is_view:
                own.append({**rng.choice(own), "phone": "9"})
                self.days.reached["key doubled"] += 1
        if rng.random() < 0.3:  # who doubled them takes one away again
            seen: set[str] = set()
            own[:] = [row for row in own if not (row[KEY] in seen or seen.add(row[KEY]))]  # type: ignore[func-returns-value]

    def edit_there(self) -> None:
        """Let people do things in the portal."""
        rng, store = self.rng, self.home.site.store
        self.ids += [each.id for each in self.home.live() if each.id not in self.ids]
        for _ in range(rng.randint(0, EDITS)):
            record = store.find("companies", rng.choice(self.ids))
            what = rng.choices(("edit", "make", "archive", "merge", "key"), (12, 1.5, 1, 1, 0.2))[0]
            if record is None:
                continue
            if record.is_archived:
                if rng.random() < 0.3 and not self.is_taken(record):
                    store.restore("companies", record.id)
            elif what == "edit":
                name = rng.choice(FIELDS)
                store.update("companies", record.id, {name: rng.choice(VALUES[name]) or ""}, source_type="CRM_UI")
            elif what == "make":
                self.ids.append(self.home.make(**self.some_values()).id)
            elif what == "archive":
                store.archive("companies", record.id)
            elif what == "key":
                store.update("companies", record.id, {KEY: ""}, source_type="CRM_UI")
            elif what == "merge":
                other = store.find("companies", rng.choice(self.ids))
                if other is not None and other.id != record.id and not other.is_archived:
                    store.merge_mode = rng.choice(("new", "primary"))
                    self.ids.append(store.merge("companies", record.id, other.id).id)

    def is_taken(self, record: PortalRecord) -> bool:
        """Tell whether a live record has the key of one that would be restored: no portal has a value twice."""
        key = record.properties.get(KEY)
        return bool(key) and any(each.properties.get(KEY) == key for each in self.home.live())


def push(world: World, *, faults: bool = False) -> None:
    """Push until it is done, and have it judged."""
    home, days = world.home, world.days
    home.later(120)
    ours = world.relation()
    world.judge.begun(ours)
    if faults:
        for match in ("/batch/(create|update)$", "/batch/read$"):
            kind = world.rng.choice(KINDS)
            home.sandbox.faults.add(Fault(kind=kind, match=match, times=None, probability=0.4))  # type: ignore[arg-type]
    runs: list[Pushed] = []
    while len(runs) < TRIES and (not runs or runs[-1].status != "done"):
        try:
            runs.append(home.push())
        except SyncerError as error:  # before the first run: nothing was tried
            assert faults, error
            home.sandbox.faults.clear()
            continue
        days.pushes += 1
        home.sandbox.faults.clear()
    days.reached["lost answer"] += home.sandbox.faults.reached["reset_after"] > 0
    is_done = runs[-1].status == "done"
    if is_done:
        days.wrong += counted.read_wrong(home, runs[-1], "stage.companies")
        days.wrong += push_beds.left_open(home)
    else:
        days.wrong.append(f"not done by {len(runs)} pushes: {runs[-1]}")
    world.judge.ended(ours, is_done=is_done)


def one_day(world: World, day: int) -> None:
    """Live a day: both sides are edited, push and pull in turn, then twice more, which must be empty."""
    home, rng, days = world.home, world.rng, world.days
    world.edit_here()
    world.fill_again()
    world.edit_there()
    home.later(HOUR_S)
    if world.is_view and rng.random() < 0.5:
        world.pull()
        if rng.random() < 0.5:
            world.edit_there()
            home.later(60)
    push(world, faults=rng.random() < 0.3)
    empty(world, "a push after the push")
    if world.is_view:
        world.pull()
        empty(world, "a push after a pull after the push", is_read_again=True)
        days.reached["pull after push"] += 1
    days.days += 1


def empty(world: World, what: str, *, is_read_again: bool = False) -> None:
    """
    Push, and say what was sent. is_read_again: a view lost the record whose key a person took away or merged, and has
    our own values there again.
    """
    push(world)
    asked = [each.signature for each in world.history.asked]
    keyed = {each.id for each in world.home.live() if each.properties.get(KEY) in world.model.ids}
    sent = [each for each in asked if not is_read_again or each[2] in {"", *keyed}]
    world.days.reached["view lost its record"] += len(asked) - len(sent)
    if sent:
        world.days.wrong.append(f"{what} is not empty: {sent[:3]}")


def site_of(seed: int) -> HubSpotSite:
    """Make a portal that can be pulled, with a few companies, whose properties are those of the tests of pushes."""
    site = HubSpotSite.generate(
        seed=seed,
        companies=3,
        contacts=0,
        deals=0,
        tickets=0,
        activities=0,
        index_lag_s=0,
        clock=Clock(START, is_frozen=True),
    )
    site.limits = None
    for definition in portal().store.definitions["companies"].values():
        site.store.define("companies", definition)
    return site


def live(seed: int, number_of_days: int, backend: str, days: Days, *, older: bool) -> None:
    """Live one seed."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-days-"))
    rng = random.Random(seed)
    kept: list[tuple[Moment, Model]] = []
    try:
        with at_home(folder, backend, site=site_of(seed)) as plain:
            home = plain.with_words(max_missing_share="off", max_gone_share="off")
            history = History.of(home.site)
            judge = Judge(home=home, history=history, wrong=days.wrong, reached=days.reached)
            world = World(home=home, rng=rng, history=history, days=days, judge=judge, is_view=seed % 2 == 0)
            world.begin()
            for day in range(1, number_of_days + 1):
                at = len(days.wrong)
                if older and kept and rng.random() < 0.15:
                    restored(world, kept[-1])
                if older:
                    kept.append((push_beds.taken(home, with_portal=False), copy.deepcopy(world.model)))
                if len(kept) > 2:
                    push_beds.forget(home, kept.pop(0)[0])
                one_day(world, day)
                days.wrong[at:] = [f"seed {seed}, day {day}: {what}" for what in days.wrong[at:]]
                if len(days.wrong) > at:
                    break  # what comes after may only follow from it
            days.compared += judge.compared
            for moment, _ in kept:
                push_beds.forget(home, moment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restored(world: World, kept: tuple[Moment, Model]) -> None:
    """Put yesterday's warehouse back; every other time our own rows come from where they always came from."""
    moment, model = kept
    own, ids = world.model.own, world.model.ids
    push_beds.put_back(world.home, moment)
    world.judge.model = copy.deepcopy(model)
    if world.rng.random() < 0.5:
        world.model.own = own
        given = {row[KEY]: row["hs_object_id"] for row in own if row.get("hs_object_id")}
        world.model.ids |= {key: ids[key] for key in given if key not in world.model.ids}
        world.fill_again()
    world.judge.restores += 1
    world.days.reached["restored base"] += 1


def campaign(*, is_short: bool, seeds: int = 0, days: int = 0, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    began, done, backend = time.monotonic(), Days(), beds.KIND.name
    seeds, number_of_days = seeds or (2 if is_short else 10), days or (5 if is_short else 30)
    for number in range(seed, seed + seeds):
        live(number, number_of_days, backend, done, older=number % 3 == 0 or is_short)
        done.seconds = time.monotonic() - began
        print(f"{backend}, seed {number}: {done}", flush=True)
    for what in done.wrong[:10]:
        print(f"  {what}")
    missed = [] if is_short else [what for what in MUST_REACH if not done.reached[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(done.wrong) + len(missed)
