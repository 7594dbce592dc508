"""
What merging must make of a portal, worked out from its state before in plain Python: a second opinion, which shares no
code with the product. And the comparison of every record and every edge with it.

The rules are those of docs/operations.md: the oldest survives; texts are joined; blanks are filled from the next
oldest; some properties go by a rule of their own; associations of all, with all their labels, of which one company is
primary: the survivor's own, else the next oldest's.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from syncer.sandbox.hubspot.store import Store
from tests.campaign.merges_portal import KEEP
from tests.operations import SAME

MOST_GROUP, LONGEST = 10, 65_536
PRIMARY_SPEC = ("HUBSPOT_DEFINED", 26)
DERIVED = {"hs_object_id", "createdate", "hs_lastmodifieddate", "hs_merged_object_ids", "hs_primary_company_id"}
RULES = {**KEEP, "content": "concatenate"}
_HEAD = re.compile(r"--- ticket [0-9]+, [^\n]+ ---")
Spec = tuple[str, int]
Ends = dict[str, set[Spec]]  # by the other end


@attrs.frozen(kw_only=True)
class Record:
    """One record as it was."""

    id: str
    properties: Mapping[str, str | None]
    created_ms: int
    updated_ms: int
    is_archived: bool
    merged: tuple[str, ...]

    def value(self, name: str) -> str:
        """Return a value; empty where it is blank."""
        return self.properties.get(name) or ""


@attrs.frozen(kw_only=True)
class State:
    """All records and edges of a portal at a moment."""

    records: Mapping[str, Mapping[str, Record]]
    edges: Mapping[tuple[str, str], Mapping[str, Mapping[str, frozenset[Spec]]]]

    @classmethod
    def of(cls, store: Store) -> State:
        """Copy what a portal has now."""
        records = {
            kind: {
                id: Record(
                    id=id,
                    properties=dict(each.properties),
                    created_ms=each.created_ms,
                    updated_ms=each.updated_ms,
                    is_archived=each.is_archived,
                    merged=tuple(each.merged_ids),
                )
                for id, each in there.items()
            }
            for kind, there in store.records.items()
        }
        edges = {
            pair: {
                id: {other: frozenset(specs) for other, specs in ends.items()} for id, ends in there.items() if ends
            }
            for pair, there in store.edges.items()
        }
        return cls(records=records, edges=edges)


@attrs.frozen(kw_only=True)
class Expected:
    """
    What one group becomes. ids: all that lead to it then. own: the survivor's values before. parts: what its content
    must say, in this order.
    """

    name: str
    survivor: str
    members: tuple[str, ...]  # the oldest first
    ids: frozenset[str]
    own: Mapping[str, str]
    values: Mapping[str, str]
    parts: tuple[str, ...]
    edges: Mapping[str, Ends]


@attrs.frozen(kw_only=True)
class Model:
    """A portal as it was, and what its groups become."""

    before: State
    groups: Sequence[Expected]
    left: int  # groups that must be left alone

    @property
    def merges(self) -> int:
        """How many merges there are to make."""
        return sum(len(group.members) - 1 for group in self.groups)

    @property
    def parts(self) -> int:
        """How many texts must be there."""
        return sum(len(group.parts) for group in self.groups)

    @property
    def carried(self) -> int:
        """How many types of associations the survivors have then."""
        return sum(len(specs) for group in self.groups for ends in group.edges.values() for specs in ends.values())


def model(state: State) -> Model:
    """Work out what becomes of a portal."""
    by_value: dict[str, list[Record]] = {}
    for record in state.records["tickets"].values():
        if record.value(SAME) and not record.is_archived:
            by_value.setdefault(record.value(SAME), []).append(record)
    groups = {value: found for value, found in by_value.items() if len(found) > 1}
    wanted = {
        value: sorted(found, key=lambda each: (each.value("createdate"), len(each.id), each.id))
        for value, found in groups.items()
        if len(found) <= MOST_GROUP and len({each.value("hs_pipeline") for each in found}) == 1
    }
    token = {each.id: f"group {value}" for value, found in wanted.items() for each in found}
    expected = [_group(f"group {value}", found, state, token) for value, found in wanted.items()]
    return Model(before=state, groups=expected, left=len(groups) - len(wanted))


def _group(name: str, ordered: Sequence[Record], state: State, token: Mapping[str, str]) -> Expected:
    names = {each for record in ordered for each, value in record.properties.items() if value} - DERIVED
    values = {each: _value(each, ordered) for each in names}
    return Expected(
        name=name,
        survivor=ordered[0].id,
        members=tuple(each.id for each in ordered),
        ids=frozenset(id for each in ordered for id in (each.id, *each.merged)),
        own={each: ordered[0].value(each) for each in names},
        values=values,
        parts=tuple(text for _, text in _parts("content", ordered)),
        edges=_edges(name, ordered, state, token),
    )


def _value(name: str, ordered: Sequence[Record]) -> str:
    filled = [record.value(name) for record in ordered if record.value(name).strip()]
    rule = RULES.get(name, "fill")
    if rule == "last":
        return filled[-1]
    if rule == "longest":
        return next(each for each in filled if len(each) == max(map(len, filled)))
    if rule == "union":
        return ";".join(sorted({each for value in filled for each in value.split(";")}))
    if rule == "concatenate":
        return _joined(name, ordered)
    return filled[0]  # the oldest is the survivor: its own, and else the next oldest's


def _parts(name: str, ordered: Sequence[Record]) -> list[tuple[str, str]]:
    """Return the line above each part and what it says: what repeats once, but under a line that may be a person's."""
    known = {id for record in ordered for id in (record.id, *record.merged)}
    found: dict[str, tuple[str, str]] = {}
    said: set[str] = set()
    for record in ordered:
        made = dt.datetime.fromisoformat(record.value("createdate")).astimezone(dt.UTC)
        head = f"--- ticket {record.id}, {made:%Y-%m-%d %H:%M} UTC ---"
        lines: list[str] = []
        for line in [*record.value(name).split("\n"), None]:
            if line is not None and not _HEAD.fullmatch(line):
                lines.append(line)
                continue
            text = "\n".join(lines).strip()
            same = " ".join(text.split())
            is_ours = head.split()[2].rstrip(",") in known
            if text and not (is_ours and same in said):
                said.add(same)
                found.setdefault(same if is_ours else f"{head}\n{same}", (head, text))
            head, lines = line or "", []
    return list(found.values())


