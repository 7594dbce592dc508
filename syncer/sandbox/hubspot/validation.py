"""
What HubSpot takes as a value: by type, options, owners, stages, the portal's rules; and what it says where not.

`Checked` is what a write may put into the store. Source: HubSpot's guides "Properties" and "Using object APIs", and
its changelog on property validation.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from syncer.sandbox.hubspot.call import Call
from syncer.sandbox.hubspot.errors import HubSpotError, invalid
from syncer.sandbox.hubspot.model import DAY_MS, Definition, Kind, PortalRecord
from syncer.sandbox.hubspot.store import iso

LONGEST = 65_536
STAGES = {"dealstage": "pipeline", "hs_pipeline_stage": "hs_pipeline"}  # stage -> pipeline
EITHER = {"companies": ("name", "domain"), "contacts": ("email", "firstname", "lastname")}  # one of them is needed
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?|-?\.[0-9]+")
_EMAIL = re.compile(r"[^@\s;,]+@[^@\s;,]+\.[^@\s;,.]{2,}")
_MS = re.compile(r"-?[0-9]{1,16}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})"
)
Checked = dict[str, str | None]


class BadValue(ValueError):
    """A value is refused; its arguments are HubSpot's code and the reason."""


def check(call: Call, kind: Kind, sent: Any, *, record: PortalRecord | None) -> Checked:
    """
    Return the values of *sent* as they are stored; *record* is the one that they are written to, None for a new one.

    A null is passed over: HubSpot documents "" as the way to clear. Raises: HubSpotError, 400.
    """
    if not isinstance(sent, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    values = {str(name): _text(str(name), value) for name, value in sent.items() if value is not None}
    if not values and record is not None:
        raise invalid("No properties found to update, please provide at least one.")
    found: Checked = {}
    problems = []
    for name, value in values.items():
        try:
            found[name] = _value(call, kind, name, value, record)
        except BadValue as error:
            problems.append((name, *error.args))
    if not problems:
        problems = _stages(call, kind, found, record)
    if problems:
        raise _refusal(call, problems)
    if record is None:
        _check_required(call, kind, found)
    return found


def _check_required(call: Call, kind: Kind, found: Mapping[str, str | None]) -> None:
    """Refuse a new record without what it must have; from 2026-09 on, the Create form's fields too."""
    needed = set(kind.required)
    if call.is_dated:
        needed |= call.store.form_required.get(kind.name, set())
    missing = sorted(name for name in needed if not found.get(name))
    either = EITHER.get(kind.name, ())
    if either and not any(found.get(name) for name in either):
        missing = [*missing, *either]
    if missing:
        text = f"Error creating {kind.singular.upper()}. Some required properties were not set."
        raise HubSpotError(status=400, message=text, context={"properties": missing})


def _refusal(call: Call, problems: list[tuple[Any, ...]]) -> HubSpotError:
    """Return the 400 whose message holds the problems as JSON, beside `errors`."""
    shown = [
        {
            "isValid": False,
            "message": message,
            "error": code,
            "name": name,
            "localizedErrorMessage": message,
            "portalId": call.store.portal_id,
        }
        for name, code, message in problems
    ]
    errors = [
        {"message": message, "code": code, "context": {"propertyName": [name]}} for name, code, message in problems
    ]
    text = f"Property values were not valid: {orjson.dumps(shown).decode()}"
    return HubSpotError(status=400, message=text, errors=errors)


def _text(name: str, value: Any) -> str:
    """Return a value as a text: JSON's numbers and booleans are taken."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise invalid(f"Invalid input JSON: the value of {name} must be a string", propertyName=[name])
    return value


def _value(call: Call, kind: Kind, name: str, value: str, record: PortalRecord | None) -> str:
    """Return one value as it is stored."""
    definition = call.store.definitions[kind.name].get(name)
    is_known = definition is not None and definition.archived_ms is None
    if definition is None or not is_known or not call.may_see(kind, definition.data_sensitivity):
        raise BadValue("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if definition.read_only or (definition.calculated and definition.hubspot_defined):
        raise BadValue("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    if value == "":
        return value
    if name == "email" and kind.name == "contacts" and not _EMAIL.fullmatch(value):
        raise BadValue("INVALID_EMAIL", f"Email address {value} is invalid")
    convert = _CONVERTERS.get(definition.type)
    stored = convert(definition, value) if convert is not None else value
    if definition.type == "enumeration":
        stored = _option(call, kind, definition, value, record)
    if len(stored) > LONGEST:
        raise BadValue("INVALID_LENGTH", f"{name} is longer than {LONGEST} characters")
    for rule in call.store.rules.get(kind.name, {}).get(name, []):
        _obey(rule, name, stored)
    return stored


def _number(definition: Definition, value: str) -> str:
    if not _NUMBER.fullmatch(value):
        raise BadValue("INVALID_DOUBLE", f"{value} was not a valid number.")
    return value


def _bool(definition: Definition, value: str) -> str:
    if value not in ("true", "false"):
        raise BadValue("INVALID_OPTION", f"{value} was not one of the allowed options: [true, false]")
    return value


def _date(definition: Definition, value: str) -> str:
    """Take YYYY-MM-DD, or midnight UTC in milliseconds."""
    if _MS.fullmatch(value) and int(value) % DAY_MS == 0:
        return iso(int(value))[:10]
    try:
        if _DATE.fullmatch(value):
            return dt.date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise BadValue("INVALID_DATE", f"{value} is not a date") from error
    raise BadValue("INVALID_DATE", f"{value} is not at midnight, or no date")


def _datetime(definition: Definition, value: str) -> str:
    """Take ISO 8601 with a zone, or milliseconds."""
    if _MS.fullmatch(value):
        return iso(int(value))
    try:
        if _MOMENT.fullmatch(value):
            return iso(round(dt.datetime.fromisoformat(value).timestamp() * 1000))
        if _DATE.fullmatch(value):
            return iso(round(dt.datetime.fromisoformat(f"{value}T00:00:00Z").timestamp() * 1000))
    except ValueError as error:
        raise BadValue("INVALID_DATE", f"{value} is not a date") from error
    raise BadValue("INVALID_DATE", f"{value} is neither ISO 8601 nor a number of milliseconds")


_CONVERTERS: dict[str, Callable[[Definition, str], str]] = {
    "number": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
}


def _option(call: Call, kind: Kind, definition: Definition, value: str, record: PortalRecord | None) -> str:
    """Take option values, of a checkbox several; a leading semicolon adds to those that are set."""
    if definition.name in STAGES or definition.name in STAGES.values():
        return value  # together with the pipeline, below
    if definition.external_options:
        owner = call.store.owners.get(value)
        if definition.referenced_object_type == "OWNER" and (owner is None or owner.is_archived):
            raise BadValue("INVALID_OWNER_ID", f"{value} is not a valid owner id")
        return value
    options = [str(each["value"]) for each in definition.options]
    is_multiple = definition.field_type == "checkbox"
    given = value.removeprefix(";").split(";") if is_multiple else [value]
    wrong = [each for each in given if each not in options]
    if wrong:
        raise BadValue("INVALID_OPTION", f"{wrong[0]} was not one of the allowed options: [{', '.join(options)}]")
    if is_multiple and value.startswith(";"):
        old = ((record.properties.get(definition.name) if record is not None else "") or "").split(";")
        given = [each for each in old if each] + given
    return ";".join(dict.fromkeys(given))


def _stages(call: Call, kind: Kind, found: Checked, record: PortalRecord | None) -> list[tuple[Any, ...]]:
    """Check pipeline and stage together: the stage must be one of the pipeline that the record is, or will be, in."""
    for stage_name, name in STAGES.items():
        if stage_name not in call.store.definitions[kind.name] or not {stage_name, name} & set(found):
            continue
        old = record.properties if record is not None else {}
        id, stage = found.get(name, old.get(name)), found.get(stage_name, old.get(stage_name))
        pipeline = call.store.pipelines.get(kind.name, {}).get(id or "")
        if pipeline is None or pipeline.is_archived:
            return [(name, "INVALID_OPTION", f"{id} is not a valid pipeline ID")]
        if not any(each.id == stage and not each.is_archived for each in pipeline.stages):
            return [(stage_name, "INVALID_OPTION", f"{stage} is not a valid stage of pipeline {id}")]
    return []


def _obey(rule: Mapping[str, Any], name: str, value: str) -> None:
    """Apply one of the portal's own rules; they bind every version of the API. What is a time is milliseconds."""
    kind, arguments = rule["ruleType"], [str(each) for each in rule.get("ruleArguments", [])]
    first = arguments[0] if arguments else ""
    tests: dict[str, Callable[[], bool]] = {
        "REGEX": lambda: re.fullmatch(first, value) is not None,
        "MAX_LENGTH": lambda: len(value) <= int(first),
        "MIN_LENGTH": lambda: len(value) >= int(first),
        "MAX_NUMBER": lambda: float(value) <= float(first),
        "MIN_NUMBER": lambda: float(value) >= float(first),
        "DECIMAL": lambda: len(value.partition(".")[2]) <= int(first),
        "ALPHANUMERIC": lambda: _LETTERS.get(first, str.isalnum)(value),
        "ALPHA": lambda: value.isalpha(),
        "SPECIAL_CHARACTERS": lambda: all(each.isalnum() or each.isspace() for each in value),
        "WHITESPACE": lambda: value == (value.strip() if first == "TRIM" else "".join(value.split())),
        "FORMAT": lambda: value == _CASES.get(first, str)(value),
        "START_DATE": lambda: _ms(value) >= _ms(first),
        "END_DATE": lambda: _ms(value) <= _ms(first),
        "START_DATETIME": lambda: _ms(value) >= _ms(first),
        "END_DATETIME": lambda: _ms(value) <= _ms(first),
        "DAYS_OF_WEEK": lambda: f"{dt.datetime.fromtimestamp(_ms(value) / 1000, dt.UTC):%A}".upper() in arguments,
        "EMAIL": lambda: _EMAIL.fullmatch(value) is not None,
        "EMAIL_ALLOWED_DOMAINS": lambda: value.rpartition("@")[2].lower() in arguments,
        "EMAIL_BLOCKED_DOMAINS": lambda: value.rpartition("@")[2].lower() not in arguments,
        "DOMAIN": lambda: _HOST.fullmatch(value) is not None,
        "URL": lambda: _HOST.fullmatch(_host(value)) is not None,
        "URL_ALLOWED_DOMAINS": lambda: _host(value) in arguments,
        "URL_BLOCKED_DOMAINS": lambda: _host(value) not in arguments,
        "PHONE_NUMBER_WITH_EXPLICIT_COUNTRY_CODE": lambda: re.fullmatch(r"\+[0-9][0-9 ]{4,}", value) is not None,
    }
    if kind in tests and not tests[kind]():
        raise BadValue(f"INVALID_{kind}", f"{name} does not follow the rule {kind} {' '.join(arguments)}".rstrip())


_LETTERS: dict[str, Callable[[str], bool]] = {"ALPHA_ONLY": str.isalpha, "NUMERIC_ONLY": str.isdigit}
_CASES: dict[str, Callable[[str], str]] = {"UPPER": str.upper, "LOWER": str.lower, "CAPITALIZATION": str.title}
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,}")


def _host(value: str) -> str:
    return value.partition("://")[2].partition("/")[0] or value.partition("/")[0]


def _ms(value: str) -> int:
    if _MS.fullmatch(value):
        return int(value)
    return round(dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC).timestamp() * 1000)
