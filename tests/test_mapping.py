"""A mapping checks itself when it is built; the error names mapping, field and choices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncer import mappings
from syncer.errors import MappingError, UnknownName
from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, JSON, TEXT

GOOD: dict[str, Any] = {
    "name": "shelf.books",
    "key": ("id",),
    "fields": (Field("id", type=BIGINT), Field("title"), Field("tags", type=JSON)),
    "inbound": Inbound(stream="books"),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "books"}, ["books", "SOURCE.ENTITY"]),
        ({"name": "Shelf.Books"}, ["SOURCE.ENTITY"]),
        ({"key": ()}, ["shelf.books", "no key", "id, title, tags"]),
        ({"key": ("isbn",)}, ["shelf.books", "isbn", "Known: id, title, tags"]),
        ({"key": ("tags",)}, ["shelf.books", "tags is json", "bigint, text"]),
        ({"fields": (Field("id"), Field("id"))}, ["shelf.books", "id", "more than once"]),
        ({"fields": (Field("id"), Field("dss_x"))}, ["dss_x", "warehouse's own"]),
        ({"fields": (Field("id"), Field("Big Name"))}, ["Big Name"]),
        ({"fields": (Field("id"), Field("x" * 64))}, ["63"]),
        ({"inbound": Inbound(stream="books", slice_by=("shelf",))}, ["slice_by", "shelf", "Known"]),
        ({"inbound": Inbound(stream="books", version="changed")}, ["version", "changed"]),
        ({"inbound": Inbound(stream="books", version="title")}, ["version column title", "timestamp"]),
        ({"inbound": Inbound(stream="books", max_gone_share=30)}, ["max_gone_share is 30", "between 0 and 1"]),
        ({"inbound": Inbound(stream="books", lookback=timedelta(seconds=-1))}, ["lookback"]),
        ({"inbound": Inbound(stream="books", misses=0)}, ["misses"]),
        ({"key": "id"}, ["key is 'id'", "a tuple"]),
        ({"fields": Field("id")}, ["fields holds Field", "a tuple"]),
        ({"fields": ("id",)}, ["fields holds str"]),
        ({"inbound": "books"}, ["inbound is str"]),
        ({"inbound": Inbound(stream="books", slice_by="id")}, ["slice_by is 'id'", "a tuple"]),
        ({"inbound": Inbound(stream="books", lookback=5)}, ["lookback is 5", "timedelta"]),
        ({"inbound": Inbound(stream="books", max_gone_share="x")}, ["max_gone_share is 'x'"]),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(change: dict[str, Any], words: list[str]) -> None:
    """Before anything is tried."""
    with pytest.raises(MappingError) as caught:
        EntityMapping(**{**GOOD, **change})
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_name_is_told_with_the_nearest_ones() -> None:
    """A typo must not cost a look into the docs."""
    with pytest.raises(UnknownName, match=r"No mapping named 'jira\.isues'\. Did you mean jira\.issues"):
        mappings.choose(["jira.isues"])
    with pytest.raises(UnknownName, match="xyz"):
        mappings.choose(["xyz.*"])


def test_a_pattern_names_each_mapping_once_in_order() -> None:
    """`pull 'gitlab.*' gitlab.tags` pulls tags once."""
    chosen = [mapping.name for mapping in mappings.choose(["gitlab.*", "gitlab.tags"])]
    assert len(chosen) == len(set(chosen)) == 9 and chosen[0] == "gitlab.projects"


@pytest.mark.parametrize("name", sorted(mappings.known()))
def test_every_shipped_mapping_is_sound(name: str) -> None:
    """A key column is `id` wherever the API has one; load tables are named by source and entity."""
    mapping = mappings.known()[name]
    assert mapping.inbound is not None
    assert mapping.table("default") == name.replace(".", "_")
    assert mapping.table("voys") == name.replace(".", "_") + "_voys"
    assert all(field.column == field.column.lower() for field in mapping.fields)
    assert (
        mapping.field("id").type is (TEXT if mapping.source == "hubspot" else BIGINT)
        if "id" in [field.column for field in mapping.fields] and len(mapping.key) == 1
        else True
    )
