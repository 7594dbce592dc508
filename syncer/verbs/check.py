"""
`syncer check`: what works, what does not, what to do. Configuration, warehouse, the shared folder, and each source:
who we are there, whose clock is right, and what each mapping may read.

Nothing is written to a source, and no warehouse is made. Not here: what a source asks of a site (`NEEDS`).
"""

from __future__ import annotations

import contextlib
import difflib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer import mappings, operations, sources
from syncer.errors import NotAllowed, SyncerError, UsageError
from syncer.reports import terminal
from syncer.settings import Account, Settings
from syncer.verbs import Session, Where, check_names, complete_source, warehouse_named
from syncer.verbs.found import FAILED, NOT_SET_UP, OK, WARNING, Found

if TYPE_CHECKING:
    from syncer.mapping import EntityMapping
    from syncer.reports.progress import Waiting
    from syncer.transport import Doors
    from syncer.warehouses import Warehouse

SKEW_S = 30.0
FREE_BYTES = 500_000_000
DRIVERS = ("duckdb", "pyarrow", "pyodbc", "sqlglot", "requests")
_OWN_VARIABLES = (
    "SYNCER_WAREHOUSE",
    "SYNCER_WAREHOUSE_USER",
    "SYNCER_WAREHOUSE_PASSWORD",
    "SYNCER_CONFIG",
    "SYNCER_CACHE",
    "SYNCER_HASH_KEY",
    "SYNCER_NOTIFY_WEBHOOK",
    "SYNCER_NOTIFY_TOKEN",
)
_COLOUR = {OK: "green", WARNING: "yellow", FAILED: "red", NOT_SET_UP: "dim"}


@attrs.frozen(kw_only=True)
class Options:
    """What `check` takes."""

    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Only these sources.", autocompletion=complete_source),
    ] = None
    notify: Annotated[bool, typer.Option("--notify", help="Send a test to whoever [notify] in syncer.toml names.")] = (
        False
    )


def run(options: Options, where: Where, session: Session) -> int:
    """
    Try everything: configuration, warehouse, and each source's URL, token, clock and permissions.

    The first page of each mapping is read, so that a permission that is missing is found before a pull needs it.
    """
    session.log()
    wanted = options.sources or []
    for name in wanted:
        sources.module(name, folders=_folders(session, where))
    statuses = []
    with session.waiting("check", "the configuration") as waiting:
        for found in _all(options, where, session, waiting):
            statuses.append(found.status)
            _tell(session, found)
    if session.is_json:
        session.document.open_list("checks")
    else:
        session.say()
        session.say(_verdict(statuses))
    return 1 if FAILED in statuses else 0


def _verdict(statuses: Sequence[str]) -> str:
    if FAILED in statuses:
        return "Something does not work; see above."
    warnings = statuses.count(WARNING)
    if not warnings:
        return "All is well."
    return f"Nothing failed; {terminal.counted(warnings, 'warning')} deserve{'s' * (warnings == 1)} a look, see above."


def _tell(session: Session, found: Found) -> None:
    if session.is_json:
        session.document.add("checks", {key: session.hidden(text) for key, text in attrs.asdict(found).items()})
        return
    say = session.show if found.status in (FAILED, WARNING) else session.say
    text = session.hidden(f"{found.about}: {terminal.clean(found.detail)}")
    plain = terminal.hanging(f"{found.status:10}  ", text, sys.stdout)
    say(plain.replace(found.status, terminal.painted(found.status, _COLOUR[found.status], sys.stdout), 1))
    if found.hint:
        first, *pasted = (session.hidden(terminal.clean(line)) for line in found.hint.split("\n"))
        say(terminal.hanging(" " * 12, first, sys.stdout))
        for line in pasted:  # as it stands: a line that is broken within a name would be another statement
            say(line)


def _folders(session: Session, where: Where) -> Sequence[Path]:
    return session.settings(where, but=None).folders


def _all(options: Options, where: Where, session: Session, waiting: Waiting) -> Iterator[Found]:
    """Look at one thing after the other."""
    from syncer.clock import SystemClock
    from syncer.engine import doors_of
    from syncer.verbs import check_notify

    wanted = options.sources or []
    try:
        settings = session.settings(where, but=None)
    except UsageError as error:
        yield Found.of_error("configuration", error)
        return
    yield from _configuration(settings)
    yield _drivers()
    waiting.waits(session.hidden(warehouse_named(settings)))
    yield from _warehouse(settings)
    yield _shared_folder(settings)
    doors = doors_of(settings, SystemClock())
    waiting.waits("whoever is told of runs")
    yield from check_notify.looks(settings, doors, is_sent=options.notify)
    for name in wanted or sources.names(folders=settings.folders):
        waiting.waits(name)
        yield from _source(name, settings, doors, is_named=name in wanted)


