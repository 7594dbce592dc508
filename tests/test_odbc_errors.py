"""What drivers say: understood, and told without a value; and NUL, which no server holds."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.odbc import arrays, faults
from syncer.values import JSON, TEXT
from tests.servers.said import SECRET, error


@pytest.mark.parametrize(
    ("state", "text", "meaning"),
    [
        ("08S01", "Communication link failure", "is_lost"),
        ("HY000", "server closed the connection unexpectedly", "is_lost"),
        ("HY000", "The connection has been lost;\nError while preparing parameters", "is_lost"),
        ("57P01", "FATAL: terminating connection due to administrator command;\nserver closed", "is_lost"),
        ("57P02", "terminating connection because of crash of another server process", "is_lost"),
        ("HY000", "could not send data to server: Broken pipe", "is_lost"),
        ("01000", "[FreeTDS][SQL Server]Unexpected EOF from the server: DBPROCESS is dead", "is_lost"),
        ("08001", "FATAL: the database system is starting up", "is_starting"),
        ("08001", "FATAL: the database system is in recovery mode", "is_starting"),
        ("08001", 'connection to server at "h", port 1 failed: Connection refused\n\tIs it running?', "is_starting"),
        ("08001", "FATAL:  sorry, too many clients already", "is_starting"),
        ("08001", 'FATAL:  too many connections for role "x"', "is_full"),
        ("08001", 'FATAL:  password authentication failed for user "x"', "is_login"),
        ("28000", "[Microsoft][ODBC Driver 18 for SQL Server]Login failed for user 'x'.", "is_login"),
        ("08001", "fe_sendauth: no password supplied", "is_login"),
        ("08001", 'FATAL:  role "x" does not exist', "is_login"),
        ("08001", 'FATAL:  role "x" is not permitted to log in', "is_login"),
        ("08001", 'FATAL:  no pg_hba.conf entry for host "::1", user "x", database "y", SSL off', "is_no_entry"),
        ("08001", 'FATAL:  database "x" does not exist', "is_no_database"),
        ("08001", 'could not translate host name "x" to address: Name or service not known', "is_no_host"),
    ],
)  # fmt: skip
def test_what_a_driver_says_is_understood(state: str, text: str, meaning: str) -> None:
    """Many drivers have but one state for all that is odd."""
    assert getattr(faults, meaning)(error(state, text))
    assert not getattr(faults, meaning)(error("22P02", 'invalid input syntax for type bigint: "x"'))


@pytest.mark.parametrize(
    ("state", "text", "shown"),
    [
        ("22001", "ERROR: value too long for type character varying(5)", "value too long for type character varying"),
        ("22P02", f'ERROR: invalid input syntax for type bigint: "{SECRET}"', "input syntax for type bigint: …"),
        ("23505", f'duplicate key value violates "x"\nDETAIL:  Key (a)=({SECRET}) already exists.', "duplicate key"),
        ("22008", f'date/time field value out of range: "{SECRET} "quoted" x"', "value out of range: …"),
        ("42P01", 'ERROR: relation "load.x" does not exist;\nError while executing the query', '"load.x" does not'),
        ("42501", "permission denied for table x", "permission denied for table x"),
    ],
)  # fmt: skip
def test_what_a_driver_said_is_shown_without_a_value(state: str, text: str, shown: str) -> None:
    """Names are shown, values of records are not."""
    told = faults.shown(error(state, text))
    assert shown in told and SECRET not in told and told.endswith(f"[{state}]")
    assert "SQLExec" not in told and "Error while" not in told


# NUL, which no server holds.

NULLED = st.recursive(
    st.none() | st.integers() | st.text(alphabet='\0a"\\\u0000u0é', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='\0a\\"u0', max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [replaced(each) for each in value]
    return {replaced(key): replaced(each) for key, each in value.items()} if isinstance(value, dict) else value


@given(st.lists(NULLED, min_size=1, max_size=4))
def test_an_escaped_nul_in_json_is_replaced_and_nothing_else(values: list[Any]) -> None:
    """In keys and texts, side by side; `\\\\u0000` is a backslash and a word, and stays."""
    column = pa.chunked_array([pa.array([json.dumps(value)]) for value in values])
    assert [json.loads(text) for text in arrays.texts(column, JSON).to_pylist()] == [replaced(each) for each in values]


@given(st.lists(st.none() | st.text(alphabet='\0a{\\"N,', max_size=6), max_size=5))
def test_a_nul_in_a_text_is_replaced(values: list[str | None]) -> None:
    """A driver would cut the text there, and say nothing."""
    assert arrays.texts(pa.chunked_array([pa.array(values, pa.string())]), TEXT).to_pylist() == [
        value if value is None else replaced(value) for value in values
    ]
