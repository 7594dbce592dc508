"""
Choices that stand elsewhere than in a definition: owners, and the stages of pipelines. By id, or by name, per portal.

Ids differ from portal to portal, so a warehouse that pushes to several names them as people do: an owner by e-mail
address or full name, a stage and a pipeline by label. Not here: asking for them (`portal.py`).
Source: HubSpot's guides "Owners" and "Pipelines".
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from syncer import values
from syncer.sources import Record
from syncer.sources.hubspot import normal
from syncer.sources.hubspot.normal import Misfit
from syncer.target import Ours

# Stage and pipeline, by kind; custom objects have the names of tickets.
OF_DEALS = ("dealstage", "pipeline")
OF_OTHERS = ("hs_pipeline_stage", "hs_pipeline")
NEAR = 3  # names that a reason shows


@attrs.frozen(kw_only=True)
class Owner:
    """Who may own a record, as the list of owners has them; `name` is empty where there is none."""

    id: str
    email: str
    name: str
    user_id: str
    is_archived: bool


class Owners:
    """All owners of a portal; None: the token may not read them, and ids are taken as they are."""

    def __init__(self, records: Iterable[Record] | None) -> None:
        self._is_known = records is not None
        found = [_owner(each) for each in records or ()]
        self._by_id = {each.id: each for each in found}
        self._by_email = _grouped((each.email.lower(), each) for each in found if each.email)
        self._by_name = _grouped((_folded(each.name), each) for each in found if each.name)
        self._by_user = {each.user_id: each for each in found if each.user_id}
        self.version = _digest(sorted((each.id, each.email, each.name, each.is_archived) for each in found))

    def ours(self, value: Any) -> Ours:
        """Take an owner by id, e-mail address or full name. Raises Misfit."""
        text = normal.plain(value).strip()
        if not self._is_known:
            if text.isascii() and text.isdigit():
                return Ours(text, text)
            raise Misfit("The token may not read owners, so only their ids can be written.")
        owner = self._by_id.get(text)
        if owner is None:
            owner = self._named(text)
        if owner.is_archived:
            raise Misfit(f"The owner {owner.name or owner.id} was deactivated in HubSpot.")
        return Ours(owner.id, owner.id)

    def _named(self, text: str) -> Owner:
        for found in (self._by_email.get(text.lower()), self._by_name.get(_folded(text))):
            live = [each for each in found or () if not each.is_archived]
            if len(live) > 1:
                ids = ", ".join(sorted(each.id for each in live))
                raise Misfit(f"{len(live)} owners have this name: give the e-mail address or the id ({ids}).")
            if found:
                return live[0] if live else found[0]
        if text in self._by_user:
            raise Misfit(f"It is a user's id; HubSpot wants the owner's, {self._by_user[text].id}.")
        active = [each for each in self._by_id.values() if not each.is_archived]
        known = [name for each in active for name in (each.name, each.email) if name]
        raise Misfit(f"There is no such owner in this portal.{_nearest(text, known)}")


class Pipelines:
    """The pipelines of a kind and their stages; what was archived takes no record any more."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._labels: dict[str, str] = {}
        self._stages: dict[str, dict[str, str]] = {}
        for pipeline in records:
            if pipeline.get("archived") is True:
                continue
            id = str(pipeline.get("id"))
            self._labels[id] = str(pipeline.get("label") or "")
            self._stages[id] = {
                str(each.get("id")): str(each.get("label") or "")
                for each in pipeline.get("stages") or ()
                if each.get("archived") is not True
            }
        self.version = _digest([self._labels, self._stages])

    def pipeline(self, value: Any) -> Ours:
        """Take a pipeline by id or label. Raises Misfit."""
        text = normal.plain(value).strip()
        found = _chosen(text, self._labels)
        if len(found) > 1:
            raise Misfit(f"{len(found)} pipelines have this label: give the id ({', '.join(found)}).")
        if not found:
            raise Misfit(f"There is no such pipeline in this portal.{_nearest(text, self._labels.values())}")
        return Ours(found[0], found[0])

    def stage(self, value: Any, pipeline: str | None) -> Ours:
        """Take a stage by id or label, of *pipeline*, or of the one that has it. Raises Misfit."""
        text = normal.plain(value).strip()
        if pipeline is not None:
            stages = self._stages.get(pipeline, {})
            found = _chosen(text, stages)
            if not found:
                where = f"the pipeline {self._labels.get(pipeline) or pipeline}"
                raise Misfit(f"There is no such stage in {where}.{_nearest(text, stages.values())}")
            if len(found) > 1:
                raise Misfit(f"{len(found)} stages have this label: give the id ({', '.join(found)}).")
            return Ours(found[0], found[0])
        by_id = [of for of, stages in self._stages.items() if text in stages]
        found = [text] if by_id else []
        places = by_id
        if not by_id:
            for of, stages in self._stages.items():
                chosen = _chosen(text, stages)
                found += chosen
                places += [of] * bool(chosen)
        if len(found) > 1 or len(places) > 1:
            named = ", ".join(self._labels[of] or of for of in places)
            raise Misfit(
                f"More than one stage is called this ({named}): give the pipeline as well, or the stage's id."
            )
        if not found:
            known = [label for stages in self._stages.values() for label in stages.values()]
            raise Misfit(f"There is no such stage in this portal.{_nearest(text, known)}")
        return Ours(found[0], found[0])


def _chosen(text: str, labels: Mapping[str, str]) -> list[str]:
    """Return the ids that a text means: itself, or those with this label."""
    if text in labels:
        return [text]
    return [id for id, label in labels.items() if _folded(label) == _folded(text)]


def _owner(record: Record) -> Owner:
    names = [each for each in (record.get("firstName"), record.get("lastName")) if isinstance(each, str) and each]
    user = record.get("userIdIncludingInactive") or record.get("userId")
    return Owner(
        id=str(record.get("id")),
        email=str(record.get("email") or ""),
        name=" ".join(names),
        user_id=str(user) if user else "",
        is_archived=record.get("archived") is True,
    )


def _grouped(pairs: Iterable[tuple[str, Owner]]) -> dict[str, list[Owner]]:
    found: dict[str, list[Owner]] = {}
    for name, owner in pairs:
        found.setdefault(name, []).append(owner)
    return found


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _nearest(text: str, known: Iterable[str]) -> str:
    near = nearest(text, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def nearest(text: str, known: Iterable[str], *, cutoff: float = 0.6) -> Sequence[str]:
    """Return the names that come nearest, at most three; *cutoff*: how near at least, of 0 to 1."""
    by_folded = {_folded(each): each for each in known}
    found = difflib.get_close_matches(_folded(text), list(by_folded), n=NEAR, cutoff=cutoff)
    return [by_folded[each] for each in found]


def _digest(what: Any) -> str:
    """Digest what may hold half a surrogate pair: a name that was cut inside an emoji."""
    return hashlib.blake2b(values.dumps(what).encode(), digest_size=8).hexdigest()
