"""
Settings that an operation declares: what each takes, what it is where the site says nothing, and reading them from
`syncer.toml`, where they stand in a table of the operation's name (`["hubspot.merge_tickets"]`), beside its limits.

    SETTINGS = {"property": text("nerds_ticket_id"), "max_group": count(10), "survivor": one_of("oldest", "newest")}

Not here: the file and its other tables (`configfile.py`), what a setting means to its operation (`operations/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from syncer import limits, words
from syncer.blanks import is_blank
from syncer.configfile import Checker, text_of
from syncer.errors import UnknownName, UsageError
from syncer.settings import Settings

MAX_AGE = "max_age_s"  # of every operation: for how long `status --max-age` lets it be, where it is not named
LONGEST_AGE = 366 * 86_400


def _is_age(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value == limits.OFF or (is_number and 0 < value <= LONGEST_AGE)


@attrs.frozen(kw_only=True)
class Setting:
    """One setting: what it takes, in words; whether a value is such a one; what it is unset."""

    meaning: str
    is_good: Callable[[Any], bool]
    default: Any = None


def text(default: str = "", *, meaning: str = "a text", may_be_blank: bool = False) -> Setting:
    """Declare a text; empty: it is not set. may_be_blank: whether one of nothing but blanks says something."""
    return Setting(
        meaning=meaning,
        is_good=lambda value: isinstance(value, str) and bool(value) and (may_be_blank or not is_blank(value)),
        default=default,
    )


def texts(*default: str, meaning: str = "a list of texts") -> Setting:
    """Declare a list of texts, none of them blank."""
    return Setting(meaning=meaning, is_good=_is_texts, default=tuple(default))


def count(default: int, *, least: int = 0, most: int = 1_000_000_000) -> Setting:
    """Declare a whole number."""
    return Setting(
        meaning=f"a whole number from {least:,} to {most:,}",
        is_good=lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
        default=default,
    )


def seconds(default: float, *, most: float = 3_600) -> Setting:
    """Declare a time in seconds."""
    return Setting(
        meaning=f"seconds from 0 to {most:,g}",
        is_good=lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most,
        default=default,
    )


def share(default: float | str) -> Setting:
    """Declare a share of something, from 0 to 1; `"off"`: there is none."""
    return Setting(
        meaning='a share between 0 and 1, or "off"',
        is_good=lambda value: (
            value == limits.OFF or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)
        ),
        default=default,
    )


def flag(default: bool = False) -> Setting:
    """Declare a yes or no."""
    return Setting(meaning="true or false", is_good=lambda value: isinstance(value, bool), default=default)


def one_of(default: str, *others: str) -> Setting:
    """Declare a choice of words; the first one is what it is unset."""
    choices = (default, *others)
    return Setting(meaning=f"one of {', '.join(choices)}", is_good=lambda value: value in choices, default=default)


def table(meaning: str, is_good: Callable[[Any], bool], *, default: Any = None) -> Setting:
    """Declare a table or a list with a form of its own; *is_good* takes the whole of it."""
    return Setting(meaning=meaning, is_good=is_good, default={} if default is None else default)


def read(settings: Settings, name: str, declared: Mapping[str, Setting]) -> dict[str, Any]:
    """
    Return the settings of an operation: those of the site, of the environment in force before the others, else what
    is declared. Raises UsageError: a key that it does not have, or a value that does not fit, with its line.
    """
    check(settings, name, declared)
    found = settings.for_mapping(name)
    return {key: found.get(key, setting.default) for key, setting in declared.items()}


def limits_of(settings: Settings, name: str) -> dict[str, float | str]:
    """Return the limits that the site set for an operation, by name."""
    return {key: value for key, value in settings.for_mapping(name).items() if key in limits.DEFAULTS}


def check(settings: Settings, name: str, declared: Mapping[str, Setting]) -> None:
    """Check what a site set for an operation, in all environments. Raises UsageError."""
    tables = settings.tables.get(name)
    if tables is None:
        return
    if settings.file is None:
        _check_blank(name, tables, declared)
        return
    checker = Checker(settings.file, text_of(settings.file))
    known: dict[str, tuple[str, Callable[[Any], bool]]] = {
        **{key: (each.meaning, each.is_good) for key, each in declared.items()},
        **{key: words.KEYS[key] for key in words.NUMBERS},
        MAX_AGE: (f'seconds up to {LONGEST_AGE:,}, or "off"', _is_age),
    }
    own = {key: value for key, value in tables.items() if key != "environments"}
    checker.keys((name,), own, known)
    for environment, named in tables.get("environments", {}).items():
        checker.keys((name, "environments", environment), named, known)


def _check_blank(name: str, tables: Mapping[str, Any], declared: Mapping[str, Setting]) -> None:
    """Refuse blank texts of settings that come from no file: they would stand for none."""
    for own in (tables, *tables.get("environments", {}).values()):
        for key, value in own.items():
            given = value if isinstance(value, list | tuple) else [value]
            is_text = any(isinstance(each, str) and is_blank(each) for each in given)
            if key in declared and is_text and not declared[key].is_good(value):
                raise UsageError(f'{key} in ["{name}"] is a blank text. Choices: {declared[key].meaning}.')


def refuse(name: str, key: str, value: str, *, noun: str, known: object) -> UsageError:
    """Make the error of a setting that names something which is not there: `property`, of an operation."""
    choices = list(known) if isinstance(known, list | tuple | dict | set | frozenset) else []
    wrong = UnknownName(noun, value, known=choices)
    return UsageError(f'{key} in ["{name}"]: {wrong}')


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) and not is_blank(each) for each in value)
