"""
The high-water marks that a site has in RED's parameters from before: where a first pull begins, and what others who
read them find there afterwards.

    jira_high_water_mark        2026-01-31 10:00        local time, of the start of the run
    gitlab_high_water_mark      2026-01-31T10:00:00     the same; one of all tables, moved by the job's last step
    HWM_ds_<rest of the table>  2026-01-31              Friday Pulse; written by a step of RED

syncer's own marks are in schema `syncer`, by mapping. One of these counts only for a mapping that has none yet. They
are written by `confirm`, and only where RED has them; Friday Pulse's is RED's own to write. One holds for all load
tables of its source: it is when the pull began that was carried on longest ago. What `confirm` wrote is nobody's
beginning: the parameter's comment says what that was, and what stood there before, by which a table begins that moves
over later, whichever warehouse it is in.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

import attrs

from syncer.errors import UsageError
from syncer.settings import Account
from syncer.wherescape.parameters import Parameters

JIRA, GITLAB = "jira_high_water_mark", "gitlab_high_water_mark"
NAMES = {"jira": JIRA, "gitlab": GITLAB}
PULSE = "friday_pulse"
LONGEST_COMMENT = 256
_NOTED = re.compile(r" ?\[syncer wrote (?P<written>[^;\]]*); before: (?P<before>[^\]]*)\]$")


@attrs.frozen
class Mark:
    """Where a first pull begins, and the parameter that says so."""

    parameter: str
    start: dt.datetime


def parameter_of(source: str, load_table: str) -> str:
    """Name the parameter that has the mark of a load table; empty where a source has none."""
    if source == PULSE:
        name = load_table.lower()
        return f"HWM_{'ds_' + name.removeprefix('load_') if name.startswith('load_') else name}"
    return NAMES.get(source, "")


def start_of(parameters: Parameters, *, source: str, load_table: str) -> Mark | None:
    """
    Read where a first pull begins; None: at the beginning, since there is no mark or it is blank.

    A mark without a zone is in this machine's time, which wrote it. Raises UsageError: it is neither date nor time.
    """
    name = parameter_of(source, load_table)
    text, comment = parameters.procedures.read_parameter(name) if name else (None, None)
    text = _before(text or "", comment or "")
    if not text.strip():
        return None
    found = _read(text)
    if found is None:
        raise UsageError(
            f"RED's parameter {name} is neither a date nor a time that can be read.",
            hint="Such as 2026-01-31 or 2026-01-31 10:00; or empty it: the next pull then reads everything.",
        )
    return Mark(name, found)


def variable(source: str, environment: str, start: dt.datetime) -> tuple[str, str]:
    """Return the variable, and its value, by which a source knows where to begin."""
    return Account(source=source, environment=environment).variable("START"), start.isoformat()


def keep(parameters: Parameters, source: str, carried: Iterable[dt.datetime | None]) -> tuple[str, str] | None:
    """
    Write the mark of a source; return the parameter and its value, None where it stays.

    carried: for each of its load tables, when the pull began that was carried on last; None: none was yet.
    """
    began = list(carried)
    known = [each for each in began if each is not None]
    name = NAMES[source]
    text, comment = parameters.procedures.read_parameter(name)
    if text is None or len(known) < len(began) or not known:  # RED has no such parameter: nobody reads it
        return None
    local = min(known).astimezone().replace(tzinfo=None)
    new = local.isoformat(sep=" ", timespec="minutes") if source == "jira" else local.isoformat("T", "seconds")
    before = _before(text, comment or "")
    noted = f"[syncer wrote {new}; before: {before.strip() if _read(before) else ''}]"
    own = _NOTED.sub("", comment or "")[: LONGEST_COMMENT - len(noted) - 1]
    parameters.write(name, new, f"{own} {noted}".strip())
    return name, new


def _before(text: str, comment: str) -> str:
    """Return what others had written into a parameter last; what stands there now, where that is theirs."""
    noted = _NOTED.search(comment)
    return noted["before"] if noted is not None and noted["written"] == text else text


def _read(text: str) -> dt.datetime | None:
    """Read a mark; None where it is none, or a moment that the calendar has not in every zone."""
    try:
        return dt.datetime.fromisoformat(text.strip()).astimezone(dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
