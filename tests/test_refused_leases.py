"""A pull that waits for a lease says whose, and what a warehouse refuses to one mapping is no matter of the others."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest

from syncer import engine, leases
from syncer.journal import DONE, FAILED, Pulled
from syncer.reports import progress
from syncer.sources import Page, Place
from tests.conftest import Site, only
from tests.servers import postgresql
from tests.servers.wire import Wire

LEASE = "scripted.things@default"
HELD = f"the lease of {LEASE}, held by process {os.getpid()} on {socket.gethostname()} since 20"
ALL = ["scripted.things", "scripted.versioned", "scripted.notes", "scripted.careful", "scripted.discovering"]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again sooner than a person would wait for."""
    monkeypatch.setattr(leases, "PROBE_S", 0.05)


def test_who_waits_for_a_lease_is_told_whose_it_is(site: Site) -> None:
    """Whether it is worth waiting for, and whom to ask, depends on who holds it, and since when."""
    other = site.warehouse()
    lease = other.lease(LEASE, run="r1", wait_s=0)
    told: list[str] = []
    done = site.pull(wait_s=0.1, on_wait=told.append)
    assert told[-1].startswith(HELD)
    since = told[-1].removeprefix(HELD)
    assert done.status == FAILED and f"since 20{since}; waited 0.1 s." in str(done.error)
    shown = progress.PullProgress(["scripted.things"], io.StringIO())
    shown.waits(told[-1])
    assert f"waiting for {HELD}" in shown.line(10.0)
    lease.release()
    other.close()


def test_another_holder_is_told_while_it_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wait of hours the first one is long gone; the one who waits gets it in the end."""
    monkeypatch.setattr(engine, "TOLD_S", 0.05)
    first, second = site.warehouse(), site.warehouse()
    held = [first.lease(LEASE, run="r1", wait_s=0)]
    told: list[str] = []

    def waits(what: str) -> None:
        if what.startswith(HELD) and what not in told:
            told.append(what)
            held.pop().release()
            if len(told) == 1:
                site.clock.advance(1)
                held.append(second.lease(LEASE, run="r2", wait_s=0))

    assert site.pull(wait_s=20, on_wait=waits).status == DONE
    assert len(told) == 2 and told[0] != told[1]
    first.close()
    second.close()


def test_a_pull_that_does_not_wait_names_no_wait(site: Site) -> None:
    """It is refused at once."""
    other = site.warehouse()
    lease = other.lease(LEASE, run="r1", wait_s=0)
    told: list[str] = []
    done = site.pull(on_wait=told.append)
    assert done.status == FAILED and "being run by process" in str(done.error) and "waited" not in str(done.error)
    assert not any("held by" in each for each in told)
    lease.release()
    other.close()


# What is refused to one mapping.


def pulled(site: Site, **request: Any) -> dict[str, Pulled]:
    """Pull all mappings; return their runs by name."""
    runs = engine.pull("scripted.*", settings=site.settings, request=engine.Request(**request), doors=site.doors)
    assert [each.mapping for each in runs] == ALL
    return {each.mapping: each for each in runs}


@only("postgresql", "a DuckDB table takes no constraint later")
@pytest.mark.parametrize("table", ["leases", "runs"])
def test_what_is_refused_to_one_mapping_keeps_no_other_from_running(site: Site, table: str) -> None:
    """A person's own constraint: neither its lease, or run, nor its failure can be written down; nothing is gone."""
    pulled(site)
    column = {"leases": "name", "runs": "mapping"}[table]
    site.rows(
        f"ALTER TABLE syncer.{table} ADD CONSTRAINT theirs CHECK ({column} NOT LIKE 'scripted.notes%') NOT VALID"
    )
    runs = pulled(site)
    assert {name for name, each in runs.items() if each.status == FAILED} == {"scripted.notes"}
    assert "theirs" in str(runs["scripted.notes"].error) and "gone" not in str(runs["scripted.notes"].error)


@pytest.fixture
def wire(site: Site) -> Iterator[Wire]:
    """A wire to the shared server, which the site's warehouse is at the end of."""
    made = Wire(postgresql.shared().port)
    setting = site.settings.warehouse.replace(f"Port={postgresql.shared().port}", f"Port={made.port}")
    assert setting != site.settings.warehouse
    site.settings = attrs.evolve(site.settings, warehouse=setting, wait_s=0.2)
    yield made
    made.close()


@only("postgresql", "a file is not lost")
def test_mappings_behind_a_lost_warehouse_are_not_tried(site: Site, wire: Wire) -> None:
    """The server goes while the third is read: each would wait for it."""

    def read(stream: str, places: Mapping[str, Place]) -> Iterator[Page]:
        if stream == "notes":
            wire.is_refusing = True
            wire.cut()
        return iter(())

    site.script.read = read
    runs = pulled(site)
    assert [runs[name].status for name in ALL] == [DONE, DONE, FAILED, FAILED, FAILED]
    assert "could not be written down" in str(runs["scripted.notes"].error)
    assert all("not tried: the warehouse is gone" in str(runs[name].error) for name in ALL[3:])


@only("postgresql", "a file is not lost")
def test_a_server_that_does_not_come_back_is_told_once_as_it_is(site: Site, wire: Wire) -> None:
    """It goes between two mappings: the lease is lost, then nobody answers, then the rest is not tried."""

    def ended(pulled: Pulled) -> None:
        if pulled.mapping == "scripted.things":
            wire.is_refusing = True
            wire.cut()

    runs = pulled(site, on_run=ended)
    assert [runs[name].status for name in ALL] == [DONE, FAILED, FAILED, FAILED, FAILED]
    assert "connection was lost" in str(runs["scripted.versioned"].error)
    assert "not tried" not in str(runs["scripted.notes"].error)
    assert all("not tried: the warehouse is gone" in str(runs[name].error) for name in ALL[3:])
