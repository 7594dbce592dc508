"""
What WhereScape RED tells a host script: the variables `WSL_*`, read once into a frozen value.

RED's UNIX scheduler sets the same variables without `WSL_`; those are looked up second. A variable that is empty is
absent: a script that is started by hand gets empty ones. Names of variables, and their meaning: WhereScape RED user
guide, "Script Environment Variables".

Not here: who connects (`connections.py`), what is printed (`hosting.py`).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from syncer.errors import UsageError

DEVELOP = "Develop"  # the job's name where somebody starts a script from RED's window (RED 10)
_SRCCFG = "SRCCFG_"
_SETTING = re.compile(r"(?:export\s+)?([^\s=#'\"]+)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:"([^"]*)"|'([^']*)')\s*(?:#.*)?""")
_PART = r'(?:\[(?:[^\]]|\]\])+\]|"(?:[^"]|"")+"|[\w$#@]+)'
_SCHEMA = re.compile(rf"{_PART}(?:\.{_PART})*")
_SECRET = ("pwd", "password", "token", "hash_key", "webhook")  # how names of secrets end
_LOGINS = {"META": "meta", "TGT": "target", "SRC": "source"}
_PROPERTIES = {"DSN": "dsn", "USER": "user", "PWD": "password"}
_FIELDS = {  # of an `Environment`, by the name of the variable that has it, without WSL_
    **{f"{login}_{what}": (field, own) for login, field in _LOGINS.items() for what, own in _PROPERTIES.items()},
    **{
        name: (name.lower(), "")
        for name in ("LOAD_TABLE", "LOAD_SCHEMA", "LOAD_FULLNAME", "SEQUENCE")
        + ("JOB_KEY", "JOB_NAME", "TASK_KEY", "TASK_NAME")
    },
}
_VARIABLES = {f"{field}_{own}" if own else field: name for name, (field, own) in _FIELDS.items()}
_VARIABLES |= {name.lower(): name for name in _FIELDS}  # `tgt_dsn` and `target_dsn` are the same


@attrs.frozen(kw_only=True)
class Login:
    """One ODBC connection as RED names it; user and password are empty for a trusted login."""

    dsn: str = ""
    user: str = ""
    password: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Environment:
    """
    What RED says of the script that runs.

    meta, target, source: the repository, the warehouse that holds the load table, the source of the load table.
    meta_schema: what stands before each name in the repository; it ends in one dot.
    load_table, load_schema: bare names, without quotes, brackets and RED's dot. load_fullname: as RED writes it.
    sequence, job_key, task_key: 0 outside a job.
    workdir: the script's folder, made when it is needed (`folder`); the system's temporary one else.
    srccfg: the configured fields of the source connection, by name in small letters; a value may be a secret.
    """

    meta: Login = attrs.field(factory=Login)
    target: Login = attrs.field(factory=Login)
    source: Login = attrs.field(factory=Login)
    meta_schema: str = "dbo."
    load_table: str = ""
    load_schema: str = ""
    load_fullname: str = ""
    sequence: int = 0
    job_key: int = 0
    job_name: str = ""
    task_key: int = 0
    task_name: str = ""
    workdir: Path = attrs.field(factory=lambda: Path(tempfile.gettempdir()))
    srccfg: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    is_inside_red: bool = False

    @property
    def is_development(self) -> bool:
        """Tell whether somebody started this from RED's window: print only, write neither counts nor log rows."""
        return self.job_key == 0 and self.job_name.lower() == DEVELOP.lower()

    @property
    def in_job(self) -> bool:
        """Tell whether the scheduler runs this as a task of a job."""
        return bool(self.sequence and self.task_key)

    def require(self, *names: str) -> None:
        """
        Check that each of *names* is there: `meta_dsn`, `target_user`, `load_table`, `srccfg_url`, …; a number is
        missing where it is 0. Inside RED the repository must be there as well.
        Raises: UsageError, which names the variables of all that are missing at once.
        """
        if self.is_inside_red:  # parameters, and the counts of a task, are there
            names = tuple(dict.fromkeys((*names, "meta_dsn")))
        missing = [variable_of(name) for name in names if not self._value_of(name)]
        if missing:
            one = len(missing) == 1
            hint = (
                "WhereScape RED sets such variables for a host script whose load table has the connection; on "
                "your own machine a file can stand in for RED: `syncer wherescape env`."
            )
            if self.is_inside_red and not self.meta.dsn:
                hint += " Where there is no repository, leave out the job's variables as well."
            raise UsageError(f"{_listed(missing)} {'is' if one else 'are'} not set.", hint=hint)

    def folder(self, *names: str) -> Path:
        """Return a folder below the work directory, made when it is not there. Raises OSError: it cannot be made."""
        found = self.workdir.joinpath(*names)
        found.mkdir(parents=True, exist_ok=True)
        return found

    def _value_of(self, name: str) -> str | int:
        if name.startswith(_SRCCFG.lower()):
            return self.srccfg.get(name.removeprefix(_SRCCFG.lower()), "")
        field, own = _FIELDS[_VARIABLES[name]]
        value = getattr(self, field)
        found: str | int = getattr(value, own) if own else value
        return found


def variable_of(name: str) -> str:
    """Name the variable that holds what an `Environment` calls *name*: `WSL_TGT_DSN` for `target_dsn`."""
    is_configured = name.startswith(_SRCCFG.lower())
    return f"WSL_{_SRCCFG}{name.removeprefix(_SRCCFG.lower())}" if is_configured else f"WSL_{_VARIABLES[name]}"


