"""
The file `syncer.toml`: the keys that it may have, reading it, and saying what in it is wrong: file, line, what was
found, what is known. A text from there is never repeated: it may be a token in the wrong line.

Not here: what its values mean, and the variables that go before it (`settings.py`).
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from syncer import catalog, privacy, words
from syncer.blanks import is_blank
from syncer.errors import UnknownName, UsageError
from syncer.mapping import TREATMENTS

ENVIRONMENT = re.compile(r"[a-z][a-z0-9_]*")
ACCOUNT_KEYS = ("url", "token", "user")
TABLES = ("warehouse", "syncer", "journal", "push", "notify", "wherescape", "environments")
SECRETS = frozenset({"password", "hash_key", "webhook", "command", "token"})  # an account's is its token
_AT_LINE = re.compile(r"(.+) \(at line (\d+), column (\d+)\)$", re.DOTALL)
_KEY = re.compile(r"""\s*([\w."'-]+)\s*=""")
_REGION = re.compile(r"[A-Z]{2}")
_MEMORY = re.compile(r"\d+(\.\d+)? ?([KMGT]i?B?|B|%)", re.IGNORECASE)
LONGEST_WAIT_S = 86_400  # a day
LONGEST_LOOKBACK_S = 3_660 * 86_400  # ten years: before that no API has anything, and dates end somewhere
LONGEST_REOFFER_DAYS = 3_660
LONGEST_KEEP_DAYS = 36_600
LONGEST_NOTIFY_S = 300
LONGEST_SETTLE_S = 3_600
LONGEST_FRESH_S = 3_600  # what was read an hour ago is no base to write on

UNEXPLAINED, FINDINGS = "unexplained", "findings"
ON_DEFAULT = ("failed", "refused", "rejects", "conflicts", UNEXPLAINED)
CAUSES = (*ON_DEFAULT, FINDINGS)  # what may be told of a run, by `[notify]`

Check = Callable[[Any], bool]


def _is_share(value: Any) -> bool:
    return value == "off" or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def _is_number(value: Any, most: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _is_keep_days(value: Any) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value == "off" or (is_whole and 1 <= value <= LONGEST_KEEP_DAYS)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) for each in value)


def _is_key(value: Any) -> bool:
    return _is_text(value) and len(value) >= privacy.SHORTEST_KEY


def _is_personal(value: Any) -> bool:
    treatments = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(each, str) and each in TREATMENTS for each in treatments)


def is_webhook(value: Any) -> bool:
    """Tell whether something is a URL that a notification can be sent to."""
    if not _is_text(value) or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        is_usable = parts.port != 0
    except ValueError:
        return False
    return is_usable and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def is_header_text(value: Any) -> bool:
    """Tell whether something can go in a header of a request, as a token does."""
    return _is_text(value) and value.isascii() and value.isprintable() and value == value.strip()


WAREHOUSE_KEYS: Mapping[str, tuple[str, Check]] = {
    "url": ("a text such as duckdb:warehouse.duckdb or odbc:DSN=warehouse", _is_text),
    "user": ("a text", _is_text),
    "password": ("a text", _is_text),
    "wait_s": (f"seconds from 0 to {LONGEST_WAIT_S}", lambda value: _is_number(value, LONGEST_WAIT_S)),
    "memory_limit": (
        "a text such as 96MB or 2GB",
        lambda value: _is_text(value) and _MEMORY.fullmatch(value.strip()) is not None,
    ),
}
SYNCER_KEYS: Mapping[str, tuple[str, Check]] = {
    "folders": ("a list of folders", _is_list_of_texts),
    "hash_key": (f"a text of {privacy.SHORTEST_KEY} characters or more", _is_key),
    "phone_regions": (
        'a list of countries, two capitals each, such as ["NL", "DE"]',
        lambda value: _is_list_of_texts(value) and all(_REGION.fullmatch(each) for each in value),
    ),
    "known_names": ("a list of names", _is_list_of_texts),
}
JOURNAL_KEYS: Mapping[str, tuple[str, Check]] = {
    "keep_days": (f'days, a whole number from 1 to {LONGEST_KEEP_DAYS}, or "off"', _is_keep_days),
    "keep_runs_days": (f'days, a whole number from 1 to {LONGEST_KEEP_DAYS}, or "off"', _is_keep_days),
}
PUSH_KEYS: Mapping[str, tuple[str, Check]] = {
    "fresh_s": (f"seconds from 0 to {LONGEST_FRESH_S}", lambda value: _is_number(value, LONGEST_FRESH_S)),
    "settle_s": (f"seconds from 0 to {LONGEST_SETTLE_S}", lambda value: _is_number(value, LONGEST_SETTLE_S)),
}
NOTIFY_KEYS: Mapping[str, tuple[str, Check]] = {
    "webhook": ("a URL that begins with https:// or http://, without a user in it", is_webhook),
    "command": (
        'a program and its arguments, each a text: ["notify", "--quietly"]',
        lambda value: _is_list_of_texts(value) and bool(value) and not any("\0" in each for each in value),
    ),
    "on": (
        f"a list of {', '.join(CAUSES)}",
        lambda value: _is_list_of_texts(value) and bool(value) and all(each in CAUSES for each in value),
    ),
    "timeout_s": (
        f"seconds, more than 0 and at most {LONGEST_NOTIFY_S}",
        lambda value: _is_number(value, LONGEST_NOTIFY_S) and value > 0,
    ),
    "token": ("a text of plain ASCII in one line", is_header_text),
}
WHERESCAPE_KEYS: Mapping[str, tuple[str, Check]] = {
    "exit_code": ('"zero" or "status"', lambda value: value in ("zero", "status")),
}
MAPPING_KEYS: Mapping[str, tuple[str, Check]] = {
    "max_gone_share": ('a share between 0 and 1, or "off"', _is_share),
    "lookback_s": (
        f"seconds from 0 to {LONGEST_LOOKBACK_S} (ten years)",
        lambda value: _is_number(value, LONGEST_LOOKBACK_S),
    ),
    "style": ('"mirror" or "delta"', lambda value: value in ("mirror", "delta")),
    "reoffer_days": (
        f"days, more than 0 and at most {LONGEST_REOFFER_DAYS}",
        lambda value: _is_number(value, LONGEST_REOFFER_DAYS) and value > 0,
    ),
    "personal": (
        'one of keep, drop, hash, mask for all personal fields, or one a column, such as { email = "hash" }',
        _is_personal,
    ),
    "erase_gone": ("true or false", lambda value: isinstance(value, bool)),
    **words.KEYS,
}


