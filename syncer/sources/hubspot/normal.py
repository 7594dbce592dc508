"""
Normal forms: what HubSpot takes for the same value has one text; blank is None. And how a value of ours is written.

Numbers are digits and one dot; dates are YYYY-MM-DD, which midnight UTC in milliseconds stands for as well; times have
milliseconds and Z; several choices are a set; an e-mail address has no capitals; clearing is an empty text. Not here:
choices that stand elsewhere: owners, stages (`choices.py`). Source: HubSpot's guide "Properties".
"""

from __future__ import annotations

import datetime as dt
import decimal
import difflib
import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from syncer import values
from syncer.target import Ours

LONGEST = 65_536
DAY_MS = 86_400_000
BLANK = Ours(None, "")
_MS = re.compile(r"-?[0-9]{1,16}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_EMAIL = re.compile(r"[^@\s;,<>]+@(?:[^@\s;,<>.]+\.)+[^@\s;,<>.]{2,}")
OUTSIDE = "It is no date between the years 1 and 9999."
INFINITE = "It is not a finite number."
NEAR = 3  # choices that a reason shows
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Misfit(ValueError):
    """A value that HubSpot would refuse; its text says why, without the value."""


Of = Callable[[Any], Ours]  # a value of ours that is no blank; raises Misfit
Theirs = Callable[[str], str]  # a value of the API that is no blank, in normal form


def ours_of_text(value: Any) -> Ours:
    """Take any value as text, but no number and no date that is none."""
    if isinstance(value, values.Outside):
        raise Misfit(OUTSIDE)
    if isinstance(value, float | decimal.Decimal) and not math.isfinite(value):
        raise Misfit(INFINITE)
    text = plain(value)
    if len(text) > LONGEST:
        raise Misfit(f"It has {len(text):,} characters; HubSpot takes {LONGEST:,}.")
    if "\0" in text:
        raise Misfit("It holds NUL.")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Misfit("It holds half a character, which no text can carry.")
    return Ours(text, text)


def ours_of_email(value: Any) -> Ours:
    """Take an e-mail address: large and small letters are the same."""
    text = ours_of_text(value).sent or ""
    text = text.strip()
    return Ours(text.lower(), text)


def ours_of_address(value: Any) -> Ours:
    """Take an e-mail address that HubSpot finds a contact by, so it must be one."""
    ours = ours_of_email(value)
    if ours.sent and not is_email(ours.sent):
        raise Misfit("It is no e-mail address.")
    return ours


def is_email(text: str) -> bool:
    """Tell whether a text looks like one e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def ours_of_number(value: Any) -> Ours:
    """Take a number, or a text that is one: no thousands separator, one dot."""
    if isinstance(value, bool):
        raise Misfit("It is true or false where a number should stand.")
    if isinstance(value, float | decimal.Decimal) and not math.isfinite(value):
        raise Misfit(INFINITE)
    text = str(value).strip() if isinstance(value, int | float | decimal.Decimal | str) else ""
    if not _NUMBER.fullmatch(text):
        raise Misfit("It is no number: digits, one dot, no thousands separator.")
    if math.isinf(float(text)):
        raise Misfit("It is a number beyond all that HubSpot keeps.")
    number = _number(text)
    return Ours(number, number)


def ours_of_bool(value: Any) -> Ours:
    """Take true or false."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        value = value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise Misfit("It is neither true nor false.")
    text = "true" if value else "false"
    return Ours(text, text)


def ours_of_date(value: Any) -> Ours:
    """Take a date, or a time that is midnight UTC."""
    if isinstance(value, values.Outside):
        raise Misfit(OUTSIDE)
    if isinstance(value, str):
        value = moment_of(value.strip())
    if isinstance(value, dt.datetime):
        moment = _aware(value).astimezone(dt.UTC)
        if moment.time() != dt.time(0):
            raise Misfit("It is a time that is not midnight UTC, where a date should stand.")
        value = moment.date()
    if not isinstance(value, dt.date):
        raise Misfit("It is no date: YYYY-MM-DD.")
    text = value.isoformat()
    return Ours(text, text)


def ours_of_datetime(value: Any) -> Ours:
    """Take a time; one without a zone is UTC. HubSpot keeps milliseconds."""
    if isinstance(value, values.Outside):
        raise Misfit(OUTSIDE)
    if isinstance(value, str):
        value = moment_of(value.strip())
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time(), tzinfo=dt.UTC)
    if not isinstance(value, dt.datetime):
        raise Misfit("It is no time: ISO 8601.")
    text = _iso(_aware(value))
    return Ours(text, text)


