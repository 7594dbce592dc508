"""`[notify]`: what is told of pushes, reverts, operations and of a verify, and what never is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import operating, outward, reverting, verifying
from syncer.errors import UsageError
from syncer.executing import Request
from syncer.reports import plan_text, verified
from tests.hooks import Hook, listening
from tests.outbound import KEY, PushHome, at_home

NAME = "hubspot.companies"
PERSON = "ada.lovelace@example.com"
ROW = {KEY: "k-4711", "name": "One", "phone": "+31 20 1"}


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook on this machine."""
    with listening() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, backend: str, hook: Hook) -> Iterator[PushHome]:
    """A portal, a warehouse, and somebody who is told."""
    with at_home(tmp_path / "home", backend) as found:
        tables = {**found.settings.tables, "notify": {"webhook": hook.url, "timeout_s": 20}}
        yield attrs.evolve(found, settings=attrs.evolve(found.settings, tables=tables))


def hides(hook: Hook, *texts: str) -> bool:
    """Tell whether nothing that was sent has one of some texts."""
    sent = b"".join(body for _, _, body in hook.came).decode("ascii")
    return bool(sent) and not [each for each in texts if each in sent]


def test_rejects_and_conflicts_are_told_as_counts_alone(home: PushHome, hook: Hook) -> None:
    """Their keys, ids and values may be a person's, NUL and half letters, too."""
    home.relation([ROW, {**ROW, KEY: "k-4712", "name": "Two"}])
    home.push()
    home.later()
    home.edit("k-4711", phone=PERSON)
    home.change("k-4711", phone="+31 6 5550 0104")
    name = "x" * 66_000 + PERSON
    home.rows("INSERT INTO stage.companies VALUES (?, ?, ?)", ["k-4713", name, "\u202e\u0085"])
    home.later()
    done = home.push()
    found = hook.only
    [run] = found["runs"]
    assert (run["run"], run["plan"], run["mapping"]) == (done.run, done.plan, NAME)
    assert (found["verb"], found["causes"], found["exit_code"]) == ("push", ["rejects", "conflicts"], 3)
    assert (run["counts"]["rejected"], run["counts"]["conflicts"], run["counts"]["read"]) == (1, 1, 3)
    assert hides(hook, "k-47", PERSON, "5550", "xxxx", home.company("k-4711").id)


def test_a_push_that_limits_refuse_is_told_with_the_limits(home: PushHome, hook: Hook) -> None:
    """Nothing was written, and a person is to look at that very plan."""
    home = home.with_words(max_creates=0)
    home.relation([ROW])
    done = home.push()
    [run] = hook.only["runs"]
    assert (run["status"], run["exit_code"], run["causes"]) == ("refused", 4, ["refused"])
    assert run["trips"] == list(done.trips) and "max_creates" in run["trips"][0] and hides(hook, "k-4711")


def test_a_push_that_fails_is_told_with_the_kind_of_its_error(home: PushHome, hook: Hook) -> None:
    """`match_on` names no property: that mapping failed, and the verb goes on."""
    home = home.with_words(match_on="code")
    home.relation([{"code": PERSON, "name": PERSON}])
    home.push()
    [run] = hook.only["runs"]
    assert (run["status"], run["causes"], run["plan"]) == ("failed", ["failed"], None)
    assert run["error"]["type"] == "UsageError" and hides(hook, PERSON)


