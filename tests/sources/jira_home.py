"""A Jira site in the sandbox and a warehouse beside it, for the tests of the Jira source."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson

from syncer import engine, sources
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.sandbox import Clock, JiraSite, Sandbox
from syncer.sandbox.jira import EMAIL, TOKEN
from syncer.sandbox.jira.data import Shape
from syncer.sandbox.jira.model import Issue
from syncer.sandbox.messages import Request, Site
from syncer.settings import Settings
from syncer.sources import Page, Source
from syncer.transport import Doors
from tests.conftest import MovableClock, query_file

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STREAMS = ("projects", "issues", "changelogs", "comments", "worklogs")


@attrs.define
class JiraHome:
    """A running site, settings that lead to it, and what was asked of it by POST (`asked`: path and body)."""

    site: JiraSite
    sandbox: Sandbox
    settings: Settings
    doors: Doors
    asked: list[tuple[str, Any]] = attrs.field(factory=list)

    def pull(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams, all of them where none is named; each must be done."""
        done = self.outcome(*streams, **request)
        assert [pulled.error for pulled in done if pulled.status != "done"] == []
        return done

    def outcome(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams, however it ends."""
        names = [f"jira.{stream}" for stream in streams or STREAMS]
        return engine.pull(names, settings=self.settings, request=engine.Request(**request), doors=self.doors)

    def source(self, *streams: str, **options: Any) -> Source:
        """Connect to the site without an engine."""
        account = self.settings.account("jira")
        account = attrs.evolve(account, options={**account.options, **options})
        return sources.connect(account, doors=self.doors, streams=streams or STREAMS)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse file."""
        return query_file(self.settings.base / "warehouse.duckdb", query)

    def live(self, stream: str, *columns: str) -> dict[str, Any]:
        """Return the live rows of a stream by id, as text: a tuple of *columns*, or the ids alone."""
        chosen = ", ".join(("id", *columns))
        found = self.rows(f"SELECT {chosen} FROM load.jira_{stream} WHERE dss_record_state = 'live'")
        return {str(row[0]): row[1:] for row in found}

    def states(self, stream: str) -> dict[int, str]:
        """Return the states of the rows that are not live, by id."""
        query = f"SELECT id, dss_record_state FROM load.jira_{stream} WHERE dss_record_state <> 'live'"
        return dict(self.rows(query))

    def true_ids(self, stream: str) -> set[str]:
        """Return the ids that the token may see now."""
        return {key[0] for key in self.site.truth(stream)}

    def later(self, seconds: float = 120.0) -> None:
        """Let time pass on the site: more than search lags, and than the minute that worklogs are told late."""
        self.site.clock.advance(seconds)

    def issues_fetched(self) -> list[str]:
        """Return the ids that bulk fetches, of issues or of changelogs, asked for, in order."""
        return [number for path, body in self.asked if "bulkfetch" in path for number in body["issueIdsOrKeys"]]


@contextlib.contextmanager
def running(site: JiraSite, folder: Path, **options: Any) -> Iterator[JiraHome]:
    """Run *site*, with a warehouse in *folder*; *options* are those of the source."""
    assert isinstance(site.clock, Clock)
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        clock = MovableClock()
        variables = {
            "SYNCER_JIRA_URL": sandbox.url("jira"),
            "SYNCER_JIRA_TOKEN": TOKEN,
            "SYNCER_JIRA_USER": EMAIL,
        }
        settings = Settings(
            warehouse=f"duckdb:{folder / 'warehouse.duckdb'}",
            base=folder,
            variables=variables,
            tables={"jira": {"workers": 2, **options}},
        )
        home = JiraHome(site, sandbox, settings, Doors(clock=clock, budget=Budget(folder / "cache", clock=clock)))

        def note(_: Site, request: Request) -> None:
            if request.method == "POST":
                home.asked.append((request.path.partition("/rest/api/3/")[2], orjson.loads(request.body)))

        sandbox.before_request.append(note)
        yield home
        assert sandbox.errors == []


def small_site(*, issues: int = 120, projects: int = 5, lag_s: float = 0.0, seed: int = 3) -> JiraSite:
    """Make a site whose clock stands until it is moved."""
    clock = Clock(START, is_frozen=True)
    shape = Shape(comments=1.0, histories=3.0, extra_fields=0)
    return JiraSite.generate(seed=seed, projects=projects, issues=issues, clock=clock, index_lag_s=lag_s, shape=shape)


def busiest(site: JiraSite) -> Issue:
    """The one issue that has more of everything than is embedded."""
    return max(site.issues.values(), key=lambda issue: len(issue.comments))


def read(source: Source, stream: str, place: Any = None, *, lookback: dt.timedelta | None = None) -> Iterator[Page]:
    """Read the one scope of a stream from *place* on."""
    places = {} if place is None else {"": place}
    return source.read(stream, places=places, lookback=lookback or dt.timedelta(minutes=10), fields=())


def ids_of(pages: list[Page]) -> list[str]:
    """Return the ids of the records of *pages*, in order."""
    return [str(record["id"]) for page in pages for record in page.records]
