"""How things stand is read rightly: also of runs that were killed, and where nothing was ever pulled."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import status
from syncer.errors import AnswerError, UnknownName, UsageError
from syncer.reports.standing import as_document, as_text
from syncer.sources import Page
from syncer.status import Question, Standing
from tests.conftest import Site


def standing(site: Site, *names: str, **question: Any) -> Standing:
    return status.read(site.settings, Question(names=names, **question), clock=site.clock)


def yields(site: Site, *pages: Page) -> None:
    """Let the source yield these pages from now on."""
    site.script.read = lambda stream, places: iter(pages)


def fail(site: Site) -> None:
    def read(stream: str, places: object) -> Any:
        raise AnswerError("the API said nothing that makes sense")

    site.script.read = read


def mark_running(site: Site, run: str) -> None:
    """Make a run's row say that it is under way, as a kill leaves it."""
    from syncer import sql

    warehouse = site.warehouse()
    with warehouse.transaction() as t:
        t.run(sql.statement("UPDATE syncer.runs SET status = 'running', finished_at = NULL WHERE run = ?"), [run])
    warehouse.close()


def test_nothing_was_pulled(site: Site) -> None:
    """No warehouse is made by looking at it."""
    found = standing(site)
    assert not found.has_warehouse and found.runs == ()
    assert not site.warehouse().exists()


def test_last_run_of_each_mapping(site: Site) -> None:
    """With what it did, and when a run last ended well."""
    yields(site, Page(records=[{"id": 1}], place={"at": 1}, mark="one"))
    done = site.pull()
    fail(site)
    failed = site.pull()
    (run,) = standing(site).runs
    assert (run.run, run.status, run.mapping) == (failed.run, "failed", "scripted.things")
    assert run.error is not None and "makes sense" in run.error
    assert run.last_done is not None and run.last_done < run.started_at
    assert standing(site, done.run).runs[0].inserted == 1


def test_places_count_scopes_and_their_marks(site: Site) -> None:
    """How far each mapping is, and how far behind its slowest scope."""
    yields(site, *[Page(scope=scope, place={}, mark=mark) for scope, mark in (("a", "03"), ("b", "01"), ("c", "02"))])
    site.pull()
    (place,) = standing(site).places
    assert (place.scopes, place.oldest, place.newest) == (3, "01", "03")


def test_run_without_its_lease_is_broken(site: Site) -> None:
    """Its process has gone; a row cannot tell."""
    run = site.pull().run
    mark_running(site, run)
    assert standing(site).runs[0].status == "broken"


def test_run_with_its_lease_is_running(site: Site) -> None:
    """Who holds it, since when, is shown."""
    run = site.pull().run
    mark_running(site, run)
    lease = site.warehouse().lease("scripted.things@default", run=run, wait_s=0)
    found = standing(site)
    lease.release()
    assert found.runs[0].status == "running"
    assert [(held.mapping, held.environment, held.run) for held in found.leases] == [
        ("scripted.things", "default", run)
    ]


def test_run_that_ended_while_we_looked_is_not_broken(site: Site) -> None:
    """Its row was read before its end, its lease after it: the row, read again, tells."""
    site.pull()
    ended = standing(site).runs[0]
    before = attrs.evolve(ended, status="running", finished_at=None, last_done=None)
    told = status.told(before, [ended])
    assert (told.status, told.last_done) == ("done", ended.finished_at)


def test_rejects_are_counted_and_the_first_shown_when_asked(site: Site) -> None:
    """A scope that failed is one of them."""
    records = [{"id": n, "size": "large"} for n in range(1, 31)]
    yields(site, Page(records=records, place={}), Page(scope="b", error=AnswerError("not for you")))
    site.pull()
    (count,) = standing(site).reject_counts
    assert (count.rejects, count.scopes) == (31, 1)
    assert standing(site).rejects == ()
    first = standing(site, with_rejects=True).rejects
    assert len(first) == status.FIRST_REJECTS
    assert {(reject.column, reject.declared, reject.found) for reject in first if reject.key} == {
        ("size", "bigint", "string")
    }


