"""
The contract of a source: every source runs through this one suite, over a real socket, into real warehouses.

Add a source to SOURCES, and nothing else. The Shelf is the invented API of `docs/add-a-source.md`, its code read out
of that page.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import engine, mappings
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.mapping import EntityMapping
from syncer.sandbox import (
    AnythingLLMSite,
    Clock,
    Fault,
    FridayPulseSite,
    GitLabSite,
    HubSpotSite,
    JiraSite,
    Sandbox,
)
from syncer.sandbox import friday_pulse as friday_pulse_site
from syncer.sandbox import hubspot as hubspot_site
from syncer.sandbox import jira as jira_site
from syncer.settings import Settings
from syncer.transport import Doors
from tests.backends import BACKENDS, Database
from tests.conftest import MovableClock, only
from tests.contracts.shelf import TOKEN, ShelfSite, write_code
from tests.portal_truth import Judge
from tests.truth import differences, unmasked


@attrs.frozen(kw_only=True)
class Contract:
    """
    A source under contract: how its site is made, how one gets in, and how its token is spoilt.

    judge: says what the warehouse has otherwise than the API, where its truth has a shape of its own.
    """

    site: Callable[[], Any]
    variables: Callable[[Any], dict[str, str]]
    spoil: Callable[[Any], None]
    judge: Callable[[Home], list[str]] | None = None
    table: dict[str, Any] = attrs.field(factory=dict)


def jira() -> Any:
    return JiraSite.generate(seed=11, projects=3, issues=230, clock=Clock(is_frozen=True), index_lag_s=20)


def gitlab() -> Any:
    return GitLabSite.generate(
        seed=11,
        projects=6,
        issues=230,
        merge_requests=25,
        pipelines=40,
        branches=16,
        commits=110,
        tags=8,
        clock=Clock(is_frozen=True),
    )


def hubspot() -> Any:
    clock = Clock(is_frozen=True)
    site = HubSpotSite.generate(
        seed=11, companies=40, contacts=40, deals=20, tickets=20, activities=5, clock=clock, index_lag_s=20
    )
    site.limits = None
    return site


def portal_differs(home: Home) -> list[str]:
    """Ask the judge of portals; without a census, edges of what nobody touched for a week may lag behind."""
    found = Judge(site=home.site, file=home.database, is_census=home.mode == engine.CENSUS).all()
    assert found.compared["associations"] > 100
    return [what.replace("the portal has it no more", "the API has it no more") for what in found.wrong]


SOURCES = {
    "shelf": Contract(
        site=lambda: ShelfSite(830),
        variables=lambda site: {"SYNCER_SHELF_TOKEN": TOKEN},
        spoil=lambda site: setattr(site, "token", "another"),
    ),
    "jira": Contract(
        site=jira,
        variables=lambda site: {"SYNCER_JIRA_TOKEN": jira_site.TOKEN, "SYNCER_JIRA_USER": jira_site.EMAIL},
        spoil=lambda site: site.revoke_token(),
        table={"limits": "off"},
    ),
    "gitlab": Contract(
        site=gitlab,
        variables=lambda site: {"SYNCER_GITLAB_TOKEN": site.token},
        spoil=lambda site: site.tokens.clear(),
        table={"requests_per_minute": "off"},
    ),
    "hubspot": Contract(
        site=hubspot,
        variables=lambda site: {"SYNCER_HUBSPOT_TOKEN": hubspot_site.TOKEN},
        spoil=lambda site: site.revoke_token(),
        table={"limits": "off"},
        judge=portal_differs,
    ),
    "friday_pulse": Contract(
        site=lambda: FridayPulseSite.generate(seed=11, dates=7, groups=9, clock=Clock(is_frozen=True)),
        variables=lambda site: {"SYNCER_FRIDAY_PULSE_TOKEN": friday_pulse_site.TOKEN},
        spoil=lambda site: site.revoke_token(),
        table={"requests_per_minute": "off"},
    ),
    "anythingllm": Contract(
        site=lambda: AnythingLLMSite.generate(seed=11, clock=Clock(is_frozen=True)),
        variables=lambda site: {"SYNCER_ANYTHINGLLM_TOKEN": site.token},
        spoil=lambda site: setattr(site, "token", "another"),
        table={"full_every": 1},
    ),
}


# On PostgreSQL run the rules that ask most of a warehouse: edits and a census, a broken run, a full pull that heals;
# `test_same_rows.py` has first loads, unchanged second pulls, and the style delta. The others look at the source.
OF_THE_SOURCE = "what it shows is the source's doing, or is in test_same_rows.py for both warehouses"


@attrs.define
class Home:
    """A running site, and a warehouse beside it."""

    source: str
    site: Any
    sandbox: Sandbox
    settings: Settings
    doors: Doors
    mappings: list[EntityMapping]
    database: Database
    mode: str = engine.INCREMENTAL

    def pull(self, **request: Any) -> list[Pulled]:
        self.mode = request.get("mode", engine.INCREMENTAL)
        names = [mapping.name for mapping in self.mappings]
        return engine.pull(names, settings=self.settings, request=engine.Request(**request), doors=self.doors)

    def done(self, **request: Any) -> list[Pulled]:
        runs = self.pull(**request)
        assert [run.error for run in runs if run.status != "done"] == []
        return runs

    def wrong(self) -> list[str]:
        """What the warehouse has otherwise than the API."""
        judge = SOURCES[self.source].judge
        if judge is not None:
            return judge(self)
        return [
            what
            for mapping in self.mappings
            for what in differences(self.database, mapping, self.site.truth(mapping.entity))
        ]

    def later(self) -> None:
        """Let time pass: more than an index lags."""
        self.site.clock.advance(7_200)


@contextlib.contextmanager
def homes(name: str, folder: Path, *backends: str, is_mixed: bool = False) -> Iterator[list[Home]]:
    """Run one site, with a warehouse of each kind beside it; *is_mixed*: every other mapping in the style delta."""
    contract = SOURCES[name]
    site = contract.site()
    folders: tuple[Path, ...] = ()
    if name == "shelf":
        write_code(folder / "mine")
        folders = (folder / "mine",)
    chosen = [mapping for mapping in mappings.known(folders=folders).values() if mapping.source == name]
    tables: dict[str, dict[str, Any]] = {name: {**contract.table}, **unmasked(name)}
    for mapping in chosen[::2] if is_mixed else ():
        tables[mapping.name] = {**tables.get(mapping.name, {}), "style": "delta"}
    with Sandbox(sites=[site], clock=site.clock) as sandbox, contextlib.ExitStack() as opened:
        made = []
        for backend in backends:
            database = BACKENDS[backend](folder)
            opened.callback(database.close)
            settings = Settings(
                warehouse=database.setting,
                base=folder,
                folders=folders,
                variables={f"SYNCER_{name.upper()}_URL": sandbox.url(name), **contract.variables(site)},
                tables=tables,
            )
            clock = MovableClock()
            doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock), random=random.Random(1))
            made.append(Home(name, site, sandbox, settings, doors, chosen, database))
        yield made
        assert sandbox.errors == []


@pytest.fixture(params=sorted(SOURCES))
def home(request: pytest.FixtureRequest, tmp_path: Path, backend: str) -> Iterator[Home]:
    with homes(request.param, tmp_path, backend) as (made,):
        yield made


@only("duckdb", OF_THE_SOURCE)
def test_the_first_load_equals_the_api(home: Home) -> None:
    """Record by record, column by column."""
    runs = home.done()
    assert all(run.read == run.inserted for run in runs) and sum(run.read for run in runs) > 100
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_an_unchanged_second_pull_writes_nothing(home: Home) -> None:
    """By the run records, and by every row's load date."""
    home.done()
    home.later()
    runs = home.done()
    assert [
        (run.mapping, run.inserted, run.updated, run.gone) for run in runs if run.inserted or run.updated or run.gone
    ] == []
    for mapping in home.mappings:
        written = home.database.rows(
            f"SELECT count(*) FROM load.{mapping.table('default')} WHERE dss_load_date >= "
            "(SELECT max(started_at) FROM syncer.runs WHERE mapping = ?)",
            [mapping.name],
        )
        assert written == [(0,)], mapping.name


