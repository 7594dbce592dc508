"""
What vanishes without a word: how long until it is noticed, measured. Hosts of our own (`machines.py`), whose link to
the server is taken down at one of its ends; nothing is closed, nothing is refused, packets are gone.

- *A host is lost* that holds a lease and waits for the API: the server ends its session, frees the lease, and the host
  that waits for it takes over. Meanwhile, the lost host's own pull fails when it has something to write.
- *The server is lost* while a client waits for its answer, in the middle of a commit.
- *The server is lost* while a client sends to it.

No pull may hang: each fails within a bound, and what is run again afterwards ends with the API's rows. The short form
asks for smaller numbers in the session (`tcp_keepalives_*`), and looks at the first case only.

Without network namespaces none of this can be measured: a process that is stopped, or a proxy that swallows, leaves a
kernel behind that answers keep-alive. Then only the kernel is asked whether it would look: whether the timer of
keep-alive runs at both ends of the connection (Linux, `/proc/net/tcp`). That is said, and is no proof.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Clock, JiraSite, Sandbox
from tests.campaign import machines
from tests.campaign.aims import LOCK, TRIGGER
from tests.campaign.beds import Bed
from tests.campaign.hosts import Machine, machine
from tests.campaign.stores import Database
from tests.servers.postgresql import Server

NAME = "jira.issues"
FREED_S = 75.0  # 20 + 3 × 10 s, and what the kernel's timers add
FAILED_S = 200.0  # until a client's pull must have failed
GIVEN_UP_S = 400.0  # until we stop waiting for it
SHORT_SESSION = {
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "2000",  # where it is set, Linux closes after this and not after so many probes
}
SHORT_S = 20.0
IDLE_S, HERTZ = 20, 100  # keep-alive's first wait, and the unit in which the kernel tells it
READ = 7  # requests that a pull makes before its API falls silent
SETTLED_S = 0.5  # until what it was about to write is written


@attrs.define
class Pull:
    """A pull that runs on a host, in a thread that waits for it."""

    machine: Machine
    home: Bed
    order: dict[str, Any]
    ended: dict[str, Any] = attrs.field(factory=dict)
    ended_at: float = 0.0
    _thread: threading.Thread | None = None

    def start(self) -> Pull:
        """Begin."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False where it has not ended."""
        assert self._thread is not None
        self._thread.join(seconds)
        return bool(self.ended)

    @property
    def told(self) -> str:
        """Say how it ended."""
        end = self.ended.get("end")
        if not self.ended:
            return "not ended"
        return f"{end['runs'][0][1]} ({end['runs'][0][3]})" if end else f"ended with {self.ended['status']}"

    def _run(self) -> None:
        ended = self.machine.order(self.home, **self.order)
        self.ended_at, self.ended = time.time(), ended


