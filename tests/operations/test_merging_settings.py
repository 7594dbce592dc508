"""Settings of `hubspot.merge_tickets`: which survives, what it keeps, which kinds, and words that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import plan, settings
from syncer.errors import UsageError
from syncer.operations.merge_tickets import SETTINGS
from syncer.sandbox.hubspot.model import Stage
from tests.operations import COMPANY, CONTACT, MERGE, NOTE, PRIMARY, RESTORED_FROM, SAME, OperationHome, define

CLOSED = "4"
CODE = "own_code"  # a property of a portal's own that records of other kinds share


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


@pytest.fixture
def merge_mode() -> str:
    """Nor is which id a merge leaves."""
    return "primary"


def with_states(home: OperationHome) -> None:
    """Let the stages of the portal's pipeline say whether they close a ticket."""
    pipeline = home.site.store.pipelines["tickets"]["0"]
    stages = [
        Stage(id=id, label=id, display_order=order, metadata={"ticketState": state})
        for order, (id, state) in enumerate((("1", "OPEN"), (CLOSED, "CLOSED")))
    ]
    home.site.store.pipelines["tickets"]["0"] = attrs.evolve(pipeline, stages=stages)


def survivor(home: OperationHome, **words: Any) -> str:
    """Run with these words, and return the id of the one ticket that is left of group 7."""
    done = home.words(**words).run()
    assert (done.error, done.exit_code) == (None, 0)
    return home.only("7").id


# Which survives


@pytest.mark.parametrize(("rule", "at"), [("oldest", 0), ("newest", 2), ("most_associations", 1)])
def test_the_survivor_is_by_rule(home: OperationHome, rule: str, at: int) -> None:
    """The others are merged into it, and their ids lead to it."""
    tickets = [home.ticket("7") for _ in range(3)]
    home.link(tickets[1], "notes", home.other("notes"), NOTE)
    assert survivor(home, survivor=rule) == tickets[at].id


def test_an_open_ticket_survives_before_a_closed_one(home: OperationHome) -> None:
    """A stage that closes is one of which HubSpot says so, whatever it is called."""
    with_states(home)
    home.ticket("7", hs_pipeline_stage=CLOSED)
    two = home.ticket("7")
    home.ticket("7")
    assert survivor(home, survivor="open_first") == two.id
    assert home.only("7").properties["hs_pipeline_stage"] == "1"


def test_of_closed_tickets_only_the_oldest_survives(home: OperationHome) -> None:
    """There is no open one to prefer."""
    with_states(home)
    one, _ = (home.ticket("7", hs_pipeline_stage=CLOSED) for _ in range(2))
    assert survivor(home, survivor="open_first") == one.id


# What it keeps


def test_values_are_kept_by_the_rules_of_their_properties(home: OperationHome) -> None:
    """Also content, whose rule is another one where none is set."""
    for name in ("n_first", "n_last", "n_longest", "n_joined"):
        define(home.site, "tickets", name)
    define(home.site, "tickets", "n_union", type="enumeration", field_type="checkbox", options=[
        {"value": each, "label": each} for each in "abc"
    ])  # fmt: skip
    for text, choice in (("one", "b"), ("three", "a;b"), ("two", "c")):
        named = dict.fromkeys(("n_first", "n_last", "n_longest", "n_joined", "content"), text)
        home.ticket("7", **named, n_union=choice)
    keep = {
        "n_first": "first", "n_last": "last", "n_longest": "longest", "n_joined": "concatenate", "n_union": "union",
        "content": "last",
    }  # fmt: skip
    survivor(home, keep=keep, survivor="newest")
    found = home.only("7").properties
    names = ("n_first", "n_last", "n_longest", "n_union", "content")
    assert [found[name] for name in names] == ["one", "two", "three", "b;a;c", "two"]
    joined = found["n_joined"] or ""
    assert joined.index("one") < joined.index("three") < joined.index("two") and joined.count("--- ticket") == 3


def test_values_that_go_with_their_tickets_are_counted_by_property(home: OperationHome) -> None:
    """A support lead sees beforehand what is lost."""
    home.ticket("7", subject="A", hs_ticket_priority="LOW")
    home.ticket("7", subject="B", hs_ticket_priority="HIGH")
    home.ticket("7", subject="C", hs_ticket_priority="LOW")
    shown = home.run(is_rehearsal=True)
    assert "by property: subject 2, hs_ticket_priority 1" in home.notes(shown.plan)