def test_what_changed_arrives_with_the_next_pull(home: Home) -> None:
    """Created, changed, deleted as far as the API tells it; what it does not tell comes with a census."""
    home.done()
    for seed in range(3):
        home.site.edit(25, seed)
        home.later()
        home.done()
        assert [what for what in home.wrong() if "the API has it no more" not in what] == []
    home.done(mode=engine.CENSUS, is_forced=True)
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_changes_between_any_two_requests_are_not_lost(home: Home) -> None:
    """No row is skipped while records change under us; where edits make requests, 300 of a pull end it."""
    counter = itertools.count()
    left = [0]

    def edit(site: Any, request: Any) -> None:
        if left[0]:
            left[0] -= 1
            site.edit(3, next(counter))
            site.clock.advance(0.7)

    home.sandbox.before_request.append(edit)
    left[0] = 300
    home.done()
    home.later()
    left[0] = 300
    home.done()
    left[0] = 0
    home.later()
    home.done()
    assert [what for what in home.wrong() if "the API has it no more" not in what] == []
    home.done(mode=engine.CENSUS, is_forced=True)
    assert home.wrong() == []


@pytest.mark.parametrize(
    ("backend", "at"), [("duckdb", 1), ("duckdb", 3), ("duckdb", 6), ("postgresql", 3)], indirect=["backend"]
)
def test_a_run_that_broke_goes_on_where_it_stopped(home: Home, at: int) -> None:
    """Everything is there once, and what was committed is not asked for again."""
    home.sandbox.faults.add(Fault(kind="reset_before", match="", skip=at, times=25))
    broken = home.pull()
    assert any(run.status == "failed" for run in broken)
    home.sandbox.faults.clear()
    home.done()
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_faults_that_pass_cost_nothing_but_time(home: Home) -> None:
    """Lost, cut and refused answers, a storm of 429: the rows are the same."""
    for number, kind in enumerate(("reset_before", "reset_after", "truncate")):
        home.sandbox.faults.add(Fault(kind=kind, match="", skip=1 + 3 * number, times=1))
    for number, status in enumerate((500, 502, 429, 503)):
        home.sandbox.faults.add(
            Fault(kind="status", match="", status=status, skip=2 + 4 * number, times=2, body="Retry later")
        )
    home.done()
    home.sandbox.faults.clear()
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_an_answer_that_is_no_json_fails_and_deletes_nothing(home: Home) -> None:
    """A login page with status 200."""
    home.done()
    home.later()
    home.sandbox.faults.add(Fault(kind="html", match="", skip=1, times=None))
    runs = home.pull()
    assert any(run.status == "failed" for run in runs) and sum(run.gone for run in runs) == 0
    home.sandbox.faults.clear()
    home.done()
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_a_wrong_token_is_told_and_deletes_nothing(home: Home) -> None:
    """Even where the API answers 200 with nothing."""
    home.done()
    SOURCES[home.source].spoil(home.site)
    for mode in (engine.INCREMENTAL, engine.FULL, engine.CENSUS):
        runs = home.pull(mode=mode)
        assert {run.status for run in runs} == {"failed"} and sum(run.gone for run in runs) == 0
        assert all("token" in str(run.error).lower() for run in runs)


