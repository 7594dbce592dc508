"""A change of any operation is of its record only: what that was merged into meanwhile gets nothing."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from syncer.plan import DONE, MOVED
from tests.operations import COMPANY, PRIMARY, OperationHome

OWN = "hubspot.own"
FILE = """
from syncer.operations import Looked
from syncer.plan import Change, Edge, Edit
from syncer.plans import PlanRow

NAME, SUMMARY, KIND, READS, SETTINGS = "hubspot.own", "change tickets", "tickets", ("tickets",), {}


def looked(context):
    ids = [each.id for page in context.api.walked("tickets", ["subject"]) for each in page
           if each.properties["subject"] == "Printer"]
    yield Looked(PlanRow(key=ids[0], id=ids[0]), [CHANGES])
"""
WORDS = 'kind="tickets", key=ids[0]'
UPDATED = f'Change(number=NUMBER, action="update", {WORDS}, id=ids[0], fields={{"subject": Edit("Printer", "New")}}'
LINKED = f'Change(number=1, action="associate", {WORDS}, id=ids[0], edge=Edge(kind="companies", id="COMPANY", '
LINKED += f'category="HUBSPOT_DEFINED", type_id={COMPANY}))'
MERGED = f'Change(number=1, action="merge", {WORDS.replace("ids[0]", "ids[1]")}, id=ids[1], into=ids[0])'


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


def own(home: OperationHome, folder: Path, changes: str) -> OperationHome:
    """Add an operation that makes these changes."""
    (folder / "own" / "operations").mkdir(parents=True)
    (folder / "own" / "operations" / "own.py").write_text(FILE.replace("CHANGES", changes), encoding="utf-8")
    home.home.settings = attrs.evolve(home.home.settings, folders=(folder / "own",))
    return home.words(OWN, max_merges=10)


@pytest.mark.parametrize("changes", [UPDATED.replace("NUMBER", "1") + ")", LINKED], ids=["a value", "an association"])
def test_change_does_not_land_in_what_its_record_was_merged_into(
    home: OperationHome, tmp_path: Path, changes: str
) -> None:
    """It was planned for another ticket."""
    own(home, tmp_path, changes.replace("COMPANY", home.other("companies").id))
    ticket, other = home.ticket(), home.ticket(subject="Other")
    plan = home.run(OWN, is_rehearsal=True).plan
    home.home.later(86_400)
    survivor = home.site.store.merge("tickets", other.id, ticket.id)
    done = home.run(OWN, plan=plan)
    [change] = home.changes(plan)
    why = f"Its record was merged into record {survivor.id} on their side."
    assert (change.state, change.reason, done.exit_code) == (MOVED, why, 3)
    assert (home.live()[0].properties["subject"], home.linked(survivor.id, "companies")) == ("Other", {})


@pytest.mark.parametrize("id", ["ids[0]", "ids[1]"], ids=["that stays", "that goes"])
def test_change_lands_in_what_a_merge_of_its_own_plan_made(home: OperationHome, tmp_path: Path, id: str) -> None:
    """Under either id: that is the record that it was planned for."""
    own(home, tmp_path, f"{MERGED}, {UPDATED.replace('NUMBER', '2').replace('id=ids[0]', f'id={id}')}, after=(1,))")
    home.ticket()
    home.ticket()
    plan = home.run(OWN, is_rehearsal=True).plan
    home.home.later(86_400)
    assert home.run(OWN, plan=plan).exit_code == 0
    assert [each.state for each in home.changes(plan)] == [DONE, DONE]
    [left] = home.live()
    assert left.properties["subject"] == "New"


def test_association_of_a_record_that_is_there_is_made(home: OperationHome, tmp_path: Path) -> None:
    """Its id is read, and nothing else is asked of it."""
    company, ticket = home.other("companies"), home.ticket()
    own(home, tmp_path, LINKED.replace("COMPANY", company.id))
    plan = home.run(OWN, is_rehearsal=True).plan
    home.home.later(86_400)
    assert home.run(OWN, plan=plan).exit_code == 0
    assert home.linked(ticket.id, "companies") == {company.id: {COMPANY, PRIMARY}}
