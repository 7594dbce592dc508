"""Where a first pull begins: what changed last before that is not read, and a census brings it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from syncer import mappings
from syncer.errors import UsageError
from syncer.settings import Account
from tests.sources import gitlab_world, jira_home, pulse_home


def test_each_mapping_says_whether_it_begins_at_the_start(tmp_path: Path) -> None:
    """Who goes by it tells people what does not come: a start that nothing is behind, and who reads something then."""
    for name in ("gitlab", "jira", "pulse"):
        (tmp_path / name).mkdir()
    with gitlab_world.world(tmp_path / "gitlab", start="2100-01-01") as it:
        read = {done.mapping: done.read for done in it.pull().values()}
    with jira_home.running(jira_home.small_site(), tmp_path / "jira", start="2100-01-01") as home:
        read |= {done.mapping: done.read for done in home.pull()}
    with pulse_home.running(pulse_home.small_site(), tmp_path / "pulse", start=dt.date(2100, 1, 1)) as pulse:
        read |= {done.mapping: done.read for done in pulse.pull()}
    known = {mapping.name: mapping.inbound for mapping in mappings.choose(sorted(read))}
    begin = {name for name, inbound in known.items() if inbound is not None and inbound.begins_at_start}
    assert {name for name, count in read.items() if not count} == begin
    assert len(begin) == 11 and len(read) == 24


def test_jira_begins_at_the_start(tmp_path: Path) -> None:
    """For a warehouse that has the rest; what is there before is found missing, and read, by a census."""
    site = jira_home.small_site()
    updated = sorted(issue.updated for issue in site.issues.values())
    start = updated[len(updated) // 2]
    told = dt.datetime.fromtimestamp(start / 1_000, dt.UTC).isoformat()
    with jira_home.running(site, tmp_path, start=told) as home:
        home.pull("issues")
        first = home.live("issues")
        new = {str(issue.id) for issue in site.issues.values() if issue.updated >= start}
        assert new & home.true_ids("issues") <= set(first) < home.true_ids("issues")
        home.pull("issues", mode="census")
        assert set(home.live("issues")) == home.true_ids("issues")


def test_gitlab_begins_at_the_start(tmp_path: Path) -> None:
    """Issues and merge requests; the projects that they stand in are known by their paths all the same."""
    with gitlab_world.world(tmp_path, start="2100-01-01") as it:
        it.pull("gitlab.issues")
        assert it.rows("issues") == {}
        it.pull("gitlab.issues", mode="census")
        assert it.differences("issues") == []


def test_friday_pulse_begins_at_the_start(tmp_path: Path) -> None:
    """The dates before it, three weeks of lookback left out, are not asked for."""
    site = pulse_home.small_site()
    dates = sorted(site.dates)
    start = dt.date.fromisoformat(dates[-2])
    with pulse_home.running(site, tmp_path, start=start) as home:
        home.pull("company_results")
        found = {row[0] for row in home.rows("SELECT DISTINCT flow_date FROM load.friday_pulse_company_results")}
    assert (
        found == {date for date in dates if dt.date.fromisoformat(date) >= start - dt.timedelta(weeks=3)} < set(dates)
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("2026-01-31", dt.datetime(2026, 1, 31, tzinfo=dt.UTC)),
        ("2026-01-31T10:00:00+02:00", dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)),
        (dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, tzinfo=dt.UTC)),
        ("", None),
    ],
)
def test_a_start_is_a_date_or_a_time(given: object, found: dt.datetime | None) -> None:
    """In UTC where it has no zone; as TOML has dates, too."""
    assert Account(source="jira", options={"start": given}).start == found


def test_a_start_that_is_none_is_refused() -> None:
    """A first pull must not begin anywhere."""
    with pytest.raises(UsageError, match="SYNCER_JIRA_START: start is neither a date nor a time"):
        _ = Account(source="jira", variables={"start": "yesterday"}).start
