"""
The command line: `syncer VERB …`, also as `python -m syncer`.

It starts in a third of a second: what a verb needs is imported when it runs, and help is printed without rich, whose
part of typer alone takes longer. Wrong usage is one line on stderr (or a JSON document), like every other error.

Not here: the verbs (`verbs/`), what is printed (`reports/`).
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, TextIO

import typer

from syncer import verbs
from syncer.reports import documents
from syncer.verbs import check, demo, init, listing, pull, sandbox, status

VERBS = {
    "pull": pull, "list": listing, "status": status, "check": check, "init": init, "sandbox": sandbox, "demo": demo,
}  # fmt: skip
_DURATION = re.compile(r"\d+(\.\d+)?[smhd]?")

app = typer.Typer(
    name="syncer",
    rich_markup_mode=None,  # help in plain text
    pretty_exceptions_enable=False,  # they would show the values of variables
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with rejects left.",
)
for _name, _verb in VERBS.items():
    app.command(_name)(verbs.command(_verb.run))


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
    try:
        command = typer.main.get_command(app)
        code = command.main(args=spelled_out(given) or ["--help"], prog_name="syncer", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _tell_wrong_usage(error, is_json=_wants_json(given))
    except BrokenPipeError:
        # Whoever read us has gone (`syncer list | head -1`); Python would complain once more when it flushes at the end.
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
