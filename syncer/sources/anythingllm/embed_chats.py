"""
The stream `embed_chats`: all chats of each embed in one answer, without an order, a filter or a page.

Each embed is a scope. Its `chat_count`, which the list of embeds tells by another query, is the witness: fewer chats
than that are no answer, and then nothing of the embed ends. An embed whose count has not moved is left out, but for a
full comparison now and then: edits and resets leave no other trace. An unknown uuid and a failing database are both
answered 200 with nothing; so an embed is gone where a list of embeds that is to be trusted no longer has it.

Source: `endpoints/api/embed/index.js`, `models/embedChats.js`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from syncer.errors import AnswerError, NotFound, SyncerError, Unavailable
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.anythingllm.calls import Calls, a_list, number_of
from syncer.sources.anythingllm.chat_records import settled
from syncer.sources.anythingllm.lists import embeds_in
from syncer.transport import Answer

EMBEDS = "/v1/embed"
TRIES = 3
RECORDS_A_PAGE = 500
MOST_SICK = 3  # embeds in a row that may answer 5xx; of one more it is the instance that is ill
LISTING = ""  # the scope of the list of embeds itself


class EmbedGone(Exception):
    """Inside this module: the embed is not in the list any more."""


@attrs.define(kw_only=True)
class EmbedChats:
    """Reads embed chats."""

    calls: Calls
    _sick: int = 0  # embeds in a row that could not be read

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """
        Yield the chats of each embed that is due.

        The place of an embed: {"count", "full_at", "uuid"}, or {"gone": true}; of the scope "": {"listed": embeds,
        "whole": true, or "tried_at"}, see `_is_sweep`.
        Raises: AnswerError: no embed at all where there were some; all that were asked for failed.
        """
        answer, embeds = self._embeds(places)
        is_trusted = self.calls.trusted(answer, embeds, path=EMBEDS, before=_embeds_before(places))
        if not self.calls.embed:
            yield from self._gone(embeds, places)
        is_sweep = is_trusted and self._is_sweep(places)
        read, failures = list[int](), list[SyncerError]()
        is_first = True
        for embed in self._chosen(answer, embeds):
            if not is_sweep and not self._is_due(answer, embed, places.get(str(embed["id"]))):
                continue
            read.append(embed["id"])
            for page in self._pages(embed):
                if page.error is not None:
                    failures.append(page.error)
                    read.pop()
                yield from self._of_all(page, is_first=is_first) if is_sweep else (page,)
                is_first = is_first and not page.records
        if failures and not read:
            raise failures[-1]
        if is_trusted:
            whole = _whole_of(read, is_all=not failures, is_first=is_first) if is_sweep else None
            place = {"listed": len(embeds), **self._sweep(places, is_sweep=is_sweep, is_well=not failures)}
            yield Page(scope=LISTING, place=place, mark=self.calls.mark(), whole=whole)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield the chats of all embeds, for a census."""
        answer, embeds = self._embeds(places, is_new=True)
        is_trusted = self.calls.trusted(answer, embeds, path=EMBEDS, before=_embeds_before(places))
        if LISTING in places and any(str(embed["id"]) not in places for embed in embeds):
            # A census brings their chats in, but no place that would tell when they are gone.
            told = {name: value for name, value in places[LISTING].items() if name != "whole"}
            yield Page(scope=LISTING, place=told)
        held: dict[int, None] = {}
        has_failed = False
        for embed in self._chosen(answer, embeds):
            held[embed["id"]] = None
            for page in self._pages(embed):
                if page.error is not None:
                    has_failed = True
                    del held[embed["id"]]
                yield Page(scope=page.scope, records=page.records, error=page.error)
        if is_trusted and not self.calls.embed and not has_failed:
            yield Page(whole=Whole())
            return
        missing = [] if self.calls.embed else _no_longer(embeds, places)
        values = [(number,) for number in (*held, *missing)]
        if values:
            yield Page(whole=Whole(columns=("embed_id",), values=values))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the chats of *keys* that are there. All embeds are asked, once for the whole of a census."""
        answer = self.calls.once(EMBEDS, kept_as="again /v1/embed")
        embeds = embeds_in(answer)
        if not self.calls.trusted(answer, embeds, path=EMBEDS, before=None):
            raise self.calls.liar(answer, "answered 200 with an empty list where chats were looked for")
        wanted = {key[0] for key in keys}
        for embed in embeds:
            try:
                rows = self._chats(embed, kept_as=f"again {embed['uuid']}")
            except EmbedGone:
                continue
            found = [settled(row) for row in rows if row.get("id") in wanted]
            if found:
                yield Page(records=found)

    def _embeds(self, places: Mapping[str, Place], *, is_new: bool = False) -> tuple[Answer, list[Record]]:
        answer = self.calls.get(EMBEDS) if is_new else self.calls.once(EMBEDS)
        return answer, embeds_in(answer)

    def _chosen(self, answer: Answer, embeds: Sequence[Record]) -> list[Record]:
        """Return the embeds to read, by id. Raises NotFound: the one that a site asks for is not there."""
        wanted = self.calls.embed
        chosen = [embed for embed in embeds if not wanted or embed["uuid"] == wanted]
        if wanted and not chosen:
            raise NotFound(
                f"{answer.where}: none of {len(embeds)} embeds has the uuid that `embed` in [anythingllm] names.",
                hint="Copy it from the embed's code, data-embed-id; or leave the option out, for all embeds.",
                status=404,
            )
        return sorted(chosen, key=lambda embed: int(embed["id"]))

    def _is_due(self, answer: Answer, embed: Record, place: Place | None) -> bool:
        """Tell whether an embed is to be read: its count has moved, or a full comparison is due."""
        if place is None or place.get("gone") or self.calls.is_due(place):
            return True
        return bool(place.get("count") != number_of(answer, embed, "chat_count") or place.get("uuid") != embed["uuid"])

    def _is_sweep(self, places: Mapping[str, Place]) -> bool:
        """
        Tell whether to read all embeds, so that all rows that were not met end, of whatever embed they are.

        An embed that is gone is known by its place. Where places were lost (a reload, in which another embed failed,
        or of one embed only) or never were (a first load that was killed), rows may stand there of an embed that
        nobody knows of. So all places are proven to be there by one sweep that went well; until then it is tried
        with a first load or a reload, and as often as a full comparison is due.
        """
        listing = places.get(LISTING)
        if self.calls.embed or (places and listing is None):  # the rest of a load that was killed comes first
            return False
        if listing is None:
            return True
        return not listing.get("whole") and self.calls.is_due({"full_at": listing.get("tried_at")})

    def _sweep(self, places: Mapping[str, Place], *, is_sweep: bool, is_well: bool) -> Place:
        """Return what the place of the scope "" tells of the last sweep."""
        if is_sweep and is_well:
            return {"whole": True}
        if self.calls.embed and not places:
            return {}  # a reload of one embed: the next pull of all sweeps
        if is_sweep or (LISTING not in places and not self.calls.embed):
            return {"tried_at": self.calls.opened}
        return {name: value for name, value in places.get(LISTING, {}).items() if name != "listed"}

    def _gone(self, embeds: Sequence[Record], places: Mapping[str, Place]) -> Iterator[Page]:
        """End the chats of embeds that are not in the list any more: they were deleted with their embed."""
        for number in _no_longer(embeds, places):
            whole = Whole(columns=("embed_id",), values=((number,),), within=("embed_id",))
            yield Page(scope=str(number), place={"gone": True}, mark=self.calls.mark(), whole=whole)

    def _of_all(self, page: Page, *, is_first: bool) -> Iterator[Page]:
        """Turn a page of one embed into one of a walk over all; the embed's place comes behind it."""
        if page.error is not None:
            yield page
            return
        if page.records:
            yield Page(scope=LISTING, records=page.records, whole=Whole(first=is_first, last=False))
        if page.place is not None:
            yield Page(scope=page.scope, place=page.place, mark=page.mark)

    def _pages(self, embed: Record) -> Iterator[Page]:
        """Yield the chats of one embed; or its error, where it fails alone."""
        number = embed["id"]
        part = Whole(columns=("embed_id",), values=((number,),), within=("embed_id",))
        try:
            rows = self._chats(embed)
        except EmbedGone:
            rows = []
        except Unavailable as error:
            self._sick += 1
            if error.status < 500 or self._sick > MOST_SICK:
                raise
            yield Page(scope=str(number), error=error)
            return
        except ShortAnswer as error:
            yield Page(scope=str(number), error=error)
            return
        self._sick = 0
        place = {"count": len(rows), "full_at": self.calls.opened, "uuid": embed["uuid"]}
        rows.sort(key=_by_id)
        last = max(0, len(rows) - 1) // RECORDS_A_PAGE
        for n in range(last + 1):
            some = rows[n * RECORDS_A_PAGE : (n + 1) * RECORDS_A_PAGE]
            is_last = n == last
            yield Page(
                scope=str(number),
                records=[settled(row) for row in some],
                whole=attrs.evolve(part, first=n == 0, last=is_last),
                place=place if is_last else None,
                mark=self.calls.mark() if is_last else None,
            )

    def _chats(self, embed: Record, *, kept_as: str = "") -> list[Record]:
        """
        Return all chats of an embed.

        Raises: ShortAnswer: they are fewer than its count, however often they are asked for; EmbedGone.
        """
        uuid = embed["uuid"]
        path = f"{EMBEDS}/{quote(uuid, safe='')}/chats"
        count = number_of(_NAMED, embed, "chat_count")
        for again in range(TRIES):
            answer = self.calls.once(path, kept_as=f"{kept_as} {again}") if kept_as else self.calls.get(path)
            rows = a_list(answer, "chats")
            strange = sum(1 for row in rows if row.get("embed_id") != embed["id"])
            if strange:
                raise AnswerError(f"{answer.where} gave {strange} chats of another embed than {embed['id']}.")
            if len(rows) < count:
                count = self._count_now(embed)  # chats may have been deleted since it was told
            if len(rows) >= count:
                return rows
        raise ShortAnswer(
            f"Embed {embed['id']}: {len(rows)} chats came, {TRIES} times, where its chat_count is {count}; none "
            "of its rows ends.",
            hint="AnythingLLM answers 200 with nothing when its database fails: it is safe to run again.",
        )

    def _count_now(self, embed: Record) -> int:
        """Ask for the embed's count anew. Raises EmbedGone."""
        answer = self.calls.get(EMBEDS)
        embeds = embeds_in(answer)
        if not embeds and not self.calls.believes_empty:
            raise self.calls.liar(answer, "answered 200 with an empty list, where there was one just now")
        for other in embeds:
            if other["id"] == embed["id"]:
                return number_of(answer, other, "chat_count")
        raise EmbedGone