def _joined(name: str, ordered: Sequence[Record]) -> str:
    parts = _parts(name, ordered)
    if len(parts) == 1:
        return next(record.value(name) for record in ordered if record.value(name).strip())
    return "\n\n".join(f"{head}\n{text}" for head, text in parts)


def _edges(name: str, ordered: Sequence[Record], state: State, token: Mapping[str, str]) -> dict[str, Ends]:
    found: dict[str, Ends] = {}
    primary = ""
    for record in ordered:
        for (start, end), there in state.edges.items():
            for other, specs in there.get(record.id, {}).items() if start == "tickets" else ():
                to = token.get(other, other) if end == "tickets" else other
                if to != name:
                    found.setdefault(end, {}).setdefault(to, set()).update(specs - {PRIMARY_SPEC})
                if PRIMARY_SPEC in specs and end == "companies":
                    primary = primary or other
    if primary:
        found["companies"][primary].add(PRIMARY_SPEC)
    return found


def wrong_with(store: Store, model: Model) -> list[str]:
    """Compare a portal with what it must be; return what is not so."""
    now = State.of(store)
    found: list[str] = []
    leads: dict[str, str] = {}
    tickets = now.records["tickets"]
    for group in model.groups:
        live = [each for each in tickets.values() if not group.ids.isdisjoint({each.id, *each.merged})]
        if len(live) != 1:
            found.append(f"{group.name} of {len(group.members)} is {len(live)} tickets")
            leads |= {each.id: f"{group.name}, one of {len(live)}" for each in live}
            continue
        leads[live[0].id] = group.name
        found += _wrong_values(group, live[0])
    return [*found, *_wrong_outside(model, now, leads), *_wrong_edges(store, model, now, leads)]


