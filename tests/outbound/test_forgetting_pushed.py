"""`syncer forget`, and what the way out keeps: nothing of the person is left there, and no push makes them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import (
    conflicts,
    engine,
    executing,
    forgetting,
    forgetting_pushed,
    forgotten,
    mappings,
    plans,
    pushing,
    snapshots,
    sql,
)
from syncer.errors import LeaseHeld, UsageError
from syncer.plan import Change, Checksum, Edge
from syncer.plans import Header, PlanRow, Problem
from syncer.sandbox.hubspot.model import Definition
from syncer.tally import Pushed
from tests.outbound import PushHome, at_home
from tests.people import hits

NAME = "hubspot.contacts"
KEY = "a key of many characters"
NEEDLES = {
    "email": [b"zeldzaam@", b"Zeldzaam@", b"vroeger@"],
    "firstname": [b"Quirijn"],
    "phone": [b"0612345678", b"0687654321", b"0611111111"],
}


@pytest.fixture
def people(tmp_path: Path, backend: str) -> Iterator[PushHome]:
    """A portal and a relation of contacts, found by their address."""
    with at_home(tmp_path / "people", backend) as home:
        home.site.store.define(
            "contacts",
            Definition(name="phone", label="Phone", type="string", field_type="text", group_name="contactinformation"),
        )
        words = {"relation": "stage.people", "match_on": "email", "max_create_share": "off", "max_update_share": "off"}
        variables = {**home.settings.variables, "SYNCER_HASH_KEY": KEY}
        own = {**home.settings.tables, NAME: words}
        yield attrs.evolve(home, settings=attrs.evolve(home.settings, variables=variables, tables=own))


def has(home: PushHome, *rows: tuple[str, str, str]) -> None:
    """Make the relation hold these rows: email, firstname, phone."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows("DROP TABLE IF EXISTS stage.people")
    if rows:
        home.rows("CREATE TABLE stage.people (email TEXT, firstname TEXT, phone TEXT)")
    for row in rows:
        home.rows("INSERT INTO stage.people VALUES (?, ?, ?)", row)


def push(home: PushHome, name: str = NAME, **request: Any) -> Pushed:
    return pushing.push(name, settings=home.settings, request=executing.Request(**request), doors=home.doors)[0]


def forget(home: PushHome, id: str, **options: Any) -> forgetting.Forgotten:
    warehouse = home.warehouse()
    try:
        return forgetting.forget(NAME, id, settings=home.settings, doors=home.doors, warehouse=warehouse, **options)
    finally:
        warehouse.close()


def id_of(home: PushHome, email: str) -> str:
    records = home.site.store.records["contacts"].values()
    [found] = [each.id for each in records if each.properties.get("email") == email]
    return found


def edit(home: PushHome, email: str, **properties: str) -> None:
    home.site.store.update("contacts", id_of(home, email), properties, source_type="CRM_UI")


def pull(home: PushHome) -> None:
    [done] = engine.pull([NAME], settings=home.settings, request=engine.Request(), doors=home.doors)
    assert done.status == "done", done.error


def left(home: PushHome) -> dict[str, list[str]]:
    return hits(home.database.kept_in(), NEEDLES)


def rows_of(home: PushHome, table: str) -> list[tuple[Any, ...]]:
    return home.rows(f"SELECT * FROM syncer.{table}")


def texts_with(home: PushHome, *parts: str) -> list[str]:
    """The tables of schema `syncer` that have one of the parts in a row, as text."""
    tables = ("plans", "changes", "plan_rows", "conflicts", "rejects", "snapshots", "agreed", "runs")
    return [name for name in tables if any(part in str(row) for row in rows_of(home, name) for part in parts)]


ADA, BOB = ("Zeldzaam@Voorbeeld.example", "Quirijn", "0612345678"), ("bob@voorbeeld.example", "Bob", "020")
CLEO = ("cleo@voorbeeld.example", "Cleo", "030")
EMAIL = "zeldzaam@voorbeeld.example"


