"""Edge columns: a row's value names the record at the other end, and is compared as any field; other edges stay."""

from __future__ import annotations

import pytest

from syncer import linking
from syncer.plan import ASSOCIATE, CREATE, DISASSOCIATE, OF_EDGES
from tests.outbound.edges_home import (
    CHILD,
    PRIMARY,
    TICKET_COMPANY,
    TICKET_PRIMARY,
    EdgesHome,
    agreed_on,
    tickets,
)

PEOPLE = (("ada", "a"), ("bob", "c"))
LINKED = {TICKET_COMPANY, TICKET_PRIMARY}  # HubSpot makes the first company the primary one by itself


def test_a_new_record_is_associated_after_it_was_created(edges: EdgesHome) -> None:
    """Its id is not known before; the plan names the change that makes it."""
    edges.rows("tickets", tickets(("t", "a"), ("u", " b "), ("v", None)))
    planned = edges.push(is_rehearsal=True)
    assert edges.edges(planned) == [(ASSOCIATE, "t", "a"), (ASSOCIATE, "u", "b")]
    assert planned.associated == 2 and edges.writes() == []
    [create, associate, *_] = edges.changes(planned)
    assert (create.action, associate.after, associate.id) == (CREATE, (create.number,), None)
    done = edges.push()
    assert (done.counts.created, done.associated, done.exit_code) == (3, 2, 0)
    assert [edges.linked(key) for key in "tuv"] == [{"a": LINKED}, {"b": LINKED}, {}]
    assert edges.agreed("t") == {"edge:company": edges.record("companies", "a").id}
    assert edges.agreed("v") == {"edge:company": None}


def test_a_second_push_right_after_is_empty(edges: EdgesHome) -> None:
    agreed_on(edges)
    again = edges.push()
    assert (again.counts.unchanged, again.counts.read, edges.writes()) == (1, 1, [])


def test_another_company_takes_the_place_of_the_agreed_one(edges: EdgesHome) -> None:
    """The new one is there before the old one goes; the edge alone makes the row updated."""
    agreed_on(edges)
    edges.set("tickets", "t", company="b")
    done = edges.push()
    assert edges.edges(done) == [(ASSOCIATE, "t", "b"), (DISASSOCIATE, "t", edges.record("companies", "a").id)]
    assert (done.counts.updated, done.associated, done.disassociated, done.exit_code) == (1, 1, 1, 0)
    [associate, gone] = edges.changes(done)
    assert gone.after == (associate.number,)
    assert set(edges.linked("t")) == {"b"}
    assert edges.agreed("t") == {"edge:company": edges.record("companies", "b").id}
    assert (edges.push().counts.unchanged, edges.writes()[len(edges.edges(done)) :]) == (1, [])


def test_a_blank_takes_the_agreed_edge_away_and_no_other(edges: EdgesHome) -> None:
    agreed_on(edges)
    edges.link("t", "c")
    edges.set("tickets", "t", company=None)
    done = edges.push()
    assert (done.counts.updated, done.disassociated, set(edges.linked("t"))) == (1, 1, {"c"})
    assert edges.agreed("t") == {"edge:company": None}
    assert edges.push().counts.unchanged == 1


def test_an_edge_that_a_person_took_away_stays_away_for_ten_rounds(edges: EdgesHome) -> None:
    """Ours did not change: it is their word, whatever else of the row changes."""
    agreed_on(edges)
    edges.unlink("t", "a")
    for turn in range(10):
        edges.set("tickets", "t", subject=f"Subject {turn}")
        done = edges.push()
        assert (done.counts.updated, done.associated, done.exit_code) == (1, 0, 0)
        assert edges.linked("t") == {}


def test_an_edge_that_a_person_added_is_never_touched(edges: EdgesHome) -> None:
    agreed_on(edges)
    edges.link("t", "c")
    edges.set("tickets", "t", company="b")
    edges.push()
    assert set(edges.linked("t")) == {"b", "c"}


@pytest.mark.parametrize(
    ("policy", "companies", "conflicts"), [("skip", {"c"}, 1), ("ours", {"b"}, 0), ("theirs", {"c"}, 0)]
)
def test_an_edge_that_both_sides_moved_is_decided_by_policy(
    edges: EdgesHome, policy: str, companies: set[str], conflicts: int
) -> None:
    """A policy may be given for the column by its name; what decides is shown with both sides."""
    agreed_on(edges)
    edges.unlink("t", "a")
    edges.link("t", "c")
    edges.set("tickets", "t", company="b")
    edges.words("tickets", edges={"company": "companies"}, policies={"company": policy})
    done = edges.push()
    assert (set(edges.linked("t")), done.counts.conflicts) == (companies, conflicts)
    [problem] = edges.home.problems(done.plan)
    a, b, c = (edges.record("companies", key).id for key in "abc")
    assert (problem["field"], problem["agreed"], problem["ours"], problem["theirs"]) == ("company", a, f"b ({b})", c)
    again = edges.push()
    assert (again.counts.conflicts, set(edges.linked("t")), again.associated) == (conflicts, companies, 0)


