"""
What a verb of the command line is, and what all of them share. Each file here is one verb: a function `run`, its
docstring the help text, whose parameters are frozen classes of options, and which returns the exit code. (Some are
parts of others, and say so in their first lines: `server.py`, `check_notify.py`, `check_push.py`, `found.py` of
`check`, `demo_*.py` of `demo`, `planned.py` of all that make plans.)

`command` makes a typer command of it: the classes' fields become options, so that no function takes more than a few
arguments and an option that several verbs have is written once. It is also one of the two outermost doors: whatever a
verb raises becomes one line on stderr, or the document's `error`, and an exit code.

Not here: the application itself, and what is wrong before a verb runs (`cli.py`).
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import re
import sys
import traceback
import typing
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from syncer.errors import SyncerError, UnknownName, UsageError
from syncer.reports import documents, terminal
from syncer.settings import DEFAULT_ENVIRONMENT, Settings, load, secrets_in

if TYPE_CHECKING:
    from syncer.reports.progress import Waiting

PACKAGE = Path(__file__).parents[1]
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
SHORTEST_SECRET = 4  # a shorter one is no secret, and would be found in every other word
_SEVERITY = (1, 2, 4, 3, 0)
_VARIABLE = re.compile(r"(?<!Did you mean )SYNCER_WAREHOUSE(?!_)")
_PASSWORD = re.compile(r"(?:pwd|password)\s*=\s*([^;}]+)", re.IGNORECASE)
_OPTION = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL)  # of libpq
_KINDS = "duckdb:PATH or odbc:CONNECTION STRING"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Output(enum.StrEnum):
    """How a verb answers."""

    TEXT = "text"
    JSON = "json"


@attrs.frozen(kw_only=True)
class Shared:
    """The options that every verb has."""

    output: Annotated[
        Output, typer.Option("--output", help="text for people, or json: one document on stdout, nothing else there.")
    ] = Output.TEXT
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what a person must look at.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens on stderr.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Log every detail; show the traceback of an error.")] = False


@attrs.frozen(kw_only=True)
class Where:
    """Which account, and which warehouse."""

    environment: Annotated[
        str | None, typer.Option("--environment", metavar="NAME", help="The account, by its name in syncer.toml.")
    ] = None
    warehouse: Annotated[
        str | None,
        typer.Option(
            "--warehouse", metavar="duckdb:PATH|odbc:STRING", help="In place of SYNCER_WAREHOUSE and syncer.toml."
        ),
    ] = None


@attrs.define(kw_only=True)
class Session:
    """One call of a verb: how it answers, and what it must not repeat."""

    shared: Shared
    document: documents.Document
    has_runs: bool = False  # what fails from now on did not fail before the first run
    before_note: Callable[[], None] | None = None  # takes a progress line away
    _secrets: set[str] = attrs.field(factory=set, repr=False)
    _blamed: str = ""  # what named the warehouse, where that was not the variable
    _folders: tuple[Path, ...] = ()  # where a person's own sources and mappings stand

    @property
    def is_json(self) -> bool:
        """Tell whether a program reads the answer."""
        return self.shared.output is Output.JSON

    def settings(self, where: Where, *, but: Collection[str] | None = ()) -> Settings:
        """
        Load the settings. Raises UsageError, also for a table of `syncer.toml` that nobody reads.

        Of a company's own operations in it whose file is broken one warning tells, but of those that this call uses
        and tells of itself; *but* is their names, None: all.
        """
        settings = load(environment=where.environment)
        self.conceal(settings)
        self._blamed = "--warehouse" if where.warehouse is not None else settings.place_of_warehouse()
        if where.warehouse is None:
            _check_kind(settings.warehouse, "SYNCER_WAREHOUSE")
        else:
            _check_warehouse(where.warehouse)
            settings = attrs.evolve(settings, warehouse=where.warehouse)
            self.conceal(settings)
        self._folders = settings.folders
        check_names(settings)
        if but is not None:
            _warn_of_broken(settings, but)
        return settings

    @contextlib.contextmanager
    def waiting(self, verb: str, what: str = "") -> Iterator[Waiting]:
        """Show in a terminal what *verb* waits for, until it is over."""
        from syncer.reports.progress import Waiting

        line = Waiting(verb, sys.stderr, is_shown=not self.shared.quiet)
        line.waits(self.hidden(what))
        self.before_note = line.clear
        try:
            with line:
                yield line
        finally:
            self.before_note = None

    def say(self, text: str = "") -> None:
        """Print a line of the answer; nothing where a program reads it, or with `--quiet`."""
        if not self.is_json and not self.shared.quiet:
            self.show(text)

    def show(self, text: str = "") -> None:
        """Print a line of the answer that `--quiet` does not silence."""
        if not self.is_json:
            if self.before_note is not None:
                self.before_note()
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a line on stderr, whatever reads the answer."""
        if self.before_note is not None:
            self.before_note()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def log(self) -> None:
        """Send the log to stderr: warnings, more with `--verbose` and `--debug`. Verbs that run an engine call it."""
        from loguru import logger

        level = "DEBUG" if self.shared.debug else "INFO" if self.shared.verbose else "WARNING"
        logger.enable("syncer")
        logger.remove()
        # `diagnose` would print the values of variables: records, tokens.
        logger.add(
            self._log_line,
            level=level,
            format="{time:HH:mm:ss} {level: <7} {message}",
            diagnose=False,
            backtrace=False,
        )

    def fail(self, error: SyncerError, *, cause: Exception | None = None) -> int:
        """Say what failed, once, where whoever called looks for it; return the exit code."""
        if self.is_json and not self.document.is_closed:
            message, hint = self.hidden(error.message), self.hidden(error.hint)
            self.document.put("error", documents.error(type(error).__name__, message, hint))
        else:
            self.note(f"syncer: {self.hidden(str(error))}")
        if self.shared.debug:
            self.note(self.hidden("\n".join(_trace(cause or error))))
        return 1 if self.has_runs else error.exit_code

    def traced(self, run: object, error: Exception) -> None:
        """Show where the error of a run that failed came from, with --debug: `Request.on_failure`."""
        if self.shared.debug:
            self.note(self.hidden("\n".join(_trace(error))))

    def fail_unexpectedly(self, error: Exception) -> int:
        """Say whose file is wrong, ours or a person's own; not the error's text, which may hold a record's values."""
        frames = traceback.extract_tb(error.__traceback__)
        # What a library raises was caused by who called it.
        known = [frame for frame in frames if _is_within(frame.filename, (PACKAGE, *self._folders))] or frames
        file, line = known[-1].filename, known[-1].lineno
        if _is_within(file, self._folders):
            what = f"{file}, line {line}: the error is in that file."
        else:
            name = re.split(r"[\\/]", file)[-1]
            what = f"{name}, line {line}: this is a fault of syncer."
        told = SyncerError(
            f"unexpected {type(error).__name__} in {what}",
            hint="What was committed stands; it is safe to run again. --debug shows more.",
        )
        return self.fail(told, cause=error)

    def conceal(self, settings: Settings) -> None:
        """Take the secrets of *settings* out of all that is said from now on."""
        self._secrets.update(_secrets_of(settings))

    def hidden(self, text: str) -> str:
        """
        Take every token and password out of *text*; where it blames the variable, name the option or the line of
        `syncer.toml` that named the warehouse instead.
        """
        for secret in sorted(self._secrets, key=len, reverse=True):  # one may be a part of another
            text = text.replace(secret, "***")
        return _VARIABLE.sub(lambda _: self._blamed, text) if self._blamed else text

    def _log_line(self, message: str) -> None:
        self.note(self.hidden(str(message)).rstrip("\n"))


