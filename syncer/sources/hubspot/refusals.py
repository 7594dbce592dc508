"""
Why HubSpot refused a value, in words that a person of the business understands, and which property it is about.

An error names its properties in `errors[].context`, in `context`, or in an array of JSON inside its message; all of
that may be missing. A value that was sent is not repeated: a reason is kept longer than the value may be.
Source: HubSpot's pages "Error handling" and "Using object APIs", its changelog on property validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import orjson

from syncer.plan import Change
from syncer.target import Shape

EXISTING = re.compile(r"Existing ID:\s*([0-9]+)")
LONGEST = 500
SHORTEST = 3  # letters of a value that is taken out of a message: shorter ones stand in any text
WORDS: Mapping[str, str] = {
    "PROPERTY_DOESNT_EXIST": "There is no such property in HubSpot.",
    "READ_ONLY_VALUE": "HubSpot takes no value for it.",
    "INVALID_EMAIL": "It is no e-mail address that HubSpot takes.",
    "INVALID_OPTION": "It is none of the choices that HubSpot has.",
    "INVALID_OWNER_ID": "It is no owner's id in this portal.",
    "INVALID_DOUBLE": "It is no number that HubSpot takes.",
    "INVALID_LONG": "It is no whole number that HubSpot takes.",
    "INVALID_DATE": "It is no date that HubSpot takes.",
    "INVALID_LENGTH": "It is too long for HubSpot.",
}


@attrs.frozen
class Refusal:
    """A reason, and the property that it is about; empty: not known, or several."""

    reason: str
    property: str = ""


def parsed(body: str) -> Mapping[str, Any]:
    """Read the body of an error; empty where it is no JSON object."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def refusal(error: Mapping[str, Any], change: Change, shape: Shape) -> Refusal:
    """Say why a change was refused."""
    message = str(error.get("message") or "")
    existing = EXISTING.search(message)
    if existing or error.get("category") == "CONFLICT":
        return _taken(existing[1] if existing else "", change, shape)
    needed = _texts(error.get("context"), "properties")
    if needed:
        return Refusal(f"A new record needs {', '.join(needed)}.", needed[0] if len(needed) == 1 else "")
    problems = list(_problems(error, message))
    if not problems:
        named = _texts(error.get("context"), "propertyName")
        text = _without(message, change) or "HubSpot refused it and did not say why."
        return Refusal(text, named[0] if len(named) == 1 else "")
    told = [
        (name, WORDS.get(code) or _without(text, change) or "HubSpot refused it.") for name, code, text in problems
    ]
    names = list(dict.fromkeys(name for name, _ in told if name))
    if len(names) == 1:
        return Refusal(" ".join(dict.fromkeys(text for _, text in told))[:LONGEST], names[0])
    return Refusal("; ".join(f"{_label(name, shape)}: {text}" if name else text for name, text in told)[:LONGEST])


def _taken(other: str, change: Change, shape: Shape) -> Refusal:
    """Say that another record has a value that must be unique; HubSpot does not say of which property."""
    names = [name for name in change.fields if name in shape.properties and shape.properties[name].is_unique]
    what = _label(names[0], shape) if len(names) == 1 else "A value"
    whose = f"record {other} has it already" if other else "another record has it already"
    return Refusal(f"{what} must be unique, and {whose}.", names[0] if len(names) == 1 else "")


def _problems(error: Mapping[str, Any], message: str) -> Iterator[tuple[str, str, str]]:
    """Yield property, code and message of each problem that an error tells of."""
    details = error.get("errors")
    found = False
    for each in details if isinstance(details, list) else ():
        if not isinstance(each, Mapping):
            continue
        names = _texts(each.get("context"), "propertyName")
        found = True
        yield names[0] if names else "", str(each.get("code") or ""), str(each.get("message") or "")
    if found or "[{" not in message:
        return
    try:
        parts = orjson.loads(message[message.index("[{") :])
    except orjson.JSONDecodeError:
        return
    for each in parts if isinstance(parts, list) else ():
        if isinstance(each, Mapping):
            yield str(each.get("name") or ""), str(each.get("error") or ""), str(each.get("message") or "")


def _without(message: str, change: Change) -> str:
    """Return a message without the values that were sent, and without JSON."""
    text = message[: message.index("[{")].strip() if "[{" in message else message
    for value in sorted({edit.after for edit in change.fields.values() if edit.after}, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, "…")
    return text[:LONGEST]


def _label(name: str, shape: Shape) -> str:
    found = shape.properties.get(name)
    return f"{found.label} ({name})" if found is not None and found.label and found.label != name else name


def _texts(context: Any, name: str) -> list[str]:
    found = context.get(name) if isinstance(context, Mapping) else None
    return [str(each) for each in found] if isinstance(found, list) else []
