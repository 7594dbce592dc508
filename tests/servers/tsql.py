"""
A stand-in for a SQL Server: it takes T-SQL as a driver would get it, and runs it on DuckDB.

T-SQL is read by sqlglot's reader, so what that refuses is an error here. Texts are compared as T-SQL compares them,
the blanks at their end left out, in `=`, `<>`, `>`, `EXCEPT` and `GROUP BY`: what is not written exactly gives another
result. What SQL Server refuses by its number is refused where it was met: a temporary text without a collation (468),
a text longer than its column (2628), a lock of a transaction without one (-999), a set cut at 4,000 letters. It keeps
a catalogue (`sys.columns`, …) of what was created, application locks, and temporary tables that a statement with
parameters loses, as drivers do.

It does not prove: that a SQL Server takes a statement, what it casts to what, collations, that a lock waits, an index
over a computed column, speed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import duckdb
import pyodbc

from syncer.odbc.exactly import COLLATION
from syncer.odbc.tsqltypes import BYTES_OF, HASH, Described
from syncer.values import Type
from tests.servers.meaning import to_duckdb

STRING = "Driver={ODBC Driver 18 for SQL Server};Server=stand-in;"
_SET_IN = re.compile(r"INSERT INTO (\[#[^\]]+\]) SELECT (.+) FROM OPENJSON\(.+\) WITH \((.+)\) AS j")
_LOCK = re.compile(r"sp_getapplock @Resource = N'((?:[^']|'')*)'.*@LockOwner = N'(\w+)'", re.DOTALL)
_UNLOCK = re.compile(r"EXEC sp_releaseapplock @Resource = N'((?:[^']|'')*)'")
_FREE = re.compile(r"APPLOCK_TEST\(N'public', (.+?), N'Exclusive', N'Session'\)")
_MODE = re.compile(r"APPLOCK_MODE\(N'public', N'((?:[^']|'')*)', N'Transaction'\)")
_READS = re.compile(r"^(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|IF|WITH)\b|\bSELECT\b.+\bFROM\b", re.DOTALL)
BEGIN = "IF @@TRANCOUNT = 0 BEGIN TRANSACTION"
_CREATE = re.compile(r"CREATE TABLE ((?:\[\w+\]\.)?\[[^\]]+\]) \((.*)\)$", re.DOTALL)
_COLUMN = re.compile(
    r"(?:\[((?:[^\]]|\]\])+)\]|(\w+)) (\w+)(?:\((\w+)(?:,(\d+))?\))?(?: COLLATE (\w+))?( NOT NULL| NULL)?"
    r"( PRIMARY KEY)?$"
)
_ADD = re.compile(r"ALTER TABLE \[(\w+)\]\.\[([^\]]+)\] ADD (.+)$", re.IGNORECASE | re.DOTALL)
_ALTER = re.compile(r"ALTER TABLE \[(\w+)\]\.\[([^\]]+)\] ALTER COLUMN (.+)$", re.IGNORECASE | re.DOTALL)
_DROP = re.compile(r"ALTER TABLE \[(\w+)\]\.\[([^\]]+)\] DROP COLUMN \[([^\]]+)\]$", re.DOTALL)
_RENAME = re.compile(r"EXEC sp_rename N'\[(\w+)\]\.\[([^\]]+)\]\.\[([^\]]+)\]', N'((?:[^']|'')*)', N'COLUMN'")
_PROPERTY = re.compile(
    r"EXEC sp_(\w+)extendedproperty @name = N'MS_Description',(?: @value = N'((?:[^']|'')*)',)?"
    r" @level0type = N'SCHEMA', @level0name = N'((?:[^']|'')*)', @level1type = N'TABLE', @level1name = "
    r"N'((?:[^']|'')*)', @level2type = N'COLUMN', @level2name = N'((?:[^']|'')*)'"
)
_MADE = re.compile(r"\bINTO (\[\w+\]\.\[[^\]]+\]) FROM ")
_OFFSET = re.compile(r"TRY_CAST\(((?:(?!TRY_CAST\().)*?) AS datetimeoffset\(6\)\)", re.DOTALL)
_INDEX = re.compile(r"CREATE INDEX \[(\w+)\] ON \[(\w+)\]\.\[(\w+)\] \((.+)\)$")
_GONE = re.compile(r"DROP TABLE IF EXISTS \[(\w+)\]\.\[([^\]]+)\]$")
_OF_PYTHON = {
    "BIGINT": int, "INTEGER": int, "DOUBLE": float, "BOOLEAN": bool, "DATE": dt.date, "TIMESTAMP": dt.datetime,
}  # fmt: skip
_AS_DECLARED = {
    "VARCHAR": f"nvarchar(max) COLLATE {COLLATION}", "BIGINT": "bigint", "INTEGER": "int", "DOUBLE": "float",
    "BOOLEAN": "bit", "DATE": "date", "TIMESTAMP": "datetime2(6)", "DECIMAL(38,9)": "decimal(38,9)",
}  # fmt: skip
_TYPES = {"nvarchar": "VARCHAR", "bit": "BOOLEAN", "float": "DOUBLE", "datetime2": "TIMESTAMP", "varchar": "VARCHAR"}
MACROS = """
CREATE SCHEMA sys;
CREATE TABLE sys.declared (schema_name VARCHAR, table_name VARCHAR, name VARCHAR, type VARCHAR, max_length INT,
    "precision" INT, scale INT, collation_name VARCHAR, is_computed INT, comment VARCHAR, column_id INT);
