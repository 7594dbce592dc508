"""Values: what fits a type, what does not, and that a whole column and value by value agree."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer import values
from syncer.rows import key_text, key_values
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type

UTC = dt.UTC
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        (TEXT, "a", "a"),
        (TEXT, 5, "5"),
        (TEXT, True, "true"),
        (TEXT, 1.5, "1.5"),
        (TEXT, 2.0**60, None),
        (TEXT, ["a"], None),
        (TEXT, {"a": 1}, None),
        (BIGINT, 5, 5),
        (BIGINT, "10002", 10002),
        (BIGINT, "-7", -7),
        (BIGINT, 3.0, 3),
        (BIGINT, 3.5, None),
        (BIGINT, True, None),
        (BIGINT, "0x1F", None),
        (BIGINT, "5 ", None),
        (BIGINT, "٣", None),
        (BIGINT, 2**63 - 1, 2**63 - 1),
        (BIGINT, 2**63, None),
        (BIGINT, "99999999999999999999", None),
        (DOUBLE, 1, 1.0),
        (DOUBLE, "2.5", 2.5),
        (DOUBLE, True, None),
        (DOUBLE, 2**53 + 1, None),
        (DOUBLE, "1e999", None),
        (DECIMAL, "12.345", decimal.Decimal("12.345")),
        (DECIMAL, 1.1, decimal.Decimal("1.1")),
        (DECIMAL, "0.1234567891", None),
        (DECIMAL, "1" * 40, None),
        (DECIMAL, "0E1000000000000000000", None),
        (BIGINT, "00000000000000000001", None),
        (BOOLEAN, "TRUE", None),
        (BOOLEAN, True, True),
        (BOOLEAN, "false", False),
        (BOOLEAN, 1, None),
        (DATE, "1850-02-28", dt.date(1850, 2, 28)),
        (DATE, "2026-02-30", None),
        (DATE, "2026-02-03T00:00:00Z", None),
        (TIMESTAMP, "2026-01-04T15:31:51.081Z", dt.datetime(2026, 1, 4, 15, 31, 51, 81000, UTC)),
        (TIMESTAMP, "2026-08-25T08:00:01.120+0200", dt.datetime(2026, 8, 25, 6, 0, 1, 120000, UTC)),
        (TIMESTAMP, "2012-09-20T11:50:22.000+03:00", dt.datetime(2012, 9, 20, 8, 50, 22, tzinfo=UTC)),
        (TIMESTAMP, "2012-09-20T11:50:22", dt.datetime(2012, 9, 20, 11, 50, 22, tzinfo=UTC)),
        (TIMESTAMP, 1492070429123, dt.datetime(2017, 4, 13, 8, 0, 29, 123000, UTC)),
        (TIMESTAMP, 1492070429, dt.datetime(2017, 4, 13, 8, 0, 29, tzinfo=UTC)),
        (TIMESTAMP, "0001-01-01T00:00:00+14:00", None),
        (TIMESTAMP, "yesterday", None),
        (TIMESTAMP, True, None),
        (JSON, {"b": 1, "a": [None]}, '{"a":[null],"b":1}'),
        (JSON, "text", '"text"'),
    ],
)
@pytest.mark.parametrize("company", [(), ("odd", None, {"x": 1}, 7, True, "1999-01-01")])
def test_what_fits_a_type_and_what_does_not(kind: Type, given: Any, wanted: Any, company: tuple[Any, ...]) -> None:
    """The same whether the whole column converts at once or must be looked at value by value."""
    array, misfits = values.column([given, *company], kind)
    assert array[0].as_py() == wanted
    assert (0 in [misfit.row for misfit in misfits]) == (wanted is None)


@given(st.lists(JSON_VALUES, max_size=6), st.sampled_from(list(Type)))
def test_no_value_is_ever_a_silent_null_or_an_exception(given_values: list[Any], kind: Type) -> None:
    """Each value that is not null becomes a value or a misfit."""
    array, misfits = values.column(given_values, kind)
    odd = {misfit.row for misfit in misfits}
    for row, (before, after) in enumerate(zip(given_values, array.to_pylist(), strict=True)):
        assert (after is None) == (before is None) or row in odd


@given(st.lists(JSON_VALUES, max_size=6), st.sampled_from(list(Type)))
def test_a_column_at_once_equals_value_by_value(given_values: list[Any], kind: Type) -> None:
    """The fast way may not differ in one value."""
    assert values.column(given_values, kind)[0].to_pylist() == values._by_value(given_values, kind)[0].to_pylist()


# Texts that a type nearly takes: numbers with too many digits, dates with odd zones, what only Arrow or only Python
# reads.
ODD_TEXTS = st.one_of(
    st.from_regex(r"\A-?[0-9]{1,32}(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,25})?\Z"),
    st.from_regex(r"\A[+-]?[0-9]{0,3}\.?[0-9]{0,3}[eE_ ]?[+-]?[0-9]{0,3}\n?\Z"),
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9](:[0-6][0-9](:[0-6][0-9]([.,][0-9]{1,10})?)?)?)?"
        r"(Z|z|[+-][0-2][0-9](:?[0-9]{2}){0,2})?\Z"
    ),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.dates().map(str),
    st.sampled_from(
        [
            "true",
            "false",
            "True",
            "TRUE",
            "true\n",
            "1",
            "0",
            "t",
            "yes",
            "",
            "nan",
            "inf",
            "-Infinity",
            " 1",
            "1 ",
            "1\n",
        ]
        + ["\0", "1\0", "\u0663", "1e400", "0e50", "-0", "-0.0", "0" * 35 + "17.5", "1.", ".5", "+5", "0x10", "1_0"]
    ),
    st.text(max_size=5),
)


@pytest.mark.parametrize("kind", list(Type))
@given(texts=st.lists(st.none() | ODD_TEXTS, max_size=3), blank_is_null=st.booleans())
@hypothesis.settings(max_examples=300)
def test_a_column_of_texts_at_once_equals_value_by_value(
    kind: Type, texts: list[str | None], blank_is_null: bool
) -> None:
    """An API that writes all values as texts may not get others for it; nor other misfits."""
    array, misfits = values.column(texts, kind, blank_is_null=blank_is_null)
    looked_at = [None if blank_is_null and text == "" else text for text in texts]
    one_by_one, odd = values._by_value(looked_at, kind)
    assert (list(map(repr, array.to_pylist())), misfits) == (list(map(repr, one_by_one.to_pylist())), odd)


@pytest.mark.parametrize(
    ("kind", "texts", "wanted"),
    [
        (BOOLEAN, ["true", None, "false"], [True, None, False]),
        (DECIMAL, ["17.50", None, "-0.000000001"], [decimal.Decimal("17.5"), None, decimal.Decimal("-1E-9")]),
        (DOUBLE, ["17.50", None, "1e3"], [17.5, None, 1000.0]),
        (BIGINT, ["17", None, "-5"], [17, None, -5]),
        (DATE, ["2026-01-31", None], [dt.date(2026, 1, 31), None]),
        (TIMESTAMP, ["2026-01-31T10:11:12.5Z", None], [dt.datetime(2026, 1, 31, 10, 11, 12, 500000, UTC), None]),
    ],
)
def test_a_column_of_texts_is_not_looked_at_value_by_value(
    kind: Type, texts: list[Any], wanted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portal has a thousand columns of texts; one by one a decimal costs fourteen times as much."""
    monkeypatch.setattr(values, "_by_value", None)
    assert values.column(texts, kind)[0].to_pylist() == wanted
    array, misfits = values.column([*texts, ""], kind, blank_is_null=True)
    assert (array.to_pylist(), misfits) == ([*wanted, None], [])


