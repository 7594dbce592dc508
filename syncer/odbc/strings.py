"""
Connection strings: `KEY=value;…`, a value in braces where it has `;`, begins with `{` or has blanks at an end, and `}`
doubled in it. Keys differ not by capitals. A value is what stands there, whatever a driver makes of it.

Source: Microsoft's ODBC reference, SQLDriverConnect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import attrs

from syncer.errors import UsageError

SECRET = frozenset({"pwd", "password", "sslpassword", "accesstoken", "authtoken", "passwd"})
_KEY = re.compile(r"\s*([^=;{}]+?)\s*=")
_NEEDS = re.compile(r"^[\s{]|\s$|;")
_SECRET_NEEDS = re.compile(r"[+%{}]")  # psqlodbc reads a bare PWD as a part of a URL: + is a blank there, %41 is A
# Keys that messages may name: another one may be the rest of a password that has a ; in it.
_KNOWN = re.compile(
    r"(File)?DSN|Driver|Server(name)?|Host(name)?|Addr(ess)?|Port|Database|DBQ|Initial Catalog|UID|User( ?ID|name)?"
    r"|PWD|Password|SSLmode|pqopt|Encrypt|TrustServerCertificate|Authentication|Trusted_Connection|TDS_Version"
    r"|ClientCharset|App|WSID|ConnSettings|(Connection|Login) Timeout",
    re.IGNORECASE,
)
# What psqlodbc reads (16.0, dlg_specific.h), what it read once and strings still have, and what is the managers' own.
_PSQLODBC = re.compile(
    "dsn|driver|filedsn|savefile|description|server|servername|port|database|uid|username|pwd|password|sslmode|pqopt"
    "|readonly|commlog|debug|fetch|protocol|optimizer|ksqo|socket|connsettings|uniqueindex|unknownsizes|lie|parse"
    "|cancelasfreestmt|usedeclarefetch|textaslongvarchar|unknownsaslongvarchar|boolsaschar|maxvarcharsize"
    "|maxlongvarcharsize|fakeoidindex|showoidcolumn|rowversioning|showsystemtables|extrasystableprefixes"
    "|translation(name|dll|option)|disallowpremature|updatablecursors|lfconversion|trueisminus1|byteaaslongvarbinary"
    "|useserversideprepare|lowercaseidentifier|logdir|gssauthusegss|keepalivetime|keepaliveinterval|dtclog|preferlibpq"
    "|xaopt|batchsize|ignoretimeout|fetchrefcursors|numericas|optionalerrors|app|wsid|trace|tracefile|threading"
    "|pooling|cptimeout|dm(env|conn|stmt)attr|[a-d][0-9a-z]",  # the last: each has an abbreviation
    re.IGNORECASE,
)
_COMMON = ("Server", "Servername", "Port", "Database", "UID", "Username", "PWD", "Password", "SSLmode", "pqopt", "DSN")
_MEANT = {  # what other drivers, and libpq, call them
    "user": "UID", "user id": "UID", "userid": "UID", "user name": "UID", "host": "Server", "hostname": "Server",
    "hostaddr": "Server", "addr": "Server", "address": "Server", "data source": "Server", "dbname": "Database",
    "db": "Database", "dbq": "Database", "initial catalog": "Database", "catalog": "Database", "pass": "PWD",
    "passwd": "PWD", "encrypt": "SSLmode", "ssl": "SSLmode", "sslrootcert": "pqopt={sslrootcert", "options": "pqopt",
    "connect_timeout": "pqopt={connect_timeout",
}  # fmt: skip
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
HINT = "Such as odbc:DSN=warehouse;UID=syncer, or odbc:Driver={PostgreSQL Unicode};Server=…;Database=…;UID=…."


@attrs.frozen
class ConnectionString:
    """A connection string, taken apart; its values are not shown, since one may be a password."""

    parts: Mapping[str, str] = attrs.field(repr=False)  # by key as it was written

    def get(self, *keys: str) -> str:
        """Return the value of the first of *keys* that it has one of; empty where it has none."""
        lowered = {key.lower(): value for key, value in self.parts.items()}
        return next((value for key in keys if (value := lowered.get(key.lower(), ""))), "")

    def has(self, key: str) -> bool:
        """Tell whether it has a key."""
        return key.lower() in {each.lower() for each in self.parts}

    def with_defaults(self, more: Mapping[str, str]) -> ConnectionString:
        """Add what it does not say itself."""
        added = {key: value for key, value in more.items() if value and not self.has(key)}
        return ConnectionString({**self.parts, **added})

    def having(self, key: str, value: str) -> ConnectionString:
        """Give a key a value in place of what it says itself."""
        return ConnectionString({**self.without(key).parts, key: value})

    def without(self, *keys: str) -> ConnectionString:
        """Take keys out."""
        gone = {key.lower() for key in keys}
        return ConnectionString({key: value for key, value in self.parts.items() if key.lower() not in gone})

    def text(self) -> str:
        """Write it, as a driver manager reads it."""
        return "".join(f"{key}={written(key, value)};" for key, value in self.parts.items())


def written(key: str, value: str) -> str:
    """
    Write the value of *key*, in braces where it needs them and nowhere else: psqlodbc takes them off a password, and
    for a part of the name where a database or user stands in them (16.0, measured).
    """
    is_bare = not _NEEDS.search(value) and not (key.lower() in SECRET and _SECRET_NEEDS.search(value))
    return value if is_bare else braced(value)


def braced(value: str) -> str:
    """Write a value in braces."""
    return "{" + value.replace("}", "}}") + "}"


def parse(text: str) -> ConnectionString:
    """
    Take a connection string apart.

    Raises: UsageError: a part that is no `KEY=value`, braces that do not close, or a key twice; no value is repeated.
    """
    parts: dict[str, str] = {}
    place, number = 0, 0
    while place < len(text):
        if text[place] in "; \t\r\n":
            place += 1
            continue
        number += 1
        found = _KEY.match(text, place)
        if found is None:
            last = f"after {named(list(parts)[-1])}" if parts else "at its beginning"
            raise UsageError(
                f"SYNCER_WAREHOUSE: part {number} of the connection string ({last}) is no KEY=value.",
                hint="A value with ; { or } stands in braces, with } doubled: PWD={a;b}}c}. Or set "
                "SYNCER_WAREHOUSE_PASSWORD, which takes a password as it is.",
            )
        key = found[1]
        value, place = _value(text, found.end(), key)
        if key.lower() in {each.lower() for each in parts}:
            raise UsageError(f"SYNCER_WAREHOUSE: {named(key)} stands in the connection string twice.")
        parts[key] = value
    return ConnectionString(parts)


def checked(given: ConnectionString) -> ConnectionString:
    """Return *given* where it says what to connect to. Raises UsageError."""
    if not any(given.get(key) for key in ("DSN", "Driver", "FileDSN")):
        has = ", ".join(named(key) for key in given.parts) or "nothing"
        raise UsageError(
            f"SYNCER_WAREHOUSE: the connection string names neither DSN nor Driver (it has {has}).", hint=HINT
        )
    return given


def check_for_psqlodbc(given: ConnectionString) -> None:
    """
    Look for what psqlodbc passes over without a word: a key that is nearly one of its own, which it does not read, and
    an SSLmode that it does not know, for which it connects without TLS (13.02 looks at the first letter, measured).

    Raises: UsageError, without a value, and without a key that may be the rest of a password.
    """
    for number, (key, value) in enumerate(given.parts.items(), start=1):
        low = key.lower()
        if low in ("sslmode", "ca") and value not in SSL_MODES:
            near = difflib.get_close_matches(value.lower().replace("_", "-"), SSL_MODES, 1)
            raise UsageError(
                f"SYNCER_WAREHOUSE: SSLmode is none of {', '.join(SSL_MODES)}, in small letters; the driver would "
                "connect without TLS.",
                hint=f"Write {key}={near[0]}." if near else "Write SSLmode=require, or verify-full.",
            )
        if _PSQLODBC.fullmatch(key):
            continue
        if meant := _MEANT.get(low):
            raise UsageError(
                f"SYNCER_WAREHOUSE: PostgreSQL's driver does not read {key}=….", hint=f"Write {meant}=… in its place."
            )
        if near := difflib.get_close_matches(low, [each.lower() for each in _COMMON], 1, 0.75):
            meant = next(each for each in _COMMON if each.lower() == near[0])
            raise UsageError(
                f"SYNCER_WAREHOUSE: the key of part {number} of the connection string is none that PostgreSQL's "
                f"driver reads; is it {meant}?",
                hint="Where it belongs to a password with a ; in it, that stands in braces: PWD={a;b}.",
            )


def named(key: str) -> str:
    """Write a key for a message."""
    return key if _KNOWN.fullmatch(key) else "a key that is not known here"


def _value(text: str, place: int, key: str) -> tuple[str, int]:
    """Read a value from *place* on; return it, and where the next part begins."""
    while place < len(text) and text[place] in " \t":
        place += 1
    if not text.startswith("{", place):
        end = text.find(";", place)
        end = len(text) if end < 0 else end
        return text[place:end].strip(), end + 1
    value, place = "", place + 1
    while True:
        end = text.find("}", place)
        if end < 0:
            raise UsageError(
                f"SYNCER_WAREHOUSE: the value of {named(key)} begins with {{ and has no }} at its end.",
                hint="Close it; a } inside is written }}.",
            )
        value += text[place:end]
        if not text.startswith("}}", end):
            break
        value, place = value + "}", end + 2
    rest = text.find(";", end)
    behind = text[end + 1 : rest if rest >= 0 else len(text)]
    if behind.strip():
        raise UsageError(
            f"SYNCER_WAREHOUSE: the value of {named(key)} ends with }} and goes on behind it.",
            hint="A } inside a value in braces is written }}.",
        )
    return value, (len(text) if rest < 0 else rest) + 1