CREATE VIEW sys.schemas AS SELECT DISTINCT schema_name AS name, schema_name AS schema_id FROM duckdb_schemas()
    WHERE database_name = current_database() AND schema_name <> 'sys';
CREATE VIEW sys.tables AS SELECT table_name AS name, schema_name AS schema_id, schema_name || '.' || table_name AS
    object_id FROM duckdb_tables() WHERE database_name = current_database() AND schema_name <> 'sys';
CREATE VIEW sys.columns AS SELECT name, schema_name || '.' || table_name AS object_id, type AS system_type_id,
    max_length, "precision", scale, collation_name, is_computed, column_id FROM sys.declared;
CREATE TABLE sys.made (schema_name VARCHAR, table_name VARCHAR, name VARCHAR);
CREATE VIEW sys.indexes AS SELECT name, schema_name || '.' || table_name AS object_id FROM sys.made;
CREATE VIEW sys.types AS SELECT DISTINCT type AS name, type AS user_type_id FROM sys.declared;
CREATE VIEW sys.extended_properties AS SELECT schema_name || '.' || table_name AS major_id, column_id AS minor_id,
    1 AS class, 'MS_Description' AS name, comment AS value FROM sys.declared WHERE comment IS NOT NULL;
CREATE MACRO datalength(x) AS CASE WHEN x IS NULL THEN NULL WHEN typeof(x) <> 'VARCHAR' THEN 8 ELSE 2 *
    (length(x::VARCHAR)
    + length(regexp_replace(x::VARCHAR, '[^\\x{10000}-\\x{10FFFF}]', '', 'g'))) END;
CREATE MACRO padded(x) AS rtrim(x::VARCHAR, ' ');
CREATE MACRO tsql_equal(a, b) AS (a = b OR padded(a) = padded(b));
CREATE MACRO as_long(a, b) AS rpad(a::VARCHAR, greatest(length(a::VARCHAR), length(b::VARCHAR), 1)::INT, ' ');
CREATE MACRO tsql_greater(a, b) AS CASE WHEN typeof(a) = 'VARCHAR' THEN as_long(a, b) > as_long(b, a) ELSE a > b END;
CREATE MACRO as_offset(x) AS CASE WHEN regexp_full_match(x,
    '[0-9]{4}(-[0-9]{2}){2}(T[0-9]{2}(:[0-9]{2}){2}([.][0-9]{1,7})?(Z|[-+][0-9]{2}:[0-9]{2})?)?')
    THEN TRY_CAST(x AS TIMESTAMPTZ) END;
