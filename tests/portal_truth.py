"""
Whether a warehouse holds what a HubSpot portal has: records with their states, edges, owners, pipelines, definitions.
Written without the product's own conversion; each difference is explained by its cause, or is wrong.

Two things may lag behind between two censuses: a record that was purged, and an edge whose first side nobody touched
for longer than the trailing window. Nothing else.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from tests.backends import Database, asked, columns_of

OBJECTS = (
    "companies",
    "contacts",
    "deals",
    "tickets",
    "notes",
    "calls",
    "emails",
    "meetings",
    "tasks",
    "communications",
)
LISTED = {
    "owners": ("id",),
    "pipelines": ("object_type", "id"),
    "pipeline_stages": ("object_type", "pipeline_id", "id"),
}
LISTED["properties"] = ("object_type", "name")
DAY_MS = 86_400_000
TRAILING_MS = 7 * DAY_MS

Row = Mapping[str, Any]


@attrs.define
class Judged:
    """What was compared, what is wrong, and what lags behind for a reason that is allowed."""

    compared: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    excused: Counter[str] = attrs.field(factory=Counter)


@attrs.define(kw_only=True)
class Judge:
    """
    Compares one portal with one warehouse: a DuckDB file, or any database that tests ask.

    is_census: a census has just been taken: no edge may differ. pulls: when each pull began, in milliseconds.
    purged_twice: ids that two censuses, a day apart, have missed: they must be gone.
    """

    site: Any
    file: Path | Database
    environment: str = "default"
    custom: tuple[str, ...] = ()
    is_census: bool = False
    pulls: tuple[int, ...] = ()
    purged_twice: frozenset[str] = frozenset()
    found: Judged = attrs.field(factory=Judged)

    def all(self) -> Judged:
        """Compare everything."""
        for kind in (*OBJECTS, *self.custom):
            self.objects(kind)
        self.edges()
        for stream, key in LISTED.items():
            self.listed(stream, key)
        return self.found

    def objects(self, kind: str) -> None:
        """Compare the records of a kind: which there are, their states, their values."""
        truth = {key[0]: each for key, each in self.site.truth(kind).items()}
        rows = {row["id"]: row for row in self.rows(kind)}
        aliases = dict(self.ask(f"SELECT old_id, new_id FROM syncer.aliases WHERE mapping = 'hubspot.{kind}'"))
        rejected = set(self.ask(f"SELECT key, \"column\" FROM syncer.rejects WHERE mapping = 'hubspot.{kind}'"))
        for number, true in truth.items():
            self.found.compared[kind] += 1
            row = rows.get(number)
            if true["state"] == "merged" and aliases.get(number) != true["into"]:
                self.wrong(f"{kind} {number}: merged into {true['into']}, the alias is {aliases.get(number)}")
            if row is None:
                if true["state"] != "merged":  # it came and was merged away between two pulls: only its alias is known
                    self.wrong(f"{kind} {number}: {true['state']}, and it is not there")
                continue
            if row["dss_record_state"] != true["state"]:
                self.wrong(f"{kind} {number}: {row['dss_record_state']}, the portal says {true['state']}")
            elif row["dss_merged_into"] != true["into"]:
                self.wrong(f"{kind} {number}: merged into {row['dss_merged_into']}, the portal says {true['into']}")
            elif true["record"] is not None:
                self.values(kind, row, true["record"], rejected)
        for number, row in rows.items():
            if number in truth:
                continue
            if row["dss_record_state"] == "gone":
                continue
            if number in self.purged_twice or not self.is_purged(kind, number):
                self.wrong(f"{kind} {number}: {row['dss_record_state']}, the portal has it no more")
            else:
                self.found.excused["purged"] += 1

    def is_purged(self, kind: str, number: str) -> bool:
        """Tell whether a record was purged, by a person or since it lay in the recycle bin for 90 days."""
        store = self.site.store
        record = store.records[kind].get(number)
        is_over = record is not None and record.is_archived and store.now_ms() - record.archived_ms >= 90 * DAY_MS
        return is_over or number in store.purged[kind]

    def values(self, kind: str, row: Row, record: Mapping[str, Any], rejected: set[tuple[str, str]]) -> None:
        """Compare what one record holds."""
        for name, text in record["properties"].items():
            column = name if name in row else next((each for each in row if each.startswith(f"{name}_x")), "")
            if not column:
                self.wrong(f"{kind} {row['id']}: there is no column for {name}")
            elif not same(row[column], text) and (row["id"], column) not in rejected:
                self.wrong(f"{kind} {row['id']}: {name} is {row[column]!r:.40}, the portal has {text!r:.40}")
        for column, key in (("created_at", "createdAt"), ("updated_at", "updatedAt"), ("archived_at", "archivedAt")):
            if not same(row[column], record.get(key)):
                self.wrong(f"{kind} {row['id']}: {column} is {row[column]}, the portal has {record.get(key)}")

    def edges(self) -> None:
        """Compare the edges."""
        truth = {tuple(map(str, key)): each["label"] for key, each in self.site.truth("associations").items()}
        rows = {}
        for row in self.rows("associations"):
            key = tuple(str(row[c]) for c in ("from_type", "from_id", "to_type", "to_id", "category", "type_id"))
            if row["dss_record_state"] == "live":
                rows[key] = row["label"]
            elif row["dss_record_state"] != "deleted":
                self.wrong(f"edge {key}: {row['dss_record_state']}")
        for key in truth.keys() | rows.keys():
            self.found.compared["associations"] += 1
            if key in truth and key in rows and truth[key] == rows[key]:
                continue
            what = (
                "not there"
                if key not in rows
                else "there, and the portal has it no more"
                if key not in truth
                else (f"label {rows[key]!r}, the portal has {truth[key]!r}")
            )
            excuse = "" if self.is_census else self.excuse(key[0], key[1])
            if excuse:
                self.found.excused[excuse] += 1
            else:
                self.wrong(f"edge {' '.join(key)}: {what}")

    def excuse(self, kind: str, number: str) -> str:
        """Name the cause why an edge may lag behind; "" where there is none."""
        store = self.site.store
        if number in store.purged[kind]:
            return "edge of a purged record"
        record = store.records[kind].get(number)
        touched = self.touched(kind, number) if record is not None else store.now_ms()
        return "first side untouched" if store.now_ms() - touched > TRAILING_MS else ""

    def touched(self, kind: str, number: str) -> int:
        """
        When a record was last written, archived or restored, in milliseconds.

        Neither of the latter moves a date: a record that lay in the recycle bin between two pulls left no trace.
        """
        touched = [self.site.store.records[kind][number].updated_ms]
        binned: int | None = None
        for event in self.site.events:
            if event.type != kind or number not in event.ids or event.kind not in ("archive", "restore"):
                continue
            if event.kind == "archive":
                binned = event.ms
            elif binned is not None and any(binned <= pull < event.ms for pull in self.pulls):
                touched += [binned, event.ms]
        return max([*touched, *([binned] if binned is not None and self.is_archived(kind, number) else [])])

    def is_archived(self, kind: str, number: str) -> bool:
        """Tell whether a record lies in the recycle bin now."""
        return bool(self.site.store.records[kind][number].is_archived)

    def listed(self, stream: str, key: tuple[str, ...]) -> None:
        """Compare a stream that is listed in full: which there are, and their states."""
        truth = self.site.truth(stream)
        rows = {tuple(row[column] for column in key): row for row in self.rows(stream)}
        for one, true in truth.items():
            self.found.compared[stream] += 1
            row = rows.get(one)
            if row is None:
                self.wrong(f"{stream} {one}: not there")
                continue
            state = true.get("state") or ("archived" if true.get("archived") else "live")
            if row["dss_record_state"] != state:
                self.wrong(f"{stream} {one}: {row['dss_record_state']}, the portal says {state}")
        for one, row in rows.items():
            if one not in truth and row["dss_record_state"] == "live":
                self.wrong(f"{stream} {one}: live, the portal has it no more")

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """Return a load table."""
        table = f"hubspot_{stream}" + ("" if self.environment == "default" else f"_{self.environment}")
        names = columns_of(self.file, table)
        return [dict(zip(names, row, strict=True)) for row in asked(self.file, f"SELECT * FROM load.{table}")]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        return asked(self.file, f"{query} AND environment = '{self.environment}'")

    def wrong(self, what: str) -> None:
        """Note something wrong."""
        self.found.wrong.append(what)


def same(value: Any, text: Any) -> bool:
    """Tell whether a column's value is what the API writes as *text*."""
    if text is None or text == "":
        return value in (None, "")
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, decimal.Decimal):
        return number_of(text) == value
    if isinstance(value, float):
        return float(text) == value
    if isinstance(value, dt.datetime):
        return moment_of(text) == value.astimezone(dt.UTC)
    if isinstance(value, dt.date):
        return str(text)[:10] == value.isoformat()
    if isinstance(value, str) and not isinstance(text, str):
        return json.loads(value) == text
    if value == text:
        return True
    if value is None:
        return False
    number = number_of(text)  # a column that was widened to text keeps what its old type made of it
    if number is not None and number_of(value) is not None:
        return number == number_of(value)
    moment = moment_of(text)
    return moment is not None and moment == moment_of(value)


def number_of(text: Any) -> decimal.Decimal | None:
    """Read a number; None where it is none."""
    try:
        return decimal.Decimal(str(text))
    except decimal.InvalidOperation:
        return None


def moment_of(text: Any) -> dt.datetime | None:
    """Read a time; None where it is none."""
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