def test_what_does_not_read_back_is_told_without_the_records(
    home: PushHome, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That error names records: the words that are told are those of its kind."""
    home.relation([ROW])
    monkeypatch.setattr("syncer.apply.Applying.unlike", lambda *given: [f"{PERSON} k-4711"])
    done = home.push(first=1)
    assert PERSON in (done.error or "")
    assert hook.only["runs"][0]["error"]["type"] == "AnswerError" and hides(hook, PERSON, "k-4711")


def test_a_dry_run_tells_nobody(home: PushHome, hook: Hook) -> None:
    """Somebody is looking at it."""
    home = home.with_words(max_creates=0)
    home.relation([ROW])
    assert home.push(is_rehearsal=True).exit_code == 4
    operating.run(
        "hubspot.create_properties", settings=home.with_words(match_on="phone").settings,
        request=Request(is_rehearsal=True), doors=home.doors,
    )  # fmt: skip
    assert hook.came == []


def test_python_calls_of_push_are_told(home: PushHome, hook: Hook) -> None:
    """As those of the command line are; what is raised stays what it was."""
    home = home.with_words(max_creates=0)
    home.relation([ROW])
    with pytest.raises(outward.PushFailed) as caught:
        outward.push(NAME, settings=home.settings)
    assert caught.value.exit_code == 4 and hook.only["causes"] == ["refused"]


def test_a_revert_that_meets_a_conflict_is_told(home: PushHome, hook: Hook) -> None:
    """What a person did since stands, and somebody is to know."""
    home.relation([ROW])
    run = home.push().run or ""
    home.later()
    home.edit("k-4711", phone=PERSON)
    home.later()
    done = reverting.revert(run, settings=home.settings, request=Request(), doors=home.doors)
    assert done.counts.conflicts == 1
    assert (hook.only["verb"], hook.only["causes"]) == ("revert", ["conflicts"]) and hides(hook, PERSON, "k-4711")


def test_an_operation_is_told(home: PushHome, hook: Hook) -> None:
    """A property that is there and not unique is a reject."""
    home = home.with_words(match_on="phone")
    operating.run("hubspot.create_properties", settings=home.settings, request=Request(), doors=home.doors)
    assert (hook.only["verb"], hook.only["causes"]) == ("run", ["rejects"])
    assert hook.only["runs"][0]["mapping"] == "hubspot.create_properties"


def test_new_findings_of_a_report_are_told_where_they_are_named(home: PushHome, hook: Hook, tmp_path: Path) -> None:
    """By default they are not: a report is read. A second run has none that is new."""
    folder = tmp_path / "own" / "operations"
    folder.mkdir(parents=True)
    text = (
        'from syncer.findings import Line\nNAME, SUMMARY, COLUMNS = "warehouse.look", "Looks.", ("what",)\n'
        f'def lines(context):\n    yield Line(key="{PERSON}", text="{PERSON}", values={{"what": "{PERSON}"}})\n'
    )
    (folder / "look.py").write_text(text, encoding="utf-8")
    settings = attrs.evolve(home.settings, folders=(tmp_path / "own",))
    named = {**settings.tables, "notify": {**settings.tables["notify"], "on": ["findings"]}}
    for tables in (named, named, settings.tables):
        asked = attrs.evolve(settings, tables=tables)
        operating.run("warehouse.look", settings=asked, request=Request(), doors=home.doors)
    home.rows("DELETE FROM syncer.runs")  # what `home` counts at its end are runs of plans
    [run] = hook.only["runs"]
    assert (run["causes"], run["counts"]) == (["findings"], {"lines": 1, "findings": 1, "new": 1}) and hides(
        hook, PERSON
    )


def test_what_verify_cannot_explain_is_told(home: PushHome, hook: Hook) -> None:
    """That something was quietly lost is what nobody else would tell."""
    home.relation([ROW])
    home.push()
    home.later()
    home.site.store.purge("companies", home.company("k-4711").id)
    verifying.verify(NAME, settings=home.settings, doors=home.doors)
    assert (hook.only["verb"], hook.only["causes"]) == ("verify", ["unexplained"])
    assert hook.only["runs"][0]["counts"]["unexplained"] == 1 and hides(hook, "k-4711", "+31")


def test_a_verb_that_could_not_begin_is_told(home: PushHome, hook: Hook) -> None:
    """The token of the night's push is gone: no run says so."""
    variables = {**home.settings.variables, "SYNCER_HUBSPOT_TOKEN": ""}
    home = attrs.evolve(home, settings=attrs.evolve(home.settings, variables=variables))
    home.relation([ROW])
    with pytest.raises(UsageError):
        home.push()
    assert (hook.only["runs"], hook.only["error"]["type"], hook.only["exit_code"]) == ([], "UsageError", 2)


def test_each_verb_that_finds_nothing_prints_one_line(home: PushHome, hook: Hook) -> None:
    """A schedule's log has a line a run when all is well, and exit 0."""
    home.relation([ROW])
    first = home.push()
    home.later()
    again = home.push()
    [found] = verifying.verify(NAME, settings=home.settings, doors=home.doors)
    nothing: list[tuple[Any, str]] = [
        (again, plan_text.summary(again)), (found, "\n".join(verified.lines(found, io.StringIO())))
    ]  # fmt: skip
    made = operating.run("hubspot.create_properties", settings=home.settings, doors=home.doors)
    nothing.append((made, str(made)))
    reverting.revert(first.run or "", settings=home.settings, doors=home.doors)
    undone = reverting.revert(first.run or "", settings=home.settings, doors=home.doors)
    nothing.append((undone, plan_text.summary(undone)))
    assert [(done.exit_code, text.count("\n"), bool(text)) for done, text in nothing] == [(0, 0, True)] * 4
    assert hook.came == []
