"""
The three connections of a host script: `meta` (RED's repository), `target` (the warehouse) and `source`.

Each is made when it is first used, once, and closed at the end. What runs alone is a transaction of its own; inside
`with connection.transaction():` all of it is kept, or nothing. No password, and no value of a row, is in an error.

Not here: the calls of RED's procedures (`procedures.py`), and the warehouse that syncer itself writes (`warehouses/`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import attrs

from syncer import sql
from syncer.errors import SyncerError, UsageError, WarehouseError, WarehouseLost
from syncer.odbc import connecting, faults
from syncer.odbc.strings import ConnectionString

if TYPE_CHECKING:
    import pyodbc

    from syncer.wherescape.environment import Environment, Login

MOST_PARAMETERS = 2_000  # of one statement; SQL Server takes 2,100, and PostgreSQL 65,535
MOST_ROWS = 1_000  # of one VALUES, which is SQL Server's limit
POSTGRESQL = "PostgreSQL"  # as a server calls itself
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_PART = re.compile(r'"((?:[^"]|"")*)"|\[((?:[^\]]|\]\])*)\]|([^".\[\]]+)')
_NO_ROUTINE = re.compile(r"Could not find stored procedure '([^']+)'|user-defined function or aggregate \"([^\"]+)\"")
ONLY_SQL_SERVER = "syncer reads repositories on SQL Server only, since how PostgreSQL's routines answer is not known."


@attrs.frozen
class Rows:
    """What a query answered: a sequence of rows, and the names of their columns."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]] = attrs.field(factory=tuple, repr=False)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield each row."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        """Return a row by its place."""
        return self.rows[place]

    def named(self) -> list[dict[str, Any]]:
        """Return each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@attrs.define
class Connection:
    """A connection of a host script; `name` is meta, target or source."""

    name: str
    login: Login = attrs.field(repr=False)
    _made: pyodbc.Connection | None = attrs.field(default=None, init=False, repr=False)
    _depth: int = attrs.field(default=0, init=False)
    _is_broken: bool = attrs.field(default=False, init=False)
    _is_lost: bool = attrs.field(default=False, init=False)

    @property
    def told(self) -> str:
        """What it is called in messages."""
        return f"the {self.name} connection (DSN {self.login.dsn})"

    @property
    def dbms(self) -> str:
        """What the server calls itself. Raises WarehouseError."""
        return str(self._connection().getinfo(connecting.manager().SQL_DBMS_NAME))

    def query(self, text: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run a statement, `?` for each parameter; return its rows, none where it has none. Raises WarehouseError."""
        with self._cursor() as cursor:
            cursor.execute(text, list(parameters))
            while cursor.description is None:  # counts of rows come first where nobody switched them off
                if not cursor.nextset():
                    return Rows(())
            return Rows(_names(cursor), [tuple(row) for row in cursor.fetchall()])

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement to its end; return how many rows it wrote, -1: it does not say. Raises WarehouseError."""
        with self._cursor() as cursor:
            cursor.execute(text, list(parameters))
            written = int(cursor.rowcount)
            while cursor.nextset():  # an error may stand behind a result
                written = max(written, int(cursor.rowcount))
            return written

    def call(self, text: str, parameters: Sequence[Any], *, columns: Sequence[str]) -> tuple[Any, ...]:
        """
        Run a batch that answers with one row of *columns*; return that. What comes before it, counts of rows and
        results of a procedure's own, is passed over, and what comes behind is run to its end. Raises WarehouseError.
        """
        answer: tuple[Any, ...] | None = None
        with self._cursor() as cursor:
            cursor.execute(text, list(parameters))
            while True:
                if cursor.description is not None and _names(cursor) == tuple(columns):
                    row = cursor.fetchone()
                    answer = answer if row is None else tuple(row)
                if not cursor.nextset():
                    break
            if answer is None:
                raise WarehouseError(f"{_sentence(self.told)}: a batch ended without its answer.")
        return answer

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """
        Insert rows into a table in one transaction; return how many, 0 where there are none.

        table: SCHEMA.TABLE, parts in quotes or brackets where they hold other letters. columns: exactly as they are,
        in the order of the values; they are quoted. Raises: WarehouseError; UsageError: a row has another length.
        """
        place, names, count = table_name(table), sql.names(columns), 0
        most = max(min(MOST_ROWS, MOST_PARAMETERS // max(len(columns), 1)), 1)
        one = f"({', '.join('?' * len(columns))})"
        with self.transaction():
            for batch in _batches(rows, most):
                values = [value for row in batch for value in row]
                if any(len(row) != len(columns) for row in batch):
                    raise UsageError(f"{table}: a row has not as many values as there are columns ({len(columns)}).")
                self.execute(f"INSERT INTO {place} ({names}) VALUES {', '.join([one] * len(batch))}", values)
                count += len(batch)
        return count

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """
        Keep all of what is run inside, or nothing; one inside another is part of it.

        Raises: WarehouseError: it was not kept, also where somebody caught the error of a statement inside. The first
        error is the one that is raised, whatever rolling back says.
        """
        self._depth += 1
        is_kept = False
        try:
            yield
            if self._depth == 1:
                self._commit()
            is_kept = True
        finally:
            self._depth -= 1
            self._is_broken = self._is_broken or not is_kept
            if self._depth == 0 and self._is_broken:
                self._is_broken = False
                self._roll_back()

    def close(self) -> None:
        """Close it; what was not committed is not kept."""
        made, self._made, self._is_lost = self._made, None, False
        if made is not None:
            with contextlib.suppress(connecting.manager().Error):
                made.close()

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[pyodbc.Cursor]:
        """Lend a cursor in a transaction, its own or the one that is open, and tell what the server refuses."""
        with self.transaction():
            cursor = self._connection().cursor()
            try:
                yield cursor
            except connecting.manager().Error as error:
                raise self._refused(error) from None  # its text may have a row's values
            finally:
                with contextlib.suppress(connecting.manager().Error):
                    cursor.close()

    def _connection(self) -> pyodbc.Connection:
        if self._made is None:
            self._made = connect(self.name, self.login)
        return self._made

    def _commit(self) -> None:
        if self._is_broken:
            raise WarehouseError(
                f"{_sentence(self.told)}: a statement of this transaction failed, so nothing of it was kept.",
                hint="Let the error of that statement through, or run it outside the transaction.",
            )
        if self._made is not None:
            try:
                self._made.commit()
            except connecting.manager().Error as error:
                raise self._refused(error) from None

    def _roll_back(self) -> None:
        if self._made is None:
            return
        try:
            self._made.rollback()
        except connecting.manager().Error:
            self._is_lost = True
        if self._is_lost:  # some drivers roll back what is no more, without a word
            self.close()

    def _refused(self, error: BaseException) -> WarehouseError:
        """Tell what the server refused, without what may be of a row."""
        if found := _NO_ROUTINE.search(faults.text_of(error)):
            return WarehouseError(
                f"{_sentence(self.told)}: the repository has no routine {found[1] or found[2]}.",
                hint="RED 10 lists some routines of RED 9 no longer (those of job logs). Is WSL_META_SCHEMA right, "
                "and may this user execute it?",
            )
        if faults.is_lost(error):
            self._is_lost = True
            return WarehouseLost(f"{_sentence(self.told)} was lost: {faults.shown(error)}.", hint="Run it again.")
        return WarehouseError(f"{_sentence(self.told)}: {faults.shown(error)}.")


@attrs.define
class Connections:
    """The connections of a host script; `with` closes them."""

    environment: Environment
    _made: dict[str, Connection] = attrs.field(factory=dict, init=False)

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    @property
    def meta(self) -> Connection:
        """RED's repository. Raises UsageError: it is on PostgreSQL, or none is named."""
        if "meta" in self._made:
            return self._made["meta"]
        schema = self.environment.meta_schema
        if schema.rstrip(".").lower() == "red":
            raise UsageError(f"WSL_META_SCHEMA is {schema}, a repository on PostgreSQL.", hint=ONLY_SQL_SERVER)
        connection = self._connection("meta")
        if connection.dbms == POSTGRESQL:
            self._made.pop("meta").close()
            raise UsageError(f"{_sentence(connection.told)} leads to PostgreSQL.", hint=ONLY_SQL_SERVER)
        return connection

    @property
    def target(self) -> Connection:
        """The warehouse that holds the load table. Raises UsageError: none is named."""
        return self._connection("target")

    @property
    def source(self) -> Connection:
        """The source of the load table, where that is a database. Raises UsageError: none is named."""
        return self._connection("source")

    def close(self) -> None:
        """Close all of them."""
        for connection in self._made.values():
            connection.close()
        self._made.clear()

    def _connection(self, name: str) -> Connection:
        if name not in self._made:
            login: Login = getattr(self.environment, name)
            if not login.dsn:
                raise UsageError(
                    f"No {name} connection: {_variable(name, 'DSN')} is not set.",
                    hint="RED sets it for a host script of an object with that connection.",
                )
            self._made[name] = Connection(name, login)
        return self._made[name]


