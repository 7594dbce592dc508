"""
A RED site over three nights: 14 host scripts that fill load tables, the steps of RED between them, a push, and the
confirmation as the job's last step.

In the first night all goes well. In the second a source is down for two scripts, the step to the datastore fails for
one table, one script is killed; a record was deleted, which only a census finds, and an edge taken away. In the third
all goes well. Between the nights the sandbox is edited. What the first two did not carry on must come with the third:
behind it the datastore equals the sandbox. And one script is killed at each of its I/O calls, before and after it.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pyodbc

from syncer.verbs.sandbox import Amount
from tests.campaign import red_judge, red_victim
from tests.campaign.red_judge import Key, Loaded
from tests.wherescape.red_site import JOB, Ended, RedSite, red_site
from tests.wherescape.stand_in import Red, red_repository

STATE = (("dss_record_state", "varchar(256)"),)
TABLES = (
    Loaded(table="load_jira_issue", mapping="jira.issues", key=("id",), adds=STATE),
    Loaded(table="load_jira_project", mapping="jira.projects", key=("id_002",), is_numbered=True),
    Loaded(table="load_gitlab_issue", mapping="gitlab.issues", key=("id",), adds=STATE),
    Loaded(table="load_gitlab_merge_request", mapping="gitlab.merge_requests", key=("id_001",), is_numbered=True),
    Loaded(table="load_gitlab_pipeline", mapping="gitlab.pipelines", key=("id",)),
    Loaded(table="load_gitlab_branch", mapping="gitlab.branches", key=("project_id", "name"), adds=STATE),
    Loaded(table="load_gitlab_tag", mapping="gitlab.tags", key=("project_id", "name")),
    Loaded(table="load_gitlab_commit", mapping="gitlab.commits", key=("project_id", "id")),
    Loaded(table="load_friday_pulse_topics", mapping="friday_pulse.topics", key=("code",)),
    Loaded(table="load_friday_pulse_groups", mapping="friday_pulse.groups", key=("id",), adds=STATE),
    Loaded(
        table="load_friday_pulse_group_results",
        mapping="friday_pulse.group_results",
        key=("flow_date", "group_id", "topic_code"),
        adds=(("flow_date", "date"),),
    ),
    Loaded(table="load_anythingllm_chats", mapping="anythingllm.embed_chats", key=("id",)),
    Loaded(table="load_hubspot_companies", mapping="hubspot.companies", key=("id",), is_ours=True),
    Loaded(
        table="load_hubspot_associations",
        mapping="hubspot.associations",
        key=("from_type", "from_id", "to_type", "to_id", "category", "type_id"),
        is_ours=True,
    ),
)
FEW = ("jira.issues", "gitlab.issues", "hubspot.companies", "hubspot.associations")
COUNTED, EDGES = "jira.issues", "hubspot.associations"  # a record, and an edge of these are taken away


@attrs.frozen(kw_only=True)
class Bad:
    """What goes wrong in the second night: whose source is down, whose rows RED fails to carry, whose script dies."""

    down: tuple[str, ...] = ()
    not_carried: str = ""
    killed: str = ""


FINE = Bad()
BAD = Bad(down=("gitlab.tags", "friday_pulse.groups"), not_carried="gitlab.issues", killed="gitlab.merge_requests")
BAD_OF_FEW = Bad(down=("gitlab.issues",), not_carried="hubspot.companies", killed=EDGES)
STAGE, PUSH = "stage_hubspot_company", 100  # the table that goes out, and its task
OWN = (("dss_record_source", "varchar(256)"), ("dss_load_date", "timestamp"))
WORDS = {"new": 0, "changed": 1, "gone": 3, "rejected": 5}  # of the line that is printed: their place in RED's counts
WITH_CENSUS = "wherescape.pull()\nwherescape.pull(census=True)"
LATER_S = 25 * 3_600.0  # from one night to the next, by the clock of the APIs: chats are compared in full once a day
PROCESSES = 3
KILLED_AT = 12  # which call of a script that is killed in the night
KILLED_CODE = -9


@attrs.define
class Figures:
    """What was done, and what is wrong."""

    nights: int = 0
    scripts: int = 0
    kills: int = 0
    rows: int = 0
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.nights} nights, {self.scripts} host scripts, {self.kills} killed, {self.rows:,} rows of the "
            f"datastore compared: {len(self.wrong)} wrong; {self.seconds:.0f} s"
        )


@attrs.define
class Job:
    """The job of a site: its load tables, and what it came to."""

    site: RedSite
    tables: Sequence[Loaded]
    figures: Figures
    ever: dict[str, set[Key]] = attrs.field(factory=dict)
    expected: dict[int, list[int]] = attrs.field(factory=dict)  # counts that a script printed, by its task
    unlike: list[str] = attrs.field(factory=list)  # what differed from the sandbox, just before the last push

    def prepare(self) -> None:
        """Describe the load tables in RED's repository, and make them as RED does."""
        site = self.site
        off = "".join(f'["{each.mapping}"]\nmax_gone_share = "off"\n' for each in self.tables)
        off = off.replace('["hubspot.companies"]\n', '["hubspot.companies"]\nadopt = "ours"\n')
        (site.folder / "syncer.toml").write_text(off, encoding="utf-8")
        site.red.rows("DELETE FROM ws_load_col")
        site.red.rows("DELETE FROM ws_load_tab")
        for number, loaded in enumerate(self.tables, start=1):
            site.red.rows("INSERT INTO ws_load_tab (lt_obj_key, lt_table_name) VALUES (?, ?)", [number, loaded.table])
            if loaded.is_ours:
                self.ended(site.run("wherescape.create_metadata()", loaded.table, source=loaded.source), loaded.table)
                continue
            columns = [*((name, word) for _, name, word in loaded.before()), *loaded.adds, *OWN]
            for place, (name, word) in enumerate(columns, start=1):
                site.red.rows(
                    "INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_data_type, lc_order) VALUES (?, ?, ?, ?)",
                    [number, name, word, place * 10],
                )
        for loaded in self.tables:
            site.make_as_described(loaded.table)

    def begin(self) -> None:
        """Start the job once more: RED's scheduler knows its tasks."""
        self.site.sequence += 1
        self.expected.clear()
        for task, name in [(PUSH, STAGE), *((self.task(each), each.table) for each in self.tables)]:
            self.site.red.rows(
                "INSERT INTO ws_wrk_task_run (wtr_job_key, wtr_task_key, wtr_sequence, wtr_name, wtr_run_status) "
                "VALUES (?, ?, ?, ?, 'R')",
                [JOB, task, self.site.sequence, name],
            )

    def task(self, loaded: Loaded) -> int:
        """Return the number of a load table's task."""
        return PUSH + 1 + self.tables.index(loaded)

    def edit(self, seed: int, count: int) -> None:
        """Let people work at each source, then some time pass."""
        for source in dict.fromkeys(each.source for each in self.tables):
            with self.site.sandbox.locked(source) as api:
                api.edit(count, seed)  # type: ignore[attr-defined]
        self.site.sandbox.clock.advance(LATER_S)

    def night(self, *, script: str = "wherescape.pull()", bad: Bad = FINE) -> None:
        """Run the job once: each load table and what is behind it, a push, and the confirmation."""
        self.begin()
        self.figures.nights += 1
        told = len(self.site.red.calls())
        for loaded in self.tables:
            self.ever.setdefault(loaded.table, set()).update(red_judge.truth_of(self.site, loaded))
        with ThreadPoolExecutor(PROCESSES) as pool:
            carried = list(pool.map(lambda loaded: self.load(loaded, script, bad=bad), self.tables))
        names = [loaded.mapping for loaded, is_carried in zip(self.tables, carried, strict=True) if is_carried]
        if bad == FINE and len(names) != len(self.tables):
            self.figures.wrong.append(f"only {', '.join(names)} were carried on")
        self.unlike = self.judge() if bad == FINE else []
        if "hubspot.companies" in names:
            self.push()
        confirmation = f"wherescape.confirm({', '.join(map(repr, names))})" if bad != FINE else "wherescape.confirm()"
        self.ended(self.site.run(confirmation), confirmation)
        self.read_log(told)

    def load(self, loaded: Loaded, script: str, *, bad: Bad) -> bool:
        """Do what RED does about one load table; tell whether its rows were carried on."""
        task = self.task(loaded)
        more = {"WSL_TASK_KEY": str(task)}
        self.site.truncate(loaded.table)
        if loaded.mapping in bad.down:
            ended = self.script(loaded, script, WSL_SRCCFG_url="http://127.0.0.1:9", **more)
            return self.held(ended, loaded, status="-2", code=0)
        if loaded.mapping == bad.killed:
            order = red_victim.ordered(self.site.folder / "killed.jsonl", kill_at=KILLED_AT, when="after")
            ended = self.script(loaded, red_victim.SCRIPT + script, **order, **more)
            self.figures.kills += 1
            return self.held(ended, loaded, status="", code=KILLED_CODE)
        if bad != FINE and loaded.mapping == COUNTED:
            script = "wherescape.pull(census=True)"
        ended = self.script(loaded, script, **more)
        if not self.ended(ended, loaded.table):
            return False
        self.expected[task] = printed(ended)
        if loaded.mapping == bad.not_carried:
            with contextlib.suppress(pyodbc.Error):
                self.site.carry(loaded.table, *loaded.key, fails=True)
                self.figures.wrong.append(f"{loaded.table}: the step to the datastore did not fail")
            return False
        self.site.carry(loaded.table, *loaded.key)
        return True

    def script(self, loaded: Loaded, script: str, **more: str) -> Ended:
        """Run the host script of a load table."""
        self.figures.scripts += 1
        return self.site.run(script, loaded.table, source=loaded.source, **more)

    def ended(self, ended: Ended, what: str) -> bool:
        """Tell whether RED goes on behind a script, as it must."""
        if ended.status in ("1", "-1") and ended.code == 0:
            return True
        self.figures.wrong.append(
            f"{what}: {ended.status} {ended.message} (exit code {ended.code}) {ended.err[-300:]}"
        )
        return False

    def held(self, ended: Ended, loaded: Loaded, *, status: str, code: int) -> bool:
        """A script that must fail: RED holds what is behind it."""
        if (ended.status, ended.code) != (status, code):
            self.figures.wrong.append(f"{loaded.table}: ended with {ended}, not {status!r}")
        return False

    def push(self) -> None:
        """Fill a stage table from the datastore, and bring it out."""
        site = self.site
        site.rows("CREATE SCHEMA IF NOT EXISTS stage")
        site.rows(f"DROP TABLE IF EXISTS stage.{STAGE}")
        site.rows(
            f"CREATE TABLE stage.{STAGE} AS SELECT id AS hs_object_id, 'Night {site.sequence} of ' || id AS name "
            "FROM datastore.ds_hubspot_companies WHERE dss_record_state = 'live' ORDER BY id LIMIT 5"
        )
        self.figures.scripts += 1
        ended = site.run("wherescape.push()", STAGE, source="hubspot", schema="stage", WSL_TASK_KEY=str(PUSH))
        if not self.ended(ended, STAGE):
            return
        self.expected[PUSH] = [0, len(site.rows(f"SELECT 1 FROM stage.{STAGE}")), 0, 0, 0, 0, 0]
        with site.sandbox.locked("hubspot") as portal:
            records = portal.store.records["companies"]  # type: ignore[attr-defined]
            for number, name in site.rows(f"SELECT hs_object_id, name FROM stage.{STAGE}"):
                if records[number].properties["name"] != name:
                    self.figures.wrong.append(f"company {number} did not get its name {name!r}: {ended.message}")

    def read_log(self, told: int) -> None:
        """Compare the counts that RED's scheduler has with what the scripts printed."""
        found: dict[int, list[Any]] = {}
        for routine, values in self.site.red.calls()[told:]:
            if routine == "WsWrkTask":
                job, task, sequence, *counts = values
                if (job, sequence) != (JOB, self.site.sequence):
                    self.figures.wrong.append(f"job log: {values} is of another job")
                found[task] = counts  # of two pulls the last, which counts both
        if found != self.expected:
            self.figures.wrong.append(f"job log: {found}, printed was {self.expected}")

    def judge(self) -> list[str]:
        """Compare all tables with the sandbox."""
        wrong: list[str] = []
        for loaded in self.tables:
            rows, said = red_judge.differences(self.site, loaded, self.ever[loaded.table])
            self.figures.rows += rows
            wrong += said
        return wrong


