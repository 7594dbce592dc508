"""
The high-water marks that a site has in RED's parameters from before: where a first pull begins, and what others who
read them find there afterwards.

    jira_high_water_mark        2026-01-31 10:00        local time, of the start of the run
    gitlab_high_water_mark      2026-01-31T10:00:00     the same; one of all tables, moved by the job's last step
    HWM_ds_<rest of the table>  2026-01-31              Friday Pulse; written by a step of RED

syncer's own marks are in schema `syncer`, by mapping. One of these counts only for a mapping that has none yet. They
are written by `confirm`, when what was read is known to have been carried on, and only where RED has them; Friday
Pulse's is RED's own to write.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from syncer.errors import UsageError
from syncer.settings import Account
from syncer.wherescape.parameters import Parameters

JIRA, GITLAB = "jira_high_water_mark", "gitlab_high_water_mark"
NAMES = {"jira": JIRA, "gitlab": GITLAB}
PULSE = "friday_pulse"


def parameter_of(source: str, load_table: str) -> str:
    """Name the parameter that has the mark of a load table; empty where a source has none."""
    if source == PULSE:
        name = load_table.lower()
        return f"HWM_{'ds_' + name.removeprefix('load_') if name.startswith('load_') else name}"
    return NAMES.get(source, "")


def start_of(parameters: Parameters, *, source: str, load_table: str) -> dt.datetime | None:
    """
    Read where a first pull begins; None: at the beginning, since there is no mark or it is blank.

    A mark without a zone is in this machine's time, which wrote it. Raises UsageError: it is neither date nor time.
    """
    name = parameter_of(source, load_table)
    text = parameters.read(name) if name else None
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"RED's parameter {name} is neither a date nor a time.",
            hint="Such as 2026-01-31 or 2026-01-31 10:00; or empty it: the next pull then reads everything.",
        ) from None
    return found.astimezone(dt.UTC)


def variable(source: str, environment: str, start: dt.datetime) -> tuple[str, str]:
    """Return the variable, and its value, by which a source knows where to begin."""
    return Account(source=source, environment=environment).variable("START"), start.isoformat()


def keep(parameters: Parameters, carried: Iterable[tuple[str, dt.datetime]]) -> list[str]:
    """
    Write the marks of what was carried on: *carried* has the source and the beginning of each pull, and the earliest
    of a source counts. Return the names of the parameters that were written.
    """
    earliest: dict[str, dt.datetime] = {}
    for source, began in carried:
        if source in NAMES:
            earliest[source] = min(began, earliest.get(source, began))
    written = []
    for source, began in earliest.items():
        name = NAMES[source]
        if parameters.procedures.read_parameter(name)[0] is None:  # RED has no such parameter: nobody reads it
            continue
        local = began.astimezone().replace(tzinfo=None)
        minutes = source == "jira"
        parameters.write(
            name, local.isoformat(sep=" ", timespec="minutes") if minutes else local.isoformat("T", "seconds")
        )
        written.append(name)
    return written