@pytest.mark.parametrize(
    ("adopt", "companies", "conflicts"), [("skip", {"c"}, 1), ("ours", {"b"}, 0), ("theirs", {"c"}, 0)]
)
def test_an_edge_that_was_never_agreed_on_is_decided_by_adopt(
    edges: EdgesHome, adopt: str, companies: set[str], conflicts: int
) -> None:
    edges.make("tickets", "t")
    edges.link("t", "c")
    edges.rows("tickets", tickets(("t", "b")))
    edges.words("tickets", edges={"company": "companies"}, adopt=adopt)
    done = edges.push()
    assert (set(edges.linked("t")), done.counts.conflicts) == (companies, conflicts)


def test_what_is_linked_already_is_agreed_and_what_is_not_is_linked(edges: EdgesHome) -> None:
    """Of several that are linked by one type, ours is theirs where it is among them."""
    for key in ("t", "u"):
        edges.make("tickets", key)
    edges.link("t", "c")
    edges.link("t", "a")
    edges.rows("tickets", tickets(("t", "a"), ("u", "b")))
    done = edges.push()
    assert edges.edges(done) == [(ASSOCIATE, "u", "b")] and done.exit_code == 0
    assert set(edges.linked("t")) == {"a", "c"}
    assert edges.agreed("t") == {"edge:company": edges.record("companies", "a").id}


def test_ours_is_added_beside_several_that_nobody_agreed_on(edges: EdgesHome) -> None:
    """Which of them it would take the place of, nobody can tell: none of them goes."""
    edges.make("tickets", "t")
    for key in ("a", "c"):
        edges.link("t", key)
    edges.rows("tickets", tickets(("t", "b")))
    edges.words("tickets", edges={"company": "companies"}, adopt="ours")
    done = edges.push()
    assert (done.disassociated, set(edges.linked("t"))) == (0, {"a", "b", "c"})


@pytest.mark.parametrize(("blanks", "companies"), [("leave", {"a"}), ("clear", set())])
def test_a_blank_that_was_never_agreed_on_is_decided_by_blanks(
    edges: EdgesHome, blanks: str, companies: set[str]
) -> None:
    edges.make("tickets", "t")
    edges.link("t", "a")
    edges.rows("tickets", tickets(("t", ""), ("u", "b")))
    edges.words("tickets", edges={"company": "companies"}, blanks_by_field={"company": blanks})
    assert (edges.push().exit_code, set(edges.linked("t"))) == (0, companies)


def test_a_company_that_is_not_there_is_a_reject_of_that_edge_alone(edges: EdgesHome) -> None:
    """The row's other changes are written; it is tried again each run until the company is there."""
    edges.rows("tickets", tickets(("t", "later"), ("u", "a")))
    for _ in range(3):
        done = edges.push()
        assert (done.counts.rejected, done.counts.read, done.exit_code) == (1, 2, 3)
        assert edges.troubles(done) == [("t", "company", "rejected")]
        [problem] = edges.home.problems(done.plan)
        assert problem["ours"] == "later" and "companies with this client_id" in problem["reason"]
    assert (edges.linked("t"), set(edges.linked("u"))) == ({}, {"a"})
    edges.set("tickets", "t", subject="changed")
    edges.push()
    assert edges.record("tickets", "t").properties["subject"] == "changed"
    edges.make("companies", "later")
    done = edges.push()
    assert (done.counts.rejected, done.counts.updated, set(edges.linked("t"))) == (0, 1, {"later"})
    assert edges.push().counts.unchanged == 2


def test_what_is_equal_of_a_row_is_agreed_though_its_edge_is_a_reject(edges: EdgesHome) -> None:
    """Else the next change of ours would be one that the two sides never agreed on."""
    edges.make("tickets", "t")
    edges.rows("tickets", tickets(("t", "later")))
    assert edges.push().counts.rejected == 1
    edges.set("tickets", "t", subject="ours")
    done = edges.push()
    assert edges.troubles(done) == [("t", "company", "rejected")]
    assert edges.record("tickets", "t").properties["subject"] == "ours"


