"""
The calls of RED's procedures: each a batch of T-SQL of one shape, whose answer is fetched and looked at.

Row counts are switched off first (`SET NOCOUNT ON`), what the procedure returns goes into variables of its own types,
and one SELECT at the end answers with the return code and all OUT values. A code below 0 is an error. Texts are cut to
what the procedure takes before they are sent. Note the order of keys: `WsWrkTask` begins with job and task, the log
lines end with task and job; all are passed by name.

Not here: what a parameter means (`parameters.py`), and which counts a run has (`tasklog.py`).

Source: WhereScape RED user guide, "Callable Routines API": SQL Server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer.errors import UsageError, WarehouseError

if TYPE_CHECKING:
    from syncer.wherescape.connections import Connection, Connections
    from syncer.wherescape.environment import Environment

LONGEST_NAME, LONGEST_MESSAGE, LONGEST_CODE = 64, 256, 10
AUDIT_CODES, ERROR_CODES = "BISWEF", "IWE"
UPDATED, ADDED = 1, 2
ALL_JOBS, TRUNCATE = "%", "TRUNCATE"
CODE = "return_code"  # the first column of each answer
COMMON = ("p_sequence", "p_job_name", "p_task_name", "p_job_id", "p_task_id")
JOB_LOG_OUTS = (("p_return_code", "varchar(1)"), ("p_return_msg", "varchar(256)"), ("p_result", "int"))
LINE = ("p_status_code", "p_job_name", "p_task_name", "p_sequence", "p_message", "p_db_code", "p_db_msg", "p_task_key",
        "p_job_key")  # fmt: skip


@attrs.frozen
class Routine:
    """A procedure: its name, its inputs in their order, its OUT parameters with their types."""

    name: str
    inputs: tuple[str, ...]
    outs: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its answer."""
        return (CODE, *(name for name, _ in self.outs))

    def batch(self, schema: str) -> str:
        """Write the call; *schema* ends in a dot."""
        variables = ["@code int", *(f"@{name} {kind}" for name, kind in self.outs)]
        given = [f"@{name} = ?" for name in self.inputs] + [f"@{name} = @{name} OUTPUT" for name, _ in self.outs]
        answer = [f"@code AS {CODE}", *(f"@{name} AS {name}" for name, _ in self.outs)]
        return (
            f"SET NOCOUNT ON;\nDECLARE {', '.join(variables)};\n"
            f"EXEC @code = {schema}{self.name} {', '.join(given)};\nSELECT {', '.join(answer)};"
        )


PARAMETER_READ = Routine(
    "WsParameterRead", ("p_parameter",), (("p_value", "varchar(2000)"), ("p_comment", "varchar(256)"))
)
PARAMETER_WRITE = Routine("WsParameterWrite", ("p_parameter", "p_value", "p_comment"))
TASK = Routine(
    "WsWrkTask",
    ("p_job_key", "p_task_key", "p_sequence", "p_inserted", "p_updated", "p_replaced", "p_deleted", "p_discarded",
     "p_rejected", "p_errored"),
)  # fmt: skip
AUDIT, AUDIT_BULK = Routine("WsWrkAudit", LINE), Routine("WsWrkAuditBulk", LINE)
ERROR, ERROR_BULK = Routine("WsWrkError", (*LINE, "p_msg_type")), Routine("WsWrkErrorBulk", (*LINE, "p_msg_type"))
CLEAR_LOGS_BY_DATE = Routine("Ws_Job_Clear_Logs_By_Date", (*COMMON, "p_job_to_clean", "p_day_count"), JOB_LOG_OUTS)
CLEAR_LOGS = Routine("Ws_Job_Clear_Logs", (*COMMON, "p_job_to_clean", "p_keep_count"), JOB_LOG_OUTS)
CLEAR_ARCHIVE = Routine("Ws_Job_Clear_Archive", (*COMMON, "p_day_count", "p_job", "p_options"), JOB_LOG_OUTS)
ROUTINES = (PARAMETER_READ, PARAMETER_WRITE, TASK, AUDIT, AUDIT_BULK, ERROR, ERROR_BULK, CLEAR_LOGS_BY_DATE,
            CLEAR_LOGS, CLEAR_ARCHIVE)  # fmt: skip


