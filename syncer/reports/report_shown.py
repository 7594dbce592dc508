"""
What an operation reported, for people, for programs and as CSV: new findings first, then what was told before,
measurements as a table.

What a report holds are names and counts, never a record's values. Not here: making it (`reporting.py`).
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from syncer.errors import UsageError
from syncer.findings import Line, Report
from syncer.journal import DONE
from syncer.reports import terminal
from syncer.reports.terminal import clean, counted, painted

FIRST = 50  # lines of a kind that are shown
CSV = ".csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would carry out what begins so


def lines(report: Report, stream: TextIO, *, most: int = FIRST) -> Iterator[str]:
    """
    Yield a report line by line. What is kept, has nothing new and is watched by nobody is one line, with its notes:
    a scheduler would send the rest to somebody each night.
    """
    if report.status != DONE:
        yield f"run {report.operation} failed: {clean(report.error)}"
        return
    run = f"; run {report.run}" if report.run is not None else "; not kept: a dry run"
    requests = f"; {counted(report.requests, 'request')}" if report.requests else ""
    yield painted(f"run {report.operation}: {report.told}{requests}{run}", "bold", stream)
    for note in report.notes:
        yield f"  {clean(note)}"
    if report.run is not None and not report.new and not stream.isatty():
        return
    yield from _measured(report, stream, most)
    yield from _found(report.new, "new", stream, most)
    yield from _found([line for line in report.findings if not line.is_new], "told before", stream, most)


def _measured(report: Report, stream: TextIO, most: int) -> Iterator[str]:
    rows = [line for line in report.lines if not line.is_finding]
    if not rows:
        return
    yield ""
    shown = [[clean(_text(line.values.get(name))) for name in report.columns] for line in rows[:most]]
    yield from terminal.table(list(report.columns), shown, stream)
    if len(rows) > most:
        yield f"  … and {len(rows) - most:,} more: --report FILE.csv has all of them."


def _found(found: list[Line], what: str, stream: TextIO, most: int) -> Iterator[str]:
    if not found:
        return
    yield ""
    yield painted(f"{counted(len(found), 'finding')}, {what}", "bold", stream)
    sign = painted("!", "yellow", stream) if what == "new" else "·"
    for line in found[:most]:
        yield f"  {sign} {clean(line.text)}"
    if len(found) > most:
        yield f"  … and {len(found) - most:,} more: --report FILE.csv has all of them."


def document(report: Report) -> dict[str, Any]:
    """Return a report for programs, whole; a line has what it knows beside its columns, too."""
    entry: dict[str, Any] = {
        "run": report.run,
        "operation": report.operation,
        "environment": report.environment,
        "status": report.status,
        "columns": list(report.columns),
        "lines": [
            {
                "key": line.key,
                "text": line.text,
                "is_finding": line.is_finding,
                "is_new": line.is_new,
                "is_unseen": line.unseen is not None,
                "values": {**dict.fromkeys(report.columns), **line.values},
            }
            for line in report.lines
        ],
        "findings": len(report.findings),
        "new": len(report.new),
        "gone": list(report.gone),
        "unseen": report.unseen,
        "hidden": list(report.hidden),
        "notes": list(report.notes),
        "requests": report.requests,
    }
    return {**entry, "error": report.error} if report.error else entry


def check(path: Path) -> None:
    """Raise UsageError where a report cannot be written to *path*: it is no CSV, or its folder is not there."""
    if path.suffix.lower() != CSV:
        raise UsageError(f"--report {path}: a report of an operation is written as CSV.", hint="Name it FILE.csv.")
    if not path.parent.is_dir():
        raise UsageError(f"--report {path}: the folder {path.parent} is not there.")


def write(report: Report, path: Path) -> None:
    """Write all lines of a report as CSV, in the order of its columns. Raises UsageError where that cannot be done."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(report.columns)
            writer.writerows([_cell(line.values.get(name)) for name in report.columns] for line in report.lines)
    except OSError as error:
        raise UsageError(f"The report {path} cannot be written: {error.strerror}.") from error


def _cell(value: Any) -> Any:
    text = _text(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, dt.date) else str(value)
