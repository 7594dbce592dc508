"""
Personal data: what a mapping marks `personal` is kept, dropped, hashed or masked before it is typed, compared, stored,
cached or logged.

A treatment belongs to a field; a site overrides it in `syncer.toml`. It is done a column at a time, and inside a JSON
column whose path is a beginning of a personal field's path (the raw record, `path="."`, is above them all). The
records themselves are left as they are: a source may have handed one object to several streams.

- drop: NULL.
- hash: HMAC-SHA256 in hexadecimal of the text, its blanks trimmed, in small letters and Unicode's form C, so that one
  person is one hash in every table. Inside JSON each value is hashed where it stands. A blank text stays blank.
- mask: see `masking.py`; numbers inside JSON are looked at as texts.

Not here: who was erased, and erasing (`forgetting.py`), which reads and writes the warehouse.
"""

from __future__ import annotations

import functools
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import attrs

from syncer.errors import UnknownName, UsageError
from syncer.mapping import DROP, HASH, KEEP, MASK, TREATMENTS, EntityMapping, Field
from syncer.masking import NOBODY, Mask, Names
from syncer.values import JSON, TEXT

Rules = str | Mapping[str, str]  # what a site says: one treatment for every personal field, or one by column

SHORTEST_KEY = 16  # characters of the hash key
_HASHED = re.compile(r"[0-9a-f]{64}")
_STRICTEST = (DROP, HASH, MASK, KEEP)


@attrs.define
class _Node:
    """A place inside JSON: its own treatment, and the places below it."""

    treatment: str = KEEP
    below: dict[str, _Node] = attrs.field(factory=dict)

    def strictest(self) -> str:
        """The strictest treatment at and below this place."""
        return strictest([self.treatment, *(node.strictest() for node in self.below.values())])


