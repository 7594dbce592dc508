"""
Some twenty merges put back. Records that went are there again, under other ids, with the values and the associations
that they had; the survivors have their own again; and what people changed on a survivor since stands.

The portal must be like the one before the merges, record by record and edge by edge, where each new ticket stands for
the one that it says it was, and with what people did in between. A second revert makes nothing, and the next run of
the operation leaves what was put back alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from tests.campaign import beds, merges, merges_model
from tests.campaign.merges_model import DERIVED, Model, State
from tests.campaign.merges_portal import Sizes, portal_of, run
from tests.operations import RESTORED_FROM, OperationHome

SIZES = {False: Sizes(tickets=44, groups=14, large=0, most=4), True: Sizes(tickets=8, groups=3, large=0, most=3)}
UNIQUE = "own_key"
MINE, RECORDS = "a person's words", "a person's associations"
BACK, VALUES, EDGES = "record that came back", "value that a person changed since stands", "association of a person"
HELD, APART, LABELS = "unique value that the survivor has now", "tickets of two groups associated", "label put back"
MUST_REACH = (BACK, VALUES, EDGES, HELD, APART, LABELS)


@attrs.define
class Reverts:
    """What came of it."""

    what: str
    merges: int = 0
    records: int = 0
    edges: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    requests: int = 0
    reached: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()) if count)
        return (
            f"{self.what}: {self.merges} merges put back: {self.records} tickets and {self.edges} associations "
            "made, "
            f"{self.conflicts} conflicts told, {self.requests} requests, {self.seconds:.0f} s; "
            f"{len(self.wrong)} wrong; "
            f"{reached}"
        )


@attrs.define(kw_only=True)
class People:
    """What people did to survivors between the merge and its revert, by the survivor's id before."""

    values: dict[str, dict[str, str]] = attrs.field(factory=dict)
    edges: list[tuple[str, str, frozenset[tuple[str, int]]]] = attrs.field(factory=list)  # to companies

    def work(self, home: OperationHome, model: Model, lives: Mapping[str, str]) -> None:
        """Change a text of every third survivor, and associate every fourth with a company of its own."""
        store = home.site.store
        label = store.add_label("tickets", "companies", "Added later")
        for number, group in enumerate(model.groups):
            now = lives[group.survivor]
            if number % 3 == 0:
                self.values[group.survivor] = {"content": MINE, "steps": MINE}
                store.update("tickets", now, dict(self.values[group.survivor]), source_type="CRM_UI")
            if number % 4 == 0:
                company = home.other("companies", name=f"Later {number}")
                store.associate("tickets", now, "companies", company.id, [(label.category, label.type_id)])
                specs = store.specs("tickets", now, "companies", company.id)
                self.edges.append((group.survivor, company.id, frozenset(specs)))


def put_back(backend: str, *, merge_mode: str, is_short: bool, seed: int) -> Reverts:
    """Merge, let people work, revert, and compare."""
    done = Reverts(f"{backend}, {merge_mode} id")
    with portal_of(backend, SIZES[is_short], merge_mode=merge_mode, seed=seed) as home:
        before = State.of(home.site.store)
        model = merges_model.model(before)
        ran = run(home)
        done.merges = ran.counts.merged
        if ran.error or ran.counts.merged != model.merges:
            done.wrong.append(f"the run: {ran}")
        lives = {id: each.id for each in home.live() for id in (each.id, *each.merged_ids)}
        home.home.clock.advance(600)
        people = People()
        people.work(home, model, lives)
        home.home.clock.advance(600)
        shown = home.revert(ran.run or "", is_rehearsal=True)
        notes = home.notes(shown.plan)
        done.wrong += [f"the plan does not name {each}" for each in ("another id", "timeline") if each not in notes]
        home.home.sandbox.log.clear()
        began = time.monotonic()
        put = home.revert(ran.run or "")
        done.seconds, done.requests = time.monotonic() - began, len(home.home.sandbox.log)
        done.records, done.edges, done.conflicts = put.counts.created, put.associated, put.counts.conflicts
        if put.error:
            done.wrong.append(f"the revert: {put}")
        done.wrong += _Compared(home, before, model, people, lives, done.reached).wrong()[:12]
        done.wrong += _told(home, put.plan, model, people)
        done.wrong += _again(home, ran.run or "")
    return done


def _told(home: OperationHome, plan: str, model: Model, people: People) -> list[str]:
    """Each value of a person's that stands in place of one that the run wrote is a conflict, named with its field."""
    told = Counter(problem["field"] for problem in home.home.problems(plan))
    before = {group.survivor: group for group in model.groups}
    changed = Counter(
        name
        for id, values in people.values.items()
        for name in values
        if before[id].values.get(name, "") != before[id].own.get(name, "")
    )
    return [f"{changed[name]} changed {name}, {told[name]} are told" for name in changed if told[name] < changed[name]]