CREATE MACRO tsql_len(x) AS length(padded(x));
CREATE MACRO string_escape(x, kind) AS replace(replace(replace(x, '\\', '\\\\'), '"', '\\"'), '/', '\\/');
CREATE MACRO stuff(s, place, count, more) AS substr(s, 1, place - 1) || more || substr(s, place + count);
CREATE MACRO tsql_like(x, p) AS regexp_full_match(x, replace(replace(regexp_escape(replace(p, '[[]', chr(1))), '\\%',
    '.*'), '\\' || chr(1), '\\['), 's');
"""


@attrs.define
class Server:
    """The stand-in: one database, its application locks, and all that it was sent."""

    database: Any = attrs.field(factory=lambda: duckdb.connect(":memory:"))
    locks: dict[str, int] = attrs.field(factory=dict)
    sent: list[str] = attrs.field(factory=list)
    numbers: Any = attrs.field(factory=lambda: itertools.count(51))
    is_freetds: bool = False  # whose transaction an error ends, and which is not told so

    def __attrs_post_init__(self) -> None:
        self.database.execute(MACROS)

    def connect(self, *_: Any) -> Connection:
        """Make a connection."""
        return Connection(self, self.database.cursor(), next(self.numbers))

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask it in DuckDB's words."""
        return list(self.database.execute(text).fetchall())


@attrs.define
class Connection:
    """A connection, with what pyodbc's has that is used."""

    server: Server
    session: Any
    number: int
    autocommit: bool = False
    is_open: bool = False  # a transaction
    is_ended: bool = False  # by an error; the driver does not begin another one
    locks: set[str] = attrs.field(factory=set)  # of the transaction

    def cursor(self) -> Cursor:
        return Cursor(self)

    def execute(self, text: str) -> Cursor:
        return Cursor(self).execute(text)

    def begin(self) -> None:
        if not self.is_open and not self.autocommit and not self.is_ended:
            self.session.execute("BEGIN TRANSACTION")
            self.is_open = True

    def commit(self) -> None:
        self._end("COMMIT")

    def rollback(self) -> None:
        self._end("ROLLBACK")

    def close(self) -> None:
        self.is_ended = False
        self._end("ROLLBACK")
        for lock in [lock for lock, number in self.server.locks.items() if number == self.number]:
            del self.server.locks[lock]
        self.session.close()

    def aborted(self) -> None:
        """End the transaction after an error, as XACT_ABORT does."""
        if self.server.is_freetds:
            self._end("ROLLBACK")
            self.is_ended = True

    def _end(self, how: str) -> None:
        if self.is_ended:
            said = f"The {how} TRANSACTION request has no corresponding BEGIN TRANSACTION. (3903) (SQLEndTran)"
            raise pyodbc.ProgrammingError("25000", f"[25000] [FreeTDS][SQL Server]{said}")
        self.locks.clear()
        if self.is_open:
            self.session.execute(how)
            self.is_open = False