def test_a_record_that_is_there_keeps_its_agreed_edge_while_the_new_end_is_not(edges: EdgesHome) -> None:
    agreed_on(edges)
    edges.set("tickets", "t", company="later")
    assert (edges.push().counts.rejected, set(edges.linked("t"))) == (1, {"a"})
    edges.make("companies", "later")
    assert (edges.push().exit_code, set(edges.linked("t"))) == (0, {"later"})


def test_companies_of_one_run_are_there_for_its_tickets_and_a_dry_run_says_why_not(edges: EdgesHome) -> None:
    edges.rows("companies", [{"key": "new"}])
    edges.rows("tickets", tickets(("t", "new")))
    _, planned = edges.push_all("companies", "tickets", is_rehearsal=True)
    [problem] = edges.home.problems(planned.plan)
    assert "dry run" in problem["reason"] and planned.counts.rejected == 1
    _, done = edges.push_all("companies", "tickets")
    assert (done.counts.created, done.exit_code, set(edges.linked("t"))) == (1, 0, {"new"})


def test_values_of_a_mapping_without_match_on_are_ids(edges: EdgesHome) -> None:
    """Numbers, texts and decimals alike; what is no id is a reject."""
    edges.words("companies", match_on="")
    tables = dict(edges.home.settings.tables)
    del tables["hubspot.companies"]["match_on"]
    a = edges.record("companies", "a").id
    edges.rows("tickets", tickets(("t", f" {a} "), ("u", "acme"), ("v", "424242")))
    done = edges.push()
    assert [key for key, *_ in edges.troubles(done)] == ["u", "v"] and set(edges.linked("t")) == {"a"}


def test_an_archived_company_is_not_there(edges: EdgesHome) -> None:
    edges.home.site.store.archive("companies", edges.record("companies", "a").id)
    edges.rows("tickets", tickets(("t", "a")))
    assert (edges.push().counts.rejected, edges.linked("t")) == (1, {})


def test_a_company_that_was_merged_away_is_the_survivor(edges: EdgesHome) -> None:
    """The agreed id leads to it: theirs did not move, so that the row may."""
    agreed_on(edges)
    store = edges.home.site.store
    kept = store.merge("companies", edges.record("companies", "c").id, edges.record("companies", "a").id)
    assert set(store.neighbours("tickets", edges.record("tickets", "t").id, "companies")) == {kept.id}
    edges.set("tickets", "t", company="b")
    done = edges.push()
    assert (done.counts.conflicts, set(edges.linked("t"))) == (0, {"b"})


# Labels and the primary company


def test_a_label_is_written_and_taken_away_alone(edges: EdgesHome) -> None:
    """The pair, and the labels that others put on it, stay."""
    billing, other = edges.label("Billing"), edges.label("Other")
    edges.words("tickets", edges={"payer": {"to": "companies", "label": "billing"}})
    edges.rows("tickets", [{"key": "t", "payer": "a"}])
    edges.push()
    assert billing[1] in edges.linked("t")["a"]
    edges.link("t", "a", other)
    edges.set("tickets", "t", payer="b")
    edges.push()
    found = edges.linked("t")
    assert billing[1] in found["b"] and billing[1] not in found["a"] and other[1] in found["a"]
    assert edges.push().counts.unchanged == 1


def test_an_unlabelled_edge_stays_where_a_label_would_go_with_it(edges: EdgesHome) -> None:
    """HubSpot takes the whole pair away with its unlabelled type: what a person said of it is not lost."""
    agreed_on(edges)
    other = edges.label("Other")
    edges.link("t", "a", other)
    edges.set("tickets", "t", company="b")
    done = edges.push()
    assert other[1] in edges.linked("t")["a"] and "b" in edges.linked("t")
    [change] = edges.changes(done)
    assert "Other" in change.reason
    edges.set("tickets", "t", company=None)
    edges.link("t", "b", other)
    done = edges.push()
    assert done.counts.conflicts == 1 and other[1] in edges.linked("t")["b"]


def test_the_primary_company_moves_and_the_old_one_stays_associated(edges: EdgesHome) -> None:
    edges.words("tickets", edges={"company": {"to": "companies", "primary": True}})
    agreed_on(edges)
    edges.set("tickets", "t", company="b")
    done = edges.push()
    assert edges.linked("t") == {"a": {TICKET_COMPANY}, "b": LINKED} and done.exit_code == 0
    assert edges.push().counts.unchanged == 1
    edges.home.site.store.associate(
        "tickets", edges.record("tickets", "t").id, "companies", edges.record("companies", "c").id, [PRIMARY]
    )
    edges.set("tickets", "t", subject="x")
    assert (edges.push().exit_code, edges.linked("t")["c"]) == (0, LINKED)


