"""Owners, pipelines, stages and definitions: listed whole, loaded by the real engine into a real file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import engine
from syncer.errors import AnswerError
from syncer.sandbox.messages import Request, Response, json_response
from syncer.sources import Page
from syncer.sources.hubspot import listed
from tests.sources.hubspot_lists import STREAMS, Bed, Lists, definition, owner, pipeline, running, stage

KEYS = {
    "owners": ("id",),
    "pipelines": ("object_type", "id"),
    "pipeline_stages": ("object_type", "pipeline_id", "id"),
    "properties": ("object_type", "name"),
}
LOST = {
    "owners": ("9",),
    "pipelines": ("tickets", "0"),
    "pipeline_stages": ("deals", "default", "won"),
    "properties": ("deals", "old"),
}


def some_lists() -> Lists:
    """A small portal: every state of everything."""
    return Lists(
        definitions={
            "deals": [definition("amount", type="number"), definition("old", archived=True)],
            "tickets": [definition("subject"), definition("iban", dataSensitivity="sensitive")],
        },
        groups={"deals": [{"name": "information", "label": "Deal information"}], "tickets": []},
        pipelines={
            "deals": [
                pipeline("default", stage("won", 1, probability="1.0", isClosed="true"), stage("new", 0)),
                pipeline("55", stage("new", 0, probability="0.2", isClosed="false")),
            ],
            "tickets": [pipeline("0", stage("1", ticketState="OPEN"), stage("4", 3, ticketState="CLOSED"))],
        },
        owners=[owner(number) for number in range(1, 4)] + [owner(9, archived=True, userId=None)],
    )


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running(some_lists(), tmp_path) as made:
        yield made


def states(bed: Bed, stream: str) -> dict[Any, str]:
    return bed.states(stream, *KEYS[stream])


# What comes in


def test_owners_come_with_those_that_were_deactivated(bed: Bed) -> None:
    """Records keep the id of a deactivated owner, so the row must be there."""
    assert bed.pull("owners").status == "done"
    assert states(bed, "owners") == {"1": "live", "2": "live", "3": "live", "9": "archived"}
    row = bed.rows(
        "SELECT email, type, first_name, last_name, user_id, user_id_including_inactive, created_at::VARCHAR, "
        "updated_at::VARCHAR, archived, teams FROM load.scripted_owners WHERE id = '9'"
    )[0]
    assert row[:6] == ("owner9@example.com", "PERSON", "Ada", "Nr 9", None, "16")
    assert row[6].startswith("2024-03-01 08:00:00.123") and row[7].startswith("2025-03-01 08:00:00")
    assert row[8] is True and [team["id"] for team in json.loads(row[9])] == ["1", "2"]


def test_owners_are_paged(bed: Bed) -> None:
    """500 a request, 200 a page of ours; each once."""
    bed.lists.owners = [owner(number) for number in range(1, 1_204)]
    pages = list(bed.stream("owners").read())
    numbers = [record["id"] for page in pages for record in page.records]
    assert sorted(numbers, key=int) == [str(number) for number in range(1, 1_204)]
    assert max(len(page.records) for page in pages) <= 200
    assert [(page.whole.first, page.whole.last) for page in pages if page.whole] == [
        (n == 0, n == 6) for n in range(7)
    ]
    bed.lists.sent()
    assert bed.pull("owners").inserted == 1_203
    assert len(bed.lists.sent()) == 3 + 1 + 3  # the active ones, those deactivated, the active ones again


def test_pipelines_come_by_type(bed: Bed) -> None:
    """Two types may have the same id; that of the default one is a word or "0"."""
    bed.pull("pipelines")
    assert states(bed, "pipelines") == dict.fromkeys([("deals", "default"), ("deals", "55"), ("tickets", "0")], "live")
    found = bed.rows("SELECT label, display_order, stages FROM load.scripted_pipelines WHERE id = 'default'")
    assert found[0][:2] == ("Pipeline default", 0)
    assert [each["id"] for each in json.loads(found[0][2])] == ["new", "won"]  # in their order, not the answer's


def test_stages_come_with_what_their_metadata_means(bed: Bed) -> None:
    """HubSpot writes it as texts; two pipelines may have a stage of one id."""
    bed.pull("pipeline_stages")
    query = (
        "SELECT object_type, pipeline_id, id, display_order, probability::DOUBLE, is_closed, ticket_state "
        "FROM load.scripted_pipeline_stages ORDER BY ALL"
    )
    assert bed.rows(query) == [
        ("deals", "55", "new", 0, 0.2, False, None),
        ("deals", "default", "new", 0, None, None, None),
        ("deals", "default", "won", 1, 1.0, True, None),
        ("tickets", "0", "1", 0, None, None, "OPEN"),
        ("tickets", "0", "4", 3, None, None, "CLOSED"),
    ]


def test_definitions_come_whole(bed: Bed) -> None:
    """With their group's label, archived and sensitive ones too, and all that HubSpot says of them."""
    bed.pull("properties")
    assert states(bed, "properties") == {
        ("deals", "amount"): "live",
        ("deals", "old"): "archived",
        ("tickets", "subject"): "live",
        ("tickets", "iban"): "live",
    }
    query = (
        "SELECT group_label, is_writable, data_sensitivity, definition FROM load.scripted_properties WHERE name = ?"
    )
    of = {name: bed.rows(query.replace("?", f"'{name}'"))[0] for name in ("amount", "iban")}
    assert of["amount"][:3] == ("Deal information", True, "non_sensitive")
    assert of["iban"][:3] == (None, True, "sensitive")
    assert json.loads(of["iban"][3]) == definition("iban", dataSensitivity="sensitive")


