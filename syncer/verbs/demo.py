"""
`syncer demo`: everything at once, with nothing set up. The sandbox in this process, two pulls, a plan and its pushes,
and what came of them.

It uses settings of its own, made here, and a request budget in a temporary folder: no token and no setting of the
user's is read or written, but for the server that `SYNCER_WAREHOUSE` may name. Not here: where the records go, and
what keeps a user's own safe there (`demo_warehouse.py`), its pushes (`demo_push.py`), the sandbox (`sandbox/`), what a
pull does (`engine.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.errors import SyncerError, WarehouseError
from syncer.reports import terminal
from syncer.verbs import Session, demo_warehouse, pull, worst
from syncer.verbs.demo_push import DemoPush
from syncer.verbs.demo_warehouse import DemoWarehouse
from syncer.verbs.sandbox import Amount, built, variables

if TYPE_CHECKING:
    from syncer.journal import Pulled
    from syncer.sandbox import Sandbox
    from syncer.settings import Settings

NAMES = ("hubspot.*", "jira.*", "gitlab.*", "friday_pulse.*", "anythingllm.*")
AMOUNT = Amount(12, 400)
EDITS = 12  # of each API
SEED = 7
# Without a double quote in them, and no quote at the end: they stand within three single quotes, within double ones.
QUERIES = (
    "SELECT project_key, status_name, COUNT(*) AS issues FROM load.jira_issues "
    "WHERE dss_record_state = 'live' GROUP BY project_key, status_name ORDER BY project_key, status_name",
    "SELECT c.name, COUNT(*) AS contacts FROM load.hubspot_companies AS c JOIN load.hubspot_associations AS a "
    "ON a.to_type = 'companies' AND a.to_id = c.id AND a.from_type = 'contacts' AND a.label = 'Primary' "
    "WHERE a.dss_record_state = 'live' AND c.dss_record_state = 'live' GROUP BY c.name ORDER BY contacts DESC "
    "LIMIT 20",
    "SELECT number, action, result, fields, state FROM syncer.changes ORDER BY number",
)
SAMPLES = {
    "load.hubspot_companies": ("name", "domain", "hs_lastmodifieddate", "dss_record_state"),
    "load.jira_issues": ("key", "status_name", "first_in_progress", "summary"),
    "load.gitlab_merge_requests": ("reference", "state", "merged_at", "title"),
}
# What would be waited for in a sandbox: HubSpot's burst limits, and so many requests a minute.
UNLIMITED = {"hubspot": {"limits": "off"}, "friday_pulse": {"requests_per_minute": "off"}}
SAMPLE_COLUMNS = 60  # of a title
LATER_S = 300.0  # longer than Jira's search lags behind


@attrs.frozen(kw_only=True)
class Options:
    """What `demo` takes."""

    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Where demo.duckdb is written; by default, here, or into the server that SYNCER_WAREHOUSE names.",
        ),
    ] = None


def run(options: Options, session: Session) -> int:
    """
    Show how it works: pull made-up records of five APIs into demo.duckdb, change a few, pull again, push some back.

    Nothing needs to be set up, and nothing but 127.0.0.1 is asked. A demo.duckdb of an earlier demo is made anew.

    Where SYNCER_WAREHOUSE names a server (odbc:...), the records go there; what no demo made there is left alone.
    """
    session.log()
    warehouse = demo_warehouse.chosen(options.folder)
    session.conceal(warehouse.settings)
    try:
        return _run(warehouse, session)
    except WarehouseError as error:
        if warehouse.file is None:
            raise
        # Its hint names settings that the demo does not read.
        hint = "Close what has it open, or give another folder with --folder."
        raise SyncerError(error.message, hint=hint) from error


def _run(warehouse: DemoWarehouse, session: Session) -> int:
    with warehouse.held() as was_there:
        if was_there:
            session.say(f"{session.hidden(warehouse.name)} is of an earlier demo; it is made anew.\n")
        return _shown(warehouse, session)


def _shown(warehouse: DemoWarehouse, session: Session) -> int:
    """Run the demo, and tell what to try on what it leaves."""
    session.say(
        "Starting HubSpot, Jira, GitLab, Friday Pulse and AnythingLLM on 127.0.0.1, with made-up records, some "
        f"{AMOUNT.issues:,} of each kind ..."
    )
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        sandbox = opened.enter_context(built(AMOUNT, seed=SEED, port=0))
        sandbox.sites["hubspot"].limits = None  # type: ignore[attr-defined]  # it has some
        settings = _settings(sandbox, warehouse.settings, Path(folder))
        show = _Show(session=session, sandbox=sandbox, settings=settings, warehouse=warehouse)
        code = show.run()
    warehouse.mark_end()
    to_try = [session.hidden(command) for command in warehouse.to_try(QUERIES)]
    if session.is_json:
        session.document.put("edits", show.edits)
        session.document.put("warehouse", session.hidden(warehouse.name))
        session.document.put("try", to_try)
        return code
    if code == 1:
        session.show("\nSomething failed; see above.")
        return code
    needed = f" ({demo_warehouse.PASSWORD} must be set)" if warehouse.needs_password else ""
    session.say(f"\nThe records stand in {session.hidden(warehouse.name)}. Four commands to try next{needed}:\n")
    for command in to_try:
        session.say(f"  {command}")
    return code


def _settings(sandbox: Sandbox, warehouse: Settings, cache_folder: Path) -> Settings:
    return attrs.evolve(
        warehouse,
        variables={**variables(sandbox), "SYNCER_CACHE": str(cache_folder)},
        tables=UNLIMITED,
    )


@attrs.define(kw_only=True)
class _Show:
    """The demo, step by step."""

    session: Session
    sandbox: Sandbox
    settings: Settings
    warehouse: DemoWarehouse
    edits: list[str] = attrs.field(factory=list)

    def run(self) -> int:
        """Pull, change, pull again, push; return the worst exit code."""
        say = self.session.say
        say("\n1. The first pull brings everything:\n")
        first = self._pull()
        self._show_samples()
        say(f"\n2. People go on working: {EDITS} edits in each. Such as:\n")
        self._edit()
        for edit in random.Random(SEED).sample(self.edits, min(6, len(self.edits))):
            say(f"   {terminal.clean(edit)}")
        say("\n3. The second pull asks what changed, and writes only that:\n")
        second = self._pull()
        self._show_difference(first, second)
        code = worst(pulled.exit_code for pulled in (*first, *second))
        if code == 1:
            return code
        pushes = DemoPush(session=self.session, sandbox=self.sandbox, settings=self.settings, warehouse=self.warehouse)
        return code if pushes.run() else 1

    def _pull(self) -> list[Pulled]:
        """Pull every stream, with progress and a line each."""
        from syncer import engine, mappings
        from syncer.reports.progress import PullProgress

        session = self.session
        names = pull.in_order(mappings.choose(NAMES))
        progress = PullProgress(names, sys.stderr, is_shown=not session.shared.quiet)
        session.before_note = progress.clear

        def told(pulled: Pulled) -> None:
            progress.ended(pulled)
            pull.tell(session, attrs.evolve(pulled, mode=engine.INCREMENTAL), indent="   ")

        request = engine.Request(mode=engine.DEMO, on_progress=progress.moved, on_wait=progress.waits, on_run=told)
        began = time.monotonic()
        with progress:
            runs = engine.pull(NAMES, settings=self.settings, request=request)
        session.say(f"   {pull.summary(runs, time.monotonic() - began)}")
        return runs

    def _edit(self) -> None:
        """Let people work, and time pass."""
        for name in self.sandbox.sites:
            with self.sandbox.locked(name) as site:
                self.edits += [f"{name}: {edit}" for edit in site.edit(EDITS, SEED)]  # type: ignore[attr-defined]  # all can
        self.sandbox.clock.advance(LATER_S)

    def _show_samples(self) -> None:
        """Show some of what arrived."""
        from syncer import sql

        for name, columns in SAMPLES.items():
            query = f"SELECT {', '.join(columns)} FROM {name} ORDER BY id DESC LIMIT 3"
            with self.warehouse.opened() as t:
                found = t.rows(sql.statement(query))
            rows = [
                [terminal.moment(value) if isinstance(value, dt.datetime) else _short(value) for value in row]
                for row in found
            ]
            self.session.say(f"\n   Some of {name}:")
            for line in terminal.table(columns, rows, sys.stdout, indent="     "):
                self.session.say(line)

    def _show_difference(self, first: Sequence[Pulled], second: Sequence[Pulled]) -> None:
        """Say how little the second pull wrote."""
        written = sum(run.inserted + run.updated for run in second)
        ended = sum(run.gone for run in second)
        there = sum(run.inserted for run in first)
        self.session.say(
            f"\n   Of {there:,} rows, {written:,} were written and {ended:,} ended; the others were left as they were."
        )


def _short(value: object) -> str:
    return "-" if value is None else terminal.fitted(terminal.clean(value), SAMPLE_COLUMNS)