def lived(home: PushHome) -> Pushed:
    """Two pushes, a conflict, a reject, a pull, and a stored plan with changes to Ada and Bob. Return that plan."""
    has(home, ADA, BOB, CLEO)
    assert push(home).counts.created == 3
    edit(home, EMAIL, phone="0687654321")
    has(home, (*ADA[:2], "0611111111"), BOB, CLEO, CLEO)
    assert push(home).counts.conflicts == 1
    pull(home)
    has(home, (ADA[0], "Quirijn de Tweede", "0611111111"), (BOB[0], "Robert", "020"), CLEO, ("new@x.example", "N", ""))
    planned = push(home, is_rehearsal=True)
    assert (planned.counts.updated, planned.counts.conflicts, planned.counts.created) == (1, 1, 1)
    assert len(home.changes(planned.plan)) == 3  # Ada's other field is written, though one is in conflict
    return planned


def test_no_byte_of_the_person_is_left_in_what_pushes_keep(people: PushHome) -> None:
    """Plans, changes, rows, conflicts, rejects, snapshots and agreed values; the others are as they were."""
    lived(people)
    has(people, ADA, ADA, BOB)
    assert push(people).counts.rejected == 2  # the key stands twice: a reject that names it
    assert {"snapshots", "agreed", "changes", "plan_rows", "conflicts", "rejects"} <= set(
        texts_with(people, EMAIL, "Quirijn")
    )
    others = people.rows("SELECT key, id, row_hash FROM syncer.snapshots WHERE key <> ? ORDER BY key", [EMAIL])
    assert len(others) == 2
    id = id_of(people, EMAIL)
    has(people)
    assert set(left(people)) == set(NEEDLES)
    done = forget(people, id)
    assert left(people) == {}
    assert texts_with(people, EMAIL, "Zeldzaam", "Quirijn", "0612345678", "0687654321", "0611111111") == []
    touched = {each.table: each.rows for each in done.touched if each.rows}
    assert {"load.hubspot_contacts", "syncer.changes", "syncer.plan_rows", "syncer.snapshots", "syncer.agreed"} <= set(
        touched
    )
    assert people.rows("SELECT key, id, row_hash FROM syncer.snapshots ORDER BY key") == others
    assert people.rows("SELECT key FROM syncer.conflicts") == []
    assert people.rows("SELECT COUNT(*) FROM syncer.forgotten WHERE rewritten_at IS NULL") == [(0,)]
    assert forget(people, id).records == 1  # also where a killed one is finished


def test_the_value_of_a_reject_is_forgotten_with_its_person(people: PushHome) -> None:
    """A row that was never written has no record of its own in any plan; its key and what did not fit are theirs."""
    define = people.site.store.define
    options = [{"value": "gold", "label": "Gold"}]
    define(
        "contacts",
        Definition(
            name="tier", label="Tier", type="enumeration", field_type="select", group_name="x", options=options
        ),
    )
    people.site.store.create("contacts", {"email": EMAIL}, source_type="CRM_UI")
    people.rows("CREATE SCHEMA IF NOT EXISTS stage")
    people.rows("CREATE TABLE stage.people (email TEXT, firstname TEXT, tier TEXT)")
    for key, name, tier in ((ADA[0], ADA[1], "Quirijns eigen"), (BOB[0], BOB[1], "tin")):
        people.rows("INSERT INTO stage.people VALUES (?, ?, ?)", (key, name, tier))
    assert push(people).counts.rejected == 2
    push(people, is_rehearsal=True)
    told = "SELECT key, value FROM syncer.rejects WHERE scope = 'push' ORDER BY key"
    assert people.rows(told) == [(BOB[0], "tin"), (EMAIL, "Quirijns eigen")]
    pull(people)
    has(people)
    forget(people, id_of(people, EMAIL))
    assert people.rows(told) == [(BOB[0], "tin")]
    assert texts_with(people, EMAIL, "Quirijn") == []
    assert left(people) == {}


def test_the_rest_of_a_stored_plan_is_applied(people: PushHome) -> None:
    """Its checksum is made anew with what is taken out; the person's change is rejected, and nothing of it is sent."""
    planned = lived(people)
    id, before = id_of(people, EMAIL), dict(people.site.store.records["contacts"][id_of(people, EMAIL)].properties)
    has(people)
    forget(people, id)
    [(checksum, notes)] = people.rows("SELECT checksum, notes FROM syncer.plans WHERE plan = ?", [planned.plan])
    assert checksum != planned.checksum and "Somebody was forgotten on 2026-03-01" in notes
    assert sorted((each.state, bool(each.fields)) for each in people.changes(planned.plan)) == [
        ("planned", True), ("planned", True), ("rejected", False),
    ]  # fmt: skip
    done = push(people, plan=planned.plan)
    assert (done.status, done.counts.updated, done.counts.created, done.counts.rejected) == ("done", 1, 1, 1)
    assert done.counts.read == planned.counts.read
    names = {each.properties["email"]: each.properties["firstname"] for each in contacts(people)}
    assert names[BOB[0]] == "Robert" and names[EMAIL] == "Quirijn"
    after = people.site.store.records["contacts"][id].properties
    assert {name: after[name] for name in NEEDLES} == {name: before[name] for name in NEEDLES}
    assert texts_with(people, EMAIL, "Zeldzaam", "Quirijn") == []


