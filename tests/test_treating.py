"""What was loaded before a field was treated is treated with the rest: `syncer forget NAME --untreated`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from syncer import forgetting, treating
from syncer.errors import UsageError
from tests.conftest import Site
from tests.people import NUMBERS
from tests.test_forgetting import gone, left_of

pytest_plugins = ["tests.people.fixtures"]


def treat_loaded(site: Site, name: str = "scripted.people") -> forgetting.Forgotten:
    warehouse = site.warehouse()
    try:
        return treating.treat_loaded(name, settings=site.settings, doors=site.doors, warehouse=warehouse)
    finally:
        warehouse.close()


def with_rules(site: Site, rules: Any, **others: Any) -> None:
    site.settings = attrs.evolve(site.settings, tables={"scripted.people": {"personal": rules, **others}})


@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_what_was_loaded_before_is_treated_with_the_rest(
    make_people: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    """Somebody reads the law, and drops a column: also of those who are gone, and in raw JSON and offers."""
    monkeypatch.setattr(treating, "ROWS_A_BATCH", 2)
    rules = {"note": "keep", "nickname": "keep"}
    site = make_people(f'["scripted.people"]\nstyle = "{style}"\npersonal = {{ note = "keep", nickname = "keep" }}\n')
    gone(site, 7)
    assert left_of(site, 7) or style == "delta"
    rules = dict.fromkeys(("email", "bsn", "born_on", "is_member", "extra", "author_name"), "hash")
    rules |= {"phone": "drop", "nickname": "drop", "note": "mask"}
    with_rules(site, rules, style=style)
    done = treat_loaded(site)
    assert [left_of(site, number) for number in NUMBERS] == [{}, {}, {}]
    assert {each.what for each in done.touched} == {"treated"} and done.touched[0].rows == 3 - (style == "delta")
    again = treat_loaded(site)
    assert again.records == 0
    assert site.pull("scripted.people", mode="full").unchanged == (2 if style == "mirror" else 0)
    emails = site.rows("SELECT email, raw -> 'properties' ->> 'email' FROM load.scripted_people ORDER BY id")
    assert all(one == other and len(one) == 64 for one, other in emails)


def test_nothing_to_treat_is_told(people: Site) -> None:
    """A typing error in the settings must not look like a treatment."""
    with pytest.raises(UsageError, match="No field of scripted.plain is dropped"):
        treat_loaded(people, "scripted.plain")
