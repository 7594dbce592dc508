"""What a value of each type of the warehouses arrives as: the text that `docs/push.md` states, or a reject."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.outbound import KEY, PushHome

DOCS = Path(__file__).parents[2] / "docs" / "push.md"
REJECTED = "rejected: "
CODE = re.compile(r"`([^`]+)`")
UUID = "7c1fab00-0000-0000-0000-00000000abcd"


def stated(backend: str) -> list[tuple[str, str, str]]:
    """Return type, value and outcome of each line of the table of types."""
    section = DOCS.read_text(encoding="utf-8").partition("\n## Types\n")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        if line.startswith("| `") or line.startswith("| |"):
            cells = re.split(r"(?<!\\)\|", line)[1:5]
            duckdb, postgresql, value, outcome = (cell.strip().replace("\\|", "|") for cell in cells)
            for type in CODE.findall({"duckdb": duckdb, "postgresql": postgresql}[backend]):
                text = outcome if outcome.startswith(REJECTED) else CODE.findall(outcome)[0]
                found.append((type, CODE.findall(value)[0], text))
    return found


def make(home: PushHome, *columns: tuple[str, str, str]) -> None:
    """Make the relation of one row: names, types and values in SQL."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows("DROP TABLE IF EXISTS stage.companies")
    home.rows(f"CREATE TABLE stage.companies ({', '.join(f'{quoted(name)} {type}' for name, type, _ in columns)})")
    home.rows(f"INSERT INTO stage.companies VALUES ({', '.join(value for _, _, value in columns)})")


def quoted(name: str) -> str:
    return f'"{name}"'


def reasons(home: PushHome, plan: str) -> list[str]:
    return [each["reason"] for each in home.problems(plan)]


def test_each_type_arrives_as_it_is_stated(home: PushHome, backend: str) -> None:
    """And is equal on the next push; nothing is written as another value, and nothing ends in a traceback."""
    cases = stated(backend)
    assert len(cases) > 25
    for at, (type, value, outcome) in enumerate(cases):
        key, case = f"k{at}", f"{type} {value}"
        make(home, (KEY, "text", f"'{key}'"), ("name", "text", "'n'"), ("phone", type, value))
        done = home.push()
        if outcome.startswith(REJECTED):
            assert (done.counts.rejected, done.exit_code) == (1, 3), case
            assert reasons(home, done.plan) == [outcome.removeprefix(REJECTED)], case
            assert key not in home.values("phone"), case
            continue
        assert (done.counts.created, done.exit_code) == (1, 0), (case, reasons(home, done.plan))
        assert home.company(key).properties["phone"] == outcome, case
        home.rows("UPDATE stage.companies SET name = 'other'")
        again = home.push()
        assert (again.counts.updated, again.exit_code) == (1, 0), case
        [change] = home.changes(again.plan)
        assert list(change.fields) == ["name"], case


@pytest.mark.parametrize("type", ["date", "timestamp", "timestamp with time zone"])
def test_what_is_no_date_of_a_calendar_is_a_reject_and_never_another_date(
    home: PushHome, backend: str, type: str
) -> None:
    before = "'0044-03-15 BC'" if backend == "postgresql" else "'0044-03-15 (BC)'"
    if backend == "duckdb" and type != "date":
        before = "'0044-03-15 (BC) 00:00:00'"
    for at, value in enumerate(("'infinity'", "'-infinity'", before, "'20000-03-15'", "'10000-01-01'")):
        name = ("since", "met_at", "phone")[at % 3]
        make(home, (KEY, "text", f"'{at}'"), ("name", "text", "'n'"), (name, type, value), ("industry", type, value))
        done = home.push()
        assert reasons(home, done.plan) == ["It is no date between the years 1 and 9999."] * 2, value
        assert home.live() == []
    for expected, names in (("0001-01-01", ("since", "phone")), ("9999-12-31", ("since", "met_at", "phone"))):
        value = f"'{expected}'"
        dates = [(name, type, value) for name in names]
        make(home, (KEY, "text", f"'{expected}'"), ("name", "text", "'n'"), *dates)
        assert home.push().counts.created == 1, value
        found = home.company(expected).properties
        assert [(found[name] or "")[:10] for name in names] == [expected] * len(names)


KEYS = {
    "uuid": (f"'{UUID.upper()}'", UUID),
    "time": ("'12:34:56.5'", "12:34:56.5"),
    "timestamp": ("'2020-01-01 10:00'", "2020-01-01 10:00:00"),
    "double precision": ("1e20", "100000000000000000000"),
    "decimal(12,2)": ("17.50", "17.5"),
    "date": ("'2020-01-01'", "2020-01-01"),
    "real": ("0.5", "0.5"),
}


