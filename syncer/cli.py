"""
The command line: `syncer VERB …`, also as `python -m syncer`.

It starts in a third of a second: what a verb needs is imported when it runs, and help is printed without rich, whose
part of typer alone takes longer. Wrong usage is one line on stderr (or a JSON document), like every other error.

Not here: the verbs (`verbs/`), what is printed (`reports/`).
"""

from __future__ import annotations

import enum
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import attrs
import typer

from syncer import verbs
from syncer.reports import documents
from syncer.verbs import check, demo, init, listing, pull, sandbox, status

VERBS: dict[str, tuple[Callable[..., int], str]] = {
    "pull": (pull.run, "Bring records in: what changed since the last time."),
    "list": (listing.run, "List the mappings, their tables and keys."),
    "status": (status.run, "Show how things stand, also while a pull runs."),
    "check": (check.run, "Try everything, and say what does not work."),
    "init": (init.run, "Write a commented syncer.toml."),
    "sandbox": (sandbox.run, "Run a Jira and a GitLab here, to rehearse with."),
    "demo": (demo.run, "Show how it works; nothing needs to be set up."),
}
_DURATION = re.compile(r"\d+(\.\d+)?[smhd]?")

NAMED_SHELL = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # typer takes the shell's name then, and does not guess
HELP_NAMES = ["-h", "--help"]

app = typer.Typer(
    name="syncer",
    rich_markup_mode=None,  # help in plain text
    pretty_exceptions_enable=False,  # they would show the values of variables
    context_settings={"help_option_names": HELP_NAMES},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with rejects left.",
)
for _name, (_run, _summary) in VERBS.items():
    app.command(_name, short_help=_summary)(verbs.command(_run))


def _tell_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib import metadata

        sys.stdout.write(f"syncer {metadata.version('syncer')}\n")
        raise typer.Exit


@app.callback()
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        _make_printable(stream)
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    if len(given) == 2 and given[0] in ("--show-completion", "--install-completion"):
        os.environ[NAMED_SHELL] = "1"
    try:
        code = quickened(typer.main.get_command(app)).main(
            args=spelled_out(given) or ["--help"], prog_name="syncer", standalone_mode=False
        )
        sys.stdout.flush()
    except typer.TyperException as error:
        return _tell_wrong_usage(error, is_json=_wants_json(given))
    except BrokenPipeError:
        # Whoever read us has gone (`syncer list | head -1`); Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Give `--wait` its value where it has none: typer has no options with a value that may be left out."""
    spelled = []
    for at, argument in enumerate(arguments):
        following = arguments[at + 1] if at + 1 < len(arguments) else ""
        is_bare = argument == "--wait" and not _DURATION.fullmatch(following)
        spelled.append(f"--wait={pull.FOREVER}" if is_bare else argument)
    return spelled


@attrs.frozen
class Conversion:
    """
    Turns the text of one parameter into its value, in typer's place.

    Typer has pydantic do it, whose import alone takes 0.25 s (typer 0.29, measured), for every parameter that is no
    flag, given or not. `Any` is what typer hands over: its parameters and contexts are not public types.
    """

    kind: type[Any]
    lowest: float | None = None
    highest: float | None = None

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Convert; typer calls this."""
        if param.nargs == -1:
            return list(value or ())
        if value is None or isinstance(value, self.kind):
            return value
        try:
            converted = self.kind(value)
        except ValueError:
            choices = [str(choice) for choice in self.kind] if issubclass(self.kind, enum.Enum) else []
            wanted = f"one of {', '.join(choices)}" if choices else f"of type {self.kind.__name__}"
            raise typer.BadParameter(f"'{value}' is not {wanted}.", ctx=ctx, param=param) from None
        if (self.lowest is not None and converted < self.lowest) or (
            self.highest is not None and converted > self.highest
        ):
            raise typer.BadParameter(
                f"{value} is not in the range {self.lowest} to {self.highest or 'any'}.", ctx=ctx, param=param
            )
        return converted


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
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    hint = f"See `{context.command_path if context is not None else 'syncer'} --help`."
    if is_json:
        document = documents.Document(sys.stdout)
        document.put("error", documents.error("UsageError", message, hint))
        document.close()
    else:
        sys.stderr.write(f"syncer: {message} {hint}\n")
    return 2


def _make_printable(stream: TextIO) -> None:
    """Let a console that lacks a letter (Windows' cp1252 has no emoji) show its code instead of raising."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    if encoding != "utf8" and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