def printed(ended: Ended) -> list[int]:
    """
    Read the counts of a script's pulls from the lines that people see: the message, and what the audit part has beside
    it; a message that was cut stands there whole.
    """
    message, *audit = ended.out.splitlines()[1:]
    lines = audit if message.endswith("…") else [message, *audit]
    counts = [0] * 7
    for number, word in re.findall(r"(\d[\d,]*) (\w+)", " ".join(lines)):
        if word in WORDS:
            counts[WORDS[word]] += int(number.replace(",", ""))
    return counts


def take_away(job: Job, seed: int) -> Key:
    """Delete an issue at Jira and an edge at HubSpot, both of which were loaded; return the issue's key."""
    rng, (issues, edges) = (
        random.Random(seed),
        [
            sorted(job.ever[each.table] & red_judge.truth_of(job.site, each).keys())
            for each in job.tables
            if each.mapping in (COUNTED, EDGES)
        ],
    )
    issue, edge = rng.choice(issues), rng.choice(edges)
    with job.site.sandbox.locked("jira") as jira:
        jira.delete_issue(issue[0])  # type: ignore[attr-defined]
    start, start_id, end, end_id, category, type_id = edge
    with job.site.sandbox.locked("hubspot") as portal:
        portal.store.disassociate(start, start_id, end, end_id, [(category, int(type_id))])  # type: ignore[attr-defined]
    return issue


