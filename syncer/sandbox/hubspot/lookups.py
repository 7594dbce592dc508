"""
What finds records quickly in a large portal: their ids in order, and which record has a value of a unique property.

Both follow `Store.on_change`, so that whatever changes a record, a page and a look-up are right at once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from syncer.sandbox.hubspot.model import Kind, PortalRecord
from syncer.sandbox.hubspot.store import Store

BIN_MS = 90 * 86_400_000  # archived records are listed for so long


class Order:
    """The ids of each kind as numbers, ascending: the live ones, the archived ones."""

    def __init__(self, store: Store) -> None:
        """Follow *store*."""
        self._store = store
        self._ids: dict[tuple[str, bool], list[int]] = {}
        store.on_change.append(self._changed)

    def reset(self) -> None:
        """Forget everything: records were put into the store without telling."""
        self._ids.clear()

    def page(self, kind: str, *, after: int, limit: int, archived: bool) -> tuple[list[PortalRecord], str | None]:
        """Return *limit* records from id *after* on, and the id that the next page begins with."""
        ids = self._of(kind, archived=archived)
        records = self._store.records[kind]
        oldest = self._store.now_ms() - BIN_MS if archived else 0
        found: list[PortalRecord] = []
        for at in range(bisect_left(ids, after), len(ids)):
            record = records[str(ids[at])]
            if archived and (record.archived_ms or 0) < oldest:
                continue
            if len(found) == limit:
                return found, record.id
            found.append(record)
        return found, None

    def _of(self, kind: str, *, archived: bool) -> list[int]:
        found = self._ids.get((kind, archived))
        if found is None:
            records = self._store.records[kind].values()
            found = sorted(int(record.id) for record in records if record.is_archived == archived)
            self._ids[kind, archived] = found
        return found

    def _changed(self, kind: str, id: str) -> None:
        number = int(id)
        record = self._store.records[kind].get(id)
        for archived in (False, True):
            ids = self._ids.get((kind, archived))
            if ids is None:
                continue
            at = bisect_left(ids, number)
            is_there = at < len(ids) and ids[at] == number
            belongs = record is not None and record.is_archived == archived
            if belongs and not is_there:
                insort(ids, number)
            elif is_there and not belongs:
                del ids[at]


class Values:
    """Which live record has a value of a unique property. E-mail addresses are compared in lower case."""

    def __init__(self, store: Store) -> None:
        """Follow *store*."""
        self._store = store
        self._ids: dict[tuple[str, str], dict[str, str]] = {}
        self._values: dict[tuple[str, str], dict[str, str]] = {}
        store.on_change.append(self._changed)

    def reset(self) -> None:
        """Forget everything: records were put into the store without telling."""
        self._ids.clear()
        self._values.clear()

    def find(self, kind: str, name: str, value: str) -> PortalRecord | None:
        """Return the live record that has *value*."""
        if (kind, name) not in self._ids:
            self._ids[kind, name], self._values[kind, name] = {}, {}
            for id in self._store.records[kind]:
                self._note(kind, name, id)
        found = self._ids[kind, name].get(_normal(name, value))
        return None if found is None else self._store.records[kind][found]

    def _note(self, kind: str, name: str, id: str) -> None:
        ids, values = self._ids[kind, name], self._values[kind, name]
        old = values.pop(id, None)
        if old is not None and ids.get(old) == id:
            del ids[old]
        record = self._store.records[kind].get(id)
        value = None if record is None or record.is_archived else record.properties.get(name)
        if value:
            values[id] = _normal(name, value)
            ids.setdefault(_normal(name, value), id)

    def _changed(self, kind: str, id: str) -> None:
        for known, name in self._ids:
            if known == kind:
                self._note(kind, name, id)


def unique_names(store: Store, kind: Kind) -> Sequence[str]:
    """Return the properties of *kind* that no two records may share; `email` is one for contacts."""
    own = [each.name for each in store.definitions[kind.name].values() if each.has_unique_value]
    return ["email", *own] if kind.name == "contacts" else own


def _normal(name: str, value: str) -> str:
    return value.lower() if name == "email" else value