def warehouse_named(settings: Settings) -> str:
    """Name the warehouse of *settings* without looking for it; no secret is in it."""
    from syncer.odbc import connecting
    from syncer.warehouses import EMBEDDED, ODBC

    kind, _, rest = settings.warehouse.partition(":")
    if kind == ODBC:
        with contextlib.suppress(UsageError):
            return connecting.link(rest, settings).name
    return terminal.clean(settings.warehouse) if kind == EMBEDDED else "the warehouse"


def _check_warehouse(given: str) -> None:
    """Refuse a `--warehouse` that is none; what stands behind its kind may hold a password, and is not shown."""
    from syncer.warehouses import EMBEDDED, ODBC

    _check_kind(given, "--warehouse")
    kind, colon, rest = given.partition(":")
    if kind not in (EMBEDDED, ODBC) or not rest:
        raise UsageError(
            f"--warehouse is '{terminal.clean(kind)}{':…' if rest else colon}'; {_KINDS} is wanted.",
            hint="Such as --warehouse duckdb:warehouse.duckdb.",
        )


def _check_kind(given: str, name: str) -> None:
    """Refuse a connection string without `odbc:` before it; what stands before its first colon may be its password."""
    if "=" in given.partition(":")[0]:
        raise UsageError(
            f"{name} is a connection string without its kind; {_KINDS} is wanted.",
            hint="Such as odbc:DSN=warehouse.",
        )


