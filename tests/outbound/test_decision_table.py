"""
docs/decision-table.md, cell by cell: the page is read, and `compare.decide` and a whole row are held against each
cell, for every type, under every word of the mapping.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import compare, plan
from syncer.compare import NEVER, Decision, Rule, Verdict
from syncer.deciding import SETTLED, Decided, Deciding, Row
from syncer.mapping import Outbound
from syncer.sources.hubspot.definitions import Definition, Option
from syncer.sources.hubspot.shape import Described, HubSpotShape
from syncer.target import Found
from tests.outbound import naive

PAGE = Path(__file__).parents[2] / "docs" / "decision-table.md"
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
TYPES: Mapping[str, tuple[str, str, str]] = {  # as the page calls it: kind of record, type, field type
    "string": ("companies", "string", "text"),
    "phone_number": ("companies", "phone_number", "phonenumber"),
    "email": ("companies", "string", "text"),
    "number": ("companies", "number", "number"),
    "number, large": ("companies", "number", "number"),
    "number, zero": ("companies", "number", "number"),
    "date": ("companies", "date", "date"),
    "datetime": ("companies", "datetime", "date"),
    "enumeration": ("companies", "enumeration", "select"),
    "several choices": ("companies", "enumeration", "checkbox"),
    "owner": ("companies", "enumeration", "select"),
    "bool": ("companies", "bool", "booleancheckbox"),
}
OPTIONS = {"enumeration": ("gold", "silver", "tin"), "several choices": ("a", "b", "c")}
# Values of the relation's own types, by the type and letter that they are; texts stand in the page.
OWN: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "number": {"A": (1, 1.0, Decimal("1.000")), "B": (-1, Decimal("-1.0")), "C": (1.5, Decimal("1.50"))},
    "number, large": {"A": (Decimal("1234567890123456789.10"),), "C": (1234567890123456789,)},
    "number, zero": {"A": (0, 0.0, -0.0, Decimal("-0.00")), "B": (1,), "C": (-1,)},
    "date": {"A": (dt.date(2026, 3, 1), MIDNIGHT, MIDNIGHT.astimezone(EAST), MIDNIGHT.replace(tzinfo=None))},
    "datetime": {
        "A": (NOON, NOON.astimezone(EAST), NOON.replace(tzinfo=None), NOON.replace(microsecond=999)),
        "C": (MIDNIGHT, dt.date(2026, 3, 1)),
    },
    "several choices": {"A": (["b", "a"], ("a", "b", "a")), "B": (["a"],), "blank": ([], ";")},
    "bool": {"A": (True,), "B": (False,)},
    "owner": {"A": (101,), "B": (102,)},
}
LATER = {"ours": True, "theirs": False, "equal": None, "unknown": None}
MISSING = object()

Cell = tuple[str, str, str]  # the letters of agreed, ours, theirs


def read() -> dict[str, list[list[str]]]:
    """Return the page's tables, a list of rows each, without their heads; by heading, several of one in a row."""
    found: dict[str, list[list[str]]] = {}
    heading, lines = "", PAGE.read_text("utf-8").splitlines()
    for line, after in itertools.pairwise([*lines, ""]):
        if line.startswith("#"):
            heading = line.lstrip("# ").replace("`", "")
        elif line.startswith("|") and not after.startswith("|--") and not line.startswith("|--"):
            found.setdefault(heading, []).append([each.strip() for each in line.strip("|").split("|")])
    return found


TABLES = read()
POLICIES = {
    "skip": 'policy = "skip" (the default)',
    "ours": 'policy = "ours"',
    "theirs": 'policy = "theirs"',
    "fill": 'policies = { field = "fill" }',
    "once": 'policies = { field = "once" }',
}
CELLS: dict[str, dict[Cell, str]] = {
    word: {
        (agreed, ours, theirs): cell
        for agreed, ours, *cells in TABLES[heading]
        for theirs, cell in zip(("blank", "A", "B", "C"), cells, strict=True)
    }
    for word, heading in POLICIES.items()
}
NEWEST: dict[str, str] = dict(TABLES['policy = "newest"'])
BLANKS: dict[str, str] = dict(TABLES["blanks"])
ADOPT: dict[str, str] = dict(TABLES["adopt"])
FORMS: dict[str, dict[str, list[str]]] = {
    type: {letter: re.findall(r"`([^`]*)`", cell) for letter, cell in zip("ABC", cells, strict=False)}
    for type, *cells in TABLES["What is the same value"]
}
SIDES = [(word, "") for word in POLICIES] + [("newest", side) for side in NEWEST]
SETTINGS = [(*side, adopt, blanks) for side in SIDES for adopt in ADOPT for blanks in BLANKS]


