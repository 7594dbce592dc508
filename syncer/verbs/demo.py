"""
`syncer demo`: everything at once, with nothing set up. The sandbox in this process, two pulls, and what came of them.

It uses settings of its own, made here, and a request budget in a temporary folder: no token and no setting of the
user's is read or written. Not here: the sandbox (`sandbox/`), what a pull does (`engine.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.errors import SyncerError, UsageError, WarehouseBusy, WarehouseError
from syncer.reports import commands, terminal
from syncer.tables import STATE, Column, Table
from syncer.values import TIMESTAMP
from syncer.verbs import Session, pull, worst
from syncer.verbs.sandbox import Amount, built, variables

if TYPE_CHECKING:
    from syncer.journal import Pulled
    from syncer.sandbox import Sandbox
    from syncer.settings import Settings
    from syncer.warehouses import Transaction

NAMES = ("hubspot.*", "jira.*", "gitlab.*", "friday_pulse.*", "anythingllm.*")
FILE = "demo.duckdb"
AMOUNT = Amount(12, 400)
EDITS = 12  # of each API
SEED = 7
# Without a double quote in them, and no quote at the end: they stand within three single quotes, within double ones.
QUERIES = (
    "SELECT project_key, status_name, COUNT(*) AS issues FROM load.jira_issues "
    "WHERE dss_record_state = 'live' GROUP BY ALL ORDER BY ALL",
    "SELECT c.name, COUNT(*) AS contacts FROM load.hubspot_companies AS c JOIN load.hubspot_associations AS a "
    "ON a.to_type = 'companies' AND a.to_id = c.id AND a.from_type = 'contacts' AND a.label = 'Primary' "
    "WHERE a.dss_record_state = 'live' AND c.dss_record_state = 'live' GROUP BY ALL ORDER BY contacts DESC LIMIT 20",
)
SAMPLES = {
    "load.hubspot_companies": ("name", "domain", "hs_lastmodifieddate", "dss_record_state"),
    "load.jira_issues": ("key", "status_name", "first_in_progress", "summary"),
    "load.gitlab_merge_requests": ("reference", "state", "merged_at", "title"),
}
UNLIMITED = ("hubspot",)
SAMPLE_COLUMNS = 60  # of a title
MADE_BY_DEMO = Table(schema=STATE, name="demo", columns=(Column("made_at", TIMESTAMP),))
WAIT_S = 5.0  # for a program that has the file open
LATER_S = 300.0  # longer than Jira's search lags behind


@attrs.frozen(kw_only=True)
class Options:
    """What `demo` takes."""

    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where demo.duckdb is written; by default, here.")
    ] = None


def run(options: Options, session: Session) -> int:
    """
    Show how it works: pull made-up records of five APIs into demo.duckdb, change a few, pull again.

    Nothing needs to be set up, and nothing but 127.0.0.1 is asked. A demo.duckdb of an earlier demo is made anew.
    """
    session.log()
    try:
        return _run(options, session)
    except WarehouseError as error:  # its hint names settings that the demo does not read
        hint = "Close what has it open, or give another folder with --folder."
        raise SyncerError(error.message, hint=hint) from error


def _run(options: Options, session: Session) -> int:
    file = (options.folder or Path()) / FILE
    _clear_the_way(session, file)
    with _opened(file) as t:
        t.create(MADE_BY_DEMO)
    session.say(
        "Starting HubSpot, Jira, GitLab, Friday Pulse and AnythingLLM on 127.0.0.1, with made-up records, some "
        f"{AMOUNT.issues:,} of each kind ..."
    )
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        sandbox = opened.enter_context(built(AMOUNT, seed=SEED, port=0))
        for name in UNLIMITED:  # whose burst limits would be waited for
            sandbox.sites[name].limits = None  # type: ignore[attr-defined]  # each of these sites has it
        show = _Show(session=session, sandbox=sandbox, settings=_settings(sandbox, file, Path(folder)), file=file)
        code = show.run()
    if session.is_json:
        session.document.put("edits", show.edits)
        session.document.put("warehouse", str(file))
        session.document.put("try", to_try(file))
        return code
    if code == 1:
        session.show("\nSomething failed; see above.")
        return code
    session.say(f"\nThe records stand in {file}. Three commands to try next:\n")
    for command in to_try(file):
        session.say(f"  {command}")
    return code


def _settings(sandbox: Sandbox, file: Path, cache_folder: Path) -> Settings:
    from syncer.settings import Settings

    return Settings(
        warehouse=f"duckdb:{file.resolve()}",
        base=file.parent,
        variables={**variables(sandbox), "SYNCER_CACHE": str(cache_folder)},
        tables={name: {"limits": "off"} for name in UNLIMITED},
    )


@attrs.define(kw_only=True)
class _Show:
    """The demo, step by step."""

    session: Session
    sandbox: Sandbox
    settings: Settings
    file: Path
    edits: list[str] = attrs.field(factory=list)

    def run(self) -> int:
        """Pull, change, pull again; return the worst exit code."""
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
        return worst(pulled.exit_code for pulled in (*first, *second))

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
            pull.tell(session, pulled, indent="   ")

        request = engine.Request(on_progress=progress.moved, on_run=told)
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
            with _opened(self.file) as t:
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


def _clear_the_way(session: Session, file: Path) -> None:
    """Take an earlier demo's file away; leave any other alone."""
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent} is no folder.", hint="Make it, or give another one with --folder.")
    if not file.exists():
        return
    if not _is_of_a_demo(file):
        raise UsageError(
            f"{file} is there, and no demo made it; it is left alone.", hint="Give another folder with --folder."
        )
    session.say(f"{file} is of an earlier demo; it is made anew.\n")
    try:
        file.unlink()
        file.with_name(f"{FILE}.wal").unlink(missing_ok=True)
        shutil.rmtree(file.with_name(f"{FILE}.leases"), ignore_errors=True)
    except OSError as error:
        raise SyncerError(
            f"{file} cannot be removed ({error.strerror}).", hint="Close what has it open, or give --folder."
        ) from error


def _is_of_a_demo(file: Path) -> bool:
    """Tell whether a demo made the file: it leaves a table of its own there. Raises WarehouseBusy."""
    if not file.is_file():
        return False
    try:
        with _opened(file) as t:
            return bool(t.columns(MADE_BY_DEMO))
    except WarehouseBusy:
        raise
    except WarehouseError:  # it cannot even be read as one
        return False


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Transaction]:
    from syncer import warehouses
    from syncer.clock import SystemClock
    from syncer.settings import Settings

    warehouse = warehouses.find(Settings(warehouse=f"duckdb:{file.resolve()}", wait_s=WAIT_S), clock=SystemClock())
    with contextlib.closing(warehouse), warehouse.transaction() as t:
        yield t


def to_try(file: Path) -> list[str]:
    """Write commands that work as they are printed, in sh and in PowerShell."""
    path = file.as_posix()
    status = f"{commands.program('syncer')} status --warehouse {commands.argument(f'duckdb:{path}')}"
    ask = f"{commands.program('python')} -c"
    asked = [f"import duckdb; duckdb.connect({path!r}).sql('''{query}''').show()" for query in QUERIES]
    return [status, *(f"{ask} {commands.argument(code)}" for code in asked)]