def test_a_plan_that_somebody_changed_stays_refused(people: PushHome) -> None:
    """A checksum that is made anew must not make good what did not fit before."""
    planned = lived(people)
    id = id_of(people, EMAIL)
    people.rows("UPDATE syncer.changes SET key = 'x' WHERE plan = ? AND key = ?", [planned.plan, BOB[0]])
    forget(people, id)
    assert people.rows("SELECT checksum FROM syncer.plans WHERE plan = ?", [planned.plan]) == [(planned.checksum,)]
    with pytest.raises(UsageError, match="is not what it was"):
        push(people, plan=planned.plan)


def test_a_dry_run_changes_nothing(people: PushHome) -> None:
    """It counts by doing, and rolls back."""
    lived(people)
    tables = ("plans", "changes", "plan_rows", "conflicts", "rejects", "snapshots", "agreed")
    before = {name: sorted(map(str, rows_of(people, name))) for name in tables}
    done = forget(people, id_of(people, EMAIL), is_rehearsal=True)
    assert {each.table for each in done.touched if each.rows} >= {"syncer.changes", "syncer.snapshots"}
    assert {name: sorted(map(str, rows_of(people, name))) for name in tables} == before


def contacts(home: PushHome) -> list[Any]:
    return [each for each in home.site.store.records["contacts"].values() if not each.is_archived]


@pytest.mark.parametrize("is_gone_there", [True, False])
def test_the_next_push_makes_nobody_again(people: PushHome, is_gone_there: bool) -> None:
    """Whether the source still has the person or not: by the key, however it is written, and by the record's id."""
    lived(people)
    id = id_of(people, EMAIL)
    has(people)
    forget(people, id)
    if is_gone_there:
        people.site.store.purge("contacts", id)
    has(people, (" ZELDZAAM@voorbeeld.example ", "Quirijn", "0600"), BOB, CLEO)
    for _ in range(2):
        done = push(people)
        assert (done.counts.created, done.counts.rejected) == (0, 1), done.error
    assert len(contacts(people)) == 2 + (not is_gone_there)
    assert texts_with(people, EMAIL, "ZELDZAAM", "Quirijn", "0600") == []
    assert people.rows("SELECT reason FROM syncer.rejects WHERE scope = 'push'") == [(forgotten.REASON,)]


def barred(home: PushHome, name: str = NAME) -> forgotten.Barred:
    """Whom a push of a mapping must not make again."""
    known = [home.settings.applied_to(each) for each in mappings.known().values() if each.source == "hubspot"]
    [mapping] = [each for each in known if each.name == name]
    warehouse = home.warehouse()
    try:
        with warehouse.transaction() as t:
            return forgotten.barred(t, mapping, others=known, settings=home.settings, environment="default")
    finally:
        warehouse.close()


def test_who_is_barred_is_known_by_key_and_by_id(people: PushHome) -> None:
    """Keys are hashed under the way out: the number of a client is no record's id."""
    lived(people)
    assert not barred(people)(EMAIL, None)
    id = id_of(people, EMAIL)
    forget(people, id)
    found = barred(people)
    assert found(EMAIL, None) and found(f" {EMAIL.upper()} ", None) and found(None, id) and found("new@x.example", id)
    assert not found(BOB[0], None) and not found(id, None) and not found(None, None)
    assert not barred(people, "hubspot.companies")(EMAIL, id)
    by_id = {**people.settings.tables[NAME]}
    del by_id["match_on"]
    other = attrs.evolve(
        people, settings=attrs.evolve(people.settings, tables={**people.settings.tables, NAME: by_id})
    )
    assert barred(other)(id, None) and not barred(other)(EMAIL, None)
    row = found.row(EMAIL, None, times=2)
    assert (row.outcome, row.times, row.id) == ("rejected", 2, None) and "zeldzaam" not in str(row)
    assert (
        row.key == found.row(EMAIL, id).key and len({row.key, found.row(None, id).key, found.row(None, "8").key}) == 3
    )