@pytest.mark.parametrize(("status", "count"), [(200, 8), (403, 6)])
def test_definitions_cost_few_requests(bed: Bed, status: int, count: int) -> None:
    """The groups, three sensitivities of the live and of the archived ones, and what was there once more."""
    bed.types = ["deals"]
    bed.lists.said["=sensitive"] = json_response({"results": []}, status=status)
    list(bed.stream("properties").read())
    sent = bed.lists.sent()
    assert len(sent) == count and sent[-1] == "/crm/v3/properties/deals?archived=false"


@pytest.mark.parametrize("stream", STREAMS)
def test_a_second_pull_of_the_same_lists_writes_nothing(bed: Bed, stream: str) -> None:
    """Also where HubSpot gives them, their stages and their teams in another order."""
    first = bed.pull(stream)
    assert first.read == first.inserted > 0
    for lists in (bed.lists.definitions, bed.lists.pipelines):
        for found in lists.values():
            found.reverse()
            for each in found:
                each.get("stages", []).reverse()
    for each in bed.lists.owners:
        each["teams"].reverse()
    again = bed.pull(stream)
    assert (again.status, again.inserted, again.updated, again.gone) == ("done", 0, 0, 0)
    assert again.read == first.read


def test_stages_stand_on_the_answers_that_pipelines_got(bed: Bed) -> None:
    """One verb asks once."""
    pipelines = listed.Pipelines(bed.official, ["deals", "tickets"])
    assert len(list(pipelines.read())) == len(list(listed.Stages(pipelines).read())) == 2
    assert bed.lists.sent() == ["/crm/v3/pipelines/deals", "/crm/v3/pipelines/tickets"]


def test_a_custom_object_is_asked_by_its_own_path_and_stands_under_its_name(bed: Bed) -> None:
    """Their paths are ids, and they need have no pipeline."""
    bed.types = {"licences": "2-345"}
    bed.lists.pipelines["2-345"] = []
    bed.lists.definitions["2-345"], bed.lists.groups["2-345"] = [definition("seats")], []
    assert bed.pull("pipelines").status == "done"
    bed.pull("properties")
    assert states(bed, "properties") == {("licences", "seats"): "live"}
    assert {sent.split("?")[0] for sent in bed.lists.sent()} == {
        "/crm/v3/pipelines/2-345", "/crm/v3/properties/2-345", "/crm/v3/properties/2-345/groups"
    }  # fmt: skip


# What ends


def test_an_owner_that_is_deactivated_becomes_archived_and_live_again(bed: Bed) -> None:
    """And one that is in no list is gone."""
    bed.pull("owners")
    bed.lists.owners[0]["archived"] = True
    del bed.lists.owners[1]
    assert bed.pull("owners").gone == 2
    assert states(bed, "owners") == {"1": "archived", "2": "gone", "3": "live", "9": "archived"}
    bed.lists.owners[0]["archived"] = False
    bed.pull("owners")
    assert states(bed, "owners")["1"] == "live"


