"""A mapping checks itself when it is built; the error names mapping, field and choices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncer import mappings
from syncer.errors import MappingError, UnknownName
from syncer.mapping import EntityMapping, Field, Inbound
from syncer.rows import Typing
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


def test_an_element_of_a_list_is_a_field() -> None:
    """The n-th one, NULL where the list is too short or there is none; what is no list is a misfit, not its letter."""
    shelf = EntityMapping(
        name="shelf.books",
        key=("id",),
        fields=(Field("id", type=BIGINT), *(Field(f"tag_{n}", path="about.tags", index=n) for n in (0, 1))),
    )
    given = (["a", "b"], ["a"], [], None, [None, "b"], "ab", {"0": "a"})
    typed = Typing(shelf).rows([{"id": n, "about": {"tags": tags}} for n, tags in enumerate(given)], scope="")
    assert typed.table["tag_0"].to_pylist() == ["a", "a", None, None, None, None, None]
    assert typed.table["tag_1"].to_pylist() == ["b", None, None, None, "b", None, None]
    some = Typing(shelf).rows([{"id": n, "about": {"tags": tags}} for n, tags in enumerate(given[:4])], scope="")
    assert some.table["tag_1"].to_pylist() == ["b", None, None, None] and some.rejects == []
    odd = [(reject.key, reject.column, reject.found) for reject in typed.rejects]
    assert odd == [
        ("5", "tag_0", "string"),
        ("6", "tag_0", "object"),
        ("5", "tag_1", "string"),
        ("6", "tag_1", "object"),
    ]
    assert {reject.reason for reject in typed.rejects} == {
        "string stands where a list should",
        "object stands where a list should",
    }


def test_an_element_of_another_type_is_a_misfit() -> None:
    """An element is typed as any value is."""
    shelf = EntityMapping(name="shelf.books", key=("id",), fields=(Field("id"), Field("n", type=BIGINT, index=1)))
    typed = Typing(shelf).rows([{"id": "a", "n": [1, "x"]}, {"id": "b", "n": [1, 2]}], scope="")
    assert typed.table["n"].to_pylist() == [None, 2]
    assert [(reject.key, reject.column) for reject in typed.rejects] == [("a", "n")]


def test_elements_are_counted_from_0() -> None:
    """Counted from the end, a list that grows would move its values to other columns."""
    with pytest.raises(MappingError, match="Column tag: index is -1"):
        Field("tag", index=-1)


def test_values_are_converted_a_column_at_once() -> None:
    """What a field makes of its values is made before they are typed, and before anything of them is treated."""

    def lengths(values: Any) -> Any:
        return [len(value) if isinstance(value, list) else value for value in values]

    fields = (Field("id"), Field("n", path="tags", type=BIGINT, convert=lengths))
    typed = Typing(EntityMapping(name="shelf.books", key=("id",), fields=fields)).rows(
        [{"id": "a", "tags": ["x", "y"]}, {"id": "b", "tags": "many"}, {"id": "c"}], scope=""
    )
    assert typed.table["n"].to_pylist() == [2, None, None]
    assert [(reject.key, reject.found) for reject in typed.rejects] == [("b", "string")]
