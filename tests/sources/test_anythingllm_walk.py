"""Workspace chats by page number, while chats come and go between any two requests: none is lost, none is twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer.errors import AnswerError
from syncer.sandbox import Fault
from syncer.sandbox.messages import Request
from syncer.sources.anythingllm.descent import Descent, Sheet
from tests.sources.anythingllm_home import PAGE, Home, running, small_site

SIZE = 20


class Rows:
    """A list of ids that is asked for by page; *churn* is called before each answer, with the number of requests."""

    def __init__(self, count: int, churn: Callable[[Rows, int], None]) -> None:
        self.ids = list(range(count * 3, 0, -3))
        self.newest = count * 3
        self.requests = 0
        self.churn = churn

    def add(self) -> None:
        self.newest += 1
        self.ids.insert(0, self.newest)

    def delete(self, at: int) -> None:
        if len(self.ids) > 5:
            del self.ids[at % len(self.ids)]

    def ask(self, page: int) -> Sheet:
        self.churn(self, self.requests)
        self.requests += 1
        some = self.ids[page * SIZE : (page + 1) * SIZE]
        return Sheet(rows=[{"id": each} for each in some], follows=len(self.ids) > (page + 1) * SIZE, size=SIZE)


def walked(rows: Rows, **options: Any) -> tuple[Descent, set[int]]:
    """Walk to the end."""
    descent = Descent(ask=rows.ask, **options)
    met = {row["id"] for batch in descent.batches() for row in batch}
    return descent, met


def deletes(rng: random.Random) -> Callable[[Rows, int], None]:
    return lambda rows, n: [rows.delete(rng.randrange(10_000)) for _ in range(rng.randrange(3))] and None


def adds(rng: random.Random) -> Callable[[Rows, int], None]:
    return lambda rows, n: [rows.add() for _ in range(rng.randrange(1, 3))] and None


def mixed(rng: random.Random) -> Callable[[Rows, int], None]:
    def churn(rows: Rows, n: int) -> None:
        if rng.random() < 0.15:
            rows.add() if rng.random() < 0.5 else rows.delete(rng.randrange(10_000))

    return churn


def lockstep(rng: random.Random) -> Callable[[Rows, int], None]:
    return lambda rows, n: rows.add() if n % 2 else rows.delete(0)


def late(rng: random.Random) -> Callable[[Rows, int], None]:
    """Add rows whose neighbour of the lower id is shown only later."""
    hidden: list[int] = []

    def churn(rows: Rows, n: int) -> None:
        if hidden and rng.random() < 0.5:
            rows.ids = sorted([*rows.ids, hidden.pop()], reverse=True)
        elif rng.random() < 0.1:
            rows.newest += 1
            hidden.append(rows.newest)
            rows.add()

    return churn


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", [deletes, adds, mixed, lockstep, late])
def test_a_walk_that_is_proven_has_missed_nothing(kind: Callable[[random.Random], Any], seed: int) -> None:
    """Of the rows that were there all the time; a walk that could not be sure says so."""
    rng = random.Random(seed)
    rows = Rows(rng.choice((1, 19, 20, 21, 40, 137, 400)), kind(rng))
    before = set(rows.ids)
    descent, met = walked(rows)
    missed = (before & set(rows.ids)) - met
    assert descent.is_over and (missed == set() or not descent.is_proven)
    if kind in (deletes, adds):
        assert descent.is_proven and missed == set()


@pytest.mark.parametrize("count", [1, 19, 20, 21, 40, 400, 2_000])
def test_a_quiet_walk_is_proven_and_cheap(count: int) -> None:
    """A quarter more requests than pages, and a few to find the end and to make sure of it."""
    rows = Rows(count, lambda rows, n: None)
    descent, met = walked(rows)
    assert descent.is_proven and met == set(rows.ids)
    assert rows.requests <= 1.25 * count / SIZE + 18


@pytest.mark.parametrize("kind", [deletes, adds, mixed])
@pytest.mark.parametrize("seed", range(20))
def test_a_walk_goes_on_from_its_place(kind: Callable[[random.Random], Any], seed: int) -> None:
    """However far the rows have moved meanwhile: with what the first part met, nothing is missing."""
    rng = random.Random(seed)
    rows = Rows(400, lambda rows, n: None)
    before = set(rows.ids)
    first = Descent(ask=rows.ask)
    met: set[int] = set()
    for batch in first.batches():
        met |= {row["id"] for row in batch}
        if len(met) > 100:
            break
    for _ in range(rng.randrange(150)):
        rows.delete(rng.randrange(10_000)) if rng.random() < 0.5 else rows.add()
    rows.churn = kind(rng)
    descent, more = walked(rows, low=first.low, page=first.page, top=first.top)
    missed = (before & set(rows.ids)) - met - more
    assert missed == set() or not descent.is_proven
    if kind is not mixed:
        assert descent.is_proven


def test_a_walk_stops_at_its_floor() -> None:
    """What is new costs a page or two, however long the list is."""
    rows = Rows(2_000, lambda rows, n: None)
    descent, met = walked(rows, floor=6_000 - 3 * 25)
    assert {each for each in rows.ids if each > 6_000 - 3 * 25} <= met
    assert rows.requests <= 5


@pytest.mark.parametrize("page", range(1, 8))
def test_a_page_of_nothing_is_not_the_end(page: int) -> None:
    """A failing database answers so; the page before it says that more follow."""
    rows = Rows(130, lambda rows, n: None)

    def ask(number: int) -> Sheet:
        found = rows.ask(number)
        return Sheet(rows=[], follows=False, size=SIZE) if number == page and found.rows else found

    descent = Descent(ask=ask)
    if page <= 6:
        with pytest.raises(AnswerError, match="contradicts"):
            list(descent.batches())
    else:
        assert {row["id"] for batch in descent.batches() for row in batch} == set(rows.ids)


@pytest.mark.parametrize("seed", range(40))
def test_rows_and_count_that_fail_each_by_itself_are_not_the_end(seed: int) -> None:
    """A page of nothing, and before it one that says that none follows: both may be lies, but not three times."""
    rng = random.Random(seed)
    rows = Rows(130, lambda rows, n: None)

    def ask(number: int) -> Sheet:
        found = rows.ask(number)
        some = [] if rng.random() < 0.2 else found.rows
        return Sheet(rows=some, follows=found.follows and rng.random() >= 0.2, size=SIZE)

    descent = Descent(ask=ask)
    try:
        met = {row["id"] for batch in descent.batches() for row in batch}
    except AnswerError:
        return
    assert descent.is_empty or not descent.is_proven or met == set(rows.ids)


# Through the engine


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with running(small_site(chats=260), tmp_path) as running_home:
        yield running_home


def churn(rng: random.Random, *, adds: float, deletes: float) -> Callable[[Any, Request], None]:
    """Add and delete chats before each request."""

    def change(site: Any, request: Request) -> None:
        if rng.random() < adds:
            site.maker(rng.randrange(10**6)).add_chat()
        for _ in range(2):
            if rng.random() < deletes:
                del site.store.chats[rng.choice(list(site.store.chats))]

    return change


@pytest.mark.parametrize(("adds", "deletes"), [(1.0, 0.0), (0.0, 0.6), (0.6, 0.4), (0.1, 0.1)])
def test_nothing_is_lost_while_chats_come_and_go(home: Home, adds: float, deletes: float) -> None:
    """Between any two requests of three pulls; the first quiet one has everything, once."""
    rng = random.Random(f"{adds} {deletes}")
    tables = {**home.settings.tables, "anythingllm.workspace_chats": {"max_gone_share": "off", "personal": "keep"}}
    home.settings = attrs.evolve(home.settings, tables=tables)
    for _ in range(3):
        before = set(home.site.store.chats)
        home.sandbox.before_request.append(churn(rng, adds=adds, deletes=deletes))
        home.pull("workspace_chats")
        home.sandbox.before_request.clear()
        there = before & set(home.site.store.chats)
        live = {row[0] for row in home.rows("SELECT id FROM load.anythingllm_workspace_chats")}
        owed = bool(home.place("workspace_chats").get("owed"))
        assert there <= live or owed
        assert not there & set(home.states("workspace_chats"))
        home.later()
    home.pull("workspace_chats")
    assert home.wrong("workspace_chats") == []


def test_a_walk_that_was_not_proven_ends_nothing_and_is_owed(home: Home) -> None:
    """Adding before each request: the next pull compares everything again, though none is due."""
    home.pull("workspace_chats")
    home.later()
    number = 77
    del home.site.store.chats[number]
    count = iter(range(10_000))

    def change(site: Any, request: Request) -> None:
        turn = next(count)
        if turn % 2:
            site.maker(turn).add_chat()
        else:
            del site.store.chats[max(site.store.chats)]

    home.sandbox.before_request.append(change)
    assert home.pull("workspace_chats")[0].gone == 0
    home.sandbox.before_request.clear()
    assert home.place("workspace_chats")["owed"] is True
    home.pull("workspace_chats")
    assert home.states("workspace_chats")[number] == "gone"
    assert home.wrong("workspace_chats") == [] and "owed" not in home.place("workspace_chats")


def offsets(home: Home) -> list[int]:
    """Return a list to which the pages that are asked for from now on are added."""
    asked: list[int] = []

    def note(site: Any, request: Request) -> None:
        if request.path == PAGE:
            asked.append(json.loads(request.body)["offset"])

    home.sandbox.before_request.append(note)
    return asked


@pytest.mark.parametrize("at", [2, 6, 9, 14, 18])
def test_a_walk_that_broke_goes_on_where_it_stopped(home: Home, at: int) -> None:
    """Chats come and go in between; what was read stays read."""
    home.sandbox.faults.add(Fault(kind="status", match="workspace-chats", status=400, skip=at, times=None))
    broken = home.outcome("workspace_chats")[0]
    assert broken.status == "failed"
    home.sandbox.faults.clear()
    maker = home.site.maker()
    for number in range(45):
        maker.add_chat()
        home.site.store.chats.pop(number * 5, None)
    reached = (home.place("workspace_chats") or {}).get("walk", {}).get("page", 0)
    asked = offsets(home)
    home.pull("workspace_chats")
    assert [what for what in home.wrong("workspace_chats") if "no more" not in what] == []
    assert not set(asked) & set(range(7, reached))
    home.later()
    home.pull("workspace_chats")
    assert home.wrong("workspace_chats") == []


def test_a_full_comparison_that_broke_ends_only_what_is_gone(home: Home) -> None:
    """The keys met before the break count when the walk goes on, and so do chats that came after it."""
    home.pull("workspace_chats")
    home.later()
    for number in (5, 130, 250):
        del home.site.store.chats[number]
    home.sandbox.faults.add(Fault(kind="status", match="workspace-chats", status=400, skip=9, times=None))
    assert home.outcome("workspace_chats")[0].status == "failed"
    assert home.place("workspace_chats")["walk"]["is_full"] is True
    home.sandbox.faults.clear()
    maker = home.site.maker()
    for _ in range(50):
        maker.add_chat()
    home.pull("workspace_chats")
    assert home.states("workspace_chats") == {5: "gone", 130: "gone", 250: "gone"}
    assert home.wrong("workspace_chats") == []


def test_a_page_number_goes_as_a_number(home: Home) -> None:
    """As a text the server would count 2 + 1 as 21."""
    bodies = []
    home.sandbox.before_request.append(
        lambda site, request: bodies.append(request.body) if request.path == PAGE else None
    )
    home.pull("workspace_chats")
    assert {b'{"offset":0}', b'{"offset":2}', b'{"offset":13}'} <= set(bodies)
    assert all(body[10:-1].isdigit() for body in bodies)


def test_a_census_looks_for_each_missing_chat_by_its_id(home: Home) -> None:
    """One that a walk missed while it moved is found; one that is deleted is gone."""
    home.pull("workspace_chats")
    del home.site.store.chats[133]
    del home.site.store.chats[260]
    home.site.maker().add_chat()
    [done] = home.pull("workspace_chats", mode="census")
    assert (done.gone, done.inserted) == (2, 1)
    assert home.wrong("workspace_chats") == []


@pytest.mark.parametrize("number", [1, 2, 60, 61, 130, 139, 140, 259, 260])
def test_a_chat_is_found_by_its_id_or_known_to_be_gone(home: Home, number: int) -> None:
    """At the ends, at the borders of pages, in between."""
    source = home.source()
    chats = home.site.store.chats
    fetched = [row["id"] for page in source.fetch("workspace_chats", [(number,)]) for row in page.records]
    assert fetched == [number]
    del chats[number]
    assert [row for page in source.fetch("workspace_chats", [(number,)]) for row in page.records] == []
    assert [row for page in source.fetch("workspace_chats", [(9_999,)]) for row in page.records] == []
    home.site.failing = {"chats"}
    with pytest.raises(AnswerError):
        list(source.fetch("workspace_chats", [(number,)]))
