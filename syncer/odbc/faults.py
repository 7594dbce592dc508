"""
What an error of ODBC means, without what may be of a row in its text.

Drivers tell a SQLSTATE and a text. The state is believed where it is one of its own; where a driver has only HY000 for
all that is odd, its text is looked at.
"""

from __future__ import annotations

import re

from syncer.errors import without_values

STATE = re.compile(r"[0-9A-Z]{5}")
_LOST_STATES = re.compile(r"08...|57P0[123]")
_LOST = re.compile(
    r"server closed the connection|no connection to the server|connection (not open|is closed|was lost|has been lost)"
    r"|connection (reset|dead)|communication link failure|terminating connection|could not (send|receive) data"
    r"|broken pipe|connection timed out|SSL (connection has been closed|SYSCALL)|not connected"
    r"|adaptive server connection|gone away|DBPROCESS is dead|TCP Provider",
    re.IGNORECASE,
)
_STARTING = re.compile(
    r"starting up|is not currently available|shutting down|in recovery mode"
    r"|not yet accepting connections|not accepting connections|is being shut"
    r"|Connection refused|actively refused|No such file or directory.*socket|Adaptive Server is unavailable"
    r"|server closed the connection unexpectedly|terminating connection"  # a server that comes back from a crash
    r"|too many clients|too many connections|remaining connection slots|user connections has already been reached"
    r"|script upgrade mode",  # a SQL Server that was updated (18401)
    re.IGNORECASE | re.DOTALL,
)
_REFUSED = re.compile(
    r"authentication failed|login failed|no password supplied|access denied"
    r"|role .* (does not exist|is not permitted to log in)",
    re.IGNORECASE,
)
_NOBODY = re.compile(  # the last are FreeTDS's words
    r"connection refused|actively refused|No such file or directory|Adaptive Server is unavailable", re.IGNORECASE
)
_NO_ENTRY = re.compile(r"no pg_hba\.conf entry|pg_hba\.conf rejects", re.IGNORECASE)
_FULL = re.compile(
    r"too many clients|too many connections|remaining connection slots|user connections has already been reached",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(r"Can't open lib '([^']*)'")
_NO_DATABASE = re.compile(r"database .* does not exist|cannot open database", re.IGNORECASE)
_NO_HOST = re.compile(r"could not translate host|name or service not known|getaddrinfo|unknown host", re.IGNORECASE)
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")
_TAIL = re.compile(
    r"\s*(;?\s*Error while (executing|preparing) (the query|parameters)|;\s*$)?\s*(\(-?\d+\))?\s*(\(SQL\w+\))?\s*$"
)
_DETAIL = re.compile(r"\n\s*(?:DETAIL|CONTEXT|LINE \d+|QUERY|STATEMENT):")
# States whose texts quote names, not values: whole classes, and PostgreSQL's own of constraints (others say 23000, and
# may tell the row).
_NAMES = ("2B", "42", "3F", "3D", "28", "0A", "55", "57", "53", "2350", "23514", "23P01")
_OF_ROWS = ("22", "23", "42", "P0")
_RAISED = re.compile(r"\[SQL Server\].*\((?:[5-9]\d{4}|\d{6,})\) \(SQL\w+\)", re.DOTALL)  # by a trigger of a person
_VALUE = re.compile(r"\s*(?:The duplicate key value|Truncated value).*", re.DOTALL)
_PERSONS = "P0"  # raised by a function or trigger, in words of whoever wrote it


def state_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error of pyodbc, HY000 where it has none."""
    found = str(error.args[0]) if error.args else ""
    return found if STATE.fullmatch(found) else "HY000"


def text_of(error: BaseException) -> str:
    """Return what the driver said, without the driver's names before it and the call behind it. It may hold values."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    text = _PREFIX.sub("", text.strip())
    while (shorter := _TAIL.sub("", text)) != text:
        text = shorter
    return text.removeprefix("ERROR: ").removeprefix("FATAL: ").strip()


def is_lost(error: BaseException) -> bool:
    """Tell whether an error says that the connection is no more."""
    state = state_of(error)
    if state.startswith(_OF_ROWS):  # its text has words of a person's own: names, and what a trigger says
        return False
    return bool(_LOST_STATES.fullmatch(state) or _LOST.search(text_of(error)))


def is_starting(error: BaseException) -> bool:
    """Tell whether a server that could not be connected to may be there in a moment."""
    return state_of(error) == "57P03" or bool(_STARTING.search(text_of(error)))


def is_nobody(error: BaseException) -> bool:
    """Tell whether nobody listens there: another name or port, or a server that was not started."""
    return bool(_NOBODY.search(text_of(error)))


def is_login(error: BaseException) -> bool:
    """Tell whether a login was refused."""
    if is_starting(error):  # which a SQL Server tells as a login that failed
        return False
    return state_of(error) in ("28000", "28P01") or bool(_REFUSED.search(text_of(error)))


def is_no_entry(error: BaseException) -> bool:
    """Tell whether a server takes no connection of this user from this host, whatever the password."""
    return bool(_NO_ENTRY.search(text_of(error)))


def is_full(error: BaseException) -> bool:
    """Tell whether a server has as many connections as it takes."""
    return bool(_FULL.search(text_of(error)))


def library_of(error: BaseException) -> str:
    """Return the driver's library that could not be opened; empty where that is not what is wrong."""
    found = _NOT_FOUND.search(text_of(error))
    return (found[1] or "without a name") if found else ""


def is_no_database(error: BaseException) -> bool:
    """Tell whether the database is not there."""
    return state_of(error) == "3D000" or bool(_NO_DATABASE.search(text_of(error)))


def is_no_host(error: BaseException) -> bool:
    """Tell whether the server's name is not known."""
    return bool(_NO_HOST.search(text_of(error)))


def shown(error: BaseException) -> str:
    """Write what a driver said without what may be of a row: in texts about values, what is quoted, and numbers."""
    state, text = state_of(error), _VALUE.sub("", text_of(error))
    if state.startswith(_PERSONS) or _RAISED.search(str(error.args[-1] if error.args else "")):
        return f"a function or a trigger that somebody made raised an error of its own [{state}]"
    said = _DETAIL.split(text)[0] if state.startswith(_NAMES) else without_values(text)
    return f"{' '.join(said.split())[:300].rstrip('. ;')} [{state}]"
