"""
A portal's own rules for values, checked before anything is sent: what HubSpot would refuse is a reject with a reason.

A rule that two readings of the documentation judge differently is checked as far as they agree (`AFTER_DURATION`: not
before today; what a special character is; whether blanks are letters): HubSpot judges the rest, and what it refuses is
a reject as well. A rule that nobody knew yet, or whose arguments are none, is HubSpot's to check.
Source: HubSpot's guide "Property validations" of 2026-03-31.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs

from syncer.sources.hubspot import normal
from syncer.sources.hubspot.normal import Misfit
from syncer.target import Ours

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_][\w-]{1,62}")
_PHONE = re.compile(r"\+[0-9][0-9 ().\-/]*(?:\s*(?:ext\.?|x)\s*[0-9]+)?", re.IGNORECASE)
_SPECIAL = frozenset(string.punctuation)
_TODAY = (dt.timedelta(hours=14), dt.timedelta(hours=12))  # somewhere it is a later, or an earlier day


@attrs.frozen
class Rule:
    """One rule. normalizes: HubSpot puts a value into the form that the rule wants, and then checks it."""

    type: str
    arguments: tuple[str, ...] = ()
    normalizes: bool = False


Now = Callable[[], dt.datetime]
_Test = Callable[[str, Sequence[str]], str]  # the value, the arguments; the reason, empty where it fits


def read(results: Any) -> dict[str, tuple[Rule, ...]]:
    """
    Read the rules by property: a list of `propertyName` and `propertyValidationRules`, or an object by property.

    What has another shape is no rule that we could check.
    """
    if isinstance(results, list):
        pairs = [(each.get("propertyName"), each.get("propertyValidationRules")) for each in results if _is_map(each)]
    else:
        pairs = list(results.items()) if isinstance(results, Mapping) else []
    return {
        name: tuple(_rule(each) for each in rules if _is_map(each))
        for name, rules in pairs
        if isinstance(name, str) and isinstance(rules, list)
    }


def obey(ours: Ours, rules: Sequence[Rule], *, now: Now) -> Ours:
    """Return a value as HubSpot will keep it under these rules. Raises Misfit where one refuses it."""
    for rule in rules:
        ours = _normalized(ours, rule)
    text = ours.sent or ""
    for rule in rules:
        try:
            reason = _reason(rule, text, now)
        except (ValueError, IndexError, OverflowError, decimal.InvalidOperation, re.error):
            continue  # arguments that are none: HubSpot knows what it meant
        if reason:
            raise Misfit(reason)
    return ours


def _normalized(ours: Ours, rule: Rule) -> Ours:
    if not rule.normalizes or ours.sent is None:
        return ours
    first = rule.arguments[0].upper() if rule.arguments else ""
    change: Mapping[tuple[str, str], Callable[[str], str]] = {
        ("FORMAT", "UPPER"): str.upper,
        ("FORMAT", "LOWER"): str.lower,
        ("WHITESPACE", "TRIM"): str.strip,
        ("WHITESPACE", "ALL"): lambda text: "".join(text.split()),
        ("WHITESPACE", ""): lambda text: "".join(text.split()),
    }
    made = change.get((rule.type, first))
    if made is None:
        return ours
    text = made(ours.sent)
    return Ours(text or None, text)


def _reason(rule: Rule, text: str, now: Now) -> str:
    if rule.type in ("AFTER_DURATION", "AFTER_DATETIME_DURATION"):
        return "" if _moment(text) >= now() - _TODAY[1] - dt.timedelta(days=1) else "It must lie in the future."
    if rule.type in ("BEFORE_DURATION", "BEFORE_DATETIME_DURATION"):
        return "" if _moment(text) <= now() + _TODAY[0] else "It must lie in the past."
    test = _TESTS.get(rule.type)
    return test(text, rule.arguments) if test is not None else ""


def _alphanumeric(text: str, arguments: Sequence[str]) -> str:
    letters = "".join(text.split())
    what = arguments[0].upper() if arguments else "ALPHANUMERIC"
    if what == "NUMERIC_ONLY":
        return "" if all(each.isdigit() for each in letters) else "It may hold digits only."
    if what == "ALPHA_ONLY":
        return "" if all(each.isalpha() or _is_mark(each) for each in letters) else "It may hold letters only."
    return "" if all(each.isalnum() or _is_mark(each) for each in letters) else "It may hold letters and digits only."


def _is_mark(letter: str) -> bool:
    """Tell whether this is part of a letter: an accent, or a vowel of a script that writes them so."""
    return unicodedata.category(letter).startswith("M")


def _format(text: str, arguments: Sequence[str]) -> str:
    what = arguments[0].upper()
    if what == "UPPER" and text != text.upper():
        return "It must be in capitals."
    if what == "LOWER" and text != text.lower():
        return "It must be in small letters."
    return "It must begin with a capital." if what == "CAPITALIZATION" and text[:1].islower() else ""


def _whitespace(text: str, arguments: Sequence[str]) -> str:
    if arguments and arguments[0].upper() == "TRIM":
        return "" if text == text.strip() else "It may not begin or end with a blank."
    return "" if not any(each.isspace() for each in text) else "It may hold no blanks."


def _decimal(text: str, arguments: Sequence[str]) -> str:
    most = int(arguments[0])
    found = -int(decimal.Decimal(text).normalize().as_tuple().exponent)
    return "" if found <= most else f"It has {found} decimals; the portal takes {most}."


def _number(text: str, arguments: Sequence[str], *, is_most: bool) -> str:
    number, bound = decimal.Decimal(text), decimal.Decimal(arguments[0])
    if is_most:
        return "" if number <= bound else f"It must be at most {arguments[0]}."
    return "" if number >= bound else f"It must be at least {arguments[0]}."


def _length(text: str, arguments: Sequence[str], *, is_most: bool) -> str:
    bound = int(arguments[0])
    if is_most:
        return "" if len(text) <= bound else f"It has {len(text):,} characters; the portal takes {bound:,}."
    return "" if len(text) >= bound else f"It has {len(text):,} characters; the portal wants at least {bound:,}."


def _date(text: str, arguments: Sequence[str], *, is_end: bool) -> str:
    moment, bound = _moment(text), _moment(arguments[0])
    shown = bound.date().isoformat()
    if is_end:
        return "" if moment <= bound else f"It must not be after {shown}."
    return "" if moment >= bound else f"It must not be before {shown}."


def _weekday(text: str, arguments: Sequence[str]) -> str:
    allowed = [each for each in DAYS if each in {day.upper() for day in arguments}]
    if not allowed or DAYS[_moment(text).weekday()] in allowed:
        return ""
    return f"It must be a {' or '.join(day.title() for day in allowed)}."


def _regex(text: str, arguments: Sequence[str]) -> str:
    if re.fullmatch(arguments[0], text):
        return ""
    return arguments[1] if len(arguments) > 1 and arguments[1] else f"It must match {arguments[0]}."


def _email(text: str, arguments: Sequence[str]) -> str:
    return "" if normal.is_email(text) else "It is no e-mail address."


def _domain(text: str, arguments: Sequence[str]) -> str:
    return "" if _DOMAIN.fullmatch(text) else "It is no domain, such as example.com."


def _url(text: str, arguments: Sequence[str]) -> str:
    return "" if _DOMAIN.fullmatch(_host(text)) else "It is no web address, such as https://example.com."


def _phone(text: str, arguments: Sequence[str]) -> str:
    is_number = _PHONE.fullmatch(text.strip()) is not None and sum(each.isdigit() for each in text) >= 5
    return "" if is_number else "It must be a telephone number with its country's code: +31…"


def _of_domain(host: Callable[[str], str], *, is_allowed: bool) -> _Test:
    def test(text: str, arguments: Sequence[str]) -> str:
        named = [each.lower().lstrip("@.") for each in arguments]
        found = host(text)
        is_named = any(found == each or found.endswith(f".{each}") for each in named)
        if not named or is_named == is_allowed:
            return ""
        return f"Its domain must be {' or '.join(named)}." if is_allowed else "Its domain is one that is not taken."

    return test


def _host(text: str) -> str:
    return (urlsplit(text if "://" in text else f"//{text}").hostname or "").lower()


def _host_of_email(text: str) -> str:
    return text.rpartition("@")[2].lower()


_TESTS: Mapping[str, _Test] = {
    "ALPHANUMERIC": _alphanumeric,
    "DAYS_OF_WEEK": _weekday,
    "DECIMAL": _decimal,
    "DOMAIN": _domain,
    "EMAIL": _email,
    "EMAIL_ALLOWED_DOMAINS": _of_domain(_host_of_email, is_allowed=True),
    "EMAIL_BLOCKED_DOMAINS": _of_domain(_host_of_email, is_allowed=False),
    "END_DATE": lambda text, arguments: _date(text, arguments, is_end=True),
    "END_DATETIME": lambda text, arguments: _date(text, arguments, is_end=True),
    "FORMAT": _format,
    "MAX_LENGTH": lambda text, arguments: _length(text, arguments, is_most=True),
    "MAX_NUMBER": lambda text, arguments: _number(text, arguments, is_most=True),
    "MIN_LENGTH": lambda text, arguments: _length(text, arguments, is_most=False),
    "MIN_NUMBER": lambda text, arguments: _number(text, arguments, is_most=False),
    "PHONE_NUMBER_WITH_EXPLICIT_COUNTRY_CODE": _phone,
    "REGEX": _regex,
    "SPECIAL_CHARACTERS": lambda text, arguments: "It may hold no special characters." if _SPECIAL & set(text) else "",
    "START_DATE": lambda text, arguments: _date(text, arguments, is_end=False),
    "START_DATETIME": lambda text, arguments: _date(text, arguments, is_end=False),
    "URL": _url,
    "URL_ALLOWED_DOMAINS": _of_domain(_host, is_allowed=True),
    "URL_BLOCKED_DOMAINS": _of_domain(_host, is_allowed=False),
    "WHITESPACE": _whitespace,
}
KNOWN = frozenset(_TESTS) | {
    f"{when}_{what}DURATION" for when in ("AFTER", "BEFORE") for what in ("", "DATETIME_")
}  # those that are checked


def _moment(text: str) -> dt.datetime:
    """Read a date, a time or milliseconds, as UTC. Raises ValueError."""
    found = normal.moment_of(text.strip())
    if isinstance(found, dt.datetime):
        return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)
    if found is None:
        raise ValueError("no time")
    return dt.datetime.combine(found, dt.time(), tzinfo=dt.UTC)


def _rule(found: Mapping[str, Any]) -> Rule:
    arguments = found.get("ruleArguments")
    return Rule(
        str(found.get("ruleType")),
        tuple(str(each) for each in arguments) if isinstance(arguments, list) else (),
        found.get("shouldApplyNormalization") is True,
    )


def _is_map(found: object) -> bool:
    return isinstance(found, Mapping)