@pytest.mark.parametrize("kind", [kind for kind in Type if kind not in (TEXT, JSON)])
@pytest.mark.parametrize("company", [[], ["odd"], [{"x": 1}]])
def test_a_blank_is_a_misfit_unless_it_means_null(kind: Type, company: list[Any]) -> None:
    """Only a source whose API clears with an empty text knows that it does."""
    assert 0 in [misfit.row for misfit in values.column(["", *company], kind)[1]]
    array, misfits = values.column(["", *company], kind, blank_is_null=True)
    assert array[0].as_py() is None and 0 not in [misfit.row for misfit in misfits]


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (BIGINT, 2**63, DECIMAL),
        (BIGINT, "99999999999999999999", DECIMAL),
        (BIGINT, "3.5", DECIMAL),
        (BIGINT, "1" * 40, None),
        (BIGINT, "much", None),
        (BIGINT, True, None),
        (DATE, "2026-01-31T10:00:00Z", TIMESTAMP),
        (DATE, "soon", None),
        (DATE, 1492070429, None),
        (DECIMAL, "0.12345678901234567890", None),
        (BOOLEAN, "yes", None),
        (TIMESTAMP, "soon", None),
    ],
)
def test_a_value_asks_for_room_of_its_kind_only(kind: Type, value: Any, wanted: Type | None) -> None:
    """A double may round, and numbers that became texts cannot be added up any more."""
    assert values.column([value], kind)[1] and values.roomier(value, kind) is wanted


@given(st.text())
def test_text_is_kept_letter_by_letter(text: str) -> None:
    """NUL, braces, other scripts."""
    assert values.column([text], TEXT)[0].to_pylist() == [text]


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 2 < moment.year < 9998), st.integers(-14, 14))
def test_an_instant_is_the_same_in_every_offset(moment: dt.datetime, hours: int) -> None:
    """Stored in UTC, whatever zone the API's user lives in."""
    text = moment.astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat()
    assert values.column([text], TIMESTAMP)[0].to_pylist() == [moment]


def test_a_lone_surrogate_is_read_and_mended(tmp_path: Any) -> None:
    """orjson refuses it; the page must not be lost for it."""
    record = values.parse(b'{"a": "x\\ud83d", "b": [{"c": "\\ude00"}]}')
    text, misfits = values.column([record["a"]], TEXT)
    assert text.to_pylist() == ["x\ufffd"] and len(misfits) == 1
    assert values.column([record["b"]], JSON)[0].to_pylist() == ['[{"c":"\ufffd"}]']


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"a": NaN}', b"[1,]", b"\xff"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    """A cut page must not become a short one."""
    with pytest.raises(ValueError):
        values.parse(body)


