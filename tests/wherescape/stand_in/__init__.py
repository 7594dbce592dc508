"""
RED's repository for tests: a file of its own, and what leads this process, or one that a test starts, to it.

Not here: what the stand-in does (`red_repository.py`), and its tables and first rows (`../repository.sql`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from syncer.wherescape.connections import Connections
from syncer.wherescape.environment import Environment, Login
from syncer.wherescape.procedures import Procedures
from tests.wherescape.stand_in import red_repository

META = "red_meta"


@attrs.frozen
class Red:
    """A repository of the stand-in."""

    file: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to find it: the stand-in's own variables, and those of RED's meta connection."""
        return {
            red_repository.DSN: META,
            red_repository.FILE: str(self.file),
            "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[3]))),
            "WSL_META_DSN": META,
            "WSL_META_USER": "red",
            "WSL_META_PWD": "not-a-secret",
            "WSL_META_SCHEMA": "dbo.",
        }

    def environment(self, **more: Any) -> Environment:
        """What RED says of a task of a job that runs."""
        told: dict[str, Any] = {
            "meta": Login(dsn=META, user="red", password="not-a-secret"),
            "load_table": "load_jira_issue",
            "sequence": 1234,
            "job_key": 9999,
            "job_name": "Local env",
            "task_key": 6666,
            "task_name": "load_jira_issue",
            "is_inside_red": True,
        }
        return Environment(**{**told, **more})

    def procedures(self, **more: Any) -> Procedures:
        """RED's procedures, called by that task."""
        return Procedures.of(Connections(self.environment(**more)))

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the file, or tell it something, behind everybody's back."""
        database = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        try:
            return database.execute(query, list(parameters)).fetchall()
        finally:
            database.close()

    def calls(self) -> list[tuple[str, list[Any]]]:
        """Return the calls that were committed, each with its values."""
        found = self.rows("SELECT routine, arguments FROM dss_test_call ORDER BY call_no")
        return [(routine, json.loads(arguments)) for routine, arguments in found]

    def switch(self, *, noisy: int = 0, fail: int = 0) -> None:
        """Have the procedures tell row counts, or fail."""
        self.rows("UPDATE dss_test_switch SET noisy = ?, fail = ?", [noisy, fail])

    def lacks(self, routine: str) -> None:
        """Take a routine away."""
        self.rows("INSERT INTO dss_test_missing VALUES (?)", [routine])
