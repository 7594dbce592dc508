"""Friday Pulse, pulled: what fails alone, what fails the stream, and what an answer may not be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from syncer import engine
from syncer.errors import SyncerError, UsageError
from syncer.mappings.friday_pulse import LOOKBACK
from syncer.sandbox import Fault
from syncer.sandbox.messages import Request, Response, Site, json_response
from tests.conftest import MovableClock
from tests.sources.pulse_home import OF_GROUPS, PulseHome, running, slices_of, small_site


@pytest.fixture
def home(tmp_path: Path) -> Iterator[PulseHome]:
    with running(small_site(empty_status=500), tmp_path) as found:
        yield found


def sicken(home: PulseHome, match: str, *, status: int = 500, times: int | None = None) -> None:
    """Let requests fail."""
    home.sandbox.faults.add(Fault(kind="status", match=match, status=status, times=times, body="<h1>oops</h1>"))


def set_options(home: PulseHome, **options: object) -> None:
    """Set options of the source."""
    home.settings = attrs.evolve(home.settings, tables={"friday_pulse": {"requests_per_minute": "off", **options}})


def test_a_slice_that_fails_costs_itself_only(home: PulseHome) -> None:
    """500 may mean "nothing there": its rows stay, a reject names it, the others are read, and the run is done."""
    home.pull()
    date = home.dates[1]
    home.site.answer_late(date, 12)
    home.site.answer_late(date, 14)
    sicken(home, f"groups/12/results.*{date}")
    (run,) = home.pull("group_results")
    assert (run.updated, run.gone, run.rejected) == (11, 0, 1)
    assert list(home.rejects("group_results")) == [f"{date}/12"]
    assert len([what for what in home.wrong("group_results") if f"('{date}', '12'," in what]) > 0


@pytest.mark.parametrize("status", [500, 404])
def test_a_slice_that_failed_is_asked_again_with_the_next_run(home: PulseHome, status: int) -> None:
    """When it is read well its reject ends."""
    sicken(home, f"groups/12/risk.*{home.dates[2]}", status=status)
    home.pull("group_risks")
    assert list(home.rejects("group_risks")) == [f"{home.dates[2]}/12"]
    home.sandbox.faults.clear()
    home.pull("group_risks")
    assert home.rejects("group_risks") == {} and home.wrong("group_risks") == []


def test_a_5xx_is_asked_three_times_and_the_topics_once(home: PulseHome) -> None:
    """The topics tell whether the API as a whole is well."""
    sicken(home, "groups/12/notes")
    source = home.source("group_notes")
    source.check()
    home.asked()
    pages = source.read("group_notes", places={}, lookback=LOOKBACK, fields=())
    failed = next(page for page in pages if page.error is not None)
    asked = home.asked()
    assert failed.scope == f"{home.dates[0]}/12"
    assert asked.count(f"/groups/12/notes?date={home.dates[0]}") == 3 and asked.count("/topics") == 1
    source.close()


def test_an_old_slice_that_fails_is_tried_in_three_runs(home: PulseHome) -> None:
    """One that is empty for ever would cost each run three requests."""
    old = home.dates[6]
    home.site.clear_slice("risk", old, 12)
    counts = []
    for _ in range(5):
        home.pull("group_risks")
        counts.append(slices_of(home.asked())[f"/groups/12/risk?date={old}"])
    assert counts == [3, 3, 3, 0, 0]
    assert home.wrong("group_risks") == []


def test_an_old_slice_that_was_lost_comes_with_the_next_run(home: PulseHome) -> None:
    """A first load that met a moment's 500 beyond the lookback does not lose the slice."""
    sicken(home, f"groups/12/results.*{home.dates[6]}")
    home.pull("group_results")
    home.sandbox.faults.clear()
    home.pull("group_results")
    assert home.wrong("group_results") == [] and home.rejects("group_results") == {}


def test_more_than_a_fifth_of_the_slices_fails_the_stream(home: PulseHome) -> None:
    """What was read well is loaded; the message has the figures and the setting."""
    sicken(home, "groups/1[12]/results")
    (run,) = home.outcome("group_results")
    assert run.status == "failed" and run.inserted == 28 * 11
    assert "14 of 42 slices" in str(run.error) and "max_failed_share" in str(run.error)


