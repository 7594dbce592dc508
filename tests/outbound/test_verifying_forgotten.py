"""Who was forgotten is a reject for verify as for a push, and nothing of the person is printed, asked for or kept."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from syncer import verifying
from syncer.errors import UsageError
from syncer.judging import FORGOTTEN
from syncer.reports import verified
from syncer.sources.hubspot import HubSpot
from syncer.target import Found
from syncer.verifying import Told, Verified
from tests.outbound import PushHome, at_home
from tests.outbound.test_forgetting_pushed import ADA, BOB, CLEO, EMAIL, KEY, NAME, forget, has, id_of, push

HIDDEN = ("zeldzaam", "quirijn", "0612345678", "0600")
OTHERS = {"agreed": 2}


@pytest.fixture
def contacts(tmp_path: Path, backend: str) -> Iterator[PushHome]:
    """Three contacts that were pushed, found by their address; one of them will be forgotten."""
    with at_home(tmp_path / "contacts", backend) as home:
        words = {"relation": "stage.people", "match_on": "email", "max_create_share": "off", "max_update_share": "off"}
        variables = {**home.settings.variables, "SYNCER_HASH_KEY": KEY}
        tables = {**home.settings.tables, NAME: words}
        found = attrs.evolve(home, settings=attrs.evolve(home.settings, variables=variables, tables=tables))
        has(found, ADA, BOB, CLEO)
        assert push(found).counts.created == 3
        found.later()
        yield found


def verify(home: PushHome, name: str = NAME, **how: Any) -> tuple[Verified, str]:
    """Verify; return what came of it, and all that is printed, for people and for programs, what is personal too."""
    home.later()
    home.sent()
    told: list[Told] = []
    [found] = verifying.verify(name, settings=home.settings, doors=home.doors, on_unexplained=told.append, **how)
    assert found.read == sum(found.counts.values())
    documents = [verified.document(found), *(verified.entry(each, shows_personal=True) for each in told)]
    lines = verified.lines(found, io.StringIO(), shows_personal=True)
    return found, "\n".join([*lines, str(found), orjson.dumps(documents).decode()]).lower()


def some(found: Verified) -> dict[str, int]:
    return {verdict: count for verdict, count in found.counts.items() if count}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All ids and keys that the portal is asked for records by, in small letters."""
    found: list[str] = []
    find = HubSpot.find

    def told(self: HubSpot, kind: str, keys: Sequence[str], **how: Any) -> Mapping[str, Found]:
        found.extend(key.lower().strip() for key in keys)
        return find(self, kind, keys, **how)

    monkeypatch.setattr(HubSpot, "find", told)
    return found


def kept(home: PushHome) -> str:
    """All that schema `syncer` holds, as text."""
    names = home.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'syncer' ORDER BY 1")
    return " ".join(str(home.rows(f"SELECT * FROM syncer.{name}")).lower() for (name,) in names)


@pytest.mark.parametrize("is_gone_there", [True, False])
@pytest.mark.parametrize("is_pushed_since", [True, False])
def test_a_row_of_somebody_who_was_forgotten_is_a_reject(
    contacts: PushHome, asked: list[str], is_gone_there: bool, is_pushed_since: bool
) -> None:
    """Whether the record is still there or not, and however its key is written: as a push rejects it."""
    id = id_of(contacts, EMAIL)
    has(contacts, BOB, CLEO)
    forget(contacts, id)
    if is_gone_there:
        contacts.site.store.purge("contacts", id)
    has(contacts, (" ZELDZAAM@voorbeeld.example ", "Quirijn", "0600"), BOB, CLEO)
    if is_pushed_since:
        assert push(contacts).counts.rejected == 1
    asked.clear()
    found, text = verify(contacts)
    assert (some(found), found.exit_code) == ({**OTHERS, "rejects": 1}, 3)
    assert found.causes["rejects"] == {FORGOTTEN: 1}
    assert asked and {EMAIL, id}.isdisjoint(asked)
    assert [each for each in (*HIDDEN, id) if each in text] == []
    assert [each for each in HIDDEN if each in kept(contacts)] == []


