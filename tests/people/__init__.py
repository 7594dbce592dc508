"""A site whose records are full of personal data, and a search for bytes in everything that it left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from syncer.sources import Page, Whole
from tests.conftest import Site

NUMBERS = (7, 8, 9)

FOLDER = Path(__file__).parent
KEY = "a key of many characters"


def furnished(site: Site, *, key: str = KEY) -> Site:
    """Give a site these mappings, and a hash key."""
    variables = {**site.settings.variables, **({"SYNCER_HASH_KEY": key} if key else {})}
    site.settings = attrs.evolve(site.settings, folders=(*site.settings.folders, FOLDER), variables=variables)
    return site


def person(number: int = 7, **changes: Any) -> dict[str, Any]:
    """A record whose every personal value is found by its bytes."""
    record = {
        "id": number,
        "properties": {
            "email": f"Zeldzaam{number}@Voorbeeld.example",
            "phone": f"+3161234567{number % 10}",
            "born": f"1971-02-1{number % 10}",
            "bsn": 912345670 + number,
            "member": True,
            "nick": f"Bijnaampje{number}",
        },
        "author": {"name": f"Quirijn Wonderling{number}", "id": 5},
        "note": f"Bel Quirijn Wonderling{number} op 020-765432{number % 10}, mail Zeldzaam{number}@Voorbeeld.example.",
        "extra": {"list": [f"Geheimpje{number}"], "count": 88123450 + number},
        "city": "Utrecht",
    }
    return {**record, **changes}


def pages(*records: dict[str, Any]) -> Iterator[Page]:
    """One page."""
    yield Page(place={"at": 1}, records=list(records))


def needles(number: int = 7) -> dict[str, list[bytes]]:
    """What must not be found of `person(number)`, by column."""
    return {
        "email": [f"Zeldzaam{number}".encode(), f"zeldzaam{number}".encode()],
        "phone": [f"3161234567{number % 10}".encode()],
        "born_on": [f"1971-02-1{number % 10}".encode()],
        "bsn": [str(912345670 + number).encode()],
        "nickname": [f"Bijnaampje{number}".encode()],
        "author_name": [f"Wonderling{number}".encode()],
        "note": [f"020-765432{number % 10}".encode()],
        "extra": [f"Geheimpje{number}".encode(), str(88123450 + number).encode()],
    }


def left_in(site: Site, wanted: dict[str, list[bytes]]) -> dict[str, list[str]]:
    """The files of a site's folder, and of its warehouse wherever that is, that hold one of the needles, by column."""
    return hits([site.folder, *site.database.kept_in()], wanted)


def hits(places: Path | Iterable[Path], wanted: dict[str, list[bytes]]) -> dict[str, list[str]]:
    """The files, and those below the folders, that hold one of the needles, by column."""
    found: dict[str, list[str]] = {}
    given = [places] if isinstance(places, Path) else places
    for file in sorted({file for place in given for file in (place, *place.rglob("*"))}):
        if file.is_file():
            body = file.read_bytes()
            for column, needle in wanted.items():
                if any(each in body for each in needle):
                    found.setdefault(column, []).append(file.name)
    return found


def keys_of(*numbers: int) -> Iterator[Page]:
    yield Page(records=[{"id": number} for number in numbers], whole=Whole())
