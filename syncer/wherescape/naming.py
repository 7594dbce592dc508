"""
Column names: what a display name becomes in a load table of WhereScape RED, and back.

Tables that exist have these names, so the rules stay as they were: letters of any script are written in ASCII, small,
and what is no letter and no digit becomes one `_`, none at the ends; at most 59 letters. The first of several equal
names keeps it, later ones get their place behind it (`_002`). Legacy tables have the place behind every name.
Beyond what was: a place is put behind until the name is unique, and a name has at most 63 bytes, which is
PostgreSQL's limit. Names may be reserved words or begin with a digit: who writes SQL quotes them.

Not here: which legacy table has which columns (`legacy.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 63  # bytes, of a name; all of it is ASCII
LONGEST_SLUG = 59  # room for the place behind it
UNNAMED = "column"
_QUOTES = re.compile("'+")


def slug(name: str) -> str:
    """Return *name* as a column's name, at most 59 letters; empty where nothing of it can be written in ASCII."""
    import slugify
    import text_unidecode

    # Transliterated here: slugify takes another library where one happens to be installed, which writes other names.
    # An apostrophe parts words, and what only looks like one does not.
    parted = unicodedata.normalize("NFKD", _QUOTES.sub("-", name))
    plain = _QUOTES.sub("", text_unidecode.unidecode(parted))
    return slugify.slugify(plain, separator="_", max_length=LONGEST_SLUG)


def slugs(names: Iterable[str]) -> list[str]:
    """Return a column's name for each of *names*, in their order, each unique."""
    found: list[str] = []
    taken: set[str] = set()
    for place, name in enumerate(names, start=1):
        plain = slug(name)
        _add(found, taken, plain or _behind(UNNAMED, [place]), place)
    return found


def legacy_slugs(names: Iterable[str]) -> list[str]:
    """Return the names that tables made long ago have: each with its place behind it."""
    found: list[str] = []
    taken: set[str] = set()
    for place, name in enumerate(names, start=1):
        _add(found, taken, _behind(slug(name) or UNNAMED, [place]), place)
    return found


def display_name(column: str) -> str:
    """Return what a column is called for people: `ID_number` is `Id number`."""
    return column.replace("_", " ").capitalize()


def _add(found: list[str], taken: set[str], name: str, place: int) -> None:
    """Add *name* to those found, with its place behind it as often as it takes to be the only one."""
    unique, places = name, [place]
    while unique in taken:
        unique = _behind(name, places)
        places.append(place)
    taken.add(unique)
    found.append(unique)


def _behind(name: str, places: list[int]) -> str:
    """Put places behind a name; what is too long then is cut before them."""
    suffix = "".join(f"_{place:03d}" for place in places)
    return f"{name[: LONGEST - len(suffix)].rstrip('_')}{suffix}"
