"""
Connecting: the link that a site names, the driver behind it, and what went wrong in words that help.

No password leaves this file: not in a message, not in a name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from syncer.errors import UsageError, WarehouseError
from syncer.odbc import faults, strings
from syncer.odbc.strings import ConnectionString

if TYPE_CHECKING:
    import pyodbc

    from syncer.settings import Settings

LOGIN_S = 30  # how long a connection may take
SERVERS = ("Server", "Servername", "Host", "Hostname", "Addr", "Address")
USERS, PASSWORDS = ("UID", "User", "Username", "User ID"), ("PWD", "Password")
MANAGERS = (
    "Install the ODBC manager: apt-get install unixodbc (Debian, Ubuntu), dnf install unixODBC (Fedora, RHEL), "
    "apk add unixodbc (Alpine), brew install unixodbc (macOS). Windows has one."
)
DRIVERS = (
    "For PostgreSQL: apt-get install odbc-postgresql, dnf install postgresql-odbc, apk add psqlodbc, brew install "
    "psqlodbc, or its installer for Windows (psqlodbc_x64.msi). For SQL Server: Microsoft's msodbcsql18, or FreeTDS "
    "(apt-get install tdsodbc, dnf install freetds-libs)."
)
# Names under which drivers are installed, by what their server calls itself (SQL_DBMS_NAME).
_KNOWN = {
    "PostgreSQL": re.compile(r"postgres|psqlodbc", re.IGNORECASE),
    "SQLite": re.compile(r"sqlite", re.IGNORECASE),
    "Microsoft SQL Server": re.compile(r"sql server|msodbcsql|sqlncli|freetds|tdsodbc", re.IGNORECASE),
}


@attrs.frozen(kw_only=True)
class Link:
    """What a site set: the connection string, with user and password from their own variables where it has none."""

    string: ConnectionString = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The link for messages: where, as whom; no secret in it."""
        where = self.string.get("DSN") or self.string.get(*SERVERS)
        database = self.string.get("Database", "DBQ", "Initial Catalog")
        if not where:  # a file, or what the driver takes where no server is named
            return f"odbc:{database or 'localhost'}"
        return f"odbc:{where}/{database}" if database else f"odbc:{where}"

    @property
    def user(self) -> str:
        """Who logs in, as far as the string says it."""
        return self.string.get(*USERS)


def link(text: str, settings: Settings) -> Link:
    """Read what stands behind `odbc:`. Raises UsageError, without a value of it."""
    given = strings.checked(strings.parse(text))
    more = {}
    if settings.warehouse_user and not given.get(*USERS):
        more["UID"] = settings.warehouse_user
    if settings.warehouse_password and not given.get(*PASSWORDS):
        more["PWD"] = settings.warehouse_password
    return Link(string=given.with_defaults(more))


def dbms_of(found: Link) -> str:
    """
    Tell what a server calls itself: by the driver's name where it is well known, else it is connected to and asked.

    Raises: WarehouseError.
    """
    driver = found.string.get("Driver")
    if not driver and found.string.get("DSN"):
        sources = {name.lower(): each for name, each in manager().dataSources().items()}
        driver = sources.get(found.string.get("DSN").lower(), "")
    for name, pattern in _KNOWN.items():
        if pattern.search(driver):
            return name
    try:
        connection = connect(found, {})
    except manager().Error as error:
        raise refused(found, error) from None
    try:
        return str(connection.getinfo(manager().SQL_DBMS_NAME))
    finally:
        connection.close()


def manager() -> Any:
    """Import pyodbc. Raises WarehouseError where it, or the system's ODBC manager, is not there."""
    try:
        import pyodbc
    except ImportError as error:
        if "pyodbc" in str(error) and "No module" in str(error):
            raise WarehouseError("pyodbc is not installed.", hint="pip install pyodbc") from error
        raise WarehouseError(f"There is no ODBC manager here ({error}).", hint=MANAGERS) from error
    pyodbc.pooling = False  # a pooled connection would keep its leases
    return pyodbc


def connect(found: Link, more: Mapping[str, str]) -> pyodbc.Connection:
    """
    Connect; *more* are keys of the connection string that it does not say itself. Raises WarehouseError, UsageError,
    or pyodbc's own error where the server may be there in a moment (`faults.is_starting`).
    """
    pyodbc = manager()
    try:
        made = pyodbc.connect(found.string.with_defaults(more).text(), autocommit=False, timeout=LOGIN_S)
    except pyodbc.Error as error:
        if faults.is_starting(error):
            raise
        raise refused(found, error) from None  # its text may repeat the connection string
    return made


def refused(found: Link, error: BaseException) -> WarehouseError | UsageError:
    """Tell why a connection was not made."""
    pyodbc, state = manager(), faults.state_of(error)
    driver, dsn, file = (found.string.get(key) for key in ("Driver", "DSN", "FileDSN"))
    if (library := faults.library_of(error)) or (state == "IM002" and not dsn and not file):
        known = ", ".join(pyodbc.drivers()) or "none"
        return WarehouseError(f"There is no ODBC driver {driver or library} here; installed: {known}.", hint=DRIVERS)
    if state == "IM002" and dsn:
        known = ", ".join(pyodbc.dataSources()) or "none"
        where = "in the ODBC administrator" if sys.platform == "win32" else "in odbc.ini or ~/.odbc.ini"
        return WarehouseError(f"There is no DSN {dsn} here; known: {known}.", hint=f"Make it {where}.")
    if state == "IM002":
        is_there = Path(file).exists()
        return WarehouseError(
            f"The ODBC manager here does not read FileDSN={file}." if is_there else f"There is no file {file} here.",
            hint="Write what such a file holds into the connection string, or make a DSN of it.",
        )
    if faults.is_login(error):
        who = found.user or "nobody named"
        if "no password" in faults.text_of(error):
            return WarehouseError(
                f"{found.name}: the server wants a password of {who}, and none is set.",
                hint="Set SYNCER_WAREHOUSE_PASSWORD.",
            )
        return WarehouseError(
            f"{found.name}: the login of {who} was refused.",
            hint="Check SYNCER_WAREHOUSE_USER and SYNCER_WAREHOUSE_PASSWORD, or UID and PWD in the connection string, "
            "where a password with ; { or } stands in braces. A % or + in it is taken as it is.",
        )
    if faults.is_no_entry(error):
        return WarehouseError(
            f"{found.name}: the server takes no connection of {found.user or 'nobody named'} from this host.",
            hint="Have its administrator add this host, user and database to pg_hba.conf, or set SSLmode=require.",
        )
    if faults.is_full(error):
        return WarehouseError(
            f"{found.name}: the server has as many connections as it takes.",
            hint="End some, or have max_connections, or the role's own limit, raised.",
        )
    if faults.is_no_database(error):
        return WarehouseError(
            f"{found.name}: there is no such database.", hint="Make it, or name another with Database=…."
        )
    if faults.is_no_host(error):
        return WarehouseError(f"{found.name}: that server's name is not known here.", hint="Check Server=….")
    if faults.is_starting(error):
        return WarehouseError(
            f"{found.name}: the server does not take connections.",
            hint="Is it running, and are Server=… and Port=… right?",
        )
    hint = ""
    if state == "07006":  # all that psqlodbc's ANSI driver says
        hint = "Use the driver PostgreSQL Unicode, and not PostgreSQL ANSI."
    elif "certificate" in faults.text_of(error):
        hint = "Name the file of the authority that signed the server's certificate: pqopt={sslrootcert=…}."
    return WarehouseError(f"{found.name}: no connection: {faults.shown(error)}.", hint=hint)
