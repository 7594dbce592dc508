"""
A RED site: a repository (the stand-in), a warehouse (PostgreSQL, reached through a DSN), the APIs (the sandbox), and
host scripts as RED starts them: a child process that knows nothing but its environment.

Between two of them a test does what RED does: it empties a load table, and carries it on to `datastore.ds_…`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Sandbox
from syncer.sandbox.server import Sandbox as Server
from syncer.verbs.sandbox import Amount, built, variables
from tests.backends import BACKENDS, Database
from tests.servers import postgresql
from tests.wherescape.stand_in import Red

TARGET = "red_target"
JOB, SEQUENCE, TASK = 9999, 1234, 6666
SCRIPT_S = 120


@attrs.frozen
class Ended:
    """How a host script ended, as RED sees it."""

    code: int
    out: str
    err: str

    @property
    def status(self) -> str:
        """The first line."""
        return self.out.partition("\n")[0]

    @property
    def message(self) -> str:
        """The second line."""
        return (self.out.splitlines() + ["", ""])[1]


@attrs.define
class RedSite:
    """A site of RED's, as a test has it."""

    folder: Path
    red: Red
    sandbox: Server
    database: Database
    sequence: int = SEQUENCE

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        return self.database.rows(query, parameters)

    def environment(self, table: str = "", *, source: str = "", schema: str = "load", **more: str) -> dict[str, str]:
        """Return what RED sets for a host script on a table whose source connection leads to an API of the sandbox."""
        found = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("WSL_", "SYNCER_"))},
            **self.red.variables,
            "ODBCINI": str(self.folder / "odbc.ini"),
            "SYNCER_CACHE": str(self.folder / "cache"),
            "WSL_TGT_DSN": TARGET,
            "WSL_TGT_USER": "postgres",
            "WSL_TGT_PWD": "",
            "WSL_WORKDIR": f"{self.folder}\\",
            "WSL_SEQUENCE": str(self.sequence),
            "WSL_JOB_KEY": str(JOB),
            "WSL_JOB_NAME": "nightly",
            "WSL_TASK_KEY": str(TASK),
            "WSL_TASK_NAME": table or "confirm",
        }
        if table:
            found |= {"WSL_LOAD_TABLE": table, "WSL_LOAD_SCHEMA": schema, "WSL_LOAD_FULLNAME": f"{schema}.{table}"}
        if source:
            known = variables(self.sandbox)
            for what, field in (("URL", "url"), ("TOKEN", "apikey"), ("USER", "user")):
                if value := known.get(f"SYNCER_{source.upper()}_{what}"):
                    found[f"WSL_SRCCFG_{field}"] = value
        return {**found, **more}

    def run(self, script: str, table: str = "", *, source: str = "", **more: str) -> Ended:
        """Run a host script in a process of its own, to its end; several may run at once, each of its own table."""
        file = self.folder / f"host_script_{table or 'confirm'}.py"
        file.write_text(f"from syncer import wherescape\n{script}\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(file)],
            cwd=self.folder,
            env=self.environment(table, source=source, **more),
            capture_output=True,
            timeout=SCRIPT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def make(self, table: str, columns: Sequence[tuple[str, str]]) -> None:
        """Make a load table as RED does, and the table that it is carried on to."""
        spelled = ", ".join(f'"{name}" {kind}' for name, kind in columns)
        self.rows("CREATE SCHEMA IF NOT EXISTS load")
        self.rows("CREATE SCHEMA IF NOT EXISTS datastore")
        self.rows(f"CREATE TABLE load.{table} ({spelled}, dss_record_source varchar(256), dss_load_date timestamp)")
        self.rows(f"CREATE TABLE datastore.ds_{table.removeprefix('load_')} (LIKE load.{table})")

    def make_as_described(self, table: str) -> None:
        """Make a load table out of the columns that RED's repository has for it, and the table behind it."""
        columns = self.red.rows(
            "SELECT c.lc_col_name, c.lc_data_type FROM ws_load_col AS c JOIN ws_load_tab AS t "
            "ON t.lt_obj_key = c.lc_obj_key WHERE t.lt_table_name = ? ORDER BY c.lc_order",
            [table],
        )
        spelled = ", ".join(f'"{name}" {kind}' for name, kind in columns)
        self.rows("CREATE SCHEMA IF NOT EXISTS load")
        self.rows("CREATE SCHEMA IF NOT EXISTS datastore")
        self.rows(f"CREATE TABLE load.{table} ({spelled})")
        self.rows(f"CREATE TABLE datastore.ds_{table.removeprefix('load_')} (LIKE load.{table})")

    def no_marks(self) -> None:
        """Take the marks of before away: a site that never had them."""
        self.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name LIKE '%high_water_mark%'")

    def truncate(self, table: str) -> None:
        """Do what RED does before it starts the script of a load table."""
        self.rows(f"TRUNCATE load.{table}")

    def carry(self, table: str, *key: str, fails: bool = False) -> None:
        """
        Do what RED's procedure does behind it: the rows of the load table replace those of their key. One that tells
        of a record that is not live any more may have no values: the old ones stay, and get its state.

        fails: it fails as its last statement is done, and has done nothing.
        """
        to, source = f"datastore.ds_{table.removeprefix('load_')}", f"load.{table}"
        known = self.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'load' AND table_name = ?",
            [table],
        )
        own = [name for (name,) in known if name.startswith("dss_") and name != "dss_record_source"]
        values = [name for (name,) in known if not name.startswith("dss_")]
        same = " AND ".join(f'd."{column}" IS NOT DISTINCT FROM l."{column}"' for column in key)
        steps = []
        is_live = "TRUE"
        if "dss_record_state" in own:
            is_live = "l.dss_record_state = 'live'"
            kept = (f'"{name}" = COALESCE(l."{name}", d."{name}")' for name in values)
            told = ", ".join([*(f"{name} = l.{name}" for name in own), *kept])
            steps.append(f"UPDATE {to} AS d SET {told} FROM {source} AS l WHERE NOT {is_live} AND {same}")
        steps += [
            f"DELETE FROM {to} AS d USING {source} AS l WHERE {is_live} AND {same}",
            f"INSERT INTO {to} SELECT * FROM {source} AS l WHERE {is_live} OR NOT EXISTS "
            f"(SELECT 1 FROM {to} AS d WHERE {same})",
            *(["PERFORM 1 / 0"] if fails else []),
        ]
        self.rows(f"DO $$ BEGIN {'; '.join(steps)}; END $$")


@contextlib.contextmanager
def red_site(folder: Path, red: Red, *, amount: Amount | None = None, seed: int = 1) -> Iterator[RedSite]:
    """Start the APIs, make a database, and write where a DSN leads."""
    database = BACKENDS["postgresql"](folder)
    server = postgresql.shared()
    name = next(part.partition("=")[2] for part in database.setting.split(";") if part.startswith("Database="))
    (folder / "odbc.ini").write_text(
        f"[{TARGET}]\nDriver = {postgresql.DRIVER}\nServername = 127.0.0.1\nPort = {server.port}\nDatabase = {name}\n",
        encoding="utf-8",
    )
    sandbox: Sandbox = built(amount or Amount(3, 40), seed=seed, port=0)
    try:
        with sandbox:
            yield RedSite(folder, red, sandbox, database)
    finally:
        database.close()
