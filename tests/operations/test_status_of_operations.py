"""What `syncer status` says of operations: which have not ended well for too long, and which run now."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest

from syncer import cli, findings, status
from syncer.errors import UnknownName
from syncer.reports import standing
from tests.operations import MERGE, OperationHome
from tests.operations.star import FLAGS, JOINS, SIZES, Star

HOUR = 3_600
DAY = 26 * HOUR


def counted(star: Star, *, hours: int = 0) -> Star:
    """A site whose sizes were counted so long ago."""
    star.table("dw.f", "a_key", (1,))
    star.words(SIZES, tables=["dw.f"]).run(SIZES)
    star.site.clock.advance(hours * HOUR)
    return star


def late(star: Star, *names: str, **question: Any) -> list[tuple[str, str, str | None]]:
    """Return what is stale after 26 hours: its name, its verb, and how its last run ended."""
    asked = status.Question(names=names, max_age=dt.timedelta(seconds=DAY), **question)
    found = status.read(star.site.settings, asked, clock=star.site.clock)
    return [(each.mapping, each.verb, each.last_status) for each in found.stale]


@pytest.mark.parametrize(("hours", "is_late"), [(1, False), (30, True)])
@pytest.mark.parametrize("names", [(), (SIZES,), ("warehouse.*",)])
def test_an_operation_that_ever_ran_is_late_as_a_mapping_is(
    star: Star, names: tuple[str, ...], hours: int, is_late: bool
) -> None:
    """A job of every night that stopped is found by nobody else: what does not start tells nobody."""
    counted(star, hours=hours)
    assert late(star, *names) == ([(SIZES, "run", "done")] if is_late else [])


def test_an_operation_that_is_named_counts_even_if_it_never_ran(star: Star) -> None:
    """A pattern does not ask for all that there are."""
    counted(star)
    assert late(star, FLAGS) == [(FLAGS, "run", None)]
    assert late(star, "warehouse.*") == []
    with pytest.raises(UnknownName, match=r"Did you mean warehouse\.check_sizes"):
        late(star, "warehouse.check_size")


def test_an_operation_that_is_named_counts_where_it_ran_in_another_environment_only(star: Star) -> None:
    """What is asked is whether it ran here: where it never did, nothing else would tell."""
    counted(star)
    star.rows("UPDATE syncer.runs SET environment = 'sandbox'")
    asked = [{}, {"environment": "sandbox"}, {"environment": "test"}]
    assert [late(star, SIZES, **each) for each in asked] == [[(SIZES, "run", None)], [], [(SIZES, "run", None)]]
    assert late(star) == late(star, "warehouse.*") == [], "a pattern asks for what ever ran"


def test_that_what_is_named_was_put_back_says_nothing_of_its_runs(star: Star) -> None:
    """A revert is made once, by hand."""
    counted(star)
    star.rows("UPDATE syncer.runs SET verb = 'revert'")
    assert late(star, SIZES) == [(SIZES, "run", None)]


def test_a_mapping_that_is_only_pushed_need_not_be_pulled(star: Star) -> None:
    """It is named as it is; nobody pulls it there."""
    counted(star)
    star.rows("UPDATE syncer.runs SET mapping = 'hubspot.companies', verb = 'push'")
    assert late(star, "hubspot.companies") == []


def test_a_run_that_failed_has_not_ended_well(star: Star) -> None:
    """It runs each night, and has found nothing out for two days."""
    star.table("dw.list", "fact TEXT, key TEXT", ("dw.f", None))
    star.table("dw.f", "a_key", (1,))
    star.words(JOINS, joins_from="dw.list").run()
    star.site.clock.advance(30 * HOUR)
    star.rows("DROP TABLE dw.list")
    assert star.run().status == "failed"
    assert late(star) == [(JOINS, "run", "failed")]


def test_a_run_with_news_has_ended_well(star: Star) -> None:
    """Findings are what it is for."""
    star.words(JOINS, joins={"dw.none": []})
    assert star.run().exit_code == 3
    assert late(star) == []


@pytest.mark.parametrize(
    ("own", "hours", "is_late"), [(200 * HOUR, 190, False), (200 * HOUR, 210, True), ("off", 999, False)]
)
def test_an_operation_may_have_an_age_of_its_own(star: Star, own: float | str, hours: int, is_late: bool) -> None:
    """One of every week, or run once by hand, stands beside pulls of every hour; who names it means it."""
    counted(star, hours=hours).words(SIZES, tables=["dw.f"], max_age_s=own)
    stale = [(SIZES, "run", "done")]
    assert late(star) == (stale if is_late else [])
    assert late(star, SIZES) == stale


def test_the_verb_ends_with_1_and_says_which(
    star: Star, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For monitoring; a setting that is none is told as any other is."""
    monkeypatch.chdir(star.site.folder)
    monkeypatch.setenv("SYNCER_WAREHOUSE", star.site.settings.warehouse)
    monkeypatch.setenv("SYNCER_CACHE", str(star.site.folder / "cache"))
    counted(star)  # the clock of the test is long ago
    assert cli.main(["status", "--max-age", "26h"]) == 1
    assert f"syncer: {SIZES} (run) last finished" in capsys.readouterr().err
    (star.site.folder / "syncer.toml").write_text(f'["{SIZES}"]\nmax_age_s = "off"\n', encoding="utf-8")
    assert cli.main(["status", "--max-age", "26h"]) == 0
    (star.site.folder / "syncer.toml").write_text(f'["{SIZES}"]\nmax_age_s = 0\n', encoding="utf-8")
    assert cli.main(["status", "--max-age", "26h"]) == 2
    assert "max_age_s" in capsys.readouterr().err


def test_a_report_under_way_is_running_and_without_its_lease_broken(star: Star) -> None:
    """It holds a lease of its own; who sees it as broken would start it anew."""
    counted(star)
    star.rows("UPDATE syncer.runs SET status = 'running', finished_at = NULL")
    [(run,)] = star.site.rows("SELECT run FROM syncer.runs")
    warehouse = star.site.warehouse()
    held = warehouse.lease(f"{findings.LEASE}{SIZES}@default", run=run, wait_s=0)
    found = status.read(star.site.settings, clock=star.site.clock)
    held.release()
    warehouse.close()
    assert ([each.status for each in found.runs], [each.mapping for each in found.leases]) == (["running"], [SIZES])
    found = status.read(star.site.settings, clock=star.site.clock)
    assert [each.status for each in found.runs] == ["broken"]
    assert "the next run begins anew" in "\n".join(standing.as_text(found, io.StringIO()))


@pytest.mark.parametrize("merge_mode", ["new"])
def test_a_revert_does_not_hide_that_an_operation_stopped(home: OperationHome, merge_mode: str) -> None:
    """Its last run stands beside the revert, as that of a push does."""
    for number in range(2):
        home.ticket("1", content=f"{number}")
    done = home.run(MERGE)
    home.home.later()
    assert done.run is not None and home.revert(done.run).error is None
    home.home.later(2 * DAY)
    asked = status.Question(max_age=dt.timedelta(seconds=DAY))
    found = status.read(home.home.settings, asked, clock=home.home.clock)
    assert [(each.mapping, each.verb) for each in found.stale] == [(MERGE, "run")]
