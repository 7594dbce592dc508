"""
Settings: environment variables first, then `syncer.toml` in the working directory (or the file that `SYNCER_CONFIG`
names).

A `Settings` is a value that the verbs hand down; nothing below `engine` looks one up. A typo gets one line: file,
line, what was found, what is known. Secrets never appear in a repr.

Not here: what a source needs (`NEEDS` in each file of `sources/`).
"""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from syncer import privacy
from syncer.errors import UnknownName, UsageError
from syncer.mapping import TREATMENTS, EntityMapping
from syncer.masking import REGIONS, Mask, Names

DEFAULT_ENVIRONMENT = "default"
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_]*")
_OF_ENVIRONMENT = re.compile(r"SYNCER_[A-Z0-9_]*?[A-Z0-9]__([A-Z][A-Z0-9_]*)_(?:URL|TOKEN|USER)")
_AT_LINE = re.compile(r"(.+) \(at line (\d+), column (\d+)\)$", re.DOTALL)
_KEY = re.compile(r"""\s*([\w."'-]+)\s*=""")
_REGION = re.compile(r"[A-Z]{2}")
_MEMORY = re.compile(r"\d+(\.\d+)? ?([KMGT]i?B?|B|%)", re.IGNORECASE)
_ACCOUNT_KEYS = ("url", "token", "user")
_TABLES = ("warehouse", "syncer", "environments")
LONGEST_WAIT_S = 86_400  # a day
LONGEST_LOOKBACK_S = 3_660 * 86_400  # ten years: before that no API has anything, and dates end somewhere
LONGEST_REOFFER_DAYS = 3_660

Check = Callable[[Any], bool]


def _is_share(value: Any) -> bool:
    return value == "off" or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def _is_number(value: Any, most: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) for each in value)


def _is_key(value: Any) -> bool:
    return _is_text(value) and len(value) >= privacy.SHORTEST_KEY


def _is_personal(value: Any) -> bool:
    treatments = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(each, str) and each in TREATMENTS for each in treatments)


WAREHOUSE_KEYS: Mapping[str, tuple[str, Check]] = {
    "url": ("a text such as duckdb:warehouse.duckdb", _is_text),
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
}


@attrs.frozen(kw_only=True)
class Account:
    """
    One account of a source: where it is and how we get in.

    options: its table in `syncer.toml`, without url, token and user.
    places: where each option stands there, for messages: file, line and table.
    variables: what environment variables of this account say beside url, token and user, by the rest of their names.
    """

    source: str
    environment: str = DEFAULT_ENVIRONMENT
    url: str = ""
    token: str = attrs.field(default="", repr=False)
    user: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    places: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def variable(self, what: str) -> str:
        """Name the environment variable that holds URL, TOKEN or USER of this account."""
        named = "" if self.environment == DEFAULT_ENVIRONMENT else f"__{self.environment.upper()}"
        return f"SYNCER_{self.source.upper()}{named}_{what}"


@attrs.frozen(kw_only=True)
class Option:
    """One option of a source as a site wrote it, and where: file, line and table."""

    value: Any = attrs.field(repr=False)
    place: str


