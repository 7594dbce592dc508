"""
Whether a push did what docs/decision-table.md says, held against a model of both sides (`Model`).

The model knows what both sides had in common last, by key and field, whose record each key is, and what we wrote. Each
field of each row comes under one line of the table, and is what that line says, or it is wrong: equal, and no conflict
is open; left, because it is theirs; open, because both moved. Only three things excuse a whole row, each for a cause
that the model sees for itself: its key stands twice, its record is another row's as well, its record is no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from syncer.sandbox.hubspot.model import PortalRecord
from tests.campaign import push_history
from tests.campaign.push_history import CREATE, OURS, UPDATE, History, Write
from tests.outbound import KEY, PushHome, counted

FIELDS = ("name", "phone", "industry", "size", "since")
NEVER = "never"  # no value of the model: each of those has come through `normal`
Row = Mapping[str, Any]
Wrote = dict[tuple[str, str], tuple[str, Any]]  # by record and field: for which key, and what


@attrs.define
class Model:
    """
    Our own rows, whose record each key is, what both sides had in common last, by key and field, and what we wrote.

    It is put back with the warehouse: what was done since then, nobody remembers.
    """

    own: list[dict[str, Any]] = attrs.field(factory=list)
    ids: dict[str, str] = attrs.field(factory=dict)
    agreed: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    wrote: Wrote = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class Judge:
    """Judges the pushes of one seed. restores: how often the warehouse of a day before was put back."""

    home: PushHome
    history: History
    wrong: list[str]
    reached: Counter[str]
    model: Model = attrs.field(factory=Model)
    restores: int = 0
    compared: int = 0
    _has_pushed: bool = False
    _ever: Wrote = attrs.field(factory=dict)  # what we wrote, on days that are gone, too

    def record_of(self, key: str) -> PortalRecord | None:
        """Return the record that a key's row is about, archived ones too."""
        known = self.model.ids.get(key)
        if known is not None:
            return self.home.site.store.find("companies", known)
        return self._found_by(key)

    def begun(self, ours: Sequence[Row]) -> None:
        """See what a push is about to read: a row that names the record of one that left is that one, renamed."""
        merged, model = self.home.site.store.merged["companies"], self.model
        self.history.forget()
        if self._has_pushed:  # before that there is no table of plans
            self.history.know(self.home)
        keys = {row[KEY] for row in ours}
        left = {merged.get(id, id): key for key, id in model.ids.items() if key not in keys}
        for key in keys - set(model.agreed):
            known = model.ids.get(key, "")
            was = left.get(merged.get(known, known))
            if was in model.agreed:
                model.agreed[key] = dict(model.agreed[was])
                for log in (model.wrote, self._ever):
                    log.update({at: (key, value) for at, (of, value) in log.items() if of == was})
                self.reached["row renamed"] += 1

    def ended(self, ours: Sequence[Row], *, is_done: bool) -> None:
        """Hold what was written against journal and model, then compare both sides, and note what is agreed."""
        self._has_pushed = True
        self.wrong += push_history.wrong_with(self.history, self.home, key=KEY)
        self.wrong += counted.sums_wrong(self.home)
        rows = {row[KEY]: row for row in ours}
        shared = self._shared(rows)
        keys = {each.signature: each.key for each in push_history.journal(self.home)
                if each.plan not in self.history.known}  # fmt: skip
        for write in self.history.writes:
            self._written(write, keys.get(write.signature, ""), rows, shared)
        if is_done:
            self._compare(ours)

    def _shared(self, rows: Mapping[str, Row]) -> set[str]:
        """Return the records that more than one row is about."""
        about = Counter(record.id for key in rows if (record := self.record_of(key)) is not None)
        return {id for id, times in about.items() if times > 1}

    def _written(self, write: Write, key: str, rows: Mapping[str, Row], shared: set[str]) -> None:
        """One write: of a row's own values, over what both had, and of a record that no other row is about."""
        known = self.model.agreed.get(key, {})
        told = f"{key}: {write.action} of {write.id}"
        if key not in rows:
            self.wrong.append(f"{told} for a row that is not there")
            return
        for name, value in write.after.items():
            if normal(name, value) != normal(name, rows[key][name]):
                self.wrong.append(f"{told}: {name} became {value!r}, and ours is {rows[key][name]!r}")
            self.model.wrote[write.id, name] = self._ever[write.id, name] = (key, normal(name, value))
        if write.action == CREATE:
            self.reached["created"] += 1
            if key in self.model.ids:
                self.wrong.append(f"{told}, and its record was {self.model.ids[key]}")
            self.model.ids[key] = write.id
        elif write.action == UPDATE:
            self.reached["updated"] += 1
            self.reached["alias followed"] += self.model.ids.get(key) in self.home.site.store.merged["companies"]
            if write.id in shared:
                self.wrong.append(f"{told}, which is another row's as well")
            for name, had in write.before.items():
                if name != KEY and normal(name, had) != known.get(name):  # never agreed: only a blank is written over
                    by = write.by.get(name)
                    self.wrong.append(f"{told}: {name} was {had!r} by {by}, agreed was {known.get(name, NEVER)!r}")
        else:
            self.wrong.append(f"{told}, and nothing asks for that")

    def _compare(self, ours: Sequence[Row]) -> None:
        open_ones = set(self.home.rows("SELECT key, field FROM syncer.conflicts WHERE state = 'open'"))
        rejects = {key for (key,) in self.home.rows("SELECT key FROM syncer.rejects WHERE scope = 'push'")}
        times = Counter(row[KEY] for row in ours)
        shared = self._shared({row[KEY]: row for row in ours})
        self.reached["open conflict"] += bool(open_ones)
        for row in {row[KEY]: row for row in ours}.values():
            key, record = row[KEY], self.record_of(row[KEY])
            is_shared = record is not None and record.id in shared
            cause = (
                "stands in two rows" if times[key] > 1
                else "leads to two records" if self._leads_to_two(key, record)
                else "shares its record" if is_shared
                else "has an archived record" if record is not None and record.is_archived
                else ""
            )  # fmt: skip
            is_told = key in rejects or (key, "") in open_ones
            if not cause and (is_told or record is None):
                has = "a record" if record is not None else "no record"
                self.wrong.append(
                    f"{key} has {has}, is {'' if is_told else 'not '}left aside, and nothing is wrong with it"
                )
            elif cause:
                self.reached[cause] += 1
                must = times[key] > 1 or self._has_moved(row)
                if must and not is_told:
                    self.wrong.append(f"{key} {cause}, and nothing says so")
            else:
                assert record is not None
                self._fields(row, record, {field for of, field in open_ones if of == key})

    def _leads_to_two(self, key: str, record: PortalRecord | None) -> bool:
        by_key = self._found_by(key)
        return record is not None and by_key is not None and by_key.id != record.id

    def _found_by(self, key: str) -> PortalRecord | None:
        return next((each for each in self.home.live() if each.properties.get(KEY) == key), None)

    def _has_moved(self, row: Row) -> bool:
        """Tell whether a row is other than agreed: only such a row is looked at."""
        known = self.model.agreed.get(row[KEY], {})
        return any(normal(name, row[name]) != known.get(name) for name in FIELDS)

    def _fields(self, row: Row, record: PortalRecord, open_ones: set[str]) -> None:
        """Hold each field of a row against the line of the table that it comes under, and note what is agreed."""
        key = row[KEY]
        self.model.ids.setdefault(key, record.id)
        known = self.model.agreed.setdefault(key, {})
        for name in FIELDS:
            self.compared += 1
            mine, theirs, agreed = (
                normal(name, row[name]), normal(name, record.properties.get(name)), known.get(name, NEVER)
            )  # fmt: skip
            is_open = name in open_ones
            if mine == theirs:
                known[name], must = mine, False
            elif agreed == NEVER:
                must = mine is not None and theirs is not None
                why = "blank of ours left" if mine is None else "never agreed"
                self._note(key, name, why, is_wrong=theirs is None)
            elif agreed == mine:
                must = False
                why = self._whose(key, name, record, theirs)
                self._note(key, name, why, is_wrong=not why)
            else:
                must = True
                self._note(key, name, "both moved", is_wrong=agreed == theirs)
            if must != is_open:
                said = f"{mine!r} here, {theirs!r} there, agreed {agreed!r}"
                self.wrong.append(f"{key}: {name} is {said}, and {'no' if must else 'a'} conflict is open")

    def _note(self, key: str, name: str, reached: str, *, is_wrong: bool) -> None:
        if is_wrong:
            self.wrong.append(f"{key}: {name} differs, and it is not theirs; agreed {self.model.agreed[key]}")
        elif reached:
            self.reached[reached] += 1

    def _whose(self, key: str, name: str, record: PortalRecord, theirs: Any) -> str:
        """
        Say who made theirs what it is, where it was not us for this very row; empty: it was.

        A person; whoever wrote the other record, where two were merged; or we, on a day that the older base which was
        put back knows nothing of: that is an edit of theirs by now.
        """
        entries = record.history.get(name)
        if entries and entries[-1].source_type != OURS:
            return "left to a person"
        ids = [record.id, *record.merged_ids]
        if any(self.model.wrote.get((id, name)) == (key, theirs) for id in ids):
            return ""
        ever = {self._ever[id, name][0] for id in ids if self._ever.get((id, name), ("", NEVER))[1] == theirs}
        if self.restores and key in ever:
            return "left, written on a day that is gone"
        return "left, came with a merge" if record.merged_ids and key not in ever else ""


def normal(name: str, value: Any) -> Any:
    """Return a value as it is compared; None is blank."""
    if value is None or value == "":
        return None
    return Decimal(str(value)).normalize() if name == "size" else str(value)