class ShortAnswer(AnswerError):
    """Inside this module: an embed gave fewer chats than it has; it fails alone."""


_NAMED = Answer(status=200, headers={}, body=b"", url="", where=f"GET {EMBEDS}")


def _by_id(row: Record) -> tuple[bool, Any]:
    number = row.get("id")
    return (False, number) if isinstance(number, int) else (True, 0)


def _whole_of(read: Sequence[int], *, is_all: bool, is_first: bool) -> Whole:
    """Return what a sweep has met all of: everything, or where embeds failed the chats of the others."""
    if is_all:
        return Whole(first=is_first)
    return Whole(columns=("embed_id",), values=[(number,) for number in read], within=("embed_id",), first=is_first)


def _embeds_before(places: Mapping[str, Place]) -> int | None:
    """Return how many embeds there were, as far as places tell; None: they do not."""
    if LISTING in places:
        return int(places[LISTING].get("listed", 0))
    return sum(1 for place in places.values() if not place.get("gone")) or None


def _no_longer(embeds: Sequence[Record], places: Mapping[str, Place]) -> list[int]:
    """Return the ids of embeds that have a place, and are not in the list."""
    there = {str(embed["id"]) for embed in embeds}
    known = (scope for scope, place in places.items() if scope != LISTING and not place.get("gone"))
    return sorted(int(scope) for scope in known if scope not in there)
