"""
`syncer wherescape env|check|files`: what a person does around host scripts of WhereScape RED, from a command line.

    env FILE                writes a template of what RED sets, for a developer's own machine
    env FILE -- COMMAND …   runs a command with what the file sets, as RED would start it; `syncer` finds in it which
                            warehouse and which account the file is about
    check                   looks at RED's repository and its target
    files FOLDER            writes the connection type and the host scripts, to be loaded into RED

Not here: what is looked at (`wherescape/checking.py`), and the host scripts' own verbs (`wherescape/`).
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import attrs
import typer

from syncer import mappings, sources
from syncer import settings as settings_module
from syncer.errors import SyncerError, UsageError
from syncer.settings import DEFAULT_ENVIRONMENT
from syncer.verbs import Session, Where
from syncer.wherescape import browsing, checking, deducing, environment, site
from syncer.wherescape.checking import Checked, TableFound

CONNECTION_TYPE = "api_connection.uiconfig"
_FILES = Path(checking.__file__).parent / "files"
_SCRIPT = "from syncer import wherescape\n\nwherescape.{verb}()\n"
SCRIPTS = {
    f"{verb}.py": _SCRIPT.format(verb=verb) for verb in ("pull", "create_metadata", "push", "confirm", "browse")
}
TEMPLATE = """\
# What WhereScape RED sets for a host script, to run one on your own machine:
#     syncer wherescape env {name} -- python pull.py
# Passwords and tokens stand here: keep this file to yourself, and out of git.

# The repository, and what stands before its names.
WSL_META_DSN=
WSL_META_USER=
WSL_META_PWD=
WSL_META_SCHEMA=dbo.

# The warehouse that has the load table.
WSL_TGT_DSN=
WSL_TGT_USER=
WSL_TGT_PWD=

# The source of the load table, where it is a database.
WSL_SRC_DSN=
WSL_SRC_USER=
WSL_SRC_PWD=

# The source of the load table, where it is an API: the configured fields of its connection.
WSL_SRCCFG_url=
WSL_SRCCFG_apikey=
WSL_SRCCFG_user=

# The load table.
WSL_LOAD_TABLE=load_jira_issues
WSL_LOAD_SCHEMA=load
WSL_LOAD_FULLNAME=load.load_jira_issues

# The job that it is a task of: none, as where RED's window starts a script. No counts are told to a scheduler.
WSL_SEQUENCE=1234
WSL_JOB_KEY=0
WSL_JOB_NAME=Develop
WSL_TASK_KEY=0
WSL_TASK_NAME=load_jira_issues