def test_the_share_is_a_setting(home: PulseHome) -> None:
    """An account that answers 500 whenever there is nothing has more of them."""
    set_options(home, max_failed_share=0.5)
    sicken(home, "groups/1[12]/results")
    (run,) = home.pull("group_results")
    assert run.rejected == 14


def test_all_slices_of_a_date_fail_the_stream(home: PulseHome) -> None:
    """The other dates are read; the one that failed is asked for again, whole, by the next run."""
    date = home.dates[5]
    sicken(home, f"groups/.*results.*{date}")
    (run,) = home.outcome("group_results")
    assert run.status == "failed" and date in str(run.error)
    assert home.rows("SELECT count(DISTINCT flow_date) FROM load.friday_pulse_group_results") == [(6,)]
    assert {run.status for _ in range(3) for run in home.outcome("group_results")} == {"failed"}
    home.sandbox.faults.clear()
    home.asked()
    home.pull("group_results")
    assert {path.rpartition("=")[2] for path in slices_of(home.asked())} == {*home.dates[:4], date}
    assert home.wrong("group_results") == [] and home.rejects("group_results") == {}


def test_two_dates_in_a_row_end_the_pull(home: PulseHome) -> None:
    """It is not tried for hours when only the topics are answered."""
    sicken(home, "groups/.*results")
    (run,) = home.outcome("group_results")
    assert run.status == "failed"
    assert {path.rpartition("=")[2] for path in slices_of(home.asked())} == set(home.dates[:2])


def test_the_company_s_slice_fails_alone_too(home: PulseHome) -> None:
    """A week without notes is answered with 500; of few slices no share is taken."""
    home.site.clear_slice("notes", home.dates[1], 0)
    (run,) = home.pull("notes")
    assert run.rejected == 1 and home.wrong("notes") == []


def test_four_company_slices_in_a_row_end_the_pull(home: PulseHome) -> None:
    """Then it is the route that fails."""
    sicken(home, "v1/results.date")
    (run,) = home.outcome("company_results")
    assert run.status == "failed" and len(slices_of(home.asked())) == 4
    home.sandbox.faults.clear()
    home.pull("company_results")
    assert home.wrong("company_results") == []


def test_off_takes_every_failure_for_an_empty_slice(home: PulseHome) -> None:
    """As long as the topics are answered."""
    set_options(home, max_failed_share="off")
    sicken(home, "risk")
    runs = home.pull("risks", "group_risks")
    assert [run.rejected for run in runs] == [7, 42]


def test_an_outage_is_no_empty_slice(home: PulseHome) -> None:
    """Where the topics fail as well, nothing more is asked."""
    source = home.source("group_results")
    source.check()
    sicken(home, "")
    with pytest.raises(SyncerError, match="500"):
        list(source.read("group_results", places={}, lookback=LOOKBACK, fields=()))
    source.close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_let_in_fails_at_once(home: PulseHome, status: int) -> None:
    """It is never an empty slice, and asked once."""
    sicken(home, "groups/12/results", status=status)
    (run,) = home.outcome("group_results")
    assert run.status == "failed" and "token" in str(run.error)
    assert [count for path, count in slices_of(home.asked()).items() if "/12/" in path] == [1]


def test_a_group_that_vanishes_in_the_middle_is_no_outage(home: PulseHome) -> None:
    """Its slices answer 404: the groups are listed again, once, and it is left out of the rest of the verb."""
    home.pull()
    home.asked()

    def vanish(site: Site, request: Request) -> None:
        if request.path.endswith("/groups/13/results") and 13 in home.site.groups:
            home.site.vanish_group(13)

    home.sandbox.before_request.append(vanish)
    runs = home.pull(*OF_GROUPS)
    assert [run.rejected for run in runs] == [0, 0, 0] and [run.gone for run in runs] == [0, 0, 0]
    asked = home.asked()
    assert [path for path in asked if "/groups/13/" in path] == [f"/groups/13/results?date={home.dates[0]}"]
    assert asked.count("/group-types/team/groups") == 2
    assert home.written("groups") == {"groups": (0, 0, 1)}


