"""Places that speak of rows which are not there: the next pull must read everything, and not call it done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from syncer.sources import Page
from tests.conftest import Site
from tests.test_inbound import thing

DELTA = {"scripted.things": {"style": "delta"}}


@pytest.fixture
def moving(site: Site) -> Site:
    """A source that tells three records at first, and then only the fourth."""

    def read(stream: str, places: Mapping[str, Any]) -> Any:
        numbers = (4,) if places else (1, 2, 3)
        yield Page(place={"n": 1}, records=[thing(n) for n in numbers])

    site.script.read = read
    site.pull()
    return site


def styled(site: Site, tables: Mapping[str, Any]) -> Site:
    """The same site with other settings of its mappings."""
    return attrs.evolve(site, settings=attrs.evolve(site.settings, tables=tables))


def test_a_load_table_that_was_dropped_is_filled_again(moving: Site) -> None:
    """Only the rows are lost, so only they are read again; done with 1 of 3 rows would be a lie."""
    moving.rows("DROP TABLE load.scripted_things")
    assert moving.pull().inserted == 3
    assert moving.pull().read == 1


def test_another_load_style_begins_anew(moving: Site) -> None:
    """What one style compares with, the other knows nothing of."""
    delta = styled(moving, DELTA)
    assert (delta.pull().read, delta.pull().read) == (3, 1)
    mirror = styled(moving, {})
    mirror.rows("DELETE FROM load.scripted_things")
    assert (mirror.pull().inserted, mirror.pull().read) == (3, 1)


def test_the_load_table_of_delta_may_go(moving: Site) -> None:
    """Its host empties it, and may make it anew; the base is what was seen."""
    delta = styled(moving, DELTA)
    delta.pull()
    delta.rows("DROP TABLE load.scripted_things")
    assert delta.pull().read == 1