def _configuration(settings: Settings) -> Iterator[Found]:
    """The file, and variables that nobody reads."""
    file = str(settings.file) if settings.file is not None else "no syncer.toml here; the environment alone is read"
    try:
        check_names(settings)
        known = mappings.known(folders=settings.folders, objects=settings.objects())
    except UsageError as error:
        yield Found.of_error("configuration", error)
        return
    yield Found(about="configuration", detail=f"{file}; {terminal.counted(len(known), 'mapping')} known")
    for name, broken in operations.read(folders=settings.folders).broken.items():
        yield Found.of_error(f"operation {name}", broken)
    readable = _readable_variables(settings)
    for name in sorted(settings.variables):
        if name.startswith("SYNCER_") and not _is_read(name, readable):
            near = difflib.get_close_matches(name, readable, n=1, cutoff=0.6)
            hint = f"Did you mean {near[0]}?" if near else "Take it away, or see the variables in docs/cli.md."
            yield Found(about=f"variable {name}", status=WARNING, detail="nothing reads it", hint=hint)


def _readable_variables(settings: Settings) -> list[str]:
    every = [
        f"SYNCER_{name.upper()}_{what}"
        for name in sources.names(folders=settings.folders)
        for what in ("URL", "TOKEN", "USER", *_optional(name, settings))
    ]
    return [*_OWN_VARIABLES, *every]


def _optional(source: str, settings: Settings) -> list[str]:
    """Return the options that a source takes from variables; none where it cannot be loaded, which is told apart."""
    try:
        return [each.upper() for each in sources.module(source, folders=settings.folders).NEEDS.variables]
    except SyncerError:
        return []


def _is_read(name: str, readable: Sequence[str]) -> bool:
    """
    Tell whether something reads a variable; `SYNCER_JIRA__VOYS_URL` is read like `SYNCER_JIRA_URL`, and so is
    `SYNCER_HUBSPOT__VOYS_PORTAL_ID`, an option of two words.
    """
    if name in readable:
        return True
    source, separator, rest = name.partition("__")
    words = rest.split("_")
    return bool(separator) and any(f"{source}_{'_'.join(words[at:])}" in readable for at in range(1, len(words)))


def _drivers() -> Found:
    versions = []
    for name in DRIVERS:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            return Found(
                about="drivers", status=FAILED, detail=f"{name} is not installed", hint=f"python -m pip install {name}"
            )
    return Found(about="drivers", detail=", ".join(versions))


def _warehouse(settings: Settings) -> Iterator[Found]:
    """Open the warehouse and try it: a file, and the disk that it is on, or a server."""
    from syncer import warehouses
    from syncer.clock import SystemClock

    about = "warehouse"
    try:
        warehouse = warehouses.find(settings, clock=SystemClock())
        about = f"warehouse {warehouse.name}"
        with contextlib.closing(warehouse):
            file = getattr(warehouse, "file", None)  # a backend of a site's own may have a method of that name
            yield from _file(about, warehouse, file) if isinstance(file, Path) else _server(warehouse, settings)
    except SyncerError as error:
        told = error.message.removeprefix(f"{about.removeprefix('warehouse ')}: ")  # it is named already
        yield attrs.evolve(Found.of_error(about, error), detail=told)


def _server(warehouse: Warehouse, settings: Settings) -> Iterator[Found]:
    from syncer.odbc.warehouse import Warehouse as Server
    from syncer.verbs import server

    assert isinstance(warehouse, Server)  # all that is no file is behind ODBC
    yield from server.looks(warehouse, settings)


def _file(about: str, warehouse: Warehouse, file: Path) -> Iterator[Found]:
    """Write a temporary table, and look at the disk."""
    if warehouse.exists():
        _write_something(warehouse)
        yield Found(about=about, detail="opens, and can be written")
    else:
        yield folder_found(about, file.parent, "not there yet; the first pull makes it")
    yield _disk(file.parent)


def _write_something(warehouse: Warehouse) -> None:
    import pyarrow as pa

    from syncer.values import BIGINT

    with warehouse.transaction() as t:
        t.stage("check_now", pa.table({"one": [1]}), {"one": BIGINT})


