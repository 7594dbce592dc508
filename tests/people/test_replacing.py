"""While the file is replaced nobody else writes to it; another name of it is told."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncer import forgetting, rewriting
from syncer.errors import WarehouseError
from tests.conftest import Site, only
from tests.people import furnished, hits, needles, pages, person

pytestmark = only("duckdb", "no file of a server is replaced")
WAREHOUSE = "warehouse.duckdb"
OPENS = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
NOT_WINDOWS = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")


@pytest.fixture
def people(make_site: Callable[..., Site]) -> Site:
    """A site with two people that was pulled."""
    site = furnished(make_site())
    site.script.read = lambda stream, places: pages(person(7), person(8))
    site.pull("scripted.people")
    return site


def forget(site: Site, key: str = "7") -> forgetting.Forgotten:
    warehouse = site.warehouse()
    try:
        return forgetting.forget("scripted.people", key, settings=site.settings, doors=site.doors, warehouse=warehouse)
    finally:
        warehouse.close()


@NOT_WINDOWS
def test_a_shell_cannot_open_the_file_while_it_is_replaced(people: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have the old file open, and write its log beside the new one."""
    file, said = people.folder / WAREHOUSE, []
    replace = Path.replace

    def watched(self: Path, target: Any) -> Path:
        tried = subprocess.run(
            [sys.executable, "-c", OPENS, str(file)], input="", capture_output=True, text=True, check=False
        )
        said.append(tried.stdout + tried.stderr)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    forget(people)
    assert len(said) == 1 and "open" not in said[0].splitlines() and "lock" in said[0]
    assert hits(people.folder, needles(7)) == {}


@NOT_WINDOWS
def test_a_shell_that_was_faster_keeps_the_file(people: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our closing and our lock: nothing is replaced, and it is told; a second forget finishes."""
    file, locked = people.folder / WAREHOUSE, rewriting._locked
    inode = file.stat().st_ino

    @contextlib.contextmanager
    def late(path: Path) -> Iterator[None]:
        with subprocess.Popen(
            [sys.executable, "-c", OPENS, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as shell:
            assert shell.stdout is not None and shell.stdout.readline() == b"open\n"
            try:
                with locked(path):
                    yield
            finally:
                shell.communicate(b"")

    with monkeypatch.context() as patched:
        patched.setattr(rewriting, "_locked", late)
        with pytest.raises(WarehouseError, match="opened by another program"):
            forget(people)
    assert file.stat().st_ino == inode and not list(people.folder.glob("*.rewriting*"))
    forget(people)
    assert hits(people.folder, needles(7)) == {}


def test_another_name_of_the_file_is_told(people: Site, tmp_path: Path) -> None:
    """A hard link is the old file, with everybody in it."""
    assert not any("hard link" in each for each in forget(people, "8").left)
    other = tmp_path / "other.duckdb"
    try:
        other.hardlink_to(people.folder / WAREHOUSE)
    except OSError:
        pytest.skip("no hard links here")
    assert any("hard link" in each for each in forget(people).left)
    assert hits(people.folder, needles(7)) == {}
    with duckdb.connect(str(other)) as connection:
        assert connection.execute("SELECT COUNT(email) FROM load.scripted_people").fetchall() == [(0,)]
    assert hits(tmp_path, {"phone": [b"3161234567"]})