def _again(home: OperationHome, ran: str) -> list[str]:
    """Revert once more, and run once more: neither may make anything."""
    live = len(home.live())
    home.home.clock.advance(600)
    twice = home.revert(ran)
    home.home.clock.advance(600)
    nightly = run(home)
    found = [f"a second revert: {twice}"] if twice.counts.created or len(home.live()) != live else []
    return [*found, *([f"what was put back is merged again: {nightly}"] if nightly.counts.merged else [])]


@attrs.define
class _Compared:
    """A portal after the revert beside the one before the merges."""

    home: OperationHome
    before: State
    model: Model
    people: People
    lives: Mapping[str, str]
    reached: Counter[str]

    def wrong(self) -> list[str]:
        """Say what is not as it was, but for what people did."""
        now = State.of(self.home.site.store)
        stands_for = {self.lives[group.survivor]: group.survivor for group in self.model.groups}
        found = []
        for id, record in now.records["tickets"].items():
            was = record.value(RESTORED_FROM)
            if was and was in stands_for.values():
                found.append(f"{was} came back twice")
            if was:
                stands_for[id] = was
        gone = [id for group in self.model.groups for id in group.members if id not in stands_for.values()]
        found += [f"{id} did not come back" for id in gone]
        return [*found, *self._wrong_records(now, stands_for), *self._wrong_edges(now, stands_for)]

    def _wrong_records(self, now: State, stands_for: Mapping[str, str]) -> list[str]:
        found = []
        there = {stands_for.get(id, id): record for id, record in now.records["tickets"].items()}
        inside = {id for group in self.model.groups for id in group.members}
        survivors = {group.survivor: group for group in self.model.groups}
        for id, was in self.before.records["tickets"].items():
            if id not in inside:
                found += [f"ticket {id} was touched"] if there.get(id) != was else []
                continue
            if id not in there:
                continue
            mine = self.people.values.get(id, {})
            self.reached[VALUES] += len(mine)
            self.reached[BACK] += id not in survivors
            for name in sorted({*was.properties, *there[id].properties} - DERIVED - {RESTORED_FROM}):
                has, wanted = there[id].value(name), mine.get(name, was.value(name))
                if name == UNIQUE:
                    wanted = self._unique(id, was.value(name), survivors)
                if has != wanted:
                    found.append(f"ticket {id}: {name} is {has[:60]!r}, must be {wanted[:60]!r}")
        found += [f"ticket {id} is new" for id in there if id not in self.before.records["tickets"]]
        return found

    def _unique(self, id: str, was: str, survivors: Mapping[str, Any]) -> str:
        """The merge itself gives a survivor that had none the next oldest's; from there nobody takes it."""
        group = next(group for group in self.model.groups if id in group.members)
        kept = group.values.get(UNIQUE, "")
        if id in survivors:
            return str(kept)
        self.reached[HELD] += bool(was) and was == kept
        return "" if was == kept else was

    def _wrong_edges(self, now: State, stands_for: Mapping[str, str]) -> list[str]:
        wanted: Counter[tuple[Any, ...]] = Counter(
            ("tickets", id, end, other, tuple(sorted(specs)))
            for (start, end), there in self.before.edges.items()
            for id, ends in there.items()
            for other, specs in ends.items()
            if start == "tickets"
        )
        self.reached[LABELS] += sum(
            any(type > 1 and kind == "USER_DEFINED" for kind, type in each[4]) for each in wanted
        )
        inside = {id: number for number, group in enumerate(self.model.groups) for id in group.members}
        self.reached[APART] += any(
            each[2] == "tickets" and inside.get(each[1], -1) != inside.get(each[3], -1) for each in wanted
        )
        for id, company, specs in self.people.edges:
            wanted[("tickets", id, "companies", company, tuple(sorted(specs)))] += 1
            self.reached[EDGES] += 1
        has = Counter(
            ("tickets", stands_for.get(id, id), end, stands_for.get(other, other), tuple(sorted(specs)))
            for (start, end), there in now.edges.items()
            for id, ends in there.items()
            for other, specs in ends.items()
            if start == "tickets"
        )
        return [f"lost: {each}" for each in wanted - has] + [f"not wanted: {each}" for each in has - wanted]


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    failed = 0
    for merge_mode in ("new", "primary"):
        done = put_back(beds.KIND.name, merge_mode=merge_mode, is_short=is_short, seed=seed)
        failed += merges.told(done, done.wrong, done.reached, (BACK, VALUES, EDGES) if is_short else MUST_REACH)
    return failed