def connect(name: str, login: Login) -> pyodbc.Connection:
    """Connect as *login* says, within 30 seconds, autocommit off. Raises WarehouseError, without a secret."""
    link = connecting.Link(string=string_of(login))
    try:
        return connecting.connect(link, {"sslmode": "prefer"} if connecting.is_psqlodbc(link) else {})
    except connecting.manager().Error as error:  # a server that may be there in a moment
        found: SyncerError = connecting.refused(link, error)
    except SyncerError as error:
        found = error
    hint = found.hint
    if "SYNCER_WAREHOUSE" in hint:  # those are not what a host script sets
        hint = f"Check {_variable(name, 'USER')} and {_variable(name, 'PWD')}: user and password of RED's connection."
    raise WarehouseError(f"The {name} connection: {found.message}", hint=hint) from None


def string_of(login: Login) -> ConnectionString:
    """Return `DSN=…;UID=…;PWD=…`; without user and password where they are empty: the login is then the system's."""
    parts = {"DSN": login.dsn, "UID": login.user, "PWD": login.password}
    return ConnectionString({key: value for key, value in parts.items() if value})


def warehouse_of(login: Login) -> ConnectionString:
    """Return the string by which syncer's own warehouse is reached: as a host script would, with TLS where it can."""
    string = string_of(login)
    link = connecting.Link(string=string)
    return string.with_defaults({"SSLmode": "prefer"}) if connecting.is_psqlodbc(link) else string