def until(condition: Callable[[], bool], seconds: float) -> float | None:
    """Return after how many seconds a condition held; None where it did not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def is_leased(store: Database) -> bool:
    """Tell whether anybody holds a lease."""
    return bool(store.query("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' "
                            f"AND granted AND objid <> {LOCK} AND database = (SELECT oid FROM pg_database WHERE "
                            "datname = current_database())")[0][0])  # fmt: skip


def silent(one: Machine, home: Bed, store: Database, **order: Any) -> Pull:
    """Start a pull, and let its API fall silent when it holds a lease."""
    one.relay.close_after(READ)
    pull = Pull(one, home, order).start()
    if until(lambda: is_leased(store) and one.relay.is_silent, 20) is None:
        raise RuntimeError(f"{one.host.name} takes no lease, or asks too little: {pull.told}")
    time.sleep(SETTLED_S)
    return pull


def lost_host(lost: Machine, heir: Machine, home: Bed, told: list[str], *, session: dict[str, str]) -> list[str]:
    """Take a host away that holds a lease."""
    store, most = home.store, SHORT_S if session else FREED_S
    assert isinstance(store, Database)
    pull = silent(lost, home, store, session=session, patience_s=5)
    waiting = Pull(heir, home, {"wait_s": most + 20}).start()
    lost.host.set_database_link("down", at="host")
    freed = until(lambda: not is_leased(store) or bool(waiting.ended), most + 20)
    began = time.monotonic()
    is_done = waiting.wait(60) and "done" in waiting.told
    told.append(f"a host that is lost: the server freed its lease after {freed or -1:.1f} s; the one that waited was "
                f"{waiting.told} {time.monotonic() - began:.1f} s later")  # fmt: skip
    wrong = [] if freed and freed <= most else [f"the lease of a lost host was freed after {freed}"]
    wrong += [] if is_done else [f"the heir: {waiting.told}"]
    if session:
        lost.host.set_database_link("up", at="host")
    lost.relay.open()
    what = "the host that was lost, when it is back" if session else "the lost host itself, when it has rows to write"
    wrong += noticed(pull, what, told)
    if session and not pull.told.startswith("failed"):
        wrong.append(f"the host that was lost is back, and {pull.told}")
    return wrong + home.wrong(NAME)[:3]


def lost_server(one: Machine, home: Bed, told: list[str], *, is_waiting: bool) -> list[str]:
    """Take the server away, while a commit waits for its answer, or before something is sent."""
    store = home.store
    assert isinstance(store, Database)
    with store.server.connection(store.name) as holding:
        if is_waiting:
            first = one.order(home)
            assert first["end"] is not None and first["end"]["runs"][0][1] == "done", first
            for statement in TRIGGER:
                holding.execute(statement)
            holding.execute(f"SELECT pg_advisory_lock({LOCK})").fetchall()
            pull = Pull(one, home, {"patience_s": 5}).start()
            query = (
                f"SELECT COUNT(*) FROM pg_stat_activity WHERE datname = '{store.name}' AND wait_event = 'advisory' "
                "AND query ILIKE 'commit%'"
            )
            if until(lambda: store.query(query)[0][0] == 1, 20) is None:
                raise RuntimeError(f"no commit waits: {pull.told}")
        else:
            pull = silent(one, home, store, patience_s=5)
        one.host.set_database_link("down", at="server")
        one.relay.open()
        what = "waits for a commit's answer" if is_waiting else "sends"
        wrong = noticed(pull, f"a server that is lost while its client {what}", told)
    one.host.set_database_link("up", at="server")
    if until(lambda: not is_leased(store), FREED_S) is None:
        wrong.append(f"{what}: the lease is held {FREED_S:.0f} s after the server is back")
    again = one.order(home, wait_s=10)
    wrong += [] if again["end"] and again["end"]["runs"][0][1] == "done" else [f"the pull afterwards: {again['end']}"]
    return wrong + home.wrong(NAME)[:3]


def noticed(pull: Pull, what: str, told: list[str]) -> list[str]:
    """Measure from now on how long a pull needs to fail."""
    began = time.time()
    if not pull.wait(GIVEN_UP_S):
        told.append(f"{what}: its pull has not failed after {GIVEN_UP_S:.0f} s")
        return [told[-1]]
    seconds = pull.ended_at - began
    met = [note["at"] - began for note in pull.ended["notes"] if "met" in note]
    found = f"it met an error after {met[0]:.1f} s, and its pull" if met else "its pull"
    told.append(f"{what}: {found} ended after {seconds:.1f} s: {pull.told[:200]}")
    return [] if seconds <= FAILED_S else [told[-1]]


def armed(one: Machine, home: Bed, told: list[str]) -> list[str]:
    """Ask the kernel whether keep-alive runs at both ends of the connection that holds a lease."""
    store = store_of(home)
    pull = silent(one, home, store)
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{store.server.port:04X}"
    pids = store.query(f"SELECT client_port FROM pg_stat_activity WHERE datname = '{store.name}' AND "
                       "application_name = 'syncer'")  # fmt: skip
    ends = {line[1][-5:] + line[2][-5:]: line[5] for line in lines}
    found = [ends.get(port + f":{client:04X}", "none") for (client,) in pids]
    found += [ends.get(f":{client:04X}" + port, "none") for (client,) in pids]
    one.relay.open()
    pull.wait(60)
    told.append("no network namespaces here: how long it takes is not measured. The kernel's timers at both ends "
                f"(02: keep-alive; hundredths of a second in base 16): {found}")  # fmt: skip
    is_armed = [timer.startswith("02:") and int(timer[3:], 16) <= IDLE_S * HERTZ for timer in found]
    return [] if is_armed and all(is_armed) and "done" in pull.told else [f"not armed: {found}; {pull.told}"]


def campaign(*, is_short: bool, real: bool | None = None) -> int:
    """Run it, the cases side by side; print the figures; return how many things were wrong."""
    real = machines.are_real() if real is None else real
    began = time.monotonic()
    site = JiraSite.generate(seed=4, projects=3, issues=300, clock=Clock(is_frozen=True), index_lag_s=0)
    site.limits = None
    folder = Path(tempfile.mkdtemp(prefix="syncer-lost-"))
    told: list[str] = []
    wrong: list[str] = []
    names = ["lost", "heir"] if is_short or not real else ["lost", "heir", "waiting", "sending"]
    try:
        with contextlib.ExitStack() as opened:
            made = opened.enter_context(machines.hosts(names, real=real))
            server = opened.enter_context(machines.server_for(made))
            cases = [0, 0, 1, 2][: len(names)]
            homes = beds_of(opened, site, server, folder, cases=len(set(cases)))
            each = [opened.enter_context(machine(host, homes[case], store_of(homes[case])))
                    for host, case in zip(made, cases, strict=True)]  # fmt: skip
            session = SHORT_SESSION if is_short else {}
            works = [lambda: lost_host(each[0], each[1], homes[0], told, session=session)]
            if not real:
                works = [lambda: armed(each[0], homes[0], told)]
            elif not is_short:
                works.append(lambda: lost_server(each[2], homes[1], told, is_waiting=True))
                works.append(lambda: lost_server(each[3], homes[2], told, is_waiting=False))
            side_by_side(works, wrong)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for line in told:
        print(line)
    print(f"{len(wrong)} wrong; {time.monotonic() - began:.0f} s")
    for line in wrong[:10]:
        print(f"  {line}")
    return len(wrong)


def beds_of(opened: contextlib.ExitStack, site: JiraSite, server: Server, folder: Path, *, cases: int) -> list[Bed]:
    """Make a bed a case, each with a database and a folder of its own, before one sandbox."""
    sandbox = opened.enter_context(Sandbox(sites=[site], clock=site.clock))
    found = []
    for case in range(cases):
        (folder / str(case)).mkdir()
        store = Database(server, folder / str(case), f"case{case}")
        found.append(Bed(sandbox, folder / str(case), {site.name: site}, store=store))
    return found


def store_of(home: Bed) -> Database:
    """Return a bed's database."""
    assert isinstance(home.store, Database)
    return home.store


def side_by_side(works: list[Callable[[], list[str]]], wrong: list[str]) -> None:
    """Run all at once; what one of them could not do is wrong too."""

    def run(work: Callable[[], list[str]]) -> None:
        try:
            wrong.extend(work())
        except (RuntimeError, AssertionError) as error:
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