def kept(site: RedSite, issue: Key) -> list[str]:
    """An issue that a census missed is told, and has the values that it had."""
    found = site.rows(
        "SELECT key, created, dss_record_state FROM datastore.ds_jira_issue WHERE id = ?", [int(issue[0])]
    )
    is_kept = len(found) == 1 and None not in found[0] and found[0][2] != "live"
    return [] if is_kept else [f"issue {issue[0]} was deleted, the datastore has {found}"]


def three_nights(site: RedSite, *, seed: int, names: Sequence[str] = (), edits: int = 12) -> Figures:
    """Live three nights; *names*: just these mappings."""
    began = time.monotonic()
    figures = Figures()
    job = Job(site, [loaded for loaded in TABLES if not names or loaded.mapping in names], figures)
    job.prepare()
    job.night()
    figures.wrong += [f"seed {seed}, first night: {what}" for what in job.unlike]
    issue = take_away(job, seed)
    job.edit(seed, edits)
    job.night(bad=BAD_OF_FEW if names else BAD)
    figures.wrong += kept(site, issue)
    job.edit(seed + 1_000, edits)
    job.night(script=WITH_CENSUS)
    figures.wrong += [f"seed {seed}, third night: {what}" for what in job.unlike]
    left = site.rows("SELECT mapping FROM syncer.landings WHERE carrier <> ?", [f"{JOB}/{site.sequence}"])
    figures.wrong += [f"seed {seed}: {mapping} was not loaded in the last night" for (mapping,) in left]
    for loaded in job.tables:
        ((open_offers,),) = site.rows(f"SELECT count(*) FROM syncer.offers_{loaded.mapping.replace('.', '_')}")
        if open_offers:
            figures.wrong.append(f"seed {seed}: {open_offers} offers of {loaded.mapping} are open though confirmed")
    figures.seconds = time.monotonic() - began
    return figures