def test_another_hash_key_or_none_is_refused(people: PushHome) -> None:
    """Everybody would come back."""
    lived(people)
    forget(people, id_of(people, EMAIL))
    for key, words in (("another key of many", "another hash key"), ("", "SYNCER_HASH_KEY|no key")):
        variables = {**people.settings.variables, "SYNCER_HASH_KEY": key}
        with pytest.raises(UsageError, match=words):
            barred(attrs.evolve(people, settings=attrs.evolve(people.settings, variables=variables)))


def test_what_is_in_flight_is_settled_first(people: PushHome) -> None:
    """Whether a create arrived can only be asked by the key: without it the person might stand there, unknown."""
    planned = lived(people)
    people.rows(
        "UPDATE syncer.changes SET state = 'sending', run = 'x' WHERE plan = ? AND key = ?", [planned.plan, EMAIL]
    )
    before = sorted(map(str, rows_of(people, "changes")))
    with pytest.raises(forgetting_pushed.InFlight, match=r"sending a change to this person"):
        forget(people, id_of(people, EMAIL))
    assert sorted(map(str, rows_of(people, "changes"))) == before
    assert people.rows("SELECT COUNT(*) FROM syncer.snapshots WHERE key = ?", [EMAIL]) == [(1,)]


def test_no_push_may_be_under_way(people: PushHome) -> None:
    """It would write down what it read before; the lease has the name that a push takes."""
    lived(people)
    warehouse = people.warehouse()
    lease = warehouse.lease(executing.lease_name("hubspot.contacts", "default"), run="x", wait_s=0)
    try:
        with pytest.raises(LeaseHeld):
            forget(people, id_of(people, EMAIL))
    finally:
        lease.release()
        warehouse.close()


def stored(
    home: PushHome, name: str, changes: list[Change], rows: list[PlanRow], state: str = plans.PLANNED
) -> Header:
    """Store a plan as a push does."""
    found = Checksum()
    found.add(change.digest(name, "default") for change in changes)
    header = Header(
        plan=plans.new_plan(), mapping=name, environment="default", account="1", state=state,
        made_at=home.clock.now(), checksum=str(found), changes=len(changes),
    )  # fmt: skip
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        for table in (*plans.TABLES, *snapshots.TABLES, *conflicts.TABLES):
            t.create(table)
        plans.insert(t, header)
        plans.add(t, header, changes=changes, rows=rows, read_at=home.clock.now())
    warehouse.close()
    return header


def test_a_plan_that_is_not_whole_is_dropped_with_its_copy(people: PushHome) -> None:
    """A killed push leaves the rows of the relation that differed, whole, in a table of their own."""
    lived(people)
    half = stored(people, NAME, [], [], state=plans.PLANNING)
    people.rows(f"CREATE TABLE syncer.copy_{half.plan} AS SELECT '{EMAIL}' AS dss_key")
    id = id_of(people, EMAIL)
    has(people)
    forget(people, id)
    assert left(people) == {}
    assert people.rows("SELECT COUNT(*) FROM syncer.plans WHERE plan = ?", [half.plan]) == [(0,)]