@attrs.frozen(kw_only=True)
class Settings:
    """
    Everything that a site sets.

    warehouse: `duckdb:PATH` or `odbc:CONNECTION STRING`; it may hold a password, and is not shown.
    warehouse_user, warehouse_password: for a connection string that has none.
    wait_s: how long to wait for a warehouse file that another process holds.
    memory_limit: what DuckDB may use, in its own words.
    base: the folder that relative paths start from.
    """

    warehouse: str = attrs.field(default="duckdb:warehouse.duckdb", repr=False)
    warehouse_user: str = ""
    warehouse_password: str = attrs.field(default="", repr=False)
    wait_s: float = 60.0
    memory_limit: str = "96MB"
    environment: str = DEFAULT_ENVIRONMENT
    base: Path = attrs.field(factory=Path.cwd)
    file: Path | None = None
    folders: tuple[Path, ...] = ()
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    tables: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def account(self, source: str) -> Account:
        """Return the account of *source* in the environment in force; what is missing is empty."""
        table = self._account_table(source)
        bare = Account(source=source, environment=self.environment)
        found = {
            key: (self.variables.get(bare.variable(key.upper())) or str(table.get(key, ""))).strip()
            for key in _ACCOUNT_KEYS
        }
        options = {key: value for key, value in table.items() if key not in _ACCOUNT_KEYS}
        beginning = bare.variable("")
        others = {
            name.removeprefix(beginning).lower(): value.strip()
            for name, value in self.variables.items()
            if name.startswith(beginning)
        }
        return attrs.evolve(bare, options=options, places=self._places(source, options), variables=others, **found)

    def environments(self) -> list[str]:
        """Return the names of all environments that are named anywhere, the default one first."""
        found = {self.environment, *self.tables.get("environments", {})}
        for name, table in self.tables.items():
            found.update(table.get("environments", ()) if "." in name else ())
        found.update(match[1].lower() for match in map(_OF_ENVIRONMENT.fullmatch, self.variables) if match)
        return [DEFAULT_ENVIRONMENT, *sorted(found - {DEFAULT_ENVIRONMENT})]

    def objects(self, *, is_every: bool = False) -> dict[str, list[Option]]:
        """
        Return, by source, which further objects a site wants read: the option `objects` as it stands, unchecked.

        is_every: those of all environments, and not only of the one in force.
        """
        found: dict[str, list[Option]] = {}
        for environment in self.environments() if is_every else [self.environment]:
            own = attrs.evolve(self, environment=environment)
            named = self.tables.get("environments", {}).get(environment, {})
            for source in sorted({*self.tables, *named} - set(_TABLES)):
                if "." in source or not isinstance(self.tables.get(source, named.get(source)), dict):
                    continue
                options = {key: value for key, value in own._account_table(source).items() if key == "objects"}
                places = own._places(source, options)
                for value in options.values():
                    place = places.get("objects", f"[{source}]")
                    found.setdefault(source, []).append(Option(value=value, place=place))
        return found

    def for_mapping(self, name: str) -> dict[str, Any]:
        """Return what the site set for a mapping, the environment's keys over the mapping's own."""
        table = dict(self.tables.get(name, {}))
        named = table.pop("environments", {})
        return {**table, **named.get(self.environment, {})}

    def applied_to(self, mapping: EntityMapping) -> EntityMapping:
        """Return *mapping* with the site's inbound keys in place of its own."""
        if mapping.inbound is None:
            return mapping
        found = self.for_mapping(mapping.name)
        inbound = mapping.inbound
        if "max_gone_share" in found:
            share = found["max_gone_share"]
            inbound = attrs.evolve(inbound, max_gone_share=None if share == "off" else float(share))
        if "lookback_s" in found:
            inbound = attrs.evolve(inbound, lookback=timedelta(seconds=found["lookback_s"]))
        mapping = attrs.evolve(mapping, inbound=inbound)
        return mapping if inbound.discovers else self.treated(mapping)  # else once its fields are known

    def treated(self, mapping: EntityMapping) -> EntityMapping:
        """Return *mapping* with the site's treatments of personal fields. Raises UsageError."""
        return privacy.applied_to(
            mapping,
            self.for_mapping(mapping.name).get("personal", {}),
            where=lambda column: self._place_of(mapping.name, "personal", column),
        )

    def privacy_of(self, mapping: EntityMapping, *, people: Iterable[str] = ()) -> privacy.Privacy:
        """
        Compile the treatments of *mapping*, as `treated` returned it; *people* are the names that its source knows.

        Raises: UsageError: a field is hashed, and there is no key, or too short a one.
        """
        own = self.tables.get("syncer", {})
        names = Names.of([*people, *own.get("known_names", ())])
        mask = Mask(regions=tuple(own.get("phone_regions", REGIONS)), names=names)
        return privacy.Privacy(mapping=mapping, key=self.hash_key() if self.has_hash_key else b"", mask=mask)

    @property
    def has_hash_key(self) -> bool:
        """Tell whether there is a key to hash with."""
        return bool(self._hash_key())

    def hash_key(self) -> bytes:
        """Return the key that personal data is hashed with. Raises UsageError where there is none, or it is short."""
        return privacy.checked_key(self._hash_key())

    def _hash_key(self) -> str:
        return self.variables.get("SYNCER_HASH_KEY") or str(self.tables.get("syncer", {}).get("hash_key", ""))

    def check_names(self, *, sources: Iterable[str], mappings: Iterable[str]) -> None:
        """Check that each table of `syncer.toml` names a source or mapping that is known. Raises UsageError."""
        if self.file is None:
            return
        checker = _Checker(self.file, _text_of(self.file))
        known_sources, known_mappings = list(sources), list(mappings)
        for name, table in self.tables.items():
            if name == "environments":
                for environment, named in table.items():
                    inner = [key for key, value in named.items() if isinstance(value, dict)]
                    for source in inner:
                        checker.known((name, environment, source), "source", known_sources)
            elif "." in name:
                checker.known((name,), "mapping", known_mappings)
            elif name not in _TABLES:
                checker.known((name,), "source or table", [*known_sources, *_TABLES])
                for key in table:
                    if f"{name}.{key}" in known_mappings and isinstance(table[key], dict):
                        checker.fail((name, key), f"table [{name}.{key}]", f'["{name}.{key}"], a mapping, in quotes')

    def _place_of(self, mapping: str, key: str, column: str) -> str:
        """Say where a mapping's key for a column stands: file, line and table."""
        if self.file is None:
            return f'{key} in ["{mapping}"]'
        named = self.tables.get(mapping, {}).get("environments", {}).get(self.environment, {})
        path = (mapping, "environments", self.environment) if key in named else (mapping,)
        line = _Checker(self.file, _text_of(self.file)).line((*path, key, column))
        return f'{self.file}, line {line}, {key} in ["{mapping}"]'

    def _places(self, source: str, options: Mapping[str, Any]) -> dict[str, str]:
        """Say where each option of a source stands: file, line and table."""
        if self.file is None or not options:
            return {}
        checker = _Checker(self.file, _text_of(self.file))
        is_named = self.environment != DEFAULT_ENVIRONMENT
        path: tuple[str, ...] = ("environments", self.environment, source) if is_named else (source,)
        own = self.tables.get("environments", {}).get(self.environment, {}).get(source, {}) if is_named else options
        found = {}
        for key in options:
            table = path if key in own else path[:-1]
            found[key] = f"{self.file}, line {checker.line((*table, key))}, in [{'.'.join(table)}]"
        return found

    def _account_table(self, source: str) -> dict[str, Any]:
        if self.environment == DEFAULT_ENVIRONMENT:
            return dict(self.tables.get(source, {}))
        named = self.tables.get("environments", {}).get(self.environment, {})
        flat = {key: value for key, value in named.items() if not isinstance(value, dict)}
        return {**flat, **named.get(source, {})}


