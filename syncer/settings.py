"""
Settings: environment variables first, then `syncer.toml` in the working directory (or the file that `SYNCER_CONFIG`
names).

A `Settings` is a value that the verbs hand down; nothing below `engine` looks one up. Secrets never appear in a repr.

Not here: what a source needs (`NEEDS` in each file of `sources/`), how the file is read and checked (`configfile.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from syncer import privacy, words
from syncer.configfile import ACCOUNT_KEYS, ENVIRONMENT, ON_DEFAULT, TABLES, Checker, exists, header, read, text_of
from syncer.errors import UsageError
from syncer.mapping import EntityMapping
from syncer.masking import REGIONS, Mask, Names

DEFAULT_ENVIRONMENT = "default"
KEEP_DAYS, KEEP_RUNS_DAYS = 90, 400
NOTIFY_S = 10.0
ZERO, STATUS = "zero", "status"  # what a host script of WhereScape RED leaves with: `[wherescape] exit_code`
FRESH_S, SETTLE_S = 60.0, 60.0  # `[push] fresh_s` and `settle_s` where the site says nothing
_SECRETS = ("token", "hash_key", "password", "webhook")  # settings that hold one
_OF_ENVIRONMENT = re.compile(r"SYNCER_[A-Z0-9_]*?[A-Z0-9]__([A-Z][A-Z0-9_]*)_(?:URL|TOKEN|USER)")


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

    @property
    def start(self) -> datetime | None:
        """
        Where a first pull begins (the option or variable `start`); None: at the beginning. What changed last before it
        is not read. Raises UsageError: it is no date or time.
        """
        given = self.variables.get("start") or self.options.get("start")
        if not given:
            return None
        place = self.places.get("start", f"{self.variable('START')}")
        try:
            found = given if isinstance(given, date) else datetime.fromisoformat(str(given).strip())
        except ValueError:
            raise UsageError(
                f"{place}: start is neither a date nor a time.", hint="Such as 2026-01-31, or 2026-01-31T09:30:00Z."
            ) from None
        if not isinstance(found, datetime):
            found = datetime(found.year, found.month, found.day, tzinfo=UTC)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

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
class Notify:
    """
    Who is told of a run that a person should look at: `[notify]`. Nothing of it is shown: a webhook's URL is a secret.

    on: of which of `configfile.CAUSES`. timeout_s: how long each of the two may take, all tries together.
    folder: where the command runs: that of `syncer.toml`.
    """

    webhook: str = attrs.field(default="", repr=False)
    command: tuple[str, ...] = attrs.field(default=(), repr=False)
    token: str = attrs.field(default="", repr=False)
    on: tuple[str, ...] = ON_DEFAULT
    timeout_s: float = NOTIFY_S
    folder: Path | None = None

    @property
    def is_set(self) -> bool:
        """Tell whether anybody is to be told."""
        return bool(self.webhook or self.command)


@attrs.frozen(kw_only=True)
class Settings:
    """
    Everything that a site sets.

    warehouse: `duckdb:PATH` or `odbc:CONNECTION STRING`; it may hold a password, and is not shown.
    warehouse_user, warehouse_password: for a connection string that has none.
    wait_s: how long to wait for a file that another process holds, or for a server: to be there, and for its locks.
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

    def place_of_warehouse(self) -> str:
        """Say where in `syncer.toml` the warehouse stands: file, line and table; empty where it is not from there."""
        if (
            self.file is None
            or self.variables.get("SYNCER_WAREHOUSE")
            or "url" not in self.tables.get("warehouse", {})
        ):
            return ""
        line = Checker(self.file, text_of(self.file)).line(("warehouse", "url"))
        return f"{self.file}, line {line}, url in [warehouse]"

    def account(self, source: str) -> Account:
        """Return the account of *source* in the environment in force; what is missing is empty."""
        table = self._account_table(source)
        bare = Account(source=source, environment=self.environment)
        found = {
            key: (self.variables.get(bare.variable(key.upper())) or str(table.get(key, ""))).strip()
            for key in ACCOUNT_KEYS
        }
        options = {key: value for key, value in table.items() if key not in ACCOUNT_KEYS}
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
            for source in sorted({*self.tables, *named} - set(TABLES)):
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
        """Return *mapping* with the site's words in place of its own."""
        found = self.for_mapping(mapping.name)
        if mapping.outbound is not None:
            mapping = attrs.evolve(mapping, outbound=words.applied_to(mapping.outbound, found))
        elif of_push := sorted(set(found) & set(words.KEYS)):
            raise UsageError(
                f"{self._place_of(mapping.name, of_push[0])}: {mapping.name} only comes in, and {of_push[0]} is about "
                "what goes out.",
                hint="`syncer list` says what goes out.",
            )
        if mapping.inbound is None:
            return mapping
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
    def keep_days(self) -> int | None:
        """How many days the journal keeps what was written and what it replaced; None: for good."""
        found = self.tables.get("journal", {}).get("keep_days", KEEP_DAYS)
        return None if found == "off" else int(found)

    @property
    def keep_runs_days(self) -> int | None:
        """
        How many days the rows of runs are kept, never fewer than values are; None: for good.

        Raises: UsageError: the site wants them to go before what they wrote.
        """
        own, keep_days = self.tables.get("journal", {}), self.keep_days
        if "keep_runs_days" not in own:
            return None if keep_days is None else max(KEEP_RUNS_DAYS, keep_days)
        found = None if own["keep_runs_days"] == "off" else int(own["keep_runs_days"])
        if found is not None and (keep_days is None or found < keep_days):
            path = ("journal", "keep_runs_days")
            line = Checker(self.file, text_of(self.file)).line(path) if self.file is not None else 0
            place = f"{self.file}, line {line}: " if line else ""
            raise UsageError(
                f"{place}keep_runs_days in [journal] is {found}, and keep_days {keep_days or 'off'}: a run would go "
                "before what it wrote.",
                hint="Make keep_runs_days at least keep_days.",
            )
        return found

    @property
    def fresh_s(self) -> float:
        """How many seconds after it was read a record is written without being read again."""
        return float(self.tables.get("push", {}).get("fresh_s", FRESH_S))

    def notify(self) -> Notify:
        """Return who is told of runs; the environment's keys over those of all, variables over both."""
        named = self.tables.get("environments", {}).get(self.environment, {}).get("notify", {})
        found = {**self.tables.get("notify", {}), **named}
        return Notify(
            webhook=self.variables.get("SYNCER_NOTIFY_WEBHOOK") or found.get("webhook", ""),
            command=tuple(found.get("command", ())),
            token=self.variables.get("SYNCER_NOTIFY_TOKEN") or found.get("token", ""),
            on=tuple(found.get("on", ON_DEFAULT)),
            timeout_s=float(found.get("timeout_s", NOTIFY_S)),
            folder=self.file.parent if self.file is not None else None,
        )

    @property
    def settle_s(self) -> float:
        """How many seconds what was written, or merged, is read again until it shows."""
        return float(self.tables.get("push", {}).get("settle_s", SETTLE_S))

    @property
    def wherescape_exit_code(self) -> str:
        """What a host script leaves with inside WhereScape RED: `ZERO` always, or its `STATUS`."""
        return str(self.tables.get("wherescape", {}).get("exit_code", ZERO))

    @property
    def has_hash_key(self) -> bool:
        """Tell whether there is a key to hash with."""
        return bool(self._hash_key())

    def hash_key(self) -> bytes:
        """Return the key that personal data is hashed with. Raises UsageError where there is none, or it is short."""
        return privacy.checked_key(self._hash_key())

    def _hash_key(self) -> str:
        return self.variables.get("SYNCER_HASH_KEY") or str(self.tables.get("syncer", {}).get("hash_key", ""))

    def check_names(self, *, sources: Iterable[str], mappings: Iterable[str], operations: Iterable[str] = ()) -> None:
        """Check that each table of `syncer.toml` names what is known. Raises UsageError."""
        if self.file is None:
            return
        checker = Checker(self.file, text_of(self.file))
        known_sources, known_mappings, known_operations = list(sources), list(mappings), list(operations)
        for name, table in self.tables.items():
            if name == "environments":
                for environment, named in table.items():
                    inner = [key for key, value in named.items() if isinstance(value, dict) and key != "notify"]
                    for source in inner:
                        checker.known((name, environment, source), "source", known_sources)
            elif "." in name:
                if name not in known_operations:
                    checker.known((name,), "mapping", [*known_mappings, *known_operations])
            elif name not in TABLES:
                checker.known((name,), "source or table", [*known_sources, *TABLES])
                for key in table:
                    if f"{name}.{key}" in known_mappings and isinstance(table[key], dict):
                        checker.fail((name, key), f"table [{name}.{key}]", f'["{name}.{key}"], a mapping, in quotes')

    def _place_of(self, mapping: str, key: str, column: str = "") -> str:
        """Say where a mapping's key, or that for a column, stands: file, line and table."""
        if self.file is None:
            return f'{key} in ["{mapping}"]'
        named = self.tables.get(mapping, {}).get("environments", {}).get(self.environment, {})
        path = (mapping, "environments", self.environment) if key in named else (mapping,)
        line = Checker(self.file, text_of(self.file)).line((*path, key, *([column] if column else [])))
        return f'{self.file}, line {line}, {key} in ["{mapping}"]'

    def _places(self, source: str, options: Mapping[str, Any]) -> dict[str, str]:
        """Say where each option of a source stands: file, line and table."""
        if self.file is None or not options:
            return {}
        checker = Checker(self.file, text_of(self.file))
        is_named = self.environment != DEFAULT_ENVIRONMENT
        path: tuple[str, ...] = ("environments", self.environment, source) if is_named else (source,)
        own = self.tables.get("environments", {}).get(self.environment, {}).get(source, {}) if is_named else options
        found = {}
        for key in options:
            table = path if key in own else path[:-1]
            found[key] = f"{self.file}, line {checker.line((*table, key))}, in {header(table)}"
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
    if not ENVIRONMENT.fullmatch(named):
        raise UsageError(f"Environment '{named[:100]}': a name is small letters, digits and _.")
    file = Path(given["SYNCER_CONFIG"]) if given.get("SYNCER_CONFIG") else base / "syncer.toml"
    is_there = exists(file)
    if given.get("SYNCER_CONFIG") and not is_there:
        raise UsageError(
            f"SYNCER_CONFIG names {file}, which does not exist.", hint="`syncer init` writes one to begin with."
        )
    tables = read(file) if is_there else {}
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


def secrets_in(tables: Mapping[str, Any]) -> set[str]:
    """
    Find what must never be shown in the tables of `syncer.toml`: tokens, keys, passwords and webhooks, at any depth.

    Names in tables by column (`personal`) are columns, whatever they are called.
    """
    found: set[str] = set()
    for name, value in tables.items():
        if isinstance(value, Mapping):
            found |= secrets_in(value) if name != "personal" else set()
        elif name in _SECRETS and isinstance(value, str):
            found.add(value)
    return found