def test_several_rows_of_one_person_count_as_several(contacts: PushHome) -> None:
    """As those of a key that stands in several rows do; none of them is told by that key."""
    id = id_of(contacts, EMAIL)
    has(contacts, BOB, CLEO)
    forget(contacts, id)
    has(contacts, ADA, ADA, BOB, CLEO)
    found, text = verify(contacts)
    assert some(found) == {**OTHERS, "rejects": 2} and "zeldzaam" not in text


def test_a_key_that_leads_to_the_record_of_a_forgotten_person_is_a_reject(contacts: PushHome) -> None:
    """Their address changed on the other side: only the record's id tells who it is, and that is not printed."""
    id = id_of(contacts, EMAIL)
    has(contacts, BOB, CLEO)
    forget(contacts, id)
    contacts.site.store.update("contacts", id, {"email": "new@x.example"}, source_type="CRM_UI")
    has(contacts, ("new@x.example", "Q", "1"), BOB, CLEO)
    found, text = verify(contacts)
    assert (some(found), found.causes["rejects"]) == ({**OTHERS, "rejects": 1}, {FORGOTTEN: 1})
    assert id not in text and "new@x.example" not in text


def test_a_record_whose_key_a_forgotten_person_has_by_now_does_not_name_that_person(contacts: PushHome) -> None:
    """ "Record 17 has its key" would lead to them."""
    id = id_of(contacts, EMAIL)
    has(contacts, BOB, CLEO)
    forget(contacts, id)
    bob = id_of(contacts, BOB[0])
    contacts.site.store.purge("contacts", bob)
    contacts.site.store.update("contacts", id, {"email": BOB[0]}, source_type="CRM_UI")
    found, text = verify(contacts)
    assert (some(found), found.causes["rejects"]) == ({"agreed": 1, "rejects": 1}, {FORGOTTEN: 1})
    assert id not in text


def test_a_record_that_was_made_of_a_forgotten_person_is_no_stray(contacts: PushHome, asked: list[str]) -> None:
    """The relation and the snapshot know it no more, and that is as it should be."""
    id = id_of(contacts, EMAIL)
    has(contacts, BOB, CLEO)
    forget(contacts, id)
    asked.clear()
    found, text = verify(contacts)
    assert (some(found), found.exit_code) == (OTHERS, 0)
    assert id not in text and "forgotten" not in text and id not in asked


def test_an_edge_to_somebody_who_was_forgotten_is_a_reject(contacts: PushHome) -> None:
    """A company that names them: as a push says, without the key."""
    contacts.relation([{"client_id": "1", "name": "C", "person": None}])
    id = id_of(contacts, EMAIL)
    has(contacts, BOB, CLEO)
    forget(contacts, id)
    own = contacts.with_words(edges={"person": "contacts"})
    contacts.relation([{"client_id": "1", "name": "C", "person": EMAIL}])
    [done] = [push(own, "hubspot.companies")]
    assert done.counts.rejected == 1
    found, text = verify(own, "hubspot.companies")
    assert (some(found), found.causes["rejects"]) == ({"rejects": 1}, {FORGOTTEN: 1})
    assert id not in text and "zeldzaam" not in text


def test_without_the_hash_key_nothing_is_compared(contacts: PushHome) -> None:
    """Nobody could tell who was forgotten; a push refuses the same way."""
    id = id_of(contacts, EMAIL)
    forget(contacts, id)
    variables = {**contacts.settings.variables, "SYNCER_HASH_KEY": "another key of many"}
    other = attrs.evolve(contacts, settings=attrs.evolve(contacts.settings, variables=variables))
    with pytest.raises(UsageError, match="another hash key"):
        verifying.verify(NAME, settings=other.settings, doors=other.doors)


def test_a_sample_tells_of_the_forgotten_among_its_rows(contacts: PushHome) -> None:
    """All that something is open about is looked at, and their reject stands under another key than the row has."""
    id = id_of(contacts, EMAIL)
    more = [(f"{number}@x.example", "N", "1") for number in range(30)]
    has(contacts, BOB, CLEO, *more)
    forget(contacts, id)
    assert push(contacts).counts.created == 30
    has(contacts, ADA, BOB, CLEO, *more)
    found, text = verify(contacts, sample=1)
    assert found.counts["rejects"] == 1 and found.read < 10 and "zeldzaam" not in text