def test_a_value_that_is_lost_is_shown_also_where_a_longer_one_holds_it(home: OperationHome) -> None:
    """`paid` is lost beside `not paid`; a text that was joined is not."""
    define(home.site, "tickets", "n_state")
    home.ticket("7", n_state="not paid", subject="AB", content="one more")
    home.ticket("7", n_state="paid", subject="A", content="one")
    shown = home.run(is_rehearsal=True)
    assert "by property: n_state 1, subject 1" in home.notes(shown.plan)
    [gone] = [each for each in home.changes(shown.plan) if each.action == plan.MERGE]
    assert {name for name, edit in plan.shown_fields(gone).items() if edit.after} >= {"n_state", "subject"}
    assert "content" not in plan.shown_fields(gone)


@pytest.mark.parametrize(("rule", "at"), [("survivor", 1), ("first", 0), ("last", 2)])
def test_the_primary_company_is_by_rule(home: OperationHome, rule: str, at: int) -> None:
    """All companies are on the survivor, and one is primary."""
    with_states(home)
    companies = [home.other("companies", name=name) for name in "abc"]
    for number, company in enumerate(companies):
        ticket = home.ticket("7", hs_pipeline_stage="1" if number == 1 else CLOSED)
        home.link(ticket, "companies", company, 339, 26)
    id = survivor(home, survivor="open_first", primary_company=rule)
    linked = home.linked(id, "companies")
    assert set(linked) == {each.id for each in companies}
    assert [each for each, types in linked.items() if 26 in types] == [companies[at].id]


# Which groups


def test_tickets_of_several_pipelines_are_told_and_left_unless_a_site_wants_them(home: OperationHome) -> None:
    """A pipeline is a process of its own: its ticket may not vanish into another."""
    pipelines = home.site.store.pipelines["tickets"]
    pipelines["9"] = attrs.evolve(
        pipelines["0"], id="9", stages=[Stage(id="91", label="New", display_order=0, metadata={})]
    )
    one, two = home.ticket("7"), home.ticket("7", hs_pipeline="9", hs_pipeline_stage="91")
    left = home.run()
    assert (left.counts.merged, left.counts.skipped, left.exit_code) == (0, 2, 0)
    told = home.notes(left.plan)
    assert "'7': " in told and one.id in told and two.id in told and "across_pipelines" in told
    assert survivor(home, across_pipelines=True) == one.id


def test_a_group_as_large_as_may_be_is_merged(home: OperationHome) -> None:
    """Larger is what is left."""
    for _ in range(3):
        home.ticket("7")
    assert survivor(home, max_group=3)


def test_values_are_compared_as_texts_each_character(home: OperationHome) -> None:
    """`007` is not `7`, and `a` is not `A`."""
    for value in ("7", "007", "a", "A"):
        home.ticket(value)
    done = home.run()
    assert (done.counts.merged, done.counts.unchanged, len(home.live())) == (0, 4, 4)


# Mode archive


def archiving(home: OperationHome, **words: Any) -> OperationHome:
    return home.words(mode="archive", max_archives=100, **words)


def test_in_mode_archive_values_and_associations_are_copied_and_the_others_archived(home: OperationHome) -> None:
    """A person can take them back for 90 days: nothing of them is touched but that."""
    contact = home.other("contacts", email="a@example.com")
    one, two = home.ticket("7", content="one"), home.ticket("7", content="two", hs_resolution="done")
    home.link(two, "contacts", contact, CONTACT)
    done = archiving(home).run()
    assert (done.error, done.exit_code, done.counts.archived, done.counts.merged) == (None, 0, 1, 0)
    found = home.only("7")
    assert found.id == one.id and found.properties["hs_resolution"] == "done"
    assert "one" in (found.properties["content"] or "") and "two" in (found.properties["content"] or "")
    assert set(home.linked(one.id, "contacts")) == {contact.id}
    gone = home.site.store.records["tickets"][two.id]
    assert (gone.is_archived, gone.properties["content"]) == (True, "two")
    assert "90 days" in home.notes(done.plan)
    again = home.run()
    assert (again.counts.archived, again.counts.updated, again.exit_code) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["merge", "archive"])