def test_a_full_pull_writes_only_differences(home: Home) -> None:
    """Reload everything: what somebody did to the table is healed, nothing else is written."""
    home.done()
    home.later()
    assert sum(run.inserted + run.updated for run in home.done(mode=engine.FULL)) == 0
    mapping = home.mappings[-1]
    table = f"load.{mapping.table('default')}"
    key = f"concat_ws('/', {', '.join(mapping.key)})"
    home.database.rows(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} LIMIT 3)")
    healed = home.done(mode=engine.FULL)[-1]
    assert (healed.inserted, healed.updated) == (3, 0)
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_the_order_and_number_of_workers_change_nothing(home: Home, tmp_path: Path) -> None:
    """One worker or four: the same rows."""
    if "workers" in engine.sources.module(home.source, folders=home.settings.folders).NEEDS.options:
        home.settings.tables[home.source]["workers"] = 1  # type: ignore[index]
    home.done()
    assert home.wrong() == []


@only("duckdb", OF_THE_SOURCE)
def test_no_secret_is_written_anywhere(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in the warehouse, the cache, or what is printed; also when everything fails."""
    home.done()
    home.sandbox.faults.add(Fault(kind="reset_before", match="", skip=1, times=None))
    runs = home.pull()
    secret = next(value for name, value in home.settings.variables.items() if name.endswith("_TOKEN"))
    printed = "".join(capfd.readouterr()) + repr(runs) + "".join(map(str, runs))
    assert secret not in printed
    for file in (*home.settings.base.rglob("*"), *home.database.kept_in()):
        if file.is_file() and "mine" not in file.parts:
            assert secret.encode() not in file.read_bytes(), file