def table_name(text: str) -> str:
    """
    Write the name of a table, SCHEMA.TABLE or TABLE, for a statement. A part that is plain stays as it is, so that
    the server reads it as RED meant it; any other is quoted. Raises UsageError: it is no name.
    """
    parts, place = [], 0
    while (found := _PART.match(text, place)) is not None:
        quoted, bracketed, plain = found.groups()
        if plain is not None and _PLAIN.fullmatch(plain):
            parts.append(plain)
        else:
            exact = quoted.replace('""', '"') if quoted is not None else (bracketed or plain).replace("]]", "]")
            parts.append(sql.quoted(exact))
        place = found.end()
        if place == len(text):
            return ".".join(parts)
        if text[place] != ".":
            break
        place += 1
    raise UsageError(f"'{text}' is no name of a table.", hint='Write SCHEMA.TABLE; a part with other letters in "".')


def _variable(name: str, what: str) -> str:
    return f"WSL_{ {'meta': 'META', 'target': 'TGT', 'source': 'SRC'}[name] }_{what}"


def _sentence(told: str) -> str:
    return told[0].upper() + told[1:]


def _names(cursor: pyodbc.Cursor) -> tuple[str, ...]:
    return tuple(str(each[0]) for each in cursor.description)


def _batches(rows: Iterable[Sequence[Any]], most: int) -> Iterator[list[Sequence[Any]]]:
    batch: list[Sequence[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == most:
            yield batch
            batch = []
    if batch:
        yield batch
