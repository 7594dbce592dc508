"""The contract of a target: what the engine relies on, whatever is behind it. Run on HubSpot, in both families."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import attrs
import pytest

from syncer import plan
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, DISASSOCIATE, MERGE, UPDATE, Change, Edge, Edit
from syncer.sandbox import Fault
from syncer.target import BATCH, DONE, MISSED, REFUSED, BatchRefused, Outcome, Target, Uncertain
from tests.sources.hubspot_home import HubSpotHome, add_settings, define, running, small_site, some

KEY = "client_id"


@attrs.define
class Written:
    """A target whose records are known, and a look behind it."""

    target: Target
    home: HubSpotHome

    def ids(self, kind: str = "companies") -> list[str]:
        """Return the ids of the live records, in the order of their making."""
        return [id for id, record in self.home.site.store.records[kind].items() if not record.is_archived]

    def value(self, id: str, name: str = "name", kind: str = "companies") -> str | None:
        """Return a value as the account has it."""
        return self.home.site.store.records[kind][id].properties.get(name)

    def fail(self, kind: str, match: str = "/batch/(create|update|archive)", **more: object) -> None:
        """Let the next write go wrong."""
        self.home.sandbox.faults.add(Fault(kind=kind, match=match, hang_s=0.2, **more))  # type: ignore[arg-type]


@pytest.fixture(params=["v3", "2026-09"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    site = small_site(companies=3, contacts=2, tickets=2)
    add_settings(site)
    define(site, "companies", KEY, has_unique_value=True)
    define(site, "companies", "phone")
    with running(site, tmp_path, api=request.param) as home:
        target = cast(Target, home.source("companies"))
        target.check()
        yield Written(target, home)
        target.close()  # type: ignore[attr-defined]  # of the source


def create(number: int, key: str, **values: str) -> Change:
    fields = {name: Edit(None, value) for name, value in {KEY: key, "name": f"Company {key}", **values}.items()}
    return Change(number=number, action=CREATE, kind="companies", key=key, fields=fields)


def update(number: int, id: str, **values: str | None) -> Change:
    fields = {name: Edit(None, value) for name, value in values.items()}
    return Change(number=number, action=UPDATE, kind="companies", key=id, id=id, fields=fields)


def edge(number: int, action: str, id: str, other: str, type_id: int, label: str = "") -> Change:
    end = Edge(kind="companies", id=other, category="HUBSPOT_DEFINED", type_id=type_id, label=label)
    return Change(number=number, action=action, kind="tickets", key=id, id=id, edge=end)


def states(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


# Shape


def test_a_shape_gives_every_property_a_normal_form_that_never_raises(written: Written) -> None:
    """What an API answers is never a reason for a traceback."""
    shape = written.target.shape("companies")
    assert shape.kind == "companies" and shape.version
    for each in shape.properties.values():
        assert each.theirs(None) is None and each.theirs("") is None
        for odd in ("x", "12", "2026-01-01", "\x00", "é;;b", "1e999999"):
            assert each.theirs(odd) is None or isinstance(each.theirs(odd), str)


def test_ours_and_theirs_meet_in_one_normal_form(written: Written) -> None:
    """What was written and read back compares as equal."""
    shape = written.target.shape("companies")
    found, unfit = shape.typing(["name", KEY])(["O'Neil {x} 😀", "k"])
    assert unfit == [] and shape.properties["name"].theirs(found["name"].sent) == found["name"].normal
    blank, _ = shape.typing(["name"])([None])
    assert (blank["name"].normal, blank["name"].sent) == (None, "")


def test_a_shape_says_what_a_new_record_lacks_and_why_a_column_is_left(written: Written) -> None:
    """Both stand in the plan, before anything is sent."""
    shape = written.target.shape("companies")
    assert shape.missing({}) and shape.why_not("no_such_column") and shape.property_of("no_such_column") is None
    assert shape.why_not("name") == "" and shape.property_of("name") == "name"
    assert shape.properties[KEY].is_unique and not shape.properties["name"].is_unique


# Finding


def test_records_are_found_by_id_and_by_a_unique_property_under_what_was_asked(written: Written) -> None:
    """What leads to no record is left out, and is no error."""
    first, second, third = written.ids()
    written.home.site.store.update("companies", first, {KEY: "k-1"})
    by_id = written.target.find("companies", [first, second, "1", "no id"], by=None, properties=["name"])
    assert {id: found.id for id, found in by_id.items()} == {first: first, second: second}
    by_key = written.target.find("companies", ["k-1", "k-2", ""], by=KEY, properties=["name"])
    assert {key: found.id for key, found in by_key.items()} == {"k-1": first}
    assert by_key["k-1"].properties["name"] == "companies 0"
    assert written.target.find("companies", [], by=None, properties=["name"]) == {} and third


def test_archived_and_merged_records_are_told_apart_from_live_ones(written: Written) -> None:
    """An archived record keeps its id; one that was merged away leads to what survived."""
    first, second, third = written.ids()
    written.home.site.store.archive("companies", third)
    survivor = written.home.site.store.merge("companies", first, second)
    found = written.target.find("companies", [first, second, third], by=None, properties=["name"])
    assert found[third].is_archived and found[third].id == third
    assert {found[first].id, found[second].id} == {survivor.id} and not found[first].is_archived


def test_more_keys_than_a_batch_are_found_all_the_same(written: Written) -> None:
    """The caller need not know what one request takes."""
    made = some(written.home.site, "companies", BATCH + 5)
    found = written.target.find("companies", [each.id for each in made], by=None, properties=["name"])
    assert len(found) == BATCH + 5


def test_moved_tells_when_each_property_last_changed(written: Written) -> None:
    """The newest entry of a history, in whatever order it stands; a batch takes fewer records."""
    site = written.home.site
    made = [each.id for each in some(site, "companies", 60)]
    site.clock.advance(60)
    site.store.update("companies", made[0], {"phone": "1"})
    site.clock.advance(60)
    site.store.update("companies", made[0], {"phone": "2"})
    written.home.bodies("")
    found = written.target.moved("companies", made, ["name", "phone"])
    assert len(found) == 60 and len(written.home.bodies("/batch/read")) == 2
    assert found[made[0]].moved_at["phone"] > found[made[0]].moved_at["name"]
    assert found[made[0]].moved_at["phone"][:19] == site.clock.now().isoformat()[:19]


# Writing


def test_creates_updates_and_archives_are_done_and_each_tells_its_record(written: Written) -> None:
    """Outcomes are matched by trace id: results come in another order."""
    outcomes = written.target.send([create(n, f"k-{n}") for n in range(1, 8)])
    assert states(outcomes) == [DONE] * 7 and [outcome.number for outcome in outcomes] == list(range(1, 8))
    assert [written.value(outcome.id or "", KEY) for outcome in outcomes] == [f"k-{n}" for n in range(1, 8)]
    ids = [outcome.id or "" for outcome in outcomes]
    done = written.target.send([update(n, id, phone=str(n)) for n, id in enumerate(ids, 1)])
    assert [outcome.id for outcome in done] == ids and [written.value(id, "phone") for id in ids] == list("1234567")
    gone = written.target.send([Change(number=1, action=ARCHIVE, kind="companies", key="k", id=ids[0])])
    assert states(gone) == [DONE] and ids[0] not in written.ids()


def test_a_blank_clears(written: Written) -> None:
    """None is blank on both sides."""
    id = written.ids()[0]
    written.target.send([update(1, id, phone="1")])
    assert states(written.target.send([update(1, id, phone=None)])) == [DONE]
    assert written.value(id, "phone") in ("", None)


def test_one_bad_change_costs_itself_only(written: Written) -> None:
    """99 good rows are not held up by one; its reason names the property."""
    written.home.site.store.update("companies", written.ids()[0], {KEY: "taken"})
    outcomes = written.target.send([create(1, "a"), create(2, "b", nonsense="x"), create(3, "taken")])
    assert states(outcomes) == [DONE, REFUSED, REFUSED]
    assert outcomes[1].property == "nonsense" and outcomes[1].reason
    assert outcomes[2].property == KEY and written.ids()[0] in outcomes[2].reason


def test_a_silent_leftover_is_missed_and_not_taken_for_done(written: Written) -> None:
    """An update of an id that was merged away is passed over without a word."""
    first, second, third = written.ids()
    written.home.site.store.merge("companies", first, second)
    outcomes = written.target.send([update(1, second, phone="1"), update(2, third, phone="2")])
    assert states(outcomes) == [MISSED, DONE]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "timeout", "truncate", "html"])
@pytest.mark.parametrize("action", [CREATE, UPDATE])
def test_a_lost_answer_is_uncertain_and_never_sent_again(written: Written, kind: str, action: str) -> None:
    """Only reading back can tell; a retry would make records twice."""
    written.target.shape("companies")
    change = create(1, "k") if action == CREATE else update(1, written.ids()[0], phone="1")
    written.fail(kind)
    written.home.sent()
    with pytest.raises(Uncertain):
        written.target.send([change, attrs.evolve(change, number=2, key="l", id=change.id and written.ids()[1])])
    assert len([each for each in written.home.sent() if "/batch/" in each]) == 1


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530])
def test_an_outage_while_writing_is_uncertain(written: Written, status: int) -> None:
    """A gateway may answer for a server that went on."""
    written.target.shape("companies")
    written.fail("status", status=status)
    written.home.sent()
    with pytest.raises(Uncertain):
        written.target.send([create(1, "k")])
    assert len([each for each in written.home.sent() if "/batch/" in each]) == 1


@pytest.mark.parametrize("kind", ["truncate", "html", "reset_after"])
def test_a_lost_answer_to_an_archive_is_uncertain(written: Written, kind: str) -> None:
    """A page of a proxy is not the empty answer of a success."""
    written.fail(kind)
    change = Change(number=1, action=ARCHIVE, kind="companies", key="k", id=written.ids()[0])
    if kind == "truncate":
        written.home.sandbox.faults.clear()
        written.home.fault("/batch/archive", '{"status": "COMP', status=200, times=1)
    with pytest.raises(Uncertain):
        written.target.send([change])


@pytest.mark.parametrize("status", [423, 429, 477])
def test_an_answer_that_says_not_done_is_waited_for(written: Written, status: int) -> None:
    """A lock, a limit, a portal that is being moved: nothing was done, so it is sent again."""
    written.fail("status", status=status, times=2, headers={"Retry-After": "3"})
    assert states(written.target.send([create(1, "k")])) == [DONE]
    assert written.home.clock.slept and len(written.ids()) == 4


def test_a_batch_that_is_refused_as_a_whole_wrote_nothing(written: Written) -> None:
    """Where trace ids are not honoured one bad input refuses all; the caller halves it, down to the bad one."""
    written.home.site.store.honours_traces = False
    bad = create(2, "b", nonsense="x")
    with pytest.raises(BatchRefused):
        written.target.send([create(1, "a"), bad])
    assert len(written.ids()) == 3
    [outcome] = written.target.send([bad])
    assert (outcome.state, outcome.property) == (REFUSED, "nonsense")


def test_without_trace_ids_new_records_are_told_apart_by_their_unique_value(written: Written) -> None:
    """Never by position: results come in another order."""
    written.home.site.store.honours_traces = False
    outcomes = written.target.send([create(n, f"k-{n}") for n in range(1, 6)])
    assert states(outcomes) == [DONE] * 5
    assert [written.value(outcome.id or "", KEY) for outcome in outcomes] == [f"k-{n}" for n in range(1, 6)]


def test_new_records_that_cannot_be_told_apart_are_uncertain(written: Written) -> None:
    """They were made: to say that they were not would make them twice."""
    written.home.site.store.honours_traces = False
    changes = [attrs.evolve(create(n, f"k-{n}"), fields={"name": Edit(None, "Twin")}) for n in (1, 2)]
    with pytest.raises(Uncertain):
        written.target.send(changes)


# Edges and merges


def test_types_of_association_are_told_with_their_labels(written: Written) -> None:
    """The one without a label, the labelled ones, which of them is the primary."""
    types = {each.type_id: each for each in written.target.edge_types("tickets", "companies")}
    assert types[339].label == "" and types[26].is_primary and not types[339].is_primary
    assert written.target.edge_types("calls", "calls") == []


def test_associating_adds_and_disassociating_takes_away_one_type(written: Written) -> None:
    """The labels that the pair had stay; done twice, both are done once."""
    ticket, company = written.ids("tickets")[0], written.ids()[0]
    for _ in range(2):
        assert states(written.target.send([edge(1, ASSOCIATE, ticket, company, 339)])) == [DONE]
    [linked] = written.target.edges("tickets", [ticket], "companies")[ticket]
    assert linked.id == company and 339 in {each.type_id for each in linked.types}
    for _ in range(2):
        assert states(written.target.send([edge(1, DISASSOCIATE, ticket, company, 339)])) == [DONE]
    assert written.target.edges("tickets", [ticket], "companies") == {}


def test_a_merge_tells_the_id_that_survived(written: Written) -> None:
    """It is a third one by default: the answer's id is the one to go on with."""
    first, second, third = written.ids()
    changes = [
        Change(number=n, action=MERGE, kind="companies", key=id, id=id, into=first)
        for n, id in enumerate((second, third), 1)
    ]
    outcomes = [*written.target.send(changes[:1])]
    outcomes += written.target.send([attrs.evolve(changes[1], into=outcomes[0].id)])
    assert states(outcomes) == [DONE, DONE] and written.ids() == [outcomes[1].id]


def test_every_action_has_a_size(written: Written) -> None:
    """The engine cuts batches by it."""
    assert all(written.target.most(action) >= 1 for action in plan.ACTIONS)
    assert written.target.most(MERGE) == 1 and written.target.most(UPDATE) == BATCH
