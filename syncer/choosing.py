"""
Which changes a first, small part of a plan holds: about so many, whole groups, such that every action and field of the
plan occurs as far as they fit.

Not here: applying them (`apply.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from syncer.plan import Change

Feature = tuple[str, str]  # an action, and a field of it


def chosen(changes: Callable[[], Iterable[Change]], number: int) -> set[int]:
    """
    Return the numbers of about *number* changes.

    changes: yields the plan's changes in their order; called twice. A group is the changes of one row, and those of
    other rows that they come after.
    """
    seen: set[Feature] = set()
    kept: set[int] = set()
    for group in _groups(changes()):
        features = _features(group)
        if features - seen and (len(kept) < number or not kept):
            seen |= features
            kept |= _whole(group)
    for group in _groups(changes()):
        if len(kept) >= number:
            break
        kept |= _whole(group)
    return kept


def _groups(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield the changes of one row together: they are stored one after the other."""
    group: list[Change] = []
    for change in changes:
        if group and change.key != group[0].key:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _features(group: Iterable[Change]) -> set[Feature]:
    found: set[Feature] = set()
    for change in group:
        found.add((change.action, change.edge.kind if change.edge is not None else ""))
        found |= {(change.action, name) for name in change.fields}
    return found


def _whole(group: Iterable[Change]) -> set[int]:
    found: set[int] = set()
    for change in group:
        found |= {change.number, *change.after}
    return found