def load(
    *, environment: str | None = None, variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """
    Read the settings; *variables* defaults to the process's, *folder* to the working directory.

    Raises: UsageError: the file is no TOML, or has a table, key or value that is not known.
    """
    given = dict(os.environ if variables is None else variables)
    base = folder or Path.cwd()
    named = DEFAULT_ENVIRONMENT if environment is None else environment
    if not named:  # an unset variable in a script must not mean the default account
        raise UsageError(
            "The name of the environment is empty.", hint="Name one, or leave it out altogether for the default one."
        )
    if not _ENVIRONMENT.fullmatch(named):
        raise UsageError(f"Environment '{named[:100]}': a name is small letters, digits and _.")
    file = Path(given["SYNCER_CONFIG"]) if given.get("SYNCER_CONFIG") else base / "syncer.toml"
    is_there = _exists(file)
    if given.get("SYNCER_CONFIG") and not is_there:
        raise UsageError(
            f"SYNCER_CONFIG names {file}, which does not exist.", hint="`syncer init` writes one to begin with."
        )
    tables = _read(file) if is_there else {}
    warehouse = tables.get("warehouse", {})
    folders = tuple((file.parent / name).resolve() for name in tables.get("syncer", {}).get("folders", ()))
    defaults = Settings()
    return Settings(
        warehouse=given.get("SYNCER_WAREHOUSE") or warehouse.get("url") or defaults.warehouse,
        warehouse_user=given.get("SYNCER_WAREHOUSE_USER") or warehouse.get("user", ""),
        warehouse_password=given.get("SYNCER_WAREHOUSE_PASSWORD") or warehouse.get("password", ""),
        wait_s=float(warehouse.get("wait_s", defaults.wait_s)),
        memory_limit=warehouse.get("memory_limit", defaults.memory_limit),
        environment=named,
        base=base,
        file=file if is_there else None,
        folders=folders,
        variables=given,
        tables=tables,
    )


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into
        raise UsageError(f"{str(file)[:200]} cannot be read ({type(error).__name__}).") from error


def _text_of(file: Path) -> str:
    """Read *file*; an editor of Windows puts a byte order mark before UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8.", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({type(error).__name__}).") from error


def _read(file: Path) -> dict[str, Any]:
    text = _text_of(file)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}{_place(str(error), text)}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists without end
        raise UsageError(f"{file} holds a value that is too large ({type(error).__name__}).") from error
    _Checker(file, text).check(tables)
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
class _Checker:
    """Says what in a `syncer.toml` is wrong, with its line; a text from there is not repeated: it may be a token."""

    file: Path
    text: str

    def check(self, tables: Mapping[str, Any]) -> None:
        choices = "warehouse, syncer, environments, a source, or a mapping in quotes"
        for name, table in tables.items():
            if not isinstance(table, dict):
                self.fail((name,), f"{name} stands outside a table", choices)
            if name == "warehouse":
                self._keys((name,), table, WAREHOUSE_KEYS)
            elif name == "syncer":
                self._keys((name,), table, SYNCER_KEYS)
            elif name == "environments":
                self._environments(name, table)
            elif "." in name:
                self._mapping(name, table)
            elif not _ENVIRONMENT.fullmatch(name):
                self.fail((name,), f"table [{name}]", choices)
            else:
                self._account((name,), table)

    def known(self, path: tuple[str, ...], noun: str, names: Iterable[str]) -> None:
        """Refuse the table *path* where its last step is none of *names*."""
        if path[-1] not in (choices := list(names)):
            wrong = UnknownName(noun, path[-1], known=choices)
            raise UsageError(f"{self.file}, line {self.line(path)}: {wrong}")

    def fail(self, path: tuple[str, ...], what: str, choices: str) -> None:
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
        for key in _ACCOUNT_KEYS:
            if key in table and not isinstance(table[key], str):
                self.fail((*path, key), f"{key} in [{'.'.join(path)}] is no text", "a text in quotes")

    def _environments(self, top: str, table: Mapping[str, Any]) -> None:
        for name, named in table.items():
            if not isinstance(named, dict) or not _ENVIRONMENT.fullmatch(name):
                self.fail((top, name), f"environment {name}", "a table, its name in small letters, digits and _")
            self._account((top, name), named)
            for source, inner in named.items():
                if isinstance(inner, dict):
                    self._account((top, name, source), inner)

    def _mapping(self, name: str, table: Mapping[str, Any]) -> None:
        own = {key: value for key, value in table.items() if key != "environments"}
        self._keys((name,), own, MAPPING_KEYS)
        environments = table.get("environments", {})
        if not isinstance(environments, dict):
            self.fail((name, "environments"), f'environments in ["{name}"]', "tables, one for each environment")
        for environment, named in environments.items():
            path = (name, "environments", environment)
            if not isinstance(named, dict) or not _ENVIRONMENT.fullmatch(environment):
                self.fail(path, ".".join(path), "a table, its name in small letters, digits and _")
            self._keys(path, named, MAPPING_KEYS)

    def _keys(self, path: tuple[str, ...], table: Mapping[str, Any], known: Mapping[str, tuple[str, Check]]) -> None:
        for key, value in table.items():
            if key not in known:
                wrong = UnknownName(f"key in [{'.'.join(path)}]", key, known=known)
                raise UsageError(f"{self.file}, line {self.line((*path, key))}: {wrong}")
            meaning, is_good = known[key]
            if not is_good(value):
                self.fail((*path, key), f"{key} in [{'.'.join(path)}] is {_shown(value)}", meaning)


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


def _shown(value: Any) -> str:
    """Write a value of the wrong kind; a text, or what may hold one, only by its kind."""
    if isinstance(value, str):
        return "another text" if value else "an empty text"
    return (
        str(value)[:40] if isinstance(value, int | float) else "a list" if isinstance(value, list) else "no such value"
    )
