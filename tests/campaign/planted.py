"""
Bugs planted on purpose, at least one for each promise, each of which a test must notice.

Each bug is one edit of one file in a copy of the project; then the tests that should notice are run there. A bug that
none notices is a missing test, and fails the campaign; so does an edit whose line is not there any more.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.campaign import planted_operations, planted_push, planted_sources, planted_wherescape
from tests.campaign.bugs import Bug

PROJECT = Path(__file__).parents[2]
JIRA, GITLAB = "tests/contracts/test_source.py -k jira", "tests/contracts/test_source.py -k gitlab"


BUGS = (
    Bug(
        "1",
        "places are committed before their rows",
        "inbound.py",
        "        with self.warehouse.transaction() as t:\n            self._look_for_full(t, now)\n",
        "        with self.warehouse.transaction() as early:\n"
        "            marks.put_places(early, group.places, owner=self.context.owner, now=now)\n"
        "        with self.warehouse.transaction() as t:\n            self._look_for_full(t, now)\n",
        "tests/test_kills.py",
    ),
    Bug(
        "1",
        "places are not stored",
        "inbound.py",
        "            marks.put_places(t, group.places, owner=self.context.owner, now=now)\n",
        "",
        "tests/test_inbound.py",
    ),
    Bug(
        "1",
        "what was read before a failure is thrown away",
        "inbound.py",
        "            except SyncerError:\n                self.commit(group)\n                raise",
        "            except SyncerError:\n                raise",
        "tests/test_inbound.py",
    ),
    Bug(
        "1",
        "two processes may pull one mapping",
        "leases.py",
        'folder / f"{name}.lock"), thread_local',
        'folder / f"{name}.{os.getpid()}.lock"), thread_local',
        "tests/contracts/test_warehouse.py",
    ),
    Bug(
        "2",
        "an older record replaces a newer one",
        "mirror.py",
        'return f" AND (({older}) IS NOT TRUE{healed})"',
        'return ""',
        "tests/test_inbound.py",
    ),
    Bug(
        "2",
        "Jira's next window begins now instead of when the last one was opened",
        "sources/jira/walk.py",
        'floor=place["mark"] - lookback // timedelta(milliseconds=1))',
        "floor=now)",
        JIRA,
    ),
    Bug(
        "2",
        "Jira's index is believed to lag nothing",
        "sources/jira/walk.py",
        'floor=place["mark"] - lookback // timedelta(milliseconds=1))',
        'floor=place["mark"])',
        "tests/sources/test_jira.py",
    ),
    Bug(
        "3",
        "Jira's 200 that means 'not allowed' is an empty answer",
        "sources/jira/calls.py",
        "        if wrong:\n            raise self._refused(",
        "        if False:\n            raise self._refused(",
        "tests/sources/test_jira.py -k token",
    ),
    Bug(
        "3",
        "HTML with status 200 is an empty answer",
        "transport.py",
        "            return values.parse(self.body)",
        "            return values.parse(self.body if self.body[:1] in b'[{' else b'{}')",
        "tests/test_transport.py",
    ),
    Bug(
        "3",
        "a scope that failed is passed over in silence",
        "reading.py",
        '            self.rejects.append(Reject("", "", str(page.error), page.scope))\n            self.failed',
        "            self.failed",
        "tests/test_inbound.py",
    ),
    Bug(
        "1",
        "a load table that was dropped is believed to be full",
        "marks.py",
        "    return not has_seen if is_delta else is_new or has_seen\n",
        "    return False\n",
        "tests/test_lost_base.py",
    ),
    Bug(
        "1",
        "the place of a page that is parted comes with its first part",
        "reading.py",
        "            yield Page(scope=page.scope, records=part, states=merges, whole=whole)\n",
        "            yield attrs.evolve(page, records=part, whole=whole)\n",
        "tests/test_reading.py",
    ),
    Bug(
        "5",
        "an archived row never ends",
        "mirror.py",
        "IN ('{LIVE}', '{ARCHIVED}', '{MERGED}')",
        "IN ('{LIVE}', '{MERGED}')",
        "tests/test_census.py",
    ),
    Bug(
        "4",
        "equal rows are written again",
        "mirror.py",
        "return f\"({sql.differs('b', 's', self._compared)}){self._not_older()}\"",
        'return f"TRUE{self._not_older()}"',
        "tests/test_inbound.py",
    ),
    Bug(
        "4",
        "a key that comes again in a later group counts again",
        "loading.py",
        "        if self._has_met is None:\n            return 0, 0\n",
        "        if True:\n            return 0, 0\n",
        "tests/test_inbound.py",
    ),
    Bug(
        "5",
        "there is no brake",
        "loading.py",
        "        if share is None:\n            return []",
        "        return []",
        "tests/test_census.py",
    ),
    Bug(
        "5",
        "a census ends what it missed without asking by key",
        "census.py",
        "            pages, met = self._fetch(typed)\n            absent",
        "            pages, met = [], set()\n            absent",
        "tests/test_census.py",
    ),
    Bug(
        "5",
        "a state counts as gone whatever it is",
        "loading.py",
        "pa.array([each.state for each in state_of.values()], pa.string())",
        "pa.array([GONE for each in state_of.values()], pa.string())",
        "tests/test_inbound.py",
    ),
    Bug(
        "5",
        "a walk forgets what it met in earlier groups",
        "loading.py",
        "        if ending.walk:",
        "        if False:",
        "tests/test_inbound.py",
    ),
    Bug(
        "13",
        "each process has a budget of its own",
        "budget.py",
        'store.set(f"budget/{owner}/{bucket.name}"',
        'store.set(f"budget/{owner}/{bucket.name}/{id(self)}" if False else "x"',
        "tests/test_budget.py",
    ),
    Bug(
        "13",
        "a reservation counts only for its window",
        "budget.py",
        "return self.window_s + max(0.1, self.window_s * 0.03)",
        "return self.window_s * 0.5",
        "tests/test_budget.py",
    ),
    Bug(
        "13",
        "a 429 slows down nobody else",
        "transport.py",
        "                self._doors.budget.pause(self._owner, bucket, wait)",
        "                self.clock.sleep(wait)",
        "tests/test_transport.py",
    ),
    Bug(
        "14",
        "an error has the answer's text in it",
        "transport.py",
        'f"{answer.where} was refused with status {answer.status}.", status=answer.status, body=body\n',
        'f"{answer.where} was refused with status {answer.status}: {body}", status=answer.status, body=body\n',
        "tests/test_transport.py",
    ),
    Bug(
        "14",
        "settings show their variables",
        "settings.py",
        "variables: Mapping[str, str] = attrs.field(factory=dict, repr=False)\n    tables",
        "variables: Mapping[str, str] = attrs.field(factory=dict)\n    tables",
        "tests/test_settings.py",
    ),
    Bug(
        "15",
        "all rows wait for the end",
        "reading.py",
        "        return (\n            self.is_closed\n",
        "        return self.is_closed and (\n            self.is_closed\n",
        "tests/test_memory.py",
    ),
    Bug(
        "values",
        "3.5 becomes 3",
        "values.py",
        "    if came != {str}:\n        return None\n    texts",
        "    if came != {str}:\n        return pa.array(values).cast(target, safe=False)\n    texts",
        "tests/test_values.py",
    ),
    Bug(
        "values",
        "what does not fit is a silent NULL",
        "rows.py",
        "                misfits.append((each.row,",
        "                ((each.row,",
        "tests/test_inbound.py",
    ),
    Bug(
        "transport",
        "a write is sent again",
        "transport.py",
        "may_repeat = is_read or status in self.rules.undone",
        "may_repeat = True",
        "tests/test_transport.py",
    ),
    Bug(
        "delta",
        "confirm believes a pull that failed",
        "offers.py",
        "    if status != journal.DONE:",
        "    if False:",
        "tests/test_offers.py",
    ),
    Bug(
        "delta",
        "an open offer is not put back",
        "engine.py",
        "        put_back(t, context, reoffer=reoffer, now=now, is_mended=bool(shaped.added or shaped.restored))\n",
        "",
        "tests/test_offers.py",
    ),
)


def campaign(*, is_short: bool) -> int:
    """Plant each bug; print who noticed; return how many nobody did."""
    unnoticed = 0
    every = (*BUGS, *planted_sources.BUGS, *planted_push.BUGS, *planted_operations.BUGS, *planted_wherescape.BUGS)
    began = time.monotonic()
    for bug in every[:3] if is_short else every:
        noticed = plant(bug)
        unnoticed += not noticed
        print(f"promise {bug.promise}: {bug.what}: {noticed or 'NOT NOTICED'}", flush=True)
    print(f"{len(every)} bugs, {unnoticed} not noticed; {time.monotonic() - began:.0f} s")
    return unnoticed


def plant(bug: Bug) -> str:
    """Plant one bug in a copy; return the first test that failed, "" where none did."""
    with tempfile.TemporaryDirectory(prefix="syncer-planted-") as folder:
        copy = Path(folder)
        for name in ("syncer", "tests", "docs"):
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(PROJECT / "pyproject.toml", copy / "pyproject.toml")
        file = copy / "syncer" / bug.file
        text = file.read_text(encoding="utf-8")
        if text.count(bug.old) != 1:
            return "" if print(f"  {bug.file} has {text.count(bug.old)} times {bug.old!r:.60}") else ""
        file.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--no-header",
            "--tb=no",
            *bug.tests.split(),
        ]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=900)
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0].split(" - ")[0] if failed and done.returncode == 1 else ""
