"""A GitLab on 127.0.0.1, a warehouse in a temporary folder, and the comparison of the two."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import duckdb

from syncer import engine, mappings
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.inbound import Progress
from syncer.journal import Pulled
from syncer.rows import Typing
from syncer.sandbox import Clock, GitLabSite, Sandbox
from syncer.sandbox.gitlab.rows import Project
from syncer.settings import Settings
from syncer.sources import Record
from syncer.sources.gitlab.pipeline_answers import as_record
from syncer.transport import Doors

START = dt.datetime(2026, 8, 31, 8, 0, tzinfo=dt.UTC)
STREAMS = (
    "projects",
    "issues",
    "merge_requests",
    "merge_request_commits",
    "pipelines",
    "commits",
    "branches",
    "branch_commits",
    "tags",
)
GIT = ("gitlab.commits", "gitlab.branches", "gitlab.branch_commits", "gitlab.tags")
NOT_GIT = ("projects", "issues", "merge_requests", "merge_request_commits", "pipelines")
SMALL = {
    "projects": 12,
    "issues": 60,
    "merge_requests": 30,
    "pipelines": 60,
    "branches": 40,
    "commits": 160,
    "tags": 12,
}


class Stopped(Exception):
    """A pull that was ended from outside."""


@attrs.frozen(kw_only=True)
class World:
    """One GitLab and one warehouse."""

    site: GitLabSite
    sandbox: Sandbox
    folder: Path
    options: dict[str, Any]

    def settings(self, **options: Any) -> Settings:
        """What a site would have set."""
        table = {"requests_per_minute": "off", **self.options, **options}
        return Settings(
            warehouse=f"duckdb:{self.folder / 'warehouse.duckdb'}",
            base=self.folder,
            variables={
                "SYNCER_GITLAB_URL": self.sandbox.url("gitlab"),
                "SYNCER_GITLAB_TOKEN": table.pop("token", self.site.token),
            },
            tables={"gitlab": table},
        )

    def pull(
        self,
        names: str | Sequence[str] = "gitlab.*",
        *,
        stop_after: int = 0,
        mode: str = "incremental",
        is_forced: bool = False,
        **options: Any,
    ) -> dict[str, Pulled]:
        """Pull; *stop_after*: end it, as Ctrl-C would, when so many pages were read."""
        clock = SystemClock()
        doors = Doors(clock=clock, budget=Budget(self.folder / "cache", clock=clock), random=random.Random(1))
        pages = 0

        def count(progress: Progress) -> None:
            nonlocal pages
            pages += 1
            if pages == stop_after:
                raise Stopped

        request = engine.Request(mode=mode, is_forced=is_forced, on_progress=count if stop_after else None)
        done = engine.pull(names, settings=self.settings(**options), request=request, doors=doors)
        return {one.mapping.partition(".")[2]: one for one in done}

    def rows(self, stream: str, *, state: str | None = "live") -> dict[tuple[Any, ...], dict[str, Any]]:
        """What the load table has, by key."""
        mapping = mappings.known()[f"gitlab.{stream}"]
        columns = ", ".join(f'"{field.column}"' for field in mapping.fields)
        where = "" if state is None else f" WHERE dss_record_state = '{state}'"
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as file:
            rows = file.sql(f"SELECT {columns} FROM load.gitlab_{stream}{where}").to_arrow_table().to_pylist()
        return _by_key(rows, mapping.key)

    def truth(self, stream: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """What the site has, typed as the load table is."""
        mapping = mappings.known()[f"gitlab.{stream}"]
        records = [self._settled(stream, key, record) for key, record in self.site.truth(stream).items()]
        return _by_key(Typing(mapping).rows(records, scope="").table.to_pylist(), mapping.key)

    def differences(self, stream: str) -> list[str]:
        """Say how the load table differs from the site; empty where it does not."""
        states = "all" if stream == "projects" else "live"
        ours, theirs = self.rows(stream, state=None if states == "all" else "live"), self.truth(stream)
        said = [f"{stream} {key} is missing" for key in sorted(theirs.keys() - ours.keys(), key=str)]
        said += [f"{stream} {key} is too much" for key in sorted(ours.keys() - theirs.keys(), key=str)]
        for key in ours.keys() & theirs.keys():
            odd = [name for name in theirs[key] if ours[key][name] != theirs[key][name]]
            said += [f"{stream} {key}: {name} is {ours[key][name]!r}, not {theirs[key][name]!r}" for name in odd]
        return said

    def all_differences(self, *, but: Sequence[str] = ()) -> list[str]:
        """Say how any of the nine tables differs."""
        return [each for stream in STREAMS if stream not in but for each in self.differences(stream)]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as file:
            return list(file.execute(sql).fetchall())

    def later(self, **time: float) -> None:
        """Let time pass on the server."""
        self.site.clock.advance(dt.timedelta(**time).total_seconds())

    def asked(self, pattern: str = "") -> int:
        """How many requests were sent whose method and path have *pattern*, since the last `forget`."""
        return sum(pattern in f"{entry.method} {entry.path}" for entry in self.sandbox.log if entry.site == "gitlab")

    def forget(self) -> None:
        """Forget the requests that were sent."""
        self.sandbox.reset_counts()

    def _settled(self, stream: str, key: tuple[Any, ...], record: Record) -> Record:
        """Put beside a record what the source knows from where it asked."""
        if stream in ("commits", "branches", "tags"):
            return {**record, "project_id": key[0]}
        if stream == "pipelines":
            return as_record(record)
        if stream == "merge_request_commits":
            row = self.site.store.merge_requests[key[0]]
            return {
                **record, "merge_request_id": row.id, "merge_request_iid": row.iid, "project_id": row.project_id
            }  # fmt: skip
        return record


def _by_key(rows: Sequence[dict[str, Any]], key: Sequence[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {
        tuple(row[column] for column in key): {name: _plain(value) for name, value in row.items()} for row in rows
    }
    assert len(found) == len(rows), "a key stands there twice"
    return found


def _plain(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value


@contextmanager
def world(folder: Path, *, site: GitLabSite | None = None, seed: int = 1, **options: Any) -> Iterator[World]:
    """Serve a small GitLab, with a new warehouse in *folder*."""
    clock = site.clock if site is not None else Clock(START)
    made = site or GitLabSite.generate(seed=seed, clock=clock, **SMALL)
    made.limits = None
    with Sandbox(sites=[made], clock=clock) as sandbox:  # type: ignore[arg-type]  # the clock is a Clock
        yield World(site=made, sandbox=sandbox, folder=folder, options=options)


def with_branches(it: World, *, at_least: int = 3) -> Project:
    """A project with everything switched on, and some branches."""
    store = it.site.store
    return next(
        project
        for project in store.visible_projects(store.users[it.site.edits.owner_id]).values()
        if project.issues_on
        and project.jobs_on
        and project.repository_on
        and project.merge_requests_on
        and not project.is_archived
        and len(getattr(store.repositories.get(project.id), "branches", ())) >= at_least
    )


def a_branch(it: World, project: Project) -> str:
    """A branch that is not the default one."""
    repository = it.site.store.repositories[project.id]
    return next(name for name in sorted(repository.branches) if name != repository.default_branch)