def test_a_group_that_is_listed_and_answers_404_fails_alone(home: PulseHome) -> None:
    """The groups are listed again once, and not for each of its slices."""
    sicken(home, "groups/13/results", status=404)
    (run,) = home.pull("group_results")
    assert run.rejected == 7
    assert home.asked().count("/group-types/team/groups") == 2


def test_a_type_whose_groups_fail_ends_none_of_them(home: PulseHome) -> None:
    """The groups of the other types are read."""
    home.pull()
    sicken(home, "group-types/team/groups")
    home.site.vanish_group(11 if home.site.groups[11].types[0] != "team" else 12)
    run, results = home.pull("groups", "group_results")
    assert (run.gone, run.rejected, results.gone) == (1, 1, 0)
    assert list(home.rejects("groups")) == ["type team"]
    home.sandbox.faults.clear()
    home.pull("groups", "group_results")
    assert home.rejects("groups") == {} and home.rejects("group_results") == {}


BAD = {
    "null": json_response(None),
    "an object": json_response({"results": []}),
    "a list of lists": json_response([[]]),
    "HTML": Response(headers={"Content-Type": "text/html"}, body=b"<html>Log in</html>"),
    "cut JSON": Response(headers={"Content-Type": "application/json"}, body=b'[{"score":'),
    "another date": json_response([{"sample_date": "2001-01-01", "flow_date": "2001-01-01", "id": 1, "topic": None}]),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
@pytest.mark.parametrize("route", ["/results", "/groups/12/results", "/notes", "/groups/12/notes", "/risk"])
def test_an_answer_that_cannot_be_true_is_never_an_empty_slice(home: PulseHome, route: str, answer: Response) -> None:
    """Its rows stay, and a reject names it."""
    stream = {"/results": "company_results", "/groups/12/results": "group_results", "/risk": "risks"}.get(
        route, "group_notes" if "12" in route else "notes"
    )
    home.pull(stream)
    home.site.answers[f"{route}?date={home.dates[0]}"] = answer
    (run,) = home.pull(stream)
    assert (run.inserted, run.updated, run.gone, run.rejected) == (0, 0, 0, 1)
    assert home.wrong(stream) == []


@pytest.mark.parametrize("answer", [BAD["null"], BAD["an object"], BAD["HTML"]], ids=["null", "an object", "HTML"])
@pytest.mark.parametrize("path", ["/group-types", "/group-types/team/groups", "/info/results-dates", "/topics"])
def test_a_list_that_is_none_ends_nothing(home: PulseHome, path: str, answer: Response) -> None:
    """Neither groups nor dates."""
    home.pull()
    home.site.answers[path] = answer
    runs = home.outcome()
    assert sum(run.gone + run.updated for run in runs) == 0
    assert any(run.status == "failed" or run.rejected for run in runs)


def test_two_rows_of_one_topic_are_no_answer(home: PulseHome) -> None:
    """One of them would be lost."""
    rows = home.site.results(home.dates[0], 0)
    home.site.answers[f"/results?date={home.dates[0]}"] = json_response([*rows, {**rows[0], "score": 1}])
    (run,) = home.pull("company_results")
    assert "two rows of one topic" in next(iter(home.rejects("company_results").values()))
    assert run.rejected == 1


@pytest.mark.parametrize("url", ["", "/", "/api", "/api/", "/api/v1"])
def test_the_url_is_taken_with_and_without_api(tmp_path: Path, url: str) -> None:
    """People copy both."""
    with running(small_site(), tmp_path, url=url) as home:
        assert home.pull("topics")[0].inserted == 10


def test_another_url_is_told(tmp_path: Path) -> None:
    """A 404 for the topics is a wrong address."""
    with running(small_site(), tmp_path, url="/elsewhere") as home:
        (run,) = home.outcome("topics")
        assert run.status == "failed" and "https://app.fridaypulse.com" in str(run.error)


def test_the_check_names_the_host_and_the_clock(home: PulseHome) -> None:
    """There is no call that tells who the token is."""
    source = home.source()
    identity = source.check()
    assert identity.account == "127.0.0.1" and identity.clock_skew_s != 0
    home.site.revoke_token()
    with pytest.raises(SyncerError, match="does not accept the token"):
        source.check()
    source.close()


def test_a_429_is_waited_for(home: PulseHome) -> None:
    """As long as the server says; five of them are not too many."""
    home.sandbox.faults.add(
        Fault(kind="status", match="v1/results", status=429, headers={"Retry-After": "7"}, times=5)
    )
    home.pull("company_results")
    clock = home.doors.clock
    assert isinstance(clock, MovableClock) and sum(clock.slept) >= 35
    assert home.wrong("company_results") == []


def test_a_census_with_a_failing_slice_ends_none_of_it(home: PulseHome) -> None:
    """What could not be read is not absent."""
    home.pull()
    date = home.dates[6]
    home.site.drop_topic(date, 12, "grow")
    home.site.drop_topic(date, 14, "grow")
    sicken(home, f"groups/12/results.*{date}")
    (run,) = home.pull("group_results", mode=engine.CENSUS)
    assert (run.gone, run.rejected) == (1, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"max_failed_share": 2},
        {"max_failed_share": True},
        {"risk_key": 3},
        {"risk_key": [""]},
        {"requests_per_minute": 0},
    ],
    ids=str,
)
def test_a_wrong_option_is_told(home: PulseHome, options: dict[str, object]) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match=next(iter(options))):
        home.source(**options)


