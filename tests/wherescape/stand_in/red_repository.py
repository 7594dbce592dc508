"""
A stand-in for RED's repository at the ODBC seam: `pyodbc.connect` with its DSN leads to one SQLite file, any other
string to the real one. Several processes may use the file at once.

Tables and first rows are those of `repository.sql`. Plain statements that read a table of the repository, or write a
load table or its columns, run as they are; of all else it takes the documented call shapes, word by word, and refuses
what a server would. Each call is recorded in `dss_test_call` with its values in their order, in the transaction that
it is a part of. Switches: `dss_test_switch` (noisy, fail) as there; a routine that `dss_test_missing` names is not
there.

It does not prove that a SQL Server takes a statement, collations, or what a driver makes of a value.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyodbc

DSN, FILE, DBMS = "SYNCER_TEST_RED_DSN", "SYNCER_TEST_RED_FILE", "SYNCER_TEST_RED_DBMS"
SCRIPT = Path(__file__).parents[1] / "repository.sql"
_DSN = re.compile(r"(?:^|;)\s*DSN=([^;]*)", re.IGNORECASE)
_WRITES = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM)\s+dbo\.(ws_load_col|ws_load_tab)\b")
_ROWS = re.compile(r"^(CREATE TABLE|INSERT INTO) ", re.MULTILINE)
_READS = re.compile(r"SELECT .+ FROM dbo\.(ws_|dss_parameter\b)")
_OUT = "@p_return_code = @p_return_code OUTPUT, @p_return_msg = @p_return_msg OUTPUT, @p_result = @p_result OUTPUT"
_COMMON = "@p_sequence = ?, @p_job_name = ?, @p_task_name = ?, @p_job_id = ?, @p_task_id = ?"
_LINE = (
    "@p_status_code = ?, @p_job_name = ?, @p_task_name = ?, @p_sequence = ?, @p_message = ?, @p_db_code = ?, "
    "@p_db_msg = ?, @p_task_key = ?, @p_job_key = ?"
)
_COUNTS = ("inserted", "updated", "replaced", "deleted", "discarded", "rejected", "errored")
ROUTINES = "SELECT r.ROUTINE_NAME FROM INFORMATION_SCHEMA.ROUTINES AS r WHERE r.ROUTINE_SCHEMA = ?"
SYNTAX = ("42000", "Incorrect syntax near 'a statement that the stand-in does not know'. (102)")
Answer = list[tuple[Any, ...]]


def _job(name: str, given: str) -> str:
    return (
        "SET NOCOUNT ON; DECLARE @code int, @p_return_code varchar(1), @p_return_msg varchar(256), @p_result int; "
        f"EXEC @code = dbo.{name} {_COMMON}, {given}, {_OUT}; SELECT @code AS return_code, @p_return_code AS "
        "p_return_code, @p_return_msg AS p_return_msg, @p_result AS p_result;"
    )


def _plain(name: str, given: str) -> str:
    return f"SET NOCOUNT ON; DECLARE @code int; EXEC @code = dbo.{name} {given}; SELECT @code AS return_code;"


# Each call that is documented, as a batch, by its routine.
SHAPES = {
    "WsParameterRead": "SET NOCOUNT ON; DECLARE @code int, @p_value varchar(2000), @p_comment varchar(256); "
    "EXEC @code = dbo.WsParameterRead @p_parameter = ?, @p_value = @p_value OUTPUT, @p_comment = @p_comment OUTPUT; "
    "SELECT @code AS return_code, @p_value AS p_value, @p_comment AS p_comment;",
    "WsParameterReadF": "SELECT dbo.WsParameterReadF(?) AS p_value;",
    "WsParameterWrite": _plain("WsParameterWrite", "@p_parameter = ?, @p_value = ?, @p_comment = ?"),
    "WsWrkTask": _plain(
        "WsWrkTask",
        "@p_job_key = ?, @p_task_key = ?, @p_sequence = ?, @p_inserted = ?, @p_updated = ?, @p_replaced = ?, "
        "@p_deleted = ?, @p_discarded = ?, @p_rejected = ?, @p_errored = ?",
    ),
    "WsWrkAudit": _plain("WsWrkAudit", _LINE),
    "WsWrkAuditBulk": _plain("WsWrkAuditBulk", _LINE),
    "WsWrkError": _plain("WsWrkError", f"{_LINE}, @p_msg_type = ?"),
    "WsWrkErrorBulk": _plain("WsWrkErrorBulk", f"{_LINE}, @p_msg_type = ?"),
    "Ws_Job_Clear_Logs_By_Date": _job("Ws_Job_Clear_Logs_By_Date", "@p_job_to_clean = ?, @p_day_count = ?"),
    "Ws_Job_Clear_Logs": _job("Ws_Job_Clear_Logs", "@p_job_to_clean = ?, @p_keep_count = ?"),
    "Ws_Job_Clear_Archive": _job("Ws_Job_Clear_Archive", "@p_day_count = ?, @p_job = ?, @p_options = ?"),
}
# The types of their values, in order: i int, and the longest text.
TYPES: dict[str, list[Any]] = {
    "WsParameterRead": [64],
    "WsParameterReadF": [64],
    "WsParameterWrite": [64, 2000, 256],
    "WsWrkTask": ["i"] * 10,
    "WsWrkAudit": [1, 64, 64, "i", 256, 10, 256, "i", "i"],
    "WsWrkAuditBulk": [1, 64, 64, "i", 10**6, 10, 256, "i", "i"],
    "WsWrkError": [1, 64, 64, "i", 256, 10, 256, "i", "i", 10],
    "WsWrkErrorBulk": [1, 64, 64, "i", 10**6, 10, 256, "i", "i", 10],
    "Ws_Job_Clear_Logs_By_Date": ["i", 64, 64, "i", "i", 64, "i"],
    "Ws_Job_Clear_Logs": ["i", 64, 64, "i", "i", 64, "i"],
    "Ws_Job_Clear_Archive": ["i", 64, 64, "i", "i", "i", 64, 256],
}


def error(kind: type[pyodbc.Error], state: str, text: str) -> pyodbc.Error:
    """Make an error as the driver does."""
    said = f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text} (SQLExecDirectW)"
    return kind(state, said)


def words(text: str) -> str:
    """Write a statement with one blank wherever there is white space."""
    return " ".join(text.split())


class Cursor:
    """What pyodbc's cursor does, as far as syncer uses it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.rowcount = -1
        self._results: list[tuple[tuple[str, ...] | None, Answer, int]] = []

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """The columns of the result at hand; None where it is a count of rows."""
        columns = self._results[0][0] if self._results else None
        return None if columns is None else [(name, str, None, 0, 0, 0, True) for name in columns]

    def execute(self, text: str, *given: Any) -> Cursor:
        """Run a statement or a batch."""
        parameters = list(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else list(given)
        self._results = self.connection.run(text, parameters)
        self.rowcount = self._results[0][2]
        return self

    def fetchone(self) -> Any:
        """Return the next row, None behind the last one."""
        return self._rows().pop(0) if self._rows() else None

    def fetchall(self) -> Answer:
        """Return all rows that are left."""
        rows, left = list(self._rows()), self._rows()
        left.clear()
        return rows

    def nextset(self) -> bool:
        """Go on to the next result."""
        self._results = self._results[1:]
        self.rowcount = self._results[0][2] if self._results else -1
        return bool(self._results)

    def close(self) -> None:
        """Let go of the results."""
        self._results = []

    def _rows(self) -> Answer:
        if self.description is None:
            raise pyodbc.ProgrammingError("No results.  Previous SQL was not a query.")
        return self._results[0][1]


class Connection:
    """What pyodbc's connection does: a transaction begins with the first write."""

    def __init__(self, file: str) -> None:
        self.database = sqlite3.connect(":memory:", isolation_level=None, timeout=30)
        self.database.execute("ATTACH DATABASE ? AS dbo", [file])
        self.is_closed = False

    def cursor(self) -> Cursor:
        """Make a cursor."""
        return Cursor(self)

    def getinfo(self, what: int) -> str:
        """Tell what the server calls itself."""
        assert what == pyodbc.SQL_DBMS_NAME
        return os.environ.get(DBMS, "Microsoft SQL Server")

    def commit(self) -> None:
        """Keep what was written."""
        if self.database.in_transaction:
            self.database.execute("COMMIT")

    def rollback(self) -> None:
        """Keep nothing of it."""
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")

    def close(self) -> None:
        """Roll back, and let go of the file."""
        self.database.close()

    def run(self, text: str, parameters: list[Any]) -> list[tuple[tuple[str, ...] | None, Answer, int]]:
        """Run one statement or batch; return its results, each with columns, rows, and a count."""
        said = words(text)
        if len(parameters) > 2_100:
            raise error(pyodbc.ProgrammingError, "42000", "The incoming request has too many parameters. (8003)")
        for routine, shape in SHAPES.items():
            if said == words(shape):
                return Call(self, routine, parameters).results()
        if said == ROUTINES:
            missing = {row[0] for row in self.sql("SELECT routine FROM dbo.dss_test_missing")}
            return [(("ROUTINE_NAME",), [(each,) for each in SHAPES if each not in missing], -1)]
        if not _WRITES.match(said) and not _READS.match(said):
            raise error(pyodbc.ProgrammingError, *SYNTAX)
        if said.count("VALUES (") and said.count("(?") > 1_000:
            raise error(pyodbc.ProgrammingError, "42000", "The number of row value expressions exceeds 1000. (10738)")
        cursor = self.sql(text, parameters)
        if cursor.description is None:
            return [(None, [], cursor.rowcount)]
        return [(tuple(each[0] for each in cursor.description), cursor.fetchall(), -1)]

    def sql(self, text: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement of SQLite's, in a transaction where it writes."""
        if not self.database.in_transaction and not text.lstrip().startswith("SELECT"):
            self.database.execute("BEGIN IMMEDIATE")
        try:
            return self.database.execute(text, list(parameters))
        except sqlite3.IntegrityError as refused:
            raise error(pyodbc.IntegrityError, "23000", "Violation of a constraint. (2627)") from refused
        except sqlite3.OperationalError as refused:
            raise error(pyodbc.ProgrammingError, "42S02", f"Invalid object name: {refused}. (208)") from refused


class Call:
    """One call of a routine, with what its procedure in repository.sql does."""

    def __init__(self, connection: Connection, routine: str, values: list[Any]) -> None:
        self.sql, self.routine = connection.sql, routine
        self.written: list[int] = []  # the row counts of its statements
        if len(values) != len(TYPES[routine]):
            raise pyodbc.ProgrammingError("The SQL contains another number of parameter markers.", "HY000")
        if self.sql("SELECT 1 FROM dbo.dss_test_missing WHERE routine = ?", [routine]).fetchone():
            if routine.endswith("F"):
                text = f'Cannot find either column "dbo" or the user-defined function or aggregate "dbo.{routine}"'
                raise error(pyodbc.ProgrammingError, "42000", f"{text}, or the name is ambiguous. (4121)")
            raise error(pyodbc.ProgrammingError, "42000", f"Could not find stored procedure 'dbo.{routine}'. (2812)")
        self.values = [self._typed(value, kind) for value, kind in zip(values, TYPES[routine], strict=True)]
        self.given = values
        ((self.noisy, self.fails),) = self.sql("SELECT noisy, fail FROM dbo.dss_test_switch").fetchall()

    def results(self) -> list[tuple[tuple[str, ...] | None, Answer, int]]:
        """Run it; return its results."""
        self.sql(
            "INSERT INTO dbo.dss_test_call (routine, arguments) VALUES (?, ?)", [self.routine, json.dumps(self.given)]
        )
        columns = tuple(re.findall(r" AS (\w+)", SHAPES[self.routine].rpartition("SELECT")[2]))
        does: Callable[[], tuple[Any, ...]] = getattr(self, f"_{self.routine}")
        answer = does()
        # NOCOUNT is on in the batch: only a procedure that switches it off again tells its counts.
        counts = self.written if self.noisy == 2 else []
        return [*((None, [], count) for count in counts), (columns, [answer], -1)]

    def _typed(self, value: Any, kind: Any) -> Any:
        if value is None:
            return None
        if kind == "i":
            if isinstance(value, bool) or not isinstance(value, int):
                text = "Error converting data type nvarchar to int. (8114)"
                raise error(pyodbc.DataError, "22018", text)
            return value
        return str(value)[:kind]  # a parameter that is too long is cut, without a word

    def _write(self, text: str, parameters: Sequence[Any]) -> int:
        count = self.sql(text, parameters).rowcount
        self.written.append(count)
        return count

    def _WsParameterRead(self) -> tuple[Any, ...]:  # noqa: N802  the routine's own name
        if self.fails:
            return -3, None, None
        query = "SELECT dss_parameter_value, dss_parameter_comment FROM dbo.dss_parameter WHERE dss_parameter_name = ?"
        self.written.append(1)
        return (0, *(self.sql(query, self.values).fetchone() or (None, None)))

    def _WsParameterReadF(self) -> tuple[Any, ...]:  # noqa: N802
        query = "SELECT dss_parameter_value FROM dbo.dss_parameter WHERE dss_parameter_name = ?"
        return self.sql(query, self.values).fetchone() or (None,)

    def _WsParameterWrite(self) -> tuple[Any, ...]:  # noqa: N802
        name, value, comment = self.values
        if self.fails or name is None:
            return (-3,)
        update = (
            "UPDATE dbo.dss_parameter SET dss_parameter_value = ?, dss_parameter_comment = "
            "COALESCE(?, dss_parameter_comment) WHERE dss_parameter_name = ?"
        )
        if self._write(update, [value, comment, name]):
            return (1,)
        self._write("INSERT INTO dbo.dss_parameter VALUES (?, ?, ?)", [name, value, comment])
        return (2,)

    def _WsWrkTask(self) -> tuple[Any, ...]:  # noqa: N802
        if self.fails:
            return (-3,)
        sets = ", ".join(f"wtr_{name}_count = ?" for name in _COUNTS)
        where = "wtr_job_key = ? AND wtr_task_key = ? AND wtr_sequence = ?"
        return (0 if self._write(f"UPDATE dbo.ws_wrk_task_run SET {sets} WHERE {where}",
                                 self.values[3:] + self.values[:3]) else -1,)  # fmt: skip

    def _line(self, kind: str, codes: str, count: str) -> tuple[Any, ...]:
        code, job, task, sequence, message, db_code, db_message, task_key, job_key, *more = self.values
        if self.fails or code not in codes:
            return (-3,)
        columns = [f"{kind}_{name}" for name in ("sequence", "job", "task", "status", "message", "db_msg_code",
                                                 "db_msg_desc", "task_key", "job_key")]  # fmt: skip
        columns += ["wd_message_type"] * len(more)
        table = "audit" if kind == "wa" else "error"
        lines = re.split(r"[~\n]", message) if self.routine.endswith("Bulk") else [message]
        for line in lines:
            values = [sequence, job, task, code, line[:256], db_code, db_message, task_key, job_key, *more]
            marks = ", ".join("?" * len(values))
            self._write(f"INSERT INTO dbo.ws_wrk_{table}_log ({', '.join(columns)}) VALUES ({marks})", values)
            self._write(
                f"UPDATE dbo.ws_wrk_task_run SET wtr_{count}_count = wtr_{count}_count + 1 WHERE wtr_job_key = ? "
                "AND wtr_task_key = ? AND wtr_sequence = ?",
                [job_key, task_key, sequence],
            )
        return (1,)

    def _WsWrkAudit(self) -> tuple[Any, ...]:  # noqa: N802
        return self._line("wa", "BISWEF", "info")

    def _WsWrkError(self) -> tuple[Any, ...]:  # noqa: N802
        return self._line("wd", "IWE", "detail")

    _WsWrkAuditBulk, _WsWrkErrorBulk = _WsWrkAudit, _WsWrkError

    def _archived(self, job: str, which: str, values: Sequence[Any], is_wrong: bool) -> tuple[Any, ...]:
        if self.fails:
            return 0, "F", "Forced failure", -3
        known = self.sql("SELECT 1 FROM dbo.ws_wrk_job_log WHERE wjl_job LIKE ?", [job]).fetchone()
        if is_wrong or not known:
            return 0, "E", "No such job or number", -2
        where = f"wjl_job LIKE ? AND {which}"
        moved = self._write(
            "INSERT INTO dbo.ws_wrk_job_archive SELECT wjl_job, wjl_sequence, wjl_completed FROM dbo.ws_wrk_job_log "
            f"AS l WHERE {where}", [job, *values],
        )  # fmt: skip
        self._write(
            "DELETE FROM dbo.ws_wrk_job_log WHERE EXISTS (SELECT 1 FROM dbo.ws_wrk_job_archive AS a WHERE a.wja_job = "
            "wjl_job AND a.wja_sequence = wjl_sequence)", [],
        )  # fmt: skip
        return 0, "S", f"{moved} job logs archived", 1

    def _Ws_Job_Clear_Logs_By_Date(self) -> tuple[Any, ...]:  # noqa: N802
        *_, job, days = self.values
        return self._archived(job, "wjl_completed < ?", [before(days)], days < 0)

    def _Ws_Job_Clear_Logs(self) -> tuple[Any, ...]:  # noqa: N802
        *_, job, keep = self.values
        newer = "SELECT COUNT(*) FROM dbo.ws_wrk_job_log AS n WHERE n.wjl_job = l.wjl_job AND n.wjl_completed > "
        return self._archived(job, f"({newer} l.wjl_completed) >= ?", [keep], keep < 0)

    def _Ws_Job_Clear_Archive(self) -> tuple[Any, ...]:  # noqa: N802
        *_, days, job, options = self.values
        if self.fails:
            return 0, "F", "Forced failure", -3
        if options == "TRUNCATE":
            gone = self._write("DELETE FROM dbo.ws_wrk_job_archive", [])
        else:
            where = "wja_job LIKE ? AND wja_completed < ?"
            gone = self._write(f"DELETE FROM dbo.ws_wrk_job_archive WHERE {where}", [job, before(days)])
        return 0, "S", f"{gone} archived logs removed", 1


def before(days: int) -> str:
    """Write the moment that many days ago, as SQLite has it."""
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")


def batches() -> list[str]:
    """Return the batches of repository.sql."""
    return [each.strip() for each in re.split(r"(?m)^GO$", SCRIPT.read_text(encoding="utf-8")) if each.strip()]


def make(file: Path) -> Path:
    """Make a repository of the tables and rows of repository.sql; return its file."""
    import sqlglot

    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE dss_test_missing (routine TEXT)")
    for batch in batches():
        if _ROWS.search(batch) and "PROCEDURE" not in batch:
            text = sqlglot.parse_one(batch, read="tsql").sql(dialect="sqlite", comments=False)
            database.execute(text.replace(" dbo.", " ").replace("COLLATE Latin1_General_BIN2 ", ""))
    database.close()
    return file


def install() -> None:
    """Put it in the place of `pyodbc.connect` for the DSN that a variable names."""
    pyodbc.connect = in_place_of(pyodbc.connect)


def in_place_of(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `connect` that leads to the stand-in, or to the *real* one."""

    def connect(string: str = "", *more: Any, **options: Any) -> Any:
        found = _DSN.search(string)
        if found is None or found[1] != os.environ.get(DSN):
            return real(string, *more, **options)
        return Connection(os.environ[FILE])

    return connect
