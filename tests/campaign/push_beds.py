"""
What campaigns of pushes have in common: a relation that is filled in one statement, a moment of portal and warehouse
that is gone back to, processes that push and are met on their way, and what must hold of every run.
"""

from __future__ import annotations

import json
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.backends import DuckDBFile, PostgreSQLDatabase
from tests.campaign.kills import Victim
from tests.outbound import PushHome
from tests.servers import postgresql

AT_ONCE = 1_000  # rows of one statement
POLL_S = 0.002


def fill(home: PushHome, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make `stage.<kind>` hold just these rows, all texts."""
    columns = list(rows[0])
    names = ", ".join(f'"{name}"' for name in columns)
    listed = ", ".join(f'"{name}" TEXT' for name in columns)
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows(f"DROP TABLE IF EXISTS stage.{kind}")
    home.rows(f"CREATE TABLE stage.{kind} ({listed})")
    for at in range(0, len(rows), AT_ONCE):
        values = ", ".join(f"({', '.join(quoted(row[name]) for name in columns)})" for row in rows[at : at + AT_ONCE])
        home.rows(f"INSERT INTO stage.{kind} ({names}) VALUES {values}")


def quoted(value: Any) -> str:
    """Write a value into a statement."""
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


@attrs.frozen
class Moment:
    """A portal and a warehouse as they were."""

    portal: bytes
    warehouse: Any


_OF_PORTAL = ("records", "merged", "purged", "edges", "_last_id", "random")


def taken(home: PushHome, *, with_portal: bool = True) -> Moment:
    """Copy the portal and the warehouse as they are now; nobody may use them meanwhile."""
    store = home.site.store
    portal = pickle.dumps({name: getattr(store, name) for name in _OF_PORTAL}) if with_portal else b""
    return Moment(portal, _copied(home))


def put_back(home: PushHome, moment: Moment) -> None:
    """Make a moment what is there now; a moment without a portal leaves that as it is."""
    if moment.portal:
        for name, value in pickle.loads(moment.portal).items():
            setattr(home.site.store, name, value)
        home.site.reset()
    database = home.database
    if isinstance(database, DuckDBFile):
        shutil.copyfile(moment.warehouse, database.file)
        database.file.with_name(database.file.name + ".wal").unlink(missing_ok=True)
    elif isinstance(database, PostgreSQLDatabase):
        postgresql.shared().drop(database.name)
        _make_like(database.name, moment.warehouse)


def forget(home: PushHome, moment: Moment) -> None:
    """Drop a moment's copies."""
    if isinstance(home.database, DuckDBFile):
        moment.warehouse.unlink(missing_ok=True)
    else:
        postgresql.shared().drop(moment.warehouse)


def _copied(home: PushHome) -> Any:
    database, number = home.database, time.monotonic_ns()
    if isinstance(database, DuckDBFile):
        return Path(shutil.copyfile(database.file, database.file.with_name(f"copy-{number}")))
    assert isinstance(database, PostgreSQLDatabase)
    name = f"{database.name}_copy{number}"
    _make_like(name, database.name)
    return name


def _make_like(name: str, template: str) -> None:
    with postgresql.shared().connection("postgres") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ?", template
        ).fetchall()
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')


def ordered(
    killer: Victim,
    home: PushHome,
    names: Sequence[str],
    *,
    meet: Callable[[int], None] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """
    Let a process push; return how it ended and what it noted.

    meet: called in a thread of its own with the process's id as soon as it has begun.
    """
    folder = home.settings.base
    trace = folder / more.get("trace", "trace.jsonl")
    trace.unlink(missing_ok=True)
    order = {
        "folder": str(folder),
        "variables": dict(home.settings.variables),
        "tables": dict(home.settings.tables),
        "names": list(names),
        "verb": "push",
        **more,
    }
    with _meeting(trace, meet):
        found = killer.told(order)
    notes = [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []
    return {**found, "notes": notes, "end": next((note for note in notes if note.get("end")), None)}


@contextmanager
def _meeting(trace: Path, meet: Callable[[int], None] | None) -> Iterator[None]:
    if meet is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            try:
                pid = int(json.loads(trace.read_text().splitlines()[0])["pid"])
            except (OSError, ValueError, IndexError):  # not written yet
                time.sleep(POLL_S)
                continue
            meet(pid)
            return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def is_done(ended: Mapping[str, Any]) -> bool:
    """Tell whether a push of a process ran to its end."""
    return ended["end"] is not None and all(run[1] == "done" for run in ended["end"]["runs"])


def left_open(home: PushHome) -> list[str]:
    """Say what is in flight for ever, and which runs run for ever."""
    found = []
    for what, query in (
        ("changes are in flight", "SELECT COUNT(*) FROM syncer.changes WHERE state = 'sending'"),
        ("runs run", "SELECT COUNT(*) FROM syncer.runs WHERE status = 'running'"),
    ):
        count = home.rows(query)[0][0]
        if count:
            found.append(f"{count} {what} for ever")
    return found
