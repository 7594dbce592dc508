"""
The high-water marks that a site has in RED's parameters from before: where a first pull begins, and what others who
read them find there afterwards.

    jira_high_water_mark        2026-01-31 10:00        local time, of the start of the run
    gitlab_high_water_mark      2026-01-31T10:00:00     the same; one of all tables, moved by the job's last step
    HWM_ds_<rest of the table>  2026-01-31              Friday Pulse; written by a step of RED

syncer's own marks are in schema `syncer`, by mapping. One of these counts only for a mapping that has none yet. They
are written by `confirm`, and only where RED has them; Friday Pulse's is RED's own to write. One holds for all load
tables of its source: it is when the pull began that was carried on longest ago. What `confirm` wrote is nobody's
beginning: `syncer.red_marks` keeps what stood there before, by which a table that moves over later begins.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import attrs

from syncer import sql
from syncer.errors import UsageError
from syncer.settings import Account
from syncer.shape import ensure
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT
from syncer.warehouses import Transaction
from syncer.wherescape.parameters import Parameters

JIRA, GITLAB = "jira_high_water_mark", "gitlab_high_water_mark"
NAMES = {"jira": JIRA, "gitlab": GITLAB}
PULSE = "friday_pulse"
MARKS = Table(
    schema=STATE,
    name="red_marks",
    columns=(
        Column("parameter", TEXT),
        Column("written", TEXT),  # by `confirm`, last; noted before it is written
        Column("earlier", TEXT),  # by `confirm`, before that
        Column("before", TEXT),  # what others had written there last; empty: nothing
    ),
    key=("parameter",),
)


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


def start_of(t: Transaction, parameters: Parameters, *, source: str, load_table: str) -> Mark | None:
    """
    Read where a first pull begins; None: at the beginning, since there is no mark or it is blank.

    A mark without a zone is in this machine's time, which wrote it. Raises UsageError: it is neither date nor time.
    """
    name = parameter_of(source, load_table)
    text = parameters.read(name) if name else None
    if text is None:
        return None
    kept = _kept(t, name)
    if text in kept.ours:
        text = kept.before
    if not text.strip():
        return None
    try:
        found = dt.datetime.fromisoformat(text.strip()).astimezone(dt.UTC)
    except (ValueError, OverflowError, OSError):  # the two last ones at an edge of the calendar
        raise UsageError(
            f"RED's parameter {name} is neither a date nor a time that can be read.",
            hint="Such as 2026-01-31 or 2026-01-31 10:00; or empty it: the next pull then reads everything.",
        ) from None
    return Mark(name, found)


def variable(source: str, environment: str, start: dt.datetime) -> tuple[str, str]:
    """Return the variable, and its value, by which a source knows where to begin."""
    return Account(source=source, environment=environment).variable("START"), start.isoformat()


def moved(
    t: Transaction, parameters: Parameters, source: str, carried: Iterable[dt.datetime | None]
) -> tuple[str, str] | None:
    """
    Note the mark that a source gets, and return the parameter and its value, to be written when *t* has committed;
    None: the mark stays.

    carried: for each of its load tables, when the pull began that was carried on last; None: none was yet.
    """
    began = list(carried)
    known = [each for each in began if each is not None]
    name = NAMES[source]
    text, _ = parameters.procedures.read_parameter(name)
    if text is None or len(known) < len(began) or not known:  # RED has no such parameter: nobody reads it
        return None
    local = min(known).astimezone().replace(tzinfo=None)
    new = local.isoformat(sep=" ", timespec="minutes") if source == "jira" else local.isoformat("T", "seconds")
    kept = _kept(t, name)
    row = [new, text, kept.before] if text in kept.ours else [new, "", text]
    if not t.run(sql.update_one(MARKS), [*row, name]):
        t.run(sql.insert(MARKS), [name, *row])
    return name, new


@attrs.frozen
class _Kept:
    """What `confirm` wrote into a parameter, and what had stood there before."""

    ours: tuple[str, ...] = ()
    before: str = ""


def _kept(t: Transaction, name: str) -> _Kept:
    ensure(t, MARKS)
    query = f"SELECT m.written, m.earlier, m.before FROM {sql.table_name(MARKS)} AS m WHERE m.parameter = ?"
    rows = t.rows(sql.statement(query), [name])
    return _Kept((str(rows[0][0]), str(rows[0][1])), str(rows[0][2])) if rows else _Kept()
