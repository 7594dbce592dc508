"""
What a column of a load table that exists is: its name, its type, and where its value stands in a record of ours.

Here are the words that `legacy.py` and `legacy_gitlab.py` are written in, and what is made of the values of some
columns before they are typed: lists as one text, what stands in place of a value that is lacking.

Not here: the tables themselves (`legacy.py`), and how a load table is filled (`landing.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from syncer.mapping import KEEP, MASK, Field
from syncer.values import BIGINT, BOOLEAN, DECIMAL_SCALE, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from syncer.wherescape.naming import display_name, legacy_slugs

NUMERIC, INT, BIG, BOOL, FLAG, TIME = "numeric", "int", "bigint", "bool", "boolean", "timestamp"
WORDS: Mapping[str, Type] = {  # of a type in RED; `numeric` stands for whole numbers too
    NUMERIC: BIGINT,
    INT: BIGINT,
    BIG: BIGINT,
    BOOL: BOOLEAN,
    FLAG: BOOLEAN,
    TIME: TIMESTAMP,
    "text": TEXT,
}
MASKED = "[MASKED]"  # what columns with people's words have always held

Convert = Callable[[Sequence[Any]], Sequence[Any]]
_NUMBER = re.compile(r"_\d{3}$")


@attrs.frozen
class LegacyColumn:
    """
    One column.

    type: the word that RED has for it. path, index, convert, personal, treatment, names_people, follows: as of a
    `Field`. constant: the text that stands there in every row. kind: our type, where the word alone does not tell.
    display: what RED shows for it; source: what RED has as its source column; both from the name where they are empty.
    """

    name: str
    type: str = attrs.field(default="text", validator=attrs.validators.in_(WORDS))
    path: str = ""
    index: int | None = attrs.field(default=None, kw_only=True)
    constant: str | None = attrs.field(default=None, kw_only=True)
    kind: Type = attrs.field(kw_only=True)
    convert: Convert | None = attrs.field(default=None, kw_only=True)
    personal: bool = attrs.field(default=False, kw_only=True)
    treatment: str = attrs.field(default=KEEP, kw_only=True)
    names_people: bool = attrs.field(default=False, kw_only=True)
    follows: str = attrs.field(default="", kw_only=True)
    display: str = attrs.field(kw_only=True)
    source: str = attrs.field(kw_only=True)

    @kind.default
    def _kind(self) -> Type:
        return WORDS[self.type]

    @source.default
    def _source(self) -> str:
        return self.name

    @display.default
    def _display(self) -> str:
        return display_name(self.name)

    def field(self, kind: Type | None = None) -> Field | None:
        """
        Make the field that fills the column; None where a constant does.

        kind: the type that the column has by now, where that is another one. JSON stays JSON, whatever holds it. What
        is masked as a text is kept where the column holds no text.
        """
        if self.constant is not None:
            return None
        of = self.kind if kind is None or self.kind is JSON else kind
        treatment = KEEP if self.treatment == MASK and of not in (TEXT, JSON) else self.treatment
        return Field(
            self.name,
            path=self.path,  # "" where it is the name: then it is often the very field of the mapping
            type=of,
            index=self.index,
            as_written=of is TIMESTAMP,
            convert=self.convert,
            personal=self.personal,
            treatment=treatment,
            names_people=self.names_people,
            follows=self.follows,
        )


@attrs.frozen(kw_only=True)
class LegacyStream:
    """
    The load table of one stream.

    name: of the stream, as tables are called after it. mapping: what serves it by now. record_source: what
    `dss_record_source` holds; source_table: what RED has as the columns' source table. others: how a column is filled
    that is none of these, where the table was made after what the API happened to give; None: there are no others.
    is_numbered: tables made long ago have each column's place behind its name (`id_001`).
    """

    name: str
    mapping: str
    columns: tuple[LegacyColumn, ...]
    record_source: str
    source_table: str
    others: LegacyColumn | None = None
    is_numbered: bool = False
    _known: Mapping[str, LegacyColumn] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Note the names of the columns."""
        object.__setattr__(self, "_known", {column.name: column for column in self.columns})

    @property
    def numbered(self) -> tuple[str, ...]:
        """The columns' names in tables made long ago."""
        return _numbered(tuple(column.source for column in self.columns))

    def column(self, name: str) -> LegacyColumn | None:
        """Find a column by its name in a load table, in small or capital letters; None where it is not known."""
        name = name.lower()
        if name in self._known or not self.is_numbered:
            return self._known.get(name)
        numbered = dict(zip(self.numbered, self.columns, strict=True))
        # Another version of that library may have counted otherwise; a name that is one column's alone tells enough.
        bare = _NUMBER.sub("", name)
        alike = [column for each, column in numbered.items() if _NUMBER.sub("", each) == bare]
        return numbered.get(name) or (alike[0] if bare != name and len(alike) == 1 else None)

    def other(self, name: str) -> LegacyColumn | None:
        """Make a column of which only the name is known: where the API gives something of that name, it is that."""
        if self.others is None:
            return None
        name = name.lower()
        return attrs.evolve(self.others, name=name, path=name, display=display_name(name), source=name)