def test_two_columns_to_one_kind_do_not_take_each_others_edges(edges: EdgesHome) -> None:
    """HubSpot makes the first company primary by itself, and gives every pair the unlabelled type."""
    edges.label("Reseller")
    words = {"company": {"to": "companies", "primary": True}, "reseller": {"to": "companies", "label": "Reseller"}}
    edges.words("tickets", edges={**words, "also": "companies"})
    edges.rows("tickets", [{"key": "t", "reseller": "later", "also": "b", "company": "a"}])
    assert edges.push().counts.rejected == 1
    assert edges.linked("t") == {"a": LINKED, "b": {TICKET_COMPANY}}
    edges.make("companies", "later")
    assert edges.push().exit_code == 0
    assert set(edges.linked("t")) == {"a", "b", "later"}
    edges.set("tickets", "t", company="b", also="a")
    edges.home.later()
    done = edges.push()
    assert (done.exit_code, edges.linked("t")["a"], edges.linked("t")["b"]) == (0, {TICKET_COMPANY}, LINKED)
    assert edges.push().counts.unchanged == 1


def test_a_plan_with_several_columns_is_applied_later_as_it_was_shown(edges: EdgesHome) -> None:
    """Read again before it is sent, what the row's other columns link to is no move of theirs."""
    words = {"company": {"to": "companies", "primary": True}, "also": "companies"}
    edges.words("tickets", edges=words)
    edges.rows("tickets", [{"key": "t", "also": None, "company": "a"}])
    edges.push()
    edges.set("tickets", "t", also="b")
    planned = edges.push(is_rehearsal=True)
    edges.home.later()
    done = edges.push(plan=planned.plan)
    assert (done.counts.updated, done.exit_code, set(edges.linked("t"))) == (1, 0, {"a", "b"})


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"to": "companies", "label": "Nonsense"}, "no label 'Nonsense'"),
        ({"to": "contacts", "primary": True}, "no primary"),
        ({"to": "companies", "primary": True, "label": "Primary"}, "one of the two"),
        ({"to": "notes", "label": ""}, "no column company"),
    ],
)
def test_a_label_that_is_not_there_is_wrong_usage_before_anything_is_read(
    edges: EdgesHome, told: dict[str, object], text: str
) -> None:
    edges.label("Billing")
    edges.rows("tickets", tickets(("t", "a")) if told["to"] != "notes" else [{"key": "t"}])
    edges.words("tickets", edges={"company": told})
    done = edges.push()
    assert done.status == "failed" and text in str(done.error)
    if "Nonsense" in text:
        assert "Labels: 'Billing', 'Primary'" in str(done.error)
    assert not [each for each in edges.home.sent() if "/batch/" in each]


# Records of the same plan


def test_a_parent_that_the_same_plan_makes_is_linked_in_any_order(edges: EdgesHome) -> None:
    """The edge comes after both creates, of whatever batch they are."""
    edges.words("companies", edges={"parent": {"to": "companies", "label": "Child Company"}})
    some = [{"key": f"k{n}", "parent": f"k{(n * 7 + 3) % 20}" if n % 2 else None} for n in range(20)]
    edges.rows("companies", some)
    planned = edges.push("companies", is_rehearsal=True)
    assert (planned.counts.created, planned.associated, planned.counts.rejected) == (20, 10, 0)
    linked = [each for each in edges.changes(planned) if each.action in OF_EDGES]
    assert all(len(each.after) == 2 and each.edge and each.edge.made_by in each.after for each in linked)
    done = edges.push("companies", plan=planned.plan)
    assert (done.counts.created, done.associated, done.exit_code) == (20, 10, 0), done
    for row in some:
        found = edges.linked(str(row["key"]), kind="companies")
        parents = {key for key, types in found.items() if CHILD in types}
        assert parents == ({row["parent"]} if row["parent"] else set())
    assert edges.agreed("k1", kind="companies") == {"edge:parent": edges.record("companies", "k10").id}
    assert edges.push("companies").counts.unchanged == 20


