"""
The command line: `syncer VERB …`, also as `python -m syncer`.

It starts in a third of a second: only the verb that is asked for is imported, what it needs is imported when it runs,
and help is printed without rich, whose part of typer alone takes longer. Wrong usage is one line on stderr (or a JSON
document), like every other error.

Not here: the verbs (`verbs/`), what is printed (`reports/`).
"""

from __future__ import annotations

import enum
import importlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TextIO

try:
    import typer
except KeyboardInterrupt:  # it takes a tenth of a second, before `main` can catch anything
    sys.stderr.write("syncer: interrupted.\n")
    sys.exit(130)

# Where each verb is, in `verbs/`, and what it does.
VERBS = {
    "pull": ("pull", "Bring records in: what changed since the last time."),
    "push": ("push", "Bring rows out: what changed, as a plan that can be read first."),
    "verify": ("verify", "Compare both sides whole; write nothing."),
    "run": ("run", "Run a maintenance operation, as a plan that can be read first."),
    "revert": ("revert", "Put back what a run changed, as a plan that can be read first."),
    "list": ("listing", "List the mappings, their tables and keys."),
    "clean": ("clean", "Delete what the journal need not keep any more."),
    "forget": ("forget", "Erase a person from the warehouse."),
    "status": ("status", "Show how things stand, also while a pull runs."),
    "check": ("check", "Try everything, and say what does not work."),
    "init": ("init", "Write a commented syncer.toml."),
    "sandbox": ("sandbox", "Run HubSpot, Jira, GitLab, Friday Pulse and AnythingLLM here, to rehearse with."),
    "wherescape": ("wherescape", "Work with WhereScape RED: a stand-in for it, a check, its files."),
    "demo": ("demo", "Show how it works; nothing needs to be set up."),
}
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
HELP_NAMES = ["-h", "--help"]
NAMED_SHELL = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # typer takes the shell's name then, and does not guess
COMPLETION = "_SYNCER_COMPLETE"  # a shell asks for completions
_DURATION = re.compile(r"\d+(\.\d+)?[smhd]?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        _make_printable(stream)
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    if len(given) == 2 and given[0] in ("--show-completion", "--install-completion"):
        os.environ[NAMED_SHELL] = "1"
    wanted = VERBS if COMPLETION in os.environ else [word for word in given if not word.startswith("-")][:1]
    try:
        group = quickened(typer.main.get_command(application(wanted)))
        code = group.main(args=spelled_out(given) or ["--help"], prog_name="syncer", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _tell_wrong_usage(error, is_json=_wants_json(given))
    except KeyboardInterrupt:  # before the verb itself catches it
        return _tell("SyncerError", "interrupted.", "Nothing was begun.", is_json=_wants_json(given), code=INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us has gone (`syncer list | head -1`); Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


def application(wanted: Iterable[str] = VERBS) -> typer.Typer:
    """Make the application; a verb that is not *wanted* is a name and what it does, for `syncer --help`."""
    app = typer.Typer(
        name="syncer",
        rich_markup_mode=None,  # help in plain text
        pretty_exceptions_enable=False,  # they would show the values of variables
        context_settings={"help_option_names": HELP_NAMES},
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with rejects or conflicts, 4 refused by limits.",
    )
    app.callback()(_syncer)
    for name, (module, summary) in VERBS.items():
        app.command(name, short_help=summary)(_command(module) if name in wanted else _not_wanted)
    return app


def _command(module: str) -> Callable[..., None]:
    from syncer import verbs

    return verbs.command(importlib.import_module(f"syncer.verbs.{module}").run)


def _not_wanted() -> None:
    raise AssertionError("unreachable: the verb that is called is always wanted")


def _tell_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib import metadata

        sys.stdout.write(f"syncer {metadata.version('syncer')}\n")
        raise typer.Exit


def _syncer(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """
    Keep a company's warehouse and its systems in agreement.

    `syncer demo` shows how it works, with nothing set up.
    """


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Give `--wait` its value where it has none: typer has no options with a value that may be left out."""
    spelled = []
    own = arguments.index("--") if "--" in arguments else len(arguments)  # behind it stands another's command
    for at, argument in enumerate(arguments[:own]):
        following = arguments[at + 1] if at + 1 < len(arguments) else ""
        is_bare = argument == "--wait" and not _DURATION.fullmatch(following)
        spelled.append("--wait=forever" if is_bare else argument)
    return [*spelled, *arguments[own:]]


class Conversion:
    """
    Turns the text of one parameter into its value, in typer's place.

    Typer has pydantic do it, whose import alone takes 0.25 s (typer 0.29, measured), for every parameter that is no
    flag, given or not. `Any` is what typer hands over: its parameters and contexts are not public types.
    """

    def __init__(self, kind: type[Any], lowest: float | None, highest: float | None) -> None:
        self._kind, self._lowest, self._highest = kind, lowest, highest

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Convert; typer calls this."""
        if param.nargs == -1 or getattr(param, "multiple", False):
            return list(value or ())
        if value is None or isinstance(value, self._kind):
            return value
        try:
            converted = self._kind(value)
        except ValueError:
            raise typer.BadParameter(f"'{value}' is not {self._wanted()}.", ctx=ctx, param=param) from None
        if not self._is_in_range(converted):
            highest = "any" if self._highest is None else self._highest
            message = f"{value} is not in the range {self._lowest} to {highest}."
            raise typer.BadParameter(message, ctx=ctx, param=param)
        return converted

    def _wanted(self) -> str:
        if issubclass(self._kind, enum.Enum):
            return f"one of {', '.join(str(choice) for choice in self._kind)}"
        return f"of type {self._kind.__name__}"

    def _is_in_range(self, value: Any) -> bool:
        return (self._lowest is None or value >= self._lowest) and (self._highest is None or value <= self._highest)


def quickened(group: Any) -> Any:
    """Put a `Conversion` where typer would make its own. Where typer no longer looks for it, it is only slower."""
    for command in (group, *group.commands.values()):
        context = typer.Context(command, help_option_names=HELP_NAMES)
        for param in (*command.params, command.get_help_option(context)):
            descriptor: Any = getattr(param, "type_descriptor", None)
            kind = str if getattr(descriptor, "is_list", False) else getattr(descriptor, "annotation", None)
            if isinstance(kind, type):
                info = descriptor.parameter_info
                param._runtime_param = Conversion(kind, info.min, info.max)
    return group


def _wants_json(arguments: Sequence[str]) -> bool:
    """Tell whether a program reads the answer, before the options are understood."""
    pairs = zip(arguments, arguments[1:], strict=False)
    return "--output=json" in arguments or ("--output", "json") in pairs


def _tell_wrong_usage(error: typer.TyperException, *, is_json: bool) -> int:
    """Say what is wrong with the command itself."""
    context = getattr(error, "ctx", None)
    hint = f"See `{context.command_path if context is not None else 'syncer'} --help`."
    return _tell("UsageError", " ".join(error.format_message().split()), hint, is_json=is_json, code=2)


def _tell(kind: str, message: str, hint: str, *, is_json: bool, code: int) -> int:
    """Say, where whoever called looks for it, why no verb ran; return the exit code."""
    from syncer.reports import documents

    if is_json:
        document = documents.Document(sys.stdout)
        document.put("error", documents.error(kind, message, hint))
        document.close()
    else:
        sys.stderr.write(f"syncer: {message} {hint}\n")
    return code


def _make_printable(stream: TextIO) -> None:
    """Let a console that lacks a letter (Windows' cp1252 has no emoji) show its code instead of raising."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    if encoding != "utf8" and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