def test_old_slices_that_are_only_tried_again_fail_no_stream(home: PulseHome) -> None:
    """They were counted when they were read first: 8 of 42; of the 32 of the next run they would be too many."""
    for date, groups in zip(home.dates[4:], ((11, 12, 13), (11, 12, 13), (14, 15)), strict=True):
        for group in groups:
            home.site.clear_slice("risk", date, group)
    assert [home.pull("group_risks")[0].rejected for _ in range(4)] == [8, 8, 8, 0]


@pytest.mark.parametrize("stream", ["notes", "group_notes", "group_results", "company_results", "group_risks"])
def test_a_census_brings_back_what_the_table_lacks(home: PulseHome, stream: str) -> None:
    """Of a note only a walk of all dates tells which date it is of."""
    home.pull(stream)
    table = f"load.friday_pulse_{stream}"
    home.rows(f"DELETE FROM {table} WHERE flow_date = '{home.dates[5]}'")
    assert home.wrong(stream) != []
    home.pull(stream, mode=engine.CENSUS)
    assert home.wrong(stream) == []


def test_a_key_of_a_group_that_is_gone_is_history(home: PulseHome) -> None:
    """Fetched by its key it is live, not absent."""
    home.site.vanish_group(13)
    source = home.source()
    source.check()
    (page,) = source.fetch("group_results", [(home.dates[0], 13, "grow")])
    assert [(state.key, state.state) for state in page.states] == [((home.dates[0], 13, "grow"), "live")]
    source.close()


def codes_of(home: PulseHome, number: int) -> list[tuple[object, ...]]:
    """Return the types of a group, as they stand in the warehouse."""
    query = "SELECT group_type_code, group_type_codes, dss_record_state FROM load.friday_pulse_groups"
    return home.rows(f"{query} WHERE id = {number}")


@pytest.mark.parametrize("sick", ["team", "tenure"])
def test_a_group_of_two_types_keeps_both_while_one_fails(home: PulseHome, sick: str) -> None:
    """However long that lasts; where it leaves the other one it may still be of the one that fails."""
    number = home.site.add_group(types=("team", "tenure"))
    home.pull("groups")
    sicken(home, f"group-types/{sick}/groups")
    for _ in range(2):
        assert home.pull("groups")[0].rejected == 1
        assert codes_of(home, number) == [("team", '["team","tenure"]', "live")]
    home.site.groups[number] = attrs.evolve(home.site.groups[number], types=(sick,))
    home.pull("groups")
    assert codes_of(home, number) == [("team", '["team","tenure"]', "live")]
    home.sandbox.faults.clear()
    home.pull("groups")
    assert codes_of(home, number) == [(sick, f'["{sick}"]', "live")] and home.wrong("groups") == []