def test_a_definition_that_is_archived_restored_or_purged(bed: Bed) -> None:
    """Archived is told; what is in no list is gone, its row stays."""
    bed.pull("properties")
    amount, old = bed.lists.definitions["deals"]
    amount["archived"], old["archived"] = True, False
    bed.pull("properties")
    assert states(bed, "properties")["deals", "amount"] == "archived"
    assert states(bed, "properties")["deals", "old"] == "live"
    bed.lists.definitions["deals"].remove(amount)
    bed.pull("properties")
    assert states(bed, "properties")["deals", "amount"] == "gone"


def test_a_pipeline_that_is_archived_is_gone_with_its_stages(bed: Bed) -> None:
    """It is in no list, and its id is not found; a stage that was deleted is gone alike."""
    for stream in ("pipelines", "pipeline_stages"):
        bed.pull(stream)
    del bed.lists.pipelines["deals"][1]
    del bed.lists.pipelines["tickets"][0]["stages"][1]
    for stream in ("pipelines", "pipeline_stages"):
        bed.pull(stream)
    assert {key for key, state in states(bed, "pipelines").items() if state == "gone"} == {("deals", "55")}
    assert {key for key, state in states(bed, "pipeline_stages").items() if state == "gone"} == {
        ("deals", "55", "new"),
        ("tickets", "0", "4"),
    }


def test_a_pipeline_that_says_that_it_is_archived_is(bed: Bed) -> None:
    """And so are its stages."""
    bed.lists.pipelines["deals"][1]["archived"] = True
    for stream in ("pipelines", "pipeline_stages"):
        bed.pull(stream)
    assert states(bed, "pipelines")["deals", "55"] == "archived"
    assert states(bed, "pipeline_stages")["deals", "55", "new"] == "archived"


@pytest.mark.parametrize("stream", ["owners", "properties"])
def test_what_goes_from_one_list_to_the_other_meanwhile_is_not_gone(bed: Bed, stream: str) -> None:
    """Restored between the two requests it is in neither answer; archived between them it is in both."""
    bed.pull(stream)

    def switch(_: Any, request: Request) -> None:
        is_live_list = "archived=false" in request.sent and "/groups" not in request.sent
        was = seen["archived"]
        seen["archived"] = not is_live_list
        if was is False and seen["archived"]:  # the first request of the archived list: the live one was read
            for each in (*bed.lists.owners, *bed.lists.definitions["deals"]):
                each["archived"] = not each["archived"]

    seen: dict[str, bool | None] = {"archived": None}
    bed.sandbox.before_request.append(switch)
    done = bed.pull(stream)
    bed.sandbox.before_request.clear()
    assert done.status == "done" and "gone" not in states(bed, stream).values()
    assert bed.pull(stream).updated == 0
    key: Any = "9" if stream == "owners" else ("deals", "old")
    other: Any = "1" if stream == "owners" else ("deals", "amount")
    assert (states(bed, stream)[key], states(bed, stream)[other]) == ("live", "archived")


@pytest.mark.parametrize("stream", STREAMS)
def test_the_style_delta_ends_the_same(tmp_path: Path, stream: str) -> None:
    """There the base is what was seen, by slices."""
    with running(some_lists(), tmp_path, style="delta") as bed:
        bed.pull(stream)
        del bed.lists.owners[1], bed.lists.definitions["tickets"][1], bed.lists.pipelines["deals"][1]
        done = bed.pull(stream)
        assert (done.status, done.gone, done.updated) == ("done", 1, 0)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_census_ends_what_is_in_no_list(bed: Bed, stream: str) -> None:
    """And heals a row that somebody took out; archived ones are met."""
    bed.pull(stream)
    del bed.lists.owners[1], bed.lists.definitions["tickets"][1], bed.lists.pipelines["deals"][1]
    before = states(bed, stream)
    lost = LOST[stream]
    where = " AND ".join(f"{column} = '{value}'" for column, value in zip(KEYS[stream], lost, strict=True))
    bed.rows(f"DELETE FROM load.scripted_{stream} WHERE {where}")
    done = bed.pull(stream, mode=engine.CENSUS, is_forced=True)
    assert (done.status, done.gone, done.inserted) == ("done", 1, 1)
    key = lost[0] if len(lost) == 1 else lost
    assert states(bed, stream)[key] == before[key]
    assert sorted(states(bed, stream).values()).count("gone") == 1


