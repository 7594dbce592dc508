"""
Settings: environment variables first, then `syncer.toml` in the working directory (or the file that `SYNCER_CONFIG`
names).

A `Settings` is a value that the verbs hand down; nothing below `engine` looks one up. A typo gets one line: file,
line, what was found, what is known. Secrets never appear in a repr.

Not here: what a source needs (`NEEDS` in each file of `sources/`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from syncer.errors import UnknownName, UsageError
from syncer.mapping import EntityMapping

DEFAULT_ENVIRONMENT = "default"
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_]*")
_ACCOUNT_KEYS = ("url", "token", "user")

Check = Callable[[Any], bool]


def _is_share(value: Any) -> bool:
    return value == "off" or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


WAREHOUSE_KEYS: Mapping[str, tuple[str, Check]] = {
    "url": ("a text such as duckdb:warehouse.duckdb", _is_text),
    "wait_s": ("seconds, 0 or more", _is_seconds),
    "memory_limit": ("a text such as 96MB", _is_text),
}
SYNCER_KEYS: Mapping[str, tuple[str, Check]] = {
    "folders": ("a list of folders", lambda value: isinstance(value, list) and all(_is_text(each) for each in value)),
}
MAPPING_KEYS: Mapping[str, tuple[str, Check]] = {
    "max_gone_share": ('a share between 0 and 1, or "off"', _is_share),
    "lookback_s": ("seconds, 0 or more", _is_seconds),
    "style": ('"mirror" or "delta"', lambda value: value in ("mirror", "delta")),
    "reoffer_days": ("days, more than 0", lambda value: _is_seconds(value) and value > 0),
}


@attrs.frozen(kw_only=True)
class Account:
    """
    One account of a source: where it is and how we get in. `options` is its table in `syncer.toml`, without url, token
    and user.
    """

    source: str
    environment: str = DEFAULT_ENVIRONMENT
    url: str = ""
    token: str = attrs.field(default="", repr=False)
    user: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def variable(self, what: str) -> str:
        """Name the environment variable that holds URL, TOKEN or USER of this account."""
        named = "" if self.environment == DEFAULT_ENVIRONMENT else f"__{self.environment.upper()}"
        return f"SYNCER_{self.source.upper()}{named}_{what}"


@attrs.frozen(kw_only=True)
class Settings:
    """
    Everything that a site sets.

    warehouse: `duckdb:PATH`.
    wait_s: how long to wait for a warehouse file that another process holds.
    memory_limit: what DuckDB may use, in its own words.
    base: the folder that relative paths start from.
    """

    warehouse: str = "duckdb:warehouse.duckdb"
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
        return attrs.evolve(bare, options=options, **found)

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
        return attrs.evolve(mapping, inbound=inbound)

    def check_names(self, *, sources: Iterable[str], mappings: Iterable[str]) -> None:
        """Check that each table of `syncer.toml` names a source or mapping that is known. Raises UsageError."""
        if self.file is None:
            return
        for name in self.tables:
            if name in ("warehouse", "syncer", "environments"):
                continue
            noun, known = ("mapping", mappings) if "." in name else ("source", sources)
            if name not in (names := list(known)):
                line = _Checker(self.file, self.file.read_text(encoding="utf-8")).line(name)
                raise UsageError(f"{self.file}, line {line}: {UnknownName(noun, name, known=names)}")

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
    named = environment or DEFAULT_ENVIRONMENT
    if not _ENVIRONMENT.fullmatch(named):
        raise UsageError(f"Environment '{named}': a name is small letters, digits and _.")
    file = Path(given["SYNCER_CONFIG"]) if given.get("SYNCER_CONFIG") else base / "syncer.toml"
    if given.get("SYNCER_CONFIG") and not file.exists():
        raise UsageError(
            f"SYNCER_CONFIG names {file}, which does not exist.", hint="`syncer init` writes one to begin with."
        )
    tables = _read(file) if file.exists() else {}
    warehouse = tables.get("warehouse", {})
    folders = tuple((file.parent / name).resolve() for name in tables.get("syncer", {}).get("folders", ()))
    defaults = Settings()
    return Settings(
        warehouse=given.get("SYNCER_WAREHOUSE") or warehouse.get("url") or defaults.warehouse,
        wait_s=float(warehouse.get("wait_s", defaults.wait_s)),
        memory_limit=warehouse.get("memory_limit", defaults.memory_limit),
        environment=named,
        base=base,
        file=file if file.exists() else None,
        folders=folders,
        variables=given,
        tables=tables,
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read ({type(error).__name__}).") from error
    _Checker(file, text).check(tables)
    return tables


@attrs.frozen
class _Checker:
    """Says what in a `syncer.toml` is not known, with its line."""

    file: Path
    text: str

    def check(self, tables: Mapping[str, Any]) -> None:
        for name, table in tables.items():
            if not isinstance(table, dict):
                self._fail(
                    name,
                    f"{name} stands outside a table",
                    "warehouse, syncer, environments, a source, or a mapping in quotes",
                )
            if name == "warehouse":
                self._keys(name, table, WAREHOUSE_KEYS)
            elif name == "syncer":
                self._keys(name, table, SYNCER_KEYS)
            elif name == "environments":
                self._environments(table)
            elif "." in name:
                self._mapping(name, table)
            elif not _ENVIRONMENT.fullmatch(name):
                self._fail(
                    name, f"table [{name}]", "warehouse, syncer, environments, a source's name, or a mapping in quotes"
                )

    def _environments(self, table: Mapping[str, Any]) -> None:
        for name, named in table.items():
            if not isinstance(named, dict) or not _ENVIRONMENT.fullmatch(name):
                self._fail(name, f"environment {name}", "a table, its name in small letters, digits and _")

    def _mapping(self, name: str, table: Mapping[str, Any]) -> None:
        own = {key: value for key, value in table.items() if key != "environments"}
        self._keys(name, own, MAPPING_KEYS)
        for environment, named in table.get("environments", {}).items():
            if not isinstance(named, dict):
                self._fail(environment, f"{name}.environments.{environment}", "a table")
            self._keys(f"{name}.environments.{environment}", named, MAPPING_KEYS)

    def _keys(self, table_name: str, table: Mapping[str, Any], known: Mapping[str, tuple[str, Check]]) -> None:
        for key, value in table.items():
            if key not in known:
                wrong = UnknownName(f"key in [{table_name}]", key, known=known)
                raise UsageError(f"{self.file}, line {self.line(key)}: {wrong}")
            meaning, is_good = known[key]
            if not is_good(value):
                self._fail(key, f"{key} in [{table_name}] is {value!r}", meaning)

    def _fail(self, key: str, what: str, choices: str) -> None:
        raise UsageError(f"{self.file}, line {self.line(key)}: {what}. Choices: {choices}.")

    def line(self, key: str) -> int:
        """Find the line that *key* stands on."""
        pattern = re.compile(rf"""(^|[\s\["'.{{,]){re.escape(key)}["'\]\s=.]""")
        for number, line in enumerate(self.text.splitlines(), start=1):
            if pattern.search(f"{line} ") and not line.lstrip().startswith("#"):
                return number
        return 1