@attrs.define
class Cursor:
    """A cursor."""

    connection: Connection
    rowcount: int = -1
    description: Any = None
    _rows: list[tuple[Any, ...]] = attrs.field(factory=list)

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run a statement of T-SQL."""
        assert len(parameters) <= 2_098
        assert not any(isinstance(value, dt.date | bytes) for value in parameters), "times are sent as texts"
        self.connection.server.sent.append(text)
        self.rowcount, self.description, self._rows = -1, None, []
        if text.startswith("SET ") or text.endswith(" REBUILD"):
            return self
        if text == BEGIN:
            self.connection.is_ended = False
        if text == BEGIN or _READS.search(text):
            self.connection.begin()
        if text == BEGIN:
            return self
        try:
            self._run(text, list(parameters))
        except duckdb.Error as error:
            self.connection.aborted()
            raise pyodbc.ProgrammingError("42000", f"[42000] [stand-in] {error} (0) (SQLExecDirectW)") from error
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def nextset(self) -> bool:
        self.description = None  # as pyodbc's is behind the last result
        return False

    def _run(self, text: str, parameters: list[Any]) -> None:
        for pattern, action in (
            (_LOCK, self._lock), (_UNLOCK, self._unlock), (_PROPERTY, self._property), (_RENAME, self._rename),
            (_ADD, self._add), (_ALTER, self._alter), (_DROP, self._drop), (_CREATE, self._create),
            (_INDEX, self._index),
        ):  # fmt: skip
            found = pattern.search(text)
            if found:
                action(found)
                return
        found = _SET_IN.match(text)
        if found:
            self._pass_set(found, parameters)
            return
        if text.startswith(("CREATE SCHEMA", "DROP TABLE")):
            self._ask(text.replace("[", '"').replace("]", '"'))
            if gone := _GONE.match(text):
                self._forget(*gone.groups())
            return
        text = _MODE.sub(lambda found: "N'Exclusive'" if found[1] in self.connection.locks else "N'NoLock'", text)
        text = text.replace("@@TRANCOUNT", str(int(self.connection.is_open)))
        free = _FREE.search(text)
        if free:
            text = text.replace(free[0], "1")
        written = to_duckdb(_OFFSET.sub(r"AS_OFFSET(\1)", text))
        made = _MADE.search(text)
        if made:
            assert "CROSS JOIN (SELECT 1 AS [n]) AS [one]" in text, (
                "the table would number its rows as its source does"
            )
            assert not parameters, "what a parameter's column is, the driver would guess"
            self._ask(written.replace("CREATE TEMPORARY TABLE", "CREATE TABLE", 1))
            self._declare(*re.findall(r"\[([^\]]+)\]", made[1]))
            return
        assert not (parameters and written.startswith("CREATE TEMP")), "a table that is made there ends with it"
        self._ask(written, parameters)
        if free:
            self._rows = [(*row[:-1], int(row[0] not in self._held_by_others())) for row in self._rows]

    def _ask(self, text: str, parameters: Sequence[Any] = ()) -> None:
        self.connection.session.execute(text.replace("@@SPID", str(self.connection.number)), list(parameters))
        rows = self.connection.session.fetchall()
        is_write = re.match(r"(?:WITH .*\b)?(?:INSERT INTO|UPDATE|DELETE FROM) ", text, re.DOTALL)
        if is_write:
            self.rowcount = rows[0][0]
        elif text.lstrip("( ").startswith(("SELECT", "WITH")):
            self.description = [
                (name, _python_type(str(kind))) for name, kind, *_ in self.connection.session.description
            ]
            self._rows = rows

    def _give(self, *row: Any) -> None:
        self.description, self._rows = ("given",), [row]

    def _lock(self, found: re.Match[str]) -> None:
        if found[2] == "Transaction" and not self.connection.is_open:
            self._give(-999, 0)
        elif found[2] == "Transaction":
            self.connection.locks.add(found[1])
            self._give(0, 1)
        else:
            self._give(
                0
                if self.connection.server.locks.setdefault(found[1], self.connection.number) == self.connection.number
                else -1
            )

    def _unlock(self, found: re.Match[str]) -> None:
        del self.connection.server.locks[found[1]]

    def _held_by_others(self) -> set[str]:
        from syncer.odbc.transaction import lock_key

        self.connection.session.execute("SELECT name FROM syncer.leases")
        names = [row[0] for row in self.connection.session.fetchall()]
        locks = self.connection.server.locks
        return {
            each
            for each in names
            if locks.get(f"syncer: lease {lock_key(each)}", self.connection.number) != self.connection.number
        }

    def _property(self, found: re.Match[str]) -> None:
        _, value, *place = (part.replace("''", "'") if part is not None else None for part in found.groups())
        self._ask(
            "UPDATE sys.declared SET comment = $1 "
            "WHERE schema_name = $2 AND table_name = $3 AND lower(name) = lower($4)",
            [value, *place],
        )

    def _create(self, found: re.Match[str]) -> None:
        name, columns = found[1], _split(found[2])
        made = []
        for each in columns:
            if each.startswith("PRIMARY KEY"):
                keys = [key for key in re.findall(r"\[((?:[^\]]|\]\])+)\]", each) if not key.startswith(BYTES_OF)]
                by_hash = re.findall(r"DATALENGTH\(\[(\w+)\]\) AS binary", found[2]) if HASH in keys else []
                made.append(f"PRIMARY KEY ({', '.join(_quoted(key) for key in [*keys, *by_hash] if key != HASH)})")
            elif " PERSISTED NOT NULL" not in each:
                made.append(self._declared(name, each))
        temporary = "TEMP " if name.startswith("[#") else ""
        self._ask(f"CREATE {temporary}TABLE {_name(name)} ({', '.join(made)})")

    def _index(self, found: re.Match[str]) -> None:
        """Note an index; it is none of DuckDB's, which would be in the way of altering the table."""
        name, schema, table, columns = found.groups()
        for column in re.findall(r"\[([^\]]+)\]", columns):
            known = "SELECT 1 FROM sys.columns WHERE object_id = $1 AND name = $2 AND max_length > 0"
            self._ask(known, [f"{schema}.{table}", column])
            assert self._rows, f"1919: {column} has no length, and cannot be in an index"
        self._ask("INSERT INTO sys.made VALUES ($1, $2, $3)", [schema, table, name])

    def _forget(self, schema: str, table: str) -> None:
        for kept in ("declared", "made"):
            self._ask(f"DELETE FROM sys.{kept} WHERE schema_name = $1 AND table_name = $2", [schema, table])

    def _declare(self, schema: str, table: str) -> None:
        """Note the columns of a table that was made of a query."""
        self._forget(schema, table)
        session = self.connection.session
        found = session.execute(f'DESCRIBE "{schema}"."{table}"').fetchall()
        for name, kind, *_ in found:
            self._declared(f"[{schema}].[{table}]", f"[{name.replace(']', ']]')}] {_AS_DECLARED[kind]} NULL")

    def _declared(self, table: str, text: str) -> str:
        """Note a column in the catalogue; return it in DuckDB's words."""
        bracketed, bare, kind, first, second, collation, null, key = (
            _COLUMN.match(text.strip()) or _failed(text)
        ).groups()
        name, kind = (bracketed or bare).replace("]]", "]"), kind.lower()
        assert kind != "nvarchar" or collation or not table.startswith("[#"), "468: it would have that of tempdb"
        if not table.startswith("[#"):
            schema, known = re.findall(r"\[([^\]]+)\]", table)
            length = -1 if (first or "").lower() == "max" else int(first) * 2 if kind == "nvarchar" and first else 8
            digits, scale = (
                (int(first), int(second or 0))
                if kind == "decimal"
                else (0, int(first or 0) if kind == "datetime2" else 0)
            )
            self._ask(
                "DELETE FROM sys.declared WHERE schema_name = $1 AND table_name = $2 AND name = $3",
                [schema, known, name],
            )
            self._ask(
                "INSERT INTO sys.declared SELECT $1, $2, $3, $4, $5, $6, $7, $8, 0, NULL, COALESCE(MAX(column_id), 0) "
                "+ 1 FROM sys.declared",
                [schema, known, name, kind, length, digits, scale, collation],
            )
        size = f"({first},{second})" if kind == "decimal" else ""
        if kind == "nvarchar" and first and first.isdigit():
            key = f'{key or ""} CHECK (datalength("{name}") <= {2 * int(first)})'
        return f'"{name}" {_TYPES.get(kind, kind)}{size}{" NOT NULL" if null == " NOT NULL" else ""}{key or ""}'

    def _add(self, found: re.Match[str]) -> None:
        column = self._declared(f"[{found[1]}].[{found[2]}]", found[3])
        self._ask(f'ALTER TABLE "{found[1]}"."{found[2]}" ADD COLUMN {column}')

    def _alter(self, found: re.Match[str]) -> None:
        name, _, kind = self._declared(f"[{found[1]}].[{found[2]}]", found[3]).partition(" CHECK")[0].rpartition('" ')
        self._ask(f'ALTER TABLE "{found[1]}"."{found[2]}" ALTER COLUMN {name}" SET DATA TYPE {kind}')

    def _drop(self, found: re.Match[str]) -> None:
        self._ask(f'ALTER TABLE "{found[1]}"."{found[2]}" DROP COLUMN "{found[3]}"')
        self._ask(
            "DELETE FROM sys.declared WHERE schema_name = $1 AND table_name = $2 AND name = $3", list(found.groups())
        )

    def _rename(self, found: re.Match[str]) -> None:
        schema, table, old, new = (part.replace("''", "'") for part in found.groups())
        self._ask(f'ALTER TABLE "{schema}"."{table}" RENAME COLUMN "{old}" TO "{new}"')
        self._ask(
            "UPDATE sys.declared SET name = $4 WHERE schema_name = $1 AND table_name = $2 AND name = $3",
            [schema, table, old, new],
        )

    def _pass_set(self, found: re.Match[str], parameters: list[Any]) -> None:
        rows = json.loads(parameters[0])
        assert all(re.fullmatch(r"(\w+) nvarchar\(max\) '\$\.\1'", each) for each in _split(found[3])), found[3]
        shape = json.dumps([dict.fromkeys(rows[0], "VARCHAR")])
        casts = to_duckdb(f"SELECT {found[2]}")
        self._ask(
            f"INSERT INTO {_name(found[1])} {casts} FROM (SELECT UNNEST(from_json($1, '{shape}')) AS j)", parameters
        )


