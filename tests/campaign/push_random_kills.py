"""
A push of 2,000 changes (creates, updates, associations by an edge column) that ends at a random moment: by kill -9, by
SIGTERM, and on PostgreSQL by the end of the server's process that holds the lease.

Then it runs again until it is done. The portal must equal what was planned, no record may be there twice, journal and
portal must agree, and what was in flight may be sent again after it was read back, nothing else. At the moment of the
kill each write that had arrived must have its intent in the journal; behind the loss of a lease none may arrive whose
intent was not written before. Rows stand in another order each time.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs
import orjson

from tests.campaign import beds, push_beds, push_history
from tests.campaign.kills import Victim, victim
from tests.campaign.push_beds import Moment
from tests.campaign.push_history import History
from tests.outbound import counted
from tests.outbound.edges_home import EdgesHome, edges_at_home
from tests.servers import postgresql

NAMES = ("hubspot.tickets",)
COMPANIES = 40
TRIES = 4
DRAWS = 3  # at most so many times as many pushes as kills: one that is over before its kill is drawn again
BATCHES_IN_FLIGHT, BATCH = 3, 100
KILL, TERM, LEASE, SESSIONS = "kill -9", "SIGTERM", "the lease's backend", "all backends"
HOWS = {beds.DUCKDB: (KILL, KILL, KILL, TERM), beds.POSTGRESQL: (KILL, KILL, TERM, LEASE, SESSIONS)}
LINKED = {339, 26}
SIZES = {False: (660, 100), True: (60, 2)}  # half of the rows, kills
MUST_REACH = ("left in flight", "settled by reading back", "lease taken over", "group finished after a kill")
ON_SERVER = ("lease lost",)
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = ? AND application_name = 'syncer' ORDER BY backend_start"


@attrs.define
class Kills:
    """What came of a number of kills."""

    trials: int = 0
    reached: Counter[str] = attrs.field(factory=Counter)
    most_twice: int = 0
    longest_s: float = 0.0  # from the loss of a lease to a write that was under way
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        reached = ", ".join(f"{what} {count}" for what, count in sorted(self.reached.items()) if count)
        return (
            f"{self.trials} trials: {len(self.wrong)} wrong; {reached}; at most {self.most_twice} inputs sent twice; "
            f"the last write {self.longest_s * 1_000:.0f} ms behind the loss of a lease; {self.seconds:.0f} s"
        )


@attrs.define(kw_only=True)
class Lab:
    """A portal and a warehouse as they are before each push, and what the push must make of them."""

    edges: EdgesHome
    backend: str
    count: int
    history: History
    before: Moment
    killer: Victim
    done: Kills

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The relation: every second ticket is there already, with another subject."""
        return [row(number, is_new=number >= self.count) for number in range(2 * self.count)]

    def push(self, **more: Any) -> dict[str, Any]:
        """Push in a process."""
        return push_beds.ordered(self.killer, self.edges.home, NAMES, **more)


def row(number: int, *, is_new: bool = True) -> dict[str, Any]:
    """Make a row of the relation as it is when it is pushed."""
    return {
        "own_key": f"t{number}",
        "subject": f"Ticket {number}" if is_new else f"Ticket {number}, changed",
        "hs_pipeline": "0",
        "hs_pipeline_stage": "1",
        "company": f"c{number % COMPANIES}",
    }


@contextmanager
def lab_of(backend: str, count: int) -> Iterator[Lab]:
    """Serve a portal with companies, and tickets that are agreed on."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-random-"))
    try:
        with edges_at_home(folder, backend) as edges, victim() as killer:
            for number in range(COMPANIES):
                edges.make("companies", f"c{number}")
            push_beds.fill(edges.home, "tickets", [{**row(number), "subject": "old"} for number in range(count)])
            edges.words("tickets", edges={"company": "companies"}, max_creates="off")
            first = edges.push()
            assert (first.counts.created, first.associated, first.status) == (count, count, "done"), first
            history = History.of(edges.home.site)
            history.know(edges.home)
            lab = Lab(
                edges=edges,
                backend=backend,
                count=count,
                history=history,
                before=push_beds.taken(edges.home),
                killer=killer,
                done=Kills(),
            )
            yield lab
            push_beds.forget(edges.home, lab.before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class End(Protocol):
    """How a push is ended."""

    how: str
    at: float | None  # when it was (seconds since 1970); None: the push was over before, or nobody looked

    @property
    def order(self) -> dict[str, Any]:
        """What the process that pushes is told, or `meet`: what is called with its id."""
        ...


@attrs.define
class Aim:
    """One end of one push, at a moment."""

    how: str
    after_s: float
    database: str = ""
    at: float | None = None

    def __str__(self) -> str:
        return f"{self.how} after {self.after_s:.3f} s"

    @property
    def order(self) -> dict[str, Any]:
        """Nothing: it comes from outside."""
        return {"meet": self}

    def __call__(self, pid: int) -> None:
        """Wait, and end the process, or the server's that serves it."""
        time.sleep(self.after_s)
        if self.how in (KILL, TERM):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if self.how == KILL else signal.SIGTERM)
                self.at = time.time()
            return
        server = postgresql.shared()
        with server.connection("postgres") as connection:
            pids = [found[0] for found in connection.execute(_SESSIONS, self.database).fetchall()]
            for each in pids[:1] if self.how == LEASE else pids:
                connection.execute("SELECT pg_terminate_backend(?, 5000)", each).fetchall()
                self.at = time.time()