def is_inside(variables: Mapping[str, str]) -> bool:
    """
    Tell whether RED started this process: it names a repository, and a run or a load table, though it be empty; or a
    whole task of a job (sequence, job, task) and its target, where the repository alone is missing.
    """
    names = [f"{prefix}{name}" for prefix in ("WSL_", "") for name in ("SEQUENCE", "LOAD_TABLE")]
    if _text(variables, "META_DSN"):
        return any(name in variables for name in names)
    return all(_text(variables, name) for name in ("SEQUENCE", "JOB_KEY", "TASK_KEY", "TGT_DSN"))


def workdir_of(variables: Mapping[str, str]) -> Path:
    """Return the work directory, with or without a separator at its end; it need not be there."""
    given = _text(variables, "WORKDIR")
    if os.sep == "/":  # a backslash at the end is RED's, and would be a letter of the name here
        given = given.rstrip("\\") or given
    return Path(given or tempfile.gettempdir())


def secrets_of(variables: Mapping[str, str]) -> set[str]:
    """Find what must never be shown: passwords, the configured fields that may be tokens, and syncer's own secrets."""
    ends = tuple(f"_{name}" for name in _SECRET)
    found = {value for name, value in variables.items() if name.lower().endswith(ends)}
    harmless = ("url", "user", "username")
    found |= {value for key, value in _configured(variables).items() if key not in harmless}
    return found - {""}


def read(variables: Mapping[str, str]) -> Environment:
    """Read *variables*. Raises UsageError: what must be a number is none, or the schema is no name."""
    logins = {
        field: Login(**{own: _text(variables, f"{login}_{what}") for what, own in _PROPERTIES.items()})
        for login, field in _LOGINS.items()
    }
    return Environment(
        **logins,
        meta_schema=_schema(_text(variables, "META_SCHEMA") or "dbo."),
        load_table=_bare(_text(variables, "LOAD_TABLE")),
        load_schema=_bare(_text(variables, "LOAD_SCHEMA")),
        load_fullname=_text(variables, "LOAD_FULLNAME"),
        sequence=_number(variables, "SEQUENCE"),
        job_key=_number(variables, "JOB_KEY"),
        job_name=_text(variables, "JOB_NAME"),
        task_key=_number(variables, "TASK_KEY"),
        task_name=_text(variables, "TASK_NAME"),
        workdir=workdir_of(variables),
        srccfg=_configured(variables),
        is_inside_red=is_inside(variables),
    )


def env_file(path: Path) -> dict[str, str]:
    """
    Read a file of `NAME=VALUE` lines, which stands in for RED on a developer's machine.

    A line may begin with `export`. What is behind a # is a comment, at the beginning or behind a blank. A value in
    quotes ends at the same quote, and a backslash is a backslash.
    Raises: UsageError: the file cannot be read, or has another line; the line is not repeated: it may be a password.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}).", hint="Is it there, and UTF-8?") from error
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        match = _SETTING.fullmatch(bare)
        value = _unquoted(match[2]) if match else None
        if match is None or value is None or "\0" in bare:
            raise UsageError(
                f"{path}, line {number}: neither NAME=VALUE nor a comment.",
                hint="A value with a # or a quote in it stands in quotes.",
            )
        found[match[1]] = value
    return found


def _unquoted(value: str) -> str | None:
    """Take a value out of its quotes, and a comment away; None where a quote has no end."""
    if value[:1] in ("'", '"'):
        match = _QUOTED.fullmatch(value)
        return None if match is None else next(each for each in match.groups() if each is not None)
    return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()


def _text(variables: Mapping[str, str], name: str) -> str:
    is_password = name.endswith("_PWD")  # a blank at its end may be a part of it
    for found in (variables.get(f"WSL_{name}", ""), variables.get(name, "")):
        if found.strip():
            return found if is_password else found.strip()
    return ""


def _number(variables: Mapping[str, str], name: str) -> int:
    text = _text(variables, name)
    if not re.fullmatch(r"-?[0-9]{1,18}", text or "0"):
        raise UsageError(
            f"WSL_{name} is '{text[:40]}', which is no whole number.",
            hint="WhereScape RED sets it; outside a job leave it out, or make it 0.",
        )
    return int(text or "0")


def _schema(text: str) -> str:
    """Write what stands before a name in the repository; it goes into SQL, so that it must be a name."""
    bare = text.rstrip(".")
    if not _SCHEMA.fullmatch(bare):
        raise UsageError(
            "WSL_META_SCHEMA is no name of a schema.", hint="Such as dbo. with its dot, or [my schema]. in brackets."
        )
    return f"{bare}."


def _bare(text: str) -> str:
    """Take RED's dot, and quotes or brackets around the whole, away."""
    name = text.removesuffix(".")
    if len(name) > 2 and name[0] == name[-1] == '"':
        return name[1:-1].replace('""', '"')
    if len(name) > 2 and (name[0], name[-1]) == ("[", "]"):
        return name[1:-1].replace("]]", "]")
    return name


def _configured(variables: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for beginning in (f"WSL_{_SRCCFG}", _SRCCFG):
        for name in sorted(variables):
            if name.upper().startswith(beginning) and variables[name].strip():
                found.setdefault(name[len(beginning) :].lower(), variables[name].strip())
    return found


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
