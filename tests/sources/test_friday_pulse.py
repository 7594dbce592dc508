"""Friday Pulse, pulled: what arrives, what is asked for, and what is history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import engine, mappings
from syncer.sandbox.friday_pulse import FridayPulseSite
from syncer.sandbox.messages import json_response
from tests.sources.pulse_home import LISTS, OF_GROUPS, STREAMS, PulseHome, running, slices_of, small_site


@pytest.fixture
def home(tmp_path: Path) -> Iterator[PulseHome]:
    with running(small_site(), tmp_path) as found:
        yield found


def test_the_first_load_brings_every_date(home: PulseHome) -> None:
    """Without a date the API tells the latest one only: each is asked for by its name."""
    home.pull()
    assert home.wrong() == []
    for stream in ("company_results", "group_results", "notes", "group_notes", "risks", "group_risks"):
        found = home.rows(f"SELECT DISTINCT flow_date, sample_date::VARCHAR FROM load.friday_pulse_{stream}")
        assert sorted(found) == [(date, date) for date in sorted(home.site.dates)], stream


def test_an_unchanged_second_pull_writes_nothing(home: PulseHome) -> None:
    """Not even in the three weeks that are read again."""
    home.pull()
    assert home.written() == {}


def test_a_second_pull_asks_for_three_weeks_inclusive(home: PulseHome) -> None:
    """The date that is exactly three weeks before the newest one still changes; what is older was read."""
    home.pull()
    home.asked()
    home.pull()
    asked = slices_of(home.asked())
    assert {path.rpartition("=")[2] for path in asked} == set(home.dates[:4])
    assert set(asked.values()) == {1} and len(asked) == 4 * (3 + 3 * 6)


def test_groups_and_dates_are_asked_for_once_a_pull(home: PulseHome) -> None:
    """However many streams stand on them."""
    home.pull()
    asked = home.asked()
    listed = [path for path in asked if "date=" not in path]
    assert sorted(listed) == [
        "/group-types",
        "/group-types/location/groups",
        "/group-types/team/groups",
        "/group-types/tenure/groups",
        "/info/results-dates",
        "/topics",
    ]


@pytest.mark.parametrize("weeks", [0, 1, 2, 3])
def test_late_answers_arrive(home: PulseHome, weeks: int) -> None:
    """People answer after the flow date, up to three weeks."""
    home.pull()
    home.site.answer_late(home.dates[weeks], 12)
    assert home.written() == {"company_results": (0, 11, 0), "group_results": (0, 11, 0)}
    assert home.wrong() == []


def test_a_new_date_arrives_and_the_oldest_leaves_the_lookback(home: PulseHome) -> None:
    """The mark is a flow date, and not the time of day."""
    home.pull()
    date = home.site.add_date()
    home.asked()
    runs = home.pull()
    assert home.wrong() == []
    assert {run.mark for run in runs if "group_results" in run.mapping} == {date}
    assert {path.rpartition("=")[2] for path in slices_of(home.asked())} == set(home.dates[:4])


def test_what_came_late_in_a_pause_arrives(home: PulseHome) -> None:
    """A date that was young when it was last read is read again, however old it is by now."""
    home.pull()
    late = home.dates[1]
    home.site.answer_late(late, 12)
    for _ in range(8):
        home.site.add_date()
    home.asked()
    home.pull()
    assert home.wrong() == []
    assert late in {path.rpartition("=")[2] for path in slices_of(home.asked())}
    home.pull()
    assert late not in {path.rpartition("=")[2] for path in slices_of(home.asked())}


def test_what_left_a_slice_is_gone(home: PulseHome) -> None:
    """A slice is compared whole: a note that was removed, a topic that was dropped."""
    home.pull()
    date = home.dates[2]
    number, note = next(iter(home.site.notes_on(date).items()))
    home.site.remove_note(date, number)
    home.site.drop_topic(date, 13, "grow")
    assert home.written() == {
        "notes": (0, 0, 1),
        "group_results": (0, 0, 1),
        "group_notes": (0, 0, len(note.groups)),
    }
    assert home.wrong() == []


def test_an_empty_list_is_an_answer(home: PulseHome) -> None:
    """A slice that had rows and is answered with [] has none any more."""
    home.pull()
    before = len(home.site.risks(home.dates[0], 14))
    home.site.clear_slice("risk", home.dates[0], 14)
    assert home.written() == {"group_risks": (0, 0, before)}
    assert home.wrong() == []


def test_most_results_of_a_date_do_not_end_at_once(home: PulseHome) -> None:
    """A role that sees no results any more looks like that: they stay, and a finding says so."""
    home.pull()
    for group in home.site.groups:
        home.site.clear_slice("results", home.dates[0], group)
    run = home.pull("group_results")[0]
    assert (run.gone, run.braked) == (0, 66)


def test_scores_that_are_not_shown_stay_null(tmp_path: Path) -> None:
    """They are never 0; with later answers they appear."""
    site = small_site(groups=0)
    number = site.add_group(members=4)
    number = number if number % 2 == 0 else site.add_group(members=4)
    site.min_responders = 5
    with running(site, tmp_path) as home:
        home.pull()
        query = f"SELECT count(score), count(*) FROM load.friday_pulse_group_results WHERE group_id = {number}"
        assert home.rows(query) == [(0, 77)]
        site.answer_late(home.dates[0], number, answers=4)
        home.pull()
        assert home.rows(query) == [(11, 77)] and home.wrong() == []


def test_each_result_has_the_question_count_of_its_date(home: PulseHome) -> None:
    """The API tells it beside the dates only."""
    home.site.dates[home.dates[3]] = 7
    home.pull()
    for stream in ("company_results", "group_results"):
        found = home.rows(f"SELECT DISTINCT flow_date, question_count FROM load.friday_pulse_{stream}")
        assert dict(found) == home.site.dates


def test_the_row_without_a_topic_has_a_code_of_its_own(home: PulseHome) -> None:
    """An empty text is no key."""
    home.pull()
    query = "SELECT count(*), count(topic_name) FROM load.friday_pulse_company_results WHERE topic_code = 'overall'"
    assert home.rows(query) == [(7, 0)]


def test_keys_that_nobody_declared_are_kept(home: PulseHome) -> None:
    """Little of the API is documented; and what stands in some rows only is not lost."""
    date, path = home.dates[0], "/results?date="
    rows = home.site.results(date, 0)
    home.site.answers[path + date] = json_response([*rows[:1], {**rows[1], "trend": {"a": 1}, "raw": "theirs"}])
    home.pull("company_results")
    query = f"SELECT raw FROM load.friday_pulse_company_results WHERE flow_date = '{date}' ORDER BY 1"
    found = [json.loads(row[0]) for row in home.rows(query)]
    assert [row.get("trend") for row in found].count({"a": 1}) == 1 and "theirs" in [row.get("raw") for row in found]


def test_lists_of_a_note_keep_their_commas(home: PulseHome) -> None:
    """Recipients are JSON, and there only where the API has them; the text stands in its own column only."""
    note = {
        "id": 7001,
        "text": "thanks, all",
        "action": "thank_colleague",
        "author": None,
        "flow_date": home.dates[0],
        "created_at": f"{home.dates[0]}T10:30:00Z",
        "recipients": [{"name": "Berg, Bas van der", "email": "bas@example.com"}],
        "external_recipients": ["a@b.example"],
        "mood": 3,
    }
    bare = {"id": 7002, "text": "x", "action": "suggest_idea", "flow_date": home.dates[0]}
    home.site.answers[f"/notes?date={home.dates[0]}"] = json_response([bare, note])
    home.pull("notes")
    columns = "author_name, recipients, external_recipients, raw"
    query = f"SELECT {columns} FROM load.friday_pulse_notes WHERE flow_date = '{home.dates[0]}' ORDER BY id"
    (name, recipients, external, raw), without = home.rows(query)
    assert (name, json.loads(recipients)) == (None, note["recipients"])
    assert (json.loads(external), json.loads(raw)) == (["a@b.example"], {"mood": 3})
    assert without == (None, None, None, None)


def test_a_note_of_two_groups_stands_once_among_the_company_s(home: PulseHome) -> None:
    """They are the same objects, and are never added up."""
    home.site.add_note(home.dates[0], (12, 15), text="twice")
    home.pull()
    assert home.rows("SELECT count(*) FROM load.friday_pulse_notes WHERE text = 'twice'") == [(1,)]
    found = home.rows("SELECT group_id FROM load.friday_pulse_group_notes WHERE text = 'twice' ORDER BY 1")
    assert found == [(12,), (15,)]


def test_a_group_of_two_types_is_one_row(home: PulseHome) -> None:
    """With all types that list it."""
    number = home.site.add_group(types=("team", "tenure"))
    home.pull("groups")
    query = f"SELECT group_type_code, group_type_codes FROM load.friday_pulse_groups WHERE id = {number}"
    assert home.rows(query) == [("team", '["team","tenure"]')]


def test_a_new_group_has_all_its_dates_read(home: PulseHome) -> None:
    """It is new to us; its history may be old."""
    home.pull()
    number = home.site.add_group(members=20)
    home.asked()
    home.pull()
    assert home.wrong() == []
    asked = slices_of(home.asked())
    assert sum(count for path, count in asked.items() if f"/groups/{number}/results" in path) == 7
    assert sum(count for path, count in asked.items() if "/groups/11/results" in path) == 4


def test_a_group_that_is_gone_keeps_its_history(home: PulseHome) -> None:
    """Its row is gone, its results are not: they were true; a census ends none of them either."""
    home.pull()
    home.site.vanish_group(13)
    assert home.written() == {"groups": (0, 0, 1)}
    home.pull(*OF_GROUPS, mode=engine.CENSUS, is_forced=True)
    assert home.rows("SELECT dss_record_state, name IS NULL FROM load.friday_pulse_groups WHERE id = 13") == [
        ("gone", False)
    ]
    query = "SELECT count(*) FROM load.friday_pulse_group_results WHERE group_id = 13 AND dss_record_state = 'live'"
    assert home.rows(query) == [(77,)]


def test_a_group_that_comes_back_is_read_whole(home: PulseHome) -> None:
    """What happened while it was away is not known."""
    home.pull()
    group = home.site.vanish_group(13)
    home.pull()
    home.site.groups[13] = group
    home.asked()
    home.pull()
    assert sum("/groups/13/risk" in path for path in home.asked()) == 7
    assert home.wrong() == []


def test_risks_are_keyed_as_the_site_says(home: PulseHome) -> None:
    """Their shape is not documented; where a key is missing or stands twice, a digest of the record is added."""
    first = home.dates[0]
    rows = [{"kind": "a", "n": 1}, {"kind": "b", "n": 1}, {"kind": "b", "n": 2}, {"n": 3}]
    home.site.answers[f"/risk?date={first}"] = json_response(rows)
    home.settings = attrs.evolve(
        home.settings, tables={"friday_pulse": {"requests_per_minute": "off", "risk_key": "kind"}}
    )
    home.pull("risks")
    found = home.rows(f"SELECT risk_key, raw FROM load.friday_pulse_risks WHERE flow_date = '{first}' ORDER BY 1")
    assert sorted(key.partition("~")[0] for key, _ in found) == ["", "a", "b", "b"]
    assert sorted(json.loads(raw)["n"] for _, raw in found) == [1, 1, 2, 3]
    assert home.written("risks") == {}


def test_a_census_ends_what_is_gone_beyond_the_lookback(home: PulseHome) -> None:
    """It asks for every slice there is."""
    home.pull()
    old = home.dates[6]
    number = next(iter(home.site.notes_on(old)))
    home.site.remove_note(old, number)
    home.site.drop_topic(old, 0, "grow")
    home.site.change_note(old, min(home.site.notes_on(old)), "changed long ago")
    assert home.written() == {}
    gone = {run.mapping.partition(".")[2]: run.gone for run in home.pull(mode=engine.CENSUS) if run.gone}
    assert gone["notes"] == 1 and gone["company_results"] == 1 and "group_results" not in gone
    home.pull(mode=engine.FULL)
    assert home.wrong() == []


def test_a_full_pull_reads_all_and_writes_what_differs(home: PulseHome) -> None:
    """And the next one is an incremental one again."""
    home.pull()
    home.asked()
    assert home.written(mode=engine.FULL) == {}
    assert len(slices_of(home.asked())) == 7 * (3 + 3 * 6)
    home.pull()
    assert len(slices_of(home.asked())) == 4 * (3 + 3 * 6)


def test_the_style_delta_ends_rows_of_a_slice_too(home: PulseHome) -> None:
    """Its base knows slices by text."""
    tables = {**home.settings.tables, "friday_pulse.group_results": {"style": "delta"}}
    home.settings = attrs.evolve(home.settings, tables=tables)
    home.pull("group_results")
    home.site.drop_topic(home.dates[0], 12, "grow")
    home.site.answer_late(home.dates[0], 14)
    assert home.written("group_results") == {"group_results": (0, 11, 1)}


@pytest.mark.parametrize("stream", STREAMS)
def test_the_page_names_the_key_of_every_table(stream: str) -> None:
    """Tables are joined by it."""
    page = (Path(__file__).parents[2] / "docs" / "friday_pulse.md").read_text(encoding="utf-8")
    mapping = mappings.known()[f"friday_pulse.{stream}"]
    assert f"`load.friday_pulse_{stream}` | `{', '.join(mapping.key)}` |" in page


MODES = {
    "incremental": {},
    "full": {"mode": engine.FULL},
    "census": {"mode": engine.CENSUS},
    "forced": {"mode": engine.CENSUS, "is_forced": True},
}
EMPTY = json_response([])


@pytest.mark.parametrize("request_", MODES.values(), ids=MODES)
@pytest.mark.parametrize("stream", [*LISTS, "no group of any type"])
def test_a_list_that_is_empty_fails_in_every_mode(home: PulseHome, stream: str, request_: dict[str, Any]) -> None:
    """A token that lost its role sees nothing, and a reload does not know that there was something: none is ended."""
    stream, is_of_types = ("groups", True) if stream not in LISTS else (stream, False)
    home.pull(stream)
    types = [f"/group-types/{code}/groups" for code in home.site.types]
    for path in types if is_of_types else ("/topics", "/group-types", "/info/results-dates"):
        home.site.answers[path] = EMPTY
    (run,) = home.outcome(stream, **request_)
    assert (run.status, run.gone) == ("failed", 0) and "none was ended" in str(run.error)
    assert home.wrong(stream) == []


@pytest.mark.parametrize("request_", MODES.values(), ids=MODES)
@pytest.mark.parametrize("stream", ["company_results", "group_results"])
def test_no_dates_and_no_groups_fail_the_streams_of_dates(
    home: PulseHome, stream: str, request_: dict[str, Any]
) -> None:
    """They are not done with nothing; and nothing that is known of them is forgotten."""
    home.pull(stream)
    home.site.answers["/info/results-dates" if stream == "company_results" else "/group-types"] = EMPTY
    (run,) = home.outcome(stream, **request_)
    assert run.status == "failed" and "none was ended" in str(run.error)
    home.site.answers.clear()
    assert home.written(stream) == {} and home.wrong(stream) == []


def test_an_account_that_lists_nothing_is_no_first_load(tmp_path: Path) -> None:
    """Done with nothing would be a false promise."""
    with running(FridayPulseSite(clock=small_site().clock), tmp_path) as home:
        assert {run.status for run in home.outcome()} == {"failed"}