@pytest.mark.parametrize("mode", [engine.INCREMENTAL, engine.CENSUS])
def test_a_type_that_has_no_groups_any_more_fails_alone(home: PulseHome, mode: str) -> None:
    """Empty where there were some is no news, however often it is told; a person believes it with --full."""
    home.pull("groups")
    home.site.answers["/group-types/team/groups"] = json_response([])
    for _ in range(2):
        (run,) = home.pull("groups", mode=mode, is_forced=mode == engine.CENSUS)
        assert (run.gone, run.updated, run.rejected) == (0, 0, 1)
    assert list(home.rejects("groups")) == ["type team"] and home.wrong("groups") == []
    alone = {number for number, group in home.site.groups.items() if group.types == ("team",)}
    query = "SELECT id FROM load.friday_pulse_groups WHERE dss_record_state = 'gone'"
    home.pull("groups", mode=engine.FULL)
    assert {row[0] for row in home.rows(query)} == alone != set()
    home.pull("groups")
    assert home.rejects("groups") == {}


def test_a_type_with_half_a_letter_fails_alone(home: PulseHome) -> None:
    """Neither a URL nor a reject can name it as it is."""
    types = [*home.site.types.values(), {"code": "a\ud800", "name": "cut"}]
    body = json.dumps(types).encode()
    home.site.answers["/group-types"] = Response(headers={"Content-Type": "application/json"}, body=body)
    types_run, groups, results = home.pull("group_types", "groups", "group_results")
    assert (types_run.inserted, groups.rejected, results.rejected) == (4, 1, 1)
    assert list(home.rejects("groups")) == ["type a\ufffd"]
    assert home.wrong("groups", "group_results") == []


@pytest.mark.parametrize("code", [["a"], {"a": 1}, [], None, True], ids=repr)
def test_a_topic_whose_code_is_none_is_one_reject(home: PulseHome, code: object) -> None:
    """The other rows of its slice are read."""
    rows = home.site.results(home.dates[0], 0)
    home.site.answers[f"/results?date={home.dates[0]}"] = json_response([*rows, {**rows[-1], "topic": {"code": code}}])
    run, topics = home.pull("company_results", "topics")
    assert (run.rejected, run.inserted, topics.status) == (0 if code is True else 1, 77 + (code is True), "done")
    home.pull("company_results", mode=engine.CENSUS)


@pytest.mark.parametrize("number", ["²", "٣", 2**63, -(2**63) - 1, "9" * 5000, True, 1.5], ids=lambda n: str(n)[:20])
@pytest.mark.parametrize("mode", [engine.INCREMENTAL, engine.CENSUS])
def test_a_note_whose_id_is_no_number_is_one_reject(home: PulseHome, number: object, mode: str) -> None:
    """The others of its date are read, in a census too."""
    home.pull("notes", "topics")
    date = home.dates[0]
    notes = [*home.site.notes_of(date, 0), {"id": number, "text": "odd"}]
    home.site.answers[f"/notes?date={date}"] = json_response(notes)
    run, _ = home.pull("notes", "topics", mode=mode)
    assert (run.rejected, run.gone) == (1, 0) and home.wrong("notes") == []


@pytest.mark.parametrize("number", ["²", "9" * 5000, 2**63, None, [1]], ids=lambda n: str(n)[:20])
def test_a_group_whose_id_is_no_number_fails_what_stands_on_groups(home: PulseHome, number: object) -> None:
    """Its slices cannot be asked for; the company's streams are read."""
    home.site.answers["/group-types/team/groups"] = json_response([{"id": number, "name": "odd"}])
    groups, results, topics = home.outcome("groups", "group_results", "topics")
    assert (groups.status, results.status, topics.status) == ("failed", "failed", "done")
    assert "whole number" in str(groups.error)