def choice(options: Mapping[str, str]) -> Of:
    """Make what takes one of *options*, labels by value: HubSpot wants the value, in its own letters."""

    def ours(value: Any) -> Ours:
        text = plain(value)
        if text not in options:
            raise Misfit(_no_option(text, options))
        return Ours(text, text)

    return ours


def choices(options: Mapping[str, str]) -> Of:
    """Make what takes several of *options*: a list, or a text with `;` between them. Their order does not count."""

    def ours(value: Any) -> Ours:
        parts = [plain(each) for each in value] if isinstance(value, list | tuple) else plain(value).split(";")
        chosen = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
        for each in chosen:
            if each not in options:
                raise Misfit(_no_option(each, options))
        return Ours(_set(chosen), ";".join(chosen)) if chosen else BLANK

    return ours


def same(text: str) -> str:
    """Return a text of the API as it is."""
    return text


def lower(text: str) -> str:
    """Return an e-mail address of the API in small letters."""
    return text.strip().lower()


def number(text: str) -> str:
    """Return a number of the API in normal form; what is none stays."""
    return _number(text.strip()) if _NUMBER.fullmatch(text.strip()) else text


def boolean(text: str) -> str:
    """Return a boolean of the API in normal form."""
    return text.strip().lower()


def date(text: str) -> str:
    """Return a date of the API in normal form; what is none stays."""
    try:
        return ours_of_date(text).normal or text
    except Misfit:
        return text


def datetime(text: str) -> str:
    """Return a time of the API in normal form; what is none stays."""
    try:
        return ours_of_datetime(text).normal or text
    except Misfit:
        return text


def several(text: str) -> str | None:
    """Return several choices of the API in normal form."""
    return _set([part.strip() for part in text.split(";") if part.strip()]) or None


def _set(chosen: list[str]) -> str:
    return ";".join(sorted(set(chosen)))


def _no_option(text: str, options: Mapping[str, str]) -> str:
    """Say that a text is none of the choices, and which come nearest; a label leads to its value."""
    folded = text.strip().casefold()
    meant = {label.casefold(): value for value, label in options.items()}
    meant |= {value.casefold(): value for value in options}
    if folded in meant:
        return f"It is none of the choices; HubSpot wants the value {meant[folded]!r}."
    near = difflib.get_close_matches(folded, list(meant), n=NEAR, cutoff=0.6)
    if near:
        named = " or ".join(dict.fromkeys(repr(meant[each]) for each in near))
        return f"It is none of the choices; the nearest: {named}."
    shown = ", ".join(list(options)[:8]) + (", …" if len(options) > 8 else "")
    return f"It is none of the choices: {shown or 'there are none'}."


def plain(value: Any) -> str:
    """Return a value as text. Raises Misfit where there is none for it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return _iso(_aware(value))
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | float | decimal.Decimal):
        return _number(str(value)) if _NUMBER.fullmatch(str(value)) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise Misfit("It is binary data.")
    if isinstance(value, uuid.UUID | dt.time | dt.timedelta):
        return str(value)
    return values.dumps(_as_json(value)) if isinstance(value, dict | list | tuple | set) else str(value)


def _as_json(value: Any) -> Any:
    """Turn what a warehouse's lists and structures hold into what JSON has: a number that is one there, else text."""
    if isinstance(value, dict):
        return {_in_list(name): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_as_json(inner) for inner in value]
    if isinstance(value, decimal.Decimal):
        if value.is_finite() and value == value.to_integral_value():
            return int(value)
        return float(value) if decimal.Decimal(str(float(value))) == value else _in_list(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else _in_list(value)


def _in_list(value: Any) -> str:
    return f"0x{bytes(value).hex()}" if isinstance(value, bytes | bytearray | memoryview) else plain(value)


def _number(text: str) -> str:
    with decimal.localcontext(prec=1_000):
        exact = decimal.Decimal(text)
        plain = format(exact.normalize(), "f")
    return "0" if plain in ("-0", "0") else plain


def _aware(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


def _iso(value: dt.datetime) -> str:
    moment = value.astimezone(dt.UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"  # strftime writes the year 1 as 1


def moment_of(text: str) -> dt.date | dt.datetime | None:
    """Read a date, ISO 8601, or milliseconds since 1970."""
    try:
        if _DATE.fullmatch(text):
            return dt.date.fromisoformat(text)
        if _MS.fullmatch(text):
            return _EPOCH + dt.timedelta(milliseconds=int(text))
        return dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
