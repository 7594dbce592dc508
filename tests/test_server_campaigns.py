"""The short forms of the campaigns on a PostgreSQL server, with fixed seeds."""

from __future__ import annotations

import pytest

from tests.campaign import beds, hosts, lost_host, older, portal, server_kills
from tests.campaign.kills import everywhere


@pytest.fixture
def on_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beds are made on a server."""
    monkeypatch.setattr(beds.KIND, "name", beds.POSTGRESQL)


def test_what_dies_on_either_side_of_a_connection_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The client, the server's process, in the middle of a commit too: all rows once, and run rows that tell it."""
    assert server_kills.campaign(is_short=True) == 0, capsys.readouterr().out


def test_two_hosts_never_run_one_mapping_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """One is refused and told who runs, or waits, or takes over from one that died; clocks are an hour apart."""
    assert hosts.campaign(is_short=True) == 0, capsys.readouterr().out


def test_a_host_that_vanishes_gives_up_its_lease_and_fails_when_it_is_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing closes its connection: keep-alive does, with smaller numbers than a minute here."""
    assert lost_host.campaign(is_short=True) == 0, capsys.readouterr().out


@pytest.mark.parametrize(("name", "every"), [("jira.comments", 14), ("gitlab.branch_commits", 19)])
@pytest.mark.usefixtures("on_postgresql")
def test_a_kill_at_any_io_call_loses_nothing_on_a_server(name: str, every: int) -> None:
    """Promise 1 again, where a commit is an answer of a server."""
    done = everywhere(name, every=every)
    assert done.killed >= 2
    assert done.wrong == []


@pytest.mark.usefixtures("on_postgresql")
def test_a_portals_days_end_as_the_portal_has_them_on_a_server() -> None:
    """The same life and the same judge as on a file; each pull is killed once on its way."""
    done = portal.Days()
    portal.live(1, 2, done, kills=True)
    assert done.wrong == []
    assert sum(done.compared.values()) > 1_000


@pytest.mark.usefixtures("on_postgresql")
def test_a_pull_goes_on_from_an_older_copy_of_a_database() -> None:
    """Last night's backup of a server is ordinary life too."""
    assert older.one("gitlab", 2, records=60) == []