@attrs.frozen
class Want:
    """What the page says of a cell: same, write, leave or conflict; whether `!`; the word that is named."""

    then: str
    is_shown: bool
    setting: str | None  # None: the page does not say

    @classmethod
    def of(cls, cell: Cell, policy: str, side: str, adopt: str, blanks: str) -> Want:
        """Read it."""
        word = CELLS[NEWEST[side] if policy == "newest" else policy][cell]
        said, is_shown = word.removesuffix(" !"), word.endswith(" !")
        if said == "adopt":
            return cls(ADOPT[adopt].removesuffix(" !"), ADOPT[adopt].endswith(" !"), f'adopt = "{adopt}"')
        if said == "blanks":
            then = BLANKS[blanks]
            by_policy = is_shown and then == "write"
            return cls(then, by_policy, f'policy = "{policy}"' if by_policy else f'blanks = "{blanks}"')
        is_named = is_shown or said == "conflict"
        return cls(said, is_shown, f'policy = "{policy}"' if is_named else None)


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[str, HubSpotShape]]:
    """By type, a property's name and a shape that has it."""
    return {type: (_name(type), _shape(type)) for type in TYPES}


def _name(type: str) -> str:
    return {"email": "email", "owner": "hubspot_owner_id"}.get(type, "field")


def _shape(type: str) -> HubSpotShape:
    kind, hubspot_type, field_type = TYPES[type]
    definition = Definition(
        object_type=kind,
        name=_name(type),
        type=hubspot_type,
        field_type=field_type,
        external_options=type == "owner",
        options=tuple(Option(value=value) for value in OPTIONS.get(type, ())),
    )
    return HubSpotShape(Described(kind=kind, definitions=[definition], now=lambda: NOON))


def ours_of(type: str, letter: str) -> list[Any]:
    """Return what a row may hold for a letter: texts of the page, values of the column's own type."""
    own = list(OWN.get(type, {}).get(letter, ()))
    return [None, "", *own] if letter == "blank" else [*FORMS[type][letter], *own]


def theirs_of(type: str, letter: str) -> list[Any]:
    """Return what a record may hold for a letter; MISSING: it has no such property."""
    return [None, "", MISSING] if letter == "blank" else list(FORMS[type][letter])


def cells_of(type: str) -> Iterator[Cell]:
    """Yield the cells whose letters a type has values for."""
    has = {"never", "blank", *FORMS[type]}
    yield from (cell for cell in CELLS["skip"] if has.issuperset(cell))


def decided(
    type: str, shape: HubSpotShape, cell: tuple[Any, Any, Any], outbound: Outbound, *, is_newer: bool | None = None
) -> Decided:
    """Decide about a row with one field: *cell* has a text both sides agreed on (or NEVER), ours, theirs."""
    agreed, ours, theirs = cell
    name = _name(type)
    values, unfit = shape.typing([name])([ours])
    assert not unfit, f"{type}: {ours!r} {unfit}"
    known = {} if agreed is NEVER else {name: shape.properties[name].theirs(agreed)}
    row = Row(key="k", row_hash="h", known_id="7", values=values, agreed=known, is_newer={name: is_newer})
    properties = {} if theirs is MISSING else {name: theirs}
    return Deciding(outbound, shape).decide(row, Found(id="7", properties=properties))


def told(found: Decided, name: str) -> tuple[str, bool]:
    """Say what a row came to, in the page's words, and whether the field is shown as settled."""
    kinds = [problem.kind for problem in found.row.problems]
    if found.changes:
        [change] = found.changes
        assert (change.action, list(change.fields), found.row.outcome) == (plan.UPDATE, [name], "")
        return "write", kinds == [SETTLED]
    if found.row.outcome == plan.CONFLICT:
        assert (kinds, found.row.row_hash) == ([plan.CONFLICT], ""), "it is looked at again"
        return "conflict", False
    assert found.row.outcome == plan.UNCHANGED
    return "leave", kinds == [SETTLED]  # or the same: what is agreed tells


