"""
kill -9 of the client, kill -9 of the server's process that serves it (all sessions of the server end then, and it
recovers), and pg_terminate_backend: at random moments of a pull into PostgreSQL, and in the middle of commits.

After each the pull runs again until it is done, three times at most. Then the rows equal the API's, each was inserted
once by what the run rows say, no run is called done that is not, rejects and marks tell the truth, and no lease is
held. What became of commits whose answer was lost is counted; what was never met is a failure.

The server runs with `synchronous_commit` on, as it comes: with it off, a server that dies loses what it had confirmed.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Clock, JiraSite
from tests.campaign import aims, victim_server
from tests.campaign.aims import ANYTIME, BACKEND, BEFORE, BEHIND, CLIENT, EMPTY, TERMINATED, Aim
from tests.campaign.beds import Bed, bed, mapping_of
from tests.campaign.kills import Victim, victim
from tests.campaign.stores import Database
from tests.servers import postgresql
from tests.truth import differences

SEED = 12
TRIES = 3
TOLD_EACH = 20
DRAWS = 4  # moments of one kill, until one is before the end
ISSUES, GROUP_ROWS = 1_500, 100  # rows a commit
SHORT_ISSUES, SHORT_GROUP_ROWS = 150, 30
NO_DATE, UNFIT = "2026-02-30", 5  # so many issues have it
FEW = 12  # requests of a pull that finds nothing new
FORMS = (
    ("jira.issues", "mirror"),
    ("jira.comments", "delta"),  # in slices: the comments of an issue
    ("jira.issues", "delta"),
    ("jira.comments", "mirror"),
    ("jira.changelogs", "delta"),
)
FULL = {
    CLIENT: {ANYTIME: 40, BEFORE: 6, BEHIND: 4},
    BACKEND: {ANYTIME: 30, BEFORE: 9, BEHIND: 9, EMPTY: 2},
    TERMINATED: {ANYTIME: 14, BEFORE: 3, BEHIND: 3},
}
SHORT = {CLIENT: {BEFORE: 1}, BACKEND: {ANYTIME: 1, BEFORE: 1, BEHIND: 1}, TERMINATED: {ANYTIME: 1}}
ORPHANED = "a commit went on whose client was dead, and its lease with it"
MUST = {
    True: (victim_server.KEPT, victim_server.NOT_KEPT, ORPHANED),
    False: (
        victim_server.KEPT,
        victim_server.NOT_KEPT,
        victim_server.NOTHING_WRITTEN,
        victim_server.IN_A_STATEMENT,
        victim_server.LEASE_LOST,
        victim_server.WAITED_FOR_SERVER,
        ORPHANED,
    ),
}


@attrs.define
class Lab:
    """A server of our own, a site, a bed, and what came of all trials."""

    server: postgresql.Server
    store: Database
    home: Bed
    killer: Victim
    group_rows: int
    full: dict[tuple[str, str], tuple[float, int, int]] = attrs.field(factory=dict)  # seconds, requests, rows
    phases: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    branches: Counter[str] = attrs.field(factory=Counter)
    tries: Counter[int] = attrs.field(factory=Counter)
    trials: Counter[str] = attrs.field(factory=Counter)
    late: int = 0  # trials whose pull was over before; another moment was drawn
    wrong: list[str] = attrs.field(factory=list)

    def order(self, form: tuple[str, str], **more: Any) -> dict[str, Any]:
        """Pull in a victim."""
        name, style = form
        tables = {"jira": {"workers": 1, "limits": "off"}, name: {"style": style}}
        ended = self.killer.order(self.home, [name], group_rows=self.group_rows, tables=tables, **more)
        self.branches.update(note["branch"] for note in ended["notes"] if "branch" in note)
        return ended

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.store.query(query)


def site_of(*, issues: int) -> JiraSite:
    """Make a site; some of its issues have a date that is none."""
    site = JiraSite.generate(seed=SEED, projects=4, issues=issues, clock=Clock(is_frozen=True), index_lag_s=0)
    site.limits = None
    numbers = sorted(int(key[0]) for key in site.truth("issues"))
    for number in random.Random(SEED).sample(numbers, UNFIT):
        site.update_issue(number, {"duedate": NO_DATE})
    site.clock.advance(600)
    return site


def trial(lab: Lab, form: tuple[str, str], whom: str, where: str, rng: random.Random) -> bool:
    """Kill once, pull to the end, and look; False where the pull was over before."""
    lab.store.clear()
    seconds = lab.full[form][0]
    after = rng.uniform(0.02, 0.98) * seconds if where == ANYTIME else rng.uniform(0.1, 0.5) * seconds
    which = f"{whom}, {where}, {form[0]} in style {form[1]}, after {after:.3f} s"
    aim = Aim(
        server=lab.server,
        database=lab.store.name,
        trace=lab.home.folder / "trace.jsonl",
        whom=whom,
        where=where,
        after_s=after,
    )
    if where == EMPTY:
        first = lab.order(form, shoot_empty_commit=1 + lab.trials[whom] % 2)  # before the lease, and as it is released
        is_hit, aim.phase = True, aims.COMMITTING
    else:
        (lab.home.folder / "trace.jsonl").unlink(missing_ok=True)
        aim.start()
        first = lab.order(form)
        aim.stop()
        is_hit = aim.phase is not None and (first["end"] is None or whom != CLIENT)
    if not is_hit and first["end"] is not None:  # the machine is less busy than when it was measured
        lab.full[form] = (min(seconds, first["seconds"]), *lab.full[form][1:])
    if is_hit and aim.phase:
        lab.trials[whom] += 1
        lab.phases[whom, aim.phase] += 1
    ended = [first]
    while not is_done(ended[-1]) and len(ended) <= TRIES:
        ended.append(lab.order(form, trace="again.jsonl"))
    if where != EMPTY:
        aim.join()
        lab.branches[ORPHANED] += aim.was_orphaned
    lab.server.wait()  # a kill that came too late is recovered from
    lab.tries[len(ended) - 1] += 1
    lab.wrong += [f"{which}: {what}" for what in judged(lab, form, ended)]
    return is_hit


def is_done(ended: Mapping[str, Any]) -> bool:
    """Tell whether a pull ran to its end."""
    return ended["end"] is not None and ended["end"]["runs"][0][1] == "done"


def judged(lab: Lab, form: tuple[str, str], ended: list[dict[str, Any]]) -> list[str]:
    """Compare what stands in the database with the truth; return what is wrong."""
    name = form[0]
    fell = [each["status"] for each in ended if each["end"] is None and os.waitstatus_to_exitcode(each["status"]) > 0]
    if fell:  # the server is back long before anybody's patience ends
        return [f"{len(fell)} pulls ended with an error, and without a run that says so"]
    if not is_done(ended[-1]):
        return [f"not done after {len(ended)} pulls: {[each['end'] for each in ended]}"]
    wrong = rows_wrong(lab, name)[:5]
    wrong += runs_wrong(lab, form, [each["end"]["runs"][0] for each in ended if each["end"]])
    if name == "jira.issues":
        rejects = lab.ask('SELECT key, "column" FROM syncer.rejects')
        unfit = sorted((key[0], "duedate") for key, each in lab.home.sites["jira"].truth("issues").items()
                       if each["fields"]["duedate"] == NO_DATE)  # fmt: skip
        wrong += [] if sorted(map(tuple, rejects)) == unfit else [f"rejects: {rejects}, not {unfit}"]
    last = lab.order(form, trace="again.jsonl")
    if not is_done(last) or last["end"]["runs"][0][2] > FEW:
        wrong.append(f"the pull after the last: {last['end']}")
    counts = lab.ask(f"SELECT inserted, updated FROM syncer.runs WHERE run = '{last['end']['runs'][0][4]}'")
    wrong += [] if counts == [(0, 0)] else [f"the pull after the last inserted and updated {counts}"]
    began = time.monotonic()
    while held := lab.ask("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")[0][0]:
        if time.monotonic() - began > 2:
            return [*wrong, f"{held} leases are held, and nobody is there"]
        time.sleep(0.02)
    return wrong


def rows_wrong(lab: Lab, name: str) -> list[str]:
    """Compare the load table with the API, a date that is none being nothing."""
    mapping = mapping_of(name)
    truth = lab.home.sites["jira"].truth(mapping.entity)
    if name == "jira.issues":
        for record in truth.values():
            if record["fields"]["duedate"] == NO_DATE:
                record["fields"]["duedate"] = None
    lab.store.only = (mapping.table("default"),)
    return differences(lab.store.readable(), mapping, truth)


def runs_wrong(lab: Lab, form: tuple[str, str], told: list[list[Any]]) -> list[str]:
    """Look whether the run rows tell the truth: each row inserted once, and done only where all is there."""
    wrong: list[str] = []
    runs = lab.ask(
        "SELECT run, status, read, inserted, updated, unchanged, finished_at IS NULL FROM syncer.runs ORDER BY "
        "started_at"
    )
    rows, sum_inserted = lab.full[form][2], 0
    statuses = {run: status for run, status, *_ in runs}
    for run, status, read, inserted, updated, unchanged, is_open in runs:
        sum_inserted += inserted
        if read != inserted + updated + unchanged:
            wrong.append(f"run {run}: read {read} is not {inserted} + {updated} + {unchanged}")
        if status not in ("done", "failed", "broken") or is_open or updated:
            wrong.append(f"run {run}: {status}, still open: {is_open}, updated {updated}")
        if status == "done" and sum_inserted != rows:
            wrong.append(f"run {run} is done with {sum_inserted} of {rows} rows inserted")
    if sum_inserted != rows:
        wrong.append(f"the runs say that {sum_inserted} rows were inserted, there are {rows}")
    for _, status, _, error, run in told:
        stands = statuses.get(run)
        allowed = {"done"} if status == "done" else {None, "broken", "failed"}
        if stands not in allowed:
            wrong.append(f"run {run} told {status} ({error}), and stands as {stands}")
    return wrong


def plan(*, is_short: bool, rng: random.Random) -> list[tuple[tuple[str, str], str, str]]:
    """List the trials, in an order of their own; the forms take turns."""
    counts, forms = (SHORT, FORMS[:2]) if is_short else (FULL, FORMS)
    chosen = [(whom, where) for whom, places in counts.items() for where, n in places.items() for _ in range(n)]
    rng.shuffle(chosen)
    turns = dict.fromkeys(chosen, 0)
    found = []
    for key in chosen:
        found.append((forms[(turns[key] + hash_of(key)) % len(forms)], *key))
        turns[key] += 1
    return found


def hash_of(key: tuple[str, str]) -> int:
    """Where a kind of trial begins among the forms: the same in each process."""
    return sum(map(ord, "".join(key)))


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    began = time.monotonic()
    rng, issues = random.Random(SEED), SHORT_ISSUES if is_short else ISSUES
    folder = Path(tempfile.mkdtemp(prefix="syncer-server-kills-"))
    server = postgresql.start(settings={"synchronous_commit": "on"})
    try:
        store = Database(server, folder, "pulled")
        with bed(folder, jira=site_of(issues=issues), store=store) as home, victim() as killer:
            lab = Lab(server, store, home, killer, SHORT_GROUP_ROWS if is_short else GROUP_ROWS)
            chosen = plan(is_short=is_short, rng=rng)
            for form in dict.fromkeys(form for form, _, _ in chosen):
                measure(lab, form)
            for number, (form, whom, where) in enumerate(chosen, start=1):
                for _ in range(DRAWS):
                    server.wait()
                    if trial(lab, form, whom, where, rng):
                        break
                    lab.late += 1
                if number % TOLD_EACH == 0:
                    print(f"{number} of {len(chosen)}: {dict(lab.trials)}, {len(lab.wrong)} wrong", flush=True)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return told(lab, is_short=is_short, seconds=time.monotonic() - began)


def measure(lab: Lab, form: tuple[str, str]) -> None:
    """Pull without a kill: how long it takes, how many requests, how many rows."""
    lab.store.clear()
    whole = lab.order(form)
    rows = int(lab.ask(f"SELECT COUNT(*) FROM load.{mapping_of(form[0]).table('default')}")[0][0])
    lab.full[form] = whole["seconds"], whole["end"]["runs"][0][2], rows
    print(f"uninterrupted, {form[0]} in style {form[1]}: {rows:,} rows, {lab.full[form][1]} requests, "
          f"{whole['seconds']:.1f} s", flush=True)  # fmt: skip


def told(lab: Lab, *, is_short: bool, seconds: float) -> int:
    """Print the figures; return how many things were wrong."""
    for whom, hits in lab.trials.items():
        phases = ", ".join(f"{count} {phase}" for (who, phase), count in sorted(lab.phases.items()) if who == whom)
        print(f"{whom}: {hits} before the end of a pull; hit while {phases}")
    again = ", ".join(f"{count} after {tries}" for tries, count in sorted(lab.tries.items()))
    print(f"{lab.late} came too late, and were drawn again; pulls until done, beside the first: {again}")
    wanted = {whom: sum(places.values()) for whom, places in (SHORT if is_short else FULL).items()}
    lab.wrong += [] if lab.trials == wanted else [f"{dict(lab.trials)} kills before the end, wanted {wanted}"]
    for branch, count in sorted(lab.branches.items()):
        print(f"  {branch}: {count}")
    lab.wrong += [f"never met: {branch}" for branch in MUST[is_short] if not lab.branches[branch]]
    print(f"seed {SEED}: {sum(lab.trials.values())} kills, {len(lab.wrong)} wrong; {seconds:.0f} s")
    for what in lab.wrong[:10]:
        print(f"  {what}")
    return len(lab.wrong)