def test_edges_that_lead_to_the_person_lose_their_key(people: PushHome) -> None:
    """A ticket names its contact by the address; what was not sent is rejected, the ticket itself is not touched."""
    lived(people)
    tables = {**people.settings.tables, "hubspot.tickets": {"edges": {"contact": "contacts"}}}
    home = attrs.evolve(people, settings=attrs.evolve(people.settings, tables=tables))
    id = id_of(home, EMAIL)

    def edge(number: int, key: str, state: str) -> Change:
        there = Edge(kind="contacts", id=id, category="HUBSPOT_DEFINED", type_id=16, key=key)
        return Change(
            number=number, action="associate", kind="tickets", key=f"T{number}", id="9", edge=there, state=state
        )

    problem = Problem(
        kind="rejected", field="edge:contact", reason=f"There is no {EMAIL}.", ours=EMAIL.upper(), theirs="1"
    )
    other = attrs.evolve(problem, field="subject", ours="Printer", reason="Too long.")
    header = stored(
        home, "hubspot.tickets",
        [edge(1, EMAIL, "planned"), edge(2, "Zeldzaam@voorbeeld.example", "done"), edge(3, BOB[0], "planned")],
        [PlanRow(key="T1"), PlanRow(key="T4", outcome="rejected", problems=[problem, other])],
    )  # fmt: skip
    ours = {"mapping": "hubspot.tickets", "environment": "default"}
    for table, row in (
        (conflicts.CONFLICTS, {**ours, "key": "T5", "field": "edge:contact", "state": "open", "ours": EMAIL}),
        (conflicts.CONFLICTS, {**ours, "key": "T6", "field": "edge:contact", "state": "open", "ours": f"x.{EMAIL}"}),
        (conflicts.REJECTS, {**ours, "key": "T7", "column": "edge:contact", "scope": "push", "value": EMAIL}),
    ):
        warehouse = home.warehouse()
        with warehouse.transaction() as t:
            t.run(sql.insert(table), [row.get(column.name) for column in table.columns])
        warehouse.close()
    has(home)
    forget(home, id)
    first, second, third = home.changes(header.plan)
    assert (first.state, second.state, third.state) == ("rejected", "done", "planned")
    assert first.edge is not None and first.edge.key.startswith("forgotten ") and first.edge.id == id
    assert third.edge is not None and third.edge.key == BOB[0] and first.key == "T1"
    assert home.rows("SELECT key FROM syncer.conflicts WHERE mapping = 'hubspot.tickets'") == [("T6",)]
    assert home.rows("SELECT key FROM syncer.rejects WHERE mapping = 'hubspot.tickets'") == []
    told = {each["field"]: each["ours"] for each in home.problems(header.plan)}
    assert told == {"edge:contact": None, "subject": "Printer"}
    assert texts_with(home, EMAIL, EMAIL.upper(), "Zeldzaam@") == ["conflicts"]  # that of the other address


def test_a_key_that_another_record_has_by_now_is_that_ones(people: PushHome) -> None:
    """An address that was handed on: who has it now is not erased, nor kept from being pushed; the answer says so."""
    has(people, ADA, BOB)
    push(people)
    ada, bob = id_of(people, EMAIL), id_of(people, BOB[0])
    people.rows("UPDATE syncer.snapshots SET key = 'ada2@x.example' WHERE id = ?", [ada])
    people.rows("UPDATE syncer.snapshots SET key = ? WHERE id = ?", [EMAIL, bob])
    pull(people)
    done = forget(people, ada)
    assert people.rows("SELECT key, id FROM syncer.snapshots") == [(EMAIL, bob)]
    assert any(f"record {bob}" in each for each in done.left)
    found = barred(people)
    assert not found(EMAIL, bob) and found("ada2@x.example", None)


def test_a_mapping_of_the_same_kind_under_another_name_counts(people: PushHome, tmp_path: Path) -> None:
    """A company's own mapping of contacts, found by its own number."""
    folder = tmp_path / "own"
    (folder / "mappings").mkdir(parents=True)
    (folder / "mappings" / "own.py").write_text(
        "from syncer.mapping import EntityMapping, Field, Outbound\n"
        "MAPPINGS = (EntityMapping(name='hubspot.clients', key=('id',), fields=(Field('id'),),\n"
        "    outbound=Outbound(kind='contacts', relation='stage.clients', match_on='client_no')),)\n"
    )
    home = attrs.evolve(people, settings=attrs.evolve(people.settings, folders=(folder,)))
    lived(home)
    id = id_of(home, EMAIL)
    change = Change(number=1, action="update", kind="contacts", key="C-7", id=id, row_hash="x")
    header = stored(home, "hubspot.clients", [change], [PlanRow(key="C-7", id=id)])
    forget(home, id)
    [left_over] = home.changes(header.plan)
    assert (left_over.state, left_over.key.startswith("forgotten ")) == ("rejected", True)
    known = mappings.known(folders=(folder,))
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        others = [each for each in known.values() if each.source == "hubspot"]
        found = forgotten.barred(
            t, known["hubspot.clients"], others=others, settings=home.settings, environment="default"
        )
    warehouse.close()
    assert found("C-7", None) and found(None, id) and not found("C-8", None)