def _name(text: str) -> str:
    return ".".join(f'"{part}"' for part in re.findall(r"\[((?:[^\]]|\]\])+)\]", text))


def _python_type(kind: str) -> type:
    return decimal.Decimal if kind.startswith("DECIMAL") else _OF_PYTHON.get(kind, str)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _split(columns: str) -> list[str]:
    """Take a list of columns apart at the commas that are in no bracket."""
    parts, depth, quoted = [""], 0, False
    for letter in columns:
        quoted = letter == "[" or (quoted and letter != "]")
        depth += {"(": 1, ")": -1}.get(letter, 0) if not quoted else 0
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _failed(text: str) -> Any:
    raise AssertionError(f"the stand-in does not read the column {text}")


@attrs.define
class StandIn:
    """A stand-in as a warehouse of tests, asked in DuckDB's words."""

    name: str
    server: Server = attrs.field(factory=Server)
    nul: ClassVar[str] = "\ufffd"

    @property
    def setting(self) -> str:
        """Its connection string."""
        return f"odbc:{STRING}Database={self.name};"

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask it; times are aware."""
        with contextlib.closing(self.server.database.cursor()) as session:
            found = session.execute(query, list(parameters)).fetchall()
        return [
            tuple(each.replace(tzinfo=dt.UTC) if isinstance(each, dt.datetime) else each for each in row)
            for row in found
        ]

    def comments(self, table: str) -> dict[str, str | None]:
        """Ask the catalogue."""
        return dict(
            self.rows("SELECT name, comment FROM sys.declared WHERE schema_name = 'load' AND table_name = ?", [table])
        )

    def types(self, table: str) -> dict[str, Any]:
        """Ask the catalogue."""
        query = (
            'SELECT name, type, max_length, "precision", scale, collation_name FROM sys.declared '
            "WHERE schema_name = 'load' AND table_name = ? ORDER BY column_id"
        )
        found = {name: Described.of(*rest) for name, *rest in self.rows(query, [table])}
        return {name: each.kind if each.is_roomy(is_indexed=True) else each.spelled for name, each in found.items()}

    def native(self, kind: Type) -> str:
        """As DuckDB calls it."""
        return _NATIVE.get(kind, kind.value)

    def array(self, *values: str) -> str:
        """In brackets alone."""
        return f"[{', '.join(values)}]"

    def kept_in(self) -> list[Path]:
        """Nothing is a file."""
        return []

    def close(self) -> None:
        """Let go of it."""
        _STAND_INS.pop(self.name, None)
        self.server.database.close()


_STAND_INS: dict[str, StandIn] = {}
_NATIVE = {Type.TEXT: "VARCHAR", Type.DECIMAL: "DECIMAL(38,9)", Type.TIMESTAMP: "TIMESTAMP", Type.JSON: "VARCHAR"}
_numbers = itertools.count(1)


def stand_in(folder: Path) -> StandIn:
    """Make a stand-in."""
    made = StandIn(f"t{next(_numbers)}")
    _STAND_INS[made.name] = made
    return made


def connect(found: Any, more: Any) -> Connection:
    """Connect to a stand-in: what tests put in the place of `connecting.connect`."""
    return _STAND_INS[found.string.get("Database")].server.connect()