def test_tickets_of_two_groups_that_were_associated_are_so_through_their_survivors(
    home: OperationHome, mode: str
) -> None:
    """Each of the two goes, and neither survivor had the association."""
    pairs = [(home.ticket(same), home.ticket(same)) for same in ("7", "8", "9")]
    for one, other in ((0, 1), (2, 1)):
        home.site.store.associate("tickets", pairs[one][1].id, "tickets", pairs[other][1].id, ())
    done = archiving(home).words(mode=mode).run()
    assert (done.error, done.exit_code, len(home.live())) == (None, 0, 3)
    assert set(home.linked(home.only("8").id, "tickets")) == {home.only("7").id, home.only("9").id}
    again = home.run()
    assert again.counts.updated + again.counts.archived + again.counts.merged == 0


def test_nothing_is_archived_until_a_site_sets_how_many(home: OperationHome) -> None:
    """Merges allowed are not archives allowed."""
    home.ticket("7")
    home.ticket("7")
    done = home.words(mode="archive").run()
    assert (done.exit_code, len(home.live())) == (4, 2) and "max_archives: 1 " in done.trips[0], done.trips


def test_a_ticket_that_was_edited_since_the_plan_is_not_archived(home: OperationHome) -> None:
    """What was written to it since would be on no ticket, nor is it copied; the rest of the plan is done."""
    home.ticket("7")
    two = home.ticket("7", content="two")
    home.ticket("8")
    home.ticket("8")
    shown = archiving(home).run(is_rehearsal=True)
    home.site.store.update("tickets", two.id, {"content": "more"}, source_type="CRM_UI")
    done = home.run(plan=shown.plan)
    assert (done.counts.archived, done.exit_code) == (1, 1)
    assert [each.state for each in home.changes(shown.plan)] == ["moved", "failed", "done"]
    assert not two.is_archived and home.only("8")
    again = home.run()
    assert (again.counts.archived, again.exit_code) == (1, 0)
    assert "more" in (home.only("7").properties["content"] or "")


# Other kinds


@pytest.mark.parametrize("kind", ["companies", "deals", "contacts"])
def test_records_of_other_kinds_become_one_as_well(home: OperationHome, kind: str) -> None:
    """By a property of theirs; what is joined names them by what they are."""
    define(home.site, kind, CODE)
    define(home.site, kind, "remarks")
    needed = {"deals": {"pipeline": "default", "dealstage": "new"}}.get(kind, {})
    made = []
    for text in ("one", "two"):
        home.home.later(60)
        email = {"email": f"{text}@example.com"} if kind == "contacts" else {}
        made.append(home.other(kind, **{CODE: "x", "remarks": text}, **email, **needed))
    done = home.words(object=kind, property=CODE, keep={"remarks": "concatenate"}).run()
    assert (done.error, done.counts.merged, done.exit_code) == (None, 1, 0)
    [left] = [each for each in home.site.store.records[kind].values() if not each.is_archived]
    noun = {"companies": "company", "deals": "deal", "contacts": "contact"}[kind]
    assert f"--- {noun} {made[1].id}, 2026-" in (left.properties["remarks"] or "")


@pytest.mark.parametrize("mode", ["merge", "archive"])
def test_a_company_stays_the_primary_one_of_all_its_tickets(home: OperationHome, mode: str) -> None:
    """From a company there are many: each of its tickets has one, and none may lose it."""
    define(home.site, "companies", CODE)
    define(home.site, "companies", RESTORED_FROM, has_unique_value=True)
    home.other("companies", **{CODE: "x"})
    home.home.later(60)
    lost, other = home.other("companies", **{CODE: "x"}), home.other("companies")
    tickets = [home.ticket() for _ in range(3)]
    for ticket in tickets:
        home.link(ticket, "companies", lost, COMPANY, PRIMARY)
    home.link(tickets[2], "companies", other, COMPANY)
    done = archiving(home, object="companies", property=CODE).words(mode=mode).run()
    assert (done.error, done.exit_code) == (None, 0)
    [kept] = [each for each in home.site.store.records["companies"].values() if not each.is_archived and each != other]
    assert [home.linked(each.id, "companies").get(kept.id) for each in tickets] == [{COMPANY, PRIMARY}] * 3
    if mode == "merge":
        back = home.revert(done.run)
        [again] = [
            each for each in home.site.store.records["companies"].values() if each.properties.get(RESTORED_FROM)
        ]
        assert (back.error, back.counts.conflicts) == (None, 0)
        assert [home.linked(each.id, "companies").get(again.id) for each in tickets] == [{COMPANY, PRIMARY}] * 3


