"""
Maintenance operations: a file each, that makes the changes of a plan or the lines of a report, and never writes
itself. Dry run, limits, journal, resume and revert are what any run of a plan has (`executing.py`).

A module here, or a company's own in a folder named in `syncer.toml`, is found by its file's name:

    NAME       `source.operation`; the operation is the file's name. `warehouse.…` reads no API
    SUMMARY    a line for `syncer list`
    SETTINGS   what a site may set in `["source.operation"]` of `syncer.toml`: a `declared.Setting` by name; optional
    READS      the streams that it reads, for people; optional
    check(values, *, settings, mappings)    refuses settings with which it cannot run, before anything is tried: it
                                            raises UsageError; optional

and makes a plan:

    KIND       the kind of records that it writes: the lease is of it; or `kind(values)`, by its settings
    looked(context)      yields what was looked at, with its changes; `updated` makes both for a plain update
    target(source)       what its changes are sent to; without it, the source
    ends(change)         the kinds that a change needs the right to write, beside its own; optional
    STAYS                a sentence: why a revert cannot take away what it made; optional

or a report:

    COLUMNS    the names of a line's values, in their order
    lines(context)       yields its lines

Not here: storing, holding against limits, applying (`operating.py`); reports as runs (`reporting.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import attrs

from syncer import catalog, declared, limits
from syncer.asking import Asking
from syncer.declared import Setting
from syncer.errors import MappingError, UnknownName, UsageError
from syncer.findings import Line
from syncer.mapping import EntityMapping
from syncer.plan import REJECTED, UPDATE, Change, Edit
from syncer.plans import PlanRow, Problem
from syncer.settings import Settings
from syncer.sources import Source
from syncer.target import Found, Target
from syncer.warehouses import Warehouse

T = TypeVar("T")
WAREHOUSE = "warehouse"  # in place of a source: no API is asked
_NEEDED = {"plan": ("KIND", "looked"), "report": ("COLUMNS", "lines")}


@attrs.frozen(kw_only=True)
class Context:
    """
    What an operation may look at. values: its settings, by name, all of them. mappings: those of its source, with the
    site's words. now: aware, UTC.

    source, target: None for an operation of the warehouse. on_progress: takes how many were looked at, of how many.
    kept: what the last run of a report kept, such as counts; keeps: what this one does, texts and numbers by name.
    """

    name: str
    values: Mapping[str, Any] = attrs.field(factory=dict)
    environment: str
    now: dt.datetime
    settings: Settings
    warehouse: Warehouse
    source: Source | None = None
    target: Target | None = None
    mappings: Sequence[EntityMapping] = ()
    on_progress: Callable[[int, int], None] | None = None
    kept: Mapping[str, Any] = attrs.field(factory=dict)
    keeps: dict[str, Any] = attrs.field(factory=dict)
    notes: dict[str, None] = attrs.field(factory=dict)  # sentences for the plan or the report, in their order
    _passed: list[int] = attrs.field(factory=list)

    @property
    def api(self) -> Target:
        """The source as what it can be read and written by. Raises MappingError where there is none."""
        if self.target is None:
            raise MappingError(f"The operation {self.name} is one of the warehouse: it has no API to ask.")
        return self.target

    def note(self, sentence: str) -> None:
        """Tell something about the whole of it; the same sentence is told once."""
        self.notes[sentence] = None

    def passed(self, count: int) -> None:
        """Count records that were looked at and need nothing; they stand nowhere in the plan."""
        self._passed.append(count)

    @property
    def unchanged(self) -> int:
        """How many records were passed by."""
        return sum(self._passed)

    def moved(self, count: int, of: int) -> None:
        """Say how many records were looked at so far, of how many; 0: not known."""
        if self.on_progress is not None:
            self.on_progress(count, of)


@attrs.frozen
class Looked:
    """One record that was looked at, and its changes; numbers begin with 1 within what is yielded at once."""

    row: PlanRow
    changes: Sequence[Change] = ()
    also: Sequence[PlanRow] = ()  # rows of further records that the changes are about


def updated(context: Context, kind: str, found: Found, values: Mapping[str, Any]) -> Looked:
    """
    Look at a record that is to have other values, by property: a change of those that it has not, none where it has
    all of them, a reject where one does not fit. *found* was read with these properties; the title is shown if read.

    Raises: UsageError: there is no such property, or it takes no value.
    """
    shape = context.api.shape(kind)
    for name in values:
        why_not = shape.properties[name].why_not if name in shape.properties else "there is no such property"
        if why_not:
            raise UsageError(f"{context.name} writes {name} of {kind}: {why_not}.")
    ours, unfit = shape.typing(list(values))(list(values.values()))
    if unfit:
        problems = [Problem(kind=REJECTED, field=each.property, reason=each.reason, ours=each.value) for each in unfit]
        return Looked(PlanRow(key=found.id, id=found.id, outcome=REJECTED, problems=problems))
    fields = {
        name: Edit(found.properties.get(name) or None, own.sent or None)
        for name, own in ours.items()
        if own.normal != shape.properties[name].theirs(found.properties.get(name))
    }
    row = PlanRow(key=found.id, id=found.id)
    if not fields:
        return Looked(row)
    title = shape.properties.get(shape.title)
    shown = found.properties.get(shape.title) if title is not None and not title.is_personal else None
    change = Change(number=1, action=UPDATE, kind=kind, key=found.id, id=found.id, fields=fields, title=shown or "")
    return Looked(row, [change])


class Operation(Protocol):
    """What every module is to have; see above for what else it may."""

    NAME: str
    SUMMARY: str


class Planning(Operation, Protocol):
    """A module that makes a plan."""

    def looked(self, context: Context) -> Iterator[Looked]:
        """Yield what was looked at, one record after the other. Raises: UsageError: nothing was tried."""


class Reporting(Operation, Protocol):
    """A module that makes a report."""

    COLUMNS: Sequence[str]

    def lines(self, context: Context) -> Iterator[Line]:
        """Yield the lines of the report. Raises: UsageError: a setting names what is not there."""


@attrs.frozen
class Files:
    """Files of operations: what was found in them by name, and of those that are broken, by file, what is wrong."""

    found: Mapping[str, Operation]
    broken: Mapping[str, UsageError]


def read(files: Collection[str] | None = None, *, folders: Sequence[Path] = ()) -> Files:
    """Load these files of operations, or all; a broken one keeps no other from being found."""
    found: dict[str, Operation] = {}
    broken: dict[str, UsageError] = {}
    for file, load in catalog.modules("operations", folders=folders).items():
        if files is not None and file not in files:
            continue
        try:
            operation = _checked(file, load())
        except UsageError as error:
            broken[file] = error
        else:
            found[operation.NAME] = operation
    return Files(found, broken)


def known(*, folders: Sequence[Path] = ()) -> Mapping[str, Operation]:
    """Return the operations there are, by name, but for broken files; a company's own go before ours."""
    return read(folders=folders).found


