"""What is waited for is shown, and a server that goes in the middle fails each mapping in the same form."""

from __future__ import annotations

import io
import time

import pytest

from syncer import engine, mappings
from syncer.errors import SyncerError, WarehouseError, WarehouseLost
from syncer.inbound import Inbound, Progress
from syncer.journal import FAILED, Pulled
from syncer.odbc import connecting
from syncer.odbc.warehouse import Warehouse
from syncer.reports import progress
from syncer.settings import Settings
from tests.conftest import Site


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_pull_tells_when_it_waits_for_the_warehouse(site: Site) -> None:
    """Before the lease, at the beginning, in each commit; and when that is over."""
    told: list[str] = []
    site.pull(on_wait=told.append)
    name = next(each for each in told if each.endswith("lease")).removesuffix(", and for its lease")
    assert told[0] == f"{name}, and for its lease" and told[1:].count(name) >= 2 and told[-1] == ""


def test_progress_says_that_a_commit_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that were read stand there still; what is over soon is not told."""
    shown = progress.PullProgress(["shop.items"], Terminal())
    shown.moved(Progress(mapping="shop.items", read=300, pages=4, scope="", seconds=1.0))
    shown.waits("odbc:h/d")
    now = time.monotonic()
    assert "waiting" not in shown.line(now + 1)
    assert "300 read, 4 pages, waiting for odbc:h/d since 10 s" in shown.line(now + 10)
    shown.waits("")
    assert "waiting" not in shown.line(now + 10)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_verb_without_pages_shows_what_it_waits_for(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal alone, and it is taken away."""
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    monkeypatch.setattr(progress, "LIVE_S", 0.01)
    stream = Terminal() if is_terminal else io.StringIO()
    with progress.Waiting("status", stream) as shown:
        shown.waits("odbc:h/d")
        time.sleep(0.1)
    assert ("status: waiting for odbc:h/d" in stream.getvalue()) == is_terminal
    assert stream.getvalue().endswith("\r") == is_terminal


def test_a_server_that_goes_fails_what_was_under_way_and_names_what_was_not_tried(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in the form of a failed run; a `--full` that did not end says how it is done anew."""

    def gone(*_: object, **__: object) -> None:
        raise WarehouseLost("gone.")

    monkeypatch.setattr(Inbound, "load", gone)
    monkeypatch.setattr(engine._Verb, "_write_down", gone)
    told: list[tuple[Pulled, SyncerError]] = []
    names = [name for name in mappings.known(folders=site.settings.folders) if name.startswith("scripted.")]
    request = engine.Request(mode=engine.FULL, on_failure=lambda pulled, error: told.append((pulled, error)))
    runs = engine.pull("scripted.*", settings=site.settings, request=request, doors=site.doors)
    assert len(runs) == len(told) == len(names) and {run.status for run in runs} == {FAILED}
    assert "could not be written down: gone. --full does it anew" in str(told[0][1])
    assert len(names) > 1 and all("not tried" in (run.error or "") for run in runs[1:])


def test_a_warehouse_that_was_never_there_is_one_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was pulled: there is no run to tell of."""

    def refused(*_: object, **__: object) -> None:
        raise WarehouseError("refused.")

    monkeypatch.setattr(Warehouse, "lease", refused)
    with pytest.raises(WarehouseError, match=r"^refused"):
        site.pull()


@pytest.mark.parametrize(
    ("more", "text", "told"),
    [
        ("", 'password authentication failed for user "root"', "no user is named.*UID"),
        ("UID=a;", 'database "a" does not exist', "no database is named.*Database="),
        ("UID=a;Database=d;", 'database "d" does not exist', "no such database"),
        ("UID=A b;Database=d;", 'permission denied for database "d"', 'ON DATABASE d TO "A b"'),
    ],
)
def test_what_is_not_named_is_said(more: str, text: str, told: str) -> None:
    """Not that nobody named was refused; and a statement that can be pasted."""
    pyodbc = connecting.manager()
    state = {"p": "28P01", "d": "3D000"}[text[0]] if "permission" not in text else "42501"
    found = connecting.link(f"Driver=PostgreSQL Unicode;Server=h;{more}", Settings())
    error = pyodbc.OperationalError("08001", f"[08001] connection failed: FATAL: {text} ({state})")
    with pytest.raises(WarehouseError, match=told):
        raise connecting.refused(found, error)


def test_a_dsn_that_the_manager_lists_and_does_not_find_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter outside ASCII in its name: the driver is installed, and is not what is missing."""
    pyodbc = connecting.manager()
    driver = "PostgreSQL Unicode"
    monkeypatch.setattr(connecting, "sources", lambda: {"dsn-é": driver})
    error = pyodbc.InterfaceError("IM002", "[IM002] Data source name not found")
    told = str(connecting.refused(connecting.link("DSN=dsn-é", Settings()), error))
    assert "lists the DSN dsn-é, and does not find it" in told and "no ODBC driver" not in told


def test_a_hint_at_the_home_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ODBC manager does not read HOME."""
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    pyodbc = connecting.manager()
    error = pyodbc.InterfaceError("IM002", "[IM002] Data source name not found")
    assert "whatever HOME says" in str(connecting.refused(connecting.link("DSN=nope", Settings()), error))
