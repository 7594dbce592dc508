"""
The load style `mirror`, the default: the load table is a copy of the source, and the base of comparison is that table
itself.

So whatever somebody did to the table is seen, and healed by `--full`. Not here: the style `delta` (`offers.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from syncer import sql
from syncer.loading import BATCH, LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE, Context
from syncer.sources import ARCHIVED, LIVE, MERGED
from syncer.warehouses import Transaction


class Mirror:
    """The base is the load table itself."""

    def __init__(self, context: Context, t: Transaction) -> None:
        self._context = context
        self._try_cast = t.try_cast
        self._table = sql.table_name(context.table)
        columns = [column for column in context.columns if column not in context.mapping.key]
        self._compared = [*columns, RECORD_STATE, MERGED_INTO]

    def relation(self) -> str:
        """The load table."""
        return f"{self._table} AS b"

    def is_live(self) -> str:
        """A live row."""
        return f"b.{RECORD_STATE} = '{LIVE}'"

    def is_present(self) -> str:
        """A row that has not ended."""
        return f"b.{RECORD_STATE} IN ('{LIVE}', '{ARCHIVED}', '{MERGED}')"

    def same_key(self) -> str:
        """Equal key columns."""
        return sql.equal("b", "s", self._context.mapping.key)

    def key(self) -> str:
        """The key columns as one text."""
        return self._context.key_of("b")

    def in_whole(self, columns: Sequence[str], *, text: str) -> str:
        """Equal native columns."""
        return sql.equal("b", "w", columns)

    def written_by_run(self) -> tuple[str, list[Any]]:
        """A load date since the run began."""
        return f"b.{LOAD_DATE} >= ?", [self._context.started]

    def differing(self) -> str:
        """One column differs, and the record is not older than the row."""
        return f"({sql.differs('b', 's', self._compared)}){self._not_older()}"

    def parameters_of_differing(self) -> list[Any]:
        """When the run began, where the version is looked at."""
        return self._version_parameters()

    def is_standing(self, version: str | None, told: Sequence[str]) -> str:
        """Of the same state and columns *told*, and of the same version where the key came with one."""
        standing = f"b.{RECORD_STATE} = s.{RECORD_STATE}"
        if told:
            standing += f" AND NOT ({sql.differs('b', 's', told)})"
        if version is None:
            return standing
        name = sql.quoted(version)
        return f"{standing} AND (s.{name} IS NULL OR b.{name} IS NOT DISTINCT FROM s.{name})"

    def load(self, t: Transaction, count: int, now: dt.datetime) -> tuple[int, int]:
        """
        Update what differs, insert what is new; either only where there is some.

        In this order: a row that somebody's trigger changes as it comes in is not written twice. Where somebody
        dropped the primary key and a key has several rows, it counts once.
        """
        with t.by_key(self._context.table):
            query = (
                f"SELECT COUNT(*) FROM {BATCH} AS s "
                f"WHERE EXISTS (SELECT 1 FROM {self.relation()} WHERE {self.same_key()})"
            )
            known = int(t.rows(sql.statement(query))[0][0])
            updated = self._update(t, now) if known else 0
            inserted = self._insert(t, now) if known < count else 0
        return inserted, min(updated, known)

    def _update(self, t: Transaction, now: dt.datetime) -> int:
        setting = ", ".join(f"{sql.quoted(column)} = s.{sql.quoted(column)}" for column in self._compared)
        return t.run(
            sql.statement(
                f"UPDATE {self._table} AS b SET {setting}, {LOAD_DATE} = ? FROM {BATCH} AS s WHERE "
                f"{self.same_key()} AND {self.differing()}"
            ),
            [now, *self._version_parameters()],
        )

    def _insert(self, t: Transaction, now: dt.datetime) -> int:
        columns = [*self._context.columns, RECORD_STATE, MERGED_INTO]
        return t.run(
            sql.statement(
                f"INSERT INTO {self._table} ({sql.names(columns)}, {RECORD_SOURCE}, {LOAD_DATE}) "
                f"SELECT {sql.names(columns, of='s')}, ?, ? FROM {BATCH} AS s "
                f"WHERE NOT EXISTS (SELECT 1 FROM {self.relation()} WHERE {self.same_key()})"
            ),
            [self._context.mapping.name, now],
        )

    def end(self, t: Transaction, condition: str, state: str, now: dt.datetime) -> int:
        """Set the state of rows, their values kept."""
        return t.run(
            sql.statement(f"UPDATE {self.relation()} SET {RECORD_STATE} = ?, {LOAD_DATE} = ? WHERE {condition}"),
            [state, now],
        )

    def set_states(self, t: Transaction, now: dt.datetime) -> int:
        """Set the states that differ."""
        joined = f"s.key = {self.key()} AND ({sql.differs('b', 's', [RECORD_STATE, MERGED_INTO])})"
        left = t.rows(
            sql.statement(
                f"SELECT COUNT(*) FROM {self.relation()} JOIN states AS s ON {joined} WHERE {self.is_live()}"
            )
        )[0][0]
        t.run(
            sql.statement(
                f"UPDATE {self.relation()} SET {RECORD_STATE} = s.{RECORD_STATE}, {MERGED_INTO} = s.{MERGED_INTO}, "
                f"{LOAD_DATE} = ? "
                f"FROM states AS s WHERE {joined}"
            ),
            [now],
        )
        return int(left)

    def _not_older(self) -> str:
        version = self._context.mapping.inbound.version if self._context.mapping.inbound else None
        if version is None:
            return ""
        older = f"{self._version('s', version)} < {self._version('b', version)}"
        healed = f" OR b.{LOAD_DATE} < ?" if self._context.is_full else ""
        return f" AND (({older}) IS NOT TRUE{healed})"

    def _version(self, alias: str, version: str) -> str:
        """The version as declared: texts, where the column has become wider, are in another order."""
        name, declared = f"{alias}.{sql.quoted(version)}", self._context.mapping.field(version).type
        if self._context.table.types()[version] is declared:
            return name
        return self._try_cast(name, declared)

    def _version_parameters(self) -> list[Any]:
        return [self._context.started] if self._context.is_full and "?" in self._not_older() else []