def killed_everywhere(site: RedSite, mapping: str, *, every: int = 1) -> Figures:
    """Kill one script at each I/O call (or each *every*-th), before and after it; then the job goes on."""
    began = time.monotonic()
    figures = Figures()
    job = Job(site, [loaded for loaded in TABLES if loaded.mapping == mapping], figures)
    job.prepare()
    job.begin()
    (loaded,) = job.tables
    trace = site.folder / "trace.jsonl"
    whole = job.script(loaded, red_victim.SCRIPT + "wherescape.pull()", **red_victim.ordered(trace))
    job.ended(whole, loaded.table)
    for number in range(1, red_victim.calls(trace) + 1, every):
        for when in ("before", "after"):
            _killed(job, loaded, seed=number, kill_at=number, when=when)
    figures.seconds = time.monotonic() - began
    return figures


def _killed(job: Job, loaded: Loaded, *, seed: int, **kill: Any) -> None:
    """Kill the first pull of an empty warehouse, and go on."""
    site = job.site
    site.rows("DROP SCHEMA syncer CASCADE")
    site.rows(f"TRUNCATE {loaded.datastore}")
    site.truncate(loaded.table)
    trace = site.folder / f"trace-{kill['kill_at']}-{kill['when']}.jsonl"
    ended = job.script(loaded, red_victim.SCRIPT + "wherescape.pull()", **red_victim.ordered(trace, **kill))
    job.figures.kills += 1
    job.held(ended, loaded, status="", code=KILLED_CODE)
    job.ever[loaded.table] = set(red_judge.truth_of(site, loaded))
    job.edit(seed, seed % 3)
    job.ever[loaded.table] |= set(red_judge.truth_of(site, loaded))
    site.truncate(loaded.table)
    again = job.script(loaded, WITH_CENSUS)  # an edit may be a deletion
    if job.ended(again, f"{loaded.table} after {kill}"):
        site.carry(loaded.table, *loaded.key)
        job.figures.wrong += [f"{kill}: {what}" for what in job.judge()]


@contextlib.contextmanager
def site_of(seed: int, amount: Amount) -> Iterator[RedSite]:
    """Start a RED site in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-red-"))
    try:
        with red_site(folder, Red(red_repository.make(folder / "red.sqlite")), amount=amount, seed=seed) as site:
            yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def campaign(*, is_short: bool) -> int:
    """Live the nights of some seeds, and kill one script everywhere; print the figures; return how much is wrong."""
    wrong = 0
    for seed in range(1, 2 if is_short else 6):
        with site_of(seed, Amount(3, 40)) as site:
            found = three_nights(site, seed=seed, names=FEW if is_short else ())
        wrong += _told(f"seed {seed}", found)
    with site_of(1, Amount(2, 25)) as site:
        found = killed_everywhere(site, "jira.issues", every=7 if is_short else 1)
    return wrong + _told("killed at each call", found)


def _told(what: str, figures: Figures) -> int:
    print(f"{what}: {figures}", flush=True)
    for each in figures.wrong[:20]:
        print(f"  {each}", flush=True)
    return len(figures.wrong)
