"""
Two hosts on one mapping at the same moment, 200 times: never both.

In each round both start at one moment, on one database. One runs. The other is refused and names it; or waits and runs
after; or takes over at once when the first is killed with SIGKILL on its way. Every tenth round begins with an empty
database, where both make schemas and tables too. The second host's clock is right, or an hour ahead or behind.

Two witnesses that are not the product: a trigger on `syncer.runs` writes down when each run's row was written, by the
server's own clock; and what each host asks of the sandbox passes a relay of its own. Neither may show two runs that
overlap.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Clock, JiraSite
from tests.campaign import machines
from tests.campaign.beds import Bed, bed
from tests.campaign.kills import Victim, victim
from tests.campaign.machines import Host, Relay
from tests.campaign.stores import Database

SEED = 3
NAME = "jira.issues"
STREAM = ("/rest/api/3/search/jql", "/rest/api/3/issue/bulkfetch")  # what only a run asks; who we are is asked before
REFUSED, WAITS, DIES = "one is refused", "one waits", "the first dies"
SHARES = ((REFUSED, 0.5), (WAITS, 0.25), (DIES, 0.25))
SAFE = 6  # I/O calls at either end of a pull at which nobody is killed: before the lease, and when all is done
EMPTY_EACH, LOOK_EACH = 10, 20
AT_ONCE_S = 5.0  # on a machine that does other things beside
HOUR_S = 3_600
HELD = (
    "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)
AUDIT = (
    "CREATE TABLE IF NOT EXISTS public.audit (at timestamptz DEFAULT clock_timestamp(), run text, host text, "
    "status text)",
    "CREATE OR REPLACE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "INSERT INTO public.audit (run, host, status) VALUES (NEW.run, NEW.host, NEW.status); RETURN NULL; END $$",
    "CREATE OR REPLACE FUNCTION public.attached() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF to_regclass('syncer.runs') IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'noted') "
    "THEN CREATE TRIGGER noted AFTER INSERT OR UPDATE ON syncer.runs FOR EACH ROW EXECUTE FUNCTION public.noted(); "
    "END IF; END $$",
    "CREATE EVENT TRIGGER attached ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.attached()",
)


@attrs.define
class Machine:
    """One of the two hosts, with what starts victims there."""

    host: Host
    relay: Relay
    killer: Victim
    variables: dict[str, str]

    def order(self, home: Bed, **more: Any) -> dict[str, Any]:
        """Pull on this host."""
        named = {} if self.host.namespace else {"host": self.host.name}
        tables = {"jira": {"workers": 1, "limits": "off"}}
        return self.killer.order(
            home, [NAME], mode="full", group_rows=40, tables=tables, variables=self.variables,
            trace=f"{self.host.name}.jsonl", **named, **more,
        )  # fmt: skip


@attrs.define
class Rounds:
    """What came of all rounds."""

    outcomes: Counter[str] = attrs.field(factory=Counter)
    clocks: Counter[str] = attrs.field(factory=Counter)
    takeovers_s: list[float] = attrs.field(factory=list)
    apart_s: list[float] = attrs.field(factory=list)  # between the end of one run and the beginning of the next
    wrong: list[str] = attrs.field(factory=list)
    calls: int = 0  # I/O calls of one pull


@contextlib.contextmanager
def machine(host: Host, home: Bed, store: Database) -> Any:
    """Run a host's relay, and the process that forks victims there."""
    relay = Relay(host.sandbox, ("127.0.0.1", home.sandbox.port))
    relay.start()
    here = f"127.0.0.1:{home.sandbox.port}"
    variables = {key: text.replace(here, f"{host.sandbox}:{relay.port}") for key, text in home.variables().items()}
    variables["SYNCER_WAREHOUSE"] = f"odbc:{store.server.string(store.name, Server=host.database)}"
    variables["SYNCER_CACHE"] = str(home.folder / f"cache-{host.name}")
    try:
        with victim(within=host.within) as killer:
            yield Machine(host, relay, killer, variables)
    finally:
        relay.stop()


