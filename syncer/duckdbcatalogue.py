"""
What DuckDB's catalogue says of a transaction's tables: asked once, and again after a change.

A question goes through all columns of all tables of the file (4 to 8 ms at 1,000, measured), and a run looks at each
table of schema `syncer`: that schema is asked for as a whole.

Not here: DuckDB itself, which one file imports (`warehouses/duckdb.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from syncer.tables import STATE, Table

ASKED = (
    "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
    "WHERE database_name = current_database() AND schema_name = ? AND (table_name = ? OR schema_name = ?) "
    "ORDER BY column_index"
)
_LEAVES = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)  # all tables' shapes as they are


@attrs.define
class Catalogue:
    """The tables that were asked for: their columns by names in small letters, since DuckDB takes `A` for `a`."""

    ask: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
    _known: dict[tuple[str, str], dict[str, tuple[str, str | None]]] = attrs.field(factory=dict, init=False)
    _has_state: bool = attrs.field(default=False, init=False)

    def types(self, table: Table) -> dict[str, str]:
        """Return the types as DuckDB names them; none: there is no such table."""
        return {name: kind for name, (kind, _) in self._of(table).items()}

    def comments(self, table: Table) -> dict[str, str]:
        """Return the comments of those that have one."""
        return {name: text for name, (_, text) in self._of(table).items() if text is not None}

    def meet(self, text: str) -> None:
        """Forget what was asked where a statement may have changed it."""
        if not _LEAVES.match(text):
            self.forget()

    def forget(self) -> None:
        """Forget what was asked."""
        self._known.clear()
        self._has_state = False

    def _of(self, table: Table) -> dict[str, tuple[str, str | None]]:
        name = table.schema, table.name
        if name not in self._known and not (table.schema == STATE and self._has_state):
            for of, column, kind, comment in self.ask(ASKED, [*name, STATE]):
                self._known.setdefault((table.schema, str(of)), {})[_folded(column)] = kind, comment
            self._has_state |= table.schema == STATE
            self._known.setdefault(name, {})
        return self._known.get(name, {})


def _folded(name: str) -> str:
    """Write a name as DuckDB compares it: `É` is not `é`."""
    return name.lower() if name.isascii() else "".join(each.lower() if each.isascii() else each for each in name)
