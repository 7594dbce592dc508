"""
The statements, written once; a warehouse renders them in its own dialect.

They are written as text, in words that DuckDB and PostgreSQL both take, since that is how people read SQL. Where
another dialect is wanted, sqlglot parses the text to an expression and renders that; for these two nothing is parsed,
and sqlglot is not even imported (0.15 s a start, and 0.1 to 0.35 s a statement over 1,000 columns). What they say in
different ways (a hash, a cast that may fail) a transaction writes. That each statement is one that sqlglot reads and
writes is tested. Names are always quoted: a site's columns may be called `default` or `order`.

Not here: running them (`warehouses/`), and which to run when (`loading.py`, `census.py`, and the modules of state).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

import attrs

from syncer.tables import STATE, Table
from syncer.values import Type

WRITTEN_IN = "duckdb"
TAKEN_AS_WRITTEN = frozenset({WRITTEN_IN, "postgres"})  # what both understand: nothing is parsed for either
_PARTS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|"""
    r"""(?P<nothing>--[^\n]*|/\*.*?\*/|[\s;]+)|[^'"$;/\s-]+|.""",
    re.DOTALL,
)


@attrs.frozen
class Statement:
    """One statement, in the dialect that all are written in."""

    text: str

    def sql(self, dialect: str) -> str:
        """Return the statement in a dialect, by sqlglot's name of it."""
        return self.text if dialect in TAKEN_AS_WRITTEN else _rendered(self.text, dialect)


@functools.lru_cache(maxsize=2048)
def _rendered(text: str, dialect: str) -> str:
    import sqlglot

    # The tree is ours alone: without a copy a statement over 1,000 columns takes 0.1 to 0.35 s in place of twice that.
    return sqlglot.parse_one(text, read="duckdb").sql(dialect=dialect, copy=False, comments=False)


def bare(query: str) -> str:
    """Take semicolons and comments from the end of a query: what is put around it would be a part of them."""
    ends = [found.end() for found in _PARTS.finditer(query) if not found["nothing"]]
    return query[: ends[-1]] if ends else query


def statement(text: str) -> Statement:
    """Make a statement."""
    return Statement(text)


def quoted(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Write a text as SQL's."""
    return "'" + text.replace("'", "''") + "'"


def names(columns: Iterable[str], *, of: str = "") -> str:
    """List quoted columns, of an alias where one is given."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + quoted(column) for column in columns)


def table_name(table: Table) -> str:
    """Write a table's quoted name with its schema."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def equal(left: str, right: str, columns: Iterable[str]) -> str:
    """Say that two aliases have the same values in *columns*, none of them NULL."""
    return " AND ".join(f"{left}.{quoted(column)} = {right}.{quoted(column)}" for column in columns) or "TRUE"


def differs(left: str, right: str, columns: Iterable[str]) -> str:
    """Say that two aliases differ in one of *columns*, NULL being a value."""
    return (
        " OR ".join(f"{left}.{quoted(column)} IS DISTINCT FROM {right}.{quoted(column)}" for column in columns)
        or "FALSE"
    )


def key_text(alias: str, columns: Sequence[str], types: dict[str, Type]) -> str:
    """
    Write a key as one text, in SQL: the values joined by `/`, with `~` and `/` inside a text escaped as in a JSON
    pointer (RFC 6901).

    A key of one column is that value as it is. `rows.key_text` does the same in Python.
    """
    if len(columns) == 1:
        return f"CAST({alias}.{quoted(columns[0])} AS TEXT)"
    parts = []
    for column in columns:
        part = f"CAST({alias}.{quoted(column)} AS TEXT)"
        if types[column] is not Type.BIGINT:
            part = f"REPLACE(REPLACE({part}, '~', '~0'), '/', '~1')"
        parts.append(part)
    return " || '/' || ".join(parts)


def state_table(name: str) -> str:
    """Write the quoted name of a table in schema `syncer`."""
    return f"{quoted(STATE)}.{quoted(name)}"


def insert(table: Table) -> Statement:
    """Insert one row by parameters, in the order of the table's columns."""
    columns = [column.name for column in table.columns]
    marks = ", ".join("?" for _ in columns)
    return statement(f"INSERT INTO {table_name(table)} ({names(columns)}) VALUES ({marks})")


def update_one(table: Table) -> Statement:
    """Update the row of a key; its parameters are the columns that are no part of the key, then the key."""
    setting = ", ".join(f"{quoted(column.name)} = ?" for column in table.columns if column.name not in table.key)
    where = " AND ".join(f"{quoted(column)} = ?" for column in table.key)
    return statement(f"UPDATE {table_name(table)} SET {setting} WHERE {where}")


def upsert_from(table: Table, stage: str, columns: Sequence[str]) -> tuple[Statement, Statement]:
    """
    Return the two statements that bring the rows of *stage* into *table* by its key: update where different, insert
    what is new.
    """
    rest = [column for column in columns if column not in table.key]
    setting = ", ".join(f"{quoted(column)} = s.{quoted(column)}" for column in rest)
    update = (
        f"UPDATE {table_name(table)} AS t SET {setting} FROM {quoted(stage)} AS s "
        f"WHERE {equal('t', 's', table.key)} AND ({differs('t', 's', rest)})"
    )
    return statement(update), insert_new(table, stage, columns)


def insert_new(table: Table, stage: str, columns: Sequence[str]) -> Statement:
    """Insert the rows of *stage* whose key *table* lacks."""
    return statement(
        f"INSERT INTO {table_name(table)} ({names(columns)}) SELECT {names(columns, of='s')} FROM {quoted(stage)} "
        "AS s "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table_name(table)} AS t WHERE {equal('t', 's', table.key)})"
    )