@functools.cache
def _numbered(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(legacy_slugs(names))


def number(name: str, path: str = "", **more: Any) -> LegacyColumn:
    """Make a column of whole numbers."""
    return LegacyColumn(name, NUMERIC, path, **more)


def real(name: str, path: str = "", **more: Any) -> LegacyColumn:
    """Make a column of numbers with a fraction."""
    return LegacyColumn(name, NUMERIC, path, kind=DOUBLE, convert=rounded, **more)


def text(name: str, path: str = "", **more: Any) -> LegacyColumn:
    """Make a column of texts."""
    return LegacyColumn(name, "text", path, **more)


def time(name: str, path: str = "", **more: Any) -> LegacyColumn:
    """Make a column of times as the API writes them, the offset dropped."""
    return LegacyColumn(name, TIME, path, **more)


def flag(name: str, path: str = "", **more: Any) -> LegacyColumn:
    """Make a column of truth values."""
    return LegacyColumn(name, FLAG, path, **more)


def rounded(numbers: Sequence[Any]) -> list[Any]:
    """Round to what a column of decimals holds: an API that divides gives more digits, which would not fit."""
    return [round(value, DECIMAL_SCALE) if isinstance(value, float) else value for value in numbers]


def comma_text(lists: Sequence[Any]) -> list[Any]:
    """Write each list as one text, commas between its values; an empty one is none. What is no list stays."""
    return [_joined(value) if isinstance(value, list) else value for value in lists]


def flat(values: Sequence[Any]) -> list[Any]:
    """Leave what is one value, and write a list as one text; an object has columns of its own, and none here."""
    return comma_text([None if isinstance(value, dict) else value for value in values])


def comma_text_of(name: str) -> Convert:
    """Write of each list of objects what they have under *name* as one text, commas between."""
    return functools.partial(_of_each, name=name)


def list_or_empty(lists: Sequence[Any]) -> list[Any]:
    """Put an empty list where there is none."""
    return [[] if value is None else value for value in lists]


def length_of(name: str) -> Convert:
    """Count, in each object, the elements of the list that it has under *name*; 0 where there is none."""
    return functools.partial(_lengths, name=name)


def text_of(name: str) -> Convert:
    """Take from each object what it has under *name*; an empty text where it has nothing, NULL where it is none."""
    return functools.partial(_texts, name=name)


def _of_each(lists: Sequence[Any], *, name: str) -> list[Any]:
    return [
        _joined([each.get(name) if isinstance(each, dict) else None for each in value])
        if isinstance(value, list)
        else value
        for value in lists
    ]


def _lengths(objects: Sequence[Any], *, name: str) -> list[int]:
    found = (value.get(name) if isinstance(value, dict) else None for value in objects)
    return [len(each) if isinstance(each, list) else 0 for each in found]


def _texts(objects: Sequence[Any], *, name: str) -> list[Any]:
    return [value.get(name, "") if isinstance(value, dict) else None for value in objects]


def _joined(parts: Sequence[Any]) -> str | None:
    return ", ".join("" if part is None else str(part) for part in parts) if parts else None