# Where files and the log go; empty: the system's folder for temporary files.
WSL_WORKDIR=
"""


class What(enum.StrEnum):
    """What is to be done."""

    ENV = "env"
    CHECK = "check"
    FILES = "files"


@attrs.frozen(kw_only=True)
class Options:
    """What `wherescape` takes."""

    what: Annotated[What, typer.Argument(metavar="env|check|files", help="What is to be done.")]
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|FOLDER", help="The file, with -- and a command behind it, or the folder."),
    ] = None


def run(options: Options, session: Session) -> int:
    """
    Work with WhereScape RED from a command line.

    env FILE: write a template of what RED sets; with -- COMMAND..., run a command with what FILE sets.
    check: look at RED's repository and its target, as a page; writes nothing.
    files FOLDER: write the connection type and the host scripts, to be loaded into RED.
    """
    given = options.given or []
    if options.what is What.CHECK:
        if given:
            raise UsageError(f"`syncer wherescape check` takes nothing, and was given {given[0]!r}.")
        return _check(session)
    if not given:
        what = "file" if options.what is What.ENV else "folder"
        raise UsageError(f"`syncer wherescape {options.what}` wants the name of a {what}.")
    place, *command = given
    if options.what is What.FILES:
        if command:
            raise UsageError(f"`syncer wherescape files` takes one folder, and was given {len(given)}.")
        return _write_files(Path(place), session)
    return _run_command(Path(place), command, session) if command else _write_template(Path(place), session)


def _write_template(file: Path, session: Session) -> int:
    """Write the template where there is no file yet; only its owner may read it."""
    is_new = not file.exists()
    if is_new:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                written.write(TEMPLATE.format(name=file.name))
        except OSError as error:
            raise UsageError(f"{file} cannot be written ({error.strerror}).") from error
    names = [name for name, value in environment.env_file(file).items() if value]
    is_ignored = _is_ignored(file)
    _warn_of_git(file, is_ignored, session)
    if session.is_json:
        session.document.put("file", str(file))
        session.document.put("is_new", is_new)
        session.document.put("set", names)
        session.document.put("is_ignored_by_git", is_ignored)
        return 0
    if is_new:
        session.say(f"Wrote {file}. Fill it in, then: syncer wherescape env {file} -- python pull.py")
    else:
        session.say(f"{file} is there, and is left as it is. It sets {len(names)}: {', '.join(names)}.")
    return 0


def _run_command(file: Path, command: list[str], session: Session) -> int:
    """Run a command with what the file sets; return its exit code."""
    if session.is_json:
        raise UsageError("`syncer wherescape env` runs a command, which prints what it likes: --output json is not.")
    variables = environment.env_file(file)
    _warn_of_git(file, _is_ignored(file), session)
    found = shutil.which(command[0])
    if found is None:
        raise UsageError(f"There is no command {command[0]!r}.", hint="Is it in PATH?")
    # RED's own names of another start would mix with the file's; empty ones are as good as none.
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("WSL_")}
    given = {**inherited, **variables}
    try:
        return subprocess.run([found, *command[1:]], env={**given, **_of_red(given)}, check=False).returncode & 0xFF
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be started ({error.strerror}).") from error


def _of_red(given: Mapping[str, str]) -> dict[str, str]:
    """
    Return what `syncer` itself must find in the environment of a command, out of RED's variables: the warehouse, and
    the account that the source connection leads to. What is set already stays.
    """
    with contextlib.suppress(SyncerError):  # the command says what is wrong, where it needs it
        red = environment.read(given)
        source, account = "", DEFAULT_ENVIRONMENT
        with contextlib.suppress(SyncerError):  # a table's name may say none, or several: the warehouse is known
            source, account = _account(red, given)
        found = site.for_commands(red, source=source, environment=account)
        warehouse = {name for name in found if name.startswith("SYNCER_WAREHOUSE")}  # whole: it and its login
        kept = {name for name in found if given.get(name)} - warehouse
        if given.get("SYNCER_WAREHOUSE"):
            kept |= warehouse
        return {name: value for name, value in found.items() if name not in kept}
    return {}


def _account(red: environment.Environment, given: Mapping[str, str]) -> tuple[str, str]:
    """
    Tell whose connection the load table has, and of which environment: by the table's name, as a host script does.

    Only where that names nothing of ours the connection's address tells; else it might be another's token.
    """
    settings = settings_module.load(variables=given)
    known = list(mappings.known(folders=settings.folders, objects=settings.objects(is_every=True)).values())
    if red.load_table and deducing.names_ours(red.load_table, known):
        mapping, account = deducing.deduce(red.load_table, known, settings.environments())
        return mapping.source, account
    names = sources.names(folders=settings.folders)
    return browsing.source_of(red.srccfg.get("url", ""), names) or "", DEFAULT_ENVIRONMENT


def _is_ignored(file: Path) -> bool | None:
    """Ask git whether it ignores a file; None where there is no git, or no repository."""
    git = shutil.which("git")
    if git is None:
        return None
    asked = subprocess.run(
        [git, "check-ignore", "--quiet", file.resolve().name],
        cwd=file.resolve().parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return {0: True, 1: False}.get(asked.returncode)


def _warn_of_git(file: Path, is_ignored: bool | None, session: Session) -> None:
    if is_ignored is False:
        session.note(f"syncer: git does not ignore {file}, which holds passwords: add {file.name} to .gitignore.")


def _write_files(folder: Path, session: Session) -> int:
    """Write the connection type and the scripts; a file that somebody changed is left, and told."""
    wanted = {CONNECTION_TYPE: (_FILES / CONNECTION_TYPE).read_text(encoding="utf-8"), **SCRIPTS}
    written: list[str] = []
    there: list[str] = []
    kept: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in wanted.items():
            file = folder / name
            if not file.exists():
                file.write_text(text, encoding="utf-8")
                written.append(name)
            else:
                (there if file.read_bytes().replace(b"\r\n", b"\n") == text.encode() else kept).append(name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}).") from error
    if session.is_json:
        session.document.put("folder", str(folder))
        for key, names in (("written", written), ("unchanged", there), ("left", kept)):
            session.document.put(key, names)
    if written:
        session.say(f"Wrote into {folder}: {', '.join(written)}.")
        session.say("Load the .uiconfig in RED (Tools, UI Configurations), and make a host script of each .py.")
    elif not kept:
        session.say(f"{folder} has all of them.")
    if kept:
        session.show(f"Left as they are, since they say something else: {', '.join(kept)}.")
    return 3 if kept else 0


def _check(session: Session) -> int:
    """Show what `checking.check` finds; 3 where something needs a look."""
    session.log()
    settings = session.settings(Where())
    red = environment.read(os.environ)
    with session.waiting("wherescape check", "the repository"):
        found = checking.check(red, settings)
    if session.is_json:
        for key, value in attrs.asdict(found).items():
            session.document.put(key, value)
        session.document.put("needing_look", found.needing_look)
        return 3 if found.needing_look else 0
    for table in found.tables:
        for line in _table(table):
            (session.show if table.looks else session.say)(line)
        session.say()
    for line in _rest(found):
        session.say(line)
    for look in found.looks:
        session.show(f"! {look}")
    session.show(f"{_counted(found.needing_look, 'thing')} to look at.")
    return 3 if found.needing_look else 0


def _table(table: TableFound) -> Iterator[str]:
    """Write what was found of a load table."""
    served = f"{table.mapping} ({table.environment}), told by its {table.told_by}" if table.mapping else "nothing yet"
    yield f"{table.table}  <-  {served}"
    if table.columns:
        shape = {"mapping": "the mapping's"}.get(table.columns, f"of before ({table.columns})")
        yield f"    columns {shape}: {table.filled} are filled"
        if table.is_extended and table.unfilled:
            yield f"    only where the source defines them: {_some(table.unfilled)}"
        if table.not_carried:
            yield f"    the stream has and RED does not: {len(table.not_carried)} ({_some(table.not_carried)})"
        if not table.has_states:
            yield "    no dss_record_state: records that end are not told, but counted in a warning"
    for look in table.looks:
        yield f"  ! {look}"
    for text in table.otherwise:
        yield f"    data: {text}"


def _rest(found: Checked) -> Iterator[str]:
    """Write what is of no single load table."""
    for text in found.otherwise:
        yield f"data of all tables of before: {text}"
    yield f"{_counted(len(found.others), 'other load table')}: {_some(found.others) or '-'}"
    for stage in found.stages:
        lacking = "" if stage.is_set else f"; RED's parameter {stage.token} is not there"
        yield f"stage table {stage.table}  ->  {stage.mapping} ({stage.environment}) by its name{lacking}"
    for what, names in (("marks", found.marks), ("tokens", found.tokens), ("read by nothing", found.unread)):
        yield f"parameters, {what}: {', '.join(names) or '-'}"
    absent = [f"{name} ({what})" for name, what in found.missing.items()]
    yield f"routines that are not there: {', '.join(absent) or '-'}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - checking.NAMED} more" if len(names) > checking.NAMED else ""
    return ", ".join(names[: checking.NAMED]) + more