def trial(lab: Lab, aim: End, rng: random.Random) -> float | None:
    """End a push, push again until it is done, and look; return how long it took where it was over before."""
    home, done = lab.edges.home, lab.done
    which = str(aim)
    push_beds.put_back(home, lab.before)
    push_beds.fill(home, "tickets", rng.sample(lab.rows, 2 * lab.count))
    lab.history.forget()
    first = lab.push(**aim.order)
    time.sleep(0.05)  # what the sandbox had read by then is answered
    arrived = len(lab.history.asked)
    done.trials += 1
    done.wrong += [f"{which}: {what}" for what in at_the_end(lab, aim, first)[:3]]
    ended = [first]
    while not push_beds.is_done(ended[-1]) and len(ended) <= TRIES:
        ended.append(lab.push())
    if not push_beds.is_done(ended[-1]):
        done.wrong.append(f"{which}: not done after {len(ended)} pushes: {[each['end'] for each in ended]}")
        return None
    twice = len(lab.history.asked) - len({each.signature for each in lab.history.asked})
    done.most_twice = max(done.most_twice, twice)
    note_reached(lab, arrived)
    found = wrong_with(lab)
    if twice > BATCHES_IN_FLIGHT * BATCH:
        found.append(f"{twice} inputs were sent twice")
    lab.history.forget()
    last = lab.edges.push()
    if last.counts.unchanged != 2 * lab.count or lab.history.asked:
        found.append(f"a push after the push is not empty: {last}, {len(lab.history.asked)} inputs sent")
    done.wrong += [f"{which}: {what}" for what in found[:5]]
    if first["end"] is None or not push_beds.is_done(first):
        return None
    return float(first["end"]["ended_at"] - first["end"]["began_at"])


def at_the_end(lab: Lab, aim: End, first: dict[str, Any]) -> list[str]:
    """Look at journal and portal just when the push has ended: each write that arrived has its intent there."""
    home, reached = lab.edges.home, lab.done.reached
    reached[f"{aim.how}: {'met' if first['end'] is None or not push_beds.is_done(first) else 'too late'}"] += 1
    has_changes = home.rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'changes'")
    intents = push_history.journal(home) if has_changes else []
    found = push_history.unannounced(lab.history.asked, intents, is_timed=True)
    reached["left in flight"] += any(intent.state == "sending" for intent in intents)
    if aim.how not in (LEASE, SESSIONS) or aim.at is None or push_beds.is_done(first):
        return found
    reached["lease lost"] += 1
    late = lab.history.since(aim.at)
    sent_at = {intent.signature: intent.sent_at for intent in intents}
    behind = [each for each in late if sent_at.get(each.signature, aim.at + 1) > aim.at]
    if behind:
        (first_of, last_of), one = (behind[0].at, behind[-1].at), sent_at.get(behind[0].signature)
        intent = "none" if one is None else f"{(one - aim.at) * 1_000:.0f} ms"
        found.append(
            f"{len(behind)} of {len(late)} inputs sent behind the loss of the lease, their intents too: the first "
            f"{(first_of - aim.at) * 1_000:.0f} ms, the last {(last_of - aim.at) * 1_000:.0f} ms behind, the intent "
            f"{intent}; {behind[0].signature}; it ended as {first['end']}"
        )
    if late:
        lab.done.longest_s = max(lab.done.longest_s, late[-1].at - aim.at)
        reached["writes under way as the lease was lost"] += 1
    if len(late) > BATCHES_IN_FLIGHT * BATCH:
        found.append(f"{len(late)} inputs arrived behind the loss of the lease")
    return found


