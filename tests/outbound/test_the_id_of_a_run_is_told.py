"""`syncer revert RUN` takes an id, and whoever reads the screen has it."""

from __future__ import annotations

import io
from pathlib import Path

import attrs

from syncer import executing, reverting, status
from syncer.reports import plan_text, standing
from syncer.status import Question
from syncer.tally import Pushed
from tests.outbound import KEY, PushHome
from tests.outbound.test_status_of_pushes import pull

NAME = "hubspot.companies"


def revert(home: PushHome, run: str | None) -> Pushed:
    return reverting.revert(run or "", settings=home.settings, request=executing.Request(), doors=home.doors)


def shown(home: PushHome, *names: str) -> list[str]:
    found = status.read(home.settings, Question(names=names), clock=home.clock)
    return list(standing.as_text(found, io.StringIO()))


def test_a_run_that_wrote_ends_with_its_id(home: PushHome) -> None:
    """One that wrote nothing has nothing to put back; nor has a dry run an id."""
    home.relation([{KEY: "1", "name": "A"}])
    planned = home.push(is_rehearsal=True)
    assert "; run " not in str(planned)
    done = home.push()
    assert done.run and plan_text.summary(done) == (
        f"push {NAME}: 1 created of 1 read; {done.requests} requests; run {done.run}"
    )
    assert str(done).endswith(f"; run {done.run}")
    assert "; run " not in plan_text.summary(home.push()) and "; run " not in str(home.push())
    back = revert(home, done.run)
    assert plan_text.summary(back).endswith(f"; run {back.run}")


def test_a_run_that_wrote_only_edges_or_of_rejected_rows_wrote() -> None:
    """They are put back as well; the id stands before what went wrong."""
    run = Pushed(run="60662ebe4952", plan="p", checksum="c", mapping="a.b", environment="default", requests=1)
    end = "; 1 request; run 60662ebe4952"
    also = attrs.evolve(run.counts, rejected=1, also_created=1)
    for wrote in (attrs.evolve(run, associated=1), attrs.evolve(run, disassociated=1), attrs.evolve(run, counts=also)):
        assert str(wrote).endswith(end) and plan_text.summary(wrote).endswith(end)
    failed = attrs.evolve(run, associated=1, status="failed", error="It broke.")
    assert str(failed).endswith(f"{end}; failed: It broke.")
    assert plan_text.summary(failed).endswith(f"{end}\n  failed: It broke.")
    refused = attrs.evolve(run, associated=1, status="refused", trips=("max_creates: 2",))
    assert "; run " not in str(refused) and "; run " not in plan_text.summary(refused)


def test_status_has_the_id_of_the_last_run_of_each_push(home: PushHome) -> None:
    """With a name, too; it is what revert takes."""
    home.relation([{KEY: "1", "name": "A"}])
    done = home.push()
    for names in ((), (NAME,)):
        head, line, *_ = shown(home, *names)
        assert head.split()[-1] == "run" and line.split()[-1] == done.run
    assert revert(home, shown(home)[1].split()[-1]).counts.archived == 1


def test_status_lists_the_last_runs_of_a_name(home: PushHome) -> None:
    """Of a run that was quiet, and followed by others, the id is to be found: it is what revert takes."""
    home.relation([{KEY: "1", "name": "A"}])
    first = home.push()
    home.later()
    home.change("1", name="B")
    second = home.push()
    home.later()
    back = revert(home, second.run)
    home.later()
    home.push()
    found = status.read(home.settings, Question(names=(NAME,), last=2), clock=home.clock)
    assert [run.verb for run in found.runs] == ["push", "push", "revert"]
    assert [run.run for run in found.runs][1:] == [second.run, back.run]
    lines = "\n".join(standing.as_text(found, io.StringIO()))
    assert str(second.run) in lines and str(first.run) not in lines
    assert str(first.run) in "\n".join(
        standing.as_text(status.read(home.settings, Question(names=(NAME,), last=3), clock=home.clock), io.StringIO())
    )


def test_status_of_pulls_alone_has_no_column_for_runs(home: PushHome) -> None:
    """Nobody puts a pull back."""
    pull(home)
    assert "run" not in shown(home)[0].split()


def test_the_query_of_the_page_lists_what_can_be_put_back(home: PushHome) -> None:
    """A refused run has counts, of what it would have written: nobody is to take its id."""
    home.relation([{KEY: "1", "name": "A"}])
    refused = home.with_words(max_creates=0).push()
    done = home.push()
    page = (Path(__file__).parents[2] / "docs" / "revert.md").read_text(encoding="utf-8")
    [query] = [line.strip() for line in page.splitlines() if line.strip().startswith("SELECT run")]
    found = home.rows(query)
    assert (refused.status, [(row[0], row[3]) for row in found]) == ("refused", [(done.run, "done")])