@given(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text(min_size=1), st.text(min_size=1)))
def test_a_key_of_several_parts_is_one_text_and_back(key: tuple[int, str, str]) -> None:
    """Branch names have slashes."""
    assert key_values(key_text(key), (BIGINT, TEXT, TEXT)) == key


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_json_that_is_nested_deeply_is_kept_and_too_deeply_is_a_misfit() -> None:
    """One odd document must not keep a mapping from loading; orjson refuses from 255 levels on, Python later."""
    array, misfits = values.column([nested(400), nested(1_000), {"n": 2**70}], JSON)
    assert array[0].as_py() == "[" * 400 + '"x"' + "]" * 400 and array[2].as_py() == '{"n":1180591620717411303424}'
    assert [(misfit.row, misfit.reason) for misfit in misfits] == [(1, "array that is nested too deeply")]
    assert values.dumps(nested(1_000)) == '"array that is nested too deeply"'
    with pytest.raises(ValueError, match="nested too deeply"):
        values.parse(b"[" * 5_000 + b"]" * 5_000)


@pytest.mark.parametrize(("value", "kind"), [(float("inf"), DOUBLE), (9.8765432109876543e19, DECIMAL)])
def test_a_number_that_is_not_exact_is_no_silent_change(value: float, kind: Type) -> None:
    """1e999 is read as infinity, and whole numbers beyond 64 bits as a double."""
    array, misfits = values.column([value, 1.5], kind)
    assert array[0].as_py() is None and array[1].as_py() == 1.5 and misfits[0].row == 0


@pytest.mark.parametrize("body", [b"1e400", b'{"b":[1,{"c":-1e999}],"d":null}', b"[1e400,36893488147419103232]"])
def test_a_number_beyond_a_double_is_a_misfit_in_json(body: bytes) -> None:
    """It would become null, or the word Infinity, which is no JSON; beside a null that is one, all stays as it was."""
    fine = {"a": None, "b": [None, 1.5, "null"]}
    array, misfits = values.column([values.parse(body), fine], JSON)
    assert array.to_pylist() == [None, '{"a":null,"b":[null,1.5,"null"]}']
    assert [(misfit.row, misfit.reason) for misfit in misfits] == [(0, "a number outside the range of a double")]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2024-05-01T10:00:00.000+0200", dt.datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01T10:00:00-03:30", dt.datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01 10:00:00.5Z", dt.datetime(2024, 5, 1, 10, 0, 0, 500_000, UTC)),
        ("2024-05-01T10:00:00", dt.datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01", dt.datetime(2024, 5, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", dt.datetime(1, 1, 1, tzinfo=UTC)),
        ("2024-05-01T10:00:00 CEST", None),
        ("May 1st", None),
        (1492070429, dt.datetime(2017, 4, 13, 8, 0, 29, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("company", [(), ("odd", None, 7), ("2024-01-01T00:00:00+0100", None)])
def test_a_time_as_it_was_written(given: Any, wanted: Any, company: tuple[Any, ...]) -> None:
    """A column that drops offsets has the wall time of whoever asked the API; a date stays, and odd texts misfit."""
    array, misfits = values.column([given, *company], TIMESTAMP, as_written=True)
    assert array[0].as_py() == wanted
    assert (0 in [misfit.row for misfit in misfits]) == (wanted is None)


@given(texts=st.lists(st.none() | ODD_TEXTS, min_size=1, max_size=3))
@hypothesis.settings(max_examples=500)
def test_times_as_written_at_once_equal_those_by_value(texts: list[str | None]) -> None:
    """Whatever the others in its column are, a text is the same time."""
    alone, misfits = values.column(texts, TIMESTAMP, as_written=True)
    together, others = values.column([*texts, 7], TIMESTAMP, as_written=True)
    assert alone.to_pylist() == together.to_pylist()[:-1]
    assert misfits == others


@given(texts=st.lists(st.none() | ODD_TEXTS, max_size=3), kind=st.sampled_from([TEXT, DATE, BIGINT, JSON]))
def test_as_written_is_of_timestamps_alone(texts: list[str | None], kind: Type) -> None:
    """A column that holds the text itself has it whole."""
    told = values.column(texts, kind, as_written=True)
    assert told[0].equals(values.column(texts, kind)[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1e-400", "a number outside the range of a double"),
        ("-0.0e0", ""),
        ("5e-324", ""),
        ("9007199254740992", ""),
        ("9007199254740993", "a whole number that a double cannot hold exactly"),
        ("9" * 5000, "a whole number that a double cannot hold exactly"),
    ],
)
def test_a_text_is_a_double_only_where_that_is_its_number(text: str, reason: str) -> None:
    """As a number of JSON is; alone, and beside others."""
    for texts in ([text], ["1.5", text], [1, text]):
        found, misfits = values.column(texts, DOUBLE)
        assert [misfit.reason for misfit in misfits] == ([reason] if reason else [])
        assert found.to_pylist()[-1] == (None if reason else float(text))
