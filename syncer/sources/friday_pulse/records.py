"""
What the rows of one answer become: results, notes, risks. The date and group that were asked for go into each, since
they are part of its key; what the API gave besides stays in `raw`.

A row of another date than the one that was asked for proves that the date was ignored, which would load the latest
date under all others' names: an error.

Not here: the requests (`slices.py`).
Source: api-docs.fridaypulse.com, "GET /api/v1/notes". Risks have no documented shape.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer import values
from syncer.errors import AnswerError, UsageError
from syncer.settings import Account
from syncer.sources import Record
from syncer.sources.friday_pulse.listing import day_of

OVERALL = "overall"  # the topic_code of the row without a topic: a key cannot be empty
RISK_KEYS = ("id", "topic.code", "code", "key")  # where a risk's own key may stand; the first that has a value
# Of a note, these have columns of their own, and what is masked there must not stand beside them.
OF_A_NOTE = frozenset(
    {"id", "text", "action", "author", "flow_date", "created_at", "recipients", "external_recipients"}
)


@attrs.frozen(kw_only=True)
class Slice:
    """What is asked at once: a flow date, of a group or (None) of the company."""

    date: str
    group: int | None

    @property
    def scope(self) -> str:
        """Name it as a scope of its own: it may fail, and then be read well again."""
        return f"{self.date}/{'company' if self.group is None else self.group}"

    @property
    def own(self) -> Record:
        """What each of its records gets."""
        return {"flow_date": self.date} if self.group is None else {"flow_date": self.date, "group_id": self.group}


def results(rows: Sequence[Record], part: Slice, *, question_count: object) -> list[Record]:
    """Settle result rows: one a topic. Raises AnswerError: two rows of one topic, or one of another date."""
    found: dict[Any, Record] = {}
    for row in rows:
        record = {
            **row,
            **part.own,
            "raw": row,
            "sample_date": _same_day(row.get("sample_date"), part),
            "topic_code": _topic_code(row.get("topic")),
            "question_count": question_count,
        }
        before = found.setdefault(record["topic_code"], record)
        if before["raw"] != row:
            raise AnswerError(f"The results of {part.scope} have two rows of one topic.")
    return list(found.values())


def notes(rows: Sequence[Record], part: Slice) -> list[Record]:
    """Settle notes. Raises AnswerError: one of another date."""
    found = []
    for row in rows:
        day = _same_day(row.get("flow_date"), part)
        rest = {name: value for name, value in row.items() if name not in OF_A_NOTE}
        found.append({**row, **part.own, "flow_date": day, "raw": rest or None})
    return found


def risks(rows: Sequence[Record], part: Slice, *, key: Sequence[str]) -> list[Record]:
    """
    Settle risks. Each is named by its own key; one that has none, or shares it with another, by a digest of itself.

    Raises: AnswerError: one of another date.
    """
    names = [_risk_name(row, key) for row in rows]
    times = Counter(names)
    found: dict[str, Record] = {}
    for row, name in zip(rows, names, strict=True):
        _same_day(row.get("sample_date"), part)
        _same_day(row.get("flow_date"), part)
        known = name if name and times[name] == 1 else f"{name}~{_digest(row)}"
        found[known] = {**row, **part.own, "raw": row, "risk_key": known}
    return list(found.values())


def risk_key_of(account: Account) -> tuple[str, ...]:
    """
    Return where the key of a risk stands: what `risk_key` says, a path or several that make it up together, as one
    alternative; empty: try RISK_KEYS. Raises UsageError.
    """
    found = account.options.get("risk_key", [])
    paths = [found] if isinstance(found, str) else found
    if not isinstance(paths, list) or not all(isinstance(path, str) and path.strip(". ") for path in paths):
        raise UsageError(
            f'risk_key in [friday_pulse] is {found!r}; it is a path such as "topic.code", or a list of paths.'
        )
    return tuple(paths)


def _risk_name(row: Record, key: Sequence[str]) -> str:
    if key:
        parts = [_text_at(row, path) for path in key]
        return "/".join(parts) if all(parts) else ""
    return next((text for path in RISK_KEYS if (text := _text_at(row, path))), "")


def _text_at(row: Mapping[str, Any], path: str) -> str:
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _digest(row: Record) -> str:
    return hashlib.blake2s(values.dumps(row).encode(), digest_size=8).hexdigest()


def _topic_code(topic: object) -> object:
    """Return a topic's code; `overall` where there is no topic; None, which is no key, where it has no code."""
    if topic is None or topic == {}:
        return OVERALL
    code = topic.get("code") if isinstance(topic, dict) else None
    return code if isinstance(code, str | int | float) else None  # else no key: a reject, of this row only


def _same_day(value: object, part: Slice) -> str:
    if value is None:
        return part.date
    day = day_of(value, what=part.scope)
    if day != part.date:
        raise AnswerError(f"{part.scope} was answered with a row of {day}: the date that was asked for was ignored.")
    return day