@pytest.mark.parametrize("type", KEYS)
def test_a_key_is_the_same_text_in_the_portal_and_in_the_snapshot(home: PushHome, type: str) -> None:
    """Else the record that a push has made is not found again when an answer, or the snapshot, was lost."""
    value, expected = KEYS[type]
    make(home, (KEY, type, value), ("name", "text", "'n'"), ("phone", "text", "'1'"))
    assert home.push().counts.created == 1
    [record] = home.live()
    assert record.properties[KEY] == expected
    assert home.rows("SELECT key FROM syncer.snapshots") == [(expected,)]
    home.rows("UPDATE stage.companies SET phone = '2'")
    assert home.push().counts.updated == 1
    home.rows("DELETE FROM syncer.snapshots")
    done = home.push()
    assert (done.counts.unchanged, len(home.live())) == (1, 1), "found by its key"


def test_large_numbers_are_keys_of_their_own(home: PushHome) -> None:
    """1.5e+20 lost the 0 of its exponent, and was one key with 1.5e+200 and 1.5e+2."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows(f"CREATE TABLE stage.companies ({KEY} double precision, name text)")
    home.rows("INSERT INTO stage.companies VALUES (1.5e20, 'a'), (1.5e200, 'b'), (1.5e100, 'c'), (150, 'd')")
    assert home.push().counts.created == 4
    assert home.rows("SELECT COUNT(DISTINCT key) FROM syncer.snapshots") == [(4,)]
    assert home.push().counts.unchanged == 4


@pytest.mark.parametrize("type", ["oid", "xid"])
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_numbers_of_the_server_itself_are_pushed(home: PushHome, type: str) -> None:
    """The driver calls them whole numbers, for which the server has no cast."""
    make(home, (KEY, "text", "'1'"), ("name", "text", "'n'"), ("size", type, "'4294967295'"))
    assert home.push().counts.created == 1
    assert home.company("1").properties["size"] == "4294967295"
    home.rows("UPDATE stage.companies SET size = '7'")
    assert home.push().counts.updated == 1
    assert home.company("1").properties["size"] == "7"
    make(home, (KEY, type, "'77'"), ("name", "text", "'n'"))
    assert home.push().counts.created == 1, "as a key"


@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        ("DECIMAL(10,2)[]", "[1.50, 2]", "[1.5,2]"),
        ("DECIMAL(38,20)[]", "[1.00000000000000000001]", '["1.00000000000000000001"]'),
        ("INTERVAL[]", "[INTERVAL 1 DAY]", '["1 day"]'),
        ("TIMETZ[]", "['12:34:56+02']", '["12:34:56+02"]'),
        ("DATE[]", "['infinity', '2026-03-01']", '["infinity","2026-03-01"]'),
        ("DOUBLE[]", "['nan']", '["nan"]'),
        ("UUID[]", f"['{UUID}']", f'["{UUID}"]'),
        ("BLOB[]", "['\\x00\\xFF'::BLOB]", '["0x00ff"]'),
        ("STRUCT(d DATE, b BLOB)", "{'d': DATE '0044-03-15 (BC)', 'b': NULL}", '{"d":"0044-03-15 (BC)","b":null}'),
        ("MAP(INTEGER, HUGEINT)", "MAP{7: 170141183460469231731687303715884105727}",
         '{"7":170141183460469231731687303715884105727}'),
        ("UNION(n INTEGER, s VARCHAR)", "1::INTEGER", "1"),
    ],
)  # fmt: skip
def test_what_stands_in_lists_arrives_as_it_is(home: PushHome, type: str, value: str, expected: str) -> None:
    """JSON has neither such numbers nor dates: what it lacks is text, and never a traceback."""
    make(home, (KEY, "text", "'1'"), ("name", "text", "'n'"), ("phone", type, value))
    assert home.push().counts.created == 1
    assert home.company("1").properties["phone"] == expected


@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
def test_a_list_is_still_several_choices(home: PushHome) -> None:
    make(home, (KEY, "text", "'1'"), ("name", "text", "'n'"), ("products", "VARCHAR[]", "['b', 'a']"))
    assert home.push().counts.created == 1
    assert home.company("1").properties["products"] == "b;a"
    assert home.push().counts.unchanged == 1