def find(name: str, *, folders: Sequence[Path] = ()) -> Operation:
    """Find an operation. Raises UnknownName; UsageError: its file is broken."""
    file = name.partition(".")[2]
    loaders = catalog.modules("operations", folders=folders)
    if file in loaders:
        operation = _checked(file, loaders[file]())
        if name == operation.NAME:
            return operation
    if any(letter in name for letter in "*?["):
        raise UsageError(
            f"`syncer run` takes the name of one operation, and {name} is a pattern.",
            hint=f"`syncer list '{name}'` names those that it fits.",
        )
    raise UnknownName("operation", name, known=known(folders=folders))


def named_in(settings: Settings) -> list[str]:
    """
    Return the names of the operations that `syncer.toml` has a table of, or means; no other one is loaded. One whose
    file is broken is among them, under the table's name: what is wrong with it concerns only who uses it.
    """
    files = of_tables(settings)
    means = [name for name in settings.tables if "." in name]
    broken = [
        f"{name.partition('.')[0]}.{file}"
        for name in means
        for file in catalog.nearest(name.partition(".")[2], files.broken)
    ]
    return [*files.found, *broken]


def check_all(settings: Settings) -> None:
    """
    Check what `syncer.toml` sets for operations, but for those whose file is broken. Raises UsageError: a key or value
    that one does not have.
    """
    for operation in of_tables(settings).found.values():
        declared.check(settings, operation.NAME, declared_of(operation))


def of_tables(settings: Settings) -> Files:
    """Load the operations that `syncer.toml` has a table of, or means, and no others."""
    stems = {name.partition(".")[2] for name in settings.tables if "." in name}
    names = catalog.names("operations", folders=settings.folders)
    meant = {name for stem in stems for name in catalog.nearest(stem, names)}
    return read(meant, folders=settings.folders) if meant else Files({}, {})


def is_report(operation: Operation) -> bool:
    """Tell whether an operation makes a report; else it makes a plan."""
    return hasattr(operation, "lines")


