"""
`hubspot.merge_tickets`: records that are one (by default, tickets with the same value of a property) become one.

Before anything goes, the survivor gets what would be lost: texts joined, blanks filled, all associations with their
labels. Then the others are merged into it one after the other, each into what the one before left, or are archived.
The plan holds every record that goes as it was, so that a revert can make it anew. A group that is too large, or that
stands in several pipelines, is told and left alone: an empty-like value must not make one ticket of a thousand.

Not here: what becomes of a group (`merging.py`), finding groups (`grouping.py`), sending (`apply.py`), putting back
(`undoing.py`). Source: HubSpot's guides "Merge records" and "Associate records".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import kept, merging, plan, plan_journal, values
from syncer.blanks import is_blank
from syncer.declared import count, flag, one_of, table, text
from syncer.errors import NotAllowed, UnknownName, UsageError
from syncer.grouping import Groups
from syncer.merging import Member, Merged, Rules
from syncer.operations import Context, Looked
from syncer.plan import Change, Edit
from syncer.plans import PlanRow, Problem
from syncer.restoring import RESTORED_FROM
from syncer.target import PRIMARY_COMPANY, Found, Linked, Shape

MERGE, ARCHIVE = MODES = ("merge", "archive")
IDENTITIES = 250  # records behind one. Source: HubSpot's page "Error handling", status 414
AT_ONCE = 200  # records of groups that are read at once
TOLD = 20  # groups that are named
PIPELINES = {"tickets": ("hs_pipeline", "hs_pipeline_stage"), "deals": ("pipeline", "dealstage")}
MERGEABLE = ("tickets", "companies", "contacts", "deals")
MADE = ("createdate", "hs_createdate")


def _is_keep(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) and each in merging.KEEPS for each in value.values())


NAME = "hubspot.merge_tickets"
SUMMARY = "make one of tickets that are one: those with the same value of a property"
READS = ("tickets", "associations", "pipeline_stages")
SETTINGS = {
    "object": text("tickets", meaning="a kind of records: " + ", ".join(MERGEABLE)),
    "property": text("nerds_ticket_id", meaning="a property, such as nerds_ticket_id"),
    "survivor": one_of(*merging.SURVIVORS),
    "mode": one_of(*MODES),
    "max_group": count(10, least=2, most=1_000),
    "across_pipelines": flag(),
    "keep": table(f'a rule a property, of {", ".join(merging.KEEPS)}, such as {{ notes = "concatenate" }}', _is_keep),
    "primary_company": one_of(*merging.PRIMARIES),
}


def kind(settings: Mapping[str, Any]) -> str:
    """Return the kind of records that are merged. Raises UsageError."""
    name = str(settings["object"])
    if name not in MERGEABLE and settings["mode"] == MERGE:
        raise UsageError(
            f'object in ["{NAME}"] is {name}: HubSpot merges {", ".join(MERGEABLE)}.',
            hint='With mode = "archive" records of any kind become one.',
        )
    return name


def looked(context: Context) -> Iterator[Looked]:
    """Yield each group of records that are one, whole, with what becomes of it."""
    merger = _Merging(context, context.api.shape(kind(context.values)))
    merger.check()
    yield from merger.looked()


class _Left(Exception):
    """Inside this module: a group is left alone, and why."""


@attrs.define
class _Merging:
    """Finds groups of one kind, and plans each."""

    context: Context
    shape: Shape
    told: dict[str, list[str]] = attrs.field(factory=dict)  # groups that are left, by reason
    groups: int = 0
    lost: dict[str, int] = attrs.field(factory=dict)  # by property, records whose value goes with them
    cut: int = 0
    left_by_merge: int = 2  # ids that one adds behind who survives: both, where it leaves a third record
    met: Groups = attrs.field(init=False)

    @property
    def kind(self) -> str:
        return self.shape.kind

    @property
    def same(self) -> str:
        return str(self.context.values["property"])

    @property
    def is_merge(self) -> bool:
        return bool(self.context.values["mode"] == MERGE)

    def check(self) -> None:
        """Raise UsageError where a setting names what is not there."""
        keep = self.context.values["keep"]
        for key, name in (("property", self.same), *(("keep", each) for each in keep)):
            if name not in self.shape.properties:
                wrong = UnknownName(f"property of {self.kind}", name, known=self.shape.properties)
                raise UsageError(f'{key} in ["{NAME}"]: {wrong}')
        for name, rule in keep.items():
            known = self.shape.properties[name]
            why = known.why_not or ("its values are unique" if known.is_unique else "")
            if rule == merging.UNION and not known.is_list:
                why = "union goes with a property that takes several choices"
            if rule == merging.CONCATENATE and known.type != "string":
                why = f"concatenate goes with a text, and its type is {known.type}"
            if why:
                raise UsageError(f'keep.{name} in ["{NAME}"]: {name} cannot be kept by {rule}: {why}.')
        if self.context.values["survivor"] == merging.OPEN_FIRST and self.kind not in PIPELINES:
            raise UsageError(
                f'survivor in ["{NAME}"]: {self.kind} have no stages; open_first goes with tickets or deals.'
            )

    # Finding.

    def looked(self) -> Iterator[Looked]:
        """Yield what becomes of each group, some hundred records in memory at once."""
        kinds, closed = self._kinds(), self._closed()
        self.left_by_merge = 1 if self._keeps_id() else 2
        with Groups() as groups:
            self.met = groups
            met = self._walk(groups)
            looked_at = 0
            for found in self._batched(groups):
                for looked in [found] if isinstance(found, Looked) else self._read(found, kinds, closed):
                    rows = (looked.row, *looked.also)
                    looked_at += sum(row.times for row in rows)
                    yield looked
            self.context.passed(max(0, met - looked_at))
            self._note_kept()
        self._note()

    def _walk(self, groups: Groups) -> int:
        """Remember the value of every live record; return how many records there are."""
        met = 0
        for page in self.context.api.walked(self.kind, [self.same]):
            met += len(page)
            groups.add((value, each.id) for each in page if (value := self._value(each)) is not None)
            self.context.moved(met, 0)
        return met

    def _value(self, found: Found) -> str | None:
        value = self.shape.properties[self.same].theirs(found.properties.get(self.same))
        return None if is_blank(value) else value

    def _batched(self, groups: Groups) -> Iterator[list[tuple[str, ...]] | Looked]:
        """Yield the ids of groups that are small enough, some at a time; of a larger one a row that says so."""
        most = int(self.context.values["max_group"])
        batch: list[tuple[str, ...]] = []
        for group in groups.found(most=most + 1):
            if group.size > most:
                found = self.context.api.find(self.kind, group.ids[:1], by=None, properties=[self.same])
                value = next((self._value(each) for each in found.values()), None)
                name = self._named(value) if value is not None else f"that of {group.ids[0]}"
                self._leave(f"larger than max_group = {most}", f"{name}: {group.size:,}")
                yield Looked(PlanRow(key=group.ids[0], id=group.ids[0], outcome=plan.SKIPPED, times=group.size))
                continue
            if sum(map(len, batch)) + len(group.ids) > AT_ONCE and batch:
                yield batch
                batch = []
            batch.append(group.ids)
        if batch:
            yield batch

    def _named(self, value: str) -> str:
        """Name a group by the value that its records share; where nobody may see that, by nothing but its records."""
        return "a personal value" if self.shape.properties[self.same].is_personal else f"'{value}'"

    def _leave(self, reason: str, group: str) -> None:
        self.told.setdefault(reason, []).append(group)

    def _kinds(self) -> Sequence[str]:
        try:
            return self.context.api.linked_kinds(self.kind)
        except NotAllowed as error:
            raise self._unseen(error) from error

    def _keeps_id(self) -> bool:
        """Tell whether a merge leaves the id of who survives, as the last one did; nobody knows before the first."""
        with self.context.warehouse.transaction() as t:
            found = plan_journal.keeps_id(t, kind=self.kind, environment=self.context.environment)
        self.context.warehouse.rest(waiting=True)
        return bool(found)

    def _unseen(self, error: NotAllowed) -> NotAllowed:
        return NotAllowed(
            f"{error.message} Nothing is merged of which an association cannot be seen: it could not be carried over.",
            hint=error.hint,
            status=error.status,
        )

    def _closed(self) -> frozenset[str]:
        """Return the stages that close a record, where the rule asks for it."""
        if self.context.values["survivor"] != merging.OPEN_FIRST or self.context.source is None:
            return frozenset()
        pages = self.context.source.read("pipeline_stages", places={}, lookback=dt.timedelta(0), fields=())
        found = set()
        for page in pages:
            for record in page.records:
                told = record.get("metadata") or {}
                is_closed = str(told.get("ticketState")) == "CLOSED" or str(told.get("isClosed")).lower() == "true"
                if record.get("object_type") == self.kind and is_closed:
                    found.add(str(record.get("id")))
        return frozenset(found)

    # Reading.

    def _read(self, batch: Sequence[Sequence[str]], kinds: Sequence[str], closed: frozenset[str]) -> Iterator[Looked]:
        """Read groups whole, fresh, and yield what becomes of each."""
        ids = [id for group in batch for id in group]
        found = self.context.api.find(self.kind, ids, by=None, properties=sorted(self.shape.properties))
        live = {id: each for id, each in found.items() if not each.is_archived and each.id == id}
        linked: dict[str, dict[str, Sequence[Linked]]] = {id: {} for id in live}
        for kind in kinds:
            try:
                for id, others in self.context.api.edges(self.kind, list(live), kind).items():
                    linked[id][kind] = others
            except NotAllowed as error:
                raise self._unseen(error) from error
        for group in batch:
            by_value: dict[str, list[Member]] = {}
            for id in group:
                if id in live and (value := self._value(live[id])) is not None:
                    by_value.setdefault(value, []).append(self._member(live[id], linked[id], closed))
            for value, members in by_value.items():
                if len(members) > 1:
                    yield self._planned(value, members)

    def _member(self, found: Found, linked: Mapping[str, Sequence[Linked]], closed: frozenset[str]) -> Member:
        made = next((found.properties[name] for name in MADE if found.properties.get(name)), None)
        _, stage = PIPELINES.get(self.kind, ("", ""))
        known = self.shape.properties  # an answer may have what the portal does not define
        return Member(
            id=found.id,
            made_at=values.timestamp(made) if made else None,
            properties={name: value for name, value in found.properties.items() if value and name in known},
            linked=linked,
            merged=found.merged,
            is_open=found.properties.get(stage) not in closed,
        )

    # Planning.

    def _planned(self, value: str, members: Sequence[Member]) -> Looked:
        try:
            self._check_group(value, members)
        except _Left as left:
            self._leave(str(left), f"{self._named(value)}: {', '.join(member.id for member in members)}")
            rows = [PlanRow(key=member.id, id=member.id, outcome=plan.SKIPPED) for member in members]
            return Looked(rows[0], also=rows[1:])
        behind = sum(len(member.merged) for member in members) + self.left_by_merge * (len(members) - 1)
        if self.is_merge and behind > IDENTITIES:
            return self._too_many(members, behind)
        self.groups += 1
        merged = merging.decide(members, self.shape, self._rules(), instead=self._instead(members))
        self.met.decided(merged.survivor.id, (member.id for member in merged.others))
        self.cut += sum(merged.cut.values())
        return self._looked(merged)

    def _instead(self, members: Sequence[Member]) -> Mapping[tuple[str, str], str]:
        """
        Return what stands for records of other groups that are to go. HubSpot's merge follows by itself, but not with
        labels: where both have a pair with a third record, that of the one that stays has to have them all.
        """
        linked = [each for member in members for each in member.linked.get(self.kind, ())]
        ids = [each.id for each in linked if not self.is_merge or any(type.label for type in each.types)]
        return {(self.kind, id): survivor for id, survivor in self.met.stands_for(ids).items()}

    def _check_group(self, value: str, members: Sequence[Member]) -> None:
        """Raise _Left where a group is left alone."""
        pipeline, _ = PIPELINES.get(self.kind, ("", ""))
        pipelines = {member.properties.get(pipeline) for member in members}
        if pipeline and len(pipelines) > 1 and not self.context.values["across_pipelines"]:
            raise _Left("in several pipelines, and across_pipelines is not set")
        if any(member.properties.get(RESTORED_FROM) for member in members):
            raise _Left(f"put back by a revert before, as {RESTORED_FROM} tells: clear it to merge them again")

    def _too_many(self, members: Sequence[Member], behind: int) -> Looked:
        reason = (
            f"{behind:,} records would stand behind the one that survives, and HubSpot takes {IDENTITIES}: these "
            f'{len(members):,} are not merged. With mode = "archive" they can become one.'
        )
        rows = [
            PlanRow(
                key=member.id,
                id=member.id,
                outcome=plan.REJECTED,
                problems=[Problem(kind=plan.REJECTED, field=self.same, reason=reason)],
            )
            for member in members
        ]
        return Looked(rows[0], also=rows[1:])

    def _rules(self) -> Rules:
        keep = dict(self.context.values["keep"])
        if self.kind == "tickets":
            keep.setdefault("content", merging.CONCATENATE)
        return Rules(
            survivor=self.context.values["survivor"],
            keep=keep,
            primary=self.context.values["primary_company"],
            noun=self.kind.removesuffix("s") if self.kind != "companies" else "company",
        )

    def _looked(self, merged: Merged) -> Looked:
        survivor = merged.survivor
        changes: list[Change] = []
        if merged.edits:
            changes.append(self._change(survivor, plan.UPDATE, 1, fields=dict(merged.edits)))
        had = {edge.kind: [each for each in survivor.edges() if each.kind == edge.kind] for edge in merged.edges}
        for edge in merged.edges:
            edit = {PRIMARY_COMPANY: Edit(survivor.primary_company, edge.id)} if edge == merged.primary else {}
            own = (*had.pop(edge.kind), edge) if edge.kind in had else ()
            changes.append(self._change(survivor, plan.ASSOCIATE, len(changes) + 1, edge=edge, fields=edit, edges=own))
        before = tuple(change.number for change in changes)
        last: int | None = None
        for member in merged.others:
            number = len(changes) + 1
            for name in merged.lost(member, self.shape):
                self.lost[name] = self.lost.get(name, 0) + 1
            gone: dict[str, Any] = {"fields": self._before(member, merged), "edges": tuple(member.edges())}
            if self.is_merge:
                after = (last,) if last is not None else before
                gone |= {"into": survivor.id, "into_by": last, "after": after}
                changes.append(self._change(member, plan.MERGE, number, **gone))
                last = number
            else:
                gone |= {"into": survivor.id, "after": before}
                changes.append(self._change(member, plan.ARCHIVE, number, **gone))
        rows = [PlanRow(key=member.id, id=member.id) for member in (survivor, *merged.others)]
        return Looked(rows[0], changes, also=rows[1:])

    def _before(self, member: Member, merged: Merged) -> dict[str, Edit]:
        """Return all that a record holds, and what its place holds then; what HubSpot sets itself is not followed."""
        found = {}
        for name, value in sorted(member.properties.items()):
            if not self.shape.properties[name].why_not:
                found[name] = Edit(value, merged.after.get(name))
            elif self.is_merge:
                found[name] = Edit(value, value)
        return found

    def _change(self, member: Member, action: str, number: int, **words: Any) -> Change:
        title = self.shape.properties.get(self.shape.title)
        shown = member.properties.get(self.shape.title) if title is not None and not title.is_personal else ""
        return Change(
            number=number, action=action, kind=self.kind, key=member.id, id=member.id, title=shown or "", **words
        )

    # Telling.

    def _becomes_one(self, one: str, other: str) -> bool:
        by_id = self.met.stands_for((one, other))
        return by_id.get(one, one) == by_id.get(other, other)

    def _note_kept(self) -> None:
        """Tell what records keep of others that did not become one with them, and do not now."""
        with self.context.warehouse.transaction() as t:
            found = kept.found(t, NAME, environment=self.context.environment)
            left = [each for each in found if not self._becomes_one(each.id, each.of)]
        self.context.warehouse.rest(waiting=True)
        if left:
            more = f", and {len(left) - TOLD:,} more" if len(left) > TOLD else ""
            self.context.note(
                f"of {self.kind} that did not become one: {'; '.join(map(str, left[:TOLD]))}{more}: a person takes "
                "off what is not its own; `--dry-run --plan` with that plan shows what was there before"
            )

    def _note(self) -> None:
        note = self.context.note
        if self.groups:
            groups = "1 group" if self.groups == 1 else f"{self.groups:,} groups"
            one = "one" if self.groups == 1 else "one each"
            note(f"{groups} of {self.kind} with the same {self.same} become {one}")
            self._note_way_back()
        if self.lost:
            names = ", ".join(f"{name} {number:,}" for name, number in _largest(self.lost))
            note(f"values that go with their records, by property: {names}")
        if self.cut:
            note(f"{self.cut:,} characters do not fit into joined texts, and are cut off")
        for reason, left in self.told.items():
            more = f", and {len(left) - TOLD:,} more" if len(left) > TOLD else ""
            noun = "group" if len(left) == 1 else "groups"
            note(f"{len(left):,} {noun} left alone, {reason}: {'; '.join(left[:TOLD])}{more}")

    @property
    def _needs_table(self) -> str:
        """What else it takes that the property is made: the table that says that a site merges."""
        return "" if NAME in self.context.settings.tables else f', once ["{NAME}"] stands in syncer.toml'

    def _note_way_back(self) -> None:
        if not self.is_merge:
            self.context.note("archived records can be restored in HubSpot for 90 days, by a person")
            return
        restored = self.shape.properties.get(RESTORED_FROM)
        if restored is None or not restored.is_unique:
            self.context.note(
                f"this cannot be put back: {self.kind} have no unique property {RESTORED_FROM} here; `syncer run "
                f"hubspot.create_properties` makes it{self._needs_table}"
            )
            return
        self.context.note(
            "a merge cannot be undone: a revert makes new records with the old values and associations, under new ids "
            "and without their timeline"
        )


def _largest(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOLD]
