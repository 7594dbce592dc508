"""
The words of `syncer.toml` for a mapping's way out: which there are, what each takes, and an `Outbound` with them.

Not here: what they mean to a plan (`compare.py`, `deciding.py`, `limits.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from syncer import compare, limits
from syncer.mapping import EdgeColumn, Outbound

Check = Callable[[Any], bool]
ON_MISSING, ON_ARCHIVED = ("leave", "clear", "archive"), ("report", "create")
SHARES = tuple(name for name in limits.DEFAULTS if name.endswith("_share"))
NUMBERS = tuple(name for name in limits.DEFAULTS if name not in SHARES)
EDGE_KEYS = ("to", "label", "primary")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _one_of(*words: str) -> tuple[str, Check]:
    return "one of " + ", ".join(words), lambda value: isinstance(value, str) and value in words


def _by_field(*words: str) -> tuple[str, Check]:
    return (
        f"one of {', '.join(words)} a field, such as {{ phone = {words[0]!r} }}".replace("'", '"'),
        lambda value: isinstance(value, dict) and all(isinstance(e, str) and e in words for e in value.values()),
    )


def _is_share(value: Any) -> bool:
    return value == limits.OFF or (_is_number(value) and 0 <= value <= 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return value == limits.OFF or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_edges(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(each)
        or (
            isinstance(each, dict)
            and set(each) <= set(EDGE_KEYS)
            and _is_text(each.get("to"))
            and isinstance(each.get("label", ""), str)
            and isinstance(each.get("primary", False), bool)
        )
        for each in value.values()
    )


KEYS: Mapping[str, tuple[str, Check]] = {
    "relation": ("a table, view or query, such as stage.hubspot_companies", _is_text),
    "match_on": ("a unique property, such as client_id", _is_text),
    "policy": _one_of(*compare.POLICIES),
    "policies": _by_field(*compare.FIELD_POLICIES),
    "creates": ("true or false", lambda value: isinstance(value, bool)),
    "adopt": _one_of(*compare.ADOPTS),
    "blanks": _one_of(*compare.BLANKS),
    "blanks_by_field": _by_field(*compare.BLANKS),
    "on_archived": _one_of(*ON_ARCHIVED),
    "on_missing": _one_of(*ON_MISSING),
    "changed_at": ("a column with the row's own time", _is_text),
    "edges": (
        'a table of columns, such as { company = "companies" } or { company = { to = "companies", primary = true } }',
        _is_edges,
    ),
    **dict.fromkeys(SHARES, ('a share between 0 and 1, or "off"', _is_share)),
    **dict.fromkeys(NUMBERS, ('a whole number, or "off"', _is_count)),
}


def applied_to(outbound: Outbound, table: Mapping[str, Any]) -> Outbound:
    """Return *outbound* with a site's words, which were checked, in place of its own."""
    plain = {key: value for key, value in table.items() if key in KEYS and key not in limits.DEFAULTS}
    edges = plain.pop("edges", None)
    if edges is not None:
        plain["edges"] = tuple(_edge(column, each) for column, each in edges.items())
    for key in ("policies", "blanks_by_field"):
        if key in plain:
            plain[key] = {**getattr(outbound, key), **plain[key]}
    own = {key: value for key, value in table.items() if key in limits.DEFAULTS}
    return attrs.evolve(outbound, **plain, limits={**outbound.limits, **own})


def _edge(column: str, told: Any) -> EdgeColumn:
    if isinstance(told, str):
        return EdgeColumn(column=column, to=told)
    return EdgeColumn(column=column, to=told["to"], label=told.get("label", ""), is_primary=told.get("primary", False))
