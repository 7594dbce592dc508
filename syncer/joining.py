"""
Texts of several records joined into one: each part under a line that names its record, the oldest first, parts that
repeat left out, and cut where it becomes too long.

    --- ticket 512, 2026-03-01 09:14 UTC ---
    The printer is broken.

A text that was joined before is taken apart again, so that joining the same once more changes nothing. Only a line as
we write it is such a line: with what its records are called, and a date in our format. Where its record is none of
those that are joined, nor one that was merged into them, a person may have written it: it stays with what stands below
it. Pure. Not here: which texts, and of which records (`merging.py`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Collection, Iterable, Iterator

import attrs

from syncer.blanks import is_blank

LONGEST = 65_536  # characters of a text property. Source: HubSpot's guide "Properties"
_UNKNOWN = "date not known"
_AT = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} [0-9]{{2}}:[0-9]{{2}} UTC|{_UNKNOWN}"
_HEAD = re.compile(rf"^--- (?P<noun>[^\n,]{{1,60}}) (?P<id>[0-9]{{1,20}}), (?P<at>{_AT}) ---$", re.MULTILINE)
# How much is missing the note does not tell: a text that is joined again could not know, and would get another note.
_NOTE = "\n\n[… cut: all of it has more than {longest:,} characters]"
_CUT = re.compile(r"\n*\[… cut: all of it has more than [0-9,]+ characters\]\s*$")


@attrs.frozen(kw_only=True)
class Part:
    """One record's own text, and when the record was made; None: not known."""

    noun: str
    id: str
    at: dt.datetime | str | None
    text: str

    @property
    def head(self) -> str:
        """The line above it."""
        at = f"{self.at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC" if isinstance(self.at, dt.datetime) else self.at
        return f"--- {self.noun} {self.id}, {at or _UNKNOWN} ---"


@attrs.frozen(kw_only=True)
class Joined:
    """A text that was made of several. left: characters that were cut off it; 0: it is whole."""

    text: str
    left: int = 0


@attrs.frozen
class _Own:
    """
    A part as it was taken out of a text, which is *within*. is_cut: its end was cut off before. is_ours: the line
    above it is ours for certain, and not one that a person may have written.
    """

    part: Part
    within: str
    is_cut: bool = False
    is_ours: bool = True

    @property
    def same(self) -> str:
        """What it says: blanks and line ends do not count."""
        return " ".join(self.part.text.split())


def joined(parts: Iterable[Part], *, ids: Collection[str] = (), longest: int = LONGEST) -> Joined:
    """
    Join texts in their order. A single one stays as it is; blank ones, and those that say what another said, add
    nothing. What is longer than *longest* characters is cut, with a note that it was. ids: those of records that were
    merged into one of these before.
    """
    given = [part for part in parts if not is_blank(part.text)]
    known = {*ids, *(part.id for part in given)}
    own = _once([each for part in given for each in _apart(part, known)])
    if len(own) <= 1:
        return _cut(own[0].within if own else "", longest, is_cut=False)
    text = "\n\n".join(f"{each.part.head}\n{each.part.text.strip()}" for each in own)
    return _cut(text, longest, is_cut=any(_CUT.search(part.text) for part in given))


def is_within(text: str, whole: str) -> bool:
    """Tell whether all that a text says stands in another one: as all of it, or as a part of what was joined."""
    there = _said(whole)
    return all(
        each in there or (each.endswith("\n") and any(other.startswith(each[:-1]) for other in there))
        for each in _said(text)
    )


def _said(text: str) -> set[str]:
    """Return what the parts of a text say; a line end stands behind one that was cut."""
    bare = _CUT.sub("", text)
    heads = list(_HEAD.finditer(bare))
    starts = [0, *(head.end() for head in heads)]
    ends = [*(head.start() for head in heads), len(bare)]
    said = [" ".join(bare[start:end].split()) for start, end in zip(starts, ends, strict=True)]
    if bare != text:
        said[-1] += "\n"
    return {each for each in said if each}


def _apart(part: Part, known: Collection[str]) -> Iterator[_Own]:
    """Yield the parts of a text that was joined before; else the text itself. known: ids whose lines are ours."""
    text = _CUT.sub("", part.text)
    is_cut = text != part.text
    heads = [head for head in _HEAD.finditer(text) if head["noun"] == part.noun]
    before = text[: heads[0].start()] if heads else text
    if before.strip():
        yield _Own(attrs.evolve(part, text=before), part.text, is_cut and not heads)
    for head, following in itertools.zip_longest(heads, heads[1:]):
        end = following.start() if following is not None else len(text)
        taken = Part(noun=head["noun"], id=head["id"], at=head["at"], text=text[head.end() : end])
        yield _Own(taken, part.text, is_cut and following is None, head["id"] in known)


def _once(apart: Iterable[_Own]) -> list[_Own]:
    """
    Return what says something, each once; of one that was cut and the whole of it, the whole. What stands under a line
    that may be a person's goes only where the same stands under the same line.
    """
    kept: dict[str, _Own] = {}
    said = {""}
    for each in apart:
        if each.is_ours and each.same in said:
            continue
        said.add(each.same)
        kept.setdefault(each.same if each.is_ours else f"{each.part.head}\n{each.same}", each)
    for same in [same for same, each in kept.items() if each.is_cut and each.is_ours]:
        whole = next((other for other in kept if other != same and other.startswith(same)), None)
        if whole is not None:  # it stands where the one that was cut stood
            own = kept.pop(whole)
            kept = {(whole if key == same else key): (own if key == same else each) for key, each in kept.items()}
    return list(kept.values())


def _cut(text: str, longest: int, *, is_cut: bool) -> Joined:
    """Cut a text where it is too long; is_cut: something of it is missing already, which the note tells as well."""
    note = _NOTE.format(longest=longest)
    if len(text) <= longest and not is_cut:
        return Joined(text=text)
    if len(text) + len(note) <= longest:
        return Joined(text=text + note)
    room = longest - len(note)
    # A line that names a record stands whole and above something, or it is no such line any more.
    room = next((each.start() for each in _HEAD.finditer(text) if each.start() < room <= each.end() + 1), room)
    kept = text[:room].rstrip()
    return Joined(text=kept + note, left=len(text) - len(kept))