@attrs.frozen(kw_only=True)
class Caller:
    """Who calls: the task of a job that runs; outside of one the numbers are 0."""

    sequence: int = 0
    job_name: str = ""
    task_name: str = ""
    job_key: int = 0
    task_key: int = 0

    @classmethod
    def of(cls, environment: Environment) -> Caller:
        """Return what the environment says."""
        return cls(
            sequence=environment.sequence,
            job_name=environment.job_name[:LONGEST_NAME],
            task_name=environment.task_name[:LONGEST_NAME],
            job_key=environment.job_key,
            task_key=environment.task_key,
        )

    @property
    def common(self) -> tuple[Any, ...]:
        """The inputs that the routines of jobs begin with, in their order."""
        return self.sequence, self.job_name, self.task_name, self.job_key, self.task_key


@attrs.frozen(kw_only=True)
class Line:
    """
    One line of a log: a status code (B begin, I information, S success, W warning, E error, F fatal; the detail log
    has I, W, E), what to say, and what a database said. Raises UsageError: another code.
    """

    code: str
    message: str
    db_code: str = ""
    db_message: str = ""


@attrs.frozen(kw_only=True)
class JobLog:
    """What a routine of job logs answered: S success, E error, F fatal; its message; 1 done, -2 refused, -3 failed."""

    code: str
    message: str
    result: int


@attrs.frozen
class Procedures:
    """RED's procedures, called through the meta connection. All raise WarehouseError: refused, or a code below 0."""

    meta: Connection
    schema: str = "dbo."
    caller: Caller = attrs.field(factory=Caller)

    @classmethod
    def of(cls, connections: Connections) -> Procedures:
        """Return those that the environment of a host script leads to. Raises UsageError: no repository is named."""
        found = connections.environment
        return cls(connections.meta, found.meta_schema, Caller.of(found))

    def read_parameter(self, name: str) -> tuple[str | None, str | None]:
        """
        Return a parameter's value and comment; None and None for an unknown one, as each is whose name RED has no room
        for: it would be cut, and be another's.
        """
        if len(name) > LONGEST_NAME:
            return None, None
        _, value, comment = self._called(PARAMETER_READ, [name])
        return value, comment

    def parameter(self, name: str) -> str | None:
        """Return a parameter's value by the function that a SELECT may use; None for an unknown one."""
        if len(name) > LONGEST_NAME:
            return None
        answer = self.meta.call(f"SELECT {self.schema}WsParameterReadF(?) AS p_value;", [name], columns=["p_value"])
        return None if answer[0] is None else str(answer[0])

    def write_parameter(self, name: str, value: str, comment: str | None = None) -> int:
        """Write a parameter; a comment of None keeps the one that is there. Returns: 1 updated, 2 added."""
        given = None if comment is None else cut(comment, LONGEST_MESSAGE)
        code, *_ = self._called(PARAMETER_WRITE, [name, value, given])
        return int(code)

    def task_counts(self, counts: Sequence[int]) -> None:
        """
        Tell the scheduler the rows of this task: inserted, updated, replaced, deleted, discarded, rejected, errored.

        Raises WarehouseError also where RED has no such task running (-1).
        """
        who = self.caller
        self._called(TASK, [who.job_key, who.task_key, who.sequence, *counts])

    def audit(self, line: Line) -> None:
        """Write a line of the audit log, cut to 256 letters."""
        self._called(AUDIT, self._line(line, AUDIT_CODES, cut(line.message, LONGEST_MESSAGE)))

    def audit_bulk(self, line: Line) -> None:
        """Write a text into the audit log, a row a line of it."""
        self._called(AUDIT_BULK, self._line(line, AUDIT_CODES, lines_of(line.message)))

    def error(self, line: Line, message_type: str = "") -> None:
        """Write a line of the detail log, cut to 256 letters."""
        values = self._line(line, ERROR_CODES, cut(line.message, LONGEST_MESSAGE))
        self._called(ERROR, [*values, cut(message_type, LONGEST_CODE)])

    def error_bulk(self, line: Line, message_type: str = "") -> None:
        """Write a text into the detail log, a row a line of it."""
        values = self._line(line, ERROR_CODES, lines_of(line.message))
        self._called(ERROR_BULK, [*values, cut(message_type, LONGEST_CODE)])

    def clear_logs_by_date(self, *, days: int = 90, job: str = ALL_JOBS) -> JobLog:
        """Archive job logs that are older than *days* (0: all), of jobs whose name is like *job*."""
        return self._job_logs(CLEAR_LOGS_BY_DATE, [job, days], job=job, number=days)

    def clear_logs(self, *, keep: int, job: str = ALL_JOBS) -> JobLog:
        """Archive all job logs but those of the last *keep* runs."""
        return self._job_logs(CLEAR_LOGS, [job, keep], job=job, number=keep)

    def clear_archive(self, *, days: int = 365, job: str = ALL_JOBS, is_truncated: bool = False) -> JobLog:
        """Delete archived logs that are older than *days*; *is_truncated*: all there are, of every job."""
        given = [days, job, TRUNCATE if is_truncated else ""]
        return self._job_logs(CLEAR_ARCHIVE, given, job=job, number=days)

    def _called(self, routine: Routine, values: Sequence[Any]) -> tuple[Any, ...]:
        answer = self.meta.call(routine.batch(self.schema), values, columns=routine.columns)
        if answer[0] is not None and int(answer[0]) < 0:
            why = " (no such task is running)" if routine is TASK and int(answer[0]) == -1 else ""
            raise WarehouseError(f"{self.schema}{routine.name} answered {answer[0]}{why}.", hint=HINTS[routine.name])
        return answer

    def _job_logs(self, routine: Routine, values: Sequence[Any], *, job: str, number: int) -> JobLog:
        _check_job_logs(routine, job, number)
        _, code, message, result = self._called(routine, [*self.caller.common, *values])
        found = JobLog(code=str(code or "").strip(), message=str(message or "").strip(), result=int(result or 0))
        if found.result != 1 or found.code != "S":
            told = f"{found.result} ({found.code}): {found.message or 'no message'}"
            raise WarehouseError(f"{self.schema}{routine.name} answered {told}.", hint=HINTS[routine.name])
        return found

    def _line(self, line: Line, codes: str, message: str) -> list[Any]:
        if len(line.code) != 1 or line.code not in codes:
            raise UsageError(f"The status code of a log line is {line.code!r}; choices: {', '.join(codes)}.")
        who = self.caller
        db_code, db_message = cut(line.db_code, LONGEST_CODE), cut(line.db_message, LONGEST_MESSAGE)
        return [
            line.code, who.job_name, who.task_name, who.sequence, message, db_code, db_message, who.task_key,
            who.job_key,
        ]  # fmt: skip