def test_parents_over_batches_wait_with_a_thousand_rows_at_most(
    edges: EdgesHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows at once here: each waits over several pages, and for a create of another batch."""
    monkeypatch.setattr(linking, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr("syncer.outbound.ROWS_AT_ONCE", 3)
    edges.words("companies", edges={"parent": {"to": "companies", "label": "Child Company"}})
    edges.rows("companies", [{"key": f"k{n}", "parent": f"k{10 - n}" if n != 5 else "nobody"} for n in range(11)])
    done = edges.push("companies")
    assert (done.counts.created, done.associated, done.counts.rejected) == (10, 10, 1)
    assert edges.troubles(done) == [("k5", "parent", "rejected")]
    again = edges.push("companies")
    assert (again.counts.unchanged, again.counts.rejected, again.associated) == (10, 1, 0)


def test_a_record_that_is_there_moves_to_a_parent_that_the_plan_makes(edges: EdgesHome) -> None:
    """The agreed one goes when the new one is linked, and what is agreed is the new record's id."""
    edges.words("companies", edges={"parent": {"to": "companies", "label": "Child Company"}}, adopt="ours")
    edges.rows("companies", [{"key": "a", "parent": "b"}])
    edges.push("companies")
    edges.rows("companies", [{"key": "a", "parent": "new"}, {"key": "new", "parent": None}])
    done = edges.push("companies")
    assert (done.associated, done.disassociated, done.exit_code) == (1, 1, 0)
    found = edges.linked("a", kind="companies")
    assert CHILD in found["new"] and CHILD not in found.get("b", set())
    assert edges.agreed("a", kind="companies") == {"edge:parent": edges.record("companies", "new").id}
    assert edges.push("companies").counts.unchanged == 2


def test_a_row_that_names_itself_is_a_reject(edges: EdgesHome) -> None:
    edges.words("companies", edges={"parent": {"to": "companies", "label": "Child Company"}})
    edges.rows("companies", [{"key": "a", "parent": "a"}, {"key": "n", "parent": "n"}])
    done = edges.push("companies")
    assert [each["reason"] for each in edges.home.problems(done.plan)] == ["It names the row's own record."] * 2


# Kinds


def test_notes_custom_objects_and_contacts_have_edge_columns(edges: EdgesHome) -> None:
    """Custom objects at either end; a contact by its address, whatever its capitals."""
    store = edges.home.site.store
    store.create("contacts", {"email": "ada@example.com"})
    edges.words("notes", edges={"company": "companies", "person": "contacts", "ticket": "tickets"})
    edges.words("contacts", match_on="email")
    edges.words("cables", edges={"company": "companies", "person": "contacts"})
    edges.make("tickets", "t")
    edges.rows("notes", [{"key": "n", "company": "a", "person": " ADA@Example.com ", "ticket": "t"}])
    edges.rows("cables", [{"key": "x", "company": "b", "person": "ada@example.com"}])
    for kind in ("notes", "cables"):
        done = edges.push(kind)
        assert (done.counts.created, done.exit_code) == (1, 0), done
    assert set(edges.linked("n", kind="notes")) == {"a"}
    assert set(edges.linked("n", kind="notes", to="tickets")) == {"t"}
    assert set(edges.linked("x", kind="cables")) == {"b"}
    for kind, key in (("notes", "n"), ("cables", "x")):
        assert set(edges.linked(key, kind=kind, to="contacts")) == {"ada@example.com"}
        assert edges.push(kind).counts.unchanged == 1


def test_a_contact_has_a_primary_company_and_a_company_names_its_contact(edges: EdgesHome) -> None:
    """Either side may be the one that names; a contact is found by its address."""
    edges.words("contacts", match_on="email", edges={"company": {"to": "companies", "primary": True}})
    edges.rows("contacts", [{"key": f"{name}@example.com", "company": company} for name, company in PEOPLE])
    assert edges.push("contacts").exit_code == 0
    edges.set("contacts", "ada@example.com", company="b")
    done = edges.push("contacts")
    assert (done.counts.updated, done.exit_code) == (1, 0)
    found = edges.linked("ada@example.com", kind="contacts")
    assert (1 in found["b"], 1 in found["a"]) == (True, False)
    edges.words("companies", edges={"billing": {"to": "contacts", "label": "Billing contact"}})
    edges.rows("companies", [{"key": "a", "billing": "Bob@Example.com"}])
    assert edges.push("companies").associated == 1
    assert 930 in edges.linked("a", kind="companies", to="contacts")["bob@example.com"]
    assert (edges.push("contacts").counts.unchanged, edges.push("companies").counts.unchanged) == (2, 1)


def test_a_company_may_name_a_custom_object(edges: EdgesHome) -> None:
    edges.make("cables", "x")
    edges.words("cables")
    edges.words("companies", edges={"cable": "cables"})
    edges.rows("companies", [{"key": "a", "cable": "x"}])
    assert (edges.push("companies").associated, set(edges.linked("a", kind="companies", to="cables"))) == (1, {"x"})
