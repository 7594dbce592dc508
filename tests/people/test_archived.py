"""A rule for a column that the source does not tell of any more treats what is loaded; a typing error is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from loguru import logger

from syncer import forgetting, treating
from syncer.errors import UsageError
from syncer.mapping import Field
from syncer.values import DATE
from tests.conftest import Site
from tests.people import KEY, furnished, left_in, pages
from tests.people.mappings.people import FOUND

NEEDLES = {"bsn": [b"Geheimpje7"], "born": [b"1971-02-17"]}


@pytest.fixture
def archived(make_site: Callable[..., Site]) -> Site:
    """A site whose portal had the properties bsn and born when it was pulled, and has only size now."""
    site = furnished(make_site())
    size = Field("size")
    site.script.describe = lambda stream: (Field("bsn"), Field("born", type=DATE), size)
    site.script.read = lambda stream, places: pages({"id": 7, "bsn": "Geheimpje7", "born": "1971-02-17", "size": "9"})
    site.pull("scripted.found")
    site.script.describe = lambda stream: (size,)
    return site


def ruled(site: Site, **rules: str) -> Site:
    site.settings = attrs.evolve(site.settings, tables={"scripted.found": {"personal": {"raw": "drop", **rules}}})
    return site


def with_warehouse(site: Site, do: Callable[..., Any], *given: Any, **named: Any) -> Any:
    warehouse = site.warehouse()
    try:
        return do(*given, settings=site.settings, warehouse=warehouse, **named)
    finally:
        warehouse.close()


def described(site: Site) -> Any:
    return FOUND.with_fields(site.script.describe("found"))


def test_what_is_loaded_of_an_archived_property_is_treated(archived: Site) -> None:
    """The rule was written because somebody read the law, and the property is gone from the portal."""
    ruled(archived, bsn="hash", born="drop")
    done = with_warehouse(archived, treating.treat_loaded, "scripted.found", doors=archived.doors)
    assert {"bsn", "born"} <= set(done.columns) and done.records == 1
    assert left_in(archived, NEEDLES) == {}
    ((bsn, born, size),) = archived.rows("SELECT bsn, born, size FROM load.scripted_found")
    assert (len(bsn), born, size) == (64, None, "9")


def test_a_person_is_forgotten_whatever_rules_there_are_for_archived_properties(archived: Site) -> None:
    """A rule that has nothing to treat must not keep anybody from being erased."""
    ruled(archived, bsn="drop")
    done = with_warehouse(archived, forgetting.forget, "scripted.found", "7", doors=archived.doors)
    assert {"bsn", "born"} <= set(done.columns) and left_in(archived, NEEDLES) == {}


def test_a_pull_goes_on_without_the_rule_and_says_so(archived: Site) -> None:
    """The other rules hold, those of an environment too."""
    site = ruled(archived, bsn="drop", size="hash")
    said: list[str] = []
    logger.enable("syncer")
    sink = logger.add(lambda message: said.append(str(message)), level="WARNING")
    found = with_warehouse(site, treating.treated, described(site))
    logger.remove(sink)
    assert len(said) == 1 and "personal names bsn, which" in said[0] and "--untreated" in said[0]
    assert (found.field("size").treatment, found.field("raw").treatment) == ("hash", "drop")
    assert [field.column for field in found.fields] == ["id", "raw", "size"]
    both = {"personal": {"raw": "keep"}, "environments": {"default": {"personal": {"bsn": "drop", "size": "hash"}}}}
    site.settings = attrs.evolve(site.settings, tables={"scripted.found": both})
    assert with_warehouse(site, treating.treated, described(site)).field("size").treatment == "hash"


@pytest.mark.parametrize("is_pulled", [True, False])
def test_a_name_that_neither_has_is_a_typing_error(
    archived: Site, make_site: Callable[..., Site], is_pulled: bool
) -> None:
    """What was thought to be dropped and is not would be found too late."""
    site = ruled(archived if is_pulled else furnished(make_site("", "other"), key=KEY), bsn_number="drop")
    site.script.describe = lambda stream: (Field("size"),)
    for do, given in (
        (treating.treated, (described(site),)),
        (treating.treat_loaded, ("scripted.found",)),
        (forgetting.forget, ("scripted.found", "7")),
    ):
        named: dict[str, Any] = {} if do is treating.treated else {"doors": site.doors}
        with pytest.raises(UsageError, match="bsn_number"):
            with_warehouse(site, do, *given, **named)