def _is_within(file: str, folders: Iterable[Path]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def command(run: Callable[..., int]) -> Callable[..., None]:
    """Make a typer command of a verb's function."""
    hints = typing.get_type_hints(run)
    kinds = {name: hints[name] for name in inspect.signature(run).parameters}
    classes = [Shared if kind is Session else kind for kind in kinds.values()]

    def called(**values: Any) -> None:
        made = {kind: _made(kind, values) for kind in classes}
        session = Session(shared=made[Shared], document=documents.Document(sys.stdout))
        code = _run(run, {name: session if kind is Session else made[kind] for name, kind in kinds.items()}, session)
        raise typer.Exit(code)

    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what typer reads the options from
        [parameter for kind in classes for parameter in _parameters(kind)]
    )
    called.__annotations__ = {}
    called.__name__, called.__doc__ = run.__module__.rpartition(".")[2], run.__doc__
    return called


def _run(run: Callable[..., int], arguments: dict[str, Any], session: Session) -> int:
    """Run a verb; whatever it raises becomes a line and an exit code."""
    try:
        return run(**arguments)
    except SyncerError as error:
        return session.fail(error)
    except KeyboardInterrupt:
        session.fail(SyncerError("interrupted.", hint="What was committed stands; run it again to go on."))
        return INTERRUPTED
    except BrokenPipeError:
        raise  # nobody reads any more: see cli.main
    except Exception as error:  # noqa: BLE001  # the outermost door: a fault of syncer must not print a traceback
        return session.fail_unexpectedly(error)
    finally:
        if session.is_json:
            session.document.close()


def _parameters(kind: type[Any]) -> Iterable[inspect.Parameter]:
    """Write the fields of a class of options as the parameters of a function."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in attrs.fields(kind):
        default = inspect.Parameter.empty if field.default is attrs.NOTHING else field.default
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )


def _made(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**{field.name: values[field.name] for field in attrs.fields(kind)})


def check_names(settings: Settings) -> None:
    """Refuse a table of `syncer.toml` that is no source's and no mapping's: a typo would be ignored silently."""
    from syncer import mappings, operations, sources

    folders = settings.folders
    if settings.tables or settings.environments() != [DEFAULT_ENVIRONMENT]:
        settings.check_names(
            sources=sources.names(folders=folders),
            mappings=mappings.known(
                folders=folders, objects=settings.objects(is_every=True), environments=settings.environments()
            ),
            operations=operations.named_in(settings),
        )
        operations.check_all(settings)


def _warn_of_broken(settings: Settings, but: Collection[str]) -> None:
    """Warn, once, of own operations that `syncer.toml` has a table of and whose files are broken."""
    from syncer import operations

    files = {name.partition(".")[2] for name in but}
    wrong = [error.message for file, error in operations.of_tables(settings).broken.items() if file not in files]
    if wrong:
        from loguru import logger

        logger.warning("{} Only what uses it fails; `syncer check` looks at it again.", " ".join(wrong))


def _trace(error: BaseException | None) -> Iterable[str]:
    """
    Write where an error, and what caused it, came from.

    The text of an error that is not our own is left out: it may hold a record's values (DuckDB's do), or what was
    sent.
    """
    while error is not None:
        yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
        is_ours = isinstance(error, SyncerError)
        yield f"{type(error).__name__}: {error}" if is_ours else f"{type(error).__name__} (text not shown)"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is not None:
            yield "caused by"


def _secrets_of(settings: Settings) -> set[str]:
    """Find what the settings hold of tokens, of all environments, the key of hashes, and the warehouse's passwords."""
    found = {
        value
        for name, value in settings.variables.items()
        if name.startswith("SYNCER_") and name.endswith(("_TOKEN", "_HASH_KEY", "_PASSWORD", "_WEBHOOK"))
    }
    found.add(settings.warehouse_password)
    for text in (settings.warehouse, settings.variables.get("SYNCER_WAREHOUSE", "")):
        found |= _secrets_within(text)
    found |= secrets_in(settings.tables)
    return {token for token in found if len(token) >= SHORTEST_SECRET}