def _wrong_values(group: Expected, record: Record) -> list[str]:
    missing = group.ids - {record.id, *record.merged}
    found = [f"{group.name}: {len(missing)} ids do not lead to it"] if missing else []
    for name in sorted({*group.values, *record.properties} - DERIVED):
        wanted, has = group.values.get(name, ""), record.value(name)
        if name == "parts":
            wanted, has = ";".join(sorted(wanted.split(";"))), ";".join(sorted(has.split(";")))
        is_right = _is_cut_of(has, wanted) if len(wanted) > LONGEST else wanted == has
        if not is_right:
            found.append(f"{group.name}: {name} is {_short(has)}, must be {_short(wanted)}")
    at = 0
    for number, part in enumerate(group.parts if len(record.value("content")) < LONGEST - 100 else ()):
        at = record.value("content").find(part, at)
        if at < 0:
            found.append(f"{group.name}: part {number + 1} of {len(group.parts)} is lost, or out of its order")
            break
    return found


def _is_cut_of(has: str, whole: str) -> bool:
    """Tell whether a text is the beginning of a longer one, as much as fits, with a note that it was cut."""
    kept, _, note = has.rpartition("\n\n[… cut: ")
    return len(has) <= LONGEST and whole.startswith(kept) and len(kept) > LONGEST - 200 and note.endswith("]")


def _short(text: str) -> str:
    return repr(text if len(text) < 200 else f"{text[:90]} … {text[-90:]} ({len(text)})")


def _wrong_outside(model: Model, now: State, leads: Mapping[str, str]) -> list[str]:
    """Compare every record that is in no group with what it was."""
    inside = {id for group in model.groups for id in group.members}
    found = []
    for kind in model.before.records:
        was = {id: each for id, each in model.before.records[kind].items() if kind != "tickets" or id not in inside}
        there = {id: each for id, each in now.records[kind].items() if kind != "tickets" or id not in leads}
        found += [f"{kind} {id} was touched" for id in was if there.get(id) != was[id]]
        found += [f"{kind} {id} is new" for id in there if id not in was]
    return found


def _wrong_edges(store: Store, model: Model, now: State, leads: Mapping[str, str]) -> list[str]:
    """Compare every edge of both directions; records of a group are their group."""
    token = {id: group.name for group in model.groups for id in group.members}
    wanted = Counter(_wanted_edges(store, model, token))
    has: Counter[tuple[Any, ...]] = Counter()
    for (start, end), there in now.edges.items():
        one = leads if start == "tickets" else {}
        other = leads if end == "tickets" else {}
        for id, ends in there.items():
            for to, specs in ends.items():
                has[(start, one.get(id, id), end, other.get(to, to), tuple(sorted(specs)))] += 1
    return [f"lost: {each}" for each in (wanted - has)] + [f"not wanted: {each}" for each in (has - wanted)]


def _wanted_edges(store: Store, model: Model, token: Mapping[str, str]) -> Iterable[tuple[Any, ...]]:
    """Yield all edges that must be there: those of groups, their way back, and all others as they were."""
    for group in model.groups:
        for kind, ends in group.edges.items():
            for other, specs in ends.items():
                yield "tickets", group.name, kind, other, tuple(sorted(specs))
                if kind == "tickets" and other.startswith("group "):
                    continue  # it is the other group's too
                back = {
                    (label.category, label.inverse)
                    for spec in specs
                    if (label := store.label_of("tickets", kind, spec))
                }
                yield kind, other, "tickets", group.name, tuple(sorted(back))
    for (start, end), there in model.before.edges.items():
        for id, ends_of in there.items():
            for other, specs_of in ends_of.items():
                if not (start == "tickets" and id in token or end == "tickets" and other in token):
                    yield start, id, end, other, tuple(sorted(specs_of))