def _check_job_logs(routine: Routine, job: str, number: int) -> None:
    """Refuse what RED would cut, or take for another number. Raises UsageError."""
    why = ""
    if not isinstance(job, str) or not 0 < len(job) <= LONGEST_NAME:
        why = f"a job's name of {len(job):,} letters" if isinstance(job, str) else f"the job {job!r}"
    elif not isinstance(number, int) or isinstance(number, bool) or number < 0:
        why = f"{number!r} days or runs"
    if why:
        hint = f"A job's name has 1 to {LONGEST_NAME} letters, and may have %; days and runs are 0 or more."
        raise UsageError(f"{routine.name} cannot take {why}; nothing was removed.", hint=hint)


_ROLE = "Has the user of the meta connection the rights that RED's own scheduler has?"
_JOB = "The job is given by its exact name, or with % for any letters; days are 0 or more."
HINTS = {
    **{routine.name: _ROLE for routine in ROUTINES},
    **{routine.name: _JOB for routine in (CLEAR_LOGS, CLEAR_LOGS_BY_DATE, CLEAR_ARCHIVE)},
}


def cut(text: str, longest: int) -> str:
    """Write a text in one line of at most *longest* letters; one that was longer ends in `…`."""
    one = " ".join(text.split())
    return one if len(one) <= longest else f"{one[: longest - 1]}…"


def lines_of(text: str) -> str:
    """
    Write a text as the routines of several lines take it: they part it at each line feed and each `~`, so that one of
    the text's own becomes a `-`; a longer line goes on in the next one.
    """
    lines = [line.rstrip() for line in text.replace("~", "-").splitlines()]
    pieces = [line[at : at + LONGEST_MESSAGE] for line in lines for at in range(0, len(line), LONGEST_MESSAGE)]
    return "\n".join(pieces)
