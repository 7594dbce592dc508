"""
Texts of several records joined into one: each part under a line that names its record, the oldest first, parts that
repeat left out, and cut where it becomes too long.

    --- ticket 512, 2026-03-01 09:14 UTC ---
    The printer is broken.

A text that was joined before is taken apart again, so that joining the same once more changes nothing. Pure. Not here:
which texts, and of which records (`merging.py`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Iterator

import attrs

LONGEST = 65_536  # characters of a text property. Source: HubSpot's guide "Properties"
_HEAD = re.compile(r"^--- (?P<noun>[^\n,]{1,60}) (?P<id>[0-9]{1,20}), (?P<at>[^\n]{1,40}) ---$", re.MULTILINE)
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
        return f"--- {self.noun} {self.id}, {at or 'date not known'} ---"


@attrs.frozen(kw_only=True)
class Joined:
    """A text that was made of several. left: characters that were cut off it; 0: it is whole."""

    text: str
    left: int = 0


@attrs.frozen
class _Own:
    """A part as it was taken out of a text, which is *within*; is_cut: its end was cut off before."""

    part: Part
    within: str
    is_cut: bool = False

    @property
    def same(self) -> str:
        """What it says: blanks and line ends do not count."""
        return " ".join(self.part.text.split())


def joined(parts: Iterable[Part], *, longest: int = LONGEST) -> Joined:
    """
    Join texts in their order. A single one stays as it is; blank ones, and those that say what another said, add
    nothing. What is longer than *longest* characters is cut, with a note that it was.
    """
    given = [part for part in parts if part.text.strip()]
    own = _once([each for part in given for each in _apart(part)])
    if len(own) <= 1:
        return _cut(own[0].within if own else "", longest, is_cut=False)
    text = "\n\n".join(f"{each.part.head}\n{each.part.text.strip()}" for each in own)
    return _cut(text, longest, is_cut=any(_CUT.search(part.text) for part in given))


def _apart(part: Part) -> Iterator[_Own]:
    """Yield the parts of a text that was joined before; else the text itself."""
    text = _CUT.sub("", part.text)
    is_cut = text != part.text
    heads = list(_HEAD.finditer(text))
    before = text[: heads[0].start()] if heads else text
    if before.strip():
        yield _Own(attrs.evolve(part, text=before), part.text, is_cut and not heads)
    for head, following in itertools.zip_longest(heads, heads[1:]):
        end = following.start() if following is not None else len(text)
        taken = Part(noun=head["noun"], id=head["id"], at=head["at"], text=text[head.end() : end])
        yield _Own(taken, part.text, is_cut and following is None)


def _once(apart: Iterable[_Own]) -> list[_Own]:
    """Return what says something, each once; of one that was cut and the whole of it, the whole."""
    kept: dict[str, _Own] = {}
    for each in apart:
        kept.setdefault(each.same, each)
    kept.pop("", None)
    for same in [same for same, each in kept.items() if each.is_cut]:
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