def declared_of(operation: Operation) -> Mapping[str, Setting]:
    """Return the settings that an operation declares."""
    found: Mapping[str, Setting] = getattr(operation, "SETTINGS", {})
    return found


def kind_of(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the kind of records that an operation writes. Raises UsageError: a setting names none."""
    by_setting: Callable[[Mapping[str, Any]], str] | None = getattr(operation, "kind", None)
    return by_setting(values) if by_setting is not None else str(getattr(operation, "KIND", ""))


def check_settings(
    operation: Operation, values: Mapping[str, Any], *, settings: Settings, mappings: Sequence[EntityMapping]
) -> None:
    """Ask an operation whether it can run with its settings, before anything is tried. Raises UsageError."""
    check: Callable[..., None] | None = getattr(operation, "check", None)
    if check is not None:
        module = cast(ModuleType, operation)
        list(catalog.carried_out(module, lambda: check(values, settings=settings, mappings=mappings) or ()))


def looked_at(operation: Planning, context: Context) -> Iterator[Looked]:
    """Yield what an operation looked at. Raises: SyncerError: its file is wrong, and a company's own."""
    return _each(operation, Looked, lambda: operation.looked(_asking(operation, context)))


def lines_of(operation: Reporting, context: Context) -> Iterator[Line]:
    """Yield the lines of an operation. Raises: SyncerError: its file is wrong, and a company's own."""
    return _each(operation, Line, lambda: operation.lines(_asking(operation, context)))


def _asking(operation: Operation, context: Context) -> Context:
    """Return what an operation looks at; a company's own asks for no property that is not there."""
    module = cast(ModuleType, operation)
    if context.target is None or catalog.is_ours(module):
        return context
    asking = Asking(context.target, str(module.__file__ or module.__name__), operation.NAME)
    return attrs.evolve(context, target=cast(Target, asking))


def _each(operation: Operation, kind: type[T], make: Callable[[], Iterable[T]]) -> Iterator[T]:
    module = cast(ModuleType, operation)
    for each in catalog.carried_out(module, make):
        if not isinstance(each, kind):
            raise MappingError(
                f"{module.__file__}: the operation {operation.NAME} yields {type(each).__name__}; it is to yield "
                f"{kind.__name__}.",
                hint="docs/operations.md shows a whole one.",
            )
        yield each


def target_of(operation: Operation, source: Source) -> Target:
    """Return what the changes of an operation are sent to."""
    own: Callable[[Source], Target] | None = getattr(operation, "target", None)
    return cast(Target, source) if own is None else own(source)


def _checked(file: str, module: ModuleType) -> Operation:
    needed: tuple[str, ...] = _NEEDED["report" if hasattr(module, "lines") else "plan"]
    if hasattr(module, "kind"):
        needed = tuple(name for name in needed if name != "KIND")
    missing = [name for name in ("NAME", "SUMMARY", *needed) if not hasattr(module, name)]
    if missing:
        raise MappingError(
            f"{module.__file__}: an operation has {', '.join(missing)}, and this one has not.",
            hint="docs/operations.md shows a whole one.",
        )
    name = str(module.NAME)
    if name.partition(".")[2] != file or not name.partition(".")[0]:
        raise MappingError(
            f"{module.__file__}: the operation is named {name}: what stands behind the dot is to be the file's name.",
            hint=f'Such as NAME = "hubspot.{file}".',
        )
    if not isinstance(getattr(module, "SETTINGS", {}), Mapping):
        raise MappingError(
            f"{module.__file__}: SETTINGS of an operation is a dict of names and Settings, and this one is none.",
            hint="docs/operations.md shows a whole one.",
        )
    wrong = [key for key, each in declared_of(cast(Operation, module)).items() if not isinstance(each, Setting)]
    if wrong:
        raise MappingError(
            f"{module.__file__}: the operation declares {', '.join(wrong)} in SETTINGS, which is no Setting.",
            hint="syncer.declared makes them: text, texts, count, seconds, share, flag, one_of, table.",
        )
    everyones = {*limits.DEFAULTS, declared.MAX_AGE, "environments"}
    if taken := sorted(everyones & set(declared_of(cast(Operation, module)))):
        raise MappingError(
            f"{module.__file__}: the operation declares {', '.join(taken)} in SETTINGS, which each operation has.",
            hint="Limits and max_age_s need no declaration.",
        )
    return cast(Operation, module)