def prepare(store: Database) -> None:
    """Begin with an empty database that writes down when runs are written."""
    store.clear()
    for statement in AUDIT:
        store.execute(statement)


def together(
    both: tuple[Machine, Machine], home: Bed, orders: tuple[dict[str, Any], dict[str, Any]], *, is_heir: bool
) -> list[Any]:
    """Start both at one moment, or the second as soon as the first holds the lease; return how each ended."""
    ended: list[Any] = [None, None]

    def run(number: int) -> None:
        while is_heir and number == 1 and not ended[0] and not home.store.query(HELD)[0][0]:
            time.sleep(0.005)
        ended[number] = both[number].order(home, **orders[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def one(kind: str, both: tuple[Machine, Machine], home: Bed, done: Rounds, rng: random.Random) -> list[str]:
    """Run one round; return what was wrong."""
    store = home.store
    assert isinstance(store, Database)
    for each in both:
        each.relay.requests.clear()
    store.execute("TRUNCATE public.audit")
    ahead = rng.choice([0, 0, HOUR_S, -HOUR_S])
    done.clocks[f"{ahead:+d} s"] += 1
    starts = time.monotonic() + 0.06
    wait_s = 0.0 if kind == REFUSED else 20.0
    first: dict[str, Any] = {"wait_s": wait_s, "start_at": starts}
    second: dict[str, Any] = {"wait_s": wait_s, "start_at": starts, "at": time.time() + ahead}
    if kind == DIES:
        first |= {"kill_at": rng.randrange(SAFE, done.calls - SAFE), "when": rng.choice(["before", "after"])}
    ended = together(both, home, (first, second), is_heir=kind == DIES)
    wrong = overlaps(home, both, done)
    if kind == REFUSED:
        return wrong + refused(both, home, ended, done)
    if kind == WAITS:
        status = [each["end"]["runs"][0][1] if each["end"] else None for each in ended]
        done.outcomes["both ran, one after the other"] += status == ["done", "done"]
        return wrong + ([] if status == ["done", "done"] else [f"waiting: {[each['end'] for each in ended]}"])
    return wrong + taken_over(home, ended, done)


def overlaps(home: Bed, both: tuple[Machine, Machine], done: Rounds) -> list[str]:
    """Look whether two runs overlap: by the server's clock, and by what the sandbox was asked."""
    written = home.store.query(
        "SELECT host, EXTRACT(EPOCH FROM MIN(at))::float8, EXTRACT(EPOCH FROM MAX(at))::float8 FROM public.audit "
        "WHERE status <> 'broken' GROUP BY host, run"
    )
    asked = []
    for each in both:
        times = [at for at, path in each.relay.requests if path.partition("?")[0].endswith(STREAM)]
        asked += [(each.host.name, min(times), max(times))] if times else []
    wrong = []
    for what, found in (("runs", written), ("requests", asked)):
        spans = sorted(found, key=lambda span: span[1])
        for before, behind in zip(spans, spans[1:], strict=False):
            if what == "runs":
                done.apart_s.append(behind[1] - before[2])
            if behind[1] <= before[2]:
                wrong.append(f"{what} overlap: {before} and {behind}")
    return wrong


def refused(both: tuple[Machine, Machine], home: Bed, ended: list[Any], done: Rounds) -> list[str]:
    """One ran; the other was refused, and its message names the host and process that ran."""
    status = [each["end"]["runs"][0][1] if each["end"] else None for each in ended]
    if status == ["done", "done"]:
        done.outcomes["both ran: the second came when the first was over"] += 1
        return []
    if sorted(map(str, status)) != ["done", "failed"]:
        return [f"{status}: {[each['end'] for each in ended]}"]
    winner = status.index("done")
    done.outcomes[f"{both[winner].host.name} ran, {both[1 - winner].host.name} was refused"] += 1
    error = ended[1 - winner]["end"]["runs"][0][3]
    expected = f"is being run by process {ended[winner]['notes'][0]['pid']} on {both[winner].host.name} since "
    return [] if expected in error else [f"refused with {error!r}, not {expected!r}"]


def taken_over(home: Bed, ended: list[Any], done: Rounds) -> list[str]:
    """The first died on its way, and the second ran at once, to the end."""
    first, second = ended
    if second["end"] is None or second["end"]["runs"][0][1] != "done":
        return [f"the heir ended with {second['end']}"]
    died = next((note["at"] for note in first["notes"] if "dies" in note), None)
    if died is None:
        done.outcomes["the first was over before it was killed"] += 1
        return []
    begun = home.store.query(
        f"SELECT EXTRACT(EPOCH FROM MIN(at))::float8 FROM public.audit WHERE run = '{second['end']['runs'][0][4]}'"
    )[0][0]
    if begun < died:
        return [f"the heir began {died - begun:.2f} s before the death"]
    done.outcomes["the first died, the second took over"] += 1
    done.takeovers_s.append(begun - died)
    stands = home.store.query("SELECT status FROM syncer.runs ORDER BY started_at")
    wrong = [] if all(status in ("done", "broken", "failed") for (status,) in stands) else [f"runs stand as {stands}"]
    late = begun - died > AT_ONCE_S
    return [*wrong, f"the heir began {begun - died:.2f} s after the death"] if late else wrong


def campaign(*, is_short: bool, real: bool | None = None) -> int:
    """Run it; print the figures; return how many things were wrong."""
    began, rounds = time.monotonic(), 4 if is_short else 200
    rng, done, real = random.Random(SEED), Rounds(), machines.are_real() if real is None else real
    print("hosts are " + ("network namespaces with names of their own" if real else "processes told another name: "
          "no network between them is tested"), flush=True)  # fmt: skip
    site = JiraSite.generate(seed=SEED, projects=3, issues=300, clock=Clock(is_frozen=True), index_lag_s=0)
    site.limits = None
    kinds = [kind for kind, share in SHARES for _ in range(max(round(share * rounds), 1))]
    rng.shuffle(kinds)
    folder = Path(tempfile.mkdtemp(prefix="syncer-hosts-"))
    try:
        with contextlib.ExitStack() as opened:
            made = opened.enter_context(machines.hosts(["north", "south"], real=real))
            server = opened.enter_context(machines.server_for(made))
            store = Database(server, folder, "pulled")
            home = opened.enter_context(bed(folder, jira=site, store=store))
            first, second = (opened.enter_context(machine(host, home, store)) for host in made)
            done.calls = first.order(home)["end"]["calls"]
            for number, kind in enumerate(kinds):
                if number % EMPTY_EACH == 0:
                    prepare(store)
                pair = (first, second) if kind == DIES or rng.random() < 0.5 else (second, first)
                found = one(kind, pair, home, done, rng)
                if number % LOOK_EACH == LOOK_EACH - 1 or number == len(kinds) - 1:
                    found += home.wrong(NAME)[:5]
                done.wrong += [f"round {number}, {kind}: {what}" for what in found]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return told(done, rounds=len(kinds), seconds=time.monotonic() - began)


def told(done: Rounds, *, rounds: int, seconds: float) -> int:
    """Print the figures; return how many things were wrong."""
    for outcome, count in sorted(done.outcomes.items()):
        print(f"  {outcome}: {count}")
    print(f"clocks of the second: {json.dumps(done.clocks)}")
    if done.takeovers_s:
        print(f"taken over after {statistics.median(done.takeovers_s):.2f} s, at most {max(done.takeovers_s):.2f} s")
    else:
        done.wrong.append("never met: the first died, the second took over")
    closest = f"{min(done.apart_s) * 1000:.1f} ms" if done.apart_s else "never two"
    print(f"between two runs of a round, by the server's clock: at least {closest}")
    print(f"seed {SEED}: {rounds} rounds, {len(done.wrong)} wrong; {seconds:.0f} s")
    for what in done.wrong[:10]:
        print(f"  {what}")
    return len(done.wrong)
