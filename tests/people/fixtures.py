"""Sites with three people in them, for the tests that forget and treat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Site
from tests.people import NUMBERS, furnished, keys_of, pages, person


@pytest.fixture
def make_people(make_site: Callable[..., Site]) -> Callable[..., Site]:
    """Make a site with three people that was pulled."""

    def make(toml: str = "", name: str = "site") -> Site:
        site = furnished(make_site(toml, name))
        site.script.read = lambda stream, places: pages(*map(person, NUMBERS))
        site.script.keys = lambda stream, places: keys_of(*NUMBERS)
        assert site.pull("scripted.people").inserted == 3
        return site

    return make


@pytest.fixture
def people(make_people: Callable[..., Site]) -> Site:
    """One of those."""
    return make_people('["scripted.people"]\npersonal = { note = "keep", nickname = "keep" }\n')