def _secrets_within(warehouse: str) -> set[str]:
    """Find the passwords of a connection string: as they are, and as they stand there; one that is no string, too."""
    from syncer.odbc import strings

    if "=" not in warehouse:
        return set()
    found = {each.strip() for each in _PASSWORD.findall(warehouse)}
    with contextlib.suppress(UsageError):
        parts = strings.parse(warehouse.partition(":")[2]).parts
        values = {value for key, value in parts.items() if key.lower() in strings.SECRET}
        for key, value in parts.items():
            values |= _secret_options(value) if key.lower() == "pqopt" else set()
        found |= values | {strings.braced(value) for value in values}
    return found


def _secret_options(options: str) -> set[str]:
    """Find the passwords among the options of libpq: as they are, and as they stand there."""
    from syncer.odbc import strings

    written = {match[2] for match in _OPTION.finditer(options) if match[1].lower() in strings.SECRET}
    plain = {re.sub(r"\\(.)", r"\1", each[1:-1] if each[:1] == "'" else each) for each in written}
    return written | plain


def without_secrets(options: str) -> str:
    """
    Take the passwords out of the options of libpq (`pqopt`), or all of them where they cannot be told apart.

    Source: PostgreSQL's manual, Connection Strings: `key=value`, blanks between, a value with blanks in quotes.
    """
    from syncer.odbc import strings

    kept, place = [], 0
    while match := _OPTION.match(options, place):
        place = match.end()
        if match[1].lower() not in strings.SECRET:
            kept.append(match[0].strip())
    if options[place:].strip():
        return ""
    return options if len(kept) == len(list(_OPTION.finditer(options))) else " ".join(kept)


@contextlib.contextmanager
def naming_mappings(settings: Settings) -> Iterator[None]:
    """Where a name of a mapping is wanted, and that of an operation is given, say which verb takes it."""
    from syncer import operations

    try:
        yield
    except UnknownName as error:
        files = operations.read([error.name.partition(".")[2]], folders=settings.folders)
        if error.name not in files.found:
            raise
        raise UsageError(
            f"{error.name} is an operation, and no mapping.", hint=f"Run it with `syncer run {error.name}`."
        ) from error


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that tells most, in the order 1, 2, 4, 3, 0."""
    found = set(codes)
    return next((code for code in _SEVERITY if code in found), 0)


def seconds_of(text: str, option: str) -> float:
    """Read a duration: `90`, `90s`, `15m`, `26h`, `2d`. Raises UsageError, which names *option*."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{option} is '{terminal.clean(text)}'.", hint="Give a duration such as 90s, 15m, 26h or 2d.")
    return float(match[1]) * _SECONDS[match[2]]


def complete_mapping(incomplete: str) -> list[str]:
    """Complete a mapping's name; nothing where `syncer.toml` cannot be read: a shell is no place to say so."""
    from syncer import mappings

    try:
        known = mappings.known(folders=load().folders)
    except SyncerError:
        return []
    return [name for name in known if name.startswith(incomplete)]


def complete_source(incomplete: str) -> list[str]:
    """Complete a source's name."""
    from syncer import sources

    try:
        known = sources.names(folders=load().folders)
    except SyncerError:
        return []
    return [name for name in known if name.startswith(incomplete)]
