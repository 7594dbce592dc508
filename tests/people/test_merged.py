"""Who is merged with somebody forgotten is the same person, however the key is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from syncer import forgetting, reading
from syncer.sources import MERGED, Page, State, Whole
from tests.conftest import Site
from tests.people import furnished, left_in, needles, pages, person

STYLES = pytest.mark.parametrize("style", ["mirror", "delta"])
HAS_MAIL = "SELECT id, email IS NOT NULL FROM load.scripted_people ORDER BY id"


def made(make_site: Callable[..., Site], style: str = "mirror", more: str = "") -> Site:
    """Make a site of three people, pulled."""
    site = furnished(make_site(f'["scripted.people"]\nstyle = "{style}"\npersonal = {{ note = "keep" }}\n{more}'))
    site.script.read = lambda stream, places: pages(person(7), person(8), person(9))
    assert site.pull("scripted.people").inserted == 3
    return site


def merged(*pairs: tuple[int, int], records: list[dict[str, Any]]) -> Iterator[Page]:
    """Yield a page that tells of merges, old and new."""
    states = [State(key=(old,), state=MERGED, into=str(new)) for old, new in pairs]
    yield Page(place={"at": 2}, records=records, states=states)


def forget(site: Site, key: str, name: str = "scripted.people", **options: Any) -> forgetting.Forgotten:
    warehouse = site.warehouse()
    try:
        return forgetting.forget(name, key, settings=site.settings, doors=site.doors, warehouse=warehouse, **options)
    finally:
        warehouse.close()


def left_of(site: Site, number: int) -> dict[str, list[str]]:
    return left_in(site, needles(number))


@STYLES
def test_a_survivor_of_somebody_forgotten_comes_in_blank(make_site: Callable[..., Site], style: str) -> None:
    """It has their values; and it stays blank where the merge is not told again beside it."""
    site = made(make_site, style)
    forget(site, "7")
    heir = person(10, properties=person(7)["properties"])
    site.script.read = lambda stream, places: merged((7, 10), records=[heir, person(9)])
    site.pull("scripted.people")
    assert left_of(site, 7) == {}
    assert dict(site.rows(HAS_MAIL))[10] is False and dict(site.rows(HAS_MAIL))[9] is True
    site.script.read = lambda stream, places: pages({**heir, "city": "Assen"})
    site.pull("scripted.people")
    assert left_of(site, 7) == {}
    assert site.rows("SELECT city FROM load.scripted_people WHERE id = 10") == [("Assen",)]
    site.script.read = lambda stream, places: merged((10, 11), records=[{**heir, "id": 11}])
    site.pull("scripted.people")
    assert left_of(site, 7) == {}


@STYLES
@pytest.mark.parametrize("key", ["7", "8", "10"])
def test_all_that_is_one_person_is_forgotten_together(make_site: Callable[..., Site], style: str, key: str) -> None:
    """The survivor, what was merged into it, and what that was made of; and it is told."""
    site = made(make_site, style)
    site.script.read = lambda stream, places: merged((7, 8), (8, 10), records=[person(10), person(9)])
    site.pull("scripted.people")
    assert left_of(site, 7) and left_of(site, 10)
    done = forget(site, key, is_rehearsal=True)
    assert (done.records, done.others) == (3, 2) and left_of(site, 7)
    done = forget(site, key)
    assert (done.records, done.others) == (3, 2) and "2 of them because they were merged" in str(done)
    assert [left_of(site, number) for number in (7, 8, 10)] == [{}, {}, {}] and left_of(site, 9)
    site.pull("scripted.people", mode="full")
    assert [left_of(site, number) for number in (7, 8, 10)] == [{}, {}, {}]


def test_erase_gone_takes_what_was_merged_into_who_is_gone_and_not_who_lives(make_site: Callable[..., Site]) -> None:
    """The rows that were merged away are not gone, and have the person's values."""
    site = made(make_site, more="erase_gone = true\n")
    site.script.read = lambda stream, places: merged((7, 10), (8, 9), records=[person(10), person(9)])
    site.pull("scripted.people")
    assert left_of(site, 7) and left_of(site, 10)
    site.script.keys = lambda stream, places: iter([Page(records=[{"id": 9}], whole=Whole())])
    assert site.pull("scripted.people", mode="census", is_forced=True).gone == 1
    assert (left_of(site, 7), left_of(site, 10)) == ({}, {})
    assert left_of(site, 9) and left_of(site, 8)
    site.script.read = lambda stream, places: pages(person(9, city="Assen"))
    site.pull("scripted.people")
    assert dict(site.rows(HAS_MAIL))[9] is True


def test_heirs_in_a_page_that_is_parted_are_blank(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states of a large page come with its last part; an heir stands in the first."""
    site = made(make_site)
    forget(site, "7")
    for name in ("GROUP_BYTES", "CHUNK_BYTES"):
        monkeypatch.setattr(reading, name, 1_000)
    heir = person(10, properties=person(7)["properties"])
    records = [heir, *(person(number) for number in range(20, 27))]
    assert len(list(reading.parts_of(Page(records=records)))) > 2
    committed: list[bool] = []
    site.script.read = lambda stream, places: merged((7, 10), records=records)
    write = reading.Group.table

    def watched(group: reading.Group) -> Any:
        found = write(group)
        committed.extend(
            mail is None
            for key, mail in zip(found["id"].to_pylist(), found["email"].to_pylist(), strict=True)
            if key == 10
        )
        return found

    monkeypatch.setattr(reading.Group, "table", watched)
    site.pull("scripted.people")
    assert committed == [True]
    assert left_of(site, 7) == {}


def test_a_personal_key_in_other_capitals_is_the_same_person(make_site: Callable[..., Site]) -> None:
    """An address is written as somebody likes; a key that is not personal is another record."""
    site = furnished(make_site())
    records = [{"email": "Zeldzaam7@voorbeeld.example", "city": "Utrecht"}, {"email": "b@c.nl", "city": "Assen"}]
    site.script.read = lambda stream, places: pages(*records, {**records[0], "email": "ZELDZAAM7@voorbeeld.example"})
    site.pull("scripted.by_mail")
    assert site.rows("SELECT COUNT(*) FROM load.scripted_by_mail") == [(3,)]
    forget(site, "zeldzaam7@voorbeeld.example", "scripted.by_mail")
    needle = {"email": [b"zeldzaam7@", b"Zeldzaam7@", b"ZELDZAAM7@"]}
    assert left_in(site, needle) == {}
    site.script.read = lambda stream, places: pages(*records)
    site.pull("scripted.by_mail", mode="full")
    assert left_in(site, needle) == {}
    assert site.rows("SELECT email FROM load.scripted_by_mail") == [("b@c.nl",)]


def test_a_key_that_is_nobody_s_is_told_from_one_in_other_capitals(make_site: Callable[..., Site]) -> None:
    """A record's id may differ from another's in capitals alone."""
    found = attrs.evolve(furnished(make_site()).settings.privacy_of(people_of("scripted.plain")), key=b"x" * 16)
    assert found.hash_of_key("aB") != found.hash_of_key("Ab")
    by_mail = attrs.evolve(found, mapping=people_of("scripted.by_mail"))
    assert by_mail.hash_of_key("A@b.nl ") == by_mail.hash_of_key("a@B.nl")


def people_of(name: str) -> Any:
    from tests.people.mappings import people

    return next(each for each in people.MAPPINGS if each.name == name)