def note_reached(lab: Lab, arrived: int) -> None:
    """Count what the pushes after the kill had to do."""
    home, reached = lab.edges.home, lab.done.reached
    broken = "SELECT COUNT(*) FROM syncer.runs WHERE status = 'broken'"
    reached["lease taken over"] += home.rows(broken)[0][0]
    reached["settled by reading back"] += (
        home.rows(
            "SELECT COUNT(*) FROM syncer.changes AS c JOIN syncer.runs AS r ON r.run = c.run WHERE "
            "r.status = 'broken' AND c.state = 'done' AND c.ended_at >= (SELECT MIN(started_at) FROM syncer.runs AS n "
            "WHERE n.started_at > r.started_at)"
        )[0][0]
        > 0
    )
    signatures = {each.signature for each in lab.history.asked[arrived:] if each.signature[0] == "associate"}
    finished = home.rows(
        "SELECT c.result, c.edge FROM syncer.changes AS c JOIN syncer.runs AS r ON r.run = c.run "
        "WHERE r.status = 'broken' AND c.state = 'done' AND c.action = 'associate'"
    )
    reached["group finished after a kill"] += any(
        (signature[2], signature[3]) in {(id, orjson.loads(edge)["id"]) for id, edge in finished}
        for signature in signatures
    )


def wrong_with(lab: Lab) -> list[str]:
    """Say what is not as it was planned."""
    edges, home = lab.edges, lab.edges.home
    store = home.site.store
    live = [each for each in store.records["tickets"].values() if not each.is_archived]
    keys = Counter(each.properties.get("own_key") for each in live)
    found = [f"{key} is in {count} records" for key, count in keys.items() if count > 1]
    wanted = {each["own_key"]: (each["subject"], each["company"]) for each in lab.rows}
    companies = {each.id: each.properties["client_id"] for each in store.records["companies"].values()}
    there = {}
    for each in live:
        linked = store.neighbours("tickets", each.id, "companies")
        ends = [companies[id] if {type for _, type in specs} == LINKED else specs for id, specs in linked.items()]
        there[each.properties["own_key"]] = (each.properties["subject"], *ends)
    found += [f"{key} is {there.get(key)}, not {each}" for key, each in wanted.items() if there.get(key) != each]
    found += push_history.wrong_with(lab.history, home, key="own_key", is_timed=True)
    assert len(edges.home.live()) == COMPANIES
    return found + push_beds.left_open(home) + counted.sums_wrong(home)


def note_whole(lab: Lab) -> dict[str, Any]:
    """Push without an end, and look."""
    push_beds.fill(lab.edges.home, "tickets", lab.rows)
    whole = lab.push()
    assert push_beds.is_done(whole), whole
    lab.done.wrong += [f"without a kill: {what}" for what in wrong_with(lab)[:5]]
    return whole


def run(backend: str, *, count: int, kills: int, seed: int) -> Kills:
    """End pushes at random moments."""
    began = time.monotonic()
    rng = random.Random(seed)
    with lab_of(backend, count) as lab:
        whole = note_whole(lab)
        took = whole["end"]["ended_at"] - whole["end"]["began_at"]
        hows, met, latest = HOWS[backend], 0, took
        while met < kills and lab.done.trials < DRAWS * kills:
            database = getattr(lab.edges.home.database, "name", "")
            over_s = trial(lab, Aim(hows[met % len(hows)], rng.uniform(0.05, latest), database), rng)
            if over_s is not None:  # the first push, which loads all code, took longer than those that follow
                latest = (latest + over_s) / 2
                continue
            met += 1
            if met % 10 == 0:
                print(f"  {met} of {kills}: {lab.done}", flush=True)
        lab.done.reached["met"] = met
        if met < kills:
            lab.done.wrong.append(f"{met} of {kills} kills met a push that was under way")
        lab.done.seconds = time.monotonic() - began
        print(f"{backend}: {3 * count:,} changes in {took:.1f} s without a kill", flush=True)
        return lab.done


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    backend = beds.KIND.name
    count, kills = SIZES[is_short]
    done = run(backend, count=count, kills=kills, seed=seed)
    print(f"{backend}: {done}", flush=True)
    for what in done.wrong[:10]:
        print(f"  {what}")
    must = () if is_short else (*MUST_REACH, *(ON_SERVER if backend == beds.POSTGRESQL else ()))
    missed = [what for what in must if not done.reached[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(done.wrong) + len(missed)