def test_the_page_has_every_cell() -> None:
    """A table that lost a line would be a table that nobody tests."""
    all_cells = set(itertools.product(("never", "blank", "A"), ("blank", "A", "B"), ("blank", "A", "B", "C")))
    assert all(set(cells) == all_cells for cells in CELLS.values())
    assert (set(BLANKS), set(ADOPT)) == (set(compare.BLANKS), set(compare.ADOPTS))
    assert {word for word, _ in SIDES} == set(compare.FIELD_POLICIES)
    assert (set(NEWEST), set(FORMS)) == (set(LATER), set(TYPES))
    words = {"same", "write", "leave", "conflict", "blanks", "adopt"}
    assert {word.removesuffix(" !") for cells in CELLS.values() for word in cells.values()} == words


def test_no_table_of_the_naive_planner_differs_from_the_page() -> None:
    """Two tables by two hands: where they differ, one of them is wrong."""
    values = {"never": naive.NEVER, "blank": None}
    for word, cells in CELLS.items():
        for cell, said in cells.items():
            if cell[1] == cell[2]:
                assert said == "same"
                continue
            pattern = naive.pattern(*(values.get(letter, letter) for letter in cell))
            assert naive.TABLE[pattern][word].replace("!", " !") == said, (word, cell)


@pytest.mark.parametrize(("policy", "side", "adopt", "blanks"), SETTINGS)
def test_each_cell_of_the_page_is_what_is_decided(policy: str, side: str, adopt: str, blanks: str) -> None:
    rule = Rule(policy=policy, adopt=adopt, blanks=blanks)
    values: dict[str, Any] = {"never": NEVER, "blank": None}
    for cell in CELLS["skip"]:
        want = Want.of(cell, policy, side, adopt, blanks)
        agreed, ours, theirs = (values.get(letter, letter) for letter in cell)
        found = compare.decide(agreed, ours, theirs, rule, is_ours_newer=LATER.get(side))
        setting = found.setting if want.setting is None else want.setting
        assert found == Decision(Verdict(want.then), setting, settles=want.is_shown), cell


