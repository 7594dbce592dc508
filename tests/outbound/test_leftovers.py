"""What a process leaves that is killed while it copies rows: the next run takes it away, and nobody else's copy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import aging, cli, forgetting_pushed, plans, verifying
from syncer.aging import Aged
from syncer.errors import UsageError
from syncer.plans import Header
from tests.outbound import PushHome

COPIES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'syncer' AND table_name LIKE '{}%'"
# A process of its own that compares or plans, and stops in the middle, where its copy stands.
PROCESS = """
import json, os, random, signal, sys
from pathlib import Path
import attrs
from syncer import executing, pushing, verifying
from syncer import settings as configuration
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.sources.hubspot import HubSpot
from syncer.transport import Doors

order = json.loads(sys.argv[1])
found = configuration.load(variables=order["variables"], folder=Path(order["folder"]))
found = attrs.evolve(found, tables=order["tables"])
clock = SystemClock()
doors = Doors(clock=clock, budget=Budget(Path(order["folder"]) / "cache-2", clock=clock), random=random.Random(1))

def stop(*told):
    if order["ends"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("stands", flush=True)
    sys.stdin.readline()

name = "hubspot.companies"
if order["ends"] != "killed" and order["verb"] == "plan":
    find, calls = HubSpot.find, []

    def waiting(self, *given, **how):  # while it asks, the warehouse is let go
        calls.append(1)
        if len(calls) == 1:
            stop()
        return find(self, *given, **how)

    HubSpot.find = waiting
if order["verb"] == "verify":
    [done] = verifying.verify(name, settings=found, doors=doors, sample=order.get("sample"), on_progress=stop)
    print(done.counts["agreed"])
else:
    on_progress = stop if order["ends"] == "killed" else None
    request = executing.Request(is_rehearsal=order["verb"] == "plan", on_progress=on_progress)
    [done] = pushing.push(name, settings=found, request=request, doors=doors)
    print(done.status, done.error or "")
"""
MAKERS = ({"verb": "verify"}, {"verb": "verify", "sample": 2}, {"verb": "plan"}, {"verb": "push"})


def rows(*phones: str) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"C{number}", "phone": phone} for number, phone in enumerate(phones)]


def copies(home: PushHome) -> list[str]:
    return sorted(name for beginning in ("copy_", "claims_") for (name,) in home.rows(COPIES.format(beginning)))


@contextmanager
def process(home: PushHome, **order: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process that stops in the middle; it ends with the block."""
    told = {
        "folder": str(home.settings.base),
        "variables": dict(home.settings.variables),
        "tables": dict(home.settings.tables),
        **order,
    }
    command = [sys.executable, "-c", PROCESS, json.dumps(told)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                started.kill()


def killed(home: PushHome, **order: Any) -> None:
    """Let a process be killed by SIGKILL while its copy stands."""
    with process(home, ends="killed", **order) as started:
        _, told = started.communicate(timeout=60)
        assert started.returncode == -signal.SIGKILL, told


def prepared(home: PushHome) -> None:
    """Push five rows, and change one, so that there is something to plan."""
    home.relation(rows("1", "2", "3", "4", "5"))
    assert home.push().counts.created == 5
    home.later()
    home.change("1", phone="new")


def verified(home: PushHome) -> None:
    verifying.verify("hubspot.companies", settings=home.settings, doors=home.doors)


def planned(home: PushHome) -> None:
    assert home.push(is_rehearsal=True).counts.updated == 1


def pushed(home: PushHome) -> None:
    assert home.push(wait_s=20).counts.updated == 1  # a server needs a moment to notice that a client is dead


def cleaned(home: PushHome) -> None:
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        assert aging.age(t, keep_days=None, now=home.clock.now()).abandoned == 1
    warehouse.close()


NEXT = {"verify": verified, "plan": planned, "push": pushed, "clean": cleaned}


@pytest.mark.parametrize(
    ("maker", "then"),
    [*((maker, "verify") for maker in MAKERS), *((MAKERS[1], then) for then in NEXT if then != "verify")],
    ids=str,
)
def test_what_a_kill_left_goes_with_the_next_run(home: PushHome, maker: dict[str, Any], then: str) -> None:
    """A copy of a whole relation would stand there for ever, with all its values."""
    prepared(home)
    killed(home, **maker)
    assert copies(home) and home.rows("SELECT state FROM syncer.plans WHERE state = 'planning'") == [("planning",)]
    NEXT[then](home)
    assert (copies(home), home.rows("SELECT state FROM syncer.plans WHERE state = 'planning'")) == ([], [])


@pytest.mark.parametrize(
    ("maker", "ends"), [({"verb": "verify"}, "4"), ({"verb": "verify", "sample": 5}, "4"), ({"verb": "plan"}, "done ")]
)
def test_what_another_process_is_making_stands(home: PushHome, maker: dict[str, Any], ends: str) -> None:
    """Whatever runs beside it; and it ends as if nothing had been."""
    prepared(home)
    with process(home, ends="waits", **maker) as started:
        assert started.stdout is not None and started.stdin is not None
        assert started.stdout.readline() == "stands\n"
        before = copies(home)
        assert before
        verified(home)
        planned(home)
        warehouse = home.warehouse()
        with warehouse.transaction() as t:
            assert aging.age(t, keep_days=None, now=home.clock.now()) == Aged()
            assert aging.drop_ownerless(t) == 0
        warehouse.close()
        assert copies(home) == before
        told, wrong = started.communicate("\n" * 20, timeout=60)
        assert (started.returncode, told.splitlines()[-1]) == (0, ends), wrong
    assert copies(home) == []


def test_two_of_one_process_leave_each_other_alone(home: PushHome) -> None:
    """They have one process number; a verify beside a push, in a service of a site's own."""
    prepared(home)
    seen: list[list[str]] = []

    def meanwhile(*_: Any) -> None:
        before = copies(home)
        planned(home)
        seen.append(before)
        assert copies(home) == before

    [found] = verifying.verify("hubspot.companies", settings=home.settings, doors=home.doors, on_progress=meanwhile)
    assert (found.counts["agreed"], found.counts["not_pushed"]) == (4, 1) and len(seen[0]) == 2


def half(home: PushHome, **given: Any) -> Header:
    """Leave the header and the copy of a plan that is being made, as another process does."""
    own = {"mapping": "hubspot.companies", "environment": "default", "account": "1", "made_at": home.clock.now()}
    header = Header(plan=plans.new_plan(), **{**own, **given})
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        plans.insert(t, header)
    warehouse.close()
    plans.let_go(header.plan)
    home.rows(f"CREATE TABLE syncer.copy_{header.plan} (dss_key TEXT)")
    return header


@pytest.mark.parametrize(
    ("given", "days", "is_left"),
    [
        ({"host": "elsewhere", "pid": 1}, 0.9, False),
        ({"host": "elsewhere", "pid": 1}, 1.1, True),
        ({"host": socket.gethostname(), "pid": os.getppid()}, 1.1, False),
        ({"host": socket.gethostname(), "pid": os.getppid()}, 7.1, True),
        ({"host": socket.gethostname(), "pid": os.getpid()}, 0, True),
        ({"environment": "other", "host": socket.gethostname(), "pid": os.getpid()}, 0, False),
        ({"mapping": "hubspot.deals", "host": socket.gethostname(), "pid": os.getpid()}, 0, False),
    ],
)
def test_who_makes_a_plan_tells_whether_it_is_left(
    home: PushHome, given: dict[str, Any], days: float, is_left: bool
) -> None:
    """Of another machine's process nobody can tell; a process number may be another one's after a week."""
    prepared(home)
    header = half(home, **given)
    home.clock.advance(days * 86_400)
    planned(home)
    assert (copies(home) == []) is is_left
    assert (home.rows("SELECT plan FROM syncer.plans WHERE plan = ?", [header.plan]) == []) is is_left


def test_a_forgetting_ends_a_verify_that_is_under_way(home: PushHome) -> None:
    """Its copy has the person's values; it says so, and leaves nothing."""
    prepared(home)
    home.relation(rows(*(str(number) for number in range(1_100))))

    def forget(*_: Any) -> None:
        warehouse = home.warehouse()
        with warehouse.transaction() as t:
            for (plan,) in t.rows(aging.sql.statement("SELECT plan FROM syncer.plans WHERE state = 'planning'")):
                forgetting_pushed.drop(t, plan)
        warehouse.close()

    with pytest.raises(UsageError, match="Somebody was forgotten"):
        verifying.verify("hubspot.companies", settings=home.settings, doors=home.doors, on_progress=forget)
    assert copies(home) == []


def test_the_verb_takes_away_copies_that_belong_to_nobody(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of an earlier version's verify, which had no header; what only has such a name is somebody's own."""
    prepared(home)
    live = half(home, host="elsewhere", pid=1)
    home.rows("UPDATE syncer.plans SET made_at = CURRENT_TIMESTAMP WHERE plan = ?", [live.plan])
    own = ["copy_of_mine", "claims_0123456789abc"]
    gone = ["copy_0123456789ab", "copy_0123456789ab_marks", "claims_0123456789ab"]
    for name in (*own, *gone):
        home.rows(f"CREATE TABLE syncer.{name} (x TEXT)")
    kept = sorted([*own, f"copy_{live.plan}"])
    monkeypatch.chdir(tmp_path)
    for name, value in home.settings.variables.items():
        monkeypatch.setenv(name, value)
    Path("syncer.toml").write_text('[journal]\nkeep_days = "off"\n')
    assert cli.main(["clean", "--dry-run", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["cleaned"]
    assert (told["tables"], told["abandoned"], copies(home)) == (3, 0, sorted([*kept, *gone]))
    assert cli.main(["clean"]) == 0
    assert "3 copies of rows that belong to no run" in capsys.readouterr().out
    assert copies(home) == kept


def test_a_header_names_who_makes_it(home: PushHome) -> None:
    """As that of a plan does, so that a kill's can be told from one under way."""
    prepared(home)
    seen: list[Any] = []
    query = "SELECT verb, mapping, environment, pid, host FROM syncer.plans WHERE state = 'planning'"
    verifying.verify(
        "hubspot.companies",
        settings=attrs.evolve(home.settings),
        doors=home.doors,
        on_progress=lambda *_: seen.extend(home.rows(query)),
    )
    assert seen == [("verify", "hubspot.companies", "default", os.getpid(), socket.gethostname())]