def test_of_one_run_only_its_own_rejects(site: Site) -> None:
    """Also when only the beginning of its id is given."""
    yields(site, Page(records=[{"id": 1, "size": "large"}], place={}))
    first = site.pull()
    yields(site, Page(records=[{"id": 2, "size": "small"}], place={}))
    second = site.pull()
    assert [reject.key for reject in standing(site, first.run).rejects] == ["1"]
    assert [reject.key for reject in standing(site, second.run[:10]).rejects] == ["2"]


def test_names_and_environment_choose(make_site: Callable[..., Site]) -> None:
    """Patterns too; a name that is no mapping is told, with the nearest ones."""
    site = make_site()
    site.pull("scripted.things")
    site.pull("scripted.notes")
    assert [run.mapping for run in standing(site, "*.no*").runs] == ["scripted.notes"]
    assert standing(site, environment="north").runs == ()
    with pytest.raises(UnknownName, match=r"scripted\.things"):
        standing(site, "scripted.thing")
    with pytest.raises(UsageError, match="no run"):
        standing(site, "0123456789ab")


@pytest.mark.parametrize(
    ("names", "hours", "stale"),
    [
        ((), 1, []),
        ((), 3, ["scripted.notes", "scripted.things"]),
        (("scripted.things",), 3, ["scripted.things"]),
        (("scripted.careful",), 1, ["scripted.careful"]),
        (("scripted.*",), 1, []),
    ],
)
def test_what_has_not_finished_a_run_for_too_long(
    site: Site, names: tuple[str, ...], hours: int, stale: list[str]
) -> None:
    """What was ever pulled, or is named; a pattern does not ask for mappings that nobody pulls."""
    site.pull("scripted.things")
    site.pull("scripted.notes")
    site.clock.advance(hours * 3600)
    fail(site)
    site.pull("scripted.things")
    found = standing(site, *names, max_age=dt.timedelta(hours=2))
    assert [late.mapping for late in found.stale] == stale


def test_warehouse_of_an_older_syncer_is_read(site: Site) -> None:
    """Its next pull adds the columns that came since; until then they count nothing."""
    from syncer import sql

    yields(site, Page(records=[{"id": 1}], place={"at": 1}))
    run = site.pull().run
    warehouse = site.warehouse()
    with warehouse.transaction() as t:
        for column in ("keys", "braked"):
            t.run(sql.statement(f"ALTER TABLE syncer.runs DROP COLUMN {column}"))
    warehouse.close()
    assert [(each.inserted, each.keys, each.braked) for each in standing(site, run).runs] == [(1, 0, 0)]
    site.pull()
    assert standing(site, run).runs[0].keys == 0


@pytest.mark.parametrize("name", ["zzzzzz", "3d2"])
def test_name_that_is_neither_a_mapping_nor_a_run(site: Site, name: str) -> None:
    """A run's id was meant, or a mapping: both are answered."""
    with pytest.raises(UnknownName, match="No mapping or run named .*at least 4"):
        standing(site, name)


def test_a_cache_folder_that_is_damaged_hides_nothing_of_the_warehouse(site: Site, tmp_path: Path) -> None:
    """Who asks how things stand is in trouble already; the damage is told beside the rest."""
    site.pull()
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"no database at all " * 200)
    settings = attrs.evolve(site.settings, variables={**site.settings.variables, "SYNCER_CACHE": str(folder)})
    found = status.read(settings, clock=site.clock)
    assert len(found.runs) == 1 and found.budget == () and "SYNCER_CACHE" in found.budget_error
    text = "\n".join(as_text(found, io.StringIO()))
    assert "done" in text and f"request budget\n  The folder of the request budget, {folder}, cannot be used" in text
    assert as_document(found)["budget_error"] == found.budget_error


def test_budget_is_shown(site: Site) -> None:
    """Of every token that was used just now on this machine; one that rests is left out."""
    from syncer.budget import Bucket

    site.doors.budget.take("scripted:1234", Bucket(name="GET things/one", limit=10, window_s=60))
    (use,) = standing(site).budget
    assert (use.used, use.limit) == (1, 10)
    site.clock.advance(600)
    assert standing(site).budget == ()
