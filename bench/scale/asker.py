"""
One process that asks an account as often as it may: `python -m bench.scale.asker URL TOKEN BUCKET SECONDS THREADS`.

It is syncer's own client of HubSpot, with its budget, its rules for a 429 and its headers; only what it asks for is
the smallest there is. SYNCER_CACHE names the folder of the budget: who shares it shares the budget. It prints one line
of JSON: requests that were answered, that were given up, and the seconds of the longest wait.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from loguru import logger

from syncer import cache
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.errors import SyncerError
from syncer.settings import Account
from syncer.sources.hubspot.calls import Calls
from syncer.transport import Doors


def main(url: str, token: str, bucket: str, seconds: float, threads: int) -> None:
    """Ask until the time is up, from several threads as a pull does."""
    logger.remove()
    clock = SystemClock()
    doors = Doors(clock=clock, budget=Budget(cache.folder(dict(os.environ)), clock=clock))
    calls = Calls(Account(source="hubspot", url=url, token=token), doors=doors)
    until = time.monotonic() + seconds
    answered: list[float] = []
    given_up: list[str] = []

    def ask() -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                if bucket == "search":
                    calls.search(f"{calls.paths.objects('companies')}/search", {"limit": 1, "properties": []})
                else:
                    calls.get(calls.paths.objects("companies"), {"limit": 1})
            except SyncerError as error:
                given_up.append(str(error))
            else:
                answered.append(time.monotonic() - began)

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    calls.close()
    print(json.dumps({"answered": len(answered), "given_up": len(given_up), "longest_s": max(answered, default=0.0)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