@pytest.mark.parametrize("type", TYPES)
def test_each_cell_is_what_becomes_of_a_row(type: str, shapes: dict[str, tuple[str, HubSpotShape]]) -> None:
    """Every type, under all words: what is sent, what is agreed then, what a person is shown."""
    name, shape = shapes[type]
    turn = itertools.count()
    for policy, side, adopt, blanks in SETTINGS:
        outbound = Outbound(kind=shape.kind, policies={name: policy}, adopt=adopt, blanks=blanks)
        for cell in cells_of(type):
            at = next(turn)  # so that each form has its turn in each place
            agreed, ours, theirs = (
                NEVER if cell[0] == "never" else _turn(theirs_of(type, cell[0]), at, but=MISSING),
                _turn(ours_of(type, cell[1]), at),
                _turn(theirs_of(type, cell[2]), at // 2),
            )
            found = decided(type, shape, (agreed, ours, theirs), outbound, is_newer=LATER.get(side))
            _hold(found, Want.of(cell, policy, side, adopt, blanks), (agreed, ours, theirs), name, shape)


def _turn(forms: Sequence[Any], at: int, *, but: Any = None) -> Any:
    left = [each for each in forms if each is not but] or [None]
    return left[at % len(left)]


def _hold(found: Decided, want: Want, cell: tuple[Any, Any, Any], name: str, shape: HubSpotShape) -> None:
    """Hold what a row came to against the page: the change, what is agreed, and what is shown."""
    normal = shape.properties[name].theirs
    agreed, ours, theirs = cell
    theirs = None if theirs is MISSING else theirs
    before = {} if agreed is NEVER else {name: normal(agreed)}
    then = "leave" if want.then == "same" else want.then
    assert told(found, name) == (then, want.is_shown), (cell, want)
    assert found.row.agreed == ({name: normal(theirs)} if want.then == "same" else before), (cell, want)
    ours_normal = shape.typing([name])([ours])[0][name].normal
    if want.then == "write":
        [change] = found.changes
        edit = change.fields[name]
        assert (edit.before, normal(edit.after)) == (theirs or None, ours_normal), cell
        assert edit.after != "", "blank is None in a plan"
        assert (change.id, change.row_hash, change.agreed) == ("7", "h", {name: ours_normal})
        assert want.setting is None or edit.setting == want.setting
    if want.is_shown or want.then == "conflict":
        [problem] = found.row.problems
        assert (problem.field, problem.has_agreed, problem.agreed) == (name, bool(before), before.get(name))
        assert (normal(problem.ours), problem.theirs, problem.setting) == (ours_normal, theirs or None, want.setting)


@pytest.mark.parametrize("type", TYPES)
def test_all_forms_of_a_value_are_one_value(type: str, shapes: dict[str, tuple[str, HubSpotShape]]) -> None:
    """Each form in the relation, with each form in the record: of one letter the same, of two letters a difference."""
    name, shape = shapes[type]
    outbound = Outbound(kind=shape.kind)
    letters = ["blank", *FORMS[type]]
    for mine, other in itertools.product(letters, letters):
        for ours, theirs in itertools.product(ours_of(type, mine), theirs_of(type, other)):
            found = decided(type, shape, (theirs if theirs is not MISSING else None, ours, theirs), outbound)
            assert bool(found.changes) == (mine != other), (type, ours, theirs)


def test_a_whole_row_is_decided_field_by_field() -> None:
    """All cells of a table as the fields of one row: no field has a say in another one's decision."""
    cells = list(CELLS["skip"])
    names = [f"field_{number}" for number in range(len(cells))]
    definitions = [Definition(object_type="companies", name=name, type="string") for name in names]
    shape = HubSpotShape(Described(kind="companies", definitions=definitions, now=lambda: NOON))
    values = {"blank": None, "never": None}
    for policy, side, adopt, blanks in SETTINGS:
        typed, _ = shape.typing(names)([values.get(cell[1], cell[1]) for cell in cells])
        known = {name: values.get(cell[0], cell[0]) for name, cell in zip(names, cells, strict=True)}
        agreed = {name: known[name] for name, cell in zip(names, cells, strict=True) if cell[0] != "never"}
        properties = {name: values.get(cell[2], cell[2]) for name, cell in zip(names, cells, strict=True)}
        newer = dict.fromkeys(names, LATER.get(side))
        row = Row(key="k", row_hash="h", known_id="7", values=typed, agreed=agreed, is_newer=newer)
        outbound = Outbound(kind="companies", policies=dict.fromkeys(names, policy), adopt=adopt, blanks=blanks)
        found = Deciding(outbound, shape).decide(row, Found(id="7", properties=properties))
        wants = dict(zip(names, (Want.of(cell, policy, side, adopt, blanks) for cell in cells), strict=True))
        [change] = found.changes
        assert set(change.fields) == {name for name, want in wants.items() if want.then == "write"}
        shown = {problem.field: problem.kind for problem in found.row.problems}
        open_ones = {name: plan.CONFLICT for name, want in wants.items() if want.then == "conflict"}
        assert shown == {**open_ones, **{name: SETTLED for name, want in wants.items() if want.is_shown}}
        assert found.row.outcome == (plan.CONFLICT if open_ones else "")


@pytest.mark.parametrize(("policy", "side", "adopt", "blanks"), [each for each in SETTINGS if each[1] in ("", "ours")])
def test_times_are_asked_for_just_where_they_decide(policy: str, side: str, adopt: str, blanks: str) -> None:
    """Histories cost twice the requests: they are read just where they would change the decision."""
    rule = Rule(policy=policy, adopt=adopt, blanks=blanks)
    values: dict[str, Any] = {"never": NEVER, "blank": None}
    for cell in CELLS["skip"]:
        then = {Want.of(cell, "newest", each, adopt, blanks).then for each in NEWEST} if policy == "newest" else {""}
        agreed, ours, theirs = (values.get(letter, letter) for letter in cell)
        assert compare.needs_times(agreed, ours, theirs, rule) == (len(then) > 1), cell
