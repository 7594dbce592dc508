"""The counts of a run reach RED's scheduler, and never fail the run."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from syncer.journal import BROKEN, DONE, FAILED, REFUSED, Pulled
from syncer.sandbox.hubspot import TOKEN
from syncer.tally import Counts as Tally
from syncer.tally import Pushed
from syncer.wherescape.procedures import Procedures
from syncer.wherescape.tasklog import Counts, of_pull, of_push, tell
from tests.wherescape.red_site import RedSite, red_site
from tests.wherescape.stand_in import Red

PULLED = Pulled(run="r", mapping="jira.issues", read=9, inserted=3, updated=2, unchanged=4, gone=1, rejected=5)


def told(red: Red, counts: Counts, **more: object) -> str:
    """Tell RED's scheduler, as a task of a job."""
    return tell(counts, environment=red.environment(**more), procedures=red.procedures)


def test_what_a_pull_did_stands_beside_the_task(red: Red) -> None:
    """What is gone is deleted; two runs of a task are counted together."""
    assert told(red, of_pull(PULLED) + of_pull(PULLED)) == ""
    counts = "wtr_inserted_count, wtr_updated_count, wtr_replaced_count, wtr_deleted_count, wtr_rejected_count"
    assert red.rows(f"SELECT {counts} FROM ws_wrk_task_run") == [(6, 4, 0, 2, 10)]


ROWS = Tally(
    created=1, updated=2, archived=3, merged=4, skipped=5, conflicts=6, rejected=7, failed=8, unchanged=9, pending=10,
    also_created=11, also_updated=12
)  # fmt: skip
PUSHED = Pushed(run="r", plan="p", checksum="c", mapping="m", environment="default", counts=ROWS)


@pytest.mark.parametrize("status", [DONE, FAILED, BROKEN])
@pytest.mark.parametrize("verb", ["push", "run"])
def test_what_a_push_did_is_counted(status: str, verb: str) -> None:
    """Of one that failed on the way, too: what it left alone is discarded, what failed is an error."""
    counts = Counts(inserted=1, updated=2, deleted=7, discarded=11, rejected=7, errored=8)
    assert of_push(attrs.evolve(PUSHED, status=status, verb=verb)) == counts


@pytest.mark.parametrize("change", [{"status": REFUSED}, {"run": None}, {"status": REFUSED, "verb": "run"}])
def test_of_a_plan_that_nobody_carried_out_no_row_is_written(change: dict[str, str | None]) -> None:
    """Its counts are what it would do; what is rejected or left alone was seen to be so, refused or not."""
    assert of_push(attrs.evolve(PUSHED, **change)) == Counts(discarded=11, rejected=7)


def test_of_a_push_that_failed_before_it_had_a_plan_nothing_is_counted() -> None:
    """Its token was refused, for instance."""
    failed = attrs.evolve(PUSHED, plan="", status=FAILED, error="no", counts=Tally())
    assert of_push(failed) == Counts()


STAGE = "stage_company_voys"


@pytest.mark.parametrize(("limit", "updated"), [(1, 0), (2, 2)])
def test_a_push_that_its_limits_refused_updated_nothing(tmp_path: Path, red: Red, limit: int, updated: int) -> None:
    """Beside the task stands what was written, not what was planned."""
    with red_site(tmp_path, red) as site:
        message = push_two(site, limit=limit)
    assert ("refused" in message) == (not updated), message
    counts = "wtr_inserted_count, wtr_updated_count, wtr_deleted_count, wtr_errored_count"
    assert red.rows(f"SELECT {counts} FROM ws_wrk_task_run") == [(0, updated, 0, 0)]


def push_two(site: RedSite, *, limit: int) -> str:
    """Push the names of two companies, where at most *limit* may change; return the message."""
    with site.sandbox.locked("hubspot") as portal:
        first, second = sorted(portal.store.records["companies"])[:2]  # type: ignore[attr-defined]
    site.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name = 'hubspot_access_token_voys'")
    site.red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token_voys', ?, NULL)", [TOKEN])
    site.rows("CREATE SCHEMA stage")
    values = f"('{first}', 'N1'), ('{second}', 'N2')"
    site.rows(f"CREATE TABLE stage.{STAGE} AS SELECT * FROM (VALUES {values}) AS v (hs_object_id, name)")
    toml = f'["hubspot.companies"]\nadopt = "ours"\nmax_updates = {limit}\n'
    (site.folder / "syncer.toml").write_text(toml, encoding="utf-8")
    portal_url = site.sandbox.url("hubspot")
    return site.run("wherescape.push()", STAGE, schema="stage", SYNCER_HUBSPOT__VOYS_URL=portal_url).message


@pytest.mark.parametrize("more", [{"sequence": 0}, {"task_key": 0}, {"job_key": 0, "job_name": "Develop"}])
def test_without_a_task_nothing_is_called(red: Red, more: dict[str, object]) -> None:
    """Outside a job, and from RED's window: not even a connection is made."""

    def unwanted() -> Procedures:
        raise AssertionError

    assert tell(of_pull(PULLED), environment=red.environment(**more), procedures=unwanted) == ""


def test_an_error_is_told_and_no_more(red: Red) -> None:
    """The rows are committed: a failed task would hold those behind it for a number."""
    red.switch(fail=1)
    assert "not counted in RED's log of the task: dbo.WsWrkTask answered -3" in told(red, of_pull(PULLED))
    red.lacks("WsWrkTask")
    assert "no routine dbo.WsWrkTask" in told(red, of_pull(PULLED))


def test_a_count_that_no_int_holds_is_the_largest_one(red: Red) -> None:
    """A count is not worth an error."""
    assert told(red, Counts(inserted=2**40)) == ""
    assert red.calls()[0][1][3] == 2**31 - 1