def test_fetch_leaves_out_what_is_not_there(bed: Bed) -> None:
    """And what a site does not read any more, of which it knows nothing."""

    def found(stream: str, *keys: tuple[str, ...]) -> list[Any]:
        pages: list[Page] = list(bed.stream(stream).fetch(keys))
        assert all(page.whole is None for page in pages)
        return [record.get("id", record.get("name")) for page in pages for record in page.records]

    assert found("owners", ("1",), ("9",), ("77",)) == ["1", "9"]
    assert found("pipelines", ("deals", "55"), ("deals", "x"), ("licences", "1")) == ["55"]
    assert found("pipeline_stages", ("tickets", "0", "4"), ("tickets", "1", "4")) == ["4"]
    assert found("properties", ("deals", "old"), ("tickets", "old")) == ["old"]


# What fails


@pytest.mark.parametrize("stream", ["pipelines", "pipeline_stages", "properties"])
@pytest.mark.parametrize("status", [403, 404])
def test_a_type_that_is_refused_fails_alone(bed: Bed, stream: str, status: int) -> None:
    """The others go on, its rows stay as they are, and a reject names it."""
    bed.pull(stream)
    before = states(bed, stream)
    if status == 403:
        bed.lists.scopes["/tickets"] = "tickets"
    else:
        bed.lists.said["/tickets"] = json_response({}, status=404)
    bed.lists.pipelines["deals"].pop()
    bed.lists.definitions["deals"].pop()
    done = bed.pull(stream)
    assert (done.status, done.rejected, done.gone <= 1) == ("done", 1, True)
    assert bed.rows("SELECT scope FROM syncer.rejects") == [("tickets",)]
    after = states(bed, stream)
    assert {key: state for key, state in after.items() if key[0] == "tickets"} == {
        key: state for key, state in before.items() if key[0] == "tickets"
    }
    assert "gone" in {state for key, state in after.items() if key[0] == "deals"}
    census = bed.pull(stream, mode=engine.CENSUS, is_forced=True)
    assert census.status == "done" and states(bed, stream) == after


def test_owners_without_their_scope_fail(bed: Bed) -> None:
    """There is but one scope, and none of its rows ends."""
    bed.pull("owners")
    bed.lists.scopes["/owners"] = "crm.objects.owners.read"
    done = bed.pull("owners")
    assert done.status == "failed" and "gone" not in states(bed, "owners").values()


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("mode", [engine.INCREMENTAL, engine.CENSUS])
def test_a_wrong_token_fails_and_ends_nothing(bed: Bed, stream: str, mode: str) -> None:
    """It is not about one type."""
    bed.pull(stream)
    before = states(bed, stream)
    bed.lists.token = "another"
    done = bed.pull(stream, mode=mode)
    assert done.status == "failed" and "token" in str(done.error)
    assert states(bed, stream) == before


@pytest.mark.parametrize("stream", STREAMS)
def test_an_empty_list_where_none_can_be_ends_nothing(bed: Bed, stream: str) -> None:
    """A portal has an owner, deals a pipeline, each type properties: it is a permission, not the truth."""
    bed.pull(stream)
    before = states(bed, stream)
    bed.lists.owners = []
    bed.lists.pipelines["deals"] = []
    bed.lists.definitions["deals"] = []
    done = bed.pull(stream)
    assert states(bed, stream) == before
    if stream == "owners":
        assert done.status == "failed"
    else:
        assert (done.status, done.rejected) == ("done", 1)


@pytest.mark.parametrize("stream", STREAMS)
def test_an_answer_that_cannot_be_true_fails(bed: Bed, stream: str) -> None:
    """A login page with status 200."""
    bed.pull(stream)
    before = states(bed, stream)
    bed.lists.said["/crm/v3"] = Response(body=b"<html>Please log in</html>")
    assert bed.pull(stream).status == "failed"
    assert states(bed, stream) == before


@pytest.mark.parametrize(
    ("stream", "spoil"),
    [
        ("owners", lambda lists: lists.owners[0].pop("id")),
        ("pipelines", lambda lists: lists.pipelines["deals"][0].pop("id")),
        ("pipelines", lambda lists: lists.pipelines["deals"][0].pop("stages")),
        ("pipeline_stages", lambda lists: lists.pipelines["deals"][0]["stages"][0].pop("id")),
        ("properties", lambda lists: lists.definitions["deals"][0].pop("name")),
    ],
)
def test_a_record_that_names_nothing_is_an_error(bed: Bed, stream: str, spoil: Any) -> None:
    """Left out, its row would look gone."""
    if stream == "owners":
        bed.lists.said["archived=false"] = json_response({"results": [{"email": "x"}]})
    else:
        spoil(bed.lists)
    with pytest.raises(AnswerError):
        list(bed.stream(stream).read())
