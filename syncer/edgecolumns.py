"""
Edge columns of a mapping's way out: what each is called in this account, and what its values name records by.

A column of the relation names the record at the other end by the other mapping's `match_on`, else by its id. Not here:
what is done about one (`edgedeciding.py`), what a target's types of association are (`target.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from syncer.errors import UsageError
from syncer.mapping import EdgeColumn, Outbound
from syncer.target import EdgeType, Shape, Target

PREFIX = "edge:"  # of an edge column in what both sides agreed on: no property is called so


@attrs.frozen(kw_only=True)
class Column:
    """
    An edge column, and its type in this account.

    by: the property that its values name a record by; None: its id. is_lower: letters do not count as large or small.
    is_own: this plan may make the record at the other end.
    """

    name: str
    to: str
    type: EdgeType
    by: str | None = None
    is_lower: bool = False
    is_own: bool = False

    @property
    def field(self) -> str:
        """Its name among the fields that both sides agreed on."""
        return PREFIX + self.name

    @property
    def is_plain(self) -> bool:
        """Whether it is the type that every pair has, whatever its labels: without it the pair is gone."""
        return not self.type.label and not self.type.is_primary

    def key_of(self, value: Any) -> str | None:
        """Return a value of the relation as a key, as the other mapping's rows have theirs; None: blank."""
        if isinstance(value, float | Decimal) and math.isfinite(value):
            whole = int(value)
            value = whole if whole == value else format(Decimal(str(value)).normalize(), "f")
        text = "" if value is None else str(value).strip()
        return (text.lower() if self.is_lower else text) or None


def columns_of(outbound: Outbound, target: Target, others: Mapping[str, Outbound]) -> list[Column]:
    """
    Look up the type of each edge column. *others*: the ways out to other kinds, whose match_on values are.

    Raises: UsageError: no such label or association between the two kinds, or no such unique property.
    """
    return [_column(edge, outbound, target, others) for edge in outbound.edges]


def how_unique(shape: Shape, name: str) -> str:
    """Say what is to be done about a property that should be unique, and is not, or is not there."""
    if name not in shape.properties:
        return "`syncer run hubspot.create_properties --dry-run` shows how it would be made."
    unique = ", ".join(sorted(each.name for each in shape.properties.values() if each.is_unique))
    return f"That is fixed when a property is made: name another, or make one; unique here: {unique or 'none'}."


def _column(edge: EdgeColumn, outbound: Outbound, target: Target, others: Mapping[str, Outbound]) -> Column:
    type = _type_of(edge, outbound.kind, target.edge_types(outbound.kind, edge.to))
    is_own = edge.to == outbound.kind
    other = outbound if is_own else others.get(edge.to)
    by = other.match_on if other is not None else None
    if by is not None and not is_own:
        found = target.shape(edge.to).properties.get(by)
        if found is None or not found.is_unique:
            raise UsageError(
                f"The column {edge.column} names {edge.to} by {by}, which is no unique property of theirs.",
                hint=how_unique(target.shape(edge.to), by),
            )
    return Column(
        name=edge.column,
        to=edge.to,
        type=type,
        by=by,
        is_lower=by == "email",
        is_own=is_own and by is not None,
    )


def _type_of(edge: EdgeColumn, kind: str, types: Sequence[EdgeType]) -> EdgeType:
    between = f"between {kind} and {edge.to}"
    if not types:
        raise UsageError(f"The edge column {edge.column}: there are no associations {between}.")
    if edge.is_primary and edge.label:
        raise UsageError(f"The edge column {edge.column} has a label and is primary: an edge is one of the two.")
    labels = sorted({f"'{each.label}'" for each in types if each.label})
    hint = f"Labels: {', '.join(labels)}." if labels else "None of them has a label."
    if edge.is_primary:
        found, what = [each for each in types if each.is_primary], "no primary association"
    else:
        found = [each for each in types if each.label == edge.label and not each.is_primary]
        found = found or [each for each in types if each.label.casefold() == edge.label.casefold()]
        what = f"no label '{edge.label}'" if edge.label else "no association without a label"
    if not found:
        raise UsageError(f"The edge column {edge.column}: there is {what} {between}.", hint=hint)
    if len(found) > 1:
        raise UsageError(
            f"The edge column {edge.column}: {len(found)} types {between} have the label '{edge.label}'.",
            hint="Rename one of them in the portal's settings.",
        )
    return found[0]
