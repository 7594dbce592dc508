"""
What a host script does beside where a campaign wants it killed: it counts what goes out (each request, each commit,
and the call that tells RED's scheduler its counts) and dies with SIGKILL at the one that its environment names.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import requests

from syncer import cache, engine
from syncer.budget import Budget
from syncer.settings import Settings
from syncer.transport import Doors
from syncer.wherescape import tasklog
from tests.campaign import victim_server
from tests.campaign.victim import Point

ORDER = "RED_VICTIM"  # as JSON: `trace`, a file; `kill_at` and `when`, as of a victim
SCRIPT = "from tests.campaign import red_victim\nred_victim.install()\n"


def ordered(trace: Path, **order: Any) -> dict[str, str]:
    """Return the variable that a host script reads its order in."""
    return {ORDER: json.dumps({"trace": str(trace), **order})}


def calls(trace: Path) -> int:
    """How many calls went out, or were about to, as the trace has them."""
    lines = trace.read_text(encoding="utf-8").splitlines() if trace.exists() else []
    return max([json.loads(line).get("call", 0) for line in lines], default=0)


def install() -> None:
    """Watch this process."""
    order = json.loads(os.environ[ORDER])
    point = Noted(order, Path(order["trace"]))
    victim_server.watch_commits(point.passes, point.passed)
    tell = tasklog.tell

    def send(request: requests.PreparedRequest, session: requests.Session, timeout: tuple[float, float]) -> Any:
        number = point.passes()
        response = session.send(request, timeout=timeout, allow_redirects=False)
        _ = response.content
        point.passed(number)
        return response

    def doors_of(settings: Settings, clock: Any) -> Doors:
        budget = Budget(cache.folder(dict(settings.variables)), clock=clock)
        return Doors(clock=clock, budget=budget, send=send, random=random.Random(1))

    def watched_tell(*args: Any, **more: Any) -> str:
        number = point.passes()
        said = tell(*args, **more)
        point.passed(number)
        return said

    engine.doors_of = doors_of
    tasklog.tell = watched_tell


class Noted(Point):
    """Writes each call down as it comes."""

    def passes(self) -> int:
        """Count a call that is about to happen."""
        number = super().passes()
        self.note(call=number)
        return number