def test_of_contacts_no_personal_value_is_told(home: OperationHome) -> None:
    """Neither where a group is left alone nor as a title: mail of a plan goes far."""
    for number in range(4):
        home.other("contacts", email=f"{number}@example.com", firstname="Wilhelmina")
    left = home.words(object="contacts", property="firstname", max_group=3).run()
    assert (left.counts.skipped, left.exit_code) == (4, 0)
    shown = home.words(max_group=4).run(is_rehearsal=True)
    told = home.notes(left.plan) + home.notes(shown.plan) + str([each.title for each in home.changes(shown.plan)])
    assert "a personal value: 4" in told and "Wilhelmina" not in told and "@" not in told


def test_records_of_any_kind_become_one_where_they_are_archived(home: OperationHome) -> None:
    """HubSpot has no merge of them."""
    define(home.site, "cables", CODE)
    for name in ("a", "b"):
        home.home.later(60)
        home.other("cables", name=name, **{CODE: "x"})
    tables = home.home.settings.tables
    tables = {**tables, "hubspot": {**tables["hubspot"], "objects": ["cables"]}}
    home.home.settings = attrs.evolve(home.home.settings, tables=tables)
    with pytest.raises(UsageError, match="HubSpot merges tickets, companies, contacts, deals"):
        home.words(object="cables", property=CODE).run()
    done = archiving(home).run()
    assert (done.error, done.counts.archived) == (None, 1)


# Wrong words


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ({"property": "nerds_tiket_id"}, "nerds_ticket_id"),
        ({"keep": {"contents": "last"}}, "content"),
        ({"keep": {"subject": "union"}}, "union goes with a property that takes several choices"),
        ({"keep": {"hs_ticket_priority": "concatenate"}}, "concatenate goes with a text, and its type is enumeration"),
        ({"keep": {"createdate": "last"}}, "createdate cannot be kept by last"),
        ({"keep": {"syncer_restored_from": "last"}}, "its values are unique"),
        ({"object": "contacts", "property": "email", "survivor": "open_first"}, "open_first goes with tickets"),
    ],
)
def test_a_setting_that_names_what_is_not_there_is_refused(
    home: OperationHome, words: dict[str, Any], wrong: str
) -> None:
    """With what was meant, most likely; nothing is tried."""
    home.ticket("7")
    home.ticket("7")
    done = home.words(**words).run()
    assert done.exit_code != 0 and wrong in (done.error or ""), done.error
    assert f'in ["{MERGE}"]' in (done.error or "") and len(home.live()) == 2


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('survivor = "eldest"', "one of oldest, newest, most_associations, open_first"),
        ('mode = "delete"', "one of merge, archive"),
        ('keep = { content = "all" }', "a rule a property"),
        ("keep = 3", "a rule a property"),
        ("max_group = 1", "a whole number from 2 to 1,000"),
        ('across_pipelines = "yes"', "true or false"),
        ("primary_company = 1", "one of survivor, first, last"),
        ('propperty = "x"', "property"),
        ("max_merges = -1", "max_merges"),
    ],
)
def test_a_wrong_word_is_told_with_its_line(tmp_path: Path, home: OperationHome, line: str, wrong: str) -> None:
    """A person goes straight to it."""
    file = tmp_path / "syncer.toml"
    file.write_text(f'# ours\n["{MERGE}"]\nproperty = "{SAME}"\n{line}\n', encoding="utf-8")
    with pytest.raises(UsageError) as found:
        home.home.settings = settings.load(variables={"SYNCER_WAREHOUSE": "duckdb:x.duckdb"}, folder=tmp_path)
        home.run()
    assert "syncer.toml" in str(found.value) and "line 4" in str(found.value) and wrong in str(found.value)


def test_what_the_page_says_of_defaults_is_so() -> None:
    """The page's table has each setting, with what it is where nothing is set."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, setting in SETTINGS.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        default = {False: "false", "": ""}.get(setting.default, setting.default) if name != "keep" else ""
        assert str(default) in row.split("|")[2], name
