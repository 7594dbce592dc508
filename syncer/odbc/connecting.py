"""
Connecting: the link that a site names, the driver behind it, and what went wrong in words that help.

No password leaves this file: not in a message, not in a name.
"""

from __future__ import annotations

import os
import re
import socket
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
DATABASES = ("Database", "DBQ", "Initial Catalog")
NO_USER = "Set SYNCER_WAREHOUSE_USER, or UID in the connection string."
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
_PSQLODBC = re.compile(r"^PostgreSQL( ?(Unicode|ANSI))?( ?\(x64\))?$|psqlodbc", re.IGNORECASE)  # not another maker's
_WHERE = re.compile(r'connection to server (at|on socket) "[^"]*"( \([^)]*\))?(, port \d+)? failed:\s*')
_MAY_NOT = re.compile(r"is not permitted to log in|account is (currently )?(disabled|locked)", re.IGNORECASE)
_NO_CONNECT = re.compile(r"permission denied for database|is not able to access the database", re.IGNORECASE)
_NO_TLS = re.compile(r"server does not support (SSL|encryption)", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")  # needs no quotes
_NO_PORT = re.compile(r'option "port"|invalid port number', re.IGNORECASE)
_NETWORK = re.compile(r"network-related or instance-specific error|TCP Provider: Error code", re.IGNORECASE)
_FREETDS = "[FreeTDS]"  # stands before all that it says
_UNTOLD = re.compile(r"Unable to connect to data source", re.IGNORECASE)  # all that it says of most causes (1.3)
_NO_LETTERS = re.compile(r"Memory allocation failure", re.IGNORECASE)  # and of letters that it does not know
_SILENT = re.compile(r"time-?out expired|timed out", re.IGNORECASE)
_CERTIFICATE = re.compile(  # the server's; what is said of a client's own is shown as it is
    r"certificate (verify failed|chain)|root certificate|server certificate|self.signed certificate|target principal",
    re.IGNORECASE,
)
_ANOTHER_NAME = re.compile(r"does not match host ?name|hostname mismatch|target principal name", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class Link:
    """What a site set: the connection string, with user and password from their own variables where it has none."""

    string: ConnectionString = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The link for messages: where, as whom; no secret in it."""
        where = self.string.get("DSN") or self.string.get(*SERVERS)
        database = self.string.get(*DATABASES)
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
    for keys, value in ((USERS, settings.warehouse_user), (PASSWORDS, settings.warehouse_password)):
        if value and not given.get(*keys):  # one that stands there empty is none
            given = given.without(*keys).having(keys[0], value)
    return Link(string=given)


def driver_of(found: Link) -> str:
    """Return the name or file of the driver, as the string says it, or the DSN that it names; empty: not known."""
    driver = found.string.get("Driver")
    if driver or not found.string.get("DSN"):
        return driver
    return sources().get(found.string.get("DSN").lower(), "")


def is_psqlodbc(found: Link) -> bool:
    """Tell whether the driver is known to be PostgreSQL's own."""
    return bool(_PSQLODBC.search(driver_of(found)))


def sources() -> dict[str, str]:
    """Return the driver of each DSN that is known here, by its name in small letters; empty where it names none."""
    return {name.lower(): driver for name, driver in manager().dataSources().items()}


def dbms_of(found: Link) -> str:
    """
    Tell what a server calls itself: by the driver's name where it is well known, else it is connected to and asked.

    Raises: WarehouseError; UsageError: keys that the driver would pass over without a word.
    """
    driver = driver_of(found)
    if _PSQLODBC.search(driver):
        strings.check_for_psqlodbc(found.string)
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
    except SystemError as error:  # pyodbc's way of being interrupted
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    return made


def refused(found: Link, error: BaseException) -> WarehouseError | UsageError:
    """Tell why a connection was not made."""
    if faults.library_of(error) or faults.state_of(error) == "IM002":
        return _no_driver(found, error)
    for why in (_no_login, _no_server, _no_encryption):
        if told := why(found, error):
            return WarehouseError(f"{found.name}: {told[0]}", hint=told[1])
    state = faults.state_of(error)
    said = faults.shown(type(error)(state, _WHERE.sub("", faults.text_of(error)).removeprefix("FATAL: ").strip()))
    hint = ""
    if state == "07006":  # all that psqlodbc's ANSI driver says
        hint = "Use the driver PostgreSQL Unicode, and not PostgreSQL ANSI."
    elif "sslmode" in said:  # of a DSN, or in pqopt
        hint = f"SSLmode is one of {', '.join(strings.SSL_MODES)}, in small letters, and does not stand in pqopt."
    return WarehouseError(f"{found.name}: no connection: {said}.", hint=hint)


def _no_driver(found: Link, error: BaseException) -> WarehouseError:
    """Tell what is not there on this machine: a driver, a DSN, a file."""
    driver, dsn, file = (found.string.get(key) for key in ("Driver", "DSN", "FileDSN"))
    library, installed = faults.library_of(error), ", ".join(manager().drivers()) or "none"
    is_known = bool(dsn) and dsn.lower() in sources()
    if library or not (dsn or file):
        return WarehouseError(
            f"There is no ODBC driver {driver or library} here; installed: {installed}.", hint=DRIVERS
        )
    where = "in the ODBC administrator" if sys.platform == "win32" else "in odbc.ini or ~/.odbc.ini"
    if is_known and (named := driver or driver_of(found)) in manager().drivers():
        return WarehouseError(
            f"The ODBC manager here lists the DSN {dsn}, and does not find it.",
            hint=f"Give it a name of plain letters and digits {where}, or name the driver in place of the DSN: "
            f"Driver={{{named}}};Server=…;Database=….",
        )
    if is_known and named:
        return WarehouseError(
            f"There is no ODBC driver {named} here, which the DSN {dsn} names; installed: {installed}.", hint=DRIVERS
        )
    if is_known:
        return WarehouseError(
            f"The DSN {dsn} names no driver; installed: {installed}.", hint=f"Give it a Driver = … {where}."
        )
    if dsn:
        known = ", ".join(manager().dataSources()) or "none"
        return WarehouseError(f"There is no DSN {dsn} here; known: {known}.", hint=f"Make it {where}{_home()}.")
    return WarehouseError(
        f"The ODBC manager here does not read FileDSN={file}."
        if Path(file).exists()
        else f"There is no file {file} here.",
        hint="Write what such a file holds into the connection string, or make a DSN of it.",
    )


def _home() -> str:
    """Say where ~ is, where that is not $HOME: unixODBC asks the system for the home of the user who runs it."""
    if sys.platform == "win32":
        return ""
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""
    given = os.environ.get("HOME", home)
    return "" if Path(given) == Path(home) else f" (~ is {home}, whatever HOME says; or name a file in ODBCINI)"


def _no_login(found: Link, error: BaseException) -> tuple[str, str] | None:
    """Tell, with the next step, that the server does not let this user in."""
    text, who = faults.text_of(error), found.user or ("the DSN's user" if found.string.get("DSN") else "nobody named")
    database = found.string.get(*DATABASES)
    is_bare = bool(_PSQLODBC.search(found.string.get("Driver"))) and not found.string.get(
        "DSN"
    )  # all is in the string
    if faults.is_no_database(error):
        if is_bare and not database:
            return (
                "no database is named, and there is none of the user's name.",
                "Add Database=… to the connection string, one that the user may enter.",
            )
        return "there is no such database.", "Make it, or name another with Database=…, one that the user may enter."
    if _NO_CONNECT.search(text):
        return (
            f"{who} may not connect to that database.",
            f"Have its owner run GRANT CONNECT ON DATABASE {_quoted(database)} TO {_quoted(found.user)} "
            "(SQL Server: CREATE USER in it).",
        )
    if _MAY_NOT.search(text):
        return (
            f"the login of {who} was refused: the role may not log in.",
            f"Have an administrator run ALTER ROLE {_quoted(found.user)} LOGIN (SQL Server: ALTER LOGIN … ENABLE), "
            "or name another.",
        )
    if faults.is_login(error) and is_bare and not found.user:
        return "no user is named, and the one of this process was refused.", NO_USER
    if faults.is_login(error) and "no password" in text:
        return f"the server wants a password of {who}, and none is set.", "Set SYNCER_WAREHOUSE_PASSWORD."
    if faults.is_login(error):
        return (
            f"the login of {who} was refused.",
            "Check SYNCER_WAREHOUSE_USER and SYNCER_WAREHOUSE_PASSWORD, or UID and PWD in the connection string, "
            "where a password with ; { or } stands in braces. A % or + in it is taken as it is. It may also have "
            "expired (VALID UNTIL of a role): the server does not tell these apart.",
        )
    if faults.is_no_entry(error):
        return (
            f"the server takes no connection of {who} from this host.",
            "Have its administrator add this host, user and database to pg_hba.conf, or set SSLmode=require.",
        )
    if faults.is_full(error):
        return (
            "the server has as many connections as it takes.",
            "End some, or have max_connections, or the role's own limit, raised (SQL Server: user connections).",
        )
    return None


def _quoted(name: str) -> str:
    """Write a name as it stands in a statement; what is not known is left open."""
    if not name:
        return "…"
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _no_server(found: Link, error: BaseException) -> tuple[str, str] | None:
    """Tell, with the next step, that there is no server, or one that does not answer."""
    text = faults.text_of(error)
    if faults.is_no_host(error):
        return "that server's name is not known here.", "Check Server=…."
    if _NO_PORT.search(text):
        return "Port is no number that a server can have.", "Check Port=…; PostgreSQL's own is 5432."
    if _SILENT.search(text) or faults.state_of(error) in ("HYT00", "HYT01"):
        return (
            f"no answer within {LOGIN_S} s (timeout).",
            "Are Server=… and Port=… right, is it a server of that kind, and does no firewall stand between?",
        )
    if faults.is_starting(error) or _NETWORK.search(text):
        return "the server does not take connections.", "Is it running, and are Server=… and Port=… right?"
    return _untold(found, text) if _FREETDS in str(error) else None


def _untold(found: Link, text: str) -> tuple[str, str] | None:
    """Tell, with the next step, what FreeTDS has the same few words for; the server's name is looked up here."""
    if _NO_LETTERS.search(text):
        return "FreeTDS does not know the ClientCharset.", "Set ClientCharset=UTF-8."
    if not _UNTOLD.search(text):
        return None
    string = found.string
    server = string.get("Server").partition("\\")[0].partition(",")[0]
    if not server and not string.get("Servername", "DSN"):
        return "no server is named.", "Add Server=… and Port=… to the connection string."
    if server and not _is_known(server):
        return "that server's name is not known here.", "Check Server=…."
    if not server:
        hint = (
            "Is what Servername=… or the DSN names in freetds.conf or odbc.ini right? Or name the server itself: "
            "Server=…;Port=…;TDS_Version=7.4."
        )
    else:
        hint = (
            "Is a SQL Server running there, are Server=… and Port=… right, and is TDS_Version=7.4? One that wants "
            "TLS, or has none, needs Encryption=require, or Encryption=off."
        )
    return "no connection, and FreeTDS does not say why.", hint


def _is_known(server: str) -> bool:
    """Tell whether a server's name leads to an address."""
    try:
        return bool(socket.getaddrinfo(server, None))
    except (OSError, UnicodeError):
        return False


def _no_encryption(found: Link, error: BaseException) -> tuple[str, str] | None:
    """Tell, with the next step, what is wrong with TLS."""
    text, said = faults.text_of(error), str(error)
    if _NO_TLS.search(text):
        return (
            "the server speaks no TLS, and SSLmode wants it.",
            "Have it switched on there (ssl = on), or set SSLmode=prefer, where nobody is on the network between.",
        )
    if not _CERTIFICATE.search(text):
        return None
    if _ANOTHER_NAME.search(text):
        return (
            "the server's certificate is for another name.",
            "Write the name that the certificate has as Server=….",  # which verify-full compares
        )
    if _KNOWN["Microsoft SQL Server"].search(driver_of(found)) or "SSL Provider" in said:
        return (
            "the server's certificate is not trusted here.",
            "Install the authority that signed it among those of this system; or, where nobody is on the network "
            "between, add TrustServerCertificate=yes.",
        )
    why = "there is no file of the authority." if "root certificate file" in text else "it is not trusted here."
    return (
        f"the server's certificate cannot be checked: {why}",
        "Name the file of the authority that signed the server's certificate: pqopt={sslrootcert=…}.",
    )