def exists(file: Path) -> bool:
    """Tell whether *file* is there. Raises UsageError where that cannot be looked up."""
    try:
        return file.exists()
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into
        raise UsageError(f"{str(file)[:200]} cannot be read ({type(error).__name__}).") from error


def text_of(file: Path) -> str:
    """Read *file*; an editor of Windows puts a byte order mark before UTF-8. Raises UsageError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8.", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({type(error).__name__}).") from error


def read(file: Path) -> dict[str, Any]:
    """Read and check *file*; return its tables. Raises UsageError: it is no TOML, or has what nobody knows."""
    text = text_of(file)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}{_place(str(error), text)}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists without end
        raise UsageError(f"{file} holds a value that is too large ({type(error).__name__}).") from error
    Checker(file, text).check(tables)
    return tables


def _place(error: str, text: str) -> str:
    """Write what tomllib says with its line first, and the key there; never the value, which may be a token."""
    found = _AT_LINE.match(error)
    if found is None:
        return f": {error}"
    what, line, column = found.groups()
    key = _KEY.match(text.splitlines()[int(line) - 1])
    return f", line {line}: {f'{key[1]}: ' if key else ''}{what} (column {column})"


@attrs.frozen
class Checker:
    """Says what in a `syncer.toml` is wrong, with its line; a text from there is not repeated: it may be a token."""

    file: Path
    text: str

    def check(self, tables: Mapping[str, Any]) -> None:
        """Refuse a table, key or value that is not known. Raises UsageError."""
        choices = f"{', '.join(TABLES)}, a source, or a mapping in quotes"
        for name, table in tables.items():
            if not isinstance(table, dict):
                self.fail((name,), f"{name} stands outside a table", choices)
            if name == "warehouse":
                self.keys((name,), table, WAREHOUSE_KEYS)
            elif name == "syncer":
                self.keys((name,), table, SYNCER_KEYS)
            elif name == "journal":
                self.keys((name,), table, JOURNAL_KEYS)
            elif name == "push":
                self.keys((name,), table, PUSH_KEYS)
            elif name == "notify":
                self.keys((name,), table, NOTIFY_KEYS)
            elif name == "wherescape":
                self.keys((name,), table, WHERESCAPE_KEYS)
            elif name == "environments":
                self._environments(name, table)
            elif "." in name and self._is_operation(name, tables):
                self._operation(name, table)
            elif "." in name:
                self._mapping(name, table)
            elif not ENVIRONMENT.fullmatch(name):
                self.fail((name,), f"table [{name}]", choices)
            else:
                self._account((name,), table)

    def known(self, path: tuple[str, ...], noun: str, names: Iterable[str]) -> None:
        """Refuse the table *path* where its last step is none of *names*."""
        if path[-1] not in (choices := list(names)):
            wrong = UnknownName(noun, path[-1], known=choices)
            raise UsageError(f"{self.file}, line {self.line(path)}: {wrong}")

    def fail(self, path: tuple[str, ...], what: str, choices: str) -> None:
        """Refuse what stands at *path*. Raises UsageError."""
        raise UsageError(f"{self.file}, line {self.line(path)}: {what}. Choices: {choices}.")

    def line(self, path: tuple[str, ...]) -> int:
        """Find the line that a table or key stands on: the first that has most of its *path*."""
        table: tuple[str, ...] = ()
        best, found = 0, 1
        for number, line in enumerate(self.text.splitlines(), start=1):
            bare = line.strip()
            if bare.startswith("[") and (header := _path_of(bare)):
                table = here = header
            elif key := _KEY.match(line):
                here = (*table, *_path_of(f"{key[1]} = 0"))
            else:
                continue
            alike = sum(1 for _ in itertools.takewhile(bool, map(str.__eq__, here, path)))
            if alike > best:
                best, found = alike, number
        return found

    def _account(self, path: tuple[str, ...], table: Mapping[str, Any]) -> None:
        for key in ACCOUNT_KEYS:
            if key in table and not isinstance(table[key], str):
                self.fail((*path, key), f"{key} in {header(path)} is no text", "a text in quotes")

    def _environments(self, top: str, table: Mapping[str, Any]) -> None:
        for name, named in table.items():
            if not isinstance(named, dict) or not ENVIRONMENT.fullmatch(name):
                self.fail((top, name), f"environment {name}", "a table, its name in small letters, digits and _")
            self._account((top, name), named)
            for source, inner in named.items():
                if isinstance(inner, dict) and source == "notify":
                    self.keys((top, name, source), inner, NOTIFY_KEYS)
                elif isinstance(inner, dict):
                    self._account((top, name, source), inner)

    def _is_operation(self, name: str, tables: Mapping[str, Any]) -> bool:
        """
        Tell whether a table is an operation's: a file of that name is there, ours or a company's. One that is nearly
        called so is meant to be one: its name is refused (`Settings.check_names`), not its keys.
        """
        named = tables.get("syncer", {}).get("folders", ()) if isinstance(tables.get("syncer"), dict) else ()
        folders = [self.file.parent / each for each in named if _is_text(each)] if isinstance(named, list) else []
        return bool(catalog.nearest(name.partition(".")[2], catalog.names("operations", folders=folders)))

    def _operation(self, name: str, table: Mapping[str, Any]) -> None:
        """Check what is the same for all operations; their own settings each declares itself (`declared.py`)."""
        environments = table.get("environments", {})
        if not isinstance(environments, dict):
            self.fail((name, "environments"), f'environments in ["{name}"]', "tables, one for each environment")
        for environment, named in environments.items():
            if not isinstance(named, dict) or not ENVIRONMENT.fullmatch(environment):
                path = (name, "environments", environment)
                self.fail(path, ".".join(path), "a table, its name in small letters, digits and _")

    def _mapping(self, name: str, table: Mapping[str, Any]) -> None:
        own = {key: value for key, value in table.items() if key != "environments"}
        self.keys((name,), own, MAPPING_KEYS)
        environments = table.get("environments", {})
        if not isinstance(environments, dict):
            self.fail((name, "environments"), f'environments in ["{name}"]', "tables, one for each environment")
        for environment, named in environments.items():
            path = (name, "environments", environment)
            if not isinstance(named, dict) or not ENVIRONMENT.fullmatch(environment):
                self.fail(path, ".".join(path), "a table, its name in small letters, digits and _")
            self.keys(path, named, MAPPING_KEYS)

    def keys(self, path: tuple[str, ...], table: Mapping[str, Any], known: Mapping[str, tuple[str, Check]]) -> None:
        """Refuse a key of a table that is none of *known*, or whose value does not fit. Raises UsageError."""
        for key, value in table.items():
            if key not in known:
                wrong = UnknownName(f"key in {header(path)}", key, known=known)
                raise UsageError(f"{self.file}, line {self.line((*path, key))}: {wrong}")
            meaning, is_good = known[key]
            if not is_good(value):
                shown = "no such value" if key in SECRETS else _shown(value)
                if known is NOTIFY_KEYS and key == "on":
                    shown = _shown_causes(value) or shown
                self.fail((*path, key), f"{key} in {header(path)} is {shown}", meaning)


def header(path: Sequence[str]) -> str:
    """Write the header of a table as it stands in the file: `["hubspot.companies".environments.test]`."""
    return f"[{'.'.join(json.dumps(each) if '.' in each else each for each in path)}]"


def _path_of(line: str) -> tuple[str, ...]:
    """Read the names of a header (`[a."b.c"]`) or of a key; nothing where the line is none of them."""
    try:
        found: Any = tomllib.loads(line)
    except ValueError:
        return ()
    names = []
    while isinstance(found, dict | list) and len(found) == 1:
        if isinstance(found, dict):
            names += list(found)
        found = next(iter(found.values())) if isinstance(found, dict) else found[0]
    return tuple(names)


def _shown_causes(value: Any) -> str:
    """Say which word of a list is no cause, and what it may be meant to be; empty: it is no list of words."""
    wrong = [(at, each) for at, each in enumerate(value, 1) if each not in CAUSES] if _is_list_of_texts(value) else []
    if not wrong:
        return ""
    at, word = wrong[0]
    near = difflib.get_close_matches(word, CAUSES, n=1, cutoff=0.6)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"a list whose word {at} of {len(value)} is none of the choices{meant}"


def _shown(value: Any) -> str:
    """Write a value of the wrong kind; a text, or what may hold one, only by its kind."""
    if isinstance(value, str):
        return "an empty text" if not value else "a blank text" if is_blank(value) else "a text that does not fit"
    return (
        str(value)[:40] if isinstance(value, int | float) else "a list" if isinstance(value, list) else "no such value"
    )