@attrs.frozen(kw_only=True)
class Privacy:
    """
    The treatments of one mapping, compiled.

    key: what is hashed with; empty where there is none.
    forgotten: the hashes of keys of which nothing personal may come in any more (`forgotten_hash`).
    is_again: what comes was loaded, and may be hashed already: what looks like one of our hashes stays.
    """

    mapping: EntityMapping
    key: bytes = attrs.field(default=b"", repr=False)
    mask: Mask = attrs.field(factory=Mask, repr=False)
    forgotten: frozenset[bytes] = attrs.field(default=frozenset(), repr=False)
    is_again: bool = False
    _columns: dict[str, _Node] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Find the columns to treat. Raises UsageError where one is hashed and there is no key."""
        tree = _tree(self.mapping.fields)
        columns = {}
        for field in self.mapping.fields:
            node = _at(tree, field.steps) if field.steps else tree
            below = node.below if node is not None and field.type is JSON else {}
            same = node.treatment if node is not None and field.steps else KEEP  # of another column of this very value
            own = _Node(strictest([field.treatment, same]), below)
            if own.strictest() != KEEP:
                columns[field.column] = own
        object.__setattr__(self, "_columns", columns)
        if not self.key and (self.forgotten or any(_uses(node, HASH) for node in columns.values())):
            raise no_key()

    @property
    def masks(self) -> bool:
        """Tell whether anything is masked: then names are of use."""
        return any(_uses(node, MASK) for node in self._columns.values())

    @property
    def treated_columns(self) -> tuple[str, ...]:
        """The columns that are not loaded as they come."""
        return tuple(self._columns)

    @property
    def personal_columns(self) -> tuple[str, ...]:
        """The columns that hold something of a person: the personal ones, and JSON above a personal field."""
        return personal_columns(self.mapping)

    @property
    def has_personal_key(self) -> bool:
        """Tell whether the key itself is somebody's: then a row without it is no row."""
        return any(self.mapping.field(column).personal for column in self.mapping.key)

    def treat(self, columns: MutableMapping[str, Sequence[Any]]) -> None:
        """Treat the values of some records, column by column, in place; each list has a value for each record."""
        names = self._names_in(columns) if self.masks else None
        for column, node in self._columns.items():
            found = columns[column]
            if node.treatment == DROP:
                columns[column] = [None] * len(found)
            elif node.treatment == HASH and not node.below:
                columns[column] = [self._hashed_inside(value) for value in found]
            else:
                also = names or [NOBODY] * len(found)
                columns[column] = [
                    self._whole(value, node, node.treatment, each) for value, each in zip(found, also, strict=True)
                ]

    def hash(self, value: str) -> str:
        """Hash one text."""
        if self.is_again and _HASHED.fullmatch(value):
            return value
        return hmac.digest(self.key, normalised(value).encode("utf-8", "surrogatepass"), "sha256").hex()

    def is_forgotten(self, key: str) -> bool:
        """Tell whether the record of *key*, written as one text, was erased."""
        return self.hash_of_key(key) in self.forgotten

    def hash_of_key(self, key: str) -> bytes:
        """Hash a record's key; one that is personal is one hash in small letters and capitals, as a person is."""
        return forgotten_hash(self.key, self.mapping.name, normalised(key) if self.has_personal_key else key)

    def _names_in(self, columns: Mapping[str, Sequence[Any]]) -> list[Names] | None:
        """Return the names that each record holds itself."""
        holding = [columns[field.column] for field in self.mapping.fields if field.names_people]
        if not holding:
            return None
        return [_names_of(_texts_of(values)) for values in zip(*holding, strict=True)]

    def _inside(self, value: Any, node: _Node, inherited: str, names: Names) -> Any:
        """Treat what stands at *node*; a place that has no treatment of its own has that of what is around it."""
        treatment = node.treatment if node.treatment != KEEP else inherited
        if treatment == DROP or value is None:
            return None
        if isinstance(value, list | tuple):
            return [self._inside(each, node, treatment, names) for each in value]
        if not isinstance(value, dict):
            # Where an object should stand with something personal in it, whatever stands there is personal.
            return self._one(value, treatment if treatment != KEEP else node.strictest(), names)
        if treatment == KEEP:  # most of a raw record: only what leads to something personal is made anew
            found = {key: self._inside(value[key], node.below[key], KEEP, names) for key in node.below if key in value}
            return {**value, **found}
        return {
            self._name(key, treatment): self._inside(each, node.below.get(key, _LEAF), treatment, names)
            for key, each in value.items()
        }

    def _hashed_inside(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hash(value) if value and not value.isspace() else value
        return self._whole(value, _LEAF, HASH, NOBODY)

    def _whole(self, value: Any, node: _Node, inherited: str, names: Names) -> Any:
        """Treat a column's value; in the place of JSON that is nested too deep to be looked at stands `TOO_DEEP`."""
        try:
            return self._inside(value, node, inherited, names)
        except RecursionError:
            return TOO_DEEP

    def _one(self, value: Any, treatment: str, names: Names) -> Any:
        """Treat one text, number or truth value."""
        if treatment == DROP:
            return None
        if treatment == KEEP:
            return value
        text = value if isinstance(value, str) else _written(value)
        if treatment == HASH:
            return self.hash(text) if text and not text.isspace() else value
        masked = self.mask(text, names)
        return value if masked == text else masked

    def _name(self, key: str, treatment: str) -> str:
        """Treat the name of a JSON member: it is the API's word, but where it is an address or a number itself."""
        if treatment not in (HASH, MASK):
            return key
        masked = self.mask(key)
        return key if masked == key else masked if treatment == MASK else self.hash(key)


_LEAF = _Node()


def _nested(levels: int) -> list[Any]:
    """Make a list of lists, as many as *levels*, without a value."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def strictest(treatments: Iterable[str]) -> str:
    """Return the strictest of some treatments; of none, keep."""
    found = set(treatments)
    return next((each for each in _STRICTEST if each in found), KEEP)


# Fits no column: it becomes NULL and a reject, which names the record and the column.
TOO_DEEP = _nested(5_000)


def applied_to(mapping: EntityMapping, rules: Rules, *, where: Callable[[str], str]) -> EntityMapping:
    """
    Return *mapping* with a site's treatments in place of its own, and text where what is hashed had another type.

    A column that the site names becomes personal if it was not. *where* says where the rule of a column stands.
    Raises: UsageError: no such column, no such treatment, or one that the column cannot have.
    """
    by_column = _by_column(mapping, rules)
    known = [field.column for field in mapping.fields]
    for column in by_column:
        if column not in known:
            raise UsageError(f"{where(column)}: {UnknownName('column', column, known=known)}")
    fields = []
    for field in mapping.fields:
        treatment = by_column.get(field.column, by_column.get(field.follows, field.treatment))
        told = where(field.column) if field.column in by_column else f"Mapping {mapping.name}"
        _check(mapping, field, treatment, told)
        is_retyped = treatment == HASH and field.type is not JSON
        fields.append(
            attrs.evolve(
                field,
                personal=field.personal or field.column in by_column or field.follows in by_column,
                treatment=treatment,
                type=TEXT if is_retyped else field.type,
            )
        )
    return attrs.evolve(mapping, fields=tuple(fields))


def _by_column(mapping: EntityMapping, rules: Rules) -> Mapping[str, str]:
    if not isinstance(rules, str):
        return rules
    held = _holding_together(mapping)
    return {
        # A word for all means the next stricter one where a field cannot have it, and a key stays.
        field.column: DROP if rules == MASK and field.type not in (TEXT, JSON) else rules
        for field in mapping.fields
        if field.personal and field.column not in held
    }


def _holding_together(mapping: EntityMapping) -> set[str]:
    """The columns by which rows are found and compared: they are as the API has them, or rows are no longer found."""
    inbound = mapping.inbound
    return {
        *mapping.key,
        *(inbound.slice_by if inbound else ()),
        *filter(None, [inbound.version if inbound else None]),
    }


def _check(mapping: EntityMapping, field: Field, treatment: str, told: str) -> None:
    """Raise UsageError where a column cannot have a treatment."""
    if treatment not in TREATMENTS:
        raise UsageError(f"{told}: column {field.column} has no such treatment. Choices: {', '.join(TREATMENTS)}.")
    if treatment != KEEP and field.column in _holding_together(mapping):
        raise UsageError(
            f"{told}: column {field.column} of {mapping.name} can only be kept: rows are found and compared by it "
            "(key, slice_by or version).",
            hint=f"`syncer forget {mapping.name} ID` takes a person out altogether.",
        )
    if treatment == MASK and field.type not in (TEXT, JSON):
        raise UsageError(
            f"{told}: column {field.column} is {field.type.value}, and mask is for text and json; choose drop or hash."
        )


def personal_columns(mapping: EntityMapping) -> tuple[str, ...]:
    """Return the columns that hold something of a person: the personal ones, and JSON above a personal field."""
    personal = [field.steps for field in mapping.fields if field.personal]
    return tuple(
        field.column
        for field in mapping.fields
        if field.personal
        or (
            any(steps[: len(field.steps)] == field.steps for steps in personal)
            and (field.type is JSON or field.steps in personal)
        )
    )


def forgotten_hash(key: bytes, mapping: str, record: str) -> bytes:
    """Hash the key of a record of *mapping*, so that it is known again and not readable."""
    return hmac.digest(key, f"forgotten\n{mapping}\n{record}".encode("utf-8", "surrogatepass"), "sha256")


def key_mark(key: bytes) -> str:
    """Return what tells one hash key from another, and nothing else about it."""
    return hmac.digest(key, b"which key", "sha256").hex()[:16]


def checked_key(text: str) -> bytes:
    """Return the hash key. Raises UsageError where there is none, or it is so short that it can be guessed."""
    if not text:
        raise no_key()
    if len(text) < SHORTEST_KEY:
        raise UsageError(
            f"SYNCER_HASH_KEY has fewer than {SHORTEST_KEY} characters.", hint="A short key can be guessed: take more."
        )
    return text.encode("utf-8", "surrogatepass")


def no_key() -> UsageError:
    """Make the error of a key that is missing."""
    return UsageError(
        "A personal field is hashed, or somebody is forgotten, and there is no key to hash with.",
        hint="Set SYNCER_HASH_KEY, or hash_key in [syncer] of syncer.toml, to a secret text of 16 characters or "
        "more, and keep it: with another one, equal people are no longer equal.",
    )


def normalised(text: str) -> str:
    """Write a text so that one person is one text: no blanks around it, small letters, Unicode's form C."""
    return unicodedata.normalize("NFC", text.strip().casefold())


def _written(value: Any) -> str:
    """Write a number or truth value as a column of texts would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _tree(fields: Iterable[Field]) -> _Node:
    """Put the treatments of personal fields at their places in a record; the record itself has none."""
    root = _Node()
    for field in fields:
        if field.steps and field.treatment != KEEP:
            node = root
            for step in field.steps:
                node = node.below.setdefault(step, _Node())
            node.treatment = strictest([node.treatment, field.treatment])
    return root


def _at(node: _Node | None, steps: Sequence[str]) -> _Node | None:
    for step in steps:
        node = node.below.get(step) if node is not None else None
    return node


def _uses(node: _Node, treatment: str) -> bool:
    return node.treatment == treatment or any(_uses(each, treatment) for each in node.below.values())


@functools.lru_cache(maxsize=4096)
def _names_of(names: tuple[str, ...]) -> Names:
    return Names.of(names) if names else NOBODY


def _texts_of(value: Any) -> tuple[str, ...]:
    try:
        return tuple(_texts(value))
    except RecursionError:  # it is nested too deep: the value itself will be a reject
        return ()


def _texts(value: Any) -> Iterable[str]:
    """Yield the texts inside a value: names stand alone, in lists, and in objects."""
    if isinstance(value, str):
        if "@" not in value:
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
