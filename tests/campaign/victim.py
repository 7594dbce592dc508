"""
A process that pulls and is killed at a chosen I/O call: `python -m tests.campaign.victim`, one JSON order a line on
standard input.

It imports everything once and then forks a child an order, so that a trial costs a fork and not an import; the child
is killed with SIGKILL, as a machine that loses power kills. I/O calls are what goes out: each send of the transport
and each commit of the warehouse.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401  # imported before the fork
import pyarrow.compute  # noqa: F401
import pyodbc  # noqa: F401
import requests
import sqlglot  # noqa: F401

from syncer import apply, engine, executing, inbound, operating, pushing, reading, spool  # noqa: F401
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.sources import Page
from syncer.transport import Doors
from syncer.warehouses.duckdb import DuckDBTransaction, DuckDBWarehouse
from tests.campaign import victim_server

WAIT_S = 10.0  # for a lease: a server needs a moment to notice that a client is dead


class Point:
    """Counts I/O calls, and kills at the one that was ordered."""

    def __init__(self, order: dict[str, Any], trace: Path) -> None:
        self.calls = 0
        self._at = order.get("kill_at")
        self._when = order.get("when", "before")
        self._trace = trace
        self._lock = threading.Lock()

    def passes(self) -> int:
        """Count a call that is about to happen."""
        with self._lock:
            self.calls += 1
            number = self.calls
        if number == self._at and self._when == "before":
            self._die()
        return number

    def passed(self, number: int) -> None:
        """The call *number* has happened."""
        if number == self._at and self._when == "after":
            self._die()

    def _die(self) -> None:
        self.note(dies=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def note(self, **facts: Any) -> None:
        """Write down what must outlive us."""
        with self._trace.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**facts, "at": time.time()}) + "\n")


def run(order: dict[str, Any]) -> None:
    """Pull as ordered."""
    folder = Path(order["folder"])
    point = Point(order, folder / order.get("trace", "trace.jsonl"))
    point.note(began=True, pid=os.getpid())
    if "host" in order:
        socket.gethostname = lambda: str(order["host"])
    if "kill_after_s" in order:
        threading.Timer(order["kill_after_s"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    reading.GROUP_ROWS = order.get("group_rows", reading.GROUP_ROWS)
    reading.CHUNK_RECORDS = min(reading.CHUNK_RECORDS, reading.GROUP_ROWS)
    watch_commits(point)
    victim_server.watch_commits(point.passes, point.passed)
    victim_server.watch(point.note, order)
    watch_pages(point)

    def send(request: requests.PreparedRequest, session: requests.Session, timeout: tuple[float, float]) -> Any:
        number = point.passes()
        response = session.send(request, timeout=timeout, allow_redirects=False)
        _ = response.content
        point.passed(number)
        return response

    clock = ClockAt(order["at"]) if "at" in order else SystemClock()
    variables = order["variables"]
    doors = Doors(
        clock=clock, budget=Budget(Path(variables["SYNCER_CACHE"]), clock=clock), send=send, random=random.Random(1)
    )
    settings = Settings(
        warehouse=variables["SYNCER_WAREHOUSE"],
        base=folder,
        variables=variables,
        tables=order.get("tables", {}),
        wait_s=order.get("patience_s", 30),
    )
    request = engine.Request(mode=order.get("mode", "incremental"), wait_s=order.get("wait_s", WAIT_S))
    while time.monotonic() < order.get("start_at", 0.0):
        time.sleep(0.001)
    began = time.time()
    done: Any
    if order.get("verb") == "push":
        asked = executing.Request(wait_s=request.wait_s, **order.get("request", {}))
        done = pushing.push(order["names"], settings=settings, request=asked, doors=doors)
    elif order.get("verb") == "run":
        asked = executing.Request(wait_s=request.wait_s, **order.get("request", {}))
        done = [operating.run(each, settings=settings, request=asked, doors=doors) for each in order["names"]]
    else:
        done = engine.pull(order["names"], settings=settings, request=request, doors=doors)
    told = [[run.mapping, run.status, run.requests, run.error, run.run] for run in done]
    point.note(end=True, calls=point.calls, runs=told, began_at=began, ended_at=time.time())


class ClockAt(SystemClock):
    """The system's clock, set to another time: that of a sandbox whose days pass in seconds."""

    def __init__(self, at: float) -> None:
        self._ahead_s = at - time.time()

    def now(self) -> dt.datetime:
        """The time, in UTC."""
        return super().now() + dt.timedelta(seconds=self._ahead_s)


def watch_commits(point: Point) -> None:
    """Count each commit that has something in it."""
    original = DuckDBWarehouse.transaction

    @contextlib.contextmanager
    def transaction(self: DuckDBWarehouse) -> Iterator[DuckDBTransaction]:
        number = 0
        with original(self) as t:
            yield t
            number = point.passes()
        point.passed(number)

    DuckDBWarehouse.transaction = transaction  # type: ignore[method-assign]


def watch_pages(point: Point) -> None:
    """Write down, with each commit of a group, how many requests its pages had cost."""
    load, commit = inbound.Inbound.load, inbound.Inbound.commit
    cost: list[int] = []
    committed = [0]

    def watched_load(self: inbound.Inbound, pages: Iterator[Page], *, ends_run: bool = True) -> Any:
        def counted() -> Iterator[Page]:
            for page in pages:
                cost.append(self.sent())
                yield page

        cost.clear()
        committed[0] = 0
        return load(self, counted(), ends_run=ends_run)

    def watched_commit(self: inbound.Inbound, group: reading.Group, *, ends_run: bool = False) -> None:
        committed[0] += group.pages
        commit(self, group, ends_run=ends_run)
        last = committed[0]
        point.note(mapping=self.pulled.mapping, committed=cost[last - 1] if last else 0, scopes=len(group.places))

    inbound.Inbound.load = watched_load  # type: ignore[method-assign]
    inbound.Inbound.commit = watched_commit  # type: ignore[method-assign]


def main() -> None:
    """Serve orders until standard input ends; answer each with how the child ended and how long it took."""
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            sys.stdout = sys.stderr
            try:
                run(order)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001  # the child's outermost door
                print(f"victim: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": status, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    from loguru import logger

    logger.remove()
    main()