def folder_found(about: str, folder: Path, detail: str) -> Found:
    """Try whether a file can be made in *folder*."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return Found(about=about, detail=detail)
    except OSError as error:
        return Found(
            about=about,
            status=FAILED,
            detail=f"no file can be made in {folder} ({error.strerror})",
            hint="Make the folder, or let syncer write in it.",
        )


def _disk(folder: Path) -> Found:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:,.1f} GB free in {folder}"
    if free < FREE_BYTES:
        return Found(about="disk", status=WARNING, detail=detail, hint="Make room: a pull that fills it fails.")
    return Found(about="disk", detail=detail)


def _shared_folder(settings: Settings) -> Found:
    """The folder in which processes share a token's request budget."""
    from syncer import cache

    folder = cache.folder(dict(settings.variables))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Found(
            about="request budget",
            status=FAILED,
            detail=f"{folder} cannot be made ({error.strerror})",
            hint="Name a folder that can be written in SYNCER_CACHE.",
        )
    found = folder_found("request budget", folder, f"shared in {folder}")
    return attrs.evolve(found, hint="Name another folder in SYNCER_CACHE.") if found.status == FAILED else found


def _source(name: str, settings: Settings, doors: Doors, *, is_named: bool) -> Iterator[Found]:
    """One source: is it set up, who are we, whose clock is right, what may each mapping read."""
    account = settings.account(name)
    try:
        needs: sources.Needs = sources.module(name, folders=settings.folders).NEEDS
    except SyncerError as error:
        yield Found.of_error(name, error)
        return
    if not (account.url or account.token or account.user):
        yield _not_set_up(name, account, needs, is_named=is_named)
        return
    chosen = [
        each
        for each in mappings.known(folders=settings.folders, objects=settings.objects()).values()
        if each.source == name
    ]
    streams = [each.inbound.stream for each in chosen if each.inbound is not None]
    try:
        source = sources.connect(account, doors=doors, streams=streams, folders=settings.folders)
    except SyncerError as error:
        yield Found.of_error(name, error)
        return
    from syncer.verbs import check_push

    with contextlib.closing(source):
        try:
            identity = source.check()
        except SyncerError as error:
            hint = error.hint or (f"Token: {needs.token}." if isinstance(error, NotAllowed) else "")
            yield attrs.evolve(Found.of_error(f"{name} {account.url}", error), hint=hint)
            return
        yield Found(about=name, detail=f"{account.url}, as {identity.user} (account {identity.account})")
        yield from _identity(name, identity)
        with_words = [settings.applied_to(each) for each in chosen]
        yield from _permissions(source, with_words, settings)
        yield from check_push.looks(source, with_words, settings, doors.clock)


def _not_set_up(name: str, account: Account, needs: sources.Needs, *, is_named: bool) -> Found:
    variables = [
        account.variable(what)
        for what, wanted in (("URL", needs.url), ("TOKEN", needs.token), ("USER", needs.user))
        if wanted
    ]
    return Found(
        about=name,
        status=FAILED if is_named else NOT_SET_UP,
        detail=f"set {', '.join(variables)}",
        hint=f"Token: {needs.token}." if is_named else "",
    )


def _identity(name: str, identity: sources.Identity) -> Iterator[Found]:
    """The clock, and what the source itself finds worth a look."""
    skew = identity.clock_skew_s
    ahead = "ahead of" if skew > 0 else "behind"
    detail = f"its clock is {terminal.duration(abs(skew))} {ahead} ours"
    if abs(skew) > SKEW_S:
        hint = "Set this machine's clock; marks are the API's own time, so no record is lost by it."
        yield Found(about=f"{name} clock", status=WARNING, detail=detail, hint=hint)
    for note in identity.notes:
        yield Found(about=name, status=WARNING, detail=note)


def _permissions(source: sources.Source, chosen: Sequence[EntityMapping], settings: Settings) -> Iterator[Found]:
    """Read the first page of each mapping, and look at its treatments; what works is told in one line."""
    works = []
    for mapping in chosen:
        if mapping.inbound is None:
            continue
        try:
            settings.privacy_of(settings.treated(_read_first_page(source, mapping)))
        except SyncerError as error:
            yield attrs.evolve(Found.of_error(f"{mapping.name} cannot be read", error))
        else:
            works.append(mapping.name)
    if works:
        yield Found(about="can be read", detail=", ".join(works))


def _read_first_page(source: sources.Source, mapping: EntityMapping) -> EntityMapping:
    """Raise what the first page of a mapping says is wrong; return it with the columns that the source found."""
    assert mapping.inbound is not None
    inbound = mapping.inbound
    if inbound.discovers:
        mapping = mapping.with_fields(source.describe(inbound.stream))
    pages = source.read(inbound.stream, places={}, lookback=inbound.lookback, fields=mapping.fields)
    page = next(pages, None)
    close = getattr(pages, "close", None)  # a generator's threads end with it
    if close is not None:
        close()
    if page is not None and page.error is not None:
        raise page.error
    return mapping
